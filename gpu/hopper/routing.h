/*
 * routing.h - what the kernels of picks.cu, routing.cu and scores_back.cu are told. Pointers are
 * device memory.
 */
#ifndef MOE_HOPPER_ROUTING_H
#define MOE_HOPPER_ROUTING_H

#include <stdint.h>

#include "gpu/hopper/tiles.h"

#define ROUTING_THREADS 1024
/* Of a block of hopper_place: warps that entries are dealt to, and bytes of shared memory, for
 * struct places. */
#define PLACE_WARPS(E) ((E) <= 1024 ? 32 : 32 * 1024 / (E))
#define PLACE_BYTES(E) (4 * (2 + TILE_HEIGHTS + PLACE_WARPS(E)) * ((E) + 1))
#define PICKING_THREADS 1024 /* or fewer */
#define BACK_THREADS 128     /* a token has eight of them */
#define SORTED_EXPERTS 4096  /* the most that a block's shared memory takes */
#define TOKENS_AT_ONCE 4     /* of a warp: eight lanes each */
#define LOGIT_KEYS 16        /* that a lane can hold: experts by their logits */
#define SCORE_KEYS 8         /* by their scores */

struct picking {
    int64_t T, E, K;
    int64_t chunk_tokens;
    int32_t router, renorm; /* enum moe_router */
    double scale;
    int64_t groups, groups_kept;
    const float *logits;    /* [T,E] */
    const float *sel_bias;  /* [E], or NULL */
    const int64_t *offsets; /* [T+1], or NULL: K entries a token */
    const int32_t *lists;   /* [P] */
    int32_t *picks;         /* [P] */
    float *scores;          /* [P] */
    uint32_t *counts;       /* [chunks,E], two experts a word */
    int64_t keys_at;        /* bytes of shared memory before keys: E counts */
    int64_t warp_keys;      /* that a warp has room for behind them */
    int32_t at_once;        /* tokens of a warp: TOKENS_AT_ONCE, or 1 */
    int32_t in_turn;        /* it picks for them one after another, with all lanes */
    uint32_t *status;
};

struct route_back {
    int64_t T, E, K;
    int64_t width;          /* E, rounded up to 8 */
    const int64_t *offsets; /* [T+1], or NULL: K entries a token */
    int32_t router, renorm; /* enum moe_router */
    double scale;
    double aux, zloss;           /* times E/T, times 2/T */
    const float *logits;         /* [T,E] */
    const int32_t *picks;        /* [P] */
    const float *ds;             /* [P] */
    const int64_t *expert_begin; /* [E+1] */
    float *dlogits;              /* [T,E] */
    uint16_t *pieces;            /* [T,3,width] of dL, bf16, zeros beyond E; or NULL */
};

struct tile_list {
    int64_t height;
    struct row_tiles *tiles;
};

/* The tokens in so many slices: begin [count+1]. */
struct token_slices {
    int64_t count;
    int64_t *begin;
};

/* Those that backward wants: all of them in one; for dWr; for dwsg. */
#define TOKEN_SLICES 3

struct routing {
    int64_t T, E, K;
    int64_t chunks, chunk_tokens;
    const int64_t *offsets; /* [T+1], or NULL: K entries a token */
    const int32_t *picks;   /* [P] ids that are allowed, or -1 */
    const float *scores;    /* [P] */
    const uint32_t *counts; /* [chunks,E] rows, two experts a word; 0 beyond E */
    struct tile_list lists[TILE_HEIGHTS];
    int64_t *expert_begin; /* [E+1] */
    int64_t *row_token, *row_entry;
    int64_t *entry_row; /* [P] -1: dropped */
    float *row_score;   /* [N] */
    struct token_slices slices[TOKEN_SLICES];
};

#endif

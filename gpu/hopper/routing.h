/*
 * routing.h - what the kernels of picks.cu, routing.cu and scores_back.cu are told. Pointers are
 * device memory.
 */
#ifndef MOE_HOPPER_ROUTING_H
#define MOE_HOPPER_ROUTING_H

#include <stdint.h>

#include "gpu/hopper/tiles.h"

#define ROUTING_THREADS 512
/* of a block's shared memory: struct places */
#define PLACE_BYTES(E) ((16 + 4 * TILE_HEIGHTS) * (E) + 8 + 4 * TILE_HEIGHTS)
#define PICKING_THREADS 1024 /* or fewer */
#define SORTED_EXPERTS 4096  /* the most that a block's shared memory takes */

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
    int32_t *counts;        /* [chunks,E] */
    int64_t keys_at;        /* bytes of shared memory before a warp's keys: E counts */
    uint32_t *status;
};

struct route_back {
    int64_t T, E, K;
    const int64_t *offsets; /* [T+1], or NULL: K entries a token */
    int32_t router, renorm; /* enum moe_router */
    double scale, aux, zloss;
    const float *logits;         /* [T,E] */
    const int32_t *picks;        /* [P] */
    const float *ds;             /* [P] */
    const int64_t *expert_begin; /* [E+1] */
    float *dlogits;              /* [T,E] */
};

struct tile_list {
    int64_t height;
    struct row_tiles *tiles;
};

struct routing {
    int64_t T, E, K;
    int64_t chunks, chunk_tokens;
    const int64_t *offsets; /* [T+1], or NULL: K entries a token */
    const int32_t *picks;   /* [P] ids that are allowed, or -1 */
    const float *scores;    /* [P] */
    const int32_t *counts;  /* [chunks,E] rows */
    struct tile_list lists[TILE_HEIGHTS];
    int64_t *expert_begin; /* [E+1] */
    int64_t *row_token, *row_entry;
    int64_t *entry_row;   /* [P] -1: dropped */
    float *row_score;     /* [N] */
    int64_t *token_begin; /* [2]: 0, T: all tokens as the rows of one expert */
};

#endif

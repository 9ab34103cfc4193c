/*
 * routing.h - what the kernels of routing.cu are told, and their host side. Pointers are device
 * memory.
 */
#ifndef MOE_HOPPER_ROUTING_H
#define MOE_HOPPER_ROUTING_H

#include <stdint.h>

#include "gpu/hopper/tiles.h"

#define ROUTING_THREADS 256
#define TOP_K_EXPERTS 512   /* that hopper_top_k takes */
#define SORTED_EXPERTS 4096 /* that hopper_count and hopper_place take */

struct routing {
    int64_t T, E, K;
    int64_t chunks, chunk_tokens;
    const int64_t *offsets; /* [T+1], or NULL: K entries a token */
    const int32_t *picks;   /* [P] ids that are allowed, or -1 */
    const float *scores;    /* [P] */
    int32_t *counts;        /* [chunks,E] room */
    int64_t *tile_begin;    /* [E+1] room */
    struct row_tiles *tiles;
    int64_t *expert_begin; /* [E+1] */
    int64_t *row_token, *row_entry;
    int64_t *entry_row; /* [P] -1: dropped */
    float *row_score;   /* [N] */
};

#endif

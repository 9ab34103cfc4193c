/*
 * rows.h - what the kernels of rows.cu and router.cu are told. Pointers are device memory; the type
 * of x, y and the like is the case's, bf16 or f16; scores and gradients of scores are f32.
 */
#ifndef MOE_HOPPER_ROWS_H
#define MOE_HOPPER_ROWS_H

#include <stdint.h>

struct row_gradients { /* ds of each row's entry */
    int64_t E, H;
    const int64_t *expert_begin; /* [E+1] */
    const int64_t *row_token;    /* [N] */
    const int64_t *row_entry;    /* [N], or NULL: the row */
    const float *parts;          /* [N,part_count] of <dA', A>, or NULL */
    int64_t part_count;
    int64_t lanes; /* of a warp, that have a row: a power of two; 32 where there is b2 or dxe */
    const void *d_o, *b2; /* [T,H], [E,H]; b2 NULL: none */
    const void *dxe, *x;  /* [N,H], [T,H]; dxe NULL: none */
    float *ds;            /* [P] */
};

struct token_sums { /* out of each token */
    int64_t T, H, K;
    const int64_t *offsets;   /* [T+1], or NULL: K entries a token */
    const int64_t *entry_row; /* [P] */
    const void *y;            /* [N,H] */
    const float *scores;      /* [P], or NULL: 1 */
    const void *shared;       /* [T,H], or NULL */
    const float *gate;        /* [T], or NULL: 1 */
    const float *extra;       /* [T,H], or NULL */
    const float *q;           /* [T], or NULL */
    const void *wsg;          /* [H] */
    void *out;                /* [T,H] */
};

/* router_sums.cu: dL Wr is added as well; a block has 64 tokens and 128 columns. */
#define ROUTER_SUMS_TOKENS 64
#define ROUTER_SUMS_COLUMNS 128
#define ROUTER_SUMS_THREADS 256
#define ROUTER_SUMS_BYTES (44 * 1024) /* of shared memory */

struct router_sums {
    struct token_sums sums;
    int64_t E, width;
    const uint16_t *pieces; /* [T,3,width] of dL */
    const uint16_t *wr;     /* [E,H] */
};

struct column_sums {             /* of each expert's rows */
    int64_t cols;                /* a multiple of 8 */
    const int64_t *expert_begin; /* [E+1] */
    const int64_t *gather;       /* [N] rows of q, or NULL */
    const float *score;          /* [N], or NULL: 1 */
    const void *q;
    void *d;      /* [E,cols] */
    int32_t wide; /* 1: d is f32 */
    int32_t add;  /* 1: to what d holds */
};

#endif

/*
 * product.h - grouped products on Hopper's tensor cores: rows of tokens with their expert's
 * weights, and weights' gradients, which are sums over an expert's rows. r is a row, e its expert.
 *
 *   forward    D_r = A_r B_e^T            A [N,k], weights [E,C,k]
 *   backward   D_r = A_r B_e              A [N,k], weights [E,k,C]
 *   gradient   D_e = sum_r P_r Q_r^T      P [N,C], Q [N,k], D [E,C,k]
 *
 * A row may be gathered: it is row gather[r] of its operand then. The kernels are persistent: one
 * block a multiprocessor takes tiles in turn, from a list that a kernel makes of the routing, so
 * that nothing is read back by the host.
 */
#ifndef MOE_HOPPER_PRODUCT_H
#define MOE_HOPPER_PRODUCT_H

#include "gpu/hopper/tiles.h"
#include "gpu/parts.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what the kernels are told
 * ------------------------------------------------------------------- */

struct product_arguments { /* product.cu; the weights come as a tensor map */
    const void *a;
    const int64_t *gather; /* [N] rows of a, or NULL */
    int64_t a_stride;      /* elements from row to row; a multiple of 8 */
    void *d;
    int64_t d_stride; /* even */
    const struct row_tiles *tiles;
    int32_t k;    /* a multiple of 8 */
    int32_t cols; /* C, a multiple of 8 */
};

struct gradient_operand {
    const void *data;
    const int64_t *gather; /* [N], or NULL */
    int64_t stride;        /* a multiple of 8 */
};

struct gradient_arguments { /* gradient.cu */
    struct gradient_operand p, q;
    const int64_t *expert_begin;     /* [E+1] */
    void *d;                         /* dense */
    int32_t experts, p_cols, q_cols; /* columns: multiples of 8 */
    int32_t wide;                    /* 1: D is f32 */
    int32_t add;                     /* 1: the sums are added to what D holds */
};

/* ---- product.c
 * ------------------------------------------------------------------------------------- */

/* A way to cut the work: a row of the tables in product.c. */
struct product_configuration {
    const char *name;
    int32_t tile_cols, stages;
    const char *kernel[2]; /* for bf16 and f16 */
};

enum product_form { PRODUCT_FORWARD, PRODUCT_BACKWARD, PRODUCT_GRADIENT, PRODUCT_FORMS };

/* Row `index` of a form's table; NULL past the end. */
const struct product_configuration *hopper_configuration(enum product_form form, int index);

struct hopper_product {
    enum product_form form; /* PRODUCT_FORWARD or PRODUCT_BACKWARD */
    enum moe_dtype dtype;   /* MOE_BF16 or MOE_F16, of A, B and D */
    int64_t N, E, cols, k;  /* N: rows, or more */
    const void *a;
    const int64_t *gather;
    int64_t a_stride;
    const void *weights; /* dense */
    void *d;
    int64_t d_stride;
    const struct row_tiles *tiles;
};

struct hopper_gradient {
    enum moe_dtype dtype;   /* of P and Q */
    enum moe_dtype d_dtype; /* the same, or f32 */
    int64_t E;
    int64_t p_cols, q_cols;
    struct gradient_operand p, q;
    const int64_t *expert_begin;
    void *d;
    int add;
};

/* The list of tiles of a routing with at most `rows` rows, for hopper_product; expert_begin [E+1]
 * on the device. */
int64_t hopper_tiles_bytes(int64_t rows, int64_t E);
int hopper_tiles_list(const struct moe_gpu_queue *queue, int64_t E, const int64_t *expert_begin,
                      void *memory, struct row_tiles **tiles);

/* Enqueue a product. MOE_E_UNSUPPORTED: a size or an address that the kernels do not take, with the
 * reason; what moe_device_launch returns. */
int hopper_product_run(const struct moe_gpu_queue *queue, int configuration,
                       const struct hopper_product *product);
int hopper_gradient_run(const struct moe_gpu_queue *queue, int configuration,
                        const struct hopper_gradient *gradient);

#ifdef __cplusplus
}
#endif
#endif

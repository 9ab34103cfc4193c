/*
 * product.h - products of a token's rows with its expert's weights, on Hopper's tensor cores.
 *
 *   D [N,C] = A [N,k] B_e^T        row r of expert e; A_r is row gather[r] of `a`, or row r
 *
 * The kernels are persistent: one block a multiprocessor takes tiles in turn from a list that a
 * kernel makes of the routing, so nothing is read back by the host.
 */
#ifndef MOE_HOPPER_PRODUCT_H
#define MOE_HOPPER_PRODUCT_H

#include "gpu/hopper/tiles.h"
#include "gpu/parts.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a kernel of product.cu is told; B comes as a tensor map. */
struct product_arguments {
    const void *a;
    const int64_t *gather; /* [N] rows of a, or NULL */
    int64_t a_stride;      /* elements from row to row; a multiple of 8 */
    void *d;
    int64_t d_stride; /* even */
    const struct row_tiles *tiles;
    int32_t k;    /* a multiple of 8 */
    int32_t cols; /* C, even */
};

/* A way to cut the work: a row of the table in product.c. */
struct product_configuration {
    const char *name;
    int32_t tile_cols, stages;
    const char *kernel[2]; /* for bf16 and f16 */
};
const struct product_configuration *hopper_product_configuration(int index); /* NULL past the end */

struct hopper_product {
    enum moe_dtype dtype; /* MOE_BF16 or MOE_F16, of A, B and D */
    int64_t N, E, cols, k;
    const void *a;
    const int64_t *gather;
    int64_t a_stride;
    const void *b; /* [E,C,k] dense */
    void *d;
    int64_t d_stride;
    const int64_t *expert_begin; /* device [E+1] */
};

/* Bytes of workspace of a product; at most `rows` rows. */
int64_t hopper_product_bytes(int64_t rows, int64_t E);

/* Enqueues it. MOE_E_UNSUPPORTED: a size or an address that the kernels do not take, with the
 * reason; what moe_device_launch returns. */
int hopper_product_run(const struct moe_gpu_queue *queue, int configuration,
                       const struct hopper_product *product, void *workspace);

#ifdef __cplusplus
}
#endif
#endif

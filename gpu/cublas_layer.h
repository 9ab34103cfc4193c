/*
 * cublas_layer.h - one case on one device as the variant `cublas` holds it: its workspace, cut up,
 * and the small steps that both passes share. variant_cublas.c, cublas_forward.c,
 * cublas_backward.c.
 */
#ifndef MOE_CUBLAS_LAYER_H
#define MOE_CUBLAS_LAYER_H

#include "gpu/cublas.h"
#include "gpu/fault.h"
#include "gpu/parts.h"
#include "verify/variant.h"

/* Parts of the workspace. D is the case's type, C the computing type (f32, or f64 for f64); sizes
 * for the most rows that the case can have. Forward and backward use it anew. */
struct cublas_space {
    void *rows, *rounding;      /* moe_gpu_rows, moe_gpu_round */
    int32_t *top;               /* [T,K] before token rounding */
    double *row_score;          /* [N] */
    void *x;                    /* D [N,H] gathered, scaled for weight=input */
    void *a;                    /* D [N,I] A, or s A */
    void *y;                    /* D [N,H] Y, or dX~ */
    void *d_o;                  /* D [N,H] gathered */
    void *da;                   /* C [N,I] */
    void *dz;                   /* D [N,Z] */
    double *row_ds;             /* [N] */
    void *plain_x;              /* D [N,H] gathered, weight=input: not scaled */
    double *gate, *q;           /* [T] shared expert */
    void *shared_z, *shared_dz; /* D [T,U] */
    void *shared_a;             /* D [T,S] */
    void *shared_da;            /* C [T,S] */
    void *shared_y;             /* D [T,H] Y, or dX */
    void *wide;                 /* C [N,max(Z,H)] products before a bias */
    void *wide_gradient;        /* C, one expert's, before it is added: beta=1 */
    void *router_x;             /* C [T,H] */
    void *router_w;             /* C [E,H] */
    void *router_dx;            /* C [T,H] */
    void *router_dw;            /* C [E,H] */
};

struct cublas_layer {
    const struct moe_problem *problem;
    struct moe_device *device;
    struct cublas *blas;
    enum moe_dtype dtype, compute, scalar, grad; /* scalar: logits, scores, ds */
    int64_t Z, U, P, N;                          /* P, N of the call at hand */
    int64_t *begin;                              /* [E+1] on the host, of the call at hand */
    const struct moe_tensor *tensors;
    struct moe_gpu_queue queue;
    struct cublas_space space;
    struct moe_gpu_rows rows;
    const int64_t *offsets; /* on the device, or NULL: K a token */
};

/* Bytes of the workspace; with `at` also cuts it up. */
int64_t cublas_space_lay_out(const struct moe_problem *problem, void *at,
                             struct cublas_space *space);

/* Data of a tensor, NULL where the case has none. */
static inline void *tensor_data(const struct cublas_layer *layer, enum moe_tensor_id id)
{
    return layer->tensors[id].data;
}

/* Element `index` of dense device memory. */
static inline void *element(enum moe_dtype dtype, const void *memory, int64_t index)
{
    return (char *)memory + index * (moe_dtype_info(dtype)->bits / 8);
}

/* Metadata of the picks tensor, and expert_begin on the host: this waits for the device. */
int cublas_layer_rows(struct cublas_layer *layer, uint32_t *status);

int cublas_product(struct cublas_layer *layer, enum cublas_form form, int64_t m, int64_t n,
                   int64_t k, enum moe_dtype from, const void *a, const void *b, enum moe_dtype to,
                   void *c, int add);

int cublas_layer_forward(struct cublas_layer *layer, uint32_t *status);
int cublas_layer_backward(struct cublas_layer *layer, uint32_t *status);

#endif

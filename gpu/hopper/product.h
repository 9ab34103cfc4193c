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

/* ---- what the kernels are told ------------------------------------------------------------ */

struct product_arguments { /* of all but gradient.cu; the weights come as a tensor map */
    const void *a;
    const int64_t *gather;         /* [N] rows of a, or NULL */
    int64_t a_stride;              /* elements from row to row; a multiple of 8 */
    const struct row_tiles *tiles; /* NULL: `rows` rows of one expert */
    int64_t rows;
    int32_t k;    /* a multiple of 8 */
    int32_t cols; /* C */
};

/* What becomes of the sums: one of these, the kernel's last argument. */

struct store_rows { /* D_r = sums + bias */
    void *d;
    int64_t stride;
    const void *bias; /* [E,C], or NULL */
    int32_t cols;
    int32_t wide; /* 1: D and bias are f32; C is any number then in products with B_e^T; else a
                     multiple of 8 */
};

struct unit_shape { /* of Z and A */
    int64_t units;  /* I, a multiple of 8 */
    int32_t act, layout;
    float clamp;
};

struct activate_rows { /* Z_r = s sums + bias, as stored; A_r = s act(Z_r) */
    struct unit_shape shape;
    void *z, *a;
    const void *bias;        /* [E,Z], or NULL */
    const float *score_of_z; /* [N] weight=input, or NULL: 1 */
    const float *score_of_a; /* [N] weight=before-w2, or NULL: 1 */
};

struct activate_back { /* dA' = sums; dZ_r = act'(Z_r) s dA'_r; sA_r = s act(Z_r); <dA', A> in parts
                        */
    struct unit_shape shape;
    const void *z; /* [N,Z], N below 2^31; not where dz is: copies of it pass stores */
    void *dz, *sa;
    const float *score; /* [N], or NULL: 1 */
    float *parts;       /* [N, parts of a row], or NULL */
    int32_t part_count;
};

struct gradient_operand {
    const void *data;
    const int64_t *gather; /* [N], or NULL */
    int64_t stride;        /* a multiple of 8 */
};

struct gradient_arguments { /* gradient.cu */
    struct gradient_operand p, q;
    const int64_t *expert_begin; /* [E+1] */
    void *d;                     /* dense */
    int32_t experts, p_cols,
        q_cols;   /* rows of D: any number, or, turned, a multiple of 8; columns: multiples of 8 */
    int32_t wide; /* 1: D is f32 */
    int32_t add;  /* 1: the sums are added to what D holds */
    int32_t turned; /* 1: D is [E,Q,P] */
};

/* ---- product.c ---------------------------------------------------------------------------- */

/* A way to cut the work: a row of the tables in product.c. */
struct product_configuration {
    const char *name;
    int32_t tile_rows, tile_cols, stages;
    int32_t buffers;       /* of a warpgroup, for boxes that are stored */
    const char *kernel[2]; /* for bf16 and f16 */
};

enum product_form {
    PRODUCT_FORWARD,  /* A_r B_e^T, stored */
    PRODUCT_BACKWARD, /* A_r B_e, stored */
    PRODUCT_GRADIENT,
    PRODUCT_SWIGLU,  /* forward, and through the activation: its own kernels */
    PRODUCT_CLAMPED, /* swiglu-oai and swiglu-clamp: theirs */
    PRODUCT_GATED,   /* the other gated ones */
    PRODUCT_PLAIN,
    PRODUCT_SWIGLU_BACK, /* backward, and back through the activation */
    PRODUCT_CLAMPED_BACK,
    PRODUCT_GATED_BACK,
    PRODUCT_PLAIN_BACK,
    PRODUCT_FORMS
};

/* The form that takes an activation forward (back 0), or back (1). */
enum product_form hopper_activation_form(enum moe_act act, int back);

/* Row `index` of a form's table; NULL past the end. */
const struct product_configuration *hopper_configuration(enum product_form form, int index);

struct hopper_product {
    enum product_form form; /* any but PRODUCT_GRADIENT */
    enum moe_dtype dtype;   /* MOE_BF16 or MOE_F16, of A, weights and what is stored */
    int64_t N, E, cols, k;  /* N: rows, or more; cols: Z forward through an activation */
    int64_t places;         /* the most rows of A: N, or those that gather names */
    const void *a;
    const int64_t *gather;
    int64_t a_stride;
    const void *weights;           /* dense */
    const struct row_tiles *tiles; /* as high as the configuration's; NULL: E is 1, and there are N
                                      rows */
    struct store_rows store;       /* of these, the form's; cols are set */
    struct activate_rows activate;
    struct activate_back back;
};

/* Parts of a row's <dA', A> that a form back through the activation writes. */
int64_t hopper_product_parts(enum product_form form, int configuration, int64_t cols);

struct hopper_gradient {
    enum moe_dtype dtype;   /* of P and Q */
    enum moe_dtype d_dtype; /* the same, or f32 */
    int64_t N, E;           /* N: rows that there is room for */
    int64_t places;         /* the most rows of an operand: N, or those that gather names */
    int64_t p_cols, q_cols; /* q_cols a multiple of 8; rows of p are padded to one */
    struct gradient_operand p, q;
    const int64_t *expert_begin;
    void *d;
    int add, turned; /* turned: D_e is Q P^T, for a gathered operand costs less as P */
};

/* The list of tiles of so many rows of a routing with at most `rows` rows, for hopper_product;
 * expert_begin [E+1] on the device. */
int64_t hopper_tiles_bytes(int64_t tile_rows, int64_t rows, int64_t E);
int hopper_tiles_list(const struct moe_gpu_queue *queue, int64_t tile_rows, int64_t E,
                      const int64_t *expert_begin, void *memory);
/* Where it leaves them. */
struct row_tiles *hopper_tiles_at(int64_t E, void *memory);

/* The most rows of a product: rows of a box are numbers of 31 bits. */
#define HOPPER_MOST_ROWS ((int64_t)INT32_MAX - 2 * TILE_ROWS)

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

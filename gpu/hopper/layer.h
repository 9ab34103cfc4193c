/*
 * layer.h - one case on one device as the variant `hopper` holds it: its workspace and kept memory,
 * cut up, and what both passes share. variant_hopper.c, layer_forward.c, layer_backward.c.
 */
#ifndef MOE_HOPPER_LAYER_H
#define MOE_HOPPER_LAYER_H

#include "gpu/hopper/padded.h"
#include "gpu/hopper/product.h"
#include "gpu/hopper/routing.h"
#include "gpu/hopper/rows.h"
#include "gpu/parts.h"
#include "verify/variant.h"

/* What forward leaves for backward: O(N + E) beside z, picks and scores, which are the caller's. */
struct hopper_kept {
    int32_t *picks; /* [P] lists: those that are allowed */
    int64_t *expert_begin, *row_token, *row_entry, *entry_row;
    float *row_score; /* [N] */
    void *tile_memory[TILE_HEIGHTS];
    int64_t *token_begin;  /* [2]: 0, T; all tokens as the rows of one expert, the shared one */
    int64_t *router_begin; /* [slices+1] tokens, for dWr in pieces; else NULL */
    int64_t *gate_begin;   /* [slices+1] tokens, for dwsg; else NULL */
};

/* Parts of the workspace, of the case's type unless said. Sizes are for the most rows that the case
 * can have. */
struct hopper_space {
    void *rounding;             /* moe_gpu_round */
    int32_t *top;               /* [T,K] before token rounding */
    uint32_t *counts;           /* of the sort: [chunks,E], 16 bits each */
    void *a;                    /* [N,I] A, or s A */
    void *y;                    /* [N,H] Y, or dX~ */
    void *dz;                   /* [N,Z] */
    void *sx;                   /* [N,H] s X, weight=input */
    float *parts;               /* [N, parts of a row] */
    void *shared_z, *shared_dz; /* [T,U] */
    void *shared_a;             /* [T,S] */
    void *shared_y;             /* [T,H] */
    float *gate, *q;            /* [T] */
    float *router_dx;           /* [T,H] dL Wr, where it is not in pieces */
    float *router_dw;           /* [slices,E,H]; of pieces [slices,3,width,H] */
    void *router_pieces;        /* [T,3,width] of dL, bf16 */
    float *gate_parts;          /* [slices,H] */
    float *bias_parts;          /* [slices,E] of dL */
};

/* The case as it was given and the one that the kernels run; they differ where padded.h says. */
struct hopper_padding {
    const struct moe_problem *given;
    struct moe_problem problem;
    const struct moe_tensor *dense;             /* of the call */
    struct moe_tensor padded[MOE_TENSOR_COUNT]; /* the same, but for those that are copied */
};

struct hopper_layer {
    struct hopper_padding padding;
    const struct moe_problem *problem; /* padded */
    struct moe_device *device;
    int configuration;
    enum moe_dtype dtype, grad;
    int64_t Z, U, N; /* N: the most rows */
    const struct moe_tensor *tensors;
    struct moe_gpu_queue queue;
    struct hopper_space space;
    struct hopper_kept kept;
    struct row_tiles *tiles[TILE_HEIGHTS]; /* in kept memory */
    const int64_t *offsets;                /* on the device, or NULL: K a token */
};

/* Bytes; with `at` also cuts it up. */
int64_t hopper_space_lay_out(const struct moe_problem *problem, void *at,
                             struct hopper_space *space);
int64_t hopper_kept_lay_out(const struct moe_problem *problem, void *at, struct hopper_kept *kept);

/* padded.c: the case that is run; room in the workspace for copies of its tensors, and what stands
 * in the place of `tensors` (NULL: bytes alone are asked for) in a call; copies before and after a
 * pass. Bytes may be a status. */
struct moe_problem hopper_padded_problem(const struct moe_problem *given);
int64_t hopper_padding_lay_out(const struct moe_problem *given, void *at,
                               const struct moe_tensor *tensors, struct moe_tensor *padded);
int hopper_pad(const struct hopper_layer *layer, int back);
int hopper_unpad(const struct hopper_layer *layer, int back);

/* Data of a tensor, NULL where the case has none. */
static inline void *hopper_data(const struct hopper_layer *layer, enum moe_tensor_id id)
{
    return layer->tensors[id].data;
}

/* The heights of tiles that a routing has lists of. */
extern const int32_t hopper_tile_heights[TILE_HEIGHTS];

/* Of a form's table the widest tile that is not wider than the variant's configuration and as high,
 * or the narrowest: not every form has every tile. The first configuration has tall ones, or such
 * as lie across, where `shared` says that experts have few rows. */
int hopper_choose(const struct hopper_layer *layer, enum product_form form, int shared);

/* What stands in kept memory at a call's beginning: its places, not its contents. */
void hopper_layer_find_kept(struct hopper_layer *layer, void *kept);
/* The kernel of the case's type: NAME_bf16 or NAME_f16; a warp or a thread an item. */
int hopper_launch(const struct hopper_layer *layer, const char *name, int64_t threads, void **args);

/* A product with the rows of the routing (shared 0), or with all tokens (1): its tiles, sizes and
 * types are filled in. */
int hopper_layer_product(const struct hopper_layer *layer, int shared,
                         struct hopper_product *product);
int hopper_layer_gradient(const struct hopper_layer *layer, int shared,
                          struct hopper_gradient *product);

/* layer_routing.c: picks and scores (and offsets) from the logits; or, of lists, those picks that
 * are allowed. Then rows of the picks, their scores and their tiles: into kept memory. */
int hopper_layer_route(struct hopper_layer *layer, uint32_t *status_word);
/* Chunks that tokens are cut into; how many tokens each has. */
int64_t hopper_chunks(const struct moe_problem *problem, int64_t *chunk_tokens);

/* Slices of the tokens for dWr, and for dwsg and dbr. */
int64_t hopper_router_slices(const struct moe_problem *problem);
int64_t hopper_gate_slices(const struct moe_problem *problem);

/* layer_router.c: dL, from the gradients of scores and the losses. */
int hopper_layer_scores_back(struct hopper_layer *layer);
/* layer_router.c: dWr, and dL Wr where dL is not in pieces of bf16, of which the sums over tokens'
 * rows make it themselves. Whether dL is, and how many experts these have room for. */
int hopper_router_in_pieces(const struct moe_problem *problem);
int64_t hopper_router_width(const struct moe_problem *problem);
int hopper_layer_router_products(struct hopper_layer *layer);
/* layer_router.c: dbr. */
int hopper_layer_router_bias(struct hopper_layer *layer);

/* A gradient of `count` elements, f32 or of the case's type, (+)= the sum of parts, one every
 * `stride`. */
int hopper_layer_add_parts(const struct hopper_layer *layer, int64_t count, int64_t parts,
                           int64_t stride, const float *from, enum moe_dtype dtype, void *gradient);

int hopper_layer_forward(struct hopper_layer *layer, uint32_t *status_word);
int hopper_layer_backward(struct hopper_layer *layer);

/* The names of the variant's configurations. */
#define HOPPER_CONFIGURATIONS 7
extern const char *const hopper_configuration_names[HOPPER_CONFIGURATIONS];

#endif

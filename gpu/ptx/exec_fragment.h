/*
 * exec_fragment.h - what the files share that run mma.sync and wmma: matrices in a warp's
 * registers, and their product.
 */
#ifndef MOE_GPU_PTX_EXEC_FRAGMENT_H
#define MOE_GPU_PTX_EXEC_FRAGMENT_H

#include "gpu/ptx/geometry.h"
#include "gpu/ptx/machine.h"
#include "gpu/ptx/number_mma.h"

typedef struct geometry_cell fragment_cell(int how, int lane, int reg, int index);

/* Where a matrix is in registers. */
struct fragment {
    int bits;  /* of an element; b1: 32 of k are one */
    int count; /* registers of a lane */
    int own;   /* of these, those that have all elements; the others have them once more */
    int columns;
    const struct ptx_place *places; /* [count] */
    const uint16_t *at;             /* [count,32,elements of a register]: row * columns + column */
};

/* A matrix is of blocks that are alike: so many registers each, so many rows and columns on. */
struct fragment_block {
    int registers, rows, columns;
};

/* Fills `at`, of a fragment that has the rest but for places; `how` is the cell's. MOE_E_NOMEM. */
int fragment_make(struct ptx_build *build, fragment_cell *cell, int how,
                  const struct fragment_block *block, struct fragment *fragment);
/* Takes an operand as its registers; refuses another number of them, and other widths. */
int fragment_place(struct ptx_build *build, const struct ptx_place *place,
                   struct fragment *fragment);

static inline int fragment_per_register(const struct fragment *fragment)
{
    return fragment->bits < 32 ? 32 / fragment->bits : 1;
}

static inline int fragment_at(const struct fragment *fragment, int reg, int lane, int index)
{
    return fragment->at[(reg * PTX_LANES + lane) * fragment_per_register(fragment) + index];
}

/* D = A B + C of fragments. */
struct fragment_product {
    struct number_mma mma;
    int products; /* four of m8n8k4 of f16, one below the other; one of others */
    int k_step;   /* so many k at once */
    int is_f64, signed_a4, signed_b4;
    int widen_c, narrow_d; /* f16, and the sum is of f32 */
    unsigned how;
    struct fragment a, b, c, d;
};

/* code->data[3] is the product. */
ptx_execute fragment_multiply;

#endif

/*
 * exact.h - which elements of the outputs every legal kernel must give to the bit, and what they
 * are (ref/exact.c).
 *
 * A pass over the layer that knows of every value whether it is certain: the same, exactly, for
 * every order of operations, every fusion and every rounding point that the recipe allows. What is
 * not certain is NaN, and so is what depends on it. Nothing is assumed of the data: the pass is
 * right on any, and data=exact0, exact1 and exact2 are drawn so that it can be certain of them.
 */
#ifndef MOE_REF_EXACT_H
#define MOE_REF_EXACT_H

#include "ref/moe.h"

struct moe_exact {
    const struct moe_problem *problem;
    const struct moe_tensor *tensors;  /* [MOE_TENSOR_COUNT]; inputs are read, types of outputs */
    const struct moe_tensor *before;   /* beta=1: what the gradients held; else not looked at */
    const struct moe_routing *routing; /* picks; scores too where router=lists */
    const struct moe_recipe *recipe;
    /* Gets the outputs as moe_reference_run hands them out (beta=1: the old value added), before
     * the rounding to the tensor's type: that is the one rounding left. NaN: not certain. */
    moe_block_taker *take;
    void *context;
};

/* What the pass met. A term is seen where some product that it stands in is certain and not 0. */
struct moe_exact_seen {
    int64_t elements[MOE_TENSOR_COUNT], certain[MOE_TENSOR_COUNT];
    int64_t h_unseen;    /* of H, in X W1^T */
    int64_t i_unseen;    /* of I, in A W2^T */
    int64_t h_back;      /* of H, in dO W2 */
    int64_t z_unseen;    /* of Z, in dZ W1 */
    int64_t rows_unseen; /* of N rows, in s Y */
    int64_t rows_back;   /* of N rows, in dZ^T X and dO^T (s A) */
    const char
        *overflow; /* a point where a value exceeds the type, and all is uncertain; or NULL */
};

/* MOE_E_NOMEM; MOE_E_UNSUPPORTED: larger than is kept in memory for this; what `take` returns. */
int moe_exact_run(const struct moe_exact *exact, struct moe_exact_seen *seen);

#endif

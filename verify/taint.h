/*
 * taint.h - which elements of the outputs depend on elements of the inputs that were spoiled with
 * NaN, by the formulas of the layer alone (doc/containment.md).
 *
 * A sum with one NaN among its terms is NaN, whatever the order and however small the factor, so
 * nothing here is about values: an element is NaN, may be anything, or is what it would be anyway.
 */
#ifndef MOE_TAINT_H
#define MOE_TAINT_H

#include "verify/verify.h"

/* Ordered: what depends on two elements has the higher of their taints. */
enum taint {
    TAINT_NONE, /* does not depend on anything spoiled */
    TAINT_MAY,  /* a correct kernel may leave out the factor that is spoiled: a derivative of 0, a
                   score of 0, an expert that nobody picked */
    TAINT_NAN,  /* must be NaN */
};

struct taints {
    const struct moe_problem *problem;
    const struct moe_routing *routing; /* of the run on the spoiled inputs, scores included */
    unsigned char
        *of[MOE_TENSOR_COUNT]; /* enum taint of each element, row-major; NULL: no tensor */
};

/* No taint anywhere, for tensors of these shapes. MOE_E_NOMEM. */
int taints_open(const struct moe_problem *problem, const struct moe_tensors *tensors,
                struct taints *taints);
void taints_close(struct taints *taints);

/* From the inputs' taints and `routing`, which must stand, those of all outputs. MOE_E_NOMEM. */
int taints_carry(struct taints *taints);

static inline unsigned char taint_or(unsigned char a, unsigned char b)
{
    return a > b ? a : b;
}

/* The highest of n. */
static inline unsigned char taint_highest(const unsigned char *of, int64_t n)
{
    unsigned char highest = TAINT_NONE;
    for (int64_t i = 0; i < n; i++)
        highest = taint_or(highest, of[i]);
    return highest;
}

/* ---- taint_router.c: taints.c calls these before and after the experts ------------------------
 */

void taint_router_forward(struct taints *taints);
void taint_router_backward(struct taints *taints);

#endif

/*
 * rounder.h - the layer in plain loops of doubles, which errs where it is told to: rounds to bf16
 * at chosen points, sums chosen products in f32, multiplies in f32, computes activations that are a
 * little too large. So each source of error can be looked at alone.
 */
#ifndef ROUNDER_H
#define ROUNDER_H

#include "tests/support.h"

struct rounder {
    unsigned points;   /* bit p: rounds to bf16 at enum moe_point p; MOE_AT_Z of the shared expert
                          only,   since z itself is what its tensor holds */
    unsigned products; /* bit p: sums of enum moe_product p are chains of f32; not O, DX, DW1, DW2,
                          DWR, whose sums go over rows */
    int elementwise;   /* products and sums of two numbers are rounded to f32 */
    double functions;  /* relative error of gate() */
    int ds_from_y;     /* ds = <dO, Y> where Y is scaled */
};

/* Both passes, on tensors of a case of f64 that does not round tokens. */
void rounder_run(const struct rounder *rounder, const struct moe_problem *problem,
                 const struct moe_tensors *tensors);

#endif

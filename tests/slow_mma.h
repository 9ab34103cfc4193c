/*
 * slow_mma.h - tensor-core instructions and products on them once more, in plain double arithmetic,
 * written from the rules and not from ref/mma.c.
 */
#ifndef SLOW_MMA_H
#define SLOW_MMA_H

#include "ref/recipe.h"

/* D of one instruction on k pairs; NaN is 0x7fffffff. */
uint32_t slow_instruction(enum moe_instruction instruction, enum moe_dtype dtype, const double *a,
                          const double *b, uint32_t c);

/* One element of a product of k pairs in the order declared; `start` is the first C. */
uint32_t slow_element(const struct moe_order *order, enum moe_dtype dtype, int64_t k,
                      const double *a, const double *b, uint32_t start);

/* start [m,n] (or NULL) + A [m,k] B [n,k]^T. */
void slow_product(const struct moe_order *order, enum moe_dtype dtype, int64_t m, int64_t n,
                  int64_t k, const double *a, const double *b, const float *start, float *c);

uint32_t float_bits(float value); /* every NaN as 0x7fffffff */
float bits_float(uint32_t bits);

#endif

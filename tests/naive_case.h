/*
 * naive_case.h - a case on which the tests of `naive` set inputs, run it, and read outputs.
 *
 * Tensors are looked at through (id, row-major index), whatever their strides. Outputs start as
 * NaN, the workspace as garbage of exactly the size that the variant declares.
 */
#ifndef NAIVE_CASE_H
#define NAIVE_CASE_H

#include "ref/moe.h"
#include "verify/variant.h"

extern const struct moe_variant moe_variant_naive;

struct naive_case {
    struct moe_problem problem;
    struct moe_tensor tensor[MOE_TENSOR_COUNT];
    uint32_t status; /* what the variant's status word holds */
};

/* Opens the case of a line; a test that gives a wrong one fails. `apart`: every stride is doubled
 * and each row is followed by a gap. */
void naive_case_open(struct naive_case *this, const char *line, int apart);
void naive_case_close(struct naive_case *this);

double naive_case_get(const struct naive_case *this, enum moe_tensor_id id, int64_t index);
void naive_case_set(struct naive_case *this, enum moe_tensor_id id, int64_t index, double value);

/* The first `count` elements. */
void naive_case_fill(struct naive_case *this, enum moe_tensor_id id, int64_t count,
                     const double *values);

/* Every input of floating type: multiples of 2^-10 in [-size, size), by a generator of the test's
 * own, begun at `seed`. Lists: token t picks t, t+1, ... modulo E, all but the last of every third
 * token. */
void naive_case_draw(struct naive_case *this, uint64_t seed, double size);

void naive_case_forward(struct naive_case *this);
void naive_case_backward(struct naive_case *this);

/* Fails the test unless the first `count` elements equal `want`, or are within `allowed` of it. */
void naive_case_expect(const struct naive_case *this, enum moe_tensor_id id, int64_t count,
                       const double *want, double allowed);

#endif

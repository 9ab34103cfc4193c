/*
 * exact_pass.h - what the files exact*.c share: certain values, exact sums, and the pass itself.
 */
#ifndef MOE_REF_EXACT_PASS_H
#define MOE_REF_EXACT_PASS_H

#include "ref/exact.h"
#include "ref/internal.h"

/* ---- exact_sum.c ---------------------------------------------------------------------------- */

/* A sum whose terms are multiples of 2^low: value, sum of magnitudes. */
struct exact_sum {
    double value, magnitude;
    int low;
};

/* Position of the lowest bit set of a value that is not 0. */
int low_bit(double value);

/* a b; NaN where either is (unless the other is 0: values are finite), or where a double does not
 * hold the product. */
double certain_product(double a, double b);

struct exact_sum exact_sum_empty(void);
void exact_sum_add(struct exact_sum *sum, double term);
void exact_sum_join(struct exact_sum *sum, const struct exact_sum *other, double factor);

/* The sum where `bits` of significand hold every partial sum of it in any order, else NaN. */
double exact_sum_value(const struct exact_sum *sum, int bits, int smallest);

/* ---- the pass ------------------------------------------------------------------------------- */

/* The entries of a matrix that are not 0, row by row. */
struct sparse {
    int64_t rows;
    int64_t *begin;  /* [rows+1] */
    int64_t *column; /* [begin[rows]] */
    double *value;
};

struct exact_pass {
    const struct moe_exact *call;
    const struct moe_problem *problem;
    const struct moe_routing *routing;
    const struct moe_recipe *recipe;
    struct moe_exact_seen *seen;
    int64_t T, H, E;
    double *x, *d_o;          /* [T,H] */
    double *score, *ds;       /* [P] */
    double *gate, *dgate;     /* [T] of the shared expert */
    double *logits;           /* [T,E] */
    struct exact_sum *o, *dx; /* [T,H] */
    unsigned char *h_seen, *i_seen, *h_back, *z_seen, *row_seen, *row_back;
};

/* Bits of significand that hold whatever the product's accumulator meets, 0: unknown; and of what
 * is computed element by element. */
int product_bits(const struct exact_pass *pass, enum moe_product product);
int element_bits(const struct exact_pass *pass);

double pass_sum(const struct exact_pass *pass, enum moe_product product,
                const struct exact_sum *sum);

/* The value if it survives both arithmetic of the elements' type and the rounding that may happen
 * at `point`, else NaN. */
double pass_at(struct exact_pass *pass, enum moe_point point, double value);

/* Hands out sums of `product` (row_of_sums of rows x cols) or values that are certain or NaN. */
int pass_hand_out(struct exact_pass *pass, enum moe_tensor_id id, int64_t row, int64_t rows,
                  int64_t cols, enum moe_product product, const struct exact_sum *sums);
int pass_hand_out_values(struct exact_pass *pass, enum moe_tensor_id id, int64_t row, int64_t rows,
                         int64_t cols, const double *values);

/* A tensor, or a slice of its first dimension, as dense doubles; NULL without memory. */
double *pass_load(const struct exact_pass *pass, enum moe_tensor_id id, int64_t slice,
                  int64_t count);

int sparse_of(const double *dense, int64_t rows, int64_t cols, struct sparse *sparse);
void sparse_free(struct sparse *sparse);

/* ---- exact_act.c ---------------------------------------------------------------------------- */

/* A [units] of a row of Z, and dZ of it from G = s dA' (or dA'), each after its point. */
void exact_activate(struct exact_pass *pass, int64_t units, const double *z, double *a);
void exact_activate_backward(struct exact_pass *pass, int64_t units, const double *z,
                             const double *g, double *dz);

/* ---- exact_expert.c ------------------------------------------------------------------------- */

/* Expert e, or the shared one (-1): its rows through both passes. */
int exact_expert(struct exact_pass *pass, int64_t e);

/* ---- exact_router.c ------------------------------------------------------------------------- */

int exact_router_forward(struct exact_pass *pass);
int exact_router_backward(struct exact_pass *pass);
int exact_shared_gate_forward(struct exact_pass *pass);
int exact_shared_gate_backward(struct exact_pass *pass);

#endif

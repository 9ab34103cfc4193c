/*
 * statistics_limits.c - how large the statistics of a correct kernel can become; the derivations
 * stand in doc/statistics.md.
 *
 * The mean square of z over a group is a quadratic form Q in independent roundings of variance 1
 * and mean at most 1. With d the number of roundings that its elements share, n of elements, f the
 * share of the variance that is not each element's own, t = -log of the chance to be exceeded:
 *
 *   Q <= 1 + 2 sqrt(t (1/n + f^2/d)) + 2t ((1 + f)/n + 2f/d)     (Hsu, Kakade and Zhang 2012)
 *   Q <= (1 + 8f) (1 + 2 sqrt(t/n) + 2t (1 + f)/n)   a rounding is at most sqrt(3) deviations, and
 *                                                    at most three meet in one element of A
 */
#include <math.h>

#include "verify/statistics.h"

/* Chance that a correct kernel exceeds some limit of one kind in one tensor of one run. */
#define CHANCE 1e-4

/* What a variance may be short of: sums of two or three roundings of few digits are not uniform,
 * and a value close to a power of two may round in either binade. */
#define MODEL 0x1p-3

/* E v^2 / (E v)^2 of the variances that elements of A and dZ hand on: a product of normals. */
#define UNEVEN 24.0

/* Whose errors the elements of a tensor share. */
enum source {
    UNKNOWN,      /* of few values, unevenly; or exact sums, whose last bits br alone decides */
    NOBODY,       /* each its own */
    UNITS_OF_ROW, /* A's of the row's token */
    TOKEN_OF_ROW, /* one of the row's token */
    BOTH_OF_ROW,  /* units, and a few of the token's ds */
    ROWS,         /* each row the dZ of one unit, from all rows of the expert */
    COLS,         /* each column the A of one unit */
};

/* `sums`: bits of enum moe_product that lie on the way to the tensor. */
#define IN(product) (1u << MOE_IN_##product)
static const struct {
    enum source source;
    unsigned sums;
} sources[MOE_TENSOR_COUNT] = {
    [MOE_O] = {UNITS_OF_ROW, IN(Z) | IN(Y) | IN(O)},
    [MOE_Z] = {NOBODY, IN(Z)},
    [MOE_DX] = {BOTH_OF_ROW, IN(Z) | IN(DA) | IN(DXE) | IN(DX) | IN(DS)},
    [MOE_DS] = {NOBODY, IN(Z) | IN(DA) | IN(DS)},
    [MOE_DLOGITS] = {TOKEN_OF_ROW, IN(Z) | IN(DA) | IN(DS)},
    [MOE_DW1] = {ROWS, IN(Z) | IN(DA) | IN(DW1)},
    [MOE_DB1] = {NOBODY, IN(Z) | IN(DA) | IN(DW1)},
    [MOE_DW2] = {COLS, IN(Z) | IN(DW2)},
    [MOE_DB2] = {NOBODY, IN(DW2)},
    [MOE_DWS1] = {ROWS, IN(Z) | IN(DA) | IN(DW1)},
    [MOE_DWS2] = {COLS, IN(Z) | IN(DW2)},
};

static int rounds(const struct moe_recipe *recipe, enum moe_point point)
{
    return recipe->at[point].when != MOE_NEVER;
}

/* s x and s A are rounded for a product; s Y and s dX~ where they alone make what is stored. */
enum statistics_scaling statistics_scaling(const struct statistics *statistics,
                                           enum moe_tensor_id tensor)
{
    const struct moe_problem *problem = statistics->problem;
    const struct moe_recipe *recipe = statistics->recipe;
    const enum moe_weight weight = problem->weight;
    if (!statistics_groups(statistics, tensor) || tensor == MOE_DWS1 || tensor == MOE_DWS2)
        return NOT_SCALED;
    if (weight == MOE_WEIGHT_INPUT && rounds(recipe, MOE_AT_SX))
        return SCALED_OPERANDS;
    if (weight != MOE_WEIGHT_INPUT && rounds(recipe, MOE_AT_A) && rounds(recipe, MOE_AT_SA) &&
        (tensor == MOE_DW2 || (tensor == MOE_O && weight == MOE_WEIGHT_BEFORE_W2)))
        return SCALED_OPERANDS;
    if ((tensor == MOE_O && weight == MOE_WEIGHT_AFTER_W2 && rounds(recipe, MOE_AT_Y)) ||
        (tensor == MOE_DX && weight == MOE_WEIGHT_INPUT && rounds(recipe, MOE_AT_DXE)))
        return SCALED_STORES;
    return NOT_SCALED;
}

int statistics_groups(const struct statistics *statistics, enum moe_tensor_id tensor)
{
    if (tensor == MOE_DB2 && statistics->problem->weight != MOE_WEIGHT_AFTER_W2)
        return 0; /* sums of dO alone: experts with the same tokens have the same */
    return sources[tensor].source != UNKNOWN;
}

double statistics_shared(const struct moe_problem *problem, enum moe_tensor_id tensor, int64_t rows,
                         int64_t cols, double expert_rows)
{
    double units = (double)problem->I / UNEVEN;
    switch (sources[tensor].source) {
    case UNITS_OF_ROW:
        return (double)rows * units;
    case TOKEN_OF_ROW:
        return (double)rows;
    case BOTH_OF_ROW:
        return (double)rows * (problem->router == MOE_LISTS || units < 2 ? units : 2);
    case ROWS:
        return (double)rows * expert_rows / UNEVEN;
    case COLS:
        return (double)cols * expert_rows / UNEVEN;
    default:
        return INFINITY;
    }
}

static double exponent(double groups)
{
    return log(groups / CHANCE);
}

double statistics_limit(const struct statistic_sums *sums, double shared, double groups)
{
    double n = (double)sums->n, d = shared, t = exponent(groups);
    double f = isinf(d) ? 0 : 1 - sums->own / n;
    double by_count = 1 + 2 * sqrt(t * (1 / n + f * f / d)) + 2 * t * ((1 + f) / n + 2 * f / d);
    double by_size = (1 + 8 * f) * (1 + 2 * sqrt(t / n) + 2 * t * (1 + f) / n);
    return sqrt((1 + MODEL) * (by_count < by_size ? by_count : by_size));
}

/* Terms of a sum, as product.c of the reference counts them. */
static int64_t terms_of(const struct statistics *statistics, enum moe_product product)
{
    const struct moe_problem *p = statistics->problem;
    const int64_t terms[MOE_PRODUCT_COUNT] = {
        [MOE_IN_LOGITS] = p->H,
        [MOE_IN_Z] = p->H,
        [MOE_IN_Y] = p->I > p->shared ? p->I : p->shared,
        [MOE_IN_O] = p->K + 3,
        [MOE_IN_DA] = p->H,
        [MOE_IN_DS] = p->H > p->I ? p->H : p->I,
        [MOE_IN_DW2] = statistics->longest,
        [MOE_IN_DXE] = 2 * (p->I > p->shared ? p->I : p->shared),
        [MOE_IN_DX] = p->K + p->E + 3,
        [MOE_IN_DW1] = statistics->longest,
        [MOE_IN_DWR] = p->T,
    };
    return terms[product];
}

/* A sum of n generic products is sqrt(n) of their size, and may err by c n of it. What is relative
 * in Z an activation and its product with the other half, or with a slope, make up to three times
 * as much. */
double statistics_bias(const struct statistics *statistics, enum moe_tensor_id tensor)
{
    const struct moe_recipe *recipe = statistics->recipe;
    double bias = 4 * (recipe->function_relative + recipe->function_absolute) +
                  32 * moe_dtype_info(recipe->elementwise)->unit_roundoff;
    bias += 3 * statistics->scores_gain[statistics_scaling(statistics, tensor)];
    for (int product = 0; product < MOE_PRODUCT_COUNT; product++) {
        int64_t n = terms_of(statistics, product);
        if (sources[tensor].sums >> product & 1)
            bias += (product == MOE_IN_Z ? 3 : 1) * sqrt((double)n) *
                    moe_accumulator_error(recipe->product[product].accumulator, n,
                                          recipe->product[product].extra);
    }
    return bias;
}

/* Beyond the bias, random errors: each element's own, and shared ones, d of them. */
double statistics_gain_limit(const struct statistics *statistics, enum moe_tensor_id tensor)
{
    double ref = statistics->gain[tensor].value;
    double variance =
        (statistics->gain[tensor].both + statistics->gain[tensor].shared) / (ref * ref);
    return statistics_bias(statistics, tensor) + sqrt(2 * (1 + MODEL) * variance * exponent(1));
}

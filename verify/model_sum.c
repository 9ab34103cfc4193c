/*
 * model_sum.c - a dot product as the models' algorithms compute it, and what can be wrong with one.
 */
#include <math.h>

#include "verify/model.h"

/* k of one step of a tensor core, and of one stage of a pipeline. */
#define STEP 16
/* Stages that a pipeline has. */
#define STAGES 2
/* Parts of k of split-K. */
#define PARTS 3

double model_hold(const struct model *m, double value)
{
    return m->wide ? value : (double)(float)value;
}

double model_round(const struct model *m, int rounds, double value)
{
    return rounds ? moe_dtype_round(m->problem.dtype, value, 0) : model_hold(m, value);
}

struct terms {
    const double *a, *b;
    int64_t step_a, step_b;
};

static double term(const struct terms *terms, int64_t k)
{
    return terms->a[k * terms->step_a] * terms->b[k * terms->step_b];
}

static double chain(const struct model *m, const struct terms *terms, int64_t from, int64_t to,
                    double start)
{
    double sum = start;
    for (int64_t k = from; k < to; k++)
        sum = model_hold(m, sum + term(terms, k));
    return sum;
}

static double halves(const struct model *m, const struct terms *terms, int64_t from, int64_t to)
{
    if (to - from <= 2)
        return chain(m, terms, from, to, 0);
    int64_t middle = from + (to - from) / 2;
    return model_hold(m, halves(m, terms, from, middle) + halves(m, terms, middle, to));
}

/* Towards zero, at a multiple of 2^exponent. */
static double truncate_at(double value, int exponent)
{
    double unit = ldexp(1, exponent);
    return trunc(value / unit) * unit;
}

static double to_f32_down(double value)
{
    float near = (float)value;
    return isfinite(near) && fabs((double)near) > fabs(value) ? (double)nextafterf(near, 0)
                                                              : (double)near;
}

/* One instruction: products are exact; each, and the accumulator, is cut at 2^-25 of the largest.
 */
static double tensor_core(const struct terms *terms, int64_t from, int64_t to, double sum)
{
    double largest = fabs(sum), total = 0;
    for (int64_t k = from; k < to; k++)
        largest = fmax(largest, fabs(term(terms, k)));
    for (int64_t k = from; k < to; k++)
        if (isnan(term(terms, k)))
            return NAN;
    if (isnan(sum) || largest == 0 || !isfinite(largest)) {
        for (int64_t k = from; k < to; k++)
            sum += term(terms, k);
        return sum;
    }
    int unit = ilogb(largest) - 25;
    total = truncate_at(sum, unit);
    for (int64_t k = from; k < to; k++)
        total += truncate_at(term(terms, k), unit);
    return to_f32_down(total);
}

/* A start that is not zero (a bias, an old value) takes part as one more term. */
static double in_order(struct model *m, const struct terms *terms, int64_t n, double start)
{
    double sum = start;
    switch (m->order) {
    case ORDER_FORWARD:
        return chain(m, terms, 0, n, start);
    case ORDER_BLOCKED:
        for (int64_t k = 0; k < n; k += STEP)
            sum = model_hold(m, sum + chain(m, terms, k, k + STEP < n ? k + STEP : n, 0));
        return sum;
    case ORDER_PAIRWISE:
        return model_hold(m, start + halves(m, terms, 0, n));
    case ORDER_SPLIT:
        for (int64_t part = 0; part < PARTS; part++)
            m->space.partial[part] =
                chain(m, terms, n * part / PARTS, n * (part + 1) / PARTS, part == 0 ? start : 0);
        for (int64_t part = 0; part < PARTS; part++)
            sum = part == 0 ? m->space.partial[0] : model_hold(m, sum + m->space.partial[part]);
        return sum;
    case ORDER_TRUNCATING:
        for (int64_t k = 0; k < n; k += STEP)
            sum = tensor_core(terms, k, k + STEP < n ? k + STEP : n, sum);
        return sum;
    }
    return sum;
}

/* ---- faults ---------------------------------------------------------------------------------- */

/* The accumulator is kept in few bits: rounded after each step of the tensor core. */
static double short_accumulator(const struct model *m, const struct terms *terms, int64_t n,
                                double start)
{
    double sum = start;
    for (int64_t k = 0; k < n; k += STEP) {
        sum = chain(m, terms, k, k + STEP < n ? k + STEP : n, sum);
        if (m->fault.kind == PRODUCT_ACC_BF16)
            sum = moe_dtype_round(MOE_BF16, sum, 0);
        else
            sum = truncate_at(sum, sum == 0 ? 0 : ilogb(sum) - 10);
    }
    return sum;
}

/* Of a pipeline of STAGES stages: the last one holds what the first was refilled with. */
static double stage_reused(struct model *m, const struct terms *terms, int64_t n, double start)
{
    double sum = start;
    for (int64_t k = 0; k < n; k += STEP) {
        int64_t end = k + STEP < n ? k + STEP : n;
        int64_t next = k + STAGES * STEP;
        int refilled = k == 0 && next + STEP <= n;
        struct terms other = *terms;
        other.a += refilled ? next * terms->step_a : 0;
        sum = chain(m, &other, k, end, sum);
    }
    return sum;
}

static double sum_wrong(struct model *m, const struct tile *tile, struct terms terms, int64_t n,
                        double start)
{
    static double last; /* what a register was left with */
    int64_t level = m->fault.level;
    double sum = start;
    switch (m->fault.kind) {
    case PRODUCT_LAST_MISSING:
        return in_order(m, &terms, n > level ? n - level : 0, start);
    case PRODUCT_FIRST_MISSING:
        terms.a += terms.step_a;
        terms.b += terms.step_b;
        return in_order(m, &terms, n > 0 ? n - 1 : 0, start);
    case PRODUCT_ONE_MORE:
        return in_order(m, &terms, n + 1, start);
    case PRODUCT_SLAB_SKIPPED:
        sum = chain(m, &terms, 0, n < STEP ? n : STEP, start);
        return chain(m, &terms, 2 * STEP, n, sum);
    case PRODUCT_TAIL_DROPPED:
        return in_order(m, &terms, n / 8 * 8, start);
    case PRODUCT_ONE_TWICE:
        return model_hold(m, in_order(m, &terms, n, start) + (n > 0 ? term(&terms, n / 2) : 0));
    case PRODUCT_SHIFTED:
        terms.b += n > 1 ? terms.step_b : 0;
        return in_order(m, &terms, n > 1 ? n - 1 : n, start);
    case PRODUCT_ACC_BF16:
    case PRODUCT_ACC_TF32:
        return short_accumulator(m, &terms, n, start);
    case PRODUCT_ACC_STALE:
        sum = in_order(m, &terms, n, tile->number > 0 && tile->count < m->tile ? last : start);
        last = isfinite(sum) ? sum : 0;
        return sum;
    case PRODUCT_ACC_TIMES_0:
        m->left = in_order(m, &terms, n, start + 0 * m->left);
        return m->left;
    case PRODUCT_STAGE_REUSED:
        return stage_reused(m, &terms, n, start);
    case PRODUCT_LAST_BLOCK_EARLY: /* read before it is done, in every other tile */
        return in_order(m, &terms, tile->number % 2 && n > STEP ? (n - 1) / STEP * STEP : n, start);
    case PRODUCT_STAGES_UNCLAMPED: /* fewer blocks than stages: the first is taken again */
        sum = in_order(m, &terms, n, start);
        return n <= STEP ? chain(m, &terms, 0, n, sum) : sum;
    case PRODUCT_FIRST_32: /* one warp, one element a lane */
        return in_order(m, &terms, n < 32 ? n : 32, start);
    case PRODUCT_PART_LOST: /* the last part of split-K arrives when the sum is stored */
        return in_order(m, &terms, n * (PARTS - 1) / PARTS, start);
    }
    return sum;
}

double model_sum(struct model *m, enum moe_product product, const struct tile *tile, int64_t n,
                 const double *a, int64_t step_a, const double *b, int64_t step_b, double start)
{
    struct terms terms = {a, b, step_a, step_b};
    /* inner products of ds and the E terms of dX are no matter for a tensor core */
    int plain = product == MOE_IN_DX || product == MOE_IN_DS;
    m->order = plain ? ORDER_FORWARD : m->algorithm->order;
    if (fault_in(m, MOE_FAULT_IN_PRODUCT, (int)product))
        return sum_wrong(m, tile, terms, n, start);
    return in_order(m, &terms, n, start);
}

/*
 * bound.c - how far arithmetic may err: a recipe turned into numbers.
 *
 * Beside each value q the reference carries D >= |q_kernel - q|. The rules (doc/bounds.md):
 *
 *   rounding to a format   D <- D + u (|q| + D) + eta
 *   sum of n products      D <- sum Da |b|  +  c sum (|a| + Da) |b|  +  n eta
 *   what may overflow      D <- infinity: what is made of it may be anything, NaN too
 *
 * u: unit roundoff; eta: what underflow loses; b: exactly known; c: moe_accumulator_error() of the
 * kernel plus the same of our own f64 sum, since the distance is measured to a value that we
 * computed with rounding too.
 */
#include <math.h>

#include "ref/internal.h"

/* Bounds are computed in f64 themselves: every D is a sum of non-negative terms, so its relative
 * error is below n 2^-53; this factor covers n up to 2^22. */
#define INFLATION (1.0 + 0x1p-30)

struct accumulator {
    const char *name;
    double unit;      /* relative error of one step */
    int64_t per_step; /* products that one step adds */
    int64_t head;     /* steps beyond n: the rounding of a product, a last conversion */
};

/* MMA: an H100's tensor core truncates every term, the accumulator too, at 2^(E-25) (bf16, f16) or
 * 2^(E-13) (e4m3), E the exponent of the largest term: with 16 products, the accumulator and up to
 * four more terms' worth of alignment 21 * 2^-25 an instruction, and 34 * 2^-13 for 32 products. */
static const struct accumulator accumulators[MOE_ACC_COUNT] = {
    [MOE_ACC_F64] = {"f64", 0x1p-53, 1, 2},
    [MOE_ACC_F32] = {"f32", 0x1p-24, 1, 2},
    [MOE_ACC_MMA16_F32] = {"mma16-f32", 21 * 0x1p-25, 16, 1},
    [MOE_ACC_MMA8_F32] = {"mma8-f32", 34 * 0x1p-13, 32, 1},
};

double moe_accumulator_error(enum moe_accumulator accumulator, int64_t n, int extra)
{
    if (n <= 0)
        return 0;
    const struct accumulator *row = &accumulators[accumulator];
    double steps = (double)((n + row->per_step - 1) / row->per_step + row->head + extra);
    double error = steps * row->unit;
    /* gamma_n = n u / (1 - n u); at n u = 1 nothing is known any more. */
    return error < 0.5 ? error / (1 - error) : INFINITY;
}

static double lost_by_underflow(enum moe_dtype dtype, int flush_to_zero)
{
    const struct moe_dtype_info *info = moe_dtype_info(dtype);
    return flush_to_zero && dtype != MOE_F16 ? info->smallest_normal : info->smallest;
}

/* From where on round-to-nearest gives infinity: half a unit above the largest. */
static double overflow_limit(const struct moe_dtype_info *info)
{
    return info->largest * (1 + 0.5 * info->unit_roundoff);
}

/* What overflow makes of a bound: nothing is known any more; or, where it saturates, the largest
 * number stands for what is up to `reach`. NaN: the value itself is. */
static double overflowed(const struct error_model *model, const struct moe_dtype_info *info,
                         double value, double bound, double reach)
{
    if (model->recipe->saturate && reach < INFINITY)
        return fmax(bound, reach - info->largest);
    return isnan(value) ? value : INFINITY;
}

void error_model_init(struct error_model *model, const struct moe_recipe *recipe)
{
    model->recipe = recipe;
    for (int point = 0; point < MOE_POINT_COUNT; point++) {
        model->relative[point] = model->absolute[point] = 0;
        model->limit[point] = INFINITY;
        model->absolute[point] = recipe->at[point].lost;
        if (recipe->at[point].when == MOE_NEVER)
            continue;
        enum moe_dtype to = recipe->at[point].to;
        const struct moe_dtype_info *info = moe_dtype_info(to);
        model->relative[point] = info->unit_roundoff;
        model->absolute[point] += lost_by_underflow(to, recipe->flush_to_zero);
        if (to != MOE_F64)
            model->limit[point] = overflow_limit(info);
    }
    model->flush = recipe->flush_to_zero ? moe_dtype_info(recipe->elementwise)->smallest_normal : 0;
    model->largest = overflow_limit(moe_dtype_info(recipe->elementwise));
    model->step = moe_dtype_info(recipe->elementwise)->unit_roundoff + 0x1p-53;
    model->loss = lost_by_underflow(recipe->elementwise, recipe->flush_to_zero);
    model->function_relative = recipe->function_relative + 0x1p-50;
    model->function_absolute = recipe->function_absolute;
}

double error_at(const struct error_model *model, enum moe_point point, double value, double bound)
{
    double reach = fabs(value) + bound;
    if (reach == 0) /* what is surely zero stays zero */
        return 0;
    double rounded = bound + model->relative[point] * reach + model->absolute[point];
    if (!(reach < model->limit[point]))
        return overflowed(model, moe_dtype_info(model->recipe->at[point].to), value, rounded,
                          reach);
    return rounded;
}

/* 2^exponent of the binade of |value|; 0 where it is subnormal. */
static double binade_of(double value)
{
    union {
        double value;
        uint64_t bits;
    } word = {fabs(value)};
    word.bits &= UINT64_C(0x7ff) << 52;
    return word.value;
}

double moe_rounding_variance(enum moe_dtype dtype, double value)
{
    const struct moe_dtype_info *info = moe_dtype_info(dtype);
    double ulp = 2 * info->unit_roundoff * binade_of(value);
    ulp = ulp > info->smallest ? ulp : info->smallest;
    return ulp * ulp / 12;
}

/* The kernel's value may lie in the next binade: it is taken a deviation further out. What
 * underflow flushes is no rounding, and charged whole. */
static double rounded(const struct error_model *model, enum moe_dtype dtype, double value,
                      double variance)
{
    if (value == 0 && variance == 0)
        return 0;
    double reach = fabs(value) + sqrt(variance);
    double smallest = moe_dtype_info(dtype)->smallest_normal;
    double flushed = model->recipe->flush_to_zero && reach < 2 * smallest ? smallest : 0;
    return variance + moe_rounding_variance(dtype, reach) + flushed * flushed;
}

double variance_at(const struct error_model *model, enum moe_point point, double value,
                   double variance)
{
    const double lost = model->recipe->at[point].lost;
    variance += lost * lost;
    if (model->relative[point] == 0)
        return variance;
    return rounded(model, model->recipe->at[point].to, value, variance);
}

double variance_stored(const struct error_model *model, enum moe_dtype dtype, double value,
                       double variance)
{
    return rounded(model, dtype, value, variance);
}

double error_stored(const struct error_model *model, enum moe_dtype dtype, double value,
                    double bound)
{
    const struct moe_dtype_info *info = moe_dtype_info(dtype);
    double reach = fabs(value) + bound;
    if (reach == 0)
        return 0;
    if (!(reach < INFINITY))
        return isnan(value) ? value : INFINITY;
    return (bound + info->unit_roundoff * reach +
            lost_by_underflow(dtype, model->recipe->flush_to_zero)) *
           INFLATION;
}

double error_of_stored(const struct error_model *model, enum moe_dtype dtype, double value,
                       double bound)
{
    const struct moe_dtype_info *info = moe_dtype_info(dtype);
    double reach = fabs(value) + bound;
    if (dtype == MOE_F64 || reach <= info->largest)
        return bound;
    return overflowed(model, info, value, bound, reach);
}

double error_constant(const struct error_model *model, enum moe_product product, int64_t n)
{
    const struct moe_recipe *recipe = model->recipe;
    return moe_accumulator_error(recipe->product[product].accumulator, n,
                                 recipe->product[product].extra) +
           moe_accumulator_error(MOE_ACC_F64, n, 0);
}

double error_lost(const struct error_model *model, enum moe_dtype dtype)
{
    return lost_by_underflow(dtype, model->recipe->flush_to_zero);
}

double error_limit(const struct error_model *model, enum moe_product product)
{
    int wide = model->recipe->product[product].accumulator == MOE_ACC_F64;
    return moe_dtype_info(wide ? MOE_F64 : MOE_F32)->largest / 2; /* half: a bias joins it */
}

struct moe_recipe moe_recipe_plain(const struct moe_problem *problem, enum moe_dtype elementwise)
{
    int wide = elementwise == MOE_F64;
    enum moe_dtype scalar = problem->dtype == MOE_F64 ? MOE_F64 : MOE_F32;
    struct moe_recipe recipe = {.elementwise = elementwise, .ds = MOE_DS_DA_A};
    for (int product = 0; product < MOE_PRODUCT_COUNT; product++)
        recipe.product[product].accumulator = wide ? MOE_ACC_F64 : MOE_ACC_F32;
    for (int point = 0; point < MOE_POINT_COUNT; point++)
        recipe.at[point].to = problem->dtype;
    recipe.at[MOE_AT_LOGITS].to = recipe.at[MOE_AT_SCORES].to = scalar;
    recipe.at[MOE_AT_DS].to = recipe.at[MOE_AT_DLOGITS].to = scalar;
    recipe.at[MOE_AT_LOGITS].when = recipe.at[MOE_AT_SCORES].when = MOE_ALWAYS;
    recipe.at[MOE_AT_Z].when = MOE_ALWAYS;
    recipe.at[MOE_AT_DS].when = recipe.at[MOE_AT_DLOGITS].when = MOE_MAY;
    /* libm's functions err by an ulp or two; sigmoid and tanh made of them by a few more. */
    recipe.function_relative = 16 * moe_dtype_info(elementwise)->unit_roundoff;
    recipe.function_absolute = 4 * moe_dtype_info(elementwise)->unit_roundoff;
    return recipe;
}

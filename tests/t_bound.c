/*
 * t_bound.c - how far arithmetic may err: accumulators against simulated ones on the worst data
 * that could be thought of, and roundings against roundings.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref/internal.h"
#include "tests/support.h"

/* ---- accumulators --------------------------------------------------------------------------- */

#define LONGEST 2048

/* Factors of a sum of products; all are exact in every type that is simulated, and so are products
 * in double, and sums in long double as far as it matters here. */
struct sum {
    int n;
    double a[LONGEST], b[LONGEST];
};

static double f32_chain(const struct sum *sum)
{
    float total = 0;
    for (int i = 0; i < sum->n; i++)
        total += (float)(sum->a[i] * sum->b[i]);
    return total;
}

static double f32_fused(const struct sum *sum)
{
    float total = 0;
    for (int i = 0; i < sum->n; i++)
        total = fmaf((float)sum->a[i], (float)sum->b[i], total);
    return total;
}

/* Eight chains side by side, then a tree: what a vector kernel does. */
static double f32_vector(const struct sum *sum)
{
    float lane[8] = {0};
    for (int i = 0; i < sum->n; i++)
        lane[i % 8] += (float)(sum->a[i] * sum->b[i]);
    for (int width = 4; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            lane[i] += lane[i + width];
    return lane[0];
}

static double f64_chain(const struct sum *sum)
{
    volatile double total = 0; /* each sum rounded to 53 bits, and no further */
    for (int i = 0; i < sum->n; i++)
        total += sum->a[i] * sum->b[i];
    return total;
}

/* Exponent of x as a tensor core sees it: subnormal operands have that of their type's smallest. */
static int exponent(double x)
{
    int e;
    frexp(x, &e);
    return e - 1;
}

/* As an H100 does: `per` exact products and the accumulator, each truncated at 2^(E-F), E the
 * largest of the products' sums of exponents and the accumulator's; the sum truncated to `bits`. */
static double tensor_core(const struct sum *sum, int per, int F, int bits)
{
    double total = 0;
    for (int first = 0; first < sum->n; first += per) {
        int end = first + per < sum->n ? first + per : sum->n;
        int E = total != 0 ? exponent(total) : -100000;
        for (int i = first; i < end; i++) {
            int e = exponent(sum->a[i]) + exponent(sum->b[i]);
            if (sum->a[i] * sum->b[i] != 0 && e > E)
                E = e;
        }
        double added = trunc(ldexp(total, F - E));
        for (int i = first; i < end; i++)
            added += trunc(ldexp(sum->a[i] * sum->b[i], F - E));
        int spare = added != 0 ? exponent(added) + 1 - bits : 0;
        if (spare > 0)
            added = ldexp(trunc(ldexp(added, -spare)), spare);
        total = ldexp(added, E - F);
    }
    return total;
}

static double mma16(const struct sum *sum)
{
    return tensor_core(sum, 16, 25, 24);
}

static double mma8(const struct sum *sum)
{
    return tensor_core(sum, 32, 13, 14);
}

/* Error over the sum of absolute products. */
static double error_of(double (*accumulate)(const struct sum *), const struct sum *sum)
{
    long double exact = 0, size = 0;
    for (int i = 0; i < sum->n; i++) {
        exact += (long double)sum->a[i] * sum->b[i];
        size += fabsl((long double)sum->a[i] * sum->b[i]);
    }
    return size > 0 ? (double)(fabsl(accumulate(sum) - exact) / size) : 0;
}

/* 1, then products that are just too small to be seen beside it: all are lost. */
static void fill_lost(struct sum *sum, double small_a, double small_b)
{
    for (int i = 0; i < sum->n; i++) {
        sum->a[i] = i == 0 ? 1 : small_a;
        sum->b[i] = i == 0 ? 1 : small_b;
    }
}

static void fill_random(struct sum *sum, uint64_t *state, int bits, int positive, int spread)
{
    for (int i = 0; i < sum->n; i++) {
        double *const pair[] = {&sum->a[i], &sum->b[i]};
        for (int j = 0; j < 2; j++) {
            double digits = (double)random_below(state, (int64_t)1 << bits);
            int minus = !positive && random_below(state, 2);
            *pair[j] = ldexp(minus ? -digits : digits, -(int)random_below(state, spread) - bits);
        }
    }
}

/* Factors of bf16 or e4m3 where the accumulator takes those: 8 or 4 digits. `lost` gives products
 * below half a step at 1: (1 - 2^-8)^2 2^-24 for f32, 2^-53 for f64, (2 - 2^-6) 2^-26 or so below
 * 2^-25, and 1.875 2^-14 below 2^-13. `tight`: how much of the bound the loss must reach for long
 * sums. */
static const struct {
    enum moe_accumulator accumulator;
    double (*simulate)(const struct sum *);
    int bits;
    double lost_a, lost_b, tight;
} accumulators[] = {
    {MOE_ACC_F32, f32_chain, 12, 0x1.ffp-1, 0x1p-24, .95},
    {MOE_ACC_F32, f32_fused, 12, 0x1.ffp-1, 0x1p-24, .95},
    {MOE_ACC_F32, f32_vector, 12, 0x1.ffp-1, 0x1p-24, .1},
    {MOE_ACC_F64, f64_chain, 26, 0x1.ffp-1, 0x1p-53, .95},
    {MOE_ACC_MMA16_F32, mma16, 8, 0x1.fcp-1, 0x1p-25, .7},
    {MOE_ACC_MMA8_F32, mma8, 4, 0x1.ep-7, 0x1p-7, .7},
};

static double ratio_of(int i, const struct sum *sum)
{
    double bound = moe_accumulator_error(accumulators[i].accumulator, sum->n, 0);
    double error = error_of(accumulators[i].simulate, sum);
    ck_assert_msg(error <= bound, "%d: a sum of %d errs by %g, allowed is %g", i, sum->n, error,
                  bound);
    return error / bound;
}

START_TEST(accumulator)
{
    static const int lengths[] = {1, 2, 15, 16, 17, 31, 32, 33, 100, 511, 2048};
    struct sum *sum = malloc(sizeof *sum);
    uint64_t state = 1;
    double worst = 0;
    ck_assert_ptr_nonnull(sum);
    for (int length = 0; length < COUNT(lengths); length++) {
        sum->n = lengths[length];
        fill_lost(sum, accumulators[_i].lost_a, accumulators[_i].lost_b);
        double ratio = ratio_of(_i, sum);
        worst = ratio > worst ? ratio : worst;
        for (int round = 0; round < 60; round++) {
            fill_random(sum, &state, accumulators[_i].bits, round % 2, 1 + round % 7 * 3);
            ratio_of(_i, sum);
        }
    }
    ck_assert_msg(worst > accumulators[_i].tight, "%d: only %g of the bound is ever reached", _i,
                  worst);
    free(sum);
}
END_TEST

/* What is lost last is the instruction's own result: one product of 2^-25 (4 - 2^-6) leaves 3 units
 * behind that do not fit into 24 bits. So the worst of the tensor core is nearer to 21 units
 * than 16. */
START_TEST(tensor_core_result)
{
    struct sum *sum = calloc(1, sizeof *sum);
    ck_assert_ptr_nonnull(sum);
    sum->n = LONGEST;
    fill_lost(sum, 0x1.fcp-1, 0x1p-25);
    for (int i = 16; i < sum->n; i += 16)
        sum->a[i] = 0x1.fep+1;
    ck_assert_double_gt(ratio_of(4, sum), .85);
    free(sum);
}
END_TEST

/* An empty sum is exact; every addition more costs; a sum so long that nothing is known says so. */
START_TEST(accumulator_edges)
{
    for (int a = 0; a < MOE_ACC_COUNT; a++) {
        ck_assert(moe_accumulator_error(a, 0, 3) == 0);
        ck_assert(moe_accumulator_error(a, 1, 0) > 0);
        ck_assert(moe_accumulator_error(a, 64, 0) < moe_accumulator_error(a, 64, 1));
        ck_assert(moe_accumulator_error(a, 64, 0) < moe_accumulator_error(a, 65, 0));
        ck_assert(isinf(moe_accumulator_error(a, INT64_MAX / 2, 0)) || a == MOE_ACC_F64);
        ck_assert(!isnan(moe_accumulator_error(a, INT64_MAX / 2, 0)));
    }
}
END_TEST

/* ---- roundings ------------------------------------------------------------------------------ */

static const enum moe_dtype types[] = {MOE_BF16, MOE_F16, MOE_F32};

/* A model whose points all round to `type`. */
static struct error_model model_of(struct moe_recipe *recipe, enum moe_dtype type,
                                   enum moe_when when, int flush)
{
    static struct moe_problem problem;
    struct error_model model;
    problem = moe_problem_default();
    *recipe = moe_recipe_plain(&problem, MOE_F32);
    recipe->flush_to_zero = flush;
    for (int point = 0; point < MOE_POINT_COUNT; point++) {
        recipe->at[point].when = when;
        recipe->at[point].to = type;
    }
    error_model_init(&model, recipe);
    return model;
}

static double stored(enum moe_dtype type, double value, int flush)
{
    double result = moe_dtype_round(type, value, 0);
    return flush && fabs(result) < moe_dtype_info(type)->smallest_normal ? 0 : result;
}

/* Whatever a kernel holds within the bound, and rounds, is within the new bound: values of all
 * sizes, subnormal ones and the largest among them. _i: type, flush to zero. */
START_TEST(rounding)
{
    enum moe_dtype type = types[_i % 3];
    const struct moe_dtype_info *info = moe_dtype_info(type);
    int flush = _i >= 3, lowest = ilogb(info->smallest) - 2, highest = ilogb(info->largest);
    struct moe_recipe recipe;
    struct error_model model = model_of(&recipe, type, MOE_MAY, flush);
    uint64_t state = 3;
    double worst = 0;
    if (flush && type == MOE_F16)
        return; /* flush to zero is a mode of f32, and of what is cut from it */
    for (int i = 0; i < 200000; i++) {
        int size = lowest + (int)random_below(&state, highest - lowest + 1);
        double value = ldexp(random_in(&state, -2, 2), size);
        double bound = i % 3 ? 0 : fabs(value) * ldexp(1, -(int)random_below(&state, 20));
        double held = value + bound * random_in(&state, -1, 1), got = stored(type, held, flush);
        double allowed = error_stored(&model, type, value, bound);
        double at = error_at(&model, MOE_AT_A, value, bound);
        int in_place = isinf(got) ? fabs(value) + allowed >= info->largest /* for all beyond it */
                                  : fabs(got - value) <= allowed;
        if (!(in_place && fabs(got - value) <= at * (1 + 0x1p-40) && fabs(held - value) <= at))
            ck_abort_msg("%s: %a becomes %a, allowed is %a stored, %a held", info->name, held, got,
                         allowed, at);
        if (bound == 0 && fabs(value) > info->smallest_normal && isfinite(allowed))
            worst = fmax(worst, fabs(got - value) / allowed);
    }
    ck_assert_msg(worst > .9, "%s: at most %g of the bound is used", info->name, worst);
}
END_TEST

/* Near the largest number: from half a step above it all is infinite, and nothing is known of what
 * is made of it. What is stored is bounded as if exponents had no end. */
START_TEST(overflow)
{
    enum moe_dtype type = types[_i];
    const struct moe_dtype_info *info = moe_dtype_info(type);
    struct moe_recipe recipe;
    struct error_model model = model_of(&recipe, type, MOE_ALWAYS, 0);
    double half =
        (info->largest - moe_dtype_round(type, info->largest * (1 - info->unit_roundoff), 0)) / 2;
    double threshold = info->largest + half;
    ck_assert(isinf(moe_dtype_round(type, threshold, 0)));
    ck_assert(!isinf(moe_dtype_round(type, nextafter(threshold, 0), 0)));
    ck_assert(!isinf(error_stored(&model, type, info->largest, 0)));
    ck_assert(!isinf(error_at(&model, MOE_AT_Z, -info->largest, 0)));
    ck_assert(error_stored(&model, type, threshold, 0) < 4 * half);
    ck_assert(isinf(error_at(&model, MOE_AT_Z, -threshold, 0)));
    ck_assert(isinf(error_of_stored(&model, type, info->largest, half))); /* it may be reached */
    ck_assert(error_of_stored(&model, type, info->largest - half, half) == half);
    ck_assert(isinf(error_at(&model, MOE_AT_Z, info->largest - half, 2 * half)));
    uint64_t state = 5;
    for (int i = 0; i < 20000; i++) {
        double value = info->largest * (1 + random_in(&state, -4, 4) * info->unit_roundoff);
        double error = fabs(moe_dtype_round(type, value, 0) - value);
        double stored = error_stored(&model, type, value, 0);
        if (!((error <= stored || (isinf(error) && fabs(value) + stored >= info->largest + half)) &&
              error <= error_at(&model, MOE_AT_Z, value, 0)))
            ck_abort_msg("%s: %a errs by %a", info->name, value, error);
    }
    /* without a rounding there is nothing that overflows, and f64 does not */
    model = model_of(&recipe, type, MOE_NEVER, 0);
    ck_assert(error_at(&model, MOE_AT_Z, threshold, 3) == 3);
    ck_assert(!isinf(error_stored(&model, MOE_F64, threshold, 0)));
    /* where it saturates the largest number stands for what is beyond */
    model = model_of(&recipe, type, MOE_ALWAYS, 0);
    recipe.saturate = 1;
    double beyond = 1.5 * threshold;
    ck_assert(error_at(&model, MOE_AT_Z, beyond, 0) >= beyond - info->largest);
    ck_assert(!isinf(error_at(&model, MOE_AT_Z, beyond, 0)));
    ck_assert(isinf(error_at(&model, MOE_AT_Z, beyond, INFINITY)));
}
END_TEST

/* What is surely zero stays zero, also where tiny numbers are lost; what is not known stays so. */
START_TEST(zero_and_nan)
{
    struct moe_recipe recipe;
    struct error_model model = model_of(&recipe, types[_i], MOE_ALWAYS, 1);
    double tiny = moe_dtype_info(types[_i])->smallest;
    ck_assert(error_stored(&model, types[_i], 0, 0) == 0);
    ck_assert(error_stored(&model, types[_i], -0., 0) == 0);
    ck_assert(error_at(&model, MOE_AT_DZ, 0, 0) == 0);
    ck_assert(error_stored(&model, types[_i], tiny / 8, 0) >= tiny / 8);
    ck_assert(error_stored(&model, types[_i], 0, tiny / 8) >= tiny / 8);
    ck_assert(!(error_stored(&model, types[_i], NAN, 0) < INFINITY));
    ck_assert(!(error_stored(&model, types[_i], 0, INFINITY) < INFINITY));
    ck_assert(!(error_at(&model, MOE_AT_DZ, NAN, 0) < INFINITY));
}
END_TEST

/* A flushed value may be as large as the smallest normal number. */
START_TEST(flush_to_zero)
{
    struct moe_recipe recipe;
    enum moe_dtype type = _i ? MOE_F32 : MOE_BF16;
    double almost = moe_dtype_info(type)->smallest_normal * .999;
    struct error_model flushing = model_of(&recipe, type, MOE_ALWAYS, 1);
    ck_assert(error_stored(&flushing, type, almost, 0) >= almost);
    ck_assert(error_at(&flushing, MOE_AT_A, almost, 0) >= almost);
    struct error_model not_flushing = model_of(&recipe, type, MOE_ALWAYS, 0);
    ck_assert(error_stored(&not_flushing, type, almost, 0) < almost);
    ck_assert(error_at(&not_flushing, MOE_AT_A, almost, 0) < almost);
}
END_TEST

/* A product's constant has the kernel's part and the reference's own. */
START_TEST(product_constant)
{
    struct moe_recipe recipe;
    struct error_model model = model_of(&recipe, MOE_BF16, MOE_NEVER, 0);
    double own = moe_accumulator_error(MOE_ACC_F64, 100, 0);
    recipe.product[MOE_IN_Y].accumulator = MOE_ACC_MMA16_F32;
    recipe.product[MOE_IN_Y].extra = 5;
    ck_assert(error_constant(&model, MOE_IN_Z, 100) ==
              moe_accumulator_error(MOE_ACC_F32, 100, 0) + own);
    ck_assert(error_constant(&model, MOE_IN_Y, 100) ==
              moe_accumulator_error(MOE_ACC_MMA16_F32, 100, 5) + own);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bound");
    TCase *sums = tcase_create("accumulators"), *roundings = tcase_create("roundings");
    tcase_add_loop_test(sums, accumulator, 0, COUNT(accumulators));
    tcase_add_test(sums, tensor_core_result);
    tcase_add_test(sums, accumulator_edges);
    suite_add_tcase(suite, sums);
    tcase_add_loop_test(roundings, rounding, 0, 6);
    tcase_add_loop_test(roundings, overflow, 0, 3);
    tcase_add_loop_test(roundings, zero_and_nan, 0, 3);
    tcase_add_loop_test(roundings, flush_to_zero, 0, 2);
    tcase_add_test(roundings, product_constant);
    suite_add_tcase(suite, roundings);
    return run_suite(suite);
}

/*
 * t_compare.c - the one comparison that everything rests on: what passes and what does not, element
 * by element; sums with beta=1; strides, parts of tensors, and where the worst element is.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "tests/support.h"

/* A dense f64 matrix against a block of the same shape. */
static struct moe_comparison compare(int64_t rows, int64_t cols, const double *got,
                                     const double *want, const double *bound)
{
    struct moe_tensor tensor = {(void *)got, MOE_F64, 2, {rows, cols}, {cols, 1}};
    struct moe_block block = {MOE_O, 0, rows, 0, cols, cols, want, bound, NULL, 0, 0, 0};
    struct moe_comparison comparison = {0};
    ck_assert_int_eq(moe_compare_block(&tensor, NULL, &block, &comparison), MOE_OK);
    ck_assert_int_eq(comparison.total, rows * cols);
    return comparison;
}

/* ---- one element ---------------------------------------------------------------------------- */

enum outcome { RIGHT, WRONG, UNDECIDED };

static const struct {
    double got, want, bound;
    enum outcome outcome;
} elements[] = {
    /* bound 0: the value itself, and no other */
    {1, 1, 0, RIGHT},
    {0., -0., 0, RIGHT},
    {1 + DBL_EPSILON, 1, 0, WRONG},
    {DBL_TRUE_MIN, 0, 0, WRONG},
    /* at the bound, and next to it on either side */
    {1.5, 1, .5, RIGHT},
    {.5, 1, .5, RIGHT},
    {1.5 + 2 * DBL_EPSILON, 1, .5, WRONG},
    {.5 - DBL_EPSILON, 1, .5, WRONG},
    {1.5, 1, .5 - DBL_EPSILON, WRONG},
    /* NaN is right where the reference is NaN, or something may have overflowed, and nowhere else
     */
    {NAN, NAN, 0, RIGHT},
    {NAN, NAN, NAN, RIGHT},
    {NAN, 1, 0, WRONG},
    {NAN, 1, DBL_MAX, WRONG},
    {NAN, 1, INFINITY, RIGHT},
    {NAN, INFINITY, INFINITY, RIGHT},
    {NAN, INFINITY, 1, WRONG},
    {1, NAN, 1, WRONG},
    {1, NAN, INFINITY, WRONG},
    /* infinities */
    {INFINITY, INFINITY, 0, RIGHT},
    {-INFINITY, -INFINITY, 0, RIGHT},
    {-INFINITY, INFINITY, DBL_MAX, WRONG},
    {INFINITY, 1, DBL_MAX, WRONG},
    {DBL_MAX, INFINITY, DBL_MAX, WRONG},
    {INFINITY, 1, INFINITY, RIGHT}, /* it may overflow */
    {7, 1, INFINITY, RIGHT},
    /* a bound that is not known decides nothing, unless the value is the reference's */
    {1, 1, NAN, RIGHT},
    {2, 1, NAN, UNDECIDED},
    {NAN, 1, NAN, UNDECIDED},
    /* a negative bound is none */
    {2, 1, -3, WRONG},
};

START_TEST(one_element)
{
    struct moe_comparison c =
        compare(1, 1, &elements[_i].got, &elements[_i].want, &elements[_i].bound);
    enum outcome outcome = c.wrong ? WRONG : c.undecided ? UNDECIDED : RIGHT;
    ck_assert_msg(outcome == elements[_i].outcome, "%d: %g against %g within %g", _i,
                  elements[_i].got, elements[_i].want, elements[_i].bound);
    ck_assert_int_le(c.wrong + c.undecided, 1);
    ck_assert_msg((c.ratio > 1) == (outcome == WRONG && elements[_i].bound >= 0) ||
                      elements[_i].bound < 0,
                  "%d: ratio %g", _i, c.ratio);
}
END_TEST

/* Infinity stands for all numbers from 2^16 on in f16: what must overflow does, what must not does
 * not, in between both are right. Where the kernel saturates the largest number takes its place. */
static const struct {
    double got, want, bound;
    int saturates;
    enum outcome outcome;
} overflows[] = {
    {INFINITY, 70000, 30, 0, RIGHT},    {65504, 70000, 30, 0, WRONG},
    {-INFINITY, 70000, 30, 0, WRONG},   {NAN, 70000, 30, 0, WRONG},
    {INFINITY, 65000, 30, 0, WRONG},    {65024, 65000, 30, 0, RIGHT},
    {INFINITY, 65530, 30, 0, RIGHT},    {65504, 65530, 30, 0, RIGHT},
    {NAN, 65530, 30, 0, WRONG},         {-INFINITY, -65530, 30, 0, RIGHT},
    {INFINITY, -65530, 30, 0, WRONG},   {INFINITY, 65505, 30, 0, WRONG},
    {INFINITY, 1e300, 1, 0, RIGHT},     {65504, 70000, 30, 1, RIGHT},
    {INFINITY, 70000, 30, 1, WRONG},    {-65504, 70000, 30, 1, WRONG},
    {65504, 65000, 30, 1, WRONG},       {-65504, -1e300, 30, 1, RIGHT},
    {65504, 70000, INFINITY, 0, RIGHT}, {NAN, 70000, INFINITY, 1, RIGHT},
};

START_TEST(overflow)
{
    uint16_t data;
    struct moe_tensor tensor = {&data, MOE_F16, 2, {1, 1}, {1, 1}};
    struct moe_block block = {MOE_O,
                              0,
                              1,
                              0,
                              1,
                              1,
                              &overflows[_i].want,
                              &overflows[_i].bound,
                              NULL,
                              0,
                              0,
                              overflows[_i].saturates};
    struct moe_comparison comparison = {0};
    moe_dtype_store(MOE_F16, &data, 0, overflows[_i].got, 0);
    ck_assert_int_eq(moe_compare_block(&tensor, NULL, &block, &comparison), MOE_OK);
    ck_assert_msg((comparison.wrong ? WRONG : RIGHT) == overflows[_i].outcome, "%d: %g for %g", _i,
                  overflows[_i].got, overflows[_i].want);
}
END_TEST

START_TEST(no_bounds)
{
    static const double got[] = {1, 2, 3}, want[] = {1, 2, 4};
    struct moe_comparison c = compare(1, 3, got, want, NULL);
    ck_assert_int_eq(c.wrong, 1);
    ck_assert_int_eq(c.col, 2);
    ck_assert(c.got == 3 && c.want == 4 && c.allowed == 0 && isinf(c.ratio));
}
END_TEST

/* ---- the worst element ---------------------------------------------------------------------- */

/* Errors of a 2 x 3 matrix whose elements are 10 and whose bounds are 1. */
static const struct {
    double error[6];
    int64_t wrong, row, col;
    double ratio;
} matrices[] = {
    {{0, .25, 0, -.75, .5, 0}, 0, 1, 0, .75},
    {{.9, 0, 0, 0, 1.5, 0}, 1, 1, 1, 1.5},
    {{3, 0, 0, 0, 2, .9}, 2, 0, 0, 3},
    {{0, 2, 0, 0, 0, -3}, 2, 1, 2, 3},
    {{0, 2, 0, NAN, 0, -1e300}, 3, 1, 0, INFINITY},
    {{0, 0, NAN, 1e300, 0, NAN}, 3, 0, 2, INFINITY},
    {{0, 0, 0, 0, 0, 0}, 0, 0, 0, 0},
};

START_TEST(worst)
{
    double got[6], want[6], bound[6];
    for (int i = 0; i < 6; i++) {
        want[i] = 10;
        bound[i] = 1;
        got[i] = want[i] + matrices[_i].error[i];
    }
    struct moe_comparison c = compare(2, 3, got, want, bound);
    ck_assert_int_eq(c.wrong, matrices[_i].wrong);
    ck_assert_int_eq(c.row, matrices[_i].row);
    ck_assert_int_eq(c.col, matrices[_i].col);
    ck_assert(c.ratio == matrices[_i].ratio);
    if (c.ratio > 0) {
        double worst = got[c.row * 3 + c.col];
        ck_assert(c.got == worst || (isnan(c.got) && isnan(worst)));
        ck_assert(c.want == 10 && c.allowed == 1);
    }
}
END_TEST

/* Of several blocks the counts add up, and the worst is that of all: rows 0 and 2 of three. */
START_TEST(blocks)
{
    static const double got[9] = {1, 1, 1, 9, 9, 9, 1, 4, 1}, one[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    struct moe_tensor tensor = {(void *)got, MOE_F64, 2, {3, 3}, {3, 1}};
    struct moe_block first = {MOE_O, 0, 1, 0, 3, 3, one, one, NULL, 0, 0, 0};
    struct moe_block last = {MOE_O, 2, 1, 0, 3, 3, one, one, NULL, 0, 0, 0};
    struct moe_comparison c = {0};
    ck_assert_int_eq(moe_compare_block(&tensor, NULL, &first, &c), MOE_OK);
    ck_assert(c.total == 3 && c.wrong == 0);
    ck_assert_int_eq(moe_compare_block(&tensor, NULL, &last, &c), MOE_OK);
    ck_assert(c.total == 6 && c.wrong == 1 && c.row == 2 && c.col == 1 && c.ratio == 3);
}
END_TEST

/* ---- where elements stand ------------------------------------------------------------------- */

/* Every element has a value of its own, so reading any other place is an error. Rank 3 [2,3,4],
 * apart in every dimension; the block is columns 1 .. 2 of rows 1 .. 4, in a wider array. */
START_TEST(part_of_a_strided_tensor)
{
    float data[200];
    double want[4 * 5];
    for (int i = 0; i < 200; i++)
        data[i] = -1;
    struct moe_tensor tensor = {data, MOE_F32, 3, {2, 3, 4}, {97, 31, _i ? 7 : 1}};
    for (int64_t i = 0; i < 24; i++)
        data[i / 12 * 97 + i / 4 % 3 * 31 + i % 4 * tensor.stride[2]] = (float)i;
    for (int i = 0; i < 4 * 5; i++)
        want[i] = (double)((1 + i / 5) * 4 + 1 + i % 5);
    struct moe_block block = {MOE_DW1, 1, 4, 1, 2, 5, want, NULL, NULL, 0, 0, 0};
    struct moe_comparison c = {0};
    ck_assert_int_eq(moe_compare_block(&tensor, NULL, &block, &c), MOE_OK);
    ck_assert_int_eq(c.total, 8);
    ck_assert_int_eq(c.wrong, 0);
    want[2 * 5 + 1] += 1; /* row 3, column 2 */
    ck_assert_int_eq(moe_compare_block(&tensor, NULL, &block, &c), MOE_OK);
    ck_assert(c.wrong == 1 && c.row == 3 && c.col == 2 && c.got == 14 && c.want == 15);
}
END_TEST

/* A list of 5 entries in a tensor with room for 8: the rest is not looked at. */
START_TEST(ragged)
{
    float data[8] = {1, 2, 3, 4, 5, NAN, NAN, NAN};
    double want[5] = {1, 2, 3, 4, 5};
    struct moe_tensor tensor = {data, MOE_F32, 1, {8}, {1}};
    struct moe_block block = {MOE_DS, 0, 1, 0, 5, 5, want, NULL, NULL, 0, 0, 0};
    struct moe_comparison c = {0};
    ck_assert_int_eq(moe_compare_block(&tensor, NULL, &block, &c), MOE_OK);
    ck_assert(c.total == 5 && c.wrong == 0);
    data[4] = NAN;
    ck_assert_int_eq(moe_compare_block(&tensor, NULL, &block, &c), MOE_OK);
    ck_assert(c.wrong == 1 && c.row == 0 && c.col == 4 && isinf(c.ratio));
}
END_TEST

START_TEST(nothing)
{
    struct moe_tensor tensor = {NULL, MOE_F32, 2, {0, 3}, {3, 1}};
    struct moe_block rows = {.tensor = MOE_O, .cols = 3, .stride = 3};
    struct moe_block cols = {.tensor = MOE_DS, .rows = 1};
    struct moe_comparison c = {0};
    ck_assert_int_eq(moe_compare_block(&tensor, NULL, &rows, &c), MOE_OK);
    tensor = (struct moe_tensor){NULL, MOE_F32, 1, {0}, {1}};
    ck_assert_int_eq(moe_compare_block(&tensor, NULL, &cols, &c), MOE_OK);
    ck_assert(c.total == 0 && c.wrong == 0 && c.undecided == 0);
}
END_TEST

/* ---- beta=1 --------------------------------------------------------------------------------- */

static struct moe_comparison compare_sum(enum moe_dtype dtype, double before, double value,
                                         double bound, double got)
{
    unsigned char data[8], old[8];
    moe_dtype_store(dtype, data, 0, got, 0);
    moe_dtype_store(dtype, old, 0, before, 0);
    struct moe_tensor tensor = {data, dtype, 1, {1}, {1}}, held = {old, dtype, 1, {1}, {1}};
    struct moe_block block = {MOE_DBR, 0, 1, 0, 1, 1, &value, &bound, NULL, 0, 0, 0};
    struct moe_comparison c = {0};
    ck_assert_int_eq(moe_compare_block(&tensor, &held, &block, &c), MOE_OK);
    return c;
}

static const enum moe_dtype types[] = {MOE_BF16, MOE_F16, MOE_F32, MOE_F64};

/* What was there counts: 96 + 3 is 99, and neither 3 nor 96. */
START_TEST(beta_counts)
{
    enum moe_dtype dtype = types[_i];
    ck_assert_int_eq(compare_sum(dtype, 96, 3, 0, 99).wrong, 0);
    ck_assert_int_eq(compare_sum(dtype, 96, 3, 0, 3).wrong, 1);
    ck_assert_int_eq(compare_sum(dtype, 96, 3, 0, 96).wrong, 1);
    ck_assert_int_eq(compare_sum(dtype, 96, 3, 0, NAN).wrong, 1);
    struct moe_comparison c = compare_sum(dtype, 96, 3, 0, 98);
    ck_assert(c.wrong == 1 && c.got == 98 && c.want == 99 && c.allowed > 0);
}
END_TEST

/* A sum that a kernel formed from a value within its bound, rounded in f32 and when it was stored,
 * is right; two steps of the type (of what was added) and of the bound further it is wrong. */
START_TEST(beta_sums)
{
    enum moe_dtype dtype = types[_i];
    const struct moe_dtype_info *info = moe_dtype_info(dtype);
    uint64_t state = 11;
    for (int i = 0; i < 5000; i++) {
        double old = moe_dtype_round(dtype, ldexp(random_in(&state, -1, 1), _i ? 3 : 30), 0);
        double value = random_in(&state, -1, 1), bound = ldexp(random_in(&state, 0, 1), -9);
        double near = value + random_in(&state, -1, 1) * bound;
        double sum = dtype == MOE_F64 ? old + near : (float)(old + near);
        double step = 2 * info->unit_roundoff * (fabs(old) + fabs(value) + bound) + info->smallest;
        ck_assert_int_eq(compare_sum(dtype, old, value, bound, sum).wrong, 0);
        double far = sum + (sum > old + value ? 1 : -1) * (2 * bound + 2.5 * step);
        ck_assert_int_eq(compare_sum(dtype, old, value, bound, far).wrong, 1);
    }
}
END_TEST

/* Neither addend overflows, but their sum does: infinity is right, and nothing else. Between
 * the largest number and where infinity begins either is. Half as much cannot overflow. */
START_TEST(beta_overflows)
{
    enum moe_dtype dtype = types[_i];
    double largest = moe_dtype_info(dtype)->largest;
    double old = moe_dtype_round(dtype, 0.75 * largest, 0), value = 0.5 * largest;
    ck_assert_int_eq(compare_sum(dtype, old, value, 1, INFINITY).wrong, 0);
    ck_assert_int_eq(compare_sum(dtype, old, value, 1, largest).wrong, 1);
    double between = largest * (1 + 0.5 * moe_dtype_info(dtype)->unit_roundoff) - old;
    ck_assert_int_eq(compare_sum(dtype, old, between, 1, INFINITY).wrong, 0);
    ck_assert_int_eq(compare_sum(dtype, old, between, 1, largest).wrong, 0);
    ck_assert_int_eq(compare_sum(dtype, old, between, 1, NAN).wrong, 1);
    ck_assert_int_eq(compare_sum(dtype, old, value, 1, NAN).wrong, 1);
    ck_assert_int_eq(compare_sum(dtype, old / 2, value / 2, 1, INFINITY).wrong, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("compare");
    TCase *tcase = tcase_create("compare");
    tcase_add_loop_test(tcase, one_element, 0, COUNT(elements));
    tcase_add_loop_test(tcase, overflow, 0, COUNT(overflows));
    tcase_add_test(tcase, no_bounds);
    tcase_add_loop_test(tcase, worst, 0, COUNT(matrices));
    tcase_add_test(tcase, blocks);
    tcase_add_loop_test(tcase, part_of_a_strided_tensor, 0, 2);
    tcase_add_test(tcase, ragged);
    tcase_add_test(tcase, nothing);
    tcase_add_loop_test(tcase, beta_counts, 0, COUNT(types));
    tcase_add_loop_test(tcase, beta_sums, 0, COUNT(types));
    tcase_add_loop_test(tcase, beta_overflows, 0, COUNT(types) - 1); /* f64 is our own limit */
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}

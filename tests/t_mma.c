/*
 * t_mma.c - tensor-core instructions bit for bit: answers found by hand from the rules at the top
 * of ref/mma.c, and random products of every range against a slow implementation of the same rules.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/slow_mma.h"
#include "tests/support.h"

/* ---- by hand --------------------------------------------------------------------------------- */

/* Up to four pairs, at the places given; the rest of the instruction is zeros. */
struct known {
    enum moe_instruction instruction;
    enum moe_dtype dtype;
    uint32_t c, d;
    struct {
        int k;
        double a, b;
    } pair[4];
    const char *what;
};

#define BF16 MOE_MMA_K16, MOE_BF16
#define F16 MOE_MMA_K16, MOE_F16
#define WGMMA8 MOE_WGMMA_K32, MOE_E4M3
#define SYNC8 MOE_MMA_SYNC_K32, MOE_E4M3
#define ONE 0x3f800000
#define LARGEST 0x7f7fffff
#define NO_NUMBER 0x7fffffff

static const struct known knowns[] = {
    {BF16, 0, 0x40e00000, {{0, 1, 1}, {5, 2, 3}}, "1 + 2*3 = 7"},
    {BF16, 0, 0x33000000, {{0, 1, 1}, {1, -1, 1}, {2, 0x1p-12, 0x1p-13}}, "2^-25 beside 1 stays"},
    {BF16, 0, 0, {{0, 1, 1}, {1, -1, 1}, {2, 0x1p-13, 0x1p-13}}, "2^-26 beside 1 is cut"},
    {BF16, 0, 0, {{0, 1, 1}, {1, -1, 1}, {2, -0x1p-13, 0x1p-13}}, "-2^-26 too: not floor"},
    {BF16,
     0,
     0x33000000,
     {{0, 1.5, 1.5}, {1, -1.5, 1.5}, {2, 0x1p-12, 0x1p-13}},
     "2.25 = 1.5 * 1.5 counts as exponent 0"},
    {F16, 0, 0x33000000, {{0, 1, 1}, {1, -1, 1}, {15, 0x1p-12, 0x1p-13}}, "f16 2^-25 stays"},
    {F16, 0, 0, {{0, 1, 1}, {1, -1, 1}, {15, 0x1p-13, 0x1p-13}}, "f16 2^-26 is cut"},
    {BF16, ONE, 0, {{0, -1, 1}, {1, 0x1p-13, 0x1p-13}}, "C takes part in the alignment"},
    {BF16, 0x32800000, 0, {{0, 1, 1}, {1, -1, 1}}, "and is cut itself: 2^-26"},
    {BF16, 0x33000000, 0x33000000, {{0, 1, 1}, {1, -1, 1}}, "2^-25 in C stays"},
    {BF16,
     0,
     0,
     {{0, 0x1p-133, 0x1p60}, {1, -0x1p-133, 0x1p60}, {2, 0x1p-46, 0x1p-46}},
     "a subnormal has the least exponent: cut at 2^-91"},
    {BF16,
     0,
     0x12000000,
     {{0, 0x1p-133, 0x1p60}, {1, -0x1p-133, 0x1p60}, {2, 0x1p-46, 0x1p-45}},
     "2^-91 stays"},
    {F16,
     0,
     0x2c000000,
     {{0, 0x1p-24, 1}, {1, -0x1p-24, 1}, {2, 0x1p-20, 0x1p-21}, {3, 0x1p-20, 0x1p-19}},
     "f16: 2^-24 counts as 2^-14, cut at 2^-39"},
    {BF16, ONE, ONE, {{0, 0x1.8p-12, 0x1p-12}}, "1 + 1.5 2^-24 towards zero"},
    {BF16, 0xbf800000, 0xbf800000, {{0, -0x1.8p-12, 0x1p-12}}, "and from below"},
    {BF16, LARGEST, LARGEST, {{0, 0x1p52, 0x1p51}}, "half a step beyond the largest"},
    {BF16, LARGEST, 0x7f800000, {{0, 0x1p52, 0x1p52}}, "a whole one"},
    {BF16, 0xff7fffff, 0xff800000, {{0, -0x1p52, 0x1p52}}, "a whole one below"},
    {F16, LARGEST, LARGEST, {{0, 65504, 65504}}, "f16 cannot overflow it"},
    {BF16, 0, 0, {{0, 0x1p100, 0x1p100}, {1, -0x1p100, 0x1p100}}, "no overflow on the way"},
    {BF16, 0, 0x7f800000, {{0, 0x1p100, 0x1p100}}, "2^200"},
    {BF16, 1, 1, {{0, 0, 0}}, "a subnormal C passes"},
    {BF16, 0x80000000, 0, {{0, -0.0, 1}}, "zero is +0"},
    {BF16, 0x80000000, 0, {{0, 1, 1}, {1, -1, 1}}, "zero is +0, cancelled"},
    {BF16, 0x80000001, 0x80000001, {{0, 0, 1}}, "a negative subnormal C passes"},
    {BF16, 0, 1, {{0, 0x1p-100, 0x1p-49}}, "the least subnormal"},
    {BF16, 0, 0, {{0, 0x1p-100, 0x1p-50}}, "below it"},
    {BF16, 0, NO_NUMBER, {{0, NAN, 0}}, "NaN"},
    {BF16, 0, NO_NUMBER, {{0, INFINITY, 0}}, "Inf * 0"},
    {BF16, 0, NO_NUMBER, {{0, INFINITY, 1}, {3, 1, -INFINITY}}, "Inf - Inf"},
    {BF16, 0xff800000, NO_NUMBER, {{0, INFINITY, 1}}, "Inf - Inf with C"},
    {BF16, 0x7f800000, 0x7f800000, {{0, 0x1p100, -0x1p100}}, "Inf - finite"},
    {BF16, ONE, 0xff800000, {{0, INFINITY, -2}}, "-Inf"},
    {F16, 0xffc12345, NO_NUMBER, {{0, 1, 1}}, "C's payload is lost"},
    {WGMMA8, 0x3f800001, ONE, {{0, 0, 0}}, "e4m3: C itself is cut to 14 digits"},
    {WGMMA8, LARGEST, 0x7f7ffc00, {{0, 0, 0}}, "the largest too"},
    {WGMMA8, 0x000003ff, 0, {{0, 0, 0}}, "subnormal C at 2^-139"},
    {WGMMA8, 0x00000400, 0x00000400, {{0, 0, 0}}, "2^-139 stays"},
    {WGMMA8,
     0,
     0x39000000,
     {{0, 1, 1}, {1, -1, 1}, {31, 0x1p-6, 0x1p-7}},
     "e4m3: 2^-13 beside 1 stays"},
    {WGMMA8, 0, 0, {{0, 1, 1}, {1, -1, 1}, {31, 0x1p-7, 0x1p-7}}, "e4m3: 2^-14 is cut"},
    {WGMMA8, 0, NO_NUMBER, {{7, NAN, 1}}, "e4m3: NaN"},
    {SYNC8, 0, 0, {{0, 448, 448}, {1, -448, 448}, {4, 0x1p-9, 0x1p-9}}, "cut in its own half"},
    {SYNC8,
     0,
     0x36800000,
     {{0, 448, 448}, {1, -448, 448}, {2, 0x1p-9, 0x1p-9}},
     "not in the other"},
    {SYNC8,
     0,
     0,
     {{0, 448, 448}, {2, -448, 448}, {4, 0x1p-9, 0x1p-9}},
     "the first half's sum is C of the second's"},
    {SYNC8, 0x43000000, 0x43000001, {{0, 0x1.8p-8, 0x1p-9}}, "128 + 1.5 2^-17 to nearest"},
    {SYNC8, 0x3f800001, 0x3f800001, {{0, 0, 0}}, "C keeps its digits"},
    {SYNC8, 0, NO_NUMBER, {{2, NAN, 1}}, "sync e4m3: NaN"},
};

static uint32_t one_instruction(enum moe_instruction instruction, enum moe_dtype dtype,
                                const double *a, const double *b, uint32_t c)
{
    const struct moe_order order = {.instruction = instruction};
    float start = bits_float(c), d;
    int status =
        moe_mma_product(&order, dtype, 1, 1, moe_instruction_k(instruction), a, b, &start, &d);
    ck_assert_msg(status == MOE_OK, "%s", moe_error_text());
    uint32_t bits;
    memcpy(&bits, &d, sizeof bits);
    return bits;
}

START_TEST(known_answer)
{
    const struct known *known = &knowns[_i];
    double a[32] = {0}, b[32] = {0};
    for (int i = 0; i < COUNT(known->pair); i++) {
        if (known->pair[i].a == 0 && known->pair[i].b == 0)
            continue; /* a row of the table that says nothing */
        a[known->pair[i].k] = known->pair[i].a;
        b[known->pair[i].k] = known->pair[i].b;
    }
    uint32_t got = one_instruction(known->instruction, known->dtype, a, b, known->c);
    ck_assert_msg(got == known->d, "%s: %08x, not %08x", known->what, got, known->d);
    got = slow_instruction(known->instruction, known->dtype, a, b, known->c);
    ck_assert_msg(got == known->d, "%s: slow: %08x, not %08x", known->what, got, known->d);
}
END_TEST

/* ---- at random ------------------------------------------------------------------------------- */

enum range { UNIT, WIDE, SUBNORMAL, CANCELLING, SPECIAL, RANGE_COUNT };

static double draw_value(uint64_t *state, enum moe_dtype dtype, enum range range)
{
    const struct moe_dtype_info *info = moe_dtype_info(dtype);
    double value = random_in(state, -2, 2);
    int span = dtype == MOE_BF16 ? 60 : info->bias - 1;
    if (range == WIDE)
        value = ldexp(value, (int)random_below(state, 2 * span) - span);
    if (range == SUBNORMAL)
        value *= info->smallest_normal;
    if (range == SPECIAL && random_below(state, 40) == 0)
        value = random_below(state, 2) ? NAN : info->has_infinity ? INFINITY : 0;
    if (random_below(state, 16) == 0)
        value = 0;
    return moe_dtype_round(dtype, value, 1);
}

static const struct {
    enum moe_instruction instruction;
    enum moe_dtype dtype;
} classes[] = {{BF16}, {F16}, {WGMMA8}, {SYNC8}};

static const struct moe_order orders[] = {
    {.instruction = MOE_NO_INSTRUCTION}, /* filled in below: plain */
    {.block = 32, .slices = 2},
    {.block = 64, .slices = 3, .partials = MOE_PARTIALS_TREE},
    {.slices = 7, .partials = MOE_PARTIALS_TREE},
    {.block = 32, .slices = 5},
    {.promote = 32},
    {.block = 64, .slices = 2, .promote = 64, .partials = MOE_PARTIALS_TREE},
};

/* Small ranges get a C; neighbours of b are made to cancel with the sign of the last. */
static void draw_rows(uint64_t *state, enum moe_dtype dtype, enum range range, int64_t count,
                      double *values)
{
    for (int64_t i = 0; i < count; i++) {
        values[i] = draw_value(state, dtype, range);
        if (range == CANCELLING && i % 2 == 1)
            values[i] = i % 4 == 1 ? values[i - 1] : -values[i - 1];
    }
}

START_TEST(random_products)
{
    enum { M = 5, N = 6, MOST = 300 };
    uint64_t state = (uint64_t)_i + 1;
    double *a = calloc(M * MOST, sizeof *a), *b = calloc(N * MOST, sizeof *b);
    float start[M * N], fast[M * N], slow[M * N];
    for (int round = 0; round < 60; round++) {
        enum range range = (enum range)(_i % RANGE_COUNT);
        enum moe_dtype dtype = classes[_i / RANGE_COUNT].dtype;
        struct moe_order order = orders[round % COUNT(orders)];
        order.instruction = classes[_i / RANGE_COUNT].instruction;
        int64_t k = random_below(&state, round < 10 ? 3 : MOST);
        draw_rows(&state, dtype, range, M * k, a);
        draw_rows(&state, dtype, range, N * k, b);
        for (int i = 0; i < M * N; i++) {
            double scale = range == SUBNORMAL ? 0x1p-140 : ldexp(1, (int)random_below(&state, 80));
            start[i] = (float)(random_in(&state, -1, 1) * scale);
        }
        const float *from = round % 3 ? start : NULL;
        ck_assert_int_eq(moe_mma_product(&order, dtype, M, N, k, a, b, from, fast), MOE_OK);
        slow_product(&order, dtype, M, N, k, a, b, from, slow);
        for (int i = 0; i < M * N; i++)
            ck_assert_msg(float_bits(fast[i]) == float_bits(slow[i]),
                          "round %d, k=%d, element %d: %a, slowly %a", round, (int)k, i, fast[i],
                          slow[i]);
    }
    free(a);
    free(b);
}
END_TEST

/* Inside an instruction no order matters (mma.sync of e4m3: inside its halves); between them it
 * does. */
START_TEST(order_matters_between_instructions)
{
    enum { K = 256 };
    const struct moe_order order = {.instruction = classes[_i].instruction};
    enum moe_dtype dtype = classes[_i].dtype;
    int step = moe_instruction_k(order.instruction), changed_inside = 0, changed_between = 0;
    uint64_t state = 77;
    for (int round = 0; round < 400; round++) {
        double a[K], b[K], c[K], d[K];
        float plain, inside, between;
        draw_rows(&state, dtype, WIDE, K, a);
        draw_rows(&state, dtype, WIDE, K, b);
        for (int i = 0; i < K; i++) {
            int four = i / 4 * 4, from = four + (i % 2 ? 0 : 1) + i % 4 / 2 * 2; /* swap pairs */
            c[i] = a[from];
            d[i] = b[from];
        }
        ck_assert_int_eq(moe_mma_product(&order, dtype, 1, 1, K, a, b, NULL, &plain), MOE_OK);
        ck_assert_int_eq(moe_mma_product(&order, dtype, 1, 1, K, c, d, NULL, &inside), MOE_OK);
        for (int i = 0; i < K; i++) {
            c[i] = a[(i + step) % K];
            d[i] = b[(i + step) % K];
        }
        ck_assert_int_eq(moe_mma_product(&order, dtype, 1, 1, K, c, d, NULL, &between), MOE_OK);
        changed_inside += float_bits(plain) != float_bits(inside);
        changed_between += float_bits(plain) != float_bits(between);
    }
    ck_assert_int_eq(changed_inside, 0);
    ck_assert_int_gt(changed_between, 40);
}
END_TEST

START_TEST(refused)
{
    double a[32] = {0}, third = 1.0 / 3;
    float c;
    struct moe_order order = {.instruction = MOE_NO_INSTRUCTION};
    ck_assert_int_eq(moe_mma_product(&order, MOE_BF16, 1, 1, 16, a, a, NULL, &c), MOE_E_USAGE);
    order.instruction = MOE_MMA_K16;
    ck_assert_int_eq(moe_mma_product(&order, MOE_E4M3, 1, 1, 16, a, a, NULL, &c), MOE_E_USAGE);
    ck_assert_int_eq(moe_mma_product(&order, MOE_F32, 1, 1, 16, a, a, NULL, &c), MOE_E_USAGE);
    ck_assert_int_eq(moe_mma_product(&order, MOE_BF16, 1, 1, 16, a, a, NULL, &c), MOE_OK);
    ck_assert_int_eq(moe_mma_product(&order, MOE_BF16, 1, 1, 1, a, &third, NULL, &c), MOE_E_USAGE);
    order.block = 24;
    ck_assert_int_eq(moe_mma_product(&order, MOE_BF16, 1, 1, 16, a, a, NULL, &c), MOE_E_USAGE);
    order.block = 0;
    order.promote = 8;
    ck_assert_int_eq(moe_mma_product(&order, MOE_BF16, 1, 1, 16, a, a, NULL, &c), MOE_E_USAGE);
    ck_assert_int_eq(moe_instruction_k(MOE_NO_INSTRUCTION), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mma");
    TCase *tests = tcase_create("mma");
    tcase_add_loop_test(tests, known_answer, 0, COUNT(knowns));
    tcase_add_loop_test(tests, random_products, 0, COUNT(classes) * RANGE_COUNT);
    tcase_add_loop_test(tests, order_matters_between_instructions, 0, COUNT(classes));
    tcase_add_test(tests, refused);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

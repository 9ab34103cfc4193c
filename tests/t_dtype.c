/*
 * t_dtype.c - number formats: every code of the small ones, every midpoint and its neighbours, a
 * sweep over floats, and what lies outside a format's range. The judge of rounding here knows no
 * bits: it looks the value up among all values of the format. (Assertions of libcheck cost a system
 * call each; loops over codes abort instead.) MPFR judges in t_dtype_mpfr.c, CUDA's
 * headers in t_dtype_cuda.c.
 */
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref/moe.h"

static const enum moe_dtype small[] = {MOE_BF16, MOE_F16, MOE_E4M3, MOE_E5M2, MOE_E2M1, MOE_UE8M0};

enum { SMALL = sizeof small / sizeof *small };

static double decoded(enum moe_dtype dtype, uint32_t code)
{
    return moe_dtype_load(dtype, &code, 0);
}

static uint32_t encoded(enum moe_dtype dtype, double value, int saturate)
{
    uint32_t code = 0;
    moe_dtype_store(dtype, &code, 0, value, saturate);
    return code;
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static int same(double a, double b)
{
    return (isnan(a) && isnan(b)) || bits_of(a) == bits_of(b);
}

/* ---- the table ------------------------------------------------------------------------------- */

START_TEST(columns_agree)
{
    const enum moe_dtype dtype = (enum moe_dtype)_i;
    const struct moe_dtype_info *info = moe_dtype_info(dtype);
    ck_assert_int_eq(moe_dtype_from_name(info->name), _i);
    ck_assert_ptr_nonnull(info->safetensors);
    if (!info->is_float)
        return;
    const int scale = dtype == MOE_UE8M0; /* no sign, no subnormals, code 0 is a power too */
    ck_assert_msg(info->bits == !scale + info->exponent_bits + info->fraction_bits, "%d", _i);
    ck_assert_msg(info->bias == (1 << (info->exponent_bits - 1)) - 1, "%d", _i);
    ck_assert_msg(info->smallest_normal == ldexp(1, !scale - info->bias), "%d", _i);
    ck_assert_msg(info->smallest == ldexp(info->smallest_normal, -info->fraction_bits), "%d", _i);
    ck_assert_msg(info->unit_roundoff == ldexp(1, -info->fraction_bits - 1), "%d", _i);
    /* Without infinity the last exponent is used too, and NaN takes its last fraction (e4m3). */
    const int top = (1 << info->exponent_bits) - 1 - info->bias - (info->has_infinity || scale);
    const int lost = dtype == MOE_E4M3 ? 2 : 1;
    const double significand = 2 - lost * ldexp(1, -info->fraction_bits);
    ck_assert_msg(info->largest == ldexp(significand, top), "%d", _i);
}
END_TEST

START_TEST(names)
{
    ck_assert_int_eq(moe_dtype_from_name("bf16"), MOE_BF16);
    ck_assert_int_eq(moe_dtype_from_name("e4m3"), MOE_E4M3);
    ck_assert_int_eq(moe_dtype_from_name("BF16"), -1);
    ck_assert_int_eq(moe_dtype_from_name(""), -1);
    ck_assert_ptr_null(moe_dtype_info(MOE_DTYPE_COUNT));
    ck_assert_ptr_null(moe_dtype_info((enum moe_dtype) - 1));
}
END_TEST

/* ---- codes ----------------------------------------------------------------------------------- */

/* The value of a code by the formats' definition. */
static double defined(enum moe_dtype dtype, uint32_t code)
{
    const struct moe_dtype_info *info = moe_dtype_info(dtype);
    if (dtype == MOE_UE8M0)
        return code == 255 ? NAN : ldexp(1, (int)code - 127);
    const int fraction = (int)(code % (1u << info->fraction_bits));
    const int exponent = (int)(code >> info->fraction_bits) % (1 << info->exponent_bits);
    const int sign = code >> (info->bits - 1) ? -1 : 1;
    const int last = exponent == (1 << info->exponent_bits) - 1;
    if (last && info->has_infinity)
        return fraction ? NAN : sign * INFINITY;
    if (dtype == MOE_E4M3 && last && fraction == 7)
        return NAN;
    const double significand = (exponent > 0) + ldexp(fraction, -info->fraction_bits);
    return copysign(ldexp(significand, (exponent > 0 ? exponent : 1) - info->bias), sign);
}

START_TEST(every_code)
{
    const enum moe_dtype dtype = small[_i];
    const uint32_t count = 1u << moe_dtype_info(dtype)->bits;
    for (uint32_t code = 0; code < count; code++) {
        const double value = decoded(dtype, code);
        if (!(same(value, defined(dtype, code))))
            ck_abort_msg("%d code %#x: %a", _i, code, value);
        if (!(same(moe_dtype_round(dtype, value, 0), value)))
            ck_abort_msg("%d code %#x", _i, code);
        if (isfinite(value)) {
            if (!(encoded(dtype, value, 0) == code))
                ck_abort_msg("%d code %#x", _i, code);
            if (!(encoded(dtype, value, 1) == code))
                ck_abort_msg("%d code %#x", _i, code);
        }
    }
}
END_TEST

/* ---- rounding -------------------------------------------------------------------------------- */

/* Codes of the finite values that are not negative stand in the order of their values. */
static uint32_t largest_code(enum moe_dtype dtype)
{
    uint32_t code = 0;
    while (isfinite(defined(dtype, code + 1)) && defined(dtype, code + 1) > defined(dtype, code))
        code++;
    return code;
}

/* The code of a value >= 0, found by bisection; what is past the largest becomes `beyond`. */
static uint32_t looked_up(enum moe_dtype dtype, double value, uint32_t last, uint32_t beyond)
{
    uint32_t low = 0, high = last;
    const double top = defined(dtype, last), step = top - defined(dtype, last - 1);
    if (value >= top) { /* as if one more value followed */
        const double tie = top + step / 2;
        return value > tie || (value == tie && last % 2 == 1) ? beyond : last;
    }
    while (high - low > 1) {
        const uint32_t middle = (low + high) / 2;
        if (defined(dtype, middle) <= value)
            low = middle;
        else
            high = middle;
    }
    /* The middle of two neighbours has one bit more than they, so it is exact. */
    const double middle = (defined(dtype, low) + defined(dtype, high)) / 2;
    if (value == middle)
        return low % 2 == 0 ? low : high;
    return value < middle ? low : high;
}

/* What is stored for value >= 0 and, in a signed type, for -value. */
static void check_rounding(enum moe_dtype dtype, double value, uint32_t last)
{
    const int saturating = dtype == MOE_E2M1 || dtype == MOE_UE8M0;
    const uint32_t beyond = saturating ? last : encoded(dtype, INFINITY, 0);
    const uint32_t want = looked_up(dtype, value, last, beyond);
    const uint32_t held = looked_up(dtype, value, last, last);
    if (!(encoded(dtype, value, 0) == want))
        ck_abort_msg("%s %a: %#x, not %#x", moe_dtype_info(dtype)->name, value,
                     encoded(dtype, value, 0), want);
    if (!(encoded(dtype, value, 1) == held))
        ck_abort_msg("%s %a saturated: %#x, not %#x", moe_dtype_info(dtype)->name, value,
                     encoded(dtype, value, 1), held);
    if (dtype == MOE_UE8M0)
        return;
    const uint32_t sign = 1u << (moe_dtype_info(dtype)->bits - 1);
    if (!(encoded(dtype, -value, 0) == (want | sign)))
        ck_abort_msg("%s %a", moe_dtype_info(dtype)->name, -value);
}

START_TEST(every_midpoint)
{
    const enum moe_dtype dtype = small[_i];
    const uint32_t last = largest_code(dtype);
    for (uint32_t code = 0; code < last; code++) {
        const double low = defined(dtype, code), high = defined(dtype, code + 1);
        const double middle = (low + high) / 2;
        check_rounding(dtype, middle, last);
        check_rounding(dtype, nextafter(middle, low), last);
        check_rounding(dtype, nextafter(middle, high), last);
        check_rounding(dtype, nextafterf((float)middle, (float)low), last);
        check_rounding(dtype, nextafterf((float)middle, (float)high), last);
        check_rounding(dtype, nextafter(high, low), last);
        check_rounding(dtype, nextafter(low, high), last);
    }
    const double top = defined(dtype, last);
    const double tie = top + (top - defined(dtype, last - 1)) / 2;
    check_rounding(dtype, nextafter(tie, 0), last);
    check_rounding(dtype, tie, last);
    check_rounding(dtype, nextafter(tie, INFINITY), last);
    check_rounding(dtype, 2 * top, last);
    check_rounding(dtype, DBL_MAX, last);
    check_rounding(dtype, DBL_TRUE_MIN, last);
}
END_TEST

START_TEST(sweep_of_floats)
{
    const enum moe_dtype dtype = small[_i];
    const uint32_t last = largest_code(dtype);
    for (uint32_t bits = 1; bits < 0x7f800000; bits += 8191) {
        float value;
        memcpy(&value, &bits, sizeof value);
        check_rounding(dtype, value, last);
    }
}
END_TEST

static const struct {
    enum moe_dtype dtype;
    double value;
    int saturate;
    uint32_t code;
} edges[] = {
    {MOE_BF16, -0.0, 0, 0x8000},
    {MOE_BF16, INFINITY, 0, 0x7f80},
    {MOE_BF16, -INFINITY, 0, 0xff80},
    {MOE_BF16, -INFINITY, 1, 0xff7f},
    {MOE_BF16, 1e39, 0, 0x7f80},
    {MOE_BF16, 1e39, 1, 0x7f7f},
    {MOE_BF16, NAN, 0, 0x7fc0},
    {MOE_BF16, -NAN, 1, 0x7fc0},
    {MOE_BF16, 0x1p-134, 0, 0},
    {MOE_BF16, 0x1.8p-133, 0, 2},
    {MOE_F16, 65519, 0, 0x7bff},
    {MOE_F16, 65520, 0, 0x7c00},
    {MOE_F16, -65520, 1, 0xfbff},
    {MOE_F16, 0x1p-25, 0, 0},
    {MOE_F16, 0x1.0000000000001p-25, 0, 1},
    {MOE_F16, NAN, 0, 0x7e00},
    {MOE_E4M3, 448, 0, 0x7e},
    {MOE_E4M3, 464, 0, 0x7e},
    {MOE_E4M3, 465, 0, 0x7f},
    {MOE_E4M3, 465, 1, 0x7e},
    {MOE_E4M3, -INFINITY, 0, 0xff},
    {MOE_E4M3, -INFINITY, 1, 0xfe},
    {MOE_E4M3, NAN, 1, 0x7f},
    {MOE_E5M2, 61439, 0, 0x7b},
    {MOE_E5M2, 61440, 0, 0x7c},
    {MOE_E5M2, 61440, 1, 0x7b},
    {MOE_E5M2, INFINITY, 0, 0x7c},
    {MOE_E5M2, NAN, 0, 0x7e},
    {MOE_E2M1, 0.25, 0, 0},
    {MOE_E2M1, 0.75, 0, 2},
    {MOE_E2M1, -5, 0, 14},
    {MOE_E2M1, 1e9, 0, 7},
    {MOE_E2M1, -INFINITY, 0, 15},
    {MOE_E2M1, NAN, 0, 7},
    {MOE_UE8M0, 1.5, 0, 128},
    {MOE_UE8M0, 3, 0, 128},
    {MOE_UE8M0, 0, 0, 0},
    {MOE_UE8M0, -0.0, 0, 0},
    {MOE_UE8M0, 0x1p-300, 0, 0},
    {MOE_UE8M0, 0x1.8p127, 0, 254},
    {MOE_UE8M0, INFINITY, 0, 254},
    {MOE_UE8M0, -1, 0, 255},
    {MOE_UE8M0, NAN, 1, 255},
    {MOE_F32, -0.0, 0, 0x80000000},
    {MOE_F32, 1e39, 0, 0x7f800000},
    {MOE_F32, -1e39, 1, 0xff7fffff},
    {MOE_F32, INFINITY, 1, 0x7f7fffff},
    {MOE_F32, 0x1.000001p0, 0, 0x3f800000},
    {MOE_F32, 0x1.0000010000001p0, 0, 0x3f800001},
    {MOE_F32, -NAN, 1, 0x7fc00000},
    {MOE_I32, -2.9, 0, (uint32_t)-2},
    {MOE_I32, 2147483647.5, 0, 0x7fffffff},
    {MOE_I32, 1e10, 0, 0x7fffffff},
    {MOE_I32, -1e10, 0, 0x80000000},
    {MOE_I32, NAN, 0, 0},
    {MOE_U8, 255.9, 0, 255},
    {MOE_U8, 256, 0, 255},
    {MOE_U8, -1, 0, 0},
};

START_TEST(outside_the_range)
{
    const uint32_t code = encoded(edges[_i].dtype, edges[_i].value, edges[_i].saturate);
    ck_assert_msg(code == edges[_i].code, "%d: %s of %a (saturate %d) is %#x, not %#x", _i,
                  moe_dtype_info(edges[_i].dtype)->name, edges[_i].value, edges[_i].saturate, code,
                  edges[_i].code);
}
END_TEST

/* A NaN that is infinity to who looks at its upper half only. */
START_TEST(nan_of_the_lower_half)
{
    const enum moe_dtype dtype = small[_i];
    const uint64_t nan_bits = 0x7ff0000000000001;
    double nan;
    memcpy(&nan, &nan_bits, sizeof nan);
    ck_assert_uint_eq(encoded(dtype, nan, 0), encoded(dtype, NAN, 0));
    ck_assert_uint_eq(encoded(dtype, -nan, 1), encoded(dtype, NAN, 1));
}
END_TEST

START_TEST(wide_types)
{
    ck_assert(same(moe_dtype_round(MOE_F64, 0x1.123456789abcdp-1070, 0), 0x1.12p-1070));
    ck_assert(same(moe_dtype_round(MOE_F64, -INFINITY, 0), -INFINITY));
    ck_assert(same(moe_dtype_round(MOE_F64, -INFINITY, 1), -DBL_MAX));
    ck_assert(isnan(moe_dtype_round(MOE_F64, NAN, 1)));
    ck_assert(same(moe_dtype_round(MOE_F32, 0x1p-150, 0), 0));
    ck_assert(same(moe_dtype_round(MOE_F32, -0x1.8p-149, 0), -0x1p-148));
    const int64_t limits[] = {INT64_MIN, -1, 0, (int64_t)1 << 53, INT64_MAX};
    for (int i = 0; i < 5; i++) {
        int64_t stored = 7;
        moe_dtype_store(MOE_I64, &stored, 0, (double)limits[i], 0);
        ck_assert_int_eq(stored, limits[i]);
    }
    ck_assert_double_eq(moe_dtype_round(MOE_I64, INFINITY, 0), 0x1p63);
    ck_assert_double_eq(moe_dtype_round(MOE_I64, NAN, 0), 0);
}
END_TEST

/* ---- arrays ---------------------------------------------------------------------------------- */

/* Doubles of every kind: half of them any bits at all, half within the reach of small formats. */
static double random_double(void)
{
    uint64_t bits = 0;
    for (int i = 0; i < 5; i++)
        bits = bits << 15 ^ (uint64_t)rand();
    double value;
    memcpy(&value, &bits, sizeof value);
    return rand() % 2 ? value : ldexp((double)(bits % 4097) - 2048, rand() % 60 - 45);
}

/* Bulk forms are the single ones, at any place and length, and touch nothing beside. */
START_TEST(bulk_is_single)
{
    enum { COUNT = 100, ROOM = COUNT + 8 };
    const enum moe_dtype dtype = (enum moe_dtype)_i;
    const size_t bytes = (size_t)ROOM * (size_t)moe_dtype_info(dtype)->bits / 8;
    srand(1);
    for (int round = 0; round < 300; round++) {
        double values[COUNT], back[COUNT];
        uint64_t one[ROOM], many[ROOM]; /* 8 bytes hold the widest */
        const int first = rand() % 8, count = rand() % (COUNT + 1);
        memset(one, 0xa5, sizeof one);
        memset(many, 0xa5, sizeof many);
        for (int i = 0; i < count; i++) {
            values[i] = random_double();
            moe_dtype_store(dtype, one, first + i, values[i], 0);
        }
        moe_dtype_store_many(dtype, many, first, count, values);
        ck_assert_msg(memcmp(one, many, bytes) == 0, "type %d first %d count %d", _i, first, count);
        moe_dtype_load_many(dtype, one, first, count, back);
        for (int i = 0; i < count; i++)
            ck_assert_msg(same(back[i], moe_dtype_load(dtype, one, first + i)), "type %d", _i);
    }
}
END_TEST

START_TEST(bulk_decodes_every_code)
{
    static uint16_t codes[0x10000];
    static double values[0x10000];
    const enum moe_dtype dtype = _i == 0 ? MOE_BF16 : MOE_F16;
    for (int i = 0; i < 0x10000; i++)
        codes[i] = (uint16_t)i;
    moe_dtype_load_many(dtype, codes, 0, 0x10000, values);
    for (uint32_t code = 0; code < 0x10000; code++)
        if (!(same(values[code], defined(dtype, code))))
            ck_abort_msg("%d %#x", _i, code);
}
END_TEST

START_TEST(two_in_a_byte)
{
    uint8_t array[2] = {0, 0xff};
    moe_dtype_store(MOE_E2M1, array, 0, 6, 0);
    moe_dtype_store(MOE_E2M1, array, 1, -0.5, 0);
    moe_dtype_store(MOE_E2M1, array, 2, 1, 0);
    ck_assert_int_eq(array[0], 0x97);
    ck_assert_int_eq(array[1], 0xf2);
    ck_assert_double_eq(moe_dtype_load(MOE_E2M1, array, 1), -0.5);
    ck_assert_double_eq(moe_dtype_load(MOE_E2M1, array, 3), -6);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dtype");
    TCase *tests = tcase_create("dtype");
    SRunner *runner = srunner_create(suite);
    int failed;
    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, columns_agree, 0, MOE_DTYPE_COUNT);
    tcase_add_test(tests, names);
    tcase_add_loop_test(tests, every_code, 0, SMALL);
    tcase_add_loop_test(tests, every_midpoint, 0, SMALL);
    tcase_add_loop_test(tests, sweep_of_floats, 0, SMALL);
    tcase_add_loop_test(tests, outside_the_range, 0, sizeof edges / sizeof *edges);
    tcase_add_loop_test(tests, nan_of_the_lower_half, 0, SMALL);
    tcase_add_test(tests, wide_types);
    tcase_add_loop_test(tests, bulk_is_single, 0, MOE_DTYPE_COUNT);
    tcase_add_loop_test(tests, bulk_decodes_every_code, 0, 2);
    tcase_add_test(tests, two_in_a_byte);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

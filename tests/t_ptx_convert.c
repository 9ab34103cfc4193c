/*
 * t_ptx_convert.c - cvt: every code of the small formats against ref/dtype.c, directed roundings by
 * what they mean, integers against C, and answers found by hand from the ISA's text.
 */
#include <math.h>
#include <string.h>

#include "gpu/ptx/number.h"
#include "tests/support.h"

static uint64_t f64_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double f64(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static const struct {
    enum number_format format;
    enum moe_dtype dtype;
} twins[] = {{NUMBER_F16, MOE_F16},   {NUMBER_BF16, MOE_BF16}, {NUMBER_F32, MOE_F32},
             {NUMBER_E4M3, MOE_E4M3}, {NUMBER_E5M2, MOE_E5M2}, {NUMBER_E2M1, MOE_E2M1}};

static double value_of(enum number_format format, uint64_t code)
{
    return f64(number_convert(NUMBER_F64, format, code, NUMBER_RN, 0));
}

static int same(double a, double b)
{
    return a == b ? signbit(a) == signbit(b) : a != a && b != b;
}

START_TEST(codes_as_the_reference)
{
    const struct moe_dtype_info *info = moe_dtype_info(twins[_i].dtype);
    const uint32_t count = info->bits < 16 ? 1u << info->bits : 65536;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t code = info->bits == 32 ? i * 65537 : i;
        double want;
        moe_dtype_load_many(twins[_i].dtype, &code, 0, 1, &want);
        must_hold(same(value_of(twins[_i].format, code), want), "%s: value of %x", info->name,
                  code);
        if (want == want)
            must_hold(number_convert(twins[_i].format, NUMBER_F64, f64_bits(want), NUMBER_RN, 0) ==
                          code,
                      "%s: code of %a", info->name, want);
    }
}
END_TEST

/* Values from below the smallest to above the largest, and ties. */
static double draw(const struct moe_dtype_info *info, uint64_t *state)
{
    const int least = -info->bias - info->fraction_bits - 2;
    const int exponent = least + (int)random_below(state, 2 * info->bias + info->fraction_bits + 5);
    double significand = random_in(state, 1, 2);
    if (random_below(state, 2)) {
        const double places = ldexp(1, info->fraction_bits + (int)random_below(state, 3));
        significand = floor(significand * places) / places;
    }
    return ldexp(random_below(state, 2) ? significand : -significand, exponent);
}

START_TEST(nearest_as_the_reference)
{
    const struct moe_dtype_info *info = moe_dtype_info(twins[_i].dtype);
    const enum number_format format = twins[_i].format;
    uint64_t state = 13;
    for (int i = 0; i < as_many(200000, 20000); i++) {
        const double x = draw(info, &state);
        const double saturated = moe_dtype_round(twins[_i].dtype, x, 1);
        const uint64_t code = number_convert(format, NUMBER_F64, f64_bits(x), NUMBER_SATFINITE, 0);
        must_hold(same(value_of(format, code), saturated), "%s of %a", info->name, x);
        if (!info->has_infinity)
            continue;
        const double open = moe_dtype_round(twins[_i].dtype, x, 0);
        must_hold(
            same(value_of(format, number_convert(format, NUMBER_F64, f64_bits(x), 0, 0)), open),
            "%s of %a, open", info->name, x);
    }
}
END_TEST

/* The formats that the reference has not: every code, and halfway to the next. */
START_TEST(six_bits)
{
    const enum number_format format = _i ? NUMBER_E3M2 : NUMBER_E2M3;
    double before = 0;
    for (uint64_t code = 0; code < 32; code++) {
        const double value = value_of(format, code);
        const uint64_t low = _i ? code & 3 : code & 7, high = _i ? code >> 2 : code >> 3;
        const double unit = _i ? 0x1p-4 : 0x1p-3;
        const double want =
            (double)(low + (high ? (_i ? 4 : 8) : 0)) * ldexp(unit, high ? (int)high - 1 : 0);
        ck_assert(value == want);
        ck_assert(value_of(format, code | 32) == -value);
        const double tie = (before + value) / 2;
        const uint64_t even = code % 2 ? code - 1 : code;
        if (code > 0) {
            ck_assert_uint_eq(number_convert(format, NUMBER_F64, f64_bits(tie), 0, 0), even);
            ck_assert_uint_eq(
                number_convert(format, NUMBER_F64, f64_bits(nextafter(tie, 100)), 0, 0), code);
            ck_assert_uint_eq(number_convert(format, NUMBER_F64, f64_bits(nextafter(tie, 0)), 0, 0),
                              code - 1);
        }
        before = value;
    }
    ck_assert_uint_eq(number_convert(format, NUMBER_F64, f64_bits(-1e9), 0, 0), 63);
    ck_assert_uint_eq(number_convert(format, NUMBER_F64, f64_bits((double)NAN), 0, 0), 31);
}
END_TEST

/* Down and up are neighbours around what is not a number of the format; zero is the inner one. */
START_TEST(directed)
{
    const struct moe_dtype_info *info = moe_dtype_info(twins[_i].dtype);
    const enum number_format format = twins[_i].format;
    uint64_t state = 23;
    for (int i = 0; i < as_many(100000, 10000); i++) {
        const double x = draw(info, &state);
        const uint64_t bits = f64_bits(x);
        const uint64_t down = number_convert(format, NUMBER_F64, bits, NUMBER_RM, 0);
        const uint64_t up = number_convert(format, NUMBER_F64, bits, NUMBER_RP, 0);
        const uint64_t zero = number_convert(format, NUMBER_F64, bits, NUMBER_RZ, 0);
        if (fabs(x) > info->largest) {
            must_hold(fabs(value_of(format, zero)) == info->largest, "%a", x);
            continue;
        }
        const double low = value_of(format, down), high = value_of(format, up);
        must_hold(low <= x && x <= high && zero == (x < 0 ? up : down), "%a", x);
        if (low == high) {
            must_hold(low == x, "%a", x);
            continue;
        }
        must_hold(x < 0 ? down - up == 1 : up - down == 1, "%a", x);
        /* Away from zero on a tie, and only there other than to nearest. */
        const uint64_t away = number_convert(format, NUMBER_F64, bits, NUMBER_RNA, 0);
        const uint64_t nearest = number_convert(format, NUMBER_F64, bits, NUMBER_RN, 0);
        const double below = fabs(x) - fabs(value_of(format, zero));
        const double above = fabs(value_of(format, x < 0 ? down : up)) - fabs(x);
        must_hold(away == (below < above ? zero : x < 0 ? down : up), "%a", x);
        must_hold(away == nearest || below == above, "%a", x);
    }
}
END_TEST

/* Over all random bits the average of the results is the value. */
START_TEST(stochastic)
{
    static const struct {
        enum number_format format;
        int bits;
    } forms[] = {{NUMBER_F16, 13}, {NUMBER_BF16, 16}, {NUMBER_E4M3, 16}, {NUMBER_E2M1, 8}};
    const enum number_format format = forms[_i].format;
    const uint32_t all = 1u << forms[_i].bits;
    uint64_t state = 29;
    for (int i = 0; i < as_many(40, 8); i++) {
        float x = (float)random_in(&state, -3, 3);
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        if (format == NUMBER_E4M3 || format == NUMBER_E2M1)
            bits &= format == NUMBER_E4M3 ? ~15u : ~0x3fffu; /* as far as the random bits go */
        memcpy(&x, &bits, sizeof bits);
        double sum = 0;
        for (uint32_t random = 0; random < all; random++)
            sum += value_of(format, number_convert(format, NUMBER_F32, bits, NUMBER_RS, random));
        if (fabsf(x) >= 1)
            ck_assert(sum / all == (double)x);
    }
}
END_TEST

/* ---- integers ------------------------------------------------------------------------------- */

static const struct {
    enum number_format format;
    int bits, is_signed;
} integers[] = {{NUMBER_U8, 8, 0}, {NUMBER_U16, 16, 0}, {NUMBER_U32, 32, 0}, {NUMBER_U64, 64, 0},
                {NUMBER_S8, 8, 1}, {NUMBER_S16, 16, 1}, {NUMBER_S32, 32, 1}, {NUMBER_S64, 64, 1}};

START_TEST(between_integers)
{
    uint64_t state = 37;
    for (int i = 0; i < as_many(20000, 5000); i++) {
        const int from = (int)random_below(&state, 8), to = (int)random_below(&state, 8);
        const int shift = (int)random_below(&state, 64);
        const uint64_t low = ~0ull >> (64 - integers[from].bits);
        uint64_t code = (random_word(&state) >> shift) & low;
        if (i % 2)
            code = ~code & low;
        __int128 value = code;
        if (integers[from].is_signed && code >> (integers[from].bits - 1))
            value -= (__int128)1 << integers[from].bits;
        const uint64_t mask = ~0ull >> (64 - integers[to].bits);
        ck_assert_uint_eq(number_convert(integers[to].format, integers[from].format, code, 0, 0),
                          (uint64_t)value & mask);
        const __int128 most = (__int128)(mask >> integers[to].is_signed);
        const __int128 least = integers[to].is_signed ? -most - 1 : 0;
        const __int128 clamped = value > most ? most : value < least ? least : value;
        ck_assert_uint_eq(
            number_convert(integers[to].format, integers[from].format, code, NUMBER_SAT, 0),
            (uint64_t)clamped & mask);
    }
}
END_TEST

START_TEST(integers_and_floats)
{
    uint64_t state = 43;
    for (int i = 0; i < as_many(100000, 10000); i++) {
        const uint64_t word = random_word(&state) >> random_below(&state, 64);
        const float single = (float)(int64_t)word;
        uint32_t bits;
        memcpy(&bits, &single, sizeof bits);
        ck_assert_uint_eq(number_convert(NUMBER_F32, NUMBER_S64, word, 0, 0), bits);
        ck_assert_uint_eq(number_convert(NUMBER_F64, NUMBER_U64, word, 0, 0),
                          f64_bits((double)word));
        const uint64_t down = number_convert(NUMBER_F64, NUMBER_U64, word, NUMBER_RM, 0);
        const uint64_t up = number_convert(NUMBER_F64, NUMBER_U64, word, NUMBER_RP, 0);
        ck_assert(up - down <= 1 && (__int128)f64(down) <= (__int128)word &&
                  (__int128)f64(up) >= (__int128)word);
        const double x = random_in(&state, -300, 70000) / (double)(1 + random_below(&state, 9));
        const double floors = floor(x) < 0 ? 0 : floor(x) > 65535 ? 65535 : floor(x);
        ck_assert_uint_eq(number_convert(NUMBER_U16, NUMBER_F64, f64_bits(x), NUMBER_RM, 0),
                          (uint64_t)floors);
        const double nearest = rint(x) > 127 ? 127 : rint(x) < -128 ? -128 : rint(x);
        ck_assert_uint_eq(number_convert(NUMBER_S8, NUMBER_F64, f64_bits(x), NUMBER_RN, 0),
                          (uint64_t)(int64_t)nearest & 255);
    }
}
END_TEST

/* ---- by hand -------------------------------------------------------------------------------- */

static const struct {
    enum number_format to, from;
    unsigned how;
    uint64_t a, d;
    const char *what;
} knowns[] = {
    {NUMBER_S32, NUMBER_F32, NUMBER_RZ, 0x7fc00000, 0, "NaN to s32"},
    {NUMBER_S64, NUMBER_F32, NUMBER_RZ, 0x7fc00000, 1ull << 63, "NaN to s64"},
    {NUMBER_U64, NUMBER_F32, NUMBER_RZ, 0x7fc00000, 1ull << 63, "NaN to u64"},
    {NUMBER_S32, NUMBER_F64, NUMBER_RZ, 0x7ff8000000000000, 0x80000000, "NaN of f64"},
    {NUMBER_S32, NUMBER_F32, NUMBER_RZ, 0x7f800000, 0x7fffffff, "inf to s32"},
    {NUMBER_U32, NUMBER_F32, NUMBER_RZ, 0xbf800000, 0, "-1 to u32"},
    {NUMBER_U64, NUMBER_F32, NUMBER_RZ, 0x5f800000, ~0ull, "2^64 to u64"},
    {NUMBER_S64, NUMBER_F32, NUMBER_RZ, 0xdf000000, 1ull << 63, "-2^63"},
    {NUMBER_S32, NUMBER_F32, NUMBER_RP, 0x00000001, 1, "up"},
    {NUMBER_S32, NUMBER_F32, NUMBER_RP | NUMBER_FTZ, 0x00000001, 0, "up, flushed"},
    {NUMBER_S32, NUMBER_F32, NUMBER_RN, 0x40200000, 2, "2.5 to even"},
    {NUMBER_F32, NUMBER_F32, NUMBER_RM | NUMBER_INTEGRAL, 0xbf000000, 0xbf800000, "floor"},
    {NUMBER_F32, NUMBER_F32, NUMBER_RZ | NUMBER_INTEGRAL, 0xbf000000, 0x80000000, "-0"},
    {NUMBER_F32, NUMBER_F32, NUMBER_RN | NUMBER_INTEGRAL, 0x3fc00000, 0x40000000, "1.5"},
    {NUMBER_F16, NUMBER_F16, NUMBER_RP | NUMBER_INTEGRAL, 0x3801, 0x3c00, "f16 ceil"},
    {NUMBER_F32, NUMBER_F32, NUMBER_SAT, 0x40000000, 0x3f800000, "sat"},
    {NUMBER_F32, NUMBER_F32, NUMBER_SAT, 0x7fc00000, 0, "sat of NaN"},
    {NUMBER_F64, NUMBER_F32, NUMBER_SAT, 0xbf800000, 0, "sat to f64"},
    {NUMBER_F32, NUMBER_F64, NUMBER_FTZ, 0x3800000000000000, 0, "2^-127 flushed"},
    {NUMBER_F32, NUMBER_F64, NUMBER_RN, 0x3800000000000000, 0x00400000, "2^-127"},
    {NUMBER_F32, NUMBER_F16, NUMBER_FTZ, 0x0001, 0x33800000, "f16's subnormals stay"},
    {NUMBER_F16, NUMBER_F32, NUMBER_RN | NUMBER_FTZ, 0x33800000, 0x0001, "and are made"},
    {NUMBER_F16, NUMBER_F32, NUMBER_RN, 0x477ff000, 0x7c00, "65520 to inf"},
    {NUMBER_F16, NUMBER_F32, NUMBER_RN, 0x477fefff, 0x7bff, "just below"},
    {NUMBER_F16, NUMBER_F32, NUMBER_RN | NUMBER_SATFINITE, 0x7f800000, 0x7bff, "satfinite"},
    {NUMBER_F16, NUMBER_F32, NUMBER_RN | NUMBER_RELU, 0xbf800000, 0, "relu"},
    {NUMBER_BF16, NUMBER_F32, NUMBER_RZ, 0x3f80ffff, 0x3f80, "bf16 cut"},
    {NUMBER_BF16, NUMBER_F32, NUMBER_RN | NUMBER_RELU, 0xffc00000, 0x7fff, "relu of NaN"},
    {NUMBER_TF32, NUMBER_F32, NUMBER_RNA, 0x3f801000, 0x3f802000, "tf32, a tie away"},
    {NUMBER_TF32, NUMBER_F32, NUMBER_RN, 0x3f801000, 0x3f800000, "tf32, a tie to even"},
    {NUMBER_TF32, NUMBER_F32, NUMBER_RZ, 0xbf801fff, 0xbf800000, "tf32 cut"},
    {NUMBER_E4M3, NUMBER_F32, NUMBER_RN | NUMBER_SATFINITE, 0x7f800000, 0x7e, "e4m3 of inf"},
    {NUMBER_E4M3, NUMBER_F32, NUMBER_RN | NUMBER_SATFINITE, 0xffc00000, 0x7f, "e4m3 of NaN"},
    {NUMBER_E5M2, NUMBER_F32, NUMBER_RN | NUMBER_SATFINITE, 0xff800000, 0xfb, "e5m2 of -inf"},
    {NUMBER_E2M1, NUMBER_F32, NUMBER_RN | NUMBER_SATFINITE, 0x7fc00000, 7, "e2m1 of NaN"},
    {NUMBER_UE8M0, NUMBER_F32, NUMBER_RP, 0x3f800001, 128, "scale up"},
    {NUMBER_UE8M0, NUMBER_F32, NUMBER_RZ, 0x3fffffff, 127, "scale cut"},
    {NUMBER_UE8M0, NUMBER_F32, NUMBER_RP | NUMBER_SATFINITE, 0x7f7fffff, 254, "scale, largest"},
    {NUMBER_UE8M0, NUMBER_F32, NUMBER_RP, 0x7fc00000, 255, "scale of NaN"},
    {NUMBER_UE8M0, NUMBER_F32, NUMBER_RP, 0x00400001, 1, "scale, subnormal"},
    {NUMBER_BF16, NUMBER_UE8M0, NUMBER_RN, 0, 0x0040, "2^-127"},
    {NUMBER_BF16, NUMBER_UE8M0, NUMBER_RN, 127, 0x3f80, "1"},
};

START_TEST(known_answer)
{
    const uint64_t got =
        number_convert(knowns[_i].to, knowns[_i].from, knowns[_i].a, knowns[_i].how, 0);
    ck_assert_msg(got == knowns[_i].d, "%s: %llx, not %llx", knowns[_i].what,
                  (unsigned long long)got, (unsigned long long)knowns[_i].d);
}
END_TEST

START_TEST(packed)
{
    const unsigned rn = NUMBER_RN | NUMBER_SATFINITE;
    const uint32_t one = 0x3f800000, two = 0x40000000;
    ck_assert_uint_eq(number_convert_to_x2(NUMBER_F16, NUMBER_F32, one, two, 0, 0), 0x3c004000);
    ck_assert_uint_eq(number_convert_to_x2(NUMBER_BF16, NUMBER_F32, one, two, 0, 0), 0x3f804000);
    ck_assert_uint_eq(number_convert_to_x2(NUMBER_E4M3, NUMBER_F32, one, two, rn, 0), 0x3840);
    ck_assert_uint_eq(number_convert_to_x2(NUMBER_E2M1, NUMBER_F32, one, two, rn, 0), 0x24);
    ck_assert_uint_eq(number_convert_to_x2(NUMBER_E2M3, NUMBER_F32, one, two, rn, 0), 0x0810);
    ck_assert_uint_eq(number_convert_to_x2(NUMBER_UE8M0, NUMBER_F32, one, two, NUMBER_RZ, 0),
                      0x7f80);
    ck_assert_uint_eq(number_convert_x2(NUMBER_F16, NUMBER_E4M3, 0x3840, 0), 0x3c004000);
    ck_assert_uint_eq(number_convert_x2(NUMBER_E5M2, NUMBER_F16, 0x3c004000, rn), 0x3c40);
    ck_assert_uint_eq(number_convert_x2(NUMBER_F16, NUMBER_E2M1, 0x24, 0), 0x3c004000);
    ck_assert_uint_eq(number_convert_x2(NUMBER_BF16, NUMBER_UE8M0, 0x7f80, 0), 0x3f804000);
    /* The upper half of the random bits is for a: 1 + 2^-11 is halfway between two of f16. */
    const uint32_t tie = 0x3f801000;
    ck_assert_uint_eq(number_convert_to_x2(NUMBER_F16, NUMBER_F32, tie, tie, NUMBER_RS, 0x10000000),
                      0x3c013c00);
    ck_assert_uint_eq(number_convert_to_x2(NUMBER_F16, NUMBER_F32, tie, tie, NUMBER_RS, 0x0fff1000),
                      0x3c003c01);
    const uint32_t four[4] = {one, two, one, two};
    ck_assert_uint_eq(number_convert_to_x4(NUMBER_E4M3, four, NUMBER_RS, 0), 0x38403840);
    ck_assert_uint_eq(number_convert_to_x4(NUMBER_E2M1, four, NUMBER_RS, ~0u), 0x2424);
    /* 1.25 is halfway between 1 and 1.5 of e2m1, and 17/16 between 1 and 9/8 of e4m3. */
    const uint32_t ties[4] = {0x3fa00000, 0x3fa00000, 0x3fa00000, 0x3fa00000};
    ck_assert_uint_eq(number_convert_to_x4(NUMBER_E2M1, ties, NUMBER_RS, 0x80000000), 0x3222);
    ck_assert_uint_eq(number_convert_to_x4(NUMBER_E2M1, ties, NUMBER_RS, 0x00000080), 0x2223);
    const uint32_t eighths[4] = {0x3f880000, 0x3f880000, 0x3f880000, 0x3f880000};
    ck_assert_uint_eq(number_convert_to_x4(NUMBER_E4M3, eighths, NUMBER_RS, 0x80007fff),
                      0x39393838);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ptx_convert");
    TCase *tests = tcase_create("ptx_convert");
    tcase_add_loop_test(tests, codes_as_the_reference, 0, COUNT(twins));
    tcase_add_loop_test(tests, nearest_as_the_reference, 0, COUNT(twins));
    tcase_add_loop_test(tests, six_bits, 0, 2);
    tcase_add_loop_test(tests, directed, 0, COUNT(twins));
    tcase_add_loop_test(tests, stochastic, 0, 4);
    tcase_add_test(tests, between_integers);
    tcase_add_test(tests, integers_and_floats);
    tcase_add_loop_test(tests, known_answer, 0, COUNT(knowns));
    tcase_add_test(tests, packed);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

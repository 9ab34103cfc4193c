/*
 * t_ptx_number.c - the PTX machine's arithmetic: f32 and f64 against the host's own in all four
 * roundings, f16 and bf16 against the reference's rounding of exact values, and answers found by
 * hand for what the ISA adds.
 */
#include <fenv.h>
#include <math.h>
#include <string.h>

#include "gpu/ptx/number.h"
#include "tests/support.h"

static double f64(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t f64_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return value != value ? 0xfff8000000000000u : bits;
}

static float f32(uint64_t code)
{
    uint32_t bits = (uint32_t)code;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t f32_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return value != value ? 0x7fffffffu : bits;
}

static const uint64_t special_f32[] = {0,          0x80000000, 1,          0x80000001, 0x007fffff,
                                       0x00800000, 0x00800001, 0x3f800000, 0xbf800000, 0x3f800001,
                                       0x3f7fffff, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000,
                                       0x7fc00000, 0x7f800001, 0x4b800000, 0x33800000, 0x00400000};
static const uint64_t special_f64[] = {0,
                                       1ull << 63,
                                       1,
                                       0x800fffffffffffffu,
                                       0x0010000000000000u,
                                       0x0010000000000001u,
                                       0x3ff0000000000000u,
                                       0xbff0000000000001u,
                                       0x3fefffffffffffffu,
                                       0x7fefffffffffffffu,
                                       0xffefffffffffffffu,
                                       0x7ff0000000000000u,
                                       0xfff0000000000000u,
                                       0x7ff8000000000000u,
                                       0x7ff0000000000001u,
                                       0x4340000000000000u,
                                       0x3c90000000000000u};

/* Near one another half of the time, so that sums cancel and products round at the edges. */
static uint64_t draw(enum number_format format, uint64_t *state)
{
    const int wide = format == NUMBER_F64, fraction = wide ? 52 : 23;
    const uint64_t word = random_word(state);
    switch (random_below(state, 4)) {
    case 0:
        return wide ? special_f64[word % COUNT(special_f64)]
                    : special_f32[word % COUNT(special_f32)];
    case 1:
        return wide ? word : word & 0xffffffff;
    default: {
        const uint64_t bias = wide ? 1023 : 127;
        const uint64_t exponent = bias - 2 + word % 4;
        const uint64_t mask = random_word(state) | random_word(state) << (word >> 8) % 40;
        const uint64_t sign = word >> 63;
        return sign << (wide ? 63 : 31) | exponent << fraction |
               (random_word(state) & mask & ((1ull << fraction) - 1));
    }
    }
}

static const int host_rounding[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};

#define OPERATIONS 7
static const enum number_operation operations[OPERATIONS] = {
    NUMBER_ADD, NUMBER_SUB, NUMBER_MUL, NUMBER_FMA, NUMBER_DIV, NUMBER_RCP, NUMBER_SQRT};

static uint64_t host_f32(enum number_operation operation, uint64_t a, uint64_t b, uint64_t c)
{
    const volatile float x = f32(a), y = f32(b), z = f32(c), one = 1;
    volatile float result = 0;
    switch (operation) {
    case NUMBER_ADD:
        result = x + y;
        break;
    case NUMBER_SUB:
        result = x - y;
        break;
    case NUMBER_MUL:
        result = x * y;
        break;
    case NUMBER_FMA:
        result = fmaf(x, y, z);
        break;
    case NUMBER_DIV:
        result = x / y;
        break;
    case NUMBER_RCP:
        result = one / x;
        break;
    default:
        result = sqrtf(x);
    }
    return f32_bits(result);
}

static uint64_t host_f64(enum number_operation operation, uint64_t a, uint64_t b, uint64_t c)
{
    const volatile double x = f64(a), y = f64(b), z = f64(c), one = 1;
    volatile double result = 0;
    switch (operation) {
    case NUMBER_ADD:
        result = x + y;
        break;
    case NUMBER_SUB:
        result = x - y;
        break;
    case NUMBER_MUL:
        result = x * y;
        break;
    case NUMBER_FMA:
        result = fma(x, y, z);
        break;
    case NUMBER_DIV:
        result = x / y;
        break;
    case NUMBER_RCP:
        result = one / x;
        break;
    default:
        result = sqrt(x);
    }
    return f64_bits(result);
}

/* The GPU's NaN of f64 is an operand's: of sums and products b's first, then c's; of a quotient
 * a's.
 */
static uint64_t nan_f64(enum number_operation operation, uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t quiet = 1ull << 51;
    const int unary = operation == NUMBER_RCP || operation == NUMBER_SQRT;
    if (isnan(f64(a)) && (unary || operation == NUMBER_DIV))
        return a | quiet;
    if (!unary && isnan(f64(b)))
        return b | quiet;
    if (operation == NUMBER_FMA && isnan(f64(c)))
        return c | quiet;
    return !unary && isnan(f64(a)) ? a | quiet : 0xfff8000000000000u;
}

static uint64_t expected(enum number_operation operation, enum number_format format, uint64_t a,
                         uint64_t b, uint64_t c)
{
    if (format == NUMBER_F32)
        return host_f32(operation, a, b, c);
    const uint64_t bits = host_f64(operation, a, b, c);
    return isnan(f64(bits)) ? nan_f64(operation, a, b, c) : bits;
}

/* _i: operation, rounding, format. */
START_TEST(as_the_host)
{
    const enum number_operation operation = operations[_i % OPERATIONS];
    const unsigned rounding = (unsigned)(_i / OPERATIONS % 4);
    const enum number_format format = _i / OPERATIONS / 4 ? NUMBER_F64 : NUMBER_F32;
    struct number_instruction instruction;
    ck_assert(number_find(operation, format, &instruction));
    uint64_t state = 11 + (uint64_t)_i;
    for (int i = 0; i < as_many(60000, 6000); i++) {
        const uint64_t a = draw(format, &state), b = draw(format, &state), c = draw(format, &state);
        fesetround(host_rounding[rounding]);
        const uint64_t want = expected(operation, format, a, b, c);
        fesetround(FE_TONEAREST);
        const uint64_t got = number_apply(&instruction, a, b, c, rounding);
        if (got != want)
            ck_abort_msg("operation %d, rounding %u of %llx %llx %llx: %llx, not %llx", operation,
                         rounding, (unsigned long long)a, (unsigned long long)b,
                         (unsigned long long)c, (unsigned long long)got, (unsigned long long)want);
    }
}
END_TEST

/* f32 to nearest also goes through f64 where a qualifier asks for something. */
START_TEST(qualified_is_plain_where_nothing_is_tiny)
{
    struct number_instruction instruction;
    ck_assert(number_find(operations[_i], NUMBER_F32, &instruction));
    uint64_t state = 5;
    for (int i = 0; i < as_many(60000, 6000); i++) {
        const uint64_t a = draw(NUMBER_F32, &state), b = draw(NUMBER_F32, &state),
                       c = draw(NUMBER_F32, &state);
        const uint64_t plain = number_apply(&instruction, a, b, c, NUMBER_RN);
        if (isnormal(f32(a)) && isnormal(f32(b)) && isnormal(f32(c)) &&
            fabsf(f32(plain)) > 0x1p-125f)
            must_hold(number_apply(&instruction, a, b, c, NUMBER_FTZ) == plain,
                      "operation %d of %llx %llx %llx", operations[_i], (unsigned long long)a,
                      (unsigned long long)b, (unsigned long long)c);
    }
}
END_TEST

/* Sums and products of two f16, and products of two bf16, are exact in f64; sums of two bf16 where
 * the exponents are near. */
START_TEST(sixteen_bits_as_the_reference)
{
    const enum number_format format = _i ? NUMBER_BF16 : NUMBER_F16;
    const enum moe_dtype dtype = _i ? MOE_BF16 : MOE_F16;
    struct number_instruction add, sub, mul, fused;
    ck_assert(number_find(NUMBER_ADD, format, &add) && number_find(NUMBER_SUB, format, &sub) &&
              number_find(NUMBER_MUL, format, &mul) && number_find(NUMBER_FMA, format, &fused));
    uint64_t state = 3;
    for (int i = 0; i < as_many(24, 2); i++) {
        const uint16_t b = (uint16_t)random_word(&state);
        const double right = moe_dtype_load(dtype, &b, 0);
        for (uint32_t code = 0; code < 65536; code++) {
            const uint16_t a = (uint16_t)code;
            const double left = moe_dtype_load(dtype, &a, 0);
            uint16_t want[3];
            moe_dtype_store(dtype, want, 0, left + right, 0);
            moe_dtype_store(dtype, want, 1, left - right, 0);
            moe_dtype_store(dtype, want, 2, left * right, 0);
            const double values[3] = {left + right, left - right, left * right};
            const uint64_t got[3] = {number_apply(&add, a, b, 0, NUMBER_RN),
                                     number_apply(&sub, a, b, 0, NUMBER_RN),
                                     number_apply(&mul, a, b, 0, NUMBER_RN)};
            const int near = format == NUMBER_F16 || (fabs(left) < fabs(right) * 0x1p40 &&
                                                      fabs(right) < fabs(left) * 0x1p40);
            for (int j = near ? 0 : 2; j < 3; j++)
                if (values[j] != values[j] ? got[j] != 0x7fff : got[j] != want[j])
                    ck_abort_msg("%d of %04x %04x: %04x, not %04x", j, a, b, (unsigned)got[j],
                                 want[j]);
            if (!isnan(left * right))
                must_hold(number_apply(&fused, a, b, 0x8000, NUMBER_RN) == want[2],
                          "fused %04x %04x", a, b);
        }
    }
}
END_TEST

/* ---- by hand -------------------------------------------------------------------------------- */

static const struct {
    enum number_operation operation;
    enum number_format format;
    unsigned how;
    uint64_t a, b, c, d;
    const char *what;
} knowns[] = {
    {NUMBER_ADD, NUMBER_F32, 0, 0x7f800000, 0xff800000, 0, 0x7fffffff, "inf - inf"},
    {NUMBER_ADD, NUMBER_F32, 0, 0xffc12345, 0, 0, 0x7fffffff, "a NaN loses its payload"},
    {NUMBER_ADD, NUMBER_F32, NUMBER_FTZ, 0x807fffff, 0x80000000, 0, 0x80000000, "sign kept"},
    {NUMBER_MUL, NUMBER_F32, NUMBER_FTZ, 0x00800000, 0x3f000000, 0, 0, "a result flushed"},
    {NUMBER_MUL, NUMBER_F32, NUMBER_FTZ, 0x80800000, 0x3f000000, 0, 0x80000000, "to -0"},
    {NUMBER_MUL, NUMBER_F32, 0, 0x00800000, 0x3f000000, 0, 0x00400000, "not without"},
    {NUMBER_ADD, NUMBER_F32, NUMBER_SAT, 0x40000000, 0, 0, 0x3f800000, "2 to 1"},
    {NUMBER_ADD, NUMBER_F32, NUMBER_SAT, 0xc0000000, 0, 0, 0, "-2 to +0"},
    {NUMBER_ADD, NUMBER_F32, NUMBER_SAT, 0x7fc00000, 0, 0, 0, "NaN to +0"},
    {NUMBER_ADD, NUMBER_F32, NUMBER_SAT, 0x3f000000, 0, 0, 0x3f000000, "1/2 stays"},
    {NUMBER_ADD, NUMBER_F32, NUMBER_RM, 0x3f800000, 0xbf800000, 0, 0x80000000, "1 - 1 down"},
    {NUMBER_ADD, NUMBER_F32, NUMBER_RM, 0, 0, 0, 0, "0 + 0 down"},
    {NUMBER_FMA, NUMBER_F16, 0, 0x3c01, 0x3c01, 0xbc02, 0x0010, "fused: 2^-20 is left"},
    {NUMBER_FMA, NUMBER_F16, 0, 0x7bff, 0x7bff, 0xfbff, 0x7c00, "beyond f16 in between"},
    {NUMBER_FMA, NUMBER_F16, NUMBER_RELU, 0x3c00, 0xbc00, 0, 0, "relu of -1"},
    {NUMBER_FMA, NUMBER_F16, NUMBER_RELU, 0x7e00, 0xbc00, 0, 0x7fff, "relu keeps NaN"},
    {NUMBER_FMA, NUMBER_BF16, 0, 0x3f81, 0x3f81, 0xbf82, 0x3880, "fused: 2^-14 is left"},
    {NUMBER_FMA, NUMBER_BF16, 0, 0x3f80, 0x3f80, 0x0001, 0x3f80, "a subnormal far away"},
    {NUMBER_ADD, NUMBER_BF16, NUMBER_RN, 0x3f80, 0x3b80, 0, 0x3f80, "a tie to even"},
    {NUMBER_FMA, NUMBER_BF16, 0, 0x3f81, 0x3f80, 0x3b80, 0x3f82, "a tie to even, up"},
    {NUMBER_ADD, NUMBER_F16, NUMBER_FTZ, 0x0001, 0x8002, 0, 0, "f16 flushed"},
    {NUMBER_MIN, NUMBER_F32, 0, 0, 0x80000000, 0, 0x80000000, "-0 below +0"},
    {NUMBER_MAX, NUMBER_F32, 0, 0x80000000, 0, 0, 0, "+0 above -0"},
    {NUMBER_MIN, NUMBER_F32, 0, 0x7fc00000, 0x3f800000, 0, 0x3f800000, "NaN gives way"},
    {NUMBER_MAX, NUMBER_F32, 0, 0x3f800000, 0xffc00000, 0, 0x3f800000, "on either side"},
    {NUMBER_MAX, NUMBER_F32, 0, 0x7fc00000, 0xffc00000, 0, 0x7fffffff, "both"},
    {NUMBER_MIN, NUMBER_F32, NUMBER_NAN, 0x7fc00000, 0x3f800000, 0, 0x7fffffff, ".NaN"},
    {NUMBER_MIN, NUMBER_F32, NUMBER_FTZ, 0x00000001, 0x80000001, 0, 0x80000000, ".ftz"},
    {NUMBER_MAX, NUMBER_F32, NUMBER_XORSIGN_ABS, 0xc0000000, 0x3f800000, 0, 0xc0000000, "xor"},
    {NUMBER_MIN, NUMBER_F32, NUMBER_XORSIGN_ABS, 0xc0000000, 0xbf800000, 0, 0x3f800000, "xor"},
    {NUMBER_MAX, NUMBER_BF16, NUMBER_XORSIGN_ABS, 0xc000, 0x3f80, 0, 0xc000, "of bf16"},
    {NUMBER_MIN, NUMBER_F16, NUMBER_NAN, 0x3c00, 0xfe01, 0, 0x7fff, "of f16"},
    {NUMBER_MIN, NUMBER_F64, 0, 0, 1ull << 63, 0, 1ull << 63, "of f64"},
    {NUMBER_MAX3, NUMBER_F32, 0, 0x3f800000, 0x7fc00000, 0x40000000, 0x40000000, "of three"},
    {NUMBER_MIN3, NUMBER_F32, NUMBER_ABS, 0xc0000000, 0xbf800000, 0x40400000, 0x3f800000, "abs"},
    {NUMBER_NEG, NUMBER_F32, NUMBER_FTZ, 1, 0, 0, 0x80000000, "neg flushes"},
    {NUMBER_ABSOLUTE, NUMBER_F64, 0, 1ull << 63, 0, 0, 0, "abs"},
    {NUMBER_COPYSIGN, NUMBER_F32, 0, 0x80000000, 0x3f800000, 0, 0xbf800000, "sign of a"},
    {NUMBER_ADD, NUMBER_F16X2, 0, 0x3c007bff, 0x40007bff, 0, 0x42007c00, "1 + 2, overflow"},
    {NUMBER_MIN, NUMBER_BF16X2, 0, 0x3f80bf80, 0xbf803f80, 0, 0xbf80bf80, "a pair"},
    {NUMBER_FMA, NUMBER_F32X2, 0, 0x3f80000040000000, 0x4000000040000000, 0, 0x4000000040800000,
     "a pair of f32"},
    {NUMBER_ADD, NUMBER_F64, 0, 0x7ff0000000000000, 0xfff0000000000000, 0, 0xfff8000000000000,
     "f64 NaN"},
    {NUMBER_SQRT, NUMBER_F32, NUMBER_FTZ, 1, 0, 0, 0, "sqrt flushes"},
    {NUMBER_RCP, NUMBER_F32, NUMBER_FTZ, 0x80000001, 0, 0, 0xff800000, "1/-0"},
    {NUMBER_DIV, NUMBER_F32, NUMBER_RP, 0x3f800000, 0x40400000, 0, 0x3eaaaaab, "1/3 up"},
    {NUMBER_DIV, NUMBER_F32, NUMBER_RM, 0x3f800000, 0x40400000, 0, 0x3eaaaaaa, "1/3 down"},
};

START_TEST(known_answer)
{
    struct number_instruction instruction;
    ck_assert(number_find(knowns[_i].operation, knowns[_i].format, &instruction));
    const uint64_t got =
        number_apply(&instruction, knowns[_i].a, knowns[_i].b, knowns[_i].c, knowns[_i].how);
    ck_assert_msg(got == knowns[_i].d, "%s: %llx, not %llx", knowns[_i].what,
                  (unsigned long long)got, (unsigned long long)knowns[_i].d);
}
END_TEST

START_TEST(a_warp_is_its_lanes)
{
    static const struct {
        enum number_operation operation;
        void (*f32)(const uint32_t *, const uint32_t *, uint32_t *, uint32_t);
        void (*f64)(const uint64_t *, const uint64_t *, uint64_t *, uint32_t);
    } forms[] = {{NUMBER_ADD, number_add_f32_rn, number_add_f64_rn},
                 {NUMBER_SUB, number_sub_f32_rn, number_sub_f64_rn},
                 {NUMBER_MUL, number_mul_f32_rn, number_mul_f64_rn},
                 {NUMBER_FMA, NULL, NULL}};
    uint64_t state = 17;
    for (int round = 0; round < as_many(2000, 200); round++) {
        uint32_t a[32], b[32], c[32], d[32];
        uint64_t aa[32], bb[32], cc[32], dd[32];
        const uint32_t lanes = (uint32_t)random_below(&state, 33);
        for (int i = 0; i < 32; i++) {
            a[i] = (uint32_t)draw(NUMBER_F32, &state);
            b[i] = (uint32_t)draw(NUMBER_F32, &state);
            c[i] = (uint32_t)draw(NUMBER_F32, &state);
            aa[i] = draw(NUMBER_F64, &state);
            bb[i] = draw(NUMBER_F64, &state);
            cc[i] = draw(NUMBER_F64, &state);
            d[i] = 7;
            dd[i] = 7;
        }
        struct number_instruction narrow, wide;
        ck_assert(number_find(forms[_i].operation, NUMBER_F32, &narrow));
        ck_assert(number_find(forms[_i].operation, NUMBER_F64, &wide));
        if (forms[_i].f32) {
            forms[_i].f32(a, b, d, lanes);
            forms[_i].f64(aa, bb, dd, lanes);
        } else {
            number_fma_f32_rn(a, b, c, d, lanes);
            number_fma_f64_rn(aa, bb, cc, dd, lanes);
        }
        for (uint32_t i = 0; i < 32; i++) {
            must_hold(d[i] == (i < lanes ? number_apply(&narrow, a[i], b[i], c[i], 0) : 7),
                      "f32, lane %u of %u", i, lanes);
            must_hold(dd[i] == (i < lanes ? number_apply(&wide, aa[i], bb[i], cc[i], 0) : 7),
                      "f64, lane %u of %u", i, lanes);
        }
    }
}
END_TEST

START_TEST(compares)
{
    ck_assert_int_eq(number_compare(NUMBER_F32, 0, 0x80000000, 0), 0);
    ck_assert_int_eq(number_compare(NUMBER_F32, 1, 0, 0), 1);
    ck_assert_int_eq(number_compare(NUMBER_F32, 1, 0, NUMBER_FTZ), 0);
    ck_assert_int_eq(number_compare(NUMBER_BF16, 0xbf80, 0x3f80, 0), -1);
    ck_assert_int_eq(number_compare(NUMBER_F16, 0x7e00, 0x3c00, 0), 2);
    ck_assert_int_eq(number_compare(NUMBER_F64, 0xfff0000000000000u, 0, 0), -1);
    ck_assert_int_eq(number_is_nan(NUMBER_F16, 0x7c01), 1);
    ck_assert_int_eq(number_is_nan(NUMBER_F16, 0x7c00), 0);
}
END_TEST

START_TEST(not_in_ptx)
{
    struct number_instruction instruction;
    ck_assert(!number_find(NUMBER_DIV, NUMBER_F16, &instruction));
    ck_assert(!number_find(NUMBER_ADD, NUMBER_E4M3, &instruction));
    ck_assert(!number_find(NUMBER_APPROX_SIN, NUMBER_F64, &instruction));
    ck_assert(!number_find(NUMBER_OPERATION_COUNT, NUMBER_F32, &instruction));
    ck_assert(!number_find(NUMBER_ADD, NUMBER_FORMAT_COUNT, &instruction));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ptx_number");
    TCase *tests = tcase_create("ptx_number");
    tcase_add_loop_test(tests, as_the_host, 0, OPERATIONS * 4 * 2);
    tcase_add_loop_test(tests, qualified_is_plain_where_nothing_is_tiny, 0, OPERATIONS);
    tcase_add_loop_test(tests, sixteen_bits_as_the_reference, 0, 2);
    tcase_add_loop_test(tests, known_answer, 0, COUNT(knowns));
    tcase_add_loop_test(tests, a_warp_is_its_lanes, 0, 4);
    tcase_add_test(tests, compares);
    tcase_add_test(tests, not_in_ptx);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

/*
 * t_ptx_mma.c - the PTX machine's tensor cores: against the reference's model of the same chip
 * (ref/mma.c, integers throughout) on data of every range, integers against a sum, and the plain
 * model against fmaf.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/number_mma.h"
#include "tests/support.h"

static float f32(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t f32_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return value != value ? 0x7fffffffu : bits;
}

struct shape {
    enum number_mma_family family;
    int n, k, format;
    enum moe_dtype dtype;
    enum moe_instruction instruction;
};

static const struct shape shapes[] = {
    {NUMBER_WGMMA, 64, 16, NUMBER_BF16, MOE_BF16, MOE_MMA_K16},
    {NUMBER_WGMMA, 24, 16, NUMBER_F16, MOE_F16, MOE_MMA_K16},
    {NUMBER_WGMMA, 16, 32, NUMBER_E4M3, MOE_E4M3, MOE_WGMMA_K32},
    {NUMBER_MMA_SYNC, 8, 16, NUMBER_BF16, MOE_BF16, MOE_MMA_K16},
    {NUMBER_MMA_SYNC, 8, 16, NUMBER_F16, MOE_F16, MOE_MMA_K16},
    {NUMBER_MMA_SYNC, 8, 32, NUMBER_E4M3, MOE_E4M3, MOE_MMA_SYNC_K32},
};

/* Kinds of data: codes from all of the format, near 1, with zeros, subnormal, all of one sign and
 * large, with NaN and infinities. */
#define KINDS 6

static uint32_t draw(const struct shape *shape, int kind, uint64_t *state)
{
    const struct moe_dtype_info *info = moe_dtype_info(shape->dtype);
    const uint32_t sign = (uint32_t)random_below(state, 2) << (info->bits - 1);
    const uint32_t word = (uint32_t)random_word(state);
    const uint32_t fraction = word & ((1u << info->fraction_bits) - 1);
    const uint32_t low = (1u << (info->bits - 1)) - 1;
    const uint32_t one = (uint32_t)info->bias << info->fraction_bits;
    const uint32_t top = (1u << info->exponent_bits) - 2;
    switch (kind) {
    case 0:
        return sign | (word & low) % (top << info->fraction_bits);
    case 1:
        return sign | (one + ((word >> 20 & 3) << info->fraction_bits)) | fraction;
    case 2:
        return word >> 30 ? sign : sign | one | fraction;
    case 3:
        return sign | (word >> 31 ? fraction : one | fraction);
    case 4:
        return (top - (word >> 28 & 1)) << info->fraction_bits | fraction;
    default:
        return word >> 26 ? sign | one | fraction : sign | (word & low);
    }
}

static uint32_t draw_c(int kind, uint64_t *state)
{
    const uint32_t word = (uint32_t)random_word(state);
    switch (kind) {
    case 0:
        return word % 3 ? word & 0xbfffffff : 0;
    case 3:
        return word & 0x807fffff;
    case 5:
        return word % 16 ? word & 0xbfffffff : word | 0x7f800000;
    default:
        return (word & 0x83ffffff) | 0x3e000000;
    }
}

START_TEST(as_the_reference)
{
    const struct shape *shape = &shapes[_i % COUNT(shapes)];
    const int kind = _i / COUNT(shapes), n = shape->n, k = shape->k;
    const int m = shape->family == NUMBER_WGMMA ? 64 : 16;
    const struct number_mma mma = {.family = shape->family,
                                   .m = m,
                                   .n = n,
                                   .k = k,
                                   .a = shape->format,
                                   .b = shape->format,
                                   .d = NUMBER_F32};
    const struct moe_order order = {.instruction = shape->instruction};
    ck_assert(number_mma_known(&mma));
    static uint32_t a[64 * 32], b[32 * 256], d[64 * 256];
    static double left[64 * 32], right[256 * 32];
    static float c[64 * 256], want[64 * 256];
    uint64_t state = 31 + (uint64_t)_i;
    for (int round = 0; round < 12; round++) {
        for (int i = 0; i < m * k; i++) {
            a[i] = draw(shape, kind, &state);
            moe_dtype_load_many(shape->dtype, &a[i], 0, 1, &left[i]);
        }
        for (int i = 0; i < k * n; i++) {
            b[i] = draw(shape, kind, &state);
            moe_dtype_load_many(shape->dtype, &b[i], 0, 1, &right[i % n * k + i / n]);
        }
        for (int i = 0; i < m * n; i++) {
            d[i] = draw_c(kind, &state);
            c[i] = f32(d[i]);
        }
        ck_assert_int_eq(moe_mma_product(&order, shape->dtype, m, n, k, left, right, c, want),
                         MOE_OK);
        number_mma_run(&mma, a, b, d, d);
        for (int i = 0; i < m * n; i++)
            if (d[i] != f32_bits(want[i]))
                ck_abort_msg("shape %d, kind %d, (%d,%d): %08x, not %08x", _i % COUNT(shapes), kind,
                             i / n, i % n, d[i], f32_bits(want[i]));
    }
}
END_TEST

START_TEST(plain_is_fused_and_ascending)
{
    const struct shape *shape = &shapes[_i];
    const int n = shape->n, k = shape->k;
    const struct number_mma mma = {.family = shape->family,
                                   .model = NUMBER_MMA_PLAIN,
                                   .m = 16,
                                   .n = n,
                                   .k = k,
                                   .a = shape->format,
                                   .b = shape->format,
                                   .d = NUMBER_F32,
                                   .negate_b = 1};
    static uint32_t a[64 * 32], b[32 * 256], c[64 * 256], d[64 * 256];
    uint64_t state = 41 + (uint64_t)_i;
    for (int kind = 0; kind < KINDS; kind++) {
        for (int i = 0; i < 16 * k; i++)
            a[i] = draw(shape, kind, &state);
        for (int i = 0; i < k * n; i++)
            b[i] = draw(shape, kind, &state);
        for (int i = 0; i < 16 * n; i++)
            c[i] = draw_c(kind, &state);
        number_mma_run(&mma, a, b, c, d);
        for (int i = 0; i < 16 * n; i++) {
            float sum = f32(c[i]);
            for (int l = 0; l < k; l++) {
                double x, y;
                moe_dtype_load_many(shape->dtype, &a[i / n * k + l], 0, 1, &x);
                moe_dtype_load_many(shape->dtype, &b[l * n + i % n], 0, 1, &y);
                sum = fmaf((float)x, -(float)y, sum);
            }
            ck_assert_uint_eq(d[i], f32_bits(sum));
        }
    }
}
END_TEST

START_TEST(integers)
{
    static uint32_t a[16 * 32], b[32 * 8], c[16 * 8], d[16 * 8];
    uint64_t state = 51;
    for (int form = 0; form < 8; form++) {
        const struct number_mma mma = {.family = NUMBER_MMA_SYNC,
                                       .m = 16,
                                       .n = 8,
                                       .k = 32,
                                       .a = form & 1 ? NUMBER_S8 : NUMBER_U8,
                                       .b = form & 2 ? NUMBER_S8 : NUMBER_U8,
                                       .d = NUMBER_S32,
                                       .satfinite = form >> 2};
        ck_assert(number_mma_known(&mma));
        for (int i = 0; i < 16 * 32; i++)
            a[i] = (uint32_t)random_below(&state, 256);
        for (int i = 0; i < 32 * 8; i++)
            b[i] = (uint32_t)random_below(&state, 256);
        for (int i = 0; i < 16 * 8; i++)
            c[i] = i % 3 ? (uint32_t)random_word(&state) : i % 2 ? 0x7fffff00 : 0x80000010;
        number_mma_run(&mma, a, b, c, d);
        for (int i = 0; i < 16 * 8; i++) {
            int64_t sum = (int32_t)c[i];
            for (int k = 0; k < 32; k++) {
                const uint8_t x = (uint8_t)a[i / 8 * 32 + k], y = (uint8_t)b[k * 8 + i % 8];
                sum += (form & 1 ? (int8_t)x : x) * (form & 2 ? (int8_t)y : y);
            }
            if (mma.satfinite)
                sum = sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum;
            ck_assert_uint_eq(d[i], (uint32_t)sum);
        }
    }
}
END_TEST

START_TEST(bits_and_doubles)
{
    const uint32_t a[16 * 8] = {0xff, 3}, b[8 * 8] = {[0] = 0xf, [8] = 1}, c[16 * 8] = {5};
    uint32_t d[16 * 8];
    struct number_mma mma = {.family = NUMBER_MMA_SYNC,
                             .m = 16,
                             .n = 8,
                             .k = 8,
                             .a = NUMBER_MMA_B1,
                             .b = NUMBER_MMA_B1,
                             .d = NUMBER_S32,
                             .operation = NUMBER_MMA_XOR_POPC};
    ck_assert(number_mma_known(&mma));
    number_mma_run(&mma, a, b, c, d);
    ck_assert_uint_eq(d[0], 5 + 4 + 1);
    mma.operation = NUMBER_MMA_AND_POPC;
    number_mma_run(&mma, a, b, c, d);
    ck_assert_uint_eq(d[0], 5 + 4 + 1);
    ck_assert_uint_eq(d[1], 0);
    /* 3 * 5 + 7 */
    const uint64_t x[1] = {0x4008000000000000}, y[1] = {0x4014000000000000},
                   z[1] = {0x401c000000000000};
    uint64_t w[1];
    number_mma_run_f64(1, 1, 1, x, y, z, w, NUMBER_RN);
    ck_assert_uint_eq(w[0], 0x4036000000000000);
}
END_TEST

START_TEST(scales_and_no_c)
{
    static uint32_t a[64 * 16], b[16 * 8], d[64 * 8];
    struct number_mma mma = {.family = NUMBER_WGMMA,
                             .m = 64,
                             .n = 8,
                             .k = 16,
                             .a = NUMBER_BF16,
                             .b = NUMBER_BF16,
                             .d = NUMBER_F32,
                             .negate_a = 1};
    a[3] = 0x4000;
    b[3 * 8 + 1] = 0x4040;
    d[1] = 0x3f800000;
    number_mma_run(&mma, a, b, NULL, d);
    ck_assert_uint_eq(d[1], 0xc0c00000);
    mma.negate_b = 1;
    number_mma_run(&mma, a, b, d, d);
    ck_assert_uint_eq(d[1], 0);
    mma.d = NUMBER_S32;
    ck_assert(!number_mma_known(&mma));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ptx_mma");
    TCase *tests = tcase_create("ptx_mma");
    tcase_add_loop_test(tests, as_the_reference, 0, COUNT(shapes) * KINDS);
    tcase_add_loop_test(tests, plain_is_fused_and_ascending, 0, COUNT(shapes));
    tcase_add_test(tests, integers);
    tcase_add_test(tests, bits_and_doubles);
    tcase_add_test(tests, scales_and_no_c);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

/*
 * t_ptx_approx.c - the approximate functions against figures that an H100 gave: how many of a
 * range's results are the correctly rounded ones, how many of the 16-bit forms would be others if
 * they were rounded to nearest, the special cases, and hashes of what was compared with the chip.
 */
#include <math.h>
#include <string.h>

#include <xxhash.h>

#include "gpu/ptx/number.h"
#include "tests/support.h"

static float f32(uint64_t code)
{
    uint32_t bits = (uint32_t)code;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t f32_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static struct number_instruction found(enum number_operation operation, enum number_format format)
{
    struct number_instruction instruction;
    ck_assert(number_find(operation, format, &instruction));
    return instruction;
}

static uint32_t of(const struct number_instruction *function, uint32_t x, unsigned how)
{
    return (uint32_t)number_apply(function, x, 0, 0, how);
}

/* ---- distance from the correctly rounded result --------------------------------------------- */

static double root(double x)
{
    return sqrt(x);
}

static double reciprocal_root(double x)
{
    return 1 / sqrt(x);
}

static double reciprocal(double x)
{
    return 1 / x;
}

/* Results one or two last places below, right, one above, of 2^23 inputs from `first`. */
static const struct {
    enum number_operation operation;
    double (*exact)(double);
    uint32_t first;
    int counts[4];
} distances[] = {
    {NUMBER_APPROX_RCP, reciprocal, 0x3f800000, {0, 374723, 7280086, 733799}},
    {NUMBER_APPROX_RSQRT, reciprocal_root, 0x3f800000, {8, 1265297, 6505163, 618140}},
    {NUMBER_APPROX_RSQRT, reciprocal_root, 0x40000000, {0, 1079094, 6637923, 671591}},
    {NUMBER_APPROX_SQRT, root, 0x3f800000, {0, 1321509, 6988859, 78240}},
    {NUMBER_APPROX_SQRT, root, 0x40000000, {0, 1280993, 6958554, 149061}},
    {NUMBER_APPROX_EX2, exp2, 0x3f800000, {0, 3093, 5125875, 3259640}},
    {NUMBER_APPROX_EX2, exp2, 0x3f000000, {0, 835145, 5752831, 1800632}},
};

START_TEST(distance)
{
    const struct number_instruction function = found(distances[_i].operation, NUMBER_F32);
    int counts[4] = {0};
    for (uint32_t i = 0; i < 1 << 23; i++) {
        const uint32_t x = distances[_i].first + i;
        const uint32_t right = f32_bits((float)distances[_i].exact((double)f32(x)));
        const int64_t off = (int64_t)of(&function, x, NUMBER_FTZ) - (int64_t)right;
        must_hold(off >= -2 && off <= 1, "%08x is off by %lld", x, (long long)off);
        counts[off + 2]++;
    }
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(counts[i], distances[_i].counts[i]);
}
END_TEST

/* tanh goes down so many times between neighbours in [2^-8,8). */
START_TEST(tanh_goes_down)
{
    const struct number_instruction function = found(NUMBER_APPROX_TANH, NUMBER_F32);
    uint32_t before = of(&function, 0x3b800000, 0);
    int down = 0;
    for (uint32_t x = 0x3b800001; x < 0x41000000; x++) {
        const uint32_t y = of(&function, x, 0);
        down += y < before;
        before = y;
    }
    ck_assert_int_eq(down, 26240);
}
END_TEST

/* ---- 16 bits -------------------------------------------------------------------------------- */

static const struct {
    enum number_operation operation;
    enum number_format format;
    enum moe_dtype dtype;
    unsigned how;
    int others; /* results that rounding to nearest would change */
} narrow[] = {
    {NUMBER_APPROX_EX2, NUMBER_BF16, MOE_BF16, NUMBER_FTZ, 3496},
    {NUMBER_APPROX_EX2, NUMBER_F16, MOE_F16, 0, 19415},
    {NUMBER_APPROX_TANH, NUMBER_BF16, MOE_BF16, 0, 2086},
    {NUMBER_APPROX_TANH, NUMBER_F16, MOE_F16, 0, 14730},
};

START_TEST(sixteen_bits_are_truncated)
{
    const struct number_instruction function = found(narrow[_i].operation, narrow[_i].format);
    const struct number_instruction wide = found(narrow[_i].operation, NUMBER_F32);
    int others = 0;
    for (uint32_t code = 0; code < 65536; code++) {
        const uint16_t a = (uint16_t)code;
        const double x = moe_dtype_load(narrow[_i].dtype, &a, 0);
        uint16_t nearest;
        const double y = (double)f32(of(&wide, f32_bits((float)x), NUMBER_FTZ));
        moe_dtype_store(narrow[_i].dtype, &nearest, 0, y, 0);
        const uint32_t got = of(&function, a, narrow[_i].how);
        if (x != x)
            must_hold(got == 0x7fff, "a NaN becomes %04x", got);
        else
            others += got != nearest;
    }
    ck_assert_int_eq(others, narrow[_i].others);
}
END_TEST

/* ---- without .ftz --------------------------------------------------------------------------- */

/* Inputs for which .ftz matters: those of a sign whose results or selves are subnormal. */
static const struct {
    enum number_operation operation;
    uint32_t first, last;
    int differ;
} flushed[] = {
    {NUMBER_APPROX_EX2, 0xc2fc0000, 0xc3200000, 1703935},
    {NUMBER_APPROX_RCP, 0x00000000, 0x00800000, 6291455},
    {NUMBER_APPROX_RCP, 0x7e800000, 0x7f800000, 16777215},
    {NUMBER_APPROX_RSQRT, 0x00000000, 0x00800000, 8388607},
    {NUMBER_APPROX_LG2, 0x00000000, 0x00800000, 8388607},
    {NUMBER_APPROX_SQRT, 0x00000000, 0x00800000, 8388607},
    {NUMBER_APPROX_SQRT, 0x00800000, 0x01000000, 0},
};

START_TEST(ftz_matters)
{
    const struct number_instruction function = found(flushed[_i].operation, NUMBER_F32);
    int differ = 0;
    for (uint32_t x = flushed[_i].first; x <= flushed[_i].last; x++)
        differ += of(&function, x, 0) != of(&function, x, NUMBER_FTZ);
    ck_assert_int_eq(differ, flushed[_i].differ);
}
END_TEST

/* ---- known answers -------------------------------------------------------------------------- */

static const struct {
    enum number_operation operation;
    uint32_t x, y;
} knowns[] = {
    {NUMBER_APPROX_RCP, 0x00000000, 0x7f800000},   {NUMBER_APPROX_RCP, 0x80000001, 0xff800000},
    {NUMBER_APPROX_RCP, 0xff800000, 0x80000000},   {NUMBER_APPROX_RCP, 0x7f800001, 0x7fffffff},
    {NUMBER_APPROX_RCP, 0x40000000, 0x3f000000},   {NUMBER_APPROX_RCP, 0x7f000000, 0x00000000},
    {NUMBER_APPROX_RSQRT, 0x3f800000, 0x3f800000}, {NUMBER_APPROX_RSQRT, 0x40800000, 0x3f000000},
    {NUMBER_APPROX_RSQRT, 0x80000000, 0xff800000}, {NUMBER_APPROX_RSQRT, 0xbf800000, 0x7fffffff},
    {NUMBER_APPROX_RSQRT, 0x7f800000, 0x00000000}, {NUMBER_APPROX_SQRT, 0x80000000, 0x80000000},
    {NUMBER_APPROX_SQRT, 0x40800000, 0x40000000},  {NUMBER_APPROX_SQRT, 0x7f800000, 0x7f800000},
    {NUMBER_APPROX_SQRT, 0xbf800000, 0x7fffffff},  {NUMBER_APPROX_EX2, 0x00000000, 0x3f800000},
    {NUMBER_APPROX_EX2, 0x43000000, 0x7f800000},   {NUMBER_APPROX_EX2, 0xc2fc0000, 0x00800000},
    {NUMBER_APPROX_EX2, 0xc2fc0001, 0x00000000},   {NUMBER_APPROX_EX2, 0xff800000, 0x00000000},
    {NUMBER_APPROX_EX2, 0xc0400000, 0x3e000000},   {NUMBER_APPROX_EX2, 0xffc00000, 0x7fffffff},
    {NUMBER_APPROX_LG2, 0x3f800000, 0x00000000},   {NUMBER_APPROX_LG2, 0x00800000, 0xc2fbffff},
    {NUMBER_APPROX_LG2, 0x3f000000, 0xbf7ffffe},   {NUMBER_APPROX_LG2, 0x00000000, 0xff800000},
    {NUMBER_APPROX_LG2, 0xbf800000, 0x7fffffff},   {NUMBER_APPROX_LG2, 0x7f800000, 0x7f800000},
    {NUMBER_APPROX_TANH, 0x80000001, 0x80000001},  {NUMBER_APPROX_TANH, 0x3b7fffff, 0x3b7fffff},
    {NUMBER_APPROX_TANH, 0xc1000000, 0xbf800000},  {NUMBER_APPROX_TANH, 0xff800000, 0xbf800000},
    {NUMBER_APPROX_TANH, 0x7fc00000, 0x7fffffff},  {NUMBER_APPROX_SIN, 0x80000000, 0x80000000},
    {NUMBER_APPROX_COS, 0x80000000, 0x3f800000},   {NUMBER_APPROX_SIN, 0x7f800000, 0x7fffffff},
};

START_TEST(known_answer)
{
    const struct number_instruction function = found(knowns[_i].operation, NUMBER_F32);
    ck_assert_uint_eq(of(&function, knowns[_i].x, NUMBER_FTZ), knowns[_i].y);
}
END_TEST

/* XXH3 of the results for every 251st input, of a model that was compared with the chip for all. */
static const struct {
    enum number_operation operation;
    uint64_t hash;
} hashes[] = {
    {NUMBER_APPROX_EX2, 0x88444d6bdb9895f6},   {NUMBER_APPROX_RCP, 0xdbf902c384d3d28d},
    {NUMBER_APPROX_RSQRT, 0x8937d6931eecffe1}, {NUMBER_APPROX_SQRT, 0x5c08236c6067b43e},
    {NUMBER_APPROX_LG2, 0xfcbb1af2e184a60f},   {NUMBER_APPROX_TANH, 0x2efcc9173fcb41cd},
};

START_TEST(hash)
{
    const struct number_instruction function = found(hashes[_i].operation, NUMBER_F32);
    XXH3_state_t *state = XXH3_createState();
    XXH3_64bits_reset(state);
    for (uint64_t x = 0; x < 1ull << 32; x += 251) {
        const uint32_t y = of(&function, (uint32_t)x, NUMBER_FTZ);
        const uint8_t bytes[4] = {(uint8_t)y, (uint8_t)(y >> 8), (uint8_t)(y >> 16),
                                  (uint8_t)(y >> 24)};
        XXH3_64bits_update(state, bytes, 4);
    }
    const uint64_t digest = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    ck_assert_msg(digest == hashes[_i].hash, "hash %016llx", (unsigned long long)digest);
}
END_TEST

/* ---- within their documented error ---------------------------------------------------------- */

START_TEST(waves)
{
    const struct number_instruction sine = found(NUMBER_APPROX_SIN, NUMBER_F32);
    const struct number_instruction cosine = found(NUMBER_APPROX_COS, NUMBER_F32);
    uint64_t state = 7;
    for (int i = 0; i < 200000; i++) {
        const int far = i % 2;
        const float x = (float)random_in(&state, far ? -314 : -6.28, far ? 314 : 6.28);
        const double bound = far ? 0x1p-14 : 0x1p-20;
        const double s = (double)f32(of(&sine, f32_bits(x), NUMBER_FTZ));
        const double c = (double)f32(of(&cosine, f32_bits(x), NUMBER_FTZ));
        must_hold(fabs(s - sin((double)x)) <= bound, "sin %a is %a", (double)x, s);
        must_hold(fabs(c - cos((double)x)) <= bound, "cos %a is %a", (double)x, c);
    }
}
END_TEST

START_TEST(quotients)
{
    const struct number_instruction approx = found(NUMBER_APPROX_DIV, NUMBER_F32);
    const struct number_instruction full = found(NUMBER_FULL_DIV, NUMBER_F32);
    uint64_t state = 8;
    for (int i = 0; i < 200000; i++) {
        const uint32_t a = (uint32_t)random_word(&state), b = (uint32_t)random_word(&state);
        const double exact = (double)f32(a) / (double)f32(b);
        if (!(fabs(exact) > 0x1p-125 && fabs(exact) < 0x1p127) || !isnormal(f32(a)))
            continue;
        const double got = (double)f32(number_apply(&full, a, b, 0, 0));
        must_hold(fabs(got - exact) <= 0x1p-22 * fabs(exact), "%08x / %08x is %a", a, b, got);
        if (fabsf(f32(b)) >= 0x1p-126f && fabsf(f32(b)) <= 0x1p126f) {
            const double other = (double)f32(number_apply(&approx, a, b, 0, NUMBER_FTZ));
            must_hold(fabs(other - exact) <= 0x1p-22 * fabs(exact), "%08x / %08x is %a", a, b,
                      other);
        }
    }
    ck_assert_uint_eq(number_apply(&approx, 0x3f800000, 0x7f000000, 0, NUMBER_FTZ), 0);
    ck_assert_uint_eq(number_apply(&approx, 0x7f800000, 0x7f000000, 0, NUMBER_FTZ), 0x7fffffff);
    ck_assert_uint_eq(number_apply(&full, 0x3f800000, 0, 0, 0), 0x7f800000);
}
END_TEST

START_TEST(doubles)
{
    const struct number_instruction rcp = found(NUMBER_APPROX_RCP, NUMBER_F64);
    const struct number_instruction rsqrt = found(NUMBER_APPROX_RSQRT, NUMBER_F64);
    uint64_t state = 9;
    for (int i = 0; i < 100000; i++) {
        const double x = ldexp(random_in(&state, 1, 4), (int)random_below(&state, 1900) - 950);
        uint64_t bits;
        memcpy(&bits, &x, sizeof bits);
        const uint64_t results[2] = {number_apply(&rcp, bits, 0, 0, NUMBER_FTZ),
                                     number_apply(&rsqrt, bits, 0, 0, NUMBER_FTZ)};
        double y, z;
        memcpy(&y, &results[0], sizeof y);
        memcpy(&z, &results[1], sizeof z);
        must_hold(fabs(x * y - 1) < 0x1p-19 && fabs(z * z * x - 1) < 0x1p-18, "of %a: %a, %a", x, y,
                  z);
        must_hold((results[0] & 0xffffffff) == 0, "1 / %a is %a", x, y);
    }
    ck_assert_uint_eq(number_apply(&rcp, 1ull << 63, 0, 0, NUMBER_FTZ), 0xfff0000000000000u);
    ck_assert_uint_eq(number_apply(&rcp, 0x7fefffffffffffffu, 0, 0, NUMBER_FTZ), 0);
    ck_assert_uint_eq(number_apply(&rsqrt, 0x4010000000000000u, 0, 0, NUMBER_FTZ),
                      0x3fe0000000000000u);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ptx_approx");
    TCase *tests = tcase_create("ptx_approx");
    tcase_add_loop_test(tests, distance, 0, COUNT(distances));
    tcase_add_test(tests, tanh_goes_down);
    tcase_add_loop_test(tests, sixteen_bits_are_truncated, 0, COUNT(narrow));
    tcase_add_loop_test(tests, ftz_matters, 0, COUNT(flushed));
    tcase_add_loop_test(tests, known_answer, 0, COUNT(knowns));
    tcase_add_loop_test(tests, hash, 0, COUNT(hashes));
    tcase_add_test(tests, waves);
    tcase_add_test(tests, quotients);
    tcase_add_test(tests, doubles);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

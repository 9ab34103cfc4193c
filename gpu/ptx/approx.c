/*
 * approx.c - ex2, lg2, rcp, rsqrt, sqrt and tanh as an H100 computes them, bit for bit.
 *
 * The leading bits of the reduced argument choose a row (C0, C1, C2); with X the other bits as an
 * integer and S a truncated square of X's top 15 bits
 *     y = floor(C0 + K + C1 X + C2 S)
 * in units of 2^-18 of the result's last place (lg2: 2^-42, tanh: 2^-48), everything exact. S adds
 * the partial products of weight 2^15 and more only. The shape is that of Oberman and Siu, A
 * high-performance area-efficient multifunction interpolator (2005).
 *
 * Shown by experiment on one H100: equal for all 2^32 inputs of each f32 function with .ftz, for
 * all 2^16 inputs of the forms of f16 and bf16. Without .ftz code scales what is subnormal around
 * the same function.
 */
#include "gpu/ptx/approx.h"
#include "gpu/ptx/approx_tables.h"
#include "gpu/ptx/number_bits.h"

#define ONE 0x3f800000u
#define INFINITE 0x7f800000u
#define SIGN 0x80000000u
#define FRACTION 0x7fffffu

struct curve {
    const struct approx_row *rows;
    int low;                /* bits of X */
    int constant;           /* C0's unit is 2^constant */
    int64_t linear, square; /* units of C1 and C2 */
    int64_t bias;           /* K: one of an interval in which all give the same results */
};

static const struct curve rcp_curve = {approx_rcp_rows, 16, 16, 8, 8, 16184};
static const struct curve ex2_curve = {approx_ex2_rows, 17, 16, 8, 8, 48912};
static const struct curve rsqrt_curve = {approx_rsqrt_rows, 17, 16, 4, 16, 65535};
static const struct curve sqrt_curve = {approx_sqrt_rows, 17, 16, 2, 4, 65535};
static const struct curve lg2_curve = {approx_lg2_rows, 17, 16, 16, 32, 13392};
static const struct curve tanh_curve = {approx_tanh_rows, 17, 17, 1, 4, 0};

/* sum of h_i h_j 2^(i+j) over the places of h, 15 bits, without the partial products below 2^15,
 * over 2^15. h_i h_j with i < j is one of weight 2^(i+j+1). */
static uint32_t truncated_square(uint32_t h)
{
    uint32_t dropped = 0;
    for (int i = 0; i < 8; i++) {
        const uint32_t others = h >> (i + 1) << (i + 1) & ((1u << (14 - i)) - 1);
        dropped += (h >> i & 1) * ((1u << 2 * i) + (others << (i + 1)));
    }
    return (h * h - dropped) >> 15;
}

static int64_t evaluate(const struct curve *curve, uint32_t row, uint32_t x)
{
    const struct approx_row *c = &curve->rows[row];
    const int64_t square = truncated_square(x >> (curve->low - 15));
    return c->constant * (1ll << curve->constant) + curve->bias + c->linear * curve->linear * x +
           c->square * curve->square * square;
}

/* The last place of a result is 2^18 units. */
static uint32_t interpolate(const struct curve *curve, uint32_t row, uint32_t fraction)
{
    return (uint32_t)(evaluate(curve, row, fraction & ((1u << curve->low) - 1)) >> 18);
}

/* A positive normal f32 times 2^n, with .ftz. */
static uint32_t scale(uint32_t value, int n)
{
    const int exponent = (int)(value >> 23) + n;
    if (exponent <= 0)
        return 0;
    return exponent >= 255 ? INFINITE : (value & FRACTION) | (uint32_t)exponent << 23;
}

/* units * 2^exponent, positive or 0, towards zero to 24 digits. */
static uint32_t truncate(uint64_t units, int exponent)
{
    if (units == 0)
        return 0;
    const int leading = 63 - __builtin_clzll(units);
    const uint64_t kept = leading >= 23 ? units >> (leading - 23) : units << (23 - leading);
    return (uint32_t)(leading + exponent + 127) << 23 | ((uint32_t)kept & FRACTION);
}

static int field_of(uint32_t x)
{
    return (int)(x >> 23 & 255);
}

/* ---- f32 with .ftz -------------------------------------------------------------------------- */

static uint32_t rcp(uint32_t x)
{
    const uint32_t sign = x & SIGN, fraction = x & FRACTION;
    const int field = field_of(x);
    if (field == 0)
        return sign | INFINITE;
    if (field == 255)
        return fraction ? F32_NAN : sign;
    /* In [1/2,1]. */
    const uint32_t result = 0x3e800000u + interpolate(&rcp_curve, fraction >> 16, fraction);
    return sign | scale(result, 127 - field);
}

/* The parity of the exponent chooses half of the rows; `half` is the exponent's half. */
static uint32_t parity_row(uint32_t x, int *half)
{
    const int exponent = field_of(x) - 127, odd = exponent & 1;
    *half = (exponent - odd) / 2;
    return (uint32_t)odd << 6 | (x & FRACTION) >> 17;
}

static uint32_t rsqrt(uint32_t x)
{
    const int field = field_of(x);
    int half;
    if (field == 0)
        return (x & SIGN) | INFINITE;
    if (x > INFINITE)
        return F32_NAN; /* negative, or NaN */
    if (x == INFINITE)
        return 0;
    const uint32_t row = parity_row(x, &half);
    const int one = (x & (FRACTION | 1u << 23)) == 1u << 23; /* the formula is a place too low */
    const uint32_t result = one ? ONE : 0x3e800000u + interpolate(&rsqrt_curve, row, x);
    return scale(result, -half);
}

static uint32_t square_root(uint32_t x)
{
    int half;
    if (field_of(x) == 0)
        return x & SIGN;
    if (x > INFINITE)
        return F32_NAN;
    if (x == INFINITE)
        return x;
    const uint32_t row = parity_row(x, &half);
    return scale(0x3f000000u + interpolate(&sqrt_curve, row, x), half);
}

static uint32_t ex2(uint32_t x)
{
    const int field = field_of(x);
    const uint32_t sign = x >> 31, significand = (x & FRACTION) | 1u << 23;
    if (field == 255 && (x & FRACTION))
        return F32_NAN;
    if (field < 104) /* below 2^-23 */
        return ONE;
    if (field >= 135) /* 256 and more */
        return sign ? 0 : INFINITE;
    /* |x| to 23 places after the point. */
    const uint32_t fixed =
        field >= 127 ? significand << (field - 127) : significand >> (127 - field);
    int whole = (int)(fixed >> 23);
    uint32_t fraction = fixed & FRACTION;
    if (sign) {
        if (fraction == 0)
            return scale(ONE, -whole);
        fraction ^= FRACTION; /* one's complement, not two's */
        whole = -whole - 1;
    }
    return scale(0x3f000000u + interpolate(&ex2_curve, fraction >> 17, fraction), whole);
}

static uint32_t lg2(uint32_t x)
{
    const uint32_t fraction = x & FRACTION;
    if (field_of(x) == 0)
        return SIGN | INFINITE;
    if (x > INFINITE)
        return F32_NAN;
    if (x == INFINITE)
        return x;
    if (x == ONE)
        return 0;
    /* 36 places after the point. */
    const int64_t whole = (int64_t)(field_of(x) - 127) * (1ll << 36);
    const int64_t part = evaluate(&lg2_curve, fraction >> 17, fraction & 0x1ffff) >> 6;
    if (whole >= 0)
        return truncate((uint64_t)(whole + part), -36);
    return SIGN | truncate((uint64_t)(-whole - part - 1), -36); /* one's complement */
}

/* Octaves of tanh from 2^-8: 2^bits rows each. */
static const struct {
    uint8_t bits, first;
} tanh_octaves[11] = {{0, 0},  {0, 1},  {0, 2},  {1, 3},  {1, 5}, {2, 7},
                      {2, 11}, {2, 15}, {3, 19}, {4, 27}, {3, 43}};

static uint32_t hyperbolic_tangent(uint32_t x)
{
    const int octave = field_of(x) - 119;
    if ((x & ~SIGN) > INFINITE)
        return F32_NAN;
    if (octave < 0)
        return x;
    if (octave > 10)
        return (x & SIGN) | ONE;
    const int bits = tanh_octaves[octave].bits;
    const uint32_t moved = (x & FRACTION) << bits;
    const uint32_t row = tanh_octaves[octave].first + (moved >> 23);
    return (x & SIGN) |
           truncate((uint64_t)evaluate(&tanh_curve, row, (moved & FRACTION) >> 6), -48);
}

/* ---- f32 without .ftz, the forms of 16 bits ------------------------------------------------- */

static int is_subnormal(uint32_t x)
{
    return field_of(x) == 0 && (x & FRACTION);
}

static uint32_t times(uint32_t x, double factor)
{
    return (uint32_t)number_encode(NUMBER_F32, (double)number_f32(x) * factor, NUMBER_RN);
}

/* f32 results towards zero; what has an exponent beyond the format's is infinite. */
static uint64_t narrow(enum number_format format, uint32_t value, unsigned how)
{
    const double wide = (double)number_f32(value);
    const double beyond = format == NUMBER_F16 ? 0x1p16 : (double)INFINITY;
    return number_encode(format, fabs(wide) >= beyond ? copysign((double)INFINITY, wide) : wide,
                         NUMBER_RZ | (how & NUMBER_FTZ));
}

uint64_t number_approx_ex2(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                           unsigned how)
{
    (void)b;
    (void)c;
    if (format != NUMBER_F32) {
        const uint64_t operand = how & NUMBER_FTZ ? number_flush(format, a) : a;
        return narrow(format, ex2(number_f32_bits((float)number_decode(format, operand))), how);
    }
    const uint32_t x = (uint32_t)a;
    /* Below -126 the root is computed, and squared. */
    if (!(how & NUMBER_FTZ) && number_f32(x) < -126) {
        const uint32_t root = ex2(times(x, 0.5));
        return times(root, (double)number_f32(root));
    }
    return ex2(x);
}

uint64_t number_approx_lg2(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                           unsigned how)
{
    (void)format;
    (void)b;
    (void)c;
    const uint32_t x = (uint32_t)a;
    if ((how & NUMBER_FTZ) || !is_subnormal(x))
        return lg2(x);
    return number_encode(NUMBER_F32, (double)number_f32(lg2(times(x, 0x1p24))) - 24, NUMBER_RN);
}

uint64_t number_approx_rcp(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                           unsigned how)
{
    (void)format;
    (void)b;
    (void)c;
    const uint32_t x = (uint32_t)a;
    if (!(how & NUMBER_FTZ) && is_subnormal(x))
        return times(rcp(times(x, 0x1p24)), 0x1p24);
    if (!(how & NUMBER_FTZ) && field_of(x) >= 253 && field_of(x) < 255)
        return times(rcp(times(x, 0.25)), 0.25);
    return rcp(x);
}

uint64_t number_approx_rsqrt(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                             unsigned how)
{
    (void)format;
    (void)b;
    (void)c;
    const uint32_t x = (uint32_t)a;
    if (!(how & NUMBER_FTZ) && is_subnormal(x))
        return times(rsqrt(times(x, 0x1p24)), 0x1p12);
    return rsqrt(x);
}

uint64_t number_approx_sqrt(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                            unsigned how)
{
    (void)format;
    (void)b;
    (void)c;
    const uint32_t x = (uint32_t)a;
    if (!(how & NUMBER_FTZ) && is_subnormal(x))
        return times(square_root(times(x, 0x1p24)), 0x1p-12);
    return square_root(x);
}

uint64_t number_approx_tanh(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                            unsigned how)
{
    (void)b;
    (void)c;
    if (format == NUMBER_F32)
        return hyperbolic_tangent((uint32_t)a);
    return narrow(format, hyperbolic_tangent(number_f32_bits((float)number_decode(format, a))),
                  how);
}

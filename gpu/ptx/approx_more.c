/*
 * approx_more.c - the approximate forms of which no table was made: sin and cos within their
 * documented error; quotients and the f64 forms of rcp and rsqrt, which an H200 gave so on 8192
 * drawn inputs each.
 */
#include "gpu/ptx/approx.h"
#include "gpu/ptx/number_bits.h"

/* sin of `turn` quarter turns, turn in [-1/2,1/2]; cos likewise: Taylor's series, whose first term
 * left out is below 2^-50. Operations that IEEE defines, so the same on every host. */
static double sin_quarter(double turn)
{
    const double x = turn * 0x1.921fb54442d18p+0, square = x * x;
    double sum = 0;
    for (int n = 15; n > 1; n -= 2)
        sum = (1 + sum) * -square / (n * (n - 1));
    return x + x * sum;
}

static double cos_quarter(double turn)
{
    const double x = turn * 0x1.921fb54442d18p+0, square = x * x;
    double sum = 0;
    for (int n = 16; n > 0; n -= 2)
        sum = (1 + sum) * -square / (n * (n - 1));
    return 1 + sum;
}

/* sin(pi/2 (4 t + ahead)), where t is a / 2 pi in f32: as the hardware does it, the argument is
 * first brought to turns in f32, and that is where the error for large arguments comes from. */
static uint64_t wave(uint64_t a, unsigned how, int ahead)
{
    if (how & NUMBER_FTZ)
        a = number_flush(NUMBER_F32, a);
    const double x = (double)number_f32((uint32_t)a);
    if (!isfinite(x))
        return F32_NAN;
    if (x == 0)
        return ahead ? number_f32_bits(1) : a;
    const double turns =
        number_decode(NUMBER_F32, number_encode(NUMBER_F32, x * 0x1.45f306p-3, how));
    const double quarters = 4 * (turns - floor(turns)), near = floor(quarters + 0.5);
    const double rest = quarters - near;
    const int quadrant = ((int)near + ahead) & 3;
    double y = quadrant & 1 ? cos_quarter(rest) : sin_quarter(rest);
    if (quadrant & 2)
        y = -y;
    return number_encode(NUMBER_F32, y, how);
}

uint64_t number_approx_sin(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                           unsigned how)
{
    (void)format;
    (void)b;
    (void)c;
    return wave(a, how, 0);
}

uint64_t number_approx_cos(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                           unsigned how)
{
    (void)format;
    (void)b;
    (void)c;
    return wave(a, how, 1);
}

static uint64_t times(uint64_t a, uint64_t b, unsigned how)
{
    if (how & NUMBER_FTZ) {
        a = number_flush(NUMBER_F32, a);
        b = number_flush(NUMBER_F32, b);
    }
    return number_encode(NUMBER_F32,
                         (double)number_f32((uint32_t)a) * (double)number_f32((uint32_t)b), how);
}

static uint64_t power(int exponent)
{
    return number_f32_bits(ldexpf(1, exponent));
}

/* Of a large divisor the reciprocal is 0, as the text says; a subnormal one is scaled. */
uint64_t number_approx_div(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                           unsigned how)
{
    (void)c;
    if (!(how & NUMBER_FTZ) && (b & 0x7fffffff) < 0x00800000) {
        a = times(a, power(24), how);
        b = times(b, power(24), how);
    }
    return times(a, number_approx_rcp(format, b, 0, 0, NUMBER_FTZ), how);
}

/* Where 1/b would be subnormal, or b is, both are scaled. */
uint64_t number_full_div(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                         unsigned how)
{
    (void)c;
    const uint64_t magnitude = b & 0x7fffffff;
    int up = 0;
    if (magnitude > 0x7e800000 && magnitude <= 0x7f800000)
        up = -2;
    else if (!(how & NUMBER_FTZ) && magnitude < 0x00800000)
        up = 24;
    if (up != 0) {
        a = times(a, power(up), how);
        b = times(b, power(up), how);
    }
    return times(a, number_approx_rcp(format, b, 0, 0, NUMBER_FTZ), how);
}

/* ---- f64: the upper halves alone ------------------------------------------------------------ */

#define UPPER 0xffffffff00000000u
#define UPPER_NAN 0x7fffffff00000000u

/* The exponent of the f32 in which the mantissa's 20 bits are looked up is `exponent`. */
static uint64_t lookup(uint64_t a, int exponent,
                       uint64_t (*function)(enum number_format, uint64_t, uint64_t, uint64_t,
                                            unsigned))
{
    const uint32_t x = (uint32_t)(exponent + 127) << 23 | ((uint32_t)(a >> 32) & 0xfffff) << 3;
    const double y = (double)number_f32((uint32_t)function(NUMBER_F32, x, 0, 0, NUMBER_FTZ));
    return number_f64_bits(y) & UPPER;
}

static uint64_t scale(uint64_t value, int exponent)
{
    const int field = (int)(value >> 52 & 0x7ff) + exponent;
    if (field <= 0)
        return 0;
    return (value & 0xfffffffffffffu) | (uint64_t)(field < 0x7ff ? field : 0x7ff) << 52;
}

uint64_t number_approx_rcp_f64(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                               unsigned how)
{
    (void)format;
    (void)b;
    (void)c;
    (void)how;
    const uint64_t sign = a & 1ull << 63;
    const int field = (int)(a >> 52 & 0x7ff);
    if (field == 0)
        return sign | 0x7ff0000000000000u;
    if (field == 0x7ff)
        return (a & UPPER) << 12 ? UPPER_NAN : sign;
    return sign | scale(lookup(a, 0, number_approx_rcp), 1023 - field);
}

uint64_t number_approx_rsqrt_f64(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                                 unsigned how)
{
    (void)format;
    (void)b;
    (void)c;
    const uint64_t sign = a & 1ull << 63;
    const int field = (int)(a >> 52 & 0x7ff);
    if (!(how & NUMBER_FTZ)) {
        const double y = 1 / sqrt(number_f64(a));
        return y != y ? number_f64_nan(a, 0, 0) : number_f64_bits(y);
    }
    if (field == 0)
        return sign | 0x7ff0000000000000u;
    if (field == 0x7ff || sign)
        return sign || (a & UPPER) << 12 ? UPPER_NAN : 0;
    const int exponent = field - 1023, odd = exponent & 1;
    return scale(lookup(a, odd, number_approx_rsqrt), -(exponent - odd) / 2);
}

/*
 * number_f64.c - f64 to nearest by the host, and in the directed roundings with integers of 128
 * bits.
 *
 * A finite value is sign, significand and exponent. What falls off the low end of the 128 bits is
 * kept as a one in the last place, which decides every rounding, because at least 3 places are
 * below the 53 of a result.
 */
#include "gpu/ptx/number_f64.h"
#include "gpu/ptx/number_bits.h"

typedef unsigned __int128 wide;

#define INFINITE 0x7ff0000000000000u
#define SIGN 0x8000000000000000u

struct parts {
    uint64_t sign;
    int exponent; /* of the last place */
    wide significand;
};

static uint64_t canonical(double value, uint64_t a, uint64_t b, uint64_t c)
{
    return value != value ? number_f64_nan(a, b, c) : number_f64_bits(value);
}

static int is_finite(uint64_t bits)
{
    return (bits & INFINITE) != INFINITE;
}

/* The highest bit of the significand at place 126; a zero stays. */
static struct parts unpack(uint64_t bits)
{
    const int field = (int)(bits >> 52 & 0x7ff);
    uint64_t significand = (bits & 0xfffffffffffffu) | (field > 0 ? 1ull << 52 : 0);
    struct parts parts = {.sign = bits >> 63, .exponent = (field > 0 ? field : 1) - 1075};
    if (significand != 0) {
        const int up = __builtin_clzll(significand);
        parts.significand = (wide)(significand << up) << 63;
        parts.exponent -= up + 63;
    }
    return parts;
}

static int leading(wide value)
{
    const uint64_t high = (uint64_t)(value >> 64);
    return high ? 127 - __builtin_clzll(high) : 63 - __builtin_clzll((uint64_t)value);
}

static wide shift_down(wide value, int places)
{
    if (places == 0)
        return value;
    if (places > 127)
        return value != 0;
    return value >> places | (value << (128 - places) != 0);
}

static uint64_t pack(struct parts parts, unsigned rounding)
{
    if (parts.significand == 0)
        return parts.sign << 63;
    /* Two places below the result's last, and one for all that is below these. */
    int top = leading(parts.significand) + parts.exponent;
    int last = (top > -1022 ? top : -1022) - 52;
    int drop = last - parts.exponent - 2;
    wide kept = drop >= 0 ? shift_down(parts.significand, drop) : parts.significand << -drop;
    uint64_t code = (uint64_t)(kept >> 2);
    const unsigned rest = (unsigned)kept & 3;
    const int inexact = rest != 0;
    if (rounding == NUMBER_RN)
        code += rest > 2 || (rest == 2 && (code & 1));
    else if (rounding == NUMBER_RM || rounding == NUMBER_RP)
        code += (uint64_t)(inexact && (parts.sign != 0) == (rounding == NUMBER_RM));
    code += (uint64_t)(last + 1074) << 52;
    if (code >= INFINITE)
        code = rounding == NUMBER_RZ || rounding == (parts.sign ? NUMBER_RP : NUMBER_RM)
                   ? INFINITE - 1
                   : INFINITE;
    return code | parts.sign << 63;
}

static struct parts multiply(uint64_t a, uint64_t b)
{
    const struct parts left = unpack(a), right = unpack(b);
    struct parts product = {.sign = left.sign ^ right.sign,
                            .exponent = left.exponent + right.exponent + 126,
                            .significand = (left.significand >> 63) * (right.significand >> 63)};
    /* In [2^126, 2^128): make room for the carry of a sum. */
    if (product.significand >> 127) {
        product.significand = shift_down(product.significand, 1);
        product.exponent++;
    }
    return product;
}

static uint64_t sum(struct parts a, struct parts b, unsigned rounding)
{
    if (a.significand == 0 && b.significand == 0)
        return (a.sign == b.sign ? a.sign : rounding == NUMBER_RM) << 63;
    if (a.significand == 0)
        return pack(b, rounding);
    if (b.significand == 0)
        return pack(a, rounding);
    if (a.exponent < b.exponent) {
        const struct parts swap = a;
        a = b;
        b = swap;
    }
    b.significand = shift_down(b.significand, a.exponent - b.exponent);
    if (a.sign == b.sign) {
        a.significand += b.significand;
    } else if (a.significand == b.significand) {
        return (uint64_t)(rounding == NUMBER_RM) << 63;
    } else if (a.significand > b.significand) {
        a.significand -= b.significand;
    } else {
        a.significand = b.significand - a.significand;
        a.sign = b.sign;
    }
    return pack(a, rounding);
}

uint64_t number_f64_fma(enum number_format format, uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)format;
    const unsigned rounding = how & NUMBER_ROUNDING;
    if (rounding == NUMBER_RN || !is_finite(a) || !is_finite(b) || !is_finite(c))
        return canonical(fma(number_f64(a), number_f64(b), number_f64(c)), a, b, c);
    return sum(multiply(a, b), unpack(c), rounding);
}

uint64_t number_f64_add(enum number_format format, uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)format;
    (void)c;
    const unsigned rounding = how & NUMBER_ROUNDING;
    if (rounding == NUMBER_RN || !is_finite(a) || !is_finite(b))
        return canonical(number_f64(a) + number_f64(b), a, b, 0);
    return sum(unpack(a), unpack(b), rounding);
}

uint64_t number_add_f64_in_memory(uint64_t old, uint64_t b)
{
    if (number_f64_is_nan(b) || number_f64_is_nan(old))
        return number_f64_is_nan(b) ? b : old;
    return canonical(number_f64(old) + number_f64(b), 0, 0, 0);
}

uint64_t number_f64_sub(enum number_format format, uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    return number_f64_add(format, a, number_f64_is_nan(b) ? b : b ^ SIGN, c, how);
}

uint64_t number_f64_mul(enum number_format format, uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)format;
    (void)c;
    const unsigned rounding = how & NUMBER_ROUNDING;
    if (rounding == NUMBER_RN || !is_finite(a) || !is_finite(b))
        return canonical(number_f64(a) * number_f64(b), a, b, 0);
    return pack(multiply(a, b), rounding);
}

uint64_t number_f64_div(enum number_format format, uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)format;
    (void)c;
    const unsigned rounding = how & NUMBER_ROUNDING;
    if (rounding == NUMBER_RN || !is_finite(a) || !is_finite(b) || b << 1 == 0 || a << 1 == 0)
        return canonical(number_f64(a) / number_f64(b), b, a, 0); /* a's NaN first */
    const struct parts left = unpack(a), right = unpack(b);
    const wide divisor = right.significand >> 63; /* 64 bits: the quotient has 63 or 64 */
    struct parts quotient = {.sign = left.sign ^ right.sign,
                             .exponent = left.exponent - right.exponent - 63,
                             .significand = left.significand / divisor};
    quotient.significand = quotient.significand << 1 | (left.significand % divisor != 0);
    quotient.exponent--;
    return pack(quotient, rounding);
}

uint64_t number_f64_rcp(enum number_format format, uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)b;
    return number_f64_div(format, number_f64_bits(1), a, c, how);
}

uint64_t number_f64_sqrt(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                         unsigned how)
{
    (void)format;
    (void)b;
    (void)c;
    const unsigned rounding = how & NUMBER_ROUNDING;
    if (rounding == NUMBER_RN || !is_finite(a) || a >> 63 || a == 0)
        return canonical(sqrt(number_f64(a)), a, 0, 0);
    struct parts parts = unpack(a);
    if (parts.exponent & 1) {
        parts.significand <<= 1;
        parts.exponent--;
    }
    /* The integer root, a place at a time: 64 of them. */
    uint64_t root = 0;
    for (uint64_t place = 1ull << 63; place != 0; place >>= 1)
        if ((wide)(root | place) * (root | place) <= parts.significand)
            root |= place;
    parts.exponent /= 2;
    parts.significand = (wide)root << 1 | ((wide)root * root != parts.significand);
    parts.exponent--;
    return pack(parts, rounding);
}

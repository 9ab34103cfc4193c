/*
 * number_bits.h - between codes and doubles, for the files of the PTX machine's arithmetic.
 *
 * Every format but f64 is a set of doubles, so operations on them are done in f64 and rounded once
 * more. That is right when the first rounding is to odd: what is inexact gets an odd last place,
 * and such a number lies strictly between any two neighbours, and off any midpoint, of a format
 * with two digits less (Boldo and Melquiond, 2008).
 */
#ifndef MOE_GPU_PTX_NUMBER_BITS_H
#define MOE_GPU_PTX_NUMBER_BITS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "gpu/ptx/number.h"

#define F64_NAN 0xfff8000000000000u /* of an operation on numbers */
#define F64_QUIET 0x0008000000000000u
#define F32_NAN 0x7fffffffu

struct number_layout {
    int bits, fraction, bias;
    uint32_t largest, infinity,
        nan; /* codes without sign; no infinity: above `largest` nothing is */
    int has_infinity;
    double smallest; /* subnormal */
};

extern const struct number_layout number_layouts[NUMBER_FORMAT_COUNT]; /* bits 0: no such */

static inline double number_f64(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint64_t number_f64_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float number_f32(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t number_f32_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline int number_f64_is_nan(uint64_t bits)
{
    return bits << 1 > 0xffe0000000000000u;
}

/* The NaN that a sum, product or a * b + c of f64 gives: the first of b, c, a that is one, quiet,
 * its sign and the rest of its payload kept; as an H200 does. */
static inline uint64_t number_f64_nan(uint64_t a, uint64_t b, uint64_t c)
{
    return number_f64_is_nan(b)   ? b | F64_QUIET
           : number_f64_is_nan(c) ? c | F64_QUIET
           : number_f64_is_nan(a) ? a | F64_QUIET
                                  : F64_NAN;
}

/* The value of a code of F16 to F32 and of the small formats, exact. */
double number_decode(enum number_format format, uint64_t code);

/* `value` rounded to a code, with the qualifiers of `how`. `random`: for NUMBER_RS, `random_bits`
 * of them, added just below the last place kept. */
uint64_t number_encode_random(enum number_format format, double value, unsigned how,
                              uint32_t random, int random_bits);

static inline uint64_t number_encode(enum number_format format, double value, unsigned how)
{
    return number_encode_random(format, value, how, 0, 0);
}

/* A zero in the place of a subnormal code of f32 or f16. */
static inline uint64_t number_flush(enum number_format format, uint64_t code)
{
    if (format == NUMBER_F32)
        return code & 0x7f800000 ? code : code & 0x80000000;
    if (format == NUMBER_F16)
        return code & 0x7c00 ? code : code & 0x8000;
    return code;
}

/* `nearest` + error, rounded to odd; error has only its sign. */
static inline double number_to_odd(double nearest, double error)
{
    if (!(error < 0 || error > 0))
        return nearest;
    uint64_t bits = number_f64_bits(nearest);
    bits -= (error < 0) != (bits >> 63); /* towards zero: the neighbour below in magnitude */
    return number_f64(bits | 1);
}

/* a + b to odd (Knuth's exact error); no overflow or underflow happens where a and b come of f32.
 */
static inline double number_add_odd(double a, double b)
{
    const double sum = a + b, part = sum - a;
    if (!isfinite(sum))
        return sum;
    return number_to_odd(sum, (a - (sum - part)) + (b - part));
}

#endif

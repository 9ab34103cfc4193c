/*
 * slow_mma.c - see slow_mma.h. Terms are doubles, scaled so that the place at which they are cut is
 * 1, and cut by trunc().
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/slow_mma.h"

uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return isnan(value) ? 0x7fffffff : bits;
}

float bits_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The exponent of a number of a type whose least normal one is `least`. */
static int exponent_of(double value, int least)
{
    int exponent;
    frexp(value, &exponent);
    return exponent - 1 > least ? exponent - 1 : least;
}

static float special_sum(int n, const double *a, const double *b, float c)
{
    double sum = c;
    for (int i = 0; i < n; i++) {
        double product = a[i] * b[i];
        sum += isnan(product) || isinf(product) ? product : 0;
    }
    return (float)sum;
}

/* Rounded towards zero to so many digits, with the exponents of f32. */
static float cut(double sum, int digits)
{
    if (sum == 0)
        return 0;
    double place = ldexp(1, exponent_of(sum, -126) - digits + 1);
    double kept = trunc(sum / place) * place;
    if (fabs(kept) > FLT_MAX)
        return kept > 0 ? INFINITY : -INFINITY;
    return kept == 0 ? 0 : (float)kept;
}

static float block(enum moe_dtype dtype, int n, const double *a, const double *b, float c,
                   int fraction, int digits)
{
    int least = 1 - moe_dtype_info(dtype)->bias, most = INT32_MIN;
    int special = !isfinite(c);
    for (int i = 0; i < n; i++) {
        special |= !isfinite(a[i]) || !isfinite(b[i]);
        if (a[i] == 0 || b[i] == 0 || special)
            continue;
        int exponent = exponent_of(a[i], least) + exponent_of(b[i], least);
        most = exponent > most ? exponent : most;
    }
    if (special)
        return special_sum(n, a, b, c);
    if (c != 0 && exponent_of(c, -126) > most)
        most = exponent_of(c, -126);
    if (most == INT32_MIN)
        return 0;
    double sum = trunc(ldexp(c, fraction - most));
    for (int i = 0; i < n; i++)
        sum += trunc(ldexp(a[i] * b[i], fraction - most));
    return cut(ldexp(sum, most - fraction), digits);
}

uint32_t slow_instruction(enum moe_instruction instruction, enum moe_dtype dtype, const double *a,
                          const double *b, uint32_t c)
{
    if (instruction == MOE_MMA_K16)
        return float_bits(block(dtype, 16, a, b, bits_float(c), 25, 24));
    if (instruction == MOE_WGMMA_K32)
        return float_bits(block(dtype, 32, a, b, bits_float(c), 13, 14));
    double first_a[16], first_b[16], second_a[16], second_b[16];
    int first = 0, second = 0;
    for (int k = 0; k < 32; k++) {
        if (k % 4 < 2) {
            first_a[first] = a[k];
            first_b[first++] = b[k];
        } else {
            second_a[second] = a[k];
            second_b[second++] = b[k];
        }
    }
    float t = block(dtype, 16, first_a, first_b, 0, 25, 24);
    t = block(dtype, 16, second_a, second_b, t, 25, 24);
    return float_bits(bits_float(c) + t);
}

/* Pairs from .. end, end - from whole instructions but for zeros beyond k. */
static float chain(const struct moe_order *order, enum moe_dtype dtype, int64_t from, int64_t end,
                   int64_t k, const double *a, const double *b, uint32_t c)
{
    int step = moe_instruction_k(order->instruction);
    for (int64_t at = from; at < end; at += step) {
        double x[32] = {0}, y[32] = {0};
        for (int i = 0; i < step && at + i < k; i++) {
            x[i] = a[at + i];
            y[i] = b[at + i];
        }
        c = slow_instruction(order->instruction, dtype, x, y, c);
    }
    return bits_float(c);
}

static float slice(const struct moe_order *order, enum moe_dtype dtype, int64_t from, int64_t end,
                   int64_t k, const double *a, const double *b, uint32_t start)
{
    if (order->promote == 0 || end <= from)
        return chain(order, dtype, from, end, k, a, b, start);
    float sum = 0;
    for (int64_t at = from; at < end; at += order->promote) {
        int64_t stop = at + order->promote < end ? at + order->promote : end;
        float part = chain(order, dtype, at, stop, k, a, b, at == from ? start : 0);
        sum = at == from ? part : sum + part;
    }
    return sum;
}

uint32_t slow_element(const struct moe_order *order, enum moe_dtype dtype, int64_t k,
                      const double *a, const double *b, uint32_t start)
{
    int64_t step = moe_instruction_k(order->instruction);
    int64_t each = order->block ? order->block : step, blocks = (k + each - 1) / each;
    int64_t slices = order->slices ? order->slices : 1, of_slice = (blocks + slices - 1) / slices;
    int64_t end_of_all = (k + step - 1) / step * step;
    float part[64];
    int count = 0;
    for (int64_t first = 0; first == 0 || first<blocks; first += of_slice> 0 ? of_slice : 1) {
        int64_t end = (first + of_slice) * each;
        part[count] = slice(order, dtype, first * each, end < end_of_all ? end : end_of_all, k, a,
                            b, first == 0 ? start : 0);
        count++;
    }
    if (order->partials == MOE_PARTIALS_CHAIN) {
        for (int i = 1; i < count; i++)
            part[0] += part[i];
    } else {
        for (int width = 1; width < count; width *= 2)
            for (int i = 0; i + width < count; i += 2 * width)
                part[i] += part[i + width];
    }
    return float_bits(part[0]);
}

void slow_product(const struct moe_order *order, enum moe_dtype dtype, int64_t m, int64_t n,
                  int64_t k, const double *a, const double *b, const float *start, float *c)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            c[i * n + j] = bits_float(slow_element(order, dtype, k, a + i * k, b + j * k,
                                                   start ? float_bits(start[i * n + j]) : 0));
}

/*
 * exact_sum.c - sums that no order of addition rounds.
 *
 * Where every term is a multiple of 2^q, so is every partial sum; and none exceeds M, the sum of
 * magnitudes. If M <= 2^(q+p) then p bits of significand hold them all. A tensor core that cuts
 * terms at 2^(E-25), E at most the exponent of M, cuts nothing either: E - 25 < q where p = 24.
 */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "ref/exact_pass.h"

int low_bit(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const int exponent = (int)(bits >> 52 & 0x7ff);
    const uint64_t fraction = bits & (((uint64_t)1 << 52) - 1);
    const uint64_t significand = exponent > 0 ? fraction | (uint64_t)1 << 52 : fraction;
    return __builtin_ctzll(significand) + (exponent > 0 ? exponent : 1) - 1075;
}

double certain_product(double a, double b)
{
    if (a == 0 || b == 0)
        return 0;
    const double product = a * b;
    /* odd times odd is odd: had the product been rounded, its lowest bit would be elsewhere */
    if (isnan(product) || isinf(product) || product == 0 ||
        low_bit(product) != low_bit(a) + low_bit(b))
        return NAN;
    return product;
}

struct exact_sum exact_sum_empty(void)
{
    return (struct exact_sum){0, 0, INT_MAX};
}

void exact_sum_add(struct exact_sum *sum, double term)
{
    if (term == 0)
        return;
    sum->value += term;
    sum->magnitude += fabs(term);
    if (isnan(term))
        return;
    const int low = low_bit(term);
    sum->low = low < sum->low ? low : sum->low;
}

void exact_sum_join(struct exact_sum *sum, const struct exact_sum *other, double factor)
{
    if (other->magnitude == 0 || factor == 0)
        return;
    sum->value += factor * other->value;
    sum->magnitude += fabs(factor) * other->magnitude;
    if (isnan(sum->magnitude))
        return;
    const int low = low_bit(factor) + other->low;
    sum->low = low < sum->low ? low : sum->low;
}

double exact_sum_value(const struct exact_sum *sum, int bits, int smallest)
{
    if (sum->magnitude == 0)
        return 0;
    if (isnan(sum->magnitude)) /* low tells nothing of a term that is not known */
        return NAN;
    if (sum->low < smallest || !(sum->magnitude <= ldexp(1, sum->low + bits)))
        return NAN;
    return sum->value;
}

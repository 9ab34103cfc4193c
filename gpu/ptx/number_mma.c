/*
 * number_mma.c - D = A B + C as the tensor cores of an H100 compute it, and as plain f32.
 *
 * Of the chip, a block adds L products to C. With e(v) an operand's own exponent, a subnormal's
 * being its format's least, and E the largest of e(a) + e(b) over the products that are not 0 and
 * of e(C) where C is not 0: products are exact and not normalised, each and C is truncated towards
 * zero at 2^(E-F), the integers are added exactly, and the sum is truncated towards zero to so many
 * digits. Exactly zero is +0, subnormal results are kept, 2^128 and more is infinite; NaN, infinity
 * times 0 and infinity minus infinity give 0x7fffffff.
 *
 * With an accumulator of f16 the sum is not cut: all its digits are rounded to nearest once.
 *
 * Found by experiment on an H100, not promised by NVIDIA: bf16 and f16 with an accumulator of f32
 * and 16 products, e4m3 with 32. Seen on an H200 alone, in the rows of tests/ptx/recorded.txt:
 * e5m2, tf32 with F = 25, fewer products in one instruction, an accumulator of f16.
 *
 * Two forms of mma.sync are no instruction of the chip; ptxas 13.0 makes others of them for sm_90a.
 * e4m3 and e5m2: operands become f16, whose exponents then count; one product of the pairs of k
 * with k/2 even, from 0; one of the others on top of it; an addition of C. With an accumulator of
 * f16 each of the three rounds to f16. m8n8k4 of f16: fused multiply-adds (run_fused).
 */
#include <stddef.h>

#include "gpu/ptx/number_bits.h"
#include "gpu/ptx/number_f64.h"
#include "gpu/ptx/number_mma.h"
#include "gpu/ptx/number_mma_tile.h"

/* ---- what the chip does --------------------------------------------------------------------- */

enum operand_class { OF_16, OF_TF32, OF_8, CLASS_COUNT };

struct chip_rule {
    struct tile_rule rule;
    int as_f16; /* two blocks of half of k each, from 0, then C, as said above */
};

static const struct chip_rule chip_rules[2][CLASS_COUNT] = {
    [NUMBER_WGMMA] = {[OF_16] = {{16, 25, 24, 0}, 0},
                      [OF_TF32] = {{8, 25, 24, 0}, 0},
                      [OF_8] = {{32, 13, 14, 0}, 0}},
    [NUMBER_MMA_SYNC] = {[OF_16] = {{16, 25, 24, 0}, 0},
                         [OF_TF32] = {{8, 25, 24, 0}, 0},
                         [OF_8] = {{16, 25, 24, 0}, 1}},
};

static int class_of(int format)
{
    switch (format) {
    case NUMBER_F16:
    case NUMBER_BF16:
        return OF_16;
    case NUMBER_TF32:
        return OF_TF32;
    case NUMBER_E4M3:
    case NUMBER_E5M2:
        return OF_8;
    default:
        return CLASS_COUNT;
    }
}

static int is_integer(int format)
{
    return format == NUMBER_S8 || format == NUMBER_U8;
}

int number_mma_known(const struct number_mma *mma)
{
    if (mma->m < 1 || mma->n < 8 || mma->k < 1 || mma->n % 8 != 0 || mma->m * mma->k > TILE_A ||
        mma->k * mma->n > TILE_B || mma->m > 64)
        return 0;
    if (mma->a == NUMBER_MMA_B1)
        return mma->b == NUMBER_MMA_B1 && mma->d == NUMBER_S32 &&
               mma->operation != NUMBER_MMA_MULTIPLY;
    if (mma->operation != NUMBER_MMA_MULTIPLY)
        return 0;
    if (is_integer(mma->a))
        return is_integer(mma->b) && mma->d == NUMBER_S32;
    const int kind = class_of(mma->a);
    if (mma->m == 8 && (mma->a != NUMBER_F16 || mma->k != 4))
        return 0;
    if (kind == CLASS_COUNT || (kind == OF_8 ? class_of(mma->b) != OF_8 : mma->a != mma->b))
        return 0;
    return mma->d == NUMBER_F32 || (mma->d == NUMBER_F16 && (mma->a == NUMBER_F16 || kind == OF_8));
}

/* ---- operands ------------------------------------------------------------------------------- */

static float value_of(enum number_format format, uint32_t code)
{
    if (format == NUMBER_F16 && (code & 0x7c00) != 0x7c00)
        return number_f32((code & 0x7fff) << 13 | (code & 0x8000) << 16) * 0x1p112f;
    return (float)number_decode(format, code);
}

static void unpack_values(enum number_format format, float sign, const uint32_t *codes, int count,
                          float *value)
{
    float table[256];
    switch (format) {
    case NUMBER_BF16:
        for (int i = 0; i < count; i++)
            value[i] = number_f32(codes[i] << 16) * sign;
        return;
    case NUMBER_TF32:
        for (int i = 0; i < count; i++)
            value[i] = number_f32(codes[i] & 0xffffe000u) * sign;
        return;
    case NUMBER_F16:
        for (int i = 0; i < count; i++)
            value[i] = value_of(NUMBER_F16, codes[i]) * sign;
        return;
    default:
        for (uint32_t i = 0; i < 256; i++)
            table[i] = value_of(format, i) * sign;
        for (int i = 0; i < count; i++)
            value[i] = table[codes[i] & 255];
    }
}

struct range {
    int special;     /* set: there is an infinity or a NaN */
    int least, most; /* exponents of what is not 0 */
};

static struct range unpack_exponents(enum number_format format, const float *value, int count,
                                     int32_t *exponent)
{
    const int lowest = 1 - number_layouts[format].bias;
    struct range range = {0, -ABSENT, ABSENT};
    for (int i = 0; i < count; i++) {
        const uint32_t bits = number_f32_bits(value[i]);
        const int zero = bits << 1 == 0;
        int at = (int)(bits >> 23 & 255) - 127;
        range.special |= at == 128;
        at = at > lowest ? at : lowest;
        exponent[i] = zero ? ABSENT : at;
        const int least = zero ? -ABSENT : at;
        range.least = least < range.least ? least : range.least;
        range.most = exponent[i] > range.most ? exponent[i] : range.most;
    }
    return range;
}

/* Where the k-th goes when pairs with k/2 even come first. */
static int place(int count, int k)
{
    return k / 2 % 2 * (count / 2) + k / 4 * 2 + k % 2;
}

/* ---- one element, in integers --------------------------------------------------------------- */

/* sum * 2^exponent, towards zero to as many digits as the rule has, or to odd. */
static uint32_t pack(int64_t sum, int exponent, const struct tile_rule *rule)
{
    const uint64_t magnitude = (uint64_t)(sum < 0 ? -sum : sum);
    const uint32_t sign = sum < 0 ? 0x80000000u : 0;
    if (magnitude == 0)
        return 0;
    const int leading = exponent + 63 - __builtin_clzll(magnitude);
    if (leading > 127)
        return sign | 0x7f800000u;
    const int last = (leading > -126 ? leading : -126) - (rule->digits - 1);
    const int dropped = last - exponent;
    if (dropped > 63)
        return 0;
    uint64_t kept = dropped > 0 ? magnitude >> dropped << dropped : magnitude;
    if (rule->odd && kept != magnitude)
        kept |= 1ull << dropped;
    return kept == 0 ? 0 : sign | number_f32_bits((float)ldexp((double)kept, exponent));
}

/* What the sum is in IEEE arithmetic where infinities or NaN are in it; 0: none are. */
static uint32_t add_specials(int terms, const float *a, const float *b, int n, uint32_t c)
{
    double sum = isfinite(number_f32(c)) ? 0 : (double)number_f32(c);
    for (int k = 0; k < terms; k++) {
        const double product = (double)a[k] * (double)b[k * n];
        sum += isfinite(product) ? 0 : product;
    }
    return sum != sum ? F32_NAN : number_f32_bits((float)sum);
}

static uint32_t add_block(const struct tile_rule *rule, const float *a, const int32_t *a_exponent,
                          const float *b, const int32_t *b_exponent, int n, uint32_t c)
{
    const uint32_t special = add_specials(rule->terms, a, b, n, c);
    if (special != 0)
        return special;
    const float start = number_f32(c);
    const int field = (int)(c >> 23 & 255);
    int most = start == 0 ? ABSENT : (field > 0 ? field : 1) - 127;
    for (int k = 0; k < rule->terms; k++) {
        const int exponent = a_exponent[k] + b_exponent[k * n];
        most = exponent > most ? exponent : most;
    }
    if (most < ABSENT_BELOW)
        return 0;
    int64_t sum = (int64_t)ldexp((double)start, rule->fraction - most);
    for (int k = 0; k < rule->terms; k++)
        sum += (int64_t)ldexp((double)a[k] * (double)b[k * n], rule->fraction - most);
    return pack(sum, most - rule->fraction, rule);
}

/* ---- whole operands ------------------------------------------------------------------------- */

static uint32_t add_to_nearest(uint32_t a, uint32_t b)
{
    const float sum = number_f32(a) + number_f32(b);
    return sum != sum ? F32_NAN : number_f32_bits(sum);
}

static uint32_t round_to_f16(uint32_t sum)
{
    const uint64_t code = number_encode(NUMBER_F16, (double)number_f32(sum), NUMBER_RN);
    return number_f32_bits(value_of(NUMBER_F16, (uint32_t)code));
}

static const struct chip_rule *chip_of(const struct number_mma *mma)
{
    return &chip_rules[mma->family][class_of(mma->a)];
}

static void run_row(const struct number_mma *mma, const struct number_mma_factors *factors, int row,
                    uint32_t *d)
{
    const struct chip_rule *chip = chip_of(mma);
    const int n = mma->n, k = mma->k, as_f16 = chip->as_f16;
    const int terms = as_f16 ? k / 2 : chip->rule.terms;
    uint32_t sums[256], start[256];
    uint8_t good[32];
    for (int j = 0; j < n; j++)
        sums[j] = as_f16 ? 0 : d[j];
    for (int from = 0; from < k; from += terms) {
        struct tile_rule rule = chip->rule;
        rule.terms = k - from < terms ? k - from : terms;
        if (mma->d == NUMBER_F16) {
            rule.digits = 24;
            rule.odd = 1;
        }
        const float *a = factors->a.value + row * k + from, *b = factors->b.value + from * n;
        const int32_t *a_exponent = factors->a.exponent + row * k + from;
        const int32_t *b_exponent = factors->b.exponent + from * n;
        memcpy(start, sums, sizeof start);
        memset(good, 0, sizeof good);
#ifdef __x86_64__
        if (factors->fast)
            tile_row_avx2(&rule, a, a_exponent, b, b_exponent, n, start, sums, good);
#endif
        for (int j = 0; j < n; j++)
            if (!(good[j / 8] >> j % 8 & 1))
                sums[j] = add_block(&rule, a, a_exponent, b + j, b_exponent + j, n, start[j]);
        for (int j = 0; as_f16 && mma->d == NUMBER_F16 && j < n; j++)
            sums[j] = round_to_f16(sums[j]);
    }
    for (int j = 0; j < n; j++)
        d[j] = as_f16 ? add_to_nearest(d[j], sums[j]) : sums[j];
}

static void run_plain(const struct number_mma *mma, const float *a, const float *b, int rows,
                      uint32_t *d)
{
    const int n = mma->n, k = mma->k;
#ifdef __x86_64__
    if (tile_has_avx2()) {
        tile_plain_avx2(rows, n, k, a, b, d);
        return;
    }
#endif
    for (int i = 0; i < rows * n; i++) {
        float sum = number_f32(d[i]);
        for (int l = 0; l < k; l++)
            sum = fmaf(a[i / n * k + l], b[l * n + i % n], sum);
        d[i] = sum != sum ? F32_NAN : number_f32_bits(sum);
    }
}

/* m8n8k4 of f16. D of f32: products of one k after the other, from 0, then C. D of f16: those of k
 * 0 and 1 are one term, those of 2 and 3 another, and C takes one after the other. */
static void run_fused(const struct number_mma *mma, const float *a, const float *b, int rows,
                      uint32_t *d)
{
    const int n = mma->n;
    for (int i = 0; i < rows * n; i++) {
        const float *x = a + i / n * 4, *y = b + i % n;
        float sum = number_f32(d[i]);
        if (mma->d == NUMBER_F16) {
            sum += fmaf(x[1], y[n], x[0] * y[0]);
            sum += fmaf(x[3], y[3 * n], x[2] * y[2 * n]);
        } else {
            float products = 0;
            for (int k = 0; k < 4; k++)
                products = fmaf(x[k], y[k * n], products);
            sum += products;
        }
        d[i] = sum != sum ? F32_NAN : number_f32_bits(sum);
    }
}

static void unpack_floating(const struct number_mma *mma, const uint32_t *a_codes,
                            const uint32_t *b_codes, struct number_mma_factors *factors)
{
    const int m = mma->m, n = mma->n, k = mma->k, plain = mma->model == NUMBER_MMA_PLAIN;
    const int as_f16 = !plain && chip_of(mma)->as_f16;
    uint32_t a_placed[TILE_A], b_placed[TILE_B];
    if (as_f16) {
        for (int i = 0; i < m * k; i++)
            a_placed[i / k * k + place(k, i % k)] = a_codes[i];
        for (int i = 0; i < k * n; i++)
            b_placed[place(k, i / n) * n + i % n] = b_codes[i];
        a_codes = a_placed;
        b_codes = b_placed;
    }
    const enum number_format left = (enum number_format)mma->a, right = (enum number_format)mma->b;
    struct tile_a *a = &factors->a;
    struct tile_b *b = &factors->b;
    unpack_values(left, mma->negate_a ? -1.0f : 1.0f, a_codes, m * k, a->value);
    unpack_values(right, mma->negate_b ? -1.0f : 1.0f, b_codes, k * n, b->value);
    if (plain || m == 8)
        return;
    const struct range a_range =
        unpack_exponents(as_f16 ? NUMBER_F16 : left, a->value, m * k, a->exponent);
    const struct range b_range =
        unpack_exponents(as_f16 ? NUMBER_F16 : right, b->value, k * n, b->exponent);
    const int places = number_layouts[mma->a].fraction + number_layouts[mma->b].fraction;
    factors->fast = tile_has_avx2() && !a_range.special && !b_range.special &&
                    a_range.least + b_range.least >= places - 149 &&
                    a_range.most + b_range.most <= 125;
}

static int64_t integer_of(int format, uint32_t code)
{
    return format == NUMBER_S8 ? (int64_t)(int8_t)(uint8_t)code : (int64_t)(code & 255);
}

static int64_t add_integers(const struct number_mma *mma, const uint32_t *a, const uint32_t *b,
                            int64_t sum)
{
    for (int k = 0; k < mma->k; k++) {
        const uint32_t left = a[k], right = b[k * mma->n];
        if (mma->operation == NUMBER_MMA_XOR_POPC)
            sum += __builtin_popcount(left ^ right);
        else if (mma->operation == NUMBER_MMA_AND_POPC)
            sum += __builtin_popcount(left & right);
        else
            sum += integer_of(mma->a, left) * integer_of(mma->b, right);
    }
    if (mma->satfinite && sum > INT32_MAX)
        return INT32_MAX;
    return mma->satfinite && sum < INT32_MIN ? INT32_MIN : sum;
}

void number_mma_unpack(const struct number_mma *mma, const uint32_t *a, const uint32_t *b,
                       struct number_mma_factors *factors)
{
    factors->a_codes = a;
    factors->b_codes = b;
    if (mma->d != NUMBER_S32)
        unpack_floating(mma, a, b, factors);
}

void number_mma_rows(const struct number_mma *mma, const struct number_mma_factors *factors,
                     int first, int rows, uint32_t *d)
{
    const int n = mma->n, k = mma->k, count = rows * n, narrow = mma->d == NUMBER_F16;
    const float *a = factors->a.value + first * k, *b = factors->b.value;
    if (mma->d == NUMBER_S32) {
        const uint32_t *codes = factors->a_codes + first * k;
        for (int i = 0; i < count; i++)
            d[i] = (uint32_t)add_integers(mma, codes + i / n * k, factors->b_codes + i % n,
                                          (int32_t)d[i]);
        return;
    }
    for (int i = 0; narrow && i < count; i++)
        d[i] = number_f32_bits(value_of(NUMBER_F16, d[i]));
    if (mma->model == NUMBER_MMA_PLAIN)
        run_plain(mma, a, b, rows, d);
    else if (mma->m == 8)
        run_fused(mma, a, b, rows, d);
    else
        for (int row = 0; row < rows; row++)
            run_row(mma, factors, first + row, d + row * n);
    for (int i = 0; narrow && i < count; i++)
        d[i] = (uint32_t)number_encode(NUMBER_F16, (double)number_f32(d[i]), NUMBER_RN);
}

void number_mma_run(const struct number_mma *mma, const uint32_t *a, const uint32_t *b,
                    const uint32_t *c, uint32_t *d)
{
    struct number_mma_factors factors;
    number_mma_unpack(mma, a, b, &factors);
    for (int i = 0; c != d && i < mma->m * mma->n; i++)
        d[i] = c ? c[i] : 0;
    number_mma_rows(mma, &factors, 0, mma->m, d);
}

void number_mma_run_f64(int m, int n, int k, const uint64_t *a, const uint64_t *b,
                        const uint64_t *c, uint64_t *d, unsigned how)
{
    for (int i = 0; i < m * n; i++) {
        uint64_t sum = c[i];
        for (int l = 0; l < k; l++)
            sum = number_f64_fma(NUMBER_F64, a[i / n * k + l], b[l * n + i % n], sum, how);
        d[i] = number_f64(sum) != number_f64(sum) ? F64_NAN : sum;
    }
}

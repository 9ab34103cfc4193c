/*
 * mma.c - the arithmetic of one tensor-core instruction of an H100, bit for bit, and products on
 * it.
 *
 * An instruction adds the products of L pairs to C. With e(v) the exponent of v, a subnormal's
 * being the least normal one, and E the largest of e(a) + e(b) over the products that are not 0 and
 * of e(C) where C is not 0:
 *   - products are exact, and their significand, in [1,4), is not normalised;
 *   - each product, and C, is truncated towards zero at 2^(E-F), and these integers are added
 * exactly;
 *   - the sum is truncated towards zero to so many binary digits; subnormal results are kept, a
 *     zero is +0, and what is 2^128 or more is infinite;
 *   - a NaN, infinity times 0 and infinity minus infinity give 0x7fffffff.
 * So the bits do not depend on the order inside an instruction, and they do depend on which
 * instruction comes first: D of one is C of the next. Found by experiment on an H100, not promised
 * by NVIDIA; t_bits.c repeats the experiment on the GPU at hand.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref/recipe.h"

#define CANONICAL_NAN 0x7fffffffu

/* Exponent of what is 0: the sum of any two, or with any other, is below ABSENT_BELOW. */
#define ABSENT (-8192)
#define ABSENT_BELOW (-4096)

/* An instruction is `blocks` additions as above of `terms` products each. */
struct core {
    int k, terms, blocks;
    int fraction;        /* F */
    int digits;          /* of the result */
    int separate;        /* 1: the blocks start from 0, and C is added to them, to nearest */
    unsigned types;      /* bit d: operands of type d */
    int (*place)(int k); /* where the k-th pair of an instruction stands; NULL: at k */
};

/* mma.sync of e4m3 takes the pairs with k/2 even first. */
static int even_pairs_first(int k)
{
    return k / 2 % 2 * 16 + k / 4 * 2 + k % 2;
}

static const struct core cores[MOE_INSTRUCTION_COUNT] = {
    [MOE_MMA_K16] = {16, 16, 1, 25, 24, 0, 1u << MOE_BF16 | 1u << MOE_F16, NULL},
    [MOE_WGMMA_K32] = {32, 32, 1, 13, 14, 0, 1u << MOE_E4M3, NULL},
    [MOE_MMA_SYNC_K32] = {32, 16, 2, 25, 24, 1, 1u << MOE_E4M3, even_pairs_first},
};

int moe_instruction_k(enum moe_instruction instruction)
{
    return (unsigned)instruction < MOE_INSTRUCTION_COUNT ? cores[instruction].k : 0;
}

/* ---- f32 ------------------------------------------------------------------------------------- */

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return value == value ? bits : CANONICAL_NAN;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t add_to_nearest(uint32_t a, uint32_t b)
{
    return bits_of(float_of(a) + float_of(b));
}

/* sum * 2^exponent, towards zero to so many digits. */
static uint32_t pack(int64_t sum, int exponent, int digits)
{
    uint64_t magnitude = (uint64_t)(sum < 0 ? -sum : sum);
    if (magnitude == 0)
        return 0;
    int leading = exponent + 63 - __builtin_clzll(magnitude);
    if (leading > 127)
        return sum < 0 ? 0xff800000u : 0x7f800000u;
    int last = (leading > -126 ? leading : -126) - (digits - 1);
    int dropped = last - exponent;
    if (dropped > 63)
        return 0;
    if (dropped > 0) {
        magnitude >>= dropped;
        exponent = last;
    }
    float value = ldexpf((float)magnitude, exponent); /* exact: at most 24 digits */
    return magnitude == 0 ? 0 : bits_of(sum < 0 ? -value : value);
}

/* ---- operands ---------------------------------------------------------------------------------
 */

/* Rows of an operand, k filled up with zeros to whole instructions and in the order of `place`:
 * value = significand * 2^(exponent - fraction bits of the type). */
struct unpacked {
    int64_t k;
    int32_t *significand, *exponent; /* [rows,k] */
    double *value;                   /* [rows,k] */
    unsigned char *special;          /* [rows] has the row a NaN or an infinity? */
};

static void unpacked_free(struct unpacked *operand)
{
    free(operand->significand);
    free(operand->exponent);
    free(operand->value);
    free(operand->special);
}

static int unpack_value(const struct moe_dtype_info *info, double value, struct unpacked *to,
                        int64_t at)
{
    to->value[at] = value;
    if (value == 0 || !isfinite(value))
        return MOE_OK;
    int least = 1 - info->bias, exponent = ilogb(value);
    exponent = exponent > least ? exponent : least;
    double significand = ldexp(value, info->fraction_bits - exponent);
    if (significand != trunc(significand) || fabs(value) > info->largest)
        return moe_error(MOE_E_USAGE, "%a is no number of type %s", value, info->name);
    to->significand[at] = (int32_t)significand;
    to->exponent[at] = exponent;
    return MOE_OK;
}

static int unpack_rows(const struct core *core, enum moe_dtype dtype, int64_t rows, int64_t k,
                       const double *values, struct unpacked *operand)
{
    int64_t padded = (k + core->k - 1) / core->k * core->k;
    size_t count = (size_t)(rows * padded) + 1;
    struct unpacked made = {
        .k = padded,
        .significand = calloc(count, sizeof *made.significand),
        .exponent = malloc(count * sizeof *made.exponent),
        .value = calloc(count, sizeof *made.value),
        .special = calloc((size_t)rows + 1, 1),
    };
    int status =
        made.significand && made.exponent && made.value && made.special
            ? MOE_OK
            : moe_error(MOE_E_NOMEM, "no memory for an operand of %lld rows", (long long)rows);
    for (int64_t i = 0; i < rows * padded && status == MOE_OK; i++)
        made.exponent[i] = ABSENT;
    for (int64_t i = 0; i < rows * k && status == MOE_OK; i++) {
        int64_t row = i / k, column = i % k, within = column % core->k;
        int64_t place = core->place ? core->place((int)within) : within;
        made.special[row] |= !isfinite(values[i]);
        status = unpack_value(moe_dtype_info(dtype), values[i], &made,
                              row * padded + column - within + place);
    }
    if (status == MOE_OK)
        *operand = made;
    else
        unpacked_free(&made);
    return status;
}

/* ---- one instruction --------------------------------------------------------------------------
 */

struct multiplier {
    const struct core *core;
    int lift; /* a product's last place is 2^(F - lift) below its exponent */
};

/* A NaN or an infinity among the operands or in C: what the sum of all is in IEEE arithmetic. */
static uint32_t add_specials(int terms, const double *a, const double *b, uint32_t c)
{
    double sum = isfinite(float_of(c)) ? 0 : (double)float_of(c);
    for (int i = 0; i < terms; i++) {
        double product = a[i] * b[i]; /* finite ones cannot overflow f64 */
        sum += isfinite(product) ? 0 : product;
    }
    return bits_of((float)sum);
}

static uint32_t add_block(const struct multiplier *multiplier, const struct unpacked *a,
                          int64_t at_a, const struct unpacked *b, int64_t at_b, uint32_t c)
{
    const struct core *core = multiplier->core;
    const int32_t *a_significand = a->significand + at_a, *b_significand = b->significand + at_b;
    const int32_t *a_exponent = a->exponent + at_a, *b_exponent = b->exponent + at_b;
    int field = (int)(c >> 23 & 0xff);
    int64_t c_significand = (c & 0x7fffff) | (field > 0 ? 0x800000 : 0);
    int c_exponent = c_significand == 0 ? ABSENT : (field > 0 ? field : 1) - 127;
    int most = c_exponent;
    for (int i = 0; i < core->terms; i++) {
        int exponent = a_exponent[i] + b_exponent[i];
        most = exponent > most ? exponent : most;
    }
    if (most < ABSENT_BELOW)
        return 0;
    int64_t sum = 0;
    for (int i = 0; i < core->terms; i++) {
        int32_t product = a_significand[i] * b_significand[i];
        int below = most - a_exponent[i] - b_exponent[i];
        uint32_t magnitude = (uint32_t)(product < 0 ? -product : product) << multiplier->lift;
        int64_t term = magnitude >> (below < 31 ? below : 31);
        sum += product < 0 ? -term : term;
    }
    if (c_significand != 0) {
        int below = most - c_exponent + 23;
        int64_t term = c_significand << core->fraction >> (below < 63 ? below : 63);
        sum += c >> 31 ? -term : term;
    }
    return pack(sum, most - core->fraction, core->digits);
}

/* D of the instruction whose pairs begin at k. */
static uint32_t instruct(const struct multiplier *multiplier, const struct unpacked *a, int64_t row,
                         const struct unpacked *b, int64_t col, int64_t k, uint32_t c)
{
    const struct core *core = multiplier->core;
    int64_t at_a = row * a->k + k, at_b = col * b->k + k;
    uint32_t d = core->separate ? 0 : c;
    for (int block = 0; block < core->blocks; block++) {
        if (a->special[row] || b->special[col] || !isfinite(float_of(d))) {
            uint32_t sum = add_specials(core->terms, a->value + at_a, b->value + at_b, d);
            d = sum != 0 ? sum : add_block(multiplier, a, at_a, b, at_b, d);
        } else {
            d = add_block(multiplier, a, at_a, b, at_b, d);
        }
        at_a += core->terms;
        at_b += core->terms;
    }
    return core->separate ? add_to_nearest(c, d) : d;
}

/* ---- products ---------------------------------------------------------------------------------
 */

/* What an order is for a product of so many k. */
struct plan {
    struct multiplier multiplier;
    int64_t slice;   /* k of a slice */
    int64_t slices;  /* that have any */
    int64_t promote; /* k after which an accumulator is emptied; at least all of them: never */
    int tree;
};

static int plan_order(const struct moe_order *order, enum moe_dtype dtype, int64_t k,
                      struct plan *plan)
{
    const struct core *core = &cores[order->instruction];
    if (core->k == 0 || dtype >= MOE_DTYPE_COUNT || !(core->types >> dtype & 1))
        return moe_error(MOE_E_USAGE, "no such instruction for operands of type %d", (int)dtype);
    int64_t block = order->block > 0 ? order->block : core->k;
    int64_t slices = order->slices > 0 ? order->slices : 1;
    if (block % core->k != 0 || order->promote % core->k != 0 || order->promote < 0)
        return moe_error(MOE_E_USAGE, "a block and a promotion are whole instructions of k=%d",
                         core->k);
    int64_t blocks = (k + block - 1) / block;
    int64_t whole = blocks > 0 ? blocks * block : block;
    plan->slice = blocks > 0 ? (blocks + slices - 1) / slices * block : block;
    plan->slices = (whole + plan->slice - 1) / plan->slice;
    plan->promote = order->promote > 0 ? order->promote : whole;
    plan->tree = order->partials == MOE_PARTIALS_TREE;
    plan->multiplier.core = core;
    plan->multiplier.lift = core->fraction - 2 * moe_dtype_info(dtype)->fraction_bits;
    return MOE_OK;
}

/* The sum of one slice, which begins at `from`. */
static uint32_t sum_slice(const struct plan *plan, const struct unpacked *a, int64_t row,
                          const struct unpacked *b, int64_t col, int64_t from, uint32_t start)
{
    int64_t end = from + plan->slice < a->k ? from + plan->slice : a->k;
    int64_t step = plan->multiplier.core->k;
    uint32_t promoted = 0, c = start;
    int any = 0;
    for (int64_t k = from; k < end; k += step) {
        c = instruct(&plan->multiplier, a, row, b, col, k, c);
        if (k + step < end && (k + step - from) % plan->promote == 0) {
            promoted = any ? add_to_nearest(promoted, c) : c;
            any = 1;
            c = 0;
        }
    }
    return any ? add_to_nearest(promoted, c) : c;
}

/* One element: slices in order, or pairs of neighbours, pairs of pairs, ... */
static uint32_t sum_element(const struct plan *plan, const struct unpacked *a, int64_t row,
                            const struct unpacked *b, int64_t col, uint32_t start)
{
    uint32_t level[64]; /* tree: sums of 2^i slices that wait for their neighbour */
    uint32_t sum = sum_slice(plan, a, row, b, col, 0, start);
    if (!plan->tree) {
        for (int64_t s = 1; s < plan->slices; s++)
            sum = add_to_nearest(sum, sum_slice(plan, a, row, b, col, s * plan->slice, 0));
        return sum;
    }
    int64_t waiting = 0; /* bit i: level[i] holds one */
    for (int64_t s = 0; s < plan->slices; s++) {
        uint32_t next = s == 0 ? sum : sum_slice(plan, a, row, b, col, s * plan->slice, 0);
        int i = 0;
        for (; waiting >> i & 1; i++) {
            next = add_to_nearest(level[i], next);
            waiting &= ~((int64_t)1 << i);
        }
        level[i] = next;
        waiting |= (int64_t)1 << i;
    }
    int i = __builtin_ctzll((unsigned long long)waiting);
    sum = level[i];
    for (i++; waiting >> i; i++)
        if (waiting >> i & 1)
            sum = add_to_nearest(level[i], sum);
    return sum;
}

int moe_mma_product(const struct moe_order *order, enum moe_dtype dtype, int64_t m, int64_t n,
                    int64_t k, const double *a, const double *b, const float *start, float *c)
{
    struct plan plan;
    struct unpacked left, right;
    int status = plan_order(order, dtype, k, &plan);
    if (status == MOE_OK)
        status = unpack_rows(plan.multiplier.core, dtype, m, k, a, &left);
    if (status != MOE_OK)
        return status;
    status = unpack_rows(plan.multiplier.core, dtype, n, k, b, &right);
    if (status == MOE_OK) {
#pragma omp parallel for if (m * n * k > 65536) schedule(static)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++)
                c[i * n + j] = float_of(
                    sum_element(&plan, &left, i, &right, j, start ? bits_of(start[i * n + j]) : 0));
        unpacked_free(&right);
    }
    unpacked_free(&left);
    return status;
}

/*
 * draw_values.c - the values of tensors: one Philox block an element, shaped by the data family.
 *
 * A normal is the sum of the block's eight 16-bit uniforms, centred (an integer of 19 bits) and
 * scaled to variance 1: it ends at 4.9 standard deviations. Weights are scaled by the power of two
 * next to 1/sqrt(fan-in), so that Z, Y and O are of order 1, and where nothing cancels (positive,
 * constant) by the one below 1/fan-in. A constant is in [1/2, 1) times its scale, and positive, or
 * relu would leave nothing. No family but `large` overflows f16.
 *
 * With a computed router x is pushed towards the rows of wr of the experts that the routing family
 * wants, the first most: x_t = noise + sum over j of push_j n(wr[wanted_j]) / |n|, n the normals
 * that wr is made of. A wanted logit then is about 8, the others are of order 1.
 */
#include <math.h>

#include "ref/draw.h"

/* 1 / sqrt(8 (2^32 - 1) / 12): the standard deviation of a sum of eight 16-bit uniforms. */
static const double unit = 0x1.3988e1412ed76p-16;

/* ---- one element ---------------------------------------------------------------------------- */

static inline double normal(uint64_t seed, enum moe_tensor_id id, int64_t index)
{
    const philox4x32_ctr_t block = draw_block(seed, STREAM_VALUES, (uint32_t)id, (uint64_t)index);
    uint32_t sum = 0;
    for (int i = 0; i < 4; i++)
        sum += (block.v[i] & 0xffff) + (block.v[i] >> 16);
    return (double)((int32_t)sum - 4 * 0xffff) * unit;
}

/* A word that the family decides by; apart from the value's own. */
static inline uint32_t choice(const struct values *values, int64_t index)
{
    return draw_block(values->seed, STREAM_CHOICES, (uint32_t)values->id, (uint64_t)index).v[0];
}

/* ---- the tensor as a whole ------------------------------------------------------------------ */

static int is_weight(enum moe_tensor_id id)
{
    return id == MOE_WR || id == MOE_W1 || id == MOE_W2 || id == MOE_WS1 || id == MOE_WS2 ||
           id == MOE_WSG;
}

/* Families that only x and do know are normal for the rest. */
static enum moe_data_family family_of(const struct moe_problem *problem, enum moe_tensor_id id)
{
    const enum moe_data_family family = problem->data;
    const int of_tokens =
        family == MOE_DATA_TINY || family == MOE_DATA_SPARSE || family == MOE_DATA_ZERO;
    return of_tokens && id != MOE_X && id != MOE_DO ? MOE_DATA_NORMAL : family;
}

/* Where a type's exponents end: 2^16 for f16, 2^128 for bf16 and f32. */
static int end_of(enum moe_dtype dtype)
{
    return moe_dtype_info(dtype)->bias + 1;
}

/* data=large: w1 and w2 bring Z and dA' to the end that x and do must stay below, pushed as they
 * may be; wr takes back what x has more, so that routers still choose. */
#define LARGE_W1 7
#define LARGE_W2 1
#define LARGE_WR 4 /* the largest logits are beyond what exp takes in f32 */

static int exponent_of_large(const struct moe_problem *problem, enum moe_tensor_id id)
{
    if (id == MOE_WR || id == MOE_WSG)
        return LARGE_WR + LARGE_W1 + 1 - end_of(problem->dtype);
    return id == MOE_W1 || id == MOE_WS1 ? LARGE_W1 : id == MOE_W2 || id == MOE_WS2 ? LARGE_W2 : 0;
}

/* log2 of the scale. */
static int exponent_of(const struct moe_problem *problem, enum moe_tensor_id id,
                       enum moe_data_family family, const struct moe_tensor *described)
{
    static const int exponents[MOE_TENSOR_COUNT] = {
        [MOE_BR] = -1, [MOE_SEL_BIAS] = -3, [MOE_B1] = -1, [MOE_B2] = -1};
    const int adds_up = family == MOE_DATA_POSITIVE || family == MOE_DATA_CONSTANT;
    if (is_weight(id)) {
        const int fan_in = floor_log2(described->shape[described->rank - 1]);
        const int more = family == MOE_DATA_LARGE ? exponent_of_large(problem, id) : 0;
        return (adds_up ? -fan_in : -((fan_in + 1) / 2)) + more;
    }
    if (id == MOE_DO && adds_up && problem->T > 256) /* gradients are sums over tokens */
        return 8 - floor_log2(problem->T);
    return exponents[id];
}

/* Rows t of x and do: the scales of t mod 4. Even rows of `tiny` are themselves at the edge of the
 * subnormals; of odd ones products of 2, 3 or 4 are, by the seed: A and dZ; dW1, dW2 and ds; dWr.
 */
static void scale_tiny(const struct moe_problem *problem, struct values *values)
{
    const int lowest = 1 - moe_dtype_info(problem->dtype)->bias,
              factors = 2 + (int)(problem->seed % 3);
    for (int t = 0; t < 4; t++)
        values->scale[t] = power_of_two(t % 2 ? lowest / factors + (factors == 2)
                                              : lowest + (lowest > -56 ? 2 : 3));
}

/* Rows of `large`: all of order 1; A near the end of exponents; Z; dA' and dZ. */
static void scale_large(const struct moe_problem *problem, struct values *values)
{
    const int end = end_of(problem->dtype);
    const int x[] = {-LARGE_W1, end / 2 - 1 - LARGE_W1, end - 1 - LARGE_W1, -LARGE_W1};
    const int d_o[] = {0, 0, 0, end - 3};
    for (int t = 0; t < 4; t++)
        values->scale[t] = power_of_two(values->id == MOE_X ? x[t] : d_o[t]);
}

struct values values_of(const struct moe_problem *problem, enum moe_tensor_id id,
                        const struct moe_tensor *described, const int32_t *wanted)
{
    const enum moe_data_family family = family_of(problem, id);
    const double scale = power_of_two(exponent_of(problem, id, family, described));
    const int of_router = id == MOE_WR || id == MOE_BR || id == MOE_SEL_BIAS;
    struct values values = {
        .seed = problem->seed,
        .id = id,
        .family = family,
        .heaviest = problem->dtype == MOE_F16 ? 3 : 8,
        .tied = problem->routing == MOE_ROUTING_TIES && of_router,
        .row = described->rank > 1 ? described->shape[described->rank - 1] : 1,
        .scale = {scale, scale, scale, scale},
        .wanted = wanted,
        .K = problem->K,
        .wanted_count = wanted_experts(problem),
    };
    if (family == MOE_DATA_TINY)
        scale_tiny(problem, &values);
    if (family == MOE_DATA_LARGE && (id == MOE_X || id == MOE_DO))
        scale_large(problem, &values);
    if (wanted) {
        /* Where H is small rows of wr are not orthogonal, and a stronger push would gain nothing.
         * Where most of x is dropped, or the rest of a logit varies more, it takes four times as
         * much; but f16 must not overflow. */
        static const int extra[MOE_DATA_COUNT] = {
            [MOE_DATA_HEAVY] = 2, [MOE_DATA_POSITIVE] = 2, [MOE_DATA_SPARSE] = 2};
        const int more = family == MOE_DATA_HEAVY && problem->dtype == MOE_F16 ? 0 : extra[family];
        const int H = floor_log2(problem->H);
        const int gain = (H / 2 < 3 ? H / 2 : 3) + more;
        values.push = power_of_two(gain - (H + 1) / 2);
        values.push_step = values.push * power_of_two(-3 - floor_log2(problem->K));
    }
    return values;
}

/* ---- a run of elements inside a row --------------------------------------------------------- */

static void fill_alike(const struct values *values, int64_t count, double *out)
{
    const uint32_t word = moe_draw_word(values->seed, (uint32_t)values->id, 0);
    const double value = (0.5 + (double)(word >> 16) * 0x1p-17) * values->scale[0];
    for (int64_t i = 0; i < count; i++)
        out[i] = values->family == MOE_DATA_ZERO ? 0 : value;
}

static void push(const struct values *values, int64_t row, int64_t column, int64_t count,
                 double *out)
{
    const int32_t *wanted = values->wanted + row * values->K;
    for (int64_t j = 0; j < values->wanted_count; j++) {
        const double strength = values->push - (double)j * values->push_step;
        const int64_t start = wanted[j] * values->row + column;
        for (int64_t i = 0; i < count; i++) {
            const double n = normal(values->seed, MOE_WR, start + i);
            out[i] += (values->family == MOE_DATA_POSITIVE ? fabs(n) : n) * strength;
        }
    }
}

static void fill_row(const struct values *values, int64_t row, int64_t column, int64_t count,
                     double *out)
{
    const int64_t start = (values->tied ? row & ~(int64_t)1 : row) * values->row + column;
    const double scale = values->scale[row & 3];
    for (int64_t i = 0; i < count; i++)
        out[i] = normal(values->seed, values->id, start + i);
    if (values->family == MOE_DATA_HEAVY)
        for (int64_t i = 0; i < count; i++) {
            const uint32_t word = choice(values, start + i) | 1u << 2 * values->heaviest;
            out[i] *= (double)(1 << __builtin_ctz(word) / 2);
        }
    if (values->family == MOE_DATA_POSITIVE)
        for (int64_t i = 0; i < count; i++)
            out[i] = fabs(out[i]);
    if (values->wanted)
        push(values, row, column, count, out);
    if (values->family == MOE_DATA_SPARSE)
        for (int64_t i = 0; i < count; i++)
            out[i] = choice(values, start + i) % 4 == 0 ? out[i] : 0;
    for (int64_t i = 0; i < count; i++)
        out[i] *= scale;
}

void values_fill(const struct values *values, int64_t first, int64_t count, double *out)
{
    if (values->family == MOE_DATA_CONSTANT || values->family == MOE_DATA_ZERO) {
        fill_alike(values, count, out);
        return;
    }
    while (count > 0) {
        const int64_t row = first / values->row, column = first % values->row;
        const int64_t left = values->row - column, run = left < count ? left : count;
        fill_row(values, row, column, run, out);
        first += run;
        out += run;
        count -= run;
    }
}

void scores_fill(const struct moe_problem *problem, int64_t first, int64_t count, double *out)
{
    const int alike = problem->data == MOE_DATA_CONSTANT;
    const double scale = power_of_two(-2 - floor_log2(problem->K));
    for (int64_t i = 0; i < count; i++) {
        const uint64_t index = alike ? 0 : (uint64_t)(first + i);
        const uint32_t word = moe_draw_word(problem->seed, MOE_SCORES, index);
        out[i] = (1 + 3 * ((double)word * 0x1p-32)) * scale;
    }
}

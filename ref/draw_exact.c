/*
 * draw_exact.c - inputs on a grid on which a legal kernel has nothing to round (ref/exact.c).
 *
 *   x    0 or 1, half and half; x[t,0] = 1
 *   w1   a few entries a row: gates 0 or G, ups 0 or +-1. Gates then are 0, G, 2G, ..., and silu,
 *        gelu and their slopes exact there: G = 128, more where the score multiplies x
 *   w2   a few entries a row, +-1/G, so that Y is small and whole; do a few +-1 a token
 *   s    powers of two; exact1: k / 2048 with odd k, small for odd experts
 *   wr   one column of x an expert: 1 where it is not wanted, and -128 there. A wanted logit is 0,
 *        every other -128, and picks share a softmax in equal parts
 *
 * The entries of a row stand one in each of n equal parts of it, at places that go round from row
 * to row, so that every k of a product is met however few they are. Unit 0 of an expert is +1 for
 * every token, so that none goes unseen. exact2 puts pairs that cancel into w1 and w2, at the two
 * ends of the sum: between them a partial sum needs 12 bits more.
 */
#include "ref/draw.h"

/* Of a cancelling pair, in units of the smallest term: beyond the 11 bits of f16. */
static const double pair_size = 2048;

/* From here on a sigmoid is 1 in every form, and x sigmoid(x) is x. */
static const double saturated = 128;

/* Where x chooses experts a column belongs to each; the first column is 1. */
enum { ANCHOR = 0, FIRST_ROUTER = 1 };

int data_is_exact(const struct moe_problem *problem)
{
    return problem->data == MOE_DATA_EXACT0 || problem->data == MOE_DATA_EXACT1 ||
           problem->data == MOE_DATA_EXACT2;
}

/* ---- the plan of a case --------------------------------------------------------------------- */

static int narrow(const struct moe_problem *problem)
{
    return problem->dtype == MOE_BF16 || problem->dtype == MOE_F16;
}

/* Does x choose the experts? Where all logits are alike instead, ties choose them. */
static int columns_choose(const struct moe_problem *problem)
{
    return problem->router != MOE_LISTS && problem->groups == 0 &&
           problem->routing != MOE_ROUTING_TIES && problem->H > FIRST_ROUTER + problem->E;
}

int exact_needs_picks(const struct moe_problem *problem, enum moe_tensor_id id)
{
    return data_is_exact(problem) && ((id == MOE_X && columns_choose(problem)) || id == MOE_SCORES);
}

/* Of what the scores are multiples, and all but f16 has room to be exact at: k/2048. */
static double score_unit(const struct moe_problem *problem)
{
    if (problem->data != MOE_DATA_EXACT1)
        return 0.25;
    return problem->weight == MOE_WEIGHT_INPUT && problem->dtype == MOE_F16 ? 0x1p-3 : 0x1p-11;
}

/* G: where the activation is exact, for the smallest score too where it multiplies x. A clamp below
 * that leaves 0 alone. */
static double gate_level(const struct moe_problem *problem)
{
    if (problem->act == MOE_REGLU || problem->act == MOE_RELU || problem->act == MOE_RELU2)
        return 1;
    const double level =
        problem->weight == MOE_WEIGHT_INPUT ? saturated / score_unit(problem) : saturated;
    const int clamps = problem->act == MOE_SWIGLU_OAI || problem->act == MOE_SWIGLU_CLAMP;
    /* four entries a row, and scores up to 5 units where they multiply x */
    return clamps && !(problem->act_clamp >= 32 * level) ? 0 : level;
}

static int64_t at_least(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Entries of a row of `length` so that `rows` rows meet all of it; n where that is enough. */
static int64_t entries(int64_t n, int64_t length, int64_t rows)
{
    const int64_t needed = at_least(n, (length + rows - 1) / rows);
    return needed < length ? needed : length;
}

struct exact_values exact_values_of(const struct moe_problem *problem, enum moe_tensor_id id,
                                    const struct moe_tensor *described, const int32_t *picks)
{
    const int shared = id == MOE_WS1 || id == MOE_WS2;
    const int64_t H = problem->H, units = shared ? problem->shared : problem->I;
    const int gated = moe_act_info(problem->act)->gated;
    struct exact_values values = {
        .problem = problem,
        .id = id,
        .row = described->shape[described->rank - 1],
        .units = units,
        .gated = gated,
        .gate = gate_level(problem),
        .score = problem->weight == MOE_WEIGHT_INPUT && problem->data == MOE_DATA_EXACT1
                     ? score_unit(problem)
                     : 1,
        .anchored = units > 1,
        .picks = picks,
        .routes = columns_choose(problem),
    };
    const int64_t first = FIRST_ROUTER + (values.routes ? problem->E : 0);
    values.paired = problem->data == MOE_DATA_EXACT2 && units >= 4 && H >= first + 4;
    values.pair[0] = values.paired && gated ? first : -1; /* a gate takes no negative term */
    values.pair[1] = values.paired && gated ? H - 1 : -1;
    const int64_t free_units = units > 3 ? units - 2 : 1, half = at_least(problem->T / 2, 1);
    values.in_gate = entries(2, H, gated ? H : free_units);
    values.in_up = entries(4, H, free_units);
    values.in_w2 = entries(4, units, H);
    values.in_do = entries(4, H, half);
    return values;
}

/* ---- words ---------------------------------------------------------------------------------- */

static uint32_t bits_of(const struct exact_values *values, enum draw_stream stream, uint64_t index)
{
    return draw_block(values->problem->seed, stream, (uint32_t)values->id, index).v[0];
}

static double sign_at(const struct exact_values *values, int64_t index)
{
    return bits_of(values, STREAM_VALUES, (uint64_t)index) & 1 ? -1 : 1;
}

/* Has row `i` of the pattern `key` an entry at k? Its n parts have one each. */
static int has_entry(const struct exact_values *values, int64_t key, int64_t n, int64_t i,
                     int64_t length, int64_t k)
{
    const int64_t part = k * n / length;
    const int64_t low = (part * length + n - 1) / n, high = ((part + 1) * length + n - 1) / n;
    const uint32_t word = bits_of(values, STREAM_CHOICES, (uint64_t)(key * length + part));
    return low + (int64_t)((word + (uint64_t)i) % (uint64_t)(high - low)) == k;
}

/* ---- weights -------------------------------------------------------------------------------- */

static int is_pair(const struct exact_values *values, int64_t k)
{
    return k == values->pair[0] || k == values->pair[1];
}

/* With 24 bits or more the pair differs by one, and 11 bits (tf32) lose that. */
static double pair_value(const struct exact_values *values, int64_t k)
{
    if (k == values->pair[1])
        return -pair_size;
    return narrow(values->problem) ? pair_size : pair_size + 1;
}

/* Unit i and half (0 gate, 1 up) of row c of w1. */
static int64_t unit_of(const struct exact_values *values, int64_t c, int *up)
{
    const enum moe_w1_layout layout = values->problem->w1;
    *up = 0;
    if (!values->gated)
        return c;
    if (layout == MOE_W1_INTERLEAVED) {
        *up = (int)(c % 2);
        return c / 2;
    }
    if (layout == MOE_W1_INTERLEAVED8) {
        *up = (int)(c / 8 % 2);
        return c / 16 * 8 + c % 8;
    }
    *up = c >= values->units;
    return c % values->units;
}

/* The first unit; and, where pairs stand in w2, the last, which is its equal. */
static int is_anchor(const struct exact_values *values, int64_t i)
{
    return values->anchored && (i == 0 || (values->paired && i == values->units - 1));
}

static double w1_value(const struct exact_values *values, int64_t index)
{
    const int64_t k = index % values->row, row = index / values->row;
    const int64_t columns = values->gated ? 2 * values->units : values->units;
    const int64_t e = row / columns;
    int up;
    const int64_t i = unit_of(values, row % columns, &up);
    const double unit = up ? 1 : values->gate;
    if (is_anchor(values, i))
        return k == ANCHOR ? unit : 0;
    if (is_pair(values, k))
        return up ? pair_value(values, k) : 0;
    const int64_t n = up ? values->in_up : values->in_gate;
    if (!has_entry(values, 2 * e + up, n, i, values->row, k))
        return 0;
    return up ? sign_at(values, index) : unit;
}

static double w2_value(const struct exact_values *values, int64_t index)
{
    const int64_t i = index % values->row, row = index / values->row;
    const int64_t e = row / values->problem->H, h = row % values->problem->H;
    const double unit = values->gate > 0 ? 1 / values->gate : 1;
    if (values->paired && is_anchor(values, i)) {
        const double sign = sign_at(values, row * values->row);
        return (i == 0 ? sign : -sign) * pair_size * unit;
    }
    return has_entry(values, e, values->in_w2, h, values->row, i) ? sign_at(values, index) * unit
                                                                  : 0;
}

/* ---- tokens --------------------------------------------------------------------------------- */

static int wanted(const struct exact_values *values, int64_t t, int64_t e)
{
    const int64_t K = values->problem->K;
    for (int64_t j = 0; j < K; j++)
        if (values->picks[t * K + j] == e)
            return 1;
    return 0;
}

static double x_value(const struct exact_values *values, int64_t index)
{
    const int64_t t = index / values->row;
    int64_t k = index % values->row;
    if (k == ANCHOR)
        return 1;
    if (values->routes && k < FIRST_ROUTER + values->problem->E)
        return !wanted(values, t, k - FIRST_ROUTER);
    if (k == values->pair[1])
        k = values->pair[0];
    return bits_of(values, STREAM_VALUES, (uint64_t)(t * values->row + k)) & 1;
}

static double do_value(const struct exact_values *values, int64_t index)
{
    const int64_t t = index / values->row, h = index % values->row;
    return has_entry(values, 0, values->in_do, t, values->row, h) ? sign_at(values, index) : 0;
}

/* ---- the router, biases and the rest -------------------------------------------------------- */

/* br is drawn, and wr takes it back through x[t,0] = 1. */
static double br_of(const struct exact_values *values, int64_t e)
{
    const philox4x32_ctr_t block =
        draw_block(values->problem->seed, STREAM_VALUES, MOE_BR, (uint64_t)e);
    return values->problem->routing == MOE_ROUTING_TIES ? 64 : 64 * (double)(block.v[0] % 3);
}

static double wr_value(const struct exact_values *values, int64_t index)
{
    const int64_t e = index / values->row, k = index % values->row;
    if (k == ANCHOR)
        return values->problem->router_bias ? -br_of(values, e) : 0;
    return values->routes && k == FIRST_ROUTER + e ? -128 : 0;
}

static double small_value(const struct exact_values *values, int64_t index)
{
    return (double)(bits_of(values, STREAM_VALUES, (uint64_t)index) % 5) - 2;
}

static double sel_bias_value(const struct exact_values *values, int64_t index)
{
    return small_value(values, index) * 0x1p-5; /* far less than two scores differ by */
}

/* Biases are added to what has been multiplied by the score, once or twice: in its units. */
static double b1_value(const struct exact_values *values, int64_t index)
{
    int up;
    const int64_t i = unit_of(values, index % values->row, &up);
    const uint32_t word = bits_of(values, STREAM_VALUES, (uint64_t)index);
    if (is_anchor(values, i))
        return 0;
    return up ? ((double)(word % 3) - 1) * values->score
              : (word % 4 == 0) * values->gate * values->score;
}

static double b2_value(const struct exact_values *values, int64_t index)
{
    return small_value(values, index) * values->score * values->score;
}

static double br_value(const struct exact_values *values, int64_t index)
{
    return br_of(values, index);
}

/* The shared gate is sigmoid(0) or sigmoid(128), by one column of x. */
static double wsg_value(const struct exact_values *values, int64_t index)
{
    const uint32_t word = bits_of(values, STREAM_CHOICES, 0);
    const int64_t H = values->problem->H, first = values->routes ? FIRST_ROUTER + 1 : 1;
    const int64_t column = H > first ? first + (int64_t)(word % (uint64_t)(H - first)) : 0;
    return index == column && H > first ? 128 : 0;
}

static double (*const value_of[MOE_TENSOR_COUNT])(const struct exact_values *, int64_t) = {
    [MOE_X] = x_value,
    [MOE_WR] = wr_value,
    [MOE_BR] = br_value,
    [MOE_W1] = w1_value,
    [MOE_SEL_BIAS] = sel_bias_value,
    [MOE_B1] = b1_value,
    [MOE_W2] = w2_value,
    [MOE_WS1] = w1_value,
    [MOE_WS2] = w2_value,
    [MOE_WSG] = wsg_value,
    [MOE_DO] = do_value,
    [MOE_B2] = b2_value,
};

void exact_fill(const struct exact_values *values, int64_t first, int64_t count, double *out)
{
    double (*const value)(const struct exact_values *, int64_t) =
        value_of[values->id] ? value_of[values->id] : small_value; /* old gradients */
    for (int64_t i = 0; i < count; i++)
        out[i] = value(values, first + i);
}

/* ---- scores of lists ------------------------------------------------------------------------ */

/* k / 2048 where only the sum over a token's rows meets s: as many bits as one rounding takes. */
static double wide_score(enum moe_dtype dtype, uint32_t word)
{
    if (dtype == MOE_BF16)
        return (257 + 2 * (double)(word % 43)) * 0x1p-11;
    if (dtype == MOE_F16)
        return (2049 + 2 * (double)(word % 341)) * 0x1p-14;
    return (1025 + 2 * (double)(word % 512)) * 0x1p-11;
}

void exact_scores(const struct moe_problem *problem, const int32_t *picks, int64_t first,
                  int64_t count, double *out)
{
    for (int64_t i = 0; i < count; i++) {
        const uint32_t word = moe_draw_word(problem->seed, MOE_SCORES, (uint64_t)(first + i));
        const int wide = problem->weight == MOE_WEIGHT_AFTER_W2 && picks[first + i] % 2 == 0;
        if (problem->data != MOE_DATA_EXACT1)
            out[i] = power_of_two(-(int)(word % 3));
        else if (problem->weight == MOE_WEIGHT_INPUT)
            out[i] = (1 + 2 * (double)(word % 3)) * score_unit(problem);
        else if (wide || !narrow(problem))
            out[i] = wide_score(problem->dtype, word);
        else
            out[i] = (1 + 2 * (double)(word % 4)) * 0x1p-11;
    }
}

/*
 * draw_lists.c - which experts a token picks, by routing family.
 *
 * Slot j of token t tries the candidates that words 8 (tK + j) ... of the stream give, and takes
 * the first that the token does not have yet; where all eight are taken (steep zipf, K near E) it
 * goes on from the last one to the next free expert. So a token's picks depend on the seed and on t
 * alone.
 */
#include <stdlib.h>

#include "ref/draw.h"

enum { TRIES = 8 };

/* Purposes of moe_draw_word beside the tensors' own. */
enum { PURPOSE_HOT = 256, PURPOSE_LENGTH, PURPOSE_DROP };

/* word in [0, 2^32) to [0, n). */
static int64_t below(int64_t n, uint32_t word)
{
    return (int64_t)((uint64_t)n * word >> 32);
}

/* ---- zipf without libm ---------------------------------------------------------------------- */

/* log2 of n >= 1 to 40 fraction bits: squaring a number doubles its logarithm. */
static double log2_of(int64_t n)
{
    double result = floor_log2(n), mantissa = (double)n * power_of_two(-floor_log2(n));
    for (double bit = 0.5; bit >= 0x1p-40; bit *= 0.5) {
        mantissa *= mantissa;
        if (mantissa >= 2) {
            mantissa *= 0.5;
            result += bit;
        }
    }
    return result;
}

/* 2^-y for y >= 0: Horner's scheme over ln(2)^k / k!, on the fraction of -y. */
static double exp2_minus(double y)
{
    static const double term[] = {0x1p+0,
                                  0x1.62e42fefa39efp-1,
                                  0x1.ebfbdff82c58fp-3,
                                  0x1.c6b08d704a0c0p-5,
                                  0x1.3b2ab6fba4e77p-7,
                                  0x1.5d87fe78a6731p-10,
                                  0x1.430912f86c787p-13,
                                  0x1.ffcbfc588b0c7p-17,
                                  0x1.62c0223a5c824p-20,
                                  0x1.b5253d395e7c4p-24,
                                  0x1.e4cf5158b8ecap-28,
                                  0x1.e8cac7351bb25p-32,
                                  0x1.c3bd650fc2986p-36,
                                  0x1.816193166d0f9p-40,
                                  0x1.314964d5878a9p-44,
                                  0x1.c36e843b04022p-49};
    if (!(y < 1000))
        return 0;
    const int whole = (int)y;
    const double fraction = (double)whole - y; /* in (-1, 0] */
    double sum = 0;
    for (int k = (int)(sizeof term / sizeof *term) - 1; k >= 0; k--)
        sum = sum * fraction + term[k];
    return sum * power_of_two(-whole);
}

/* sums[e] = sum over i <= e of (i+1)^-a; NULL without memory. */
static double *zipf_sums(int64_t E, double a)
{
    double *sums = malloc((size_t)E * sizeof *sums);
    double sum = 0;
    for (int64_t e = 0; sums && e < E; e++) {
        sum += exp2_minus(a * log2_of(e + 1));
        sums[e] = sum;
    }
    return sums;
}

/* The first expert whose sum exceeds the word's share of the whole. */
static int64_t zipf_expert(int64_t E, const double *sums, uint32_t word)
{
    const double share = (double)word * 0x1p-32 * sums[E - 1];
    int64_t low = 0, high = E - 1;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (sums[middle] > share)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* ---- one token ------------------------------------------------------------------------------ */

struct lists {
    const struct moe_problem *problem;
    const double *sums;        /* zipf only */
    int64_t hot;               /* the expert that comes first, or -1 */
    int64_t first, step, open; /* those that may be picked: so many from the first, step by step */
};

/* The experts that the family leaves. */
static void leave_open(struct lists *lists)
{
    const int64_t E = lists->problem->E;
    lists->first = 0;
    lists->step = 1;
    lists->open = E;
    switch (lists->problem->routing) {
    case MOE_ROUTING_FIRST_EMPTY:
        lists->first = 1;
        lists->open = E - 1;
        break;
    case MOE_ROUTING_LAST_EMPTY:
        lists->open = E - 1;
        break;
    case MOE_ROUTING_ODD_EMPTY:
        lists->step = 2;
        lists->open = (E + 1) / 2;
        break;
    case MOE_ROUTING_TAIL_EMPTY:
        lists->open = (E + 1) / 2;
        break;
    default:
        break;
    }
}

/* The expert of slot j among the open ones, whose words start at `index`. taken[e] == mark: the
 * token has e already. */
static int64_t draw_expert(const struct lists *lists, uint64_t index, int64_t j,
                           const int64_t *taken, int64_t mark)
{
    const struct moe_problem *problem = lists->problem;
    const int64_t E = lists->open;
    if (j == 0 && lists->hot >= 0)
        return lists->hot;
    int64_t expert = 0;
    for (uint64_t i = 0; i < TRIES; i++) {
        const uint32_t word = moe_draw_word(problem->seed, MOE_PICKS, index + i);
        expert = lists->sums ? zipf_expert(E, lists->sums, word) : below(E, word);
        if (taken[expert] != mark)
            return expert;
    }
    while (taken[expert] == mark)
        expert = expert + 1 < E ? expert + 1 : 0;
    return expert;
}

static int ascending(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* The token's picks, drawn as if it were token `source`. */
static void draw_token(const struct lists *lists, int64_t token, int64_t source, int64_t *taken,
                       int32_t *picks)
{
    const int64_t K = lists->problem->K, mark = token + 1;
    for (int64_t j = 0; j < K; j++) {
        const uint64_t index = ((uint64_t)source * (uint64_t)K + (uint64_t)j) * TRIES;
        const int64_t expert = draw_expert(lists, index, j, taken, mark);
        taken[expert] = mark;
        picks[j] = (int32_t)(lists->first + lists->step * expert);
    }
    if (lists->problem->routing == MOE_ROUTING_SORTED)
        qsort(picks, (size_t)K, sizeof *picks, ascending);
}

/* The token whose picks this one has. */
static int64_t source_of(const struct moe_problem *problem, int64_t token)
{
    if (problem->routing == MOE_ROUTING_SAME)
        return 0;
    return problem->routing == MOE_ROUTING_SPARSE && token % 8 != 0 ? 0 : token;
}

static int draw_all(const struct lists *lists, int32_t *picks)
{
    const struct moe_problem *problem = lists->problem;
    const int64_t T = problem->T, K = problem->K;
    int failed = 0;
#pragma omp parallel if (T * K > 131072)
    {
        int64_t *taken = calloc((size_t)problem->E, sizeof *taken);
        if (!taken) {
#pragma omp atomic write
            failed = 1;
        }
#pragma omp for schedule(static)
        for (int64_t t = 0; t < T; t++)
            if (taken)
                draw_token(lists, t, source_of(problem, t), taken, picks + t * K);
        free(taken);
    }
    return failed ? moe_error(MOE_E_NOMEM, "no memory to draw picks") : MOE_OK;
}

/* ---- the families --------------------------------------------------------------------------- */

static void fill_block(const struct moe_problem *problem, int64_t first, int32_t *picks)
{
    for (int64_t t = 0; t < problem->T; t++)
        for (int64_t j = 0; j < problem->K; j++)
            picks[t * problem->K + j] = (int32_t)(first + j);
}

static void drop(const struct moe_problem *problem, int32_t *picks)
{
    for (int64_t i = 0; i < problem->T * problem->K; i++) {
        const uint32_t word = moe_draw_word(problem->seed, PURPOSE_DROP, (uint64_t)i);
        if ((double)word * 0x1p-32 < problem->routing_arg)
            picks[i] = -1;
    }
}

int draw_picks(const struct moe_problem *problem, int32_t *picks)
{
    const enum moe_routing_family family = problem->routing;
    if (problem->E > INT32_MAX)
        return moe_error(MOE_E_USAGE, "E=%lld: ids of experts have 32 bits", (long long)problem->E);
    if (family == MOE_ROUTING_FIRST || family == MOE_ROUTING_LAST) {
        fill_block(problem, family == MOE_ROUTING_FIRST ? 0 : problem->E - problem->K, picks);
        return MOE_OK;
    }

    if (family == MOE_ROUTING_EDGES)
        return draw_edge_picks(problem, picks);

    double *sums = NULL;
    if (family == MOE_ROUTING_ZIPF) {
        sums = zipf_sums(problem->E, problem->routing_arg);
        if (!sums)
            return moe_error(MOE_E_NOMEM, "no memory to draw picks");
    }
    const uint32_t word = moe_draw_word(problem->seed, PURPOSE_HOT, 0);
    const int64_t hot = family == MOE_ROUTING_HOT ? below(problem->E, word) : -1;
    struct lists lists = {.problem = problem, .sums = sums, .hot = hot};
    leave_open(&lists);
    const int status = draw_all(&lists, picks);
    free(sums);
    if (status == MOE_OK && family == MOE_ROUTING_DROPPED)
        drop(problem, picks);
    return status;
}

void draw_offsets(const struct moe_problem *problem, int64_t *offsets)
{
    offsets[0] = 0;
    for (int64_t t = 0; t < problem->T; t++) {
        const uint32_t word = moe_draw_word(problem->seed, PURPOSE_LENGTH, (uint64_t)t);
        offsets[t + 1] = offsets[t] + below(problem->K + 1, word);
    }
}

int64_t wanted_experts(const struct moe_problem *problem)
{
    /* uniform and ties push nothing, dropped, ragged and sorted are of lists only */
    const int64_t K = problem->K;
    const int64_t wanted[MOE_ROUTING_COUNT] = {
        [MOE_ROUTING_ZIPF] = K,        [MOE_ROUTING_HOT] = 1,        [MOE_ROUTING_SAME] = K,
        [MOE_ROUTING_FIRST] = K,       [MOE_ROUTING_LAST] = K,       [MOE_ROUTING_SPARSE] = K,
        [MOE_ROUTING_FIRST_EMPTY] = K, [MOE_ROUTING_LAST_EMPTY] = K, [MOE_ROUTING_ODD_EMPTY] = K,
        [MOE_ROUTING_TAIL_EMPTY] = K,  [MOE_ROUTING_EDGES] = K};
    const int alike = problem->data == MOE_DATA_CONSTANT || problem->data == MOE_DATA_ZERO;
    return problem->router == MOE_LISTS || alike ? 0 : wanted[problem->routing];
}

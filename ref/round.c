/*
 * round.c - token rounding: every expert's count is brought to a multiple of round-to.
 *
 * After top-k, expert e has f_e tokens. A rule turns f_e into a target, at most T; the expert then
 * takes the first `target` of all tokens, ranked: tokens that picked it come first, by their weight
 * among their own picks; then the others by p. So kept pairs outrank added ones, and only the last
 * tile of an expert changes. (SonicMoE, arXiv 2512.14080, section on token rounding.)
 */
#include <math.h>
#include <stdlib.h>

#include "ref/internal.h"

/* moe_draw_word's purpose for the stochastic rule: 'roun'. */
#define PURPOSE 0x726f756eu

struct rule_state {
    const struct moe_problem *problem;
    int64_t drift; /* sum of target - count over the experts before, for balanced */
};

static int64_t round_down(int64_t count, int64_t m)
{
    return count / m * m;
}

static int64_t round_up(const struct moe_problem *problem, int64_t count)
{
    int64_t m = problem->round_to, up = (count + m - 1) / m * m;
    return up < problem->T ? up : problem->T;
}

static int64_t target_up(struct rule_state *state, int64_t e, int64_t count)
{
    (void)e;
    return round_up(state->problem, count);
}

static int64_t target_down(struct rule_state *state, int64_t e, int64_t count)
{
    (void)e;
    return round_down(count, state->problem->round_to);
}

/* Halves go to the even multiple, as torch.round has it. */
static int64_t target_nearest(struct rule_state *state, int64_t e, int64_t count)
{
    (void)e;
    int64_t m = state->problem->round_to, rest = count % m, odd = count / m % 2;
    int up = 2 * rest > m || (2 * rest == m && odd);
    return up ? round_up(state->problem, count) : round_down(count, m);
}

/* Up with probability rest/m. */
static int64_t target_stochastic(struct rule_state *state, int64_t e, int64_t count)
{
    uint64_t m = (uint64_t)state->problem->round_to, rest = (uint64_t)count % m;
    uint64_t word = moe_draw_word(state->problem->seed, PURPOSE, (uint64_t)e);
    return word * m < rest << 32 ? round_up(state->problem, count) : round_down(count, (int64_t)m);
}

/* The side that keeps the running sum of changes nearer to zero, down on ties. */
static int64_t target_balanced(struct rule_state *state, int64_t e, int64_t count)
{
    (void)e;
    int64_t up = round_up(state->problem, count);
    int64_t down = round_down(count, state->problem->round_to);
    int64_t drift_up = state->drift + up - count, drift_down = state->drift + down - count;
    int64_t target = llabs(drift_up) < llabs(drift_down) ? up : down;
    state->drift += target - count;
    return target;
}

static int64_t (*const rules[MOE_ROUND_COUNT])(struct rule_state *, int64_t, int64_t) = {
    [MOE_ROUND_NEAREST] = target_nearest,   [MOE_ROUND_UP] = target_up,
    [MOE_ROUND_DOWN] = target_down,         [MOE_ROUND_STOCHASTIC] = target_stochastic,
    [MOE_ROUND_BALANCED] = target_balanced,
};

struct candidate {
    double rank; /* weight of a kept pair, p of an added one */
    int32_t token;
    int32_t added;
};

static int by_rank(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->added != y->added)
        return x->added - y->added;
    return ranks_before(x->rank, x->token, y->rank, y->token) ? -1 : 1;
}

/* Weight of expert e among the picks of a token. */
static double kept_weight(const double *p, const int32_t *picks, int64_t K, int64_t e)
{
    double sum = 0;
    for (int64_t k = 0; k < K; k++)
        sum += p[picks[k]];
    return p[e] / sum;
}

int64_t moe_round_target(const struct moe_problem *problem, int64_t e, int64_t count,
                         int64_t *drift)
{
    struct rule_state state = {problem, *drift};
    int64_t target = rules[problem->round](&state, e, count);
    *drift = state.drift;
    return target;
}

static int is_pick(const int32_t *picks, int64_t K, int64_t e)
{
    for (int64_t k = 0; k < K; k++)
        if (picks[k] == e)
            return 1;
    return 0;
}

/* Marks in taken [T,E] the tokens that expert e takes; returns their number. */
static int64_t take_tokens(const struct moe_problem *problem, int64_t e, const double *p,
                           const int32_t *picks, int64_t *drift, struct candidate *candidates,
                           unsigned char *taken)
{
    int64_t T = problem->T, E = problem->E, K = problem->K, count = 0;
    for (int64_t t = 0; t < T; t++) {
        int picked = is_pick(picks + t * K, K, e);
        candidates[t] = (struct candidate){
            .rank = picked ? kept_weight(p + t * E, picks + t * K, K, e) : p[t * E + e],
            .token = (int32_t)t,
            .added = !picked,
        };
        count += picked;
    }
    int64_t target = moe_round_target(problem, e, count, drift);
    qsort(candidates, (size_t)T, sizeof *candidates, by_rank);
    for (int64_t i = 0; i < target; i++)
        taken[candidates[i].token * E + e] = 1;
    return target;
}

int round_tokens(const struct moe_problem *problem, const double *p, const int32_t *picks,
                 struct moe_routing *routing)
{
    int64_t T = problem->T, E = problem->E, P = 0, drift = 0;
    struct candidate *candidates = malloc((size_t)(T > 0 ? T : 1) * sizeof *candidates);
    unsigned char *taken = calloc((size_t)(T * E > 0 ? T * E : 1), 1);
    int status = candidates && taken
                     ? MOE_OK
                     : moe_error(MOE_E_NOMEM, "no memory to round %lld tokens", (long long)T);
    if (status == MOE_OK) {
        for (int64_t e = 0; e < E; e++)
            P += take_tokens(problem, e, p, picks, &drift, candidates, taken);
        status = routing_allocate(T, E, P, routing);
    }
    if (status == MOE_OK) {
        int64_t entry = 0;
        for (int64_t t = 0; t < T; t++) {
            routing->token_begin[t] = entry;
            for (int64_t e = 0; e < E; e++)
                if (taken[t * E + e])
                    routing->pick[entry++] = (int32_t)e;
        }
        routing->token_begin[T] = entry;
    }
    free(candidates);
    free(taken);
    return status;
}

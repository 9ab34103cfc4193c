/*
 * route.c - which experts a token picks.
 *
 * Softmax routers pick by the logit, the others by score + sel_bias. With groups=G/k only experts
 * of the k best groups stand for election: a group's value is its best logit (softmax routers) or
 * the sum of its two best biased scores (the others; DeepSeek-V3's rule).
 */
#include <math.h>
#include <stdlib.h>

#include "ref/internal.h"

int ranks_before(double a, int64_t id_a, double b, int64_t id_b)
{
    int nan_a = isnan(a), nan_b = isnan(b);
    if (nan_a != nan_b)
        return nan_b;
    if (!nan_a && a != b)
        return a > b;
    return id_a < id_b;
}

static int picks_by_logit(enum moe_router router)
{
    return router == MOE_TOPK_SOFTMAX || router == MOE_SOFTMAX_TOPK;
}

static double raw_score(enum moe_router router, double logit)
{
    if (router == MOE_SIGMOID)
        return 1 / (1 + exp(-logit));
    /* sqrt(softplus(l)); log1p(exp(l)) overflows where it equals l */
    return sqrt(logit > 40 ? logit : log1p(exp(logit)));
}

void selection_values(const struct moe_problem *problem, const double *logits,
                      const double *sel_bias, double *values)
{
    for (int64_t e = 0; e < problem->E; e++) {
        values[e] =
            picks_by_logit(problem->router) ? logits[e] : raw_score(problem->router, logits[e]);
        if (sel_bias)
            values[e] += sel_bias[e];
    }
}

/* Moves the best `count` of ids[0..n) to the front, in order. Selection sort: count is small. */
static void best_first(const double *values, int32_t *ids, int64_t n, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t best = i;
        for (int64_t j = i + 1; j < n; j++)
            if (ranks_before(values[ids[j]], ids[j], values[ids[best]], ids[best]))
                best = j;
        int32_t id = ids[best];
        ids[best] = ids[i];
        ids[i] = id;
    }
}

/* Best one, or sum of the best two, of a group's values [size]. */
static double group_value(enum moe_router router, const double *values, int64_t size)
{
    double best = values[0], second = -INFINITY;
    int have_second = 0;
    for (int64_t j = 1; j < size; j++) {
        if (ranks_before(values[j], j, best, 0)) {
            second = best;
            best = values[j];
        } else if (!have_second || ranks_before(values[j], j, second, 0)) {
            second = values[j];
        }
        have_second = 1;
    }
    return picks_by_logit(router) || !have_second ? best : best + second;
}

void select_top(const struct moe_problem *problem, const double *values, double *scratch,
                int32_t *ids)
{
    int64_t E = problem->E, candidates = 0;
    if (problem->groups == 0) {
        for (int64_t e = 0; e < E; e++)
            ids[candidates++] = (int32_t)e;
    } else {
        int64_t size = E / problem->groups;
        for (int64_t g = 0; g < problem->groups; g++) {
            scratch[g] = group_value(problem->router, values + g * size, size);
            ids[g] = (int32_t)g;
        }
        best_first(scratch, ids, problem->groups, problem->groups_kept);
        /* scratch now marks the kept groups: ids is about to be reused */
        for (int64_t g = 0; g < problem->groups; g++)
            scratch[ids[g]] = g < problem->groups_kept;
        for (int64_t e = 0; e < E; e++)
            if (scratch[e / size] != 0)
                ids[candidates++] = (int32_t)e;
    }
    best_first(values, ids, candidates, problem->K);
}

static void route_tokens(const struct moe_problem *problem, const double *logits,
                         const double *sel_bias, int32_t *picks, double *scratch, int32_t *ids)
{
    double *values = scratch, *groups = scratch + problem->E;
    for (int64_t t = 0; t < problem->T; t++) {
        selection_values(problem, logits + t * problem->E, sel_bias, values);
        select_top(problem, values, groups, ids);
        for (int64_t k = 0; k < problem->K; k++)
            picks[t * problem->K + k] = ids[k];
    }
}

/* Softmax over all E for every token, then token rounding. */
static int round_picks(const struct moe_problem *problem, const double *logits,
                       const int32_t *picks, struct moe_routing *routing)
{
    int64_t T = problem->T, E = problem->E;
    double *p = malloc((size_t)(T * E > 0 ? T * E : 1) * sizeof *p);
    if (!p)
        return moe_error(MOE_E_NOMEM, "no memory to round %lld tokens", (long long)T);
    for (int64_t t = 0; t < T; t++)
        softmax_of(E, logits + t * E, p + t * E);
    int status = round_tokens(problem, p, picks, routing);
    free(p);
    return status;
}

static int plain_picks(const struct moe_problem *problem, const int32_t *picks,
                       struct moe_routing *routing)
{
    int64_t T = problem->T, K = problem->K;
    int status = routing_allocate(T, problem->E, T * K, routing);
    if (status != MOE_OK)
        return status;
    for (int64_t t = 0; t <= T; t++)
        routing->token_begin[t] = t * K;
    for (int64_t p = 0; p < T * K; p++)
        routing->pick[p] = picks[p];
    return MOE_OK;
}

int moe_routing_from_logits(const struct moe_problem *problem, const double *logits,
                            const double *sel_bias, struct moe_routing *routing)
{
    int64_t T = problem->T, E = problem->E, K = problem->K;
    struct moe_routing r = {0};
    int32_t *picks = malloc((size_t)(T * K + E) * sizeof *picks);
    double *scratch = malloc((size_t)(2 * E) * sizeof *scratch);
    int status = MOE_OK;
    if (!picks || !scratch)
        status = moe_error(MOE_E_NOMEM, "no memory to route %lld tokens", (long long)T);
    if (status == MOE_OK) {
        route_tokens(problem, logits, sel_bias, picks, scratch, picks + T * K);
        status = problem->round == MOE_ROUND_NONE ? plain_picks(problem, picks, &r)
                                                  : round_picks(problem, logits, picks, &r);
    }
    free(picks);
    free(scratch);
    if (status == MOE_OK)
        status = routing_finish(&r);
    if (status == MOE_OK)
        status = moe_routing_score(problem, logits, &r);
    if (status != MOE_OK) {
        moe_routing_free(&r);
        return status;
    }
    *routing = r;
    return MOE_OK;
}

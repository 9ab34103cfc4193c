/*
 * naive_router.c - the computed routers of `naive`: picks, scores, gradients of scores and losses.
 *
 *   router          picked by          v of a pick, s = v, then v / sum of v if renorm, times scale
 *   topk-softmax    L                  softmax of L over the picked
 *   softmax-topk    L                  softmax of L over all E
 *   sigmoid         v + sel_bias       sigmoid(L)
 *   sqrt-softplus   v + sel_bias       sqrt(log(1 + exp(L)))
 * Token rounding (naive_round.c) is a step between picks and scores, of softmax-topk only.
 *
 * Picks are constants of the gradient; through a softmax over all E it runs over all E.
 */
#include <math.h>

#include "verify/naive.h"

int moe_naive_beats(long double a, long double b)
{
    return a > b || (isnan(b) && !isnan(a));
}

static long double largest(const long double *values, int64_t count)
{
    long double best = -INFINITY;
    for (int64_t i = 0; i < count; i++)
        if (values[i] > best)
            best = values[i];
    return best;
}

void moe_naive_softmax(const struct moe_problem *problem, const long double *logits,
                       long double *prob)
{
    int64_t E = problem->E;
    for (int64_t t = 0; t < problem->T; t++) {
        const long double *l = logits + t * E;
        long double *p = prob + t * E;
        long double top = largest(l, E), sum = 0;
        for (int64_t e = 0; e < E; e++)
            sum += p[e] = expl(l[e] - top);
        for (int64_t e = 0; e < E; e++)
            p[e] /= sum;
    }
}

/* log(1 + exp(x)) */
static long double softplus(long double x)
{
    return x > 0 ? x + log1pl(expl(-x)) : log1pl(expl(x));
}

static int softmax_router(const struct moe_problem *problem)
{
    return problem->router == MOE_TOPK_SOFTMAX || problem->router == MOE_SOFTMAX_TOPK;
}

/* v of one logit, for routers that look at one alone. */
static long double own_score(const struct moe_problem *problem, long double logit)
{
    if (problem->router == MOE_SIGMOID)
        return moe_naive_sigmoid(logit);
    return sqrtl(softplus(logit));
}

/* Its derivative. (sqrt f)' = f' / (2 sqrt f), and 0 where f has gone to 0 with its f'. */
static long double own_score_slope(const struct moe_problem *problem, long double logit)
{
    long double sigmoid = moe_naive_sigmoid(logit);
    if (problem->router == MOE_SIGMOID)
        return sigmoid * (1 - sigmoid);
    long double root = sqrtl(softplus(logit));
    return root == 0 ? 0 : sigmoid / (2 * root);
}

/* Index of the best that is not taken, the smaller one on ties. */
static int64_t best_of(const long double *values, const unsigned char *taken, int64_t first,
                       int64_t end)
{
    int64_t best = -1;
    for (int64_t i = first; i < end; i++)
        if (!taken[i] && (best < 0 || moe_naive_beats(values[i], values[best])))
            best = i;
    return best;
}

/* What a group of experts first .. end-1 is ranked by. */
static long double group_value(const struct moe_problem *problem, const long double *values,
                               unsigned char *taken, int64_t first, int64_t end)
{
    int64_t best = best_of(values, taken, first, end);
    if (softmax_router(problem) || end - first == 1)
        return values[best];
    taken[best] = 1;
    int64_t second = best_of(values, taken, first, end);
    taken[best] = 0;
    return values[best] + values[second];
}

/* Takes the experts of all groups but the best groups_kept out of the choice. Groups are ranked one
 * by one: a group is kept where fewer than groups_kept stand before it. */
static void close_groups(const struct moe_problem *problem, const long double *values,
                         unsigned char *taken, unsigned char *closed)
{
    int64_t size = problem->E / problem->groups;
    for (int64_t g = 0; g < problem->groups; g++) {
        long double mine = group_value(problem, values, taken, g * size, (g + 1) * size);
        int64_t before = 0;
        for (int64_t other = 0; other < problem->groups; other++) {
            long double theirs =
                group_value(problem, values, taken, other * size, (other + 1) * size);
            if (moe_naive_beats(theirs, mine) || (other < g && !moe_naive_beats(mine, theirs)))
                before++;
        }
        for (int64_t e = g * size; e < (g + 1) * size; e++)
            closed[e] = before >= problem->groups_kept;
    }
}

/* The K picks of token t, best first. */
static void pick(const struct moe_problem *problem, struct moe_naive_space *space, int64_t t)
{
    int64_t E = problem->E, K = problem->K;
    unsigned char *taken = space->taken;
    for (int64_t e = 0; e < E; e++) {
        long double logit = space->logits[t * E + e];
        space->value[e] =
            softmax_router(problem) ? logit : own_score(problem, logit) + space->sel_bias[e];
        taken[e] = 0;
    }
    if (problem->groups) {
        close_groups(problem, space->value, taken, space->closed);
        for (int64_t e = 0; e < E; e++)
            taken[e] = space->closed[e];
    }
    for (int64_t k = 0; k < K; k++) {
        int64_t best = best_of(space->value, taken, 0, E);
        taken[best] = 1;
        space->routing.pick[t * K + k] = best;
    }
}

/* v of the entries of token t, in space->raw; 0 for an entry that is dropped. Returns their sum. */
static long double raw_scores(const struct moe_problem *problem,
                              const struct moe_naive_space *space, int64_t t)
{
    const struct moe_naive_routing *routing = &space->routing;
    const long double *logits = space->logits + t * problem->E;
    const long double *prob = space->prob + t * problem->E;
    int over_all = problem->router == MOE_SOFTMAX_TOPK;
    int64_t begin = routing->token_begin[t], end = routing->token_begin[t + 1];
    long double top = -INFINITY, sum = 0, *v = space->raw;
    for (int64_t k = begin; k < end; k++)
        if (routing->pick[k] >= 0 && logits[routing->pick[k]] > top)
            top = logits[routing->pick[k]];
    for (int64_t k = begin; k < end; k++) {
        int64_t e = routing->pick[k];
        v[k] = 0;
        if (e >= 0)
            v[k] = !softmax_router(problem) ? own_score(problem, logits[e])
                   : over_all               ? prob[e]
                                            : expl(logits[e] - top);
        sum += v[k];
    }
    if (!softmax_router(problem) || over_all)
        return sum;
    for (int64_t k = begin; k < end; k++)
        v[k] /= sum;
    return 1;
}

void moe_naive_route(const struct moe_problem *problem, struct moe_naive_space *space)
{
    struct moe_naive_routing *routing = &space->routing;
    moe_naive_softmax(problem, space->logits, space->prob);
    for (int64_t t = 0; t < problem->T; t++)
        pick(problem, space, t);
    for (int64_t t = 0; t <= problem->T; t++)
        routing->token_begin[t] = t * problem->K;
    routing->P = problem->T * problem->K;
    if (problem->round != MOE_ROUND_NONE)
        moe_naive_round(problem, space);

    for (int64_t t = 0; t < problem->T; t++) {
        long double V = raw_scores(problem, space, t);
        for (int64_t k = routing->token_begin[t]; k < routing->token_begin[t + 1]; k++)
            routing->score[k] =
                problem->scale * (problem->renorm ? space->raw[k] / V : space->raw[k]);
    }
}

/*
 * s_k = scale v_k, or scale v_k / V with V = sum of v, so
 *   dv_k = scale ds_k,  or  scale / V (ds_k - sum over j of ds_j v_j / V).
 * v = softmax over a set: dL_e = p_e (dv_e - sum over the picked j of dv_j p_j) for e in the set,
 * with dv_e = 0 where e is not picked; else dL_k = v'(L_k) dv_k.
 */
void moe_naive_route_backward(const struct moe_problem *problem, struct moe_naive_space *space)
{
    const struct moe_naive_routing *routing = &space->routing;
    const long double *v = space->raw, *ds = space->ds;
    int64_t E = problem->E;
    int over_picked = problem->router == MOE_TOPK_SOFTMAX;
    moe_naive_softmax(problem, space->logits, space->prob);
    for (int64_t t = 0; t < problem->T; t++) {
        int64_t begin = routing->token_begin[t], end = routing->token_begin[t + 1];
        const long double *logits = space->logits + t * E, *prob = space->prob + t * E;
        long double *dlogits = space->dlogits + t * E;
        long double V = raw_scores(problem, space, t), along = 0, inner = 0;
        if (problem->renorm)
            for (int64_t k = begin; k < end; k++)
                along += ds[k] * v[k] / V;

        for (int64_t k = begin; k < end; k++) {
            int64_t e = routing->pick[k];
            long double dv = problem->scale * ds[k];
            if (problem->renorm)
                dv = problem->scale / V * (ds[k] - along);
            inner += dv * v[k];
            if (e >= 0)
                dlogits[e] +=
                    dv * (softmax_router(problem) ? v[k] : own_score_slope(problem, logits[e]));
        }
        if (!softmax_router(problem))
            continue;
        if (over_picked) {
            for (int64_t k = begin; k < end; k++)
                if (routing->pick[k] >= 0)
                    dlogits[routing->pick[k]] -= v[k] * inner;
        } else {
            for (int64_t e = 0; e < E; e++)
                dlogits[e] -= prob[e] * inner;
        }
    }
}

/*
 * Switch loss aux E sum_e p^_e f^_e, p^_e = 1/T sum_t p_te, f^_e = rows of e / N, a constant:
 *   dL_tj += aux E / T  p_tj (f^_j - sum_e f^_e p_te).
 * z loss zloss / T sum_t lse_t^2, lse_t = log sum_e exp(L_te):  dL_tj += zloss / T  2 lse_t p_tj.
 */
void moe_naive_loss_backward(const struct moe_problem *problem, struct moe_naive_space *space)
{
    const struct moe_naive_routing *routing = &space->routing;
    int64_t T = problem->T, E = problem->E;
    moe_naive_softmax(problem, space->logits, space->prob);
    for (int64_t t = 0; t < T; t++) {
        const long double *l = space->logits + t * E, *p = space->prob + t * E;
        long double *dl = space->dlogits + t * E;
        long double top = largest(l, E), sum = 0, along = 0;
        for (int64_t e = 0; e < E; e++) {
            sum += expl(l[e] - top);
            space->value[e] = 0;
            if (routing->N > 0)
                space->value[e] =
                    (long double)(routing->expert_begin[e + 1] - routing->expert_begin[e]) /
                    routing->N;
            along += space->value[e] * p[e];
        }
        long double lse = top + logl(sum);
        for (int64_t e = 0; e < E; e++) {
            dl[e] += problem->aux * E / T * p[e] * (space->value[e] - along);
            dl[e] += problem->zloss / T * 2 * lse * p[e];
        }
    }
}

/*
 * taint_router.c - taints of the router's part: logits, picks and scores, and the way back.
 *
 *   L_te     x_t, row e of wr, br_e
 *   picks_t  in doubt where any value that they are picked by is spoiled
 *   score    the logits that its softmax or its sum runs over, or its own
 *   dL_te    those and ds of the picks that it runs over; the losses: all logits of t
 *   dWr_eh   dL_te, x_th over t;  dbr_e  dL_te over t;  dX_th  dL_te, wr_eh over e
 */
#include "verify/taint.h"

static int is_softmax(const struct moe_problem *p)
{
    return p->router == MOE_TOPK_SOFTMAX || p->router == MOE_SOFTMAX_TOPK;
}

/* A lone score that is divided by itself is 1, and a kernel may know that. */
static int score_is_constant(const struct moe_problem *p, int64_t picks)
{
    return picks == 1 && (p->router == MOE_TOPK_SOFTMAX || p->renorm);
}

static unsigned char at_most_may(unsigned char taint)
{
    return taint > TAINT_MAY ? TAINT_MAY : taint;
}

static void logits_of(struct taints *taints, int64_t t)
{
    const struct moe_problem *p = taints->problem;
    unsigned char *l = taints->of[MOE_LOGITS] + t * p->E;
    unsigned char x = taint_highest(taints->of[MOE_X] + t * p->H, p->H);
    for (int64_t e = 0; e < p->E; e++) {
        l[e] = taint_or(x, taint_highest(taints->of[MOE_WR] + e * p->H, p->H));
        if (taints->of[MOE_BR])
            l[e] = taint_or(l[e], taints->of[MOE_BR][e]);
    }
}

/* What all scores of the token share: the softmax's or the sum's. */
static unsigned char shared_by_scores(const struct taints *taints, int64_t t)
{
    const struct moe_problem *p = taints->problem;
    const struct moe_routing *routing = taints->routing;
    const unsigned char *l = taints->of[MOE_LOGITS] + t * p->E;
    unsigned char shared = TAINT_NONE;
    if (p->router == MOE_SOFTMAX_TOPK)
        return taint_highest(l, p->E);
    if (!is_softmax(p) && !p->renorm)
        return TAINT_NONE;
    for (int64_t i = routing->token_begin[t]; i < routing->token_begin[t + 1]; i++)
        shared = taint_or(shared, l[routing->pick[i]]);
    return shared;
}

static void scores_of(struct taints *taints, int64_t t)
{
    const struct moe_problem *p = taints->problem;
    const struct moe_routing *routing = taints->routing;
    const unsigned char *l = taints->of[MOE_LOGITS] + t * p->E;
    unsigned char shared = shared_by_scores(taints, t), selection = taint_highest(l, p->E);
    int64_t begin = routing->token_begin[t], end = routing->token_begin[t + 1];
    if (taints->of[MOE_SEL_BIAS])
        selection = taint_or(selection, taint_highest(taints->of[MOE_SEL_BIAS], p->E));
    for (int64_t i = begin; i < end; i++) {
        unsigned char s = taint_or(shared, l[routing->pick[i]]);
        taints->of[MOE_SCORES][i] = score_is_constant(p, end - begin) ? at_most_may(s) : s;
        taints->of[MOE_PICKS][i] = at_most_may(selection);
    }
}

void taint_router_forward(struct taints *taints)
{
    for (int64_t t = 0; t < taints->problem->T; t++) {
        logits_of(taints, t);
        scores_of(taints, t);
    }
}

/* dL_t [E]. */
static void logit_gradients(struct taints *taints, int64_t t)
{
    const struct moe_problem *p = taints->problem;
    const struct moe_routing *routing = taints->routing;
    const unsigned char *l = taints->of[MOE_LOGITS] + t * p->E;
    unsigned char *dl = taints->of[MOE_DLOGITS] + t * p->E;
    int64_t begin = routing->token_begin[t], n = routing->token_begin[t + 1] - begin;
    unsigned char shared = shared_by_scores(taints, t);
    if (is_softmax(p) || p->renorm)
        shared = taint_or(shared, taint_highest(taints->of[MOE_DS] + begin, n));
    unsigned char losses = p->aux != 0 || p->zloss != 0 ? taint_highest(l, p->E) : TAINT_NONE;
    for (int64_t e = 0; e < p->E; e++)
        dl[e] = p->router == MOE_SOFTMAX_TOPK ? taint_or(losses, shared) : losses;
    for (int64_t i = begin; i < begin + n; i++) {
        int64_t e = routing->pick[i];
        unsigned char own = l[e];
        if (p->router == MOE_SQRT_SOFTPLUS) /* its slope is 0 where no score is above 0 */
            own = at_most_may(own);
        own = taint_or(taint_or(own, shared), taints->of[MOE_DS][i]);
        if (score_is_constant(p, n))
            own = at_most_may(own);
        dl[e] = taint_or(dl[e], own);
    }
}

/* Has the pair a gradient at all? What is 0 by definition may be left out of a sum. */
static int has_gradient(const struct taints *taints, int64_t t, int64_t e)
{
    const struct moe_problem *p = taints->problem;
    const struct moe_routing *routing = taints->routing;
    if (p->router == MOE_SOFTMAX_TOPK || p->aux != 0 || p->zloss != 0)
        return 1;
    int64_t begin = routing->token_begin[t], end = routing->token_begin[t + 1];
    for (int64_t i = begin; i < end; i++)
        if (routing->pick[i] == e)
            return !score_is_constant(p, end - begin);
    return 0;
}

void taint_router_backward(struct taints *taints)
{
    const struct moe_problem *p = taints->problem;
    int64_t H = p->H, E = p->E;
    unsigned char weights = taint_highest(taints->of[MOE_WR], E * H);
    for (int64_t t = 0; t < p->T; t++) {
        const unsigned char *x = taints->of[MOE_X] + t * H, *dl = taints->of[MOE_DLOGITS] + t * E;
        unsigned char *dx = taints->of[MOE_DX] + t * H;
        unsigned char spoiled = taint_or(weights, taint_highest(x, H));
        logit_gradients(taints, t);
        for (int64_t e = 0; e < E; e++) {
            if (taint_or(spoiled, dl[e]) == TAINT_NONE)
                continue;
            const unsigned char *wr = taints->of[MOE_WR] + e * H;
            unsigned char *dwr = taints->of[MOE_DWR] + e * H;
            int there = has_gradient(taints, t, e);
            for (int64_t h = 0; h < H; h++) {
                unsigned char to_wr = there ? x[h] : at_most_may(x[h]);
                unsigned char to_x = there ? wr[h] : at_most_may(wr[h]);
                dwr[h] = taint_or(dwr[h], taint_or(dl[e], to_wr));
                dx[h] = taint_or(dx[h], taint_or(dl[e], to_x));
            }
            if (taints->of[MOE_DBR])
                taints->of[MOE_DBR][e] = taint_or(taints->of[MOE_DBR][e], dl[e]);
        }
    }
}

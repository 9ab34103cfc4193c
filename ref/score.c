/*
 * score.c - scores of the picked experts, their gradients, and the bounds of both.
 *
 *   v = softmax over the picked or over all E, or a function of the logit alone
 *   s_j = scale * v_j          or, with renorm,  scale * v_j / V,  V = sum of the picked v
 * Backward, with m = sum of (v_i / V) ds_i over the picked:
 *   dv_j = scale * ds_j        or                scale * (ds_j - m) / V
 *   softmax over Q: dL_i = p_i (dv_i - sum_Q p_j dv_j);  sigmoid: dv v (1-v);
 *   sqrt(softplus): dv sigmoid(l) / (2 v).
 * Picks are constant; sel_bias has no gradient.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref/internal.h"

/* Scores below this are zero in every type; it keeps 0/0 out of their relative errors. */
#define TINY 0x1p-1000

/* exp, a sum or quotient of it, here and in the kernel: how often a v may meet the subnormals. */
#define LOSSES 4

double softmax_of(int64_t E, const double *l, double *p)
{
    double most = -INFINITY, sum = 0;
    for (int64_t e = 0; e < E; e++)
        if (!(l[e] <= most)) /* a NaN logit becomes the maximum and makes every p NaN */
            most = l[e];
    for (int64_t e = 0; e < E; e++)
        sum += p[e] = exp(l[e] - most);
    for (int64_t e = 0; e < E; e++)
        p[e] /= sum;
    return most + log(sum);
}

/* One token: its logits, its picks, and what they give. Arrays by expert [E] or by entry [n]. */
struct token {
    const struct moe_problem *problem;
    const struct error_model *model; /* NULL: no bounds */
    int64_t E, n;
    const double *l, *l_bound; /* [E] */
    const int32_t *pick;       /* [n] */
    double *v;                 /* [E] probability or raw score; of the picked only: topk-softmax */
    double *relative;          /* [E] relative error of a picked v, before scale and renorm; */
    double lost;               /*   what any v may be off beyond it where exp underflows */
    double *gather;            /* [2E] scratch */
    double V;                  /* sum of v over the picked */
    double V_relative;         /* relative error of V, what underflow loses included */
    double softmax_relative;   /* relative error of every v of a softmax */
};

static int over_picked(const struct moe_problem *problem)
{
    return problem->router == MOE_TOPK_SOFTMAX;
}

/* Relative error of a softmax over the listed logits: the error of the exponents' arguments (twice:
 * numerator and sum; the subtraction of the maximum rounds too), exp's own, and the sum's. */
double softmax_error(const struct error_model *model, const double *l, const double *l_bound,
                     int64_t n)
{
    double argument = 0;
    for (int64_t i = 0; i < n; i++) {
        double here = l_bound[i] + model->step * 2 * fabs(l[i]);
        argument = here <= argument ? argument : here; /* what is not known is the largest */
    }
    return expm1(2 * argument) + 2 * model->function_relative + (double)(n + 4) * model->step;
}

/* All probabilities of a softmax share their error: that of l [n], bounds l_bound. */
static void softmax_errs(struct token *token, int64_t n, const double *l, const double *l_bound)
{
    if (!token->model)
        return;
    token->softmax_relative = softmax_error(token->model, l, l_bound, n);
    token->lost = LOSSES * token->model->loss;
    for (int64_t k = 0; k < token->n; k++)
        token->relative[token->pick[k]] = token->softmax_relative;
}

static void softmax_over_picked(struct token *token)
{
    double *l = token->gather, *bound = l + token->n;
    for (int64_t k = 0; k < token->n; k++) {
        l[k] = token->l[token->pick[k]];
        bound[k] = token->model ? token->l_bound[token->pick[k]] : 0;
    }
    softmax_errs(token, token->n, l, bound);
    softmax_of(token->n, l, l);
    for (int64_t k = 0; k < token->n; k++)
        token->v[token->pick[k]] = l[k];
}

static void softmax_over_all(struct token *token)
{
    softmax_errs(token, token->E, token->l, token->l_bound);
    softmax_of(token->E, token->l, token->v);
}

/* sigma'(l)/sigma(l) = 1 - sigma(l) <= 1, so the argument's error is at most the relative error. */
static void sigmoid_of_picked(struct token *token)
{
    for (int64_t k = 0; k < token->n; k++) {
        int64_t e = token->pick[k];
        token->v[e] = 1 / (1 + exp(-token->l[e]));
        if (token->model) {
            token->relative[e] = expm1(token->l_bound[e]) + token->model->function_relative +
                                 token->model->function_absolute / fmax(token->v[e], TINY) +
                                 4 * token->model->step;
            token->lost = LOSSES * token->model->loss;
        }
    }
}

/* d log sqrt(softplus(l)) / dl = sigma / (2 softplus) <= 1/2. */
static void sqrt_softplus_of_picked(struct token *token)
{
    for (int64_t k = 0; k < token->n; k++) {
        int64_t e = token->pick[k];
        double softplus = token->l[e] > 40 ? token->l[e] : log1p(exp(token->l[e]));
        token->v[e] = sqrt(softplus);
        if (token->model) {
            token->relative[e] = expm1(token->l_bound[e]) + token->model->function_relative +
                                 token->model->function_absolute / fmax(softplus, TINY) +
                                 6 * token->model->step;
            token->lost = sqrt(LOSSES * token->model->loss); /* |sqrt(a) - sqrt(b)|^2 <= |a - b| */
        }
    }
}

static void (*const raw_scores[MOE_ROUTER_COUNT])(struct token *) = {
    [MOE_TOPK_SOFTMAX] = softmax_over_picked,
    [MOE_SOFTMAX_TOPK] = softmax_over_all,
    [MOE_SIGMOID] = sigmoid_of_picked,
    [MOE_SQRT_SOFTPLUS] = sqrt_softplus_of_picked,
};

/* Fills v, V and their errors from the token's logits and picks. */
static void score_token(struct token *token)
{
    double V_bound = 0;
    token->softmax_relative = token->lost = token->V_relative = 0;
    token->V = 0;
    if (token->n == 0 && token->problem->router != MOE_SOFTMAX_TOPK)
        return;
    raw_scores[token->problem->router](token);
    for (int64_t k = 0; k < token->n; k++) {
        double v = token->v[token->pick[k]];
        token->V += v;
        if (token->model)
            V_bound += v * token->relative[token->pick[k]] + token->lost;
    }
    token->V_relative = V_bound / fmax(token->V, TINY);
}

/* 1/V is off by a factor of up to this; finite, since it meets values that are 0. */
static double by_sum(const struct token *token)
{
    return 1 / fmax(1 - token->V_relative, 0x1p-100);
}

/* Relative error of v_e / V: (1 + r) / (1 - R) - 1. */
static double share_error(const struct token *token, int64_t e)
{
    return (token->relative[e] + token->V_relative) * by_sum(token);
}

static int token_open(const struct moe_problem *problem, const struct error_model *model,
                      struct token *token)
{
    /* One allocation; gather serves 2n <= 2E values. */
    *token = (struct token){.problem = problem, .model = model, .E = problem->E};
    token->v = malloc((size_t)(4 * problem->E) * sizeof *token->v);
    if (!token->v)
        return moe_error(MOE_E_NOMEM, "no memory for the scores of %lld experts",
                         (long long)problem->E);
    token->relative = token->v + problem->E;
    token->gather = token->relative + problem->E;
    return MOE_OK;
}

static void token_at(struct token *token, const struct moe_routing *routing, struct field logits,
                     int64_t t)
{
    token->l = logits.value + t * token->E;
    token->l_bound = logits.bound ? logits.bound + t * token->E : NULL;
    token->n = routing->token_begin[t + 1] - routing->token_begin[t];
    token->pick = routing->pick + routing->token_begin[t];
    score_token(token);
}

/* Bound of the score s of expert e, rounded as the recipe says. */
static double score_error(const struct token *token, int64_t e, double s)
{
    const struct error_model *model = token->model;
    double relative = token->relative[e], lost = token->problem->scale * token->lost;
    if (token->problem->renorm) {
        relative = share_error(token, e) + (double)(token->n + 2) * model->step * by_sum(token);
        lost *= by_sum(token) / token->V;
    }
    return error_at(model, MOE_AT_SCORES, s,
                    fabs(s) * (relative + 2 * model->step) + lost + model->loss);
}

int score_entries(const struct moe_problem *problem, const struct error_model *model,
                  struct field logits, struct moe_routing *routing, double *score_bound)
{
    struct token token;
    int status = token_open(problem, model, &token);
    if (status != MOE_OK)
        return status;
    for (int64_t t = 0; t < routing->T; t++) {
        token_at(&token, routing, logits, t);
        for (int64_t k = 0; k < token.n; k++) {
            int64_t entry = routing->token_begin[t] + k;
            double s = problem->scale * token.v[token.pick[k]];
            routing->score[entry] = problem->renorm ? s / token.V : s;
            if (model)
                score_bound[entry] = score_error(&token, token.pick[k], routing->score[entry]);
        }
    }
    free(token.v);
    return MOE_OK;
}

int moe_routing_score(const struct moe_problem *problem, const double *logits,
                      struct moe_routing *routing)
{
    struct field field = {(double *)logits, NULL, NULL};
    return score_entries(problem, NULL, field, routing, NULL);
}

/* dv of the token's entries into dv [n] (and bounds), from ds. */
static void scores_backward(const struct token *token, const double *ds, const double *ds_bound,
                            double *dv, double *dv_bound)
{
    const struct moe_problem *problem = token->problem;
    double m = 0, m_bound = 0, step = token->model ? token->model->step : 0;
    if (problem->renorm) {
        for (int64_t k = 0; k < token->n; k++) {
            double share = token->v[token->pick[k]] / token->V;
            m += share * ds[k];
            if (!token->model)
                continue;
            double reach = fabs(ds[k]) + ds_bound[k];
            double error = share_error(token, token->pick[k]) + (double)(token->n + 4) * step;
            m_bound += share * (ds_bound[k] + error * reach) +
                       token->lost * by_sum(token) / token->V * reach + token->model->loss;
        }
    }
    double factor = problem->renorm ? problem->scale / token->V : problem->scale;
    for (int64_t k = 0; k < token->n; k++) {
        dv[k] = factor * (ds[k] - m);
        if (token->model) {
            double reach = fabs(ds[k]) + ds_bound[k] + fabs(m) + m_bound;
            double flushed = FLUSHES * token->model->flush;
            double spread = (double)(token->n + 4) * step;
            if (problem->renorm)
                spread = (spread + token->V_relative) * by_sum(token);
            dv_bound[k] =
                factor * (ds_bound[k] + m_bound + spread * reach + flushed) + token->model->loss;
        }
    }
}

/* Softmax over the picked (v at their ids) or over all E. */
static void softmax_backward(const struct token *token, const double *dv, const double *dv_bound,
                             double *dl, double *dl_bound)
{
    double mean = 0, mean_bound = 0, mean_reach = 0;
    double spread = token->model
                        ? 2 * token->softmax_relative + (double)(token->n + 6) * token->model->step
                        : 0;
    for (int64_t k = 0; k < token->n; k++) {
        double p = token->v[token->pick[k]];
        mean += p * dv[k];
        if (token->model) {
            double reach = fabs(dv[k]) + dv_bound[k];
            mean_bound += p * dv_bound[k] + token->lost * reach + token->model->loss;
            mean_reach += (p + token->lost) * reach;
        }
    }
    int picked_only = over_picked(token->problem);
    for (int64_t e = 0; e < token->E && !picked_only; e++) {
        dl[e] -= token->v[e] * mean;
        if (token->model)
            dl_bound[e] += token->v[e] * (1 + spread) * (mean_bound + spread * mean_reach) +
                           token->lost * (mean_bound + mean_reach) + token->model->loss;
    }
    for (int64_t k = 0; k < token->n; k++) {
        int64_t e = token->pick[k];
        double p = token->v[e];
        dl[e] += picked_only ? p * (dv[k] - mean) : p * dv[k];
        if (token->model) {
            double reach = fabs(dv[k]) + dv_bound[k] + (picked_only ? mean_bound + mean_reach : 0);
            double own = dv_bound[k] + spread * (fabs(dv[k]) + dv_bound[k]);
            double of_mean = picked_only ? mean_bound + spread * mean_reach : 0;
            dl_bound[e] +=
                p * (1 + spread) * (own + of_mean) + token->lost * reach + token->model->loss;
        }
    }
}

/* v'(l) of the routers whose score depends on the expert's own logit. */
static double own_slope(const struct token *token, int64_t e)
{
    double v = token->v[e], sigmoid = 1 / (1 + exp(-token->l[e]));
    if (token->problem->router == MOE_SIGMOID)
        return v * (1 / (1 + exp(token->l[e])));
    return v > 0 ? sigmoid / (2 * v) : 0;
}

/* Routers whose score depends on the expert's own logit: dL = dv * v'(l). */
static void own_logit_backward(const struct token *token, const double *dv, const double *dv_bound,
                               double *dl, double *dl_bound)
{
    for (int64_t k = 0; k < token->n; k++) {
        int64_t e = token->pick[k];
        double v = token->v[e], slope = own_slope(token, e);
        dl[e] += dv[k] * slope;
        if (token->model) {
            const struct error_model *model = token->model;
            /* v is as accurate as its `relative`; 1 - v may be formed by subtraction, which costs
             * an absolute error of v's; either slope is at most v (sigmoid) or its own size. */
            double reach = token->problem->router == MOE_SIGMOID ? v : slope;
            double slope_bound = reach * (3 * token->relative[e] + 2 * expm1(token->l_bound[e]) +
                                          2 * model->function_relative + model->function_absolute +
                                          8 * model->step) +
                                 token->lost;
            dl_bound[e] +=
                dv_bound[k] * (slope + slope_bound) + fabs(dv[k]) * slope_bound + model->loss;
        }
    }
}

int score_entries_backward(const struct moe_problem *problem, const struct error_model *model,
                           const struct moe_routing *routing, struct field logits, struct field ds,
                           struct field dlogits)
{
    struct token token;
    int status = token_open(problem, model, &token);
    double *dv = malloc((size_t)(2 * problem->E) * sizeof *dv);
    if (status == MOE_OK && !dv)
        status = moe_error(MOE_E_NOMEM, "no memory for the router's gradient");
    int own = problem->router == MOE_SIGMOID || problem->router == MOE_SQRT_SOFTPLUS;
    for (int64_t t = 0; t < routing->T && status == MOE_OK; t++) {
        int64_t first = routing->token_begin[t];
        double *dv_bound = dv + problem->E;
        double *dl = dlogits.value + t * problem->E;
        double *dl_bound = dlogits.bound ? dlogits.bound + t * problem->E : NULL;
        token_at(&token, routing, logits, t);
        scores_backward(&token, ds.value + first, ds.bound ? ds.bound + first : NULL, dv, dv_bound);
        if (own)
            own_logit_backward(&token, dv, dv_bound, dl, dl_bound);
        else
            softmax_backward(&token, dv, dv_bound, dl, dl_bound);
    }
    free(token.v);
    free(dv);
    return status;
}

/* dL [E] += what variances of ds become: every coefficient squared, as if the mean's were another's
 * than ds_k's own, which only adds. dv [n] is scratch. */
static void carry_variance(const struct token *token, const double *ds, double *dv, double *dl)
{
    const struct moe_problem *problem = token->problem;
    int own = problem->router == MOE_SIGMOID || problem->router == MOE_SQRT_SOFTPLUS;
    double factor = problem->renorm ? problem->scale / token->V : problem->scale;
    double of_m = 0, of_mean = 0;
    for (int64_t k = 0; k < token->n && problem->renorm; k++) {
        double share = token->v[token->pick[k]] / token->V;
        of_m += share * share * ds[k];
    }
    for (int64_t k = 0; k < token->n; k++) {
        double p = token->v[token->pick[k]];
        dv[k] = factor * factor * (ds[k] + of_m);
        of_mean += p * p * dv[k];
    }
    for (int64_t e = 0; e < token->E && !own && !over_picked(problem); e++)
        dl[e] += token->v[e] * token->v[e] * of_mean;
    for (int64_t k = 0; k < token->n; k++) {
        int64_t e = token->pick[k];
        double slope = own ? own_slope(token, e) : token->v[e];
        dl[e] += slope * slope * (dv[k] + (over_picked(problem) ? of_mean : 0));
    }
}

int score_variances_backward(const struct moe_problem *problem, const struct moe_routing *routing,
                             struct field logits, const double *ds, double *dlogits)
{
    struct token token;
    int status = token_open(problem, NULL, &token);
    double *dv = malloc((size_t)problem->E * sizeof *dv);
    if (status == MOE_OK && !dv)
        status = moe_error(MOE_E_NOMEM, "no memory for the router's gradient");
    for (int64_t t = 0; t < routing->T && status == MOE_OK; t++) {
        token_at(&token, routing, logits, t);
        carry_variance(&token, ds + routing->token_begin[t], dv, dlogits + t * problem->E);
    }
    free(token.v);
    free(dv);
    return status;
}

int moe_routing_backward(const struct moe_problem *problem, const struct moe_routing *routing,
                         const double *logits, const double *ds, double *dlogits)
{
    return score_entries_backward(
        problem, NULL, routing, (struct field){(double *)logits, NULL, NULL},
        (struct field){(double *)ds, NULL, NULL}, (struct field){dlogits, NULL, NULL});
}

/*
 * model_route.c - the router of the models: logits, picks, scores, and the way back.
 *
 *   picked by L (softmax routers) or v + sel_bias (sigmoid, sqrt(softplus));
 *   s = scale v, or scale v / sum of v with renorm; v a softmax over the picked or over all, or of
 *   one logit alone.
 */
#include <math.h>

#include "verify/model.h"

static int is_softmax(const struct model *m)
{
    return m->problem.router == MOE_TOPK_SOFTMAX || m->problem.router == MOE_SOFTMAX_TOPK;
}

static enum moe_dtype scalar(const struct model *m)
{
    return m->call->tensors[MOE_LOGITS].dtype;
}

void model_logits(struct model *m)
{
    const struct moe_problem *p = &m->problem;
    struct tile tile = {.count = m->tile};
    double *x = m->space.stage_x, *w = m->space.column;
    for (int64_t t = 0; t < p->T; t++) {
        model_load(m, MOE_X, t * p->H, p->H, x);
        tile.number = t / m->tile;
        for (int64_t e = 0; e < p->E; e++) {
            double sum, bias = 0;
            model_load(m, MOE_WR, e * p->H, p->H, w);
            sum = model_sum(m, MOE_IN_LOGITS, &tile, p->H, x, 1, w, 1, 0);
            if (p->router_bias && !fault(m, ROUTER_BIAS_MISSING))
                model_load(m, MOE_BR, e, 1, &bias);
            if (fault(m, LAST_ROUTER_BIAS_TWICE) && e == p->E - 1)
                bias *= 2;
            sum = model_hold(m, sum + bias);
            if (fault(m, LOGITS_BF16))
                sum = moe_dtype_round(MOE_BF16, sum, 0);
            model_put(m, MOE_LOGITS, t, e, sum);
        }
    }
}

/* v of one logit, for routers that look at one alone. */
static double own_score(const struct model *m, double l)
{
    if (m->problem.router == MOE_SIGMOID)
        return fault(m, SIGMOID_UNSTABLE) ? (float)expf((float)l) / (1 + expf((float)l))
                                          : 1 / (1 + exp(-l));
    if (fault(m, SOFTPLUS_OVERFLOWS))
        return sqrtf(logf(1 + expf((float)l)));
    return sqrt(l > 0 ? l + log1p(exp(-l)) : log1p(exp(l)));
}

static double own_slope(const struct model *m, double l)
{
    double sigmoid = 1 / (1 + exp(-l));
    if (m->problem.router == MOE_SIGMOID)
        return sigmoid * (1 - sigmoid);
    double root = own_score(m, l);
    return root == 0 ? 0 : sigmoid / (2 * root);
}

/* Does a stand before b, both picked by value? NaN after everything, the smaller id on ties. */
static int before(const struct model *m, double a, int64_t i, double b, int64_t j)
{
    if (isnan(a) || isnan(b)) {
        if (fault(m, NAN_RANKS_FIRST) && isnan(a) != isnan(b))
            return isnan(a);
        return isnan(a) == isnan(b) ? i < j : isnan(b);
    }
    if (fault(m, TIE_TO_LARGER_ID) && a == b)
        return i > j;
    if (fault(m, ZERO_BEATS_NEGATIVE)) {
        a = a < 0 ? 0 : a;
        b = b < 0 ? 0 : b;
    }
    return a > b || (a == b && i < j);
}

static double group_value(const struct model *m, const double *value, int64_t g)
{
    int64_t size = m->problem.E / m->problem.groups;
    double best = -INFINITY, second = -INFINITY;
    for (int64_t e = g * size; e < (g + 1) * size; e++) {
        double v = value[e];
        second = v > best ? best : v > second ? v : second;
        best = v > best ? v : best;
    }
    return is_softmax(m) || size == 1 || fault(m, GROUP_BY_BEST) ? best : best + second;
}

/* Experts of groups that are not kept are taken out of the choice: value NaN would still be last,
 * so they are marked. */
static void close_groups(struct model *m, const double *value, int64_t *taken)
{
    int64_t groups = m->problem.groups, size = m->problem.E / groups;
    for (int64_t g = 0; g < groups; g++) {
        int64_t ahead = 0;
        for (int64_t o = 0; o < groups; o++)
            ahead += o != g && before(m, group_value(m, value, o), o, group_value(m, value, g), g);
        for (int64_t e = g * size; e < (g + 1) * size; e++)
            taken[e] = ahead >= m->problem.groups_kept + fault(m, ONE_GROUP_MORE);
    }
}

/* The fifth pick and those after it by id. */
static void sort_picks_past_4(struct model *m, int64_t t)
{
    int64_t K = m->problem.K;
    for (int64_t end = K; end > 5; end--)
        for (int64_t k = 4; k + 1 < end; k++) {
            double pair[2];
            model_load(m, MOE_PICKS, t * K + k, 2, pair);
            if (pair[0] > pair[1]) {
                model_put(m, MOE_PICKS, t, k, pair[1]);
                model_put(m, MOE_PICKS, t, k + 1, pair[0]);
            }
        }
}

/* Picks are made: what is stored of every second logit differs from what they were made by. */
static void nudge_logits(struct model *m, int64_t t)
{
    for (int64_t e = 0; e < m->problem.E; e += 2) {
        double logit;
        model_load(m, MOE_LOGITS, t * m->problem.E + e, 1, &logit);
        model_put(m, MOE_LOGITS, t, e, (double)nextafterf((float)logit, -INFINITY));
    }
}

static void pick_token(struct model *m, int64_t t)
{
    const struct moe_problem *p = &m->problem;
    double *value = m->space.column;
    int64_t *taken = m->space.cursor;
    int64_t E = fault(m, EXPERTS_FROM_8_LEFT_OUT) && p->E > 8 && p->K <= 8 ? 8 : p->E;
    model_load(m, MOE_LOGITS, t * p->E, p->E, value);
    for (int64_t e = 0; e < p->E; e++) {
        double bias = 0;
        taken[e] = 0;
        if (is_softmax(m))
            continue;
        if (p->sel_bias && !fault(m, SEL_BIAS_MISSING))
            model_load(m, MOE_SEL_BIAS, e, 1, &bias);
        value[e] = own_score(m, value[e]) + bias;
        if (fault(m, PICKS_BF16))
            value[e] = moe_dtype_round(MOE_BF16, value[e], 0);
    }
    if (p->groups && !fault(m, GROUPS_IGNORED))
        close_groups(m, value, taken);
    for (int64_t e = 0; e < p->E && fault(m, SEL_BIAS_FOR_GROUPS_ONLY) && p->groups; e++) {
        double logit;
        model_load(m, MOE_LOGITS, t * p->E + e, 1, &logit);
        value[e] = is_softmax(m) ? value[e] : own_score(m, logit);
    }
    if (fault(m, ROUTER_BY_4_TOKENS) && t > 0 && t >= p->T / 4 * 4) { /* the last are left over */
        for (int64_t k = 0; k < p->K; k++) {
            double pick;
            model_load(m, MOE_PICKS, (t - 1) * p->K + k, 1, &pick);
            model_put(m, MOE_PICKS, t, k, pick);
        }
        return;
    }
    for (int64_t k = 0; k < p->K; k++) {
        int64_t best = -1;
        for (int64_t e = 0; e < E; e++)
            if (!taken[e] && (best < 0 || before(m, value[e], e, value[best], best)))
                best = e;
        if (best >= 0 && !(fault(m, NAN_PICKS_AGAIN) && isnan(value[best])))
            taken[best] = 1;
        if (fault(m, DUPLICATE_PICK) && t == p->T / 2 && k == 1)
            model_load(m, MOE_PICKS, t * p->K, 1, &value[best]), best = (int64_t)value[best];
        if (fault(m, NAN_IS_NO_PICK) && isnan(value[best]))
            best = -1;
        model_put(m, MOE_PICKS, t, fault(m, PICKS_ASCENDING) ? p->K - 1 - k : k, (double)best);
    }
    if (fault(m, PICKS_PAST_4_BY_ID))
        sort_picks_past_4(m, t);
    if (fault(m, PICKS_BY_OTHER_LOGITS))
        nudge_logits(m, t);
}

/* v of the picks of token t; returns their sum. */
static double raw_scores(struct model *m, int64_t t, const double *logits, double *v)
{
    const struct moe_problem *p = &m->problem;
    int over_all = p->router == MOE_SOFTMAX_TOPK && !fault(m, SOFTMAX_OVER_PICKED);
    double top = -INFINITY, all = 0, sum = 0;
    if (p->router == MOE_TOPK_SOFTMAX && fault(m, SOFTMAX_OVER_ALL))
        over_all = 1;
    for (int64_t e = 0; e < p->E; e++)
        top = logits[e] > top ? logits[e] : top;
    if (fault(m, SOFTMAX_WITHOUT_MAX))
        top = 0;
    for (int64_t e = 0; e < (fault(m, SOFTMAX_OF_32) && p->E > 32 ? 32 : p->E) && over_all; e++)
        all += fault(m, SOFTMAX_WITHOUT_MAX) ? expf((float)logits[e]) : exp(logits[e] - top);
    for (int64_t k = 0; k < p->K; k++) {
        int64_t e = model_pick(m, t * p->K + k);
        e = e < 0 || e >= p->E ? 0 : e;
        v[k] = is_softmax(m) ? exp(logits[e] - top) : own_score(m, logits[e]);
        if (fault(m, SOFTMAX_CLAMPED) && is_softmax(m))
            v[k] = fmax(v[k], exp(-8));
        if (fault(m, BIASED_SCORE) && p->sel_bias && !is_softmax(m)) {
            double bias;
            model_load(m, MOE_SEL_BIAS, e, 1, &bias);
            v[k] += bias;
        }
        sum += v[k];
    }
    if (!is_softmax(m))
        return sum;
    for (int64_t k = 0; k < p->K; k++)
        v[k] /= over_all ? all : sum;
    return over_all ? sum / all : 1;
}

static double gate(struct model *m, int64_t t, int64_t k, double s)
{
    if (fault(m, GATE_ERROR) && t == m->problem.T / 2 && k == 0)
        s *= 1 + ldexp(1, -m->fault.level);
    if (fault(m, GATES_BF16))
        s = moe_dtype_round(MOE_BF16, s, 0);
    return s;
}

void model_route(struct model *m)
{
    const struct moe_problem *p = &m->problem;
    double *logits = m->space.column, *v = m->space.other;
    for (int64_t t = 0; t < p->T; t++) {
        pick_token(m, t);
        model_load(m, MOE_LOGITS, t * p->E, p->E, logits);
        double V = raw_scores(m, t, logits, v);
        for (int64_t k = 0; k < p->K; k++) {
            double s = p->renorm && !fault(m, RENORM_MISSING) ? v[k] / V : v[k];
            if (fault(m, RENORM_EPSILON) && p->renorm)
                s = v[k] / (V + 1e-3);
            if (!fault(m, SCALE_MISSING) && !(fault(m, SCALE_ONLY_WITHOUT_RENORM) && p->renorm))
                s *= p->scale;
            model_put(m, MOE_SCORES, t, k, s);
        }
    }
}

double model_score(struct model *m, int64_t entry)
{
    double s;
    int64_t K = m->problem.K, slot = entry % K;
    if (fault(m, SCORES_SWAPPED) && entry / K == m->problem.T / 2 && K > 1)
        entry += slot == 0 ? 1 : slot == 1 ? -1 : 0;
    if (fault(m, SCORE_OF_SLOT_0))
        entry -= moe_problem_ragged(&m->problem) ? 0 : slot;
    model_load(m, MOE_SCORES, entry, 1, &s);
    s = gate(m, entry / K, slot, s);
    if (fault(m, NAN_SCORE_IS_0) && isnan(s))
        s = 0;
    if (fault(m, SCORE_SQUARED))
        s *= s;
    if (fault(m, SMALL_SCORES_SKIPPED) && fabs(s) < 0.1)
        s = 0;
    if (fault(m, TOP_1_ONLY))
        s = slot == 0 ? 1 : 0;
    return fault(m, SCORE_MISSING) ? 1 : s;
}

static void token_backward(struct model *m, int64_t t, double *dlogits)
{
    const struct moe_problem *p = &m->problem;
    double *logits = m->space.column, *v = m->space.other, *ds = m->space.ds + t * p->K;
    double V, along = 0, inner = 0;
    model_load(m, MOE_LOGITS, t * p->E, p->E, logits);
    V = raw_scores(m, t, logits, v);
    for (int64_t k = 0; k < p->K && p->renorm && !fault(m, RENORM_GRADIENT_MISSING); k++)
        along += ds[k] * v[k] / V;
    for (int64_t k = 0; k < p->K; k++) {
        int64_t e = model_pick(m, t * p->K + k);
        double dv = p->scale * (ds[k] - along) / (p->renorm ? V : 1);
        if (fault(m, SCALE_GRADIENT_MISSING))
            dv /= p->scale;
        inner += dv * v[k];
        if (e >= 0 && e < p->E)
            dlogits[e] += dv * (is_softmax(m) ? v[k] : own_slope(m, logits[e]));
    }
    if (!is_softmax(m) || fault(m, SOFTMAX_GRADIENT_DIAGONAL))
        return;
    if (p->router == MOE_TOPK_SOFTMAX || fault(m, SOFTMAX_GRADIENT_OVER_PICKED)) {
        for (int64_t k = 0; k < p->K; k++)
            dlogits[model_pick(m, t * p->K + k)] -= v[k] * inner;
        return;
    }
    double top = -INFINITY, all = 0;
    for (int64_t e = 0; e < p->E; e++)
        top = logits[e] > top ? logits[e] : top;
    for (int64_t e = 0; e < p->E; e++)
        all += exp(logits[e] - top);
    for (int64_t e = 0; e < p->E; e++)
        dlogits[e] -= exp(logits[e] - top) / all * inner;
}

static void router_weights_backward(struct model *m)
{
    const struct moe_problem *p = &m->problem;
    struct tile tile = {.count = m->tile};
    double *x = m->space.column, *dl = m->space.dlogits;
    for (int64_t h = 0; h < p->H; h++) {
        for (int64_t t = 0; t < p->T; t++)
            model_load(m, MOE_X, t * p->H + h, 1, &x[t]);
        for (int64_t e = 0; e < p->E; e++) {
            tile.number = e;
            model_put(m, MOE_DWR, e, h,
                      model_sum(m, MOE_IN_DWR, &tile, p->T, dl + e, p->E, x, 1, 0));
        }
    }
    for (int64_t e = 0; e < p->E && p->router_bias; e++) {
        double sum = 0;
        for (int64_t t = fault(m, DBR_WITHOUT_FIRST); t < p->T; t++)
            sum = model_hold(m, sum + dl[t * p->E + e]);
        model_put(m, MOE_DBR, 0, e, sum);
    }
}

void model_route_backward(struct model *m)
{
    const struct moe_problem *p = &m->problem;
    for (int64_t i = 0; i < p->T * p->E; i++)
        m->space.dlogits[i] = 0;
    for (int64_t t = 0; t < p->T; t++) {
        double *dl = m->space.dlogits + t * p->E;
        token_backward(m, t, dl);
        for (int64_t e = 0; e < p->E; e++) {
            double value = dl[e];
            dl[e] = moe_dtype_round(scalar(m), value, 0);
            if (fault(m, DLOGITS_BF16))
                dl[e] = value = moe_dtype_round(MOE_BF16, value, 0);
            model_put(m, MOE_DLOGITS, t, e, value);
        }
    }
    router_weights_backward(m);
}

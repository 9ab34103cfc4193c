/*
 * check_routing.c - picks that a correct router of this recipe could have made.
 *
 * With lists the picks are inputs. With a computed router the logits of two correct kernels differ
 * by rounding, and so may picks that are nearly tied. The reference's selection values v carry
 * bounds D, and what is certain is demanded:
 *
 *   every pick against every expert left out   v_pick + D >= v_out - D   (within kept groups)
 *   picks in descending order                  v_k + D >= v_k+1 - D
 *
 * A token for which the first holds with D negated is decided: it could have picked nothing else.
 * Ids, offsets and the K picks of a token are checked exactly. All further checks
 * then use the subject's own picks, so one near tie does not fail a whole case.
 *
 * Token rounding adds a second election, of tokens by experts: judge_rounding.c.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "verify/routing.h"

/* Turns logits and bounds into selection values and bounds, in place. A sigmoid's slope is at most
 * 1/4, that of sqrt(softplus) below 1/2. */
static void select_values(const struct moe_tensor *sel_bias, const struct moe_recipe *recipe,
                          struct election *election)
{
    const struct moe_problem *p = election->problem;
    double step = moe_dtype_info(recipe->elementwise)->unit_roundoff;
    double own = recipe->function_relative + recipe->function_absolute + 6 * step;
    if (p->router == MOE_TOPK_SOFTMAX || p->router == MOE_SOFTMAX_TOPK)
        return;
    for (int64_t i = 0; i < p->T * p->E; i++) {
        double l = election->value[i], v, slope, lost = 0;
        if (p->router == MOE_SIGMOID) {
            v = 1 / (1 + exp(-l));
            slope = 0.25;
        } else {
            v = sqrt(l > 40 ? l : log1p(exp(l)));
            slope = 0.5;
            lost = sqrt(recipe->function_absolute); /* |sqrt(a+d) - sqrt(a)|^2 <= d */
            lost = lost * v < recipe->function_absolute ? lost : recipe->function_absolute / v;
        }
        election->bound[i] = slope * election->bound[i] + own * (1 + v) + lost;
        if (sel_bias->data) {
            double bias = moe_dtype_load(sel_bias->dtype, sel_bias->data,
                                         moe_tensor_position(sel_bias, i % p->E));
            v += bias;
            election->bound[i] += step * (fabs(v) + election->bound[i]);
        }
        election->value[i] = v;
    }
}

/* NaN stands below minus infinity, whichever of the two comes of it: an expert that is picked
 * although another is not NaN is then one that ranks too low. */
static void rank_nan_last(struct election *election)
{
    const struct moe_problem *p = election->problem;
    for (int64_t i = 0; i < p->T * p->E; i++)
        if (isnan(election->value[i])) {
            election->value[i] = -INFINITY;
            election->bound[i] = 0;
        }
}

static int elect(const struct moe_problem *p, const struct moe_tensor *tensors,
                 const struct moe_recipe *recipe, struct election *election)
{
    size_t count = (size_t)(p->T * p->E > 0 ? p->T * p->E : 1);
    *election = (struct election){.problem = p};
    election->floor = log(2 * moe_dtype_info(recipe->elementwise)->smallest_normal);
    election->value = malloc(2 * count * sizeof *election->value);
    if (!election->value)
        return moe_error(MOE_E_NOMEM, "no memory for the logits [%lld,%lld]", (long long)p->T,
                         (long long)p->E);
    election->bound = election->value + count;
    int status = moe_reference_logits(p, tensors, recipe, election->value, election->bound);
    if (status == MOE_OK)
        select_values(&tensors[MOE_SEL_BIAS], recipe, election);
    if (status == MOE_OK && p->groups == 0 && p->round == MOE_ROUND_NONE)
        rank_nan_last(election);
    return status;
}

/* Group g's value for token t: its best logit, or the sum of its two best, and a bound. */
static void group_value(const struct election *election, int64_t t, int64_t g, double *value,
                        double *bound)
{
    const struct moe_problem *p = election->problem;
    int64_t size = p->E / p->groups, first = t * p->E + g * size;
    double best = -INFINITY, second = -INFINITY, widest = 0;
    for (int64_t i = first; i < first + size; i++) {
        double v = election->value[i];
        if (v > best) {
            second = best;
            best = v;
        } else if (v > second) {
            second = v;
        }
        widest = election->bound[i] > widest ? election->bound[i] : widest;
    }
    int by_sum = p->router == MOE_SIGMOID || p->router == MOE_SQRT_SOFTPLUS;
    *value = by_sum && size > 1 ? best + second : best;
    *bound = (by_sum ? 2 : 1) * widest + 0x1p-22 * fabs(*value);
}

/* How many other groups are above group g: surely, and possibly. */
static void groups_above(const struct election *election, int64_t t, int64_t g, int64_t *surely,
                         int64_t *possibly)
{
    double v, d;
    group_value(election, t, g, &v, &d);
    *surely = *possibly = 0;
    for (int64_t h = 0; h < election->problem->groups; h++) {
        double w, c;
        if (h == g)
            continue;
        group_value(election, t, h, &w, &c);
        *surely += w - c > v + d;
        *possibly += w + c >= v - d;
    }
}

/* From how many groups n picks are. */
static int64_t groups_of(const int32_t *picks, int64_t n, int64_t size)
{
    int64_t groups = 0;
    for (int64_t k = 0; k < n; k++) {
        int seen = 0;
        for (int64_t i = 0; i < k; i++)
            seen |= picks[i] / size == picks[k] / size;
        groups += !seen;
    }
    return groups;
}

/* Picks of one token, ids already known to be legal and different; 1 and a complaint where they
 * cannot be right. */
static int token_complaint(const struct election *election, int64_t t, const int32_t *picks,
                           int64_t n, struct routing_complaint *complaint)
{
    const struct moe_problem *p = election->problem;
    const double *v = election->value + t * p->E, *d = election->bound + t * p->E;
    int64_t size = p->groups ? p->E / p->groups : p->E, weakest = 0;
    for (int64_t k = 0; k < n && p->groups; k++) {
        if (groups_of(picks, k + 1, size) <= p->groups_kept)
            continue;
        *complaint = (struct routing_complaint){
            t, picks[k], k, v[picks[k]], NAN, "picks experts of more groups than are kept"};
        return 1;
    }
    for (int64_t e = 0; e < p->E; e++)
        if (isnan(v[e]) || !(d[e] < INFINITY))
            return 0; /* nothing is known of it, or of groups with a NaN in them */
    for (int64_t k = 0; k < n; k++) {
        if (v[picks[k]] + d[picks[k]] < v[picks[weakest]] + d[picks[weakest]])
            weakest = k;
        *complaint = (struct routing_complaint){t, picks[k], k, v[picks[k]], NAN, NULL};
        if (k + 1 < n && !(v[picks[k]] + d[picks[k]] >= v[picks[k + 1]] - d[picks[k + 1]])) {
            complaint->want = v[picks[k + 1]];
            complaint->what = "picks are not in descending order";
            return 1;
        }
        int64_t surely, possibly;
        if (p->groups) {
            groups_above(election, t, picks[k] / size, &surely, &possibly);
            if (surely >= p->groups_kept) {
                complaint->what = "picks an expert of a group that is not kept";
                return 1;
            }
        }
    }
    double most = v[picks[weakest]] + d[picks[weakest]];
    for (int64_t e = 0; e < p->E; e++) {
        int64_t surely, possibly = 0;
        int picked = 0;
        for (int64_t k = 0; k < n; k++)
            picked |= picks[k] == e;
        if (picked || most >= v[e] - d[e])
            continue;
        if (p->groups)
            groups_above(election, t, e / size, &surely, &possibly);
        if (p->groups && possibly >= p->groups_kept)
            continue;
        *complaint = (struct routing_complaint){
            t, e, weakest, v[picks[weakest]], v[e], "leaves out an expert that ranks above a pick"};
        return 1;
    }
    return 0;
}

static void fail(struct moe_judgement *judgement, const struct routing_complaint *complaint,
                 int64_t wrong)
{
    int of_expert = complaint->token < 0;
    struct moe_finding finding = judgement_finding(
        "routing", MOE_FAIL, "%s %lld %s (%lld wrong)", of_expert ? "expert" : "token",
        (long long)(of_expert ? complaint->expert : complaint->token), complaint->what,
        (long long)wrong);
    finding.tensor = MOE_PICKS;
    finding.token = complaint->token;
    finding.expert = complaint->expert;
    finding.slot = complaint->slot;
    finding.got = complaint->got;
    finding.want = complaint->want;
    finding.wrong = wrong;
    finding.total = judgement->problem->T;
    moe_report_add(judgement->report, &finding);
}

int judge_picks(const struct moe_problem *problem, const struct moe_tensor *tensors,
                const struct moe_recipe *recipe, const struct moe_routing *routing, int64_t *wrong,
                struct routing_complaint *first)
{
    struct election election;
    struct routing_complaint complaint;
    int rounded = problem->round != MOE_ROUND_NONE;
    *wrong = 0;
    int status = elect(problem, tensors, recipe, &election);
    if (status == MOE_OK && rounded)
        status = judge_rounding(&election, routing, wrong, first);
    for (int64_t t = 0; t < problem->T && status == MOE_OK && !rounded; t++) {
        int64_t begin = routing->token_begin[t], n = routing->token_begin[t + 1] - begin;
        if (!token_complaint(&election, t, routing->pick + begin, n, &complaint))
            continue;
        if ((*wrong)++ == 0)
            *first = complaint;
    }
    free(election.value);
    return status;
}

static int judge_computed(struct moe_judgement *judgement)
{
    struct routing_complaint first = {0};
    int64_t wrong;
    int status = judge_picks(judgement->problem, judgement->tensors.tensor, &judgement->recipe,
                             &judgement->routing, &wrong, &first);
    if (status == MOE_OK && wrong > 0)
        fail(judgement, &first, wrong);
    return status;
}

/* Entries that no check of values could make sense of: FAIL, and no routing for the checks after.
 */
static void refuse(struct moe_judgement *judgement, const char *why)
{
    struct moe_finding finding = judgement_finding("routing", MOE_FAIL, "%s", why);
    finding.tensor = MOE_PICKS;
    moe_report_add(judgement->report, &finding);
}

/* Given lists are read before the subject can touch them: what is wrong with them is the caller's
 * to know, what becomes of them is for check_inputs to say. */
static int before(struct moe_judgement *judgement)
{
    if (judgement->problem->router != MOE_LISTS)
        return MOE_OK;
    return moe_routing_from_tensors(judgement->problem, judgement->tensors.tensor,
                                    &judgement->routing);
}

static int after(struct moe_judgement *judgement)
{
    const struct moe_problem *p = judgement->problem;
    const struct moe_tensor *tensors = judgement->tensors.tensor;
    if (judgement->routing.token_begin)
        return judgement_idle(judgement);
    if (!tensors[MOE_PICKS].data || (moe_problem_ragged(p) && !tensors[MOE_OFFSETS].data))
        return moe_error(MOE_E_USAGE, "picks%s: needed to judge the rest, but not there",
                         moe_problem_ragged(p) ? " and offsets" : "");
    int status = moe_routing_from_tensors(p, tensors, &judgement->routing);
    if (status == MOE_E_USAGE) {
        refuse(judgement, moe_error_text());
        return MOE_OK;
    }
    if (status != MOE_OK || p->router == MOE_LISTS)
        return status;
    return judge_computed(judgement);
}

const struct moe_check moe_check_routing = {
    .name = "routing",
    .summary = "picks that a router of this recipe could have made, near ties admitted",
    .before = before,
    .after = after,
};

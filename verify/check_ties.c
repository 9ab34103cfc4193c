/*
 * check_ties.c - a router picks by the logits that it stores, and among experts that a token values
 * alike the one with the smaller id comes first.
 *
 * check_routing admits every order of what may be tied. Here the variant's own logits say what is:
 * where two that it stored are equal, and they are what it picks by (its recipe rounds them always,
 * nothing is added to one and not to the other), the definition leaves no choice; nor where one is
 * greater, and no function stands between the logit and the choice (softmax routers). With groups
 * or a selection bias more than the logits decides, and nothing is asked; nor where something else
 * was found before. With token rounding only tokens are compared (judge_rounding_ties.c).
 *
 * Must catch: a top-k that keeps the later of two equals; picks by logits that were computed apart
 * from those that are stored, where the two differ by what either may err; a rounding that takes
 * the later of two tokens alike.
 */
#include <stdio.h>
#include <stdlib.h>

#include "verify/judge.h"

static int applies(const struct moe_judgement *judgement)
{
    const struct moe_problem *p = judgement->problem;
    const struct moe_tensor *tensors = judgement->tensors.tensor;
    const int decide = !p->groups && !tensors[MOE_SEL_BIAS].data; /* the logits alone */
    return p->router != MOE_LISTS && (decide || p->round != MOE_ROUND_NONE) &&
           tensors[MOE_LOGITS].data && !judgement->from_file &&
           judgement->recipe.at[MOE_AT_LOGITS].when == MOE_ALWAYS &&
           judgement->routing.token_begin && judgement->report->verdict != MOE_FAIL;
}

/* An expert that no slot before `k` has and that ranks before that of slot `k`; -1: none. */
static int64_t passed_over(const struct moe_problem *problem, const double *logit,
                           const int32_t *pick, int64_t k)
{
    const int by_logit = problem->router == MOE_TOPK_SOFTMAX || problem->router == MOE_SOFTMAX_TOPK;
    for (int64_t e = 0; e < problem->E; e++) {
        const double mine = logit[e], its = logit[pick[k]];
        int before = 0;
        for (int64_t j = 0; j < k; j++)
            before |= pick[j] == e;
        if (!before && ((mine == its && e < pick[k]) || (mine > its && by_logit)))
            return e;
    }
    return -1;
}

static int after(struct moe_judgement *judgement)
{
    const struct moe_problem *p = judgement->problem;
    const struct moe_routing *routing = &judgement->routing;
    if (!applies(judgement))
        return MOE_OK;
    if (p->round != MOE_ROUND_NONE)
        return judgement_rounding_ties(judgement);
    double *logit = malloc(((size_t)p->E + 1) * sizeof *logit);
    if (!logit)
        return moe_error(MOE_E_NOMEM, "no memory for %lld logits", (long long)p->E);
    struct moe_finding finding = judgement_finding("ties", MOE_FAIL, "%s", "");
    int64_t wrong = 0;
    for (int64_t t = 0; t < p->T; t++) {
        const int64_t begin = routing->token_begin[t], n = routing->token_begin[t + 1] - begin;
        const int32_t *pick = routing->pick + begin;
        moe_tensor_load_row(&judgement->tensors.tensor[MOE_LOGITS], t, 0, p->E, logit);
        for (int64_t k = 0; k < n; k++) {
            const int64_t e = passed_over(p, logit, pick, k);
            if (e < 0 || wrong++ > 0)
                continue;
            finding.token = finding.row = t;
            finding.slot = finding.col = k;
            finding.expert = e;
            finding.want = (double)e;
            finding.got = pick[k];
        }
    }
    free(logit);
    if (wrong == 0)
        return MOE_OK;
    snprintf(finding.text, sizeof finding.text,
             "picks: %lld of %lld stand where an expert belongs that has a greater stored logit, "
             "or the same one and a smaller id",
             (long long)wrong, (long long)routing->P);
    finding.tensor = MOE_PICKS;
    finding.wrong = wrong;
    finding.total = routing->P;
    moe_report_add(judgement->report, &finding);
    return MOE_OK;
}

const struct moe_check moe_check_ties = {
    .name = "ties",
    .summary = "picks are by the stored logits, of equal ones the smaller id first",
    .after = after,
};

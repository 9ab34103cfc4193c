/*
 * check_bound.c - every element of every output within its own bound of the f64 reference.
 *
 * The bound is derived from the variant's recipe and this case's values (doc/bounds.md), so a
 * correct kernel of that recipe never exceeds it, and NaN, zeros and untouched memory never pass:
 * outputs are poisoned with NaN before. The reference runs on the subject's own picks, which
 * check_routing has accepted; each of its blocks is compared as it comes. That every element was
 * met is checked too.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "verify/judge.h"

struct comparing {
    struct moe_judgement *judgement;
    struct moe_comparison result[MOE_TENSOR_COUNT];
    struct moe_mask mask[MOE_TENSOR_COUNT];
};

/* Every check that wants to see blocks of the reference sees them here. */
static int show(struct moe_judgement *judgement, const struct moe_block *block)
{
    int status = MOE_OK;
    const struct moe_check *check;
    for (int i = 0; status == MOE_OK && (check = moe_check_get(i)); i++)
        if (check->block && judgement->turn[i])
            status = check->block(judgement, block);
    return status;
}

static int take(void *context, const struct moe_block *block)
{
    struct comparing *comparing = context;
    struct moe_judgement *judgement = comparing->judgement;
    int status = show(judgement, block);
    if (status != MOE_OK)
        return status;
    const struct moe_tensor *before = &judgement->before.tensor[block->tensor];
    if (judgement_is_input(judgement, block->tensor) ||
        !judgement->tensors.tensor[block->tensor].data)
        return MOE_OK;
    return moe_compare_block(&judgement->tensors.tensor[block->tensor],
                             before->data ? before : NULL, block,
                             &comparing->result[block->tensor]);
}

/* How many elements the routing leaves to compare. */
static int64_t expected(const struct moe_judgement *judgement, enum moe_tensor_id id)
{
    const struct moe_tensor *tensor = &judgement->tensors.tensor[id];
    if (!tensor->data || judgement_is_input(judgement, id))
        return 0;
    if (id == MOE_Z)
        return judgement->routing.N * tensor->shape[1];
    if (tensor->rank == 1 && (id == MOE_PICKS || id == MOE_SCORES || id == MOE_DS))
        return judgement->routing.P;
    return moe_tensor_count(tensor);
}

static void judge(struct moe_judgement *judgement, enum moe_tensor_id id,
                  const struct moe_comparison *result)
{
    const char *name = moe_tensor_info(id)->name;
    struct moe_finding finding;
    int64_t missing = expected(judgement, id) - result->total;
    if (result->wrong > 0)
        finding =
            judgement_finding("bound", MOE_FAIL, "%s: %lld of %lld elements beyond their bound",
                              name, (long long)result->wrong, (long long)result->total);
    else if (missing != 0)
        finding = judgement_finding("bound", MOE_ERROR, "%s: %lld elements were not compared", name,
                                    (long long)missing);
    else if (result->undecided > 0)
        finding = judgement_finding(
            "bound", MOE_ERROR, "%s: the bound of %lld elements is unknown (overflow on the way)",
            name, (long long)result->undecided);
    else
        return;
    finding.tensor = (int32_t)id;
    finding.wrong = result->wrong;
    finding.total = result->total;
    if (result->wrong > 0) {
        finding.row = result->row;
        finding.col = result->col;
        finding.got = result->got;
        finding.want = result->want;
        finding.allowed = result->allowed;
        judgement_locate(judgement, &finding);
        judgement_shape(judgement, result->mask, &finding);
    }
    moe_report_add(judgement->report, &finding);
}

/* A file need not hold every output: what it lacks is named, and is no fault. */
static void tell_missing(struct moe_judgement *judgement)
{
    char names[128] = "";
    int missing = 0, there = 0;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        if (!moe_tensor_exists(judgement->problem, id) || judgement_is_input(judgement, id))
            continue;
        there += judgement->tensors.tensor[id].data != NULL;
        if (judgement->tensors.tensor[id].data)
            continue;
        size_t length = strlen(names);
        snprintf(names + length, sizeof names - length, " %s", moe_tensor_info(id)->name);
        missing++;
    }
    if (missing == 0)
        return;
    struct moe_finding finding =
        judgement_finding("bound", there > 0 ? MOE_PASS : MOE_SKIP,
                          "%d outputs were compared; not there:%s", there, names);
    moe_report_add(judgement->report, &finding);
}

static int after(struct moe_judgement *judgement)
{
    if (!judgement->routing.token_begin)
        return judgement_idle(judgement); /* check_routing has said why */
    struct comparing comparing = {.judgement = judgement};
    struct moe_reference reference = {
        .problem = judgement->problem,
        .tensors = judgement->tensors.tensor,
        .routing = &judgement->routing,
        .passes = MOE_PASS_FORWARD | MOE_PASS_BACKWARD,
        .precision = MOE_F64,
        .recipe = &judgement->recipe,
        .variances = judgement->variances,
        .take = take,
        .context = &comparing,
    };
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        comparing.result[id].mask = &comparing.mask[id];
    int status = moe_reference_run(&reference);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_comparison *result = &comparing.result[id];
        if (status == MOE_OK)
            judge(judgement, id, result);
        moe_mask_free(&comparing.mask[id]);
        if (result->total > 0) {
            judgement->report->compared |= 1u << id;
            judgement->report->ratio[id] = result->ratio;
        }
        if (result->ratio > judgement->report->worst_ratio)
            judgement->report->worst_ratio = result->ratio;
    }
    if (status != MOE_OK)
        return status;
    tell_missing(judgement);
    return MOE_OK;
}

const struct moe_check moe_check_bound = {
    .name = "bound",
    .summary = "every output element within its own error bound of the f64 reference",
    .after = after,
};

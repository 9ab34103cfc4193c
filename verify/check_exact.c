/*
 * check_exact.c - on data drawn for it (exact0, exact1, exact2), the outputs bit for bit.
 *
 * ref/exact.h tells which elements every legal kernel of the recipe must agree on, and what they
 * are: sums that no order of addition rounds, values that every rounding point keeps, activations
 * where they are exact. One rounding is left, to the type of the output, to nearest. Elements that
 * are not certain are left to the bound; -0 equals +0, since an empty sum may be either.
 *
 * It must catch what stays inside a bound: a gate off by 1/2048, one k of 1024 left out, sums in
 * bf16 or tf32, a store that truncates, rows of a token combined in bf16; and all that is wrong by
 * more. Before it accuses, the reference is asked too: if that has other bits, the fault is ours.
 */
#include <math.h>
#include <stdlib.h>

#include "ref/exact.h"
#include "verify/judge.h"

struct comparing {
    struct moe_judgement *judgement;
    struct moe_comparison result[MOE_TENSOR_COUNT];
    struct moe_mask mask[MOE_TENSOR_COUNT];
    double truth[MOE_TENSOR_COUNT]; /* what the reference has at the worst element */
};

static int compared(const struct moe_judgement *judgement, enum moe_tensor_id id)
{
    return judgement->tensors.tensor[id].data && !judgement_is_input(judgement, id);
}

/* Compares the certain elements with what is stored of them; a bound of NaN leaves the rest out. */
static int take(void *context, const struct moe_block *block)
{
    struct comparing *comparing = context;
    const struct moe_tensor *tensor = &comparing->judgement->tensors.tensor[block->tensor];
    if (!compared(comparing->judgement, block->tensor))
        return MOE_OK;
    const int64_t count = block->rows * block->cols;
    double *value = malloc((size_t)(2 * count) * sizeof *value);
    if (!value)
        return moe_error(MOE_E_NOMEM, "no memory to compare %lld elements", (long long)count);
    struct moe_block stored = *block;
    stored.value = value;
    stored.bound = value + count;
    for (int64_t i = 0; i < count; i++) {
        const int certain = !isnan(block->value[i]);
        value[i] = certain ? moe_dtype_round(tensor->dtype, block->value[i], 0) : 0;
        value[count + i] = certain ? 0 : NAN;
    }
    const int status = moe_compare_block(tensor, NULL, &stored, &comparing->result[block->tensor]);
    free(value);
    return status;
}

/* Notes the reference's value at the worst element of each tensor. */
static int look_up(void *context, const struct moe_block *block)
{
    struct comparing *comparing = context;
    const struct moe_comparison *result = &comparing->result[block->tensor];
    const int64_t row = result->row - block->row, col = result->col - block->col;
    if (result->wrong == 0 || row < 0 || row >= block->rows || col < 0 || col >= block->cols)
        return MOE_OK;
    const struct moe_tensor *tensor = &comparing->judgement->tensors.tensor[block->tensor];
    const struct moe_tensor *before = &comparing->judgement->before.tensor[block->tensor];
    double value = block->value[row * block->stride + col];
    if (before->data)
        value += moe_dtype_load(
            before->dtype, before->data,
            moe_tensor_position(before,
                                result->row * tensor->shape[tensor->rank - 1] + result->col));
    comparing->truth[block->tensor] = moe_dtype_round(tensor->dtype, value, 0);
    return MOE_OK;
}

static int ask_reference(struct comparing *comparing)
{
    const struct moe_judgement *judgement = comparing->judgement;
    const struct moe_reference reference = {
        .problem = judgement->problem,
        .tensors = judgement->tensors.tensor,
        .routing = &judgement->routing,
        .passes = MOE_PASS_FORWARD | MOE_PASS_BACKWARD,
        .precision = MOE_F64,
        .take = look_up,
        .context = comparing,
    };
    return moe_reference_run(&reference);
}

static void judge(struct comparing *comparing, enum moe_tensor_id id)
{
    struct moe_judgement *judgement = comparing->judgement;
    const struct moe_comparison *result = &comparing->result[id];
    const int agreed = comparing->truth[id] == result->want;
    const char *name = moe_tensor_info(id)->name;
    struct moe_finding finding =
        agreed ? judgement_finding(
                     "exact", MOE_FAIL, "%s: %lld of %lld elements that are exact have other bits",
                     name, (long long)result->wrong, (long long)(result->total - result->undecided))
               : judgement_finding("exact", MOE_ERROR,
                                   "%s: the reference has %a where the proof of exactness has %a",
                                   name, comparing->truth[id], result->want);
    finding.tensor = (int32_t)id;
    finding.wrong = result->wrong;
    finding.total = result->total - result->undecided;
    finding.row = result->row;
    finding.col = result->col;
    finding.got = result->got;
    finding.want = result->want;
    finding.allowed = 0;
    judgement_locate(judgement, &finding);
    judgement_shape(judgement, result->mask, &finding);
    moe_report_add(judgement->report, &finding);
}

static int drawn_for_it(const struct moe_problem *problem)
{
    return problem->data == MOE_DATA_EXACT0 || problem->data == MOE_DATA_EXACT1 ||
           problem->data == MOE_DATA_EXACT2;
}

static int compare(struct comparing *comparing)
{
    struct moe_judgement *judgement = comparing->judgement;
    struct moe_exact exact = {
        .problem = judgement->problem,
        .tensors = judgement->tensors.tensor,
        .before = judgement->before.tensor,
        .routing = &judgement->routing,
        .recipe = &judgement->recipe,
        .take = take,
        .context = comparing,
    };
    struct moe_exact_seen seen;
    int wrong = 0;
    int status = moe_exact_run(&exact, &seen);
    if (status == MOE_E_UNSUPPORTED || (status == MOE_OK && seen.overflow))
        return MOE_OK; /* the check does not apply */
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        wrong |= comparing->result[id].wrong > 0;
    if (status == MOE_OK && wrong)
        status = ask_reference(comparing);
    for (int id = 0; id < MOE_TENSOR_COUNT && status == MOE_OK; id++)
        if (comparing->result[id].wrong > 0)
            judge(comparing, (enum moe_tensor_id)id);
    return status;
}

static int after(struct moe_judgement *judgement)
{
    if (!drawn_for_it(judgement->problem) || !judgement->routing.token_begin)
        return judgement_idle(judgement);
    struct comparing *comparing = calloc(1, sizeof *comparing);
    if (!comparing)
        return moe_error(MOE_E_NOMEM, "no memory to compare bits");
    comparing->judgement = judgement;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        comparing->result[id].mask = &comparing->mask[id];
    const int status = compare(comparing);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        moe_mask_free(&comparing->mask[id]);
    free(comparing);
    return status;
}

const struct moe_check moe_check_exact = {
    .name = "exact",
    .summary = "on exact data, the bits of every output that all legal kernels agree on",
    .after = after,
};

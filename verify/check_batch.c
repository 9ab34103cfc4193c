/*
 * check_batch.c - where MOE_BATCH_INVARIANT is declared, a token's bits do not depend on the other
 * tokens: half of the tokens, chosen by the seed, become others (rows of x and do, and with given
 * lists of K picks their picks and scores), and the bits of the rest stay.
 *
 * Compared is what belongs to one token: o, logits, picks, scores, ds, dlogits, dx. Left out is
 * what the definition itself lets depend on the batch: everything with token rounding, dlogits and
 * dx where aux makes them depend on how often experts are picked.
 *
 * Must catch: sums split by the number of rows, tiles that pick another order of k for a full tile
 * than for a tail, a token that reads its neighbour's row.
 */
#include <stdlib.h>
#include <string.h>

#include "verify/again.h"

/* Purpose of the words that choose the tokens which stay (those of tensors are below 512). */
#define STAYING 0x62617463u

static int stays(const struct moe_problem *problem, int64_t token)
{
    return moe_draw_word(problem->seed, STAYING, (uint64_t)token) & 1;
}

/* Bytes of a token's part of a tensor; 0 where it has none. */
static size_t bytes_of_token(const struct moe_problem *problem, const struct moe_tensors *tensors,
                             enum moe_tensor_id id)
{
    const struct moe_tensor *tensor = &tensors->tensor[id];
    if (!tensor->data || tensor->rank != 2 || moe_tensor_info(id)->shape[0] != 'T' ||
        problem->T == 0)
        return 0;
    return (size_t)(moe_tensor_bytes(tensor) / problem->T);
}

/* Inputs in which the tokens that do not stay are those of another seed. */
static int mix_inputs(const struct moe_judgement *judgement, struct moe_tensors *mixed)
{
    static const enum moe_tensor_id own[] = {MOE_X, MOE_DO, MOE_PICKS, MOE_SCORES};
    const struct moe_problem *problem = judgement->problem;
    struct moe_tensors made = {0};
    int status = again_other_inputs(judgement, &made);
    if (status == MOE_OK)
        status = moe_tensors_again(problem, &judgement->tensors, MOE_POISON, mixed);
    for (size_t i = 0; i < sizeof own / sizeof *own && status == MOE_OK; i++) {
        size_t bytes = bytes_of_token(problem, mixed, own[i]);
        for (int64_t t = 0; t < problem->T; t++)
            if (judgement_is_input(judgement, own[i]) && !stays(problem, t))
                memcpy((char *)mixed->tensor[own[i]].data + (size_t)t * bytes,
                       (const char *)made.tensor[own[i]].data + (size_t)t * bytes, bytes);
    }
    moe_tensors_free(&made);
    return status;
}

static void compare(struct moe_judgement *judgement, const struct moe_tensors *mixed)
{
    static const enum moe_tensor_id compared[] = {MOE_LOGITS, MOE_PICKS,   MOE_SCORES, MOE_O,
                                                  MOE_DS,     MOE_DLOGITS, MOE_DX};
    const struct moe_problem *problem = judgement->problem;
    for (size_t i = 0; i < sizeof compared / sizeof *compared; i++) {
        enum moe_tensor_id id = compared[i];
        size_t bytes = bytes_of_token(problem, mixed, id);
        int64_t wrong = 0, first = -1;
        if (bytes == 0 || (problem->aux != 0 && (id == MOE_DLOGITS || id == MOE_DX)))
            continue;
        for (int64_t t = 0; t < problem->T; t++) {
            size_t at = (size_t)t * bytes;
            if (stays(problem, t) &&
                memcmp((const char *)mixed->tensor[id].data + at,
                       (const char *)judgement->tensors.tensor[id].data + at, bytes) != 0) {
                first = first < 0 ? t : first;
                wrong++;
            }
        }
        if (wrong == 0)
            continue;
        struct moe_finding finding = judgement_finding(
            "batch", MOE_FAIL,
            "other tokens of the batch changed: %s of %lld tokens that did not has other bits, and "
            "%s declares itself batch-invariant",
            moe_tensor_info(id)->name, (long long)wrong, judgement->subject);
        finding.tensor = (int32_t)id;
        finding.token = first;
        moe_report_add(judgement->report, &finding);
        return;
    }
}

static int after(struct moe_judgement *judgement)
{
    struct moe_tensors inputs = {0};
    struct again again = {0};
    if (!again_wanted(judgement) || !(judgement->trial.variant->flags & MOE_BATCH_INVARIANT) ||
        judgement->problem->round != MOE_ROUND_NONE)
        return MOE_OK;
    int status = mix_inputs(judgement, &inputs);
    if (status == MOE_OK)
        status = again_run(judgement, "batch", "half of the tokens changed", &judgement->trial,
                           &inputs, &again);
    if (status == MOE_OK && again.ran)
        compare(judgement, &again.made);
    again_free(&again);
    moe_tensors_free(&inputs);
    return status;
}

const struct moe_check moe_check_batch = {
    .name = "batch",
    .summary = "a token's bits do not depend on the other tokens, where that is declared",
    .runs = 1,
    .after = after,
};

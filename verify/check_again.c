/*
 * check_again.c - a variant that is open takes call after call: nothing that one call leaves in its
 * state, in workspace or in kept memory changes what the next one gives.
 *
 * Twice on one open state, at the same addresses, without any memory filled between:
 *   A, B               the inputs change in place: outputs of the first call would be taken for
 *                      those of the second by a variant that keeps them, or keys them by address
 *   A, B, A, A forward again, backward: the second A must be what A alone was
 * A right variant's results depend on inputs alone, so nothing is allowed here that a plain run is
 * not allowed.
 *
 * Must catch: counters and semaphores that are not put back, outputs copied from the last call,
 * routing of the first call used in the second, kept memory added to, a gradient added to the last.
 */
#include "verify/again.h"

/* The other inputs, after a whole round with the case's own. */
static int other_after_own(struct moe_judgement *judgement, struct moe_trial trial)
{
    static const char what[] = "second call, other inputs at the same addresses";
    struct again fresh = {0}, again = {0};
    int status = MOE_OK;
    if (trial.variant->flags & MOE_DETERMINISTIC)
        status =
            again_run(judgement, "again", "other inputs", &judgement->trial, trial.other, &fresh);
    if (status == MOE_OK) {
        trial.script = "fbofb";
        status = again_run(judgement, "again", what, &trial, &judgement->tensors, &again);
    }
    if (status == MOE_OK && again.ran)
        status = again_judge(judgement, "again", what, &again, fresh.ran ? &fresh.made : NULL);
    again_free(&fresh);
    again_free(&again);
    return status;
}

static int own_again(struct moe_judgement *judgement, struct moe_trial trial)
{
    static const char what[] = "inputs A, then B, then A with two forward passes";
    struct again again = {0};
    trial.script = "fbofbififb";
    int status = again_run(judgement, "again", what, &trial, &judgement->tensors, &again);
    if (status == MOE_OK && again.ran)
        status = again_judge(judgement, "again", what, &again, &judgement->tensors);
    again_free(&again);
    return status;
}

static int after(struct moe_judgement *judgement)
{
    struct moe_trial trial = judgement->trial;
    struct moe_tensors other = {0};
    if (!again_wanted(judgement))
        return MOE_OK;
    int status = again_other_inputs(judgement, &other);
    trial.other = &other;
    if (status == MOE_OK)
        status = other_after_own(judgement, trial);
    if (status == MOE_OK && again_wanted(judgement))
        status = own_again(judgement, trial);
    moe_tensors_free(&other);
    return status;
}

const struct moe_check moe_check_again = {
    .name = "again",
    .summary = "further calls on one open state, with inputs changed and changed back, are right",
    .runs = 6,
    .after = after,
};

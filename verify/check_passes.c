/*
 * check_passes.c - each pass does its own work on what it is given: forward leaves its outputs when
 * it has returned, and backward takes the tensors of its own call.
 *
 *   forward alone             its outputs are there, and the bits of the judge's own run where the
 *                             variant is deterministic. Nobody has to call backward.
 *   inputs elsewhere (CPU)    forward is given copies of the inputs, which are poisoned before
 *                             backward is given the inputs themselves.
 *
 * Must catch: outputs that are written by the next call; an input read in the backward pass at the
 * address where forward found it.
 */
#include <string.h>

#include "verify/again.h"

static int is_gradient(int id)
{
    enum moe_role role = moe_tensor_info(id)->role;
    return role == MOE_BACKWARD_OUTPUT || role == MOE_PARAMETER_GRADIENT;
}

/* What forward alone has not to write is as the judge's own run left it. */
static void take_gradients(const struct moe_judgement *judgement, struct moe_tensors *made)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *own = &judgement->tensors.tensor[id];
        if (own->data && is_gradient(id))
            memcpy(made->tensor[id].data, own->data, (size_t)moe_tensor_bytes(own));
    }
}

/* Where bits may differ from run to run, picks may too, and gradients of another run are not those
 * of these: the reference judges what there is. */
static int judge_outputs(struct moe_judgement *judgement, const char *what,
                         const struct again *again)
{
    struct again outputs = *again;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (is_gradient(id))
            outputs.made.tensor[id].data = NULL;
    return again_judge(judgement, "passes", what, &outputs, NULL);
}

static int forward_alone(struct moe_judgement *judgement)
{
    static const char what[] = "forward alone";
    struct moe_trial trial = judgement->trial;
    struct again again;
    trial.script = "f";
    int status = again_run(judgement, "passes", what, &trial, &judgement->tensors, &again);
    if (status == MOE_OK && again.ran && trial.variant->flags & MOE_DETERMINISTIC) {
        take_gradients(judgement, &again.made);
        status = again_judge(judgement, "passes", what, &again, &judgement->tensors);
    } else if (status == MOE_OK && again.ran) {
        status = judge_outputs(judgement, what, &again);
    }
    again_free(&again);
    return status;
}

static int inputs_elsewhere(struct moe_judgement *judgement)
{
    static const char what[] = "inputs elsewhere in the forward pass";
    struct moe_trial trial = judgement->trial;
    struct again again;
    trial.script = "eb";
    int status = again_run(judgement, "passes", what, &trial, &judgement->tensors, &again);
    if (status == MOE_OK && again.ran)
        status = again_judge(judgement, "passes", what, &again, &judgement->tensors);
    again_free(&again);
    return status;
}

static int after(struct moe_judgement *judgement)
{
    int status = again_wanted(judgement) ? forward_alone(judgement) : MOE_OK;
    if (status == MOE_OK && again_wanted(judgement) &&
        moe_trial_device(&judgement->trial) == MOE_ON_CPU)
        status = inputs_elsewhere(judgement);
    return status;
}

const struct moe_check moe_check_passes = {
    .name = "passes",
    .summary = "forward alone leaves its outputs; backward takes the tensors of its own call",
    .runs = 2,
    .after = after,
};

/*
 * check_machine.c - on the PTX machine: what a variant leaves is made of what somebody wrote.
 *
 * The machine knows of every byte whether it is defined. Outputs, workspace and kept memory are not
 * when a call begins; what is made of undefined bytes is undefined too. Where that decides (a
 * branch, an address) the machine stops, and the failed call is `run`'s, as every hazard is. Here
 * the rest is judged: an element of a tensor that the routing uses must be defined when it comes
 * back. One that was never written has the bytes that stood there before.
 *
 * What the machine saw that changes no values and is only against the text of the ISA is told, and
 * fails nothing.
 *
 * Must catch: workspace, kept memory or an output read before it is written, where what stood there
 * happened to give the right value; a row that a tile leaves out.
 */
#include <string.h>

#include "verify/elsewhere.h"

static void report(struct moe_judgement *judgement, int id, int64_t element)
{
    const struct moe_tensor *tensor = &judgement->tensors.tensor[id];
    const int64_t size = moe_dtype_info(tensor->dtype)->bits / 8;
    const uint8_t *bytes = (const uint8_t *)tensor->data + element * size;
    int left = 1;
    for (int64_t i = 0; i < size; i++)
        left &= bytes[i] == MOE_POISON;
    struct moe_finding finding = judgement_finding(
        "machine", MOE_FAIL, "%s is undefined from element %lld on: %s", moe_tensor_info(id)->name,
        (long long)element,
        left ? "it was not written" : "what nobody wrote went into what was stored there");
    finding.tensor = id;
    finding.row = element / tensor->shape[tensor->rank - 1];
    finding.col = element % tensor->shape[tensor->rank - 1];
    judgement_locate(judgement, &finding);
    moe_report_add(judgement->report, &finding);
}

static int after(struct moe_judgement *judgement)
{
    const struct moe_trial_result *result = &judgement->result;
    if (judgement->from_file || moe_trial_device(&judgement->trial) != MOE_ON_PTX)
        return judgement_idle(judgement);
    if (result->remark[0]) {
        struct moe_finding finding =
            judgement_finding("machine", MOE_PASS, "against the text: %s", result->remark);
        moe_report_add(judgement->report, &finding);
    }
    for (int id = 0; id < MOE_TENSOR_COUNT && judgement->routing.token_begin; id++)
        if (result->undefined[id] > 0 &&
            result->undefined[id] <= judgement_used_elements(judgement, id))
            report(judgement, id, result->undefined[id] - 1);
    return MOE_OK;
}

const struct moe_check moe_check_machine = {
    .name = "machine",
    .summary = "PTX machine: nothing that is left depends on what nobody wrote",
    .after = after,
};

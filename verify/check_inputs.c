/*
 * check_inputs.c - a variant only reads its inputs. Every input tensor is fingerprinted before the
 * first call and after the last (XXH3, 64 bits): a single changed byte changes it.
 */
#include <xxhash.h>

#include "verify/judge.h"

static uint64_t fingerprint(const struct moe_tensor *tensor)
{
    return XXH3_64bits(tensor->data, (size_t)moe_tensor_bytes(tensor));
}

static int before(struct moe_judgement *judgement)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (judgement_is_input(judgement, id))
            judgement->hash[id] = fingerprint(&judgement->tensors.tensor[id]);
    return MOE_OK;
}

static int after(struct moe_judgement *judgement)
{
    if (judgement->from_file)
        return judgement_idle(judgement);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        if (!judgement_is_input(judgement, id) ||
            fingerprint(&judgement->tensors.tensor[id]) == judgement->hash[id])
            continue;
        struct moe_finding finding = judgement_finding("inputs", MOE_FAIL, "input %s was changed",
                                                       moe_tensor_info(id)->name);
        finding.tensor = id;
        moe_report_add(judgement->report, &finding);
    }
    return MOE_OK;
}

const struct moe_check moe_check_inputs = {
    .name = "inputs",
    .summary = "inputs hold the same bytes after the last call as before the first",
    .before = before,
    .after = after,
};

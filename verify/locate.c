/*
 * locate.c - which expert, token and slot an element of an output belongs to.
 */
#include "verify/judge.h"

void judgement_locate(const struct moe_judgement *judgement, struct moe_finding *finding)
{
    const struct moe_routing *routing = &judgement->routing;
    const struct moe_tensor *tensor = &judgement->tensors.tensor[finding->tensor];
    const char *shape = moe_tensor_info(finding->tensor)->shape;
    if (finding->tensor == MOE_Z) {
        finding->token = routing->row_token[finding->row];
        int64_t entry = routing->row_entry[finding->row];
        finding->expert = routing->pick[entry];
        finding->slot = entry - routing->token_begin[finding->token];
    } else if (finding->tensor == MOE_DS || finding->tensor == MOE_SCORES) {
        int64_t entry =
            tensor->rank == 1 ? finding->col : finding->row * tensor->shape[1] + finding->col;
        int64_t t = 0;
        while (routing->token_begin[t + 1] <= entry)
            t++;
        finding->token = t;
        finding->expert = routing->pick[entry];
        finding->slot = entry - routing->token_begin[t];
    } else if (shape[0] == 'T') {
        finding->token = finding->row;
        finding->expert = shape[1] == 'E' ? finding->col : -1;
    } else if (shape[0] == 'E') {
        finding->expert = tensor->rank == 3   ? finding->row / tensor->shape[1]
                          : tensor->rank == 2 ? finding->row
                                              : finding->col;
    }
}

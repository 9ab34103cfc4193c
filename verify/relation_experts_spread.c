/*
 * relation_experts_spread.c - with an expert that nobody picks before each one: nothing changes,
 * and the gradients of the new ones are 0.
 *
 * Only with lists: a router would pick them, or count them in its softmax. Their weights are those
 * of the next expert, so a row that goes astray is a number and not a zero.
 */
#include <string.h>

#include "verify/relate.h"

static int applies(const struct moe_judgement *judgement)
{
    return relate_lists(judgement->problem);
}

static int make(struct relating *relating)
{
    static const enum moe_tensor_id weights[] = {MOE_W1, MOE_B1, MOE_W2, MOE_B2};
    struct moe_problem problem = *relating->judgement->problem;
    problem.E *= 2;
    int status = relate_case(relating, 1, &problem);
    if (status == MOE_OK)
        status = relate_map(&relating->expert[0], problem.E);
    for (int64_t e = 1; e < problem.E && status == MOE_OK; e += 2)
        relating->expert[0][e] = e / 2;
    relating->runs = 2;
    relating->left = 1;
    relating->rule[MOE_DW1].zero_where_none = relating->rule[MOE_DB1].zero_where_none = 1;
    relating->rule[MOE_DW2].zero_where_none = relating->rule[MOE_DB2].zero_where_none = 1;
    if (status == MOE_OK)
        status = relate_fill(relating, 1);
    for (int i = 0; i < 4 && status == MOE_OK; i++) {
        const struct moe_tensor *tensor = &relating->run[1].tensors.tensor[weights[i]];
        size_t size = (size_t)(moe_tensor_bytes(tensor) / problem.E);
        char *at = tensor->data;
        for (int64_t e = 0; at && e < problem.E; e += 2)
            memcpy(at + (size_t)e * size, at + (size_t)(e + 1) * size, size);
    }
    return status;
}

const struct relation relation_experts_spread = {
    .name = "experts-spread",
    .statement = "experts that nobody picks change nothing, and their gradients are 0",
    .applies = applies,
    .make = make,
};

/*
 * relation_tokens_doubled.c - every token twice: both have what the one had, and weight gradients
 * are doubled.
 *
 * Losses are means over the batch, token rounding counts over it.
 */
#include "verify/relate.h"

static int applies(const struct moe_judgement *judgement)
{
    const struct moe_problem *problem = judgement->problem;
    return problem->T > 0 && problem->round == MOE_ROUND_NONE && relate_no_losses(problem);
}

static int make(struct relating *relating)
{
    struct moe_problem problem = *relating->judgement->problem;
    const int64_t T = problem.T;
    problem.T = 2 * T;
    int status = relate_case(relating, 1, &problem);
    if (status == MOE_OK)
        status = relate_map(&relating->token[0], problem.T);
    for (int64_t t = 0; t < problem.T && status == MOE_OK; t++)
        relating->token[0][t] = t % T;
    relating->runs = 2;
    relating->left = 1;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (moe_tensor_info((enum moe_tensor_id)id)->role == MOE_PARAMETER_GRADIENT)
            relating->rule[id].factor = 2;
    relate_tokens_alike(relating);
    return status == MOE_OK ? relate_fill(relating, 1) : status;
}

const struct relation relation_tokens_doubled = {
    .name = "tokens-doubled",
    .statement = "every token twice: both have what one had, and weight gradients are doubled",
    .applies = applies,
    .make = make,
};

/*
 * relation_batch_split.c - a batch in two parts: every token has in its part what it has in the
 * whole, and weight gradients of the parts add up.
 *
 * Losses are means over the batch, token rounding counts over it.
 */
#include "verify/relate.h"

#define PURPOSE 0x73706c31u

static int applies(const struct moe_judgement *judgement)
{
    const struct moe_problem *problem = judgement->problem;
    return problem->T >= 2 && problem->round == MOE_ROUND_NONE && relate_no_losses(problem);
}

static int make_part(struct relating *relating, int k, int64_t first, int64_t count)
{
    struct moe_problem problem = *relating->judgement->problem;
    int64_t T = problem.T;
    problem.T = count;
    int status = relate_case(relating, k, &problem);
    if (status == MOE_OK)
        status = relate_map(&relating->token[k], T);
    for (int64_t t = first; t < first + count && status == MOE_OK; t++)
        relating->token[k][t] = t - first;
    return status == MOE_OK ? relate_fill(relating, k) : status;
}

static int make(struct relating *relating)
{
    const struct moe_problem *problem = relating->judgement->problem;
    const int64_t T = problem->T;
    const int64_t cut = 1 + (int64_t)(moe_draw_word(problem->seed, PURPOSE, 0) % (uint64_t)(T - 1));
    relating->runs = 3;
    relate_gradients_add(relating);
    relate_tokens_alike(relating);
    int status = make_part(relating, 1, 0, cut);
    return status == MOE_OK ? make_part(relating, 2, cut, T - cut) : status;
}

const struct relation relation_batch_split = {
    .name = "batch-split",
    .statement =
        "a token has in a part of the batch what it has in all of it, and gradients add up",
    .applies = applies,
    .make = make,
};

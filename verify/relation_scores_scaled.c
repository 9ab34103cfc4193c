/*
 * relation_scores_scaled.c - given scores times a power of two: the weighted sum and all gradients
 * behind the score are multiplied by it; z and ds, in which no score stands, are as before.
 *
 * after-w2 weights b2 too; before-w2 adds it without the score, so there b2 must not be.
 * weight=input sends the score through the activation, and a shared expert has none.
 */
#include "verify/relate.h"

static int applies(const struct moe_judgement *judgement)
{
    const struct moe_problem *problem = judgement->problem;
    return problem->T > 0 && relate_lists(problem) && problem->weight != MOE_WEIGHT_INPUT &&
           relate_zero_score_is_nothing(problem) && problem->shared == 0;
}

static int make(struct relating *relating)
{
    const struct moe_judgement *judgement = relating->judgement;
    const double factor = relate_power(judgement, 4, 0.5);
    int status = relate_case(relating, 1, judgement->problem);
    if (status != MOE_OK)
        return status;
    relating->runs = 2;
    relating->left = 1;
    relate_backward_factor(relating, factor);
    relating->rule[MOE_O].factor = factor;
    relating->rule[MOE_DS].factor = 1;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        relating->rule[id].bitwise = relate_powers_commute(judgement);
    status = relate_fill(relating, 1);
    return status == MOE_OK ? relate_scale(relating, 1, MOE_SCORES, factor) : status;
}

const struct relation relation_scores_scaled = {
    .name = "scores-scaled",
    .statement =
        "scores times a power of two: o, dx and weight gradients times it, z and ds as before",
    .applies = applies,
    .make = make,
};

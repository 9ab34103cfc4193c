/*
 * relation_do_negated.c - G(-do) = -G(do), to the bit: rounding to nearest, truncation and exact
 * sums are all symmetric about 0, so a deterministic variant only changes signs, on any data.
 */
#include "verify/relate.h"

static int applies(const struct moe_judgement *judgement)
{
    return judgement->problem->T > 0 && relate_no_losses(judgement->problem);
}

static int make(struct relating *relating)
{
    int status = relate_case(relating, 1, relating->judgement->problem);
    if (status != MOE_OK)
        return status;
    relating->runs = 2;
    relating->left = 1;
    relate_backward_factor(relating, -1);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        relating->rule[id].bitwise = relate_declares(relating->judgement, MOE_DETERMINISTIC);
    status = relate_fill(relating, 1);
    return status == MOE_OK ? relate_scale(relating, 1, MOE_DO, -1) : status;
}

const struct relation relation_do_negated = {
    .name = "do-negated",
    .statement = "-do gives every gradient with the other sign",
    .applies = applies,
    .make = make,
};

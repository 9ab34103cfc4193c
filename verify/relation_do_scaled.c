/*
 * relation_do_scaled.c - do times a power of two: the backward pass is linear in do, and the
 * forward pass does not read it.
 *
 * A power of two commutes with every rounding to normal numbers, so that a deterministic variant
 * whose intermediates keep away from both ends of their types has the same bits, but for exponents.
 */
#include "verify/relate.h"

static int applies(const struct moe_judgement *judgement)
{
    return judgement->problem->T > 0 && relate_no_losses(judgement->problem);
}

static int make(struct relating *relating)
{
    const struct moe_judgement *judgement = relating->judgement;
    const double factor = relate_power(judgement, 8, 0.25);
    int status = relate_case(relating, 1, judgement->problem);
    if (status != MOE_OK)
        return status;
    relating->runs = 2;
    relating->left = 1;
    relate_forward_alike(relating);
    relate_backward_factor(relating, factor);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        relating->rule[id].bitwise |= relate_powers_commute(judgement);
    status = relate_fill(relating, 1);
    return status == MOE_OK ? relate_scale(relating, 1, MOE_DO, factor) : status;
}

const struct relation relation_do_scaled = {
    .name = "do-scaled",
    .statement = "do times a power of two gives gradients times it, and the same forward pass",
    .applies = applies,
    .make = make,
};

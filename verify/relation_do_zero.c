/*
 * relation_do_zero.c - G(0) = 0: with do = 0 every gradient is exactly 0, where the forward pass is
 * finite. Sums of zeros are zeros in any arithmetic. With beta=1 the buffers hold 0 before.
 */
#include "verify/relate.h"

static int applies(const struct moe_judgement *judgement)
{
    return relate_no_losses(judgement->problem);
}

static int make(struct relating *relating)
{
    int status = relate_case(relating, 1, relating->judgement->problem);
    if (status != MOE_OK)
        return status;
    relating->runs = 2;
    relating->left = 1;
    relate_forward_alike(relating);
    relate_backward_factor(relating, 0);
    status = relate_fill(relating, 1);
    return status == MOE_OK ? relate_scale(relating, 1, MOE_DO, 0) : status;
}

const struct relation relation_do_zero = {
    .name = "do-zero",
    .statement = "do = 0 gives gradients of 0, and the same forward pass",
    .applies = applies,
    .make = make,
};

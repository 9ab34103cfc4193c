/*
 * relation_w2_scaled.c - w2, b2 and ws2 times a power of two: Y, O and all that comes back through
 * w2 are multiplied by it; the gradients of w2, b2 and ws2 themselves do not contain w2 and stay.
 */
#include "verify/relate.h"

static int applies(const struct moe_judgement *judgement)
{
    return judgement->problem->T > 0 && relate_no_losses(judgement->problem);
}

static int make(struct relating *relating)
{
    static const enum moe_tensor_id scaled[] = {MOE_W2, MOE_B2, MOE_WS2};
    static const enum moe_tensor_id stay[] = {MOE_DW2, MOE_DB2, MOE_DWS2};
    const struct moe_judgement *judgement = relating->judgement;
    const double factor = relate_power(judgement, 4, 0.5);
    int status = relate_case(relating, 1, judgement->problem);
    if (status != MOE_OK)
        return status;
    relating->runs = 2;
    relating->left = 1;
    relate_backward_factor(relating, factor);
    relating->rule[MOE_O].factor = factor;
    for (int i = 0; i < 3; i++)
        relating->rule[stay[i]].factor = 1;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        relating->rule[id].bitwise = relate_powers_commute(judgement);
    status = relate_fill(relating, 1);
    for (int i = 0; i < 3 && status == MOE_OK; i++)
        status = relate_scale(relating, 1, scaled[i], factor);
    return status;
}

const struct relation relation_w2_scaled = {
    .name = "w2-scaled",
    .statement = "w2 and b2 times a power of two: o, ds, dx, dw1 times it, dw2 and db2 as before",
    .applies = applies,
    .make = make,
};

/*
 * relation_do_added.c - linearity: do is cut into two parts, each element in one of them and 0 in
 * the other, so that they add up to it without rounding; the gradients of the parts add up to its.
 */
#include "verify/relate.h"

#define PURPOSE 0x646f3031u

static int applies(const struct moe_judgement *judgement)
{
    return judgement->problem->T > 0 && relate_no_losses(judgement->problem);
}

/* Zeros in every element that belongs to the other part. */
static void take_out(struct relating *relating, int k)
{
    const struct moe_tensor *tensor = &relating->run[k].tensors.tensor[MOE_DO];
    const uint64_t seed = relating->judgement->problem->seed;
    for (int64_t i = 0; i < moe_tensor_count(tensor); i++)
        if ((int)(moe_draw_word(seed, PURPOSE, (uint64_t)i) & 1) == k - 1)
            moe_dtype_store(tensor->dtype, tensor->data, i, 0, 0);
}

static int make(struct relating *relating)
{
    int status = MOE_OK;
    relate_gradients_add(relating);
    relating->rule[MOE_DX].sums = relating->rule[MOE_DS].sums = relating->rule[MOE_DLOGITS].sums =
        1;
    relate_forward_alike(relating);
    relating->runs = 3;
    for (int k = 1; k < relating->runs && status == MOE_OK; k++) {
        status = relate_case(relating, k, relating->judgement->problem);
        if (status == MOE_OK)
            status = relate_fill(relating, k);
        if (status == MOE_OK)
            take_out(relating, k);
    }
    return status;
}

const struct relation relation_do_added = {
    .name = "do-added",
    .statement = "the gradients of two parts of do add up to those of do",
    .applies = applies,
    .make = make,
};

/*
 * check_dependent.c - on a GPU: kernels that overlap by programmatic dependent launch wait where
 * they must.
 *
 * The launch before the variant's lets its successors begin at once and writes the inputs only 200
 * us later, over poison; the launch behind begins as early as the variant's last kernel allows,
 * waits for its end, and takes and overwrites everything (on_device_dependent.c). A variant without
 * the launch attribute is not affected at all.
 *
 * Must catch: a first kernel without griddepcontrol.wait, or that reads before it; a last kernel
 * that ends before those in front of it.
 */
#include "verify/again.h"

static int after(struct moe_judgement *judgement)
{
    return again_on_gpu(judgement, "dependent")
               ? again_amid(judgement, "dependent", &moe_surroundings_dependent)
               : MOE_OK;
}

const struct moe_check moe_check_dependent = {
    .name = "dependent",
    .summary = "GPU: kernels before and behind the variant's that overlap with it where they may",
    .runs = 2,
    .after = after,
};

/*
 * check_contention.c - on a GPU: the results are the same when the device is not the variant's
 * alone, and it gets on beside other work.
 *
 * With half of the multiprocessors taken (so fewer are left, and not all blocks are resident at
 * once), with a kernel that uses memory on every one, with 10 and 300 launches queued before it and
 * ten calls one behind the other (on_device_contention.c). Shared memory holds NaN at first. Races
 * and reads of what nobody wrote show when the schedule is another. What is caught this way is
 * caught with some probability only.
 *
 * Must catch: a grid barrier that needs every block resident; shared memory read before it is
 * written; an order of blocks or launches taken for granted.
 */
#include "verify/again.h"

static const struct moe_surroundings *const all[] = {
    &moe_surroundings_occupied,
    &moe_surroundings_shared,
    &moe_surroundings_queued_10,
    &moe_surroundings_queued_300,
};

#define COUNT (sizeof all / sizeof *all)

static int after(struct moe_judgement *judgement)
{
    int status = MOE_OK;
    for (size_t i = 0; i < COUNT && status == MOE_OK && again_on_gpu(judgement, "contention"); i++)
        status = again_amid(judgement, "contention", all[i]);
    return status;
}

const struct moe_check moe_check_contention = {
    .name = "contention",
    .summary = "GPU: multiprocessors taken, memory busy, launches queued: the same results",
    .runs = 8,
    .after = after,
};

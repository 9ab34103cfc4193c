/*
 * on_device_dependent.c - surroundings made of kernels that overlap with the variant's where it
 * lets them (programmatic dependent launch).
 *
 * Before a pass poison stands in the tensors, and a kernel that lets its successors begin at once
 * goes on for a while and only then writes what belongs there: a variant whose first kernel begins
 * early and does not wait (griddepcontrol.wait) reads poison. Behind the pass a kernel that begins
 * early waits, as it must, then takes all tensors and overwrites them: where the variant's last
 * kernel ends, or says that it has, before the others have, it takes what is not finished.
 */
#include <stdlib.h>

#include "ref/moe.h"
#include "verify/on_device_copies.h"

/* Few blocks, so that the variant's kernels have room beside them. */
#define BLOCKS 16
#define THREADS 256
#define LATE_NS UINT64_C(200000)

static void leave(void *memory, const struct moe_scene *scene)
{
    copies_close(scene, memory);
    free(memory);
}

static int arrive(const struct moe_scene *scene, void **memory)
{
    struct device_copies *copies = calloc(1, sizeof *copies);
    if (!copies)
        return moe_error(MOE_E_NOMEM, "no memory for dependent launches");
    *memory = copies;
    return copies_open(scene, copies);
}

static int produce(const struct moe_scene *scene, struct device_copies *copies)
{
    uint64_t ns = LATE_NS;
    void *args[] = {&copies->back_there, &copies->count, &ns};
    return disturb_launch(scene, "disturb_produce", BLOCKS, THREADS, 0, 0, scene->stream, args);
}

static int before(void *memory, const struct moe_scene *scene, int backward)
{
    (void)backward;
    int status = copies_put_away(scene, memory);
    return status == MOE_OK ? produce(scene, memory) : status;
}

static int behind(void *memory, const struct moe_scene *scene, int backward)
{
    struct device_copies *copies = memory;
    void *args[] = {&copies->away_there, &copies->count};
    (void)backward;
    int status =
        disturb_launch(scene, "disturb_consume", BLOCKS, THREADS, 0, 1, scene->stream, args);
    return status == MOE_OK ? copies_bring_back(scene, copies) : status;
}

const struct moe_surroundings moe_surroundings_dependent = {
    .name = "kernels before and behind it that overlap where they may",
    .arrive = arrive,
    .before = before,
    .behind = behind,
    .leave = leave,
};

/*
 * on_device_late.c - surroundings in which inputs come late and outputs are taken early, all in the
 * order of the variant's stream.
 *
 * Before a pass everything that the tensors hold is put away and poison put in its place; then the
 * stream stands still; then all is brought back. Behind the pass everything is taken, poisoned and
 * brought back once more. Work on that stream sees none of this. Work on another one reads poison,
 * or writes what is overwritten.
 *
 * A variant that does not declare MOE_HOST_SYNC has to return while the stream stands still: it
 * goes on when the host says so, behind the call, or after GATE_SECONDS, which tells that the call
 * had waited. One that does declare it gets a stream that stands still for a fixed time.
 */
#include <stdlib.h>

#include "ref/moe.h"
#include "verify/on_device_copies.h"

#define GATE_SECONDS 2
#define LATE_NS UINT64_C(200000)

struct late {
    struct device_copies copies;
    volatile uint32_t *flags; /* [2][DISTURB_FLAGS], one gate a pass */
};

static void leave(void *memory, const struct moe_scene *scene)
{
    struct late *late = memory;
    copies_close(scene, &late->copies);
    moe_device_shared_free(scene->device, (void *)late->flags);
    free(late);
}

static int arrive(const struct moe_scene *scene, void **memory)
{
    struct late *late = calloc(1, sizeof *late);
    if (!late)
        return moe_error(MOE_E_NOMEM, "no memory for late inputs");
    *memory = late;
    int status = moe_device_shared_allocate(scene->device, 2 * DISTURB_FLAGS * sizeof *late->flags,
                                            (void **)&late->flags);
    return status == MOE_OK ? copies_open(scene, &late->copies) : status;
}

static int waits(const struct moe_scene *scene)
{
    return (scene->variant->flags & MOE_HOST_SYNC) != 0;
}

static int before(void *memory, const struct moe_scene *scene, int backward)
{
    struct late *late = memory;
    uint32_t *flags = waits(scene) ? NULL : (uint32_t *)late->flags + backward * DISTURB_FLAGS;
    uint64_t ns = waits(scene) ? LATE_NS : GATE_SECONDS * UINT64_C(1000000000);
    void *args[] = {&flags, &ns};
    int status = copies_put_away(scene, &late->copies);
    if (status == MOE_OK)
        status = disturb_launch(scene, "disturb_gate", 1, 1, 0, 0, scene->stream, args);
    return status == MOE_OK ? copies_bring_back(scene, &late->copies) : status;
}

static int behind(void *memory, const struct moe_scene *scene, int backward)
{
    struct late *late = memory;
    late->flags[backward * DISTURB_FLAGS + DISTURB_OPEN] = 1;
    int status = copies_put_away(scene, &late->copies);
    return status == MOE_OK ? copies_bring_back(scene, &late->copies) : status;
}

static int ended(void *memory, const struct moe_scene *scene)
{
    const struct late *late = memory;
    for (int pass = 0; pass < 2; pass++)
        scene->result->waited |= late->flags[pass * DISTURB_FLAGS + DISTURB_EXPIRED] != 0;
    return MOE_OK;
}

const struct moe_surroundings moe_surroundings_late = {
    .name = "inputs written late and outputs taken early on its stream",
    .arrive = arrive,
    .before = before,
    .behind = behind,
    .ended = ended,
    .leave = leave,
};

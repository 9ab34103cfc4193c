/*
 * surroundings.h - what else happens on a GPU around a variant's call: work before it on its stream
 * and behind it, and work beside it.
 *
 * A trial names its surroundings; the passes F and B of its script run amid them. Each is one file
 * on_device_NAME.c.
 */
#ifndef MOE_SURROUNDINGS_H
#define MOE_SURROUNDINGS_H

#include "gpu/gpu.h"
#include "verify/trial.h"

/* One visit to a device as surroundings see it. */
struct moe_scene {
    struct moe_device *device;
    void *stream; /* that the variant is given */
    const struct moe_problem *problem;
    const struct moe_variant *variant;
    const struct moe_tensor *there; /* [MOE_TENSOR_COUNT], dense, device memory */
    double seconds; /* that the slowest pass has taken so far without surroundings */
    struct moe_trial_result *result;
};

/* Each function returns a status; `memory` is the surroundings' own. */
struct moe_surroundings {
    const char *name; /* in words, as a finding says it */
    int repeats;      /* how often the call is made without waiting between; 0: once */
    int alone;        /* 1: no other process's run may be on the device meanwhile */
    int (*arrive)(const struct moe_scene *scene, void **memory);
    int (*before)(void *memory, const struct moe_scene *scene, int backward); /* only enqueues */
    int (*behind)(void *memory, const struct moe_scene *scene, int backward); /* the same */
    int (*ended)(void *memory, const struct moe_scene *scene); /* the stream has been waited for */
    void (*leave)(void *memory, const struct moe_scene *scene);
};

/* Inputs come late on the variant's stream, what it left is taken at once, and all is overwritten;
 * and the same by kernels that begin and end in each other's time (programmatic launch). */
extern const struct moe_surroundings moe_surroundings_late, moe_surroundings_dependent;

/* Half of the multiprocessors taken; all of them and the memory shared; many launches queued. */
extern const struct moe_surroundings moe_surroundings_occupied, moe_surroundings_shared,
    moe_surroundings_queued_10, moe_surroundings_queued_300;

#endif

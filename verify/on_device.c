/*
 * on_device.c - a variant's two calls on a GPU. What is asynchronous ends before a call counts as
 * done: after forward and after backward the stream is waited for, so that a failure has its step.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "verify/arena_device.h"
#include "verify/float_modes.h"
#include "verify/on_device.h"

/* Opened at the first case that needs it; kept until the process ends. */
static struct moe_device *opened;

struct visit {
    struct moe_device *device;
    void *stream;
    struct moe_arena_device there;
    int fill;
};

int moe_on_device_possible(const struct moe_variant *variant, char *why, size_t size)
{
    struct moe_gpu_status gpu;
    if (variant->devices & MOE_ON_CPU)
        return MOE_OK;
    if (moe_gpu_probe(&gpu) == MOE_OK && gpu.state == MOE_GPU_READY)
        return MOE_OK;
    snprintf(why, size, "%s", gpu.reason);
    return MOE_E_UNSUPPORTED;
}

static int open_device(void)
{
    return opened ? MOE_OK : moe_device_open(MOE_ON_CUDA, 0, &opened);
}

int moe_on_device_page(const struct moe_trial *trial, int64_t *page)
{
    *page = sysconf(_SC_PAGESIZE);
    if (trial->variant->devices & MOE_ON_CPU)
        return MOE_OK;
    int status = open_device();
    return status == MOE_OK ? moe_arena_device_page(opened, &trial->where, page) : status;
}

static int arrive(struct visit *visit, const struct moe_trial *trial, struct moe_arena *arena)
{
    int status = open_device();
    visit->device = opened;
    visit->fill = trial->fill;
    if (status == MOE_OK)
        status = moe_device_stream_create(visit->device, &visit->stream);
    if (status == MOE_OK)
        status = moe_arena_device_make(visit->device, arena, &visit->there);
    return status == MOE_OK ? moe_arena_device_send(&visit->there, visit->stream) : status;
}

/* One pass and its end. Nothing of the workspace outlives a call: it is poisoned before each. */
static int pass(struct visit *visit, int (*run)(void *, const struct moe_call *), void *state,
                const struct moe_call *call)
{
    int status = MOE_OK;
    if (call->workspace_size > 0)
        status = moe_device_fill(visit->device, call->workspace, visit->fill, call->workspace_size,
                                 visit->stream);
    if (status == MOE_OK)
        status = run(state, call);
    return status == MOE_OK ? moe_device_synchronize(visit->device, visit->stream) : status;
}

static void call(struct visit *visit, const struct moe_trial *trial,
                 struct moe_trial_result *result)
{
    const struct moe_variant *variant = trial->variant;
    struct moe_tensor tensors[MOE_TENSOR_COUNT];
    struct moe_call call = moe_arena_device_call(&visit->there, tensors);
    call.stream = visit->stream;
    struct float_modes modes;
    void *state = NULL;
    float_modes_save(&modes);
    result->step = "open";
    result->status = variant->open(visit->device, trial->problem, trial->configuration, &state);
    int open = result->status == MOE_OK;
    if (open) {
        result->step = "forward";
        result->status = pass(visit, variant->forward, state, &call);
    }
    if (open && result->status == MOE_OK) {
        result->step = "backward";
        result->status = pass(visit, variant->backward, state, &call);
    }
    if (open)
        variant->close(state);
    result->modes_changed = float_modes_restore(&modes);
}

/* Is the device as it was, but for what the variant wrote? A call that only refused has not spoilt
 * it. */
static int has_left_device_well(const struct moe_trial_result *result)
{
    return result->status == MOE_OK || result->status == MOE_E_USAGE ||
           result->status == MOE_E_UNSUPPORTED;
}

static int come_back(const struct visit *visit, const struct moe_arena *arena,
                     struct moe_trial_result *result)
{
    int status = moe_arena_device_fetch(&visit->there, visit->stream);
    if (status == MOE_OK)
        memcpy(&result->status_word, arena->region[MOE_ARENA_STATUS].tensor.data,
               sizeof result->status_word);
    return status;
}

static void leave(struct visit *visit)
{
    if (!visit->device)
        return;
    moe_arena_device_free(&visit->there);
    if (visit->stream)
        moe_device_stream_destroy(visit->device, visit->stream);
}

int moe_on_device_run(const struct moe_trial *trial, struct moe_arena *arena,
                      struct moe_trial_result *result)
{
    struct visit visit = {0};
    int status = arrive(&visit, trial, arena);
    if (status == MOE_OK) {
        call(&visit, trial, result);
        if (has_left_device_well(result))
            status = come_back(&visit, arena, result);
    }
    leave(&visit);
    return status;
}

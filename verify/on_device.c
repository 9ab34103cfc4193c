/*
 * on_device.c - a variant's two calls on a GPU. What is asynchronous ends before a call counts as
 * done: after forward and after backward the stream is waited for, so that a failure has its step.
 */
#include <stdio.h>
#include <stdlib.h>

#include "gpu/gpu.h"
#include "verify/float_modes.h"
#include "verify/on_device.h"

/* Opened at the first case that needs it; kept until the process ends. */
static struct moe_device *opened;

struct visit {
    struct moe_device *device;
    void *stream;
    struct moe_tensors there;
    void *workspace, *kept, *status;
    int64_t workspace_bytes, kept_bytes;
    int poison;
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

static int place(struct visit *visit, int64_t bytes, int poison, void **memory)
{
    int status = moe_device_allocate(visit->device, bytes > 0 ? bytes : 1, memory);
    if (status == MOE_OK && bytes > 0)
        status = moe_device_fill(visit->device, *memory, poison, bytes, visit->stream);
    return status;
}

static int arrive(struct visit *visit, const struct moe_trial *trial,
                  const struct moe_tensors *here)
{
    const struct moe_problem *problem = trial->problem;
    const struct moe_variant *variant = trial->variant;
    int status = opened ? MOE_OK : moe_device_open(MOE_ON_CUDA, 0, &opened);
    visit->device = opened;
    if (status == MOE_OK)
        status = moe_device_stream_create(visit->device, &visit->stream);
    for (int id = 0; id < MOE_TENSOR_COUNT && status == MOE_OK; id++) {
        const struct moe_tensor *tensor = &here->tensor[id];
        int64_t bytes = tensor->data ? moe_tensor_bytes(tensor) : 0;
        visit->there.tensor[id] = *tensor;
        visit->there.tensor[id].data = NULL;
        if (!tensor->data)
            continue;
        status = moe_device_allocate(visit->device, bytes > 0 ? bytes : 1,
                                     &visit->there.tensor[id].data);
        if (status == MOE_OK && bytes > 0)
            status = moe_device_copy_to(visit->device, visit->there.tensor[id].data, tensor->data,
                                        bytes, visit->stream);
    }
    visit->workspace_bytes = variant->workspace_bytes(problem);
    visit->kept_bytes = variant->kept_bytes(problem);
    visit->poison = trial->fill;
    if (status == MOE_OK)
        status = place(visit, visit->workspace_bytes, trial->fill, &visit->workspace);
    if (status == MOE_OK)
        status = place(visit, visit->kept_bytes, trial->fill, &visit->kept);
    if (status == MOE_OK)
        status = place(visit, sizeof(uint32_t), 0, &visit->status);
    return status == MOE_OK ? moe_device_synchronize(visit->device, visit->stream) : status;
}

/* One pass and its end. Nothing of the workspace outlives a call: it is poisoned before each. */
static int pass(struct visit *visit, int (*run)(void *, const struct moe_call *), void *state,
                const struct moe_call *call)
{
    int status = MOE_OK;
    if (visit->workspace_bytes > 0)
        status = moe_device_fill(visit->device, visit->workspace, visit->poison,
                                 visit->workspace_bytes, visit->stream);
    if (status == MOE_OK)
        status = run(state, call);
    return status == MOE_OK ? moe_device_synchronize(visit->device, visit->stream) : status;
}

static void call(struct visit *visit, const struct moe_trial *trial,
                 struct moe_trial_result *result)
{
    const struct moe_variant *variant = trial->variant;
    struct moe_call call = {
        .tensors = visit->there.tensor,
        .workspace = visit->workspace,
        .workspace_size = visit->workspace_bytes,
        .kept = visit->kept,
        .kept_size = visit->kept_bytes,
        .stream = visit->stream,
        .status = visit->status,
    };
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

static int come_back(struct visit *visit, struct moe_tensors *here, uint32_t *status_word)
{
    int status = moe_device_copy_from(visit->device, status_word, visit->status,
                                      sizeof *status_word, visit->stream);
    for (int id = 0; id < MOE_TENSOR_COUNT && status == MOE_OK; id++) {
        const struct moe_tensor *tensor = &here->tensor[id];
        if (tensor->data && moe_tensor_bytes(tensor) > 0)
            status = moe_device_copy_from(visit->device, tensor->data, visit->there.tensor[id].data,
                                          moe_tensor_bytes(tensor), visit->stream);
    }
    return status == MOE_OK ? moe_device_synchronize(visit->device, visit->stream) : status;
}

static void leave(struct visit *visit)
{
    if (!visit->device)
        return;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (visit->there.tensor[id].data)
            moe_device_free(visit->device, visit->there.tensor[id].data);
    if (visit->workspace)
        moe_device_free(visit->device, visit->workspace);
    if (visit->kept)
        moe_device_free(visit->device, visit->kept);
    if (visit->status)
        moe_device_free(visit->device, visit->status);
    if (visit->stream)
        moe_device_stream_destroy(visit->device, visit->stream);
}

int moe_on_device_run(const struct moe_trial *trial, struct moe_tensors *tensors,
                      struct moe_trial_result *result)
{
    struct visit *visit = calloc(1, sizeof *visit);
    if (!visit)
        return moe_error(MOE_E_NOMEM, "no memory for a visit to the device");
    int status = arrive(visit, trial, tensors);
    if (status == MOE_OK) {
        call(visit, trial, result);
        if (result->status == MOE_OK)
            status = come_back(visit, tensors, &result->status_word);
    }
    leave(visit);
    free(visit);
    return status;
}

/*
 * bench_variant.c - a variant's forward and backward in turn, as in training: each repetition runs
 * both, so both meet the clock and the power that the two together leave.
 */
#include <stdlib.h>

#include "gpu/bench_device.h"
#include "gpu/bench_tensors.h"

struct moe_gpu_bench {
    const struct moe_variant *variant;
    struct moe_problem problem;
    struct bench_place place;
    struct moe_tensor tensors[MOE_TENSOR_COUNT];
    void *workspace, *kept, *status;
    int64_t workspace_bytes, kept_bytes;
    void *state;
    struct moe_call call;
};

static int allocate(struct moe_gpu_bench *bench)
{
    struct moe_device *device = bench->place.queue.device;
    int64_t bytes = 0;
    int status = bench_tensors_describe(&bench->problem, bench->tensors, &bytes);
    if (status == MOE_OK && (bench->workspace_bytes < 0 || bench->kept_bytes < 0))
        status = moe_error(MOE_E_INTERNAL, "%s wants a negative workspace", bench->variant->name);
    if (status == MOE_OK)
        status =
            bench_place_fits(&bench->place, bytes + bench->workspace_bytes + bench->kept_bytes);
    if (status == MOE_OK)
        status = bench_tensors_allocate(&bench->place.queue, &bench->problem, bench->tensors);
    if (status == MOE_OK)
        status = moe_device_allocate(device, bench->workspace_bytes, &bench->workspace);
    if (status == MOE_OK)
        status = moe_device_allocate(device, bench->kept_bytes, &bench->kept);
    if (status == MOE_OK)
        status = moe_device_allocate(device, sizeof(uint32_t), &bench->status);
    if (status == MOE_OK)
        status =
            moe_device_fill(device, bench->status, 0, sizeof(uint32_t), bench->place.queue.stream);
    return status == MOE_OK ? moe_device_synchronize(device, bench->place.queue.stream) : status;
}

int moe_gpu_bench_open(const struct moe_problem *problem, const struct moe_variant *variant,
                       struct moe_gpu_bench **bench)
{
    int status = bench_tensors_check(problem);
    if (status != MOE_OK)
        return status;
    struct moe_gpu_bench *made = calloc(1, sizeof *made);
    if (!made)
        return moe_error(MOE_E_NOMEM, "no memory for a measurement");
    made->variant = variant;
    made->problem = *problem;
    made->workspace_bytes = variant->workspace_bytes(problem);
    made->kept_bytes = variant->kept_bytes(problem);
    status = bench_place_open(&made->place);
    if (status == MOE_OK)
        status = allocate(made);
    if (status != MOE_OK) {
        moe_gpu_bench_close(made);
        return status;
    }
    *bench = made;
    return MOE_OK;
}

void moe_gpu_bench_close(struct moe_gpu_bench *bench)
{
    struct moe_device *device = bench->place.queue.device;
    if (device) {
        bench_tensors_free(device, bench->tensors);
        moe_device_free(device, bench->workspace);
        moe_device_free(device, bench->kept);
        moe_device_free(device, bench->status);
        bench_place_close(&bench->place);
    }
    free(bench);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static double bytes_of(const struct moe_gpu_bench *bench, enum moe_tensor_id id)
{
    return bench->tensors[id].data ? (double)moe_tensor_bytes(&bench->tensors[id]) : 0;
}

/* What backward reads beside the inputs. */
static double kept_bytes(const struct moe_gpu_bench *bench)
{
    static const enum moe_tensor_id kept[] = {MOE_Z, MOE_SCORES, MOE_PICKS, MOE_OFFSETS,
                                              MOE_LOGITS};
    double sum = (double)bench->kept_bytes;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        sum += bytes_of(bench, kept[i]);
    return sum;
}

static double output_bytes(const struct moe_gpu_bench *bench)
{
    double sum = 0;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        enum moe_role role = moe_tensor_info(id)->role;
        if (role != MOE_INPUT && !(role == MOE_ROUTING && bench->problem.router == MOE_LISTS))
            sum += bytes_of(bench, id);
    }
    return sum;
}

/* ---- time ------------------------------------------------------------------------------------ */

static int step(void *context, int number)
{
    struct moe_gpu_bench *bench = context;
    return number == 0 ? bench->variant->forward(bench->state, &bench->call)
                       : bench->variant->backward(bench->state, &bench->call);
}

/* The state is open. Free memory is read again after the repetitions: what is gone by then the
 * variant took itself. */
static int run_opened(struct moe_gpu_bench *bench, int64_t free_before,
                      struct moe_gpu_timing *timing)
{
    struct moe_device *device = bench->place.queue.device;
    struct moe_gpu_timing taken = {.repetitions = 0};
    struct moe_gpu_time time[2];
    int64_t free_after = free_before;
    sensors_read(&taken.before_mhz, &taken.before_watts);
    int status = bench_time(&bench->place, 2, step, bench, time, &taken.repetitions);
    sensors_read(&taken.after_mhz, &taken.after_watts);
    if (status == MOE_OK)
        status = moe_device_attribute(device, MOE_DEVICE_FREE_BYTES, &free_after);
    if (status != MOE_OK)
        return status;
    taken.forward = time[0];
    taken.backward = time[1];
    taken.kept_bytes = kept_bytes(bench);
    taken.peak_bytes = output_bytes(bench) + (double)(bench->workspace_bytes + bench->kept_bytes);
    if (free_before > free_after)
        taken.peak_bytes += (double)(free_before - free_after);
    *timing = taken;
    return MOE_OK;
}

int moe_gpu_bench_run(struct moe_gpu_bench *bench, int32_t configuration,
                      struct moe_gpu_timing *timing)
{
    struct moe_device *device = bench->place.queue.device;
    int64_t free_before = 0;
    int status = moe_device_attribute(device, MOE_DEVICE_FREE_BYTES, &free_before);
    if (status == MOE_OK)
        status = bench->variant->open(device, &bench->problem, configuration, &bench->state);
    if (status != MOE_OK)
        return status;
    bench->call = (struct moe_call){
        .tensors = bench->tensors,
        .workspace = bench->workspace,
        .workspace_size = bench->workspace_bytes,
        .kept = bench->kept,
        .kept_size = bench->kept_bytes,
        .stream = bench->place.queue.stream,
        .status = bench->status,
    };
    status = run_opened(bench, free_before, timing);
    bench->variant->close(bench->state);
    return status;
}

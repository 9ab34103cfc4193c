/*
 * bench_tensors.c - the tensors of a case on the device, filled there: 13 billion elements take the
 * CPU a minute and the GPU a twentieth of a second.
 *
 * Scales are those of data=normal, but for the biases of the router, which are small enough that
 * picks stay nearly balanced.
 */
#include <stdlib.h>

#include "gpu/bench_tensors.h"
#include "gpu/parts_launch.h"

int bench_fill(const struct moe_gpu_queue *queue, enum moe_dtype dtype, int64_t count, double scale,
               uint64_t seed, void *to)
{
    int type = dtype;
    void *args[] = {&count, &type, &scale, &seed, &to};
    return launch_elements(queue, "fill_random", count, args);
}

/* 2^-round(log2(fan_in) / 2), by integers, as the draws have it. */
double bench_weight_scale(int64_t fan_in)
{
    int log2 = 0;
    while (fan_in >> (log2 + 1) > 0)
        log2++;
    return 1.0 / (double)((int64_t)1 << (log2 + 1) / 2);
}

static double scale_of(enum moe_tensor_id id, const struct moe_tensor *tensor)
{
    static const double scale[MOE_TENSOR_COUNT] = {
        [MOE_X] = 1,    [MOE_DO] = 1,      [MOE_B1] = 0.5,
        [MOE_B2] = 0.5, [MOE_BR] = 0x1p-7, [MOE_SEL_BIAS] = 0x1p-9,
    };
    if (scale[id] > 0 || moe_tensor_info(id)->role != MOE_INPUT)
        return scale[id] > 0 ? scale[id] : 1;
    return bench_weight_scale(tensor->shape[tensor->rank - 1]);
}

/* Lists are small: drawn by the CPU as the case says. */
static int draw_list(const struct moe_gpu_queue *queue, const struct moe_problem *problem,
                     enum moe_tensor_id id, const struct moe_tensor *tensor)
{
    struct moe_tensor here = *tensor;
    int64_t bytes = moe_tensor_bytes(tensor);
    here.data = malloc(bytes > 0 ? (size_t)bytes : 1);
    if (!here.data)
        return moe_error(MOE_E_NOMEM, "no memory for %s", moe_tensor_info(id)->name);
    int status = moe_draw_tensor(problem, id, &here);
    if (status == MOE_OK)
        status = moe_device_copy_to(queue->device, tensor->data, here.data, bytes, queue->stream);
    free(here.data);
    return status;
}

static int fill_tensor(const struct moe_gpu_queue *queue, const struct moe_problem *problem,
                       enum moe_tensor_id id, const struct moe_tensor *tensor)
{
    enum moe_role role = moe_tensor_info(id)->role;
    if (role == MOE_ROUTING && problem->router == MOE_LISTS)
        return draw_list(queue, problem, id, tensor);
    if (role != MOE_INPUT && !(role == MOE_PARAMETER_GRADIENT && problem->beta))
        return MOE_OK;
    return bench_fill(queue, tensor->dtype, moe_tensor_count(tensor), scale_of(id, tensor),
                      (uint64_t)id, tensor->data);
}

int bench_tensors_check(const struct moe_problem *problem)
{
    if (problem->data != MOE_DATA_NORMAL)
        return moe_error(MOE_E_UNSUPPORTED, "data: on the GPU only normal is drawn");
    if (problem->router != MOE_LISTS && problem->routing != MOE_ROUTING_UNIFORM)
        return moe_error(MOE_E_UNSUPPORTED,
                         "routing: on the GPU only uniform is drawn, unless router=lists");
    return MOE_OK;
}

int bench_tensors_describe(const struct moe_problem *problem,
                           struct moe_tensor tensors[MOE_TENSOR_COUNT], int64_t *bytes)
{
    int64_t sum = 0;
    int status = MOE_OK;
    for (int id = 0; id < MOE_TENSOR_COUNT && status == MOE_OK; id++) {
        tensors[id] = (struct moe_tensor){.data = NULL};
        if (!moe_tensor_exists(problem, id))
            continue;
        status = moe_tensor_describe(problem, id, &tensors[id]);
        if (status == MOE_OK)
            sum += moe_tensor_bytes(&tensors[id]);
    }
    if (status == MOE_OK)
        *bytes = sum;
    return status;
}

int bench_tensors_allocate(const struct moe_gpu_queue *queue, const struct moe_problem *problem,
                           struct moe_tensor tensors[MOE_TENSOR_COUNT])
{
    int status = MOE_OK;
    for (int id = 0; id < MOE_TENSOR_COUNT && status == MOE_OK; id++) {
        if (!moe_tensor_exists(problem, id))
            continue;
        int64_t bytes = moe_tensor_bytes(&tensors[id]);
        status = moe_device_allocate(queue->device, bytes > 0 ? bytes : 1, &tensors[id].data);
        if (status == MOE_OK && bytes > 0)
            status = fill_tensor(queue, problem, id, &tensors[id]);
    }
    return status;
}

void bench_tensors_free(struct moe_device *device, struct moe_tensor tensors[MOE_TENSOR_COUNT])
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (tensors[id].data)
            moe_device_free(device, tensors[id].data);
}

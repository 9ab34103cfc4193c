/*
 * parts.c - what the steps of a layer share: shapes of launches, and the type they compute in.
 */
#include "gpu/parts_launch.h"

enum moe_dtype moe_gpu_compute(const struct moe_problem *problem)
{
    return problem->dtype == MOE_F64 ? MOE_F64 : MOE_F32;
}

/* Blocks of a grid-stride loop: enough to fill any GPU, and within the grid's limit. */
#define MOST_BLOCKS 65535

int launch_elements(const struct moe_gpu_queue *queue, const char *kernel, int64_t count,
                    void **args)
{
    int64_t blocks = (count + 255) / 256;
    if (count <= 0)
        return MOE_OK;
    struct moe_launch launch = {
        .kernel = kernel,
        .grid = {(uint32_t)(blocks < MOST_BLOCKS ? blocks : MOST_BLOCKS), 1, 1},
        .block = {256, 1, 1},
        .stream = planted(FAULT_DEFAULT_STREAM) ? NULL : queue->stream,
        .args = args,
    };
    return moe_device_launch(queue->device, &launch);
}

int launch_blocks(const struct moe_gpu_queue *queue, const char *kernel, int64_t blocks,
                  uint32_t threads, uint32_t shared_bytes, void **args)
{
    if (blocks <= 0)
        return MOE_OK;
    if (blocks > INT32_MAX)
        return moe_error(MOE_E_UNSUPPORTED, "%s: %lld blocks are more than a grid has", kernel,
                         (long long)blocks);
    struct moe_launch launch = {
        .kernel = kernel,
        .grid = {(uint32_t)blocks, 1, 1},
        .block = {threads, 1, 1},
        .shared_bytes = shared_bytes,
        .stream = queue->stream,
        .args = args,
    };
    return moe_device_launch(queue->device, &launch);
}

void *part_take(char **next, int64_t bytes)
{
    void *part = *next;
    *next += part_bytes(bytes);
    return part;
}

/*
 * device_walk.c - every step that a device can do, once; the first that fails ends the walk, and
 * all is given back. For device.sh.
 */
#include <stdio.h>

#include "gpu/gpu.h"
#include "ref/moe.h"
#include "tests/device_walk.h"
#include "verify/variant.h"

/* A fill captured and replayed, on memory that the host shares. */
static int walk_graph(struct moe_device *device, void *stream)
{
    void *graph = NULL, *shared = NULL;
    int status = moe_device_shared_allocate(device, 64, &shared);
    if (!status)
        status = moe_device_capture_begin(device, stream);
    if (!status) {
        const int filled = moe_device_fill(device, shared, 3, 64, stream);
        status = moe_device_capture_end(device, stream, &graph);
        status = filled ? filled : status;
    }
    if (!status)
        status = moe_device_graph_launch(device, graph, stream);
    moe_device_graph_destroy(device, graph);
    moe_device_shared_free(device, shared);
    return status;
}

static int walk_steps(struct moe_device *device, void *memory, void *stream, void *begin, void *end)
{
    int64_t value;
    int32_t count = 20000;
    double ms;
    char bytes[1000] = {1};
    struct moe_tensor_map map;
    const struct moe_tensor_map_spec spec = {.type = 9, /* bf16 */
                                             .rank = 2,
                                             .base = memory,
                                             .size = {64, 64},
                                             .stride = {128},
                                             .box = {64, 8},
                                             .step = {1, 1}};
    void *arguments[] = {&memory, &count};
    const struct moe_launch launches[] = {
        {.kernel = "reverse_shared",
         .grid = {1, 1, 1},
         .block = {256, 1, 1},
         .shared_bytes = 80000,
         .stream = stream,
         .args = arguments},
        {.kernel = "cluster_ranks",
         .grid = {32, 1, 1},
         .block = {32, 1, 1},
         .cluster = {16, 1, 1},
         .dependent = 1,
         .args = arguments},
    };
    int status = moe_device_attribute(device, MOE_DEVICE_FREE_BYTES, &value);
    if (!status)
        status = moe_device_event_record(device, begin, stream);
    if (!status)
        status = moe_device_copy_to(device, memory, bytes, sizeof bytes, stream);
    if (!status)
        status = moe_device_fill(device, memory, 3, 500, stream);
    if (!status)
        status = moe_device_copy(device, (char *)memory + 500, memory, 500, stream);
    if (!status)
        status = moe_device_copy_from(device, bytes, memory, sizeof bytes, stream);
    for (size_t i = 0; !status && i < sizeof launches / sizeof *launches; i++)
        status = moe_device_launch(device, &launches[i]);
    if (!status)
        status = moe_device_event_record(device, end, stream);
    if (!status)
        status = moe_device_event_elapsed(device, begin, end, &ms);
    if (!status)
        status = moe_device_tensor_map_encode(device, &spec, &map);
    if (!status)
        status = walk_graph(device, stream);
    return status ? status : moe_device_synchronize(device, stream);
}

int device_walk(void)
{
    struct moe_device *device = NULL;
    void *memory = NULL, *stream = NULL, *begin = NULL, *end = NULL;
    int status = moe_device_open(MOE_ON_CUDA, 0, &device);
    if (!status) {
        status = moe_device_allocate(device, 80000, &memory);
        if (!status)
            status = moe_device_stream_create(device, &stream);
        if (!status)
            status = moe_device_event_create(device, &begin);
        if (!status)
            status = moe_device_event_create(device, &end);
        if (!status)
            status = walk_steps(device, memory, stream, begin, end);
        moe_device_event_destroy(device, begin);
        moe_device_event_destroy(device, end);
        moe_device_stream_destroy(device, stream);
        moe_device_free(device, memory);
        moe_device_close(device);
    }
    printf("status %d: %s\n", status, status ? moe_error_text() : "");
    return 0;
}

/*
 * device_graph.c - graphs and shared memory of a device, whatever it is; what a class of devices
 * does not have is refused in words.
 */
#include "gpu/device.h"
#include "ref/moe.h"

int moe_device_capture_begin(struct moe_device *device, void *stream)
{
    return device->class->capture_begin
               ? device->class->capture_begin(device, stream)
               : moe_error(MOE_E_UNSUPPORTED, "%s has no graphs", device->name);
}

int moe_device_capture_end(struct moe_device *device, void *stream, void **graph)
{
    return device->class->capture_end(device, stream, graph);
}

int moe_device_graph_launch(struct moe_device *device, void *graph, void *stream)
{
    return device->class->graph_launch(device, graph, stream);
}

void moe_device_graph_destroy(struct moe_device *device, void *graph)
{
    if (graph)
        device->class->graph_destroy(device, graph);
}

int moe_device_shared_allocate(struct moe_device *device, int64_t bytes, void **memory)
{
    if (bytes <= 0)
        return moe_error(MOE_E_INTERNAL, "shared memory of %lld bytes", (long long)bytes);
    return device->class->shared_allocate
               ? device->class->shared_allocate(device, bytes, memory)
               : moe_error(MOE_E_UNSUPPORTED, "%s shares no memory", device->name);
}

void moe_device_shared_free(struct moe_device *device, void *memory)
{
    if (memory)
        device->class->shared_free(device, memory);
}

/*
 * device_cuda_graph.c - a GPU's graphs, and host memory that its kernels see.
 */
#include <string.h>

#include "gpu/device_cuda.h"
#include "ref/moe.h"

int cuda_capture_begin(struct moe_device *device, void *stream)
{
    struct cuda_device *cuda = cuda_device(device);
    const int status = cuda_make_current(cuda);
    return status ? status
                  : driver_check(
                        cuda->driver,
                        cuda->driver->cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL),
                        "beginning a capture on %s", device->name);
}

int cuda_capture_end(struct moe_device *device, void *stream, void **graph)
{
    struct cuda_device *cuda = cuda_device(device);
    CUgraph captured = NULL;
    CUgraphExec made = NULL;
    int status = cuda_make_current(cuda);
    if (!status)
        status = driver_check(cuda->driver, cuda->driver->cuStreamEndCapture(stream, &captured),
                              "ending a capture on %s", device->name);
    if (!status)
        status = driver_check(cuda->driver, cuda->driver->cuGraphInstantiate(&made, captured, 0),
                              "making a graph runnable on %s", device->name);
    if (captured)
        cuda->driver->cuGraphDestroy(captured);
    if (!status)
        *graph = made;
    return status;
}

int cuda_graph_launch(struct moe_device *device, void *graph, void *stream)
{
    struct cuda_device *cuda = cuda_device(device);
    const int status = cuda_make_current(cuda);
    return status ? status
                  : driver_check(cuda->driver, cuda->driver->cuGraphLaunch(graph, stream),
                                 "launching a graph on %s", device->name);
}

void cuda_graph_destroy(struct moe_device *device, void *graph)
{
    struct cuda_device *cuda = cuda_device(device);
    if (cuda_make_current(cuda) == MOE_OK)
        cuda->driver->cuGraphExecDestroy(graph);
}

/* With unified addresses, which every 64-bit system has, the device's address is the host's. */
int cuda_shared_allocate(struct moe_device *device, int64_t bytes, void **memory)
{
    struct cuda_device *cuda = cuda_device(device);
    void *found = NULL;
    int status = cuda_make_current(cuda);
    if (!status)
        status = driver_check(
            cuda->driver,
            cuda->driver->cuMemHostAlloc(&found, (size_t)bytes,
                                         CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP),
            "allocating %lld bytes for the host and %s", (long long)bytes, device->name);
    if (!status)
        *memory = memset(found, 0, (size_t)bytes);
    return status;
}

void cuda_shared_free(struct moe_device *device, void *memory)
{
    struct cuda_device *cuda = cuda_device(device);
    if (cuda_make_current(cuda) == MOE_OK)
        cuda->driver->cuMemFreeHost(memory);
}

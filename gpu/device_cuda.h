/*
 * device_cuda.h - a GPU as gpu/device_cuda.c opens it and gpu/device_cuda_launch.c runs code on it.
 */
#ifndef MOE_GPU_DEVICE_CUDA_H
#define MOE_GPU_DEVICE_CUDA_H

#include "gpu/device.h"
#include "gpu/driver.h"

/* A row's function on this device. */
struct loaded_function {
    CUfunction handle;     /* NULL: not asked for yet */
    uint32_t shared_bytes; /* dynamic, that it has been allowed */
    int any_cluster;       /* clusters of more than eight blocks have been allowed */
};

struct cuda_device {
    struct moe_device base;
    const struct driver *driver;
    CUdevice handle;
    CUcontext context;                 /* the primary one, retained */
    CUmodule *modules;                 /* [kernel_code_count]; NULL: not loaded yet */
    struct loaded_function *functions; /* [kernel_row_count] */
};

static inline struct cuda_device *cuda_device(struct moe_device *device)
{
    return (struct cuda_device *)device;
}

/* Makes the device's context the calling thread's current one. */
int cuda_make_current(struct cuda_device *cuda);

/* device_virtual.c */
int cuda_page_bytes(struct cuda_device *cuda, int64_t *bytes);
int cuda_reserve(struct moe_device *device, int64_t bytes, void **addresses);
void cuda_unreserve(struct moe_device *device, void *addresses, int64_t bytes);
int cuda_map(struct moe_device *device, void *place, int64_t bytes);
void cuda_unmap(struct moe_device *device, void *place, int64_t bytes);

/* device_cuda_launch.c */
int cuda_launch(struct moe_device *device, int row, const struct moe_launch *launch);
int cuda_prepare(struct moe_device *device, int row);
int cuda_tensor_map_encode(struct moe_device *device, const struct moe_tensor_map_spec *spec,
                           struct moe_tensor_map *map);

/* ---- device_cuda_graph.c --------------------------------------------------------------------- */

int cuda_capture_begin(struct moe_device *device, void *stream);
int cuda_capture_end(struct moe_device *device, void *stream, void **graph);
int cuda_graph_launch(struct moe_device *device, void *graph, void *stream);
void cuda_graph_destroy(struct moe_device *device, void *graph);
int cuda_shared_allocate(struct moe_device *device, int64_t bytes, void **memory);
void cuda_shared_free(struct moe_device *device, void *memory);

#endif

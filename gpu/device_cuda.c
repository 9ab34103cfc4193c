/*
 * device_cuda.c - a GPU through the driver API, in its primary context, which is also the one that
 * cuBLAS and the CUDA runtime in this process use.
 *
 * The context is made current on the calling thread whenever it is not: some other library may have
 * changed it in between. An error of work that was enqueued earlier shows up at whatever call comes
 * next, so an error's text names the call that reported it, which need not be the culprit.
 */
#include <stdio.h>
#include <stdlib.h>

#include "gpu/device_cuda.h"
#include "gpu/kernels.h"
#include "ref/moe.h"
#include "verify/variant.h"

int cuda_make_current(struct cuda_device *cuda)
{
    CUcontext current = NULL;
    CUresult result = cuda->driver->cuCtxGetCurrent(&current);
    if (result == CUDA_SUCCESS && current != cuda->context)
        result = cuda->driver->cuCtxSetCurrent(cuda->context);
    return driver_check(cuda->driver, result, "making the context of %s current", cuda->base.name);
}

static CUdeviceptr address(const void *memory)
{
    return (CUdeviceptr)(uintptr_t)memory;
}

/* ---- open and close -------------------------------------------------------------------------- */

static void close_device(struct moe_device *device)
{
    struct cuda_device *cuda = cuda_device(device);
    const struct driver *driver = cuda->driver;
    CUcontext current = NULL;

    /* Nobody can be told of errors here; after one that sticks all of these fail. */
    if (cuda->context) {
        if (cuda_make_current(cuda) == MOE_OK)
            for (int i = 0; cuda->modules && i < kernel_code_count; i++)
                if (cuda->modules[i])
                    driver->cuModuleUnload(cuda->modules[i]);
        /* A released context may be gone, and must not stay this thread's. */
        if (driver->cuCtxGetCurrent(&current) == CUDA_SUCCESS && current == cuda->context)
            driver->cuCtxSetCurrent(NULL);
        driver->cuDevicePrimaryCtxRelease(cuda->handle);
    }
    free(cuda->modules);
    free(cuda->functions);
    free(cuda);
}

static int get_attribute(struct cuda_device *cuda, CUdevice_attribute attribute, int64_t *value)
{
    int number = 0;
    const CUresult result = cuda->driver->cuDeviceGetAttribute(&number, attribute, cuda->handle);
    if (result != CUDA_SUCCESS)
        return driver_check(cuda->driver, result, "attribute %d of %s", (int)attribute,
                            cuda->base.name);
    *value = number;
    return MOE_OK;
}

/* The device exists and has code: takes its context and room for its kernels. */
static int open_context(struct cuda_device *cuda, int index)
{
    const struct driver *driver = cuda->driver;
    int status =
        driver_check(driver, driver->cuDeviceGet(&cuda->handle, index), "device %d", index);
    if (!status)
        status = get_attribute(cuda, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
                               &cuda->base.shared_bytes);
    if (status)
        return status;

    cuda->modules = calloc((size_t)kernel_code_count + 1, sizeof *cuda->modules);
    cuda->functions = calloc((size_t)kernel_row_count + 1, sizeof *cuda->functions);
    if (!cuda->modules || !cuda->functions)
        return moe_error(MOE_E_NOMEM, "no memory for the kernels of device %d", index);

    CUcontext context = NULL;
    status = driver_check(driver, driver->cuDevicePrimaryCtxRetain(&context, cuda->handle),
                          "opening the primary context of device %d, %s", index, cuda->base.name);
    if (status)
        return status;
    cuda->context = context;
    return cuda_make_current(cuda);
}

/* Why device `index` cannot be used; MOE_OK where it can. */
static int check_device(const struct moe_gpu_status *gpu, int index)
{
    if (gpu->state != MOE_GPU_READY && gpu->state != MOE_GPU_NO_CODE)
        return moe_error(MOE_E_UNSUPPORTED, "GPU: %s", gpu->reason);
    if (index < 0 || index >= gpu->count || index >= MOE_GPU_MAX)
        return moe_error(MOE_E_UNSUPPORTED, "no GPU %d: the driver shows %d", index, gpu->count);
    if (!gpu->device[index].has_code)
        return moe_error(MOE_E_UNSUPPORTED, "GPU %d, %s: no code for sm_%d%d in this build", index,
                         gpu->device[index].name, gpu->device[index].major,
                         gpu->device[index].minor);
    return MOE_OK;
}

static int open_device(int index, struct moe_device **device)
{
    struct moe_gpu_status gpu;
    int status = moe_gpu_probe(&gpu);
    if (!status)
        status = check_device(&gpu, index);
    if (status)
        return status;

    struct cuda_device *cuda = calloc(1, sizeof *cuda);
    if (!cuda)
        return moe_error(MOE_E_NOMEM, "no memory for device %d", index);
    cuda->base.class = &device_cuda;
    cuda->base.major = gpu.device[index].major;
    cuda->base.minor = gpu.device[index].minor;
    snprintf(cuda->base.name, sizeof cuda->base.name, "%s", gpu.device[index].name);
    cuda->driver = driver_open();
    status = open_context(cuda, index);
    if (status) {
        close_device(&cuda->base);
        return status;
    }
    *device = &cuda->base;
    return MOE_OK;
}

/* ---- attributes ------------------------------------------------------------------------------ */

static int get_memory(struct cuda_device *cuda, int total, int64_t *value)
{
    size_t free_bytes = 0, total_bytes = 0;
    int status = cuda_make_current(cuda);
    if (!status)
        status = driver_check(cuda->driver, cuda->driver->cuMemGetInfo(&free_bytes, &total_bytes),
                              "memory of %s", cuda->base.name);
    if (!status)
        *value = (int64_t)(total ? total_bytes : free_bytes);
    return status;
}

static int attribute(struct moe_device *device, enum moe_device_attribute which, int64_t *value)
{
    struct cuda_device *cuda = cuda_device(device);
    switch (which) {
    case MOE_DEVICE_MULTIPROCESSORS:
        return get_attribute(cuda, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, value);
    case MOE_DEVICE_L2_BYTES:
        return get_attribute(cuda, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, value);
    case MOE_DEVICE_CAPABILITY:
        *value = 10 * device->major + device->minor;
        return MOE_OK;
    case MOE_DEVICE_SHARED_BYTES:
        *value = device->shared_bytes;
        return MOE_OK;
    case MOE_DEVICE_FREE_BYTES:
        return get_memory(cuda, 0, value);
    case MOE_DEVICE_TOTAL_BYTES:
        return get_memory(cuda, 1, value);
    case MOE_DEVICE_PAGE_BYTES:
        return cuda_page_bytes(cuda, value);
    }
    return moe_error(MOE_E_INTERNAL, "a device has no attribute %d", (int)which);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static int allocate(struct moe_device *device, int64_t bytes, void **memory)
{
    struct cuda_device *cuda = cuda_device(device);
    CUdeviceptr found = 0;
    int status = cuda_make_current(cuda);
    if (!status)
        status = driver_check(cuda->driver, cuda->driver->cuMemAlloc(&found, (size_t)bytes),
                              "allocating %lld bytes on %s", (long long)bytes, device->name);
    if (!status)
        *memory = (void *)(uintptr_t)found;
    return status;
}

static void release(struct moe_device *device, void *memory)
{
    struct cuda_device *cuda = cuda_device(device);
    if (cuda_make_current(cuda) == MOE_OK)
        cuda->driver->cuMemFree(address(memory));
}

static int synchronize(struct moe_device *device, void *stream)
{
    struct cuda_device *cuda = cuda_device(device);
    const int status = cuda_make_current(cuda);
    return status ? status
                  : driver_check(cuda->driver, cuda->driver->cuStreamSynchronize(stream),
                                 "waiting for a stream of %s", device->name);
}

static int copy_to(struct moe_device *device, void *to, const void *from_host, int64_t bytes,
                   void *stream)
{
    struct cuda_device *cuda = cuda_device(device);
    int status = cuda_make_current(cuda);
    if (!status)
        status = driver_check(
            cuda->driver,
            cuda->driver->cuMemcpyHtoDAsync(address(to), from_host, (size_t)bytes, stream),
            "copying %lld bytes to %s", (long long)bytes, device->name);
    return status ? status : synchronize(device, stream);
}

static int copy_from(struct moe_device *device, void *to_host, const void *from, int64_t bytes,
                     void *stream)
{
    struct cuda_device *cuda = cuda_device(device);
    int status = cuda_make_current(cuda);
    if (!status)
        status = driver_check(
            cuda->driver,
            cuda->driver->cuMemcpyDtoHAsync(to_host, address(from), (size_t)bytes, stream),
            "copying %lld bytes from %s", (long long)bytes, device->name);
    return status ? status : synchronize(device, stream);
}

static int copy(struct moe_device *device, void *to, const void *from, int64_t bytes, void *stream)
{
    struct cuda_device *cuda = cuda_device(device);
    const int status = cuda_make_current(cuda);
    return status ? status
                  : driver_check(cuda->driver,
                                 cuda->driver->cuMemcpyDtoDAsync(address(to), address(from),
                                                                 (size_t)bytes, stream),
                                 "copying %lld bytes on %s", (long long)bytes, device->name);
}

static int fill(struct moe_device *device, void *memory, int byte, int64_t bytes, void *stream)
{
    struct cuda_device *cuda = cuda_device(device);
    const int status = cuda_make_current(cuda);
    return status ? status
                  : driver_check(cuda->driver,
                                 cuda->driver->cuMemsetD8Async(address(memory), (unsigned char)byte,
                                                               (size_t)bytes, stream),
                                 "filling %lld bytes on %s", (long long)bytes, device->name);
}

/* ---- streams and events ---------------------------------------------------------------------- */

static int stream_create(struct moe_device *device, void **stream)
{
    struct cuda_device *cuda = cuda_device(device);
    CUstream made = NULL;
    int status = cuda_make_current(cuda);
    if (!status)
        status =
            driver_check(cuda->driver, cuda->driver->cuStreamCreate(&made, CU_STREAM_NON_BLOCKING),
                         "making a stream of %s", device->name);
    if (!status)
        *stream = made;
    return status;
}

static void stream_destroy(struct moe_device *device, void *stream)
{
    struct cuda_device *cuda = cuda_device(device);
    if (cuda_make_current(cuda) == MOE_OK)
        cuda->driver->cuStreamDestroy(stream);
}

static int event_create(struct moe_device *device, void **event)
{
    struct cuda_device *cuda = cuda_device(device);
    CUevent made = NULL;
    int status = cuda_make_current(cuda);
    if (!status)
        status = driver_check(cuda->driver, cuda->driver->cuEventCreate(&made, CU_EVENT_DEFAULT),
                              "making an event of %s", device->name);
    if (!status)
        *event = made;
    return status;
}

static void event_destroy(struct moe_device *device, void *event)
{
    struct cuda_device *cuda = cuda_device(device);
    if (cuda_make_current(cuda) == MOE_OK)
        cuda->driver->cuEventDestroy(event);
}

static int event_record(struct moe_device *device, void *event, void *stream)
{
    struct cuda_device *cuda = cuda_device(device);
    const int status = cuda_make_current(cuda);
    return status ? status
                  : driver_check(cuda->driver, cuda->driver->cuEventRecord(event, stream),
                                 "recording an event of %s", device->name);
}

static int event_elapsed(struct moe_device *device, void *begin, void *end, double *ms)
{
    struct cuda_device *cuda = cuda_device(device);
    float elapsed = 0;
    int status = cuda_make_current(cuda);
    if (!status)
        status = driver_check(cuda->driver, cuda->driver->cuEventSynchronize(end),
                              "waiting for an event of %s", device->name);
    if (!status)
        status = driver_check(cuda->driver, cuda->driver->cuEventElapsedTime(&elapsed, begin, end),
                              "time between two events of %s", device->name);
    if (!status)
        *ms = elapsed;
    return status;
}

const struct device_class device_cuda = {
    .kind = MOE_ON_CUDA,
    .open = open_device,
    .close = close_device,
    .attribute = attribute,
    .allocate = allocate,
    .release = release,
    .copy_to = copy_to,
    .copy_from = copy_from,
    .copy = copy,
    .fill = fill,
    .reserve = cuda_reserve,
    .unreserve = cuda_unreserve,
    .map = cuda_map,
    .unmap = cuda_unmap,
    .stream_create = stream_create,
    .stream_destroy = stream_destroy,
    .synchronize = synchronize,
    .event_create = event_create,
    .event_destroy = event_destroy,
    .event_record = event_record,
    .event_elapsed = event_elapsed,
    .launch = cuda_launch,
    .prepare = cuda_prepare,
    .tensor_map_encode = cuda_tensor_map_encode,
    .capture_begin = cuda_capture_begin,
    .capture_end = cuda_capture_end,
    .graph_launch = cuda_graph_launch,
    .graph_destroy = cuda_graph_destroy,
    .shared_allocate = cuda_shared_allocate,
    .shared_free = cuda_shared_free,
};

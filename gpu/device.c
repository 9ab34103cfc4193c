/*
 * device.c - a device, whatever it is: finds the class of its kind, and refuses in words what no
 * device could do, before the device answers with a bare "invalid value".
 */
#include <string.h>

#include "gpu/device.h"
#include "gpu/kernels.h"
#include "ref/moe.h"
#include "verify/variant.h"

static const struct device_class *const classes[] = {&device_cuda, &device_ptx};

int moe_device_open(int kind, int index, struct moe_device **device)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (classes[i]->kind == kind)
            return classes[i]->open(index, device);
    return moe_error(MOE_E_UNSUPPORTED, "no devices of kind %d in this build", kind);
}

void moe_device_close(struct moe_device *device)
{
    if (device)
        device->class->close(device);
}

const char *moe_device_name(const struct moe_device *device)
{
    return device->name;
}

int moe_device_attribute(struct moe_device *device, enum moe_device_attribute attribute,
                         int64_t *value)
{
    return device->class->attribute(device, attribute, value);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static int check_range(const char *what, const void *a, const void *b, int64_t bytes)
{
    if (bytes < 0)
        return moe_error(MOE_E_INTERNAL, "%s of %lld bytes", what, (long long)bytes);
    if (bytes > 0 && (!a || !b))
        return moe_error(MOE_E_INTERNAL, "%s of %lld bytes at a null pointer", what,
                         (long long)bytes);
    return MOE_OK;
}

int moe_device_allocate(struct moe_device *device, int64_t bytes, void **memory)
{
    if (bytes < 0)
        return moe_error(MOE_E_INTERNAL, "allocation of %lld bytes", (long long)bytes);
    if (bytes == 0) {
        *memory = NULL;
        return MOE_OK;
    }
    return device->class->allocate(device, bytes, memory);
}

void moe_device_free(struct moe_device *device, void *memory)
{
    if (memory)
        device->class->release(device, memory);
}

int moe_device_copy_to(struct moe_device *device, void *to, const void *from_host, int64_t bytes,
                       void *stream)
{
    const int status = check_range("copy to the device", to, from_host, bytes);
    return status || bytes == 0 ? status
                                : device->class->copy_to(device, to, from_host, bytes, stream);
}

int moe_device_copy_from(struct moe_device *device, void *to_host, const void *from, int64_t bytes,
                         void *stream)
{
    const int status = check_range("copy from the device", to_host, from, bytes);
    return status || bytes == 0 ? status
                                : device->class->copy_from(device, to_host, from, bytes, stream);
}

int moe_device_copy(struct moe_device *device, void *to, const void *from, int64_t bytes,
                    void *stream)
{
    const int status = check_range("copy on the device", to, from, bytes);
    return status || bytes == 0 ? status : device->class->copy(device, to, from, bytes, stream);
}

int moe_device_fill(struct moe_device *device, void *memory, int byte, int64_t bytes, void *stream)
{
    const int status = check_range("fill", memory, memory, bytes);
    return status || bytes == 0 ? status : device->class->fill(device, memory, byte, bytes, stream);
}

/* ---- addresses and what is mapped there ------------------------------------------------------ */

static int check_pages(struct moe_device *device, const char *what, const void *place,
                       int64_t bytes)
{
    int64_t page = 0;
    int status = moe_device_attribute(device, MOE_DEVICE_PAGE_BYTES, &page);
    if (status)
        return status;
    if (bytes <= 0 || bytes % page || (uintptr_t)place % (uintptr_t)page)
        return moe_error(MOE_E_INTERNAL, "%s of %lld bytes at %p: pages have %lld", what,
                         (long long)bytes, place, (long long)page);
    return MOE_OK;
}

int moe_device_reserve(struct moe_device *device, int64_t bytes, void **addresses)
{
    const int status = check_pages(device, "reservation", NULL, bytes);
    return status ? status : device->class->reserve(device, bytes, addresses);
}

void moe_device_unreserve(struct moe_device *device, void *addresses, int64_t bytes)
{
    if (addresses)
        device->class->unreserve(device, addresses, bytes);
}

int moe_device_map(struct moe_device *device, void *place, int64_t bytes)
{
    const int status = check_pages(device, "mapping", place, bytes);
    return status ? status : device->class->map(device, place, bytes);
}

void moe_device_unmap(struct moe_device *device, void *place, int64_t bytes)
{
    device->class->unmap(device, place, bytes);
}

/* ---- streams and events ---------------------------------------------------------------------- */

int moe_device_stream_create(struct moe_device *device, void **stream)
{
    return device->class->stream_create(device, stream);
}

void moe_device_stream_destroy(struct moe_device *device, void *stream)
{
    if (stream)
        device->class->stream_destroy(device, stream);
}

int moe_device_synchronize(struct moe_device *device, void *stream)
{
    return device->class->synchronize(device, stream);
}

int moe_device_event_create(struct moe_device *device, void **event)
{
    return device->class->event_create(device, event);
}

void moe_device_event_destroy(struct moe_device *device, void *event)
{
    if (event)
        device->class->event_destroy(device, event);
}

int moe_device_event_record(struct moe_device *device, void *event, void *stream)
{
    return device->class->event_record(device, event, stream);
}

int moe_device_event_elapsed(struct moe_device *device, void *begin, void *end, double *ms)
{
    return device->class->event_elapsed(device, begin, end, ms);
}

/* ---- launches -------------------------------------------------------------------------------- */

/* What a launch may ask for on every device that CUDA has had since compute capability 3.0. */
static const uint32_t grid_limit[3] = {2147483647, 65535, 65535};
static const uint32_t block_limit[3] = {1024, 1024, 64};
#define BLOCK_THREADS 1024

static int check_extent(const char *kernel, const char *what, const uint32_t extent[3],
                        const uint32_t limit[3])
{
    for (int i = 0; i < 3; i++)
        if (extent[i] == 0 || extent[i] > limit[i])
            return moe_error(MOE_E_INTERNAL,
                             "launch of '%s': %s %u x %u x %u, allowed are 1 .. %u, %u, %u", kernel,
                             what, extent[0], extent[1], extent[2], limit[0], limit[1], limit[2]);
    return MOE_OK;
}

static int check_cluster(const struct moe_launch *launch)
{
    const uint32_t *cluster = launch->cluster;
    if (!cluster[0] && !cluster[1] && !cluster[2])
        return MOE_OK;
    for (int i = 0; i < 3; i++)
        if (cluster[i] == 0 || launch->grid[i] % cluster[i])
            return moe_error(MOE_E_INTERNAL,
                             "launch of '%s': cluster %u x %u x %u does not divide the grid "
                             "%u x %u x %u",
                             launch->kernel, cluster[0], cluster[1], cluster[2], launch->grid[0],
                             launch->grid[1], launch->grid[2]);
    return MOE_OK;
}

static int check_launch(const struct moe_device *device, const struct moe_kernel *kernel,
                        const struct moe_launch *launch)
{
    const uint32_t *block = launch->block;
    int status = check_extent(launch->kernel, "grid", launch->grid, grid_limit);
    if (!status)
        status = check_extent(launch->kernel, "block", block, block_limit);
    if (!status)
        status = check_cluster(launch);
    if (status)
        return status;

    const int64_t threads = (int64_t)block[0] * block[1] * block[2];
    const int64_t most = kernel->max_threads ? kernel->max_threads : BLOCK_THREADS;
    if (threads > most)
        return moe_error(MOE_E_INTERNAL,
                         "launch of '%s': a block of %lld threads, its launch bounds allow %lld",
                         launch->kernel, (long long)threads, (long long)most);
    if ((int64_t)kernel->shared_bytes + launch->shared_bytes > device->shared_bytes)
        return moe_error(MOE_E_INTERNAL,
                         "launch of '%s': %u bytes of dynamic and %d of static shared memory, a "
                         "block of %s may have %lld",
                         launch->kernel, launch->shared_bytes, kernel->shared_bytes, device->name,
                         (long long)device->shared_bytes);
    return MOE_OK;
}

int moe_device_launch(struct moe_device *device, const struct moe_launch *launch)
{
    int row = 0;
    int status = kernel_find(launch->kernel, device->major, device->minor, &row);
    if (!status)
        status = check_launch(device, &kernel_rows[row].kernel, launch);
    return status ? status : device->class->launch(device, row, launch);
}

int moe_device_prepare(struct moe_device *device, const char *prefix)
{
    int status = MOE_OK;
    for (int i = 0; i < kernel_row_count && device->class->prepare && status == MOE_OK; i++) {
        const struct moe_kernel *kernel = &kernel_rows[i].kernel;
        int row = 0;
        if (strncmp(kernel->entry, prefix, strlen(prefix)) == 0 &&
            moe_gpu_arch_runs(kernel->arch, device->major, device->minor))
            status = kernel_find(kernel->entry, device->major, device->minor, &row);
        else
            continue;
        if (status == MOE_OK && row == i)
            status = device->class->prepare(device, row);
    }
    return status;
}

int moe_device_tensor_map_encode(struct moe_device *device, const struct moe_tensor_map_spec *spec,
                                 struct moe_tensor_map *map)
{
    if (spec->rank < 1 || spec->rank > 5)
        return moe_error(MOE_E_INTERNAL, "tensor map of rank %d, allowed are 1 .. 5", spec->rank);
    return device->class->tensor_map_encode(device, spec, map);
}

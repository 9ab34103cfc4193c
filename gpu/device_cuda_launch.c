/*
 * device_cuda_launch.c - embedded code onto a GPU: a source's cubin becomes a module when one of
 * its kernels is first launched, and is kept until the device is closed.
 */
#include <stdlib.h>
#include <string.h>

#include "gpu/device_cuda.h"
#include "gpu/kernels.h"
#include "ref/moe.h"

/* Without asking for more a kernel gets this much shared memory, static and dynamic together. */
#define SHARED_UNASKED (48 * 1024)

/* Every device with clusters runs those of eight blocks; more must be allowed for each kernel. */
#define CLUSTER_UNASKED 8

static int load_module(struct cuda_device *cuda, int index)
{
    const struct kernel_code *code = &kernel_codes[index];
    void *cubin = NULL;
    int status = kernel_unpack(&code->cubin, &cubin);
    if (status)
        return status;

    CUmodule module = NULL;
    status = driver_check(cuda->driver, cuda->driver->cuModuleLoadData(&module, cubin),
                          "loading the sm_%s code of %s on %s", code->arch, code->source,
                          cuda->base.name);
    free(cubin);
    if (!status)
        cuda->modules[index] = module;
    return status;
}

static int get_function(struct cuda_device *cuda, int row, struct loaded_function **function)
{
    struct loaded_function *found = &cuda->functions[row];
    const int code = kernel_rows[row].code;
    int status = MOE_OK;

    if (!cuda->modules[code])
        status = load_module(cuda, code);
    if (!status && !found->handle)
        status = driver_check(cuda->driver,
                              cuda->driver->cuModuleGetFunction(&found->handle, cuda->modules[code],
                                                                kernel_rows[row].kernel.entry),
                              "kernel '%s' in the sm_%s code of %s", kernel_rows[row].kernel.entry,
                              kernel_codes[code].arch, kernel_codes[code].source);
    *function = found;
    return status;
}

/* Allows the function what this launch needs beyond the ordinary; once, for it is kept. */
static int allow(struct cuda_device *cuda, const struct moe_kernel *kernel,
                 struct loaded_function *function, const struct moe_launch *launch)
{
    const struct driver *driver = cuda->driver;
    const int64_t blocks = (int64_t)launch->cluster[0] * launch->cluster[1] * launch->cluster[2];
    int status = MOE_OK;

    if ((int64_t)kernel->shared_bytes + launch->shared_bytes > SHARED_UNASKED &&
        launch->shared_bytes > function->shared_bytes) {
        status = driver_check(driver,
                              driver->cuFuncSetAttribute(
                                  function->handle, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                  (int)launch->shared_bytes),
                              "allowing '%s' %u bytes of dynamic shared memory", kernel->entry,
                              launch->shared_bytes);
        if (!status)
            function->shared_bytes = launch->shared_bytes;
    }
    if (!status && blocks > CLUSTER_UNASKED && !function->any_cluster) {
        status = driver_check(
            driver,
            driver->cuFuncSetAttribute(function->handle,
                                       CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1),
            "allowing '%s' clusters of %lld blocks", kernel->entry, (long long)blocks);
        if (!status)
            function->any_cluster = 1;
    }
    return status;
}

int cuda_launch(struct moe_device *device, int row, const struct moe_launch *launch)
{
    struct cuda_device *cuda = cuda_device(device);
    struct loaded_function *function = NULL;
    int status = cuda_make_current(cuda);
    if (!status)
        status = get_function(cuda, row, &function);
    if (!status)
        status = allow(cuda, &kernel_rows[row].kernel, function, launch);
    if (status)
        return status;

    CUlaunchAttribute attributes[2];
    unsigned count = 0;
    memset(attributes, 0, sizeof attributes);
    if (launch->cluster[0]) {
        attributes[count].id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
        attributes[count].value.clusterDim.x = launch->cluster[0];
        attributes[count].value.clusterDim.y = launch->cluster[1];
        attributes[count].value.clusterDim.z = launch->cluster[2];
        count++;
    }
    if (launch->dependent) {
        attributes[count].id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
        attributes[count].value.programmaticStreamSerializationAllowed = 1;
        count++;
    }
    const CUlaunchConfig config = {
        .gridDimX = launch->grid[0],
        .gridDimY = launch->grid[1],
        .gridDimZ = launch->grid[2],
        .blockDimX = launch->block[0],
        .blockDimY = launch->block[1],
        .blockDimZ = launch->block[2],
        .sharedMemBytes = launch->shared_bytes,
        .hStream = launch->stream,
        .attrs = count ? attributes : NULL,
        .numAttrs = count,
    };
    return driver_check(
        cuda->driver, cuda->driver->cuLaunchKernelEx(&config, function->handle, launch->args, NULL),
        "launching '%s', grid %u x %u x %u, block %u x %u x %u, cluster %u x %u x %u, %u bytes of "
        "dynamic shared memory, %d registers a thread",
        launch->kernel, launch->grid[0], launch->grid[1], launch->grid[2], launch->block[0],
        launch->block[1], launch->block[2], launch->cluster[0], launch->cluster[1],
        launch->cluster[2], launch->shared_bytes, kernel_rows[row].kernel.registers);
}

int cuda_prepare(struct moe_device *device, int row)
{
    struct cuda_device *cuda = cuda_device(device);
    struct loaded_function *function = NULL;
    const int status = cuda_make_current(cuda);
    return status ? status : get_function(cuda, row, &function);
}

int cuda_tensor_map_encode(struct moe_device *device, const struct moe_tensor_map_spec *spec,
                           struct moe_tensor_map *map)
{
    struct cuda_device *cuda = cuda_device(device);
    CUtensorMap encoded;
    _Static_assert(sizeof encoded == sizeof map->bytes, "a tensor map's size");
    int status = cuda_make_current(cuda);
    if (status)
        return status;

    status = driver_check(
        cuda->driver,
        cuda->driver->cuTensorMapEncodeTiled(
            &encoded, (CUtensorMapDataType)spec->type, (cuuint32_t)spec->rank, spec->base,
            spec->size, spec->stride, spec->box, spec->step,
            (CUtensorMapInterleave)spec->interleave, (CUtensorMapSwizzle)spec->swizzle,
            (CUtensorMapL2promotion)spec->promotion, (CUtensorMapFloatOOBfill)spec->fill),
        "encoding a tensor map: type %d, rank %d, base %p, size %llu x %llu, row stride %llu "
        "bytes, "
        "box %u x %u, swizzle %d",
        spec->type, spec->rank, spec->base, (unsigned long long)spec->size[0],
        (unsigned long long)spec->size[1], (unsigned long long)spec->stride[0], spec->box[0],
        spec->box[1], spec->swizzle);
    if (!status)
        memcpy(map->bytes, &encoded, sizeof encoded);
    return status;
}

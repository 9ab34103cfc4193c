/*
 * device_virtual.c - addresses of a GPU apart from its memory: reserved, and mapped in part.
 *
 * Memory is created for one mapping alone; its handle is given back at once, and the memory goes
 * when it is unmapped.
 */
#include "gpu/device_cuda.h"
#include "ref/moe.h"

static CUdeviceptr address(const void *memory)
{
    return (CUdeviceptr)(uintptr_t)memory;
}

static CUmemAllocationProp memory_of(const struct cuda_device *cuda)
{
    return (CUmemAllocationProp){
        .type = CU_MEM_ALLOCATION_TYPE_PINNED,
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = cuda->handle},
    };
}

int cuda_page_bytes(struct cuda_device *cuda, int64_t *bytes)
{
    const CUmemAllocationProp memory = memory_of(cuda);
    size_t granularity = 0;
    int status = cuda_make_current(cuda);
    if (!status)
        status = driver_check(cuda->driver,
                              cuda->driver->cuMemGetAllocationGranularity(
                                  &granularity, &memory, CU_MEM_ALLOC_GRANULARITY_MINIMUM),
                              "size of a page of %s", cuda->base.name);
    if (!status)
        *bytes = (int64_t)granularity;
    return status;
}

int cuda_reserve(struct moe_device *device, int64_t bytes, void **addresses)
{
    struct cuda_device *cuda = cuda_device(device);
    CUdeviceptr found = 0;
    int status = cuda_make_current(cuda);
    if (!status)
        status = driver_check(
            cuda->driver, cuda->driver->cuMemAddressReserve(&found, (size_t)bytes, 0, 0, 0),
            "reserving %lld bytes of addresses on %s", (long long)bytes, device->name);
    if (!status)
        *addresses = (void *)(uintptr_t)found;
    return status;
}

void cuda_unreserve(struct moe_device *device, void *addresses, int64_t bytes)
{
    struct cuda_device *cuda = cuda_device(device);
    if (cuda_make_current(cuda) == MOE_OK)
        cuda->driver->cuMemAddressFree(address(addresses), (size_t)bytes);
}

int cuda_map(struct moe_device *device, void *place, int64_t bytes)
{
    struct cuda_device *cuda = cuda_device(device);
    const struct driver *driver = cuda->driver;
    const CUmemAllocationProp memory = memory_of(cuda);
    const CUmemAccessDesc access = {.location = memory.location,
                                    .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUmemGenericAllocationHandle handle = 0;
    int status = cuda_make_current(cuda);
    if (!status)
        status = driver_check(driver, driver->cuMemCreate(&handle, (size_t)bytes, &memory, 0),
                              "%lld bytes to map on %s", (long long)bytes, device->name);
    if (status)
        return status;
    status = driver_check(driver, driver->cuMemMap(address(place), (size_t)bytes, 0, handle, 0),
                          "mapping %lld bytes on %s", (long long)bytes, device->name);
    driver->cuMemRelease(handle);
    if (status)
        return status;
    status = driver_check(driver, driver->cuMemSetAccess(address(place), (size_t)bytes, &access, 1),
                          "access to %lld mapped bytes on %s", (long long)bytes, device->name);
    if (status)
        driver->cuMemUnmap(address(place), (size_t)bytes);
    return status;
}

void cuda_unmap(struct moe_device *device, void *place, int64_t bytes)
{
    struct cuda_device *cuda = cuda_device(device);
    if (cuda_make_current(cuda) == MOE_OK)
        cuda->driver->cuMemUnmap(address(place), (size_t)bytes);
}

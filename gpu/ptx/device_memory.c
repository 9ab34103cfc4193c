/*
 * device_memory.c - memory of the PTX machine as a device: every byte is known or not. What the
 * host copies or fills is known; a copy on the device takes along what is not.
 */
#include <stdio.h>
#include <string.h>

#include "gpu/ptx/device_own.h"
#include "ref/moe.h"

int ptx_device_allocate(struct moe_device *device, int64_t bytes, void **memory)
{
    struct ptx_device *ptx = ptx_device(device);
    uint64_t at = 0;
    int status = ptx_device_check(ptx);
    if (!status)
        status = ptx_memory_allocate(ptx->machine, (uint64_t)bytes, "device memory", &at);
    if (status)
        return status;
    ptx->held += bytes;
    *memory = (void *)(uintptr_t)at;
    return MOE_OK;
}

/* Gives back what begins there. */
static void give_back(struct ptx_device *ptx, const void *memory)
{
    const struct ptx_block *block = ptx_memory_find(ptx->machine, ptx_device_address(memory), 1);
    if (!block || block->address != ptx_device_address(memory))
        return;
    ptx->held -= (int64_t)block->bytes;
    ptx_memory_free(ptx->machine, block->address);
}

void ptx_device_release(struct moe_device *device, void *memory)
{
    give_back(ptx_device(device), memory);
}

static int range(struct ptx_device *ptx, const char *what, const void *memory, int64_t bytes,
                 uint8_t **data, uint8_t **known)
{
    struct ptx_block *block =
        ptx_memory_find(ptx->machine, ptx_device_address(memory), (uint64_t)bytes);
    if (!block)
        return moe_error(MOE_E_INTERNAL, "%s of %lld bytes at %p of %s, where no such memory is",
                         what, (long long)bytes, memory, ptx->base.name);
    *data = block->data + (ptx_device_address(memory) - block->address);
    *known = block->known + (ptx_device_address(memory) - block->address);
    return ptx_device_check(ptx);
}

int ptx_device_copy_to(struct moe_device *device, void *to, const void *from_host, int64_t bytes,
                       void *stream)
{
    uint8_t *data = NULL, *known = NULL;
    const int status = range(ptx_device(device), "copy to the device", to, bytes, &data, &known);
    (void)stream;
    if (status)
        return status;
    memcpy(data, from_host, (size_t)bytes);
    memset(known, 1, (size_t)bytes);
    return MOE_OK;
}

int ptx_device_copy_from(struct moe_device *device, void *to_host, const void *from, int64_t bytes,
                         void *stream)
{
    uint8_t *data = NULL, *known = NULL;
    const int status =
        range(ptx_device(device), "copy from the device", from, bytes, &data, &known);
    (void)stream;
    if (!status)
        memcpy(to_host, data, (size_t)bytes);
    return status;
}

int ptx_device_copy(struct moe_device *device, void *to, const void *from, int64_t bytes,
                    void *stream)
{
    uint8_t *to_data = NULL, *to_known = NULL, *from_data = NULL, *from_known = NULL;
    int status = range(ptx_device(device), "copy on the device", to, bytes, &to_data, &to_known);
    (void)stream;
    if (!status)
        status =
            range(ptx_device(device), "copy on the device", from, bytes, &from_data, &from_known);
    if (status)
        return status;
    memmove(to_data, from_data, (size_t)bytes);
    memmove(to_known, from_known, (size_t)bytes);
    return MOE_OK;
}

int ptx_device_fill(struct moe_device *device, void *memory, int byte, int64_t bytes, void *stream)
{
    uint8_t *data = NULL, *known = NULL;
    const int status = range(ptx_device(device), "fill", memory, bytes, &data, &known);
    (void)stream;
    if (status)
        return status;
    memset(data, byte, (size_t)bytes);
    memset(known, 1, (size_t)bytes);
    return MOE_OK;
}

/* ---- addresses and what is mapped there -------------------------------------------------------
 */

int ptx_device_reserve(struct moe_device *device, int64_t bytes, void **addresses)
{
    uint64_t at = 0;
    const int status = ptx_memory_reserve(ptx_device(device)->machine, (uint64_t)bytes, &at);
    if (!status)
        *addresses = (void *)(uintptr_t)at;
    return status;
}

/* Addresses are not used twice. */
void ptx_device_unreserve(struct moe_device *device, void *addresses, int64_t bytes)
{
    (void)device, (void)addresses, (void)bytes;
}

int ptx_device_map(struct moe_device *device, void *place, int64_t bytes)
{
    struct ptx_device *ptx = ptx_device(device);
    const int status = ptx_memory_map(ptx->machine, ptx_device_address(place), (uint64_t)bytes);
    if (!status)
        ptx->held += bytes;
    return status;
}

void ptx_device_unmap(struct moe_device *device, void *place, int64_t bytes)
{
    (void)bytes;
    give_back(ptx_device(device), place);
}

/* ---- what is known of it ----------------------------------------------------------------------
 */

int ptx_device_label(struct moe_device *device, void *memory, const char *name)
{
    struct ptx_block *block =
        ptx_memory_find(ptx_device(device)->machine, ptx_device_address(memory), 1);
    if (!block)
        return moe_error(MOE_E_INTERNAL, "no memory at %p of %s", memory, device->name);
    snprintf(block->name, sizeof block->name, "%s", name);
    return MOE_OK;
}

int ptx_device_forget(struct moe_device *device, void *memory, int64_t bytes)
{
    uint8_t *data = NULL, *known = NULL;
    const int status = range(ptx_device(device), "forgetting", memory, bytes, &data, &known);
    if (!status)
        memset(known, 0, (size_t)bytes);
    return status;
}

int64_t ptx_device_undefined(struct moe_device *device, const void *memory, int64_t bytes)
{
    const struct ptx_block *block =
        ptx_memory_find(ptx_device(device)->machine, ptx_device_address(memory), (uint64_t)bytes);
    if (!block)
        return 0;
    const uint8_t *known = block->known + (ptx_device_address(memory) - block->address);
    const uint8_t *first = memchr(known, 0, (size_t)bytes);
    return first ? first - known : bytes;
}

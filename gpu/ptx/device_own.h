/*
 * device_own.h - what the files of the PTX machine as a device share.
 */
#ifndef MOE_GPU_PTX_DEVICE_OWN_H
#define MOE_GPU_PTX_DEVICE_OWN_H

#include "gpu/device.h"
#include "gpu/ptx/hazard.h"
#include "gpu/ptx/machine.h"

struct ptx_device_code {
    struct ptx_module *module;
    struct ptx_loaded *loaded;
};

struct ptx_device {
    struct moe_device base;
    struct ptx_machine *machine;
    struct hazard *hazard;
    struct ptx_device_code *codes; /* [kernel_code_count] */
    struct ptx_program **programs; /* [kernel_row_count] */
    int64_t held;                  /* bytes of memory given out */
    char broken[1536];             /* what stopped the machine; "": nothing */
    char remark[1536];             /* the last report that did not, not yet taken; "": none */
    char trouble[1536];            /* why the last launch says nothing of its kernel; "": it does */
};

static inline struct ptx_device *ptx_device(struct moe_device *device)
{
    return (struct ptx_device *)device;
}

static inline uint64_t ptx_device_address(const void *memory)
{
    return (uint64_t)(uintptr_t)memory;
}

/* Has the machine stopped? Its words again. */
int ptx_device_check(const struct ptx_device *ptx);

/* device_memory.c: as struct device_class has them. */
int ptx_device_allocate(struct moe_device *device, int64_t bytes, void **memory);
void ptx_device_release(struct moe_device *device, void *memory);
int ptx_device_copy_to(struct moe_device *device, void *to, const void *from_host, int64_t bytes,
                       void *stream);
int ptx_device_copy_from(struct moe_device *device, void *to_host, const void *from, int64_t bytes,
                         void *stream);
int ptx_device_copy(struct moe_device *device, void *to, const void *from, int64_t bytes,
                    void *stream);
int ptx_device_fill(struct moe_device *device, void *memory, int byte, int64_t bytes, void *stream);
int ptx_device_reserve(struct moe_device *device, int64_t bytes, void **addresses);
void ptx_device_unreserve(struct moe_device *device, void *addresses, int64_t bytes);
int ptx_device_map(struct moe_device *device, void *place, int64_t bytes);
void ptx_device_unmap(struct moe_device *device, void *place, int64_t bytes);
int ptx_device_label(struct moe_device *device, void *memory, const char *name);
int ptx_device_forget(struct moe_device *device, void *memory, int64_t bytes);
int64_t ptx_device_undefined(struct moe_device *device, const void *memory, int64_t bytes);

#endif

/*
 * device_ptx.c - the PTX machine as a device: what the build embeds as PTX runs on it.
 *
 * Work is done when it is enqueued, so that streams run in order and nobody waits. What the machine
 * has to report ends a launch with an error that sticks, as an illegal address does on a GPU.
 *
 * The index of moe_device_open is a seed: 0 is round robin with everything at once, others choose
 * schedule and times, and are run again by the same number.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gpu/device.h"
#include "gpu/kernels.h"
#include "gpu/ptx/device_ptx.h"
#include "gpu/ptx/geometry.h"
#include "gpu/ptx/hazard.h"
#include "gpu/ptx/machine.h"
#include "ref/moe.h"
#include "verify/variant.h"

#define PAGE_BYTES 65536
#define MULTIPROCESSORS 8 /* as many CTAs are there at once */

struct code {
    struct ptx_module *module;
    struct ptx_loaded *loaded;
};

struct ptx_device {
    struct moe_device base;
    struct ptx_machine *machine;
    struct hazard *hazard;
    struct code *codes;            /* [kernel_code_count] */
    struct ptx_program **programs; /* [kernel_row_count] */
    char broken[1536];             /* what stopped the machine; "": nothing */
    char remark[1536];             /* the last report that did not */
};

static struct ptx_device *ptx_device(struct moe_device *device)
{
    return (struct ptx_device *)device;
}

static uint64_t address(const void *memory)
{
    return (uint64_t)(uintptr_t)memory;
}

static int check_broken(const struct ptx_device *ptx)
{
    return ptx->broken[0] ? moe_error(MOE_E_INTERNAL, "%s", ptx->broken) : MOE_OK;
}

/* ---- the device ------------------------------------------------------------------------------ */

static void close_device(struct moe_device *device)
{
    struct ptx_device *ptx = ptx_device(device);
    for (int i = 0; ptx->programs && i < kernel_row_count; i++)
        ptx_program_free(ptx->programs[i]);
    for (int i = 0; ptx->codes && i < kernel_code_count; i++) {
        ptx_unload(ptx->machine, ptx->codes[i].loaded);
        ptx_module_free(ptx->codes[i].module);
    }
    ptx_hazard_free(ptx->hazard);
    ptx_machine_free(ptx->machine);
    free(ptx->programs);
    free(ptx->codes);
    free(ptx);
}

static int open_device(int index, struct moe_device **device)
{
    struct ptx_options options = {
        .seed = (uint64_t)index,
        .schedule = (enum ptx_schedule)(index % PTX_SCHEDULE_COUNT),
        .time = (enum ptx_time)(index / PTX_SCHEDULE_COUNT % PTX_TIME_COUNT),
        .resident = MULTIPROCESSORS,
    };
    if (index < 0)
        return moe_error(MOE_E_UNSUPPORTED, "PTX machine %d; they are counted from 0", index);
    struct ptx_device *ptx = calloc(1, sizeof *ptx);
    if (ptx) {
        ptx->codes = calloc((size_t)kernel_code_count + 1, sizeof *ptx->codes);
        ptx->programs = calloc((size_t)kernel_row_count + 1, sizeof *ptx->programs);
    }
    if (!ptx || !ptx->codes || !ptx->programs || ptx_machine_create(&options, &ptx->machine) ||
        ptx_hazard_create(ptx->machine, &ptx->hazard)) {
        if (ptx)
            close_device(&ptx->base);
        return moe_error(MOE_E_NOMEM, "no memory for a PTX machine");
    }
    ptx->base.class = &device_ptx;
    ptx->base.major = 9;
    ptx->base.minor = 0;
    ptx->base.shared_bytes = 227 * 1024;
    snprintf(ptx->base.name, sizeof ptx->base.name, "PTX machine %d (sm_90a)", index);
    *device = &ptx->base;
    return MOE_OK;
}

static int attribute(struct moe_device *device, enum moe_device_attribute attribute, int64_t *value)
{
    const int64_t page = sysconf(_SC_PAGESIZE);
    switch (attribute) {
    case MOE_DEVICE_MULTIPROCESSORS:
        *value = MULTIPROCESSORS;
        return MOE_OK;
    case MOE_DEVICE_L2_BYTES:
        *value = INT64_C(50) << 20;
        return MOE_OK;
    case MOE_DEVICE_CAPABILITY:
        *value = 10 * device->major + device->minor;
        return MOE_OK;
    case MOE_DEVICE_SHARED_BYTES:
        *value = device->shared_bytes;
        return MOE_OK;
    case MOE_DEVICE_FREE_BYTES: /* every byte has one that tells whether it is known */
        *value = sysconf(_SC_AVPHYS_PAGES) / 2 * page;
        return MOE_OK;
    case MOE_DEVICE_TOTAL_BYTES:
        *value = sysconf(_SC_PHYS_PAGES) / 2 * page;
        return MOE_OK;
    case MOE_DEVICE_PAGE_BYTES:
        *value = PAGE_BYTES;
        return MOE_OK;
    }
    return moe_error(MOE_E_INTERNAL, "no attribute %d", (int)attribute);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static int allocate(struct moe_device *device, int64_t bytes, void **memory)
{
    struct ptx_device *ptx = ptx_device(device);
    uint64_t at = 0;
    int status = check_broken(ptx);
    if (!status)
        status = ptx_memory_allocate(ptx->machine, (uint64_t)bytes, "device memory", &at);
    if (!status)
        *memory = (void *)(uintptr_t)at;
    return status;
}

static void release(struct moe_device *device, void *memory)
{
    ptx_memory_free(ptx_device(device)->machine, address(memory));
}

static int range(struct ptx_device *ptx, const char *what, const void *memory, int64_t bytes,
                 uint8_t **data, uint8_t **known)
{
    struct ptx_block *block = ptx_memory_find(ptx->machine, address(memory), (uint64_t)bytes);
    if (!block)
        return moe_error(MOE_E_INTERNAL, "%s of %lld bytes at %p of %s, where no such memory is",
                         what, (long long)bytes, memory, ptx->base.name);
    *data = block->data + (address(memory) - block->address);
    *known = block->known + (address(memory) - block->address);
    return check_broken(ptx);
}

static int copy_to(struct moe_device *device, void *to, const void *from_host, int64_t bytes,
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

static int copy_from(struct moe_device *device, void *to_host, const void *from, int64_t bytes,
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

static int copy(struct moe_device *device, void *to, const void *from, int64_t bytes, void *stream)
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

static int fill(struct moe_device *device, void *memory, int byte, int64_t bytes, void *stream)
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

static int reserve(struct moe_device *device, int64_t bytes, void **addresses)
{
    uint64_t at = 0;
    const int status =
        ptx_memory_reserve(ptx_device(device)->machine, (uint64_t)bytes + PAGE_BYTES, &at);
    if (!status)
        *addresses = (void *)(uintptr_t)((at + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES);
    return status;
}

/* Addresses are not used twice. */
static void unreserve(struct moe_device *device, void *addresses, int64_t bytes)
{
    (void)device, (void)addresses, (void)bytes;
}

static int map(struct moe_device *device, void *place, int64_t bytes)
{
    return ptx_memory_map(ptx_device(device)->machine, address(place), (uint64_t)bytes);
}

static void unmap(struct moe_device *device, void *place, int64_t bytes)
{
    (void)bytes;
    ptx_memory_free(ptx_device(device)->machine, address(place));
}

static int shared_allocate(struct moe_device *device, int64_t bytes, void **memory)
{
    (void)bytes, (void)memory;
    return moe_error(MOE_E_UNSUPPORTED,
                     "%s has no memory that host and kernels share while they run", device->name);
}

static void shared_free(struct moe_device *device, void *memory)
{
    (void)device, (void)memory;
}

/* ---- streams and events ---------------------------------------------------------------------- */

static int stream_create(struct moe_device *device, void **stream)
{
    (void)device;
    *stream = malloc(1);
    return *stream ? MOE_OK : moe_error(MOE_E_NOMEM, "no memory for a stream");
}

static void stream_destroy(struct moe_device *device, void *stream)
{
    (void)device;
    free(stream);
}

static int synchronize(struct moe_device *device, void *stream)
{
    (void)stream;
    return check_broken(ptx_device(device));
}

static int event_create(struct moe_device *device, void **event)
{
    (void)device;
    *event = calloc(1, sizeof(struct timespec));
    return *event ? MOE_OK : moe_error(MOE_E_NOMEM, "no memory for an event");
}

static void event_destroy(struct moe_device *device, void *event)
{
    (void)device;
    free(event);
}

static int event_record(struct moe_device *device, void *event, void *stream)
{
    (void)stream;
    clock_gettime(CLOCK_MONOTONIC, event);
    return check_broken(ptx_device(device));
}

static int event_elapsed(struct moe_device *device, void *begin, void *end, double *ms)
{
    const struct timespec *from = begin, *to = end;
    *ms = (double)(to->tv_sec - from->tv_sec) * 1e3 + (double)(to->tv_nsec - from->tv_nsec) * 1e-6;
    return check_broken(ptx_device(device));
}

static int no_graphs(struct moe_device *device, void *stream)
{
    (void)stream;
    return moe_error(MOE_E_UNSUPPORTED, "%s has no graphs", device->name);
}

static int capture_end(struct moe_device *device, void *stream, void **graph)
{
    (void)graph;
    return no_graphs(device, stream);
}

static int graph_launch(struct moe_device *device, void *graph, void *stream)
{
    (void)graph;
    return no_graphs(device, stream);
}

static void graph_destroy(struct moe_device *device, void *graph)
{
    (void)device, (void)graph;
}

/* ---- launches -------------------------------------------------------------------------------- */

int moe_ptx_device_plant(struct moe_device *device, int index, const char *text)
{
    struct ptx_device *ptx = ptx_device(device);
    struct code *code = &ptx->codes[index];
    const int status = ptx_read(text, strlen(text), &code->module);
    return status ? status : ptx_load(ptx->machine, code->module, &code->loaded);
}

const char *moe_ptx_device_remark(const struct moe_device *device)
{
    return ((const struct ptx_device *)device)->remark;
}

static int load_code(struct ptx_device *ptx, int index)
{
    const struct kernel_code *code = &kernel_codes[index];
    struct code *made = &ptx->codes[index];
    void *text = NULL;
    int status = made->loaded ? MOE_OK : kernel_unpack(&code->ptx, &text);
    if (!status && !made->loaded)
        status = ptx_read(text, code->ptx.bytes, &made->module);
    free(text);
    if (!status && !made->loaded)
        status = ptx_load(ptx->machine, made->module, &made->loaded);
    return status;
}

static int get_program(struct ptx_device *ptx, int row, struct ptx_program **program)
{
    int status = MOE_OK;
    if (!ptx->programs[row]) {
        const int code = kernel_rows[row].code;
        const char *name = kernel_rows[row].kernel.entry;
        status = load_code(ptx, code);
        const struct ptx_function *entry =
            status ? NULL : ptx_function_find(ptx->codes[code].module, name);
        if (!status && !entry)
            status = moe_error(MOE_E_INTERNAL, "no entry '%s' in the PTX of %s", name,
                               kernel_codes[code].source);
        if (!status)
            status = ptx_program_build(ptx->codes[code].loaded, entry, &ptx->programs[row]);
    }
    *program = ptx->programs[row];
    return status;
}

static int launch(struct moe_device *device, int row, const struct moe_launch *launch)
{
    struct ptx_device *ptx = ptx_device(device);
    struct ptx_program *program = NULL;
    int status = check_broken(ptx);
    if (!status)
        status = get_program(ptx, row, &program);
    if (status)
        return status;
    struct ptx_grid grid = {.program = program,
                            .shared_bytes = launch->shared_bytes,
                            .args = (const void *const *)launch->args};
    memcpy(grid.grid, launch->grid, sizeof grid.grid);
    memcpy(grid.block, launch->block, sizeof grid.block);
    memcpy(grid.cluster, launch->cluster, sizeof grid.cluster);
    status = ptx_run(ptx->machine, &grid);
    if (!status && !ptx->machine->stopped && ptx->machine->report_count)
        snprintf(ptx->remark, sizeof ptx->remark, "kernel '%s': %s", launch->kernel,
                 ptx->machine->reports[ptx->machine->report_count - 1].message);
    if (!status && ptx->machine->stopped) {
        snprintf(ptx->broken, sizeof ptx->broken, "kernel '%s': %s", launch->kernel,
                 ptx->machine->report_count
                     ? ptx->machine->reports[ptx->machine->report_count - 1].message
                     : "stopped");
        status = check_broken(ptx);
    }
    return status;
}

static int tensor_map_encode(struct moe_device *device, const struct moe_tensor_map_spec *spec,
                             struct moe_tensor_map *map)
{
    struct geometry_tensor tensor = {
        .type = (enum geometry_type)spec->type,
        .rank = spec->rank,
        .address = address(spec->base),
        .interleave = (enum geometry_interleave)spec->interleave,
        .swizzle = (enum geometry_swizzle)spec->swizzle,
        .l2 = spec->promotion,
        .fill = (enum geometry_fill)spec->fill,
    };
    struct geometry_map made;
    (void)device;
    for (int i = 0; i < spec->rank && i < GEOMETRY_RANK_MAX; i++) {
        tensor.size[i] = spec->size[i];
        tensor.box[i] = spec->box[i];
        tensor.step[i] = spec->step[i];
        if (i > 0)
            tensor.stride[i] = spec->stride[i - 1];
    }
    const int status = geometry_map_encode(&tensor, &made);
    _Static_assert(sizeof made == sizeof map->bytes, "a tensor map's size");
    if (!status)
        memcpy(map->bytes, &made, sizeof made);
    return status;
}

const struct device_class device_ptx = {
    .kind = MOE_ON_PTX,
    .open = open_device,
    .close = close_device,
    .attribute = attribute,
    .allocate = allocate,
    .release = release,
    .copy_to = copy_to,
    .copy_from = copy_from,
    .copy = copy,
    .fill = fill,
    .reserve = reserve,
    .unreserve = unreserve,
    .map = map,
    .unmap = unmap,
    .stream_create = stream_create,
    .stream_destroy = stream_destroy,
    .synchronize = synchronize,
    .event_create = event_create,
    .event_destroy = event_destroy,
    .event_record = event_record,
    .event_elapsed = event_elapsed,
    .launch = launch,
    .tensor_map_encode = tensor_map_encode,
    .capture_begin = no_graphs,
    .capture_end = capture_end,
    .graph_launch = graph_launch,
    .graph_destroy = graph_destroy,
    .shared_allocate = shared_allocate,
    .shared_free = shared_free,
};

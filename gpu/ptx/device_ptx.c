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

#include "gpu/kernels.h"
#include "gpu/ptx/device_own.h"
#include "gpu/ptx/device_ptx.h"
#include "gpu/ptx/geometry.h"
#include "ref/moe.h"
#include "verify/variant.h"

#define PAGE_BYTES 1      /* of memory any byte can be mapped alone */
#define MULTIPROCESSORS 8 /* as many CTAs are there at once */

/* ---- the device ------------------------------------------------------------------------------ */

int ptx_device_check(const struct ptx_device *ptx)
{
    return ptx->broken[0] ? moe_error(MOE_E_INTERNAL, "%s", ptx->broken) : MOE_OK;
}

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

static int choose_schedule(struct moe_device *device, int number)
{
    struct ptx_options *options = &ptx_device(device)->machine->options;
    if (number < 0)
        return moe_error(MOE_E_UNSUPPORTED, "PTX machine %d; they are counted from 0", number);
    options->seed = (uint64_t)number;
    options->schedule = (enum ptx_schedule)(number % PTX_SCHEDULE_COUNT);
    options->time = (enum ptx_time)(number / PTX_SCHEDULE_COUNT % PTX_TIME_COUNT);
    snprintf(device->name, sizeof device->name, "PTX machine %d (sm_90a)", number);
    return MOE_OK;
}

static int open_device(int index, struct moe_device **device)
{
    const struct ptx_options options = {.resident = MULTIPROCESSORS};
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
    const int status = choose_schedule(&ptx->base, index);
    if (status)
        close_device(&ptx->base);
    else
        *device = &ptx->base;
    return status;
}

static int attribute(struct moe_device *device, enum moe_device_attribute attribute, int64_t *value)
{
    const struct ptx_device *ptx = ptx_device(device);
    /* every byte has one that tells whether it is known */
    const int64_t total = sysconf(_SC_PHYS_PAGES) / 2 * sysconf(_SC_PAGESIZE);
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
    case MOE_DEVICE_FREE_BYTES:
        *value = total - ptx->held;
        return MOE_OK;
    case MOE_DEVICE_TOTAL_BYTES:
        *value = total;
        return MOE_OK;
    case MOE_DEVICE_PAGE_BYTES:
        *value = PAGE_BYTES;
        return MOE_OK;
    }
    return moe_error(MOE_E_INTERNAL, "no attribute %d", (int)attribute);
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
    return ptx_device_check(ptx_device(device));
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
    return ptx_device_check(ptx_device(device));
}

static int event_elapsed(struct moe_device *device, void *begin, void *end, double *ms)
{
    const struct timespec *from = begin, *to = end;
    *ms = (double)(to->tv_sec - from->tv_sec) * 1e3 + (double)(to->tv_nsec - from->tv_nsec) * 1e-6;
    return ptx_device_check(ptx_device(device));
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

int moe_ptx_device_plant(struct moe_device *device, const char *kernel, const char *text)
{
    struct ptx_device *ptx = ptx_device(device);
    int row = 0;
    int status = kernel_find(kernel, device->major, device->minor, &row);
    if (status)
        return status;
    struct ptx_device_code *code = &ptx->codes[kernel_rows[row].code];
    status = ptx_read(text, strlen(text), &code->module);
    return status ? status : ptx_load(ptx->machine, code->module, &code->loaded);
}

static int take_remark(struct moe_device *device, char *text, size_t size)
{
    struct ptx_device *ptx = ptx_device(device);
    const int any = ptx->remark[0] != '\0';
    snprintf(text, size, "%s", ptx->remark);
    ptx->remark[0] = '\0';
    return any;
}

static const char *tell_trouble(const struct moe_device *device)
{
    return ((const struct ptx_device *)device)->trouble;
}

static int load_code(struct ptx_device *ptx, int index)
{
    const struct kernel_code *code = &kernel_codes[index];
    struct ptx_device_code *made = &ptx->codes[index];
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

/* What the run has to say: of what stopped it, or of what is only against the text. */
static void hear(struct ptx_device *ptx, const char *kernel)
{
    const struct ptx_machine *machine = ptx->machine;
    const struct ptx_report *last =
        machine->report_count ? &machine->reports[machine->report_count - 1] : NULL;
    if (machine->stopped)
        snprintf(ptx->broken, sizeof ptx->broken, "kernel '%s': %s", kernel,
                 last ? last->message : "stopped");
    else if (last && !ptx->remark[0])
        snprintf(ptx->remark, sizeof ptx->remark, "kernel '%s': %s", kernel, last->message);
    if (machine->stopped && last && last->kind == PTX_REPORT_LIMIT)
        snprintf(ptx->trouble, sizeof ptx->trouble, "%s", ptx->broken);
}

static int launch(struct moe_device *device, int row, const struct moe_launch *launch)
{
    struct ptx_device *ptx = ptx_device(device);
    struct ptx_program *program = NULL;
    int status = ptx_device_check(ptx);
    if (status)
        return status;
    ptx->trouble[0] = '\0';
    status = get_program(ptx, row, &program);
    if (status) { /* PTX that the machine does not know, or no memory for it */
        snprintf(ptx->trouble, sizeof ptx->trouble, "kernel '%s': %s", launch->kernel,
                 moe_error_text());
        return status;
    }
    struct ptx_grid grid = {.program = program,
                            .shared_bytes = launch->shared_bytes,
                            .args = (const void *const *)launch->args};
    memcpy(grid.grid, launch->grid, sizeof grid.grid);
    memcpy(grid.block, launch->block, sizeof grid.block);
    memcpy(grid.cluster, launch->cluster, sizeof grid.cluster);
    status = ptx_run(ptx->machine, &grid);
    if (!status)
        hear(ptx, launch->kernel);
    return status ? status : ptx_device_check(ptx);
}

static const struct device_watch watch = {
    .label = ptx_device_label,
    .forget = ptx_device_forget,
    .undefined = ptx_device_undefined,
    .schedule = choose_schedule,
    .take_remark = take_remark,
    .trouble = tell_trouble,
};

static int tensor_map_encode(struct moe_device *device, const struct moe_tensor_map_spec *spec,
                             struct moe_tensor_map *map)
{
    struct geometry_tensor tensor = {
        .type = (enum geometry_type)spec->type,
        .rank = spec->rank,
        .address = ptx_device_address(spec->base),
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
    .watch = &watch,
    .open = open_device,
    .close = close_device,
    .attribute = attribute,
    .allocate = ptx_device_allocate,
    .release = ptx_device_release,
    .copy_to = ptx_device_copy_to,
    .copy_from = ptx_device_copy_from,
    .copy = ptx_device_copy,
    .fill = ptx_device_fill,
    .reserve = ptx_device_reserve,
    .unreserve = ptx_device_unreserve,
    .map = ptx_device_map,
    .unmap = ptx_device_unmap,
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

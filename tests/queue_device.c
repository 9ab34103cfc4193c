/*
 * queue_device.c - see queue_device.h: the device as gpu/device.c calls it, its table of kernels,
 * and the answer that there is one.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gpu/kernels.h"
#include "ref/moe.h"
#include "tests/queue_own.h"

#define MULTIPROCESSORS 4
#define TOTAL_BYTES (INT64_C(1) << 30)

/* ---- kernels: in order of their names -------------------------------------------------------- */

#define ROW(name)                                                                                  \
    {                                                                                              \
        .kernel = {.entry = name, .source = "", .arch = "90" }                                     \
    }
const struct kernel_row kernel_rows[] = {
    ROW("disturb_consume"), ROW("disturb_gate"),
    ROW("disturb_occupy"),  ROW("disturb_poison_shared"),
    ROW("disturb_produce"), ROW("disturb_share"),
    ROW("layer"),
};
const int kernel_row_count = (int)(sizeof kernel_rows / sizeof *kernel_rows);
const struct kernel_code kernel_codes[] = {{.source = ""}};
const int kernel_code_count = 1;

int kernel_unpack(const struct kernel_blob *blob, void **bytes)
{
    (void)blob, (void)bytes;
    return moe_error(MOE_E_UNSUPPORTED, "no code of kernels here");
}

int moe_gpu_probe(struct moe_gpu_status *status)
{
    *status = (struct moe_gpu_status){.state = MOE_GPU_READY, .count = 1};
    return MOE_OK;
}

/* ---- errors ---------------------------------------------------------------------------------- */

int queue_sound(struct queue_device *device)
{
    return device->broken[0] ? moe_error(MOE_E_INTERNAL, "%s", device->broken) : MOE_OK;
}

int queue_may_wait(struct queue_device *device)
{
    if (!device->capturing)
        return queue_sound(device);
    device->spoilt = 1;
    return moe_error(MOE_E_INTERNAL, "not while a graph is captured");
}

void queue_break(struct moe_device *device, const char *text)
{
    struct queue_device *queue = queue_device(device);
    snprintf(queue->broken, sizeof queue->broken, "%s", text);
}

/* ---- who else is there ----------------------------------------------------------------------- */

void queue_need_all_multiprocessors(struct moe_device *device)
{
    struct queue_device *queue = queue_device(device);
    if (queue->holder && queue->holder_occupies && !queue->holder[FLAG_OPEN])
        queue->holder[FLAG_EXPIRED] = 1;
    queue->holder = queue->holder_occupies ? NULL : queue->holder;
}

int queue_is_shared(const struct moe_device *device)
{
    const struct queue_device *queue = queue_device_const(device);
    return queue->holder && !queue->holder_occupies;
}

float queue_unwritten_shared(const struct moe_device *device)
{
    return queue_device_const(device)->shared_is_nan ? NAN : 0;
}

/* ---- the two classes ------------------------------------------------------------------------- */

static int attribute(struct moe_device *device, enum moe_device_attribute which, int64_t *value)
{
    const int64_t page = device->class->watch ? 1 : sysconf(_SC_PAGESIZE);
    *value = which == MOE_DEVICE_MULTIPROCESSORS ? MULTIPROCESSORS
             : which == MOE_DEVICE_CAPABILITY    ? 90
             : which == MOE_DEVICE_SHARED_BYTES  ? device->shared_bytes
             : which == MOE_DEVICE_TOTAL_BYTES   ? TOTAL_BYTES
             : which == MOE_DEVICE_FREE_BYTES    ? TOTAL_BYTES - queue_held(queue_device(device))
             : which == MOE_DEVICE_PAGE_BYTES    ? page
                                                 : 0;
    return MOE_OK;
}

static int open_as(const struct device_class *class, struct moe_device **device)
{
    struct queue_device *queue = calloc(1, sizeof *queue);
    if (!queue)
        return moe_error(MOE_E_NOMEM, "no memory for a device");
    queue->base =
        (struct moe_device){.class = class, .name = "queues", .major = 9, .shared_bytes = 232448};
    *device = &queue->base;
    return MOE_OK;
}

static int open_cuda(int index, struct moe_device **device)
{
    (void)index;
    return open_as(&device_cuda, device);
}

static int open_ptx(int index, struct moe_device **device)
{
    (void)index;
    return open_as(&device_ptx, device);
}

static void close_device(struct moe_device *device)
{
    free(device);
}

static int copy_to(struct moe_device *device, void *to, const void *from_host, int64_t bytes,
                   void *stream)
{
    int status = queue_synchronize(device, stream);
    if (status == MOE_OK)
        queue_move(queue_device(device), to, from_host, bytes);
    return status;
}

static int copy_from(struct moe_device *device, void *to_host, const void *from, int64_t bytes,
                     void *stream)
{
    int status = queue_synchronize(device, stream);
    if (status == MOE_OK)
        memcpy(to_host, from, (size_t)bytes);
    return status;
}

static int shared_allocate(struct moe_device *device, int64_t bytes, void **memory)
{
    (void)device;
    *memory = calloc(1, (size_t)bytes);
    return *memory ? MOE_OK : moe_error(MOE_E_NOMEM, "no memory to share");
}

static void shared_free(struct moe_device *device, void *memory)
{
    struct queue_device *queue = queue_device(device);
    if (queue->holder == memory)
        queue->holder = NULL;
    free(memory);
}

#define COMMON                                                                                     \
    .close = close_device, .attribute = attribute, .allocate = queue_allocate,                     \
    .release = queue_release, .copy_to = copy_to, .copy_from = copy_from, .copy = queue_copy,      \
    .fill = queue_fill, .reserve = queue_reserve, .unreserve = queue_unreserve, .map = queue_map,  \
    .unmap = queue_unmap, .stream_create = queue_stream_create,                                    \
    .stream_destroy = queue_stream_destroy, .synchronize = queue_synchronize,                      \
    .launch = queue_launch

const struct device_class device_cuda = {
    .kind = MOE_ON_CUDA,
    .open = open_cuda,
    .capture_begin = queue_capture_begin,
    .capture_end = queue_capture_end,
    .graph_launch = queue_graph_launch,
    .graph_destroy = queue_graph_destroy,
    .shared_allocate = shared_allocate,
    .shared_free = shared_free,
    COMMON,
};

const struct device_class device_ptx = {
    .kind = MOE_ON_PTX,
    .watch = &queue_watch,
    .open = open_ptx,
    COMMON,
};

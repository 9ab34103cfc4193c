/*
 * queue_streams.c - streams of the queue device, what runs on them, and graphs.
 */
#include <stdlib.h>
#include <string.h>

#include "gpu/kernels.h"
#include "ref/moe.h"
#include "tests/queue_own.h"

#define ARGUMENTS 4

/* A copy, a fill, or a launch; `run` does it. */
struct queue_item {
    void (*run)(struct queue_device *device, const struct queue_item *item);
    void *to;
    const void *from;
    int64_t bytes;
    int byte;
    uint32_t blocks;
    uint64_t argument[ARGUMENTS]; /* of the judge's kernels */
    struct queue_work work;       /* of "layer" */
    int is_gate, dependent, goes_ahead, lets_begin;
};

/* As disturb.cu has it. */
struct range {
    char *to, *from;
    int64_t bytes;
};

/* ---- what is done ---------------------------------------------------------------------------- */

static void run_copy(struct queue_device *device, const struct queue_item *item)
{
    queue_move(device, item->to, item->from, item->bytes);
}

static void run_fill(struct queue_device *device, const struct queue_item *item)
{
    memset(item->to, item->byte, (size_t)item->bytes);
    queue_set_known(device, item->to, item->bytes, 1);
}

static void run_gate(struct queue_device *device, const struct queue_item *item)
{
    (void)device, (void)item;
}

static void run_produce(struct queue_device *device, const struct queue_item *item)
{
    const struct range *range = (const struct range *)(uintptr_t)item->argument[0];
    for (int32_t i = 0; i < (int32_t)item->argument[1]; i++)
        queue_move(device, range[i].to, range[i].from, range[i].bytes);
}

static void run_consume(struct queue_device *device, const struct queue_item *item)
{
    const struct range *range = (const struct range *)(uintptr_t)item->argument[0];
    run_produce(device, item);
    for (int32_t i = 0; i < (int32_t)item->argument[1]; i++)
        memset(range[i].from, 0xff, (size_t)range[i].bytes);
}

static void run_poison_shared(struct queue_device *device, const struct queue_item *item)
{
    (void)item;
    device->shared_is_nan = 1;
}

static void hold(struct queue_device *device, const struct queue_item *item, int occupies)
{
    device->holder = (volatile uint32_t *)(uintptr_t)item->argument[0];
    device->holder_occupies = occupies;
    device->holder[FLAG_ARRIVED] = item->blocks;
}

static void run_occupy(struct queue_device *device, const struct queue_item *item)
{
    hold(device, item, 1);
}

static void run_share(struct queue_device *device, const struct queue_item *item)
{
    hold(device, item, 0);
}

/* It writes all of the shared memory that it uses. */
static void run_layer(struct queue_device *device, const struct queue_item *item)
{
    struct queue_work work = item->work;
    work.call.tensors = work.tensors;
    work.run(&device->base, &work);
    device->shared_is_nan = 0;
}

/* Bytes of the arguments; lets_begin: griddepcontrol.launch_dependents stands first. */
static const struct {
    const char *name;
    void (*run)(struct queue_device *device, const struct queue_item *item);
    int lets_begin, size[ARGUMENTS];
} kernels[] = {
    {"disturb_consume", run_consume, 0, {8, 4}},
    {"disturb_gate", run_gate, 0, {8, 8}},
    {"disturb_occupy", run_occupy, 0, {8, 4, 8}},
    {"disturb_poison_shared", run_poison_shared, 0, {4}},
    {"disturb_produce", run_produce, 1, {8, 4, 8}},
    {"disturb_share", run_share, 0, {8, 8, 8, 8}},
    {"layer", run_layer, 0, {0}},
};

/* ---- lists ----------------------------------------------------------------------------------- */

static int append(struct queue_list *list, const struct queue_item *item)
{
    if (list->count == list->room) {
        const int room = 2 * list->room + 4;
        struct queue_item *more = realloc(list->item, (size_t)room * sizeof *more);
        if (!more)
            return moe_error(MOE_E_NOMEM, "no memory for a queue");
        list->item = more;
        list->room = room;
    }
    list->item[list->count++] = *item;
    return MOE_OK;
}

static void drop(struct queue_list *list)
{
    free(list->item);
    *list = (struct queue_list){0};
}

/* ---- streams --------------------------------------------------------------------------------- */

static struct queue_stream *stream_of(struct queue_device *device, void *stream)
{
    return stream ? stream : &device->by_default;
}

static void finish(struct queue_device *device, struct queue_stream *stream)
{
    for (int i = 0; i < stream->begun.count; i++)
        stream->begun.item[i].run(device, &stream->begun.item[i]);
    drop(&stream->begun);
    stream->overtaken = 0;
}

/* Its turn has come. */
static void take(struct queue_device *device, struct queue_stream *stream,
                 const struct queue_item *item)
{
    if (stream->begun.count && item->dependent && (item->goes_ahead || stream->overtaken)) {
        item->run(device, item);
        stream->overtaken = 1;
        return;
    }
    finish(device, stream);
    if (!item->lets_begin || append(&stream->begun, item) != MOE_OK)
        item->run(device, item);
}

/* A gate that nobody is to open ends by itself, but not before somebody waits. */
static int is_held(const struct queue_item *item, int waits)
{
    volatile uint32_t *flags = (volatile uint32_t *)(uintptr_t)item->argument[0];
    if (!item->is_gate || (flags && flags[FLAG_OPEN]))
        return 0;
    if (waits && flags)
        flags[FLAG_EXPIRED] = 1;
    return !waits;
}

static void go_on(struct queue_device *device, struct queue_stream *stream, int waits)
{
    struct queue_list *waiting = &stream->waiting;
    int done = 0;
    for (; done < waiting->count && !device->broken[0] && !is_held(&waiting->item[done], waits);
         done++)
        take(device, stream, &waiting->item[done]);
    waiting->count -= done;
    if (done)
        memmove(waiting->item, waiting->item + done,
                (size_t)waiting->count * sizeof *waiting->item);
    if (waits)
        finish(device, stream);
}

static int enqueue(struct moe_device *device, const struct queue_item *item, void *to_stream)
{
    struct queue_device *queue = queue_device(device);
    struct queue_stream *stream = stream_of(queue, to_stream);
    int status = !to_stream ? queue_may_wait(queue) : queue_sound(queue);
    if (status == MOE_OK)
        status = append(stream->graph ? stream->graph : &stream->waiting, item);
    if (status == MOE_OK)
        go_on(queue, stream, 0);
    return status == MOE_OK ? queue_sound(queue) : status;
}

int queue_copy(struct moe_device *device, void *to, const void *from, int64_t bytes, void *stream)
{
    const struct queue_item item = {.run = run_copy, .to = to, .from = from, .bytes = bytes};
    return enqueue(device, &item, stream);
}

int queue_fill(struct moe_device *device, void *memory, int byte, int64_t bytes, void *stream)
{
    const struct queue_item item = {.run = run_fill, .to = memory, .byte = byte, .bytes = bytes};
    return enqueue(device, &item, stream);
}

int queue_launch(struct moe_device *device, int row, const struct moe_launch *launch)
{
    struct queue_item item = {.run = kernels[row].run,
                              .blocks = launch->grid[0],
                              .is_gate = kernels[row].run == run_gate,
                              .lets_begin = kernels[row].lets_begin,
                              .dependent = (int)launch->dependent};
    for (int i = 0; i < ARGUMENTS && kernels[row].size[i]; i++)
        memcpy(&item.argument[i], launch->args[i], (size_t)kernels[row].size[i]);
    if (item.run == run_layer) {
        item.work = *(const struct queue_work *)launch->args[0];
        item.lets_begin = item.work.lets_begin;
        item.goes_ahead = item.work.goes_ahead;
    }
    return enqueue(device, &item, launch->stream);
}

int queue_stream_create(struct moe_device *device, void **made)
{
    struct queue_device *queue = queue_device(device);
    struct queue_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return moe_error(MOE_E_NOMEM, "no memory for a stream");
    stream->next = queue->streams;
    *made = queue->streams = stream;
    return MOE_OK;
}

void queue_stream_destroy(struct moe_device *device, void *destroyed)
{
    struct queue_device *queue = queue_device(device);
    struct queue_stream **link = &queue->streams;
    while (*link && *link != destroyed)
        link = &(*link)->next;
    struct queue_stream *stream = *link;
    if (!stream)
        return;
    go_on(queue, stream, 1);
    *link = stream->next;
    drop(&stream->waiting);
    free(stream);
}

int queue_synchronize(struct moe_device *device, void *stream)
{
    struct queue_device *queue = queue_device(device);
    int status = queue_may_wait(queue);
    if (status != MOE_OK)
        return status;
    go_on(queue, stream_of(queue, stream), 1);
    if (queue->holder && queue->holder[FLAG_OPEN])
        queue->holder = NULL;
    return queue_sound(queue);
}

void queue_wait_for_all(struct queue_device *device)
{
    go_on(device, &device->by_default, 1);
    for (struct queue_stream *stream = device->streams; stream; stream = stream->next)
        go_on(device, stream, 1);
}

/* ---- graphs ---------------------------------------------------------------------------------- */

int queue_capture_begin(struct moe_device *device, void *stream)
{
    struct queue_device *queue = queue_device(device);
    struct queue_list *graph = calloc(1, sizeof *graph);
    if (!graph || !stream || queue->capturing) {
        free(graph);
        return moe_error(MOE_E_INTERNAL, "no capture can begin here");
    }
    stream_of(queue, stream)->graph = graph;
    queue->capturing = 1;
    queue->spoilt = 0;
    return MOE_OK;
}

int queue_capture_end(struct moe_device *device, void *stream, void **graph)
{
    struct queue_device *queue = queue_device(device);
    struct queue_stream *captured = stream_of(queue, stream);
    queue->capturing = 0;
    if (queue->spoilt) {
        queue_graph_destroy(device, captured->graph);
        captured->graph = NULL;
        return moe_error(MOE_E_INTERNAL, "the capture was spoilt");
    }
    *graph = captured->graph;
    captured->graph = NULL;
    return MOE_OK;
}

int queue_graph_launch(struct moe_device *device, void *graph, void *stream)
{
    const struct queue_list *list = graph;
    int status = MOE_OK;
    for (int i = 0; i < list->count && status == MOE_OK; i++)
        status = enqueue(device, &list->item[i], stream);
    return status;
}

void queue_graph_destroy(struct moe_device *device, void *graph)
{
    (void)device;
    if (graph)
        drop(graph);
    free(graph);
}

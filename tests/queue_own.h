/*
 * queue_own.h - what the files of the queue device share.
 */
#ifndef QUEUE_OWN_H
#define QUEUE_OWN_H

#include "gpu/device.h"
#include "tests/queue_device.h"

/* Flags of disturb.cu, in memory that the host shares. */
enum { FLAG_OPEN, FLAG_EXPIRED, FLAG_ARRIVED };

struct queue_item;

struct queue_list {
    struct queue_item *item;
    int count, room;
};

struct queue_stream {
    struct queue_list waiting; /* behind a gate */
    struct queue_list begun;   /* has let others begin, and done nothing yet */
    int overtaken;             /* what came last went ahead of those begun */
    struct queue_list *graph;  /* into which it is captured */
    struct queue_stream *next;
};

/* An allocation, reserved addresses, or a piece mapped there. */
struct queue_block {
    char *at;
    int64_t bytes;
    unsigned char *known; /* PTX: [bytes], is it defined? */
    int reserved;
    struct queue_block *next;
};

struct queue_device {
    struct moe_device base;
    struct queue_block *blocks;
    struct queue_stream *streams, by_default;
    int capturing, spoilt;     /* a graph; by what a capture forbids */
    volatile uint32_t *holder; /* flags of who is on the multiprocessors besides */
    int holder_occupies, shared_is_nan;
    char broken[200], remark[200];
};

static inline struct queue_device *queue_device(struct moe_device *device)
{
    return (struct queue_device *)device;
}

static inline const struct queue_device *queue_device_const(const struct moe_device *device)
{
    return (const struct queue_device *)device;
}

/* MOE_OK, the error that sticks, or (inside a capture) that this is forbidden there. */
int queue_sound(struct queue_device *device);
int queue_may_wait(struct queue_device *device);

/* queue_memory.c */
struct queue_block *queue_block_of(struct queue_device *device, const void *memory);
void queue_set_known(struct queue_device *device, const void *memory, int64_t bytes, int known);
void queue_move(struct queue_device *device, void *to, const void *from, int64_t bytes);
int queue_allocate(struct moe_device *device, int64_t bytes, void **memory);
void queue_release(struct moe_device *device, void *memory);
int queue_reserve(struct moe_device *device, int64_t bytes, void **addresses);
void queue_unreserve(struct moe_device *device, void *addresses, int64_t bytes);
int queue_map(struct moe_device *device, void *place, int64_t bytes);
void queue_unmap(struct moe_device *device, void *place, int64_t bytes);
int64_t queue_held(const struct queue_device *device);
extern const struct device_watch queue_watch;

/* queue_streams.c */
int queue_copy(struct moe_device *device, void *to, const void *from, int64_t bytes, void *stream);
int queue_fill(struct moe_device *device, void *memory, int byte, int64_t bytes, void *stream);
int queue_launch(struct moe_device *device, int row, const struct moe_launch *launch);
int queue_stream_create(struct moe_device *device, void **stream);
void queue_stream_destroy(struct moe_device *device, void *stream);
int queue_synchronize(struct moe_device *device, void *stream);
void queue_wait_for_all(struct queue_device *device);
int queue_capture_begin(struct moe_device *device, void *stream);
int queue_capture_end(struct moe_device *device, void *stream, void **graph);
int queue_graph_launch(struct moe_device *device, void *graph, void *stream);
void queue_graph_destroy(struct moe_device *device, void *graph);

#endif

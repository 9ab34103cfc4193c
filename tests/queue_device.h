/*
 * queue_device.h - a device without a GPU, for the checks that want one: streams are queues, and
 * what is enqueued on them are functions of the host, on the host's memory.
 *
 * As on a GPU that is quick, work begins when it is enqueued, unless something stands before it in
 * its stream: a gate of the judge's that nobody has opened holds up that stream and no other. A
 * launch that may begin early (dependent) and does not wait begins before the launch in front of it
 * has done anything, where that one lets it. Graphs keep what they captured, arguments by value.
 * Multiprocessors that another kernel occupies are missed by work that needs all of them at once.
 * What is not mapped is an illegal address, which sticks.
 *
 * It stands where CUDA and the PTX machine would (device_cuda, device_ptx), with kernels of its
 * own: the judge's (disturb.cu), and "layer", whose argument is a struct queue_work.
 */
#ifndef QUEUE_DEVICE_H
#define QUEUE_DEVICE_H

#include "gpu/gpu.h"
#include "verify/variant.h"

/* One launch of "layer": a function and what it works on, copied when it is launched. */
struct queue_work {
    void (*run)(struct moe_device *device, const struct queue_work *work);
    void *state; /* the variant's */
    struct moe_call call;
    struct moe_tensor tensors[MOE_TENSOR_COUNT]; /* in the place of call.tensors */
    int64_t number;                              /* of what the work is told, by value */
    double learnt;
    int goes_ahead; /* a dependent launch that does not wait for the one before it */
    int lets_begin; /* a dependent launch behind it may begin before it has done anything */
};

/* ---- for work, while it runs ----------------------------------------------------------------- */

/* Waits until all multiprocessors are its own: for the end of whoever occupies some, whom it keeps
 * from ending by itself. */
void queue_need_all_multiprocessors(struct moe_device *device);

/* Is another kernel on every multiprocessor? */
int queue_is_shared(const struct moe_device *device);

/* What stands in shared memory that nobody has written since the judge filled it. */
float queue_unwritten_shared(const struct moe_device *device);

/* A read of one byte; of an address with no memory: an error that sticks. */
void queue_read(struct moe_device *device, const void *address);
void queue_break(struct moe_device *device, const char *text);

/* PTX: bytes that work has written are defined; those made of what nobody wrote are not. */
void queue_write(struct moe_device *device, const void *memory, int64_t bytes);
void queue_spoil(struct moe_device *device, const void *memory, int64_t bytes);
void queue_remark(struct moe_device *device, const char *text);

#endif

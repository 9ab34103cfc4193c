/*
 * arena_device.h - an arena on a device: memory there, laid out as one here that is its picture.
 */
#ifndef MOE_ARENA_DEVICE_H
#define MOE_ARENA_DEVICE_H

#include "gpu/gpu.h"
#include "verify/arena.h"

struct moe_arena_device {
    struct moe_device *device;
    const struct moe_arena *picture;
    void *base;
    int mapped;  /* ranges of those below that have memory of their own */
    int by_byte; /* of a device that watches: each buffer is one, and nothing lies beside it */
    int range_count;
    struct moe_piece *range; /* what goes there and comes back */
};

/* What a piece of an arena is a multiple of: on a device larger than here, where it is fenced. */
int moe_arena_device_page(struct moe_device *device, const struct moe_placement *where,
                          int64_t *page);

/* Memory for the picture's pieces, at the same places; undefined. On an error nothing is left. */
int moe_arena_device_make(struct moe_device *device, const struct moe_arena *picture,
                          struct moe_arena_device *there);
void moe_arena_device_free(struct moe_arena_device *there);

/* Everything from the picture to the device, and back. Done on return. */
int moe_arena_device_send(const struct moe_arena_device *there, void *stream);
int moe_arena_device_fetch(const struct moe_arena_device *there, void *stream);

/* On a device that watches: makes the tensors that the case's variant writes undefined, with their
 * values; and of each the first element, plus 1, that is undefined, 0: none. */
int moe_arena_device_forget(const struct moe_arena_device *there,
                            const struct moe_problem *problem);
void moe_arena_device_undefined(const struct moe_arena_device *there,
                                const struct moe_problem *problem,
                                int64_t undefined[MOE_TENSOR_COUNT]);

/* As moe_arena_call, of what lies on the device. */
struct moe_call moe_arena_device_call(const struct moe_arena_device *there,
                                      struct moe_tensor *tensors);

#endif

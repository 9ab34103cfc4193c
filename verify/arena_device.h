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
    int mapped; /* pieces of a fenced arena that have memory */
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

/* As moe_arena_call, of what lies on the device. */
struct moe_call moe_arena_device_call(const struct moe_arena_device *there,
                                      struct moe_tensor *tensors);

#endif

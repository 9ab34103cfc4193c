/*
 * parts_launch.h - launches as the steps of a layer need them, and workspace cut into parts.
 */
#ifndef MOE_PARTS_LAUNCH_H
#define MOE_PARTS_LAUNCH_H

#include "gpu/fault.h"
#include "gpu/parts.h"

/* A grid-stride loop over `count` elements; nothing where there are none. */
int launch_elements(const struct moe_gpu_queue *queue, const char *kernel, int64_t count,
                    void **args);

/* One block an item. */
int launch_blocks(const struct moe_gpu_queue *queue, const char *kernel, int64_t blocks,
                  uint32_t threads, uint32_t shared_bytes, void **args);

/* Parts of a workspace start at multiples of 256 bytes. */
static inline int64_t part_bytes(int64_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

/* The next part; *next moves behind it. Device memory: nothing is read or written. */
void *part_take(char **next, int64_t bytes);

#endif

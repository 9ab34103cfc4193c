/*
 * on_device_copies.h - the tensors of a visit, put away and brought back on the variant's stream:
 * in between stands poison where they were.
 */
#ifndef MOE_ON_DEVICE_COPIES_H
#define MOE_ON_DEVICE_COPIES_H

#include "verify/surroundings.h"

/* As gpu/kernels/disturb.cu has it. */
struct disturb_range {
    void *to, *from;
    int64_t bytes;
};

enum { DISTURB_OPEN, DISTURB_EXPIRED, DISTURB_ARRIVED, DISTURB_FLAGS };

struct device_copies {
    struct disturb_range away[MOE_TENSOR_COUNT], back[MOE_TENSOR_COUNT];
    int32_t count;
    void *staging;                 /* where they are put */
    void *away_there, *back_there; /* the two tables on the device */
};

int copies_open(const struct moe_scene *scene, struct device_copies *copies);
void copies_close(const struct moe_scene *scene, struct device_copies *copies);

/* Enqueue: all tensors into the staging memory, and poison in their place; and the other way. */
int copies_put_away(const struct moe_scene *scene, const struct device_copies *copies);
int copies_bring_back(const struct moe_scene *scene, const struct device_copies *copies);

/* Enqueues a kernel of disturb.cu on a stream. */
int disturb_launch(const struct moe_scene *scene, const char *kernel, uint32_t blocks,
                   uint32_t threads, uint32_t shared_bytes, int dependent, void *stream,
                   void **args);

#endif

/*
 * on_device_copies.c - see on_device_copies.h.
 */
#include <string.h>

#include "verify/on_device_copies.h"

/* Parts of the staging memory begin where any kernel could read them. */
#define STEP 256

static int64_t lay_out(const struct moe_scene *scene, struct device_copies *copies)
{
    int64_t at = 0;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &scene->there[id];
        int64_t bytes = tensor->data ? moe_tensor_bytes(tensor) : 0;
        if (bytes == 0)
            continue;
        char *place = copies->staging ? (char *)copies->staging + at : NULL;
        if (place) {
            copies->away[copies->count] = (struct disturb_range){place, tensor->data, bytes};
            copies->back[copies->count++] = (struct disturb_range){tensor->data, place, bytes};
        }
        at += (bytes + STEP - 1) / STEP * STEP;
    }
    return at;
}

static int send(const struct moe_scene *scene, const struct disturb_range *table, void **there)
{
    int64_t bytes = (int64_t)sizeof *table * MOE_TENSOR_COUNT;
    int status = moe_device_allocate(scene->device, bytes, there);
    return status == MOE_OK ? moe_device_copy_to(scene->device, *there, table, bytes, scene->stream)
                            : status;
}

int copies_open(const struct moe_scene *scene, struct device_copies *copies)
{
    memset(copies, 0, sizeof *copies);
    int64_t bytes = lay_out(scene, copies);
    int status = moe_device_allocate(scene->device, bytes > 0 ? bytes : 1, &copies->staging);
    if (status == MOE_OK) {
        lay_out(scene, copies);
        status = send(scene, copies->away, &copies->away_there);
    }
    return status == MOE_OK ? send(scene, copies->back, &copies->back_there) : status;
}

void copies_close(const struct moe_scene *scene, struct device_copies *copies)
{
    moe_device_free(scene->device, copies->staging);
    moe_device_free(scene->device, copies->away_there);
    moe_device_free(scene->device, copies->back_there);
}

int copies_put_away(const struct moe_scene *scene, const struct device_copies *copies)
{
    int status = MOE_OK;
    for (int i = 0; i < copies->count && status == MOE_OK; i++) {
        const struct disturb_range *range = &copies->away[i];
        status =
            moe_device_copy(scene->device, range->to, range->from, range->bytes, scene->stream);
        if (status == MOE_OK)
            status = moe_device_fill(scene->device, range->from, MOE_POISON, range->bytes,
                                     scene->stream);
    }
    return status;
}

int copies_bring_back(const struct moe_scene *scene, const struct device_copies *copies)
{
    int status = MOE_OK;
    for (int i = 0; i < copies->count && status == MOE_OK; i++)
        status = moe_device_copy(scene->device, copies->back[i].to, copies->back[i].from,
                                 copies->back[i].bytes, scene->stream);
    return status;
}

int disturb_launch(const struct moe_scene *scene, const char *kernel, uint32_t blocks,
                   uint32_t threads, uint32_t shared_bytes, int dependent, void *stream,
                   void **args)
{
    struct moe_launch launch = {.kernel = kernel,
                                .grid = {blocks, 1, 1},
                                .block = {threads, 1, 1},
                                .shared_bytes = shared_bytes,
                                .dependent = dependent ? 1 : 0,
                                .stream = stream,
                                .args = args};
    return moe_device_launch(scene->device, &launch);
}

/*
 * arena_device.c - see arena_device.h. A plain arena is one allocation; of a fenced one the
 * addresses are reserved and memory is mapped piece by piece, so that an access between them is an
 * illegal address.
 */
#include "verify/arena_device.h"

/* Of the host, where an arena is one piece. */
#define HOST_PAGE 4096

static int is_fenced(const struct moe_placement *where)
{
    return where->fence != MOE_FENCE_NONE || where->distance > 0;
}

int moe_arena_device_page(struct moe_device *device, const struct moe_placement *where,
                          int64_t *page)
{
    *page = HOST_PAGE;
    return is_fenced(where) ? moe_device_attribute(device, MOE_DEVICE_PAGE_BYTES, page) : MOE_OK;
}

static char *place_of(const struct moe_arena_device *there, int64_t offset)
{
    return (char *)there->base + offset;
}

static int map_pieces(struct moe_arena_device *there)
{
    const struct moe_arena *picture = there->picture;
    int status = MOE_OK;
    for (int i = 0; i < picture->piece_count && status == MOE_OK; i++) {
        const struct moe_piece *piece = &picture->piece[i];
        status =
            moe_device_map(there->device, place_of(there, piece->begin), piece->end - piece->begin);
        there->mapped += status == MOE_OK;
    }
    return status;
}

int moe_arena_device_make(struct moe_device *device, const struct moe_arena *picture,
                          struct moe_arena_device *there)
{
    struct moe_arena_device made = {.device = device, .picture = picture};
    int status = picture->fenced ? moe_device_reserve(device, picture->size, &made.base)
                                 : moe_device_allocate(device, picture->size, &made.base);
    if (status == MOE_OK && picture->fenced)
        status = map_pieces(&made);
    if (status == MOE_OK)
        *there = made;
    else
        moe_arena_device_free(&made);
    return status;
}

void moe_arena_device_free(struct moe_arena_device *there)
{
    if (!there->base)
        return;
    for (int i = 0; i < there->mapped; i++) {
        const struct moe_piece *piece = &there->picture->piece[i];
        moe_device_unmap(there->device, place_of(there, piece->begin), piece->end - piece->begin);
    }
    if (there->picture->fenced)
        moe_device_unreserve(there->device, there->base, there->picture->size);
    else
        moe_device_free(there->device, there->base);
    there->base = NULL;
}

int moe_arena_device_send(const struct moe_arena_device *there, void *stream)
{
    int status = MOE_OK;
    for (int i = 0; i < there->picture->piece_count && status == MOE_OK; i++) {
        const struct moe_piece *piece = &there->picture->piece[i];
        status = moe_device_copy_to(there->device, place_of(there, piece->begin),
                                    there->picture->base + piece->begin, piece->end - piece->begin,
                                    stream);
    }
    return status == MOE_OK ? moe_device_synchronize(there->device, stream) : status;
}

int moe_arena_device_fetch(const struct moe_arena_device *there, void *stream)
{
    int status = MOE_OK;
    for (int i = 0; i < there->picture->piece_count && status == MOE_OK; i++) {
        const struct moe_piece *piece = &there->picture->piece[i];
        status =
            moe_device_copy_from(there->device, there->picture->base + piece->begin,
                                 place_of(there, piece->begin), piece->end - piece->begin, stream);
    }
    return status == MOE_OK ? moe_device_synchronize(there->device, stream) : status;
}

static void *moved(const struct moe_arena_device *there, void *data)
{
    return data ? place_of(there, (char *)data - there->picture->base) : NULL;
}

struct moe_call moe_arena_device_call(const struct moe_arena_device *there,
                                      struct moe_tensor *tensors)
{
    struct moe_call call = moe_arena_call(there->picture, tensors);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        tensors[id].data = moved(there, tensors[id].data);
    call.workspace = moved(there, call.workspace);
    call.kept = moved(there, call.kept);
    call.status = moved(there, call.status);
    return call;
}

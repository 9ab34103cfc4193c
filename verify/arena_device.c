/*
 * arena_device.c - see arena_device.h. A plain arena is one allocation; of a fenced one the
 * addresses are reserved and memory is mapped piece by piece, so that an access between them is an
 * illegal address. A device that watches has memory for the buffers alone, to the byte.
 */
#include <stdlib.h>

#include "verify/arena_device.h"
#include "verify/trial.h"

/* Of the host, where an arena is one piece. */
#define HOST_PAGE 4096

static int is_fenced(const struct moe_placement *where)
{
    return where->fence != MOE_FENCE_NONE || where->distance > 0;
}

int moe_arena_device_page(struct moe_device *device, const struct moe_placement *where,
                          int64_t *page)
{
    int status = MOE_OK;
    *page = HOST_PAGE;
    if (is_fenced(where))
        status = moe_device_attribute(device, MOE_DEVICE_PAGE_BYTES, page);
    *page = *page < HOST_PAGE ? HOST_PAGE : *page;
    return status;
}

static char *place_of(const struct moe_arena_device *there, int64_t offset)
{
    return (char *)there->base + offset;
}

static int64_t offset_of(const struct moe_arena *picture, const void *data)
{
    return (const char *)data - picture->base;
}

/* ---- what of it is there --------------------------------------------------------------------- */

/* Rows so far apart that the addresses between have no memory. */
static int is_far(const struct moe_arena *picture)
{
    for (int id = 0; id < MOE_ARENA_REGIONS; id++)
        if (picture->region[id].piece_count > 1)
            return 1;
    return 0;
}

static int list_buffers(struct moe_arena_device *there)
{
    const struct moe_arena *picture = there->picture;
    there->range = calloc(MOE_ARENA_REGIONS, sizeof *there->range);
    if (!there->range)
        return moe_error(MOE_E_NOMEM, "no memory for the layout of an arena");
    for (int id = 0; id < MOE_ARENA_REGIONS; id++) {
        const struct moe_region *region = &picture->region[id];
        const int64_t begin = region->span > 0 ? offset_of(picture, region->tensor.data) : 0;
        if (region->tensor.data && region->span > 0)
            there->range[there->range_count++] = (struct moe_piece){begin, begin + region->span};
    }
    return MOE_OK;
}

static int list_pieces(struct moe_arena_device *there)
{
    const struct moe_arena *picture = there->picture;
    there->range = calloc((size_t)picture->piece_count + 1, sizeof *there->range);
    if (!there->range)
        return moe_error(MOE_E_NOMEM, "no memory for the layout of an arena");
    for (int i = 0; i < picture->piece_count; i++)
        there->range[there->range_count++] = picture->piece[i];
    return MOE_OK;
}

/* Each buffer by its name, and a piece of several rows by that of the first. */
static int label(const struct moe_arena_device *there)
{
    const struct moe_arena *picture = there->picture;
    int status = MOE_OK;
    for (int id = 0; id < MOE_ARENA_REGIONS && status == MOE_OK; id++) {
        const struct moe_region *region = &picture->region[id];
        if (region->tensor.data && region->span > 0)
            status = moe_device_label(there->device,
                                      place_of(there, offset_of(picture, region->tensor.data)),
                                      region->name);
    }
    return status;
}

static int map_ranges(struct moe_arena_device *there)
{
    int status = MOE_OK;
    for (int i = 0; i < there->range_count && status == MOE_OK; i++) {
        const struct moe_piece *range = &there->range[i];
        status =
            moe_device_map(there->device, place_of(there, range->begin), range->end - range->begin);
        there->mapped += status == MOE_OK;
    }
    return status;
}

int moe_arena_device_make(struct moe_device *device, const struct moe_arena *picture,
                          struct moe_arena_device *there)
{
    struct moe_arena_device made = {.device = device, .picture = picture};
    made.by_byte = moe_device_watches(device) && !is_far(picture);
    int status = made.by_byte ? list_buffers(&made) : list_pieces(&made);
    const int apart = made.by_byte || picture->fenced;
    if (status == MOE_OK)
        status = apart ? moe_device_reserve(device, picture->size, &made.base)
                       : moe_device_allocate(device, picture->size, &made.base);
    if (status == MOE_OK && apart)
        status = map_ranges(&made);
    if (status == MOE_OK && made.by_byte)
        status = label(&made);
    if (status == MOE_OK)
        *there = made;
    else
        moe_arena_device_free(&made);
    return status;
}

void moe_arena_device_free(struct moe_arena_device *there)
{
    for (int i = 0; i < there->mapped; i++) {
        const struct moe_piece *range = &there->range[i];
        moe_device_unmap(there->device, place_of(there, range->begin), range->end - range->begin);
    }
    if (there->base && (there->by_byte || there->picture->fenced))
        moe_device_unreserve(there->device, there->base, there->picture->size);
    else if (there->base)
        moe_device_free(there->device, there->base);
    free(there->range);
    *there = (struct moe_arena_device){0};
}

/* ---- there and back -------------------------------------------------------------------------- */

int moe_arena_device_send(const struct moe_arena_device *there, void *stream)
{
    int status = MOE_OK;
    for (int i = 0; i < there->range_count && status == MOE_OK; i++) {
        const struct moe_piece *range = &there->range[i];
        status = moe_device_copy_to(there->device, place_of(there, range->begin),
                                    there->picture->base + range->begin, range->end - range->begin,
                                    stream);
    }
    return status == MOE_OK ? moe_device_synchronize(there->device, stream) : status;
}

int moe_arena_device_fetch(const struct moe_arena_device *there, void *stream)
{
    int status = MOE_OK;
    for (int i = 0; i < there->range_count && status == MOE_OK; i++) {
        const struct moe_piece *range = &there->range[i];
        status =
            moe_device_copy_from(there->device, there->picture->base + range->begin,
                                 place_of(there, range->begin), range->end - range->begin, stream);
    }
    return status == MOE_OK ? moe_device_synchronize(there->device, stream) : status;
}

/* ---- what of it is defined ------------------------------------------------------------------- */

int moe_arena_device_forget(const struct moe_arena_device *there, const struct moe_problem *problem)
{
    int status = MOE_OK;
    for (int id = 0; id < MOE_TENSOR_COUNT && there->by_byte && status == MOE_OK; id++) {
        const struct moe_region *region = &there->picture->region[id];
        if (region->tensor.data && moe_trial_writes(problem, id))
            status = moe_device_forget(
                there->device, place_of(there, offset_of(there->picture, region->tensor.data)),
                region->span);
    }
    return status;
}

void moe_arena_device_undefined(const struct moe_arena_device *there,
                                const struct moe_problem *problem,
                                int64_t undefined[MOE_TENSOR_COUNT])
{
    for (int id = 0; id < MOE_TENSOR_COUNT && there->by_byte; id++) {
        const struct moe_tensor *tensor = &there->picture->region[id].tensor;
        const int64_t rows = tensor->data ? moe_rows_count(tensor) : 0;
        const int64_t bytes = moe_rows_bytes(tensor);
        const int64_t bits = moe_dtype_info(tensor->dtype)->bits;
        undefined[id] = 0;
        for (int64_t row = 0; row < rows && moe_trial_writes(problem, id) && !undefined[id];
             row++) {
            const int64_t at = offset_of(there->picture, tensor->data);
            const int64_t defined = moe_device_undefined(
                there->device, place_of(there, at + moe_rows_offset(tensor, row)), bytes);
            if (defined < bytes)
                undefined[id] = (row * bytes + defined) * 8 / bits + 1;
        }
    }
}

static void *moved(const struct moe_arena_device *there, void *data)
{
    return data ? place_of(there, offset_of(there->picture, data)) : NULL;
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

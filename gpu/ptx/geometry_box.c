/*
 * geometry_box.c - a box of a tensor map, piece by piece; and the rules of bulk copies.
 *
 * A box spans box[i] elements of the tensor and takes every step[i]-th, so ceil(box[i] / step[i])
 * of them; that of dimension 0 is not looked at unless the tensor is interleaved. In shared memory
 * they are packed, innermost first, and their chunks of 16 bytes then swizzled by address. An
 * element with any coordinate outside the tensor is out of bounds.
 */
#include "gpu/ptx/geometry.h"
#include "ref/moe.h"

static uint32_t step_of(const struct geometry_tensor *tensor, int dimension)
{
    const int ignored = dimension == 0 && tensor->interleave == GEOMETRY_INTERLEAVE_NONE;
    return ignored ? 1 : tensor->step[dimension];
}

static uint32_t count_of(const struct geometry_tensor *tensor, int dimension)
{
    const uint32_t step = step_of(tensor, dimension);
    return (tensor->box[dimension] + step - 1) / step;
}

uint64_t geometry_box_bytes(const struct geometry_tensor *tensor)
{
    uint64_t bytes = (uint64_t)geometry_type_bytes(tensor->type);
    for (int i = 0; i < tensor->rank; i++)
        bytes *= count_of(tensor, i);
    return bytes;
}

int geometry_box_begin(struct geometry_box *box, const struct geometry_tensor *tensor,
                       const int32_t *coordinates, uint32_t shared)
{
    if (shared % 128 != 0)
        return moe_error(MOE_E_USAGE,
                         "a tensor copy's shared address 0x%x is not a multiple of 128", shared);
    *box = (struct geometry_box){.tensor = tensor, .shared = shared};
    for (int i = 0; i < tensor->rank; i++) {
        box->at[i] = coordinates[i];
        box->count[i] = count_of(tensor, i);
    }
    return MOE_OK;
}

static int64_t coordinate(const struct geometry_box *box, int dimension)
{
    return box->at[dimension] + (int64_t)box->index[dimension] * step_of(box->tensor, dimension);
}

static int is_within(const struct geometry_box *box, int dimension, int64_t at)
{
    return at >= 0 && (uint64_t)at < box->tensor->size[dimension];
}

/* To the next element of the dimensions from 1 on. */
static void next_row(struct geometry_box *box)
{
    box->index[0] = 0;
    for (int i = 1; i < box->tensor->rank; i++) {
        if (++box->index[i] < box->count[i])
            return;
        box->index[i] = 0;
    }
    box->done = 1;
}

int geometry_box_next(struct geometry_box *box, struct geometry_piece *piece)
{
    if (box->done)
        return 0;
    const struct geometry_tensor *tensor = box->tensor;
    const uint32_t bytes = (uint32_t)geometry_type_bytes(tensor->type);
    int row_inside = 1;
    uint64_t row = tensor->address;
    for (int i = 1; i < tensor->rank; i++) {
        const int64_t at = coordinate(box, i);
        row_inside = row_inside && is_within(box, i, at);
        row += (uint64_t)at * tensor->stride[i];
    }
    /* As many neighbours as are in one chunk, on one side of the edge and side by side in memory.
     */
    const int64_t first = coordinate(box, 0);
    const int inside = row_inside && is_within(box, 0, first);
    const uint32_t room = (16 - (uint32_t)box->linear % 16) / bytes;
    uint32_t count = 1;
    while (count < room && box->index[0] + count < box->count[0] &&
           (!inside || step_of(tensor, 0) == 1) &&
           inside == (row_inside && is_within(box, 0, first + count * step_of(tensor, 0))))
        count++;
    const uint32_t address = box->shared + (uint32_t)box->linear;
    *piece = (struct geometry_piece){
        .shared = (uint32_t)geometry_swizzle(tensor->swizzle, address),
        .bytes = count * bytes,
        .global = row + (uint64_t)first * bytes,
        .inside = inside,
    };
    box->linear += count * bytes;
    box->index[0] += count;
    if (box->index[0] == box->count[0])
        next_row(box);
    return 1;
}

/* As an H200 gave it: 0x7ff7, again and again. */
uint64_t geometry_fill_bits(const struct geometry_tensor *tensor)
{
    static const uint64_t nans[] = {[2] = 0x7ff7, [4] = 0x7ff77ff7, [8] = 0x7ff77ff77ff77ff7u};
    return tensor->fill == GEOMETRY_FILL_NAN ? nans[geometry_type_bytes(tensor->type)] : 0;
}

int geometry_bulk_check(uint64_t to, uint64_t from, uint64_t bytes)
{
    if (to % 16 != 0)
        return moe_error(MOE_E_USAGE, "a bulk copy's destination 0x%llx is not a multiple of 16",
                         (unsigned long long)to);
    if (from % 16 != 0)
        return moe_error(MOE_E_USAGE, "a bulk copy's source 0x%llx is not a multiple of 16",
                         (unsigned long long)from);
    if (bytes % 16 != 0)
        return moe_error(MOE_E_USAGE, "a bulk copy's size %llu is not a multiple of 16",
                         (unsigned long long)bytes);
    return MOE_OK;
}

/*
 * arena.c - the layout of an arena, its pages, and what goes in and out of it.
 *
 *   plain      | band buffer band | band buffer band | ...
 *   fenced     fence | band buffer | fence | band buffer | fence      (or flush at the front)
 *   far        fence | row | fence ... | row | fence
 *
 * Fences are addresses that are reserved and not mapped. They cost no memory, so rows may be apart
 * as far as addresses go.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS, MAP_NORESERVE */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "verify/arena.h"

static int64_t round_up(int64_t bytes, int64_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

static int64_t round_down(int64_t bytes, int64_t unit)
{
    return bytes / unit * unit;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static int is_dense(const struct moe_tensor *tensor)
{
    int64_t step = 1;
    for (int axis = tensor->rank - 1; axis >= 0; axis--) {
        if (tensor->shape[axis] > 1 && tensor->stride[axis] != step)
            return 0;
        step *= tensor->shape[axis];
    }
    return 1;
}

int64_t moe_rows_count(const struct moe_tensor *tensor)
{
    if (moe_tensor_count(tensor) == 0)
        return 0;
    return is_dense(tensor) ? 1 : moe_tensor_count(tensor) / tensor->shape[tensor->rank - 1];
}

int64_t moe_rows_offset(const struct moe_tensor *tensor, int64_t row)
{
    if (row == 0)
        return 0;
    int64_t size = moe_dtype_info(tensor->dtype)->bits / 8;
    return moe_tensor_position(tensor, row * tensor->shape[tensor->rank - 1]) * size;
}

int64_t moe_rows_bytes(const struct moe_tensor *tensor)
{
    int64_t rows = moe_rows_count(tensor);
    return rows > 0 ? moe_tensor_bytes(tensor) / rows : 0;
}

/* Rows that lie apart begin at multiples of the alignment too. Sub-byte types have none
 * (ref/moe.h), and a vector has one row. */
static void set_strides(const struct moe_placement *where, int64_t alignment,
                        struct moe_tensor *tensor)
{
    int last = tensor->rank - 1, size = moe_dtype_info(tensor->dtype)->bits / 8;
    if (last == 0 || size == 0 || (where->padding == 0 && where->distance == 0))
        return;
    int64_t step = where->distance ? where->distance : tensor->shape[last] + where->padding;
    step = round_up(step * size, alignment) / size;
    for (int axis = last - 1; axis >= 0; axis--) {
        tensor->stride[axis] = step;
        step *= tensor->shape[axis];
    }
}

static int64_t span_of(const struct moe_tensor *tensor)
{
    int64_t rows = moe_rows_count(tensor);
    return rows > 0 ? moe_rows_offset(tensor, rows - 1) + moe_rows_bytes(tensor) : 0;
}

/* ---- layout ---------------------------------------------------------------------------------- */

static int add_piece(struct moe_arena *arena, struct moe_region *region, int64_t begin, int64_t end)
{
    struct moe_piece *last = arena->piece_count ? &arena->piece[arena->piece_count - 1] : NULL;
    if (region->piece_count > 0 && begin <= last->end) {
        last->end = end > last->end ? end : last->end;
        return MOE_OK;
    }
    struct moe_piece *grown =
        realloc(arena->piece, ((size_t)arena->piece_count + 1) * sizeof *grown);
    if (!grown)
        return moe_error(MOE_E_NOMEM, "no memory for the layout of an arena");
    arena->piece = grown;
    if (region->piece_count++ == 0)
        region->first_piece = arena->piece_count;
    arena->piece[arena->piece_count++] = (struct moe_piece){begin, end};
    return MOE_OK;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Between fences, flush against the one behind or before it. */
static int lay_fenced(struct moe_arena *arena, struct moe_region *region, enum moe_fence fence,
                      int64_t alignment, int64_t *offset)
{
    int64_t begin = arena->size + arena->page;
    int64_t end = begin + round_up(region->span > 0 ? region->span : 1, arena->page);
    *offset = fence == MOE_FENCE_AFTER ? begin + round_down(end - begin - region->span, alignment)
                                       : begin;
    region->before = least(*offset - begin, MOE_ARENA_BAND);
    region->after = least(end - *offset - region->span, MOE_ARENA_BAND);
    arena->size = end;
    return add_piece(arena, region, begin, end);
}

static int lay_far(struct moe_arena *arena, struct moe_region *region, int64_t *offset)
{
    int64_t begin = *offset = arena->size + arena->page, bytes = moe_rows_bytes(&region->tensor);
    int status = add_piece(arena, region, begin, begin + arena->page);
    for (int64_t row = 0; row < moe_rows_count(&region->tensor) && status == MOE_OK; row++) {
        int64_t at = begin + moe_rows_offset(&region->tensor, row);
        status = add_piece(arena, region, round_down(at, arena->page),
                           round_up(at + bytes, arena->page));
    }
    arena->size = begin + round_up(region->span > 0 ? region->span : 1, arena->page);
    region->after = least(arena->size - begin - region->span, MOE_ARENA_BAND);
    return status;
}

static void lay_plain(struct moe_arena *arena, struct moe_region *region, int64_t shift,
                      int64_t *offset)
{
    *offset = round_up(arena->size + MOE_ARENA_BAND, MOE_MEMORY_ALIGNMENT) + shift;
    region->before = region->after = MOE_ARENA_BAND;
    arena->size = *offset + region->span + MOE_ARENA_BAND;
}

static int lay(const struct moe_arena_plan *plan, struct moe_arena *arena, int id)
{
    const struct moe_placement *where = &plan->where;
    struct moe_region *region = &arena->region[id];
    int64_t offset = 0, element = moe_dtype_info(region->tensor.dtype)->bits / 8;
    int64_t alignment = plan->alignment > element ? plan->alignment : element ? element : 1;
    int status = MOE_OK;
    if (id < MOE_TENSOR_COUNT)
        set_strides(where, alignment, &region->tensor);
    else
        alignment = id == MOE_ARENA_STATUS ? (int64_t)sizeof(uint32_t) : MOE_MEMORY_ALIGNMENT;
    region->span = span_of(&region->tensor);
    if (where->distance)
        status = lay_far(arena, region, &offset);
    else if (where->fence)
        status = lay_fenced(arena, region, where->fence, alignment, &offset);
    else
        lay_plain(arena, region, id < MOE_TENSOR_COUNT ? round_up(where->shift, element) : 0,
                  &offset);
    /* an address once the arena has its base */
    region->tensor.data = (void *)(uintptr_t)offset;
    return status;
}

static struct moe_region bytes_region(const char *name, int64_t bytes)
{
    struct moe_tensor tensor = {
        .data = (void *)1, .dtype = MOE_U8, .rank = 1, .shape = {bytes}, .stride = {1}};
    return (struct moe_region){.name = name, .tensor = tensor};
}

static void list_regions(const struct moe_arena_plan *plan, struct moe_arena *arena)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        arena->region[id] = (struct moe_region){.name = moe_tensor_info(id)->name,
                                                .tensor = plan->tensors->tensor[id]};
    arena->region[MOE_ARENA_WORKSPACE] =
        bytes_region("workspace", plan->workspace - plan->where.workspace_withheld);
    arena->region[MOE_ARENA_KEPT] = bytes_region("kept", plan->kept - plan->where.kept_withheld);
    arena->region[MOE_ARENA_STATUS] = bytes_region("status", sizeof(uint32_t));
}

/* ---- pages ----------------------------------------------------------------------------------- */

static int map_pages(struct moe_arena *arena)
{
    void *base = mmap(NULL, (size_t)arena->size, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return moe_error(MOE_E_NOMEM, "no addresses for %lld bytes of a case's tensors",
                         (long long)arena->size);
    arena->base = base;
    for (int i = 0; i < arena->piece_count; i++) {
        const struct moe_piece *piece = &arena->piece[i];
        if (mprotect(arena->base + piece->begin, (size_t)(piece->end - piece->begin),
                     PROT_READ | PROT_WRITE) != 0)
            return moe_error(MOE_E_NOMEM, "no memory for %lld bytes of a case's tensors",
                             (long long)(piece->end - piece->begin));
    }
    return MOE_OK;
}

int moe_arena_map(const struct moe_arena_plan *plan, struct moe_arena *arena)
{
    struct moe_arena made = {.page = plan->page, .fill = plan->fill};
    int status = MOE_OK;
    made.fenced = plan->where.fence != MOE_FENCE_NONE || plan->where.distance > 0;
    list_regions(plan, &made);
    for (int id = 0; id < MOE_ARENA_REGIONS && status == MOE_OK; id++)
        if (made.region[id].tensor.data)
            status = lay(plan, &made, id);
    made.size = round_up(made.size + made.page, made.page);
    if (status == MOE_OK && !made.fenced) {
        struct moe_region whole = {0};
        status = add_piece(&made, &whole, 0, made.size);
    }
    if (status == MOE_OK)
        status = map_pages(&made);
    if (status != MOE_OK) {
        moe_arena_unmap(&made);
        return status;
    }
    for (int id = 0; id < MOE_ARENA_REGIONS; id++)
        if (made.region[id].tensor.data)
            made.region[id].tensor.data = made.base + (uintptr_t)made.region[id].tensor.data;
    *arena = made;
    return MOE_OK;
}

void moe_arena_unmap(struct moe_arena *arena)
{
    if (arena->base)
        munmap(arena->base, (size_t)arena->size);
    free(arena->piece);
    *arena = (struct moe_arena){0};
}

int moe_arena_protect(struct moe_arena *arena, const struct moe_problem *problem)
{
    for (int id = 0; arena->fenced && id < MOE_TENSOR_COUNT; id++) {
        const struct moe_region *region = &arena->region[id];
        enum moe_role role = moe_tensor_info(id)->role;
        if (role != MOE_INPUT && (role != MOE_ROUTING || problem->router != MOE_LISTS))
            continue;
        for (int i = 0; i < region->piece_count; i++) {
            const struct moe_piece *piece = &arena->piece[region->first_piece + i];
            if (mprotect(arena->base + piece->begin, (size_t)(piece->end - piece->begin),
                         PROT_READ) != 0)
                return moe_error(MOE_E_INTERNAL, "%s cannot be made read only", region->name);
        }
    }
    return MOE_OK;
}

/* ---- in and out ------------------------------------------------------------------------------ */

void moe_tensors_place(const struct moe_tensors *from, const struct moe_tensor *to)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        int64_t bytes = moe_rows_bytes(&to[id]), rows = to[id].data ? moe_rows_count(&to[id]) : 0;
        for (int64_t row = 0; row < rows; row++)
            memcpy((char *)to[id].data + moe_rows_offset(&to[id], row),
                   (const char *)from->tensor[id].data + row * bytes, (size_t)bytes);
    }
}

void moe_arena_put(struct moe_arena *arena, const struct moe_tensors *tensors)
{
    struct moe_tensor places[MOE_TENSOR_COUNT];
    moe_arena_guard(arena);
    moe_arena_call(arena, places);
    moe_tensors_place(tensors, places);
    for (int id = MOE_ARENA_WORKSPACE; id < MOE_ARENA_REGIONS; id++)
        memset(arena->region[id].tensor.data, id == MOE_ARENA_STATUS ? 0 : arena->fill,
               (size_t)arena->region[id].span);
}

struct moe_call moe_arena_call(const struct moe_arena *arena, struct moe_tensor *tensors)
{
    const struct moe_region *region = arena->region;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        tensors[id] = region[id].tensor;
    return (struct moe_call){
        .tensors = tensors,
        .workspace = region[MOE_ARENA_WORKSPACE].tensor.data,
        .workspace_size = region[MOE_ARENA_WORKSPACE].span,
        .kept = region[MOE_ARENA_KEPT].tensor.data,
        .kept_size = region[MOE_ARENA_KEPT].span,
        .status = region[MOE_ARENA_STATUS].tensor.data,
    };
}

void moe_arena_take(const struct moe_arena *arena, struct moe_tensors *tensors)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &arena->region[id].tensor;
        int64_t bytes = moe_rows_bytes(tensor), rows = tensor->data ? moe_rows_count(tensor) : 0;
        for (int64_t row = 0; row < rows; row++)
            memcpy((char *)tensors->tensor[id].data + row * bytes,
                   (const char *)tensor->data + moe_rows_offset(tensor, row), (size_t)bytes);
    }
}

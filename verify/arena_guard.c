/*
 * arena_guard.c - the bytes of an arena that nobody may touch: those around every buffer and those
 * between its rows. They hold a pattern before a run and must hold it after.
 *
 * The pattern depends on the place, so that neither a constant nor a shifted copy of it passes for
 * it. Fill 0xff (MOE_POISON) makes it a NaN in every float type and an index out of every range, so
 * that a read from there spoils what is made of it; any other fill makes other values, so that a
 * read shows where two runs are compared.
 */
#include <stdio.h>
#include <string.h>

#include "verify/arena.h"

/* Low bits of the even bytes and the sign bit of the odd ones change; at fill 0xff every 2, 4 or 8
 * bytes then have an exponent of ones and a fraction that is not 0. */
static uint8_t pattern(int64_t place, int fill)
{
    uint8_t noise = (uint8_t)(((uint32_t)place * 2654435761u) >> 24);
    return (uint8_t)(fill ^ (noise & (place & 1 ? 0x80 : 0x0f)));
}

/* A stretch of guard bytes: `bytes` of them, at the place in the arena. */
struct stretch {
    int64_t place, bytes;
    enum moe_side side;
    int64_t row; /* BETWEEN: the row before it */
};

typedef void visit(const struct moe_arena *arena, const struct moe_region *region,
                   const struct stretch *stretch, void *context);

/* Rows that are far apart have guards as far as their pages go; what is between is not mapped. */
static void visit_gap(const struct moe_arena *arena, const struct moe_region *region, int64_t row,
                      visit *see, void *context)
{
    const int64_t begin = (char *)region->tensor.data - arena->base, page = arena->page;
    int64_t from = begin + moe_rows_offset(&region->tensor, row) + moe_rows_bytes(&region->tensor);
    int64_t to = begin + moe_rows_offset(&region->tensor, row + 1);
    struct stretch gap = {from, to - from, MOE_SIDE_BETWEEN, row};
    if (!arena->fenced || gap.bytes <= page) {
        see(arena, region, &gap, context);
        return;
    }
    int64_t end = (from + page - 1) / page * page, next = to / page * page;
    gap.bytes = end - from < MOE_ARENA_BAND ? end - from : MOE_ARENA_BAND;
    see(arena, region, &gap, context);
    gap.place = to - next < MOE_ARENA_BAND ? next : to - MOE_ARENA_BAND;
    gap.bytes = to - gap.place;
    see(arena, region, &gap, context);
}

static void visit_all(const struct moe_arena *arena, visit *see, void *context)
{
    for (int id = 0; id < MOE_ARENA_REGIONS; id++) {
        const struct moe_region *region = &arena->region[id];
        if (!region->tensor.data)
            continue;
        int64_t begin = (char *)region->tensor.data - arena->base, end = begin + region->span;
        int64_t rows = moe_rows_count(&region->tensor);
        struct stretch before = {begin - region->before, region->before, MOE_SIDE_BEFORE, -1};
        struct stretch after = {end, region->after, MOE_SIDE_AFTER, -1};
        see(arena, region, &before, context);
        for (int64_t row = 0; row + 1 < rows; row++)
            visit_gap(arena, region, row, see, context);
        see(arena, region, &after, context);
    }
}

/* ---- before ---------------------------------------------------------------------------------- */

static void fill(const struct moe_arena *arena, const struct moe_region *region,
                 const struct stretch *stretch, void *context)
{
    (void)region, (void)context;
    uint8_t *bytes = (uint8_t *)arena->base + stretch->place;
    for (int64_t i = 0; i < stretch->bytes; i++)
        bytes[i] = pattern(stretch->place + i, arena->fill);
}

void moe_arena_guard(struct moe_arena *arena)
{
    visit_all(arena, fill, NULL);
}

/* ---- after ----------------------------------------------------------------------------------- */

struct found {
    struct moe_stray *stray;
    int room, count;
};

static void compare(const struct moe_arena *arena, const struct moe_region *region,
                    const struct stretch *stretch, void *context)
{
    struct found *found = context;
    const uint8_t *bytes = (const uint8_t *)arena->base + stretch->place;
    const int64_t begin = (char *)region->tensor.data - arena->base;
    int64_t changed = 0, first = 0;
    for (int64_t i = 0; i < stretch->bytes; i++) {
        if (bytes[i] == pattern(stretch->place + i, arena->fill))
            continue;
        first = changed++ ? first : stretch->place + i;
    }
    if (changed == 0)
        return;
    struct moe_stray stray = {region->name, stretch->side, first - begin, changed, stretch->row};
    if (stray.side == MOE_SIDE_AFTER)
        stray.offset -= region->span;
    if (stray.side == MOE_SIDE_BETWEEN)
        stray.offset -=
            moe_rows_offset(&region->tensor, stretch->row) + moe_rows_bytes(&region->tensor);
    if (found->count < found->room)
        found->stray[found->count] = stray;
    found->count++;
}

int moe_arena_strays(const struct moe_arena *arena, struct moe_stray *stray, int room)
{
    struct found found = {stray, room, 0};
    visit_all(arena, compare, &found);
    return found.count;
}

void moe_stray_tell(const struct moe_stray *stray, char *text, size_t size)
{
    const char *bytes = stray->bytes == 1 ? "byte" : "bytes";
    if (stray->side == MOE_SIDE_BEFORE)
        snprintf(text, size, "%lld %s written before %s, the first %lld before its begin",
                 (long long)stray->bytes, bytes, stray->buffer, (long long)-stray->offset);
    else if (stray->side == MOE_SIDE_AFTER)
        snprintf(text, size, "%lld %s written after %s, the first %lld behind its end",
                 (long long)stray->bytes, bytes, stray->buffer, (long long)stray->offset);
    else
        snprintf(text, size,
                 "%lld %s written between rows %lld and %lld of %s, the first %lld "
                 "behind the row's end",
                 (long long)stray->bytes, bytes, (long long)stray->row, (long long)stray->row + 1,
                 stray->buffer, (long long)stray->offset);
}

/*
 * arena_guard.c - the bytes of an arena that nobody may touch: those around every buffer and those
 * between its rows. They hold a pattern before a run and must hold it after.
 *
 * The pattern depends on the place, so that neither a constant nor a shifted copy of it passes for
 * it. Fill 0xff (MOE_POISON) makes it a NaN in every float type and an index out of every range, so
 * that a read from there spoils what is made of it; any other fill makes other values, so that a
 * read shows where two runs are compared.
 */
#define _DEFAULT_SOURCE /* htole64 */
#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "verify/arena.h"

/* Low bits of the even bytes and the sign bit of the odd ones change; at fill 0xff every 2, 4 or 8
 * bytes then have an exponent of ones and a fraction that is not 0. */
#define NOISE UINT64_C(0x800f800f800f800f)

/* Of the eight bytes from the place on, a multiple of 8; the first byte is the lowest. */
static uint64_t pattern(int64_t place, int fill)
{
    uint64_t noise = (uint64_t)place * UINT64_C(0x9e3779b97f4a7c15);
    noise ^= noise >> 29;
    return (UINT64_C(0x0101010101010101) * (uint8_t)fill) ^ (noise & NOISE);
}

static uint8_t pattern_byte(int64_t place, int fill)
{
    return (uint8_t)(pattern(place & ~7, fill) >> 8 * (place & 7));
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
    uint8_t *bytes = (uint8_t *)arena->base;
    const int64_t end = stretch->place + stretch->bytes;
    for (int64_t place = stretch->place; place < end;) {
        if (place % 8 == 0 && end - place >= 8) {
            const uint64_t eight = htole64(pattern(place, arena->fill));
            memcpy(bytes + place, &eight, 8);
            place += 8;
        } else {
            bytes[place] = pattern_byte(place, arena->fill);
            place++;
        }
    }
}

void moe_arena_guard(struct moe_arena *arena)
{
    visit_all(arena, fill, NULL);
}

/* ---- after ----------------------------------------------------------------------------------- */

/* Nearly always it is. */
static int is_whole(const struct moe_arena *arena, const struct stretch *stretch)
{
    const uint8_t *bytes = (const uint8_t *)arena->base;
    const int64_t end = stretch->place + stretch->bytes;
    uint64_t changed = 0;
    for (int64_t place = stretch->place; place < end;) {
        uint64_t eight;
        if (place % 8 == 0 && end - place >= 8) {
            memcpy(&eight, bytes + place, 8);
            changed |= le64toh(eight) ^ pattern(place, arena->fill);
            place += 8;
        } else {
            changed |= bytes[place] ^ pattern_byte(place, arena->fill);
            place++;
        }
    }
    return changed == 0;
}

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
    if (is_whole(arena, stretch))
        return;
    for (int64_t i = 0; i < stretch->bytes; i++) {
        if (bytes[i] == pattern_byte(stretch->place + i, arena->fill))
            continue;
        first = changed++ ? first : stretch->place + i;
    }
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

/*
 * hazard_shadow.c - a block's cells: of four bytes at first, halved where an access is smaller.
 */
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/hazard_own.h"

#define SHIFT_FIRST 2

static uint64_t cells_of(uint64_t bytes, unsigned shift)
{
    return (bytes + (UINT64_C(1) << shift) - 1) >> shift;
}

static struct shadow *create(uint64_t bytes)
{
    struct shadow *shadow = calloc(1, sizeof *shadow);
    if (!shadow)
        return NULL;
    shadow->shift = SHIFT_FIRST;
    shadow->count = cells_of(bytes, SHIFT_FIRST);
    shadow->cells = calloc(shadow->count + 1, sizeof *shadow->cells);
    if (shadow->cells)
        return shadow;
    free(shadow);
    return NULL;
}

uint32_t hazard_keep_read(struct hazard *hazard, const struct read_mark *read, uint32_t next)
{
    if (hazard->read_count >= hazard->read_room) {
        const uint32_t room = hazard->read_room ? 2 * hazard->read_room : 1024;
        struct more_reads *more = realloc(hazard->reads, room * sizeof *more);
        if (!more) {
            hazard_fail(hazard);
            return 0;
        }
        hazard->reads = more;
        hazard->read_room = room;
    }
    hazard->reads[hazard->read_count] = (struct more_reads){*read, next};
    return hazard->read_count++;
}

/* A list of its own for a cell that was made of another. */
static uint32_t copy_reads(struct hazard *hazard, uint32_t from)
{
    uint32_t copy = 0;
    for (; from; from = hazard->reads[from].next) {
        const struct read_mark read = hazard->reads[from].read;
        copy = hazard_keep_read(hazard, &read, copy);
    }
    return copy;
}

static int refine(struct hazard *hazard, struct shadow *shadow, uint64_t bytes, unsigned shift)
{
    const uint64_t count = cells_of(bytes, shift);
    const unsigned times = shadow->shift - shift;
    const uint32_t first =
        shadow->first > hazard->first_agent ? shadow->first : hazard->first_agent;
    struct cell *cells = calloc(count + 1, sizeof *cells);
    if (!cells)
        return -1;
    for (uint64_t i = 0; i < count; i++) {
        cells[i] = shadow->cells[i >> times];
        if (cells[i].more && cells[i].read.agent >= first && i & ((1u << times) - 1))
            cells[i].more = copy_reads(hazard, cells[i].more);
    }
    free(shadow->cells);
    shadow->cells = cells;
    shadow->count = count;
    shadow->shift = shift;
    return 0;
}

struct shadow *hazard_shadow(struct hazard *hazard, struct ptx_block *block, uint64_t offset,
                             uint32_t bytes)
{
    struct shadow *shadow = block->hazard;
    const unsigned fits = (unsigned)__builtin_ctzll(offset | bytes | 4);
    if (!shadow)
        shadow = block->hazard = create(block->bytes);
    if (!shadow || (fits < shadow->shift && refine(hazard, shadow, block->bytes, fits))) {
        hazard_fail(hazard);
        return NULL;
    }
    return shadow;
}

void hazard_shadow_begin(struct hazard *hazard, struct ptx_block *block, uint32_t first)
{
    struct shadow **at = &hazard->spare, *shadow = NULL;
    for (; *at; at = &(*at)->next)
        if ((*at)->count >= cells_of(block->bytes, (*at)->shift)) {
            shadow = *at;
            *at = shadow->next;
            break;
        }
    if (!shadow)
        shadow = create(block->bytes);
    if (!shadow) {
        hazard_fail(hazard);
        return;
    }
    shadow->first = first;
    block->hazard = shadow;
}

static void destroy(struct shadow *shadow)
{
    free(shadow->cells);
    free(shadow);
}

void hazard_shadow_end(struct hazard *hazard, struct ptx_block *block)
{
    struct shadow *shadow = block->hazard;
    block->hazard = NULL;
    if (!shadow)
        return;
    if (block->space != PTX_SPACE_SHARED) {
        destroy(shadow);
        return;
    }
    shadow->next = hazard->spare;
    hazard->spare = shadow;
}

void hazard_shadows_free(struct hazard *hazard)
{
    for (struct shadow *next, *shadow = hazard->spare; shadow; shadow = next) {
        next = shadow->next;
        destroy(shadow);
    }
    hazard->spare = NULL;
}

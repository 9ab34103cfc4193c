/*
 * hazard_clock.c - vector clocks, sparse over agents, dense over their lanes.
 */
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/hazard_clock.h"

static struct clock *create(uint32_t count)
{
    struct clock *clock = malloc(sizeof *clock + count * sizeof *clock->entry);
    if (clock) {
        clock->references = 1;
        clock->count = count;
    }
    return clock;
}

struct clock *clock_keep(struct clock *clock)
{
    if (clock)
        clock->references++;
    return clock;
}

void clock_drop(struct clock *clock)
{
    if (clock && !--clock->references)
        free(clock);
}

/* The first entry of `agent` or of one behind it. */
static uint32_t place(const struct clock *clock, uint32_t agent)
{
    uint32_t low = 0, high = clock->count;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (clock->entry[middle].agent < agent)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const uint32_t *clock_find(const struct clock *clock, uint32_t agent)
{
    if (!clock)
        return NULL;
    const uint32_t at = place(clock, agent);
    return at < clock->count && clock->entry[at].agent == agent ? clock->entry[at].epoch : NULL;
}

/* Does `a` know all that `b` does? */
static int covers(const struct clock *a, const struct clock *b)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        const struct clock_entry *entry = &b->entry[i];
        while (at < a->count && a->entry[at].agent < entry->agent)
            at++;
        if (at == a->count || a->entry[at].agent != entry->agent)
            return 0;
        int behind = 0;
        for (int lane = 0; lane < PTX_LANES; lane++)
            behind |= a->entry[at].epoch[lane] < entry->epoch[lane];
        if (behind)
            return 0;
    }
    return 1;
}

static struct clock *merge(const struct clock *a, const struct clock *b)
{
    struct clock *both = create(a->count + b->count);
    uint32_t i = 0, j = 0, count = 0;
    if (!both)
        return NULL;
    while (i < a->count || j < b->count) {
        const int from_a =
            j == b->count || (i < a->count && a->entry[i].agent <= b->entry[j].agent);
        const int from_b =
            i == a->count || (j < b->count && b->entry[j].agent <= a->entry[i].agent);
        struct clock_entry *entry = &both->entry[count++];
        *entry = from_a ? a->entry[i] : b->entry[j];
        if (from_a && from_b)
            for (int lane = 0; lane < PTX_LANES; lane++)
                if (entry->epoch[lane] < b->entry[j].epoch[lane])
                    entry->epoch[lane] = b->entry[j].epoch[lane];
        i += (uint32_t)from_a;
        j += (uint32_t)from_b;
    }
    both->count = count;
    return both;
}

int clock_join(struct clock **to, struct clock *from)
{
    if (!from || *to == from)
        return 0;
    if (!*to || covers(from, *to)) {
        clock_keep(from);
        clock_drop(*to);
        *to = from;
        return 0;
    }
    if (covers(*to, from))
        return 0;
    struct clock *both = merge(*to, from);
    if (!both)
        return -1;
    clock_drop(*to);
    *to = both;
    return 0;
}

int clock_note(struct clock **to, uint32_t agent, uint32_t lanes, uint32_t epoch)
{
    const uint32_t count = *to ? (*to)->count : 0;
    const uint32_t at = *to ? place(*to, agent) : 0;
    const int is_there = at < count && (*to)->entry[at].agent == agent;
    if (!*to || (*to)->references > 1 || !is_there) {
        struct clock *own = create(count + !is_there);
        if (!own)
            return -1;
        if (*to) {
            memcpy(own->entry, (*to)->entry, at * sizeof *own->entry);
            memcpy(own->entry + at + !is_there, (*to)->entry + at,
                   (count - at) * sizeof *own->entry);
        }
        if (!is_there)
            own->entry[at] = (struct clock_entry){.agent = agent};
        clock_drop(*to);
        *to = own;
    }
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        uint32_t *known = &(*to)->entry[at].epoch[__builtin_ctz(rest)];
        if (*known < epoch)
            *known = epoch;
    }
    return 0;
}

void view_drop(struct view *view)
{
    clock_drop(view->known);
    clock_drop(view->fenced);
    clock_drop(view->mapped);
    clock_drop(view->begun);
    *view = (struct view){NULL, NULL, NULL, NULL};
}

int view_join(struct view *to, const struct view *from)
{
    return clock_join(&to->known, from->known) | clock_join(&to->fenced, from->fenced) |
           clock_join(&to->mapped, from->mapped) | clock_join(&to->begun, from->begun);
}

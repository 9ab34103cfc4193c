/*
 * hazard_clock.h - vector clocks: what a thread knows of the work of all others.
 *
 * An agent is a warp, or who does asynchronous work at one object. It counts epochs: a lane of it
 * that lets others know begins a new one. A clock holds, for agents that it has heard of, the last
 * epoch of each lane that is known; a mark of an access that lies behind is ordered before.
 *
 * Clocks are shared and never changed while they are; NULL is the one that knows nothing.
 */
#ifndef MOE_GPU_PTX_HAZARD_CLOCK_H
#define MOE_GPU_PTX_HAZARD_CLOCK_H

#include <stdint.h>

#include "gpu/ptx/program.h"

struct clock_entry {
    uint32_t agent;
    uint32_t epoch[PTX_LANES]; /* 0: nothing is known of that lane */
};

struct clock {
    uint32_t references, count;
    struct clock_entry entry[]; /* in order of agents */
};

struct clock *clock_keep(struct clock *clock);
void clock_drop(struct clock *clock);

/* [PTX_LANES] epochs of an agent, NULL: none is known. */
const uint32_t *clock_find(const struct clock *clock, uint32_t agent);

/* *to comes to know what `from` does. 0, or -1: no memory, and *to is as it was. */
int clock_join(struct clock **to, struct clock *from);

/* *to comes to know these lanes of an agent up to `epoch`. 0, or -1. */
int clock_note(struct clock **to, uint32_t agent, uint32_t lanes, uint32_t epoch);

/*
 * Four clocks that go together. An access is visible to the asynchronous proxy once a thread that
 * knew of it made a proxy fence: `fenced` knows these; `mapped` the same of tensor maps' proxy;
 * `begun` the mbarriers' initialisations that were fenced for the cluster.
 */
struct view {
    struct clock *known, *fenced, *mapped, *begun;
};
void view_drop(struct view *view);
int view_join(struct view *to, const struct view *from);

#endif

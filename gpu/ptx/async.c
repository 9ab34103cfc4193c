/*
 * async.c - what happens later: a list of effects in the order in which they were started. An
 * effect may go when none before it is of its queue.
 */
#include <stdlib.h>

#include "gpu/ptx/machine.h"
#include "gpu/ptx/schedule.h"

static void finish(struct ptx_effect *effect)
{
    if (effect->free)
        effect->free(effect);
    free(effect);
}

/* The first of an effect's queue, which may be itself. */
static struct ptx_effect **first_of_queue(struct ptx_machine *machine, struct ptx_effect **at)
{
    if (!(*at)->queue)
        return at;
    for (struct ptx_effect **other = &machine->effects; other != at; other = &(*other)->next)
        if ((*other)->queue == (*at)->queue)
            return other;
    return at;
}

/* Performs a part of the effect; 1: that was all of it, and it is gone. */
static int perform(struct ptx_machine *machine, struct ptx_effect **at)
{
    struct ptx_effect *effect = *at;
    machine->progress = machine->step;
    const int done = effect->perform(machine, effect) || machine->stopped;
    if (done) {
        /* It may have added others at the end, but nobody takes one out meanwhile. */
        *at = effect->next;
        if (machine->effects_end == &effect->next)
            machine->effects_end = at;
        finish(effect);
    }
    ptx_event(machine);
    return done;
}

void ptx_async_add(struct ptx_machine *machine, struct ptx_effect *effect)
{
    effect->next = NULL;
    *machine->effects_end = effect;
    machine->effects_end = &effect->next;
    if (machine->options.time != PTX_EAGER)
        return;
    while (machine->effects && !machine->stopped)
        perform(machine, &machine->effects);
}

void ptx_async_force(struct ptx_machine *machine,
                     int (*picks)(const struct ptx_effect *effect, const void *argument),
                     const void *argument)
{
    for (struct ptx_effect **at = &machine->effects; *at && !machine->stopped;) {
        if (!picks(*at, argument)) {
            at = &(*at)->next;
            continue;
        }
        struct ptx_effect **first = first_of_queue(machine, at);
        while (!perform(machine, first))
            continue;
        at = &machine->effects;
    }
}

int ptx_async_pending(const struct ptx_machine *machine,
                      int (*picks)(const struct ptx_effect *effect, const void *argument),
                      const void *argument)
{
    int count = 0;
    for (const struct ptx_effect *effect = machine->effects; effect; effect = effect->next)
        count += picks(effect, argument) != 0;
    return count;
}

int ptx_async_of_cluster(const struct ptx_machine *machine, const struct ptx_cluster *cluster)
{
    for (const struct ptx_effect *effect = machine->effects; effect; effect = effect->next)
        if (effect->cta && effect->cta->cluster == cluster)
            return 1;
    return 0;
}

int ptx_async_turn(struct ptx_machine *machine, int forced)
{
    uint32_t count = 0;
    if (!machine->effects || machine->stopped ||
        (!forced && (machine->options.time != PTX_RANDOM_TIME || ptx_random_below(machine, 4))))
        return 0;
    for (const struct ptx_effect *effect = machine->effects; effect; effect = effect->next)
        count++;
    struct ptx_effect **at = &machine->effects;
    for (uint32_t skip = ptx_random_below(machine, count); skip; skip--)
        at = &(*at)->next;
    perform(machine, first_of_queue(machine, at));
    return 1;
}

void ptx_async_drop(struct ptx_machine *machine)
{
    for (struct ptx_effect *next, *effect = machine->effects; effect; effect = next) {
        next = effect->next;
        finish(effect);
    }
    machine->effects = NULL;
    machine->effects_end = &machine->effects;
}

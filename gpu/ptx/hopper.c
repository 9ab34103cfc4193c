/*
 * hopper.c - what a CTA and a warp keep of asynchronous instructions, effects and their agents, and
 * groups of operations.
 */
#include <stdlib.h>

#include "gpu/ptx/hopper.h"

static void no_memory(struct ptx_machine *machine)
{
    ptx_report(machine, NULL, NULL, -1, PTX_RULE_NO_MEMORY, 0,
               "no memory for asynchronous operations");
}

struct hopper_cta *hopper_cta(struct ptx_cta *cta)
{
    if (!cta->hopper && !(cta->hopper = calloc(1, sizeof(struct hopper_cta))))
        no_memory(cta->machine);
    return cta->hopper;
}

static struct hopper_warp *make_warp(struct ptx_warp *warp)
{
    const size_t slots = (size_t)warp->program->slot_count + 1;
    struct hopper_warp *made = calloc(1, sizeof *made);
    if (made) {
        made->flight = calloc(slots, 1);
        made->touched = calloc(slots, 1);
        made->flight_group = calloc(slots, sizeof *made->flight_group);
        made->flight_code = calloc(slots, sizeof *made->flight_code);
    }
    warp->hopper = made;
    if (!made || !made->flight || !made->touched || !made->flight_group || !made->flight_code) {
        ptx_hopper_warp_end(warp);
        no_memory(warp->machine);
    }
    return warp->hopper;
}

struct hopper_warp *hopper_warp(struct ptx_warp *warp)
{
    return warp->hopper ? warp->hopper : make_warp(warp);
}

void ptx_hopper_warp_end(struct ptx_warp *warp)
{
    struct hopper_warp *hopper = warp->hopper;
    if (!hopper)
        return;
    free(hopper->flight);
    free(hopper->touched);
    free(hopper->flight_group);
    free(hopper->flight_code);
    free(hopper);
    warp->hopper = NULL;
}

void ptx_hopper_cta_end(struct ptx_cta *cta)
{
    struct hopper_cta *hopper = cta->hopper;
    if (!hopper)
        return;
    for (struct hopper_barrier *next, *barrier = hopper->barriers; barrier; barrier = next) {
        next = barrier->next;
        free(barrier);
    }
    wgmma_free(hopper->groups);
    free(hopper);
    cta->hopper = NULL;
}

/* ---- effects --------------------------------------------------------------------------------- */

struct ptx_effect *hopper_effect(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes,
                                 enum ptx_group_kind kind, size_t bytes)
{
    struct hopper_warp *hopper = hopper_warp(warp);
    struct ptx_effect *effect = hopper ? calloc(1, sizeof *effect) : NULL;
    void *data = calloc(1, bytes + 1);
    if (!effect || !data) {
        free(effect);
        free(data);
        no_memory(warp->machine);
        return NULL;
    }
    const int lane = __builtin_ctz(lanes);
    *effect = (struct ptx_effect){.cta = warp->cta,
                                  .code = code,
                                  .warp = warp,
                                  .lane = lane,
                                  .lanes = lanes,
                                  .kind = kind,
                                  .group = hopper->committed[kind][lane],
                                  .agent = ++warp->machine->agents,
                                  .data = data};
    return effect;
}

void hopper_start(struct ptx_machine *machine, struct ptx_effect *effect)
{
    for (struct ptx_watch *watch = machine->watches; watch; watch = watch->next)
        if (watch->start)
            watch->start(watch->data, effect);
    ptx_async_add(machine, effect);
}

void hopper_finished(struct ptx_machine *machine, const struct ptx_effect *effect,
                     const void *object)
{
    for (struct ptx_watch *watch = machine->watches; watch; watch = watch->next)
        if (watch->finish)
            watch->finish(watch->data, machine, effect, object);
}

void hopper_engine_access(const struct ptx_effect *effect, enum ptx_access_kind kind,
                          enum ptx_proxy proxy, enum ptx_space space, uint32_t bytes,
                          uint32_t align, struct ptx_access *access)
{
    access->warp = NULL;
    access->cta = effect->cta;
    access->code = effect->code;
    access->lanes = 1;
    access->space = space;
    access->kind = kind;
    access->proxy = proxy;
    access->order = PTX_ORDER_WEAK;
    access->scope = PTX_SCOPE_CTA;
    access->bytes = bytes;
    access->align = align;
    access->agent = effect->agent;
}

int hopper_is_there(struct ptx_machine *machine, const struct ptx_effect *effect,
                    uint64_t shared_address)
{
    const struct ptx_cluster *cluster = effect->cta->cluster;
    const uint64_t rank = shared_address >> PTX_RANK_SHIFT;
    if (rank >= cluster->size || cluster->ctas[rank].live_threads)
        return 0;
    ptx_report(machine, effect->warp, effect->code, effect->lane, PTX_RULE_ENGINE_CTA_ENDED,
               shared_address,
               "an operation under way on shared memory of CTA rank %u of the cluster, all of "
               "whose threads have exited",
               (unsigned)rank);
    return 1;
}

/* ---- addresses of one lane ------------------------------------------------------------------- */

int hopper_to_space(struct ptx_warp *warp, const struct ptx_code *code, int lane,
                    enum ptx_space space, uint64_t *address)
{
    if (space != PTX_GENERIC)
        return 0;
    if (*address - PTX_WINDOW_SHARED < PTX_WINDOW_BYTES) {
        *address -= PTX_WINDOW_SHARED;
        return 0;
    }
    ptx_report(warp->machine, warp, code, lane, PTX_RULE_NOT_SHARED, *address,
               "generic address 0x%llx, which is none of shared memory",
               (unsigned long long)*address);
    return 1;
}

int hopper_address(struct ptx_warp *warp, const struct ptx_code *code,
                   const struct ptx_place *place, int lane, uint64_t *address)
{
    uint64_t all[PTX_LANES];
    if (ptx_address(warp, code, place, 1u << lane, all))
        return 1;
    *address = all[lane];
    return 0;
}

/* ---- groups ---------------------------------------------------------------------------------- */

void hopper_commit(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    struct hopper_warp *hopper = hopper_warp(warp);
    for (uint32_t rest = hopper ? lanes : 0; rest; rest &= rest - 1)
        hopper->committed[code->count][__builtin_ctz(rest)]++;
}

struct limit {
    const struct ptx_warp *warp;
    uint32_t lanes;
    enum ptx_group_kind kind;
    uint64_t below;
};

static int is_below(const struct ptx_effect *effect, const void *argument)
{
    const struct limit *limit = argument;
    return effect->warp == limit->warp && effect->kind == limit->kind &&
           effect->lanes & limit->lanes && effect->group < limit->below;
}

static void join_below(struct ptx_warp *warp, const struct limit *limit, int reads_only)
{
    struct ptx_machine *machine = warp->machine;
    if (!reads_only) {
        ptx_async_force(machine, is_below, limit);
    } else {
        for (struct ptx_effect *effect = machine->effects; effect && !machine->stopped;
             effect = effect->next)
            if (is_below(effect, limit))
                hopper_bulk_read(machine, effect);
    }
    for (struct ptx_watch *watch = machine->watches; watch; watch = watch->next)
        if (watch->join)
            watch->join(watch->data, warp, limit->lanes, limit->kind, limit->below, reads_only);
}

void hopper_join(struct ptx_warp *warp, uint32_t lanes, enum ptx_group_kind kind, uint64_t most,
                 int reads_only)
{
    const struct hopper_warp *hopper = hopper_warp(warp);
    while (hopper && lanes && !warp->machine->stopped) {
        const uint64_t committed = hopper->committed[kind][__builtin_ctz(lanes)];
        struct limit limit = {warp, 0, kind, committed > most ? committed - most : 0};
        for (uint32_t rest = lanes; rest; rest &= rest - 1)
            if (hopper->committed[kind][__builtin_ctz(rest)] == committed)
                limit.lanes |= rest & -rest;
        lanes &= ~limit.lanes;
        join_below(warp, &limit, reads_only);
    }
}

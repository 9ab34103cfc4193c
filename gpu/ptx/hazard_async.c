/*
 * hazard_async.c - asynchronous operations: each is an agent that knows what its thread knew when
 * it started, and of which those know who wait for its completion.
 *
 * Operations of one kind of groups are one agent of a warp, with lanes for threads and epochs for
 * groups: who has waited for a group knows those before. cp.async have more epochs, for arrivals
 * may wait for them too. Those that an mbarrier completes take lanes in turn, so that who waits at
 * one barrier does not know of the other's.
 */
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/hazard_own.h"

static void check(struct hazard *hazard, int failed)
{
    if (failed)
        hazard_fail(hazard);
}

/* The agent at *agent, made where there is none. */
static uint32_t agent_at(struct hazard *hazard, const struct ptx_warp *warp,
                         const struct ptx_code *code, uint32_t *agent)
{
    if (!*agent)
        *agent = hazard_agent(hazard, warp->cta->number, warp->cta->cluster->ctas[0].number,
                              warp->number, code);
    return *agent;
}

/* wgmma is its warpgroup's, whose first warp keeps it. */
static struct ptx_warp *keeper(struct ptx_warp *warp, enum ptx_group_kind kind)
{
    return kind == PTX_GROUP_WGMMA ? &warp->cta->warps[warp->number / 4 * 4] : warp;
}

const struct operation *hazard_operation(const struct hazard *hazard, uint64_t number)
{
    const struct operation *operation =
        hazard->operations ? &hazard->operations[number % OPERATIONS] : NULL;
    return operation && number && operation->number == number ? operation : NULL;
}

static void drop(struct operation *operation)
{
    for (uint32_t i = 0; i < operation->views; i++)
        view_drop(&operation->view[i]);
    operation->views = 0;
    operation->number = 0;
}

void hazard_operations_clear(struct hazard *hazard)
{
    if (!hazard->operations)
        return;
    for (uint64_t i = 0; i < OPERATIONS && i <= hazard->operation_last; i++)
        drop(&hazard->operations[i]);
    free(hazard->operations);
    hazard->operations = NULL;
    hazard->operation_last = hazard->common_of = 0;
}

/* The epoch of copies that begin. */
static uint32_t begin_copies(struct copies *copies, uint32_t lanes, uint64_t group)
{
    const int goes_on = copies->last[group % COPY_GROUPS].epoch == copies->epoch &&
                        copies->last[group % COPY_GROUPS].group == group && !copies->arrived;
    if (!copies->epoch || !goes_on)
        copies->epoch++;
    copies->arrived = 0;
    copies->lanes |= lanes;
    copies->last[group % COPY_GROUPS].group = group;
    copies->last[group % COPY_GROUPS].epoch = copies->epoch;
    return copies->epoch;
}

/* The last epoch of the groups below a number. 0: there was none. */
static uint32_t copies_below(const struct copies *copies, uint64_t below)
{
    for (uint64_t group = below; group > 0 && below - group < COPY_GROUPS; group--)
        if (copies->last[(group - 1) % COPY_GROUPS].group == group - 1 &&
            copies->last[(group - 1) % COPY_GROUPS].epoch)
            return copies->last[(group - 1) % COPY_GROUPS].epoch;
    return 0;
}

static int waits_for_copies(const struct ptx_effect *effect)
{
    return !strncmp(effect->code->instruction->opcode->name, "cp.async.mbarrier", 17);
}

static void name(struct hazard *hazard, const struct ptx_effect *effect,
                 struct operation *operation)
{
    struct ptx_warp *warp = keeper(effect->warp, effect->kind);
    struct hazard_warp *own = warp->hazard;
    operation->agent = operation->reader =
        agent_at(hazard, warp, effect->code, &own->async[effect->kind]);
    operation->epoch = (uint32_t)effect->group + 1;
    operation->lanes = 1u << effect->lane;
    switch (effect->kind) {
    case PTX_GROUP_COPY:
        operation->how = MARK_COPY;
        operation->lanes = effect->lanes;
        operation->epoch = begin_copies(&own->copies, effect->lanes, effect->group);
        break;
    case PTX_GROUP_BULK:
        operation->reader = agent_at(hazard, warp, effect->code, &own->async_reader);
        break;
    case PTX_GROUP_WGMMA:
        operation->lanes = 1;
        break;
    default:
        operation->lanes = 1u << own->ungrouped % PTX_LANES;
        operation->epoch = own->ungrouped++ / PTX_LANES + 1;
        if (waits_for_copies(effect)) {
            operation->copies = own->copies.epoch;
            own->copies.arrived = 1;
        }
    }
}

void hazard_start(void *data, const struct ptx_effect *effect)
{
    struct hazard *hazard = data;
    if (hazard->failed)
        return;
    if (!hazard->operations)
        hazard->operations = calloc(OPERATIONS, sizeof *hazard->operations);
    if (!hazard->operations) {
        hazard_fail(hazard);
        return;
    }
    struct operation *operation = &hazard->operations[effect->agent % OPERATIONS];
    drop(operation);
    if (hazard->operation_last < effect->agent)
        hazard->operation_last = effect->agent;
    *operation = (struct operation){.number = effect->agent, .views = 1};
    name(hazard, effect, operation);
    if (effect->kind == PTX_GROUP_WGMMA)
        operation->views = 4;
    for (uint32_t i = 0; i < operation->views; i++)
        hazard_publish(hazard, effect->warp[i].hazard, effect->lanes, &operation->view[i]);
}

void hazard_finish(void *data, struct ptx_machine *machine, const struct ptx_effect *effect,
                   const void *object)
{
    struct hazard *hazard = data;
    const struct operation *operation = hazard_operation(hazard, effect->agent);
    (void)machine;
    if (hazard->failed || !operation || !object)
        return;
    struct object *barrier = hazard_barrier(hazard, (uintptr_t)object, 1);
    if (!barrier)
        return;
    const struct hazard_warp *own = effect->warp->hazard;
    barrier->has_phases = 1;
    for (uint32_t i = 0; i < operation->views; i++)
        check(hazard, view_join(&barrier->coming, &operation->view[i]));
    check(hazard,
          clock_note(&barrier->coming.known, operation->agent, operation->lanes, operation->epoch));
    if (operation->copies && own->copies.lanes >> effect->lane & 1)
        check(hazard, clock_note(&barrier->coming.known, own->async[PTX_GROUP_COPY],
                                 1u << effect->lane, operation->copies));
}

/* A lane, or all that knew the same, come to know groups of an agent below a number. */
static void learn(struct hazard *hazard, struct hazard_warp *warp, uint32_t lanes, uint32_t agent,
                  uint32_t of, uint64_t below)
{
    struct clock *before = NULL, *after = NULL;
    for (uint32_t rest = agent ? lanes : 0; rest; rest &= rest - 1) {
        struct clock **known = &warp->view[__builtin_ctz(rest)].known;
        if (of && after && *known == before) {
            clock_keep(after);
            clock_drop(*known);
            *known = after;
            continue;
        }
        clock_drop(before);
        before = clock_keep(*known);
        check(hazard, clock_note(known, agent, of ? of : rest & -rest, (uint32_t)below));
        after = *known;
    }
    clock_drop(before);
}

void hazard_join(void *data, struct ptx_warp *warp, uint32_t lanes, enum ptx_group_kind kind,
                 uint64_t below, int reads_only)
{
    struct hazard *hazard = data;
    const struct hazard_warp *own = keeper(warp, kind)->hazard;
    if (hazard->failed || !below)
        return;
    const uint32_t of = kind == PTX_GROUP_WGMMA ? 1 : 0;
    if (kind == PTX_GROUP_COPY)
        below = copies_below(&own->copies, below);
    if (!reads_only && below)
        learn(hazard, warp->hazard, lanes, own->async[kind], of, below);
    if (kind == PTX_GROUP_BULK)
        learn(hazard, warp->hazard, lanes, own->async_reader, of, below);
}

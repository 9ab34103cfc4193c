/*
 * warp.c - a warp: lanes that are at one instruction run it together, those that wait are asked,
 * those that must come together are gathered.
 *
 * Of the lanes that can run, those at the lowest pc go first: compilers lay code out so that the
 * others' way leads back to it. So that none starves, now and then another goes first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/machine.h"
#include "gpu/ptx/schedule.h"
#include "ref/moe.h"

/* ---- begin and end --------------------------------------------------------------------------- */

static uint64_t special_of(const struct ptx_warp *warp, enum ptx_special special, int lane)
{
    const struct ptx_machine *machine = warp->machine;
    const struct ptx_grid *grid = machine->grid;
    const struct ptx_cta *cta = warp->cta;
    const uint32_t thread = warp->number * PTX_LANES + (uint32_t)lane;
    const uint32_t *block = grid->block, *shape = machine->cluster_shape;
    const uint32_t thread_id[3] = {thread % block[0], thread / block[0] % block[1],
                                   thread / block[0] / block[1]};
    switch (special) {
    case PTX_TID_X:
    case PTX_TID_Y:
    case PTX_TID_Z:
        return thread_id[special - PTX_TID_X];
    case PTX_NTID_X:
    case PTX_NTID_Y:
    case PTX_NTID_Z:
        return block[special - PTX_NTID_X];
    case PTX_CTAID_X:
    case PTX_CTAID_Y:
    case PTX_CTAID_Z:
        return cta->id[special - PTX_CTAID_X];
    case PTX_NCTAID_X:
    case PTX_NCTAID_Y:
    case PTX_NCTAID_Z:
        return grid->grid[special - PTX_NCTAID_X];
    case PTX_LANEID:
        return (uint64_t)lane;
    case PTX_WARPID:
        return warp->number;
    case PTX_NWARPID:
        return cta->warp_count;
    case PTX_SMID:
        return cta->number % PTX_MULTIPROCESSORS;
    case PTX_NSMID:
        return PTX_MULTIPROCESSORS;
    case PTX_GRIDID:
        return 1;
    case PTX_IS_EXPLICIT_CLUSTER:
        return machine->ctas_per_cluster > 1;
    case PTX_CLUSTERID_X:
    case PTX_CLUSTERID_Y:
    case PTX_CLUSTERID_Z:
        return cta->cluster->id[special - PTX_CLUSTERID_X];
    case PTX_NCLUSTERID_X:
    case PTX_NCLUSTERID_Y:
    case PTX_NCLUSTERID_Z:
        return grid->grid[special - PTX_NCLUSTERID_X] / shape[special - PTX_NCLUSTERID_X];
    case PTX_CLUSTER_CTAID_X:
    case PTX_CLUSTER_CTAID_Y:
    case PTX_CLUSTER_CTAID_Z:
        return cta->id[special - PTX_CLUSTER_CTAID_X] % shape[special - PTX_CLUSTER_CTAID_X];
    case PTX_CLUSTER_NCTAID_X:
    case PTX_CLUSTER_NCTAID_Y:
    case PTX_CLUSTER_NCTAID_Z:
        return shape[special - PTX_CLUSTER_NCTAID_X];
    case PTX_CLUSTER_CTARANK:
        return cta->rank;
    case PTX_CLUSTER_NCTARANK:
        return machine->ctas_per_cluster; /* the cluster may not have all of its CTAs yet */
    case PTX_LANEMASK_EQ:
        return 1u << lane;
    case PTX_LANEMASK_LE:
        return 0xffffffffu >> (31 - lane);
    case PTX_LANEMASK_LT:
        return (1u << lane) - 1;
    case PTX_LANEMASK_GE:
        return 0xffffffffu << lane;
    case PTX_LANEMASK_GT:
        return lane == 31 ? 0 : 0xffffffffu << (lane + 1);
    case PTX_TOTAL_SMEM_SIZE:
        return machine->program->shared_bytes - PTX_SHARED_RESERVED + grid->shared_bytes;
    case PTX_AGGR_SMEM_SIZE:
        return machine->program->shared_bytes + grid->shared_bytes;
    case PTX_DYNAMIC_SMEM_SIZE:
        return grid->shared_bytes;
    case PTX_RESERVED_SMEM_END:
    case PTX_RESERVED_SMEM_CAP:
        return PTX_SHARED_RESERVED;
    default:
        return 0;
    }
}

int ptx_warp_begin(struct ptx_warp *warp, struct ptx_cta *cta, uint32_t number)
{
    struct ptx_machine *machine = cta->machine;
    const struct ptx_program *program = machine->program;
    const size_t slots = (size_t)program->slot_count;
    const uint32_t left = cta->threads - number * PTX_LANES;
    *warp = (struct ptx_warp){
        .machine = machine,
        .cta = cta,
        .program = program,
        .number = number,
        .exists = left >= PTX_LANES ? PTX_ALL_LANES : (1u << left) - 1,
        .value = calloc(slots * PTX_LANES, sizeof *warp->value),
        .undefined = calloc(slots * PTX_LANES, 1),
        .some = calloc(slots, 1),
    };
    warp->live = warp->exists;
    if (!warp->value || !warp->undefined || !warp->some)
        return moe_error(MOE_E_NOMEM, "no memory for a warp's %d registers", program->slot_count);
    for (int32_t i = 0; i < program->preset_count; i++) {
        const struct ptx_preset *preset = &program->presets[i];
        for (int lane = 0; lane < PTX_LANES; lane++)
            ptx_row_to(warp, preset->slot)[lane] =
                preset->special < 0 ? preset->offset + ((uint64_t)cta->rank << PTX_RANK_SHIFT)
                                    : special_of(warp, (enum ptx_special)preset->special, lane);
    }
    for (int32_t i = 0; i < program->undefined_count; i++) {
        const int32_t slot = program->undefined_at_start[i];
        memset(warp->undefined + (int64_t)slot * PTX_LANES, 0xff, PTX_LANES);
        warp->some[slot] = 1;
    }
    return MOE_OK;
}

void ptx_warp_end(struct ptx_warp *warp)
{
    for (int lane = 0; lane < PTX_LANES; lane++)
        ptx_block_free(warp->machine, &warp->local[lane]);
    ptx_hopper_warp_end(warp);
    free(warp->value);
    free(warp->undefined);
    free(warp->some);
    warp->value = NULL;
    warp->undefined = warp->some = NULL;
}

void ptx_exit(struct ptx_warp *warp, uint32_t lanes)
{
    struct ptx_cta *cta = warp->cta;
    warp->live &= ~lanes;
    cta->live_threads -= (uint32_t)__builtin_popcount(lanes);
    ptx_cluster_after_exit(warp, lanes);
    warp->machine->progress = warp->machine->step;
    /* Who is gathered may have waited for these alone: it looks again. */
    warp->blocked &= ~warp->gathered;
    warp->gathered = 0;
    if (!warp->live)
        ptx_barriers_after_exit(cta);
    ptx_event(warp->machine);
}

/* ---- waits ----------------------------------------------------------------------------------- */

void ptx_event(struct ptx_machine *machine)
{
    machine->events++;
}

void ptx_block_lanes(struct ptx_warp *warp, uint32_t lanes, const struct ptx_wait *wait)
{
    for (uint32_t rest = lanes; rest; rest &= rest - 1)
        warp->wait[__builtin_ctz(rest)] = *wait;
    warp->blocked |= lanes;
    warp->events_seen = 0; /* it may be over already */
}

void ptx_warp_ask(struct ptx_warp *warp)
{
    if (warp->events_seen == warp->machine->events)
        return;
    warp->events_seen = warp->machine->events;
    for (uint32_t rest = warp->blocked & ~warp->gathered; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const struct ptx_wait_kind *kind = warp->wait[lane].kind;
        if (!kind->ready || !kind->ready(warp, lane))
            continue;
        warp->blocked &= ~(1u << lane);
        if (kind->wake)
            kind->wake(warp, lane);
    }
}

static void gather_describe(struct ptx_warp *warp, int lane, char *text, int length)
{
    const uint32_t named = (uint32_t)warp->wait[lane].argument[0];
    snprintf(text, (size_t)length, "lanes 0x%08x of its warp to come to this instruction",
             named & warp->live & ~warp->gathered);
}

static const struct ptx_wait_kind gather_wait = {NULL, NULL, gather_describe};

/*
 * Lanes have come to an instruction that some must run together. The lanes to run it with, or 0:
 * they wait, or it has been reported. Their pcs stay at it while they wait.
 */
static uint32_t gather(struct ptx_warp *warp, const struct ptx_code *code, uint32_t pc,
                       uint32_t lanes)
{
    const int first = __builtin_ctz(lanes);
    uint32_t named = warp->live;
    if (code->gather == PTX_GATHER_MASK) {
        if (ptx_require_defined(warp, code, code->mask, lanes, PTX_RULE_UNKNOWN_MEMBERMASK))
            return 0;
        named = (uint32_t)ptx_row(warp, code->mask)[first];
        /* Lanes that name others run apart. */
        for (uint32_t rest = lanes; rest; rest &= rest - 1)
            if ((uint32_t)ptx_row(warp, code->mask)[__builtin_ctz(rest)] != named)
                lanes &= ~(1u << __builtin_ctz(rest));
        if (!(named >> first & 1) || named & ~warp->live) {
            ptx_report(warp->machine, warp, code, first, PTX_RULE_MEMBERMASK, named,
                       "membermask 0x%08x at lane %d, where lanes 0x%08x are running", named, first,
                       warp->live);
            return 0;
        }
        lanes &= named;
    }
    uint32_t here = lanes;
    for (uint32_t rest = warp->gathered; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const struct ptx_code *other = warp->wait[lane].code;
        const uint32_t other_named = (uint32_t)warp->wait[lane].argument[0];
        if (warp->pc[lane] == pc && other_named == named) {
            here |= 1u << lane;
        } else if (named >> lane & 1 && other_named & lanes) {
            ptx_report(warp->machine, warp, code, first, PTX_RULE_GATHER, named,
                       "lane %d is here, and lane %d waits at line %d (%s) for lane %d", first,
                       lane, other->instruction->line, other->instruction->opcode->name, first);
            return 0;
        }
    }
    if ((here & named) == named) {
        warp->blocked &= ~named;
        warp->gathered &= ~named;
        return named;
    }
    const struct ptx_wait wait = {&gather_wait, code, {named, 0, 0}};
    ptx_block_lanes(warp, lanes, &wait);
    warp->gathered |= lanes;
    return 0;
}

/* ---- running --------------------------------------------------------------------------------- */

static void set_pcs(struct ptx_warp *warp, uint32_t lanes, uint32_t pc)
{
    for (uint32_t rest = lanes; rest; rest &= rest - 1)
        warp->pc[__builtin_ctz(rest)] = pc;
}

/* The lanes of those that can run that go first, and the next pc where others are. */
static uint32_t choose(struct ptx_warp *warp, uint32_t ready, uint32_t *pc, uint32_t *other)
{
    uint32_t lowest = UINT32_MAX, lanes = 0;
    for (uint32_t rest = ready; rest; rest &= rest - 1) {
        const uint32_t here = warp->pc[__builtin_ctz(rest)];
        if (here < lowest)
            lowest = here;
    }
    *other = UINT32_MAX;
    for (uint32_t rest = ready; rest; rest &= rest - 1)
        if (warp->pc[__builtin_ctz(rest)] == lowest)
            lanes |= rest & -rest;
    if (lanes != ready && warp->turns++ % 64 == 63) {
        /* Another turn: some lane's that is not at the lowest. */
        uint32_t others = ready & ~lanes;
        for (uint32_t skip = ptx_random_below(warp->machine, (uint32_t)__builtin_popcount(others));
             skip; skip--)
            others &= others - 1;
        lowest = warp->pc[__builtin_ctz(others)];
        lanes = 0;
        for (uint32_t rest = ready; rest; rest &= rest - 1)
            if (warp->pc[__builtin_ctz(rest)] == lowest)
                lanes |= rest & -rest;
    }
    for (uint32_t rest = ready & ~lanes; rest; rest &= rest - 1) {
        const uint32_t here = warp->pc[__builtin_ctz(rest)];
        if (here > lowest && here < *other)
            *other = here;
    }
    *pc = lowest;
    return lanes;
}

/* Of lanes, those whose guard holds. */
static uint32_t guarded(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const uint64_t *guard = ptx_row(warp, code->guard);
    uint32_t holds = 0;
    for (int lane = 0; lane < PTX_LANES; lane++)
        holds |= (uint32_t)(guard[lane] & 1) << lane;
    return lanes & (code->guard_negated ? ~holds : holds);
}

/* Runs `lanes`, all at pc, until they part, block, end or meet others, or the budget is spent. */
static void run_group(struct ptx_warp *warp, uint32_t lanes, uint32_t pc, uint32_t other,
                      uint32_t *budget)
{
    struct ptx_machine *machine = warp->machine;
    const struct ptx_code *all = warp->program->code;
    while (*budget) {
        const struct ptx_code *code = &all[pc];
        uint32_t act = lanes;
        (*budget)--;
        machine->step++;
        if (code->guard != PTX_NO_SLOT) {
            if (ptx_require_defined(warp, code, code->guard, lanes, PTX_RULE_UNKNOWN_GUARD))
                return;
            act = guarded(warp, code, lanes);
        }
        if (code->gather != PTX_ALONE && act) {
            const uint32_t come = act;
            set_pcs(warp, lanes & ~act, pc + 1);
            set_pcs(warp, come, pc);
            act = gather(warp, code, pc, come);
            if (act) {
                set_pcs(warp, act, pc + 1);
                machine->threads += (uint32_t)__builtin_popcount(act);
                for (struct ptx_watch *watch = machine->watches; watch; watch = watch->next)
                    if (watch->instruction)
                        watch->instruction(watch->data, warp, code, act);
                if (!code->touches || !ptx_flight_touch(warp, code))
                    code->execute(warp, code, act);
            }
            return;
        }
        machine->threads += (uint32_t)__builtin_popcount(act);
        if (act)
            for (struct ptx_watch *watch = machine->watches; watch; watch = watch->next)
                if (watch->instruction)
                    watch->instruction(watch->data, warp, code, act);
        pc++;
        if (code->touches && act && ptx_flight_touch(warp, code))
            return;
        if (code->ends) {
            set_pcs(warp, lanes, pc);
            if (act)
                code->execute(warp, code, act);
            if (act == lanes && code->flow == PTX_JUMP && other == UINT32_MAX) {
                pc = (uint32_t)code->target; /* all went, and nobody else is there */
                continue;
            }
            if (!act && pc != other)
                continue;
            return;
        }
        if (act)
            code->execute(warp, code, act);
        if (machine->stopped || pc == other)
            break;
    }
    set_pcs(warp, lanes, pc);
}

uint32_t ptx_warp_ready(const struct ptx_warp *warp)
{
    return warp->live & ~warp->blocked;
}

void ptx_warp_run(struct ptx_warp *warp, uint32_t budget)
{
    uint32_t ready;
    while (budget && !warp->machine->stopped && (ready = ptx_warp_ready(warp)) != 0) {
        uint32_t pc, other;
        const uint32_t lanes = choose(warp, ready, &pc, &other);
        run_group(warp, lanes, pc, other, &budget);
        if (warp->blocked & ~warp->gathered)
            ptx_warp_ask(warp);
    }
}

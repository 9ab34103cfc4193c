/*
 * exec_barrier.c - barriers of a CTA and of a warp, and fences.
 *
 * A barrier counts whole warps: what arrives is as many threads as have come, and the warp's last
 * missing lanes come with its first. Threads that have exited are not waited for.
 */
#include <stdio.h>
#include <string.h>

#include "gpu/ptx/machine.h"
#include "ref/moe.h"

enum { SYNC, ARRIVE, REDUCE };
enum { POPC, AND, OR };

/* ---- completion ------------------------------------------------------------------------------ */

static uint32_t live_warps(const struct ptx_cta *cta)
{
    uint32_t count = 0;
    for (uint32_t w = 0; w < cta->warp_count; w++)
        count += cta->warps[w].live != 0;
    return count;
}

static void complete(struct ptx_cta *cta, struct ptx_barrier *barrier)
{
    barrier->result = barrier->count;
    barrier->result_threads = barrier->predicates;
    barrier->phase++;
    barrier->expected = barrier->arrived = barrier->count = barrier->predicates = 0;
    barrier->all = 0;
    barrier->first = NULL;
    for (struct ptx_watch *watch = cta->machine->watches; watch; watch = watch->next)
        if (watch->complete)
            watch->complete(watch->data, barrier);
    cta->machine->progress = cta->machine->step;
    ptx_event(cta->machine);
}

/* Warps that end are not waited for by barriers of all. */
void ptx_barriers_after_exit(struct ptx_cta *cta)
{
    for (int i = 0; i < PTX_BARRIERS; i++) {
        struct ptx_barrier *barrier = &cta->barriers[i];
        if (barrier->all && barrier->arrived && barrier->arrived >= live_warps(cta) * PTX_LANES)
            complete(cta, barrier);
    }
}

/* ---- waiting --------------------------------------------------------------------------------- */

static struct ptx_barrier *barrier_of(struct ptx_warp *warp, int lane)
{
    return &warp->cta->barriers[warp->wait[lane].argument[0]];
}

static int barrier_ready(struct ptx_warp *warp, int lane)
{
    return barrier_of(warp, lane)->phase > warp->wait[lane].argument[1];
}

static void barrier_wake(struct ptx_warp *warp, int lane)
{
    const struct ptx_barrier *barrier = barrier_of(warp, lane);
    const struct ptx_code *code = warp->wait[lane].code;
    for (struct ptx_watch *watch = warp->machine->watches; watch; watch = watch->next)
        if (watch->leave)
            watch->leave(watch->data, warp, 1u << lane, barrier);
    if (code->data[0] != REDUCE)
        return;
    const uint64_t value = code->data[1] == POPC  ? barrier->result
                           : code->data[1] == AND ? barrier->result == barrier->result_threads
                                                  : barrier->result != 0;
    ptx_row_to(warp, code->d)[lane] = value;
    ptx_set_undefined(warp, code->d, lane, 0);
}

static void barrier_describe(struct ptx_warp *warp, int lane, char *text, int length)
{
    const struct ptx_barrier *barrier = barrier_of(warp, lane);
    snprintf(text, (size_t)length, "barrier %d, where %u of %u threads have arrived",
             (int)warp->wait[lane].argument[0], barrier->arrived, barrier->expected);
}

static const struct ptx_wait_kind barrier_wait = {barrier_ready, barrier_wake, barrier_describe};

/* data[0]: SYNC, ARRIVE, REDUCE; data[1]: the reduction; a: number; b: threads, or e NO_SLOT: all;
 * c: predicate; data[2]: it is negated. */
static void run_barrier(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    struct ptx_cta *cta = warp->cta;
    const int lane = __builtin_ctz(lanes);
    const int all = code->e == PTX_NO_SLOT;
    if (ptx_require_defined(warp, code, code->a, lanes, PTX_RULE_UNKNOWN_BARRIER_NUMBER) ||
        (!all && ptx_require_defined(warp, code, code->e, lanes, PTX_RULE_UNKNOWN_BARRIER_COUNT)))
        return;
    const uint64_t number = ptx_row(warp, code->a)[lane];
    const uint64_t threads = all ? live_warps(cta) * PTX_LANES : ptx_row(warp, code->e)[lane];
    for (uint32_t rest = lanes; rest; rest &= rest - 1)
        if (ptx_row(warp, code->a)[__builtin_ctz(rest)] != number ||
            (!all && ptx_row(warp, code->e)[__builtin_ctz(rest)] != threads)) {
            ptx_report(warp->machine, warp, code, __builtin_ctz(rest), PTX_RULE_BARRIER_LANES,
                       number, "lanes of one warp name different barriers or counts");
            return;
        }
    if (number >= PTX_BARRIERS || threads % PTX_LANES || threads == 0 ||
        threads > cta->warp_count * PTX_LANES) {
        ptx_report(warp->machine, warp, code, lane, PTX_RULE_BARRIER_RANGE, number,
                   "barrier %llu for %llu threads of a CTA of %u", (unsigned long long)number,
                   (unsigned long long)threads, cta->threads);
        return;
    }
    struct ptx_barrier *barrier = &cta->barriers[number];
    if (barrier->arrived && barrier->expected != threads && !(all && barrier->all)) {
        ptx_report(warp->machine, warp, code, lane, PTX_RULE_BARRIER_COUNT, number,
                   "barrier %llu for %llu threads, but line %d came to it for %u",
                   (unsigned long long)number, (unsigned long long)threads,
                   barrier->first ? barrier->first->instruction->line : 0, barrier->expected);
        return;
    }
    if (!barrier->arrived)
        barrier->first = code;
    barrier->expected = (uint32_t)threads;
    barrier->all = all;
    barrier->arrived += (uint32_t)__builtin_popcount(lanes);
    if (lanes & warp->live & -warp->live)
        barrier->arrived += PTX_LANES - (uint32_t)__builtin_popcount(warp->live);
    if (code->data[0] == REDUCE) {
        if (ptx_require_defined(warp, code, code->c, lanes, PTX_RULE_UNKNOWN_BARRIER_REDUCTION))
            return;
        for (uint32_t rest = lanes; rest; rest &= rest - 1)
            barrier->count +=
                (uint32_t)(ptx_row(warp, code->c)[__builtin_ctz(rest)] ^ code->data[2]) & 1;
        barrier->predicates += (uint32_t)__builtin_popcount(lanes);
    }
    for (struct ptx_watch *watch = warp->machine->watches; watch; watch = watch->next)
        if (watch->arrive)
            watch->arrive(watch->data, warp, lanes, barrier);
    if (barrier->arrived > threads) {
        ptx_report(warp->machine, warp, code, lane, PTX_RULE_BARRIER_MANY, number,
                   "%u threads at barrier %llu, which is for %llu", barrier->arrived,
                   (unsigned long long)number, (unsigned long long)threads);
        return;
    }
    if (code->data[0] != ARRIVE) {
        const struct ptx_wait wait = {&barrier_wait, code, {number, barrier->phase, 0}};
        ptx_block_lanes(warp, lanes, &wait);
    }
    if (barrier->arrived == threads)
        complete(cta, barrier);
}

static int lower_barrier(struct ptx_build *build, const struct ptx_instruction *instruction,
                         struct ptx_code *code)
{
    const int kind = (int)instruction->opcode->data;
    const int operands = code->place_count, first = kind == REDUCE;
    const int counted = operands - first - (kind == REDUCE) > 1;
    (void)build;
    code->execute = run_barrier;
    code->ends = 1;
    code->data[0] = (uint64_t)kind;
    code->data[1] = ptx_has(instruction, PTX_W_AND)  ? AND
                    : ptx_has(instruction, PTX_W_OR) ? OR
                                                     : POPC;
    code->a = code->places[first].slot;
    if (counted)
        code->e = code->places[first + 1].slot;
    if (kind == REDUCE) {
        code->c = code->places[operands - 1].slot;
        code->data[2] = code->places[operands - 1].negate;
    }
    return MOE_OK;
}

/* ---- bar.warp.sync --------------------------------------------------------------------------- */

static int warp_ready(struct ptx_warp *warp, int lane)
{
    const uint32_t mask = (uint32_t)warp->wait[lane].argument[0];
    for (uint32_t rest = mask; rest; rest &= rest - 1) {
        const int other = __builtin_ctz(rest);
        if (!(warp->blocked >> other & 1) || warp->wait[other].kind != warp->wait[lane].kind ||
            (uint32_t)warp->wait[other].argument[0] != mask)
            return 0;
    }
    return 1;
}

static void warp_describe(struct ptx_warp *warp, int lane, char *text, int length)
{
    snprintf(text, (size_t)length, "lanes 0x%08x of its warp at a bar.warp.sync",
             (unsigned)warp->wait[lane].argument[0]);
}

static const struct ptx_wait_kind warp_wait = {warp_ready, NULL, warp_describe};

/* Lanes may come to it at different instructions: they are let go together, by mask. */
static void run_warp_sync(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    if (ptx_require_defined(warp, code, code->a, lanes, PTX_RULE_UNKNOWN_WARP_SYNC_MASK))
        return;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const uint32_t mask = (uint32_t)ptx_row(warp, code->a)[lane];
        if (!(mask >> lane & 1) || mask & ~warp->exists) {
            ptx_report(warp->machine, warp, code, lane, PTX_RULE_WARP_SYNC_MASK, mask,
                       "membermask 0x%08x at lane %d of a warp of lanes 0x%08x", mask, lane,
                       warp->exists);
            return;
        }
        if (mask & ~warp->live) {
            ptx_report(warp->machine, warp, code, lane, PTX_RULE_WARP_SYNC_EXITED, mask,
                       "membermask 0x%08x names lanes 0x%08x, which have exited", mask,
                       mask & ~warp->live);
            return;
        }
        const struct ptx_wait wait = {&warp_wait, code, {mask, 0, 0}};
        ptx_block_lanes(warp, 1u << lane, &wait);
    }
    /* All that are there are let go at once: one by one the first would be missed by the others. */
    for (uint32_t rest = lanes & warp->blocked; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        if (!(warp->blocked >> lane & 1) || !warp_ready(warp, lane))
            continue;
        const uint32_t mask = (uint32_t)warp->wait[lane].argument[0];
        for (struct ptx_watch *watch = warp->machine->watches; watch; watch = watch->next) {
            if (watch->arrive)
                watch->arrive(watch->data, warp, mask, &warp->blocked);
            if (watch->complete)
                watch->complete(watch->data, &warp->blocked);
            if (watch->leave)
                watch->leave(watch->data, warp, mask, &warp->blocked);
        }
        warp->blocked &= ~mask;
    }
}

static int lower_warp_sync(struct ptx_build *build, const struct ptx_instruction *instruction,
                           struct ptx_code *code)
{
    (void)build, (void)instruction;
    code->execute = run_warp_sync;
    code->ends = 1;
    return MOE_OK;
}

/* ---- fences ---------------------------------------------------------------------------------- */

/* Memory is sequentially consistent here: a fence orders what watches see. */
static void run_fence(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    for (struct ptx_watch *watch = warp->machine->watches; watch; watch = watch->next)
        if (watch->fence)
            watch->fence(watch->data, warp, code, lanes);
}

static int lower_fence(struct ptx_build *build, const struct ptx_instruction *instruction,
                       struct ptx_code *code)
{
    (void)build;
    code->execute = run_fence;
    code->data[0] = ptx_order_of(instruction);
    return MOE_OK;
}

#define SYNCS(name, words, gather)                                                                 \
    {name ".sync", words, "", "Si Si?", lower_barrier, SYNC, gather},                              \
        {name ".arrive", words, "", "Si Si", lower_barrier, ARRIVE, gather},                       \
        {name ".red", "popc " words, "u32", "Di Si Bp", lower_barrier, REDUCE, gather},            \
        {name ".red", "popc " words, "u32", "Di Si Si Bp", lower_barrier, REDUCE, gather},         \
        {name ".red", "and or " words, "pred", "Pp Si Bp", lower_barrier, REDUCE, gather},         \
    {                                                                                              \
        name ".red", "and or " words, "pred", "Pp Si Si Bp", lower_barrier, REDUCE, gather         \
    }
#define RESTRICT "sync_restrict::shared::cta sync_restrict::shared::cluster"

/* bar is aligned by its name, barrier by the word. */
const struct ptx_opcode ptx_opcodes_barrier[] = {
    SYNCS("bar", "", PTX_GATHER_ALIGNED),
    SYNCS("bar.cta", "", PTX_GATHER_ALIGNED),
    SYNCS("barrier", "aligned", PTX_ALONE),
    SYNCS("barrier.cta", "aligned", PTX_ALONE),
    {"bar.warp.sync", "", "", "Si", lower_warp_sync, 0, PTX_ALONE},
    {"membar", "cta gl sys", "", "", lower_fence, 0, PTX_ALONE},
    {"fence", "sc acq_rel acquire release @scope " RESTRICT, "", "", lower_fence, 0, PTX_ALONE},
    {"fence.proxy", "alias async global shared::cta shared::cluster", "", "", lower_fence, 0,
     PTX_ALONE},
    {"fence.proxy", "tensormap::generic release @scope", "", "", lower_fence, 0, PTX_ALONE},
    {"fence.proxy", "tensormap::generic acquire @scope", "", "A* Ii", lower_fence, 0, PTX_ALONE},
    {"fence.proxy", "async::generic acquire release @scope " RESTRICT, "", "", lower_fence, 0,
     PTX_ALONE},
    {"fence.mbarrier_init", "release cluster", "", "", lower_fence, 0, PTX_ALONE},
    {"membar.proxy", "alias async", "", "", lower_fence, 0, PTX_ALONE},
    {0},
};

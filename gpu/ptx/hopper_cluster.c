/*
 * hopper_cluster.c - CTAs of one cluster: their barrier, addresses of each other's shared memory,
 * and stores and reductions there that an mbarrier counts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/hopper.h"
#include "ref/moe.h"

/* ---- barrier.cluster ------------------------------------------------------------------------- */

static uint32_t live_threads(const struct ptx_cluster *cluster)
{
    uint32_t count = 0;
    for (uint32_t c = 0; c < cluster->size; c++)
        count += cluster->ctas[c].live_threads;
    return count;
}

static void settle(struct ptx_machine *machine, struct ptx_cluster *cluster)
{
    if (cluster->arrived == 0 || cluster->arrived < live_threads(cluster))
        return;
    cluster->arrived = 0;
    cluster->phase++;
    for (struct ptx_watch *watch = machine->watches; watch; watch = watch->next)
        if (watch->complete)
            watch->complete(watch->data, cluster);
    machine->progress = machine->step;
    ptx_event(machine);
}

/* Threads that have exited are not waited for, whether they had come or not. */
void ptx_cluster_after_exit(struct ptx_warp *warp, uint32_t lanes)
{
    struct hopper_warp *hopper = warp->hopper;
    struct ptx_cluster *cluster = warp->cta->cluster;
    for (uint32_t rest = hopper ? hopper->at_cluster & lanes : 0; rest; rest &= rest - 1)
        if (hopper->cluster_phase[__builtin_ctz(rest)] == cluster->phase)
            cluster->arrived--;
    settle(warp->machine, cluster);
}

static int complain(struct ptx_warp *warp, const struct ptx_code *code, int lane,
                    enum ptx_rule rule)
{
    ptx_report(warp->machine, warp, code, lane, rule, 0, "%s", ptx_rules[rule].what);
    return 1;
}

static void run_arrive(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    struct hopper_warp *hopper = hopper_warp(warp);
    struct ptx_cluster *cluster = warp->cta->cluster;
    if (!hopper)
        return;
    if (hopper->at_cluster & lanes) {
        complain(warp, code, __builtin_ctz(hopper->at_cluster & lanes), PTX_RULE_CLUSTER_ARRIVE);
        return;
    }
    hopper->at_cluster |= lanes;
    for (uint32_t rest = lanes; rest; rest &= rest - 1)
        hopper->cluster_phase[__builtin_ctz(rest)] = cluster->phase;
    cluster->arrived += (uint32_t)__builtin_popcount(lanes);
    const int is_relaxed = ptx_has(code->instruction, PTX_W_RELAXED);
    for (struct ptx_watch *watch = warp->machine->watches; watch; watch = watch->next) {
        if (watch->arrive && !is_relaxed)
            watch->arrive(watch->data, warp, lanes, cluster);
        if (watch->arrive_relaxed && is_relaxed)
            watch->arrive_relaxed(watch->data, warp, lanes, cluster);
    }
    settle(warp->machine, cluster);
}

static int wait_ready(struct ptx_warp *warp, int lane)
{
    return warp->cta->cluster->phase > warp->wait[lane].argument[0];
}

static void wait_wake(struct ptx_warp *warp, int lane)
{
    struct hopper_warp *hopper = warp->hopper;
    hopper->at_cluster &= ~(1u << lane);
    for (struct ptx_watch *watch = warp->machine->watches; watch; watch = watch->next)
        if (watch->leave)
            watch->leave(watch->data, warp, 1u << lane, warp->cta->cluster);
}

static void wait_describe(struct ptx_warp *warp, int lane, char *text, int length)
{
    const struct ptx_cluster *cluster = warp->cta->cluster;
    (void)lane;
    snprintf(text, (size_t)length, "the cluster's barrier, where %u of %u threads have arrived",
             cluster->arrived, live_threads(cluster));
}

static const struct ptx_wait_kind cluster_wait = {wait_ready, wait_wake, wait_describe};

static void run_wait(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const struct hopper_warp *hopper = hopper_warp(warp);
    if (!hopper)
        return;
    if (lanes & ~hopper->at_cluster) {
        complain(warp, code, __builtin_ctz(lanes & ~hopper->at_cluster), PTX_RULE_CLUSTER_WAIT);
        return;
    }
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const struct ptx_wait wait = {&cluster_wait, code, {hopper->cluster_phase[lane], 0, 0}};
        ptx_block_lanes(warp, 1u << lane, &wait);
    }
}

static int lower_barrier(struct ptx_build *build, const struct ptx_instruction *instruction,
                         struct ptx_code *code)
{
    (void)build;
    code->ends = 1;
    code->execute = instruction->opcode->data ? run_wait : run_arrive;
    return MOE_OK;
}

/* ---- mapa, getctarank ------------------------------------------------------------------------ */

/* sign: addresses are generic. */
static void run_mapa(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const uint64_t *a = ptx_row(warp, code->a), *b = ptx_row(warp, code->b);
    if (ptx_require_defined(warp, code, code->a, lanes, PTX_RULE_UNKNOWN_MAPA_ADDRESS) ||
        ptx_require_defined(warp, code, code->b, lanes, PTX_RULE_UNKNOWN_RANK))
        return;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const uint64_t rank = (uint32_t)b[lane];
        uint64_t address = a[lane];
        if (rank >= warp->cta->cluster->size) {
            ptx_report(warp->machine, warp, code, lane, PTX_RULE_MAPA_RANK, address,
                       "rank %llu of a cluster of %u", (unsigned long long)rank,
                       warp->cta->cluster->size);
            return;
        }
        if (code->sign && hopper_to_space(warp, code, lane, PTX_GENERIC, &address))
            return;
        ptx_row_to(warp, code->d)[lane] = (code->sign ? PTX_WINDOW_SHARED : 0) |
                                          rank << PTX_RANK_SHIFT | (address & PTX_OFFSET_MASK);
        ptx_set_undefined(warp, code->d, lane, 0);
    }
}

static void run_getctarank(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    if (ptx_require_defined(warp, code, code->a, lanes, PTX_RULE_UNKNOWN_RANKED_ADDRESS))
        return;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        uint64_t address = ptx_row(warp, code->a)[lane];
        if (code->sign && hopper_to_space(warp, code, lane, PTX_GENERIC, &address))
            return;
        ptx_row_to(warp, code->d)[lane] = address >> PTX_RANK_SHIFT;
        ptx_set_undefined(warp, code->d, lane, 0);
    }
}

static int lower_rank(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    (void)build;
    code->sign = !ptx_has(instruction, PTX_W_SHARED_CLUSTER);
    code->execute = instruction->opcode->data ? run_getctarank : run_mapa;
    return MOE_OK;
}

/* ---- st.async, red.async --------------------------------------------------------------------- */

static int write_values(struct ptx_machine *machine, struct ptx_effect *effect, uint64_t to)
{
    const struct hopper_bulk *bulk = effect->data;
    struct ptx_access access;
    const int reduces = bulk->reduction.operation != HOPPER_NO_OPERATION;
    hopper_engine_access(effect, reduces ? PTX_ATOMIC : PTX_WRITE, PTX_PROXY_GENERIC,
                         PTX_SPACE_SHARED_CLUSTER, bulk->bytes, bulk->bytes, &access);
    access.order = reduces ? PTX_ORDER_RELAXED : PTX_ORDER_WEAK;
    access.scope = PTX_SCOPE_CLUSTER;
    access.address[0] = to;
    if (ptx_access(machine, &access))
        return 1;
    if (reduces) {
        hopper_reduce(&bulk->reduction, access.data[0], access.known[0], bulk->data, bulk->known,
                      bulk->bytes);
    } else {
        memcpy(access.data[0], bulk->data, bulk->bytes);
        memcpy(access.known[0], bulk->known, bulk->bytes);
    }
    return 0;
}

/* What the registers hold now, which the thread may change at once. */
static int take_values(struct ptx_warp *warp, const struct ptx_code *code, int lane,
                       struct hopper_bulk *bulk)
{
    const struct ptx_place *values = &code->places[1];
    const uint32_t element = code->bits / 8u;
    bulk->data = calloc(1, bulk->bytes);
    bulk->known = calloc(1, bulk->bytes);
    if (!bulk->data || !bulk->known)
        return 1;
    for (uint32_t i = 0; i < code->count; i++) {
        const int32_t slot = values->kind == PTX_VECTOR ? values->part[i].slot : values->slot;
        const uint8_t undefined = ptx_undefined(warp, slot, lane);
        memcpy(bulk->data + i * element, &ptx_row(warp, slot)[lane], element);
        for (uint32_t b = 0; b < element; b++)
            bulk->known[i * element + b] = !(undefined >> b & 1);
    }
    bulk->is_read = 1;
    return 0;
}

static void run_store(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    for (uint32_t rest = lanes; rest && !warp->machine->stopped; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        struct ptx_effect *effect =
            hopper_effect(warp, code, 1u << lane, PTX_NO_GROUP, sizeof(struct hopper_bulk));
        if (!effect)
            return;
        struct hopper_bulk *bulk = effect->data;
        bulk->bytes = code->bits / 8u * code->count;
        bulk->to_space = PTX_SPACE_SHARED_CLUSTER;
        bulk->write = write_values;
        hopper_reduction_find((enum hopper_operation)code->data[0],
                              (enum ptx_type)code->instruction->types[0], &bulk->reduction);
        const int wrong =
            hopper_address(warp, code, &code->places[0], lane, &bulk->to) ||
            !(bulk->targets = hopper_targets(warp, code, lane, NULL, bulk->to)) ||
            hopper_barrier_of(warp, code, lane, &code->places[2], bulk->to, &bulk->barrier) ||
            take_values(warp, code, lane, bulk);
        if (wrong) {
            free(bulk->data);
            free(bulk->known);
            free(bulk);
            free(effect);
            return;
        }
        hopper_bulk_start(warp, effect);
    }
}

static int lower_store(struct ptx_build *build, const struct ptx_instruction *instruction,
                       struct ptx_code *code)
{
    struct hopper_reduction reduction;
    const struct ptx_place *values = &code->places[1];
    const enum ptx_type type = (enum ptx_type)instruction->types[0];
    code->execute = run_store;
    code->bits = (uint8_t)ptx_types[type].bits;
    code->count = (uint8_t)(ptx_has(instruction, PTX_W_V4)   ? 4
                            : ptx_has(instruction, PTX_W_V2) ? 2
                                                             : 1);
    code->data[0] =
        instruction->opcode->data ? hopper_operation_of(instruction) : HOPPER_NO_OPERATION;
    if (!ptx_has(instruction, PTX_W_MBARRIER_COMPLETE_TX))
        return ptx_refuse(build, ".mbarrier::complete_tx::bytes is missing");
    if (instruction->opcode->data &&
        (code->data[0] == HOPPER_NO_OPERATION ||
         !hopper_reduction_find((enum hopper_operation)code->data[0], type, &reduction)))
        return ptx_refuse(build, "no such operation on this type");
    if ((values->kind == PTX_VECTOR ? values->count : 1) != code->count)
        return ptx_refuse(build, "a vector of another length than the words say");
    return MOE_OK;
}

const struct ptx_opcode ptx_opcodes_cluster[] = {
    {"barrier.cluster.arrive", "release relaxed aligned", "", "", lower_barrier, 0, 0},
    {"barrier.cluster.wait", "acquire aligned", "", "", lower_barrier, 1, 0},
    {"mapa", "shared::cluster", "u32 u64", "D0 S* Si", lower_rank, 0, 0},
    {"getctarank", "shared::cluster", "u32 u64", "Di S*", lower_rank, 1, 0},
    {"st.async", "weak relaxed release @scope shared::cluster mbarrier::complete_tx::bytes v2 v4",
     "b32 u32 s32 f32 b64 u64 s64 f64", "A* W* A*", lower_store, 0, 0},
    {"red.async",
     "relaxed release @scope shared::cluster mbarrier::complete_tx::bytes inc dec min max add and "
     "or xor",
     "b32 u32 s32 b64 u64 s64", "A* S0 A*", lower_store, 1, 0},
    {0},
};

/*
 * hopper_bulk.c - bulk copies and reductions of bytes in a row: first all is read, then all is
 * written, CTA after CTA where it goes to several; then the mbarrier hears of it.
 */
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/geometry.h"
#include "gpu/ptx/hopper.h"
#include "ref/moe.h"

/* ---- performing ------------------------------------------------------------------------------ */

static void free_bulk(struct ptx_effect *effect)
{
    struct hopper_bulk *bulk = effect->data;
    free(bulk->data);
    free(bulk->known);
    free(bulk->tensor);
    free(bulk);
}

int hopper_bulk_read(struct ptx_machine *machine, struct ptx_effect *effect)
{
    struct hopper_bulk *bulk = effect->data;
    if (bulk->is_read)
        return 0;
    if (ptx_is_shared(bulk->from_space) && hopper_is_there(machine, effect, bulk->from))
        return 1;
    bulk->data = calloc(1, bulk->bytes + 1);
    bulk->known = calloc(1, bulk->bytes + 1);
    if (!bulk->data || !bulk->known) {
        ptx_report(machine, effect->warp, effect->code, effect->lane, PTX_RULE_NO_MEMORY, 0,
                   "no memory for a copy of %u bytes", bulk->bytes);
        return 1;
    }
    bulk->is_read = 1;
    return bulk->read(machine, effect);
}

/* One of the CTAs that it goes to, whichever comes first. */
static int some_target(struct ptx_machine *machine, uint32_t targets)
{
    for (uint32_t skip = ptx_random_below(machine, (uint32_t)__builtin_popcount(targets)); skip;
         skip--)
        targets &= targets - 1;
    return __builtin_ctz(targets);
}

static int perform(struct ptx_machine *machine, struct ptx_effect *effect)
{
    struct hopper_bulk *bulk = effect->data;
    if (!bulk->is_read)
        return hopper_bulk_read(machine, effect);
    if (!ptx_is_shared(bulk->to_space)) {
        if (!bulk->write(machine, effect, bulk->to))
            hopper_finished(machine, effect, NULL);
        return 1;
    }
    const int rank = some_target(machine, bulk->targets);
    const uint64_t base = (uint64_t)rank << PTX_RANK_SHIFT;
    const uint64_t to = (bulk->to & PTX_OFFSET_MASK) | base;
    const uint64_t barrier = (bulk->barrier & PTX_OFFSET_MASK) | base;
    if (hopper_is_there(machine, effect, to) || bulk->write(machine, effect, to) ||
        hopper_complete_bytes(machine, effect, barrier, bulk->bytes))
        return 1;
    bulk->targets &= ~(1u << rank);
    return bulk->targets == 0;
}

void hopper_bulk_start(struct ptx_warp *warp, struct ptx_effect *effect)
{
    effect->perform = perform;
    effect->free = free_bulk;
    hopper_start(warp->machine, effect);
}

/* ---- bytes in a row -------------------------------------------------------------------------- */

static int read_row(struct ptx_machine *machine, struct ptx_effect *effect)
{
    struct hopper_bulk *bulk = effect->data;
    struct ptx_access access;
    hopper_engine_access(effect, PTX_READ, PTX_PROXY_ASYNC, bulk->from_space, bulk->bytes, 16,
                         &access);
    access.address[0] = bulk->from;
    if (ptx_access(machine, &access))
        return 1;
    memcpy(bulk->data, access.data[0], bulk->bytes);
    memcpy(bulk->known, access.known[0], bulk->bytes);
    return 0;
}

static int write_row(struct ptx_machine *machine, struct ptx_effect *effect, uint64_t to)
{
    struct hopper_bulk *bulk = effect->data;
    struct ptx_access access;
    const int reduces = bulk->reduction.operation != HOPPER_NO_OPERATION;
    hopper_engine_access(effect, reduces ? PTX_ATOMIC : PTX_WRITE, PTX_PROXY_ASYNC,
                         ptx_is_shared(bulk->to_space) ? PTX_SPACE_SHARED_CLUSTER : bulk->to_space,
                         bulk->bytes, 16, &access);
    access.order = reduces ? PTX_ORDER_RELAXED : PTX_ORDER_WEAK;
    access.scope = PTX_SCOPE_GPU;
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

/* ---- operands -------------------------------------------------------------------------------- */

int ptx_is_shared(enum ptx_space space)
{
    return space == PTX_SPACE_SHARED || space == PTX_SPACE_SHARED_CLUSTER;
}

void hopper_spaces(const struct ptx_instruction *instruction, enum ptx_space *to,
                   enum ptx_space *from)
{
    enum ptx_space *const places[] = {to, from};
    int count = 0;
    *to = *from = PTX_SPACE_GLOBAL;
    for (int i = 0; i < instruction->word_count && count < 2; i++) {
        const uint16_t word = instruction->words[i];
        if (word == PTX_W_GLOBAL)
            *places[count++] = PTX_SPACE_GLOBAL;
        else if (word == PTX_W_SHARED_CTA)
            *places[count++] = PTX_SPACE_SHARED;
        else if (word == PTX_W_SHARED_CLUSTER)
            *places[count++] = PTX_SPACE_SHARED_CLUSTER;
    }
}

uint32_t hopper_targets(struct ptx_warp *warp, const struct ptx_code *code, int lane,
                        const struct ptx_place *mask, uint64_t to)
{
    const uint32_t size = warp->cta->cluster->size;
    const uint64_t rank = to >> PTX_RANK_SHIFT;
    uint64_t targets = rank < size ? UINT64_C(1) << rank : 0;
    if (mask) {
        if (ptx_require_defined(warp, code, mask->slot, 1u << lane, PTX_RULE_UNKNOWN_CTA_MASK))
            return 0;
        targets = ptx_row(warp, mask->slot)[lane] & 0xffff;
    }
    if (targets && targets >> size == 0)
        return (uint32_t)targets;
    ptx_report(warp->machine, warp, code, lane, PTX_RULE_BULK_TARGETS, to,
               "destination CTAs 0x%llx of a cluster of %u", (unsigned long long)targets, size);
    return 0;
}

int hopper_barrier_of(struct ptx_warp *warp, const struct ptx_code *code, int lane,
                      const struct ptx_place *place, uint64_t to, uint64_t *barrier)
{
    if (hopper_address(warp, code, place, lane, barrier))
        return 1;
    if (*barrier >> PTX_RANK_SHIFT == to >> PTX_RANK_SHIFT)
        return 0;
    ptx_report(warp->machine, warp, code, lane, PTX_RULE_BULK_BARRIER, *barrier,
               "the destination is in CTA rank %u's shared memory, the mbarrier in rank %u's",
               (unsigned)(to >> PTX_RANK_SHIFT), (unsigned)(*barrier >> PTX_RANK_SHIFT));
    return 1;
}

/* ---- cp.async.bulk, cp.reduce.async.bulk ------------------------------------------------------
 */

/* data[0]: the place of the mask of CTAs, 0: none. */
static int fill_operands(struct ptx_warp *warp, const struct ptx_code *code, int lane,
                         struct hopper_bulk *bulk)
{
    const struct ptx_place *places = code->places;
    hopper_spaces(code->instruction, &bulk->to_space, &bulk->from_space);
    if (hopper_address(warp, code, &places[0], lane, &bulk->to) ||
        hopper_address(warp, code, &places[1], lane, &bulk->from) ||
        ptx_require_defined(warp, code, code->a, 1u << lane, PTX_RULE_UNKNOWN_BULK_SIZE))
        return 1;
    bulk->bytes = (uint32_t)ptx_row(warp, code->a)[lane];
    if (geometry_bulk_check(bulk->to, bulk->from, bulk->bytes)) {
        ptx_report(warp->machine, warp, code, lane, PTX_RULE_BULK_MULTIPLES, bulk->to, "%s",
                   moe_error_text());
        return 1;
    }
    if (!ptx_is_shared(bulk->to_space))
        return 0;
    bulk->targets =
        hopper_targets(warp, code, lane, code->data[0] ? &places[code->data[0]] : NULL, bulk->to);
    return !bulk->targets ||
           hopper_barrier_of(warp, code, lane, &places[3], bulk->to, &bulk->barrier);
}

static void run_bulk(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const int in_group = ptx_has(code->instruction, PTX_W_BULK_GROUP);
    for (uint32_t rest = lanes; rest && !warp->machine->stopped; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        struct ptx_effect *effect =
            hopper_effect(warp, code, 1u << lane, in_group ? PTX_GROUP_BULK : PTX_NO_GROUP,
                          sizeof(struct hopper_bulk));
        if (!effect)
            return;
        struct hopper_bulk *bulk = effect->data;
        bulk->read = read_row;
        bulk->write = write_row;
        hopper_reduction_find((enum hopper_operation)code->count, (enum ptx_type)code->data[1],
                              &bulk->reduction);
        if (fill_operands(warp, code, lane, bulk)) {
            free_bulk(effect);
            free(effect);
            return;
        }
        hopper_bulk_start(warp, effect);
    }
}

int hopper_lower_completion(struct ptx_build *build, const struct ptx_instruction *instruction,
                            enum ptx_space to, int before, struct ptx_code *code)
{
    const int in_group = ptx_has(instruction, PTX_W_BULK_GROUP);
    const int multicast = ptx_has(instruction, PTX_W_MULTICAST_CLUSTER);
    const int count = before + !in_group + multicast + ptx_has(instruction, PTX_W_L2_CACHE_HINT);
    if (ptx_is_shared(to) == in_group ||
        in_group == ptx_has(instruction, PTX_W_MBARRIER_COMPLETE_TX))
        return ptx_refuse(build, "a copy to shared memory is .mbarrier::complete_tx::bytes, one to "
                                 "global memory .bulk_group");
    if (code->place_count != count)
        return ptx_refuse(build, "%d operands where the words ask for %d", code->place_count,
                          count);
    if (!in_group && code->places[before].kind != PTX_ADDRESS)
        return ptx_refuse(build, "the mbarrier is an address");
    code->data[0] = multicast ? (uint64_t)before + 1 : 0;
    return MOE_OK;
}

static int lower_bulk(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    enum ptx_space to, from;
    struct hopper_reduction reduction;
    code->execute = run_bulk;
    hopper_spaces(instruction, &to, &from);
    code->count = HOPPER_NO_OPERATION;
    code->data[1] = instruction->type_count ? instruction->types[0] : PTX_B8;
    if (ptx_is_shared(to) ? to == from : !ptx_is_shared(from))
        return ptx_refuse(build,
                          "the spaces are to be of global and shared memory, or of two CTAs");
    if (instruction->opcode->data) {
        code->count = (uint8_t)hopper_operation_of(instruction);
        if (code->count == HOPPER_NO_OPERATION ||
            !hopper_reduction_find((enum hopper_operation)code->count, (enum ptx_type)code->data[1],
                                   &reduction))
            return ptx_refuse(build, "no such operation on this type");
    }
    return hopper_lower_completion(build, instruction, to, 3, code);
}

/* A prefetch changes nothing, and what is nowhere may be prefetched. */
static void run_nothing(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    (void)warp, (void)code, (void)lanes;
}

static int lower_prefetch(struct ptx_build *build, const struct ptx_instruction *instruction,
                          struct ptx_code *code)
{
    (void)build, (void)instruction;
    code->execute = run_nothing;
    return MOE_OK;
}

const struct ptx_opcode ptx_opcodes_bulk[] = {
    {"cp.async.bulk",
     "shared::cluster shared::cta global mbarrier::complete_tx::bytes bulk_group "
     "multicast::cluster L2::cache_hint",
     "", "A* A* Si M*? M*? M*?", lower_bulk, 0, 0},
    {"cp.async.bulk.prefetch", "L2 global L2::cache_hint", "", "A* Si Sl?", lower_prefetch, 0, 0},
    {"cp.async.bulk.prefetch.tensor",
     "1d 2d 3d 4d 5d L2 global tile im2col tile::gather4 L2::cache_hint", "", "T* M*? M*?",
     lower_prefetch, 0, 0},
    {"cp.reduce.async.bulk",
     "shared::cluster shared::cta global mbarrier::complete_tx::bytes bulk_group L2::cache_hint "
     "add min max inc dec and or xor noftz",
     "f16 bf16 b32 u32 s32 b64 u64 s64 f32 f64", "A* A* Si M*? Sl?", lower_bulk, 1, 0},
    {0},
};

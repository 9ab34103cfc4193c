/*
 * hopper_copy.c - cp.async: copies of 4, 8 or 16 bytes a lane to shared memory, in groups of their
 * threads or counted by an mbarrier. Of the generic proxy, but not of the thread.
 */
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/hopper.h"
#include "ref/moe.h"

/* Lanes of one instruction that copy together. */
struct copy {
    uint32_t bytes; /* written, of a lane */
    uint64_t to[PTX_LANES], from[PTX_LANES];
    uint32_t size[PTX_LANES]; /* read; zeros behind */
};

/* Lanes that read as many bytes as the first. */
static uint32_t alike(const struct copy *copy, uint32_t lanes)
{
    const uint32_t size = copy->size[__builtin_ctz(lanes)];
    uint32_t same = 0;
    for (uint32_t rest = lanes; rest; rest &= rest - 1)
        if (copy->size[__builtin_ctz(rest)] == size)
            same |= rest & -rest;
    return same;
}

static int perform_copy(struct ptx_machine *machine, struct ptx_effect *effect)
{
    const struct copy *copy = effect->data;
    struct ptx_access from, to;
    uint8_t data[PTX_LANES][16] = {{0}}, known[PTX_LANES][16];
    memset(known, 1, sizeof known);
    for (uint32_t left = effect->lanes; left;) {
        const uint32_t lanes = alike(copy, left);
        const uint32_t size = copy->size[__builtin_ctz(left)];
        left &= ~lanes;
        if (size == 0)
            continue;
        hopper_engine_access(effect, PTX_READ, PTX_PROXY_GENERIC, PTX_SPACE_GLOBAL, size, 1, &from);
        from.lanes = lanes;
        memcpy(from.address, copy->from, sizeof from.address);
        if (ptx_access(machine, &from))
            return 1;
        for (uint32_t rest = lanes; rest; rest &= rest - 1) {
            const int lane = __builtin_ctz(rest);
            memcpy(data[lane], from.data[lane], size);
            memcpy(known[lane], from.known[lane], size);
        }
    }
    if (hopper_is_there(machine, effect, copy->to[effect->lane]))
        return 1;
    hopper_engine_access(effect, PTX_WRITE, PTX_PROXY_GENERIC, PTX_SPACE_SHARED, copy->bytes,
                         copy->bytes, &to);
    to.lanes = effect->lanes;
    memcpy(to.address, copy->to, sizeof to.address);
    if (ptx_access(machine, &to))
        return 1;
    for (uint32_t rest = effect->lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        memcpy(to.data[lane], data[lane], copy->bytes);
        memcpy(to.known[lane], known[lane], copy->bytes);
    }
    hopper_finished(machine, effect, NULL);
    return 1;
}

static void free_data(struct ptx_effect *effect)
{
    free(effect->data);
}

/* Lanes of one group of their threads. */
static uint32_t of_one_group(struct ptx_warp *warp, uint32_t lanes)
{
    const struct hopper_warp *hopper = hopper_warp(warp);
    uint32_t same = 0;
    if (!hopper)
        return lanes;
    const uint64_t *groups = hopper->committed[PTX_GROUP_COPY];
    for (uint32_t rest = lanes; rest; rest &= rest - 1)
        if (groups[__builtin_ctz(rest)] == groups[__builtin_ctz(lanes)])
            same |= rest & -rest;
    return same;
}

/* The bytes that every lane reads. 0, or reported. */
static int sizes(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes,
                 struct copy *copy)
{
    const uint64_t *given = ptx_row(warp, code->e);
    if (ptx_require_defined(warp, code, code->e, lanes, PTX_RULE_UNKNOWN_COPY_SIZE))
        return 1;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        copy->size[lane] = code->sign ? (given[lane] ^ code->data[1]) & 1 ? 0 : copy->bytes
                                      : (uint32_t)given[lane];
        if (copy->size[lane] > copy->bytes) {
            ptx_report(warp->machine, warp, code, lane, PTX_RULE_COPY_SIZE, copy->from[lane],
                       "a source of %u bytes where %u are copied", copy->size[lane], copy->bytes);
            return 1;
        }
        if (copy->from[lane] % copy->bytes) {
            ptx_report(warp->machine, warp, code, lane, PTX_RULE_COPY_MISALIGNED, copy->from[lane],
                       "a source at 0x%llx, which is no multiple of %u",
                       (unsigned long long)copy->from[lane], copy->bytes);
            return 1;
        }
    }
    return 0;
}

/* data[0]: bytes; e: bytes read; sign: e is a predicate that says to read none, data[1] negates. */
static void run_copy(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    struct copy all = {.bytes = (uint32_t)code->data[0]};
    if (ptx_address(warp, code, &code->places[0], lanes, all.to) ||
        ptx_address(warp, code, &code->places[1], lanes, all.from) ||
        sizes(warp, code, lanes, &all))
        return;
    while (lanes && !warp->machine->stopped) {
        const uint32_t together = of_one_group(warp, lanes);
        struct ptx_effect *effect = hopper_effect(warp, code, together, PTX_GROUP_COPY, sizeof all);
        if (!effect)
            return;
        memcpy(effect->data, &all, sizeof all);
        effect->perform = perform_copy;
        effect->free = free_data;
        lanes &= ~together;
        hopper_start(warp->machine, effect);
    }
}

static int lower_copy(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    const struct ptx_place *places = code->places;
    const uint64_t bytes = places[2].offset;
    const int hinted = ptx_has(instruction, PTX_W_L2_CACHE_HINT);
    const int more = code->place_count - 3 - hinted; /* src-size or ignore-src */
    code->execute = run_copy;
    code->data[0] = bytes;
    if ((bytes != 4 && bytes != 8 && bytes != 16) ||
        (ptx_has(instruction, PTX_W_CG) && bytes != 16))
        return ptx_refuse(build, "cp-size is 4, 8 or 16, with .cg 16");
    if (more < 0 || more > 1)
        return ptx_refuse(build, "operands: [to], [from], cp-size, src-size, cache-policy");
    if (!more)
        return ptx_build_constant(build, bytes, &code->e);
    code->e = places[3].slot;
    code->sign = places[3].kind == PTX_REGISTER && places[3].type == PTX_PRED;
    code->data[1] = places[3].negate;
    return MOE_OK;
}

/* ---- groups ---------------------------------------------------------------------------------- */

static void run_wait_group(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    hopper_join(warp, lanes, (enum ptx_group_kind)code->count, code->data[0],
                ptx_has(code->instruction, PTX_W_READ));
}

static void run_wait_all(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    hopper_commit(warp, code, lanes);
    hopper_join(warp, lanes, PTX_GROUP_COPY, 0, 0);
}

static int lower_commit(struct ptx_build *build, const struct ptx_instruction *instruction,
                        struct ptx_code *code)
{
    (void)build;
    code->execute = hopper_commit;
    code->count = (uint8_t)instruction->opcode->data;
    return MOE_OK;
}

static int lower_wait_group(struct ptx_build *build, const struct ptx_instruction *instruction,
                            struct ptx_code *code)
{
    (void)build;
    code->execute = run_wait_group;
    code->count = (uint8_t)instruction->opcode->data;
    code->data[0] = code->places[0].offset;
    return MOE_OK;
}

static int lower_wait_all(struct ptx_build *build, const struct ptx_instruction *instruction,
                          struct ptx_code *code)
{
    (void)build, (void)instruction;
    code->execute = run_wait_all;
    code->count = PTX_GROUP_COPY;
    return MOE_OK;
}

/* ---- arrivals at an mbarrier when copies are done -------------------------------------------- */

struct arrival {
    uint64_t address[PTX_LANES];
};

static int is_before(const struct ptx_effect *effect, const void *argument)
{
    const struct ptx_effect *arrival = argument;
    return effect->warp == arrival->warp && effect->kind == PTX_GROUP_COPY &&
           effect->lanes & arrival->lanes && effect->agent < arrival->agent;
}

/* Nothing, while copies of the lanes are under way. */
static int perform_arrival(struct ptx_machine *machine, struct ptx_effect *effect)
{
    const struct arrival *arrival = effect->data;
    if (ptx_async_pending(machine, is_before, effect))
        return 0;
    for (uint32_t rest = effect->lanes; rest && !machine->stopped; rest &= rest - 1) {
        effect->lane = __builtin_ctz(rest);
        hopper_arrive_later(machine, effect, arrival->address[effect->lane]);
    }
    return 1;
}

static void run_arrival(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    struct ptx_effect *effect =
        hopper_effect(warp, code, lanes, PTX_NO_GROUP, sizeof(struct arrival));
    struct arrival *arrival = effect ? effect->data : NULL;
    if (!effect)
        return;
    int wrong = ptx_address(warp, code, &code->places[0], lanes, arrival->address);
    for (uint32_t rest = lanes; rest && !wrong; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        wrong =
            hopper_to_space(warp, code, lane, (enum ptx_space)code->space, &arrival->address[lane]);
        if (!wrong && !ptx_has(code->instruction, PTX_W_NOINC))
            wrong = hopper_pending_one_more(warp, code, lane, arrival->address[lane]);
    }
    if (wrong) {
        free(effect->data);
        free(effect);
        return;
    }
    effect->perform = perform_arrival;
    effect->free = free_data;
    hopper_start(warp->machine, effect);
}

static int lower_arrival(struct ptx_build *build, const struct ptx_instruction *instruction,
                         struct ptx_code *code)
{
    (void)build, (void)instruction;
    code->execute = run_arrival;
    return MOE_OK;
}

const struct ptx_opcode ptx_opcodes_copy[] = {
    {"cp.async", "ca cg shared shared::cta global L2::cache_hint L2::64B L2::128B L2::256B", "",
     "A* A* Ii S*? Sl?", lower_copy, 0, 0},
    {"cp.async.commit_group", "", "", "", lower_commit, PTX_GROUP_COPY, 0},
    {"cp.async.wait_group", "", "", "Ii", lower_wait_group, PTX_GROUP_COPY, 0},
    {"cp.async.wait_all", "", "", "", lower_wait_all, 0, 0},
    {"cp.async.mbarrier.arrive", "noinc shared shared::cta", "b64", "A*", lower_arrival, 0, 0},
    {"cp.async.bulk.commit_group", "", "", "", lower_commit, PTX_GROUP_BULK, 0},
    {"cp.async.bulk.wait_group", "read", "", "Ii", lower_wait_group, PTX_GROUP_BULK, 0},
    {0},
};

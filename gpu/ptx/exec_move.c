/*
 * exec_move.c - mov with all that it takes; cvta and isspacep, which are arithmetic on windows.
 */
#include <stddef.h>

#include "gpu/ptx/machine.h"

static uint64_t same(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)b, (void)c, (void)how;
    return a;
}

static void run_mov(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const uint64_t *a = ptx_row(warp, code->a);
    uint64_t *d = ptx_row_to(warp, code->d);
    ptx_spread_undefined(warp, code, lanes);
    if (lanes == PTX_ALL_LANES)
        for (int lane = 0; lane < PTX_LANES; lane++)
            d[lane] = a[lane];
    else
        for (uint32_t rest = lanes; rest; rest &= rest - 1)
            d[__builtin_ctz(rest)] = a[__builtin_ctz(rest)];
}

/* !p, as a source */
static uint64_t opposite(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)b, (void)c, (void)how;
    return !a;
}

/* ---- vectors --------------------------------------------------------------------------------- */

/* Parts are `bits` wide. */
static void run_pack(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const struct ptx_place *vector = &code->places[1];
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        uint64_t value = 0;
        uint32_t bytes = 0;
        for (int i = 0; i < vector->count; i++) {
            const int32_t slot = vector->part[i].slot;
            value |= (ptx_row(warp, slot)[lane] & (UINT64_MAX >> (64 - code->bits)))
                     << code->bits * i;
            bytes |= (uint32_t)(ptx_undefined(warp, slot, lane) & ((1u << code->bits / 8) - 1))
                     << code->bits / 8 * i;
        }
        ptx_row_to(warp, code->d)[lane] = value;
        ptx_set_undefined(warp, code->d, lane, (uint8_t)bytes);
    }
}

static void run_unpack(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const struct ptx_place *vector = &code->places[0];
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        /* A part may share the source's slot: it is read once. */
        const uint64_t value = ptx_row(warp, code->a)[lane];
        const uint8_t bytes = ptx_undefined(warp, code->a, lane);
        for (int i = 0; i < vector->count; i++) {
            const int32_t slot = vector->part[i].slot;
            ptx_row_to(warp, slot)[lane] =
                value >> code->bits * i & (UINT64_MAX >> (64 - code->bits));
            ptx_set_undefined(warp, slot, lane,
                              bytes >> code->bits / 8 * i & ((1u << code->bits / 8) - 1));
        }
    }
}

/* ---- what changes by itself ------------------------------------------------------------------ */

static void run_clock(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const enum ptx_special special = (enum ptx_special)code->data[0];
    uint64_t time = warp->machine->step;
    if (special >= PTX_GLOBALTIMER)
        time += UINT64_C(1) << 40; /* some time in the past of the machine */
    if (special == PTX_CLOCK_HI || special == PTX_GLOBALTIMER_HI)
        time >>= 32;
    if (special != PTX_CLOCK64 && special != PTX_GLOBALTIMER)
        time &= 0xffffffff;
    for (uint32_t rest = lanes; rest; rest &= rest - 1)
        ptx_row_to(warp, code->d)[__builtin_ctz(rest)] = time;
    ptx_set_defined(warp, code->d, lanes);
}

static int lower_mov(struct ptx_build *build, const struct ptx_instruction *instruction,
                     struct ptx_code *code)
{
    const int bits = ptx_types[instruction->types[0]].bits;
    const struct ptx_operand *to = &instruction->operands[0], *from = &instruction->operands[1];
    const int to_vector = to->kind == PTX_VECTOR, from_vector = from->kind == PTX_VECTOR;
    code->bits = (uint8_t)bits;
    if (to_vector || from_vector) {
        const int count = to_vector ? to->count : from->count;
        if (to_vector && from_vector)
            return ptx_refuse(build, "a vector moved into a vector");
        if ((count != 2 && count != 4) || bits / count < 8)
            return ptx_refuse(build, "a vector of %d elements in %d bits", count, bits);
        code->bits = (uint8_t)(bits / count);
        code->execute = to_vector ? run_unpack : run_pack;
        return 0;
    }
    if (from->kind == PTX_SPECIAL && from->value >= PTX_CLOCK) {
        code->execute = run_clock;
        code->data[0] = from->value;
        return 0;
    }
    if (from->negate) {
        code->execute = ptx_run_scalar;
        code->scalar = opposite;
        return 0;
    }
    code->execute = run_mov;
    code->scalar = same;
    code->spread = PTX_SPREAD_BYTES;
    return 0;
}

/* ---- windows --------------------------------------------------------------------------------- */

static uint64_t window_of(enum ptx_space space)
{
    switch (space) {
    case PTX_SPACE_SHARED:
    case PTX_SPACE_SHARED_CLUSTER:
        return PTX_WINDOW_SHARED;
    case PTX_SPACE_LOCAL:
        return PTX_WINDOW_LOCAL;
    case PTX_SPACE_PARAM:
        return PTX_WINDOW_PARAM;
    default:
        return 0;
    }
}

enum { TO_SPACE = 0x100, SPACE = 0xff };

static uint64_t cvta(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)b, (void)c;
    const uint64_t window = window_of((enum ptx_space)(how & SPACE));
    return how & TO_SPACE ? a - window : a + window;
}

static uint64_t cvta32(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    return cvta(a, b, c, how) & 0xffffffff;
}

static int lower_cvta(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    if (instruction->types[0] == PTX_U32 && !ptx_has(instruction, PTX_W_TO))
        return ptx_refuse(build, "generic addresses have 64 bits");
    code->execute = ptx_run_scalar;
    code->scalar = instruction->types[0] == PTX_U32 ? cvta32 : cvta;
    code->bits = (uint8_t)ptx_types[instruction->types[0]].bits;
    code->spread = PTX_SPREAD_BYTES;
    code->how = code->space | (ptx_has(instruction, PTX_W_TO) ? TO_SPACE : 0);
    return 0;
}

/* A window's address is in the space; of shared memory: of this CTA, or of any of the cluster. */
static void run_isspacep(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const uint64_t *a = ptx_row(warp, code->a);
    ptx_spread_undefined(warp, code, lanes);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const uint64_t window = window_of((enum ptx_space)code->space);
        const uint64_t offset = a[lane] - window;
        int is =
            window ? offset < PTX_WINDOW_BYTES
                   : a[lane] < PTX_WINDOW_SHARED || a[lane] >= PTX_WINDOW_PARAM + PTX_WINDOW_BYTES;
        if (code->space == PTX_SPACE_SHARED)
            is = is && offset >> PTX_RANK_SHIFT == warp->cta->rank;
        if (code->space == PTX_SPACE_SHARED_CLUSTER)
            is = is && offset >> PTX_RANK_SHIFT < warp->machine->ctas_per_cluster;
        if (code->space == PTX_SPACE_CONST || code->space == PTX_SPACE_GLOBAL) {
            const struct ptx_block *block = ptx_memory_find(warp->machine, a[lane], 1);
            const int is_const = block && block->space == PTX_SPACE_CONST;
            is = code->space == PTX_SPACE_CONST ? is_const : is && !is_const;
        }
        ptx_row_to(warp, code->d)[lane] = (uint64_t)(is != 0);
    }
}

static int lower_isspacep(struct ptx_build *build, const struct ptx_instruction *instruction,
                          struct ptx_code *code)
{
    (void)build, (void)instruction;
    code->execute = run_isspacep;
    code->bits = 1;
    return 0;
}

#define SPACES "const global local param param::entry shared shared::cta shared::cluster"

const struct ptx_opcode ptx_opcodes_move[] = {
    {"mov", "", "pred @any", "V0 W0", lower_mov, 0, 0},
    {"cvta", "to " SPACES, "u32 u64", "D0 S*", lower_cvta, 0, 0},
    {"isspacep", SPACES, "", "Pp Sl", lower_isspacep, 0, 0},
    {0},
};

/*
 * exec_warp.c - instructions between the lanes of a warp. The lanes that a membermask names are
 * there when they run.
 */
#include <string.h>

#include "gpu/ptx/machine.h"
#include "ref/moe.h"

/* A result for every lane, from values that are read before any is written. */
static void store(struct ptx_warp *warp, int32_t slot, uint32_t lanes, const uint64_t value[],
                  const uint8_t undefined[])
{
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        ptx_row_to(warp, slot)[lane] = value[lane];
        ptx_set_undefined(warp, slot, lane, undefined[lane]);
    }
}

/* ---- shfl ------------------------------------------------------------------------------------ */

enum { UP, DOWN, BFLY, IDX };

/* places: d or d|p, a, b, c, membermask; data[0]: mode. */
static void run_shfl(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const uint64_t *a = ptx_row(warp, code->a), *b = ptx_row(warp, code->b),
                   *c = ptx_row(warp, code->c);
    uint64_t value[PTX_LANES], inside[PTX_LANES];
    uint8_t undefined[PTX_LANES];
    static const uint8_t defined[PTX_LANES];
    if (ptx_require_defined(warp, code, code->b, lanes, PTX_RULE_UNKNOWN_SHUFFLE_LANE) ||
        ptx_require_defined(warp, code, code->c, lanes, PTX_RULE_UNKNOWN_SHUFFLE_CLAMP))
        return;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const int by = (int)b[lane] & 31, segment = (int)(c[lane] >> 8) & 31,
                  clamp = (int)c[lane] & 31;
        const int last = (lane & segment) | (clamp & ~segment), first = lane & segment;
        int from = 0, in = 0;
        switch (code->data[0]) {
        case UP:
            from = lane - by;
            in = from >= last;
            break;
        case DOWN:
            from = lane + by;
            in = from <= last;
            break;
        case BFLY:
            from = lane ^ by;
            in = from <= last;
            break;
        default:
            from = first | (by & ~segment);
            in = from <= last;
        }
        if (!in)
            from = lane;
        inside[lane] = (uint64_t)in;
        value[lane] = a[from];
        undefined[lane] = ptx_undefined(warp, code->a, from);
        if (!(lanes >> from & 1)) { /* it takes no part: anything may come */
            value[lane] = 0xdeadbeef;
            undefined[lane] = 0xf;
        }
    }
    store(warp, code->d, lanes, value, undefined);
    if (code->places[0].kind == PTX_PAIR)
        store(warp, code->places[0].part[1].slot, lanes, inside, defined);
}

static int lower_shfl(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    code->execute = run_shfl;
    code->data[0] = ptx_has(instruction, PTX_W_UP)     ? UP
                    : ptx_has(instruction, PTX_W_DOWN) ? DOWN
                    : ptx_has(instruction, PTX_W_BFLY) ? BFLY
                                                       : IDX;
    return instruction->word_count == 1 ? MOE_OK : ptx_refuse(build, "one mode is to be given");
}

/* ---- vote, match, redux ---------------------------------------------------------------------- */

enum { ALL, ANY, UNI, BALLOT };

static void run_vote(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const uint64_t *a = ptx_row(warp, code->a);
    uint64_t value[PTX_LANES];
    static const uint8_t defined[PTX_LANES];
    uint32_t holds = 0;
    if (ptx_require_defined(warp, code, code->a, lanes, PTX_RULE_UNKNOWN_VOTE))
        return;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        holds |= (uint32_t)((a[lane] ^ code->data[1]) & 1) << lane;
    }
    const uint64_t result = code->data[0] == ALL   ? holds == lanes
                            : code->data[0] == ANY ? holds != 0
                            : code->data[0] == UNI ? holds == 0 || holds == lanes
                                                   : holds;
    for (int lane = 0; lane < PTX_LANES; lane++)
        value[lane] = result;
    store(warp, code->d, lanes, value, defined);
}

static int lower_vote(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    (void)build;
    code->execute = run_vote;
    code->data[0] = ptx_has(instruction, PTX_W_ALL)      ? ALL
                    : ptx_has(instruction, PTX_W_ANY)    ? ANY
                    : ptx_has(instruction, PTX_W_BALLOT) ? BALLOT
                                                         : UNI;
    code->data[1] = code->places[1].negate;
    return MOE_OK;
}

/* data[0]: all, not any. */
static void run_match(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const uint64_t *a = ptx_row(warp, code->a);
    uint64_t value[PTX_LANES], same[PTX_LANES];
    static const uint8_t defined[PTX_LANES];
    if (ptx_require_defined(warp, code, code->a, lanes, PTX_RULE_UNKNOWN_MATCH))
        return;
    int all = 1;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        value[lane] = 0;
        for (uint32_t others = lanes; others; others &= others - 1)
            if (a[__builtin_ctz(others)] == a[lane])
                value[lane] |= UINT64_C(1) << __builtin_ctz(others);
        all &= value[lane] == lanes;
    }
    if (code->data[0])
        for (int lane = 0; lane < PTX_LANES; lane++)
            value[lane] = all ? lanes : 0;
    for (int lane = 0; lane < PTX_LANES; lane++)
        same[lane] = (uint64_t)all;
    store(warp, code->d, lanes, value, defined);
    if (code->places[0].kind == PTX_PAIR)
        store(warp, code->places[0].part[1].slot, lanes, same, defined);
}

static int lower_match(struct ptx_build *build, const struct ptx_instruction *instruction,
                       struct ptx_code *code)
{
    (void)build;
    code->execute = run_match;
    code->data[0] = instruction->opcode->data;
    return MOE_OK;
}

enum { ADD, MIN, MAX, AND, OR, XOR };

static uint32_t reduce(int operation, int is_signed, uint32_t a, uint32_t b)
{
    switch (operation) {
    case ADD:
        return a + b;
    case MIN:
        return (is_signed ? (int32_t)a < (int32_t)b : a < b) ? a : b;
    case MAX:
        return (is_signed ? (int32_t)a > (int32_t)b : a > b) ? a : b;
    case AND:
        return a & b;
    case OR:
        return a | b;
    default:
        return a ^ b;
    }
}

static void run_redux(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const uint64_t *a = ptx_row(warp, code->a);
    uint64_t value[PTX_LANES];
    uint8_t undefined[PTX_LANES], any = 0;
    int first = 1;
    uint64_t result = 0;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        any |= ptx_undefined(warp, code->a, lane);
        result = first
                     ? a[lane]
                     : reduce((int)code->data[0], code->sign, (uint32_t)result, (uint32_t)a[lane]);
        first = 0;
    }
    for (int lane = 0; lane < PTX_LANES; lane++) {
        value[lane] = result;
        undefined[lane] = any ? 0xf : 0;
    }
    store(warp, code->d, lanes, value, undefined);
}

static int lower_redux(struct ptx_build *build, const struct ptx_instruction *instruction,
                       struct ptx_code *code)
{
    static const enum ptx_word words[] = {PTX_W_ADD, PTX_W_MIN, PTX_W_MAX,
                                          PTX_W_AND, PTX_W_OR,  PTX_W_XOR};
    code->execute = run_redux;
    code->sign = instruction->types[0] == PTX_S32;
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (ptx_has(instruction, words[i])) {
            code->data[0] = i;
            return MOE_OK;
        }
    return ptx_refuse(build, "the operation is missing");
}

/* ---- who is there ---------------------------------------------------------------------------- */

static void run_activemask(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    uint64_t value[PTX_LANES];
    static const uint8_t defined[PTX_LANES];
    for (int lane = 0; lane < PTX_LANES; lane++)
        value[lane] = lanes;
    store(warp, code->d, lanes, value, defined);
}

static int lower_activemask(struct ptx_build *build, const struct ptx_instruction *instruction,
                            struct ptx_code *code)
{
    (void)build, (void)instruction;
    code->execute = run_activemask;
    return MOE_OK;
}

/* The text leaves open which lane leads: here the lowest, as an H100 has it. */
static void run_elect(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    uint64_t leader[PTX_LANES], leads[PTX_LANES];
    static const uint8_t defined[PTX_LANES];
    for (int lane = 0; lane < PTX_LANES; lane++) {
        leader[lane] = (uint64_t)__builtin_ctz(lanes);
        leads[lane] = lane == __builtin_ctz(lanes);
    }
    if (code->places[0].kind != PTX_PAIR) {
        store(warp, code->d, lanes, leader, defined);
        return;
    }
    store(warp, code->places[0].part[0].slot, lanes, leader, defined);
    store(warp, code->places[0].part[1].slot, lanes, leads, defined);
}

static int lower_elect(struct ptx_build *build, const struct ptx_instruction *instruction,
                       struct ptx_code *code)
{
    (void)build, (void)instruction;
    code->execute = run_elect;
    return MOE_OK;
}

#define MASK PTX_GATHER_MASK

const struct ptx_opcode ptx_opcodes_warp[] = {
    {"shfl.sync", "up down bfly idx", "b32", "Ri Si Si Si Si", lower_shfl, 0, MASK},
    {"vote.sync", "all any uni", "pred", "Pp Bp Si", lower_vote, 0, MASK},
    {"vote.sync", "ballot", "b32", "Di Bp Si", lower_vote, 0, MASK},
    {"match.any.sync", "", "b32 b64", "Di S0 Si", lower_match, 0, MASK},
    {"match.all.sync", "", "b32 b64", "Ri S0 Si", lower_match, 1, MASK},
    {"redux.sync", "add min max", "u32 s32", "Di Si Si", lower_redux, 0, MASK},
    {"redux.sync", "and or xor", "b32", "Di Si Si", lower_redux, 0, MASK},
    {"activemask", "", "b32", "Di", lower_activemask, 0, PTX_ALONE},
    {"elect.sync", "", "", "Ri Si", lower_elect, 0, MASK},
    {0},
};

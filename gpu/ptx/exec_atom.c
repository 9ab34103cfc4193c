/*
 * exec_atom.c - atom and red. Lanes act one after the other, in an order that the seed chooses; the
 * elements of a vector are atomic one by one.
 */
#include <string.h>

#include "gpu/ptx/machine.h"
#include "ref/moe.h"

enum operation { ADD, MIN, MAX, INC, DEC, AND, OR, XOR, EXCH, CAS };

static const struct {
    enum ptx_word word;
    enum operation operation;
} words[] = {{PTX_W_ADD, ADD},   {PTX_W_MIN, MIN}, {PTX_W_MAX, MAX}, {PTX_W_INC, INC},
             {PTX_W_DEC, DEC},   {PTX_W_AND, AND}, {PTX_W_OR, OR},   {PTX_W_XOR, XOR},
             {PTX_W_EXCH, EXCH}, {PTX_W_CAS, CAS}};

static int64_t extended(uint64_t a, unsigned bits)
{
    return (int64_t)(a << (64 - bits)) >> (64 - bits);
}

/* Floating-point. In global memory sums of f32 flush subnormals, in shared memory they do not: so
 * says the text. */
static uint64_t apply_number(const struct ptx_code *code, enum ptx_space space, uint64_t old,
                             uint64_t b)
{
    if (code->data[1] != ADD || space != PTX_SPACE_GLOBAL)
        return number_apply(&code->number, old, b, 0, NUMBER_RN);
    if (code->number.format == NUMBER_F64)
        return number_add_f64_in_memory(old, b);
    return number_apply(&code->number, old, b, 0,
                        code->number.format == NUMBER_F32 ? NUMBER_RN | NUMBER_FTZ : NUMBER_RN);
}

/* code: bits of an element, count, sign, number (floating-point); data[0]: order and scope;
 * data[1]: operation. */
static uint64_t apply(const struct ptx_code *code, enum ptx_space space, uint64_t old, uint64_t b,
                      uint64_t c)
{
    const uint64_t keep = UINT64_MAX >> (64 - code->bits);
    if (code->number.element)
        return apply_number(code, space, old, b);
    switch ((enum operation)code->data[1]) {
    case ADD:
        return (old + b) & keep;
    case MIN:
        if (code->sign)
            return extended(old, code->bits) < extended(b, code->bits) ? old : b;
        return old < b ? old : b;
    case MAX:
        if (code->sign)
            return extended(old, code->bits) > extended(b, code->bits) ? old : b;
        return old > b ? old : b;
    case INC:
        return old >= b ? 0 : old + 1;
    case DEC:
        return old == 0 || old > b ? b : old - 1;
    case AND:
        return old & b;
    case OR:
        return old | b;
    case XOR:
        return old ^ b;
    case EXCH:
        return b;
    default:
        return old == b ? c : old;
    }
}

static const struct ptx_place *element(const struct ptx_place *vector, int index)
{
    return vector->kind == PTX_VECTOR ? &vector->part[index] : vector;
}

/* places[to]: old values, -1: red; places[to + 1]: the address; then one or two sources. */
static void run(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes, int to)
{
    const struct ptx_place *places = code->places;
    const uint32_t bytes = code->bits / 8u;
    struct ptx_access access = {.warp = warp,
                                .cta = warp->cta,
                                .code = code,
                                .lanes = lanes,
                                .space = (enum ptx_space)code->space,
                                .kind = PTX_ATOMIC,
                                .order = (enum ptx_order)(code->data[0] & 0xff),
                                .scope = (enum ptx_scope)(code->data[0] >> 8),
                                .bytes = bytes * code->count,
                                .align = bytes * code->count};
    if (ptx_address(warp, code, &places[to + 1], lanes, access.address) ||
        ptx_access(warp->machine, &access))
        return;
    const struct ptx_place *values = &places[to + 2];
    const int32_t swap = code->data[1] == CAS ? places[to + 3].slot : PTX_NO_SLOT;
    const int first = (int)ptx_random_below(warp->machine, PTX_LANES);
    for (int turn = 0; turn < PTX_LANES; turn++) {
        const int lane = (first + turn) % PTX_LANES;
        if (!(lanes >> lane & 1))
            continue;
        for (int i = 0; i < code->count; i++) {
            uint8_t *data = access.data[lane] + (uint32_t)i * bytes,
                    *known = access.known[lane] + (uint32_t)i * bytes;
            const int32_t slot = element(values, i)->slot;
            const uint64_t b = ptx_row(warp, slot)[lane];
            const uint64_t c = swap != PTX_NO_SLOT ? ptx_row(warp, swap)[lane] : 0;
            uint8_t undefined = 0, given = ptx_undefined(warp, slot, lane);
            uint64_t old = 0;
            for (uint32_t at = 0; at < bytes; at++)
                undefined |= (uint8_t)(!known[at]) << at;
            if (swap != PTX_NO_SLOT)
                given |= ptx_undefined(warp, swap, lane);
            memcpy(&old, data, bytes);
            const uint64_t now = apply(code, access.block[lane]->space, old, b, c);
            if (now != old)
                warp->machine->progress = warp->machine->step;
            memcpy(data, &now, bytes);
            const int unknown = code->data[1] == EXCH ? given != 0 : (given | undefined) != 0;
            memset(known, !unknown, bytes);
            if (to < 0)
                continue;
            const int32_t result = element(&places[to], i)->slot;
            ptx_row_to(warp, result)[lane] = old;
            ptx_set_undefined(warp, result, lane, undefined);
        }
    }
}

static void run_atom(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    run(warp, code, lanes, 0);
}

static void run_red(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    run(warp, code, lanes, -1);
}

static int lower(struct ptx_build *build, const struct ptx_instruction *instruction,
                 struct ptx_code *code, int to)
{
    const enum ptx_type type = (enum ptx_type)instruction->types[0];
    const struct ptx_type_row *row = &ptx_types[type];
    unsigned index = 0;
    while (index < sizeof words / sizeof *words && !ptx_has(instruction, words[index].word))
        index++;
    if (index == sizeof words / sizeof *words)
        return ptx_refuse(build, "the operation is missing");
    const enum operation operation = words[index].operation;
    code->count = (uint8_t)(ptx_has(instruction, PTX_W_V2)   ? 2
                            : ptx_has(instruction, PTX_W_V4) ? 4
                            : ptx_has(instruction, PTX_W_V8) ? 8
                                                             : 1);
    const struct ptx_place *values = &code->places[to + 2];
    if ((values->kind == PTX_VECTOR ? values->count : 1) != code->count ||
        (to >= 0 &&
         (code->places[0].kind == PTX_VECTOR ? code->places[0].count : 1) != code->count))
        return ptx_refuse(build, "vectors of another length than the words say");
    if (row->bits * code->count > 128)
        return ptx_refuse(build, "more than 128 bits");
    if ((operation == INC || operation == DEC) && type != PTX_U32)
        return ptx_refuse(build, "on .u32 alone");
    if (row->class == PTX_CLASS_FLOAT && operation != EXCH) {
        const enum number_operation number = operation == ADD   ? NUMBER_ADD
                                             : operation == MIN ? NUMBER_MIN
                                             : operation == MAX ? NUMBER_MAX
                                                                : NUMBER_OPERATION_COUNT;
        if (number == NUMBER_OPERATION_COUNT ||
            !number_find(number, (enum number_format)ptx_number_format(type), &code->number))
            return ptx_refuse(build, "no such operation on this type");
    }
    code->bits = (uint8_t)row->bits;
    code->sign = row->class == PTX_CLASS_SIGNED;
    code->data[0] = ptx_order_of(instruction);
    if ((code->data[0] & 0xff) == PTX_ORDER_WEAK)
        code->data[0] |= PTX_ORDER_RELAXED;
    code->data[1] = operation;
    code->execute = to >= 0 ? run_atom : run_red;
    return MOE_OK;
}

static int lower_atom(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    return lower(build, instruction, code, 0);
}

static int lower_red(struct ptx_build *build, const struct ptx_instruction *instruction,
                     struct ptx_code *code)
{
    return lower(build, instruction, code, -1);
}

#define WORDS                                                                                      \
    "@order @scope @space noftz v2 v4 v8 L2::cache_hint and or xor add inc dec min max exch"

const struct ptx_opcode ptx_opcodes_atom[] = {
    {"atom", WORDS, "b32 u32 s32 f32 b64 u64 s64 f64 @half", "V* A* W* Sl?", lower_atom, 0, 0},
    {"atom", "@order @scope @space cas L2::cache_hint", "b16 b32 b64 u32 u64 s32 s64",
     "D0 A* S0 S0 Sl?", lower_atom, 0, 0},
    {"red", WORDS, "b32 u32 s32 f32 b64 u64 s64 f64 @half", "A* W* Sl?", lower_red, 0, 0},
    {0},
};

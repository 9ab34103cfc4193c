/*
 * exec_memory.c - ld and st, vectors and all.
 */
#include <string.h>

#include "gpu/ptx/machine.h"
#include "ref/moe.h"

/* code: bits of an element, count of elements, sign, space; data[0]: order | scope << 8; data[1]:
 * bits of the registers. */
static void describe(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes,
                     enum ptx_access_kind kind, struct ptx_access *access)
{
    access->warp = warp;
    access->cta = warp->cta;
    access->code = code;
    access->lanes = lanes;
    access->space = (enum ptx_space)code->space;
    access->kind = kind;
    access->proxy = PTX_PROXY_GENERIC;
    access->order = (enum ptx_order)(code->data[0] & 0xff);
    access->scope = (enum ptx_scope)(code->data[0] >> 8);
    access->bytes = access->align = (uint32_t)code->bits / 8 * code->count;
    access->agent = 0;
}

static const struct ptx_place *element(const struct ptx_place *vector, int index)
{
    return vector->kind == PTX_VECTOR ? &vector->part[index] : vector;
}

/* Undefined bytes, a bit each, of bytes that are known or not. */
static uint8_t undefined_bytes(const uint8_t *known, uint32_t bytes)
{
    uint8_t undefined = 0;
    for (uint32_t i = 0; i < bytes; i++)
        undefined |= (uint8_t)(!known[i]) << i;
    return undefined;
}

static int all_known(const uint8_t *known, uint32_t bytes)
{
    uint64_t word = 0;
    if (bytes == 8) {
        memcpy(&word, known, 8);
        return word == UINT64_C(0x0101010101010101);
    }
    if (bytes == 4) {
        memcpy(&word, known, 4);
        return word == 0x01010101;
    }
    for (uint32_t i = 0; i < bytes; i++)
        if (!known[i])
            return 0;
    return 1;
}

static void run_ld(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    struct ptx_access access;
    const uint32_t bytes = code->bits / 8u;
    describe(warp, code, lanes, PTX_READ, &access);
    if (ptx_address(warp, code, &code->places[1], lanes, access.address) ||
        ptx_access(warp->machine, &access))
        return;
    const int shift = 64 - code->bits;
    const uint64_t keep = UINT64_MAX >> (64 - code->data[1]);
    for (int i = 0; i < code->count; i++) {
        const int32_t slot = element(&code->places[0], i)->slot;
        uint64_t *to = ptx_row_to(warp, slot);
        uint32_t unknown = 0;
        for (uint32_t rest = lanes; rest; rest &= rest - 1) {
            const int lane = __builtin_ctz(rest);
            uint64_t value = 0;
            memcpy(&value, access.data[lane] + (uint32_t)i * bytes, bytes);
            if (code->sign)
                value = (uint64_t)((int64_t)(value << shift) >> shift) & keep;
            to[lane] = value;
            if (!all_known(access.known[lane] + (uint32_t)i * bytes, bytes))
                unknown |= 1u << lane;
        }
        ptx_set_defined(warp, slot, lanes);
        for (uint32_t rest = unknown; rest; rest &= rest - 1) {
            const int lane = __builtin_ctz(rest);
            uint8_t undefined = undefined_bytes(access.known[lane] + (uint32_t)i * bytes, bytes);
            if (code->sign && undefined >> (bytes - 1))
                undefined |= (uint8_t)(0xffu << bytes);
            ptx_set_undefined(warp, slot, lane, undefined);
        }
    }
}

static void run_st(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    struct ptx_access access;
    const uint32_t bytes = code->bits / 8u;
    describe(warp, code, lanes, PTX_WRITE, &access);
    if (ptx_address(warp, code, &code->places[0], lanes, access.address) ||
        ptx_access(warp->machine, &access))
        return;
    int changed = 0;
    for (int i = 0; i < code->count; i++) {
        const int32_t slot = element(&code->places[1], i)->slot;
        const uint64_t *from = ptx_row(warp, slot);
        const int some = ptx_row_undefined(warp, slot);
        for (uint32_t rest = lanes; rest; rest &= rest - 1) {
            const int lane = __builtin_ctz(rest);
            uint8_t *data = access.data[lane] + (uint32_t)i * bytes,
                    *known = access.known[lane] + (uint32_t)i * bytes;
            const uint8_t undefined = some ? ptx_undefined(warp, slot, lane) : 0;
            changed |= memcmp(data, &from[lane], bytes) != 0;
            memcpy(data, &from[lane], bytes);
            if (!undefined)
                memset(known, 1, bytes);
            else
                for (uint32_t b = 0; b < bytes; b++)
                    known[b] = !(undefined >> b & 1);
        }
    }
    if (changed)
        warp->machine->progress = warp->machine->step;
}

int ptx_is_store(const struct ptx_code *code)
{
    return code->execute == run_st;
}

void ptx_stored(const struct ptx_warp *warp, const struct ptx_code *code, int lane,
                uint8_t bytes[32])
{
    const uint32_t each = code->bits / 8u;
    for (int i = 0; i < code->count; i++)
        memcpy(bytes + (uint32_t)i * each, &ptx_row(warp, element(&code->places[1], i)->slot)[lane],
               each);
}

/* ---- decoding -------------------------------------------------------------------------------- */

unsigned ptx_order_of(const struct ptx_instruction *instruction)
{
    static const struct {
        enum ptx_word word;
        enum ptx_order order;
    } orders[] = {
        {PTX_W_RELAXED, PTX_ORDER_RELAXED},   {PTX_W_ACQUIRE, PTX_ORDER_ACQUIRE},
        {PTX_W_RELEASE, PTX_ORDER_RELEASE},   {PTX_W_ACQ_REL, PTX_ORDER_ACQ_REL},
        {PTX_W_VOLATILE, PTX_ORDER_VOLATILE}, {PTX_W_MMIO, PTX_ORDER_RELAXED},
        {PTX_W_SC, PTX_ORDER_ACQ_REL},
    };
    static const struct {
        enum ptx_word word;
        enum ptx_scope scope;
    } scopes[] = {{PTX_W_CTA, PTX_SCOPE_CTA},
                  {PTX_W_CLUSTER, PTX_SCOPE_CLUSTER},
                  {PTX_W_GPU, PTX_SCOPE_GPU},
                  {PTX_W_GL, PTX_SCOPE_GPU},
                  {PTX_W_SYS, PTX_SCOPE_SYS}};
    unsigned order = PTX_ORDER_WEAK, scope = PTX_SCOPE_GPU;
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        if (ptx_has(instruction, orders[i].word))
            order = orders[i].order;
    for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++)
        if (ptx_has(instruction, scopes[i].word))
            scope = scopes[i].scope;
    if (order == PTX_ORDER_VOLATILE)
        scope = PTX_SCOPE_SYS;
    return order | scope << 8;
}

enum ptx_space ptx_space_of(const struct ptx_code *code, const struct ptx_place *address)
{
    const struct ptx_variable *variable = address->variable;
    if (code->space != PTX_SPACE_PARAM || !variable)
        return (enum ptx_space)code->space;
    return variable->is_formal && variable->function->is_entry ? PTX_SPACE_PARAM : PTX_SPACE_LOCAL;
}

static int lower_access(struct ptx_build *build, const struct ptx_instruction *instruction,
                        struct ptx_code *code, int address, int vector)
{
    const struct ptx_type_row *type = &ptx_types[instruction->types[0]];
    const struct ptx_place *values = &code->places[vector];
    const int count = ptx_has(instruction, PTX_W_V2)   ? 2
                      : ptx_has(instruction, PTX_W_V4) ? 4
                      : ptx_has(instruction, PTX_W_V8) ? 8
                                                       : 1;
    if ((values->kind == PTX_VECTOR ? values->count : 1) != count)
        return ptx_refuse(build, "a vector of %d elements where the words say %d",
                          values->kind == PTX_VECTOR ? values->count : 1, count);
    if (type->bits * count > 256 ||
        (type->bits * count > 128 && !ptx_has(instruction, PTX_W_V8) && type->bits != 64))
        return ptx_refuse(build, "more than 256 bits");
    code->bits = (uint8_t)type->bits;
    code->count = (uint8_t)count;
    code->sign = type->class == PTX_CLASS_SIGNED;
    code->space = (uint8_t)ptx_space_of(code, &code->places[address]);
    code->data[0] = ptx_order_of(instruction);
    code->data[1] = 64;
    for (int i = 0; i < count; i++) {
        const struct ptx_place *place = element(values, i);
        if (place->kind != PTX_REGISTER)
            continue;
        if (ptx_types[place->type].bits < type->bits)
            return ptx_refuse(build, "a register narrower than its type");
        code->data[1] = (uint64_t)ptx_types[place->type].bits;
    }
    return MOE_OK;
}

static int lower_ld(struct ptx_build *build, const struct ptx_instruction *instruction,
                    struct ptx_code *code)
{
    code->execute = run_ld;
    return lower_access(build, instruction, code, 1, 0);
}

static int lower_st(struct ptx_build *build, const struct ptx_instruction *instruction,
                    struct ptx_code *code)
{
    code->execute = run_st;
    return lower_access(build, instruction, code, 0, 1);
}

const struct ptx_opcode ptx_opcodes_memory[] = {
    {"ld", "@order @scope @space @cache v2 v4 v8", "@memory", "V* A* Sl?", lower_ld, 0, 0},
    {"ldu", "global v2 v4", "@memory", "V* A*", lower_ld, 0, 0},
    {"st", "@order @scope @space @cache v2 v4 v8", "@memory", "A* W* Sl?", lower_st, 0, 0},
    {0},
};

/*
 * exec_bits.c - logic, shifts, bit fields, permutations and counts. `how` as each function says.
 */
#include <stddef.h>

#include "gpu/ptx/machine.h"

enum { SIGNED = 0x100, BITS = 0xff, WRAP = 0x200, LEFT = 0x400, SHIFTAMT = 0x800 };

static uint64_t mask(unsigned bits)
{
    return bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
}

static uint64_t and_bits(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c, (void)how;
    return a & b;
}

static uint64_t or_bits(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c, (void)how;
    return a | b;
}

static uint64_t xor_bits(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c, (void)how;
    return a ^ b;
}

static uint64_t not_bits(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)b, (void)c;
    return ~a & mask(how & BITS);
}

static uint64_t cnot(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)b, (void)c, (void)how;
    return a == 0;
}

/* how >> 16: the table of lop3. */
static uint64_t lop3(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    uint64_t result = 0;
    for (int i = 0; i < 8; i++)
        if (how >> (16 + i) & 1)
            result |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
    return result & 0xffffffff;
}

static uint64_t shl(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    return b >= (how & BITS) ? 0 : a << b & mask(how & BITS);
}

static uint64_t shr(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    const unsigned bits = how & BITS;
    if (!(how & SIGNED))
        return b >= bits ? 0 : a >> b;
    const int64_t value = (int64_t)(a << (64 - bits)) >> (64 - bits);
    return (uint64_t)(value >> (b >= bits ? bits - 1 : b)) & mask(bits);
}

/* shf: b is the upper half. */
static uint64_t shf(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    const unsigned by = how & WRAP ? (unsigned)c & 31 : c > 32 ? 32 : (unsigned)c;
    const uint64_t both = b << 32 | a;
    return (how & LEFT ? both << by >> 32 : both >> by) & 0xffffffff;
}

/* Positions and lengths are to be 0 to 255. Beyond that 32-bit forms take the low 8 bits; 64-bit
 * forms, which ptxas makes of shifts, are as with 255. */
static unsigned place(uint64_t a, unsigned bits)
{
    return bits == 32 ? (unsigned)a & 0xff : a < 0xff ? (unsigned)a : 0xff;
}

static uint64_t bfe(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    const unsigned bits = how & BITS, at = place(b, bits), length = place(c, bits);
    const uint64_t top = UINT64_C(1) << (bits - 1);
    if (length == 0)
        return 0;
    const unsigned last = at + length - 1 < bits - 1 ? at + length - 1 : bits - 1;
    const int sign = (how & SIGNED) && (a >> last & 1);
    uint64_t field = at >= bits ? 0 : a >> at;
    (void)top;
    if (length < 64)
        field &= mask(length);
    if (sign) { /* from the last bit of the field that there is */
        const unsigned have = at >= bits ? 0 : last - at + 1;
        field |= have >= 64 ? 0 : ~mask(have);
    }
    return field & mask(bits);
}

/* Of a into b; c has position | length << 8. */
static uint64_t bfi(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    const unsigned bits = how & BITS, at = (unsigned)c & 0xff, length = (unsigned)(c >> 8) & 0xff;
    if (at >= bits)
        return b;
    const uint64_t field = mask(length) << at & mask(bits);
    return (b & ~field) | (a << at & field);
}

static uint64_t bfind(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)b, (void)c;
    const unsigned bits = how & BITS;
    uint64_t value = a;
    if ((how & SIGNED) && a >> (bits - 1) & 1)
        value = ~a & mask(bits);
    if (!value)
        return 0xffffffff;
    const unsigned place = 63 - (unsigned)__builtin_clzll(value);
    return how & SHIFTAMT ? bits - 1 - place : place;
}

static uint64_t brev(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)b, (void)c;
    uint64_t result = 0;
    const unsigned bits = how & BITS;
    for (unsigned i = 0; i < bits; i++)
        result |= (a >> i & 1) << (bits - 1 - i);
    return result;
}

static uint64_t clz(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)b, (void)c;
    return a ? (unsigned)__builtin_clzll(a) - (64 - (how & BITS)) : how & BITS;
}

static uint64_t popc(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)b, (void)c, (void)how;
    return (unsigned)__builtin_popcountll(a);
}

static uint64_t bmsk(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    const unsigned at = how & WRAP ? (unsigned)a & 31 : a > 32 ? 32 : (unsigned)a;
    const unsigned length = how & WRAP ? (unsigned)b & 31 : b > 32 ? 32 : (unsigned)b;
    return mask(length) << at & 0xffffffff;
}

static uint64_t szext(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    const unsigned length = how & WRAP ? (unsigned)b & 31 : b > 32 ? 32 : (unsigned)b;
    if (length == 0)
        return 0;
    const uint64_t field = a & mask(length);
    return (how & SIGNED && field >> (length - 1) & 1 ? field | ~mask(length) : field) & 0xffffffff;
}

/* The n-th set bit of the mask a from the base b: n = c, negative: downwards. */
static uint64_t fns(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)how;
    int left = (int32_t)c;
    const int step = left < 0 ? -1 : 1;
    if (left == 0)
        return b < 32 && a >> b & 1 ? b : 0xffffffff;
    left = left < 0 ? -left : left;
    for (int at = (int)b; at >= 0 && at < 32; at += step)
        if (a >> at & 1 && --left == 0)
            return (unsigned)at;
    return 0xffffffff;
}

enum { PRMT_INDEX, PRMT_F4E, PRMT_B4E, PRMT_RC8, PRMT_ECL, PRMT_ECR, PRMT_RC16 };

/* how: the mode. */
static uint64_t prmt(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    const uint64_t bytes = b << 32 | a;
    const int from = (int)c & 3;
    uint64_t result = 0;
    for (int i = 0; i < 4; i++) {
        int take = 0, sign = 0;
        switch (how) {
        case PRMT_F4E:
            take = from + i;
            break;
        case PRMT_B4E:
            take = (from - i) & 7;
            break;
        case PRMT_RC8:
            take = from;
            break;
        case PRMT_ECL:
            take = i < from ? from : i;
            break;
        case PRMT_ECR:
            take = i < from ? i : from;
            break;
        case PRMT_RC16:
            take = (from & 1) * 2 + (i & 1);
            break;
        default:
            take = (int)(c >> 4 * i) & 7;
            sign = (int)(c >> (4 * i + 3)) & 1;
        }
        uint64_t byte = bytes >> 8 * take & 0xff;
        if (sign)
            byte = byte & 0x80 ? 0xff : 0;
        result |= byte << 8 * i;
    }
    return result;
}

/* ---- decoding -------------------------------------------------------------------------------- */

enum operation {
    AND,
    OR,
    XOR,
    NOT,
    CNOT,
    LOP3,
    SHL,
    SHR,
    SHF,
    BFE,
    BFI,
    BFIND,
    BREV,
    CLZ,
    POPC,
    BMSK,
    SZEXT,
    FNS,
    PRMT
};

static const struct {
    ptx_scalar *scalar;
    enum ptx_spread spread;
} operations[] = {
    [AND] = {and_bits, PTX_SPREAD_AND},   [OR] = {or_bits, PTX_SPREAD_OR},
    [XOR] = {xor_bits, PTX_SPREAD_BYTES}, [NOT] = {not_bits, PTX_SPREAD_BYTES},
    [CNOT] = {cnot, PTX_SPREAD_ALL},      [LOP3] = {lop3, PTX_SPREAD_BYTES},
    [SHL] = {shl, PTX_SPREAD_MASK1},      [SHR] = {shr, PTX_SPREAD_MASK1},
    [SHF] = {shf, PTX_SPREAD_MASK2},      [BFE] = {bfe, PTX_SPREAD_MASK1},
    [BFI] = {bfi, PTX_SPREAD_MASK2},      [BFIND] = {bfind, PTX_SPREAD_ALL},
    [BREV] = {brev, PTX_SPREAD_MASK1},    [CLZ] = {clz, PTX_SPREAD_ALL},
    [POPC] = {popc, PTX_SPREAD_ALL},      [BMSK] = {bmsk, PTX_SPREAD_ALL},
    [SZEXT] = {szext, PTX_SPREAD_MASK1},  [FNS] = {fns, PTX_SPREAD_ALL},
    [PRMT] = {prmt, PTX_SPREAD_MASK2},
};

static int lower_bits(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    (void)build;
    const struct ptx_type_row *type = &ptx_types[instruction->types[0]];
    const enum operation operation = (enum operation)instruction->opcode->data;
    code->execute = ptx_run_scalar;
    code->scalar = operations[operation].scalar;
    code->spread = (uint8_t)operations[operation].spread;
    code->bits =
        (uint8_t)(operation == BFIND || operation == CLZ || operation == POPC ? 32 : type->bits);
    code->how = (unsigned)type->bits | (type->class == PTX_CLASS_SIGNED ? SIGNED : 0) |
                (ptx_has(instruction, PTX_W_WRAP) ? WRAP : 0) |
                (ptx_has(instruction, PTX_W_LEFT) ? LEFT : 0) |
                (ptx_has(instruction, PTX_W_SHIFTAMT) ? SHIFTAMT : 0);
    if (operation == PRMT) {
        static const enum ptx_word modes[] = {
            [PRMT_F4E] = PTX_W_F4E, [PRMT_B4E] = PTX_W_B4E, [PRMT_RC8] = PTX_W_RC8,
            [PRMT_ECL] = PTX_W_ECL, [PRMT_ECR] = PTX_W_ECR, [PRMT_RC16] = PTX_W_RC16};
        code->how = PRMT_INDEX;
        for (unsigned mode = PRMT_F4E; mode <= PRMT_RC16; mode++)
            if (ptx_has(instruction, modes[mode]))
                code->how = mode;
    }
    return 0;
}

static int lower_lop3(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    const struct ptx_operand *table = &instruction->operands[4];
    if (table->kind != PTX_IMMEDIATE || table->value > 0xff)
        return ptx_refuse(build, "the table is to be a number from 0 to 255");
    lower_bits(build, instruction, code);
    code->how |= (unsigned)table->value << 16;
    return 0;
}

static uint64_t field_of(uint64_t at, uint64_t length, unsigned how)
{
    return place(at & 0xffffffff, how & BITS) | place(length & 0xffffffff, how & BITS) << 8;
}

/* bfi d, a, b, at, length: two operands more than a scalar function has; position and length are
 * packed into one where they are constant, and lane by lane otherwise. */
static void run_bfi(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const int32_t at_slot = code->places[3].slot, length_slot = code->places[4].slot;
    const uint64_t *a = ptx_row(warp, code->a), *b = ptx_row(warp, code->b),
                   *at = ptx_row(warp, at_slot), *length = ptx_row(warp, length_slot);
    uint64_t *d = ptx_row_to(warp, code->d);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const uint8_t bytes =
            ptx_undefined(warp, code->a, lane) | ptx_undefined(warp, code->b, lane) |
            ptx_undefined(warp, at_slot, lane) | ptx_undefined(warp, length_slot, lane);
        d[lane] = bfi(a[lane], b[lane], field_of(at[lane], length[lane], code->how), code->how);
        ptx_set_undefined(warp, code->d, lane, bytes ? 0xff : 0);
    }
}

static int lower_bfi(struct ptx_build *build, const struct ptx_instruction *instruction,
                     struct ptx_code *code)
{
    const struct ptx_operand *at = &instruction->operands[3], *length = &instruction->operands[4];
    lower_bits(build, instruction, code);
    if (at->kind == PTX_IMMEDIATE && length->kind == PTX_IMMEDIATE)
        return ptx_build_constant(build, field_of(at->value, length->value, code->how), &code->c);
    code->execute = run_bfi;
    return 0;
}

const struct ptx_opcode ptx_opcodes_bits[] = {
    {"and", "", "pred @bits", "D0 S0 S0", lower_bits, AND, 0},
    {"or", "", "pred @bits", "D0 S0 S0", lower_bits, OR, 0},
    {"xor", "", "pred @bits", "D0 S0 S0", lower_bits, XOR, 0},
    {"not", "", "pred @bits", "D0 S0", lower_bits, NOT, 0},
    {"cnot", "", "@bits", "D0 S0", lower_bits, CNOT, 0},
    {"lop3", "", "b32", "Di Si Si Si Ii", lower_lop3, LOP3, 0},
    {"shl", "", "@bits", "D0 S0 Si", lower_bits, SHL, 0},
    {"shr", "", "@bits @int", "D0 S0 Si", lower_bits, SHR, 0},
    {"shf", "l r clamp wrap", "b32", "Di Si Si Si", lower_bits, SHF, 0},
    {"bfe", "", "@int32 @int64", "D0 S0 Si Si", lower_bits, BFE, 0},
    {"bfi", "", "b32 b64", "D0 S0 S0 Si Si", lower_bfi, BFI, 0},
    {"bfind", "shiftamt", "@int32 @int64", "Di S0", lower_bits, BFIND, 0},
    {"brev", "", "b32 b64", "D0 S0", lower_bits, BREV, 0},
    {"clz", "", "b32 b64", "Di S0", lower_bits, CLZ, 0},
    {"popc", "", "b32 b64", "Di S0", lower_bits, POPC, 0},
    {"bmsk", "clamp wrap", "b32", "Di Si Si", lower_bits, BMSK, 0},
    {"szext", "clamp wrap", "@int32", "Di Si Si", lower_bits, SZEXT, 0},
    {"fns", "", "b32", "Di Si Si Si", lower_bits, FNS, 0},
    {"prmt", "f4e b4e rc8 ecl ecr rc16", "b32", "Di Si Si Si", lower_bits, PRMT, 0},
    {0},
};

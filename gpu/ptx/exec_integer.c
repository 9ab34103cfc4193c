/*
 * exec_integer.c - integer arithmetic, carries included.
 *
 * `how` of a scalar function here is the type's bits, or'ed with the flags below; values above
 * those bits are 0 in operands and results.
 */
#include <stddef.h>

#include "gpu/ptx/machine.h"

enum { SIGNED = 0x100, SATURATED = 0x200, BITS = 0xff };

static uint64_t mask(unsigned how)
{
    return (how & BITS) >= 64 ? UINT64_MAX : (UINT64_C(1) << (how & BITS)) - 1;
}

/* As the type has it. */
static int64_t signed_of(uint64_t a, unsigned how)
{
    const int shift = 64 - (int)(how & BITS);
    return (int64_t)(a << shift) >> shift;
}

static __int128 value_of(uint64_t a, unsigned how)
{
    return how & SIGNED ? (__int128)signed_of(a, how) : (__int128)(a & mask(how));
}

static uint64_t saturated(int64_t sum)
{
    return (uint32_t)(sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum);
}

static uint64_t add(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    return how & SATURATED ? saturated((int64_t)(int32_t)a + (int32_t)b) : (a + b) & mask(how);
}

static uint64_t sub(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    return how & SATURATED ? saturated((int64_t)(int32_t)a - (int32_t)b) : (a - b) & mask(how);
}

static uint64_t mul_lo(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    return a * b & mask(how);
}

static uint64_t high(uint64_t a, uint64_t b, unsigned how)
{
    if (how & SIGNED)
        return (uint64_t)(value_of(a, how) * value_of(b, how) >> (how & BITS)) & mask(how);
    return (uint64_t)((unsigned __int128)a * b >> (how & BITS)) & mask(how);
}

static uint64_t mul_hi(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    return high(a, b, how);
}

static uint64_t mul_wide(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    return (uint64_t)(value_of(a, how) * value_of(b, how)) & mask(2 * (how & BITS));
}

static uint64_t mad_lo(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    return (a * b + c) & mask(how);
}

static uint64_t mad_hi(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    const uint64_t product = high(a, b, how);
    return how & SATURATED ? saturated((int64_t)(int32_t)product + (int32_t)c)
                           : (product + c) & mask(how);
}

static uint64_t mad_wide(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    return (mul_wide(a, b, 0, how) + c) & mask(2 * (how & BITS));
}

static uint64_t part24(uint64_t a, unsigned how)
{
    return how & SIGNED ? (uint64_t)((int64_t)(a << 40) >> 40) : a & 0xffffff;
}

static uint64_t mul24_lo(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    return (part24(a, how) * part24(b, how) + c) & 0xffffffff;
}

static uint64_t mul24_hi(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    const uint64_t product = part24(a, how) * part24(b, how);
    const uint64_t upper = product >> 16 & 0xffffffff;
    return how & SATURATED ? saturated((int64_t)(int32_t)upper + (int32_t)c)
                           : (upper + c) & 0xffffffff;
}

/* A division by 0, which the text leaves open, gives all ones, and so does its rest: as on an H200.
 */
static uint64_t divide(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    if (!b)
        return mask(how);
    return how & SIGNED ? (uint64_t)(value_of(a, how) / value_of(b, how)) & mask(how) : a / b;
}

static uint64_t rest(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    if (!b)
        return mask(how);
    return how & SIGNED ? (uint64_t)(value_of(a, how) % value_of(b, how)) & mask(how) : a % b;
}

static uint64_t negative(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)b, (void)c;
    return -a & mask(how);
}

static uint64_t absolute(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)b, (void)c;
    return (signed_of(a, how) < 0 ? -a : a) & mask(how);
}

static uint64_t least(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    return how & SIGNED ? (signed_of(a, how) < signed_of(b, how) ? a : b) : a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    return how & SIGNED ? (signed_of(a, how) > signed_of(b, how) ? a : b) : a > b ? a : b;
}

static uint64_t difference(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    const int less = how & SIGNED ? signed_of(a, how) < signed_of(b, how) : a < b;
    return ((less ? b - a : a - b) + c) & mask(how);
}

/* Two halves, each on its own. */
static uint64_t halves(ptx_scalar *one, uint64_t a, uint64_t b, unsigned how)
{
    const unsigned half = 16 | (how & SIGNED);
    return one(a & 0xffff, b & 0xffff, 0, half) | one(a >> 16, b >> 16, 0, half) << 16;
}

static uint64_t add_x2(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    return halves(add, a, b, how);
}

static uint64_t least_x2(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    return halves(least, a, b, how);
}

static uint64_t most_x2(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    return halves(most, a, b, how);
}

static int64_t dot_part(uint64_t a, int index, int bits, int is_signed)
{
    const uint64_t part = a >> bits * index & ((UINT64_C(1) << bits) - 1);
    return is_signed ? (int64_t)(part << (64 - bits)) >> (64 - bits) : (int64_t)part;
}

enum { A_SIGNED = 0x1000, B_SIGNED = 0x2000, UPPER = 0x4000 };

static uint64_t dp4a(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    for (int i = 0; i < 4; i++)
        c += (uint64_t)(dot_part(a, i, 8, how & A_SIGNED) * dot_part(b, i, 8, how & B_SIGNED));
    return c & 0xffffffff;
}

static uint64_t dp2a(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    const int first = how & UPPER ? 2 : 0;
    for (int i = 0; i < 2; i++)
        c += (uint64_t)(dot_part(a, i, 16, how & A_SIGNED) *
                        dot_part(b, first + i, 8, how & B_SIGNED));
    return c & 0xffffffff;
}

/* ---- decoding -------------------------------------------------------------------------------- */

enum operation {
    ADD,
    SUB,
    MUL_LO,
    MUL_HI,
    MUL_WIDE,
    MAD_LO,
    MAD_HI,
    MAD_WIDE,
    MUL24_LO,
    MUL24_HI,
    DIV,
    REM,
    NEG,
    ABS,
    MIN,
    MAX,
    SAD,
    ADD_X2,
    MIN_X2,
    MAX_X2,
    DP4A,
    DP2A
};

static const struct {
    ptx_scalar *scalar;
    enum ptx_spread spread;
} operations[] = {
    [ADD] = {add, PTX_SPREAD_UP},           [SUB] = {sub, PTX_SPREAD_UP},
    [MUL_LO] = {mul_lo, PTX_SPREAD_UP},     [MUL_HI] = {mul_hi, PTX_SPREAD_ALL},
    [MUL_WIDE] = {mul_wide, PTX_SPREAD_UP}, [MAD_LO] = {mad_lo, PTX_SPREAD_UP},
    [MAD_HI] = {mad_hi, PTX_SPREAD_ALL},    [MAD_WIDE] = {mad_wide, PTX_SPREAD_UP},
    [MUL24_LO] = {mul24_lo, PTX_SPREAD_UP}, [MUL24_HI] = {mul24_hi, PTX_SPREAD_ALL},
    [DIV] = {divide, PTX_SPREAD_ALL},       [REM] = {rest, PTX_SPREAD_ALL},
    [NEG] = {negative, PTX_SPREAD_UP},      [ABS] = {absolute, PTX_SPREAD_ALL},
    [MIN] = {least, PTX_SPREAD_ALL},        [MAX] = {most, PTX_SPREAD_ALL},
    [SAD] = {difference, PTX_SPREAD_ALL},   [ADD_X2] = {add_x2, PTX_SPREAD_ALL},
    [MIN_X2] = {least_x2, PTX_SPREAD_ALL},  [MAX_X2] = {most_x2, PTX_SPREAD_ALL},
    [DP4A] = {dp4a, PTX_SPREAD_ALL},        [DP2A] = {dp2a, PTX_SPREAD_ALL},
};

static int lower_integer(struct ptx_build *build, const struct ptx_instruction *instruction,
                         struct ptx_code *code)
{
    (void)build;
    const struct ptx_type_row *type = &ptx_types[instruction->types[0]];
    enum operation operation = (enum operation)instruction->opcode->data;
    if (operation == MUL_LO || operation == MAD_LO || operation == MUL24_LO)
        operation += (unsigned)(ptx_has(instruction, PTX_W_WIDE) ? 2
                                : ptx_has(instruction, PTX_W_HI) ? 1
                                                                 : 0);
    code->execute = ptx_run_scalar;
    code->scalar = operations[operation].scalar;
    code->spread = (uint8_t)operations[operation].spread;
    code->bits =
        (uint8_t)(operation == MUL_WIDE || operation == MAD_WIDE ? 2 * type->bits : type->bits);
    code->how = (unsigned)type->bits | (type->class == PTX_CLASS_SIGNED ? SIGNED : 0) |
                (ptx_has(instruction, PTX_W_SAT) ? SATURATED : 0);
    if (operation == DP4A || operation == DP2A)
        code->how |= (ptx_types[instruction->types[0]].class == PTX_CLASS_SIGNED ? A_SIGNED : 0) |
                     (ptx_types[instruction->types[1]].class == PTX_CLASS_SIGNED ? B_SIGNED : 0) |
                     (ptx_has(instruction, PTX_W_HI) ? UPPER : 0);
    return 0;
}

/* ---- carries --------------------------------------------------------------------------------- */

enum {
    CARRY_IN = 0x1000,
    CARRY_OUT = 0x2000,
    SUBTRACT = 0x4000,
    MULTIPLY_LO = 0x8000,
    MULTIPLY_HI = 0x10000
};

/* code->e: the carry's slot; a subtraction's carry is its borrow. */
static void run_carry(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const unsigned how = code->how, bits = how & BITS;
    const uint64_t *a = ptx_row(warp, code->a), *b = ptx_row(warp, code->b),
                   *c = ptx_row(warp, code->c);
    uint64_t *d = ptx_row_to(warp, code->d), *carry = ptx_row_to(warp, code->e);
    for (uint32_t left = lanes; left; left &= left - 1) {
        const int lane = __builtin_ctz(left);
        const uint8_t bytes = ptx_undefined(warp, code->a, lane) |
                              ptx_undefined(warp, code->b, lane) |
                              ptx_undefined(warp, code->c, lane) |
                              (how & CARRY_IN ? ptx_undefined(warp, code->e, lane) : 0);
        uint64_t one = a[lane], other = b[lane];
        if (how & (MULTIPLY_LO | MULTIPLY_HI)) {
            one = how & MULTIPLY_HI ? high(one, other, how) : one * other & mask(how);
            other = c[lane];
        }
        unsigned __int128 sum;
        const uint64_t in = how & CARRY_IN ? carry[lane] & 1 : 0;
        if (how & SUBTRACT)
            sum = (unsigned __int128)one - other - in;
        else
            sum = (unsigned __int128)one + other + in;
        d[lane] = (uint64_t)sum & mask(how);
        ptx_set_undefined(warp, code->d, lane, bytes ? 0xff : 0);
        if (how & CARRY_OUT) {
            carry[lane] = (uint64_t)(sum >> bits) & 1;
            ptx_set_undefined(warp, code->e, lane, bytes ? 1 : 0);
        }
    }
}

static int lower_carry(struct ptx_build *build, const struct ptx_instruction *instruction,
                       struct ptx_code *code)
{
    const struct ptx_type_row *type = &ptx_types[instruction->types[0]];
    code->execute = run_carry;
    code->bits = (uint8_t)type->bits;
    code->how = (unsigned)type->bits | (type->class == PTX_CLASS_SIGNED ? SIGNED : 0) |
                instruction->opcode->data | (ptx_has(instruction, PTX_W_CC) ? CARRY_OUT : 0) |
                (ptx_has(instruction, PTX_W_HI)   ? MULTIPLY_HI
                 : ptx_has(instruction, PTX_W_LO) ? MULTIPLY_LO
                                                  : 0);
    return ptx_build_carry(build, &code->e);
}

const struct ptx_opcode ptx_opcodes_integer[] = {
    {"add", "", "@int", "D0 S0 S0", lower_integer, ADD, 0},
    {"add", "sat", "s32", "D0 S0 S0", lower_integer, ADD, 0},
    {"add", "", "u16x2 s16x2", "D0 S0 S0", lower_integer, ADD_X2, 0},
    {"add", "cc", "@int32 @int64 b32 b64", "D0 S0 S0", lower_carry, 0, 0},
    {"addc", "cc", "@int32 @int64 b32 b64", "D0 S0 S0", lower_carry, CARRY_IN, 0},
    {"sub", "", "@int", "D0 S0 S0", lower_integer, SUB, 0},
    {"sub", "sat", "s32", "D0 S0 S0", lower_integer, SUB, 0},
    {"sub", "cc", "@int32 @int64 b32 b64", "D0 S0 S0", lower_carry, SUBTRACT, 0},
    {"subc", "cc", "@int32 @int64 b32 b64", "D0 S0 S0", lower_carry, SUBTRACT | CARRY_IN, 0},
    {"mul", "lo hi", "@int", "D0 S0 S0", lower_integer, MUL_LO, 0},
    {"mul", "wide", "u16 s16 u32 s32", "Dw S0 S0", lower_integer, MUL_LO, 0},
    {"mad", "lo hi", "@int", "D0 S0 S0 S0", lower_integer, MAD_LO, 0},
    {"mad", "hi sat", "s32", "D0 S0 S0 S0", lower_integer, MAD_LO, 0},
    {"mad", "wide", "u16 s16 u32 s32", "Dw S0 S0 Sw", lower_integer, MAD_LO, 0},
    {"mad", "lo hi cc", "@int32 @int64", "D0 S0 S0 S0", lower_carry, 0, 0},
    {"madc", "lo hi cc", "@int32 @int64", "D0 S0 S0 S0", lower_carry, CARRY_IN, 0},
    {"mul24", "lo hi", "@int32", "D0 S0 S0", lower_integer, MUL24_LO, 0},
    {"mad24", "lo hi", "@int32", "D0 S0 S0 S0", lower_integer, MUL24_LO, 0},
    {"mad24", "hi sat", "s32", "D0 S0 S0 S0", lower_integer, MUL24_LO, 0},
    {"div", "", "@int", "D0 S0 S0", lower_integer, DIV, 0},
    {"rem", "", "@int", "D0 S0 S0", lower_integer, REM, 0},
    {"neg", "", "s16 s32 s64", "D0 S0", lower_integer, NEG, 0},
    {"abs", "", "s16 s32 s64", "D0 S0", lower_integer, ABS, 0},
    {"min", "", "@int", "D0 S0 S0", lower_integer, MIN, 0},
    {"min", "", "u16x2 s16x2", "D0 S0 S0", lower_integer, MIN_X2, 0},
    {"max", "", "@int", "D0 S0 S0", lower_integer, MAX, 0},
    {"max", "", "u16x2 s16x2", "D0 S0 S0", lower_integer, MAX_X2, 0},
    {"sad", "", "@int", "D0 S0 S0 S0", lower_integer, SAD, 0},
    {"dp4a", "", "@int32;@int32", "Di Si Si Si", lower_integer, DP4A, 0},
    {"dp2a", "lo hi", "@int32;@int32", "Di Si Si Si", lower_integer, DP2A, 0},
    {0},
};

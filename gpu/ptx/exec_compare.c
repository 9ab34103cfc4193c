/*
 * exec_compare.c - setp, set, selp, slct.
 */
#include <stddef.h>

#include "gpu/ptx/machine.h"

/* Which answers make it true: bit 0 less, 1 equal, 2 greater, 3 unordered. */
static const struct {
    enum ptx_word word;
    unsigned holds;
    int is_unsigned;
} comparisons[] = {
    {PTX_W_EQ, 2, 0},  {PTX_W_NE, 5, 0},   {PTX_W_LT, 1, 0},   {PTX_W_LE, 3, 0},
    {PTX_W_GT, 4, 0},  {PTX_W_GE, 6, 0},   {PTX_W_LO, 1, 1},   {PTX_W_LS, 3, 1},
    {PTX_W_HI, 4, 1},  {PTX_W_HS, 6, 1},   {PTX_W_EQU, 10, 0}, {PTX_W_NEU, 13, 0},
    {PTX_W_LTU, 9, 0}, {PTX_W_LEU, 11, 0}, {PTX_W_GTU, 12, 0}, {PTX_W_GEU, 14, 0},
    {PTX_W_NUM, 7, 0}, {PTX_W_NAN, 8, 0},
};

enum { NO_BOOLEAN, BOOLEAN_AND, BOOLEAN_OR, BOOLEAN_XOR };

/* data[0]: format; data[1]: which answers hold; data[2]: boolean | combined operand negated << 8;
 * data[3]: bits of a result of set, or 0 for a predicate; e: slot of q. */
static int holds(const struct ptx_code *code, uint64_t a, uint64_t b)
{
    int order = 0;
    switch ((enum number_format)code->data[0]) {
    case NUMBER_U16:
    case NUMBER_U32:
    case NUMBER_U64:
        order = a < b ? -1 : a > b;
        break;
    case NUMBER_S16:
        order = (int16_t)a < (int16_t)b ? -1 : (int16_t)a > (int16_t)b;
        break;
    case NUMBER_S32:
        order = (int32_t)a < (int32_t)b ? -1 : (int32_t)a > (int32_t)b;
        break;
    case NUMBER_S64:
        order = (int64_t)a < (int64_t)b ? -1 : (int64_t)a > (int64_t)b;
        break;
    default:
        order = number_compare((enum number_format)code->data[0], a, b, code->how);
    }
    return (int)(code->data[1] >> (order + 1) & 1);
}

static int combined(const struct ptx_code *code, int result, int other)
{
    if (code->data[2] >> 8)
        other = !other;
    switch (code->data[2] & 0xff) {
    case BOOLEAN_AND:
        return result & other;
    case BOOLEAN_OR:
        return result | other;
    case BOOLEAN_XOR:
        return result ^ other;
    default:
        return result;
    }
}

static void run_setp(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const uint64_t *a = ptx_row(warp, code->a), *b = ptx_row(warp, code->b),
                   *c = ptx_row(warp, code->c);
    uint64_t *p = ptx_row_to(warp, code->d);
    uint64_t *q = code->e != PTX_NO_SLOT ? ptx_row_to(warp, code->e) : NULL;
    const int undefined = ptx_row_undefined(warp, code->a) | ptx_row_undefined(warp, code->b) |
                          ptx_row_undefined(warp, code->c);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const uint8_t bytes =
            undefined && (ptx_undefined(warp, code->a, lane) | ptx_undefined(warp, code->b, lane) |
                          ptx_undefined(warp, code->c, lane));
        const int result = holds(code, a[lane], b[lane]), other = (int)(c[lane] & 1);
        p[lane] = (uint64_t)combined(code, result, other);
        ptx_set_undefined(warp, code->d, lane, bytes);
        if (q) {
            q[lane] = (uint64_t)combined(code, !result, other);
            ptx_set_undefined(warp, code->e, lane, bytes);
        }
    }
    if (!undefined) {
        ptx_set_defined(warp, code->d, lanes);
        if (q)
            ptx_set_defined(warp, code->e, lanes);
    }
}

/* Of pairs: p is the lower half's, q the upper's. */
static void run_setp_pair(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const uint64_t *a = ptx_row(warp, code->a), *b = ptx_row(warp, code->b),
                   *c = ptx_row(warp, code->c);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const uint8_t bytes =
            (ptx_undefined(warp, code->a, lane) | ptx_undefined(warp, code->b, lane) |
             ptx_undefined(warp, code->c, lane)) != 0;
        const int other = (int)(c[lane] & 1);
        const int low = holds(code, a[lane] & 0xffff, b[lane] & 0xffff),
                  high = holds(code, a[lane] >> 16, b[lane] >> 16);
        ptx_row_to(warp, code->d)[lane] = (uint64_t)combined(code, low, other);
        ptx_set_undefined(warp, code->d, lane, bytes);
        if (code->e != PTX_NO_SLOT) {
            ptx_row_to(warp, code->e)[lane] = (uint64_t)combined(code, high, other);
            ptx_set_undefined(warp, code->e, lane, bytes);
        }
    }
}

/* What set gives for true, by its result's type. */
static uint64_t truth(enum ptx_type type)
{
    switch (type) {
    case PTX_F32:
        return 0x3f800000;
    case PTX_F16:
        return 0x3c00;
    case PTX_BF16:
        return 0x3f80;
    case PTX_U16:
    case PTX_S16:
        return 0xffff;
    default:
        return 0xffffffff;
    }
}

static void run_set(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const uint64_t *a = ptx_row(warp, code->a), *b = ptx_row(warp, code->b),
                   *c = ptx_row(warp, code->c);
    uint64_t *d = ptx_row_to(warp, code->d);
    ptx_spread_undefined(warp, code, lanes);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const int other = (int)(c[lane] & 1);
        if (code->count == 2)
            d[lane] = (combined(code, holds(code, a[lane] & 0xffff, b[lane] & 0xffff), other)
                           ? code->data[3]
                           : 0) |
                      (combined(code, holds(code, a[lane] >> 16, b[lane] >> 16), other)
                           ? code->data[3] << 16
                           : 0);
        else
            d[lane] = combined(code, holds(code, a[lane], b[lane]), other) ? code->data[3] : 0;
    }
}

static int lower_compare(struct ptx_build *build, const struct ptx_instruction *instruction,
                         struct ptx_code *code, enum ptx_type type)
{
    const struct ptx_type_row *row = &ptx_types[type];
    int format = ptx_number_format(type);
    unsigned index = 0;
    while (index < sizeof comparisons / sizeof *comparisons &&
           !ptx_has(instruction, comparisons[index].word))
        index++;
    if (index == sizeof comparisons / sizeof *comparisons)
        return ptx_refuse(build, "the comparison is missing");
    if (row->class == PTX_CLASS_BITS ||
        (comparisons[index].is_unsigned && row->class != PTX_CLASS_FLOAT))
        format = row->bits == 16 ? NUMBER_U16 : row->bits == 32 ? NUMBER_U32 : NUMBER_U64;
    if (format == NUMBER_F16X2 || format == NUMBER_BF16X2) {
        format = format == NUMBER_F16X2 ? NUMBER_F16 : NUMBER_BF16;
        code->count = 2;
    }
    if (row->class != PTX_CLASS_FLOAT && comparisons[index].holds & 8)
        return ptx_refuse(build, "a comparison of floating-point numbers alone");
    code->data[0] = (uint64_t)format;
    code->data[1] = comparisons[index].holds;
    code->data[2] = ptx_has(instruction, PTX_W_AND)   ? BOOLEAN_AND
                    : ptx_has(instruction, PTX_W_OR)  ? BOOLEAN_OR
                    : ptx_has(instruction, PTX_W_XOR) ? BOOLEAN_XOR
                                                      : NO_BOOLEAN;
    if ((code->data[2] != NO_BOOLEAN) != (instruction->operand_count == 4))
        return ptx_refuse(build, "a predicate to combine with comes with .and, .or or .xor");
    if (instruction->operand_count == 4 && instruction->operands[3].negate)
        code->data[2] |= 1 << 8;
    code->how = ptx_number_how(instruction) & NUMBER_FTZ;
    return 0;
}

static int lower_setp(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    const struct ptx_place *to = &code->places[0];
    code->e = PTX_NO_SLOT;
    if (to->kind == PTX_PAIR) {
        code->d = to->part[0].slot;
        code->e = to->part[1].slot;
    }
    code->bits = 1;
    const int status =
        lower_compare(build, instruction, code, (enum ptx_type)instruction->types[0]);
    code->execute = code->count == 2 ? run_setp_pair : run_setp;
    return status;
}

static int lower_set(struct ptx_build *build, const struct ptx_instruction *instruction,
                     struct ptx_code *code)
{
    const enum ptx_type to = (enum ptx_type)instruction->types[0];
    code->execute = run_set;
    code->bits = (uint8_t)ptx_types[to].bits;
    const int status =
        lower_compare(build, instruction, code, (enum ptx_type)instruction->types[1]);
    code->data[3] = truth(to == PTX_F16X2    ? PTX_F16
                          : to == PTX_BF16X2 ? PTX_BF16
                          : code->count == 2 ? PTX_U16
                                             : to);
    return status;
}

/* ---- selections ------------------------------------------------------------------------------ */

static void run_selp(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const uint64_t *a = ptx_row(warp, code->a), *b = ptx_row(warp, code->b),
                   *c = ptx_row(warp, code->c);
    uint64_t *d = ptx_row_to(warp, code->d);
    const int undefined = ptx_row_undefined(warp, code->a) | ptx_row_undefined(warp, code->b) |
                          ptx_row_undefined(warp, code->c);
    if (!undefined)
        ptx_set_defined(warp, code->d, lanes);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const int yes = (int)(c[lane] & 1) ^ (int)code->data[0];
        if (undefined)
            ptx_set_undefined(warp, code->d, lane,
                              ptx_undefined(warp, code->c, lane)
                                  ? 0xff
                                  : ptx_undefined(warp, yes ? code->a : code->b, lane));
        d[lane] = yes ? a[lane] : b[lane];
    }
}

static int lower_selp(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    (void)build;
    code->execute = run_selp;
    code->data[0] = instruction->operands[3].negate;
    return 0;
}

/* how: 1: c is an f32, with NUMBER_FTZ nothing else, for -0 and NaN are what they are. */
static uint64_t slct(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    if (how & 1) {
        const uint32_t magnitude = (uint32_t)c & 0x7fffffff;
        const int zero = magnitude == 0 || (how & 2 && magnitude < 0x00800000);
        return magnitude <= 0x7f800000 && (zero || !(c >> 31)) ? a : b;
    }
    return (int32_t)c >= 0 ? a : b;
}

static int lower_slct(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    (void)build;
    code->execute = ptx_run_scalar;
    code->scalar = slct;
    code->bits = (uint8_t)ptx_types[instruction->types[0]].bits;
    code->how =
        (instruction->types[1] == PTX_F32 ? 1 : 0) | (ptx_has(instruction, PTX_W_FTZ) ? 2 : 0);
    return 0;
}

const struct ptx_opcode ptx_opcodes_compare[] = {
    {"setp", "@compare @bool ftz", "@any @half", "Qp S0 S0 Bp?", lower_setp, 0, 0},
    {"set", "@compare @bool ftz", "u16 s16 u32 s32 f32 @half;@any @half", "D0 S1 S1 Bp?", lower_set,
     0, 0},
    {"selp", "", "@any @half", "D0 S0 S0 Bp", lower_selp, 0, 0},
    {"slct", "ftz", "@any;s32 f32", "D0 S0 S0 S1", lower_slct, 0, 0},
    {0},
};

/*
 * exec_convert.c - cvt. Registers may be wider than the types: of a source the low bits count, a
 * result is extended as its type has a sign or not.
 */
#include <stddef.h>

#include "gpu/ptx/machine.h"
#include "ref/moe.h"

enum { FROM_SIGNED = 1 << 16, TO_SIGNED = 1 << 17, SATURATED = 1 << 18 };

static int64_t extended(uint64_t a, unsigned bits)
{
    return (int64_t)(a << (64 - bits)) >> (64 - bits);
}

/* Integer to integer. how: bits of the source | of the result << 8 | flags | of the register that
 * the result is extended to << 24. */
static uint64_t integer(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)b, (void)c;
    const unsigned from = how & 0xff, to = how >> 8 & 0xff;
    uint64_t value =
        how & FROM_SIGNED ? (uint64_t)extended(a, from) : a << (64 - from) >> (64 - from);
    if (how & SATURATED) {
        if (how & TO_SIGNED) {
            const int64_t high = INT64_MAX >> (64 - to), low = -high - 1;
            if (!(how & FROM_SIGNED) && value > (uint64_t)high)
                value = (uint64_t)high;
            else if ((int64_t)value > high)
                value = (uint64_t)high;
            else if (how & FROM_SIGNED && (int64_t)value < low)
                value = (uint64_t)low;
        } else {
            const uint64_t high = UINT64_MAX >> (64 - to);
            if (how & FROM_SIGNED && (int64_t)value < 0)
                value = 0;
            else if (value > high)
                value = high;
        }
    }
    value = how & TO_SIGNED ? (uint64_t)extended(value, to) : value << (64 - to) >> (64 - to);
    return value & UINT64_MAX >> (64 - (how >> 24));
}

/* data: formats to, from; bits of the source, of the result if it has a sign (else 0). */
static void run_convert(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const enum number_format to = (enum number_format)code->data[0],
                             from = (enum number_format)code->data[1];
    const uint64_t *a = ptx_row(warp, code->a), *c = ptx_row(warp, code->c);
    const unsigned source_bits = (unsigned)code->data[2], sign_bits = (unsigned)code->data[3];
    const uint64_t keep = UINT64_MAX >> (64 - code->bits);
    uint64_t *d = ptx_row_to(warp, code->d);
    ptx_spread_undefined(warp, code, lanes);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        uint64_t value = number_convert(to, from, a[lane] & (UINT64_MAX >> (64 - source_bits)),
                                        code->how, (uint32_t)c[lane]);
        if (sign_bits)
            value = (uint64_t)extended(value, sign_bits);
        d[lane] = value & keep;
    }
}

/* Two f32 to a pair: a is the upper. */
static void run_pack(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const uint64_t *a = ptx_row(warp, code->a), *b = ptx_row(warp, code->b),
                   *c = ptx_row(warp, code->c);
    uint64_t *d = ptx_row_to(warp, code->d);
    ptx_spread_undefined(warp, code, lanes);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        d[lane] = number_convert_to_x2((enum number_format)code->data[0],
                                       (enum number_format)code->data[1], (uint32_t)a[lane],
                                       (uint32_t)b[lane], code->how, (uint32_t)c[lane]);
    }
}

static uint64_t pairs(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)b, (void)c;
    return number_convert_x2((enum number_format)(how >> 16 & 0xff),
                             (enum number_format)(how >> 24), (uint32_t)a, how & 0xffff);
}

/* Four f32, which are a vector, to four: the first is the upper. */
static void run_four(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const struct ptx_place *parts = code->places[1].part;
    const int32_t random = code->places[2].slot;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        uint32_t values[4];
        int undefined = ptx_undefined(warp, random, lane);
        for (int i = 0; i < 4; i++) {
            values[i] = (uint32_t)ptx_row(warp, parts[i].slot)[lane];
            undefined |= ptx_undefined(warp, parts[i].slot, lane);
        }
        ptx_row_to(warp, code->d)[lane] =
            number_convert_to_x4((enum number_format)code->data[0], values, code->how,
                                 (uint32_t)ptx_row(warp, random)[lane]);
        ptx_set_undefined(warp, code->d, lane, undefined ? 0xff >> (8 - code->bits / 8) : 0);
    }
}

static int lower_four(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    const int status = ptx_needs(build, 100, ".rs");
    if (status)
        return status;
    if (code->places[1].kind != PTX_VECTOR || code->places[1].count != 4)
        return ptx_refuse(build, "the source is a vector of four registers");
    code->execute = run_four;
    code->bits = (uint8_t)ptx_types[instruction->types[0]].bits;
    code->how = ptx_number_how(instruction);
    code->data[0] = (uint64_t)ptx_number_format((enum ptx_type)instruction->types[0]);
    return 0;
}

/* To e4m3 and e5m2: to the nearest, and no infinity. */
static int check_bytes(struct ptx_build *build, const struct ptx_instruction *instruction)
{
    const enum ptx_type to = (enum ptx_type)instruction->types[0];
    if (to != PTX_E4M3X2 && to != PTX_E5M2X2)
        return MOE_OK;
    if (!ptx_has(instruction, PTX_W_RN))
        return ptx_refuse(build, "the rounding is .rn");
    return ptx_has(instruction, PTX_W_SATFINITE) ? MOE_OK
                                                 : ptx_refuse(build, ".satfinite is missing");
}

/* Formats that no GPU before has. */
static int check_formats(struct ptx_build *build, const struct ptx_instruction *instruction)
{
    static const struct {
        enum ptx_type type;
        const char *name;
    } rows[] = {{PTX_E2M1X2, ".e2m1x2"},
                {PTX_E2M3X2, ".e2m3x2"},
                {PTX_E3M2X2, ".e3m2x2"},
                {PTX_UE8M0X2, ".ue8m0x2"}};
    int status = MOE_OK;
    for (size_t i = 0; i < sizeof rows / sizeof *rows && !status; i++)
        for (int t = 0; t < 2 && !status; t++)
            if (instruction->types[t] == rows[i].type)
                status = ptx_needs(build, 100, rows[i].name);
    return status ? status : check_bytes(build, instruction);
}

static int lower_pairs(struct ptx_build *build, const struct ptx_instruction *instruction,
                       struct ptx_code *code)
{
    const enum ptx_type to = (enum ptx_type)instruction->types[0],
                        from = (enum ptx_type)instruction->types[1];
    const int status = check_formats(build, instruction);
    if (status)
        return status;
    int formats[2] = {ptx_number_format(to), ptx_number_format(from)};
    for (int i = 0; i < 2; i++)
        formats[i] = formats[i] == NUMBER_F16X2    ? NUMBER_F16
                     : formats[i] == NUMBER_BF16X2 ? NUMBER_BF16
                                                   : formats[i];
    code->execute = ptx_run_scalar;
    code->scalar = pairs;
    code->bits = (uint8_t)(ptx_types[to].bits < 16 ? 8 : ptx_types[to].bits);
    code->how =
        ptx_number_how(instruction) | (unsigned)formats[0] << 16 | (unsigned)formats[1] << 24;
    return 0;
}

static int lower_pack(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    int to = ptx_number_format((enum ptx_type)instruction->types[0]);
    int status = check_formats(build, instruction);
    if (!status && ptx_has(instruction, PTX_W_RS))
        status = ptx_needs(build, 100, ".rs");
    if (status)
        return status;
    to = to == NUMBER_F16X2 ? NUMBER_F16 : to == NUMBER_BF16X2 ? NUMBER_BF16 : to;
    code->execute = run_pack;
    code->bits = (uint8_t)ptx_types[instruction->types[0]].bits;
    code->how = ptx_number_how(instruction);
    code->data[0] = (uint64_t)to;
    code->data[1] = NUMBER_F32;
    return 0;
}

/* cvt.pack: a above b, and c above both, of which so much stays as there is room for. how: bits of
 * an element | that it is signed << 8. */
static uint64_t pack(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    const unsigned bits = how & 0xff;
    const unsigned narrow =
        32 | bits << 8 | FROM_SIGNED | SATURATED | 32u << 24 | (how >> 8 ? TO_SIGNED : 0);
    const uint64_t keep = UINT64_MAX >> (64 - bits);
    return ((integer(b, 0, 0, narrow) & keep) | (integer(a, 0, 0, narrow) & keep) << bits |
            c << 2 * bits) &
           UINT32_MAX;
}

static int lower_narrow(struct ptx_build *build, const struct ptx_instruction *instruction,
                        struct ptx_code *code)
{
    const struct ptx_type_row *to = &ptx_types[instruction->types[0]];
    if (!ptx_has(instruction, PTX_W_SAT))
        return ptx_refuse(build, ".sat is missing");
    code->execute = ptx_run_scalar;
    code->scalar = pack;
    code->how = (unsigned)to->bits | (to->class == PTX_CLASS_SIGNED) << 8;
    code->bits = 32;
    return MOE_OK;
}

static int lower_convert(struct ptx_build *build, const struct ptx_instruction *instruction,
                         struct ptx_code *code)
{
    const enum ptx_type to = (enum ptx_type)instruction->types[0],
                        from = (enum ptx_type)instruction->types[1];
    const struct ptx_type_row *to_row = &ptx_types[to], *from_row = &ptx_types[from];
    const int formats[2] = {ptx_number_format(to), ptx_number_format(from)};
    const int register_type = code->places[0].kind == PTX_REGISTER ? code->places[0].type : to;
    const int source_type = code->places[1].kind == PTX_REGISTER ? code->places[1].type : from;
    const unsigned register_bits = (unsigned)ptx_types[register_type].bits;
    if (formats[0] < 0 || formats[1] < 0)
        return ptx_refuse(build, "no conversion between these types");
    if ((unsigned)to_row->bits > register_bits || from_row->bits > ptx_types[source_type].bits)
        return ptx_refuse(build, "a register narrower than its type");
    const int to_signed = to_row->class == PTX_CLASS_SIGNED,
              from_signed = from_row->class == PTX_CLASS_SIGNED;
    if (to_row->class != PTX_CLASS_FLOAT && from_row->class != PTX_CLASS_FLOAT) {
        code->execute = ptx_run_scalar;
        code->scalar = integer;
        code->spread = ptx_has(instruction, PTX_W_SAT) ? PTX_SPREAD_ALL : PTX_SPREAD_MASK1;
        code->how = (unsigned)from_row->bits | (unsigned)to_row->bits << 8 |
                    (from_signed ? FROM_SIGNED : 0) | (to_signed ? TO_SIGNED : 0) |
                    (ptx_has(instruction, PTX_W_SAT) ? SATURATED : 0) | register_bits << 24;
        code->bits = (uint8_t)register_bits;
        return 0;
    }
    code->execute = run_convert;
    code->bits = (uint8_t)register_bits;
    code->how = ptx_number_how(instruction);
    if (to_row->class != PTX_CLASS_FLOAT || from_row->class != PTX_CLASS_FLOAT)
        code->how &= ~(unsigned)NUMBER_INTEGRAL;
    code->data[0] = (uint64_t)formats[0];
    code->data[1] = (uint64_t)formats[1];
    code->data[2] = (uint64_t)from_row->bits;
    code->data[3] = to_signed ? (uint64_t)to_row->bits : 0;
    return 0;
}

/* To tf32: .satfinite with .rn and .rz came later, and .rna is without .relu. */
static int lower_tf32(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    const int is_away = ptx_has(instruction, PTX_W_RNA);
    int status = MOE_OK;
    if (is_away && ptx_has(instruction, PTX_W_RELU))
        return ptx_refuse(build, ".relu does not go with .rna");
    if (!is_away && ptx_has(instruction, PTX_W_SATFINITE))
        status = ptx_needs(build, 100, ".satfinite without .rna");
    return status ? status : lower_convert(build, instruction, code);
}

/* A rounding where the text demands one is not asked for: to the nearest then. */
const struct ptx_opcode ptx_opcodes_convert[] = {
    {"cvt", "rn rz rm rp rni rzi rmi rpi ftz sat",
     "u8 s8 @int f16 bf16 f32 f64;u8 s8 @int f16 bf16 f32 f64", "D* S*", lower_convert, 0, 0},
    {"cvt", "rn rz relu satfinite", "f16 bf16;f32", "Dh Si", lower_convert, 0, 0},
    {"cvt", "rn rz rna relu satfinite", "tf32;f32", "Di Si", lower_tf32, 0, 0},
    {"cvt", "rn rz relu satfinite", "f16x2 bf16x2;f32", "Di Si Si", lower_pack, 0, 0},
    {"cvt", "rs relu satfinite", "f16x2 bf16x2;f32", "Di Si Si Si", lower_pack, 0, 0},
    {"cvt", "rs relu satfinite", "e4m3x4 e5m2x4 e2m1x4 e2m3x4 e3m2x4;f32", "D0 W* Si", lower_four,
     0, 0},
    {"cvt", "rn rz rp relu satfinite", "e4m3x2 e5m2x2 e2m1x2 e2m3x2 e3m2x2 ue8m0x2;f32", "D* Si Si",
     lower_pack, 0, 0},
    {"cvt", "rn relu satfinite", "e4m3x2 e5m2x2;f16x2", "Dh Si", lower_pairs, 0, 0},
    {"cvt", "rn relu satfinite", "f16x2;e4m3x2 e5m2x2 e2m1x2 e2m3x2 e3m2x2", "Di S*", lower_pairs,
     0, 0},
    {"cvt", "rn rz rp satfinite", "bf16x2;ue8m0x2", "Di Sh", lower_pairs, 0, 0},
    {"cvt", "rz rp satfinite", "ue8m0x2;bf16x2", "Dh Si", lower_pairs, 0, 0},
    {"cvt.pack", "sat", "u16 s16;s32", "Di Si Si", lower_narrow, 0, 0},
    {"cvt.pack", "sat", "u2 s2 u4 s4 u8 s8;s32;b32", "Di Si Si Si", lower_narrow, 0, 0},
    {0},
};

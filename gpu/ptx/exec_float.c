/*
 * exec_float.c - floating-point arithmetic. The values are number.h's; here is which function an
 * instruction means.
 */
#include <stddef.h>

#include "gpu/ptx/machine.h"

int ptx_number_format(enum ptx_type type)
{
    static const struct {
        enum ptx_type type;
        enum number_format format;
    } rows[] = {
        {PTX_F16, NUMBER_F16},       {PTX_BF16, NUMBER_BF16},   {PTX_F32, NUMBER_F32},
        {PTX_F64, NUMBER_F64},       {PTX_F16X2, NUMBER_F16X2}, {PTX_BF16X2, NUMBER_BF16X2},
        {PTX_F32X2, NUMBER_F32X2},   {PTX_TF32, NUMBER_TF32},   {PTX_E4M3, NUMBER_E4M3},
        {PTX_E5M2, NUMBER_E5M2},     {PTX_E4M3X2, NUMBER_E4M3}, {PTX_E5M2X2, NUMBER_E5M2},
        {PTX_E2M1X2, NUMBER_E2M1},   {PTX_E2M3X2, NUMBER_E2M3}, {PTX_E3M2X2, NUMBER_E3M2},
        {PTX_UE8M0X2, NUMBER_UE8M0}, {PTX_E4M3X4, NUMBER_E4M3}, {PTX_E5M2X4, NUMBER_E5M2},
        {PTX_E2M1X4, NUMBER_E2M1},   {PTX_E2M3X4, NUMBER_E2M3}, {PTX_E3M2X4, NUMBER_E3M2},
        {PTX_U8, NUMBER_U8},         {PTX_U16, NUMBER_U16},     {PTX_U32, NUMBER_U32},
        {PTX_U64, NUMBER_U64},       {PTX_S8, NUMBER_S8},       {PTX_S16, NUMBER_S16},
        {PTX_S32, NUMBER_S32},       {PTX_S64, NUMBER_S64},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].type == type)
            return (int)rows[i].format;
    return -1;
}

unsigned ptx_number_how(const struct ptx_instruction *instruction)
{
    static const struct {
        enum ptx_word word;
        unsigned how;
    } rows[] = {
        {PTX_W_RN, NUMBER_RN},
        {PTX_W_RZ, NUMBER_RZ},
        {PTX_W_RM, NUMBER_RM},
        {PTX_W_RP, NUMBER_RP},
        {PTX_W_RNA, NUMBER_RNA},
        {PTX_W_RS, NUMBER_RS},
        {PTX_W_RNI, NUMBER_RN | NUMBER_INTEGRAL},
        {PTX_W_RZI, NUMBER_RZ | NUMBER_INTEGRAL},
        {PTX_W_RMI, NUMBER_RM | NUMBER_INTEGRAL},
        {PTX_W_RPI, NUMBER_RP | NUMBER_INTEGRAL},
        {PTX_W_FTZ, NUMBER_FTZ},
        {PTX_W_SAT, NUMBER_SAT},
        {PTX_W_RELU, NUMBER_RELU},
        {PTX_W_SATFINITE, NUMBER_SATFINITE},
        {PTX_W_NAN_RESULT, NUMBER_NAN},
        {PTX_W_XORSIGN, NUMBER_XORSIGN_ABS},
    };
    unsigned how = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (ptx_has(instruction, rows[i].word))
            how |= rows[i].how;
    return how;
}

/* The approximate form of an operation. */
static enum number_operation approximate(enum number_operation operation)
{
    switch (operation) {
    case NUMBER_DIV:
        return NUMBER_APPROX_DIV;
    case NUMBER_RCP:
        return NUMBER_APPROX_RCP;
    case NUMBER_SQRT:
        return NUMBER_APPROX_SQRT;
    default:
        return operation;
    }
}

/* Which product of a sum is fused with it, -1: none. The same instruction does the same in a whole
 * run. */
static int choose_product(const struct ptx_warp *warp, const struct ptx_code *code)
{
    const struct ptx_options *options = &warp->machine->options;
    if (!code->fusion || options->fuse == PTX_FUSE_NONE)
        return -1;
    if (options->fuse == PTX_FUSE_ALL)
        return 0;
    uint64_t mixed = (options->seed + 1) * UINT64_C(0x9e3779b97f4a7c15) +
                     (uint64_t)(code - warp->program->code) * UINT64_C(0xd1342543de82ef95);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return (int)((mixed >> 33) % (uint64_t)(code->fusion->count + 1)) - 1;
}

static void run_fused(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes, int which)
{
    const struct ptx_fusion *fusion = code->fusion;
    const uint64_t *a = ptx_row(warp, fusion->of[which].a), *b = ptx_row(warp, fusion->of[which].b),
                   *c = ptx_row(warp, fusion->of[which].c);
    const uint64_t flip_a = fusion->of[which].flip_a, flip_c = fusion->of[which].flip_c;
    uint64_t *d = ptx_row_to(warp, code->d);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        d[lane] =
            number_apply(&fusion->number, a[lane] ^ flip_a, b[lane], c[lane] ^ flip_c, code->how);
    }
}

static void run_number(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const uint64_t *a = ptx_row(warp, code->a), *b = ptx_row(warp, code->b),
                   *c = ptx_row(warp, code->c);
    uint64_t *d = ptx_row_to(warp, code->d);
    const int product = choose_product(warp, code);
    ptx_spread_undefined(warp, code, lanes);
    if (product >= 0) {
        run_fused(warp, code, lanes, product);
        return;
    }
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        d[lane] = number_apply(&code->number, a[lane], b[lane], c[lane], code->how);
    }
}

static int lower_float(struct ptx_build *build, const struct ptx_instruction *instruction,
                       struct ptx_code *code)
{
    enum number_operation operation = (enum number_operation)instruction->opcode->data;
    const enum ptx_type type = (enum ptx_type)instruction->types[0];
    if (ptx_has(instruction, PTX_W_APPROX))
        operation = approximate(operation);
    if (ptx_has(instruction, PTX_W_FULL))
        operation = NUMBER_FULL_DIV;
    if (instruction->operand_count == 4 && operation == NUMBER_MIN)
        operation = NUMBER_MIN3;
    if (instruction->operand_count == 4 && operation == NUMBER_MAX)
        operation = NUMBER_MAX3;
    if (!number_find(operation, (enum number_format)ptx_number_format(type), &code->number))
        return ptx_refuse(build, "no such operation on this type");
    code->execute = run_number;
    code->bits = (uint8_t)ptx_types[type].bits;
    code->how = ptx_number_how(instruction);
    code->spread = PTX_SPREAD_ALL;
    if (operation == NUMBER_MIN3 || operation == NUMBER_MAX3)
        code->how |= ptx_has(instruction, PTX_W_ABS) ? NUMBER_ABS : 0;
    return 0;
}

/* ---- testp ----------------------------------------------------------------------------------- */

enum { TEST_FINITE, TEST_INFINITE, TEST_NUMBER, TEST_NAN, TEST_NORMAL, TEST_SUBNORMAL };

/* how: the test | exponent bits << 8 | fraction bits << 16. */
static uint64_t test(uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)b, (void)c;
    const unsigned exponent_bits = how >> 8 & 0xff, fraction_bits = how >> 16;
    const uint64_t fraction = a & ((UINT64_C(1) << fraction_bits) - 1);
    const uint64_t largest = (UINT64_C(1) << exponent_bits) - 1;
    const uint64_t exponent = a >> fraction_bits & largest;
    switch (how & 0xff) {
    case TEST_FINITE:
        return exponent != largest;
    case TEST_INFINITE:
        return exponent == largest && !fraction;
    case TEST_NUMBER:
        return !(exponent == largest && fraction);
    case TEST_NAN:
        return exponent == largest && fraction;
    case TEST_NORMAL:
        return exponent == 0 ? fraction == 0 : exponent != largest; /* zeros are normal: the text */
    default:
        return exponent == 0 && fraction;
    }
}

static int lower_testp(struct ptx_build *build, const struct ptx_instruction *instruction,
                       struct ptx_code *code)
{
    static const enum ptx_word words[] = {PTX_W_FINITE,     PTX_W_INFINITE, PTX_W_NUMBER,
                                          PTX_W_NOTANUMBER, PTX_W_NORMAL,   PTX_W_SUBNORMAL};
    const int is_f64 = instruction->types[0] == PTX_F64;
    code->execute = ptx_run_scalar;
    code->scalar = test;
    code->bits = 1;
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (ptx_has(instruction, words[i])) {
            code->how = i | (is_f64 ? 11u << 8 | 52u << 16 : 8u << 8 | 23u << 16);
            return 0;
        }
    return ptx_refuse(build, "what is to be tested is missing");
}

const struct ptx_opcode ptx_opcodes_float[] = {
    {"add", "@round ftz sat", "f32", "D0 S0 S0", lower_float, NUMBER_ADD, 0},
    {"add", "@round", "f64", "D0 S0 S0", lower_float, NUMBER_ADD, 0},
    {"add", "rn ftz sat", "@half", "D0 S0 S0", lower_float, NUMBER_ADD, 0},
    {"add", "@round ftz", "f32x2", "D0 S0 S0", lower_float, NUMBER_ADD, 0},
    {"sub", "@round ftz sat", "f32", "D0 S0 S0", lower_float, NUMBER_SUB, 0},
    {"sub", "@round", "f64", "D0 S0 S0", lower_float, NUMBER_SUB, 0},
    {"sub", "rn ftz sat", "@half", "D0 S0 S0", lower_float, NUMBER_SUB, 0},
    {"sub", "@round ftz", "f32x2", "D0 S0 S0", lower_float, NUMBER_SUB, 0},
    {"mul", "@round ftz sat", "f32", "D0 S0 S0", lower_float, NUMBER_MUL, 0},
    {"mul", "@round", "f64", "D0 S0 S0", lower_float, NUMBER_MUL, 0},
    {"mul", "rn ftz sat", "@half", "D0 S0 S0", lower_float, NUMBER_MUL, 0},
    {"mul", "@round ftz", "f32x2", "D0 S0 S0", lower_float, NUMBER_MUL, 0},
    {"fma", "@round ftz sat", "f32", "D0 S0 S0 S0", lower_float, NUMBER_FMA, 0},
    {"fma", "@round", "f64", "D0 S0 S0 S0", lower_float, NUMBER_FMA, 0},
    {"fma", "rn ftz sat relu", "@half", "D0 S0 S0 S0", lower_float, NUMBER_FMA, 0},
    {"fma", "@round ftz", "f32x2", "D0 S0 S0 S0", lower_float, NUMBER_FMA, 0},
    {"mad", "@round ftz sat", "f32", "D0 S0 S0 S0", lower_float, NUMBER_FMA, 0},
    {"mad", "@round", "f64", "D0 S0 S0 S0", lower_float, NUMBER_FMA, 0},
    {"div", "@round approx full ftz", "f32", "D0 S0 S0", lower_float, NUMBER_DIV, 0},
    {"div", "@round", "f64", "D0 S0 S0", lower_float, NUMBER_DIV, 0},
    {"rcp", "@round approx ftz", "f32", "D0 S0", lower_float, NUMBER_RCP, 0},
    {"rcp", "@round approx ftz", "f64", "D0 S0", lower_float, NUMBER_RCP, 0},
    {"sqrt", "@round approx ftz", "f32", "D0 S0", lower_float, NUMBER_SQRT, 0},
    {"sqrt", "@round", "f64", "D0 S0", lower_float, NUMBER_SQRT, 0},
    {"rsqrt", "approx ftz", "f32 f64", "D0 S0", lower_float, NUMBER_APPROX_RSQRT, 0},
    {"ex2", "approx ftz", "f32 @half", "D0 S0", lower_float, NUMBER_APPROX_EX2, 0},
    {"lg2", "approx ftz", "f32", "D0 S0", lower_float, NUMBER_APPROX_LG2, 0},
    {"sin", "approx ftz", "f32", "D0 S0", lower_float, NUMBER_APPROX_SIN, 0},
    {"cos", "approx ftz", "f32", "D0 S0", lower_float, NUMBER_APPROX_COS, 0},
    {"tanh", "approx", "f32 @half", "D0 S0", lower_float, NUMBER_APPROX_TANH, 0},
    {"min", "ftz NaN xorsign abs", "f32 f64 @half", "D0 S0 S0", lower_float, NUMBER_MIN, 0},
    {"min", "ftz NaN abs", "f32", "D0 S0 S0 S0", lower_float, NUMBER_MIN, 0},
    {"max", "ftz NaN xorsign abs", "f32 f64 @half", "D0 S0 S0", lower_float, NUMBER_MAX, 0},
    {"max", "ftz NaN abs", "f32", "D0 S0 S0 S0", lower_float, NUMBER_MAX, 0},
    {"neg", "ftz", "f32 f64 @half", "D0 S0", lower_float, NUMBER_NEG, 0},
    {"abs", "ftz", "f32 f64 @half", "D0 S0", lower_float, NUMBER_ABSOLUTE, 0},
    {"copysign", "", "f32 f64", "D0 S0 S0", lower_float, NUMBER_COPYSIGN, 0},
    {"testp", "finite infinite number notanumber normal subnormal", "f32 f64", "Pp S0", lower_testp,
     0, 0},
    {0},
};

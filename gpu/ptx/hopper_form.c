/*
 * hopper_form.c - what a wgmma.mma_async says: shape, types, where A is, transposes and signs.
 */
#include "gpu/ptx/hopper_wgmma.h"
#include "gpu/ptx/lower.h"
#include "ref/moe.h"

/* What follows scale-d, by types. */
struct kind {
    enum ptx_type a, d[2];
    int k;          /* of the instruction */
    int bytes;      /* of an element; b1: words */
    int signs;      /* imm-scale-a and -b */
    int transposes; /* imm-trans-a, where A is in memory, and -b */
    enum number_format format;
};

static const struct kind kinds[] = {
    {PTX_F16, {PTX_F32, PTX_F16}, 16, 2, 1, 1, NUMBER_F16},
    {PTX_BF16, {PTX_F32, PTX_F32}, 16, 2, 1, 1, NUMBER_BF16},
    {PTX_TF32, {PTX_F32, PTX_F32}, 8, 4, 1, 0, NUMBER_TF32},
    {PTX_E4M3, {PTX_F32, PTX_F16}, 32, 1, 1, 0, NUMBER_E4M3},
    {PTX_E5M2, {PTX_F32, PTX_F16}, 32, 1, 1, 0, NUMBER_E5M2},
    {PTX_S8, {PTX_S32, PTX_S32}, 32, 1, 0, 0, NUMBER_S8},
    {PTX_U8, {PTX_S32, PTX_S32}, 32, 1, 0, 0, NUMBER_U8},
    {PTX_B1, {PTX_S32, PTX_S32}, 256, 4, 0, 0, NUMBER_MMA_B1},
};

static const struct kind *find_kind(int type)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].a == (enum ptx_type)type)
            return &kinds[i];
    return NULL;
}

static int take_shape(struct ptx_build *build, const struct ptx_instruction *instruction,
                      const struct kind *a, const struct kind *b, struct wgmma_form *form)
{
    const int n = instruction->shape[1];
    const int d = instruction->types[0];
    if (instruction->shape[0] != WGMMA_ROWS || instruction->shape[2] != a->k || n < 8 ||
        n > WGMMA_N || n % 8)
        return ptx_refuse(build, "the shape is m64nNk%d, N a multiple of 8 up to 256", a->k);
    if (!a->signs && n > 32 && n % 16)
        return ptx_refuse(build, "no such N of integers");
    if (d != (int)a->d[0] && d != (int)a->d[1])
        return ptx_refuse(build, "no accumulator of this type");
    form->d_bits = ptx_types[d].bits;
    form->a_bits = 8 * a->bytes;
    form->mma = (struct number_mma){
        .family = NUMBER_WGMMA,
        .m = WGMMA_ROWS,
        .n = n,
        .k = a->format == NUMBER_MMA_B1 ? a->k / 32 : a->k,
        .a = a->format,
        .b = b->format,
        .d = d == PTX_F32   ? NUMBER_F32
             : d == PTX_F16 ? NUMBER_F16
                            : NUMBER_S32,
        .operation = a->format == NUMBER_MMA_B1 ? NUMBER_MMA_AND_POPC : NUMBER_MMA_MULTIPLY,
        .satfinite = ptx_has(instruction, PTX_W_SATFINITE),
    };
    if (!number_mma_known(&form->mma))
        return ptx_refuse(build, "no product of these types");
    return MOE_OK;
}

static int take_registers(struct ptx_build *build, const struct ptx_code *code,
                          struct wgmma_form *form)
{
    const struct ptx_place *d = &code->places[0], *a = &code->places[1];
    form->d = d->part;
    form->d_count = d->count;
    form->a_in_registers = a->kind == PTX_VECTOR;
    form->a = a->part;
    form->a_count = form->a_in_registers ? a->count : 0;
    if (d->kind != PTX_VECTOR || d->count != form->mma.n * form->d_bits / 64)
        return ptx_refuse(build, "D is a vector of %d registers", form->mma.n * form->d_bits / 64);
    if (form->a_in_registers && a->count != 4)
        return ptx_refuse(build, "A is a descriptor or a vector of 4 registers");
    for (int i = 0; i < form->d_count; i++)
        if (form->d[i].kind != PTX_REGISTER)
            return ptx_refuse(build, "D is of registers");
    /* They share their slots with nobody: what is under way may be written late. */
    for (int i = 0; i < form->d_count; i++)
        lower_hold(build, form->d[i].slot);
    for (int i = 0; i < form->a_count; i++)
        lower_hold(build, form->a[i].slot);
    return MOE_OK;
}

/* -1 and 1, then 0 and 1. */
static int take_immediates(struct ptx_build *build, const struct ptx_code *code,
                           const struct kind *kind, struct wgmma_form *form)
{
    const int signs = 2 * kind->signs, transposes = kind->transposes ? 2 - form->a_in_registers : 0;
    if (code->place_count != 4 + signs + transposes)
        return ptx_refuse(build, "%d operands, %d are needed", code->place_count,
                          4 + signs + transposes);
    for (int i = 4; i < code->place_count; i++) {
        const int64_t value = (int64_t)code->instruction->operands[i].value;
        if (code->places[i].kind != PTX_IMMEDIATE ||
            (i < 4 + signs ? value != 1 && value != -1 : value != 0 && value != 1))
            return ptx_refuse(build, "operand %d is to be an immediate of %s", i + 1,
                              i < 4 + signs ? "1 or -1" : "0 or 1");
        const int set = i < 4 + signs ? value < 0 : value != 0;
        const int is_b = i == code->place_count - 1 || i == 4 + signs - 1;
        if (i < 4 + signs)
            *(is_b ? &form->mma.negate_b : &form->mma.negate_a) = set;
        else
            *(is_b ? &form->b_k_major : &form->a_k_major) = !set;
    }
    return MOE_OK;
}

int wgmma_lower(struct ptx_build *build, const struct ptx_instruction *instruction,
                struct ptx_code *code)
{
    struct wgmma_form *form = ptx_arena_take(build->program->arena, 1, sizeof *form);
    const struct kind *a = find_kind(instruction->types[1]), *b = find_kind(instruction->types[2]);
    if (!form)
        return lower_nomem();
    if (ptx_has(instruction, PTX_W_SP))
        return ptx_refuse(build, "sparse products are not run");
    if (!a || !b || a->bytes != b->bytes || a->k != b->k)
        return ptx_refuse(build, "no product of these types");
    form->a_k_major = form->b_k_major = 1;
    int status = take_shape(build, instruction, a, b, form);
    if (!status)
        status = take_registers(build, code, form);
    if (!status)
        status = take_immediates(build, code, a, form);
    code->a = code->places[1].slot;
    code->b = code->places[2].slot;
    code->c = code->places[3].slot;
    form->negate_scale = code->places[3].negate;
    code->data[3] = (uint64_t)(uintptr_t)form;
    return status;
}

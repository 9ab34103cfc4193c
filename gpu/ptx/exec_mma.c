/*
 * exec_mma.c - mma.sync, decoded: its types, shapes and fragments.
 */
#include "gpu/ptx/exec_fragment.h"
#include "gpu/ptx/lower.h"
#include "ref/moe.h"

/* Types that go together have one family: both operands are of it. */
struct type_row {
    enum ptx_type type, family;
    int format, bits;
    enum ptx_type d[2]; /* accumulators; the first where there is but one */
};

static const struct type_row types[] = {
    {PTX_F16, PTX_F16, NUMBER_F16, 16, {PTX_F32, PTX_F16}},
    {PTX_BF16, PTX_BF16, NUMBER_BF16, 16, {PTX_F32, PTX_F32}},
    {PTX_TF32, PTX_TF32, NUMBER_TF32, 32, {PTX_F32, PTX_F32}},
    {PTX_F64, PTX_F64, NUMBER_F64, 64, {PTX_F64, PTX_F64}},
    {PTX_E4M3, PTX_E4M3, NUMBER_E4M3, 8, {PTX_F32, PTX_F16}},
    {PTX_E5M2, PTX_E4M3, NUMBER_E5M2, 8, {PTX_F32, PTX_F16}},
    {PTX_S8, PTX_S8, NUMBER_S8, 8, {PTX_S32, PTX_S32}},
    {PTX_U8, PTX_S8, NUMBER_U8, 8, {PTX_S32, PTX_S32}},
    {PTX_S4, PTX_S4, NUMBER_S8, 4, {PTX_S32, PTX_S32}},
    {PTX_U4, PTX_S4, NUMBER_U8, 4, {PTX_S32, PTX_S32}},
    {PTX_B1, PTX_B1, NUMBER_MMA_B1, 32, {PTX_S32, PTX_S32}},
};

/* Shapes mMn8kK that sm_90 has. */
static const struct {
    enum ptx_type family;
    int m, k;
} shapes[] = {
    {PTX_F16, 8, 4},    {PTX_F16, 16, 8},  {PTX_F16, 16, 16}, {PTX_BF16, 16, 8},
    {PTX_BF16, 16, 16}, {PTX_TF32, 16, 4}, {PTX_TF32, 16, 8}, {PTX_F64, 8, 4},
    {PTX_F64, 16, 4},   {PTX_F64, 16, 8},  {PTX_F64, 16, 16}, {PTX_E4M3, 16, 16},
    {PTX_E4M3, 16, 32}, {PTX_S8, 8, 16},   {PTX_S8, 16, 16},  {PTX_S8, 16, 32},
    {PTX_S4, 8, 32},    {PTX_S4, 16, 32},  {PTX_S4, 16, 64},  {PTX_B1, 8, 128},
    {PTX_B1, 16, 128},  {PTX_B1, 16, 256},
};

static const struct type_row *find_type(int type)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == (enum ptx_type)type)
            return &types[i];
    return NULL;
}

static int has_shape(const struct ptx_instruction *instruction, enum ptx_type family)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (shapes[i].family == family && shapes[i].m == instruction->shape[0] &&
            instruction->shape[1] == 8 && shapes[i].k == instruction->shape[2])
            return 1;
    return 0;
}

/* Words that go with some types only. */
static int check_words(struct ptx_build *build, const struct ptx_instruction *instruction,
                       enum ptx_type family)
{
    const int is_b1 = family == PTX_B1;
    int roundings = 0;
    for (int i = 0; i < instruction->word_count; i++)
        roundings += instruction->words[i] == PTX_W_RN || instruction->words[i] == PTX_W_RZ ||
                     instruction->words[i] == PTX_W_RM || instruction->words[i] == PTX_W_RP;
    if (ptx_has(instruction, PTX_W_KIND_F8F6F4))
        return ptx_refuse(build, ".kind::f8f6f4 needs sm_120a, and the machine is an sm_90a");
    if (!ptx_has(instruction, PTX_W_ALIGNED))
        return ptx_refuse(build, ".aligned is missing");
    if (ptx_has(instruction, PTX_W_POPC) != is_b1 ||
        ptx_has(instruction, PTX_W_XOR) + ptx_has(instruction, PTX_W_AND) != is_b1)
        return ptx_refuse(build, ".xor.popc or .and.popc is of b1, which needs one");
    if (ptx_has(instruction, PTX_W_SATFINITE) && family != PTX_S8 && family != PTX_S4)
        return ptx_refuse(build, ".satfinite is of integers of 4 and 8 bits");
    return roundings > (family == PTX_F64) ? ptx_refuse(build, "no such rounding") : MOE_OK;
}

/* row_major[2]: of A and B. */
static int take_layouts(struct ptx_build *build, const struct ptx_instruction *instruction,
                        int row_major[2])
{
    int count = 0;
    for (int i = 0; i < instruction->word_count; i++)
        if (instruction->words[i] == PTX_W_ROW || instruction->words[i] == PTX_W_COL) {
            if (count < 2)
                row_major[count] = instruction->words[i] == PTX_W_ROW;
            count++;
        }
    if (count != 2)
        return ptx_refuse(build, "two layouts are to be given");
    if ((!row_major[0] || row_major[1]) && instruction->shape[2] != 4)
        return ptx_refuse(build, "the layouts are .row.col; others has m8n8k4 of f16 alone");
    return MOE_OK;
}

static int make(struct ptx_build *build, fragment_cell *cell, int how, int bits, int count,
                int columns, struct fragment *fragment)
{
    const struct fragment_block block = {count, 0, 0};
    *fragment = (struct fragment){.bits = bits, .count = count, .own = count, .columns = columns};
    return fragment_make(build, cell, how, &block, fragment);
}

static int make_fragments(struct ptx_build *build, const struct ptx_instruction *instruction,
                          const struct type_row *a, const struct type_row *b,
                          const int row_major[2], struct fragment_product *form)
{
    const int m = form->mma.m, n = form->mma.n, k = form->mma.k, quads = form->products > 1;
    const int d_bits = ptx_types[instruction->types[0]].bits;
    const int c_bits = ptx_types[instruction->types[3]].bits;
    fragment_cell *const sum = quads ? geometry_mma_quad_d : geometry_mma_d;
    int status =
        make(build, quads ? geometry_mma_quad_a : geometry_mma_a, quads ? row_major[0] : a->bits,
             a->bits, quads ? 2 : geometry_mma_registers(a->bits, m, k), k, &form->a);
    if (!status)
        status = make(build, quads ? geometry_mma_quad_b : geometry_mma_b,
                      quads ? row_major[1] : b->bits, b->bits,
                      quads ? 2 : geometry_mma_registers(b->bits, k, n), n, &form->b);
    if (!status)
        status = make(build, sum, d_bits, d_bits,
                      geometry_mma_registers(d_bits, form->products * m, n), n, &form->d);
    if (!status)
        status = make(build, sum, c_bits, c_bits,
                      geometry_mma_registers(c_bits, form->products * m, n), n, &form->c);
    return status;
}

static int lower_mma(struct ptx_build *build, const struct ptx_instruction *instruction,
                     struct ptx_code *code)
{
    struct fragment_product *form = ptx_arena_take(build->program->arena, 1, sizeof *form);
    const struct type_row *a = find_type(instruction->types[1]),
                          *b = find_type(instruction->types[2]);
    const enum ptx_type d = (enum ptx_type)instruction->types[0],
                        c = (enum ptx_type)instruction->types[3];
    int row_major[2] = {0, 0};
    if (!form)
        return lower_nomem();
    if (!a || !b || a->family != b->family || !has_shape(instruction, a->family))
        return ptx_refuse(build, "sm_90a has no product of these types in this shape");
    const int is_quad = a->type == PTX_F16 && instruction->shape[2] == 4;
    form->widen_c = is_quad && d == PTX_F32 && c == PTX_F16;
    if ((d != a->d[0] && d != a->d[1]) || (c != d && !form->widen_c))
        return ptx_refuse(build, "no such accumulators of these types");
    int status = check_words(build, instruction, a->family);
    if (!status)
        status = take_layouts(build, instruction, row_major);
    if (status)
        return status;
    form->products = is_quad ? 4 : 1;
    form->is_f64 = a->type == PTX_F64;
    form->signed_a4 = a->type == PTX_S4;
    form->signed_b4 = b->type == PTX_S4;
    form->how = ptx_number_how(instruction) & NUMBER_ROUNDING;
    form->mma = (struct number_mma){
        .family = NUMBER_MMA_SYNC,
        .m = instruction->shape[0],
        .n = instruction->shape[1],
        .k = a->type == PTX_B1 ? instruction->shape[2] / 32 : instruction->shape[2],
        .a = a->format,
        .b = b->format,
        .d = (enum number_format)ptx_number_format(d),
        .operation = ptx_has(instruction, PTX_W_XOR)   ? NUMBER_MMA_XOR_POPC
                     : ptx_has(instruction, PTX_W_AND) ? NUMBER_MMA_AND_POPC
                                                       : NUMBER_MMA_MULTIPLY,
        .satfinite = ptx_has(instruction, PTX_W_SATFINITE),
    };
    form->k_step = form->mma.k;
    status = make_fragments(build, instruction, a, b, row_major, form);
    struct fragment *const fragments[] = {&form->d, &form->a, &form->b, &form->c};
    for (int i = 0; i < 4 && !status; i++)
        status = fragment_place(build, &code->places[i], fragments[i]);
    code->execute = fragment_multiply;
    code->data[3] = (uint64_t)(uintptr_t)form;
    return status;
}

static int lower_sparse(struct ptx_build *build, const struct ptx_instruction *instruction,
                        struct ptx_code *code)
{
    (void)instruction, (void)code;
    return ptx_refuse(build, "sparse products are not run");
}

#define FACTORS "f16 bf16 tf32 f64 e4m3 e5m2 s8 u8 s4 u4 b1"

const struct ptx_opcode ptx_opcodes_mma[] = {
    {"mma.sync", "aligned row col satfinite xor and popc kind::f8f6f4 @round",
     "f16 f32 f64 s32;" FACTORS ";" FACTORS ";f16 f32 f64 s32", "V* W* W* W*", lower_mma, 0,
     PTX_GATHER_ALIGNED},
    {"mma.sp.sync", "aligned row col satfinite kind::f8f6f4",
     "f16 f32 s32;" FACTORS ";" FACTORS ";f16 f32 s32", "V* W* W* W* Si Si", lower_sparse, 0,
     PTX_GATHER_ALIGNED},
    {"mma.sp::ordered_metadata.sync", "aligned row col satfinite kind::f8f6f4",
     "f16 f32 s32;" FACTORS ";" FACTORS ";f16 f32 s32", "V* W* W* W* Si Si", lower_sparse, 0,
     PTX_GATHER_ALIGNED},
    {0},
};

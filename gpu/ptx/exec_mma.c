/*
 * exec_mma.c - mma.sync: the warp's fragments become matrices, number_mma.h multiplies them, and D
 * goes back.
 *
 * What nobody wrote of a row of A poisons that row of D, of a column of B that column, of an
 * element of C that element.
 */
#include "gpu/ptx/geometry.h"
#include "gpu/ptx/lower.h"
#include "gpu/ptx/machine.h"
#include "gpu/ptx/number_mma.h"
#include "ref/moe.h"

#define ELEMENTS 1024 /* of a matrix at most: A of m16n8k64 */

typedef struct geometry_cell find_cell(int how, int lane, int reg, int index);

/* Where a matrix is in registers. */
struct layout {
    find_cell *cell;
    int how;   /* its first argument */
    int bits;  /* of an element; b1: 32 of k are one */
    int count; /* registers of a lane */
    int columns;
    const struct ptx_place *places; /* [count] */
};

struct form {
    struct number_mma mma;
    int products; /* four of m8n8k4 of f16, one below the other; one of others */
    int is_f64, signed_a4, signed_b4;
    int widen_c; /* f16, and D is f32 */
    unsigned how;
    struct layout a, b, c, d;
};

struct matrix {
    uint64_t code[ELEMENTS];
    uint8_t undefined[ELEMENTS];
};

static const struct form *form_of(const struct ptx_code *code)
{
    return (const struct form *)(uintptr_t)code->data[3];
}

/* ---- fragments ------------------------------------------------------------------------------- */

static int per_register(const struct layout *layout)
{
    return layout->bits < 32 ? 32 / layout->bits : 1;
}

/* Bytes of a register that its index-th element touches, as a mask. */
static unsigned bytes_of(const struct layout *layout, int index)
{
    const int first = index * layout->bits / 8, bytes = (layout->bits + 7) / 8;
    return ((1u << bytes) - 1) << first;
}

static void take(const struct ptx_warp *warp, const struct layout *layout, struct matrix *matrix)
{
    const uint64_t keep = UINT64_MAX >> (64 - layout->bits);
    for (int reg = 0; reg < layout->count; reg++)
        for (int lane = 0; lane < PTX_LANES; lane++)
            for (int index = 0; index < per_register(layout); index++) {
                const struct geometry_cell cell = layout->cell(layout->how, lane, reg, index);
                const int at = cell.row * layout->columns + cell.column;
                const int32_t slot = layout->places[reg].slot;
                matrix->code[at] = ptx_row(warp, slot)[lane] >> (index * layout->bits) & keep;
                matrix->undefined[at] =
                    (ptx_undefined(warp, slot, lane) & bytes_of(layout, index)) != 0;
            }
}

static void give(struct ptx_warp *warp, const struct layout *layout, const struct matrix *matrix)
{
    for (int reg = 0; reg < layout->count; reg++)
        for (int lane = 0; lane < PTX_LANES; lane++) {
            const int32_t slot = layout->places[reg].slot;
            uint64_t value = 0;
            unsigned undefined = 0;
            for (int index = 0; index < per_register(layout); index++) {
                const struct geometry_cell cell = layout->cell(layout->how, lane, reg, index);
                const int at = cell.row * layout->columns + cell.column;
                value |= matrix->code[at] << (index * layout->bits);
                undefined |= matrix->undefined[at] ? bytes_of(layout, index) : 0;
            }
            ptx_row_to(warp, slot)[lane] = value;
            ptx_set_undefined(warp, slot, lane, (uint8_t)undefined);
        }
}

/* ---- the product ----------------------------------------------------------------------------- */

static void spread(const struct form *form, const struct matrix *a, const struct matrix *b,
                   const struct matrix *c, struct matrix *d)
{
    const int m = form->mma.m, n = form->mma.n, k = form->mma.k;
    uint8_t rows[4 * 8] = {0}, columns[4 * 8] = {0};
    for (int i = 0; i < form->products * m * k; i++)
        rows[i / k] |= a->undefined[i];
    for (int i = 0; i < form->products * k * n; i++)
        columns[i / n / k * n + i % n] |= b->undefined[i];
    for (int i = 0; i < form->products * m * n; i++)
        d->undefined[i] = c->undefined[i] | rows[i / n] | columns[i / n / m * n + i % n];
}

static uint32_t sign_extended(uint64_t nibble)
{
    return (uint32_t)((nibble ^ 8) - 8);
}

static void multiply(const struct form *form, const struct number_mma *mma, const struct matrix *a,
                     const struct matrix *b, const struct matrix *c, struct matrix *d)
{
    uint32_t left[ELEMENTS], right[ELEMENTS], sum[ELEMENTS];
    const int a_count = mma->m * mma->k, b_count = mma->k * mma->n, count = mma->m * mma->n;
    for (int product = 0; product < form->products; product++) {
        for (int i = 0; i < a_count; i++) {
            const uint64_t code = a->code[product * a_count + i];
            left[i] = form->signed_a4 ? sign_extended(code) : (uint32_t)code;
        }
        for (int i = 0; i < b_count; i++) {
            const uint64_t code = b->code[product * b_count + i];
            right[i] = form->signed_b4 ? sign_extended(code) : (uint32_t)code;
        }
        for (int i = 0; i < count; i++) {
            const uint64_t code = c->code[product * count + i];
            sum[i] = (uint32_t)(form->widen_c ? number_convert(NUMBER_F32, NUMBER_F16, code, 0, 0)
                                              : code);
        }
        number_mma_run(mma, left, right, sum, sum);
        for (int i = 0; i < count; i++)
            d->code[product * count + i] = sum[i];
    }
}

static void run_mma(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const struct form *form = form_of(code);
    struct number_mma mma = form->mma;
    struct matrix a, b, c, d;
    if (ptx_part_of_warp(warp, code, lanes))
        return;
    mma.model = warp->machine->options.plain_mma ? NUMBER_MMA_PLAIN : NUMBER_MMA_CHIP;
    take(warp, &form->a, &a);
    take(warp, &form->b, &b);
    take(warp, &form->c, &c);
    if (form->is_f64)
        number_mma_run_f64(mma.m, mma.n, mma.k, a.code, b.code, c.code, d.code, form->how);
    else
        multiply(form, &mma, &a, &b, &c, &d);
    spread(form, &a, &b, &c, &d);
    give(warp, &form->d, &d);
}

/* ---- decoding -------------------------------------------------------------------------------- */

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

static int take_registers(struct ptx_build *build, const struct ptx_place *place,
                          struct layout *layout)
{
    const int bits = layout->bits < 32 ? 32 : layout->bits;
    layout->places = place->kind == PTX_VECTOR ? place->part : place;
    if ((place->kind == PTX_VECTOR ? place->count : 1) != layout->count)
        return ptx_refuse(build, "an operand has %d registers, and %d are needed",
                          place->kind == PTX_VECTOR ? place->count : 1, layout->count);
    for (int i = 0; i < layout->count; i++)
        if (layout->places[i].kind == PTX_REGISTER &&
            ptx_types[layout->places[i].type].bits != bits)
            return ptx_refuse(build, "registers of %d bits are needed", bits);
    return MOE_OK;
}

static void set_layouts(const struct ptx_instruction *instruction, const struct type_row *a,
                        const struct type_row *b, const int row_major[2], struct form *form)
{
    const int m = form->mma.m, n = form->mma.n, k = form->mma.k, quads = form->products > 1;
    const int d_bits = ptx_types[instruction->types[0]].bits;
    const int c_bits = ptx_types[instruction->types[3]].bits;
    form->a = (struct layout){.cell = quads ? geometry_mma_quad_a : geometry_mma_a,
                              .how = quads ? row_major[0] : a->bits,
                              .bits = a->bits,
                              .count = quads ? 2 : geometry_mma_registers(a->bits, m, k),
                              .columns = k};
    form->b = (struct layout){.cell = quads ? geometry_mma_quad_b : geometry_mma_b,
                              .how = quads ? row_major[1] : b->bits,
                              .bits = b->bits,
                              .count = quads ? 2 : geometry_mma_registers(b->bits, k, n),
                              .columns = n};
    form->d = (struct layout){.cell = quads ? geometry_mma_quad_d : geometry_mma_d,
                              .how = d_bits,
                              .bits = d_bits,
                              .count = geometry_mma_registers(d_bits, form->products * m, n),
                              .columns = n};
    form->c = form->d;
    form->c.how = form->c.bits = c_bits;
    form->c.count = geometry_mma_registers(c_bits, form->products * m, n);
}

static int lower_mma(struct ptx_build *build, const struct ptx_instruction *instruction,
                     struct ptx_code *code)
{
    struct form *form = ptx_arena_take(build->program->arena, 1, sizeof *form);
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
    set_layouts(instruction, a, b, row_major, form);
    struct layout *const layouts[] = {&form->d, &form->a, &form->b, &form->c};
    for (int i = 0; i < 4 && !status; i++)
        status = take_registers(build, &code->places[i], layouts[i]);
    code->execute = run_mma;
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

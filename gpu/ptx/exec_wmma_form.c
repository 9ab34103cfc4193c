/*
 * exec_wmma_form.c - wmma, decoded: its types, shapes and fragments.
 *
 * The text does not say which thread has which element, and a kernel may not ask. Here it is as
 * ptxas 13.0 makes of it for sm_90a, read in its machine code: blocks of mma.sync's fragments, the
 * left factor's one below the other, the right one's side by side; of f16 all eight registers of a
 * factor are filled, again and again with the same where fewer would do, and m8n32k16 is the
 * product of the transposes. The products are those of mma.sync with the k of one instruction, but
 * for tf32 and k8: two of k4, one on top of the other. An f16 D of an f32 C is rounded at the end.
 */
#include "gpu/ptx/exec_wmma.h"
#include "gpu/ptx/lower.h"
#include "ref/moe.h"

enum { PIECE = 32, ALIGN = 16 };

/* Shapes that a type has: sets. */
enum { OF_16 = 1, OF_TF32 = 2, OF_64 = 4, OF_4 = 8, OF_1 = 16 };

static const struct shape_row {
    int m, n, k, set;
} shapes[] = {
    {16, 16, 16, OF_16}, {8, 32, 16, OF_16}, {32, 8, 16, OF_16}, {16, 16, 8, OF_TF32},
    {8, 8, 4, OF_64},    {8, 8, 32, OF_4},   {8, 8, 128, OF_1},
};

struct type_row {
    enum ptx_type type; /* of both factors */
    int format, bits, set;
    enum ptx_type d[2]; /* accumulators; the first where there is but one */
};

static const struct type_row factors[] = {
    {PTX_F16, NUMBER_F16, 16, OF_16, {PTX_F32, PTX_F16}},
    {PTX_BF16, NUMBER_BF16, 16, OF_16, {PTX_F32, PTX_F32}},
    {PTX_S8, NUMBER_S8, 8, OF_16, {PTX_S32, PTX_S32}},
    {PTX_U8, NUMBER_U8, 8, OF_16, {PTX_S32, PTX_S32}},
    {PTX_TF32, NUMBER_TF32, 32, OF_TF32, {PTX_F32, PTX_F32}},
    {PTX_F64, NUMBER_F64, 64, OF_64, {PTX_F64, PTX_F64}},
    {PTX_S4, NUMBER_S8, 4, OF_4, {PTX_S32, PTX_S32}},
    {PTX_U4, NUMBER_U8, 4, OF_4, {PTX_S32, PTX_S32}},
    {PTX_B1, NUMBER_MMA_B1, 32, OF_1, {PTX_S32, PTX_S32}},
};

static const struct type_row sums[] = {
    {PTX_F16, NUMBER_F16, 16, OF_16, {PTX_F16, PTX_F16}},
    {PTX_F32, NUMBER_F32, 32, OF_16 | OF_TF32, {PTX_F32, PTX_F32}},
    {PTX_S32, NUMBER_S32, 32, OF_16 | OF_4 | OF_1, {PTX_S32, PTX_S32}},
    {PTX_F64, NUMBER_F64, 64, OF_64, {PTX_F64, PTX_F64}},
};

static const struct type_row *find_type(const struct type_row *rows, size_t count, int type)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].type == (enum ptx_type)type)
            return &rows[i];
    return NULL;
}

static const struct type_row *find_factor(int type)
{
    return find_type(factors, sizeof factors / sizeof *factors, type);
}

static const struct type_row *find_sum(int type)
{
    return find_type(sums, sizeof sums / sizeof *sums, type);
}

/* The product as it is computed: of the transposes, where m is less than n. */
struct shape {
    int m, n, k, transposed;
};

static int find_shape(struct ptx_build *build, const struct ptx_instruction *instruction,
                      const struct type_row *type, struct shape *shape)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const struct shape_row *row = &shapes[i];
        if (!type || !(row->set & type->set) || row->m != instruction->shape[0] ||
            row->n != instruction->shape[1] || row->k != instruction->shape[2])
            continue;
        const int transposed = row->m < row->n;
        *shape = (struct shape){transposed ? row->n : row->m, transposed ? row->m : row->n, row->k,
                                transposed};
        if (row->set == OF_1)
            shape->k /= 32;
        return MOE_OK;
    }
    return ptx_refuse(build, "sm_90a has no wmma of this type in this shape");
}

enum part { LEFT, RIGHT, SUM };

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int make(struct ptx_build *build, const struct shape *shape, enum part part,
                const struct type_row *type, struct fragment *fragment)
{
    static fragment_cell *const cells[] = {geometry_mma_a, geometry_mma_b, geometry_mma_d};
    const int rows = part == RIGHT ? shape->k : shape->m;
    const int columns = part == LEFT ? shape->k : shape->n;
    const int block_rows = part == RIGHT ? rows : least(rows, 16);
    const int block_columns = part == LEFT ? columns : 8;
    const struct fragment_block block = {
        .registers = geometry_mma_registers(type->bits, block_rows, block_columns),
        .rows = rows > block_rows ? block_rows : 0,
        .columns = columns > block_columns ? block_columns : 0};
    const int own = geometry_mma_registers(type->bits, rows, columns);
    *fragment = (struct fragment){.bits = type->bits,
                                  .count = part != SUM && type->type == PTX_F16 ? 8 : own,
                                  .own = own,
                                  .columns = columns};
    return fragment_make(build, cells[part], type->bits, &block, fragment);
}

/* Layouts, as many as there are, of which 4 bits and 1 have but one: A's rows, B's columns. */
static int take_layouts(struct ptx_build *build, const struct ptx_instruction *instruction,
                        int wanted, int rows[2])
{
    int count = 0;
    for (int i = 0; i < instruction->word_count; i++)
        if (instruction->words[i] == PTX_W_ROW || instruction->words[i] == PTX_W_COL) {
            if (count < 2)
                rows[count] = instruction->words[i] == PTX_W_ROW;
            count++;
        }
    if (!ptx_has(instruction, PTX_W_ALIGNED))
        return ptx_refuse(build, ".aligned is missing");
    return count == wanted ? MOE_OK : ptx_refuse(build, "%d layouts are to be given", wanted);
}

static int lower_move(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    enum { A, B, C, D };
    const unsigned which = instruction->opcode->data;
    struct wmma_move *move = ptx_arena_take(build->program->arena, 1, sizeof *move);
    const struct type_row *type = which == A || which == B ? find_factor(instruction->types[0])
                                                           : find_sum(instruction->types[0]);
    struct shape shape;
    int rows[2] = {0, 0};
    if (!move)
        return lower_nomem();
    int status = find_shape(build, instruction, type, &shape);
    if (!status)
        status = take_layouts(build, instruction, 1, rows);
    if (status)
        return status;
    if (which < C && type->set & (OF_4 | OF_1) && rows[0] != (which == A))
        return ptx_refuse(build, "elements of 4 bits and of 1 are .row in A and .col in B");
    const enum part part = which >= C ? SUM : (which == A) != shape.transposed ? LEFT : RIGHT;
    struct fragment *fragment = &move->fragment;
    status = make(build, &shape, part, type, fragment);
    if (!status)
        status = fragment_place(build, &code->places[which == D], fragment);
    if (status)
        return status;
    const int matrix_rows = part == RIGHT ? shape.k : shape.m;
    move->lines_are_rows = rows[0] != shape.transposed;
    const int line = move->lines_are_rows ? fragment->columns : matrix_rows;
    move->unit = type->type == PTX_B1 ? 1 : type->bits;
    move->line_bytes = line * type->bits / 8;
    move->piece_bytes = least(move->line_bytes, PIECE);
    move->pieces = matrix_rows * fragment->columns * type->bits / 8 / move->piece_bytes;
    move->stride = (uint32_t)(move->line_bytes * 8 / move->unit);
    move->align = (uint32_t)least(fragment->count * (type->bits == 64 ? 8 : 4), ALIGN);
    code->execute = which == D ? wmma_store : wmma_load;
    code->data[3] = (uint64_t)(uintptr_t)move;
    return MOE_OK;
}

static int check_words(struct ptx_build *build, const struct ptx_instruction *instruction,
                       const struct type_row *a, const int rows[2])
{
    int roundings = 0;
    for (int i = 0; i < instruction->word_count; i++)
        roundings += instruction->words[i] == PTX_W_RN || instruction->words[i] == PTX_W_RZ ||
                     instruction->words[i] == PTX_W_RM || instruction->words[i] == PTX_W_RP;
    if (roundings > (a->type == PTX_F64))
        return ptx_refuse(build, "no such rounding");
    if (ptx_has(instruction, PTX_W_SATFINITE) && a->d[0] != PTX_S32)
        return ptx_refuse(build, ".satfinite is of integers of 4 and 8 bits");
    if (a->set & (OF_4 | OF_1) && (!rows[0] || rows[1]))
        return ptx_refuse(build, "the layouts of 4 bits and of 1 are .row.col");
    return MOE_OK;
}

static void set_product(const struct ptx_instruction *instruction, const struct shape *shape,
                        const struct type_row *type, const struct type_row *d,
                        const struct type_row *c, struct fragment_product *form)
{
    form->products = 1;
    form->k_step = type->set == OF_TF32 ? 4 : shape->k;
    form->is_f64 = type->type == PTX_F64;
    form->signed_a4 = form->signed_b4 = type->type == PTX_S4;
    form->widen_c = d->type == PTX_F32 && c->type == PTX_F16;
    form->narrow_d = d->type == PTX_F16 && c->type == PTX_F32;
    form->how = ptx_number_how(instruction) & NUMBER_ROUNDING;
    form->mma = (struct number_mma){
        .family = NUMBER_MMA_SYNC,
        .m = shape->m,
        .n = shape->n,
        .k = shape->k,
        .a = type->format,
        .b = type->format,
        .d = (enum number_format)(form->narrow_d ? NUMBER_F32 : d->format),
        .operation = (enum number_mma_operation)instruction->opcode->data,
        .satfinite = ptx_has(instruction, PTX_W_SATFINITE),
    };
}

static int lower_mma(struct ptx_build *build, const struct ptx_instruction *instruction,
                     struct ptx_code *code)
{
    const int of_halves = instruction->type_count == 2; /* D and C alone are named */
    const struct type_row *type = find_factor(of_halves ? PTX_F16 : (int)instruction->types[1]);
    const struct type_row *d = find_sum(instruction->types[0]),
                          *c = find_sum(instruction->types[of_halves ? 1 : 3]);
    struct fragment_product *form = ptx_arena_take(build->program->arena, 1, sizeof *form);
    struct shape shape;
    int rows[2] = {0, 0};
    if (!form)
        return lower_nomem();
    int status = find_shape(build, instruction, type, &shape);
    if (!status)
        status = take_layouts(build, instruction, 2, rows);
    if (status)
        return status;
    if (!of_halves && instruction->types[1] != instruction->types[2])
        return ptx_refuse(build, "A and B are of one type");
    if (!d || !c || (d->type != type->d[0] && d->type != type->d[1]) ||
        (c->type != type->d[0] && c->type != type->d[1]))
        return ptx_refuse(build, "no such accumulators of these types");
    status = check_words(build, instruction, type, rows);
    if (status)
        return status;
    set_product(instruction, &shape, type, d, c, form);
    const struct {
        enum part part;
        const struct type_row *type;
        int place;
        struct fragment *fragment;
    } parts[] = {{SUM, d, 0, &form->d},
                 {LEFT, type, shape.transposed ? 2 : 1, &form->a},
                 {RIGHT, type, shape.transposed ? 1 : 2, &form->b},
                 {SUM, c, 3, &form->c}};
    for (int i = 0; i < 4 && !status; i++) {
        status = make(build, &shape, parts[i].part, parts[i].type, parts[i].fragment);
        if (!status)
            status = fragment_place(build, &code->places[parts[i].place], parts[i].fragment);
    }
    code->execute = fragment_multiply;
    code->data[3] = (uint64_t)(uintptr_t)form;
    return status;
}

#define MOVE "aligned row col global shared shared::cta"
#define FACTORS "f16 bf16 tf32 f64 s8 u8 s4 u4 b1"
#define SUMS "f16 f32 f64 s32"

const struct ptx_opcode ptx_opcodes_wmma[] = {
    {"wmma.load.a.sync", MOVE, FACTORS, "V* A* Si?", lower_move, 0, PTX_GATHER_ALIGNED},
    {"wmma.load.b.sync", MOVE, FACTORS, "V* A* Si?", lower_move, 1, PTX_GATHER_ALIGNED},
    {"wmma.load.c.sync", MOVE, SUMS, "V* A* Si?", lower_move, 2, PTX_GATHER_ALIGNED},
    {"wmma.store.d.sync", MOVE, SUMS, "A* W* Si?", lower_move, 3, PTX_GATHER_ALIGNED},
    {"wmma.mma.sync", "aligned row col", "f16 f32;f16 f32", "V* W* W* W*", lower_mma,
     NUMBER_MMA_MULTIPLY, PTX_GATHER_ALIGNED},
    {"wmma.mma.sync", "aligned row col satfinite @round",
     "f32 f64 s32;bf16 tf32 f64 s8 u8 s4 u4;bf16 tf32 f64 s8 u8 s4 u4;f32 f64 s32", "V* W* W* W*",
     lower_mma, NUMBER_MMA_MULTIPLY, PTX_GATHER_ALIGNED},
    {"wmma.mma.xor.popc.sync", "aligned row col", "s32;b1;b1;s32", "V* W* W* W*", lower_mma,
     NUMBER_MMA_XOR_POPC, PTX_GATHER_ALIGNED},
    {"wmma.mma.and.popc.sync", "aligned row col", "s32;b1;b1;s32", "V* W* W* W*", lower_mma,
     NUMBER_MMA_AND_POPC, PTX_GATHER_ALIGNED},
    {0},
};

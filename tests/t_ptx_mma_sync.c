/*
 * t_ptx_mma_sync.c - mma.sync on the PTX machine: every shape and type with operands whose sums are
 * exact, laid into registers by the ISA's formulas turned round; f16, bf16 and e4m3 against the
 * reference's model of the chip (ref/mma.c); what ptxas makes of forms that the chip has not; and
 * what nobody wrote.
 */
#include <check.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/moe.h"
#include "tests/ptx_element.h"
#include "tests/ptx_run.h"
#include "tests/support.h"

#define LANE_BYTES 64 /* of each array a lane's own */
#define THREADS (32 * LANE_BYTES / 8)

struct form {
    int m, k;
    enum element a, b, d, c;
    const char *before, *behind; /* words before the types and behind them */
    int row_major[2];            /* of m8n8k4 of f16 */
};

#define ROW_COL                                                                                    \
    {                                                                                              \
        1, 0                                                                                       \
    }
static const struct form forms[] = {
    {16, 8, F16, F16, F32, F32, "", "", ROW_COL},
    {16, 8, F16, F16, F16, F16, "", "", ROW_COL},
    {16, 16, F16, F16, F32, F32, "", "", ROW_COL},
    {16, 16, F16, F16, F16, F16, "", "", ROW_COL},
    {16, 8, BF16, BF16, F32, F32, "", "", ROW_COL},
    {16, 16, BF16, BF16, F32, F32, "", "", ROW_COL},
    {16, 4, TF32, TF32, F32, F32, "", "", ROW_COL},
    {16, 8, TF32, TF32, F32, F32, "", "", ROW_COL},
    {8, 4, F64, F64, F64, F64, "", "", ROW_COL},
    {16, 4, F64, F64, F64, F64, "", "", ROW_COL},
    {16, 8, F64, F64, F64, F64, ".rz", "", ROW_COL},
    {16, 16, F64, F64, F64, F64, "", "", ROW_COL},
    {16, 16, E4M3, E5M2, F32, F32, "", "", ROW_COL},
    {16, 16, E5M2, E5M2, F16, F16, "", "", ROW_COL},
    {16, 32, E4M3, E4M3, F32, F32, "", "", ROW_COL},
    {16, 32, E5M2, E4M3, F16, F16, "", "", ROW_COL},
    {8, 16, S8, U8, S32, S32, "", "", ROW_COL},
    {16, 16, U8, S8, S32, S32, ".satfinite", "", ROW_COL},
    {16, 32, S8, S8, S32, S32, "", "", ROW_COL},
    {8, 32, S4, U4, S32, S32, "", "", ROW_COL},
    {16, 32, U4, S4, S32, S32, "", "", ROW_COL},
    {16, 64, S4, S4, S32, S32, ".satfinite", "", ROW_COL},
    {8, 128, B1, B1, S32, S32, "", ".xor.popc", ROW_COL},
    {16, 128, B1, B1, S32, S32, "", ".and.popc", ROW_COL},
    {16, 256, B1, B1, S32, S32, "", ".xor.popc", ROW_COL},
    {8, 4, F16, F16, F32, F32, "", "", ROW_COL},
    {8, 4, F16, F16, F16, F16, "", "", {1, 1}},
    {8, 4, F16, F16, F32, F16, "", "", {0, 0}},
    {8, 4, F16, F16, F32, F32, "", "", {0, 1}},
};

static int is_quads(const struct form *form)
{
    return form->a == F16 && form->k == 4;
}

/* ---- where an element is --------------------------------------------------------------------- */

enum matrix { A, B, C, D };

static int bits_of(const struct form *form, enum matrix matrix)
{
    const enum element of[] = {form->a, form->b, form->c, form->d};
    return elements[of[matrix]].bits;
}

struct place {
    int lane, bit; /* of the lane's registers, one after the other */
};

/* m8n8k4 of f16: four products, `quad` of them. */
static struct place quad_place(const struct form *form, enum matrix matrix, int quad, int row,
                               int column)
{
    const int outer = matrix == B ? column : row, inner = matrix == B ? row : column;
    const int along = matrix == B ? !form->row_major[1] : form->row_major[0];
    int lane = 4 * quad + 16 * (outer / 4), at;
    if (matrix == A || matrix == B) {
        lane += along ? outer % 4 : inner;
        at = along ? inner : outer % 4;
    } else if (bits_of(form, matrix) == 16) {
        lane += row % 4;
        at = column;
    } else {
        lane += (row & 1) + (column & 2);
        at = (row & 2) + (column & 4) + (column & 1);
    }
    return (struct place){lane, at * bits_of(form, matrix)};
}

static struct place place_of(const struct form *form, enum matrix matrix, int quad, int row,
                             int column)
{
    if (is_quads(form))
        return quad_place(form, matrix, quad, row, column);
    const int bits = bits_of(form, matrix), each = bits < 32 ? 32 / bits : 1;
    if (matrix == C || matrix == D)
        return (struct place){row % 8 * 4 + column / 2, (row / 8 * 2 + column % 2) * bits};
    const int group = matrix == A ? row % 8 : column, k = matrix == A ? column : row;
    const int reg = matrix == A ? row / 8 + (form->m / 8) * (k / (4 * each)) : k / (4 * each);
    return (struct place){group * 4 + k % (4 * each) / each, (reg * each + k % each) * bits};
}

static int registers_of(const struct form *form, enum matrix matrix)
{
    const int quads = is_quads(form) ? 4 : 1, bits = bits_of(form, matrix);
    const int count = matrix == A ? form->m * form->k : matrix == B ? form->k * 8 : form->m * 8;
    return quads * count * bits / 32 / (bits == 64 ? 64 : 32);
}

/* ---- a run ----------------------------------------------------------------------------------- */

static char *append(char *at, const char *format, ...) __attribute__((format(printf, 2, 3)));

static char *append(char *at, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    at += vsprintf(at, format, arguments);
    va_end(arguments);
    return at;
}

static char *append_vector(char *at, char name, int count)
{
    for (int i = 0; i < count; i++)
        at = append(at, "%s%%m%c%d", i ? ", " : "{", name, i);
    return append(at, "}");
}

/* The first warp loads its registers, multiplies and stores D; the others are there so that the
 * arrays are large enough. `before` stands before the instruction. */
static void write_body(const struct form *form, const char *before, char *text)
{
    static const char names[] = "abcd";
    const char *const layouts[] = {"col", "row"};
    char *at = append(text, "setp.ge.u32 %%p, %%i, 32;\n@%%p ret;\nmul.wide.u32 %%s0, %%i, %d;\n",
                      LANE_BYTES - 8);
    for (int matrix = A; matrix <= D; matrix++) {
        const int bits = bits_of(form, (enum matrix)matrix);
        const int count = registers_of(form, (enum matrix)matrix);
        at = append(at, ".reg .%s %%m%c<%d>;\n", bits == 64 ? "f64" : "b32", names[matrix], count);
        for (int i = 0; i < count && matrix != D; i++)
            at = append(at, "add.s64 %%s1, %%p%c, %%s0;\nld.global.b%d %%m%c%d, [%%s1+%d];\n",
                        names[matrix], bits == 64 ? 64 : 32, names[matrix], i,
                        i * (bits == 64 ? 8 : 4));
    }
    at = append(at, "%smma.sync.aligned.m%dn8k%d.%s.%s%s.%s.%s.%s.%s%s ", before, form->m, form->k,
                layouts[form->row_major[0]], layouts[form->row_major[1]], form->before,
                elements[form->d].name, elements[form->a].name, elements[form->b].name,
                elements[form->c].name, form->behind);
    static const enum matrix order[] = {D, A, B, C};
    for (int i = 0; i < 4; i++) {
        at = append_vector(at, names[order[i]], registers_of(form, order[i]));
        at = append(at, i < 3 ? ", " : ";\n");
    }
    const int d_bits = form->d == F64 ? 64 : 32;
    for (int i = 0; i < registers_of(form, D); i++)
        at = append(at, "add.s64 %%s1, %%po, %%s0;\nst.global.b%d [%%s1+%d], %%md%d;\n", d_bits,
                    i * d_bits / 8, i);
    append(at, "ret;\n");
}

static void open_form(struct ptx_run *run, const struct form *form,
                      const struct ptx_options *options, const char *before)
{
    static char text[8192];
    static uint64_t zeros[THREADS];
    write_body(form, before, text);
    ptx_run_open(run, options, "", text, THREADS);
    ptx_run_set(run, zeros, zeros, zeros);
}

static struct ptx_block *block_of(const struct ptx_run *run, enum matrix matrix)
{
    const uint64_t addresses[] = {run->a, run->b, run->c, run->out};
    return ptx_memory_find(run->machine, addresses[matrix], 8 * THREADS);
}

static void put(struct ptx_run *run, const struct form *form, enum matrix matrix, int quad, int row,
                int column, uint64_t code)
{
    const struct place place = place_of(form, matrix, quad, row, column);
    uint8_t *bytes = block_of(run, matrix)->data + place.lane * LANE_BYTES;
    for (int i = 0; i < bits_of(form, matrix); i++)
        bytes[(place.bit + i) / 8] |= (uint8_t)((code >> i & 1) << (place.bit + i) % 8);
}

static uint64_t get(const struct ptx_run *run, const struct form *form, int quad, int row,
                    int column, int *known)
{
    const struct place place = place_of(form, D, quad, row, column);
    const struct ptx_block *block = block_of(run, D);
    const int first = place.lane * LANE_BYTES + place.bit / 8, bytes = bits_of(form, D) / 8;
    uint64_t code = 0;
    *known = 1;
    for (int i = 0; i < bytes; i++) {
        code |= (uint64_t)block->data[first + i] << 8 * i;
        *known &= block->known[first + i];
    }
    return code;
}

/* ---- exact ----------------------------------------------------------------------------------- */

static double a[4][16][256], b[4][256][8], c[4][16][8];

static double term(const struct form *form, double x, double y)
{
    if (form->a != B1)
        return x * y;
    return strstr(form->behind, "xor") ? (double)(x != y) : x * y;
}

static void fill(struct ptx_run *run, const struct form *form, uint64_t *state)
{
    for (int quad = 0; quad < (is_quads(form) ? 4 : 1); quad++) {
        for (int i = 0; i < form->m * form->k; i++) {
            a[quad][i / form->k][i % form->k] = element_draw(form->a, state);
            put(run, form, A, quad, i / form->k, i % form->k,
                element_code(form->a, a[quad][i / form->k][i % form->k]));
        }
        for (int i = 0; i < form->k * 8; i++) {
            b[quad][i / 8][i % 8] = element_draw(form->b, state);
            put(run, form, B, quad, i / 8, i % 8, element_code(form->b, b[quad][i / 8][i % 8]));
        }
        for (int i = 0; i < form->m * 8; i++) {
            c[quad][i / 8][i % 8] = (double)random_below(state, 100) - 50;
            put(run, form, C, quad, i / 8, i % 8, element_code(form->c, c[quad][i / 8][i % 8]));
        }
    }
}

static void check_exact(const struct form *form, const struct ptx_options *options)
{
    struct ptx_run run;
    uint64_t state = 71 + (uint64_t)(form - forms);
    open_form(&run, form, options, "");
    fill(&run, form, &state);
    ptx_run_launch(&run);
    ck_assert_str_eq(ptx_run_report(&run), "");
    for (int quad = 0; quad < (is_quads(form) ? 4 : 1); quad++)
        for (int i = 0; i < form->m * 8; i++) {
            const int row = i / 8, column = i % 8;
            int known;
            double want = c[quad][row][column];
            for (int k = 0; k < form->k; k++)
                want += term(form, a[quad][row][k], b[quad][k][column]);
            const double got = element_value(form->d, get(&run, form, quad, row, column, &known));
            ck_assert_msg(known && got == want, "form %d, product %d, (%d,%d): %g, not %g",
                          (int)(form - forms), quad, row, column, got, want);
        }
    ptx_run_close(&run);
}

START_TEST(exact_sums)
{
    const struct ptx_options plain = {.plain_mma = 1};
    check_exact(&forms[_i], NULL);
    check_exact(&forms[_i], &plain);
}
END_TEST

/* ---- the chip's bits ------------------------------------------------------------------------- */

static float f32(uint64_t bits)
{
    const uint32_t low = (uint32_t)bits;
    float value;
    memcpy(&value, &low, sizeof value);
    return value;
}

static uint32_t f32_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return value != value ? 0x7fffffffu : bits;
}

static const struct {
    struct form form;
    enum moe_dtype dtype;
    enum moe_instruction instruction;
} twins[] = {
    {{16, 8, F16, F16, F32, F32, "", "", ROW_COL}, MOE_F16, MOE_MMA_K16},
    {{16, 16, F16, F16, F32, F32, "", "", ROW_COL}, MOE_F16, MOE_MMA_K16},
    {{16, 8, BF16, BF16, F32, F32, "", "", ROW_COL}, MOE_BF16, MOE_MMA_K16},
    {{16, 16, BF16, BF16, F32, F32, "", "", ROW_COL}, MOE_BF16, MOE_MMA_K16},
    {{16, 16, E4M3, E4M3, F32, F32, "", "", ROW_COL}, MOE_E4M3, MOE_MMA_SYNC_K32},
    {{16, 32, E4M3, E4M3, F32, F32, "", "", ROW_COL}, MOE_E4M3, MOE_MMA_SYNC_K32},
};

/* Codes from all of the format but infinities and NaN. Where an instruction has fewer k than the
 * reference's the rest is zeros, which decide nothing. */
START_TEST(as_the_reference)
{
    const struct form *form = &twins[_i].form;
    const int whole = moe_instruction_k(twins[_i].instruction), bits = elements[form->a].bits;
    const struct moe_order order = {.instruction = twins[_i].instruction};
    uint64_t state = 83 + (uint64_t)_i;
    for (int round = 0; round < 3; round++) {
        double left[16 * 32] = {0}, right[8 * 32] = {0};
        float start[16 * 8], want[16 * 8];
        struct ptx_run run;
        open_form(&run, form, NULL, "");
        for (int i = 0; i < (form->m + 8) * form->k; i++) {
            const int is_b = i >= form->m * form->k, j = is_b ? i - form->m * form->k : i;
            const int outer = j / form->k, k = j % form->k;
            uint64_t code;
            double value;
            do {
                code = random_word(&state) & UINT64_MAX >> (64 - bits);
                value = element_value(form->a, code);
            } while (!isfinite(value) || (round == 1 && fabs(value) > 4));
            *(is_b ? &right[outer * whole + k] : &left[outer * whole + k]) = value;
            put(&run, form, is_b ? B : A, 0, is_b ? k : outer, is_b ? outer : k, code);
        }
        for (int i = 0; i < 16 * 8; i++) {
            const uint32_t code = (uint32_t)random_word(&state) & (round ? 0xbfffffff : 0xc0ffffff);
            start[i] = f32(code);
            put(&run, form, C, 0, i / 8, i % 8, code);
        }
        ck_assert_int_eq(
            moe_mma_product(&order, twins[_i].dtype, 16, 8, whole, left, right, start, want),
            MOE_OK);
        ptx_run_launch(&run);
        for (int i = 0; i < 16 * 8; i++) {
            int known;
            ck_assert_uint_eq(get(&run, form, 0, i / 8, i % 8, &known), f32_bits(want[i]));
        }
        ptx_run_close(&run);
    }
}
END_TEST

/* e5m2 and e4m3 with an accumulator of f16: two products of f16 that round to f16, and a sum that
 * does. */
START_TEST(eight_bits_into_f16)
{
    static const struct form form = {16, 32, E5M2, E4M3, F16, F16, "", "", ROW_COL};
    const struct moe_order order = {.instruction = MOE_MMA_K16};
    uint64_t state = 97;
    double left[2][16 * 16], right[2][8 * 16];
    float sum[16 * 8] = {0};
    uint64_t start[16 * 8];
    struct ptx_run run;
    open_form(&run, &form, NULL, "");
    for (int i = 0; i < (16 + 8) * 32; i++) {
        const int is_b = i >= 16 * 32, j = is_b ? i - 16 * 32 : i, outer = j / 32, k = j % 32;
        const enum element element = is_b ? form.b : form.a;
        uint64_t code;
        double value;
        do {
            code = random_word(&state) & 0xff;
            value = element_value(element, code);
        } while (!(fabs(value) < 8));
        const int at = outer * 16 + k / 4 * 2 + k % 2;
        *(is_b ? &right[k / 2 % 2][at] : &left[k / 2 % 2][at]) = value;
        put(&run, &form, is_b ? B : A, 0, is_b ? k : outer, is_b ? outer : k, code);
    }
    for (int i = 0; i < 16 * 8; i++) {
        start[i] = random_word(&state) & 0xd3ff;
        put(&run, &form, C, 0, i / 8, i % 8, start[i]);
    }
    for (int half = 0; half < 2; half++) {
        ck_assert_int_eq(
            moe_mma_product(&order, MOE_F16, 16, 8, 16, left[half], right[half], sum, sum), MOE_OK);
        for (int i = 0; i < 16 * 8; i++)
            sum[i] = (float)moe_dtype_round(MOE_F16, (double)sum[i], 0);
    }
    ptx_run_launch(&run);
    for (int i = 0; i < 16 * 8; i++) {
        int known;
        const double want =
            moe_dtype_round(MOE_F16, (double)sum[i] + element_value(F16, start[i]), 0);
        ck_assert(element_value(F16, get(&run, &form, 0, i / 8, i % 8, &known)) == want);
    }
    ptx_run_close(&run);
}
END_TEST

/* A subnormal of e4m3 is a normal f16, whose exponent is its own: 2^-9 times 2^15 has exponent 6,
 * so that 2^-19 of another product stays; were it 9 as e4m3 has it, it would be lost. */
START_TEST(a_small_e4m3_is_f16)
{
    static const struct form form = {16, 32, E4M3, E5M2, F32, F32, "", "", ROW_COL};
    struct ptx_run run;
    int known;
    open_form(&run, &form, NULL, "");
    put(&run, &form, A, 0, 3, 0, element_code(E4M3, 0x1p-9));
    put(&run, &form, B, 0, 0, 5, element_code(E5M2, 0x1p15));
    put(&run, &form, A, 0, 3, 1, element_code(E4M3, 0x1p-9));
    put(&run, &form, B, 0, 1, 5, element_code(E5M2, -0x1p15));
    put(&run, &form, A, 0, 3, 4, element_code(E4M3, 0x1p-6));
    put(&run, &form, B, 0, 4, 5, element_code(E5M2, 0x1p-13));
    ptx_run_launch(&run);
    ck_assert_uint_eq(get(&run, &form, 0, 3, 5, &known), f32_bits(0x1p-19f));
    ptx_run_close(&run);
}
END_TEST

/* m8n8k4 of f16: D of f32 adds C to the sum of the products. */
START_TEST(quads_are_fused_multiply_adds)
{
    static const struct form form = {8, 4, F16, F16, F32, F32, "", "", ROW_COL};
    uint64_t state = 101;
    struct ptx_run run;
    float x[8][4], y[4][8], start[8][8];
    int known;
    open_form(&run, &form, NULL, "");
    for (int i = 0; i < 32; i++) {
        const uint64_t codes[] = {0x3000 + (random_word(&state) & 0x8fff),
                                  0x3000 + (random_word(&state) & 0x8fff)};
        x[i / 4][i % 4] = (float)element_value(F16, codes[0]);
        y[i / 8][i % 8] = (float)element_value(F16, codes[1]);
        put(&run, &form, A, 2, i / 4, i % 4, codes[0]);
        put(&run, &form, B, 2, i / 8, i % 8, codes[1]);
    }
    for (int i = 0; i < 64; i++) {
        const uint64_t code = (random_word(&state) & 0x81ffffff) | 0x3c000000;
        start[i / 8][i % 8] = f32(code);
        put(&run, &form, C, 2, i / 8, i % 8, code);
    }
    ptx_run_launch(&run);
    for (int i = 0; i < 64; i++) {
        const float *p = x[i / 8];
        const int j = i % 8;
        const float sum = fmaf(p[1], y[1][j], fmaf(p[0], y[0][j], 0));
        const float all = fmaf(p[3], y[3][j], fmaf(p[2], y[2][j], sum));
        ck_assert_uint_eq(get(&run, &form, 2, i / 8, j, &known), f32_bits(start[i / 8][j] + all));
    }
    ptx_run_close(&run);
}
END_TEST

/* D of f16 takes the products pair by pair: 1 + 2^-24, which is 1, and then 2^-11 + 2^-24, which
 * lets it stay at a tie. All of them at once would be 1 + 2^-11 + 2^-23, and go up. */
START_TEST(quads_of_f16_add_pairs)
{
    static const struct form form = {8, 4, F16, F16, F16, F16, "", "", ROW_COL};
    static const double products[] = {0x1p-24, 0, 0x1p-11, 0x1p-24};
    struct ptx_run run;
    int known;
    open_form(&run, &form, NULL, "");
    for (int k = 0; k < 4; k++) {
        put(&run, &form, A, 1, 6, k, element_code(F16, products[k] * 0x1p10));
        put(&run, &form, B, 1, k, 4, element_code(F16, 0x1p-10));
    }
    put(&run, &form, C, 1, 6, 4, element_code(F16, 1));
    ptx_run_launch(&run);
    ck_assert_uint_eq(get(&run, &form, 1, 6, 4, &known), element_code(F16, 1));
    ptx_run_close(&run);
}
END_TEST

/* x y + z in one element of D. */
static uint64_t one_sum(const struct form *form, uint64_t x, uint64_t y, uint64_t z)
{
    struct ptx_run run;
    int known;
    open_form(&run, form, NULL, "");
    put(&run, form, A, 0, 5, 2, x);
    put(&run, form, B, 0, 2, 3, y);
    put(&run, form, C, 0, 5, 3, z);
    ptx_run_launch(&run);
    const uint64_t sum = get(&run, form, 0, 5, 3, &known);
    ptx_run_close(&run);
    return sum;
}

START_TEST(roundings_and_saturation)
{
    struct form form = {8, 4, F64, F64, F64, F64, ".rp", "", ROW_COL};
    const uint64_t small = element_code(F64, 0x1p-40), one = element_code(F64, 1);
    ck_assert_uint_eq(one_sum(&form, small, small, one), one + 1);
    form.before = "";
    ck_assert_uint_eq(one_sum(&form, small, small, one), one);
    form = (struct form){16, 16, S8, S8, S32, S32, ".satfinite", "", ROW_COL};
    ck_assert_uint_eq(one_sum(&form, 100, 100, 0x7ffffff0), 0x7fffffff);
    form.before = "";
    ck_assert_uint_eq(one_sum(&form, 100, 100, 0x7ffffff0), 0x80002700);
}
END_TEST

/* ---- what nobody wrote ----------------------------------------------------------------------- */

/* An element of A poisons its row, of B its column, of C itself: in every form. */
START_TEST(unknown_rows_and_columns)
{
    const struct form *form = &forms[_i];
    const int quads = is_quads(form) ? 4 : 1, quad = quads - 1;
    for (int matrix = A; matrix <= C; matrix++) {
        const int row = matrix == A ? form->m - 3 : 1, column = matrix == B ? 6 : 2;
        const struct place place = place_of(form, (enum matrix)matrix, quad, row, column);
        struct ptx_run run;
        open_form(&run, form, NULL, "");
        block_of(&run, (enum matrix)matrix)->known[place.lane * LANE_BYTES + place.bit / 8] = 0;
        ptx_run_launch(&run);
        ck_assert_str_eq(ptx_run_report(&run), "");
        for (int i = 0; i < quads * form->m * 8; i++) {
            const int q = i / 8 / form->m, r = i / 8 % form->m, n = i % 8;
            const int in_row = r == row, in_column = n == column;
            const int hit = q == quad && (matrix == A   ? in_row
                                          : matrix == B ? in_column
                                                        : in_row && in_column);
            int known;
            get(&run, form, q, r, n, &known);
            ck_assert_msg(known == !hit, "form %d, matrix %d, product %d, (%d,%d)", _i, matrix, q,
                          r, n);
        }
        ptx_run_close(&run);
    }
}
END_TEST

/* ---- what is wrong --------------------------------------------------------------------------- */

/* Of the instruction `where`. */
static void expect_report(const char *before, const char *says, const char *where)
{
    struct ptx_run run;
    open_form(&run, &forms[2], NULL, before);
    ptx_run_launch(&run);
    ck_assert_msg(strstr(ptx_run_report(&run), says) && strstr(ptx_run_report(&run), where),
                  "%s: %s", before, ptx_run_report(&run));
    ptx_run_close(&run);
}

#define NINE                                                                                       \
    "setp.ge.u32 %q, %i, 9;\n@%q ret;\n.shared .align 16 .b8 room[512];\nmov.u32 %r1, room;\n"     \
    "mov.u32 %r0, 0;\n"
START_TEST(all_of_the_warp)
{
    static const char nine[] = "lanes 0x000001ff of the warp alone";
    expect_report("setp.lt.u32 %q, %i, 31;\n@%q ", "lanes 0x7fffffff of the warp alone",
                  ", mma.sync");
    expect_report(NINE, nine, ", mma.sync");
    expect_report(NINE "movmatrix.sync.aligned.m8n8.trans.b16 %r0, %r1;\n", nine, ", movmatrix");
    expect_report(NINE "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r0}, [%r1];\n", nine,
                  ", ldmatrix");
    expect_report(NINE "stmatrix.sync.aligned.m8n8.x1.shared.b16 [%r1], {%r0};\n", nine,
                  ", stmatrix");
    expect_report("setp.eq.u32 %q, %i, 3;\n@%q bar.warp.sync 0xffffffff;\n",
                  "0x00000008 of its warp to come", ", mma.sync");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ptx_mma_sync");
    TCase *tests = tcase_create("ptx_mma_sync");
    tcase_add_loop_test(tests, exact_sums, 0, COUNT(forms));
    tcase_add_loop_test(tests, as_the_reference, 0, COUNT(twins));
    tcase_add_test(tests, eight_bits_into_f16);
    tcase_add_test(tests, a_small_e4m3_is_f16);
    tcase_add_test(tests, quads_are_fused_multiply_adds);
    tcase_add_test(tests, quads_of_f16_add_pairs);
    tcase_add_test(tests, roundings_and_saturation);
    tcase_add_loop_test(tests, unknown_rows_and_columns, 0, COUNT(forms));
    tcase_add_test(tests, all_of_the_warp);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

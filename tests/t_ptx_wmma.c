/*
 * t_ptx_wmma.c - wmma on the PTX machine: every shape and type, loaded and stored by rows and by
 * columns, in global, shared and generic memory, with strides and without, on operands whose sums
 * are exact; floating ones within a bound; what nobody wrote; and two kernels that nvcc made
 * (tests/ptx/wmma).
 */
#include <check.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/moe.h"
#include "tests/ptx_element.h"
#include "tests/ptx_rig.h"
#include "tests/support.h"

#define SEEDS 9
#define ROOM 4096 /* bytes of each matrix */

enum matrix { A, B, C, D };

struct form {
    int m, n, k;
    enum element type[4]; /* of A, B, C, D */
    const char *operation, *rounding, *satfinite;
};

static const struct form forms[] = {
    {16, 16, 16, {F16, F16, F32, F32}, "", "", ""},
    {8, 32, 16, {F16, F16, F32, F32}, "", "", ""},
    {32, 8, 16, {F16, F16, F32, F32}, "", "", ""},
    {16, 16, 16, {F16, F16, F16, F16}, "", "", ""},
    {8, 32, 16, {F16, F16, F16, F16}, "", "", ""},
    {32, 8, 16, {F16, F16, F16, F16}, "", "", ""},
    {16, 16, 16, {F16, F16, F16, F32}, "", "", ""},
    {8, 32, 16, {F16, F16, F32, F16}, "", "", ""},
    {16, 16, 16, {BF16, BF16, F32, F32}, "", "", ""},
    {8, 32, 16, {BF16, BF16, F32, F32}, "", "", ""},
    {32, 8, 16, {BF16, BF16, F32, F32}, "", "", ""},
    {16, 16, 8, {TF32, TF32, F32, F32}, "", "", ""},
    {8, 8, 4, {F64, F64, F64, F64}, "", ".rn", ""},
    {16, 16, 16, {S8, S8, S32, S32}, "", "", ""},
    {8, 32, 16, {U8, U8, S32, S32}, "", "", ""},
    {32, 8, 16, {S8, S8, S32, S32}, "", "", ".satfinite"},
    {8, 8, 32, {S4, S4, S32, S32}, "", "", ""},
    {8, 8, 32, {U4, U4, S32, S32}, "", "", ".satfinite"},
    {8, 8, 128, {B1, B1, S32, S32}, ".xor.popc", "", ""},
    {8, 8, 128, {B1, B1, S32, S32}, ".and.popc", "", ""},
};

/* How one is tried. */
struct way {
    int rows[4]; /* of memory are of the matrix */
    int space;   /* of spaces */
    int padded;  /* 16 bytes behind each line; else there is no stride */
};
static const char *const spaces[] = {".global", ".shared", ""};

static int bits_of(const struct form *form, enum matrix matrix)
{
    return elements[form->type[matrix]].bits;
}

static int rows_of(const struct form *form, enum matrix matrix)
{
    return matrix == B ? form->k : form->m;
}

static int columns_of(const struct form *form, enum matrix matrix)
{
    return matrix == A ? form->k : form->n;
}

static int stride_of(const struct form *form, const struct way *way, enum matrix matrix)
{
    const int line = way->rows[matrix] ? columns_of(form, matrix) : rows_of(form, matrix);
    return line + (way->padded ? 128 / bits_of(form, matrix) : 0);
}

static int registers_of(const struct form *form, enum matrix matrix)
{
    const int bits = bits_of(form, matrix);
    if (matrix < C && form->type[matrix] == F16)
        return 8;
    return rows_of(form, matrix) * columns_of(form, matrix) * bits / 32 / (bits == 64 ? 64 : 32);
}

/* ---- the kernel ------------------------------------------------------------------------------ */

static char text[8192];
static size_t used;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    used += (size_t)vsnprintf(text + used, sizeof text - used, format, arguments);
    va_end(arguments);
}

static void say_vector(const struct form *form, enum matrix matrix)
{
    for (int i = 0; i < registers_of(form, matrix); i++)
        say("%s%%m%c%d", i ? ", " : "{", "abcd"[matrix], i);
    say("}");
}

static void say_address(const struct way *way, enum matrix matrix)
{
    static const char *const bases[][2] = {{"%i", "%o"}, {"%s", "%s"}, {"%q", "%q"}};
    const int at = (matrix == D && way->space == 0 ? 0 : (int)matrix) * ROOM;
    say("[%s+%d]", bases[way->space][matrix == D], at);
}

/* `count` bytes by 32 lanes. */
static void say_copy(const char *load, const char *from, const char *store, const char *to,
                     int count)
{
    for (int at = 0; at < count; at += 512)
        say("ld.%s.v4.b32 {%%r1, %%r2, %%r3, %%r4}, [%s+%d];\n"
            "st.%s.v4.b32 [%s+%d], {%%r1, %%r2, %%r3, %%r4};\n",
            load, from, at, store, to, at);
}

static void say_mma(const struct form *form, const struct way *way)
{
    static const enum matrix order[] = {D, A, B, C};
    const char *const layouts[] = {"col", "row"};
    say("wmma.mma%s.sync.aligned.%s.%s.m%dn%dk%d%s.%s", form->operation, layouts[way->rows[A]],
        layouts[way->rows[B]], form->m, form->n, form->k, form->rounding,
        elements[form->type[D]].name);
    if (form->type[A] != F16)
        say(".%s.%s", elements[form->type[A]].name, elements[form->type[B]].name);
    say(".%s%s ", elements[form->type[C]].name, form->satfinite);
    for (int i = 0; i < 4; i++) {
        say_vector(form, order[i]);
        say(i < 3 ? ", " : ";\n");
    }
}

static void write_text(const struct form *form, const struct way *way)
{
    const char *const layouts[] = {"col", "row"};
    used = 0;
    say(".version 9.0\n.target sm_90a\n.address_size 64\n"
        ".visible .entry k(.param .u64 pi, .param .u64 po)\n{\n"
        ".reg .b32 %%r<8>, %%s, %%l;\n.reg .b64 %%i, %%o, %%q, %%li, %%lo;\n"
        ".shared .align 32 .b8 room[%d];\nld.param.u64 %%i, [pi];\nld.param.u64 %%o, [po];\n"
        "mov.u32 %%s, room;\ncvt.u64.u32 %%q, %%s;\ncvta.shared.u64 %%q, %%q;\n"
        "mov.u32 %%r0, %%tid.x;\nshl.b32 %%r0, %%r0, 4;\nadd.u32 %%l, %%s, %%r0;\n"
        "cvt.u64.u32 %%li, %%r0;\nadd.s64 %%lo, %%o, %%li;\nadd.s64 %%li, %%i, %%li;\n",
        4 * ROOM);
    if (way->space)
        say_copy("global", "%li", "shared", "%l", 3 * ROOM);
    say("bar.warp.sync 0xffffffff;\n");
    for (int i = A; i <= D; i++) {
        const enum matrix matrix = (enum matrix)i;
        if (matrix == D)
            say_mma(form, way);
        else
            say(".reg .%s %%m%c<8>;\n%s", bits_of(form, matrix) == 64 ? "f64" : "b32", "abc"[i],
                matrix == C && bits_of(form, D) == 64 ? ".reg .f64 %md<8>;\n"
                : matrix == C                         ? ".reg .b32 %md<8>;\n"
                                                      : "");
        say("wmma.%s.%c.sync.aligned.%s.m%dn%dk%d%s.%s ", matrix == D ? "store" : "load", "abcd"[i],
            layouts[way->rows[i]], form -> m, form -> n, form -> k, spaces[way->space],
            elements[form->type[i]].name);
        if (matrix == D) {
            say_address(way, matrix);
            say(", ");
        }
        say_vector(form, matrix);
        if (matrix != D) {
            say(", ");
            say_address(way, matrix);
        }
        if (way->padded)
            say(", %d", stride_of(form, way, matrix));
        say(";\n");
    }
    if (way->space) {
        say("bar.warp.sync 0xffffffff;\nadd.u32 %%l, %%l, %d;\n", D * ROOM);
        say_copy("shared", "%l", "global", "%lo", ROOM);
    }
    say("ret;\n}\n");
    ck_assert_uint_lt(used, sizeof text);
}

/* ---- a run ----------------------------------------------------------------------------------- */

static uint8_t in[3 * ROOM], in_known[3 * ROOM], out[ROOM], out_known[ROOM];
static double value[4][64 * 64];

static int bit_of(const struct form *form, const struct way *way, enum matrix matrix, int row,
                  int column)
{
    const int line = way->rows[matrix] ? row : column, at = way->rows[matrix] ? column : row;
    return (line * stride_of(form, way, matrix) + at) * bits_of(form, matrix);
}

static void put(const struct form *form, const struct way *way, enum matrix matrix, int row,
                int column, double number)
{
    const uint64_t code = element_code(form->type[matrix], number);
    const int first = bit_of(form, way, matrix, row, column);
    value[matrix][row * columns_of(form, matrix) + column] = number;
    for (int i = 0; i < bits_of(form, matrix); i++)
        in[matrix * ROOM + (first + i) / 8] |= (uint8_t)((code >> i & 1) << (first + i) % 8);
}

static double get(const struct form *form, const struct way *way, int row, int column, int *known)
{
    const int first = bit_of(form, way, D, row, column) / 8;
    uint64_t code = 0;
    *known = 1;
    for (int i = 0; i < bits_of(form, D) / 8; i++) {
        code |= (uint64_t)out[first + i] << 8 * i;
        *known &= out_known[first + i];
    }
    return element_value(form->type[D], code);
}

static void fill(const struct form *form, const struct way *way,
                 double (*draw)(enum element element, enum matrix matrix, uint64_t *state),
                 uint64_t *state)
{
    memset(in, 0, sizeof in);
    memset(in_known, 1, sizeof in_known);
    for (int i = A; i <= C; i++) {
        const enum matrix matrix = (enum matrix)i;
        for (int at = 0; at < rows_of(form, matrix) * columns_of(form, matrix); at++)
            put(form, way, matrix, at / columns_of(form, matrix), at % columns_of(form, matrix),
                draw(form->type[i], matrix, state));
    }
}

static void run(const struct form *form, const struct way *way, uint32_t seed, int plain)
{
    struct rig rig;
    write_text(form, way);
    rig_open_text(&rig, text, seed, 0);
    ck_assert_msg(!rig.trouble[0], "%s\n%s", rig.trouble, text);
    rig_buffer(&rig, in, sizeof in, "in");
    rig_buffer(&rig, NULL, sizeof out, "out");
    rig.machine->options.plain_mma = plain;
    struct ptx_block *block = ptx_memory_find(rig.machine, rig.argument[0], sizeof in);
    memcpy(block->known, in_known, sizeof in_known);
    rig_run(&rig, 1, 1, 1, 32, 0);
    ck_assert_msg(!rig.trouble[0], "%s\n%s", rig.trouble, text);
    block = ptx_memory_find(rig.machine, rig.argument[1], sizeof out);
    memcpy(out, block->data, sizeof out);
    memcpy(out_known, block->known, sizeof out_known);
    rig_close(&rig);
}

static struct way way_of(const struct form *form, int which)
{
    const int is_fixed = bits_of(form, A) < 8;
    const struct way way = {
        {is_fixed || which & 1, !is_fixed && which & 2, which & 1, !(which & 2)},
        which % 3,
        which / 2 % 2};
    return way;
}

/* Sum and sum of magnitudes. */
static double product_of(const struct form *form, int row, int column, double *magnitude)
{
    double sum = value[C][row * form->n + column];
    *magnitude = fabs(sum);
    for (int k = 0; k < form->k; k++) {
        const double x = value[A][row * form->k + k], y = value[B][k * form->n + column];
        const double term = form->type[A] != B1              ? x * y
                            : strstr(form->operation, "xor") ? (double)(x != y)
                                                             : x * y;
        sum += term;
        *magnitude += fabs(term);
    }
    return sum;
}

/* ---- exact sums ------------------------------------------------------------------------------ */

static double draw_exact(enum element element, enum matrix matrix, uint64_t *state)
{
    return matrix == C ? (double)random_below(state, 100) - 50 : element_draw(element, state);
}

START_TEST(exact_sums)
{
    const struct form *form = &forms[_i];
    uint64_t state = 91 + (uint64_t)_i;
    for (int which = 0; which < 12; which++) {
        const struct way way = way_of(form, which);
        fill(form, &way, draw_exact, &state);
        run(form, &way, (uint32_t)which % SEEDS, which % 5 == 4);
        for (int i = 0; i < form->m * form->n; i++) {
            double magnitude;
            int known;
            const double want = product_of(form, i / form->n, i % form->n, &magnitude);
            const double got = get(form, &way, i / form->n, i % form->n, &known);
            ck_assert_msg(known && got == want, "form %d, way %d, (%d,%d): %g, not %g", _i, which,
                          i / form->n, i % form->n, got, want);
        }
    }
}
END_TEST

/* ---- sums that are rounded ------------------------------------------------------------------- */

static double draw_any(enum element element, enum matrix matrix, uint64_t *state)
{
    (void)matrix;
    const double number = ldexp((double)random_below(state, 1 << 24) - (1 << 23), -22);
    return element_value(element, element_code(element, number));
}

/* A term is cut at 2^-25 of the largest, D at 2^-23; of f16 at 2^-11, of f64 at 2^-53 a sum. */
START_TEST(within_a_bound)
{
    const struct form *form = &forms[_i];
    uint64_t state = 17 + (uint64_t)_i;
    if (elements[form->type[A]].format < 0)
        return;
    const int digits = form->type[D] == F64 ? 53 : 24;
    for (int which = 0; which < 3; which++) {
        const struct way way = way_of(form, which);
        fill(form, &way, draw_any, &state);
        run(form, &way, 0, which == 2);
        for (int i = 0; i < form->m * form->n; i++) {
            double magnitude;
            int known;
            const double want = product_of(form, i / form->n, i % form->n, &magnitude);
            const double got = get(form, &way, i / form->n, i % form->n, &known);
            const double bound = (form->k + 4) * ldexp(magnitude, 1 - digits) +
                                 (form->type[D] == F16 ? ldexp(fabs(want), -10) : 0);
            ck_assert_msg(fabs(got - want) <= bound, "form %d, (%d,%d): %g, not %g", _i,
                          i / form->n, i % form->n, got, want);
        }
    }
}
END_TEST

/* tf32 is two sums of four: 2^30 - 2^30, then 1, which one sum of eight would lose. */
START_TEST(tf32_is_in_halves)
{
    static const struct form form = {16, 16, 8, {TF32, TF32, F32, F32}, "", "", ""};
    const struct way way = way_of(&form, 1);
    memset(in, 0, sizeof in);
    memset(in_known, 1, sizeof in_known);
    for (int i = 0; i < 16; i++) {
        const double left[] = {0x1p15, 0x1p15, 0, 0, 1};
        const double right[] = {0x1p15, -0x1p15, 0, 0, 1};
        for (int k = 0; k < 5; k++) {
            put(&form, &way, A, i, k, left[k]);
            put(&form, &way, B, k, i, right[k]);
        }
    }
    run(&form, &way, 0, 0);
    for (int i = 0; i < 256; i++) {
        int known;
        ck_assert_double_eq(get(&form, &way, i / 16, i % 16, &known), 1);
    }
}
END_TEST

/* ---- what nobody wrote ----------------------------------------------------------------------- */

START_TEST(unknown_rows_and_columns)
{
    const struct form *form = &forms[_i];
    uint64_t state = 5 + (uint64_t)_i;
    for (int i = A; i <= C; i++) {
        const enum matrix matrix = (enum matrix)i;
        const struct way way = way_of(form, i);
        const int row = (int)random_below(&state, (uint64_t)rows_of(form, matrix));
        const int column = (int)random_below(&state, (uint64_t)columns_of(form, matrix));
        fill(form, &way, draw_exact, &state);
        in_known[i * ROOM + bit_of(form, &way, matrix, row, column) / 8] = 0;
        run(form, &way, 0, 0);
        for (int at = 0; at < form->m * form->n; at++) {
            int known;
            get(form, &way, at / form->n, at % form->n, &known);
            const int hidden =
                (matrix == B || at / form->n == row) && (matrix == A || at % form->n == column);
            ck_assert_msg(known == !hidden, "form %d, %c(%d,%d): (%d,%d) is %sknown", _i, "ABC"[i],
                          row, column, at / form->n, at % form->n, known ? "" : "un");
        }
    }
}
END_TEST

/* ---- kernels of nvcc ------------------------------------------------------------------------- */

static void open_compiled(struct rig *rig, const char *name, uint32_t seed)
{
    const char *srcdir = getenv("srcdir");
    char path[512];
    snprintf(path, sizeof path, "%s/tests/ptx/wmma/%s", srcdir ? srcdir : ".", name);
    rig_open(rig, path, seed, 0);
}

enum { M = 64, N = 96, K = 48 };

START_TEST(compiled_f16)
{
    static uint16_t a[M * K], b[N * K];
    static float d[M * N];
    struct rig rig;
    uint64_t state = 3;
    for (int i = 0; i < M * K; i++)
        a[i] = (uint16_t)element_code(F16, element_draw(F16, &state));
    for (int i = 0; i < N * K; i++)
        b[i] = (uint16_t)element_code(F16, element_draw(F16, &state));
    open_compiled(&rig, "product_f16.ptx", (uint32_t)_i);
    rig_buffer(&rig, a, sizeof a, "a");
    rig_buffer(&rig, b, sizeof b, "b");
    rig_buffer(&rig, NULL, sizeof d, "d");
    rig_number(&rig, N);
    rig_number(&rig, K);
    rig_number(&rig, 0x3f000000); /* 0.5 */
    rig_run(&rig, N / 32, M / 32, 1, 128, 0);
    rig_read(&rig, 2, d, sizeof d);
    ck_assert_str_eq(rig.trouble, "");
    for (int i = 0; i < M * N; i++) {
        double want = 0;
        for (int k = 0; k < K; k++)
            want += element_value(F16, a[i / N * K + k]) * element_value(F16, b[i % N * K + k]);
        ck_assert_double_eq((double)d[i], 0.5 * want);
    }
    rig_close(&rig);
}
END_TEST

START_TEST(compiled_tf32)
{
    static float a[M * K], b[K * N], d[M * N];
    struct rig rig;
    uint64_t state = 4;
    for (int i = 0; i < M * K; i++)
        a[i] = (float)random_below(&state, 7) - 3;
    for (int i = 0; i < K * N; i++)
        b[i] = (float)random_below(&state, 7) - 3;
    open_compiled(&rig, "product_tf32.ptx", (uint32_t)_i);
    rig_buffer(&rig, a, sizeof a, "a");
    rig_buffer(&rig, b, sizeof b, "b");
    rig_buffer(&rig, NULL, sizeof d, "d");
    rig_number(&rig, M);
    rig_number(&rig, N);
    rig_number(&rig, K);
    rig_run(&rig, N / 16, M / 16, 1, 32, 0);
    rig_read(&rig, 2, d, sizeof d);
    ck_assert_str_eq(rig.trouble, "");
    for (int i = 0; i < M * N; i++) {
        double want = 0;
        for (int k = 0; k < K; k++)
            want += (double)a[i / N * K + k] * (double)b[k * N + i % N];
        ck_assert_double_eq((double)d[i % N * M + i / N], want);
    }
    rig_close(&rig);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ptx_wmma");
    TCase *tests = tcase_create("ptx_wmma");
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, exact_sums, 0, COUNT(forms));
    tcase_add_loop_test(tests, within_a_bound, 0, COUNT(forms));
    tcase_add_test(tests, tf32_is_in_halves);
    tcase_add_loop_test(tests, unknown_rows_and_columns, 0, COUNT(forms));
    tcase_add_loop_test(tests, compiled_f16, 0, SEEDS);
    tcase_add_loop_test(tests, compiled_tf32, 0, SEEDS);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

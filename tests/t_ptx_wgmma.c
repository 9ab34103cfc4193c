/*
 * t_ptx_wgmma.c - wgmma of every type on the PTX machine: operands in shared memory by descriptors
 * with and without a swizzle, or A in registers; exact sums, e4m3 against the reference's model of
 * the chip (ref/mma.c), and what nobody wrote.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ref/moe.h"
#include "tests/ptx_element.h"
#include "tests/ptx_rig.h"
#include "tests/support.h"

#define ROWS 64
#define N_MOST 64
#define K_BYTES 32   /* of an instruction: k elements */
#define OPERAND 8192 /* bytes of shared memory for one */
#define LANE 128     /* bytes of registers of D for one thread, at most */

enum place { PLAIN, SWIZZLED, REGISTERS };

struct form {
    enum element a, b, d;
    int n;
    enum place a_place, b_place;
    const char *satfinite;
};

static const struct form forms[] = {
    {F16, F16, F32, 8, SWIZZLED, PLAIN, ""},
    {F16, F16, F16, 24, PLAIN, SWIZZLED, ""},
    {BF16, BF16, F32, 40, REGISTERS, PLAIN, ""},
    {TF32, TF32, F32, 8, PLAIN, PLAIN, ""},
    {TF32, TF32, F32, 56, SWIZZLED, SWIZZLED, ""},
    {TF32, TF32, F32, 16, REGISTERS, SWIZZLED, ""},
    {E4M3, E4M3, F32, 64, PLAIN, SWIZZLED, ""},
    {E4M3, E5M2, F32, 8, REGISTERS, PLAIN, ""},
    {E5M2, E4M3, F16, 32, SWIZZLED, PLAIN, ""},
    {E5M2, E5M2, F32, 48, PLAIN, PLAIN, ""},
    {S8, S8, S32, 8, PLAIN, SWIZZLED, ""},
    {S8, U8, S32, 24, REGISTERS, PLAIN, ""},
    {U8, S8, S32, 32, SWIZZLED, SWIZZLED, ".satfinite"},
    {U8, U8, S32, 64, PLAIN, PLAIN, ""},
    {B1, B1, S32, 48, SWIZZLED, PLAIN, ""},
    {B1, B1, S32, 16, REGISTERS, SWIZZLED, ""},
};

static int k_of(const struct form *form)
{
    return K_BYTES * 8 / elements[form->a].bits;
}

static int registers_of(const struct form *form)
{
    return form->n * elements[form->d].bits / 64;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Shared memory as the kernel will have it: A, then B; and registers of A and D. */
static uint8_t shared[2 * OPERAND], shared_unknown[2 * OPERAND];
static uint8_t a_registers[128 * 16], d_registers[128 * LANE], d_unknown[128 * LANE];

/* Where a byte of a row of K-major A or B is. Without a swizzle: 8 rows of 16 bytes stand together,
 * the next 16 of k come LBO = 128 behind, the next 8 rows SBO = 256. With that of 128 bytes: rows
 * of 128, their chunks exchanged by the row, 8 rows SBO = 1024 apart. */
static int shared_at(enum place place, int row, int byte)
{
    if (place == PLAIN)
        return row / 8 * 256 + byte / 16 * 128 + row % 8 * 16 + byte % 16;
    return row / 8 * 1024 + row % 8 * 128 + (byte / 16 ^ row % 8) * 16 + byte % 16;
}

static uint64_t descriptor_of(enum place place)
{
    return place == PLAIN ? 8ull << 16 | 16ull << 32 : 1ull << 16 | 64ull << 32 | 1ull << 62;
}

/* A's registers: a warp has 16 rows, a lane of it 4 bytes of two of them and of 16 bytes of k. */
static int register_at(int row, int byte)
{
    const int lane = row / 16 * 32 + row % 8 * 4 + byte % 16 / 4;
    return lane * 16 + (row % 16 / 8 + byte / 16 * 2) * 4 + byte % 4;
}

/* D's, in bytes. */
static int d_at(const struct form *form, int row, int column)
{
    const int thread = row / 16 * 32 + row % 8 * 4 + column % 8 / 2;
    const int at = column / 8 * 4 + row % 16 / 8 * 2 + column % 2;
    return thread * LANE + at * elements[form->d].bits / 8;
}

static void put(const struct form *form, int is_b, int outer, int k, uint64_t code)
{
    const int bits = elements[is_b ? form->b : form->a].bits;
    const enum place place = is_b ? form->b_place : form->a_place;
    for (int i = 0; i < bits; i++) {
        const int bit = k * bits + i;
        uint8_t *byte = place == REGISTERS
                            ? &a_registers[register_at(outer, bit / 8)]
                            : &shared[is_b * OPERAND + shared_at(place, outer, bit / 8)];
        *byte |= (uint8_t)((code >> i & 1) << bit % 8);
    }
}

static void put_d(const struct form *form, int row, int column, uint64_t code)
{
    memcpy(d_registers + d_at(form, row, column), &code, (size_t)elements[form->d].bits / 8);
}

static void clear(void)
{
    memset(shared, 0, sizeof shared);
    memset(shared_unknown, 0, sizeof shared_unknown);
    memset(a_registers, 0, sizeof a_registers);
    memset(d_registers, 0, sizeof d_registers);
    memset(d_unknown, 0, sizeof d_unknown);
}

/* ---- the kernel ------------------------------------------------------------------------------ */

static const char head[] =
    ".version 8.6\n.target sm_90a\n.address_size 64\n"
    ".visible .entry k(.param .u64 pm, .param .u64 pa, .param .u64 pc, .param .u64 po)\n{\n"
    ".reg .b32 %r<8>, %a<4>, %d<64>, %t, %s;\n.reg .b64 %q<8>, %pm, %pa, %pc, %po, %da, %db;\n"
    ".shared .align 1024 .b8 room[16384];\nmov.u32 %t, %tid.x;\nmov.u32 %s, room;\n"
    "ld.param.u64 %pm, [pm];\nld.param.u64 %pa, [pa];\nld.param.u64 %pc, [pc];\n"
    "ld.param.u64 %po, [po];\nmul.wide.u32 %q0, %t, 16;\nadd.s64 %pm, %pm, %q0;\n"
    "add.s64 %pa, %pa, %q0;\nmul.wide.u32 %q1, %t, 128;\nadd.s64 %pc, %pc, %q1;\n"
    "add.s64 %po, %po, %q1;\nshl.b32 %r0, %t, 4;\nadd.u32 %r0, %r0, %s;\nmov.u32 %r1, 0;\n"
    "loop:\nld.global.v4.b32 {%r2, %r3, %r4, %r5}, [%pm];\nst.shared.v4.b32 [%r0], {%r2, %r3, %r4, "
    "%r5};\nadd.s64 %pm, %pm, 2048;\nadd.u32 %r0, %r0, 2048;\nadd.u32 %r1, %r1, 1;\n"
    ".reg .pred %p;\nsetp.lt.u32 %p, %r1, 8;\n@%p bra loop;\nfence.proxy.async;\nbar.sync 0;\n"
    "ld.global.v4.b32 {%a0, %a1, %a2, %a3}, [%pa];\n"
    "shr.u32 %r6, %s, 4;\ncvt.u64.u32 %q2, %r6;\n";

static void write_text(const struct form *form, char *text, size_t room)
{
    const int count = registers_of(form), is_integer = form->d == S32;
    char vector[400] = "{";
    size_t at = (size_t)snprintf(text, room, "%s", head);
    for (int i = 0; i < count; i++) {
        at += (size_t)snprintf(text + at, room - at, "ld.global.b32 %%d%d, [%%pc+%d];\n", i, 4 * i);
        snprintf(vector + strlen(vector), sizeof vector - strlen(vector), "%s%%d%d", i ? "," : "",
                 i);
    }
    at += (size_t)snprintf(
        text + at, room - at,
        "or.b64 %%da, %%q2, %llu;\nadd.s64 %%q3, %%q2, 512;\nor.b64 %%db, %%q3, %llu;\n"
        "wgmma.fence.sync.aligned;\nwgmma.mma_async.sync.aligned.m64n%dk%d%s.%s.%s.%s%s %s}, %s, "
        "%%db, 1%s%s;\nwgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n",
        (unsigned long long)descriptor_of(form->a_place),
        (unsigned long long)descriptor_of(form->b_place), form->n, k_of(form), form->satfinite,
        elements[form->d].name, elements[form->a].name, elements[form->b].name,
        form->a == B1 ? ".and.popc" : "", vector,
        form->a_place == REGISTERS ? "{%a0, %a1, %a2, %a3}" : "%da", is_integer ? "" : ", 1, 1",
        elements[form->a].bits != 16 ? ""
        : form->a_place == REGISTERS ? ", 0"
                                     : ", 0, 0");
    for (int i = 0; i < count; i++)
        at += (size_t)snprintf(text + at, room - at, "st.global.b32 [%%po+%d], %%d%d;\n", 4 * i, i);
    snprintf(text + at, room - at, "ret;\n}\n");
}

static void hide(struct rig *rig, int argument, const uint8_t *unknown, size_t bytes)
{
    struct ptx_block *block = ptx_memory_find(rig->machine, rig->argument[argument], bytes);
    for (size_t i = 0; i < bytes; i++)
        block->known[i] = !unknown[i];
}

/* D, and which of its bytes are known. */
static void run_form(const struct form *form, uint32_t seed, uint8_t *to, uint8_t *is_known)
{
    static char text[16384];
    struct rig rig;
    write_text(form, text, sizeof text);
    rig_open_text(&rig, text, seed, 0);
    rig_buffer(&rig, shared, sizeof shared, "shared");
    rig_buffer(&rig, a_registers, sizeof a_registers, "registers of A");
    rig_buffer(&rig, d_registers, sizeof d_registers, "C");
    rig_buffer(&rig, NULL, sizeof d_registers, "D");
    if (!rig.trouble[0]) {
        hide(&rig, 0, shared_unknown, sizeof shared);
        hide(&rig, 2, d_unknown, sizeof d_unknown);
    }
    rig_run(&rig, 1, 1, 1, 128, 0);
    ck_assert_str_eq(rig.trouble, "");
    const struct ptx_block *block = ptx_memory_find(rig.machine, rig.argument[3], 128 * LANE);
    memcpy(to, block->data, 128 * LANE);
    memcpy(is_known, block->known, 128 * LANE);
    rig_close(&rig);
}

static uint64_t code_in(const struct form *form, const uint8_t *from, int row, int column)
{
    uint64_t code = 0;
    memcpy(&code, from + d_at(form, row, column), (size_t)elements[form->d].bits / 8);
    return code;
}

/* ---- exact ----------------------------------------------------------------------------------- */

static double a[ROWS][256], b[N_MOST][256], c[ROWS][N_MOST];
static uint8_t d[128 * LANE], known[128 * LANE];

START_TEST(exact_sums)
{
    const struct form *form = &forms[_i];
    const int k = k_of(form);
    uint64_t state = 131 + (uint64_t)_i;
    clear();
    for (int row = 0; row < ROWS; row++)
        for (int i = 0; i < k; i++)
            put(form, 0, row, i, element_code(form->a, a[row][i] = element_draw(form->a, &state)));
    for (int column = 0; column < form->n; column++)
        for (int i = 0; i < k; i++)
            put(form, 1, column, i,
                element_code(form->b, b[column][i] = element_draw(form->b, &state)));
    for (int i = 0; i < ROWS * form->n; i++)
        put_d(form, i / form->n, i % form->n,
              element_code(form->d,
                           c[i / form->n][i % form->n] = (double)random_below(&state, 100) - 50));
    for (uint32_t seed = 0; seed < 9; seed += 4) {
        run_form(form, seed, d, known);
        for (int row = 0; row < ROWS; row++)
            for (int column = 0; column < form->n; column++) {
                double want = c[row][column];
                for (int i = 0; i < k; i++)
                    want += a[row][i] * b[column][i];
                const double got = element_value(form->d, code_in(form, d, row, column));
                ck_assert_msg(got == want && known[d_at(form, row, column)],
                              "form %d, (%d,%d): %g, not %g", _i, row, column, got, want);
            }
    }
}
END_TEST

/* Sums that leave the range: to its end with .satfinite, and else modulo 2^32. */
START_TEST(integers_at_the_end)
{
    struct form form = {S8, S8, S32, 8, PLAIN, PLAIN, ".satfinite"};
    clear();
    put(&form, 0, 33, 31, 100);
    put(&form, 1, 5, 31, 100);
    put_d(&form, 33, 5, 0x7ffffff0);
    run_form(&form, 0, d, known);
    ck_assert_uint_eq(code_in(&form, d, 33, 5), 0x7fffffff);
    form.satfinite = "";
    run_form(&form, 0, d, known);
    ck_assert_uint_eq(code_in(&form, d, 33, 5), 0x80002700);
}
END_TEST

/* ---- the chip's bits ------------------------------------------------------------------------- */

START_TEST(e4m3_as_the_reference)
{
    static const struct form form = {E4M3, E4M3, F32, 64, SWIZZLED, PLAIN, ""};
    const struct moe_order order = {.instruction = MOE_WGMMA_K32};
    static double left[ROWS * 32], right[64 * 32];
    static float start[ROWS * 64], want[ROWS * 64];
    uint64_t state = 137;
    clear();
    for (int i = 0; i < (ROWS + 64) * 32; i++) {
        const int is_b = i >= ROWS * 32, outer = i / 32 - is_b * ROWS;
        uint64_t code;
        do
            code = random_word(&state) & 0xff;
        while (!isfinite(element_value(E4M3, code)));
        put(&form, is_b, outer, i % 32, code);
        *(is_b ? &right[outer * 32 + i % 32] : &left[outer * 32 + i % 32]) =
            element_value(E4M3, code);
    }
    for (int i = 0; i < ROWS * 64; i++) {
        const uint32_t code = (uint32_t)random_word(&state) & 0xc4ffffff;
        memcpy(&start[i], &code, sizeof code);
        put_d(&form, i / 64, i % 64, code);
    }
    ck_assert_int_eq(moe_mma_product(&order, MOE_E4M3, ROWS, 64, 32, left, right, start, want),
                     MOE_OK);
    run_form(&form, 0, d, known);
    for (int i = 0; i < ROWS * 64; i++) {
        uint32_t code;
        memcpy(&code, &want[i], sizeof code);
        ck_assert_uint_eq(code_in(&form, d, i / 64, i % 64), code);
    }
}
END_TEST

/* ---- what nobody wrote ----------------------------------------------------------------------- */

/* A byte of A in row 21, of B in column 6, an element of C at (42, 3). */
START_TEST(unknown_rows_and_columns)
{
    const struct form *form = &forms[_i];
    for (int which = form->a_place == REGISTERS ? 1 : 0; which < 3; which++) {
        clear();
        if (which == 0)
            shared_unknown[shared_at(form->a_place, 21, 17)] = 1;
        if (which == 1)
            shared_unknown[OPERAND + shared_at(form->b_place, 6, 9)] = 1;
        if (which == 2)
            d_unknown[d_at(form, 42, 3)] = 1;
        run_form(form, 0, d, known);
        for (int row = 0; row < ROWS; row++)
            for (int column = 0; column < form->n; column++) {
                const int hit = which == 0   ? row == 21
                                : which == 1 ? column == 6
                                             : row == 42 && column == 3;
                ck_assert_msg(known[d_at(form, row, column)] == !hit, "form %d, %d: (%d,%d)", _i,
                              which, row, column);
            }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ptx_wgmma");
    TCase *tests = tcase_create("ptx_wgmma");
    tcase_add_loop_test(tests, exact_sums, 0, COUNT(forms));
    tcase_add_test(tests, integers_at_the_end);
    tcase_add_test(tests, e4m3_as_the_reference);
    tcase_add_loop_test(tests, unknown_rows_and_columns, 0, COUNT(forms));
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

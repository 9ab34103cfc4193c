/*
 * t_ptx_refuse.c - PTX that reads and is not run: the message has the line and says why.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "gpu/ptx/machine.h"
#include "ref/moe.h"
#include "tests/support.h"

static const struct {
    const char *instruction, *says;
} rows[] = {
    {"mma.sync.aligned.m16n8k16.row.row.f32.f16.f16.f32 {%r0,%r1,%r2,%r3}, {%r4,%r5,%r6,%r7}, "
     "{%r8,%r9}, {%r0,%r1,%r2,%r3};",
     "the layouts are .row.col"},
    {"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f16 {%r0,%r1,%r2,%r3}, {%r4,%r5,%r6,%r7}, "
     "{%r8,%r9}, {%r0,%r1};",
     "no such accumulators"},
    {"mma.sync.aligned.m16n8k16.row.col.f32.f16.bf16.f32 {%r0,%r1,%r2,%r3}, {%r4,%r5,%r6,%r7}, "
     "{%r8,%r9}, {%r0,%r1,%r2,%r3};",
     "no product of these types"},
    {"mma.sync.aligned.m16n8k64.row.col.s32.s8.s8.s32 {%r0,%r1,%r2,%r3}, {%r4,%r5,%r6,%r7}, "
     "{%r8,%r9}, {%r0,%r1,%r2,%r3};",
     "in this shape"},
    {"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%r0,%r1,%r2,%r3}, {%r4,%r5}, "
     "{%r8,%r9}, {%r0,%r1,%r2,%r3};",
     "2 registers, and 4"},
    {"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%r0,%r1,%r2,%r3}, {%r4,%r5,%r6,%s7}, "
     "{%r8,%r9}, {%r0,%r1,%r2,%r3};",
     "registers of 32 bits"},
    {"mma.sync.aligned.m16n8k32.row.col.kind::f8f6f4.f32.e4m3.e4m3.f32 {%r0,%r1,%r2,%r3}, "
     "{%r4,%r5,%r6,%r7}, {%r8,%r9}, {%r0,%r1,%r2,%r3};",
     "needs sm_120a"},
    {"mma.sync.aligned.m16n8k128.row.col.s32.b1.b1.s32 {%r0,%r1,%r2,%r3}, {%r4,%r5}, {%r8}, "
     "{%r0,%r1,%r2,%r3};",
     ".xor.popc"},
    {"mma.sync.aligned.m16n8k16.row.col.satfinite.f32.f16.f16.f32 {%r0,%r1,%r2,%r3}, "
     "{%r4,%r5,%r6,%r7}, {%r8,%r9}, {%r0,%r1,%r2,%r3};",
     ".satfinite is of integers"},
    {"mma.sync.aligned.m16n8k16.row.col.rn.f32.f16.f16.f32 {%r0,%r1,%r2,%r3}, "
     "{%r4,%r5,%r6,%r7}, {%r8,%r9}, {%r0,%r1,%r2,%r3};",
     "no such rounding"},
    {"mma.sync.aligned.m16n8k16.row.f32.f16.f16.f32 {%r0,%r1,%r2,%r3}, {%r4,%r5,%r6,%r7}, "
     "{%r8,%r9}, {%r0,%r1,%r2,%r3};",
     "two layouts"},
    {"mma.sync.m16n8k16.row.col.f32.f16.f16.f32 {%r0,%r1,%r2,%r3}, {%r4,%r5,%r6,%r7}, "
     "{%r8,%r9}, {%r0,%r1,%r2,%r3};",
     ".aligned is missing"},
    {"mma.sp::ordered_metadata.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
     "{%r0,%r1,%r2,%r3}, {%r4,%r5}, {%r8,%r9}, {%r0,%r1,%r2,%r3}, %r4, 0;",
     "sparse products"},
    {"wmma.load.a.sync.aligned.row.m16n8k16.f16 {%r0,%r1,%r2,%r3,%r4,%r5,%r6,%r7}, [%s0];",
     "no wmma of this type in this shape"},
    {"wmma.load.a.sync.aligned.row.m16n16k16.f16 {%r0,%r1,%r2,%r3}, [%s0];", "4 registers, and 8"},
    {"wmma.load.a.sync.aligned.col.m8n8k32.s4 {%r0}, [%s0];", ".row in A and .col in B"},
    {"wmma.load.c.sync.aligned.m16n16k16.f16 {%r0,%r1,%r2,%r3}, [%s0];", "1 layouts"},
    {"wmma.mma.sync.aligned.row.col.m16n16k16.s32.s8.s8.s32 {%r0,%r1,%r2,%r3,%r4,%r5,%r6,%r7}, "
     "{%r0,%r1}, {%r2,%r3,%r4}, {%r0,%r1,%r2,%r3,%r4,%r5,%r6,%r7};",
     "3 registers, and 2"},
    {"wmma.mma.sync.aligned.row.col.m16n16k16.f32.s8.s8.s32 {%r0,%r1,%r2,%r3,%r4,%r5,%r6,%r7}, "
     "{%r0,%r1}, {%r2,%r3}, {%r0,%r1,%r2,%r3,%r4,%r5,%r6,%r7};",
     "no such accumulators"},
    {"wmma.mma.sync.aligned.row.col.m16n16k16.s32.s8.u8.s32 {%r0,%r1,%r2,%r3,%r4,%r5,%r6,%r7}, "
     "{%r0,%r1}, {%r2,%r3}, {%r0,%r1,%r2,%r3,%r4,%r5,%r6,%r7};",
     "A and B are of one type"},
    {"wmma.mma.sync.aligned.row.row.m8n8k32.s32.s4.s4.s32 {%r0,%r1}, {%r2}, {%r3}, {%r0,%r1};",
     "are .row.col"},
    {"wmma.mma.sync.aligned.row.col.m16n16k16.rz.f32.bf16.bf16.f32 "
     "{%r0,%r1,%r2,%r3,%r4,%r5,%r6,%r7}, {%r0,%r1,%r2,%r3}, {%r4,%r5,%r6,%r7}, "
     "{%r0,%r1,%r2,%r3,%r4,%r5,%r6,%r7};",
     "no such rounding"},
    {"cvt.rs.f16x2.f32 %r0, %f1, %f2, %r3;", ".rs needs sm_100a, and the target is sm_90a"},
    {"cvt.rs.satfinite.e5m2x4.f32 %r0, {%f1, %f2, %f3, %f4}, %r3;", ".rs needs sm_100a"},
    {"cvt.rn.satfinite.e2m1x2.f32 %b, %f1, %f2;", ".e2m1x2 needs sm_100a"},
    {"cvt.rn.f16x2.e2m3x2 %r0, %h1;", ".e2m3x2 needs sm_100a"},
    {"cvt.rz.ue8m0x2.bf16x2 %h0, %r1;", ".ue8m0x2 needs sm_100a"},
    {"cvt.rn.satfinite.tf32.f32 %r0, %f1;", ".satfinite without .rna needs sm_100a"},
    {"cvt.rna.relu.tf32.f32 %r0, %f1;", ".relu does not go with .rna"},
    {"cvt.rn.e4m3x2.f32 %h0, %f1, %f2;", ".satfinite is missing"},
    {"cvt.rz.satfinite.e5m2x2.f32 %h0, %f1, %f2;", "the rounding is .rn"},
    {"cvt.pack.u8.s32.b32 %r0, %r1, %r2, %r3;", ".sat is missing"},
    {"ldmatrix.sync.aligned.m16n16.x1.trans.shared.b8 {%r0, %r1}, [%r2];", ".b8 needs sm_100a"},
    {"ldmatrix.sync.aligned.m8n16.x1.shared.b8x16.b6x16_p32 {%r0}, [%r2];", ".b8x16 needs sm_100a"},
    {"stmatrix.sync.aligned.m16n8.x2.trans.shared.b8 [%r2], {%r0, %r1};", ".b8 needs sm_100a"},
    {"ldmatrix.sync.aligned.m16n8.x1.shared.b16 {%r0}, [%r2];", "the shape is m8n8"},
};

static const char head[] = ".version 9.0\n.target sm_90a\n.address_size 64\n.entry k()\n{\n"
                           ".reg .b32 %r<10>;\n.reg .b64 %s<10>;\n.reg .f32 %f<10>;\n.reg .b16 "
                           "%h<10>;\n.reg .b8 %b;\n";
#define LINE 11 /* of the instruction */

START_TEST(refused)
{
    char text[1024], where[16];
    struct ptx_module *module = NULL;
    struct ptx_machine *machine = NULL;
    struct ptx_loaded *loaded = NULL;
    struct ptx_program *program = NULL;
    const char *const instruction = rows[_i].instruction;
    const int length = snprintf(text, sizeof text, "%s%s\nret;\n}\n", head, instruction);
    snprintf(where, sizeof where, "line %d: ", LINE);
    ck_assert_msg(ptx_read(text, (uint64_t)length, &module) == MOE_OK, "%s: %s", instruction,
                  moe_error_text());
    ck_assert_int_eq(ptx_machine_create(NULL, &machine), MOE_OK);
    ck_assert_int_eq(ptx_load(machine, module, &loaded), MOE_OK);
    ck_assert_int_eq(ptx_program_build(loaded, ptx_function_find(module, "k"), &program),
                     MOE_E_UNSUPPORTED);
    ck_assert_msg(strstr(moe_error_text(), rows[_i].says) && strstr(moe_error_text(), where),
                  "%s: %s", instruction, moe_error_text());
    ptx_unload(machine, loaded);
    ptx_machine_free(machine);
    ptx_module_free(module);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ptx_refuse");
    TCase *tests = tcase_create("ptx_refuse");
    tcase_add_loop_test(tests, refused, 0, COUNT(rows));
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

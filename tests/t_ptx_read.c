/*
 * t_ptx_read.c - the reader of PTX: what it makes of text, and what it says, by line, of text that
 * is wrong.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/machine.h"
#include "ref/moe.h"
#include "tests/support.h"

#define BEGIN ".version 8.0\n.target sm_90a\n.address_size 64\n"

static struct ptx_module *read_text(const char *text)
{
    struct ptx_module *module = NULL;
    ck_assert_msg(ptx_read(text, strlen(text), &module) == MOE_OK, "%s", moe_error_text());
    return module;
}

START_TEST(modules_have_what_stands_in_them)
{
    struct ptx_module *module = read_text(
        BEGIN ".global .align 8 .b8 g[12] = {1, 2, {3}};\n.const .f32 half = 0f3f000000;\n"
              ".extern .shared .align 16 .b8 dynamic[];\n"
              ".visible .entry k(.param .u64 p, .param .align 64 .b8 map[128])\n"
              ".maxntid 128, 2, 1\n.minnctapersm 3\n{\n"
              ".reg .pred %p<3>;\n.reg .b32 %r<5>, lone;\n.shared .align 4 .b8 room[40];\n"
              "/* a comment\n of two lines */ mov.u32 %r4, %tid.x; // another\n"
              "$L_1: setp.eq.s32 %p1|%p2, %r4, -1;\n@!%p1 bra $L_1;\n"
              "{ .reg .b32 %r<2>; .reg .pred %p; $L_1: mov.b32 %r1, lone; bra $L_1; }\n"
              "ret;\n}\n");
    ck_assert_int_eq(module->version, 80);
    ck_assert_int_eq(module->target_number, 90);
    ck_assert_uint_eq(module->variables->bytes, 12);
    ck_assert_mem_eq(module->variables->initial, "\1\2\3\0\0\0\0\0\0\0\0\0", 12);
    const struct ptx_function *function = ptx_function_find(module, "k");
    ck_assert_ptr_nonnull(function);
    ck_assert_int_eq(function->formal_count, 2);
    ck_assert_uint_eq(function->formals[1].variable->align, 64);
    ck_assert_int_eq(function->maxntid[0], 128);
    ck_assert_int_eq(function->minnctapersm, 3);
    ck_assert_int_eq(function->instruction_count, 6);
    const struct ptx_instruction *code = function->instructions;
    ck_assert_int_eq(code[0].line, 15);
    ck_assert_int_eq(code[1].operands[0].kind, PTX_PAIR);
    ck_assert_int_eq(code[2].guard_negated, 1);
    ck_assert_uint_eq(code[2].operands[0].part[0].value, 1);
    /* The inner block has registers and a label of its own. */
    ck_assert_uint_ne(code[3].operands[0].value, code[0].operands[0].value);
    ck_assert_uint_eq(code[4].operands[0].part[0].value, 3);
    ptx_module_free(module);
}
END_TEST

START_TEST(numbers_are_what_they_mean)
{
    static const struct {
        const char *text;
        uint64_t value;
    } rows[] = {
        {"12", 12},
        {"-1", UINT64_MAX},
        {"0x1fU", 31},
        {"0b101", 5},
        {"017", 15},
        {"(1 << 4) | 3", 19},
        {"0f3f800000", 0x3f800000},
        {"0dbff0000000000000", UINT64_C(0xbff0000000000000)},
        {"1.5", UINT64_C(0x3ff8000000000000)},
        {"-2e3", UINT64_C(0xc09f400000000000)},
        {"(5 > 3 ? 7 : 9)", 7},
        {"WARP_SZ * 2", 64},
        {"-(7 % 4) + ~0", (uint64_t)-4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256];
        snprintf(text, sizeof text, BEGIN ".entry k()\n{ .reg .b64 %%r; mov.u64 %%r, %s; }\n",
                 rows[i].text);
        struct ptx_module *module = read_text(text);
        const uint64_t value = module->functions->instructions[0].operands[1].value;
        ck_assert_msg(value == rows[i].value, "%s is 0x%llx", rows[i].text,
                      (unsigned long long)value);
        ptx_module_free(module);
    }
}
END_TEST

#define BODY(text)                                                                                 \
    BEGIN ".entry k(.param .u64 a)\n{ .reg .b32 %r<4>; .reg .b64 %d; .reg .pred %p;\n" text "\n}"  \
          "\n"

START_TEST(what_is_wrong_is_said_by_line)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "line 1: no PTX"},
        {".version 7.8\n", "line 1: .version 7.8; supported are 8.0 to 9.0"},
        {".version 9.0\n.target sm_30\n", "line 2: .target sm_30"},
        {BEGIN ".entry k() { ", "line 4: a function's body without its end"},
        {BEGIN "/* ", "line 4: a comment without its end"},
        {BEGIN ".file 1 \"x\n", "line 4: a string without its end"},
        {BEGIN "\x01", "line 4: a character 0x01"},
        {BODY("frob.u32 %r1, %r2;"), "line 6: 'frob.u32' is no instruction"},
        {BODY("add.s33 %r1, %r2, %r3;"), "line 6: add: '.s33' is not known"},
        {BODY("add.rn.s32 %r1, %r2, %r3;"), "'.rn' is not allowed"},
        {BODY("\nadd.f64 %r1, %r2, %r3;"), "line 7: add.f64"},
        {BODY("add.s32 %r1, %r2;"), "2 operands are too few"},
        {BODY("add.s32 %r1, %r2, %d;"), "operand 3 is of the wrong kind or width"},
        {BODY("add.s32 %r1, %r2, %r9;"), "'%r9' is no register that is declared here"},
        {BODY("add.s32 %r1, %r2, 0x;"), "'0x' is no number"},
        {BODY("mov.u32 %r1, 1/0;"), "a division by zero"},
        {BODY("bra nowhere;"), "line 6: no label 'nowhere'"},
        {BODY("@%r1 bra x; x:"), "'%r1' behind '@' is no predicate"},
        {BODY(".reg .b32 %r<2>;"), "'%r' is declared twice"},
        {BODY("x: x: ret;"), "label 'x' stands twice"},
        {BODY("mov.u32 %r1, thing;"), "'thing' is not declared"},
        {BODY("mov.u32 %r1, %tid.q;"), "line 6"},
        {BODY("ld.global.u32 %r1, [%d;"), "';' where ']' is expected"},
        {BODY(".reg .b128 %q;"), ".reg of '.b128'; supported are"},
        {BODY(".reg .b32 %z<99999999>;"), "'99999999' registers; allowed: 1 .. "},
        {BEGIN ".global .b8 x[2] = {1, 2, 3};", "more initial values than its 2 bytes hold"},
        {BEGIN ".global .align 3 .b8 x;", "no power of two"},
        {BEGIN ".tex .u32 t;", "'.tex' in a module; supported are"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ptx_module *module = NULL;
        const int status = ptx_read(rows[i].text, strlen(rows[i].text), &module);
        ck_assert_msg(status == MOE_E_USAGE || status == MOE_E_UNSUPPORTED, "%s was read",
                      rows[i].text);
        ck_assert_msg(strstr(moe_error_text(), rows[i].says) != NULL, "'%s' lacks '%s'",
                      moe_error_text(), rows[i].says);
    }
}
END_TEST

START_TEST(what_cannot_run_is_refused_by_line)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {BEGIN ".func f() { call f; }\n.entry k() { call f; ret; }",
         "line 4: 'f' calls itself: recursion is not supported"},
        {BEGIN ".extern .func (.param .b64 r) malloc(.param .b64 n);\n"
               ".entry k() { .param .b64 r; .param .b64 n; call (r), malloc, (n); ret; }",
         "line 5: call: 'malloc' has no body here"},
        {BEGIN ".entry k() { .reg .b64 %d; call %d; ret; }", "an indirect call is not supported"},
        {BEGIN ".entry k() {\n setmaxnreg.inc.sync.aligned.u32 25; ret; }",
         "line 5: setmaxnreg.inc"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ptx_machine *machine = NULL;
        struct ptx_loaded *loaded = NULL;
        struct ptx_program *program = NULL;
        struct ptx_module *module = read_text(rows[i].text);
        ck_assert_int_eq(ptx_machine_create(NULL, &machine), MOE_OK);
        ck_assert_int_eq(ptx_load(machine, module, &loaded), MOE_OK);
        ck_assert_int_eq(ptx_program_build(loaded, ptx_function_find(module, "k"), &program),
                         MOE_E_UNSUPPORTED);
        ck_assert_msg(strstr(moe_error_text(), rows[i].says) != NULL, "'%s' lacks '%s'",
                      moe_error_text(), rows[i].says);
        ptx_unload(machine, loaded);
        ptx_machine_free(machine);
        ptx_module_free(module);
    }
}
END_TEST

/* Every beginning of a text, and the text with one character replaced, is read or refused. */
START_TEST(cut_and_spoilt_text_is_refused)
{
    static const char text[] = BODY(
        ".loc 1 2 3, function_name $L+1, inlined_at 1 4 5\nld.param.u64 %d, [a+0];\n"
        "@%p bra L; { .reg .b32 %t; mov.b32 %t, 0f3f800000; }\nL: st.global.v2.u32 [%d+8], {%r1, "
        "7};\nmov.b64 {%r1, %r2}, %d; setp.lt.and.f32 %p|%p, 1.5, 0f00000000, !%p;\n"
        "ts: .branchtargets L; brx.idx %r1, ts; ret;") ".file 1 \"a.cu\"\n";
    char spoilt[sizeof text];
    static const char marks[] = "{}[]();,.@%\"/*$0x-\n\xff";
    for (size_t length = 0; length < sizeof text; length++) {
        struct ptx_module *module = NULL;
        if (ptx_read(text, length, &module) == MOE_OK)
            ptx_module_free(module);
        for (size_t m = 0; m < sizeof marks - 1 && length < sizeof text - 1; m++) {
            memcpy(spoilt, text, sizeof text);
            spoilt[length] = marks[m];
            if (ptx_read(spoilt, sizeof text - 1, &module) == MOE_OK)
                ptx_module_free(module);
            else
                ck_assert_str_ne(moe_error_text(), "");
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ptx_read");
    TCase *tests = tcase_create("read");
    tcase_add_test(tests, modules_have_what_stands_in_them);
    tcase_add_test(tests, numbers_are_what_they_mean);
    tcase_add_test(tests, what_is_wrong_is_said_by_line);
    tcase_add_test(tests, what_cannot_run_is_refused_by_line);
    tcase_add_test(tests, cut_and_spoilt_text_is_refused);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

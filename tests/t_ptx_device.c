/*
 * t_ptx_device.c - a variant on the PTX machine as the judge sees it: the reference, whose forward
 * pass then runs a kernel of a few lines on the output o and the workspace. What the kernel does
 * must be in the report, under the check that says so; a kernel that the machine does not know is
 * nobody's fault. And hopper, with an input that has no value.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/gpu.h"
#include "gpu/ptx/device_ptx.h"
#include "tests/support.h"

#define LINE "T=6 H=8 I=8 E=3 K=2 dtype=f32"

/* The kernel's own PTX is put in the place of this one's, which has two parameters of 64 bits too.
 */
#define KERNEL "disturb_gate"

/* Bytes of workspace, and of kept memory. */
#define MEMORY 256

extern const struct moe_variant moe_variant_ref;

static struct habit {
    const char *body; /* of the kernel: %rd1 is o's begin, %rd2 the workspace's */
    enum moe_verdict verdict;
    const char *check, *words; /* of the finding; NULL: there is none */
    int keeps_o;               /* 1: o is not written, but by the kernel */
} habit;

static const struct moe_problem *problem;
static struct moe_device *device;
static struct moe_tensor here[MOE_TENSOR_COUNT]; /* of one pass, in host memory */

static int supports(const struct moe_problem *asked, char *why, size_t size)
{
    (void)asked, (void)why, (void)size;
    return MOE_OK;
}

static int64_t some_bytes(const struct moe_problem *asked)
{
    (void)asked;
    return MEMORY;
}

static void recipe(const struct moe_problem *asked, struct moe_recipe *plain)
{
    *plain = moe_recipe_plain(asked, MOE_F32);
}

static int open_habit(struct moe_device *given, const struct moe_problem *asked,
                      int32_t configuration, void **state)
{
    char text[4096];
    static int planted;
    device = given;
    problem = asked;
    snprintf(text, sizeof text,
             ".version 8.0\n.target sm_90a\n.address_size 64\n.visible .func again()\n{\ncall "
             "again;\nret;\n}\n"
             ".visible .entry " KERNEL "(.param .u64 o, .param .u64 workspace)\n{\n"
             ".reg .u64 %%rd<9>; .reg .u32 %%r<9>; .reg .pred %%p<3>;\n"
             "ld.param.u64 %%rd1, [o]; ld.param.u64 %%rd2, [workspace]; mov.u32 %%r1, %%tid.x;\n"
             "%s\nret;\n}\n",
             habit.body);
    int status = planted ? MOE_OK : moe_ptx_device_plant(device, KERNEL, text);
    planted = 1;
    ck_assert_msg(status == MOE_OK, "%s", moe_error_text());
    return moe_variant_ref.open(NULL, asked, configuration, state);
}

/* There, or back, but for one tensor. */
static int copy(const struct moe_call *call, int back, int left)
{
    int status = MOE_OK;
    for (int id = 0; id < MOE_TENSOR_COUNT && status == MOE_OK; id++) {
        const int64_t bytes = here[id].data ? moe_tensor_bytes(&here[id]) : 0;
        if (!back && here[id].data)
            status = moe_device_copy_from(device, here[id].data, call->tensors[id].data, bytes,
                                          call->stream);
        else if (here[id].data && id != left && moe_tensor_info(id)->role != MOE_INPUT)
            status = moe_device_copy_to(device, call->tensors[id].data, here[id].data, bytes,
                                        call->stream);
    }
    return status;
}

/* The reference on copies in host memory, of which all but one tensor go back. */
static int refer(void *state, const struct moe_call *call,
                 int (*run)(void *, const struct moe_call *), int left)
{
    struct moe_call own = *call;
    int status = moe_call_check(call, MEMORY, MEMORY);
    if (status == MOE_OK)
        status = moe_call_check_dense(call, 0);
    if (status != MOE_OK)
        return status;
    memcpy(here, call->tensors, sizeof here);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (here[id].data)
            here[id].data = malloc((size_t)moe_tensor_bytes(&here[id]) + 1);
    own.tensors = here;
    status = copy(call, 0, -1);
    if (status == MOE_OK)
        status = run(state, &own);
    if (status == MOE_OK)
        status = copy(call, 1, left);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        free(here[id].data);
    return status;
}

static int forward(void *state, const struct moe_call *call)
{
    void *o = call->tensors[MOE_O].data, *workspace = call->workspace;
    void *args[] = {&o, &workspace};
    const struct moe_launch launch = {
        .kernel = KERNEL, .grid = {1, 1, 1}, .block = {2, 1, 1}, .args = args};
    int status = refer(state, call, moe_variant_ref.forward, habit.keeps_o ? MOE_O : -1);
    return status == MOE_OK ? moe_device_launch(device, &launch) : status;
}

static int backward(void *state, const struct moe_call *call)
{
    return refer(state, call, moe_variant_ref.backward, MOE_O);
}

static void close_habit(void *state)
{
    moe_variant_ref.close(state);
}

static const struct moe_variant variant = {
    .struct_size = sizeof variant,
    .devices = MOE_ON_PTX,
    .flags = MOE_DETERMINISTIC | MOE_CAPTURABLE | MOE_DENSE_ONLY,
    .name = "habit",
    .supports = supports,
    .workspace_bytes = some_bytes,
    .kept_bytes = some_bytes,
    .recipe = recipe,
    .open = open_habit,
    .forward = forward,
    .backward = backward,
    .close = close_habit,
};

static struct moe_report judge(const char *checks)
{
    const struct moe_problem asked = problem_of(LINE);
    const struct moe_judge_options options = {.checks = checks, .devices = MOE_ON_PTX};
    struct moe_report report;
    ck_assert_msg(moe_judge_variant(&asked, &variant, &options, &report) == MOE_OK, "%s",
                  moe_error_text());
    return report;
}

static const struct moe_finding *finding_of(const struct moe_report *report, const char *check)
{
    for (int i = 0; i < report->finding_count && i < MOE_REPORT_FINDINGS; i++)
        if (!strcmp(report->finding[i].check, check))
            return &report->finding[i];
    return NULL;
}

#define ADD_ONE "add.u32 %r2, %r2, 1;"

static const struct habit habits[] = {
    {"", MOE_PASS, NULL, NULL, 0},
    /* what is undefined, and does not matter */
    {"ld.global.u32 %r2, [%rd2];" ADD_ONE "st.global.u32 [%rd2], %r2;\n"
     "bar.sync 0;",
     MOE_FAIL, "run", "nothing orders them; line ", 0},
    {"setp.ne.u32 %p1, %r1, 0; @%p1 ret;\nld.global.u32 %r2, [%rd2];" ADD_ONE
     "st.global.u32 [%rd2], %r2;",
     MOE_PASS, NULL, NULL, 0},
    /* and what does */
    {"setp.ne.u32 %p1, %r1, 0; @%p1 ret;\nld.global.u32 %r2, [%rd2];" ADD_ONE
     "st.global.u32 [%rd1+20], %r2;",
     MOE_FAIL, "machine", "o is undefined from element 5 on: what nobody wrote", 0},
    {"setp.ne.u32 %p1, %r1, 0; @%p1 ret;\nst.global.u32 [%rd1], %r1;", MOE_FAIL, "machine",
     "o is undefined from element 1 on: it was not written", 1},
    {"ld.global.u32 %r2, [%rd2]; setp.eq.u32 %p1, %r2, 0; @%p1 ret;", MOE_FAIL, "run",
     "undefined: ", 0},
    /* one byte too far, on either side */
    {"ld.global.u8 %r2, [%rd2+256];", MOE_FAIL, "run", "byte 1 behind 'workspace'", 0},
    {"ld.global.u8 %r2, [%rd1+-1];", MOE_FAIL, "run", "byte 1 before 'o'", 0},
    {"ld.global.u32 %r2, [%rd2+2];", MOE_FAIL, "run", "no multiple of 4", 0},
    {"st.global.u32 [%rd1], %r1;", MOE_FAIL, "run", "CTA 0,0,0 thread 1,0,0", 0},
    /* against the text alone: told, and no failure */
    {"mov.u32 %r2, 7; st.global.u32 [%rd2], %r2;", MOE_PASS, "machine", "against the text: ", 0},
    {"bar.sync 0, 64;", MOE_FAIL, "run", "barrier: ", 0},
    /* the machine's own lacks */
    {"call again;", MOE_ERROR, "judge", "kernel '" KERNEL "': line ", 0},
};

START_TEST(each_habit_is_told)
{
    habit = habits[_i];
    const struct moe_report report = judge("machine,guards,inputs");
    const struct moe_finding *finding = habit.check ? finding_of(&report, habit.check) : NULL;
    ck_assert_msg(report.verdict == habit.verdict, "%d: %s: %s", _i,
                  moe_verdict_name(report.verdict), report.finding[0].text);
    ck_assert_msg(habit.check || report.finding_count == 0, "%d: %s", _i, report.finding[0].text);
    ck_assert_msg(!habit.check || (finding && strstr(finding->text, habit.words)), "%d: %s", _i,
                  finding ? finding->text : report.finding[0].text);
}
END_TEST

/* Every check, as they come: what has no meaning there says that it was left out. */
START_TEST(all_checks)
{
    static const char *const left_out[] = {"stream", "dependent", "graph", "contention"};
    habit = habits[0];
    const struct moe_report report = judge(NULL);
    for (int i = 0; i < report.finding_count && i < MOE_REPORT_FINDINGS; i++)
        ck_assert_msg(report.finding[i].verdict < MOE_FAIL, "%s: %s", report.finding[i].check,
                      report.finding[i].text);
    ck_assert_int_eq(report.verdict, MOE_PASS);
    for (int i = 0; i < COUNT(left_out); i++) {
        const struct moe_finding *finding = finding_of(&report, left_out[i]);
        ck_assert_msg(finding && finding->verdict == MOE_SKIP, "%s", left_out[i]);
    }
}
END_TEST

/* ---- hopper ---------------------------------------------------------------------------------- */

#define TOKEN 3 /* whose x nobody has written */

static const struct moe_variant *hopper;

static int open_hopper(struct moe_device *given, const struct moe_problem *asked,
                       int32_t configuration, void **state)
{
    device = given;
    problem = asked;
    return hopper->open(given, asked, configuration, state);
}

static int forward_hopper(void *state, const struct moe_call *call)
{
    const int64_t row = 2 * problem->H;
    int status = moe_device_forget(device, (char *)call->tensors[MOE_X].data + TOKEN * row, row);
    return status == MOE_OK ? hopper->forward(state, call) : status;
}

/* What is undefined goes through the tensor cores, row by row, and into the sums over rows. Where
 * it decides, in the router, the machine stops. */
START_TEST(undefined_through_a_layer)
{
    static const char *const lines[] = {"T=9 H=64 I=64 E=2 K=1 router=lists routing=same",
                                        "T=9 H=64 I=64 E=2 K=1"};
    const struct moe_problem asked = problem_of(lines[_i]);
    const struct moe_judge_options options = {.checks = "machine", .devices = MOE_ON_PTX};
    struct moe_report report;
    for (int i = 0; !hopper || strcmp(hopper->name, "hopper"); i++)
        hopper = moe_variant_get(i);
    struct moe_variant wrapped = *hopper;
    wrapped.open = open_hopper;
    wrapped.forward = forward_hopper;
    ck_assert_int_eq(moe_judge_variant(&asked, &wrapped, &options, &report), MOE_OK);
    ck_assert_int_eq(report.verdict, MOE_FAIL);
    if (_i == 1) {
        ck_assert_msg(strstr(report.finding[0].text, ": undefined: ") != NULL, "%s",
                      report.finding[0].text);
        return;
    }
    int rows = 0, sums = 0;
    for (int i = 0; i < report.finding_count; i++) {
        const struct moe_finding *finding = &report.finding[i];
        ck_assert_str_eq(finding->check, "machine");
        rows += finding->tensor == MOE_O && finding->row == TOKEN && finding->col == 0;
        sums += finding->tensor == MOE_DW1 && finding->col == 0;
        ck_assert_msg(finding->tensor != MOE_DO, "%s", finding->text);
    }
    ck_assert_msg(rows == 1 && sums == 1, "%d, %d: %s", rows, sums, report.finding[0].text);
}
END_TEST

int main(void)
{
    if (!moe_kernel_get(0)) {
        puts("1..1\nok 1 - ptx_device # SKIP built without kernels");
        return 0;
    }
    Suite *suite = suite_create("ptx_device");
    TCase *tests = tcase_create("ptx_device");
    tcase_add_loop_test(tests, each_habit_is_told, 0, COUNT(habits));
    tcase_add_test(tests, all_checks);
    tcase_add_loop_test(tests, undefined_through_a_layer, 0, 2);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

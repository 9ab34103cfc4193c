/*
 * t_check_memory.c - the checks of memory on variants that are right but for one habit each: each
 * habit is caught by its check, and a variant without one is not accused.
 *
 * The variant is `naive` with a workspace and kept memory that it uses beside naive's own.
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/impostor.h"

extern const struct moe_variant moe_variant_naive;

#define LINE "T=7 H=16 I=8 E=4 K=2 dtype=bf16 bias=1"
#define RAGGED "T=7 H=16 I=8 E=4 K=3 dtype=bf16 router=lists routing=ragged"
#define MANY_ROWS "T=600 H=8 I=4 E=3 K=1 dtype=bf16 router=lists" /* too many to lie far apart */
#define EXTRA 256 /* of workspace; kept memory has as much */

typedef int habit_of_pass(const struct moe_problem *problem, const struct moe_call *call);

/* What is wrong at hand. */
static struct {
    habit_of_pass *before, *after; /* naive's forward */
    int ignores_sizes;
    int asked; /* how often workspace_bytes was, where it grows */
    int grows;
} habit;

static struct moe_problem problem_at_hand;

static int64_t workspace_bytes(const struct moe_problem *problem)
{
    int64_t own = moe_variant_naive.workspace_bytes(problem);
    return own + EXTRA + (habit.grows ? 256 * habit.asked++ : 0);
}

static int64_t kept_bytes(const struct moe_problem *problem)
{
    (void)problem;
    return EXTRA;
}

static int64_t needed(void)
{
    return moe_variant_naive.workspace_bytes(&problem_at_hand) + EXTRA;
}

static int forward(void *state, const struct moe_call *call)
{
    struct moe_call own = *call;
    int status = habit.ignores_sizes ? MOE_OK : moe_call_check(call, needed(), EXTRA);
    if (status == MOE_OK && habit.before)
        status = habit.before(&problem_at_hand, call);
    if (status != MOE_OK)
        return status;
    own.workspace_size = needed();
    memset(call->kept, 7, EXTRA);
    status = moe_variant_naive.forward(state, &own);
    if (status == MOE_OK && habit.after)
        status = habit.after(&problem_at_hand, call);
    return status;
}

static struct moe_variant sloppy(void)
{
    struct moe_variant variant = moe_variant_naive;
    variant.name = "sloppy";
    variant.workspace_bytes = workspace_bytes;
    variant.kept_bytes = kept_bytes;
    variant.forward = forward;
    return variant;
}

/* ---- habits ---------------------------------------------------------------------------------- */

static char *data_of(const struct moe_call *call, int id)
{
    return call->tensors[id].data;
}

static int64_t span_of(const struct moe_tensor *tensor)
{
    return moe_tensor_bytes(tensor); /* in the judge's own run rows follow each other */
}

static int writes_behind_o(const struct moe_problem *problem, const struct moe_call *call)
{
    (void)problem;
    memset(data_of(call, MOE_O) + span_of(&call->tensors[MOE_O]), 0, 2);
    return MOE_OK;
}

static int writes_before_z(const struct moe_problem *problem, const struct moe_call *call)
{
    (void)problem;
    data_of(call, MOE_Z)[-1] = 0;
    return MOE_OK;
}

static int writes_behind_picks(const struct moe_problem *problem, const struct moe_call *call)
{
    (void)problem;
    memset(data_of(call, MOE_PICKS) + span_of(&call->tensors[MOE_PICKS]), 0, 4);
    return MOE_OK;
}

static int writes_behind_workspace(const struct moe_problem *problem, const struct moe_call *call)
{
    (void)problem;
    ((char *)call->workspace)[call->workspace_size] = 0;
    return MOE_OK;
}

static int writes_before_kept(const struct moe_problem *problem, const struct moe_call *call)
{
    (void)problem;
    ((char *)call->kept)[-3] = 0;
    return MOE_OK;
}

static int calls_a_list_wrong(const struct moe_problem *problem, const struct moe_call *call)
{
    (void)problem;
    *call->status |= 1;
    return MOE_OK;
}

static int writes_two_status_words(const struct moe_problem *problem, const struct moe_call *call)
{
    (void)problem;
    memset(call->status, 0, 2 * sizeof *call->status);
    return MOE_OK;
}

/* o[0] by what the workspace happens to hold: a maximum hides a NaN, and nothing else. */
static int reads_workspace(const struct moe_problem *problem, const struct moe_call *call)
{
    (void)problem;
    float found;
    memcpy(&found, (char *)call->workspace + needed() - EXTRA, sizeof found);
    if (found > 0)
        moe_dtype_store(call->tensors[MOE_O].dtype, data_of(call, MOE_O), 0, 0, 0);
    return MOE_OK;
}

/* Reads, and uses, the element behind b1. */
static int reads_behind_b1(const struct moe_problem *problem, const struct moe_call *call)
{
    const struct moe_tensor *b1 = &call->tensors[MOE_B1];
    volatile char behind = data_of(
        call, MOE_B1)[(problem->E - 1) * b1->stride[0] * 2 + moe_problem_z_rows(problem) * 2];
    (void)behind;
    return MOE_OK;
}

static int reads_before_x(const struct moe_problem *problem, const struct moe_call *call)
{
    (void)problem;
    volatile char before = data_of(call, MOE_X)[-1];
    (void)before;
    return MOE_OK;
}

static int rewrites_x(const struct moe_problem *problem, const struct moe_call *call)
{
    (void)problem;
    volatile char *x = data_of(call, MOE_X);
    x[0] = x[0];
    return MOE_OK;
}

/* z behind the rows that the routing has. */
static int writes_unused_z(const struct moe_problem *problem, const struct moe_call *call)
{
    const struct moe_tensor *z = &call->tensors[MOE_Z];
    const int64_t *offsets = call->tensors[MOE_OFFSETS].data;
    if (offsets[problem->T] < z->shape[0])
        moe_dtype_store(z->dtype, z->data, moe_tensor_position(z, moe_tensor_count(z) - 1), 1, 0);
    return MOE_OK;
}

static int spoils_and_refuses(const struct moe_problem *problem, const struct moe_call *call)
{
    (void)problem;
    data_of(call, MOE_O)[0] = 0;
    return moe_call_check(call, needed(), EXTRA);
}

/* It refuses what is less than 16 bytes, and fails at less than 64. */
static int needs_64_bytes(const struct moe_problem *problem, const struct moe_call *call)
{
    (void)problem;
    uintptr_t x = (uintptr_t)data_of(call, MOE_X);
    return x % 16 ? moe_error(MOE_E_UNSUPPORTED, "x") : x % 64 ? moe_error(MOE_E_INTERNAL, "x") : 0;
}

/* Rounds the base of o down to 16 bytes. */
static int stores_at_rounded_base(const struct moe_problem *problem, const struct moe_call *call)
{
    (void)problem;
    struct moe_tensor o = call->tensors[MOE_O];
    double first = moe_dtype_load(o.dtype, o.data, 0);
    moe_dtype_store(o.dtype, (void *)((uintptr_t)o.data / 16 * 16), 0, first, 0);
    return MOE_OK;
}

/* The second row of o once more, at the width and not at the stride. */
static int takes_width_for_stride(const struct moe_problem *problem, const struct moe_call *call)
{
    const struct moe_tensor *o = &call->tensors[MOE_O];
    double value = moe_dtype_load(o->dtype, o->data, o->stride[0]);
    moe_dtype_store(o->dtype, o->data, problem->H, value, 0);
    return MOE_OK;
}

/* The third row of x at an offset that has wrapped. */
static int wraps_offset(const struct moe_problem *problem, const struct moe_call *call)
{
    (void)problem;
    const struct moe_tensor *x = &call->tensors[MOE_X], *o = &call->tensors[MOE_O];
    uint32_t offset = (uint32_t)(2 * x->stride[0]);
    if (moe_dtype_load(x->dtype, x->data, offset) !=
        moe_dtype_load(x->dtype, x->data, 2 * x->stride[0]))
        moe_dtype_store(o->dtype, o->data, 0, NAN, 0);
    return MOE_OK;
}

static int wraps_to_negative(const struct moe_problem *problem, const struct moe_call *call)
{
    (void)problem;
    const struct moe_tensor *x = &call->tensors[MOE_X];
    int32_t offset = (int32_t)(uint32_t)x->stride[0];
    volatile char found = data_of(call, MOE_X)[2 * (int64_t)offset];
    (void)found;
    return MOE_OK;
}

static int writes_between_rows(const struct moe_problem *problem, const struct moe_call *call)
{
    const struct moe_tensor *o = &call->tensors[MOE_O];
    if (o->stride[0] > problem->H)
        moe_dtype_store(o->dtype, o->data, problem->H, 0, 0);
    return MOE_OK;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static struct moe_report judge_with(const char *line, const char *check,
                                    const struct moe_variant *variant)
{
    struct moe_judge_options options = {.checks = check};
    struct moe_report report;
    problem_at_hand = problem_of(line);
    ck_assert_msg(moe_judge_variant(&problem_at_hand, variant, &options, &report) == MOE_OK, "%s",
                  moe_error_text());
    return report;
}

static const struct {
    const char *line, *check;
    habit_of_pass *before, *after;
    int ignores_sizes, grows;
    uint32_t alignment, flags;
    const char *words; /* of the finding */
} caught[] = {
    {LINE, "guards", NULL, writes_behind_o, 0, 0, 0, 0, "2 bytes written after o, the first 0"},
    {LINE, "guards", NULL, writes_before_z, 0, 0, 0, 0, "1 byte written before z, the first 1"},
    {LINE, "guards", NULL, writes_behind_picks, 0, 0, 0, 0, "4 bytes written after picks"},
    {LINE, "guards", NULL, writes_behind_workspace, 0, 0, 0, 0, "1 byte written after workspace"},
    {LINE, "guards", NULL, writes_before_kept, 0, 0, 0, 0, "1 byte written before kept"},
    {LINE, "guards", NULL, writes_two_status_words, 0, 0, 0, 0, "4 bytes written after status"},
    {RAGGED, "guards", NULL, calls_a_list_wrong, 0, 0, 0, 0, "the status word is 0x1"},
    {LINE, "fill", NULL, reads_workspace, 0, 0, 0, MOE_DETERMINISTIC, "o depends on what memory"},
    {RAGGED, "fill", NULL, writes_unused_z, 0, 0, 0, 0, "z was written behind what the routing"},
    {LINE, "workspace", NULL, NULL, 1, 0, 0, 0, "one byte of workspace less: "},
    {LINE, "workspace", spoils_and_refuses, NULL, 1, 0, 0, 0, "refused, but o was written"},
    {LINE, "workspace", NULL, NULL, 0, 1, 0, 0, "workspace_bytes is "},
    {LINE, "alignment", needs_64_bytes, NULL, 0, 0, 16, 0, "16 bytes behind a multiple of 256"},
    {LINE, "alignment", needs_64_bytes, NULL, 0, 0, 64, 0,
     "256: forward returned -5, not the status"},
    {LINE, "alignment", NULL, stores_at_rounded_base, 0, 0, 0, 0, "written before o"},
    {LINE, "strides", NULL, takes_width_for_stride, 0, 0, 0, 0, "between rows 0 and 1 of o"},
    {MANY_ROWS, "strides", NULL, takes_width_for_stride, 0, 0, 0, 0, "rows apart: "},
    {LINE, "strides", NULL, writes_between_rows, 0, 0, 0, 0, "between rows 0 and 1 of o"},
    {LINE, "strides", NULL, wraps_offset, 0, 0, 0, 0, "rows 2^31 elements apart"},
};

static struct moe_report judge_habit(int i)
{
    struct moe_variant variant = sloppy();
    memset(&habit, 0, sizeof habit);
    habit.before = caught[i].before;
    habit.after = caught[i].after;
    habit.ignores_sizes = caught[i].ignores_sizes;
    habit.grows = caught[i].grows;
    variant.alignment = caught[i].alignment;
    variant.flags |= caught[i].flags;
    return judge_with(caught[i].line, caught[i].check, &variant);
}

START_TEST(habits_are_caught)
{
    struct moe_report report = judge_habit(_i);
    const struct moe_finding *finding = must_find(&report, caught[_i].check, -1, caught[_i].check);
    ck_assert_msg(strstr(finding->text, caught[_i].words) != NULL, "%d: %s", _i, finding->text);
}
END_TEST

static habit_of_pass *const crashing[] = {reads_behind_b1, reads_before_x, rewrites_x};

START_TEST(fences_end_the_process)
{
    struct moe_variant variant = sloppy();
    memset(&habit, 0, sizeof habit);
    habit.before = crashing[_i];
    judge_with(LINE, "fence", &variant);
}
END_TEST

START_TEST(only_fences_see_them)
{
    struct moe_variant variant = sloppy();
    memset(&habit, 0, sizeof habit);
    habit.before = crashing[_i];
    struct moe_report report = judge_with(LINE, "inputs,guards,routing,bound", &variant);
    ck_assert_int_eq(report.verdict, MOE_PASS);
}
END_TEST

START_TEST(a_negative_offset_ends_the_process)
{
    struct moe_variant variant = sloppy();
    memset(&habit, 0, sizeof habit);
    habit.after = wraps_to_negative;
    judge_with(LINE, "strides", &variant);
}
END_TEST

/* Without a habit, whatever the case: nothing is said. */
static const char *const clean[] = {
    LINE,
    RAGGED,
    "T=1 H=1 I=1 E=1 K=1 dtype=bf16 act=silu",
    "T=0 H=8 I=4 E=4 K=2 dtype=f32 beta=1",
    "T=9 H=16 I=8 E=4 K=3 dtype=f64 weight=input shared=3 shared-gate=1 beta=1",
    "T=40 H=16 I=4 E=5 K=2 dtype=f16 router=softmax-topk round=nearest round-to=8 beta=1",
    "T=9 H=16 I=8 E=4 K=2 dtype=bf16 router=lists routing=dropped:0.5 grad=f32",
};

START_TEST(clean_variants_are_not_accused)
{
    static const uint32_t alignment[] = {0, 16, 128};
    for (int i = 0; i < COUNT(alignment); i++) {
        struct moe_variant variant = sloppy();
        memset(&habit, 0, sizeof habit);
        variant.alignment = alignment[i];
        struct moe_report report =
            judge_with(clean[_i], "inputs,guards,fill,fence,workspace,alignment,strides", &variant);
        ck_assert_msg(report.verdict == MOE_PASS && report.finding_count == 0, "%s: %s", clean[_i],
                      report.finding[0].text);
    }
}
END_TEST

/* One that declares what it cannot, and refuses it, is right. */
static int refuses_what_it_declared(const struct moe_problem *problem, const struct moe_call *call)
{
    const struct moe_tensor *x = &call->tensors[MOE_X];
    if ((uintptr_t)x->data % 64 != 0)
        return moe_error(MOE_E_UNSUPPORTED, "x does not begin at 64 bytes");
    return x->stride[0] == problem->H ? MOE_OK : moe_error(MOE_E_UNSUPPORTED, "x is not dense");
}

START_TEST(declared_refusals_are_right)
{
    struct moe_variant variant = sloppy();
    memset(&habit, 0, sizeof habit);
    habit.before = refuses_what_it_declared;
    variant.alignment = 64;
    variant.flags |= MOE_DENSE_ONLY;
    struct moe_report report = judge_with(LINE, "alignment,strides,fence", &variant);
    ck_assert_msg(report.verdict == MOE_PASS, "%s", report.finding[0].text);
    variant.flags &= ~(uint32_t)MOE_DENSE_ONLY;
    report = judge_with(LINE, "strides", &variant);
    must_find(&report, "strides", -1, "dense only, undeclared");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("check_memory");
    TCase *whole = tcase_create("whole");
    tcase_add_loop_test(whole, habits_are_caught, 0, COUNT(caught));
    tcase_add_loop_test_raise_signal(whole, fences_end_the_process, SIGSEGV, 0, COUNT(crashing));
    tcase_add_loop_test(whole, only_fences_see_them, 0, COUNT(crashing));
    tcase_add_test_raise_signal(whole, a_negative_offset_ends_the_process, SIGSEGV);
    tcase_add_loop_test(whole, clean_variants_are_not_accused, 0, COUNT(clean));
    tcase_add_test(whole, declared_refusals_are_right);
    suite_add_tcase(suite, whole);
    return run_suite(suite);
}

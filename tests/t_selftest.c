/*
 * t_selftest.c - moecheck selftest counts right: what is caught and by whom, alarms, limits,
 * floors, the exit status.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support.h"
#include "verify/selftest.h"

/* main.c's, which is not in the library of commands. */
void moe_command_version(void)
{
}

int moe_command_flush(int exit_status)
{
    return exit_status;
}

static struct selftest selftest;

static void set_up(void)
{
    memset(&selftest, 0, sizeof selftest);
    selftest.common.name = "moecheck selftest";
    selftest.common.quiet = 1;
    selftest.glob = "last-k-missing-z"; /* by bound, exact or statistics */
    ck_assert_int_eq(selftest_plan(&selftest), MOE_OK);
    ck_assert_int_gt(selftest.count, 5);
}

static void tear_down(void)
{
    free(selftest.trial);
    free(selftest.score);
    free(selftest.floor);
}

static int planted(void)
{
    return selftest.trial[0].subject;
}

/* A result of a trial, with one finding. */
static void take(int64_t trial, const char *check, enum moe_verdict verdict)
{
    static struct moe_result result;
    memset(&result, 0, sizeof result);
    result.ticket = (uint64_t)trial;
    result.variant = "model-forward";
    result.problem = selftest.trial[trial].problem;
    moe_report_clear(&result.report);
    if (check) {
        struct moe_finding finding = moe_finding_plain(check, verdict, "as the test says");
        moe_report_add(&result.report, &finding);
    }
    selftest_take(&selftest, &result);
}

START_TEST(nothing_is_caught_by_nobody)
{
    ck_assert(!selftest_caught(&selftest, planted()));
    take(0, NULL, MOE_PASS);
    take(1, "bound", MOE_SKIP);
    take(2, "bound", MOE_ERROR);
    take(3, "bound", MOE_PASS);
    ck_assert(!selftest_caught(&selftest, planted()));
    ck_assert_int_eq(selftest.score[planted()].judged, 2);
    ck_assert_int_eq(selftest.score[planted()].caught, 0);
    ck_assert_int_eq(selftest_print(&selftest), MOE_EXIT_FAIL);
}
END_TEST

/* Another check's alarm is shown, and does not count as having caught it. */
START_TEST(only_the_checks_that_must_count)
{
    take(0, "inputs", MOE_FAIL);
    ck_assert_int_eq(selftest.score[planted()].caught, 1);
    ck_assert(!selftest_caught(&selftest, planted()));
    ck_assert_int_eq(selftest_print(&selftest), MOE_EXIT_FAIL);
    take(1, NULL, MOE_PASS);
    take(2, "statistics", MOE_FAIL);
    ck_assert(selftest_caught(&selftest, planted()));
    ck_assert_int_eq(selftest.score[planted()].judged, 3);
    ck_assert_int_eq(selftest.score[planted()].caught, 2);
    ck_assert_int_eq(selftest_print(&selftest), MOE_EXIT_PASS);
}
END_TEST

/* What is said of clean cases: PASS, SKIP, FAIL, ERROR. */
static const struct {
    enum moe_verdict verdict;
    int64_t silent, alarms, undecided;
    int exit;
} clean[] = {
    {MOE_PASS, 1, 0, 0, MOE_EXIT_PASS},
    {MOE_SKIP, 0, 0, 0, MOE_EXIT_PASS},
    {MOE_FAIL, 0, 1, 0, MOE_EXIT_FAIL},
    {MOE_ERROR, 0, 0, 1, MOE_EXIT_ERROR},
};

START_TEST(alarms_of_clean_cases)
{
    for (int64_t i = 0; i < selftest.count; i++)
        take(i, "bound", MOE_FAIL);
    selftest.trial[0].kind = SELFTEST_CLEAN;
    take(0, "bound", clean[_i].verdict);
    ck_assert_int_eq(selftest.silent, clean[_i].silent);
    ck_assert_int_eq(selftest.alarms, clean[_i].alarms);
    ck_assert_int_eq(selftest.undecided, clean[_i].undecided);
    ck_assert_int_eq(selftest_print(&selftest), clean[_i].exit);
}
END_TEST

/* The rule of three, Clopper and Pearson's table for 10, and what is symmetric. */
START_TEST(limits_of_rates)
{
    static const int all[] = {1, 10, 277, 3000, 30000};
    for (int i = 0; i < COUNT(all); i++) {
        double limit = 1 - pow(0.05, 1.0 / all[i]);
        ck_assert_double_eq_tol(selftest_upper_limit(0, all[i]), limit, 1e-9);
        ck_assert_double_eq_tol(selftest_lower_limit(all[i], all[i]), 1 - limit, 1e-9);
        ck_assert_double_eq_tol(selftest_lower_limit(0, all[i]), 0, 1e-12);
        ck_assert_double_eq_tol(selftest_upper_limit(all[i], all[i]), 1, 1e-12);
    }
    ck_assert_double_eq_tol(selftest_upper_limit(1, 10), 0.3942, 1e-4);
    ck_assert_double_eq_tol(selftest_upper_limit(5, 10), 0.7776, 1e-4);
    ck_assert_double_eq_tol(selftest_lower_limit(9, 10), 1 - 0.3942, 1e-4);
}
END_TEST

/* Clean cases that were accused once: each was a bug of the judge. */
static const struct {
    const char *model, *line;
} accused[] = {
    /* with A from the sum, exact demanded of the backward pass what only an unrounded Z gives */
    {"model-pairwise", "T=8 H=47 I=32 E=9 K=3 dtype=bf16 w1=interleaved8 router=sigmoid bias=1 "
                       "sel-bias=1 weight=input data=exact1 seed=1011153"},
    /* scores so near to 1 that s x rounds back to x, always: no random error */
    {"model-split", "T=64 H=64 I=40 E=4 K=1 dtype=bf16 w1=interleaved8 router=sigmoid "
                    "router-bias=1 weight=input beta=1 routing=last seed=1017508"},
    /* most scores near 1, and 2.5 times that near 2.5: products on quarters of an ulp */
    {"model-mma", "T=90 H=96 I=40 E=8 K=2 dtype=bf16 act=relu2 router=sigmoid scale=2.5 "
                  "router-bias=1 weight=input routing=first seed=398722923"},
    /* near 1, but not so near that products round back */
    {"model-blocked", "T=200 H=24 I=40 E=8 K=1 dtype=bf16 grad=f32 act=reglu router=sigmoid "
                      "weight=input routing=same seed=1291709764"},
    /* all alike: what rounds back, where that is a product's operand, and where it is stored */
    {"model-blocked",
     "T=64 H=64 I=24 E=4 K=1 dtype=bf16 act=silu scale=0.99727 weight=input seed=5"},
    {"model-pairwise", "T=200 H=32 I=24 E=8 K=1 dtype=bf16 act=silu router=sigmoid renorm=1 "
                       "scale=0.998 weight=input seed=1953108600"},
    /* one row among eleven experts: a gain that is a rounding or two */
    {"ref", "T=1 H=97 I=9 E=11 K=1 dtype=bf16 scale=2.5 beta=1 seed=4"},
};

static const struct moe_variant *model_named(const char *name)
{
    const struct moe_variant *variant;
    for (int i = 0; (variant = moe_variant_get(i)); i++)
        if (strcmp(variant->name, name) == 0)
            break;
    ck_assert_msg(variant != NULL, "no %s", name);
    return variant;
}

START_TEST(accused_once)
{
    struct moe_problem problem = problem_of(accused[_i].line);
    struct moe_judge_options options = {.checks = "routing,bound,exact,statistics"};
    struct moe_report report;
    ck_assert_int_eq(moe_models_add(), MOE_OK);
    moe_fault_plant(NULL, 0);
    ck_assert_int_eq(moe_judge_variant(&problem, model_named(accused[_i].model), &options, &report),
                     MOE_OK);
    ck_assert_msg(report.verdict == MOE_PASS, "%s: %s", accused[_i].model, report.finding[0].text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("selftest");
    TCase *tests = tcase_create("selftest");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, nothing_is_caught_by_nobody);
    tcase_add_test(tests, only_the_checks_that_must_count);
    tcase_add_loop_test(tests, alarms_of_clean_cases, 0, COUNT(clean));
    tcase_add_test(tests, limits_of_rates);
    tcase_add_loop_test(tests, accused_once, 0, COUNT(accused));
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

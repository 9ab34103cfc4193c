/*
 * t_report.c - findings add up to a verdict, a result survives its JSON bit for bit, and the text
 * says what, where, by how much, and how to repeat it.
 */
#define _GNU_SOURCE /* open_memstream */
#include <check.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "verify/command.h"

/* ---- verdict.c ------------------------------------------------------------------------------- */

/* Findings in this order, and the verdict of the report. */
static const struct {
    int count;
    enum moe_verdict finding[4];
    enum moe_verdict wanted;
} sums[] = {
    {0, {0}, MOE_PASS},
    {1, {MOE_PASS}, MOE_PASS},
    {1, {MOE_SKIP}, MOE_SKIP},
    {1, {MOE_FAIL}, MOE_FAIL},
    {1, {MOE_ERROR}, MOE_ERROR},
    {2, {MOE_SKIP, MOE_PASS}, MOE_PASS},
    {2, {MOE_PASS, MOE_SKIP}, MOE_PASS},
    {2, {MOE_SKIP, MOE_SKIP}, MOE_SKIP},
    {2, {MOE_SKIP, MOE_FAIL}, MOE_FAIL},
    {2, {MOE_FAIL, MOE_PASS}, MOE_FAIL},
    {2, {MOE_FAIL, MOE_SKIP}, MOE_FAIL},
    {2, {MOE_FAIL, MOE_ERROR}, MOE_ERROR},
    {3, {MOE_ERROR, MOE_FAIL, MOE_PASS}, MOE_ERROR},
    {4, {MOE_SKIP, MOE_PASS, MOE_FAIL, MOE_SKIP}, MOE_FAIL},
};

START_TEST(test_sum)
{
    struct moe_report report;

    moe_report_clear(&report);
    for (int i = 0; i < sums[_i].count; i++) {
        struct moe_finding finding = moe_finding_plain("x", sums[_i].finding[i], "");

        moe_report_add(&report, &finding);
    }
    ck_assert_msg(report.verdict == sums[_i].wanted, "%d: %s", _i,
                  moe_verdict_name(report.verdict));
    ck_assert_int_eq(report.finding_count, sums[_i].count);
}
END_TEST

/* A failure is kept even where sixteen others came first. */
START_TEST(test_full)
{
    struct moe_finding pass = moe_finding_plain("x", MOE_PASS, "fine");
    struct moe_finding fail = moe_finding_plain("y", MOE_FAIL, "wrong");
    struct moe_report report;
    int kept = 0;

    moe_report_clear(&report);
    for (int i = 0; i < MOE_REPORT_FINDINGS + 3; i++)
        moe_report_add(&report, &pass);
    moe_report_add(&report, &fail);
    ck_assert_int_eq(report.finding_count, MOE_REPORT_FINDINGS + 4);
    ck_assert_int_eq(report.verdict, MOE_FAIL);
    for (int i = 0; i < MOE_REPORT_FINDINGS; i++)
        kept += strcmp(report.finding[i].text, "wrong") == 0;
    ck_assert_int_eq(kept, 1);
    /* Many failures: the first ones are kept. */
    moe_report_clear(&report);
    moe_report_add(&report, &fail);
    for (int i = 0; i < 2 * MOE_REPORT_FINDINGS; i++) {
        fail = moe_finding_plain("y", MOE_FAIL, "later");
        moe_report_add(&report, &fail);
    }
    ck_assert_str_eq(report.finding[0].text, "wrong");
}
END_TEST

/* ---- JSON ------------------------------------------------------------------------------------ */

static struct moe_result sample(void)
{
    struct moe_result result = {.variant = "na\"ive"};
    struct moe_finding finding = moe_finding_plain("bound", MOE_FAIL, "o: \\ \"3\" of 7\t\xff");

    ck_assert_int_eq(
        moe_problem_parse("T=37 H=64 dtype=f32 seed=18446744073709551615", &result.problem),
        MOE_OK);
    finding.tensor = MOE_DW1;
    finding.wrong = 3;
    finding.total = INT64_C(1) << 60;
    finding.row = 5;
    finding.col = 17;
    finding.expert = 2;
    finding.token = 11;
    finding.slot = 1;
    finding.got = 0x1.23456789abcdfp-1000;
    finding.want = -0.0;
    finding.allowed = 0x1p-1074;
    moe_report_add(&result.report, &finding);
    finding.got = NAN;
    finding.want = INFINITY;
    finding.allowed = -INFINITY;
    finding.verdict = MOE_ERROR;
    finding.tensor = -1;
    finding.check = "isolation";
    moe_report_add(&result.report, &finding);
    result.report.worst_ratio = 1.0 / 3;
    result.report.variant_seconds = 8e-4;
    result.report.judge_seconds = 1e300;
    result.report.judged = 0x15;
    result.report.picture = (struct moe_picture){.rows = 2, .cols = 3, .cell = {0, 255, 7, 16, 1}};
    result.report.pictured = 1;
    result.report.compared = 1u << MOE_O | 1u << MOE_DW1;
    result.report.ratio[MOE_O] = 0;
    result.report.ratio[MOE_DW1] = INFINITY;
    result.measure = (struct moe_measure){.forward_seconds = 1,
                                          .backward_seconds = 2,
                                          .seconds = 3,
                                          .peak_bytes = 4.5,
                                          .tensor_bytes = NAN,
                                          .yardsticks = {.bandwidth = 1e12 / 3},
                                          .timing = {.backward = {.least = 1.0 / 7}}};
    return result;
}

static int same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

/* What the user asked for reaches the worker. */
START_TEST(test_checks_of_a_job)
{
    struct moe_job from = {.action = MOE_ACTION_JUDGE,
                           .problem = moe_problem_default(),
                           .variant = "naive",
                           .checks = "bound,inputs",
                           .rotate = 1,
                           .configuration = 3};
    struct moe_job to;
    struct json_t *owner;
    uint64_t id;
    char *line = moe_job_encode(&from, 12);

    ck_assert_int_eq(moe_job_decode(line, &to, &id, &owner), MOE_OK);
    ck_assert(id == 12 && to.action == from.action && to.configuration == 3 && to.rotate == 1);
    ck_assert_str_eq(to.variant, from.variant);
    ck_assert_str_eq(to.checks, from.checks);
    ck_assert(to.load == NULL && to.file == NULL && to.measure == NULL);
    moe_job_release(owner);
    free(line);
    from.checks = NULL;
    from.rotate = 0;
    line = moe_job_encode(&from, 13);
    ck_assert_int_eq(moe_job_decode(line, &to, &id, &owner), MOE_OK);
    ck_assert(to.checks == NULL && to.rotate == 0);
    moe_job_release(owner);
    free(line);
}
END_TEST

START_TEST(test_json)
{
    struct moe_result from = sample(), to = {.ticket = 9};
    char *line = moe_result_encode(&from, 123456789012345);
    uint64_t id;

    ck_assert_ptr_nonnull(line);
    ck_assert_ptr_null(strchr(line, '\n'));
    ck_assert_int_eq(moe_result_decode(line, &id, &to), MOE_OK);
    free(line);
    ck_assert_uint_eq(id, 123456789012345);
    ck_assert_int_eq(to.report.verdict, MOE_ERROR);
    ck_assert_int_eq(to.report.finding_count, 2);
    ck_assert(same_bits(to.report.worst_ratio, from.report.worst_ratio));
    ck_assert_uint_eq(to.report.compared, from.report.compared);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        ck_assert(same_bits(to.report.ratio[id], from.report.ratio[id]));
    ck_assert(same_bits(to.report.variant_seconds, from.report.variant_seconds));
    ck_assert(same_bits(to.report.judge_seconds, from.report.judge_seconds));
    ck_assert_uint_eq(to.report.judged, 0x15);
    ck_assert_mem_eq(&to.report.picture, &from.report.picture, sizeof to.report.picture);
    ck_assert_int_eq(to.report.pictured, 1);
    ck_assert(same_bits(to.measure.seconds, 3) && same_bits(to.measure.peak_bytes, 4.5));
    ck_assert(isnan(to.measure.tensor_bytes));
    ck_assert(same_bits(to.measure.yardsticks.bandwidth, from.measure.yardsticks.bandwidth));
    ck_assert(same_bits(to.measure.timing.backward.least, from.measure.timing.backward.least));
    ck_assert(to.measure.timing.forward.least == 0); /* not measured */
    for (int i = 0; i < 2; i++) {
        const struct moe_finding *a = &from.report.finding[i], *b = &to.report.finding[i];

        ck_assert_str_eq(a->check, b->check);
        ck_assert_int_eq(a->verdict, b->verdict);
        ck_assert_int_eq(a->tensor, b->tensor);
        ck_assert(a->wrong == b->wrong && a->total == b->total && a->row == b->row);
        ck_assert(a->col == b->col && a->expert == b->expert && a->token == b->token);
        ck_assert_int_eq(a->slot, b->slot);
        ck_assert(same_bits(a->got, b->got) && same_bits(a->want, b->want));
        ck_assert(same_bits(a->allowed, b->allowed));
        ck_assert_str_eq(b->text, "o: \\ \"3\" of 7\t?"); /* what is no UTF-8 becomes '?' */
    }
}
END_TEST

/* Lines that are no answers. Each is one change away from one. */
static const char *const no_answers[] = {
    "",
    "{",
    "[]",
    "{}",
    "{\"job\":1}",
    "{\"job\":1,\"result\":[]}",
    "{\"job\":1,\"result\":{}}",
    "{\"job\":1,\"result\":{\"verdict\":\"PASS\",\"finding_count\":0,\"findings\":[]}}",
    "{\"job\":1,\"result\":{\"verdict\":\"GOOD\",\"worst_ratio_hex\":\"0x0p+0\","
    "\"variant_seconds_hex\":\"0x0p+0\",\"judge_seconds_hex\":\"0x0p+0\",\"finding_count\":0,"
    "\"findings\":[]}}",
    "{\"job\":1,\"result\":{\"verdict\":\"PASS\",\"worst_ratio_hex\":\"zero\","
    "\"variant_seconds_hex\":\"0x0p+0\",\"judge_seconds_hex\":\"0x0p+0\",\"finding_count\":0,"
    "\"findings\":[]}}",
    "{\"job\":1,\"result\":{\"verdict\":\"PASS\",\"worst_ratio_hex\":\"0x0p+0\","
    "\"variant_seconds_hex\":\"0x0p+0\",\"judge_seconds_hex\":\"0x0p+0\",\"finding_count\":1,"
    "\"findings\":[]}}",
    "{\"job\":1,\"result\":{\"verdict\":\"PASS\",\"worst_ratio_hex\":\"0x0p+0\","
    "\"variant_seconds_hex\":\"0x0p+0\",\"judge_seconds_hex\":\"0x0p+0\",\"finding_count\":1,"
    "\"findings\":[{}]}}",
};

START_TEST(test_no_answer)
{
    struct moe_result result;
    uint64_t id = 0;

    ck_assert_msg(moe_result_decode(no_answers[_i], &id, &result) == MOE_E_INTERNAL, "%d: %s", _i,
                  no_answers[_i]);
    ck_assert_uint_eq(id, 0);
}
END_TEST

START_TEST(test_job)
{
    struct moe_job from = {.action = MOE_ACTION_RUN,
                           .variant = "naive",
                           .load = "a \"b\"\n\xc3\xa9",
                           .configuration = -3},
                   to;
    struct json_t *owner;
    uint64_t id;
    char *line;

    ck_assert_int_eq(moe_problem_parse("T=5 H=8 act=relu2", &from.problem), MOE_OK);
    line = moe_job_encode(&from, 42);
    ck_assert_ptr_nonnull(line);
    ck_assert_ptr_null(strchr(line, '\n'));
    ck_assert_int_eq(moe_job_decode(line, &to, &id, &owner), MOE_OK);
    ck_assert_uint_eq(id, 42);
    ck_assert_int_eq(to.action, MOE_ACTION_RUN);
    ck_assert_int_eq(to.configuration, -3);
    ck_assert_str_eq(to.load, from.load);
    ck_assert_str_eq(to.variant, "naive");
    ck_assert_ptr_null(to.file);
    ck_assert_int_eq(to.problem.T, 5);
    ck_assert_int_eq(to.problem.act, MOE_RELU2);
    moe_job_release(owner);
    free(line);
    ck_assert_int_eq(moe_job_decode("{\"action\":\"judge\"}", &to, &id, &owner), MOE_E_INTERNAL);
    ck_assert_int_eq(moe_job_decode("nonsense", &to, &id, &owner), MOE_E_INTERNAL);
    ck_assert_int_eq(moe_job_decode("{\"action\":\"sing\",\"case\":\"T=1\"}", &to, &id, &owner),
                     MOE_E_INTERNAL);
    from.load = "\xff";
    ck_assert_ptr_null(moe_job_encode(&from, 1));
}
END_TEST

/* ---- text ------------------------------------------------------------------------------------ */

static const char *printed(const struct moe_options *options, const char *file,
                           const struct moe_result *result)
{
    static char *text;
    size_t size;
    FILE *out;

    free(text);
    out = open_memstream(&text, &size);
    moe_report_print(out, options, file, result);
    fclose(out);
    return text;
}

START_TEST(test_pass_and_skip)
{
    struct moe_options options = {.verbose = 0};
    struct moe_result result = {.variant = "naive"};
    struct moe_finding skip = moe_finding_plain("applicable", MOE_SKIP, "needs a GPU");

    ck_assert_int_eq(moe_problem_parse("T=37 H=64", &result.problem), MOE_OK);
    result.report.worst_ratio = 0.3125;
    result.report.variant_seconds = 8e-4;
    result.report.judge_seconds = 2.5;
    ck_assert_str_eq(printed(&options, NULL, &result),
                     "PASS  naive  T=37 H=64 I=32 E=8 K=2 dtype=bf16 (ratio 0.312, 0.8 ms)\n");
    options.verbose = 1;
    ck_assert_str_eq(
        printed(&options, NULL, &result),
        "PASS  naive  T=37 H=64 I=32 E=8 K=2 dtype=bf16 (ratio 0.312, 0.8 ms, judged in "
        "2.5 s)\n");
    options.verbose = 0;
    moe_report_add(&result.report, &skip);
    ck_assert_str_eq(printed(&options, NULL, &result),
                     "SKIP  naive  T=37 H=64 I=32 E=8 K=2 dtype=bf16: needs a GPU\n");
}
END_TEST

START_TEST(test_fail)
{
    const char *plugins[] = {"/tmp/it's.so"};
    struct moe_options options = {.plugins = plugins, .plugin_count = 1, .device = "cpu"};
    struct moe_result result = {.variant = "my*"};
    struct moe_finding finding = moe_finding_plain("bound", MOE_FAIL, "3 elements are wrong");

    ck_assert_int_eq(moe_problem_parse("T=37 H=64", &result.problem), MOE_OK);
    finding.tensor = MOE_O;
    finding.row = 5;
    finding.col = 17;
    finding.token = 5;
    finding.wrong = 3;
    finding.total = 2368;
    finding.got = 0.140625;
    finding.want = NAN;
    finding.allowed = 0x1p-9;
    moe_report_add(&result.report, &finding);
    result.report.worst_ratio = 12.5;
    result.report.variant_seconds = 2;
    ck_assert_str_eq(printed(&options, "in.safetensors", &result),
                     "FAIL  my*  T=37 H=64 I=32 E=8 K=2 dtype=bf16 (ratio 12.5, 2 s)\n"
                     "    check    bound: 3 elements are wrong\n"
                     "    tensor   o, row 5, column 17, token 5\n"
                     "    found    0x1.2p-3 (0.140625)\n"
                     "    wanted   nan (nan)\n"
                     "    allowed  0x1p-9 (0.001953125)\n"
                     "    wrong    3 of 2368 elements\n"
                     "    again    moecheck verify --plugin '/tmp/it'\\''s.so' --device cpu "
                     "--variant 'my\\*' --check bound --load in.safetensors "
                     "'T=37 H=64 I=32 E=8 K=2 dtype=bf16'\n");
}
END_TEST

/* Without a variant it was a file that was judged: a note beside its PASS is seen by everybody, and
 * more findings than are kept are counted. */
START_TEST(test_judged_file)
{
    struct moe_options options = {.plugins = NULL};
    struct moe_result result = {.variant = NULL};
    struct moe_finding finding = moe_finding_plain("judge", MOE_ERROR, "no memory");
    const char *text;

    ck_assert_int_eq(moe_problem_parse("T=37 H=64", &result.problem), MOE_OK);
    struct moe_finding note = moe_finding_plain("bound", MOE_PASS, "not there: o");
    moe_report_add(&result.report, &note);
    ck_assert_str_eq(printed(&options, "a file", &result),
                     "PASS  a file  T=37 H=64 I=32 E=8 K=2 dtype=bf16 (ratio 0, 0 ms)\n"
                     "    check    bound: not there: o\n");
    moe_report_clear(&result.report);
    for (int i = 0; i < MOE_REPORT_FINDINGS + 4; i++)
        moe_report_add(&result.report, &finding);
    text = printed(&options, "a file", &result);
    ck_assert_msg(strncmp(text, "ERROR a file  T=37", 18) == 0, "%s", text);
    ck_assert_msg(strstr(text, "and 4 findings more\n") != NULL, "%s", text);
    ck_assert_msg(strstr(text, "moecheck judge 'T=37 H=64 I=32 E=8 K=2 dtype=bf16' 'a file'\n") !=
                      NULL,
                  "%s", text);
}
END_TEST

/* ---- tally.c --------------------------------------------------------------------------------- */

static const struct {
    int64_t pass, skip, fail, error;
    int interrupted, wanted;
} exits[] = {
    {0, 0, 0, 0, 0, MOE_EXIT_SKIP},  {1, 0, 0, 0, 0, MOE_EXIT_PASS},
    {0, 5, 0, 0, 0, MOE_EXIT_SKIP},  {1, 5, 0, 0, 0, MOE_EXIT_PASS},
    {9, 5, 1, 0, 0, MOE_EXIT_FAIL},  {9, 5, 1, 1, 1, MOE_EXIT_FAIL},
    {9, 5, 0, 1, 0, MOE_EXIT_ERROR}, {9, 5, 0, 0, 1, MOE_EXIT_ERROR},
};

START_TEST(test_exit)
{
    const int64_t count[] = {exits[_i].pass, exits[_i].skip, exits[_i].fail, exits[_i].error};
    struct moe_tally tally = {0};

    for (int verdict = MOE_PASS; verdict <= MOE_ERROR; verdict++)
        for (int64_t i = 0; i < count[verdict]; i++)
            moe_tally_add(&tally, i % 2 == 0 ? "a" : "b", (enum moe_verdict)verdict);
    ck_assert_msg(moe_tally_exit(&tally, exits[_i].interrupted) == exits[_i].wanted, "%d: %d", _i,
                  moe_tally_exit(&tally, exits[_i].interrupted));
}
END_TEST

/* More variants than rows are still in the sum. */
START_TEST(test_tally)
{
    struct moe_tally tally = {0};
    char name[32], *text;
    size_t size;
    FILE *out;

    moe_tally_add(&tally, "ref", MOE_PASS);
    moe_tally_add(&tally, "naive", MOE_FAIL);
    moe_tally_add(&tally, "ref", MOE_PASS);
    out = open_memstream(&text, &size);
    moe_tally_print(out, &tally);
    fclose(out);
    ck_assert_str_eq(text, "variant     PASS     SKIP     FAIL    ERROR\n"
                           "ref            2        0        0        0\n"
                           "naive          0        0        1        0\n"
                           "all            2        0        1        0\n");
    free(text);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "variant-%d", i);
        moe_tally_add(&tally, name, MOE_PASS);
    }
    ck_assert_int_eq(tally.count[MOE_PASS], 102);
    ck_assert_int_eq(tally.variant_count, MOE_TALLY_VARIANTS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("report");
    TCase *tests = tcase_create("report");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(tests, test_sum, 0, sizeof sums / sizeof *sums);
    tcase_add_test(tests, test_full);
    tcase_add_test(tests, test_checks_of_a_job);
    tcase_add_test(tests, test_json);
    tcase_add_loop_test(tests, test_no_answer, 0, sizeof no_answers / sizeof *no_answers);
    tcase_add_test(tests, test_job);
    tcase_add_test(tests, test_pass_and_skip);
    tcase_add_test(tests, test_fail);
    tcase_add_test(tests, test_judged_file);
    tcase_add_loop_test(tests, test_exit, 0, sizeof exits / sizeof *exits);
    tcase_add_test(tests, test_tally);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}

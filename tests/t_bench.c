/*
 * t_bench.c - the arithmetic of the benchmark on a GPU, which needs none: operations and bytes of a
 * case, its ceiling, the suites, and what is said of two runs.
 */
#include <check.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "verify/bench_command.h"

static struct moe_problem problem_of(const char *line)
{
    struct moe_problem problem;

    ck_assert_int_eq(moe_problem_parse(line, &problem), MOE_OK);
    return problem;
}

/* ---- gpu/bench_ceiling.c --------------------------------------------------------------------- */

/* 6 N H I forward where gated, 4 N H I where plain, and the shared expert's rows; backward twice.
 */
static const struct {
    const char *line;
    double flops;
} operations[] = {
    {"T=24576 H=1536 I=256 E=128 K=8", 463856467968},
    {"T=24576 H=1536 I=256 E=128 K=8 act=relu2", 309237645312},
    {"T=100 H=64 I=32 E=8 K=2 shared=16", 6.0 * 64 * (200 * 32 + 100 * 16)},
    {"T=0 H=64 I=32 E=8 K=2", 0},
};

START_TEST(test_operations)
{
    struct moe_problem problem = problem_of(operations[_i].line);

    ck_assert_msg(moe_gpu_flops(&problem, MOE_PASS_FORWARD) == operations[_i].flops,
                  "%d: forward has %.0f", _i, moe_gpu_flops(&problem, MOE_PASS_FORWARD));
    ck_assert_msg(moe_gpu_flops(&problem, MOE_PASS_BACKWARD) == 2 * operations[_i].flops,
                  "%d: backward has %.0f", _i, moe_gpu_flops(&problem, MOE_PASS_BACKWARD));
}
END_TEST

/* Counted by hand: x 75497472, w1 201326592, w2 100663296, z 201326592, a 100663296, y 603979776
 * bytes. */
START_TEST(test_bytes)
{
    static const double wanted[] = {578813952, 805306368,  679477248,
                                    276824064, 1006632960, 478150656};
    struct moe_problem problem = problem_of("T=24576 H=1536 I=256 E=128 K=8");
    struct moe_gpu_product product[MOE_GPU_PRODUCTS];

    ck_assert_int_eq(moe_gpu_chain(&problem, product), 6);
    for (int i = 0; i < 6; i++)
        ck_assert_msg(fabs(product[i].bytes / wanted[i] - 1) < 1e-9, "product %d moves %.0f bytes",
                      i, product[i].bytes);
    /* One token reaches K experts of E, but gradients are written for all. */
    problem = problem_of("T=1 H=1024 I=512 E=64 K=8");
    moe_gpu_chain(&problem, product);
    ck_assert(fabs(product[1].bytes - (8 * 512 * 2 + 8 * 1024 * 512 * 2 + 8 * 1024 * 2)) < 1);
    ck_assert(fabs(product[3].bytes - (1024 * 2 + 8 * 512 * 2 + 64 * 1024 * 512 * 2.0)) < 1);
    problem = problem_of("T=100 H=64 I=32 E=8 K=2 shared=16");
    ck_assert_int_eq(moe_gpu_chain(&problem, product), 12);
}
END_TEST

/* Ceilings in TFLOP/s that were computed elsewhere, from a bandwidth of 3.02 TB/s and the speed of
 * the dense chain on an H100, here alike in all of its products. */
static const struct {
    const char *line;
    double chain[2], ceiling[2];
} ceilings[] = {
    {"T=24576 H=1536 I=256 E=128 K=8", {565, 633}, {425, 519}},
    {"T=32768 H=2048 I=1024 E=64 K=8", {741, 735}, {669, 691}},
    {"T=32768 H=4096 I=1536 E=128 K=8", {719, 695}, {673, 668}},
};

START_TEST(test_ceiling)
{
    struct moe_problem problem = problem_of(ceilings[_i].line);
    static const enum moe_pass pass[] = {MOE_PASS_FORWARD, MOE_PASS_BACKWARD};
    struct moe_gpu_product product[MOE_GPU_PRODUCTS];
    int count = moe_gpu_chain(&problem, product);

    for (int p = 0; p < 2; p++) {
        double seconds[MOE_GPU_PRODUCTS], tflops;

        for (int i = 0; i < count; i++)
            seconds[i] = 2.0 * (double)product[i].m * (double)product[i].n * (double)product[i].k /
                         (1e12 * ceilings[_i].chain[p]);
        tflops = 1e-12 * moe_gpu_flops(&problem, pass[p]) /
                 moe_gpu_ceiling(&problem, pass[p], 3.02e12, seconds);
        ck_assert_msg(fabs(tflops / ceilings[_i].ceiling[p] - 1) < 0.02, "%d: pass %d reaches %g",
                      _i, p, tflops);
    }
}
END_TEST

/* However fast the products, the bytes remain. */
START_TEST(test_bytes_remain)
{
    struct moe_problem problem = problem_of("T=24576 H=1536 I=256 E=128 K=8");
    const double none[MOE_GPU_PRODUCTS] = {0};
    double seconds = moe_gpu_ceiling(&problem, MOE_PASS_FORWARD, 1e12, none);

    ck_assert_msg(seconds > (578813952 + 805306368 + 603979776 + 75497472) / 1e12, "%g s", seconds);
    ck_assert_msg(seconds < 2.3e-3, "%g s", seconds);
}
END_TEST

/* ---- bench_suites.c -------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int64_t count;
} suites[] = {{"hopper", 17}, {"models", 7}, {"small", 8}, {"cpu", 0}};

START_TEST(test_suite)
{
    struct moe_cases cases = {.count = 0};

    ck_assert_int_eq(bench_suite_of_gpu(suites[_i].name), suites[_i].count > 0);
    ck_assert_int_eq(bench_suite_cases(suites[_i].name, &cases), MOE_OK);
    ck_assert_msg(cases.count == suites[_i].count, "%s has %d cases", suites[_i].name,
                  (int)cases.count);
    for (int64_t i = 0; i < cases.count; i++)
        for (int64_t j = 0; j < i; j++) {
            char a[MOE_CASE_LINE], b[MOE_CASE_LINE];

            moe_problem_print(&cases.problem[i], a, sizeof a);
            moe_problem_print(&cases.problem[j], b, sizeof b);
            ck_assert_str_ne(a, b);
        }
    moe_cases_free(&cases);
}
END_TEST

/* ---- bench_baseline.c ------------------------------------------------------------------------ */

static const struct {
    struct moe_gpu_time now, then;
    const char *change;
} changes[] = {
    {{1.00, 0.99, 1.01}, {1.00, 0.99, 1.01}, "same"},
    {{1.019, 1.018, 1.020}, {1.00, 0.99, 1.01}, "same"},
    {{0.981, 0.980, 0.982}, {1.00, 0.99, 1.01}, "same"},
    {{1.05, 1.00, 1.10}, {1.00, 0.99, 1.01}, "ambiguous"},
    {{0.95, 0.90, 0.99}, {1.00, 0.99, 1.01}, "ambiguous"},
    {{0.95, 0.90, 0.98}, {1.00, 0.99, 1.01}, "faster"},
    {{1.05, 1.02, 1.10}, {1.00, 0.99, 1.01}, "slower"},
};

START_TEST(test_change)
{
    ck_assert_msg(!strcmp(bench_change(&changes[_i].now, &changes[_i].then), changes[_i].change),
                  "%d is %s", _i, bench_change(&changes[_i].now, &changes[_i].then));
}
END_TEST

static struct moe_result result_of(const char *line, const char *variant, double seconds)
{
    struct moe_result result = {
        .problem = problem_of(line), .variant = variant, .measure = moe_measure_none()};

    moe_report_clear(&result.report);
    result.measure.seconds = 2 * seconds;
    result.measure.timing.forward = (struct moe_gpu_time){seconds, 0.9 * seconds, 1.1 * seconds};
    result.measure.timing.backward = result.measure.timing.forward;
    return result;
}

static void write_row(FILE *file, const struct moe_result *result, const char *measurement,
                      const char *device)
{
    json_t *object = moe_result_json(result);

    json_object_set_new(object, "measurement", json_string(measurement));
    json_object_set_new(object, "device", json_string(device));
    json_object_set_new(object, "date", json_string("today"));
    json_dumpf(object, file, JSON_COMPACT);
    fputc('\n', file);
    json_decref(object);
}

/* The last row of the same case, variant and device counts; others are none. */
START_TEST(test_baseline)
{
    const char *line = "T=8 H=64 I=32 E=8 K=2 dtype=bf16";
    char path[] = "/tmp/t_bench_XXXXXX";
    FILE *file = fdopen(mkstemp(path), "w");
    struct moe_result first = result_of(line, "cublas", 1.0 / 3);
    struct moe_result second = result_of(line, "cublas", 0.1);
    struct bench_baseline baseline;
    const struct bench_row *row;

    write_row(file, &first, "gpu", "one");
    write_row(file, &second, "gpu", "one");
    write_row(file, &first, "gpu", "two");
    write_row(file, &first, "yardsticks", "three");
    first.report.verdict = MOE_SKIP;
    write_row(file, &first, "gpu", "four");
    fputs("\n{\"summary\": 1}\n", file);
    fclose(file);
    ck_assert_int_eq(bench_baseline_read(path, &baseline), MOE_OK);
    ck_assert_int_eq(baseline.count, 3);
    row = bench_baseline_find(&baseline, line, "cublas", "one");
    ck_assert_ptr_nonnull(row);
    ck_assert(row->forward.median == 0.1 && row->forward.least == 0.9 * 0.1);
    row = bench_baseline_find(&baseline, line, "cublas", "two");
    ck_assert_ptr_nonnull(row);
    ck_assert(row->backward.median == 1.0 / 3 && row->backward.most == 1.1 * (1.0 / 3));
    ck_assert_str_eq(row->date, "today");
    ck_assert_ptr_null(bench_baseline_find(&baseline, line, "cublas", "three"));
    ck_assert_ptr_null(bench_baseline_find(&baseline, line, "hopper", "one"));
    ck_assert_ptr_null(bench_baseline_find(&baseline, "T=9", "cublas", "one"));
    bench_baseline_free(&baseline);

    file = fopen(path, "a");
    fputs("{\"half\": \n", file);
    fclose(file);
    ck_assert_int_eq(bench_baseline_read(path, &baseline), MOE_E_USAGE);
    ck_assert_ptr_nonnull(strstr(moe_error_text(), ":8: "));
    bench_baseline_free(&baseline);
    unlink(path);
    ck_assert_int_eq(bench_baseline_read(path, &baseline), MOE_E_IO);
    bench_baseline_free(&baseline);
}
END_TEST

#define ROWS(table) (int)(sizeof(table) / sizeof(table)[0])

/* ---- bench_trend.c --------------------------------------------------------------------------- */

/* Runs of made-up nights, the newest first, of which `noise` is the quartiles' distance, as a
 * share.
 */
static const struct {
    double now, noise;
    double earlier[BENCH_EARLIER + 2]; /* 0: no more */
    struct bench_trend wanted;
} trends[] = {
    {1, 0.1, {0}, {BENCH_FIRST, -1, -1}},
    {1, 0.1, {1, 1, 1}, {BENCH_SAME, 0, -1}},
    {1.3, 0.1, {1}, {BENCH_SLOWER, 0, -1}},
    {0.7, 0.1, {1, 1}, {BENCH_FASTER, 0, -1}},
    /* within the noise, and within 2 % of it however quiet the machine is */
    {1.3, 0.4, {1, 1, 1}, {BENCH_SAME, 0, -1}},
    {1.019, 0.001, {1, 1, 1}, {BENCH_SAME, 0, -1}},
    {1.021, 0.001, {1, 1, 1}, {BENCH_SLOWER, 0, -1}},
    /* one odd night hides nothing and makes nothing */
    {1.3, 0.1, {1, 1, 2, 1}, {BENCH_SLOWER, 0, -1}},
    {1, 0.1, {0.5, 1, 1, 1}, {BENCH_SAME, 0, -1}},
    /* it came two nights ago: between runs 2 and 1 */
    {1.3, 0.1, {1.3, 1.3, 1, 1, 1, 1, 1, 1}, {BENCH_SLOWER, 2, 1}},
    /* and by now that is what it takes */
    {1.3, 0.1, {1.3, 1.3, 1.3, 1, 1, 1, 1, 1}, {BENCH_SAME, 0, -1}},
    /* beyond the last eight nobody looks */
    {1.3, 0.1, {1.3, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3, 1, 1}, {BENCH_SAME, 0, -1}},
};

static struct bench_spread night(double median, double noise)
{
    return (struct bench_spread){median, median * (1 - noise / 2), median * (1 + noise / 2)};
}

START_TEST(test_trend)
{
    struct bench_earlier earlier[BENCH_EARLIER + 2];
    struct bench_spread now = night(trends[_i].now, trends[_i].noise);
    struct bench_trend found;
    int count = 0;

    for (; count < BENCH_EARLIER + 2 && trends[_i].earlier[count] > 0; count++)
        earlier[count].spread = night(trends[_i].earlier[count], trends[_i].noise);
    found = bench_trend_of(&now, earlier, count);
    ck_assert_msg(found.change == trends[_i].wanted.change, "%d: change %d", _i, found.change);
    ck_assert_msg(found.before == trends[_i].wanted.before &&
                      found.after == trends[_i].wanted.after,
                  "%d: between %d and %d", _i, found.before, found.after);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench");
    TCase *tests = tcase_create("bench");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(tests, test_operations, 0, ROWS(operations));
    tcase_add_test(tests, test_bytes);
    tcase_add_loop_test(tests, test_ceiling, 0, ROWS(ceilings));
    tcase_add_test(tests, test_bytes_remain);
    tcase_add_loop_test(tests, test_suite, 0, ROWS(suites));
    tcase_add_loop_test(tests, test_change, 0, ROWS(changes));
    tcase_add_test(tests, test_baseline);
    tcase_add_loop_test(tests, test_trend, 0, sizeof trends / sizeof *trends);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}

/*
 * command_bench.c - moecheck bench: time and memory of the reference beside OpenBLAS's own time for
 * the same products, of variants, and of the command itself. A time is never a verdict.
 */
#include <string.h>

#include "verify/bench_command.h"

struct bench {
    struct moe_options common;
    const char *suite;
    struct moe_cases cases;
};

/* ---- suites ---------------------------------------------------------------------------------- */

/* What each suite measures, in order: a case, or, with no line, something else. */
static const struct {
    const char *suite;
    int (*measure)(const struct moe_options *options, const char *line);
    const char *line;
} suite[] = {
    {"cpu", bench_start, NULL},
    {"cpu", bench_line, "T=64 H=64 I=32 E=8 K=2"},
    {"cpu", bench_small_cases, "T=16 H=32 I=16 E=4 K=2"},
    {"cpu", bench_line, "T=2048 H=2048 I=1024 E=64 K=8 dtype=bf16"},
};

#define SUITE_ROWS (sizeof suite / sizeof *suite)

enum { KEY_SUITE = 0x200 };

static const struct argp_option options[] = {
    {"suite", KEY_SUITE, "NAME", 0, "Measure a suite: cpu (the default without a case)", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct bench *bench = state->input;

    if (key != KEY_SUITE)
        return moe_cases_parse(&bench->cases, key, argument);
    bench->suite = argument;
    return 0;
}

static const struct argp argp = {
    options,
    parse,
    "[CASE...]",
    "Measures the f64 reference beside OpenBLAS's own time for the same products, its memory "
    "beside "
    "that of inputs and outputs, and the variants that --variant names (by default all, unless the "
    "case is large). Times are medians. A time is never a verdict: the exit status is 0 where all "
    "could "
    "be measured.\v"
    "Cases are given as to moecheck verify.",
    NULL,
    NULL,
    NULL};

/* The exit status of both. */
static int worse(int a, int b)
{
    static const int order[] = {MOE_EXIT_USAGE, MOE_EXIT_FAIL, MOE_EXIT_ERROR};

    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (a == order[i] || b == order[i])
            return order[i];
    return MOE_EXIT_PASS;
}

static int suite_exists(const char *name)
{
    for (size_t i = 0; i < SUITE_ROWS; i++)
        if (strcmp(suite[i].suite, name) == 0)
            return 1;
    return 0;
}

static int measure(const struct bench *bench)
{
    const char *name = bench->suite != NULL ? bench->suite : "cpu";
    int status = MOE_EXIT_PASS;

    if (bench->cases.status != MOE_OK)
        return moe_command_error(bench->common.name, bench->cases.status);
    if (bench->cases.count > 0 && bench->suite != NULL)
        return moe_command_usage(bench->common.name, "cases and a suite; allowed: one of them");
    if (!suite_exists(name))
        return moe_command_usage(bench->common.name, "no suite '%s'; allowed: cpu", name);
    bench_machine(&bench->common);
    for (int64_t i = 0; i < bench->cases.count; i++)
        status = worse(status, bench_case(&bench->common, &bench->cases.problem[i]));
    for (size_t i = 0; bench->cases.count == 0 && i < SUITE_ROWS; i++)
        if (strcmp(suite[i].suite, name) == 0)
            status = worse(status, suite[i].measure(&bench->common, suite[i].line));
    return status;
}

static int run(int argc, char **argv)
{
    struct bench bench = {.suite = NULL};
    int status = moe_options_parse(&argp, argc, argv, &bench.common);

    status = status == MOE_OK ? measure(&bench) : MOE_EXIT_USAGE;
    moe_cases_free(&bench.cases);
    moe_options_free(&bench.common);
    return status;
}

const struct moe_command moe_command_bench = {
    "bench", "speed and memory beside OpenBLAS; a time is never a verdict", run};

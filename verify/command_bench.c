/*
 * command_bench.c - moecheck bench: time and memory of the reference beside OpenBLAS's own time for
 * the same products, of variants, and of the command itself; on a GPU, of variants beside cuBLAS
 * and what the device can do at most. A time is never a verdict.
 */
#include <string.h>

#include "verify/bench_command.h"

struct bench {
    struct moe_options common;
    const char *suite, *baseline;
    struct bench_keeper keeper;
    struct moe_cases cases;
};

/* ---- suites ---------------------------------------------------------------------------------- */

/* What each suite of the CPU measures, in order: a case, or, with no line, something else. */
static const struct {
    const char *suite;
    int (*measure)(const struct moe_options *options, const struct bench_keeper *keeper,
                   const char *line);
    const char *line;
} suite[] = {
    {"cpu", bench_start, NULL},
    {"cpu", bench_line, "T=64 H=64 I=32 E=8 K=2"},
    {"cpu", bench_small_cases, "T=16 H=32 I=16 E=4 K=2"},
    {"cpu", bench_line, "T=2048 H=2048 I=1024 E=64 K=8 dtype=bf16"},
};

#define SUITE_ROWS (sizeof suite / sizeof *suite)

enum { KEY_SUITE = 0x200, KEY_BASELINE, KEY_STORE, KEY_COMMIT };

#define STORE_WAIT 30 /* seconds */

static const struct argp_option options[] = {
    {"suite", KEY_SUITE, "NAME", 0,
     "Measure a suite: cpu (the default without a case), or on a GPU hopper, models (with --device "
     "cuda the default) or small",
     0},
    {"baseline", KEY_BASELINE, "FILE", 0,
     "Say what has become faster or slower on the GPU since the run whose --json output this is",
     0},
    {"store", KEY_STORE, "FILE", 0,
     "Keep the times in FILE, and say what is slower or faster than it was there", 0},
    {"commit", KEY_COMMIT, "NAME", 0, "The commit of what is measured, for the store", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct bench *bench = state->input;

    switch (key) {
    case KEY_SUITE:
        bench->suite = argument;
        return 0;
    case KEY_BASELINE:
        bench->baseline = argument;
        return 0;
    case KEY_STORE:
        bench->keeper.path = argument;
        return 0;
    case KEY_COMMIT:
        bench->keeper.commit = argument;
        return 0;
    default:
        return moe_cases_parse(&bench->cases, key, argument);
    }
}

static const struct argp argp = {
    options,
    parse,
    "[CASE...]",
    "Measures the f64 reference beside OpenBLAS's own time for the same products, its memory "
    "beside "
    "that of inputs and outputs, and the variants that --variant names (by default all, unless the "
    "case is large). On a GPU (--device cuda, a suite of GPUs, or a variant that runs on nothing "
    "else): the variants beside cuBLAS's dense products of the same sizes, the bandwidth of a copy "
    "and the ceiling that follows. Times are medians. A time is never a verdict: the exit status "
    "is 0 where all could be measured.\v"
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

/* Does --variant name nothing but what runs on a GPU alone? */
static int names_gpu_variants(const struct moe_options *common)
{
    const struct moe_variant *variant;
    int found = 0;

    if (common->variant == NULL)
        return 0;
    for (int i = 0; (variant = moe_variant_get(i)) != NULL; i++) {
        if (!moe_options_match(common, variant->name))
            continue;
        if (variant->devices & MOE_ON_CPU)
            return 0;
        found = 1;
    }
    return found;
}

/* The suite that is meant; NULL where there are cases. */
static const char *suite_of(const struct bench *bench)
{
    if (bench->suite != NULL || bench->cases.count > 0)
        return bench->suite;
    return bench->common.devices == MOE_ON_CUDA ? "models" : "cpu";
}

static int measure_on_gpu(struct bench *bench, const char *name)
{
    int status = name != NULL ? bench_suite_cases(name, &bench->cases) : MOE_OK;

    if (status != MOE_OK)
        return moe_command_error(bench->common.name, status);
    if (!(bench->common.devices & MOE_ON_CUDA))
        return moe_command_usage(bench->common.name, "--device is %s; this is measured on a GPU",
                                 bench->common.device);
    return bench_on_gpu(&bench->common, &bench->keeper, &bench->cases, bench->baseline);
}

static int measure(struct bench *bench)
{
    const char *name = suite_of(bench);
    int status = MOE_EXIT_PASS;

    if (bench->cases.status != MOE_OK)
        return moe_command_error(bench->common.name, bench->cases.status);
    if (bench->cases.count > 0 && bench->suite != NULL)
        return moe_command_usage(bench->common.name, "cases and a suite; allowed: one of them");
    if (name != NULL && !suite_exists(name) && !bench_suite_of_gpu(name))
        return moe_command_usage(bench->common.name,
                                 "no suite '%s'; allowed: cpu, hopper, models, small", name);
    if (name != NULL ? bench_suite_of_gpu(name)
                     : bench->common.devices == MOE_ON_CUDA || names_gpu_variants(&bench->common))
        return measure_on_gpu(bench, name);
    if (bench->baseline != NULL)
        return moe_command_usage(bench->common.name, "--baseline is for measurements on a GPU");
    bench_machine(&bench->common);
    for (int64_t i = 0; i < bench->cases.count; i++)
        status =
            worse(status, bench_case(&bench->common, &bench->keeper, &bench->cases.problem[i]));
    for (size_t i = 0; bench->cases.count == 0 && i < SUITE_ROWS; i++)
        if (strcmp(suite[i].suite, name) == 0)
            status = worse(status, suite[i].measure(&bench->common, &bench->keeper, suite[i].line));
    return status;
}

static int open_and_measure(struct bench *bench)
{
    int status = bench_store_open(&bench->keeper);

    bench->keeper.suite = suite_of(bench);
    return status == MOE_OK ? measure(bench) : moe_command_error(bench->common.name, status);
}

static int run(int argc, char **argv)
{
    struct bench bench = {.keeper = {.wait = STORE_WAIT}};
    int status = moe_options_parse(&argp, argc, argv, &bench.common);

    status = status == MOE_OK ? open_and_measure(&bench) : MOE_EXIT_USAGE;
    bench_store_close(&bench.keeper);
    moe_cases_free(&bench.cases);
    moe_options_free(&bench.common);
    return status;
}

const struct moe_command moe_command_bench = {
    "bench", "speed and memory beside OpenBLAS; a time is never a verdict", run};

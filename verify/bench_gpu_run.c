/*
 * bench_gpu_run.c - cases on a GPU, in one worker that keeps the device warm: first the yardsticks
 * of the case, then every variant. After a crash or an error the worker is replaced, for its
 * context may be of no use any more.
 */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gpu/gpu.h"
#include "verify/bench_command.h"

/* Of one measurement: allocation, warm-up and repetitions end in a fraction of it. */
#define SECONDS_MOST 300.0

struct running {
    const struct moe_options *options;
    const struct bench_keeper *keeper;
    struct bench_run run;
    struct bench_baseline baseline;
    struct moe_supervisor *supervisor;
    int status;    /* exit status so far, but for a SKIP */
    int64_t taken; /* variants that were measured */
};

/* ---- the machine ----------------------------------------------------------------------------- */

static int find_gpu(struct bench_run *run, char *why, size_t size)
{
    struct moe_gpu_status gpu;
    time_t now = time(NULL);
    struct tm utc;

    moe_gpu_probe(&gpu);
    if (gpu.state != MOE_GPU_READY) {
        snprintf(why, size, "%s", gpu.reason);
        return MOE_E_UNSUPPORTED;
    }
    snprintf(run->device, sizeof run->device, "%s", gpu.device[0].name);
    run->capability = 10 * gpu.device[0].major + gpu.device[0].minor;
    run->cuda = gpu.driver_version;
    moe_gpu_driver_name(run->driver, sizeof run->driver);
    strftime(run->date, sizeof run->date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    return MOE_OK;
}

static int say_none(const struct moe_options *options, const char *why)
{
    json_t *object =
        json_pack("{s:s, s:s, s:s}", "measurement", "gpu", "verdict", "SKIP", "reason", why);
    char *line = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;

    if (!options->json || line == NULL)
        printf("no usable GPU: %s\n", why);
    else
        puts(line);
    free(line);
    json_decref(object);
    return MOE_EXIT_SKIP;
}

/* ---- one measurement ------------------------------------------------------------------------- */

static int start(struct running *running)
{
    struct moe_supervisor_options how = moe_options_supervisor(running->options);
    int status;

    how.devices = MOE_ON_CUDA;
    how.jobs = 1;
    how.timeout = how.timeout > 0 ? how.timeout : SECONDS_MOST;
    status = moe_supervisor_start(&how, &running->supervisor);
    if (status != MOE_OK)
        running->status = moe_command_error(running->options->name, status);
    return status;
}

/* After an error: the names of variants that are kept elsewhere belong to the old one. */
static void restart(struct running *running)
{
    moe_supervisor_stop(running->supervisor);
    running->supervisor = NULL;
    start(running);
}

static void print_reason(const struct running *running, const char *what,
                         const struct moe_result *result)
{
    if (!running->options->json)
        printf("    %-14s %s: %s\n", what, moe_verdict_name(result->report.verdict),
               result->report.finding[0].text);
}

/* 1 where there is a result, of whatever verdict. */
static int take(struct running *running, const struct moe_problem *problem, const char *measurement,
                const char *variant, struct moe_result *result)
{
    struct moe_job job = {.action = MOE_ACTION_MEASURE,
                          .problem = *problem,
                          .measure = measurement,
                          .variant = variant};

    if (running->supervisor == NULL)
        return 0;
    if (bench_job(running->options, running->supervisor, &job, result) != MOE_EXIT_PASS) {
        running->status = MOE_EXIT_ERROR;
        moe_supervisor_stop(running->supervisor);
        running->supervisor = NULL;
        return 0;
    }
    if (result->report.verdict == MOE_FAIL)
        running->status = MOE_EXIT_FAIL;
    if (result->report.verdict == MOE_ERROR && running->status != MOE_EXIT_FAIL)
        running->status = MOE_EXIT_ERROR;
    return 1;
}

static int broken(const struct moe_result *result)
{
    return result->report.verdict == MOE_FAIL || result->report.verdict == MOE_ERROR;
}

/* ---- one case -------------------------------------------------------------------------------- */

static void measure_yardsticks(struct running *running, const struct moe_problem *problem,
                               struct moe_gpu_yardsticks *yardsticks)
{
    struct moe_result result;

    if (!take(running, problem, "yardsticks", NULL, &result))
        return;
    if (running->options->json)
        bench_print_json(&result, "yardsticks", &running->run, NULL);
    if (result.report.verdict != MOE_PASS)
        print_reason(running, "yardsticks", &result);
    else if (!running->options->json)
        bench_print_yardsticks(&result.measure.yardsticks);
    *yardsticks = result.measure.yardsticks;
    if (broken(&result))
        restart(running);
}

/* The least and the most of a GPU's repetitions stand for their quartiles: they are wider. */
static void keep(struct running *running, const struct moe_problem *problem, const char *variant,
                 const char *part, const struct moe_result *result, const struct moe_gpu_time *time,
                 double ceiling)
{
    struct bench_time kept = {
        .problem = problem,
        .variant = variant,
        .part = part,
        .device = running->run.device,
        .driver = running->run.driver,
        .spread = {.median = time->median, .low = time->least, .high = time->most},
        .runs = (int64_t)result->measure.timing.repetitions,
        .ceiling = ceiling > 0 ? ceiling / time->median : NAN};
    int status = bench_store_take(running->keeper, running->options, &kept);

    if (status != MOE_OK) {
        moe_command_error(running->options->name, status);
        running->status = MOE_EXIT_ERROR;
    }
}

static void measure_variant(struct running *running, const struct moe_problem *problem,
                            const char *variant, const struct moe_gpu_yardsticks *yardsticks)
{
    const struct bench_row *before;
    char line[MOE_CASE_LINE];
    struct moe_result result;

    if (!take(running, problem, "gpu", variant, &result))
        return;
    result.measure.yardsticks = *yardsticks;
    moe_problem_print(problem, line, sizeof line);
    before = result.report.verdict == MOE_PASS
                 ? bench_baseline_find(&running->baseline, line, variant, running->run.device)
                 : NULL;
    if (running->options->json)
        bench_print_json(&result, "gpu", &running->run, before);
    if (result.report.verdict != MOE_PASS)
        print_reason(running, variant, &result);
    else if (!running->options->json)
        bench_print_row(&result, before, running->options->verbose);
    if (result.report.verdict == MOE_PASS) {
        running->taken++;
        keep(running, problem, variant, "forward", &result, &result.measure.timing.forward,
             yardsticks->forward_ceiling);
        keep(running, problem, variant, "backward", &result, &result.measure.timing.backward,
             yardsticks->backward_ceiling);
    }
    if (broken(&result))
        restart(running);
}

static void measure_case(struct running *running, const struct moe_problem *problem)
{
    struct moe_gpu_yardsticks yardsticks = {.bandwidth = 0};
    char line[MOE_CASE_LINE];
    const char *name;

    moe_problem_print(problem, line, sizeof line);
    if (!running->options->json)
        printf("\n%s\n", line);
    fflush(stdout);
    measure_yardsticks(running, problem, &yardsticks);
    if (!running->options->json)
        bench_print_head();
    for (int i = 0; running->supervisor != NULL &&
                    (name = moe_supervisor_variant(running->supervisor, i)) != NULL;
         i++) {
        char kept[64]; /* the name, should the supervisor be replaced */

        if (!(bench_devices(name) & MOE_ON_CUDA) || !moe_options_match(running->options, name))
            continue;
        snprintf(kept, sizeof kept, "%s", name);
        measure_variant(running, problem, kept, &yardsticks);
    }
}

int bench_on_gpu(const struct moe_options *options, const struct bench_keeper *keeper,
                 const struct moe_cases *cases, const char *baseline)
{
    struct running running = {.options = options, .keeper = keeper, .status = MOE_EXIT_PASS};
    char why[256];
    const char *first;
    int status = baseline != NULL ? bench_baseline_read(baseline, &running.baseline) : MOE_OK;

    if (status == MOE_OK && find_gpu(&running.run, why, sizeof why) != MOE_OK) {
        bench_baseline_free(&running.baseline);
        return say_none(options, why);
    }
    if (status != MOE_OK)
        running.status = moe_command_error(options->name, status);
    else
        status = start(&running);
    if (status == MOE_OK && moe_options_variants(options, running.supervisor, &first) < 0) {
        running.status = moe_command_error(options->name, MOE_E_USAGE);
        status = MOE_E_USAGE;
    }
    if (status == MOE_OK && !options->json)
        bench_print_run(&running.run);
    for (int64_t i = 0; status == MOE_OK && running.supervisor != NULL && i < cases->count; i++)
        measure_case(&running, &cases->problem[i]);
    moe_supervisor_stop(running.supervisor);
    bench_baseline_free(&running.baseline);
    return running.status == MOE_EXIT_PASS && running.taken == 0 ? MOE_EXIT_SKIP : running.status;
}

/*
 * bench_case.c - the measurements of one case, each in a fresh worker, one after the other, and how
 * they are printed.
 */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "verify/bench_command.h"

/* Beyond this patience a case counts as large: variants are measured only where they were named. */
#define LARGE_SECONDS 80.0

#define SOME_BYTES 64e6

struct measuring {
    const struct moe_options *options;
    const struct bench_keeper *keeper;
    const struct moe_problem *problem;
    struct moe_supervisor *supervisor;
    int status; /* exit status so far */
};

static void print_json(const struct moe_result *result, const char *measurement)
{
    json_t *object = moe_result_json(result);
    char *line = NULL;

    if (json_object_set_new(object, "measurement", json_string(measurement)) == 0)
        line = json_dumps(object, JSON_COMPACT);
    if (line != NULL)
        puts(line);
    free(line);
    json_decref(object);
}

int bench_job(const struct moe_options *options, struct moe_supervisor *supervisor,
              const struct moe_job *job, struct moe_result *result)
{
    enum moe_next next = MOE_NEXT_WAIT;

    if (moe_supervisor_submit(supervisor, job) != MOE_OK) {
        moe_command_error(options->name, MOE_E_INTERNAL);
        return MOE_EXIT_ERROR;
    }
    while (next == MOE_NEXT_WAIT)
        next = moe_supervisor_next(supervisor, 3600, result);
    if (next == MOE_NEXT_RESULT)
        return MOE_EXIT_PASS;
    fprintf(stderr, "%s: interrupted\n", options->name);
    return MOE_EXIT_ERROR;
}

unsigned bench_devices(const char *name)
{
    const struct moe_variant *variant;

    for (int i = 0; (variant = moe_variant_get(i)) != NULL; i++)
        if (strcmp(variant->name, name) == 0)
            return variant->devices;
    return ~0u;
}

/* 1 where it was measured; else the reason has been printed. */
static int take(struct measuring *m, const char *measurement, const char *variant,
                struct moe_measure *measure)
{
    struct moe_job job = {.action = MOE_ACTION_MEASURE,
                          .problem = *m->problem,
                          .measure = measurement,
                          .variant = variant};
    struct moe_result result;

    if (m->status == MOE_EXIT_ERROR)
        return 0;
    if (bench_job(m->options, m->supervisor, &job, &result) != MOE_EXIT_PASS) {
        m->status = MOE_EXIT_ERROR;
        return 0;
    }
    if (m->options->json)
        print_json(&result, measurement);
    else if (result.report.verdict != MOE_PASS)
        printf("    %-22s %s: %s\n", variant != NULL ? variant : measurement,
               moe_verdict_name(result.report.verdict), result.report.finding[0].text);
    if (result.report.verdict == MOE_FAIL)
        m->status = MOE_EXIT_FAIL;
    if (result.report.verdict == MOE_ERROR && m->status != MOE_EXIT_FAIL)
        m->status = MOE_EXIT_ERROR;
    *measure = result.measure;
    return result.report.verdict == MOE_PASS;
}

/* What is kept is no verdict, and that it could not be kept is an error. */
static void keep(struct measuring *m, const char *variant, const char *part,
                 const struct moe_repeated *repeated)
{
    struct bench_time time = {
        .problem = m->problem,
        .variant = variant,
        .part = part,
        .device = "cpu",
        .spread = {.median = repeated->median, .low = repeated->low, .high = repeated->high},
        .runs = (int64_t)repeated->runs,
        .ceiling = NAN};
    int status = bench_store_take(m->keeper, m->options, &time);

    if (status != MOE_OK) {
        moe_command_error(m->options->name, status);
        m->status = MOE_EXIT_ERROR;
    }
}

static void print_time(const struct measuring *m, const char *what, double seconds, double beside,
                       const char *of)
{
    if (m->options->json)
        return;
    printf("    %-22s %10.3f ms", what, 1e3 * seconds);
    if (beside > 0)
        printf("  %6.2f x %s", seconds / beside, of);
    putchar('\n');
    fflush(stdout);
}

/* Beside few tensors the memory is that of threads and of OpenBLAS's buffers, and no ratio means
 * much. */
static void print_memory(const struct measuring *m, const struct moe_measure *measure)
{
    if (m->options->json)
        return;
    printf("    %-22s %10.3f MB", "reference's memory", 1e-6 * measure->peak_bytes);
    if (measure->tensor_bytes > SOME_BYTES)
        printf("  %6.2f x inputs and outputs", measure->peak_bytes / measure->tensor_bytes);
    putchar('\n');
}

static void measure_reference(struct measuring *m)
{
    struct moe_measure products = {.seconds = NAN}, reference = {.seconds = NAN}, bounds;

    if (take(m, "products", NULL, &products)) {
        print_time(m, "products by OpenBLAS", products.seconds, 0, "");
        keep(m, "products", "both", &products.both);
    }
    if (take(m, "reference", NULL, &reference)) {
        print_time(m, "reference", reference.seconds, products.seconds, "products");
        print_memory(m, &reference);
        keep(m, "reference", "both", &reference.both);
    }
    if (take(m, "bounds", NULL, &bounds)) {
        print_time(m, "reference and bounds", bounds.seconds, reference.seconds, "reference");
        keep(m, "bounds", "both", &bounds.both);
    }
}

static void measure_variants(struct measuring *m)
{
    const char *name;

    if (m->options->variant == NULL && moe_patience(m->problem, MOE_ON_CPU) > LARGE_SECONDS) {
        if (!m->options->json)
            puts("    a large case: variants are measured where --variant names them");
        return;
    }
    for (int i = 0; (name = moe_supervisor_variant(m->supervisor, i)) != NULL; i++) {
        struct moe_measure measure;

        if (!(bench_devices(name) & MOE_ON_CPU) || !moe_options_match(m->options, name) ||
            !take(m, "variant", name, &measure))
            continue;
        if (!m->options->json)
            printf("    %-22s %10.3f ms  forward %.3f ms, backward %.3f ms\n", name,
                   1e3 * measure.seconds, 1e3 * measure.forward_seconds,
                   1e3 * measure.backward_seconds);
        keep(m, name, "forward", &measure.forward);
        keep(m, name, "backward", &measure.backward);
    }
}

int bench_case(const struct moe_options *options, const struct bench_keeper *keeper,
               const struct moe_problem *problem)
{
    struct measuring m = {
        .options = options, .keeper = keeper, .problem = problem, .status = MOE_EXIT_PASS};
    struct moe_supervisor_options how = moe_options_supervisor(options);
    char line[MOE_CASE_LINE];
    int status;

    how.devices &= ~(unsigned)MOE_ON_CUDA; /* here is no device to give a variant */
    how.jobs = 1;
    how.one_job_each = 1;
    status = moe_supervisor_start(&how, &m.supervisor);
    if (status != MOE_OK)
        return moe_command_error(options->name, status);
    moe_problem_print(problem, line, sizeof line);
    if (!options->json)
        printf("%s\n", line);
    measure_reference(&m);
    measure_variants(&m);
    moe_supervisor_stop(m.supervisor);
    return m.status;
}

int bench_line(const struct moe_options *options, const struct bench_keeper *keeper,
               const char *line)
{
    struct moe_problem problem;
    int status = moe_problem_parse(line, &problem);

    return status == MOE_OK ? bench_case(options, keeper, &problem)
                            : moe_command_error(options->name, status);
}

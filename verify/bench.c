/*
 * bench.c - one measurement, by a table of what can be measured: its time as the median of
 * repetitions, and the memory that it took at most.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify/bench.h"
#include "verify/slot.h"

#define REPEAT_SECONDS 2.0
#define REPEAT_MOST 101
/* A single run of a large case says little: three, unless one takes very long. */
#define REPEAT_LEAST 3
#define REPEAT_LONG 20.0

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int moe_bench_repeat(int (*run)(void *context), void *context, struct moe_repeated *repeated)
{
    double taken[REPEAT_MOST], begin = moe_slot_clock(), start = begin;
    int n = 0;

    do {
        int status = run(context);
        double end = moe_slot_clock();

        if (status != MOE_OK)
            return status;
        taken[n++] = end - start;
        start = end;
    } while (n < REPEAT_MOST && start - begin < (n < REPEAT_LEAST ? REPEAT_LONG : REPEAT_SECONDS));
    qsort(taken, (size_t)n, sizeof *taken, compare);
    *repeated = (struct moe_repeated){
        .median = taken[n / 2], .low = taken[n / 4], .high = taken[n - 1 - n / 4], .runs = n};
    return MOE_OK;
}

/* A line of /proc/self/status in bytes: VmRSS what the process holds, VmHWM the most that it held.
 * NaN where the kernel does not say. */
static double memory(const char *field)
{
    FILE *file = fopen("/proc/self/status", "re");
    size_t length = strlen(field);
    char line[256];
    double bytes = NAN;

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, field, length) == 0 && line[length] == ':')
            bytes = 1024 * strtod(line + length + 1, NULL);
    if (file != NULL)
        fclose(file);
    return bytes;
}

static double tensor_bytes(const struct moe_problem *problem)
{
    double bytes = 0;

    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        struct moe_tensor tensor;

        if (moe_tensor_exists(problem, (enum moe_tensor_id)id) &&
            moe_tensor_describe(problem, (enum moe_tensor_id)id, &tensor) == MOE_OK)
            bytes += (double)moe_tensor_bytes(&tensor);
    }
    return bytes;
}

struct measuring {
    const struct moe_problem *problem;
    const struct moe_variant *variant;
    const struct moe_judge_options *options;
    struct moe_measure *measure;
};

static int products(const struct measuring *m)
{
    return moe_bench_products(m->problem, m->measure);
}

static int reference(const struct measuring *m)
{
    return moe_bench_reference(m->problem, 0, m->measure);
}

static int bounds(const struct measuring *m)
{
    return moe_bench_reference(m->problem, 1, m->measure);
}

static int variant(const struct measuring *m)
{
    if (m->variant == NULL)
        return moe_error(MOE_E_UNSUPPORTED, "no variant to measure");
    return moe_bench_variant(m->problem, m->variant, m->options, m->measure);
}

static int yardsticks(const struct measuring *m)
{
    return moe_bench_yardsticks(m->problem, m->measure);
}

static int gpu(const struct measuring *m)
{
    if (m->variant == NULL)
        return moe_error(MOE_E_INTERNAL, "no variant to measure");
    return moe_bench_gpu(m->problem, m->variant, m->options, m->measure);
}

static const struct {
    const char *name;
    int (*take)(const struct measuring *m);
} table[] = {
    {"products", products}, {"reference", reference},   {"bounds", bounds},
    {"variant", variant},   {"yardsticks", yardsticks}, {"gpu", gpu},
};

int moe_bench_measure(const struct moe_job *job, const struct moe_variant *variant,
                      const struct moe_judge_options *options, struct moe_measure *measure)
{
    struct moe_measure taken = moe_measure_none();
    struct measuring m = {&job->problem, variant, options, &taken};
    double before = memory("VmRSS");

    taken.tensor_bytes = tensor_bytes(&job->problem);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (job->measure != NULL && strcmp(table[i].name, job->measure) == 0) {
            int status = table[i].take(&m);

            taken.peak_bytes = memory("VmHWM") - before;
            if (status == MOE_OK)
                *measure = taken;
            return status;
        }
    return moe_error(MOE_E_UNSUPPORTED, "no measurement '%s'", job->measure);
}

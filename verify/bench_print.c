/*
 * bench_print.c - a measurement on a GPU as a row of a table and as a JSON object, with what it was
 * measured on. Two numbers with a stroke between are forward and backward.
 */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "verify/bench_command.h"

/* ---- numbers of a row ------------------------------------------------------------------------ */

/* The quotient; NaN where a part was not measured. */
static double over(double a, double b)
{
    return a > 0 && b > 0 ? a / b : NAN;
}

static double forward_tflops(const struct moe_measure *m)
{
    return 1e-12 * over(m->yardsticks.forward_flops, m->timing.forward.median);
}

static double backward_tflops(const struct moe_measure *m)
{
    return 1e-12 * over(m->yardsticks.backward_flops, m->timing.backward.median);
}

static double forward_of_chain(const struct moe_measure *m)
{
    return over(m->yardsticks.forward_chain, m->timing.forward.median);
}

static double backward_of_chain(const struct moe_measure *m)
{
    return over(m->yardsticks.backward_chain, m->timing.backward.median);
}

static double forward_of_ceiling(const struct moe_measure *m)
{
    return over(m->yardsticks.forward_ceiling, m->timing.forward.median);
}

static double backward_of_ceiling(const struct moe_measure *m)
{
    return over(m->yardsticks.backward_ceiling, m->timing.backward.median);
}

static double chain_forward_tflops(const struct moe_measure *m)
{
    return 1e-12 * over(m->yardsticks.forward_flops, m->yardsticks.forward_chain);
}

static double chain_backward_tflops(const struct moe_measure *m)
{
    return 1e-12 * over(m->yardsticks.backward_flops, m->yardsticks.backward_chain);
}

static double ceiling_forward_tflops(const struct moe_measure *m)
{
    return 1e-12 * over(m->yardsticks.forward_flops, m->yardsticks.forward_ceiling);
}

static double ceiling_backward_tflops(const struct moe_measure *m)
{
    return 1e-12 * over(m->yardsticks.backward_flops, m->yardsticks.backward_ceiling);
}

/* What a row tells beside its times, by name. */
static const struct {
    const char *name;
    double (*of)(const struct moe_measure *m);
} derived[] = {
    {"forward_tflops", forward_tflops},
    {"backward_tflops", backward_tflops},
    {"chain_forward_tflops", chain_forward_tflops},
    {"chain_backward_tflops", chain_backward_tflops},
    {"ceiling_forward_tflops", ceiling_forward_tflops},
    {"ceiling_backward_tflops", ceiling_backward_tflops},
    {"forward_of_chain", forward_of_chain},
    {"backward_of_chain", backward_of_chain},
    {"forward_of_ceiling", forward_of_ceiling},
    {"backward_of_ceiling", backward_of_ceiling},
};

/* ---- text ------------------------------------------------------------------------------------ */

struct cell {
    char text[32];
};

/* "-" for what was not measured. */
static struct cell number(int digits, double value)
{
    struct cell cell = {"-"};

    if (value > 0)
        snprintf(cell.text, sizeof cell.text, "%.*f", digits, value);
    return cell;
}

static struct cell pair(int digits, double forward, double backward)
{
    struct cell cell;

    snprintf(cell.text, sizeof cell.text, "%.14s/%.14s", number(digits, forward).text,
             number(digits, backward).text);
    return cell;
}

void bench_print_run(const struct bench_run *run)
{
    printf("%s, sm_%d, driver %s, CUDA %d.%d; moecheck " PACKAGE_VERSION ", %s\n", run->device,
           run->capability, run->driver[0] != '\0' ? run->driver : "-", run->cuda / 1000,
           run->cuda % 1000 / 10, run->date);
}

void bench_print_yardsticks(const struct moe_gpu_yardsticks *yardsticks)
{
    struct moe_measure m = {.yardsticks = *yardsticks};

    printf("    copy %s TB/s, dense chain %s TFLOP/s, ceiling %s TFLOP/s\n",
           number(3, 1e-12 * yardsticks->bandwidth).text,
           pair(1, chain_forward_tflops(&m), chain_backward_tflops(&m)).text,
           pair(1, ceiling_forward_tflops(&m), ceiling_backward_tflops(&m)).text);
    fflush(stdout);
}

#define ROW "    %-14s %21s %13s %11s %11s %17s %10s %9s\n"

void bench_print_head(void)
{
    printf(ROW, "variant", "ms", "TFLOP/s", "of chain", "of ceiling", "MB kept/peak", "MHz", "W");
}

/* One pass beside what it was. */
static void print_change(const char *pass, const struct moe_gpu_time *now,
                         const struct moe_gpu_time *then)
{
    printf(", %s %s (%.3f of its time)", pass, bench_change(now, then), now->median / then->median);
}

static void print_spread(const char *pass, const struct moe_gpu_time *time)
{
    printf(", %s %.4f .. %.4f ms", pass, 1e3 * time->least, 1e3 * time->most);
}

void bench_print_row(const struct moe_result *result, const struct bench_row *before, int verbose)
{
    const struct moe_measure *m = &result->measure;
    const struct moe_gpu_timing *t = &m->timing;

    printf(ROW, result->variant, pair(4, 1e3 * t->forward.median, 1e3 * t->backward.median).text,
           pair(1, forward_tflops(m), backward_tflops(m)).text,
           pair(3, forward_of_chain(m), backward_of_chain(m)).text,
           pair(3, forward_of_ceiling(m), backward_of_ceiling(m)).text,
           pair(2, 1e-6 * t->kept_bytes, 1e-6 * t->peak_bytes).text,
           pair(0, t->before_mhz, t->after_mhz).text,
           pair(0, t->before_watts, t->after_watts).text);
    if (verbose) {
        printf("        %.0f repetitions", t->repetitions);
        print_spread("forward", &t->forward);
        print_spread("backward", &t->backward);
        putchar('\n');
    }
    if (before != NULL) {
        printf("        since %s", before->date);
        print_change("forward", &t->forward, &before->forward);
        print_change("backward", &t->backward, &before->backward);
        putchar('\n');
    }
    fflush(stdout);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *change_json(const struct moe_gpu_timing *now, const struct bench_row *before)
{
    json_t *object = json_object();

    json_object_set_new(object, "date", json_string(before->date));
    json_object_set_new(object, "forward",
                        json_string(bench_change(&now->forward, &before->forward)));
    json_object_set_new(object, "forward_ratio",
                        json_real(now->forward.median / before->forward.median));
    json_object_set_new(object, "backward",
                        json_string(bench_change(&now->backward, &before->backward)));
    json_object_set_new(object, "backward_ratio",
                        json_real(now->backward.median / before->backward.median));
    return object;
}

void bench_print_json(const struct moe_result *result, const char *measurement,
                      const struct bench_run *run, const struct bench_row *before)
{
    json_t *object = moe_result_json(result);
    char *line;

    json_object_set_new(object, "measurement", json_string(measurement));
    json_object_set_new(object, "device", json_string(run->device));
    json_object_set_new(object, "capability", json_integer(run->capability));
    json_object_set_new(object, "driver", json_string(run->driver));
    json_object_set_new(object, "cuda", json_integer(run->cuda));
    json_object_set_new(object, "date", json_string(run->date));
    json_object_set_new(object, "version", json_string(PACKAGE_VERSION));
    for (size_t i = 0; i < sizeof derived / sizeof *derived; i++) {
        double value = derived[i].of(&result->measure);

        if (isfinite(value))
            json_object_set_new(object, derived[i].name, json_real(value));
    }
    if (before != NULL)
        json_object_set_new(object, "baseline", change_json(&result->measure.timing, before));
    line = json_dumps(object, JSON_COMPACT);
    if (line != NULL)
        puts(line);
    fflush(stdout);
    free(line);
    json_decref(object);
}

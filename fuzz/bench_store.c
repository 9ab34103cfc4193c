/*
 * bench_store.c - times kept in a store of campaigns (--store), and held against those of earlier
 * runs: what is slower or faster is told, with the commits that it came between.
 */
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuzz/store_timing.h"
#include "verify/bench_command.h"

int bench_store_open(struct bench_keeper *keeper)
{
    if (keeper->path == NULL)
        return MOE_OK;
    (void)gethostname(keeper->host, sizeof keeper->host - 1);
    return moe_store_open(keeper->path, MOE_STORE_WRITE, keeper->wait, &keeper->store);
}

void bench_store_close(struct bench_keeper *keeper)
{
    moe_store_close(keeper->store);
    keeper->store = NULL;
}

/* ---- what is told ---------------------------------------------------------------------------- */

static const char *const change_name[] = {[BENCH_FIRST] = "first",
                                          [BENCH_SAME] = "same",
                                          [BENCH_FASTER] = "faster",
                                          [BENCH_SLOWER] = "slower"};

static void print_json(const struct moe_store_timing *timing, const struct bench_trend *trend,
                       const struct bench_earlier *before, const char *from, const char *to)
{
    json_t *object = json_object(), *inner = json_object();
    json_object_set_new(inner, "case", json_string(timing->line));
    json_object_set_new(inner, "variant", json_string(timing->variant));
    json_object_set_new(inner, "part", json_string(timing->part));
    json_object_set_new(inner, "change", json_string(change_name[trend->change]));
    json_object_set_new(inner, "ratio", json_real(timing->spread.median / before->spread.median));
    json_object_set_new(inner, "since", json_string(before->date));
    json_object_set_new(inner, "from", json_string(from));
    json_object_set_new(inner, "to", json_string(to));
    json_object_set_new(object, "trend", inner);
    char *text = json_dumps(object, JSON_COMPACT);
    if (text != NULL)
        puts(text);
    free(text);
    json_decref(object);
}

static void tell(const struct moe_options *options, const struct moe_store_timing *timing,
                 const struct bench_earlier *earlier, int count)
{
    struct bench_trend trend = bench_trend_of(&timing->spread, earlier, count);
    if (trend.before < 0 || (trend.change == BENCH_SAME && !options->verbose))
        return;
    const struct bench_earlier *before = &earlier[trend.before];
    const char *from = before->commit;
    const char *to = trend.after >= 0         ? earlier[trend.after].commit
                     : timing->commit != NULL ? timing->commit
                                              : "";
    if (options->json) {
        print_json(timing, &trend, before, from, to);
        return;
    }
    printf("        %s %s: %s %.3f of its time on %s", timing->variant, timing->part,
           change_name[trend.change], timing->spread.median / before->spread.median, before->date);
    if (trend.change != BENCH_SAME && from[0] != '\0' && to[0] != '\0')
        printf(", commits %s..%s", from, to);
    putchar('\n');
}

/* ---- a time ---------------------------------------------------------------------------------- */

int bench_store_take(const struct bench_keeper *keeper, const struct moe_options *options,
                     const struct bench_time *time)
{
    struct bench_earlier earlier[BENCH_EARLIER];
    char line[MOE_CASE_LINE];
    if (keeper->store == NULL)
        return MOE_OK;
    moe_problem_print(time->problem, line, sizeof line);
    struct moe_store_timing timing = {.commit = keeper->commit,
                                      .host = keeper->host,
                                      .device = time->device,
                                      .driver = time->driver,
                                      .suite = keeper->suite,
                                      .line = line,
                                      .variant = time->variant,
                                      .part = time->part,
                                      .spread = time->spread,
                                      .runs = time->runs,
                                      .ceiling = time->ceiling};
    int count = moe_store_timings(keeper->store, &timing, earlier, BENCH_EARLIER);
    if (count < 0)
        return count;
    tell(options, &timing, earlier, count);
    return moe_store_timing_add(keeper->store, &timing);
}

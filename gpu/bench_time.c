/*
 * bench_time.c - how a time is taken: events around each step, the L2 cache read full of something
 * else before it, a warm-up, repetitions, their median.
 *
 * The sweep has a second use: while it runs the host enqueues the step, so that a step of many
 * short kernels is not timed by how fast the host calls the driver.
 */
#include <stdlib.h>
#include <time.h>

#include "gpu/bench_device.h"
#include "gpu/parts_launch.h"

#define SWEEP_LEAST ((int64_t)64 << 20)
/* What the context, cuBLAS and the code on the device take beside what is counted. */
#define RESERVE ((int64_t)768 << 20)

#define WARM_RUNS 3
#define WARM_SECONDS 0.2
#define WARM_PATIENCE 3.0
#define RUNS_MOST 200
#define RUNS_WANTED 20
#define RUNS_LEAST 5
#define SECONDS_WANTED 0.3
#define SECONDS_MOST 5.0

/* Opened at the first measurement; kept until the process ends. */
static struct moe_device *opened;

/* ---- the place ------------------------------------------------------------------------------- */

static int make_events(struct bench_place *place)
{
    int status = MOE_OK;
    for (int i = 0; i < BENCH_STEPS && status == MOE_OK; i++) {
        status = moe_device_event_create(place->queue.device, &place->begin[i]);
        if (status == MOE_OK)
            status = moe_device_event_create(place->queue.device, &place->end[i]);
    }
    return status;
}

int bench_place_open(struct bench_place *place)
{
    *place = (struct bench_place){.swept = NULL};
    int64_t cache = 0;
    int status = opened ? MOE_OK : moe_device_open(MOE_ON_CUDA, 0, &opened);
    if (status != MOE_OK)
        return status;
    place->queue.device = opened;
    status = moe_device_attribute(opened, MOE_DEVICE_L2_BYTES, &cache);
    place->swept_bytes = 2 * cache > SWEEP_LEAST ? 2 * cache : SWEEP_LEAST;
    if (status == MOE_OK)
        status = bench_place_fits(place, place->swept_bytes);
    if (status == MOE_OK)
        status = moe_device_stream_create(opened, &place->queue.stream);
    if (status == MOE_OK)
        status = moe_device_allocate(opened, place->swept_bytes, &place->swept);
    if (status == MOE_OK)
        status = moe_device_fill(opened, place->swept, 1, place->swept_bytes, place->queue.stream);
    if (status == MOE_OK)
        status = make_events(place);
    if (status != MOE_OK)
        bench_place_close(place);
    return status;
}

void bench_place_close(struct bench_place *place)
{
    for (int i = 0; i < BENCH_STEPS; i++) {
        if (place->begin[i])
            moe_device_event_destroy(place->queue.device, place->begin[i]);
        if (place->end[i])
            moe_device_event_destroy(place->queue.device, place->end[i]);
    }
    if (place->swept)
        moe_device_free(place->queue.device, place->swept);
    if (place->queue.stream)
        moe_device_stream_destroy(place->queue.device, place->queue.stream);
}

int bench_place_fits(struct bench_place *place, int64_t bytes)
{
    int64_t have = 0;
    int status = moe_device_attribute(place->queue.device, MOE_DEVICE_FREE_BYTES, &have);
    if (status == MOE_OK && bytes > have - RESERVE)
        status = moe_error(MOE_E_UNSUPPORTED,
                           "needs %.3f GB of the GPU's memory and 0.8 GB beside, %.3f GB are free",
                           1e-9 * (double)bytes, 1e-9 * (double)have);
    return status;
}

/* ---- time ------------------------------------------------------------------------------------ */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int sweep(struct bench_place *place)
{
    int64_t words = place->swept_bytes / 16;
    uint32_t never = 0x9e3779b9;
    void *args[] = {&words, &place->swept, &never, &place->swept};
    return launch_elements(&place->queue, "read_through", words, args);
}

/* Every step once, enqueued; then seconds[i] of each. */
static int run_once(struct bench_place *place, int count, int (*step)(void *context, int step),
                    void *context, double seconds[])
{
    struct moe_device *device = place->queue.device;
    void *stream = place->queue.stream;
    int status = MOE_OK;
    for (int i = 0; i < count && status == MOE_OK; i++) {
        status = sweep(place);
        if (status == MOE_OK)
            status = moe_device_event_record(device, place->begin[i], stream);
        if (status == MOE_OK)
            status = step(context, i);
        if (status == MOE_OK)
            status = moe_device_event_record(device, place->end[i], stream);
    }
    if (status == MOE_OK)
        status = moe_device_synchronize(device, stream);
    for (int i = 0; i < count && status == MOE_OK; i++) {
        double ms = 0;
        status = moe_device_event_elapsed(device, place->begin[i], place->end[i], &ms);
        seconds[i] = 1e-3 * ms;
    }
    return status;
}

static int enough(int runs, double seconds)
{
    return runs == RUNS_MOST || (runs >= RUNS_WANTED && seconds >= SECONDS_WANTED) ||
           (runs >= RUNS_LEAST && seconds >= SECONDS_MOST);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct moe_gpu_time summary(const double (*taken)[BENCH_STEPS], int runs, int step)
{
    double sorted[RUNS_MOST];
    for (int run = 0; run < runs; run++)
        sorted[run] = taken[run][step];
    qsort(sorted, (size_t)runs, sizeof *sorted, compare);
    double middle = 0.5 * (sorted[(runs - 1) / 2] + sorted[runs / 2]);
    return (struct moe_gpu_time){middle, sorted[0], sorted[runs - 1]};
}

int bench_time(struct bench_place *place, int count, int (*step)(void *context, int step),
               void *context, struct moe_gpu_time time[], double *repetitions)
{
    double taken[RUNS_MOST][BENCH_STEPS], begin = now();
    int status = MOE_OK, runs = 0;
    if (count < 1 || count > BENCH_STEPS)
        return moe_error(MOE_E_INTERNAL, "%d steps to be timed", count);
    while (status == MOE_OK && (runs < WARM_RUNS || now() - begin < WARM_SECONDS) &&
           now() - begin < WARM_PATIENCE) {
        status = run_once(place, count, step, context, taken[0]);
        runs++;
    }
    begin = now();
    runs = 0;
    while (status == MOE_OK && !enough(runs, now() - begin))
        status = run_once(place, count, step, context, taken[runs++]);
    for (int i = 0; i < count && status == MOE_OK; i++)
        time[i] = summary((const double(*)[BENCH_STEPS])taken, runs, i);
    if (status == MOE_OK && repetitions)
        *repetitions = runs;
    return status;
}

/*
 * bench_device.h - inside the benchmark: the device that is measured on, its memory, and time.
 */
#ifndef MOE_GPU_BENCH_DEVICE_H
#define MOE_GPU_BENCH_DEVICE_H

#include "gpu/bench.h"
#include "gpu/parts.h"

/* ---- bench_time.c ---------------------------------------------------------------------------- */

#define BENCH_STEPS 16

/* Where is measured: the device, a stream of its own, and a buffer larger than the L2 cache. */
struct bench_place {
    struct moe_gpu_queue queue;
    void *swept;
    int64_t swept_bytes;
    void *begin[BENCH_STEPS], *end[BENCH_STEPS]; /* events */
};

int bench_place_open(struct bench_place *place);
void bench_place_close(struct bench_place *place);

/* MOE_E_UNSUPPORTED, with both numbers, where so many more bytes are not free. */
int bench_place_fits(struct bench_place *place, int64_t bytes);

/* Runs the steps 0 .. count-1 in turn, again and again; time[i] is that of step i. *repetitions may
 * be NULL. What a step returns but MOE_OK ends it. */
int bench_time(struct bench_place *place, int count, int (*step)(void *context, int step),
               void *context, struct moe_gpu_time time[], double *repetitions);

/* ---- sensors.c ------------------------------------------------------------------------------- */

/* Clock and power of device 0 now; 0 where they cannot be asked. */
void sensors_read(double *mhz, double *watts);

#endif

/*
 * store_timing.h - times of benchmarks in a store (store.h).
 */
#ifndef MOE_STORE_TIMING_H
#define MOE_STORE_TIMING_H

#include "fuzz/store.h"
#include "verify/bench_trend.h"

struct moe_store_timing {
    const char *commit;                         /* or NULL */
    const char *host, *device, *driver, *suite; /* driver and suite may be NULL */
    const char *line, *variant, *part;
    struct bench_spread spread;
    int64_t runs;
    double ceiling; /* share of what the device can do; NaN: not known */
};

/* The last runs of the same line, variant, part, host and device, the newest first; their number or
 * a status. */
int moe_store_timings(struct moe_store *store, const struct moe_store_timing *like,
                      struct bench_earlier *earlier, int room);

int moe_store_timing_add(struct moe_store *store, const struct moe_store_timing *timing);

#endif

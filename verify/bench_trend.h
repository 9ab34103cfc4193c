/*
 * bench_trend.h - a measured time beside those of earlier runs.
 */
#ifndef MOE_BENCH_TREND_H
#define MOE_BENCH_TREND_H

/* Seconds; low and high are the quartiles of the run. */
struct bench_spread {
    double median, low, high;
};

struct bench_earlier {
    struct bench_spread spread;
    char commit[64]; /* "": not known */
    char date[24];
};

/* So many earlier runs count. */
#define BENCH_EARLIER 8

enum bench_change { BENCH_FIRST, BENCH_SAME, BENCH_FASTER, BENCH_SLOWER };

struct bench_trend {
    enum bench_change change;
    int before; /* the newest earlier run that was not as now; where SAME the newest; -1: none */
    int after;  /* the oldest that was as now since; -1: this run is the first */
};

/* `earlier` [count] is of the same case, variant, part, host and device, the newest first. */
struct bench_trend bench_trend_of(const struct bench_spread *now,
                                  const struct bench_earlier *earlier, int count);

#endif

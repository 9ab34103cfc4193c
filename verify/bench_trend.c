/*
 * bench_trend.c - has something become slower than it was, beyond what runs differ by anyhow?
 *
 * Each run has a median and quartiles. Two runs are told apart where their quartiles leave a gap
 * and their medians differ by more than 2 %. A night may be an odd one, so a run is held against
 * the last eight, and counts as slower or faster where it is so against three in four of them. Once
 * most of those eight are slow, that is what it takes: a change is told when it comes and for some
 * nights more.
 */
#include "verify/bench_trend.h"

#define SAME 0.02

static int is_slower(const struct bench_spread *one, const struct bench_spread *other)
{
    return one->low > other->high && one->median > (1 + SAME) * other->median;
}

/* The newest of the earlier runs that is not like this one begins the range of commits. */
static int last_unlike(const struct bench_spread *now, const struct bench_earlier *earlier,
                       int count, int slower)
{
    for (int i = 0; i < count; i++)
        if (slower ? is_slower(now, &earlier[i].spread) : is_slower(&earlier[i].spread, now))
            return i;
    return count - 1;
}

struct bench_trend bench_trend_of(const struct bench_spread *now,
                                  const struct bench_earlier *earlier, int count)
{
    int slower = 0, faster = 0;
    if (count > BENCH_EARLIER)
        count = BENCH_EARLIER;
    for (int i = 0; i < count; i++) {
        slower += is_slower(now, &earlier[i].spread);
        faster += is_slower(&earlier[i].spread, now);
    }
    if (count == 0)
        return (struct bench_trend){BENCH_FIRST, -1, -1};
    if (4 * slower < 3 * count && 4 * faster < 3 * count)
        return (struct bench_trend){BENCH_SAME, 0, -1};
    int last = last_unlike(now, earlier, count, 4 * slower >= 3 * count);
    return (struct bench_trend){4 * slower >= 3 * count ? BENCH_SLOWER : BENCH_FASTER, last,
                                last - 1};
}

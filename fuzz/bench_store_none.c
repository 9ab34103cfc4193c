/*
 * bench_store_none.c - a build without SQLite: --store is refused, and no times are kept.
 */
#include "verify/bench_command.h"

int bench_store_open(struct bench_keeper *keeper)
{
    return keeper->path == NULL
               ? MOE_OK
               : moe_error(MOE_E_UNSUPPORTED, "--store: this moecheck was built without SQLite");
}

void bench_store_close(struct bench_keeper *keeper)
{
    (void)keeper;
}

int bench_store_take(const struct bench_keeper *keeper, const struct moe_options *options,
                     const struct bench_time *time)
{
    (void)keeper, (void)options, (void)time;
    return MOE_OK;
}

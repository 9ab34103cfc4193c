/*
 * store_timing.c - times of benchmarks in a store: one row a run, and the rows of earlier runs.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <time.h>

#include "config.h"
#include "fuzz/store_timing.h"

static void read_row(struct sqlite3_stmt *statement, struct bench_earlier *earlier)
{
    const char *commit = (const char *)sqlite3_column_text(statement, 3);
    const char *date = (const char *)sqlite3_column_text(statement, 4);
    earlier->spread = (struct bench_spread){.median = sqlite3_column_double(statement, 0),
                                            .low = sqlite3_column_double(statement, 1),
                                            .high = sqlite3_column_double(statement, 2)};
    snprintf(earlier->commit, sizeof earlier->commit, "%s", commit != NULL ? commit : "");
    snprintf(earlier->date, sizeof earlier->date, "%s", date != NULL ? date : "");
}

int moe_store_timings(struct moe_store *store, const struct moe_store_timing *like,
                      struct bench_earlier *earlier, int room)
{
    struct sqlite3_stmt *statement;
    int count = 0;
    int status = moe_store_prepare(
        store, &statement,
        "SELECT median, low, high, commit_id, date(at, 'unixepoch') FROM timing WHERE line = ?1 "
        "AND variant = ?2 AND part = ?3 AND host = ?4 AND device = ?5 ORDER BY id DESC LIMIT ?6",
        "sssssi", like->line, like->variant, like->part, like->host, like->device, (int64_t)room);
    while (status == MOE_OK && count < room && (status = moe_store_step(store, statement)) == 1) {
        status = MOE_OK;
        read_row(statement, &earlier[count++]);
    }
    sqlite3_finalize(statement);
    return status == MOE_OK ? count : status;
}

int moe_store_timing_add(struct moe_store *store, const struct moe_store_timing *timing)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    return moe_store_run(
        store,
        "INSERT INTO timing(at, version, commit_id, host, device, driver, suite, line, variant, "
        "part, median, low, high, runs, ceiling) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, "
        "?11, ?12, ?13, ?14, ?15)",
        "rsssssssssrrrir", (double)at.tv_sec, PACKAGE_VERSION, timing->commit, timing->host,
        timing->device, timing->driver, timing->suite, timing->line, timing->variant, timing->part,
        timing->spread.median, timing->spread.low, timing->spread.high, timing->runs,
        timing->ceiling);
}

/*
 * store_campaign.c - campaigns in a store: known again, begun, gone on with, ended; the cases that
 * they began with, and failures of earlier ones.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "fuzz/store.h"

static double clock_time(void)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

/* SQLite's integers have a sign, so a seed is text. */
static void print_seed(uint64_t seed, char text[24])
{
    snprintf(text, 24, "%llu", (unsigned long long)seed);
}

/* ---- campaigns ------------------------------------------------------------------------------- */

int64_t moe_store_campaign_find(struct moe_store *store, const struct moe_store_campaign *campaign)
{
    struct sqlite3_stmt *statement;
    char seed[24];
    int64_t id = 0;
    print_seed(campaign->seed, seed);
    int status = moe_store_prepare(
        store, &statement,
        "SELECT id FROM campaign WHERE options = ?1 AND version = ?2 AND commit_id IS ?3 "
        "AND shard = ?4 AND shards = ?5 AND (seed = ?6 OR NOT ?7) AND ended IS NULL "
        "ORDER BY id DESC LIMIT 1",
        "sssiisi", campaign->options, PACKAGE_VERSION, campaign->commit, campaign->shard,
        campaign->shards, seed, (int64_t)campaign->seeded);
    if (status == MOE_OK && (status = moe_store_step(store, statement)) == 1) {
        id = sqlite3_column_int64(statement, 0);
        status = MOE_OK;
    }
    sqlite3_finalize(statement);
    return status == MOE_OK ? id : status;
}

int64_t moe_store_campaign_add(struct moe_store *store, const struct moe_store_campaign *campaign)
{
    char seed[24], host[80] = "";
    print_seed(campaign->seed, seed);
    (void)gethostname(host, sizeof host - 1);
    int status = moe_store_run(store,
                               "INSERT INTO campaign(seed, options, version, host, devices, "
                               "commit_id, shard, shards, started, seconds, resumed) "
                               "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0)",
                               "ssssssiir", seed, campaign->options, PACKAGE_VERSION, host,
                               campaign->devices, campaign->commit, campaign->shard,
                               campaign->shards, clock_time());
    if (status == MOE_OK) {
        store->campaign = sqlite3_last_insert_rowid(store->database);
        status = moe_store_lock(store, store->campaign);
    }
    return status == MOE_OK ? store->campaign : status;
}

int moe_store_campaign_resume(struct moe_store *store, int64_t id,
                              struct moe_store_progress *progress)
{
    struct sqlite3_stmt *statement;
    store->campaign = id;
    int status =
        moe_store_run(store, "UPDATE campaign SET resumed = resumed + 1 WHERE id = ?1", "i", id);
    if (status != MOE_OK)
        return status;
    status = moe_store_prepare(store, &statement,
                               "SELECT seed, seconds, resumed, "
                               "(SELECT count(*) FROM result WHERE campaign = ?1) "
                               "FROM campaign WHERE id = ?1",
                               "i", id);
    if (status == MOE_OK && (status = moe_store_step(store, statement)) == 1) {
        const char *seed = (const char *)sqlite3_column_text(statement, 0);
        progress->seed = seed != NULL ? strtoull(seed, NULL, 10) : 0;
        progress->seconds = sqlite3_column_double(statement, 1);
        progress->resumed = sqlite3_column_int64(statement, 2);
        progress->results = sqlite3_column_int64(statement, 3);
        status = MOE_OK;
    } else if (status == 0) {
        status = moe_error(MOE_E_IO, "%s: campaign %lld is gone", store->path, (long long)id);
    }
    sqlite3_finalize(statement);
    return status;
}

int moe_store_campaign_work(struct moe_store *store, double seconds)
{
    return moe_store_run(store, "UPDATE campaign SET seconds = ?2 WHERE id = ?1", "ir",
                         store->campaign, seconds);
}

int moe_store_campaign_end(struct moe_store *store, double seconds)
{
    return moe_store_run(store, "UPDATE campaign SET seconds = ?2, ended = ?3 WHERE id = ?1", "irr",
                         store->campaign, seconds, clock_time());
}

/* ---- cases ----------------------------------------------------------------------------------- */

int moe_store_case_add(struct moe_store *store, int64_t number, const char *origin,
                       const struct moe_problem *problem)
{
    char line[MOE_CASE_LINE];
    moe_problem_print(problem, line, sizeof line);
    return moe_store_run(store, "INSERT OR IGNORE INTO case_ VALUES(?1, ?2, ?3, ?4)", "iiss",
                         store->campaign, number, origin, line);
}

/* The problem of a column. 0: no case can be read there. */
static int read_line(struct sqlite3_stmt *statement, int column, struct moe_problem *problem)
{
    const char *line = (const char *)sqlite3_column_text(statement, column);
    return line != NULL && moe_problem_parse(line, problem) == MOE_OK;
}

int moe_store_cases(struct moe_store *store,
                    int (*take)(void *context, const char *origin,
                                const struct moe_problem *problem),
                    void *context)
{
    struct sqlite3_stmt *statement;
    struct moe_problem problem;
    int status =
        moe_store_prepare(store, &statement,
                          "SELECT origin, line FROM case_ WHERE campaign = ?1 AND origin IN "
                          "('ledger', 'corpus', 'failure') ORDER BY number",
                          "i", store->campaign);
    while (status == MOE_OK && (status = moe_store_step(store, statement)) == 1)
        if (read_line(statement, 1, &problem))
            status = take(context, (const char *)sqlite3_column_text(statement, 0), &problem);
        else /* the numbers of all that follow would be others */
            status = moe_error(MOE_E_IO, "%s: a case of campaign %lld is none: %s", store->path,
                               (long long)store->campaign,
                               (const char *)sqlite3_column_text(statement, 1));
    sqlite3_finalize(statement);
    return status;
}

int moe_store_failures(struct moe_store *store,
                       int (*take)(void *context, const struct moe_problem *problem), void *context)
{
    struct sqlite3_stmt *statement;
    struct moe_problem problem;
    int status = moe_store_prepare(
        store, &statement,
        "SELECT minimal, line FROM failure LEFT JOIN case_ ON case_.campaign = failure.campaign "
        "AND case_.number = failure.first ORDER BY failure.campaign DESC, failure.first",
        "");
    while (status == MOE_OK && (status = moe_store_step(store, statement)) == 1) {
        status = MOE_OK;
        for (int column = 0; status == MOE_OK && column < 2; column++)
            if (read_line(statement, column, &problem))
                status = take(context, &problem);
    }
    sqlite3_finalize(statement);
    return status;
}

/*
 * report_gather.c - one campaign of each store, and all timings and floors, copied into a database
 * of our own.
 *
 * The shards of a night that ran on several machines have a store each; together in one database
 * they are asked as one. A store is read in one transaction, so that a campaign that still runs is
 * seen as it was at one moment, and is never written to.
 */
#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/report.h"
#include "fuzz/store_schema.h"

#define PATIENCE 10000 /* ms to wait for one who has the store locked */
#define NIGHTS "30"    /* of each store */

/* What is copied of a campaign (?1 its number there, ?2 here), and of the store as a whole. */
static const char *const copies[] = {
    "INSERT INTO main.source SELECT ?2, ?3, ?1",
    "INSERT INTO main.campaign SELECT ?2, seed, options, version, host, devices, commit_id, shard,"
    " shards, started, ended, seconds, resumed FROM store.campaign WHERE id = ?1",
    "INSERT INTO main.case_ SELECT ?2, number, origin, line FROM store.case_ WHERE campaign = ?1",
    "INSERT INTO main.result SELECT ?2, number, variant, device, verdict, version, at,"
    " variant_seconds, judge_seconds, ratio, judged, finding_count, worker FROM store.result"
    " WHERE campaign = ?1",
    "INSERT INTO main.finding SELECT ?2, number, variant, ordinal, check_, verdict, tensor, text,"
    " geometry, words, row_, col, expert, token, slot, got, want, allowed FROM store.finding"
    " WHERE campaign = ?1",
    "INSERT INTO main.picture SELECT ?2, number, variant, ordinal, rows, cols, cells"
    " FROM store.picture WHERE campaign = ?1",
    "INSERT INTO main.ratio SELECT ?2, number, variant, tensor, ratio FROM store.ratio"
    " WHERE campaign = ?1",
    "INSERT INTO main.failure SELECT ?2, class_, variant, count, first, minimal, command, again,"
    " runs, whole FROM store.failure WHERE campaign = ?1",
};
static const char *const copies_of_store[] = {
    "INSERT INTO main.timing SELECT NULL, at, version, commit_id, host, device, driver, suite,"
    " line, variant, part, median, low, high, runs, ceiling FROM store.timing",
    "INSERT INTO main.floor_ SELECT NULL, at, version, name, value, low, high, unit"
    " FROM store.floor_",
    "INSERT INTO main.night SELECT ?2, c.id, c.started, c.seed, c.version, c.commit_id, c.seconds,"
    " count(DISTINCT r.number), total(r.verdict = 'PASS'), total(r.verdict = 'FAIL'),"
    " total(r.verdict = 'ERROR'), total(r.verdict = 'SKIP'), total(r.verdict = 'KNOWN')"
    " FROM (SELECT * FROM store.campaign ORDER BY id DESC LIMIT " NIGHTS ") AS c"
    " LEFT JOIN store.result AS r ON r.campaign = c.id GROUP BY c.id",
};

static const char scratch[] =
    "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
    "CREATE TABLE source(campaign INTEGER, path TEXT, id INTEGER);"
    "CREATE TABLE check_(campaign INTEGER, number INTEGER, name TEXT);"
    "CREATE TABLE night(campaign INTEGER, id INTEGER, started REAL, seed TEXT, version TEXT,"
    " commit_id TEXT, seconds REAL, cases INTEGER, pass INTEGER, fail INTEGER, error INTEGER,"
    " skip INTEGER, known INTEGER);";

/* ---- a store --------------------------------------------------------------------------------- */

/* A pipe would be waited for, and SQLite says only that it cannot open. */
static int check_file(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return moe_error(MOE_E_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return moe_error(MOE_E_USAGE, "%s: not a file", path);
    if (access(path, R_OK) != 0)
        return moe_error(MOE_E_IO, "%s: %s", path, strerror(errno));
    return MOE_OK;
}

/* The path as an address, to be opened for reading only. To be freed. */
static char *address_of(const char *path, const char *parameters)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./";
    size_t size = 3 * strlen(path) + strlen(parameters) + 16;
    char *address = malloc(size), *end;
    if (address == NULL)
        return NULL;
    end = address + snprintf(address, size, "file:%s", *path == '/' ? "//" : "./");
    for (; *path != '\0'; path++)
        if (strchr(plain, *path) != NULL)
            *end++ = *path;
        else
            end += snprintf(end, 4, "%%%02X", (unsigned char)*path);
    snprintf(end, size - (size_t)(end - address), "?%s", parameters);
    return address;
}

static int attach(struct report *report, const char *path, const char *parameters)
{
    char *address = address_of(path, parameters);
    struct sqlite3_stmt *statement = NULL;
    int code = SQLITE_NOMEM;
    if (address != NULL)
        code = sqlite3_prepare_v2(report->database, "ATTACH ?1 AS store", -1, &statement, NULL);
    if (code == SQLITE_OK)
        sqlite3_bind_text(statement, 1, address, -1, SQLITE_TRANSIENT);
    if (code == SQLITE_OK && sqlite3_step(statement) == SQLITE_DONE)
        code = SQLITE_DONE;
    sqlite3_finalize(statement);
    free(address);
    return code == SQLITE_DONE ? MOE_OK : MOE_E_IO;
}

/* The version, which is also the first thing that is read. -1: it cannot be. */
static int64_t version_of(struct report *report)
{
    struct sqlite3_stmt *statement;
    int64_t version = -1;
    if (sqlite3_prepare_v2(report->database, "PRAGMA store.user_version", -1, &statement, NULL) !=
        SQLITE_OK)
        return -1;
    if (sqlite3_step(statement) == SQLITE_ROW)
        version = sqlite3_column_int64(statement, 0);
    return sqlite3_finalize(statement) == SQLITE_OK ? version : -1;
}

/* Has the store a log of what is not yet in it? */
static int has_log(const char *path)
{
    struct stat status;
    size_t size = strlen(path) + 8;
    char *log = malloc(size);
    if (log == NULL)
        return 1;
    snprintf(log, size, "%s-wal", path);
    int there = stat(log, &status) == 0 && status.st_size > 0;
    free(log);
    return there;
}

/* May a failure to open be for want of a file beside the store? */
static int wants_file(const struct report *report)
{
    int code = sqlite3_errcode(report->database) & 0xff;
    return code == SQLITE_CANTOPEN || code == SQLITE_READONLY;
}

/* A store whose log is written ahead needs a file beside it even to be read. Where the folder is
 * not ours to write and no log is there, nobody writes, and the store can be read as it is. */
static void open_store(struct report *report, const char *path)
{
    int64_t version = -1;
    report->status = check_file(path);
    if (report->status != MOE_OK)
        return;
    int opened = attach(report, path, "mode=ro");
    if (opened == MOE_OK)
        version = version_of(report);
    if (version < 0 && wants_file(report) && !has_log(path)) {
        if (opened == MOE_OK)
            sqlite3_exec(report->database, "DETACH store", NULL, NULL, NULL);
        opened = attach(report, path, "mode=ro&immutable=1");
        if (opened == MOE_OK)
            version = version_of(report);
    }
    if (version < 0)
        report_refuse(report, path);
    else if (version == 0)
        report->status = moe_error(MOE_E_USAGE, "%s: not a store of campaigns", path);
    else if (version != MOE_STORE_VERSION)
        report->status =
            moe_error(MOE_E_USAGE, "%s: a store of version %lld; this program knows version %d",
                      path, (long long)version, MOE_STORE_VERSION);
}

/* ---- copies ---------------------------------------------------------------------------------- */

static void copy(struct report *report, const char *sql, int64_t id, int64_t here, const char *path)
{
    struct sqlite3_stmt *statement = NULL;
    if (report->status != MOE_OK)
        return;
    int code = sqlite3_prepare_v2(report->database, sql, -1, &statement, NULL);
    int wanted = code == SQLITE_OK ? sqlite3_bind_parameter_count(statement) : 0;
    if (code == SQLITE_OK && wanted >= 1)
        code = sqlite3_bind_int64(statement, 1, id);
    if (code == SQLITE_OK && wanted >= 2)
        code = sqlite3_bind_int64(statement, 2, here);
    if (code == SQLITE_OK && wanted >= 3)
        code = sqlite3_bind_text(statement, 3, path, -1, SQLITE_TRANSIENT);
    if (code != SQLITE_OK || sqlite3_step(statement) != SQLITE_DONE)
        report_refuse(report, path);
    sqlite3_finalize(statement);
}

/* The campaign that was asked for, or the last; 0: the store has none. */
static int64_t choose(struct report *report, const char *path, int64_t id)
{
    if (id == 0)
        return report_count(report, "SELECT max(id) FROM store.campaign", "");
    if (report_count(report, "SELECT count(*) FROM store.campaign WHERE id = ?", "i", id) == 0 &&
        report->status == MOE_OK)
        report->status = moe_error(MOE_E_USAGE, "%s: has no campaign %lld", path, (long long)id);
    return id;
}

static int has_names_of_checks(struct report *report)
{
    return report_count(report, "SELECT count(*) FROM store.sqlite_master WHERE name = 'check_'",
                        "") > 0;
}

static void gather(struct report *report, const char *path, int64_t here, int64_t wanted)
{
    open_store(report, path);
    report_run(report, "BEGIN");
    int64_t id = choose(report, path, wanted);
    for (size_t i = 0; id > 0 && i < sizeof copies / sizeof *copies; i++)
        copy(report, copies[i], id, here, path);
    if (id > 0 && has_names_of_checks(report))
        copy(report,
             "INSERT INTO main.check_ SELECT ?2, number, name FROM store.check_"
             " WHERE campaign = ?1",
             id, here, path);
    for (size_t i = 0; i < sizeof copies_of_store / sizeof *copies_of_store; i++)
        copy(report, copies_of_store[i], id, here, path);
    report_run(report, "COMMIT; DETACH store");
}

int report_gather(struct report *report, char *const *paths, int count, int64_t id)
{
    *report = (struct report){.status = MOE_OK};
    /* "" is a file of its own that nobody sees, and that is gone in the end */
    if (sqlite3_open_v2("", &report->database,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI,
                        NULL) != SQLITE_OK)
        return report->status = moe_error(MOE_E_NOMEM, "report: no scratch database");
    sqlite3_busy_timeout(report->database, PATIENCE);
    report_run(report, moe_store_schema);
    report_run(report, scratch);
    for (int i = 0; i < count && report->status == MOE_OK; i++)
        gather(report, paths[i], i + 1, id);
    report_classes(report);
    return report->status;
}

void report_close(struct report *report)
{
    sqlite3_close(report->database);
    report->database = NULL;
}

int report_has_campaign(struct report *report)
{
    return report_count(report, "SELECT count(*) FROM campaign", "") > 0;
}

int report_has_anything(struct report *report)
{
    return report_count(report,
                        "SELECT (SELECT count(*) FROM campaign) + (SELECT count(*) FROM timing) +"
                        " (SELECT count(*) FROM floor_)",
                        "") > 0;
}

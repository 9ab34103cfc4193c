/*
 * t_store.c - a store of campaigns: made, opened again, refused where it is another file; what a
 * full disk and a second process do to it.
 */
#include <check.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/store_timing.h"

static char folder[64], path[96];

static void make_folder(void)
{
    strcpy(folder, "/tmp/moecheck-store.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/store", folder);
}

static void remove_folder(void)
{
    static const char *const end[] = {"", "-wal", "-shm"};
    char name[128];
    for (size_t i = 0; i < sizeof end / sizeof *end; i++) {
        snprintf(name, sizeof name, "%s%s", path, end[i]);
        unlink(name);
    }
    rmdir(folder);
}

static struct moe_store *open_store(void)
{
    struct moe_store *store = NULL;
    ck_assert_int_eq(moe_store_open(path, MOE_STORE_WRITE, 10, &store), MOE_OK);
    return store;
}

/* The one number that a query gives. */
static int64_t number(struct moe_store *store, const char *sql)
{
    struct sqlite3_stmt *statement;
    ck_assert_int_eq(moe_store_prepare(store, &statement, sql, ""), MOE_OK);
    ck_assert_int_eq(moe_store_step(store, statement), 1);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

START_TEST(opened_again)
{
    struct moe_store *store = open_store();
    ck_assert_int_eq(moe_store_run(store, "INSERT INTO case_ VALUES(?1, ?2, ?3, ?4)", "iiss",
                                   (int64_t)1, (int64_t)2, "array", "T=1"),
                     MOE_OK);
    moe_store_close(store);
    store = open_store();
    ck_assert_int_eq(number(store, "SELECT count(*) FROM case_"), 1);
    ck_assert_int_eq(number(store, "PRAGMA user_version"), 1);
    moe_store_close(store);
}
END_TEST

static void expect_refused(enum moe_store_mode mode, int status, const char *text)
{
    struct moe_store *store = NULL;
    ck_assert_int_eq(moe_store_open(path, mode, 0.1, &store), status);
    ck_assert_ptr_null(store);
    ck_assert_msg(strstr(moe_error_text(), text) != NULL, "'%s'", moe_error_text());
    ck_assert_ptr_nonnull(strstr(moe_error_text(), path));
}

/* Its journal is as it was. */
static int expect_delete(void *context, int count, char **value, char **name)
{
    (void)context, (void)count, (void)name;
    ck_assert_str_eq(value[0], "delete");
    return 0;
}

START_TEST(other_files)
{
    expect_refused(MOE_STORE_READ, MOE_E_IO, "unable to open");
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 200; i++)
        fputs("no database at all\n", file);
    fclose(file);
    expect_refused(MOE_STORE_WRITE, MOE_E_USAGE, "not a store");
    unlink(path);

    sqlite3 *other;
    ck_assert_int_eq(sqlite3_open(path, &other), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(other, "CREATE TABLE other(a)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    expect_refused(MOE_STORE_WRITE, MOE_E_USAGE, "not a store");
    expect_refused(MOE_STORE_READ, MOE_E_USAGE, "not a store");
    ck_assert_int_eq(sqlite3_open(path, &other), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(other, "PRAGMA journal_mode", expect_delete, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(other);
    unlink(path);

    struct moe_store *store = open_store();
    ck_assert_int_eq(moe_store_execute(store, "PRAGMA user_version = 7"), MOE_OK);
    moe_store_close(store);
    expect_refused(MOE_STORE_WRITE, MOE_E_USAGE, "version 7; this program knows 1");
}
END_TEST

/* Times of the same case, variant, part, host and device come back, the newest first. */
START_TEST(timings)
{
    struct moe_store *store = open_store();
    struct moe_store_timing timing = {.host = "h",
                                      .device = "cpu",
                                      .line = "T=1",
                                      .variant = "naive",
                                      .part = "forward",
                                      .spread = {2, 1, 3},
                                      .runs = 5};
    struct bench_earlier earlier[2];
    ck_assert_int_eq(moe_store_timings(store, &timing, earlier, 2), 0);
    for (int i = 0; i < 3; i++) {
        timing.commit = i == 2 ? "c2" : NULL;
        timing.spread.median = 2 + i;
        ck_assert_int_eq(moe_store_timing_add(store, &timing), MOE_OK);
    }
    const char **const key[] = {&timing.host, &timing.device, &timing.line, &timing.variant,
                                &timing.part};
    for (size_t i = 0; i < sizeof key / sizeof *key; i++) {
        const char *value = *key[i];
        *key[i] = "other";
        ck_assert_int_eq(moe_store_timings(store, &timing, earlier, 2), 0);
        *key[i] = value;
    }
    ck_assert_int_eq(moe_store_timings(store, &timing, earlier, 2), 2);
    ck_assert(earlier[0].spread.median == 4 && earlier[1].spread.median == 3);
    ck_assert(earlier[0].spread.low == 1 && earlier[0].spread.high == 3);
    ck_assert_str_eq(earlier[0].commit, "c2");
    ck_assert_str_eq(earlier[1].commit, "");
    moe_store_close(store);
}
END_TEST

/* A transaction for which the disk has no room is undone, and what was there stays. */
START_TEST(full_disk)
{
    struct moe_store *store = open_store();
    int64_t i = 0;
    int status = MOE_OK;
    ck_assert_int_eq(moe_store_execute(store, "PRAGMA max_page_count = 40"), MOE_OK);
    for (; status == MOE_OK && i < 1000; i++) {
        status = moe_store_transaction(store);
        for (int k = 0; status == MOE_OK && k < 100; k++)
            status = moe_store_run(store, "INSERT INTO case_ VALUES(?1, ?2, 'array', ?3)", "iis", i,
                                   (int64_t)k, "T=1 and what else a line may hold");
        status = moe_store_transaction_end(store, status);
    }
    ck_assert_int_eq(status, MOE_E_IO);
    ck_assert_msg(strstr(moe_error_text(), "full") != NULL, "'%s'", moe_error_text());
    ck_assert_int_gt(i, 1);
    ck_assert_int_eq(number(store, "SELECT count(*) FROM case_"), 100 * (i - 1));
    ck_assert_int_eq(moe_store_execute(store, "PRAGMA max_page_count = 4000"), MOE_OK);
    ck_assert_int_eq(moe_store_run(store, "INSERT INTO case_ VALUES(-1, 0, 'array', '')", ""),
                     MOE_OK);
    moe_store_close(store);
}
END_TEST

/* Another connection that holds the file for longer than one's patience; then it lets go. */
START_TEST(locked)
{
    struct moe_store *store = open_store(), *other = open_store();
    moe_store_close(store);
    ck_assert_int_eq(moe_store_open(path, MOE_STORE_WRITE, 0.05, &store), MOE_OK);
    ck_assert_int_eq(moe_store_transaction(other), MOE_OK);
    ck_assert_int_eq(moe_store_transaction(store), MOE_E_IO);
    ck_assert_ptr_nonnull(strstr(moe_error_text(), "another process"));
    ck_assert_int_eq(moe_store_transaction_end(other, MOE_OK), MOE_OK);
    ck_assert_int_eq(moe_store_transaction(store), MOE_OK);
    ck_assert_int_eq(moe_store_transaction_end(store, MOE_OK), MOE_OK);
    moe_store_close(store);
    moe_store_close(other);
}
END_TEST

/* The lock of a campaign ends with its process, and is no other campaign's. */
START_TEST(campaigns_locked)
{
    struct moe_store *store = open_store();
    int ready[2];
    char byte;
    ck_assert_int_eq(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct moe_store *own = NULL;
        if (moe_store_open(path, MOE_STORE_WRITE, 10, &own) != MOE_OK ||
            moe_store_lock(own, 3) != MOE_OK || write(ready[1], "", 1) != 1)
            _exit(1);
        pause();
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    store->patience = 0.05;
    ck_assert_int_eq(moe_store_lock(store, 3), MOE_E_IO);
    ck_assert_int_eq(moe_store_lock(store, 4), MOE_OK);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    ck_assert_int_eq(moe_store_lock(store, 3), MOE_OK);
    moe_store_close(store);
    close(ready[0]);
    close(ready[1]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store");
    TCase *tests = tcase_create("store");
    tcase_add_checked_fixture(tests, make_folder, remove_folder);
    tcase_add_test(tests, opened_again);
    tcase_add_test(tests, other_files);
    tcase_add_test(tests, timings);
    tcase_add_test(tests, full_disk);
    tcase_add_test(tests, locked);
    tcase_add_test(tests, campaigns_locked);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/*
 * store.c - a store opened and spoken to: statements, transactions, and its errors in words.
 *
 * The log is written ahead (WAL), so readers never wait, and each transaction is on the disk when
 * it has ended: neither the end of the process nor that of the machine's power takes it away.
 */
#include <math.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/store.h"
#include "fuzz/store_schema.h"

int moe_store_error(const struct moe_store *store)
{
    int code = sqlite3_errcode(store->database);
    int system = sqlite3_system_errno(store->database);
    int of_file = code == SQLITE_FULL || code == SQLITE_IOERR || code == SQLITE_CANTOPEN;
    if (code == SQLITE_NOMEM)
        return moe_error(MOE_E_NOMEM, "%s: no memory", store->path);
    if (code == SQLITE_NOTADB)
        return moe_error(MOE_E_USAGE, "%s: not a store of campaigns", store->path);
    if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
        return moe_error(MOE_E_IO, "%s: another process has held it locked for %g s", store->path,
                         store->patience);
    return moe_error(MOE_E_IO, "%s: %s%s%s", store->path, sqlite3_errmsg(store->database),
                     of_file && system != 0 ? ": " : "",
                     of_file && system != 0 ? strerror(system) : "");
}

int moe_store_execute(struct moe_store *store, const char *sql)
{
    return sqlite3_exec(store->database, sql, NULL, NULL, NULL) == SQLITE_OK
               ? MOE_OK
               : moe_store_error(store);
}

/* ---- statements ------------------------------------------------------------------------------ */

static int bind(struct sqlite3_stmt *statement, const char *types, va_list arguments)
{
    int code = SQLITE_OK;
    for (int i = 1; code == SQLITE_OK && types[i - 1] != '\0'; i++)
        if (types[i - 1] == 'i')
            code = sqlite3_bind_int64(statement, i, va_arg(arguments, int64_t));
        else if (types[i - 1] == 'r')
            code = sqlite3_bind_double(statement, i, va_arg(arguments, double));
        else if (types[i - 1] == 'b') {
            const void *bytes = va_arg(arguments, const void *);
            code = sqlite3_bind_blob64(
                statement, i, bytes, (sqlite3_uint64)va_arg(arguments, int64_t), SQLITE_TRANSIENT);
        } else
            code = sqlite3_bind_text(statement, i, va_arg(arguments, const char *), -1,
                                     SQLITE_TRANSIENT);
    return code;
}

static int prepare(struct moe_store *store, struct sqlite3_stmt **statement, const char *sql,
                   const char *types, va_list arguments)
{
    *statement = NULL;
    if (sqlite3_prepare_v2(store->database, sql, -1, statement, NULL) == SQLITE_OK &&
        bind(*statement, types, arguments) == SQLITE_OK)
        return MOE_OK;
    int status = moe_store_error(store);
    sqlite3_finalize(*statement);
    *statement = NULL;
    return status;
}

int moe_store_prepare(struct moe_store *store, struct sqlite3_stmt **statement, const char *sql,
                      const char *types, ...)
{
    va_list arguments;
    va_start(arguments, types);
    int status = prepare(store, statement, sql, types, arguments);
    va_end(arguments);
    return status;
}

int moe_store_step(struct moe_store *store, struct sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : moe_store_error(store);
}

int moe_store_run(struct moe_store *store, const char *sql, const char *types, ...)
{
    struct sqlite3_stmt *statement;
    va_list arguments;
    va_start(arguments, types);
    int status = prepare(store, &statement, sql, types, arguments);
    va_end(arguments);
    while (status == MOE_OK && (status = moe_store_step(store, statement)) == 1)
        status = MOE_OK;
    sqlite3_finalize(statement);
    return status;
}

int moe_store_transaction(struct moe_store *store)
{
    return moe_store_execute(store, "BEGIN IMMEDIATE");
}

int moe_store_transaction_end(struct moe_store *store, int status)
{
    if (status == MOE_OK)
        status = moe_store_execute(store, "COMMIT");
    /* some errors have undone it already */
    if (status != MOE_OK && !sqlite3_get_autocommit(store->database))
        (void)sqlite3_exec(store->database, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/* ---- open and close -------------------------------------------------------------------------- */

static int version(struct moe_store *store, int64_t *version)
{
    struct sqlite3_stmt *statement;
    int status = moe_store_prepare(store, &statement, "PRAGMA user_version", "");
    if (status == MOE_OK && (status = moe_store_step(store, statement)) == 1) {
        *version = sqlite3_column_int64(statement, 0);
        status = MOE_OK;
    }
    sqlite3_finalize(statement);
    return status;
}

/* A file with tables of another kind has version 0 too. */
static int is_empty(struct moe_store *store, int *empty)
{
    struct sqlite3_stmt *statement;
    int status = moe_store_prepare(store, &statement, "SELECT 1 FROM sqlite_schema", "");
    if (status == MOE_OK) {
        int row = moe_store_step(store, statement);
        *empty = row == 0;
        status = row < 0 ? row : MOE_OK;
    }
    sqlite3_finalize(statement);
    return status;
}

/* Makes the tables where the file is empty. */
static int make(struct moe_store *store)
{
    int64_t found = 0;
    int empty = 0;
    int status = is_empty(store, &empty);
    if (status == MOE_OK && empty)
        status = moe_store_execute(store, "PRAGMA journal_mode = WAL");
    if (status == MOE_OK && empty)
        status = moe_store_transaction(store);
    if (status != MOE_OK || !empty)
        return status;
    status = version(store, &found);
    if (status == MOE_OK && found == 0)
        status = moe_store_execute(store, moe_store_schema);
    return moe_store_transaction_end(store, status);
}

/* Two processes may come here at once, and SQLite does not wait where it changes the journal. */
static int make_alone(struct moe_store *store)
{
    int status = moe_store_lock(store, MOE_STORE_MAKING);
    if (status != MOE_OK)
        return status;
    status = make(store);
    moe_store_unlock(store, MOE_STORE_MAKING);
    return status == MOE_OK ? moe_store_execute(store, "PRAGMA synchronous = FULL") : status;
}

static int check_version(struct moe_store *store)
{
    int64_t found = 0;
    int status = version(store, &found);
    if (status != MOE_OK || found == MOE_STORE_VERSION)
        return status;
    if (found == 0)
        return moe_error(MOE_E_USAGE, "%s: not a store of campaigns", store->path);
    return moe_error(MOE_E_USAGE, "%s: a store of version %lld; this program knows %d", store->path,
                     (long long)found, MOE_STORE_VERSION);
}

static int open_database(struct moe_store *store, enum moe_store_mode mode)
{
    int flags =
        mode == MOE_STORE_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    if (sqlite3_open_v2(store->path, &store->database, flags, NULL) != SQLITE_OK)
        return store->database != NULL ? moe_store_error(store)
                                       : moe_error(MOE_E_NOMEM, "%s: no memory", store->path);
    sqlite3_busy_timeout(store->database, (int)fmin(1e3 * store->patience, 1e9));
    return MOE_OK;
}

int moe_store_open(const char *path, enum moe_store_mode mode, double patience,
                   struct moe_store **store)
{
    struct moe_store *new = calloc(1, sizeof *new);
    if (new == NULL || (new->path = strdup(path)) == NULL) {
        free(new);
        return moe_error(MOE_E_NOMEM, "%s: no memory", path);
    }
    new->patience = patience;
    new->lock = -1;
    int status = open_database(new, mode);
    if (status == MOE_OK && mode == MOE_STORE_WRITE)
        status = make_alone(new);
    if (status == MOE_OK)
        status = check_version(new);
    if (status == MOE_OK)
        *store = new;
    else
        moe_store_close(new);
    return status;
}

void moe_store_close(struct moe_store *store)
{
    if (store == NULL)
        return;
    sqlite3_close(store->database);
    /* behind SQLite's own: with any descriptor of the file a process gives up its locks on it */
    if (store->lock >= 0)
        close(store->lock);
    free(store->path);
    free(store);
}

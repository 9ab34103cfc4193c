/*
 * store.h - a file of campaigns and their results, in SQLite: store_schema.h has its tables.
 * Prototypes stand under the file that holds them. Only in a build with SQLite.
 *
 * Several processes may have one store open. Each writes in short transactions, so that after the
 * end of any of them, however it came, every transaction is there whole or not at all. A store that
 * another has locked is waited for; what takes longer, a full disk, a damaged file is MOE_E_IO,
 * with the file's name in the text, and the store is as it was.
 */
#ifndef MOE_STORE_H
#define MOE_STORE_H

#include <stdint.h>

#include "verify/worker.h"

struct sqlite3;
struct sqlite3_stmt;

/* ---- store.c: open, close, statements -------------------------------------------------------- */

struct moe_store {
    struct sqlite3 *database;
    char *path;
    int lock;         /* descriptor that holds the lock of the campaign; -1: none */
    double patience;  /* seconds to wait for others */
    int64_t campaign; /* that is being run; 0: none */
};

enum moe_store_mode { MOE_STORE_READ, MOE_STORE_WRITE };

/* Opens; to write, makes the file where there is none. MOE_E_USAGE: a file of another kind or
 * version; MOE_E_IO; MOE_E_NOMEM. Close with moe_store_close. */
int moe_store_open(const char *path, enum moe_store_mode mode, double patience,
                   struct moe_store **store);
void moe_store_close(struct moe_store *store); /* NULL is allowed */

/* What SQLite says of the last call, as an error of this file. */
int moe_store_error(const struct moe_store *store);

/* Statements without results. */
int moe_store_execute(struct moe_store *store, const char *sql);

/* Prepares a statement, and binds each letter of `types` to an argument, the first to ?1: i
 * int64_t, r double (NaN: NULL), s const char * (NULL: NULL). */
int moe_store_prepare(struct moe_store *store, struct sqlite3_stmt **statement, const char *sql,
                      const char *types, ...);
/* Steps to the next row. 1: there is one; 0: no more; else a status. */
int moe_store_step(struct moe_store *store, struct sqlite3_stmt *statement);
/* Prepares, binds, and runs to the end. */
int moe_store_run(struct moe_store *store, const char *sql, const char *types, ...);

/* A transaction; where `status` is not MOE_OK its end undoes it, and returns that. */
int moe_store_transaction(struct moe_store *store);
int moe_store_transaction_end(struct moe_store *store, int status);

/* ---- store_lock.c ---------------------------------------------------------------------------- */

/* Locks among those who write to a store, which end with their holder, however that ends. That of a
 * campaign has its id. */
enum { MOE_STORE_MAKING = 0 };

/* Waits for another holder as long as the store's patience. MOE_E_IO: that was not enough. */
int moe_store_lock(struct moe_store *store, int64_t number);
void moe_store_unlock(struct moe_store *store, int64_t number);

#endif

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
 * int64_t, r double (NaN: NULL), s const char * (NULL: NULL), b const void * and its int64_t bytes.
 */
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

/* ---- store_campaign.c: campaigns and their cases ----------------------------------------------
 */

/* What a campaign is known again by: the same of all these, of this version of the program, not yet
 * at its end. */
struct moe_store_campaign {
    uint64_t seed;
    int seeded;          /* 0: any seed will do */
    const char *options; /* those that decide what is judged, as text */
    const char *commit;  /* of what is judged, or NULL */
    int64_t shard, shards;
    const char *devices; /* for those who read it later */
};

struct moe_store_progress {
    uint64_t seed;
    double seconds;  /* that it has been worked on */
    int64_t resumed; /* times */
    int64_t results;
};

/* The id of the unfinished campaign, the latest of several; 0: none. Or a status. */
int64_t moe_store_campaign_find(struct moe_store *store, const struct moe_store_campaign *campaign);
/* Adds a campaign and locks it; to be called within a transaction. The id, or a status. */
int64_t moe_store_campaign_add(struct moe_store *store, const struct moe_store_campaign *campaign);
/* Goes on with one that is locked: counts that, and tells how far it has come. */
int moe_store_campaign_resume(struct moe_store *store, int64_t id,
                              struct moe_store_progress *progress);
int moe_store_campaign_work(struct moe_store *store, double seconds); /* in all */
int moe_store_campaign_end(struct moe_store *store, double seconds);

int moe_store_case_add(struct moe_store *store, int64_t number, const char *origin,
                       const struct moe_problem *problem);

/* Of the store's campaign, in the order of their numbers: the cases with which it began. */
int moe_store_cases(struct moe_store *store,
                    int (*take)(void *context, const char *origin,
                                const struct moe_problem *problem),
                    void *context);

/* The first case of each kind of failure of each campaign, and what it was shrunk to; those of the
 * latest campaign first. Lines that no case can be read from are left out. */
int moe_store_failures(struct moe_store *store,
                       int (*take)(void *context, const struct moe_problem *problem),
                       void *context);

/* ---- store_result.c -------------------------------------------------------------------------- */

/* A result, and what it does not say itself. */
struct moe_kept {
    struct moe_result result; /* its ticket is the number of its case */
    const char *origin;       /* of the case: "array" ... */
    const char *device;       /* "cpu", "cuda", "ptx"; NULL: not known */
    int known;                /* it fails, as the ledger knows */
    double at;                /* seconds since 1970 */
    char worker[96];          /* host:rank */
};

/* Writes it, in the place of one of the same case and variant. */
int moe_store_result(struct moe_store *store, const struct moe_kept *kept);

/* 1: there is a result of that case and variant; or a status. */
int moe_store_has(struct moe_store *store, int64_t number, const char *variant);

/* All results of the campaign by case and variant. Of findings what is shown and counted; what a
 * result does not need to be counted (the counts of wrong elements) is 0. */
int moe_store_results(struct moe_store *store,
                      int (*take)(void *context, const struct moe_result *result), void *context);

/* ---- store_failure.c: kinds of failures -------------------------------------------------------
 */

struct moe_failure_class;
struct moe_shrunk;

/* Writes the kind with its count. */
int moe_store_failure(struct moe_store *store, const struct moe_failure_class *class);
/* What it was shrunk to; `command` repeats that. */
int moe_store_shrunk(struct moe_store *store, const struct moe_failure_class *class,
                     const struct moe_shrunk *shrunk, const char *command);

#endif

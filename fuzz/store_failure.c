/*
 * store_failure.c - the kinds of failures of a campaign in a store. A kind is there from its first
 * case on, so that the next campaign begins with it even if this one never comes to its end.
 */
#include "fuzz/failure.h"
#include "fuzz/store.h"

int moe_store_failure(struct moe_store *store, const struct moe_failure_class *class)
{
    char words[160];
    moe_failure_print(class, words, sizeof words);
    return moe_store_run(store,
                         "INSERT INTO failure(campaign, class_, variant, count, first) "
                         "VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(campaign, class_, variant) "
                         "DO UPDATE SET count = excluded.count, first = excluded.first",
                         "issii", store->campaign, words, class->variant, class->count,
                         class->number);
}

int moe_store_shrunk(struct moe_store *store, const struct moe_failure_class *class,
                     const struct moe_shrunk *shrunk, const char *command)
{
    char words[160], line[MOE_CASE_LINE];
    moe_failure_print(class, words, sizeof words);
    if (shrunk->again > 0)
        moe_problem_print(&shrunk->result.problem, line, sizeof line);
    return moe_store_run(store,
                         "UPDATE failure SET minimal = ?4, command = ?5, again = ?6, runs = ?7, "
                         "whole = ?8 WHERE campaign = ?1 AND class_ = ?2 AND variant = ?3",
                         "issssiii", store->campaign, words, class->variant,
                         shrunk->again > 0 ? line : NULL, command, (int64_t)shrunk->again,
                         (int64_t)shrunk->runs, (int64_t)shrunk->whole);
}

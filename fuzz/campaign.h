/*
 * campaign.h - inside `moecheck fuzz` and `moecheck replay`: the corpus as cases, the options of a
 * campaign and how far it has come.
 */
#ifndef MOE_CAMPAIGN_H
#define MOE_CAMPAIGN_H

#include "fuzz/fuzz.h"
#include "verify/command.h"

/* ---- command_replay.c ------------------------------------------------------------------------ */

/* Appends the corpus that is part of the program. MOE_E_NOMEM; MOE_E_INTERNAL: a line is no case.
 */
int campaign_corpus(struct moe_cases *cases);

/* ---- campaign.c ------------------------------------------------------------------------------ */

struct campaign {
    struct moe_options common; /* first: the options' parser fills it */
    double budget;             /* seconds; 0: no limit */
    int64_t cases;             /* to draw; -1: no limit */
    uint64_t seed;
    int seeded;         /* the user gave it */
    const char *corpus; /* file of failures, or NULL */

    /* the loop's own: */
    double started, deadline;
    struct moe_cases replayed; /* the corpus, then the file */
    struct moe_problem *array; /* [array_count] */
    int array_count;
    int64_t next; /* case to take: replayed, the array, then random ones */
    struct moe_coverage coverage;
    struct moe_supervisor *supervisor;
    struct moe_tally tally;
    struct moe_progress progress;
    int64_t results;
    int interrupted;
};

/* Reads the corpus and makes the covering array. The status of what was not possible. */
int campaign_prepare(struct campaign *campaign);

/* Judges and prints; returns the exit status. */
int campaign_run(struct campaign *campaign);

void campaign_free(struct campaign *campaign);

#endif

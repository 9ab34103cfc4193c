/*
 * campaign.h - inside `moecheck fuzz` and `moecheck replay`: the corpus as cases, the options of a
 * campaign and how far it has come.
 */
#ifndef MOE_CAMPAIGN_H
#define MOE_CAMPAIGN_H

#include "fuzz/failure.h"
#include "fuzz/fuzz.h"
#include "verify/command.h"

/* ---- command_replay.c ------------------------------------------------------------------------ */

/* Appends the corpus that is part of the program. MOE_E_NOMEM; MOE_E_INTERNAL: a line is no case.
 */
int campaign_corpus(struct moe_cases *cases);

/* ---- times.c --------------------------------------------------------------------------------- */

/* Seconds of "90s", "10m", "8h" or "5"; -1 where it is none of them. */
double campaign_time(const char *text);

/* ---- campaign_checks.c ----------------------------------------------------------------------- */

/* How often each check was made, and how often it failed, by number in their table. */
struct campaign_checks {
    int64_t judged[64], failed[64];
};

void campaign_count_checks(struct campaign_checks *checks, const struct moe_report *report);
void campaign_print_checks(const struct campaign_checks *checks);
void campaign_print_checks_json(const struct campaign_checks *checks);

/* ---- campaign.c ------------------------------------------------------------------------------ */

/* Of all failures together, where nobody says otherwise. */
#define SHRINK_BUDGET "30s"

struct campaign {
    struct moe_options common; /* first: the options' parser fills it */
    double budget;             /* seconds; 0: no limit */
    int64_t cases;             /* to draw; -1: no limit */
    uint64_t seed;
    int seeded;           /* the user gave it */
    const char *corpus;   /* file of failures, or NULL */
    double shrink_budget; /* seconds for all failures together; 0: none is shrunk */

    /* the loop's own: */
    double started, deadline, ended; /* without shrinking */
    struct moe_cases replayed;       /* the ledger's, the corpus, then the file */
    int64_t known;                   /* cases of the ledger */
    struct moe_problem *array;       /* [array_count] */
    int array_count;
    int64_t next; /* case to take: replayed, the array, then random ones */
    struct moe_coverage coverage;
    struct moe_supervisor *supervisor;
    struct moe_tally tally;
    struct campaign_checks checks;
    struct moe_failure_classes classes; /* of what failed, or could not be decided */
    struct moe_progress progress;
    int64_t results;
    int interrupted;
};

/* Reads the corpus and makes the covering array. The status of what was not possible. */
int campaign_prepare(struct campaign *campaign);

/* Judges and prints; returns the exit status. */
int campaign_run(struct campaign *campaign);

void campaign_free(struct campaign *campaign);

/* ---- campaign_failures.c --------------------------------------------------------------------- */

/* Prints each class of failures, shrunk where there is time, and keeps what it was shrunk to. The
 * status of what was not possible. */
int campaign_shrink(struct campaign *campaign);

#endif

/*
 * campaign.h - inside `moecheck fuzz` and `moecheck replay`: the corpus as cases, the options of a
 * campaign and how far it has come.
 */
#ifndef MOE_CAMPAIGN_H
#define MOE_CAMPAIGN_H

#include "fuzz/crew.h"
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
    int seeded;             /* the user gave it */
    const char *corpus;     /* file of failures, or NULL */
    double shrink_budget;   /* seconds for all failures together; 0: none is shrunk */
    int64_t shard, shards;  /* which of how many parts of the cases */
    const char *store_path; /* file of results, or NULL */
    double store_wait;      /* seconds, where another process has it locked */
    const char *commit;     /* of what is judged, for the store; or NULL */

    /* the loop's own: */
    double started, deadline, ended; /* without shrinking */
    double worked;                   /* seconds, before it was resumed */
    struct campaign_store *store;    /* NULL: results are not kept */
    int64_t id;                      /* in the store */
    int64_t resumed;                 /* times */
    struct moe_cases replayed;       /* the ledger's, the corpus, then earlier failures */
    int64_t known, fixed;            /* cases of the ledger; of it and the corpus */
    struct moe_problem *array;       /* [array_count] */
    int array_count;
    int64_t reached; /* the last case that was judged before it was resumed */
    int64_t next;    /* case to take, whosever shard's: replayed, the array, then random ones */
    int64_t taken, drawn; /* of this shard; of those not replayed */
    struct moe_coverage coverage;
    struct crew crew;
    struct moe_tally tally;
    struct campaign_checks checks;
    struct moe_failure_classes classes; /* of what failed, or could not be decided */
    struct moe_failure_classes earlier; /* of what failed of the cases that had failed before */
    int64_t earlier_open;               /* of those cases, under way */
    int kept;                           /* classes that are in the file of failures */
    struct moe_progress progress;
    int64_t results;
    int interrupted;
};

/* Seconds that the campaign has been judging cases, over all resumes. */
double campaign_worked(const struct campaign *campaign);

/* Judges and prints; returns the exit status. */
int campaign_run(struct campaign *campaign);

void campaign_free(struct campaign *campaign);

/* ---- campaign_cases.c ------------------------------------------------------------------------ */

/* Starts who judges; finds the campaign in its store, or reads the corpus and begins one; makes the
 * covering array. The status of what was not possible. */
int campaign_prepare(struct campaign *campaign);

/* Case `number`. */
void campaign_case(const struct campaign *campaign, int64_t number, struct moe_problem *problem);
/* "ledger", "corpus", "failure", "array" or "random": where it comes from. */
const char *campaign_origin(const struct campaign *campaign, int64_t number);
/* Did it fail before this campaign? */
int campaign_is_earlier(const struct campaign *campaign, int64_t number);
/* Is it one of this shard? */
int campaign_has(const struct campaign *campaign, int64_t number);

/* ---- campaign_keep.c: without --corpus nothing is written ------------------------------------ */

/* A job that is about to be queued. */
void campaign_keep_expect(struct campaign *campaign, const struct moe_job *job);
/* After its failures, if any, have been counted. As moe_corpus_append. */
int campaign_keep_take(struct campaign *campaign, const struct moe_result *result);
/* A result that the campaign had before it was resumed. */
void campaign_keep_restore(struct campaign *campaign, const struct moe_result *result);
/* Writes what waits for earlier failures. As moe_corpus_append. */
int campaign_keep_rest(struct campaign *campaign);

/* ---- campaign_print.c ------------------------------------------------------------------------ */

void campaign_print_start(const struct campaign *campaign);
void campaign_print_end(const struct campaign *campaign, int exit_status);

/* ---- campaign_store.c: without --store none of these does anything ----------------------------
 */

/* Opens the store. Where it has the campaign unfinished, that is the one from now on: its seed, its
 * cases, how far it was. MOE_E_UNSUPPORTED: built without SQLite; else as moe_store_open, or
 * MOE_E_IO: somebody else is at it. */
int campaign_store_open(struct campaign *campaign);
/* Appends the failures of all campaigns of the store. */
int campaign_store_failures(struct campaign *campaign, struct moe_cases *failures);
/* Begins a new one, with the cases that have been read. */
int campaign_store_begin(struct campaign *campaign);

/* 1: the case has been judged with the variant before; or a status. */
int campaign_store_has(const struct campaign *campaign, int64_t number, const char *variant);
/* Hands over what has been judged before. */
int campaign_store_restore(struct campaign *campaign,
                           int (*take)(void *context, const struct moe_result *result));

/* Keeps a result, to be written within a second, as long as campaign_store_pause is called now and
 * then. A store that cannot be written is MOE_E_IO once, and is then left alone. */
int campaign_store_take(struct campaign *campaign, const struct moe_result *result, int known,
                        const char *worker);
int campaign_store_pause(struct campaign *campaign);
int campaign_store_write(struct campaign *campaign); /* at once */
int campaign_store_shrunk(struct campaign *campaign, const struct moe_failure_class *class,
                          const struct moe_shrunk *shrunk);
/* Nothing is left to do of the campaign. */
int campaign_store_end(struct campaign *campaign);
void campaign_store_close(struct campaign *campaign);

/* ---- campaign_failures.c --------------------------------------------------------------------- */

/* Prints each class of failures, shrunk where there is time, and keeps what it was shrunk to. The
 * status of what was not possible. */
int campaign_shrink(struct campaign *campaign);

#endif

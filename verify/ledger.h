/*
 * ledger.h - a file of known failures: what need not fail a run, as long as it fails.
 *
 * A line has the words variant=GLOB check=NAME issue=REFERENCE mode=tolerate|never-launch and those
 * of a case, in any order. A key of the case may have the value `*`: any will do. A failure that a
 * line knows does not fail the run; a line whose failure does not come any more does, for it is to
 * be removed then. never-launch is for cases that must not run at all: they hang a device, say.
 */
#ifndef MOE_LEDGER_H
#define MOE_LEDGER_H

#include "verify/command.h"

struct moe_ledger_line {
    int number;       /* in the file */
    char variant[64]; /* glob */
    char check[32];   /* of the checks' table, or run, isolation, judge */
    char issue[128];  /* where it is known from */
    int never;        /* not to be launched */
    struct moe_problem problem;
    uint64_t any;           /* keys, by number, that may have any value */
    int64_t failed, passed; /* cases that the check has judged */
};

struct moe_ledger {
    const char *path;
    struct moe_ledger_line *line; /* [count] */
    int count;
    int64_t tolerated, not_launched; /* cases and variants */
};

/* MOE_E_IO; MOE_E_USAGE: the text begins with file:line; MOE_E_NOMEM. */
int moe_ledger_read(const char *path, struct moe_ledger **ledger);
void moe_ledger_free(struct moe_ledger *ledger); /* NULL is allowed */

/* Appends the cases that the ledger itself has, which are those of lines that leave nothing open
 * and may be launched. MOE_E_NOMEM. */
int moe_ledger_cases(const struct moe_ledger *ledger, struct moe_cases *cases);

/* Must the case not be launched? It is counted then. NULL, no ledger: no. */
int moe_ledger_forbids(struct moe_ledger *ledger, const char *variant,
                       const struct moe_problem *problem);

/* Takes a result in. The line by which all that failed is known, so that it is tolerated, and
 * counted; else NULL. NULL is allowed for no ledger. */
const struct moe_ledger_line *moe_ledger_take(struct moe_ledger *ledger,
                                              const struct moe_result *result);

/* One line about a tolerated result, or a JSON object. */
void moe_ledger_print_known(FILE *out, const struct moe_ledger_line *line,
                            const struct moe_result *result, int json);

/* Says which lines pass, and how much was tolerated; `quiet`: only lines that pass. Returns how
 * many those are. */
int moe_ledger_print(FILE *out, const struct moe_ledger *ledger, int json, int quiet);

/* The exit status of a run whose tally says `exit_status`, where so many lines pass. */
int moe_ledger_exit(const struct moe_ledger *ledger, int passing, int exit_status);

#endif

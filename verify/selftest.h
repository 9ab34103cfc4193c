/*
 * selftest.h - inside `moecheck selftest`: the judge judged by planted faults and by clean models.
 * Prototypes stand under the file that holds them.
 */
#ifndef MOE_SELFTEST_H
#define MOE_SELFTEST_H

#include "verify/command.h"
#include "verify/fault.h"

/* Columns of the matrix: the checks, then run and isolation. */
#define SELFTEST_COLUMNS 34
#define SELFTEST_SEEDS 10
#define SELFTEST_LEVELS 12

enum selftest_kind { SELFTEST_FAULT, SELFTEST_CLEAN, SELFTEST_FLOOR };

/* One case for one model. */
struct selftest_trial {
    enum selftest_kind kind;
    int subject; /* index of the fault, or floor * SELFTEST_LEVELS + level */
    int number;  /* of the subject's trials */
    struct moe_problem problem;
    const char *model;
    int32_t configuration;
    char fault[80]; /* "" where clean */
};

/* What became of a fault, or of a level of a floor. */
struct selftest_score {
    int planned, judged, caught; /* trials; judged: neither skipped nor undecided */
    int first;                   /* number of judged trials until caught; 0: not */
    int by[SELFTEST_COLUMNS];    /* trials that each check caught */
    double seconds;              /* of judging until caught */
};

/* The smallest fault of a kind that is found with every seed. */
struct selftest_floor {
    const char *name, *unit, *fault;
    const char *line;           /* the case; dtype and seed are added */
    const char *model;          /* NULL: model-blocked */
    int level[SELFTEST_LEVELS]; /* from the strongest; 0 ends */
    int power;                  /* 1: level k means 2^-k */
};

struct selftest {
    struct moe_options common;
    const char *glob; /* of faults, or NULL */
    int64_t clean;
    uint64_t seed;
    int floors;

    struct moe_supervisor *supervisor;
    struct moe_progress progress;
    struct selftest_trial *trial;
    int64_t count, capacity;
    struct selftest_score *score;      /* by fault */
    struct selftest_score *floor;      /* by floor * SELFTEST_LEVELS + level */
    int64_t alarms, undecided, silent; /* of clean cases */
    int interrupted;
};

/* ---- selftest_plan.c ------------------------------------------------------------------------- */

/* All trials. MOE_E_NOMEM; MOE_E_INTERNAL: the table names what the grammar does not know. */
int selftest_plan(struct selftest *selftest);
/* Does --fault admit it? */
int selftest_wanted(const struct selftest *selftest, const struct moe_fault *fault);
const struct selftest_floor *selftest_floor_get(int index); /* NULL past the end */

/* ---- selftest_clean.c ------------------------------------------------------------------------ */

/* Clean case `number`, and the model and configuration that it goes to. */
void selftest_clean_case(uint64_t seed, int64_t number, struct selftest_trial *trial);
const char *selftest_model(int index); /* NULL past the end */

/* ---- selftest_run.c -------------------------------------------------------------------------- */

/* Runs the trials through workers and keeps the scores. */
int selftest_run(struct selftest *selftest);
/* Counts what came of the trial that the result's ticket names. */
void selftest_take(struct selftest *selftest, const struct moe_result *result);
/* Name of a column; NULL past the end. */
const char *selftest_column(int column);
/* Was the fault caught, by a check that must where one of those exists? */
int selftest_caught(const struct selftest *selftest, int fault);

/* ---- selftest_print.c ------------------------------------------------------------------------ */

/* Prints all and returns the exit status. */
int selftest_print(const struct selftest *selftest);
/* One-sided 95 % limits of a rate of which `hits` of `all` were seen (Clopper-Pearson). */
double selftest_lower_limit(int64_t hits, int64_t all);
double selftest_upper_limit(int64_t hits, int64_t all);

#endif

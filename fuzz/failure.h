/*
 * failure.h - inside the command: failures as kinds, and shrinking them in workers. Prototypes
 * stand under the file that holds them.
 */
#ifndef MOE_FAILURE_H
#define MOE_FAILURE_H

#include "fuzz/shrink.h"
#include "verify/command.h"

/* ---- failure.c: which failures are one ------------------------------------------------------- */

/* What a report says first of what failed. */
struct moe_failure {
    enum moe_verdict verdict; /* FAIL or ERROR */
    const char *check;        /* static */
    int32_t tensor;           /* -1: none */
    enum moe_geometry geometry;
    int hung; /* isolation: not a crash */
};

/* The first finding that is as bad as the report. 0: none is bad. */
int moe_failure_of(const struct moe_report *report, struct moe_failure *failure);

/* Does the report fail in that way too: the same check, of the same tensor? Shapes change with the
 * sizes and do not count. */
int moe_failure_in(const struct moe_report *report, const struct moe_failure *failure);

/* Failures are of one class where variant, check, tensor and shape are the same, and of the case
 * what kernels are compiled for: its type, whether the activation is gated, lists or router. */
struct moe_failure_class {
    char variant[64];
    struct moe_failure failure;
    enum moe_dtype dtype;
    int gated, lists;
    int64_t count;
    int64_t number;                     /* the first's ticket */
    struct moe_problem first, smallest; /* by what they cost */
};

#define MOE_FAILURE_CLASSES 256

struct moe_failure_classes {
    struct moe_failure_class row[MOE_FAILURE_CLASSES];
    int count;
    int64_t left_out; /* failures of further classes */
};

/* Counts a result that failed, by what its report says first. */
void moe_failure_add(struct moe_failure_classes *classes, const struct moe_result *result);

/* Counts it in the class of each of its findings that are bad. */
void moe_failure_add_all(struct moe_failure_classes *classes, const struct moe_result *result);

/* Is it among them? */
int moe_failure_has(const struct moe_failure_classes *classes,
                    const struct moe_failure_class *class);

/* "bound of dw1, columns-last; bf16, gated, lists" */
void moe_failure_print(const struct moe_failure_class *class, char *text, size_t size);

/* ---- shrink_run.c: shrinking in workers ------------------------------------------------------ */

struct moe_shrink_job {
    struct moe_supervisor_options how;
    const char *variant;
    const char *fault;  /* for a model, or NULL */
    const char *checks; /* that the user asked for, or NULL */
    struct moe_failure failure;
    struct moe_problem problem;      /* that fails so */
    const struct moe_problem *known; /* [known_count] minimal cases of others, tried first */
    int known_count;
    double budget; /* seconds */
};

struct moe_shrunk {
    struct moe_result result; /* of the smallest case; its variant is the job's */
    int again, runs;          /* of so many runs of the first case so many failed in that way */
    int known;                /* the smallest case is that of `known`; else -1 */
    int64_t tried;
    double seconds;
    int whole; /* nothing smaller fails; else time was up */
    int interrupted;
};

/* Runs the case again, more than once, and shrinks it. Where `again` is 0 it did not fail, and the
 * result is not set. The status of what was not possible. */
int moe_shrink_run(const struct moe_shrink_job *job, struct moe_shrunk *shrunk);

/* ---- shrink_print.c -------------------------------------------------------------------------- */

/* The result, and how it was come by. `from` is the case that was shrunk. */
void moe_shrunk_print(FILE *out, const struct moe_options *options, const struct moe_problem *from,
                      const struct moe_shrunk *shrunk);

#endif

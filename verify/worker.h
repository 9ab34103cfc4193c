/*
 * worker.h - cases run in child processes, and a supervisor that watches them.
 *
 * The parent never runs a variant, opens a plug-in or touches CUDA. It starts `moecheck worker`
 * children (the program itself, through /proc/self/exe) and talks to each over two pipes, a line at a
 * time:
 *
 *   child -> parent   {"hello": ["ref", "naive", ...]}     once: the plug-ins are open, these variants exist
 *   parent -> child   {"job": 7, "action": "judge", "case": "T=37 ...", "variant": "naive", ...}
 *   child -> parent   phase variant | phase judge          who has control, so that a crash has an owner
 *   child -> parent   {"job": 7, "report": {...}, ...}     the end of the job
 *
 * A worker does many jobs. One that dies, hangs or answers nonsense is replaced, and its open job runs
 * once more in a fresh worker. An end inside the variant is a FAIL of the check `isolation`; an end in
 * our own code is an ERROR.
 */
#ifndef MOE_WORKER_H
#define MOE_WORKER_H

#include <stdint.h>

#include "verify/verify.h"

/* ---- job.c: what is asked and answered, and its lines ---------------------------------------- */

enum moe_action {
    MOE_ACTION_JUDGE,      /* the variant on the case, all checks: moe_judge_variant */
    MOE_ACTION_RUN,        /* the variant on the case, its tensors saved to `file` */
    MOE_ACTION_JUDGE_FILE, /* the tensors of `file`: moe_judge_tensors; no variant */
    MOE_ACTION_MEASURE,    /* time and memory of `measure` (bench.h) */
    MOE_ACTION_COUNT
};

struct moe_job {
    enum moe_action action;
    struct moe_problem problem;
    const char *variant;   /* its name, or NULL where the action needs none */
    const char *load;      /* safetensors with inputs, or NULL */
    const char *file;      /* written by run, read by judge-file; else NULL */
    const char *measure;   /* name of a measurement, or NULL */
    int32_t configuration; /* of the variant */
    uint64_t ticket;       /* the caller's own; comes back with the result */
};

/* What MOE_ACTION_MEASURE answers; what was not measured is NaN. */
struct moe_measure {
    double forward_seconds, backward_seconds, seconds;
    double peak_bytes;   /* of memory above what the process held before */
    double tensor_bytes; /* inputs and outputs of the case */
};

struct moe_result {
    uint64_t ticket;
    struct moe_problem problem;
    const char *variant; /* a name of the supervisor's table, or NULL; valid until moe_supervisor_stop */
    struct moe_report report;
    struct moe_measure measure;
};

/* ---- supervisor.c ---------------------------------------------------------------------------- */

struct moe_supervisor_options {
    const char *program;        /* NULL: the program itself */
    const char *const *plugins; /* files that each worker opens first */
    int plugin_count;
    unsigned devices;           /* of enum moe_device_kind; what a worker may use */
    int jobs;                   /* workers at a time; 0: as many as CPUs that we may use */
    int one_job_each;           /* a worker does one job only, for measurements */
    double timeout;             /* seconds a job may take; 0: 60, more for a large case */
};

struct moe_supervisor;

/*
 * Starts the first worker and waits until it has said which variants there are. Takes SIGINT and
 * SIGTERM over until moe_supervisor_stop. MOE_E_USAGE, MOE_E_IO: a plug-in could not be opened, in the
 * worker's words; MOE_E_INTERNAL: the worker did not come up; MOE_E_NOMEM.
 */
int moe_supervisor_start(const struct moe_supervisor_options *options,
                         struct moe_supervisor **supervisor);

/* Name of variant `index` of the workers, built in, then plug-ins; NULL past the end. */
const char *moe_supervisor_variant(const struct moe_supervisor *supervisor, int index);

/* Queues a copy of the job. MOE_E_NOMEM; MOE_E_USAGE: no such variant. */
int moe_supervisor_submit(struct moe_supervisor *supervisor, const struct moe_job *job);

/* Jobs that were submitted and have not come back through moe_supervisor_next. */
int64_t moe_supervisor_open_jobs(const struct moe_supervisor *supervisor);

enum moe_next {
    MOE_NEXT_RESULT,      /* *result is a job's end; every other value leaves it alone */
    MOE_NEXT_WAIT,        /* nothing ended within `seconds` */
    MOE_NEXT_NONE,        /* no job is open */
    MOE_NEXT_INTERRUPTED, /* SIGINT or SIGTERM came; it stays so. Stop, report, exit */
};

/* Keeps the workers busy and waits up to `seconds` for a job to end. Jobs end in any order. A job that
 * could not be run at all ends as ERROR: there is no other failure. */
enum moe_next moe_supervisor_next(struct moe_supervisor *supervisor, double seconds,
                                  struct moe_result *result);

/* Ends all workers, open jobs or not, and frees. NULL is allowed. */
void moe_supervisor_stop(struct moe_supervisor *supervisor);

/* Seconds that a job on the case may take when nobody said: 60 and more for a large case. */
double moe_supervisor_patience(const struct moe_problem *problem);

/* ---- worker.c -------------------------------------------------------------------------------- */

/* The child's life: answers requests from fd `in` on fd `out` until the end of file. Returns its exit
 * status. */
int moe_worker_serve(int in, int out, unsigned devices);

#endif

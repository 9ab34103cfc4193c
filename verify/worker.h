/*
 * worker.h - cases run in child processes, and a supervisor that watches them.
 *
 * The parent never runs a variant, opens a plug-in or touches CUDA. It starts `moecheck worker`
 * children (the program itself, through /proc/self/exe) and talks to each over two pipes, a line at
 * a time:
 *
 * - child: {"hello": ["ref", "naive", ...]}, once: the plug-ins are open, these variants exist;
 * - parent: {"job": 7, "action": "judge", "case": "T=37 ...", "variant": "naive", ...};
 * - child: phase variant, or phase judge: who has control, so that a crash has an owner;
 * - child: place STEP [of check NAME]: which call of the variant begins, so that a hang has a name;
 * - child: fault PLACE, the last words of one that touched memory that is not there (arena_trap.h);
 * - child: spent, before its last answer: its device is of no use any more, an error stuck;
 * - child: {"job": 7, "report": {...}, ...}, the end of the job.
 *
 * A worker does many jobs. One that is spent is replaced before the next job. One that dies, hangs
 * or answers nonsense is replaced, and its open job runs once more in a fresh worker. An end inside
 * the variant is a FAIL of the check `isolation`; an end in our own code is an ERROR.
 */
#ifndef MOE_WORKER_H
#define MOE_WORKER_H

#include <stdint.h>
#include <sys/types.h>

#include "gpu/bench.h"
#include "verify/verify.h"

struct json_t; /* Jansson's */

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
    const char *checks;    /* names with commas between, of those that take part; NULL: all */
    const char *fault;     /* for a model: what it acts out, as moe_fault_plant_text; or NULL */
    int rotate;            /* 1: checks that run the variant again take turns */
    int32_t configuration; /* of the variant */
    double patience;       /* seconds until it hangs; 0: the supervisor's */
    uint64_t ticket;       /* the caller's own; comes back with the result */
};

/* Repetitions of what was measured: seconds, with quartiles. */
struct moe_repeated {
    double median, low, high;
    double runs; /* 0: not measured so */
};

/* What MOE_ACTION_MEASURE answers; what was not measured is NaN. */
struct moe_measure {
    double forward_seconds, backward_seconds, seconds; /* medians, or their sum */
    struct moe_repeated forward, backward, both;       /* on the CPU */
    double peak_bytes;   /* of memory above what the process held before */
    double tensor_bytes; /* inputs and outputs of the case */
    struct moe_gpu_yardsticks yardsticks;
    struct moe_gpu_timing timing; /* on a GPU; its medians are the seconds above */
};

struct moe_measure moe_measure_none(void); /* nothing measured */

struct moe_result {
    uint64_t ticket;
    struct moe_problem problem;
    const char
        *variant; /* the job's; the supervisor's own string, valid until moe_supervisor_stop */
    int status;   /* MOE_OK; MOE_E_USAGE: a file of the job was not what it must be, or
                     MOE_E_IO: not written. Then finding[0].text of the report says why */
    struct moe_report report;
    struct moe_measure measure;
};

/* The longest case line, and the longest line of the protocol. */
#define MOE_CASE_LINE 1024
#define MOE_PROTOCOL_LINE 65536

/* One line of JSON, to be freed; NULL where a string is not UTF-8 or memory is short. */
char *moe_job_encode(const struct moe_job *job, uint64_t id);
/* Reads it back. The strings of *job live as long as *owner, to be given to moe_job_release.
 * MOE_E_INTERNAL: not such a line. */
int moe_job_decode(const char *line, struct moe_job *job, uint64_t *id, struct json_t **owner);
void moe_job_release(struct json_t *owner);

char *moe_result_encode(const struct moe_result *result, uint64_t id);
/* Fills status, report and measure. MOE_E_INTERNAL: not such a line. */
int moe_result_decode(const char *line, uint64_t *id, struct moe_result *result);

/* ---- report_json.c --------------------------------------------------------------------------- */

/* The object that --json prints and a worker answers with: doubles stand twice, as a number (null
 * where not finite) and, name_hex, as a hex-float string. NULL where memory is short. */
struct json_t *moe_result_json(const struct moe_result *result);
/* The other way. MOE_E_INTERNAL: not such an object. */
int moe_result_from_json(const struct json_t *object, struct moe_result *result);

/* The static string of a check's name that was read somewhere. */
const char *moe_check_name(const char *name);

/* ---- picture_json.c -------------------------------------------------------------------------- */

/* The picture of a report as an object of its own. NULL where memory is short. */
struct json_t *moe_picture_json(const struct moe_report *report);
/* The other way; -1: not such an object. */
int moe_picture_from_json(const struct json_t *object, struct moe_report *report);

/* ---- child.c: one child process and its two pipes ---------------------------------------- */

struct moe_child {
    pid_t pid;    /* 0: none */
    int killer;   /* signal that moe_child_ended found it killed by, or 0 */
    int to, from; /* requests, answers */
    char *buffer; /* [MOE_PROTOCOL_LINE] received; lines up to `taken` have been handed out */
    size_t used, taken;
};

/* Starts program argv[0] = name ... (NULL-terminated) in a process group of its own, with `threads`
 * in OMP_NUM_THREADS and OPENBLAS_NUM_THREADS where it is not 0. MOE_E_IO, MOE_E_NOMEM. */
int moe_child_start(const char *program, char *const *argv, int threads, struct moe_child *child);
/* Sends a whole line. MOE_E_IO: nobody reads it. */
int moe_child_send(struct moe_child *child, const char *line);
/* Takes in what has come, without waiting. 1: more may come; 0: end of file; MOE_E_USAGE: a line
 * longer than the protocol allows. */
int moe_child_receive(struct moe_child *child);
/* The next whole line without its newline, or NULL; valid until the next receive. */
char *moe_child_line(struct moe_child *child);
/* Has it ended by itself? Then how, in words ("killed by SIGSEGV"). The pipes stay open. */
int moe_child_ended(struct moe_child *child, char *how, size_t size);
/* Ends it, waits for it, closes the pipes. A child that was not started is allowed. */
void moe_child_stop(struct moe_child *child);

/* ---- supervisor.c ---------------------------------------------------------------------------- */

struct moe_supervisor_options {
    const char *program;        /* NULL: the program itself */
    const char *const *plugins; /* files that each worker opens first */
    int plugin_count;
    unsigned devices; /* of enum moe_device_kind; what a worker may use */
    int jobs;         /* workers at a time; 0: as many as CPUs that we may use, but */
    int64_t most;     /* no more than this, where it is not 0: a few jobs share the CPUs */
    int one_job_each; /* a worker does one job only, for measurements */
    double timeout;   /* seconds a job may take; 0: 60, more for a large case */
};

/* Beside the kinds of devices: the models (fault.h) are among the workers' variants. */
#define MOE_WORKER_MODELS 0x100u

struct moe_supervisor;

/*
 * Starts the first worker and waits until it has said which variants there are. Takes SIGINT and
 * SIGTERM over until moe_supervisor_stop. MOE_E_USAGE, MOE_E_IO: a plug-in could not be opened, in
 * the worker's words; MOE_E_INTERNAL: the worker did not come up; MOE_E_NOMEM.
 */
int moe_supervisor_start(const struct moe_supervisor_options *options,
                         struct moe_supervisor **supervisor);

/* Name of variant `index` of the workers, built in, then plug-ins; NULL past the end. */
const char *moe_supervisor_variant(const struct moe_supervisor *supervisor, int index);

/* Workers at a time. */
int moe_supervisor_workers(const struct moe_supervisor *supervisor);

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

/* Keeps the workers busy and waits up to `seconds` for a job to end. Jobs end in any order. A job
 * that could not be run at all ends as ERROR: there is no other failure. */
enum moe_next moe_supervisor_next(struct moe_supervisor *supervisor, double seconds,
                                  struct moe_result *result);

/* Ends all workers, open jobs or not, and frees. NULL is allowed. */
void moe_supervisor_stop(struct moe_supervisor *supervisor);

/* ---- patience.c ------------------------------------------------------------------------------ */

/* Seconds that a job on the case may take when nobody said: 60, and more for a large case. */
double moe_patience(const struct moe_problem *problem, unsigned devices);

/* How many processes want each core: 1 where the machine is not crowded, 8 at most. */
double moe_crowding(void);

/* ---- memory_kills.c -------------------------------------------------------------------------- */

/* Processes that this machine has killed for lack of memory since it is up; -1: it does not say. */
int64_t moe_memory_kills(void);

/* ---- interrupt.c: signals as something to poll ------------------------------------------- */

/* From here on SIGINT, SIGTERM and the end of a child make `moe_interrupt_fd` readable, and SIGPIPE
 * is ignored. One at a time. MOE_E_IO. */
int moe_interrupt_take(void);
int moe_interrupt_fd(void);
/* Empties the fd; has SIGINT or SIGTERM come since moe_interrupt_take? */
int moe_interrupt_came(void);
void moe_interrupt_release(void); /* without a take: nothing */

/* ---- isolation.c ----------------------------------------------------------------------------- */

/* A finding that is not of a tensor: all but check, verdict and text is unset. */
struct moe_finding moe_finding_plain(const char *check, enum moe_verdict verdict, const char *text);

/* What became of one run of a job. */
struct moe_run_end {
    int answered;         /* with a report; else the worker ended: */
    enum moe_phase phase; /* who had control */
    char how[160];        /* "killed by SIGSEGV" */
    char place[64];       /* "forward of check stream"; "": no call of the variant had begun */
    int64_t before;       /* jobs that the worker had done before */
};

/* Adds to the second run's report (an empty one where it did not answer) what the check `isolation`
 * says of a job whose first run did not answer. */
void moe_isolation_judge(const struct moe_run_end *first, const struct moe_run_end *second,
                         struct moe_report *report);

/* ---- worker.c -------------------------------------------------------------------------------- */

/* The child's life: argv is ["moecheck worker", parent's pid, devices, plug-in...]. Answers the
 * requests of standard input on standard output until the end of file. Returns the exit status. */
int moe_worker_main(int argc, char **argv);

#endif

/*
 * bench_command.h - inside `moecheck bench`: what it prints, measured in workers. Each function
 * prints its lines and returns an exit status: MOE_EXIT_PASS where all could be measured.
 */
#ifndef MOE_BENCH_COMMAND_H
#define MOE_BENCH_COMMAND_H

#include "gpu/bench.h"
#include "verify/bench_trend.h"
#include "verify/command.h"

/* ---- fuzz/bench_store.c: times that are kept --------------------------------------------------
 */

struct moe_store;

/* Where times are kept. */
struct bench_keeper {
    const char *path;   /* --store, or NULL: nowhere */
    const char *commit; /* of what is measured, or NULL */
    const char *suite;  /* or NULL */
    double wait;        /* seconds, for a store that another process has locked */
    struct moe_store *store;
    char host[80];
};

struct bench_time {
    const struct moe_problem *problem;
    const char *variant, *part, *device, *driver; /* driver may be NULL */
    struct bench_spread spread;
    int64_t runs;
    double ceiling; /* share of what the device can do; NaN: not known */
};

/* MOE_E_UNSUPPORTED: built without SQLite; else as moe_store_open. */
int bench_store_open(struct bench_keeper *keeper);
/* Says whether it has become slower or faster, and keeps it. MOE_E_IO. */
int bench_store_take(const struct bench_keeper *keeper, const struct moe_options *options,
                     const struct bench_time *time);
void bench_store_close(struct bench_keeper *keeper);

/* ---- bench_case.c ---------------------------------------------------------------------------- */

/* Does the job and waits for it. MOE_EXIT_ERROR where there is no result; it has been said why. */
int bench_job(const struct moe_options *options, struct moe_supervisor *supervisor,
              const struct moe_job *job, struct moe_result *result);

/* Mask of what a variant that is built in runs on; everything for one of a plug-in, which this
 * process does not know. */
unsigned bench_devices(const char *variant);

/* Reference beside OpenBLAS, bounds, memory, variants. */
int bench_case(const struct moe_options *options, const struct bench_keeper *keeper,
               const struct moe_problem *problem);
int bench_line(const struct moe_options *options, const struct bench_keeper *keeper,
               const char *line);

/* ---- bench_start.c --------------------------------------------------------------------------- */

void bench_machine(const struct moe_options *options); /* the BLAS */

/* Start-up of the command: list, and verify of a tiny case. `keeper` and `line` are not used. */
int bench_start(const struct moe_options *options, const struct bench_keeper *keeper,
                const char *line);

/* Cases like `line` a minute through the whole of verify, by naive. `keeper` is not used. */
int bench_small_cases(const struct moe_options *options, const struct bench_keeper *keeper,
                      const char *line);

/* ---- bench_suites.c -------------------------------------------------------------------------- */

/* Is that the name of a suite that is measured on a GPU? */
int bench_suite_of_gpu(const char *name);

/* Appends its cases. MOE_E_NOMEM. */
int bench_suite_cases(const char *name, struct moe_cases *cases);

/* ---- bench_baseline.c: an earlier run ----------------------------------------------------------
 */

/* Rows of variants on a GPU, from the output of an earlier run with --json. */
struct bench_baseline {
    int64_t count;
    struct bench_row {
        char *line, *variant, *device, *date;
        struct moe_gpu_time forward, backward;
    } * row; /* [count] */
};

/* Other lines of the file are passed over. MOE_E_IO; MOE_E_USAGE: a line that is not JSON;
 * MOE_E_NOMEM. Free with bench_baseline_free, whatever it returns. */
int bench_baseline_read(const char *path, struct bench_baseline *baseline);
void bench_baseline_free(struct bench_baseline *baseline);

/* The last row of that case, variant and device, or NULL. */
const struct bench_row *bench_baseline_find(const struct bench_baseline *baseline, const char *line,
                                            const char *variant, const char *device);

/* "same" where the medians differ by 2 % or less; else "ambiguous" where [least, most] of both
 * overlap; else "faster" or "slower". */
const char *bench_change(const struct moe_gpu_time *now, const struct moe_gpu_time *then);

/* ---- bench_print.c: a row of the table, and its JSON ------------------------------------------
 */

/* Where and when a run is. */
struct bench_run {
    char device[128], driver[128], date[32];
    int capability, cuda; /* 90, 13000 */
};

void bench_print_run(const struct bench_run *run);
void bench_print_yardsticks(const struct moe_gpu_yardsticks *yardsticks);
void bench_print_head(void);
/* `before` NULL: no row to compare with. */
void bench_print_row(const struct moe_result *result, const struct bench_row *before, int verbose);
/* Of a result of any verdict. */
void bench_print_json(const struct moe_result *result, const char *measurement,
                      const struct bench_run *run, const struct bench_row *before);

/* ---- bench_gpu_run.c ------------------------------------------------------------------------- */

/* The cases, each with every variant that runs on a GPU and that the options name. `baseline` is a
 * file or NULL. MOE_EXIT_SKIP without a usable GPU, with its reason. */
int bench_on_gpu(const struct moe_options *options, const struct bench_keeper *keeper,
                 const struct moe_cases *cases, const char *baseline);

#endif

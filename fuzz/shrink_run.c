/*
 * shrink_run.c - shrinking in workers: a case that crashes or hangs is tried like any other.
 *
 * First the case is run again: with the check that failed alone, which is quick, and only where
 * that does not fail with all of them. What fails in some runs only counts as failing from then on
 * if it fails once in RUNS_OF_FLAKY. Candidates are tried as many at a time as there are workers,
 * and the first that fails in the order of the list is taken, so that the number of workers does
 * not change what comes out, unless time is up.
 */
#define _GNU_SOURCE /* sched_getaffinity, CPU_COUNT */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuzz/failure.h"

#define RUNS 3
#define RUNS_OF_FLAKY 10
#define MOST_AT_A_TIME 64

/* What one attempt may take, of the budget. A hang costs that twice, each time. */
#define SHARE 6.0
#define SHARE_OF_HANG 30.0
#define SECONDS_AT_LEAST 0.5

/* What `try` of moe_shrink returns when time is up; no status of the library. */
#define TIME_IS_UP 1

struct run {
    const struct moe_shrink_job *job;
    struct moe_shrunk *shrunk;
    struct moe_supervisor *supervisor;
    const char *checks;
    int tries, at_a_time;
    double deadline;
    struct moe_result result[MOST_AT_A_TIME];
};

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

static int is_check(const char *name)
{
    for (int i = 0; moe_check_get(i) != NULL; i++)
        if (strcmp(moe_check_get(i)->name, name) == 0)
            return 1;
    return 0;
}

static double attempt_limit(const struct moe_shrink_job *job)
{
    double share = job->budget / (job->failure.hung ? SHARE_OF_HANG : SHARE);
    double limit = share > SECONDS_AT_LEAST ? share : SECONDS_AT_LEAST;
    return job->how.timeout > 0 && job->how.timeout < limit ? job->how.timeout : limit;
}

/* ---- attempts -------------------------------------------------------------------------------- */

/* Judges cases [0..count), `runs` times each in turn, all at once; results by number. */
static int judge_all(struct run *run, const struct moe_problem *cases, int count, int runs)
{
    int status = MOE_OK, open = count * runs;
    for (int i = 0; status == MOE_OK && i < open; i++) {
        struct moe_job job = {.action = MOE_ACTION_JUDGE,
                              .problem = cases[i / runs],
                              .variant = run->job->variant,
                              .checks = run->checks,
                              .fault = run->job->fault,
                              .ticket = (uint64_t)i};
        status = moe_supervisor_submit(run->supervisor, &job);
    }
    while (status == MOE_OK && open > 0) {
        struct moe_result result;
        double left = run->deadline - now();
        switch (moe_supervisor_next(run->supervisor, left > 0 ? left : 0, &result)) {
        case MOE_NEXT_RESULT:
            run->result[result.ticket] = result;
            open--;
            break;
        case MOE_NEXT_WAIT:
            return TIME_IS_UP;
        case MOE_NEXT_INTERRUPTED:
            run->shrunk->interrupted = 1;
            return TIME_IS_UP;
        case MOE_NEXT_NONE:
            return moe_error(MOE_E_INTERNAL, "a supervisor lost a job");
        }
    }
    return status;
}

/* The first of the results that fails as it should; `count` where none does. */
static int first_failing(const struct run *run, int count)
{
    for (int i = 0; i < count; i++)
        if (moe_failure_in(&run->result[i].report, &run->job->failure))
            return i;
    return count;
}

/* For moe_shrink. */
static int try(void *context, const struct moe_problem *cases, int count, int *first)
{
    struct run *run = context;
    int at_once = run->at_a_time > run->tries ? run->at_a_time / run->tries : 1;
    *first = count;
    for (int done = 0; done < count; done += at_once) {
        int some = count - done < at_once ? count - done : at_once;
        int status = judge_all(run, cases + done, some, run->tries);
        if (status != MOE_OK)
            return status;
        int failing = first_failing(run, some * run->tries);
        if (failing == some * run->tries)
            continue;
        run->shrunk->result = run->result[failing];
        *first = done + failing / run->tries;
        return MOE_OK;
    }
    return MOE_OK;
}

/* ---- the first case again -------------------------------------------------------------------- */

/* Runs the case and counts how often it fails. */
static int repeat(struct run *run, const char *checks, int runs)
{
    struct moe_shrunk *shrunk = run->shrunk;
    run->checks = checks;
    int status = judge_all(run, &run->job->problem, 1, runs);
    shrunk->runs = runs;
    shrunk->again = 0;
    for (int i = 0; status == MOE_OK && i < runs; i++)
        if (moe_failure_in(&run->result[i].report, &run->job->failure)) {
            shrunk->again++;
            shrunk->result = run->result[i];
        }
    run->tries = shrunk->again == runs ? 1 : RUNS_OF_FLAKY;
    return status;
}

static int reproduce(struct run *run)
{
    const char *check = run->job->failure.check;
    /* What is no check, such as a crash, may come of the judge's own run, which is the quickest. */
    int status = repeat(run, is_check(check) ? check : "inputs", RUNS);
    if (status == MOE_OK && run->shrunk->again == 0)
        status = repeat(run, run->job->checks, RUNS);
    if (status == MOE_OK && run->shrunk->again == 0)
        status = repeat(run, run->job->checks, RUNS_OF_FLAKY);
    return status;
}

/* Does one of the cases that others were shrunk to fail in the same way? */
static int try_known(struct run *run)
{
    int first = 0, count = run->job->known_count;
    int status = count > 0 ? try(run, run->job->known, count, &first) : MOE_OK;
    run->shrunk->known = status == MOE_OK && first < count ? first : -1;
    return status;
}

static int shrink(struct run *run)
{
    struct moe_shrink shrinking = {.try = try, .context = run, .best = run->job->problem};
    int status = reproduce(run);
    if (status != MOE_OK || run->shrunk->again == 0)
        return status;
    status = try_known(run);
    if (status == MOE_OK && run->shrunk->known < 0)
        status = moe_shrink(&shrinking);
    run->shrunk->whole = status == MOE_OK;
    run->shrunk->tried = shrinking.tried;
    return status;
}

static int workers(const struct moe_supervisor_options *how)
{
    cpu_set_t set;
    int cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    int count = how->jobs > 0 ? how->jobs : cpus;
    return count < MOST_AT_A_TIME ? count : MOST_AT_A_TIME;
}

int moe_shrink_run(const struct moe_shrink_job *job, struct moe_shrunk *shrunk)
{
    struct run *run = calloc(1, sizeof *run);
    struct moe_supervisor_options how = job->how;
    double started = now();
    if (run == NULL)
        return moe_error(MOE_E_NOMEM, "no memory to shrink a case");
    *shrunk = (struct moe_shrunk){.known = -1};
    run->job = job;
    run->shrunk = shrunk;
    run->at_a_time = workers(&how);
    run->deadline = started + job->budget;
    how.timeout = attempt_limit(job);
    how.jobs = run->at_a_time;
    int status = moe_supervisor_start(&how, &run->supervisor);
    if (status == MOE_OK)
        status = shrink(run);
    shrunk->result.variant = job->variant; /* the supervisor's own string ends with it */
    moe_supervisor_stop(run->supervisor);
    free(run);
    shrunk->seconds = now() - started;
    return status == TIME_IS_UP ? MOE_OK : status;
}

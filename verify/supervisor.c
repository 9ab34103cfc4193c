/*
 * supervisor.c - keeps workers busy with jobs and makes a result of every job, however it ended.
 *
 * Jobs wait in a queue. Whatever a worker does but answer - end, hang, garble the protocol - is a
 * failed run: the worker is stopped and the job runs once more in a fresh one, after which
 * isolation.c judges both runs. A worker that somebody killed says nothing of its job, which begins
 * anew.
 */
#define _GNU_SOURCE /* CPU_COUNT, sched_getaffinity */
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "verify/slot.h"

/* Times that a job whose worker was taken away begins anew as if nothing had happened. */
#define TAKEN_AWAY 5

struct open_job {
    struct open_job *next;
    uint64_t id, ticket;
    struct moe_problem problem;
    const char *variant; /* of the crew's table, or NULL */
    char *request;       /* line of the protocol */
    double patience;     /* of this job; 0: the supervisor's */
    int failed_runs;     /* 0 or 1 */
    int taken_away;      /* workers that were killed from outside */
    struct moe_run_end first;
};

struct moe_supervisor {
    struct moe_crew crew;
    double timeout;
    unsigned devices; /* mask */
    int one_job_each;
    int slots;
    struct moe_slot *slot;  /* [slots] */
    struct open_job **has;  /* [slots] the job of each, NULL: idle */
    struct pollfd *poll;    /* [slots + 1] */
    struct open_job *queue; /* waiting */
    struct open_job **queue_end;
    int64_t open;
    uint64_t last_id;
    struct moe_result answer; /* being made */
};

static int available_cpus(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
}

/* ---- the end of a job ------------------------------------------------------------------------ */

/* Hands supervisor->answer out as the result of the slot's job. */
static void deliver(struct moe_supervisor *supervisor, int index, struct moe_result *result)
{
    struct open_job *job = supervisor->has[index];

    supervisor->answer.ticket = job->ticket;
    supervisor->answer.problem = job->problem;
    supervisor->answer.variant = job->variant;
    *result = supervisor->answer;
    supervisor->has[index] = NULL;
    supervisor->open--;
    free(job->request);
    free(job);
}

/* An answer of ours in place of the worker's: an empty report. */
static struct moe_report *unanswered(struct moe_supervisor *supervisor)
{
    moe_report_clear(&supervisor->answer.report);
    supervisor->answer.status = MOE_OK;
    supervisor->answer.measure = moe_measure_none();
    return &supervisor->answer.report;
}

/* Gives the slot's running worker the slot's job. */
static void begin(struct moe_supervisor *supervisor, int index)
{
    const struct open_job *job = supervisor->has[index];

    double limit = job->patience > 0 ? job->patience : supervisor->timeout;

    moe_slot_begin(&supervisor->slot[index], job->id, job->request,
                   limit > 0 ? limit
                             : moe_patience(&job->problem, supervisor->devices) * moe_crowding());
}

/* No worker can be started for the slot's job, which ends as an ERROR that says so. */
static void give_up(struct moe_supervisor *supervisor, int index, struct moe_result *result)
{
    struct moe_finding finding = moe_finding_plain("isolation", MOE_ERROR, moe_error_text());

    moe_report_add(unanswered(supervisor), &finding);
    deliver(supervisor, index, result);
}

/* The slot's worker failed. 1: its job has ended. */
static int run_failed(struct moe_supervisor *supervisor, int index, const char *how,
                      struct moe_result *result)
{
    struct moe_slot *slot = &supervisor->slot[index];
    struct open_job *job = supervisor->has[index];
    struct moe_run_end end = {.phase = slot->phase, .before = slot->jobs_done};
    int taken_away = slot->taken_away;

    snprintf(end.place, sizeof end.place, "%s", slot->place);
    moe_slot_stop(slot);
    if (job == NULL)
        return 0;
    if (taken_away && job->taken_away++ < TAKEN_AWAY &&
        moe_slot_start(slot, &supervisor->crew) == MOE_OK) {
        begin(supervisor, index);
        return 0;
    }
    snprintf(end.how, sizeof end.how, "%s", how);
    if (job->failed_runs++ == 0) {
        job->first = end;
        if (moe_slot_start(slot, &supervisor->crew) == MOE_OK) {
            begin(supervisor, index);
            return 0;
        }
        snprintf(end.how, sizeof end.how, "%s", moe_error_text());
        end.phase = MOE_PHASE_JUDGE;
        end.place[0] = '\0';
    }
    moe_isolation_judge(&job->first, &end, unanswered(supervisor));
    deliver(supervisor, index, result);
    return 1;
}

static int attend(struct moe_supervisor *supervisor, int index, struct moe_result *result)
{
    struct moe_slot *slot = &supervisor->slot[index];
    struct open_job *job = supervisor->has[index];
    char how[160];

    switch (moe_slot_attend(slot, &supervisor->crew, &supervisor->answer, how, sizeof how)) {
    case MOE_SLOT_ON:
        return 0;
    case MOE_SLOT_ANSWERED:
        if (job->failed_runs > 0)
            moe_isolation_judge(&job->first, &(struct moe_run_end){.answered = 1},
                                &supervisor->answer.report);
        deliver(supervisor, index, result);
        if (supervisor->one_job_each || slot->spent)
            moe_slot_stop(slot);
        return 1;
    case MOE_SLOT_REFUSED:
        return run_failed(supervisor, index, moe_error_text(), result);
    case MOE_SLOT_FAILED:
        break;
    }
    return run_failed(supervisor, index, how, result);
}

/* ---- the queue ------------------------------------------------------------------------------- */

/* An idle slot, one with a running worker before an empty one; -1: none. */
static int idle_slot(const struct moe_supervisor *supervisor)
{
    int empty = -1;

    for (int i = 0; i < supervisor->slots; i++) {
        if (supervisor->has[i] != NULL)
            continue;
        if (supervisor->slot[i].child.pid != 0)
            return i;
        if (empty < 0)
            empty = i;
    }
    return empty;
}

/* A worker that died or closed its answers while it was idle goes, lest its next job is blamed. */
static void inspect(struct moe_supervisor *supervisor, struct moe_slot *slot)
{
    char how[160];

    if (slot->child.pid == 0)
        return;
    if (moe_slot_attend(slot, &supervisor->crew, &supervisor->answer, how, sizeof how) !=
            MOE_SLOT_ON ||
        slot->closed)
        moe_slot_stop(slot);
}

/* An idle slot with a running worker, started if need be; -1: none now. Where no more workers can
 * be started those that run do the work; *refused where none runs at all. */
static int ready_slot(struct moe_supervisor *supervisor, int *refused)
{
    int index = idle_slot(supervisor), running = 0;

    *refused = 0;
    if (index < 0)
        return -1;
    inspect(supervisor, &supervisor->slot[index]);
    if (supervisor->slot[index].child.pid != 0 ||
        moe_slot_start(&supervisor->slot[index], &supervisor->crew) == MOE_OK)
        return index;
    for (int i = 0; i < supervisor->slots; i++)
        running += supervisor->slot[i].child.pid != 0;
    *refused = running == 0;
    return running == 0 ? index : -1;
}

/* Gives waiting jobs to idle workers. 1: a job has ended at once, for no worker can be had. */
static int dispatch(struct moe_supervisor *supervisor, struct moe_result *result)
{
    int index, refused;

    while (supervisor->queue != NULL && (index = ready_slot(supervisor, &refused)) >= 0) {
        struct open_job *job = supervisor->queue;

        supervisor->queue = job->next;
        if (supervisor->queue == NULL)
            supervisor->queue_end = &supervisor->queue;
        supervisor->has[index] = job;
        if (refused) {
            give_up(supervisor, index, result);
            return 1;
        }
        begin(supervisor, index);
    }
    return 0;
}

static const char *own_name(const struct moe_supervisor *supervisor, const char *name)
{
    for (int i = 0; moe_supervisor_variant(supervisor, i) != NULL; i++)
        if (strcmp(moe_supervisor_variant(supervisor, i), name) == 0)
            return moe_supervisor_variant(supervisor, i);
    return NULL;
}

int moe_supervisor_submit(struct moe_supervisor *supervisor, const struct moe_job *job)
{
    const char *variant = job->variant != NULL ? own_name(supervisor, job->variant) : NULL;
    struct open_job *open;
    char *line;

    if (job->variant != NULL && variant == NULL)
        return moe_error(MOE_E_USAGE, "there is no variant '%s'", job->variant);
    line = moe_job_encode(job, supervisor->last_id + 1);
    if (line == NULL)
        return moe_error(MOE_E_USAGE, "a file name is not UTF-8");
    open = calloc(1, sizeof *open);
    if (open == NULL || asprintf(&open->request, "%s\n", line) < 0) {
        free(open);
        free(line);
        return moe_error(MOE_E_NOMEM, "no memory for a job");
    }
    free(line);
    open->id = ++supervisor->last_id;
    open->ticket = job->ticket;
    open->patience = job->patience;
    open->problem = job->problem;
    open->variant = variant;
    *supervisor->queue_end = open;
    supervisor->queue_end = &open->next;
    supervisor->open++;
    return MOE_OK;
}

int moe_supervisor_workers(const struct moe_supervisor *supervisor)
{
    return supervisor->slots;
}

int64_t moe_supervisor_open_jobs(const struct moe_supervisor *supervisor)
{
    return supervisor->open;
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* Until something is there to read, a deadline passes, or `until`. */
static void wait_until(struct moe_supervisor *supervisor, double until)
{
    double seconds;
    nfds_t n = 0;

    supervisor->poll[n++] = (struct pollfd){.fd = moe_interrupt_fd(), .events = POLLIN};
    for (int i = 0; i < supervisor->slots; i++) {
        const struct moe_slot *slot = &supervisor->slot[i];

        if (slot->child.pid == 0)
            continue;
        if (!slot->closed)
            supervisor->poll[n++] = (struct pollfd){.fd = slot->child.from, .events = POLLIN};
        if (supervisor->has[i] != NULL && slot->deadline < until)
            until = slot->deadline;
    }
    seconds = fmin(fmax(until - moe_slot_clock(), 0), 1000);
    poll(supervisor->poll, n, (int)(1e3 * seconds) + 1);
}

enum moe_next moe_supervisor_next(struct moe_supervisor *supervisor, double seconds,
                                  struct moe_result *result)
{
    double until = moe_slot_clock() + seconds;

    for (;;) {
        if (moe_interrupt_came())
            return MOE_NEXT_INTERRUPTED;
        if (supervisor->open == 0)
            return MOE_NEXT_NONE;
        if (dispatch(supervisor, result))
            return MOE_NEXT_RESULT;
        for (int i = 0; i < supervisor->slots; i++)
            if (supervisor->slot[i].child.pid != 0 && attend(supervisor, i, result))
                return MOE_NEXT_RESULT;
        if (moe_slot_clock() >= until)
            return MOE_NEXT_WAIT;
        wait_until(supervisor, until);
    }
}

/* ---- start and stop -------------------------------------------------------------------------- */

/* program worker PARENT DEVICES PLUGIN... */
static char **worker_arguments(const struct moe_supervisor_options *options)
{
    char **argv = calloc((size_t)options->plugin_count + 5, sizeof *argv);
    int bad = argv == NULL || (argv[0] = strdup("moecheck")) == NULL ||
              (argv[1] = strdup("worker")) == NULL ||
              asprintf(&argv[2], "%ld", (long)getpid()) < 0 ||
              asprintf(&argv[3], "%u", options->devices) < 0;

    for (int i = 0; !bad && i < options->plugin_count; i++)
        bad = (argv[4 + i] = strdup(options->plugins[i])) == NULL;
    return bad ? NULL : argv;
}

static void free_strings(char **list)
{
    for (int i = 0; list != NULL && list[i] != NULL; i++)
        free(list[i]);
    free(list);
}

static int create(const struct moe_supervisor_options *options, struct moe_supervisor *supervisor)
{
    int cpus = available_cpus();
    int workers = options->most > 0 && options->most < cpus ? (int)options->most : cpus;
    size_t slots = (size_t)(options->jobs > 0 ? options->jobs : workers);

    supervisor->slots = (int)slots;
    supervisor->timeout = options->timeout;
    supervisor->devices = options->devices;
    supervisor->one_job_each = options->one_job_each;
    supervisor->queue_end = &supervisor->queue;
    supervisor->crew.program = options->program != NULL ? options->program : "/proc/self/exe";
    supervisor->crew.argv = worker_arguments(options);
    /* One worker has the machine for itself; several share its CPUs. */
    supervisor->crew.threads = slots == 1 ? 0 : cpus / (int)slots > 1 ? cpus / (int)slots : 1;
    supervisor->slot = calloc(slots, sizeof *supervisor->slot);
    supervisor->has = calloc(slots, sizeof(struct open_job *));
    supervisor->poll = calloc(slots + 1, sizeof *supervisor->poll);
    if (supervisor->crew.argv == NULL || supervisor->slot == NULL || supervisor->has == NULL ||
        supervisor->poll == NULL)
        return moe_error(MOE_E_NOMEM, "no memory for a supervisor");
    return MOE_OK;
}

/* Starts the first worker and hears its hello. */
static int meet(struct moe_supervisor *supervisor)
{
    struct moe_slot *slot = &supervisor->slot[0];
    int status = moe_slot_start(slot, &supervisor->crew);
    char how[160];

    if (status != MOE_OK)
        return status;
    while (!slot->greeted) {
        if (moe_interrupt_came())
            return moe_error(MOE_E_INTERNAL, "interrupted");
        switch (moe_slot_attend(slot, &supervisor->crew, &supervisor->answer, how, sizeof how)) {
        case MOE_SLOT_REFUSED:
            return supervisor->crew.refusal;
        case MOE_SLOT_FAILED:
            return moe_error(MOE_E_INTERNAL, "a worker ended before it had said hello: %s", how);
        default:
            break;
        }
        if (!slot->greeted)
            wait_until(supervisor, slot->deadline);
    }
    return MOE_OK;
}

int moe_supervisor_start(const struct moe_supervisor_options *options,
                         struct moe_supervisor **supervisor)
{
    struct moe_supervisor *new = calloc(1, sizeof *new);
    int status;

    if (new == NULL)
        return moe_error(MOE_E_NOMEM, "no memory for a supervisor");
    status = create(options, new);
    if (status == MOE_OK)
        status = moe_interrupt_take();
    if (status == MOE_OK) {
        status = meet(new);
        if (status == MOE_OK) {
            *supervisor = new;
            return MOE_OK;
        }
    }
    moe_supervisor_stop(new);
    return status;
}

const char *moe_supervisor_variant(const struct moe_supervisor *supervisor, int index)
{
    return supervisor->crew.variant[index];
}

void moe_supervisor_stop(struct moe_supervisor *supervisor)
{
    if (supervisor == NULL)
        return;
    for (int i = 0; supervisor->slot != NULL && i < supervisor->slots; i++) {
        moe_slot_stop(&supervisor->slot[i]);
        if (supervisor->has != NULL && supervisor->has[i] != NULL) {
            free(supervisor->has[i]->request);
            free(supervisor->has[i]);
        }
    }
    while (supervisor->queue != NULL) {
        struct open_job *job = supervisor->queue;

        supervisor->queue = job->next;
        free(job->request);
        free(job);
    }
    moe_interrupt_release();
    free(supervisor->slot);
    free(supervisor->has);
    free(supervisor->poll);
    free_strings(supervisor->crew.argv);
    free_strings(supervisor->crew.variant);
    free(supervisor);
}

/*
 * selftest_run.c - trials through workers, and what each check said.
 */
#include <string.h>

#include "verify/selftest.h"

/* Faults that may hang do not wait as long as a case that is only slow, on a busy machine, may
 * take. */
#define SECONDS_OF_HANGS 5

/* Trials that wait in the supervisor; more would only take memory. */
#define QUEUED 64

const char *selftest_column(int column)
{
    int checks = 0;
    while (moe_check_get(checks))
        checks++;
    if (column < checks)
        return moe_check_get(column)->name;
    return column == checks ? "run" : column == checks + 1 ? "isolation" : NULL;
}

static int column_of(const char *name)
{
    const char *column;
    for (int i = 0; (column = selftest_column(i)); i++)
        if (strcmp(column, name) == 0)
            return i;
    return -1;
}

/* Is the name one of a list with commas between? */
static int listed(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, length) == 0 && (at[length] == '\0' || at[length] == ','))
            return 1;
    }
    return 0;
}

int selftest_caught(const struct selftest *selftest, int fault)
{
    const char *column, *checks = selftest->common.checks;
    if (!checks)
        checks = moe_fault_get(fault)->checks;
    for (int i = 0; (column = selftest_column(i)); i++)
        if (selftest->score[fault].by[i] > 0 && listed(checks, column))
            return 1;
    return 0;
}

static void add_score(struct selftest_score *score, const struct moe_report *report)
{
    if (report->verdict == MOE_SKIP || report->verdict == MOE_ERROR)
        return;
    score->judged++;
    if (score->first == 0)
        score->seconds += report->variant_seconds + report->judge_seconds;
    if (report->verdict != MOE_FAIL)
        return;
    score->caught++;
    if (score->first == 0)
        score->first = score->judged;
    unsigned char seen[SELFTEST_COLUMNS] = {0};
    for (int i = 0; i < report->finding_count && i < MOE_REPORT_FINDINGS; i++) {
        int column = column_of(report->finding[i].check);
        if (column < 0 || report->finding[i].verdict != MOE_FAIL || seen[column])
            continue;
        seen[column] = 1;
        score->by[column]++;
    }
}

/* A clean case that is not silent is shown in full: it is a bug of ours. */
static void add_clean(struct selftest *selftest, const struct moe_result *result)
{
    enum moe_verdict verdict = result->report.verdict;
    selftest->alarms += verdict == MOE_FAIL;
    selftest->undecided += verdict == MOE_ERROR;
    selftest->silent += verdict == MOE_PASS;
    if (verdict == MOE_PASS || verdict == MOE_SKIP)
        return;
    moe_progress_erase(&selftest->progress);
    if (selftest->common.json)
        moe_report_print_json(stdout, result);
    else
        moe_report_print(stdout, &selftest->common, NULL, result);
}

void selftest_take(struct selftest *selftest, const struct moe_result *result)
{
    const struct selftest_trial *trial = &selftest->trial[result->ticket];
    if (trial->kind == SELFTEST_CLEAN)
        add_clean(selftest, result);
    else
        add_score(trial->kind == SELFTEST_FAULT ? &selftest->score[trial->subject]
                                                : &selftest->floor[trial->subject],
                  &result->report);
    if (selftest->common.verbose && trial->kind != SELFTEST_CLEAN) {
        printf("%s in %s, configuration %d\n", trial->fault, trial->model, trial->configuration);
        moe_report_print(stdout, &selftest->common, NULL, result);
    }
}

static int may_hang(const struct selftest_trial *trial)
{
    return trial->kind == SELFTEST_FAULT &&
           moe_fault_get(trial->subject)->class == MOE_FAULT_ENVIRONMENT;
}

/* Checks that run the variant again take turns, but where one of them must catch the fault, or the
 * user asks for it. */
static int takes_turns(const struct selftest *selftest, const struct selftest_trial *trial)
{
    const struct moe_check *check;
    int wants = trial->kind != SELFTEST_CLEAN && selftest->common.checks;
    for (int i = 0; trial->kind == SELFTEST_FAULT && (check = moe_check_get(i)); i++)
        wants |= check->runs > 0 && listed(moe_fault_get(trial->subject)->checks, check->name);
    return !wants;
}

static int submit(struct selftest *selftest, int64_t number)
{
    const struct selftest_trial *trial = &selftest->trial[number];
    struct moe_job job = {.action = MOE_ACTION_JUDGE,
                          .problem = trial->problem,
                          .variant = trial->model,
                          .fault = trial->fault[0] ? trial->fault : NULL,
                          .checks = selftest->common.checks,
                          .rotate = takes_turns(selftest, trial),
                          .configuration = trial->configuration,
                          .ticket = (uint64_t)number};
    if (may_hang(trial) && !(selftest->common.timeout > 0))
        job.patience = SECONDS_OF_HANGS;
    return moe_supervisor_submit(selftest->supervisor, &job);
}

static int collect(struct selftest *selftest)
{
    struct moe_result result;
    int64_t next = 0, done = 0;
    int status = MOE_OK;
    for (;;) {
        while (status == MOE_OK && next < selftest->count &&
               moe_supervisor_open_jobs(selftest->supervisor) < QUEUED)
            status = submit(selftest, next++);
        if (status != MOE_OK)
            return status;
        switch (moe_supervisor_next(selftest->supervisor, 1, &result)) {
        case MOE_NEXT_RESULT:
            selftest_take(selftest, &result);
            done++;
            break;
        case MOE_NEXT_WAIT:
            break;
        case MOE_NEXT_NONE:
            return MOE_OK;
        case MOE_NEXT_INTERRUPTED:
            selftest->interrupted = 1;
            return MOE_OK;
        }
        moe_progress_show(&selftest->progress, done, selftest->alarms);
    }
}

int selftest_run(struct selftest *selftest)
{
    struct moe_supervisor_options how = moe_options_supervisor(&selftest->common);
    how.devices = MOE_ON_CPU | MOE_WORKER_MODELS;
    int status = moe_supervisor_start(&how, &selftest->supervisor);
    if (status == MOE_OK) {
        moe_progress_start(&selftest->progress, selftest->count, selftest->common.quiet);
        status = collect(selftest);
        moe_progress_erase(&selftest->progress);
    }
    moe_supervisor_stop(selftest->supervisor);
    return status;
}

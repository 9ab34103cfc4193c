/*
 * session.c - cases through the supervisor: every case with every variant, as verify and replay do
 * it; or one job, as run and judge do.
 *
 * Results come in any order and are printed in that of the cases, so that the same command prints
 * the same lines; what is early waits.
 */
#include <stdlib.h>

#include "verify/ledger.h"

struct session {
    const struct moe_options *options;
    const char *load;
    struct moe_supervisor *supervisor;
    struct moe_tally tally;
    struct moe_progress progress;
    struct moe_result **early; /* [total] by ticket; NULL: not there, or printed */
    int64_t total, printed;
};

/* ---- what there is to do --------------------------------------------------------------------- */

static int submit(struct session *session, const struct moe_cases *cases)
{
    const char *name;

    for (int64_t i = 0; i < cases->count; i++)
        for (int v = 0; (name = moe_supervisor_variant(session->supervisor, v)) != NULL; v++) {
            struct moe_job job = {.action = MOE_ACTION_JUDGE,
                                  .problem = cases->problem[i],
                                  .variant = name,
                                  .load = session->load,
                                  .checks = session->options->checks,
                                  .ticket = (uint64_t)session->total};
            int status;

            if (!moe_options_match(session->options, name) ||
                moe_ledger_forbids(session->options->ledger, name, &cases->problem[i]))
                continue;
            status = moe_supervisor_submit(session->supervisor, &job);
            if (status != MOE_OK)
                return status;
            session->total++;
        }
    session->early = calloc((size_t)session->total + 1, sizeof *session->early);
    return session->early != NULL ? MOE_OK : moe_error(MOE_E_NOMEM, "no memory for the results");
}

/* ---- results --------------------------------------------------------------------------------- */

static void print(struct session *session, const struct moe_result *result)
{
    enum moe_verdict verdict = result->report.verdict;
    const struct moe_ledger_line *known = moe_ledger_take(session->options->ledger, result);

    if (known == NULL)
        moe_tally_add(&session->tally, result->variant, verdict);
    if (session->options->quiet && (verdict == MOE_PASS || verdict == MOE_SKIP || known != NULL))
        return;
    moe_progress_erase(&session->progress);
    if (session->options->json)
        moe_report_print_json(stdout, result);
    else if (known == NULL || session->options->verbose)
        moe_report_print(stdout, session->options, session->load, result);
    if (known != NULL)
        moe_ledger_print_known(stdout, known, result, session->options->json);
    fflush(stdout);
}

static void print_ready(struct session *session)
{
    struct moe_result *result;

    while (session->printed < session->total &&
           (result = session->early[session->printed]) != NULL) {
        print(session, result);
        free(result);
        session->early[session->printed++] = NULL;
    }
}

/* Results that an earlier one, which will not come any more, holds back. */
static void print_rest(struct session *session)
{
    for (; session->printed < session->total; session->printed++)
        if (session->early[session->printed] != NULL) {
            print(session, session->early[session->printed]);
            free(session->early[session->printed]);
        }
}

static int keep(struct session *session, const struct moe_result *result)
{
    struct moe_result *copy = malloc(sizeof *copy);

    if (copy == NULL)
        return moe_error(MOE_E_NOMEM, "no memory for the results");
    *copy = *result;
    session->early[result->ticket] = copy;
    return MOE_OK;
}

/* Until all have come. MOE_E_USAGE: a file that jobs were to read is not what it must be.
 * *interrupted where somebody asked us to end. */
static int collect(struct session *session, int *interrupted)
{
    struct moe_result result;
    int64_t done = 0;
    int status = MOE_OK;

    for (;;) {
        switch (moe_supervisor_next(session->supervisor, 1, &result)) {
        case MOE_NEXT_RESULT:
            done++;
            if (result.status != MOE_OK)
                return moe_error(result.status, "%s", result.report.finding[0].text);
            status = keep(session, &result);
            if (status != MOE_OK)
                return status;
            print_ready(session);
            break;
        case MOE_NEXT_WAIT:
            break;
        case MOE_NEXT_NONE:
            return MOE_OK;
        case MOE_NEXT_INTERRUPTED:
            *interrupted = 1;
            return MOE_OK;
        }
        if (ferror(stdout))
            return MOE_OK; /* nobody can be told the rest; main() says so */
        moe_progress_show(&session->progress, done, session->tally.count[MOE_FAIL]);
    }
}

static int finish(struct session *session, int status, int interrupted)
{
    int64_t judged = 0;
    int exit_status;

    moe_progress_erase(&session->progress);
    if (session->early != NULL)
        print_rest(session);
    free(session->early);
    if (status != MOE_OK)
        return moe_command_error(session->options->name, status);
    int passing = moe_ledger_print(stdout, session->options->ledger, session->options->json,
                                   session->options->quiet);
    exit_status = moe_ledger_exit(session->options->ledger, passing,
                                  moe_tally_exit(&session->tally, interrupted));
    if (session->options->json)
        moe_tally_print_json(stdout, &session->tally, exit_status);
    else if (!session->options->quiet)
        moe_tally_print(stdout, &session->tally);
    for (int verdict = MOE_PASS; verdict <= MOE_ERROR; verdict++)
        judged += session->tally.count[verdict];
    if (interrupted)
        fprintf(stderr, "%s: interrupted, %lld of %lld judged\n", session->options->name,
                (long long)judged, (long long)session->total);
    return exit_status;
}

int moe_session_judge(const struct moe_options *options, const struct moe_cases *cases,
                      const char *load)
{
    struct session session = {.options = options, .load = load};
    struct moe_supervisor_options how = moe_options_supervisor(options);
    int status, interrupted = 0;
    const char *only;

    how.most = cases->count;
    status = moe_supervisor_start(&how, &session.supervisor);
    if (status == MOE_OK)
        status =
            moe_options_variants(options, session.supervisor, &only) < 0 ? MOE_E_USAGE : MOE_OK;
    if (status == MOE_OK)
        status = submit(&session, cases);
    if (status == MOE_OK) {
        moe_progress_start(&session.progress, session.total, options->quiet);
        status = collect(&session, &interrupted);
    }
    status = finish(&session, status, interrupted);
    moe_supervisor_stop(session.supervisor);
    return status;
}

/* ---- one job --------------------------------------------------------------------------------- */

/* The one variant that the options name. */
static int choose(const struct moe_options *options, const struct moe_supervisor *supervisor,
                  const char **variant)
{
    int count = moe_options_variants(options, supervisor, variant);

    if (count > 1)
        return moe_error(MOE_E_USAGE, "--variant matches %d variants; allowed: one", count);
    return count < 0 ? count : MOE_OK;
}

static int print_single(const struct moe_options *options, const char *file, int always,
                        const struct moe_result *result)
{
    struct moe_tally tally = {0};

    if (result->status != MOE_OK) {
        moe_error(result->status, "%s", result->report.finding[0].text);
        moe_command_error(options->name, result->status);
        return result->status == MOE_E_IO ? MOE_EXIT_ERROR : MOE_EXIT_USAGE;
    }
    moe_tally_add(&tally, "", result->report.verdict);
    if (options->json)
        moe_report_print_json(stdout, result);
    else if (result->report.verdict != MOE_PASS || (always && !options->quiet))
        moe_report_print(stdout, options, file, result);
    return moe_tally_exit(&tally, 0);
}

int moe_session_single(const struct moe_options *options, struct moe_job *job, int variant,
                       const char *file, int always)
{
    struct moe_supervisor_options how = moe_options_supervisor(options);
    struct moe_supervisor *supervisor = NULL;
    struct moe_result result;
    enum moe_next next = MOE_NEXT_WAIT;
    int status;

    how.jobs = 1;
    status = moe_supervisor_start(&how, &supervisor);
    if (status == MOE_OK && variant)
        status = choose(options, supervisor, &job->variant);
    if (status == MOE_OK)
        status = moe_supervisor_submit(supervisor, job);
    while (status == MOE_OK && next == MOE_NEXT_WAIT)
        next = moe_supervisor_next(supervisor, 3600, &result);
    if (status != MOE_OK) {
        status = moe_command_error(options->name, status);
    } else if (next == MOE_NEXT_RESULT) {
        status = print_single(options, file, always, &result);
    } else {
        fprintf(stderr, "%s: interrupted\n", options->name);
        status = MOE_EXIT_ERROR;
    }
    moe_supervisor_stop(supervisor);
    return status;
}

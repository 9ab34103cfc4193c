/*
 * campaign.c - the loop of `moecheck fuzz`: takes cases in order, keeps the workers busy, and says
 * what came of it.
 *
 * Few jobs are queued ahead, so that the end of the budget is the end of the run.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz/campaign.h"
#include "verify/ledger.h"

#define QUEUED_PER_WORKER 4
#define WAIT_SECONDS 0.1
#define FULL_REPORTS 10 /* of a variant; what more fails has a line each */

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

double campaign_worked(const struct campaign *campaign)
{
    return campaign->worked + (campaign->ended > 0 ? campaign->ended : now()) - campaign->started;
}

void campaign_free(struct campaign *campaign)
{
    crew_stop(&campaign->crew);
    campaign_store_close(campaign);
    moe_cases_free(&campaign->replayed);
    moe_coverage_free(&campaign->coverage);
    free(campaign->array);
}

/* ---- cases ----------------------------------------------------------------------------------- */

/* Cases that the budget had room for are judged, even where it is spent since: they were under way
 * when the campaign was cut. */
static int is_over(const struct campaign *campaign)
{
    return (campaign->cases >= 0 && campaign->next >= campaign->replayed.count + campaign->cases) ||
           (campaign->budget > 0 && now() >= campaign->deadline &&
            campaign->next > campaign->reached);
}

/* Has that pair still to be judged, as far as options, ledger and store are concerned? */
static int is_open(struct campaign *campaign, const struct moe_job *job)
{
    if (!moe_options_match(&campaign->common, job->variant) ||
        moe_ledger_forbids(campaign->common.ledger, job->variant, &job->problem))
        return 0;
    int has = campaign_store_has(campaign, (int64_t)job->ticket, job->variant);
    return has < 0 ? has : !has;
}

/* Queues the next case, if it is of this shard, for every variant that the options name. */
static int submit(struct campaign *campaign)
{
    int64_t number = campaign->next++;
    struct moe_job job = {.action = MOE_ACTION_JUDGE,
                          .checks = campaign->common.checks,
                          /* a failure is met by every check, or might seem to pass */
                          .rotate = campaign->common.checks == NULL && number >= campaign->known &&
                                    !campaign_is_earlier(campaign, number),
                          .ticket = (uint64_t)number};
    int status = MOE_OK;
    if (!campaign_has(campaign, number))
        return MOE_OK;
    campaign->taken++;
    campaign->drawn += number >= campaign->replayed.count;
    campaign_case(campaign, number, &job.problem);
    for (int v = 0; status == MOE_OK; v++) {
        job.variant = crew_variant(&campaign->crew, v);
        if (job.variant == NULL)
            break;
        status = is_open(campaign, &job);
        if (status != 1)
            continue;
        campaign_keep_expect(campaign, &job);
        status = crew_submit(&campaign->crew, &job);
    }
    return status;
}

/* ---- results --------------------------------------------------------------------------------- */

/* Cases that the variant has failed or that could not be decided. */
static int64_t bad_of(const struct moe_tally *tally, const char *variant)
{
    for (int i = 0; i < tally->variant_count; i++)
        if (strcmp(tally->variant[i].name, variant) == 0)
            return tally->variant[i].count[MOE_FAIL] + tally->variant[i].count[MOE_ERROR];
    return 0;
}

static void print(struct campaign *campaign, const struct moe_result *result, int bad,
                  const struct moe_ledger_line *known)
{
    const struct moe_options *options = &campaign->common;
    if (!bad && (options->quiet || !(options->json || options->verbose)))
        return;
    moe_progress_erase(&campaign->progress);
    int64_t count = bad ? bad_of(&campaign->tally, result->variant) : 0;
    if (options->json) {
        moe_report_print_json(stdout, result);
    } else if (count <= FULL_REPORTS) {
        moe_report_print(stdout, options, NULL, result);
    } else {
        char line[MOE_CASE_LINE];
        moe_problem_print(&result->problem, line, sizeof line);
        printf("%-5s %s  %s\n", moe_verdict_name(result->report.verdict), result->variant, line);
    }
    if (known != NULL)
        moe_ledger_print_known(stdout, known, result, options->json);
    fflush(stdout);
}

static int is_bad(const struct moe_result *result, const struct moe_ledger_line *known)
{
    enum moe_verdict verdict = result->report.verdict;
    return known == NULL && (verdict == MOE_FAIL || verdict == MOE_ERROR);
}

/* Takes it into all that is told in the end. */
static void count(struct campaign *campaign, const struct moe_result *result,
                  const struct moe_ledger_line *known)
{
    enum moe_verdict verdict = result->report.verdict;
    campaign->results++;
    campaign_count_checks(&campaign->checks, &result->report);
    if (known == NULL)
        moe_tally_add(&campaign->tally, result->variant, verdict);
    if (verdict == MOE_PASS || verdict == MOE_FAIL)
        moe_coverage_add(&campaign->coverage, &result->problem);
    if (is_bad(result, known))
        moe_failure_add(&campaign->classes, result);
}

static int take_result(struct campaign *campaign, const struct moe_result *result)
{
    const struct moe_ledger_line *known = moe_ledger_take(campaign->common.ledger, result);
    count(campaign, result, known);
    print(campaign, result, is_bad(result, known), known);
    int status = campaign_store_take(campaign, result, known != NULL, campaign->crew.worker);
    return status == MOE_OK ? campaign_keep_take(campaign, result) : status;
}

/* One that the campaign had before it was resumed. */
static int take_earlier(void *context, const struct moe_result *result)
{
    struct campaign *campaign = context;
    campaign->reached = (int64_t)result->ticket; /* they come in their order */
    count(campaign, result, moe_ledger_take(campaign->common.ledger, result));
    campaign_keep_restore(campaign, result);
    return MOE_OK;
}

/* Until the budget is spent and all that was queued has come. */
static int collect(struct campaign *campaign)
{
    const int workers = crew_workers(&campaign->crew);
    for (;;) {
        struct moe_result result;
        int status = MOE_OK;
        while (status == MOE_OK && !is_over(campaign) &&
               crew_open_jobs(&campaign->crew) < workers * QUEUED_PER_WORKER)
            status = submit(campaign);
        if (status != MOE_OK)
            return status;
        switch (crew_next(&campaign->crew, WAIT_SECONDS, &result)) {
        case MOE_NEXT_RESULT:
            status = take_result(campaign, &result);
            break;
        case MOE_NEXT_WAIT:
            break;
        case MOE_NEXT_NONE:
            return MOE_OK;
        case MOE_NEXT_INTERRUPTED:
            campaign->interrupted = 1;
            return MOE_OK;
        }
        if (status == MOE_OK)
            status = campaign_store_pause(campaign);
        if (status != MOE_OK)
            return status;
        if (ferror(stdout)) {
            campaign->interrupted = 1;
            return MOE_OK;
        }
        moe_progress_show(&campaign->progress, campaign->results, campaign->tally.count[MOE_FAIL]);
    }
}

/* ---- the run --------------------------------------------------------------------------------- */

static int judge(struct campaign *campaign)
{
    moe_progress_start(&campaign->progress, 0, campaign->common.quiet);
    int status = collect(campaign);
    moe_progress_erase(&campaign->progress);
    campaign->ended = now();
    if (status == MOE_OK)
        status = campaign_store_write(campaign);
    if (status == MOE_OK)
        status = campaign_keep_rest(campaign);
    crew_rest(&campaign->crew);
    return status;
}

int campaign_run(struct campaign *campaign)
{
    int status = campaign_store_restore(campaign, take_earlier);
    campaign_print_start(campaign);
    campaign->started = now();
    campaign->deadline = campaign->started + campaign->budget - campaign->worked;
    if (status == MOE_OK)
        status = judge(campaign);
    if (status == MOE_OK)
        status = campaign_shrink(campaign);
    if (status == MOE_OK && !campaign->interrupted)
        status = campaign_store_end(campaign);
    int passing = moe_ledger_print(stdout, campaign->common.ledger, campaign->common.json,
                                   campaign->common.quiet);
    int exit_status = moe_ledger_exit(campaign->common.ledger, passing,
                                      moe_tally_exit(&campaign->tally, campaign->interrupted));
    if (status != MOE_OK) {
        moe_command_error(campaign->common.name, status);
        if (exit_status != MOE_EXIT_FAIL)
            exit_status = MOE_EXIT_ERROR;
    }
    campaign_print_end(campaign, exit_status);
    return exit_status;
}

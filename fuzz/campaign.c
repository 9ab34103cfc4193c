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

/* ---- cases ----------------------------------------------------------------------------------- */

static int read_cases(struct campaign *campaign)
{
    int status = moe_ledger_cases(campaign->common.ledger, &campaign->replayed);
    campaign->known = campaign->replayed.count;
    if (status == MOE_OK)
        status = campaign_corpus(&campaign->replayed);
    if (status == MOE_OK && campaign->corpus != NULL && access(campaign->corpus, F_OK) == 0)
        status = moe_cases_read(&campaign->replayed, campaign->corpus);
    return status;
}

int campaign_prepare(struct campaign *campaign)
{
    int status = read_cases(campaign);
    if (status == MOE_OK)
        status = moe_coverage_create(&campaign->coverage);
    if (status == MOE_OK)
        status = moe_array_create(campaign->seed, &campaign->coverage, &campaign->array,
                                  &campaign->array_count);
    return status;
}

void campaign_free(struct campaign *campaign)
{
    moe_supervisor_stop(campaign->supervisor);
    moe_cases_free(&campaign->replayed);
    moe_coverage_free(&campaign->coverage);
    free(campaign->array);
}

/* Cases that were taken and are not of the corpus. */
static int64_t drawn(const struct campaign *campaign)
{
    int64_t replayed = campaign->replayed.count;
    return campaign->next > replayed ? campaign->next - replayed : 0;
}

static int is_over(const struct campaign *campaign)
{
    return (campaign->cases >= 0 && campaign->next >= campaign->replayed.count &&
            drawn(campaign) >= campaign->cases) ||
           (campaign->budget > 0 && now() >= campaign->deadline);
}

static void take_case(struct campaign *campaign, struct moe_problem *problem)
{
    int64_t number = campaign->next - campaign->replayed.count;
    if (number < 0)
        *problem = campaign->replayed.problem[campaign->next];
    else if (number < campaign->array_count)
        *problem = campaign->array[number];
    else
        moe_case_draw(campaign->seed, (uint64_t)(number - campaign->array_count), problem);
    campaign->next++;
}

/* Queues the next case for every variant that the options name. */
static int submit(struct campaign *campaign)
{
    struct moe_job job = {.action = MOE_ACTION_JUDGE,
                          .checks = campaign->common.checks,
                          /* a known failure is met by every check, or might seem to pass */
                          .rotate =
                              campaign->common.checks == NULL && campaign->next >= campaign->known,
                          .ticket = (uint64_t)campaign->next};
    int status = MOE_OK;
    take_case(campaign, &job.problem);
    for (int v = 0; status == MOE_OK; v++) {
        job.variant = moe_supervisor_variant(campaign->supervisor, v);
        if (job.variant == NULL)
            break;
        if (moe_options_match(&campaign->common, job.variant) &&
            !moe_ledger_forbids(campaign->common.ledger, job.variant, &job.problem))
            status = moe_supervisor_submit(campaign->supervisor, &job);
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

/* Keeps the first case of each kind of failure as it comes, lest the end of the run be never. */
static int keep(const struct campaign *campaign, const struct moe_result *result)
{
    const struct moe_report *report = &result->report;
    char comment[512] = "";
    if (campaign->corpus == NULL)
        return MOE_OK;
    for (int i = 0; i < report->finding_count && i < MOE_REPORT_FINDINGS; i++)
        if (report->finding[i].verdict == report->verdict) {
            snprintf(comment, sizeof comment, "%s: %s: %s", result->variant,
                     report->finding[i].check, report->finding[i].text);
            break;
        }
    return moe_corpus_append(campaign->corpus, &result->problem, comment);
}

static int take_result(struct campaign *campaign, const struct moe_result *result)
{
    enum moe_verdict verdict = result->report.verdict;
    const struct moe_ledger_line *known = moe_ledger_take(campaign->common.ledger, result);
    int bad = known == NULL && (verdict == MOE_FAIL || verdict == MOE_ERROR);
    campaign->results++;
    campaign_count_checks(&campaign->checks, &result->report);
    if (known == NULL)
        moe_tally_add(&campaign->tally, result->variant, verdict);
    if (verdict == MOE_PASS || verdict == MOE_FAIL)
        moe_coverage_add(&campaign->coverage, &result->problem);
    print(campaign, result, bad, known);
    return bad && moe_failure_add(&campaign->classes, result) ? keep(campaign, result) : MOE_OK;
}

/* Until the budget is spent and all that was queued has come. */
static int collect(struct campaign *campaign)
{
    int workers = campaign->common.jobs;
    if (workers == 0)
        workers = (int)sysconf(_SC_NPROCESSORS_ONLN);
    for (;;) {
        struct moe_result result;
        int status = MOE_OK;
        while (status == MOE_OK && !is_over(campaign) &&
               moe_supervisor_open_jobs(campaign->supervisor) < workers * QUEUED_PER_WORKER)
            status = submit(campaign);
        if (status != MOE_OK)
            return status;
        switch (moe_supervisor_next(campaign->supervisor, WAIT_SECONDS, &result)) {
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
        if (status != MOE_OK)
            return status;
        if (ferror(stdout)) {
            campaign->interrupted = 1;
            return MOE_OK;
        }
        moe_progress_show(&campaign->progress, campaign->results, campaign->tally.count[MOE_FAIL]);
    }
}

/* ---- what is said before and after ------------------------------------------------------------
 */

static void print_start(const struct campaign *campaign)
{
    const struct moe_coverage *coverage = &campaign->coverage;
    if (campaign->common.json)
        printf("{\"campaign\":{\"seed\":%llu,\"corpus\":%lld,\"array\":%d}}\n",
               (unsigned long long)campaign->seed, (long long)campaign->replayed.count,
               campaign->array_count);
    else if (!campaign->common.quiet)
        printf(
            "seed %llu: %lld cases of the corpus%s, then %d that have all %d pairs of values that "
            "can occur together, then random ones\n",
            (unsigned long long)campaign->seed, (long long)campaign->replayed.count,
            campaign->known > 0 ? " and the ledger" : "", campaign->array_count,
            coverage->pairs_feasible);
    if (campaign->cases >= 0 && campaign->cases < campaign->array_count)
        fprintf(stderr, "%s: %lld cases are fewer than the %d that have every pair\n",
                campaign->common.name, (long long)campaign->cases, campaign->array_count);
    fflush(stdout);
}

static void print_end(const struct campaign *campaign, int exit_status)
{
    const struct moe_coverage *coverage = &campaign->coverage;
    double seconds = campaign->ended - campaign->started;
    double rate = 60 * (double)campaign->next / seconds;
    if (campaign->common.json) {
        moe_tally_print_json(stdout, &campaign->tally, exit_status);
        campaign_print_checks_json(&campaign->checks);
        printf("{\"coverage\":{\"cases\":%lld,\"drawn\":%lld,\"seconds\":%.3f,"
               "\"values\":%d,\"values_seen\":%d,\"pairs\":%d,\"pairs_seen\":%d,"
               "\"pairs_infeasible\":%d}}\n",
               (long long)campaign->next, (long long)drawn(campaign), seconds,
               coverage->values_feasible, coverage->values_seen, coverage->pairs_feasible,
               coverage->pairs_seen, coverage->pairs_infeasible);
    } else if (!campaign->common.quiet) {
        moe_tally_print(stdout, &campaign->tally);
        campaign_print_checks(&campaign->checks);
        printf("cases    %lld of the corpus and %lld drawn in %.1f s, %.0f a minute; seed %llu\n",
               (long long)(campaign->next - drawn(campaign)), (long long)drawn(campaign), seconds,
               rate, (unsigned long long)campaign->seed);
        printf("values   %d of %d\n", coverage->values_seen, coverage->values_feasible);
        printf("pairs    %d of %d that can occur together (%d cannot)\n", coverage->pairs_seen,
               coverage->pairs_feasible, coverage->pairs_infeasible);
    }
    if (campaign->interrupted)
        fprintf(stderr, "%s: interrupted\n", campaign->common.name);
}

int campaign_run(struct campaign *campaign)
{
    struct moe_supervisor_options how = moe_options_supervisor(&campaign->common);
    const char *first;
    int status = moe_supervisor_start(&how, &campaign->supervisor);
    if (status == MOE_OK &&
        moe_options_variants(&campaign->common, campaign->supervisor, &first) < 0)
        status = MOE_E_USAGE;
    if (status != MOE_OK)
        return moe_command_error(campaign->common.name, status);
    print_start(campaign);
    campaign->started = now();
    campaign->deadline = campaign->started + campaign->budget;
    moe_progress_start(&campaign->progress, 0, campaign->common.quiet);
    status = collect(campaign);
    moe_progress_erase(&campaign->progress);
    campaign->ended = now();
    moe_supervisor_stop(campaign->supervisor); /* those that shrink have workers of their own */
    campaign->supervisor = NULL;
    if (status == MOE_OK)
        status = campaign_shrink(campaign);
    int passing = moe_ledger_print(stdout, campaign->common.ledger, campaign->common.json,
                                   campaign->common.quiet);
    int exit_status = moe_ledger_exit(campaign->common.ledger, passing,
                                      moe_tally_exit(&campaign->tally, campaign->interrupted));
    if (status != MOE_OK) {
        moe_command_error(campaign->common.name, status);
        if (exit_status != MOE_EXIT_FAIL)
            exit_status = MOE_EXIT_ERROR;
    }
    print_end(campaign, exit_status);
    return exit_status;
}

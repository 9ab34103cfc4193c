/*
 * command_shrink.c - moecheck shrink CASE --variant NAME: the smallest case that still fails in the
 * same way.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz/campaign.h"
#include "fuzz/failure.h"

#define RUNS 10 /* until it fails: it may do so now and then only */

struct shrink {
    struct moe_options common;
    struct moe_cases cases;
    double budget;
    char variant[64];
};

enum { KEY_BUDGET = 0x200 };

static const struct argp_option options[] = {
    {"shrink-budget", KEY_BUDGET, "TIME", 0,
     "Shrink for so long: 90s, 10m (default: " SHRINK_BUDGET ")", 0},
    MOE_OPTION_CHECK,
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct shrink *shrink = state->input;
    switch (key) {
    case KEY_BUDGET:
        shrink->budget = campaign_time(argument);
        if (shrink->budget > 0)
            return 0;
        moe_command_usage(shrink->common.name,
                          "--shrink-budget is '%s'; allowed: a time such as 90s, 10m or 8h",
                          argument);
        return EINVAL;
    case MOE_KEY_CHECK:
        return moe_options_check(&shrink->common, argument);
    default:
        return moe_cases_parse(&shrink->cases, key, argument);
    }
}

static const struct argp argp = {
    options,
    parse,
    "CASE",
    "Makes a case that fails smaller as long as it fails in the same way.\v"
    "--variant must name one variant. What counts is the check that the first finding names, and "
    "its tensor; --check chooses another. A case that fails now and then only is run ten times "
    "before it counts as passed.",
    NULL,
    NULL,
    NULL};

/* Runs the case until it fails, up to RUNS times. MOE_E_INTERNAL: interrupted. */
static int judge(struct shrink *shrink, struct moe_result *result)
{
    struct moe_supervisor_options how = moe_options_supervisor(&shrink->common);
    struct moe_supervisor *supervisor = NULL;
    const char *variant = NULL;
    how.jobs = 1;
    int status = moe_supervisor_start(&how, &supervisor);
    if (status == MOE_OK) {
        int count = moe_options_variants(&shrink->common, supervisor, &variant);
        status = count < 0 ? count
                 : count == 1
                     ? MOE_OK
                     : moe_error(MOE_E_USAGE, "--variant matches %d variants; allowed: one", count);
    }
    for (int i = 0; status == MOE_OK && i < RUNS; i++) {
        struct moe_job job = {.action = MOE_ACTION_JUDGE,
                              .problem = shrink->cases.problem[0],
                              .variant = variant,
                              .checks = shrink->common.checks};
        enum moe_next next = MOE_NEXT_WAIT;
        status = moe_supervisor_submit(supervisor, &job);
        while (status == MOE_OK && next == MOE_NEXT_WAIT)
            next = moe_supervisor_next(supervisor, 3600, result);
        if (status == MOE_OK && next != MOE_NEXT_RESULT)
            status = moe_error(MOE_E_INTERNAL, "interrupted");
        if (status == MOE_OK && result->report.verdict != MOE_PASS)
            break;
    }
    if (status == MOE_OK) {
        snprintf(shrink->variant, sizeof shrink->variant, "%s", variant);
        result->variant = shrink->variant;
    }
    moe_supervisor_stop(supervisor);
    return status;
}

/* The exit status of a result by itself. */
static int exit_of(const struct moe_result *result)
{
    struct moe_tally tally = {0};
    moe_tally_add(&tally, "", result->report.verdict);
    return moe_tally_exit(&tally, 0);
}

static void print_whole(const struct shrink *shrink, const struct moe_result *result)
{
    if (shrink->common.json)
        moe_report_print_json(stdout, result);
    else
        moe_report_print(stdout, &shrink->common, NULL, result);
    if (result->report.verdict == MOE_PASS && !shrink->common.quiet)
        fprintf(stderr, "%s: it passes, %d times: there is nothing to shrink\n",
                shrink->common.name, RUNS);
}

static int shrink_case(struct shrink *shrink)
{
    struct moe_result result;
    struct moe_shrunk shrunk;
    struct moe_shrink_job job = {.how = moe_options_supervisor(&shrink->common),
                                 .variant = shrink->variant,
                                 .checks = shrink->common.checks,
                                 .budget = shrink->budget};
    int status = judge(shrink, &result);
    if (status != MOE_OK)
        return moe_command_error(shrink->common.name, status);
    if (!moe_failure_of(&result.report, &job.failure)) {
        print_whole(shrink, &result);
        return exit_of(&result);
    }
    job.problem = result.problem;
    status = moe_shrink_run(&job, &shrunk);
    if (status != MOE_OK)
        return moe_command_error(shrink->common.name, status);
    if (shrunk.again == 0)
        print_whole(shrink, &result);
    moe_shrunk_print(stdout, &shrink->common, &result.problem, &shrunk);
    if (shrunk.interrupted)
        fprintf(stderr, "%s: interrupted\n", shrink->common.name);
    return exit_of(&result);
}

static int run(int argc, char **argv)
{
    struct shrink shrink = {.budget = campaign_time(SHRINK_BUDGET)};
    int status = moe_options_parse(&argp, argc, argv, &shrink.common);
    if (status != MOE_OK)
        status = MOE_EXIT_USAGE;
    else if (shrink.cases.status != MOE_OK)
        status = moe_command_error(shrink.common.name, shrink.cases.status);
    else if (shrink.cases.count != 1)
        status = moe_command_usage(shrink.common.name, "%lld cases; allowed: one",
                                   (long long)shrink.cases.count);
    else
        status = shrink_case(&shrink);
    moe_cases_free(&shrink.cases);
    moe_options_free(&shrink.common);
    return status;
}

const struct moe_command moe_command_shrink = {
    "shrink", "make a case that fails smaller as long as it fails", run};

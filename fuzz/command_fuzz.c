/*
 * command_fuzz.c - moecheck fuzz: case after case, each to every variant, until the budget is
 * spent.
 *
 * First the corpus and the user's file of failures, then the covering array, then random cases.
 * What fails is printed as it comes and kept in the file; at the end stand a table by variant and
 * what was covered. A case covers what it has once some variant has passed or failed it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz/campaign.h"

/* ---- options -------------------------------------------------------------------------------- */

#define BUDGET "60s"

#define STORE_WAIT "30s"

enum {
    KEY_BUDGET = 0x200,
    KEY_CASES,
    KEY_SEED,
    KEY_CORPUS,
    KEY_SHRINK,
    KEY_STORE,
    KEY_STORE_WAIT,
    KEY_SHARD,
    KEY_COMMIT,
};

static const struct argp_option options[] = {
    {"budget", KEY_BUDGET, "TIME", 0,
     "Draw cases for so long: 90s, 10m, 8h (default: " BUDGET ", unless --cases is given)", 0},
    {"cases", KEY_CASES, "N", 0, "Draw so many cases; those of the corpus are not counted", 0},
    {"seed", KEY_SEED, "N", 0, "Draw the cases of this campaign (default: from the clock)", 0},
    {"corpus", KEY_CORPUS, "FILE", 0,
     "Judge the cases of FILE first, where there is one, and append what fails", 0},
    {"shrink-budget", KEY_SHRINK, "TIME", 0,
     "Shrink failures for so long in the end, 0: not at all (default: " SHRINK_BUDGET ")", 0},
    {"store", KEY_STORE, "FILE", 0,
     "Keep all results in FILE, and go on with a campaign there that was cut short", 0},
    {"store-wait", KEY_STORE_WAIT, "TIME", 0,
     "Wait so long where another process has the store locked (default: " STORE_WAIT ")", 0},
    {"shard", KEY_SHARD, "I/N", 0, "Judge the I-th of N parts of the cases, I from 0", 0},
    {"commit", KEY_COMMIT, "NAME", 0, "The commit of what is judged, for the store", 0},
    MOE_OPTION_CHECK,
    MOE_OPTION_LEDGER,
    {0},
};

/* A number without a sign, decimal or 0x and hexadecimal digits. */
static int read_number(const char *text, uint64_t most, uint64_t *number)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 0);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value > most)
        return -1;
    *number = value;
    return 0;
}

static error_t parse_shard(struct campaign *campaign, const char *text)
{
    long long shard, shards;
    int length = -1;
    if (text[0] >= '0' && text[0] <= '9' &&
        sscanf(text, "%6lld/%6lld%n", &shard, &shards, &length) == 2 && text[length] == '\0' &&
        shard < shards) {
        campaign->shard = shard;
        campaign->shards = shards;
        return 0;
    }
    moe_command_usage(campaign->common.name, "--shard is '%s'; allowed: I/N, 0 <= I < N", text);
    return EINVAL;
}

/* An option that is a time; is 0 allowed? */
static error_t parse_time(const struct campaign *campaign, const char *option, const char *text,
                          int zero, double *seconds)
{
    *seconds = campaign_time(text);
    if (zero ? *seconds >= 0 : *seconds > 0)
        return 0;
    moe_command_usage(campaign->common.name, "%s is '%s'; allowed: %sa time such as 90s, 10m or 8h",
                      option, text, zero ? "0, or " : "");
    return EINVAL;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct campaign *campaign = state->input;
    const char *name = campaign->common.name;
    uint64_t number;
    switch (key) {
    case KEY_BUDGET:
        return parse_time(campaign, "--budget", argument, 0, &campaign->budget);
    case KEY_CASES:
        if (read_number(argument, INT64_MAX, &number) == 0) {
            campaign->cases = (int64_t)number;
            return 0;
        }
        moe_command_usage(name, "--cases is '%s'; allowed: a number of cases", argument);
        return EINVAL;
    case KEY_SEED:
        if (read_number(argument, UINT64_MAX, &campaign->seed) == 0) {
            campaign->seeded = 1;
            return 0;
        }
        moe_command_usage(name, "--seed is '%s'; allowed: a number of at most 64 bits", argument);
        return EINVAL;
    case KEY_CORPUS:
        campaign->corpus = argument;
        return 0;
    case KEY_SHRINK:
        return parse_time(campaign, "--shrink-budget", argument, 1, &campaign->shrink_budget);
    case KEY_STORE:
        campaign->store_path = argument;
        return 0;
    case KEY_STORE_WAIT:
        return parse_time(campaign, "--store-wait", argument, 1, &campaign->store_wait);
    case KEY_SHARD:
        return parse_shard(campaign, argument);
    case KEY_COMMIT:
        campaign->commit = argument;
        return 0;
    case MOE_KEY_CHECK:
        return moe_options_check(&campaign->common, argument);
    case MOE_KEY_LEDGER:
        return moe_options_ledger(&campaign->common, argument);
    case ARGP_KEY_ARG:
        moe_command_usage(name, "'%s': cases are drawn here; see moecheck verify", argument);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options,
    parse,
    NULL,
    "Draws cases and judges every variant on each, until the budget is spent.\v"
    "The corpus of the program comes first, then cases that have every pair of values that can "
    "occur "
    "together, then random ones. The same seed draws the same cases. With --store a campaign that "
    "was cut short goes on when the same command is given again.",
    NULL,
    NULL,
    NULL};

/* ---- the run --------------------------------------------------------------------------------- */

static uint64_t seed_of_the_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ((uint64_t)now.tv_sec * 1000003u + (uint64_t)now.tv_nsec + (uint64_t)getpid()) &
           UINT32_MAX;
}

static int begin(struct campaign *campaign)
{
    if (!campaign->seeded)
        campaign->seed = seed_of_the_clock();
    if (campaign->budget == 0 && campaign->cases < 0)
        campaign->budget = campaign_time(BUDGET);
    int status = campaign_prepare(campaign);
    status = status == MOE_OK ? campaign_run(campaign)
                              : moe_command_error(campaign->common.name, status);
    campaign_free(campaign);
    return status;
}

static int run(int argc, char **argv)
{
    struct campaign campaign = {.cases = -1,
                                .reached = -1,
                                .shards = 1,
                                .shrink_budget = campaign_time(SHRINK_BUDGET),
                                .store_wait = campaign_time(STORE_WAIT)};
    int status = moe_options_parse(&argp, argc, argv, &campaign.common);
    if (status != MOE_OK) {
        moe_options_free(&campaign.common);
        return MOE_EXIT_USAGE;
    }
    status = moe_ranks_join(&campaign.crew.mpi, &campaign.crew.rank, &campaign.crew.count);
    if (status != MOE_OK) {
        moe_options_free(&campaign.common);
        return moe_command_error(campaign.common.name, status);
    }
    status = campaign.crew.rank > 0 ? moe_ranks_serve(campaign.crew.mpi, &campaign.common)
                                    : begin(&campaign);
    moe_options_free(&campaign.common);
    if (campaign.crew.mpi != NULL && (campaign.crew.rank == 0 || status == MOE_EXIT_PASS))
        campaign.crew.mpi->end();
    return status;
}

const struct moe_command moe_command_fuzz = {
    "fuzz", "draw cases and judge every variant on them, until a budget is spent", run};

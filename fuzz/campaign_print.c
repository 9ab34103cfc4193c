/*
 * campaign_print.c - what a campaign says before and after.
 */
#include <stdio.h>

#include "fuzz/campaign.h"

static void print_plan(const struct campaign *campaign)
{
    int64_t failures = campaign->replayed.count - campaign->fixed;
    printf("seed %llu: %lld cases of the corpus%s, ", (unsigned long long)campaign->seed,
           (long long)campaign->fixed, campaign->known > 0 ? " and the ledger" : "");
    if (failures > 0)
        printf("%lld that failed before, ", (long long)failures);
    printf("then %d that have all %d pairs of values that can occur together, then random ones\n",
           campaign->array_count, campaign->coverage.pairs_feasible);
    if (campaign->shards > 1)
        printf("shard %lld of %lld: its part of them\n", (long long)campaign->shard,
               (long long)campaign->shards);
}

void campaign_print_start(const struct campaign *campaign)
{
    if (campaign->common.json)
        printf("{\"campaign\":{\"seed\":%llu,\"corpus\":%lld,\"array\":%d,\"id\":%lld,"
               "\"resumed\":%lld,\"results\":%lld}}\n",
               (unsigned long long)campaign->seed, (long long)campaign->replayed.count,
               campaign->array_count, (long long)campaign->id, (long long)campaign->resumed,
               (long long)campaign->results);
    else if (!campaign->common.quiet)
        print_plan(campaign);
    if (campaign->resumed > 0 && !campaign->common.json && !campaign->common.quiet)
        printf("campaign %lld of %s goes on: %lld results in %.1f s before\n",
               (long long)campaign->id, campaign->store_path, (long long)campaign->results,
               campaign->worked);
    if (campaign->cases >= 0 && campaign->cases < campaign->array_count)
        fprintf(stderr, "%s: %lld cases are fewer than the %d that have every pair\n",
                campaign->common.name, (long long)campaign->cases, campaign->array_count);
    fflush(stdout);
}

void campaign_print_end(const struct campaign *campaign, int exit_status)
{
    const struct moe_coverage *coverage = &campaign->coverage;
    double seconds = campaign_worked(campaign);
    double rate = 60 * (double)campaign->taken / seconds;
    if (campaign->common.json) {
        moe_tally_print_json(stdout, &campaign->tally, exit_status);
        campaign_print_checks_json(&campaign->checks);
        printf("{\"coverage\":{\"cases\":%lld,\"drawn\":%lld,\"seconds\":%.3f,"
               "\"values\":%d,\"values_seen\":%d,\"pairs\":%d,\"pairs_seen\":%d,"
               "\"pairs_infeasible\":%d}}\n",
               (long long)campaign->taken, (long long)campaign->drawn, seconds,
               coverage->values_feasible, coverage->values_seen, coverage->pairs_feasible,
               coverage->pairs_seen, coverage->pairs_infeasible);
    } else if (!campaign->common.quiet) {
        moe_tally_print(stdout, &campaign->tally);
        campaign_print_checks(&campaign->checks);
        printf("cases    %lld of the corpus and %lld drawn in %.1f s, %.0f a minute; seed %llu\n",
               (long long)(campaign->taken - campaign->drawn), (long long)campaign->drawn, seconds,
               rate, (unsigned long long)campaign->seed);
        printf("values   %d of %d\n", coverage->values_seen, coverage->values_feasible);
        printf("pairs    %d of %d that can occur together (%d cannot)\n", coverage->pairs_seen,
               coverage->pairs_feasible, coverage->pairs_infeasible);
    }
    if (campaign->interrupted)
        fprintf(stderr, "%s: interrupted\n", campaign->common.name);
}

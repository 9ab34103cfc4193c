/*
 * campaign_cases.c - the cases of a campaign by their numbers: the ledger's, the corpus, earlier
 * failures, the covering array, then random ones.
 *
 * Those before the array are written down where the campaign has a store: they depend on what
 * failed until it began. The others follow from the seed.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/campaign.h"
#include "verify/ledger.h"

/* ---- those that are replayed ----------------------------------------------------------------- */

/* Adds the failures that are not among the cases yet. */
static int add_new(struct moe_cases *cases, const struct moe_cases *failures)
{
    int64_t count = 0;
    int status = MOE_OK;
    char(*line)[MOE_CASE_LINE] =
        malloc((size_t)(cases->count + failures->count + 1) * sizeof *line);
    if (line == NULL)
        return moe_error(MOE_E_NOMEM, "no memory for earlier failures");
    for (; count < cases->count; count++)
        moe_problem_print(&cases->problem[count], line[count], sizeof line[count]);
    for (int64_t i = 0; status == MOE_OK && i < failures->count; i++) {
        int64_t same = 0;
        moe_problem_print(&failures->problem[i], line[count], sizeof line[count]);
        while (same < count && strcmp(line[same], line[count]) != 0)
            same++;
        if (same < count)
            continue;
        count++;
        status = moe_cases_add(cases, &failures->problem[i]);
    }
    free(line);
    return status;
}

static int read_failures(struct campaign *campaign)
{
    struct moe_cases failures = {0};
    int status = MOE_OK;
    if (campaign->corpus != NULL && access(campaign->corpus, F_OK) == 0)
        status = moe_cases_read(&campaign->replayed, campaign->corpus);
    if (status == MOE_OK)
        status = campaign_store_failures(campaign, &failures);
    if (status == MOE_OK)
        status = add_new(&campaign->replayed, &failures);
    moe_cases_free(&failures);
    return status;
}

static int read_cases(struct campaign *campaign)
{
    int status = moe_ledger_cases(campaign->common.ledger, &campaign->replayed);
    campaign->known = campaign->replayed.count;
    if (status == MOE_OK)
        status = campaign_corpus(&campaign->replayed);
    campaign->fixed = campaign->replayed.count;
    return status == MOE_OK ? read_failures(campaign) : status;
}

/* Does --variant admit any? */
static int check_variant(const struct campaign *campaign)
{
    const struct moe_options *options = &campaign->common;
    const char *name;
    for (int v = 0; (name = crew_variant(&campaign->crew, v)) != NULL; v++)
        if (moe_options_match(options, name))
            return MOE_OK;
    return moe_error(MOE_E_USAGE, "no variant matches '%s' (moecheck list shows them)",
                     options->variant != NULL ? options->variant : "*");
}

int campaign_prepare(struct campaign *campaign)
{
    int status = crew_start(&campaign->crew, &campaign->common);
    if (status == MOE_OK)
        status = check_variant(campaign);
    if (status == MOE_OK)
        status = campaign_store_open(campaign);
    if (status == MOE_OK && campaign->resumed == 0)
        status = read_cases(campaign);
    if (status == MOE_OK && campaign->resumed == 0)
        status = campaign_store_begin(campaign);
    if (status == MOE_OK)
        status = moe_coverage_create(&campaign->coverage);
    if (status == MOE_OK)
        status = moe_array_create(campaign->seed, &campaign->coverage, &campaign->array,
                                  &campaign->array_count);
    return status;
}

/* ---- by number ------------------------------------------------------------------------------- */

void campaign_case(const struct campaign *campaign, int64_t number, struct moe_problem *problem)
{
    int64_t drawn = number - campaign->replayed.count;
    if (drawn < 0)
        *problem = campaign->replayed.problem[number];
    else if (drawn < campaign->array_count)
        *problem = campaign->array[drawn];
    else
        moe_case_draw(campaign->seed, (uint64_t)(drawn - campaign->array_count), problem);
}

int campaign_is_earlier(const struct campaign *campaign, int64_t number)
{
    return number >= campaign->fixed && number < campaign->replayed.count;
}

const char *campaign_origin(const struct campaign *campaign, int64_t number)
{
    int64_t drawn = number - campaign->replayed.count;
    return number < campaign->known        ? "ledger"
           : number < campaign->fixed      ? "corpus"
           : drawn < 0                     ? "failure"
           : drawn < campaign->array_count ? "array"
                                           : "random";
}

/* Earlier failures are not the same for every shard, and so would be no share of each: all judge
 * them. */
int campaign_has(const struct campaign *campaign, int64_t number)
{
    int64_t drawn = number - campaign->replayed.count;
    if (campaign_is_earlier(campaign, number))
        return 1;
    return (drawn < 0 ? number : drawn) % campaign->shards == campaign->shard;
}

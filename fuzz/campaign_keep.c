/*
 * campaign_keep.c - the file of failures: the first case of each kind is kept in it as it comes,
 * lest the end of the run be never.
 *
 * Workers are not done in the order in which they began, so that another case may be the first of a
 * kind in every run. Cases of the file itself are therefore waited for: a kind that one of them
 * shows, in whatever finding, has its case there.
 */
#include <stdio.h>

#include "fuzz/campaign.h"

void campaign_keep_expect(struct campaign *campaign, const struct moe_job *job)
{
    campaign->earlier_open += campaign_is_earlier(campaign, (int64_t)job->ticket);
}

static int append(const struct campaign *campaign, const struct moe_failure_class *class)
{
    char comment[256], words[160];
    moe_failure_print(class, words, sizeof words);
    snprintf(comment, sizeof comment, "%s: %s", class->variant, words);
    return moe_corpus_append(campaign->corpus, &class->first, comment);
}

/* Are results of earlier failures still to come? */
static int is_waiting(const struct campaign *campaign)
{
    return campaign->next < campaign->replayed.count || campaign->earlier_open > 0;
}

int campaign_keep_rest(struct campaign *campaign)
{
    int status = MOE_OK;
    for (; status == MOE_OK && campaign->kept < campaign->classes.count; campaign->kept++) {
        const struct moe_failure_class *class = &campaign->classes.row[campaign->kept];
        if (campaign->corpus != NULL && !moe_failure_has(&campaign->earlier, class))
            status = append(campaign, class);
    }
    return status;
}

int campaign_keep_take(struct campaign *campaign, const struct moe_result *result)
{
    if (campaign_is_earlier(campaign, (int64_t)result->ticket)) {
        campaign->earlier_open--;
        moe_failure_add_all(&campaign->earlier, result);
    }
    return is_waiting(campaign) ? MOE_OK : campaign_keep_rest(campaign);
}

void campaign_keep_restore(struct campaign *campaign, const struct moe_result *result)
{
    if (campaign_is_earlier(campaign, (int64_t)result->ticket))
        moe_failure_add_all(&campaign->earlier, result);
    campaign->kept = campaign->classes.count;
}

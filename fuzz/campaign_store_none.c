/*
 * campaign_store_none.c - a build without SQLite: --store is refused, and a campaign without it
 * keeps nothing.
 */
#include "fuzz/campaign.h"

int campaign_store_open(struct campaign *campaign)
{
    return campaign->store_path == NULL
               ? MOE_OK
               : moe_error(MOE_E_UNSUPPORTED, "--store: this moecheck was built without SQLite");
}

int campaign_store_failures(struct campaign *campaign, struct moe_cases *failures)
{
    (void)campaign, (void)failures;
    return MOE_OK;
}

int campaign_store_begin(struct campaign *campaign)
{
    (void)campaign;
    return MOE_OK;
}

int campaign_store_has(const struct campaign *campaign, int64_t number, const char *variant)
{
    (void)campaign, (void)number, (void)variant;
    return 0;
}

int campaign_store_restore(struct campaign *campaign,
                           int (*take)(void *context, const struct moe_result *result))
{
    (void)campaign, (void)take;
    return MOE_OK;
}

int campaign_store_take(struct campaign *campaign, const struct moe_result *result, int known,
                        const char *worker)
{
    (void)campaign, (void)result, (void)known, (void)worker;
    return MOE_OK;
}

int campaign_store_write(struct campaign *campaign)
{
    (void)campaign;
    return MOE_OK;
}

int campaign_store_pause(struct campaign *campaign)
{
    (void)campaign;
    return MOE_OK;
}

int campaign_store_shrunk(struct campaign *campaign, const struct moe_failure_class *class,
                          const struct moe_shrunk *shrunk)
{
    (void)campaign, (void)class, (void)shrunk;
    return MOE_OK;
}

int campaign_store_end(struct campaign *campaign)
{
    (void)campaign;
    return MOE_OK;
}

void campaign_store_close(struct campaign *campaign)
{
    (void)campaign;
}

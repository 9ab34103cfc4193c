/*
 * campaign_store.c - what a campaign keeps in its store (--store): where it stands, its cases, its
 * results as they come, and its kinds of failures.
 *
 * Results wait a second at most and are then written in one transaction, together with how long the
 * campaign has been worked on. So a campaign that ends at any moment goes on where it was: what has
 * a result is not judged again, and what waited is. A store that cannot be written ends the
 * campaign, for what it would find later would be lost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz/campaign.h"
#include "fuzz/store.h"
#include "verify/ledger.h"
#include "verify/slot.h"

#define WAITING 128    /* results, before they are written */
#define WAIT_SECONDS 1 /* for more of them */

struct campaign_store {
    struct moe_store *file;
    char *options;
    struct moe_kept *waiting; /* [WAITING] */
    int count;
    double written;                       /* when, by the clock of slots */
    int64_t counted[MOE_FAILURE_CLASSES]; /* of each kind of failures, as it is written */
    int broken;                           /* nothing can be written any more; that has been said */
};

static int fail(struct campaign *campaign, int status)
{
    char text[384];
    campaign->store->broken = 1;
    snprintf(text, sizeof text, "%s", moe_error_text());
    return moe_error(status, "%s; the campaign stops here, and the same command goes on with it",
                     text);
}

/* ---- which campaign -------------------------------------------------------------------------- */

/* The options that decide what is judged, as words of a command. */
static char *options_text(const struct campaign *campaign)
{
    const struct moe_options *common = &campaign->common;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return NULL;
    const struct {
        const char *name, *value;
    } word[] = {{"device", common->device},
                {"variant", common->variant},
                {"check", common->checks},
                {"ledger", common->ledger != NULL ? common->ledger->path : NULL},
                {"corpus", campaign->corpus}};
    for (size_t i = 0; i < sizeof word / sizeof *word; i++)
        if (word[i].value != NULL)
            fprintf(out, "--%s %s ", word[i].name, word[i].value);
    for (int i = 0; i < common->plugin_count; i++)
        fprintf(out, "--plugin %s ", common->plugins[i]);
    if (common->timeout > 0)
        fprintf(out, "--timeout %g ", common->timeout);
    if (campaign->cases >= 0)
        fprintf(out, "--cases %lld ", (long long)campaign->cases);
    if (campaign->budget > 0)
        fprintf(out, "--budget %gs ", campaign->budget);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    if (size > 0)
        text[size - 1] = '\0';
    return text;
}

static struct moe_store_campaign identity(const struct campaign *campaign)
{
    const struct moe_options *common = &campaign->common;
    return (struct moe_store_campaign){.seed = campaign->seed,
                                       .seeded = campaign->seeded,
                                       .options = campaign->store->options,
                                       .commit = campaign->commit,
                                       .shard = campaign->shard,
                                       .shards = campaign->shards,
                                       .devices =
                                           common->device != NULL ? common->device : "cpu cuda"};
}

/* Finds the unfinished campaign and locks it; 0: there is none, and nobody else begins one until
 * campaign_store_begin. */
static int64_t find(struct campaign *campaign)
{
    struct moe_store *file = campaign->store->file;
    struct moe_store_campaign same = identity(campaign);
    int64_t id, again;
    do {
        int status = moe_store_lock(file, MOE_STORE_MAKING);
        if (status != MOE_OK)
            return status;
        id = moe_store_campaign_find(file, &same);
        if (id == 0)
            return 0;
        moe_store_unlock(file, MOE_STORE_MAKING);
        if (id < 0)
            return id;
        if (moe_store_lock(file, id) != MOE_OK)
            return moe_error(MOE_E_IO, "%s: campaign %lld is being run by another process",
                             file->path, (long long)id);
        again = moe_store_campaign_find(file, &same); /* or it came to its end meanwhile */
        if (again != id)
            moe_store_unlock(file, id);
    } while (again != id);
    return id;
}

static int take_case(void *context, const char *origin, const struct moe_problem *problem)
{
    struct campaign *campaign = context;
    campaign->known += strcmp(origin, "ledger") == 0;
    campaign->fixed += strcmp(origin, "failure") != 0;
    return moe_cases_add(&campaign->replayed, problem);
}

static int resume(struct campaign *campaign, int64_t id)
{
    struct moe_store_progress progress;
    int status = moe_store_campaign_resume(campaign->store->file, id, &progress);
    if (status != MOE_OK)
        return status;
    campaign->seed = progress.seed;
    campaign->worked = progress.seconds;
    campaign->resumed = progress.resumed;
    campaign->id = id;
    return moe_store_cases(campaign->store->file, take_case, campaign);
}

int campaign_store_open(struct campaign *campaign)
{
    if (campaign->store_path == NULL)
        return MOE_OK;
    struct campaign_store *store = calloc(1, sizeof *store);
    if (store == NULL || (store->options = options_text(campaign)) == NULL ||
        (store->waiting = malloc(WAITING * sizeof *store->waiting)) == NULL) {
        free(store != NULL ? store->options : NULL);
        free(store);
        return moe_error(MOE_E_NOMEM, "no memory for a store");
    }
    campaign->store = store;
    int status =
        moe_store_open(campaign->store_path, MOE_STORE_WRITE, campaign->store_wait, &store->file);
    if (status != MOE_OK)
        return status;
    int64_t id = find(campaign);
    return id > 0 ? resume(campaign, id) : (int)id;
}

/* ---- the cases that it begins with ----------------------------------------------------------- */

static int take_failure(void *context, const struct moe_problem *problem)
{
    return moe_cases_add(context, problem);
}

int campaign_store_failures(struct campaign *campaign, struct moe_cases *failures)
{
    return campaign->store != NULL
               ? moe_store_failures(campaign->store->file, take_failure, failures)
               : MOE_OK;
}

static int add_cases(struct campaign *campaign)
{
    int status = MOE_OK;
    for (int64_t i = 0; status == MOE_OK && i < campaign->replayed.count; i++)
        status = moe_store_case_add(campaign->store->file, i, campaign_origin(campaign, i),
                                    &campaign->replayed.problem[i]);
    return status;
}

int campaign_store_begin(struct campaign *campaign)
{
    if (campaign->store == NULL)
        return MOE_OK;
    struct moe_store *file = campaign->store->file;
    struct moe_store_campaign same = identity(campaign);
    int status = moe_store_transaction(file);
    if (status == MOE_OK) {
        campaign->id = moe_store_campaign_add(file, &same);
        status = moe_store_transaction_end(file, campaign->id < 0 ? (int)campaign->id
                                                                  : add_cases(campaign));
    }
    moe_store_unlock(file, MOE_STORE_MAKING);
    return status;
}

/* ---- results --------------------------------------------------------------------------------- */

int campaign_store_has(const struct campaign *campaign, int64_t number, const char *variant)
{
    return campaign->store != NULL && campaign->resumed > 0
               ? moe_store_has(campaign->store->file, number, variant)
               : 0;
}

int campaign_store_restore(struct campaign *campaign,
                           int (*take)(void *context, const struct moe_result *result))
{
    return campaign->store != NULL && campaign->resumed > 0
               ? moe_store_results(campaign->store->file, take, campaign)
               : MOE_OK;
}

/* What the variant runs on here; of one of a plug-in this process only knows what was asked for. */
static const char *device_of(const struct moe_options *common, const char *name)
{
    const struct moe_variant *variant;
    for (int i = 0; (variant = moe_variant_get(i)) != NULL; i++)
        if (strcmp(variant->name, name) == 0) {
            unsigned devices = variant->devices & common->devices;
            return devices & MOE_ON_CPU    ? "cpu"
                   : devices & MOE_ON_CUDA ? "cuda"
                   : devices & MOE_ON_PTX  ? "ptx"
                                           : NULL;
        }
    return common->device;
}

int campaign_store_take(struct campaign *campaign, const struct moe_result *result, int known,
                        const char *worker)
{
    struct campaign_store *store = campaign->store;
    struct timespec at;
    if (store == NULL || store->broken)
        return MOE_OK;
    clock_gettime(CLOCK_REALTIME, &at);
    struct moe_kept *kept = &store->waiting[store->count++];
    *kept = (struct moe_kept){.result = *result,
                              .origin = campaign_origin(campaign, (int64_t)result->ticket),
                              .device = device_of(&campaign->common, result->variant),
                              .known = known,
                              .at = (double)at.tv_sec + 1e-9 * (double)at.tv_nsec};
    snprintf(kept->worker, sizeof kept->worker, "%s", worker);
    return store->count == WAITING ? campaign_store_write(campaign) : MOE_OK;
}

static int write_failures(struct campaign *campaign)
{
    struct campaign_store *store = campaign->store;
    int status = MOE_OK;
    for (int i = 0; status == MOE_OK && i < campaign->classes.count; i++)
        if (campaign->classes.row[i].count != store->counted[i])
            status = moe_store_failure(store->file, &campaign->classes.row[i]);
    return status;
}

int campaign_store_write(struct campaign *campaign)
{
    struct campaign_store *store = campaign->store;
    if (store == NULL || store->broken)
        return MOE_OK;
    int status = moe_store_transaction(store->file);
    if (status != MOE_OK)
        return fail(campaign, status);
    for (int i = 0; status == MOE_OK && i < store->count; i++)
        status = moe_store_result(store->file, &store->waiting[i]);
    if (status == MOE_OK)
        status = write_failures(campaign);
    if (status == MOE_OK)
        status = moe_store_campaign_work(store->file, campaign_worked(campaign));
    status = moe_store_transaction_end(store->file, status);
    if (status != MOE_OK)
        return fail(campaign, status);
    for (int i = 0; i < campaign->classes.count; i++)
        store->counted[i] = campaign->classes.row[i].count;
    store->count = 0;
    store->written = moe_slot_clock();
    return MOE_OK;
}

int campaign_store_pause(struct campaign *campaign)
{
    const struct campaign_store *store = campaign->store;
    return store != NULL && store->count > 0 && moe_slot_clock() >= store->written + WAIT_SECONDS
               ? campaign_store_write(campaign)
               : MOE_OK;
}

/* ---- the end --------------------------------------------------------------------------------- */

int campaign_store_shrunk(struct campaign *campaign, const struct moe_failure_class *class,
                          const struct moe_shrunk *shrunk)
{
    struct campaign_store *store = campaign->store;
    char *command = NULL;
    size_t size;
    if (store == NULL || store->broken)
        return MOE_OK;
    FILE *out = open_memstream(&command, &size);
    if (out == NULL)
        return moe_error(MOE_E_NOMEM, "no memory for a command");
    if (shrunk->again > 0)
        moe_report_print_command(out, &campaign->common, NULL, &shrunk->result);
    int status = fclose(out) == 0 ? MOE_OK : moe_error(MOE_E_NOMEM, "no memory for a command");
    if (status == MOE_OK)
        status = moe_store_shrunk(store->file, class, shrunk, shrunk->again > 0 ? command : NULL);
    free(command);
    return status;
}

int campaign_store_end(struct campaign *campaign)
{
    struct campaign_store *store = campaign->store;
    return store != NULL && !store->broken
               ? moe_store_campaign_end(store->file, campaign_worked(campaign))
               : MOE_OK;
}

void campaign_store_close(struct campaign *campaign)
{
    if (campaign->store == NULL)
        return;
    moe_store_close(campaign->store->file);
    free(campaign->store->options);
    free(campaign->store->waiting);
    free(campaign->store);
    campaign->store = NULL;
}

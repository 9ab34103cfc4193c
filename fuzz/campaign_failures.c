/*
 * campaign_failures.c - the end of a campaign: each kind of failure once, with how often it came,
 * the first and the smallest case, and the minimal one that it was shrunk to.
 *
 * The commonest is shrunk first. A case that another failure was shrunk to is tried before
 * anything else, so that one fault that shows in many ways costs the time of one.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuzz/campaign.h"

/* What shrinking needs at least to be worth its beginning. */
#define SECONDS_AT_LEAST 0.2

struct ending {
    struct campaign *campaign;
    struct moe_failure_class *order[MOE_FAILURE_CLASSES];
    struct moe_problem known[MOE_FAILURE_CLASSES]; /* minimal cases */
    int known_count;
    double deadline;
};

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

static int commoner(const void *a, const void *b)
{
    const struct moe_failure_class *x = *(struct moe_failure_class *const *)a;
    const struct moe_failure_class *y = *(struct moe_failure_class *const *)b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return (x > y) - (x < y); /* the order in which they came */
}

/* ---- printing -------------------------------------------------------------------------------- */

static void print_class_json(const struct moe_failure_class *class)
{
    json_t *object = json_object(), *inner = json_object();
    const struct moe_failure *failure = &class->failure;
    char line[MOE_CASE_LINE];
    json_object_set_new(inner, "variant", json_string(class->variant));
    json_object_set_new(inner, "verdict", json_string(moe_verdict_name(failure->verdict)));
    json_object_set_new(inner, "check", json_string(failure->check));
    json_object_set_new(
        inner, "tensor",
        failure->tensor >= 0
            ? json_string(moe_tensor_info((enum moe_tensor_id)failure->tensor)->name)
            : json_null());
    json_object_set_new(inner, "geometry", json_string(moe_geometry_name(failure->geometry)));
    json_object_set_new(inner, "count", json_integer(class->count));
    moe_problem_print(&class->first, line, sizeof line);
    json_object_set_new(inner, "first", json_string(line));
    moe_problem_print(&class->smallest, line, sizeof line);
    json_object_set_new(inner, "smallest", json_string(line));
    json_object_set_new(object, "failure", inner);
    char *text = json_dumps(object, JSON_COMPACT);
    if (text != NULL)
        printf("%s\n", text);
    free(text);
    json_decref(object);
}

static void print_class(const struct campaign *campaign, const struct moe_failure_class *class)
{
    char words[160], line[MOE_CASE_LINE];
    if (campaign->common.json) {
        print_class_json(class);
        return;
    }
    moe_failure_print(class, words, sizeof words);
    printf("%s: %s: %lld case%s\n", class->variant, words, (long long)class->count,
           class->count == 1 ? "" : "s");
    moe_problem_print(&class->first, line, sizeof line);
    printf("    %-8s %s\n", "first", line);
    moe_problem_print(&class->smallest, line, sizeof line);
    printf("    %-8s %s\n", "smallest", line);
}

/* ---- one class ------------------------------------------------------------------------------- */

/* The minimal case, with the one that it comes of above it. */
static int keep(const struct campaign *campaign, const struct moe_failure_class *class,
                const struct moe_shrunk *shrunk)
{
    char comment[MOE_CASE_LINE + 256], words[160], line[MOE_CASE_LINE];
    if (campaign->corpus == NULL)
        return MOE_OK;
    moe_failure_print(class, words, sizeof words);
    moe_problem_print(&class->smallest, line, sizeof line);
    snprintf(comment, sizeof comment, "%s: %s; shrunk from %s", class->variant, words, line);
    return moe_corpus_append(campaign->corpus, &shrunk->result.problem, comment);
}

/* Shrinks the class from the smallest of its cases. */
static int shrink(struct ending *ending, const struct moe_failure_class *class)
{
    struct campaign *campaign = ending->campaign;
    struct moe_shrunk shrunk;
    struct moe_shrink_job job = {.how = moe_options_supervisor(&campaign->common),
                                 .variant = class->variant,
                                 .checks = campaign->common.checks,
                                 .failure = class->failure,
                                 .problem = class->smallest,
                                 .known = ending->known,
                                 .known_count = ending->known_count,
                                 .budget = ending->deadline - now()};
    int status = moe_shrink_run(&job, &shrunk);
    if (status != MOE_OK)
        return status;
    if (shrunk.known >= 0 && !campaign->common.json) {
        char line[MOE_CASE_LINE];
        moe_problem_print(&shrunk.result.problem, line, sizeof line);
        printf("    %-8s %s, as above\n", "minimal", line);
    } else {
        moe_shrunk_print(stdout, &campaign->common, &class->smallest, &shrunk);
    }
    campaign->interrupted |= shrunk.interrupted;
    status = campaign_store_shrunk(campaign, class, &shrunk);
    if (status != MOE_OK)
        return status;
    if (shrunk.again == 0 || shrunk.known >= 0)
        return MOE_OK;
    if (shrunk.whole)
        ending->known[ending->known_count++] = shrunk.result.problem;
    return keep(campaign, class, &shrunk);
}

int campaign_shrink(struct campaign *campaign)
{
    struct moe_failure_classes *classes = &campaign->classes;
    struct ending *ending = calloc(1, sizeof *ending);
    int status = MOE_OK;
    if (ending == NULL)
        return moe_error(MOE_E_NOMEM, "no memory to shrink cases");
    ending->campaign = campaign;
    ending->deadline = now() + campaign->shrink_budget;
    for (int i = 0; i < classes->count; i++)
        ending->order[i] = &classes->row[i];
    qsort(ending->order, (size_t)classes->count, sizeof *ending->order, commoner);
    for (int i = 0; status == MOE_OK && i < classes->count; i++) {
        print_class(campaign, ending->order[i]);
        fflush(stdout);
        if (!campaign->interrupted && ending->deadline - now() > SECONDS_AT_LEAST)
            status = shrink(ending, ending->order[i]);
    }
    if (classes->left_out > 0 && !campaign->common.json)
        printf("and %lld failures of other kinds\n", (long long)classes->left_out);
    free(ending);
    return status;
}

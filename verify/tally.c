/*
 * tally.c - how many of which verdict each variant got: the table at the end, and the exit status.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "verify/command.h"

void moe_tally_add(struct moe_tally *tally, const char *variant, enum moe_verdict verdict)
{
    int i = 0;

    tally->count[verdict]++;
    while (i < tally->variant_count &&
           strncmp(tally->variant[i].name, variant, sizeof tally->variant[i].name - 1) != 0)
        i++;
    if (i == tally->variant_count) {
        if (i == MOE_TALLY_VARIANTS)
            return; /* counted in the total */
        snprintf(tally->variant[i].name, sizeof tally->variant[i].name, "%s", variant);
        tally->variant_count++;
    }
    tally->variant[i].count[verdict]++;
}

static void row(FILE *out, int width, const char *name, const int64_t *count)
{
    fprintf(out, "%-*s", width, name);
    for (int verdict = MOE_PASS; verdict <= MOE_ERROR; verdict++)
        fprintf(out, " %8lld", (long long)count[verdict]);
    fputc('\n', out);
}

void moe_tally_print(FILE *out, const struct moe_tally *tally)
{
    int width = (int)strlen("variant");

    for (int i = 0; i < tally->variant_count; i++)
        if ((int)strlen(tally->variant[i].name) > width)
            width = (int)strlen(tally->variant[i].name);
    fprintf(out, "%-*s", width, "variant");
    for (int verdict = MOE_PASS; verdict <= MOE_ERROR; verdict++)
        fprintf(out, " %8s", moe_verdict_name((enum moe_verdict)verdict));
    fputc('\n', out);
    for (int i = 0; i < tally->variant_count; i++)
        row(out, width, tally->variant[i].name, tally->variant[i].count);
    if (tally->variant_count != 1)
        row(out, width, "all", tally->count);
}

static json_t *counts(const int64_t *count)
{
    json_t *object = json_object();

    for (int verdict = MOE_PASS; verdict <= MOE_ERROR; verdict++)
        json_object_set_new(object, moe_verdict_name((enum moe_verdict)verdict),
                            json_integer(count[verdict]));
    return object;
}

void moe_tally_print_json(FILE *out, const struct moe_tally *tally, int exit_status)
{
    json_t *object = json_object(), *summary = json_object(), *variants = json_object();
    char *line;

    for (int i = 0; i < tally->variant_count; i++)
        json_object_set_new(variants, tally->variant[i].name, counts(tally->variant[i].count));
    json_object_set_new(summary, "all", counts(tally->count));
    json_object_set_new(summary, "variants", variants);
    json_object_set_new(summary, "exit", json_integer(exit_status));
    json_object_set_new(object, "summary", summary);
    line = json_dumps(object, JSON_COMPACT);
    if (line != NULL)
        fprintf(out, "%s\n", line);
    free(line);
    json_decref(object);
}

int moe_tally_exit(const struct moe_tally *tally, int interrupted)
{
    if (tally->count[MOE_FAIL] > 0)
        return MOE_EXIT_FAIL;
    if (interrupted || tally->count[MOE_ERROR] > 0)
        return MOE_EXIT_ERROR;
    return tally->count[MOE_PASS] > 0 ? MOE_EXIT_PASS : MOE_EXIT_SKIP;
}

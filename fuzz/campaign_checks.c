/*
 * campaign_checks.c - which checks a campaign has made. Those that run the variant again take
 * turns, and many have nothing to judge on most cases or devices: so it is counted, and shown where
 * it is none, what was tried.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/campaign.h"

static int has_failed(const struct moe_report *report, const char *check)
{
    for (int i = 0; i < report->finding_count && i < MOE_REPORT_FINDINGS; i++)
        if (report->finding[i].verdict == MOE_FAIL && strcmp(report->finding[i].check, check) == 0)
            return 1;
    return 0;
}

void campaign_count_checks(struct campaign_checks *checks, const struct moe_report *report)
{
    const struct moe_check *check;
    for (int i = 0; (check = moe_check_get(i)) != NULL; i++) {
        checks->judged[i] += report->judged >> i & 1;
        checks->failed[i] += has_failed(report, check->name);
    }
}

void campaign_print_checks(const struct campaign_checks *checks)
{
    const struct moe_check *check;
    printf("%-14s %8s %8s\n", "check", "judged", "failed");
    for (int i = 0; (check = moe_check_get(i)) != NULL; i++)
        printf("%-14s %8lld %8lld\n", check->name, (long long)checks->judged[i],
               (long long)checks->failed[i]);
}

void campaign_print_checks_json(const struct campaign_checks *checks)
{
    const struct moe_check *check;
    json_t *object = json_object(), *all = json_object();
    for (int i = 0; (check = moe_check_get(i)) != NULL; i++) {
        json_t *one = json_object();
        json_object_set_new(one, "judged", json_integer(checks->judged[i]));
        json_object_set_new(one, "failed", json_integer(checks->failed[i]));
        json_object_set_new(all, check->name, one);
    }
    json_object_set_new(object, "checks", all);
    char *text = json_dumps(object, JSON_COMPACT);
    if (text != NULL)
        printf("%s\n", text);
    free(text);
    json_decref(object);
}

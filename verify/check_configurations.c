/*
 * check_configurations.c - every configuration of a variant is forced and judged with every check,
 * like the default one. A tile shape that a heuristic picks for few cases can be wrong for months.
 *
 * Nothing is compared between configurations: each is judged by the definition. The report says
 * which were judged and what came of each.
 *
 * Must catch: a fault in one configuration that is not the default.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify/judge.h"

/* The first finding of a report that has its verdict, told as one of this check. */
static void pass_on(struct moe_judgement *judgement, const char *name,
                    const struct moe_report *report)
{
    for (int i = 0; i < report->finding_count && i < MOE_REPORT_FINDINGS; i++) {
        struct moe_finding finding = report->finding[i];
        if (finding.verdict != report->verdict)
            continue;
        finding.check = "configurations";
        snprintf(finding.text, sizeof finding.text, "configuration %.40s: %.40s: %.640s", name,
                 report->finding[i].check, report->finding[i].text);
        moe_report_add(judgement->report, &finding);
        return;
    }
}

static int judge(struct moe_judgement *judgement, int32_t configuration, struct moe_report *report)
{
    struct moe_judge_options options = {0};
    if (judgement->options)
        options = *judgement->options;
    options.configuration = configuration;
    options.one_configuration = 1;
    return moe_judge_variant(judgement->problem, judgement->trial.variant, &options, report);
}

static int after(struct moe_judgement *judgement)
{
    const struct moe_variant *variant = judgement->trial.variant;
    char table[256] = "";
    int status = MOE_OK;
    if (variant->configuration_count < 2 || judgement->trial.configuration != 0 ||
        (judgement->options && judgement->options->one_configuration))
        return MOE_OK;
    struct moe_report *report = malloc(sizeof *report);
    if (!report)
        return moe_error(MOE_E_NOMEM, "no memory for a report");
    for (int32_t i = 1; i < variant->configuration_count && status == MOE_OK; i++) {
        const char *name = variant->configurations[i];
        size_t length = strlen(table);
        status = judge(judgement, i, report);
        if (status != MOE_OK)
            break;
        snprintf(table + length, sizeof table - length, " %s %s", name,
                 moe_verdict_name(report->verdict));
        if (report->verdict == MOE_FAIL || report->verdict == MOE_ERROR)
            pass_on(judgement, name, report);
    }
    free(report);
    if (status != MOE_OK)
        return status;
    struct moe_finding finding =
        judgement_finding("configurations", MOE_PASS, "%d configurations beside %s were judged:%s",
                          variant->configuration_count - 1, variant->configurations[0], table);
    moe_report_add(judgement->report, &finding);
    return MOE_OK;
}

const struct moe_check moe_check_configurations = {
    .name = "configurations",
    .summary = "every configuration of the variant, forced and judged like the default",
    .runs = 1,
    .after = after,
};

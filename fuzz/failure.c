/*
 * failure.c - which failures are one.
 *
 * A fault shows in many cases, and a case may show several faults. What tells them apart is the
 * check, the tensor that it names first, and the shape of the wrong elements there: a column in 16
 * and the rows of one expert come of different loops.
 */
#include <stdio.h>
#include <string.h>

#include "fuzz/failure.h"
#include "fuzz/fuzz.h"

static int kept(const struct moe_report *report)
{
    return report->finding_count < MOE_REPORT_FINDINGS ? report->finding_count
                                                       : MOE_REPORT_FINDINGS;
}

static struct moe_failure of_finding(const struct moe_finding *finding)
{
    return (struct moe_failure){.verdict = finding->verdict,
                                .check = finding->check,
                                .tensor = finding->tensor,
                                .geometry = finding->geometry,
                                .hung = strncmp(finding->text, "hung", 4) == 0};
}

int moe_failure_of(const struct moe_report *report, struct moe_failure *failure)
{
    if (report->verdict != MOE_FAIL && report->verdict != MOE_ERROR)
        return 0;
    for (int i = 0; i < kept(report); i++) {
        if (report->finding[i].verdict != report->verdict)
            continue;
        *failure = of_finding(&report->finding[i]);
        return 1;
    }
    return 0;
}

int moe_failure_in(const struct moe_report *report, const struct moe_failure *failure)
{
    for (int i = 0; i < kept(report); i++) {
        const struct moe_finding *finding = &report->finding[i];
        if (finding->verdict == failure->verdict && strcmp(finding->check, failure->check) == 0 &&
            finding->tensor == failure->tensor &&
            failure->hung == (strncmp(finding->text, "hung", 4) == 0))
            return 1;
    }
    return 0;
}

static struct moe_failure_class class_of(const struct moe_result *result,
                                         const struct moe_failure *failure)
{
    const struct moe_problem *problem = &result->problem;
    struct moe_failure_class class = {.failure = *failure,
                                      .dtype = problem->dtype,
                                      .gated = moe_act_info(problem->act)->gated,
                                      .lists = problem->router == MOE_LISTS,
                                      .count = 1,
                                      .number = (int64_t)result->ticket,
                                      .first = *problem,
                                      .smallest = *problem};
    snprintf(class.variant, sizeof class.variant, "%s", result->variant);
    return class;
}

static int same(const struct moe_failure_class *one, const struct moe_failure_class *other)
{
    return strcmp(one->variant, other->variant) == 0 &&
           one->failure.verdict == other->failure.verdict &&
           strcmp(one->failure.check, other->failure.check) == 0 &&
           one->failure.tensor == other->failure.tensor &&
           one->failure.geometry == other->failure.geometry &&
           one->failure.hung == other->failure.hung && one->dtype == other->dtype &&
           one->gated == other->gated && one->lists == other->lists;
}

/* The row of that class, or -1. */
static int find(const struct moe_failure_classes *classes, const struct moe_failure_class *class)
{
    for (int i = 0; i < classes->count; i++)
        if (same(&classes->row[i], class))
            return i;
    return -1;
}

static void add(struct moe_failure_classes *classes, const struct moe_failure_class *class)
{
    int found = find(classes, class);
    if (found < 0 && classes->count < MOE_FAILURE_CLASSES) {
        classes->row[classes->count++] = *class;
    } else if (found < 0) {
        classes->left_out++;
    } else {
        struct moe_failure_class *row = &classes->row[found];
        row->count++;
        if (moe_case_cost(&class->first) < moe_case_cost(&row->smallest))
            row->smallest = class->first;
    }
}

void moe_failure_add(struct moe_failure_classes *classes, const struct moe_result *result)
{
    struct moe_failure failure;
    if (!moe_failure_of(&result->report, &failure))
        return;
    struct moe_failure_class class = class_of(result, &failure);
    add(classes, &class);
}

void moe_failure_add_all(struct moe_failure_classes *classes, const struct moe_result *result)
{
    const struct moe_report *report = &result->report;
    for (int i = 0; i < kept(report); i++) {
        if (report->finding[i].verdict != MOE_FAIL && report->finding[i].verdict != MOE_ERROR)
            continue;
        const struct moe_failure failure = of_finding(&report->finding[i]);
        struct moe_failure_class class = class_of(result, &failure);
        add(classes, &class);
    }
}

int moe_failure_has(const struct moe_failure_classes *classes,
                    const struct moe_failure_class *class)
{
    return find(classes, class) >= 0;
}

void moe_failure_print(const struct moe_failure_class *class, char *text, size_t size)
{
    const struct moe_failure *failure = &class->failure;
    const char *tensor = failure->tensor >= 0 && failure->tensor < MOE_TENSOR_COUNT
                             ? moe_tensor_info((enum moe_tensor_id)failure->tensor)->name
                             : NULL;
    snprintf(text, size, "%s%s%s%s%s%s%s; %s, %s, %s",
             failure->verdict == MOE_ERROR ? "undecided, " : "", failure->check,
             failure->hung ? ", hung" : "", tensor != NULL ? " of " : "",
             tensor != NULL ? tensor : "", failure->geometry != MOE_GEOMETRY_NONE ? ", " : "",
             moe_geometry_name(failure->geometry), moe_dtype_info(class->dtype)->name,
             class->gated ? "gated" : "plain", class->lists ? "lists" : "router");
}

/*
 * isolation.c - the check `isolation`: a variant must not end, hang or garble the process that it
 * runs in.
 *
 * A worker that did not answer tells by its last phase line who had control. If that was the
 * variant the case FAILs, even where the second run, alone in a fresh worker, went well: then the
 * end depends on what ran before or on luck, and the text says so. If it was our own code the case
 * is an ERROR, since nothing was shown of the variant; except that a second run which FAILs a check
 * explains the first.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "verify/worker.h"

struct moe_finding moe_finding_plain(const char *check, enum moe_verdict verdict, const char *text)
{
    struct moe_finding finding = {.check = check,
                                  .verdict = verdict,
                                  .tensor = -1,
                                  .row = -1,
                                  .col = -1,
                                  .expert = -1,
                                  .token = -1,
                                  .slot = -1,
                                  .got = NAN,
                                  .want = NAN,
                                  .allowed = NAN};

    snprintf(finding.text, sizeof finding.text, "%s", text);
    return finding;
}

/* Who had control, and in which call. */
static const char *owner(const struct moe_run_end *run, char *text, size_t size)
{
    if (run->phase != MOE_PHASE_VARIANT)
        return "in the judge's own code";
    snprintf(text, size, "inside the variant%s%s", run->place[0] != '\0' ? ", in " : "",
             run->place);
    return text;
}

static int blames_variant(const struct moe_run_end *run)
{
    return !run->answered && run->phase == MOE_PHASE_VARIANT;
}

static void tell_second(const struct moe_run_end *first, const struct moe_run_end *second,
                        enum moe_verdict verdict, char *text, size_t size)
{
    char where[96];

    if (second->answered)
        snprintf(text, size, "run again alone: %s", moe_verdict_name(verdict));
    else if (second->phase == first->phase && strcmp(second->how, first->how) == 0)
        snprintf(text, size, "run again alone: the same");
    else
        snprintf(text, size, "run again alone: %s %s", second->how,
                 owner(second, where, sizeof where));
}

void moe_isolation_judge(const struct moe_run_end *first, const struct moe_run_end *second,
                         struct moe_report *report)
{
    struct moe_finding finding = moe_finding_plain("isolation", MOE_FAIL, "");
    char again[sizeof first->how + 128], before[56] = "", where[96];
    int blamed = blames_variant(first) || blames_variant(second);

    if (!blamed && !(second->answered && report->verdict == MOE_FAIL))
        finding.verdict = MOE_ERROR;
    if (first->before > 0)
        snprintf(before, sizeof before, " (%d jobs before it in this worker)", (int)first->before);
    tell_second(first, second, report->verdict, again, sizeof again);
    snprintf(finding.text, sizeof finding.text, "%.80s %.70s%s; %.45s", first->how,
             owner(first, where, sizeof where), before, again);
    moe_report_add(report, &finding);
}

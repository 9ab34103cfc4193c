/*
 * verdict.c - verdicts and how findings add up to one.
 */
#include <string.h>

#include "verify/verify.h"

const char *moe_verdict_name(enum moe_verdict verdict)
{
    static const char *const name[] = {
        [MOE_PASS] = "PASS",
        [MOE_SKIP] = "SKIP",
        [MOE_FAIL] = "FAIL",
        [MOE_ERROR] = "ERROR",
    };

    return verdict >= MOE_PASS && verdict <= MOE_ERROR ? name[verdict] : "?";
}

void moe_report_clear(struct moe_report *report)
{
    memset(report, 0, sizeof *report);
}

/* A SKIP says that something could not be looked at. It is the report's verdict only as long as
 * nothing was looked at, so that one skipped check does not hide the others that passed. */
static enum moe_verdict raise(const struct moe_report *report, enum moe_verdict more)
{
    if (report->finding_count == 0)
        return more;
    if (more == MOE_SKIP)
        return report->verdict;
    if (report->verdict == MOE_SKIP)
        return more;
    return more > report->verdict ? more : report->verdict;
}

/* Where a finding goes: the next place or, when all are taken, that of the first which says nothing
 * bad, if this one does; -1: nowhere. */
static int place(const struct moe_report *report, enum moe_verdict verdict)
{
    if (report->finding_count < MOE_REPORT_FINDINGS)
        return report->finding_count;
    for (int i = 0; verdict >= MOE_FAIL && i < MOE_REPORT_FINDINGS; i++)
        if (report->finding[i].verdict < MOE_FAIL)
            return i;
    return -1;
}

void moe_report_add(struct moe_report *report, const struct moe_finding *finding)
{
    int at = place(report, finding->verdict);

    report->verdict = raise(report, finding->verdict);
    if (at >= 0)
        report->finding[at] = *finding;
    report->finding_count++;
}

/*
 * report_classes.c - the kinds of failures of the night.
 *
 * A campaign writes its classes, with what each was shrunk to, when it ends. One that was cut has
 * none, and the failures must not be missing for that: where a variant of a campaign has more bad
 * results than its classes count, the rest is one class for each check, tensor and shape that a
 * result names first.
 */
#include <sqlite3.h>

#include "fuzz/report.h"

/* The finding that speaks for a result: the first that is as bad as the result. */
static const char first_findings[] =
    "CREATE TEMP TABLE first_finding AS"
    " SELECT r.campaign, r.number, r.variant, r.verdict, f.ordinal, f.check_, f.tensor, f.geometry"
    " FROM result AS r LEFT JOIN finding AS f ON f.campaign = r.campaign AND f.number = r.number"
    " AND f.variant = r.variant AND f.ordinal = (SELECT min(g.ordinal) FROM finding AS g"
    "  WHERE g.campaign = r.campaign AND g.number = r.number AND g.variant = r.variant"
    "  AND g.verdict = CASE r.verdict WHEN 'KNOWN' THEN 'FAIL' ELSE r.verdict END)"
    " WHERE r.verdict IN ('FAIL', 'ERROR', 'KNOWN')";

static const char classes[] =
    "CREATE TABLE class(campaign INTEGER, variant TEXT, class_ TEXT, verdict TEXT, count INTEGER,"
    " first INTEGER, minimal TEXT, command TEXT, again INTEGER, runs INTEGER, whole INTEGER);"
    "INSERT INTO class SELECT f.campaign, f.variant, f.class_, coalesce(r.verdict, 'FAIL'),"
    " f.count, f.first, f.minimal, f.command, f.again, f.runs, f.whole FROM failure AS f"
    " LEFT JOIN result AS r ON r.campaign = f.campaign AND r.number = f.first"
    " AND r.variant = f.variant;"
    /* KNOWN is the word of a campaign's ledger, and no kind of failure */
    "DELETE FROM class WHERE verdict NOT IN ('FAIL', 'ERROR');"
    "INSERT INTO class SELECT campaign, variant,"
    " coalesce(check_, 'nothing kept') || coalesce(' of ' || tensor, '') ||"
    " CASE WHEN coalesce(geometry, '') = '' THEN '' ELSE ', ' || geometry END,"
    " verdict, count(*), min(number), NULL, NULL, NULL, NULL, NULL FROM first_finding AS f"
    " WHERE verdict <> 'KNOWN' AND NOT EXISTS (SELECT 1 FROM failure AS g"
    "  WHERE g.campaign = f.campaign AND g.variant = f.variant)"
    " GROUP BY campaign, variant, verdict, check_, tensor, geometry";

void report_classes(struct report *report)
{
    report_run(report, first_findings);
    report_run(report, classes);
}

/*
 * report_junit.c - the night as JUnit reads it: a suite a variant; in it a test case for each kind
 * of failure, for each check, and for what the ledger knows, which is skipped. What was not judged
 * is skipped too, and never passed.
 */
#include <sqlite3.h>
#include <string.h>

#include "fuzz/report.h"

static void open_case(FILE *out, const char *variant, const char *what, const char *name)
{
    fputs("    <testcase classname=\"moecheck.", out);
    report_text(out, variant);
    fprintf(out, "\" name=\"%s", what);
    report_text(out, name);
    fputs("\">", out);
}

static void close_case(FILE *out)
{
    fputs("</testcase>\n", out);
}

/* A kind of failure, with its smallest case and the command that repeats it as text. */
static int64_t classes(struct report *report, FILE *out, const char *variant, const char *verdict)
{
    int error = strcmp(verdict, "ERROR") == 0;
    int64_t count = 0;
    struct sqlite3_stmt *row = report_query(
        report,
        "SELECT c.class_, c.count, coalesce(c.minimal, k.line, ''), coalesce(c.command, ''),"
        " coalesce((SELECT f.text FROM finding AS f WHERE f.campaign = c.campaign AND"
        "  f.number = c.first AND f.variant = c.variant AND f.verdict = c.verdict"
        "  ORDER BY f.ordinal LIMIT 1), ''),"
        " c.campaign FROM class AS c"
        " LEFT JOIN case_ AS k ON k.campaign = c.campaign AND k.number = c.first"
        " WHERE c.variant = ? AND c.verdict = ? ORDER BY c.count DESC, c.campaign, c.class_",
        "ss", variant, verdict);
    for (; report_row(report, row); count++) {
        if (out == NULL)
            continue;
        open_case(out, variant, "", report_column(row, 0));
        fprintf(out, "<%s message=\"", error ? "error" : "failure");
        report_plural(out, sqlite3_column_int64(row, 1), "case");
        fputs(": ", out);
        report_text(out, report_column(row, 4));
        fputs("\">", out);
        report_text(out, report_column(row, 2));
        fputs("\n", out);
        report_text(out, report_column(row, 3));
        fprintf(out, "</%s>", error ? "error" : "failure");
        close_case(out);
    }
    return count;
}

/* Each check that was made, or could have been. One that found something is a failure of its own,
 * so that its history can be followed whatever it finds. */
struct checks {
    int64_t made, failed, undecided, skipped;
};

static struct checks checks(struct report *report, FILE *out, const char *variant)
{
    struct checks all = {0};
    struct sqlite3_stmt *row = report_query(
        report,
        "SELECT n.name, (SELECT total(times) FROM judged_ AS j WHERE j.name = n.name AND"
        " j.variant = ?1), (SELECT total(fail) FROM found_ AS f WHERE f.name = n.name AND"
        " f.variant = ?1), (SELECT total(error) FROM found_ AS f WHERE f.name = n.name AND"
        " f.variant = ?1) FROM (SELECT DISTINCT name FROM check_ UNION SELECT name FROM found_"
        " WHERE variant = ?1) AS n ORDER BY (SELECT min(number) FROM check_ AS c"
        " WHERE c.name = n.name) IS NULL, (SELECT min(number) FROM check_ AS c"
        " WHERE c.name = n.name), 1",
        "s", variant);
    while (report_row(report, row)) {
        int64_t made = sqlite3_column_int64(row, 1), failed = sqlite3_column_int64(row, 2);
        int64_t undecided = sqlite3_column_int64(row, 3);
        all.made++;
        all.failed += failed > 0;
        all.undecided += failed == 0 && undecided > 0;
        all.skipped += failed == 0 && undecided == 0 && made == 0;
        if (out == NULL)
            continue;
        open_case(out, variant, "check ", report_column(row, 0));
        if (failed > 0)
            fprintf(out, "<failure message=\"%lld results; made on %lld\"/>", (long long)failed,
                    (long long)made);
        else if (undecided > 0)
            fprintf(out, "<error message=\"%lld results undecided; made on %lld\"/>",
                    (long long)undecided, (long long)made);
        else if (made == 0)
            fputs("<skipped message=\"not made\"/>", out);
        close_case(out);
    }
    return all;
}

static int64_t known(struct report *report, FILE *out, const char *variant)
{
    int64_t count = 0;
    struct sqlite3_stmt *row = report_query(
        report,
        "SELECT coalesce(check_, '') || coalesce(' of ' || tensor, ''), count(*)"
        " FROM temp.first_finding WHERE variant = ? AND verdict = 'KNOWN' GROUP BY 1 ORDER BY 1",
        "s", variant);
    for (; report_row(report, row); count++) {
        if (out == NULL)
            continue;
        open_case(out, variant, "known ", report_column(row, 0));
        fprintf(out, "<skipped message=\"in the ledger: %lld results\"/>",
                (long long)sqlite3_column_int64(row, 1));
        close_case(out);
    }
    return count;
}

static void suite(struct report *report, FILE *out, struct sqlite3_stmt *row)
{
    const char *variant = report_column(row, 0);
    int64_t failed = classes(report, NULL, variant, "FAIL");
    int64_t undecided = classes(report, NULL, variant, "ERROR");
    int64_t ledger = known(report, NULL, variant);
    struct checks all = checks(report, NULL, variant);
    fputs("  <testsuite name=\"moecheck.", out);
    report_text(out, variant);
    fprintf(out,
            "\" tests=\"%lld\" failures=\"%lld\" errors=\"%lld\" skipped=\"%lld\" time=\"%.3f\">\n",
            (long long)(failed + undecided + ledger + all.made), (long long)(failed + all.failed),
            (long long)(undecided + all.undecided), (long long)(ledger + all.skipped),
            sqlite3_column_double(row, 1));
    classes(report, out, variant, "FAIL");
    classes(report, out, variant, "ERROR");
    checks(report, out, variant);
    known(report, out, variant);
    fputs("  </testsuite>\n", out);
}

static void print(struct report *report, FILE *out)
{
    report_count_checks(report);
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"moecheck\">\n", out);
    struct sqlite3_stmt *row =
        report_query(report,
                     "SELECT variant, total(variant_seconds) + total(judge_seconds) FROM result"
                     " GROUP BY variant ORDER BY variant",
                     "");
    while (report_row(report, row))
        suite(report, out, row);
    fputs("</testsuites>\n", out);
}

int report_write_junit(struct report *report, const char *path)
{
    return report_write(report, path, print);
}

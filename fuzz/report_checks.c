/*
 * report_checks.c - how often each check was made, and what it found.
 */
#include <sqlite3.h>
#include <string.h>

#include "fuzz/report.h"
#include "verify/verify.h"

/*
 * Names of the bits of result.judged: the store's own or, where it has none, those of this program;
 * isolation is no check of the table. Makes judged_ and found_, by check and variant.
 */
static void count(struct report *report)
{
    const struct moe_check *check;
    report_run(report, "CREATE TABLE known_check(number INTEGER, name TEXT)");
    for (int i = 0; (check = moe_check_get(i)) != NULL; i++) {
        struct sqlite3_stmt *row = report_query(report, "INSERT INTO known_check VALUES(?, ?)",
                                                "is", (int64_t)i, check->name);
        report_row(report, row);
    }
    report_run(
        report,
        "INSERT INTO check_ SELECT c.id, k.number, k.name FROM campaign AS c, known_check AS k"
        " WHERE NOT EXISTS (SELECT 1 FROM check_ AS o WHERE o.campaign = c.id);"
        "CREATE TABLE judged_ AS SELECT m.variant AS variant, k.name AS name, sum(m.times) AS times"
        " FROM (SELECT campaign, variant, judged, count(*) AS times FROM result"
        "  GROUP BY campaign, variant, judged) AS m JOIN check_ AS k"
        " ON k.campaign = m.campaign AND (m.judged >> k.number) & 1 GROUP BY 1, 2;"
        "CREATE TABLE found_ AS SELECT variant, name, sum(verdict = 'FAIL') AS fail,"
        " sum(verdict = 'ERROR') AS error, sum(verdict = 'KNOWN') AS known FROM"
        " (SELECT DISTINCT f.campaign, f.number, f.variant AS variant, f.check_ AS name,"
        "  CASE WHEN r.verdict = 'KNOWN' AND f.verdict = 'FAIL' THEN 'KNOWN' ELSE f.verdict END"
        "  AS verdict FROM finding AS f JOIN result AS r USING (campaign, number, variant)"
        "  WHERE f.verdict IN ('FAIL', 'ERROR')) GROUP BY 1, 2");
}

void report_count_checks(struct report *report)
{
    if (report_count(report, "SELECT count(*) FROM sqlite_master WHERE name = 'judged_'", "") == 0)
        count(report);
}

static const char *summary_of(const char *name)
{
    const struct moe_check *check;
    for (int i = 0; (check = moe_check_get(i)) != NULL; i++)
        if (sqlite3_stricmp(check->name, name) == 0)
            return check->summary;
    return strcmp(name, "isolation") == 0 ? "the variant did not crash, hang or return an error"
                                          : "";
}

void report_checks(struct report *report, FILE *out)
{
    static const char *const colours[] = {"", "fail", "error", "known"};
    report_count_checks(report);
    struct sqlite3_stmt *row = report_query(
        report,
        "SELECT n.name, (SELECT total(times) FROM judged_ AS j WHERE j.name = n.name),"
        " (SELECT total(fail) FROM found_ AS f WHERE f.name = n.name),"
        " (SELECT total(error) FROM found_ AS f WHERE f.name = n.name),"
        " (SELECT total(known) FROM found_ AS f WHERE f.name = n.name)"
        " FROM (SELECT DISTINCT name FROM check_ UNION SELECT DISTINCT name FROM found_) AS n"
        " ORDER BY (SELECT min(number) FROM check_ AS c WHERE c.name = n.name) IS NULL,"
        " (SELECT min(number) FROM check_ AS c WHERE c.name = n.name), 1",
        "");
    fputs("<div class=\"scroll\"><table><thead><tr><th>check</th><th class=\"n\">made</th>"
          "<th class=\"n\">failed</th><th class=\"n\">undecided</th><th class=\"n\">known</th>"
          "<th>what it tests</th></tr></thead><tbody>",
          out);
    while (report_row(report, row)) {
        fputs("<tr><th scope=\"row\">", out);
        report_text(out, report_column(row, 0));
        fputs("</th>", out);
        for (int i = 0; i < 4; i++) {
            int64_t number = sqlite3_column_int64(row, 1 + i);
            fprintf(out, "<td class=\"n %s\">", number > 0 ? colours[i] : "none");
            report_number(out, number);
            fputs("</td>", out);
        }
        fputs("<td class=\"words\">", out);
        report_text(out, summary_of(report_column(row, 0)));
        fputs("</td></tr>", out);
    }
    fputs("</tbody></table></div>", out);
}

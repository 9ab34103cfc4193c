/*
 * report_verdicts.c - results by variant: a bar, and the numbers.
 */
#include <sqlite3.h>

#include "fuzz/report.h"

static const char *const verdicts[] = {"PASS", "FAIL", "ERROR", "KNOWN", "SKIP"};

#define VERDICTS ((int)(sizeof verdicts / sizeof *verdicts))

/* A share that is not nothing is seen, however small. */
static void bar(FILE *out, struct sqlite3_stmt *row)
{
    double all = sqlite3_column_double(row, 1);
    fputs("<span class=\"bar\" aria-hidden=\"true\">", out);
    for (int v = 0; v < VERDICTS; v++)
        if (sqlite3_column_int64(row, 2 + v) > 0)
            fprintf(out, "<i class=\"%s\" style=\"flex:%.4f 0 3px\"></i>",
                    report_colour(verdicts[v]), sqlite3_column_double(row, 2 + v) / all);
    fputs("</span>", out);
}

void report_verdicts(struct report *report, FILE *out)
{
    struct sqlite3_stmt *row = report_query(
        report,
        "SELECT variant, count(*), sum(verdict = 'PASS'), sum(verdict = 'FAIL'),"
        " sum(verdict = 'ERROR'), sum(verdict = 'KNOWN'), sum(verdict = 'SKIP'),"
        " max(ratio), total(variant_seconds), total(judge_seconds), group_concat(DISTINCT device)"
        " FROM result GROUP BY variant ORDER BY 4 DESC, 5 DESC, variant",
        "");
    fputs("<div class=\"scroll\"><table><thead><tr><th>variant</th><th></th>", out);
    for (int v = 0; v < VERDICTS; v++)
        fprintf(out, "<th class=\"n\">%s</th>", verdicts[v]);
    fputs("<th class=\"n\">largest error &#247; bound</th><th class=\"n\">variant ran</th>"
          "<th class=\"n\">judge ran</th><th>device</th></tr></thead><tbody>",
          out);
    while (report_row(report, row)) {
        fputs("<tr><th scope=\"row\">", out);
        report_text(out, report_column(row, 0));
        fputs("</th><td>", out);
        bar(out, row);
        fputs("</td>", out);
        for (int v = 0; v < VERDICTS; v++) {
            int64_t count = sqlite3_column_int64(row, 2 + v);
            fprintf(out, "<td class=\"n %s\">", count > 0 ? report_colour(verdicts[v]) : "none");
            report_number(out, count);
            fputs("</td>", out);
        }
        if (sqlite3_column_type(row, 7) == SQLITE_NULL)
            fputs("<td class=\"n\">&#8211;</td>", out);
        else
            fprintf(out, "<td class=\"n\">%.3g</td>", sqlite3_column_double(row, 7));
        fputs("<td class=\"n\">", out);
        report_seconds(out, sqlite3_column_double(row, 8));
        fputs("</td><td class=\"n\">", out);
        report_seconds(out, sqlite3_column_double(row, 9));
        fputs("</td><td>", out);
        report_text(out, report_column(row, 10));
        fputs("</td></tr>", out);
    }
    fputs("</tbody></table></div>", out);
}

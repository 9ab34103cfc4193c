/*
 * report_timings.c - each timing of each case beside the same of earlier nights: medians and
 * quartiles as a small graph, and whether the last one moved.
 *
 * The word is faster or slower only where the quartiles of the last night lie apart from those of
 * the night before, and the medians by more than the least that counts: so a clock that wanders
 * makes no finding by itself.
 */
#include <math.h>
#include <sqlite3.h>
#include <string.h>

#include "fuzz/report.h"

#define NIGHTS 40 /* drawn, the last ones */
#define LEAST 0.03
#define STEP 7
#define HEIGHT 36

struct series {
    int count;
    double median[NIGHTS], low[NIGHTS], high[NIGHTS];
    char commit[NIGHTS][48];
};

/* One more night; the oldest is forgotten. */
static void add(struct series *series, struct sqlite3_stmt *row)
{
    if (series->count == NIGHTS) {
        size_t rest = NIGHTS - 1;
        memmove(series->median, series->median + 1, rest * sizeof *series->median);
        memmove(series->low, series->low + 1, rest * sizeof *series->low);
        memmove(series->high, series->high + 1, rest * sizeof *series->high);
        memmove(series->commit, series->commit + 1, rest * sizeof *series->commit);
        series->count--;
    }
    int n = series->count++;
    series->median[n] = sqlite3_column_double(row, 0);
    series->low[n] = sqlite3_column_double(row, 1);
    series->high[n] = sqlite3_column_double(row, 2);
    snprintf(series->commit[n], sizeof series->commit[n], "%s", report_column(row, 3));
}

static void draw(FILE *out, const struct series *series)
{
    double least = INFINITY, most = 0;
    for (int n = 0; n < series->count; n++) {
        least = fmin(least, fmin(series->low[n], series->median[n]));
        most = fmax(most, fmax(series->high[n], series->median[n]));
    }
    double span = most - least > 0.02 * most ? most - least : 0.02 * most;
    if (!(span > 0) || !isfinite(span))
        return;
    fprintf(out,
            "<svg class=\"spark\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">",
            STEP * series->count + 4, HEIGHT, STEP * series->count + 4, HEIGHT);
    fprintf(out, "<title>%d nights, median %.4g to %.4g s</title>", series->count, least, most);
    for (int n = 0; n < series->count; n++) {
        double x = STEP * n + 5, at = HEIGHT - 4;
        double scale = (HEIGHT - 8) / span;
        fprintf(out, "<line class=\"quartiles\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\"/>",
                x, x, at - scale * (series->low[n] - least),
                at - scale * (series->high[n] - least));
        fprintf(out, "<circle class=\"%s\" cx=\"%.0f\" cy=\"%.1f\" r=\"2\"/>",
                n == series->count - 1 ? "last" : "", x, at - scale * (series->median[n] - least));
    }
    fputs("</svg>", out);
}

/* How the last night is beside the one before it. */
static void change(FILE *out, const struct series *series)
{
    int n = series->count - 1;
    if (n < 1) {
        fputs("<td>first</td>", out);
        return;
    }
    double ratio = series->median[n] / series->median[n - 1] - 1;
    int slower = series->low[n] > series->high[n - 1] && ratio > LEAST;
    int faster = series->high[n] < series->low[n - 1] && ratio < -LEAST;
    fprintf(out, "<td class=\"%s\">%+.1f %%",
            slower   ? "fail"
            : faster ? "pass"
                     : "none",
            100 * ratio);
    if (slower || faster) {
        fprintf(out, " %s", slower ? "slower" : "faster");
        if (series->commit[n][0] != '\0' && series->commit[n - 1][0] != '\0' &&
            strcmp(series->commit[n], series->commit[n - 1]) != 0) {
            fputs(" <code>", out);
            report_text(out, series->commit[n - 1]);
            fputs("..", out);
            report_text(out, series->commit[n]);
            fputs("</code>", out);
        }
    }
    fputs("</td>", out);
}

static void timing(struct report *report, FILE *out, struct sqlite3_stmt *group)
{
    struct series series = {.count = 0};
    double ceiling = NAN;
    struct sqlite3_stmt *row = report_query(
        report,
        "SELECT median, low, high, coalesce(commit_id, version), ceiling FROM timing WHERE"
        " variant = ? AND line = ? AND part = ? AND coalesce(host, '') = ? AND"
        " coalesce(device, '') = ? ORDER BY at, id",
        "sssss", report_column(group, 0), report_column(group, 1), report_column(group, 2),
        report_column(group, 3), report_column(group, 4));
    while (report_row(report, row)) {
        add(&series, row);
        ceiling = sqlite3_column_type(row, 4) == SQLITE_NULL ? NAN : sqlite3_column_double(row, 4);
    }
    if (series.count == 0)
        return;
    int n = series.count - 1;
    fputs("<tr><th scope=\"row\">", out);
    report_text(out, report_column(group, 0));
    fputs("</th><td>", out);
    report_text(out, report_column(group, 2));
    fputs("</td><td class=\"n\"><b>", out);
    report_seconds(out, series.median[n]);
    fputs("</b><br/><small>", out);
    report_seconds(out, series.low[n]);
    fputs(" to ", out);
    report_seconds(out, series.high[n]);
    fputs("</small></td><td>", out);
    draw(out, &series);
    fputs("</td>", out);
    change(out, &series);
    if (isnan(ceiling))
        fputs("<td class=\"n\">&#8211;</td>", out);
    else
        fprintf(out, "<td class=\"n\">%.2f</td>", ceiling);
    fputs("<td class=\"words\">", out);
    report_text(out, report_column(group, 1));
    for (int i = 3; i < 5; i++) {
        fputs(i == 3 ? "<br/><small>" : " ", out);
        report_text(out, report_column(group, i));
    }
    fputs("</small></td></tr>", out);
}

void report_timings(struct report *report, FILE *out)
{
    int some = 0;
    struct sqlite3_stmt *group = report_query(
        report,
        "SELECT variant, line, part, coalesce(host, ''), coalesce(device, '') FROM timing"
        " GROUP BY 1, 2, 3, 4, 5 ORDER BY min(suite), 2, 5, 1, 3",
        "");
    while (report_row(report, group)) {
        if (some++ == 0)
            fputs("<p class=\"note\">Medians with their quartiles; the last night against the one "
                  "before it. Slower or faster: the quartiles are apart, and the medians by more "
                  "than 3 %.</p><div class=\"scroll\"><table><thead><tr><th>variant</th>"
                  "<th>part</th><th class=\"n\">last</th><th>nights</th><th>change</th>"
                  "<th class=\"n\">of the ceiling</th><th>case</th>"
                  "</tr></thead><tbody>",
                  out);
        timing(report, out, group);
    }
    fputs(some > 0 ? "</tbody></table></div>" : "<p>None are kept.</p>", out);
}

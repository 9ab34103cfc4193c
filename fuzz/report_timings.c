/*
 * report_timings.c - each timing of each case beside the same of earlier nights: medians and
 * quartiles as a small graph, and whether the last one moved.
 *
 * What counts as slower or faster is the rule of `moecheck bench` (bench_trend.c).
 */
#include <math.h>
#include <sqlite3.h>
#include <string.h>

#include "fuzz/report.h"
#include "verify/bench_trend.h"

#define NIGHTS 40 /* drawn, the last ones */
#define STEP 7
#define HEIGHT 36

struct series {
    int count;
    struct bench_earlier night[NIGHTS]; /* the oldest first */
};

/* One more night; the oldest is forgotten. */
static void add(struct series *series, struct sqlite3_stmt *row)
{
    if (series->count == NIGHTS)
        memmove(series->night, series->night + 1, (size_t)--series->count * sizeof *series->night);
    struct bench_earlier *night = &series->night[series->count++];
    *night = (struct bench_earlier){.spread = {.median = sqlite3_column_double(row, 0),
                                               .low = sqlite3_column_double(row, 1),
                                               .high = sqlite3_column_double(row, 2)}};
    snprintf(night->commit, sizeof night->commit, "%s", report_column(row, 3));
}

static void draw(FILE *out, const struct series *series)
{
    double least = INFINITY, most = 0;
    for (int n = 0; n < series->count; n++) {
        least = fmin(least, fmin(series->night[n].spread.low, series->night[n].spread.median));
        most = fmax(most, fmax(series->night[n].spread.high, series->night[n].spread.median));
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
                x, x, at - scale * (series->night[n].spread.low - least),
                at - scale * (series->night[n].spread.high - least));
        fprintf(out, "<circle class=\"%s\" cx=\"%.0f\" cy=\"%.1f\" r=\"2\"/>",
                n == series->count - 1 ? "last" : "", x,
                at - scale * (series->night[n].spread.median - least));
    }
    fputs("</svg>", out);
}

/* The last night beside those before it, the newest of them first. */
static struct bench_trend trend_of(const struct series *series, struct bench_earlier *earlier)
{
    const struct bench_earlier *last = &series->night[series->count - 1];
    int count = 0;
    for (; count < BENCH_EARLIER && count < series->count - 1; count++)
        earlier[count] = last[-1 - count];
    return bench_trend_of(&last->spread, earlier, count);
}

/* What became of it, and between which commits. */
static void change(FILE *out, const struct series *series)
{
    struct bench_earlier earlier[BENCH_EARLIER];
    const struct bench_earlier *last = &series->night[series->count - 1];
    struct bench_trend trend = trend_of(series, earlier);
    if (trend.before < 0) {
        fputs("<td>first</td>", out);
        return;
    }
    const char *from = earlier[trend.before].commit;
    const char *to = trend.after >= 0 ? earlier[trend.after].commit : last->commit;
    int slower = trend.change == BENCH_SLOWER, moved = slower || trend.change == BENCH_FASTER;
    fprintf(out, "<td class=\"%s\">%+.1f %%%s",
            slower  ? "fail"
            : moved ? "pass"
                    : "none",
            100 * (last->spread.median / earlier[trend.before].spread.median - 1),
            slower  ? " slower"
            : moved ? " faster"
                    : "");
    if (moved && *from != '\0' && *to != '\0') {
        fputs(" <code>", out);
        report_text(out, from);
        fputs("..", out);
        report_text(out, to);
        fputs("</code>", out);
    }
    fputs("</td>", out);
}

/* The nights of a timing; the last one's share of the ceiling, or NaN. */
static double read_series(struct report *report, struct sqlite3_stmt *group, struct series *series)
{
    double ceiling = NAN;
    struct sqlite3_stmt *row =
        report_query(report,
                     "SELECT median, low, high, coalesce(commit_id, ''), ceiling FROM timing WHERE"
                     " variant = ? AND line = ? AND part = ? AND coalesce(host, '') = ? AND"
                     " coalesce(device, '') = ? ORDER BY at, id",
                     "sssss", report_column(group, 0), report_column(group, 1),
                     report_column(group, 2), report_column(group, 3), report_column(group, 4));
    series->count = 0;
    while (report_row(report, row)) {
        add(series, row);
        ceiling = sqlite3_column_type(row, 4) == SQLITE_NULL ? NAN : sqlite3_column_double(row, 4);
    }
    return ceiling;
}

static void timing(struct report *report, FILE *out, struct sqlite3_stmt *group)
{
    struct series series;
    const double ceiling = read_series(report, group, &series);
    if (series.count == 0)
        return;
    int n = series.count - 1;
    fputs("<tr><th scope=\"row\">", out);
    report_text(out, report_column(group, 0));
    fputs("</th><td>", out);
    report_text(out, report_column(group, 2));
    fputs("</td><td class=\"n\"><b>", out);
    report_seconds(out, series.night[n].spread.median);
    fputs("</b><br/><small>", out);
    report_seconds(out, series.night[n].spread.low);
    fputs(" to ", out);
    report_seconds(out, series.night[n].spread.high);
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

static struct sqlite3_stmt *all_timings(struct report *report)
{
    return report_query(
        report,
        "SELECT variant, line, part, coalesce(host, ''), coalesce(device, '') FROM timing"
        " GROUP BY 1, 2, 3, 4, 5 ORDER BY min(suite), 2, 5, 1, 3",
        "");
}

int report_slower(struct report *report)
{
    struct bench_earlier earlier[BENCH_EARLIER];
    struct series series;
    int count = 0;
    struct sqlite3_stmt *group = all_timings(report);
    while (report_row(report, group)) {
        (void)read_series(report, group, &series);
        count += series.count > 0 && trend_of(&series, earlier).change == BENCH_SLOWER;
    }
    return count;
}

void report_timings(struct report *report, FILE *out)
{
    int some = 0;
    struct sqlite3_stmt *group = all_timings(report);
    while (report_row(report, group)) {
        if (some++ == 0)
            fputs(
                "<p class=\"note\">Medians with their quartiles, night by night. Slower or faster: "
                "the quartiles leave a gap and the medians differ by more than 2 %, against three "
                "in four of the last eight nights.</p>"
                "<div class=\"scroll\"><table><thead><tr><th>variant</th>"
                "<th>part</th><th class=\"n\">last</th><th>nights</th><th>change</th>"
                "<th class=\"n\">of the ceiling</th><th>case</th>"
                "</tr></thead><tbody>",
                out);
        timing(report, out, group);
    }
    fputs(some > 0 ? "</tbody></table></div>" : "<p>None are kept.</p>", out);
}

/*
 * report_nights.c - what stays the same or moves slowly: floors of detection, the last nights, and
 * the machine, with how to repeat and to resume.
 */
#include <sqlite3.h>
#include <math.h>
#include <string.h>

#include "fuzz/report.h"

/* ---- floors ---------------------------------------------------------------------------------- */

static void value(FILE *out, struct sqlite3_stmt *row, int column)
{
    if (sqlite3_column_type(row, column) == SQLITE_NULL)
        fputs("&#8211;", out);
    else
        fprintf(out, "%.4g", sqlite3_column_double(row, column));
}

void report_floors(struct report *report, FILE *out)
{
    int some = 0;
    struct sqlite3_stmt *row = report_query(
        report,
        "SELECT name, value, low, high, coalesce(unit, ''), at, version,"
        " (SELECT e.value FROM floor_ AS e WHERE e.name = f.name AND (e.at, e.id) < (f.at, f.id)"
        "  ORDER BY e.at DESC, e.id DESC LIMIT 1) FROM floor_ AS f"
        " WHERE id = (SELECT g.id FROM floor_ AS g WHERE g.name = f.name"
        "  ORDER BY g.at DESC, g.id DESC LIMIT 1) ORDER BY name",
        "");
    while (report_row(report, row)) {
        if (some++ == 0)
            fputs("<p class=\"note\">The smallest fault of each kind that is found; below it, "
                  "nothing is claimed.</p><div class=\"scroll\"><table><thead><tr><th>floor</th>"
                  "<th class=\"n\">value</th><th class=\"n\">from</th><th class=\"n\">to</th>"
                  "<th>unit</th><th class=\"n\">before</th><th>measured</th><th>version</th></tr>"
                  "</thead><tbody>",
                  out);
        fputs("<tr><th scope=\"row\">", out);
        report_text(out, report_column(row, 0));
        for (int i = 1; i < 4; i++) {
            fprintf(out, "</t%c><td class=\"n\">", i == 1 ? 'h' : 'd');
            value(out, row, i);
        }
        fputs("</td><td>", out);
        report_text(out, report_column(row, 4));
        fputs("</td><td class=\"n\">", out);
        value(out, row, 7);
        fputs("</td><td>", out);
        report_date(out, sqlite3_column_double(row, 5));
        fputs("</td><td>", out);
        report_text(out, report_column(row, 6));
        fputs("</td></tr>", out);
    }
    fputs(some > 0 ? "</tbody></table></div>" : "<p>None are kept.</p>", out);
}

/* ---- nights ---------------------------------------------------------------------------------- */

void report_nights(struct report *report, FILE *out)
{
    static const char *const colours[] = {"", "pass", "fail", "error", "skip", "known"};
    struct sqlite3_stmt *row = report_query(
        report,
        "SELECT started, seed, version, coalesce(commit_id, ''), seconds, cases, pass, fail, error,"
        " skip, known FROM night ORDER BY started DESC, id DESC LIMIT 60",
        "");
    fputs("<div class=\"scroll\"><table><thead><tr><th>began</th><th class=\"n\">cases</th>"
          "<th class=\"n\">PASS</th><th class=\"n\">FAIL</th><th class=\"n\">ERROR</th>"
          "<th class=\"n\">SKIP</th><th class=\"n\">KNOWN</th><th class=\"n\">took</th>"
          "<th>seed</th><th>version</th><th>commit</th></tr></thead><tbody>",
          out);
    while (report_row(report, row)) {
        fputs("<tr><th scope=\"row\">", out);
        report_date(out, sqlite3_column_double(row, 0));
        fputs("</th>", out);
        for (int i = 0; i < 6; i++) {
            int64_t number = sqlite3_column_int64(row, 5 + i);
            fprintf(out, "<td class=\"n %s\">", number > 0 ? colours[i] : "none");
            report_number(out, number);
            fputs("</td>", out);
        }
        fputs("<td class=\"n\">", out);
        report_seconds(out, sqlite3_column_double(row, 4));
        for (int i = 1; i < 4; i++) {
            fputs("</td><td>", out);
            report_text(out, report_column(row, i));
        }
        fputs("</td></tr>", out);
    }
    fputs("</tbody></table></div>", out);
}

/* ---- the machine ----------------------------------------------------------------------------- */

static void fact(FILE *out, const char *name, const char *text)
{
    if (*text == '\0')
        return;
    fprintf(out, "<dt>%s</dt><dd>", name);
    report_text(out, text);
    fputs("</dd>", out);
}

static void campaign(FILE *out, struct sqlite3_stmt *row)
{
    int cut = sqlite3_column_type(row, 9) == SQLITE_NULL;
    fputs("<dl>", out);
    fact(out, "store", report_column(row, 11));
    fact(out, "seed", report_column(row, 0));
    fact(out, "version", report_column(row, 2));
    fact(out, "commit", report_column(row, 5));
    fact(out, "host", report_column(row, 3));
    fact(out, "devices", report_column(row, 4));
    fact(out, "options", report_column(row, 1));
    if (sqlite3_column_int64(row, 7) > 1)
        fprintf(out, "<dt>shard</dt><dd>%lld/%lld</dd>", (long long)sqlite3_column_int64(row, 6),
                (long long)sqlite3_column_int64(row, 7));
    fputs("<dt>began</dt><dd>", out);
    report_date(out, sqlite3_column_double(row, 8));
    fputs("</dd><dt>ended</dt><dd>", out);
    if (cut)
        fputs("not: it still runs or was cut", out);
    else
        report_date(out, sqlite3_column_double(row, 9));
    fputs("</dd><dt>worked</dt><dd>", out);
    report_seconds(out, sqlite3_column_double(row, 10));
    if (sqlite3_column_int64(row, 12) > 0) {
        fputs(", resumed ", out);
        report_plural(out, sqlite3_column_int64(row, 12), "time");
    }
    fprintf(out, "</dd></dl><p class=\"label\">%s</p><pre><code>moecheck fuzz --store ",
            cut ? "go on, with" : "the same cases again, in a new store");
    if (cut)
        report_quoted(out, report_column(row, 11));
    else
        fputs("again.store", out);
    fputs(" --seed ", out);
    report_text(out, report_column(row, 0));
    if (sqlite3_column_int64(row, 7) > 1)
        fprintf(out, " --shard %lld/%lld", (long long)sqlite3_column_int64(row, 6),
                (long long)sqlite3_column_int64(row, 7));
    fputs(*report_column(row, 1) != '\0' ? " " : "", out);
    report_text(out, report_column(row, 1));
    fputs("</code></pre>", out);
}

void report_machine(struct report *report, FILE *out)
{
    struct sqlite3_stmt *row = report_query(
        report,
        "SELECT seed, options, version, coalesce(host, ''), coalesce(devices, ''),"
        " coalesce(commit_id, ''), shard, shards, started, ended, seconds, path, resumed"
        " FROM campaign LEFT JOIN source ON source.campaign = campaign.id ORDER BY campaign.id",
        "");
    while (report_row(report, row))
        campaign(out, row);
}

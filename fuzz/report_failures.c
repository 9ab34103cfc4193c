/*
 * report_failures.c - each kind of failure: the smallest case, the command that repeats it, what
 * was found beside what was allowed, and where.
 */
#include <sqlite3.h>
#include <string.h>

#include "fuzz/report.h"

#define CLASSES 200 /* shown; of more only the number */

/* ---- findings -------------------------------------------------------------------------------- */

static void term(FILE *out, const char *name)
{
    fprintf(out, "<dt>%s</dt><dd>", name);
}

/* Of the places of an element those that apply; returns how many. */
static int place(FILE *out, struct sqlite3_stmt *row, int first)
{
    static const char *const names[] = {"row", "column", "expert", "token", "slot"};
    int some = 0;
    for (int i = 0; i < 5; i++) {
        int64_t at = sqlite3_column_int64(row, first + i);
        if (sqlite3_column_type(row, first + i) == SQLITE_NULL || at < 0)
            continue;
        if (out != NULL)
            fprintf(out, "%s%s %lld", some > 0 ? ", " : "", names[i], (long long)at);
        some++;
    }
    return some;
}

#define FINDING                                                                                    \
    "SELECT check_, verdict, tensor, text, geometry, words, row_, col, expert, token, slot, got,"  \
    " want, allowed, ordinal FROM finding AS f WHERE campaign = ?1 AND number = ?2 AND variant = " \
    "?3"

static void finding(FILE *out, struct sqlite3_stmt *row)
{
    fputs("<p class=\"what\"><b>", out);
    report_text(out, report_column(row, 0));
    fputs(":</b> ", out);
    report_text(out, report_column(row, 3));
    fputs("</p>", out);
    if (*report_column(row, 2) == '\0')
        return;
    fputs("<dl>", out);
    term(out, "tensor");
    report_text(out, report_column(row, 2));
    fputs("</dd>", out);
    if (place(NULL, row, 6) > 0) {
        term(out, "worst element");
        place(out, row, 6);
        fputs("</dd>", out);
    }
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"found", "wanted", "allowed error"};
        if (*report_column(row, 11 + i) == '\0')
            continue;
        term(out, names[i]);
        report_value(out, report_column(row, 11 + i));
        fputs("</dd>", out);
    }
    if (*report_column(row, 4) != '\0') {
        term(out, "shape");
        report_text(out, report_column(row, 4));
        fputs(*report_column(row, 5) != '\0' ? ": " : "", out);
        report_text(out, report_column(row, 5));
        fputs("</dd>", out);
    }
    fputs("</dl>", out);
}

/* What the result says beside its first finding. */
static void others(struct report *report, FILE *out, int64_t campaign, int64_t number,
                   const char *variant, int64_t told)
{
    struct sqlite3_stmt *row = report_query(report, FINDING " AND ordinal <> ?4 ORDER BY ordinal",
                                            "iisi", campaign, number, variant, told);
    int some = 0;
    while (report_row(report, row)) {
        if (some++ == 0)
            fputs("<details><summary>what else that case shows</summary><ul>", out);
        fputs("<li>", out);
        report_badge(out, report_column(row, 1));
        fputs(" ", out);
        report_text(out, report_column(row, 0));
        fputs(": ", out);
        report_text(out, report_column(row, 3));
        fputs("</li>", out);
    }
    if (some > 0)
        fputs("</ul></details>", out);
}

static void findings(struct report *report, FILE *out, int64_t campaign, int64_t number,
                     const char *variant)
{
    int64_t told = -1;
    struct sqlite3_stmt *row = report_query(
        report,
        FINDING " ORDER BY (SELECT r.verdict IS NOT f.verdict FROM result AS r WHERE r.campaign ="
                " f.campaign AND r.number = f.number AND r.variant = f.variant), ordinal",
        "iis", campaign, number, variant);
    fputs("<div class=\"finding\"><div>", out);
    if (report_row(report, row)) {
        finding(out, row);
        told = sqlite3_column_int64(row, 14);
        report_done(row);
    } else {
        fputs("<p>No finding was kept with it.</p>", out);
    }
    others(report, out, campaign, number, variant, told);
    fputs("</div>", out);
    report_picture(report, out, campaign, number, variant);
    fputs("</div>", out);
}

/* ---- a class --------------------------------------------------------------------------------- */

/* How the minimal case was come by. */
static void shrunk(FILE *out, struct sqlite3_stmt *row)
{
    int64_t again = sqlite3_column_int64(row, 6), runs = sqlite3_column_int64(row, 7);
    if (sqlite3_column_type(row, 4) == SQLITE_NULL) {
        fputs("<p class=\"note\">Not shrunk. ", out);
        if (runs > 0 && again == 0)
            fprintf(out, "It did not fail again in %lld runs.", (long long)runs);
        fputs("</p>", out);
        return;
    }
    fputs("<p class=\"label\">the smallest case that fails in this way", out);
    if (sqlite3_column_type(row, 8) != SQLITE_NULL)
        fputs(sqlite3_column_int64(row, 8) ? "; nothing smaller fails" : "; time was up", out);
    if (runs > again)
        fprintf(out, "; <b>%lld of %lld runs</b> failed", (long long)again, (long long)runs);
    fputs("</p>", out);
    report_command(out, report_column(row, 4));
}

static void line_of(struct report *report, FILE *out, int64_t campaign, int64_t number)
{
    struct sqlite3_stmt *row = report_query(
        report, "SELECT line FROM case_ WHERE campaign = ? AND number = ?", "ii", campaign, number);
    if (!report_row(report, row))
        return;
    report_text(out, report_column(row, 0));
    report_done(row);
}

/* The campaign's own command, or a plain one. */
static void command(struct report *report, FILE *out, struct sqlite3_stmt *row, int64_t campaign)
{
    fputs("<p class=\"label\">again, with</p>", out);
    if (*report_column(row, 5) != '\0') {
        report_command(out, report_column(row, 5));
        return;
    }
    fputs("<pre><code>moecheck verify --variant ", out);
    report_quoted(out, report_column(row, 0));
    fputs(" &#39;", out); /* a case line has no quotes */
    line_of(report, out, campaign, sqlite3_column_int64(row, 3));
    fputs("&#39;</code></pre>", out);
}

static void class(struct report *report, FILE *out, struct sqlite3_stmt *row)
{
    int64_t campaign = sqlite3_column_int64(row, 9), first = sqlite3_column_int64(row, 3);
    fputs("<article class=\"failure\"><h3>", out);
    report_badge(out, report_column(row, 10));
    fputs(" ", out);
    report_text(out, report_column(row, 0));
    fputs(": ", out);
    report_text(out, report_column(row, 1));
    fputs("</h3><p>", out);
    report_plural(out, sqlite3_column_int64(row, 2), "case");
    fprintf(out, ", first number %lld", (long long)first);
    if (sqlite3_column_int64(row, 11) > 1)
        fprintf(out, " of campaign %lld here", (long long)campaign);
    fputs("</p>", out);
    shrunk(out, row);
    command(report, out, row, campaign);
    findings(report, out, campaign, first, report_column(row, 0));
    fputs("<details><summary>the first case</summary><pre><code>", out);
    line_of(report, out, campaign, first);
    fputs("</code></pre></details></article>", out);
}

/* ---- known failures -------------------------------------------------------------------------- */

static void known(struct report *report, FILE *out)
{
    struct sqlite3_stmt *row = report_query(
        report,
        "SELECT variant, coalesce(check_, ''), coalesce(tensor, ''), count(*)"
        " FROM temp.first_finding WHERE verdict = 'KNOWN' GROUP BY 1, 2, 3 ORDER BY 1, 4 DESC",
        "");
    int some = 0;
    while (report_row(report, row)) {
        if (some++ == 0)
            fputs("<h3><span class=\"badge known\">KNOWN</span> failures of the ledger</h3><ul>",
                  out);
        fputs("<li>", out);
        for (int i = 0; i < 3; i++) {
            static const char *const before[] = {"", ": ", " of "};
            fputs(*report_column(row, i) != '\0' ? before[i] : "", out);
            report_text(out, report_column(row, i));
        }
        fputs(", ", out);
        report_plural(out, sqlite3_column_int64(row, 3), "case");
        fputs("</li>", out);
    }
    if (some > 0)
        fputs("</ul>", out);
}

void report_failures(struct report *report, FILE *out)
{
    int shown = 0;
    struct sqlite3_stmt *row = report_query(
        report,
        "SELECT variant, class_, count, first, minimal, command, again, runs, whole, campaign,"
        " verdict, (SELECT count(*) FROM campaign) FROM class"
        " ORDER BY verdict = 'ERROR', count DESC, variant, class_",
        "");
    while (report_row(report, row))
        if (shown++ < CLASSES)
            class(report, out, row);
    int64_t bad =
        report_count(report, "SELECT count(*) FROM result WHERE verdict IN ('FAIL', 'ERROR')", "");
    int64_t counted = report_count(report, "SELECT total(count) FROM class", "");
    if (shown == 0 && bad == 0)
        fputs("<p>None.</p>", out);
    if (shown > CLASSES)
        fprintf(out, "<p>and %d kinds more</p>", shown - CLASSES);
    if (bad > counted) {
        fputs("<p>and ", out);
        report_plural(out, bad - counted, "result");
        fputs(" of kinds beyond those that a campaign keeps apart</p>", out);
    }
    known(report, out);
}

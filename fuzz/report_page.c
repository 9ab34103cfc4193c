/*
 * report_page.c - the page: head, headline, sections. One file that needs no other, no network and
 * no script; its policy forbids the browser all three. It is XML as well as HTML, so that any
 * parser can say whether it is well-formed.
 */
#include <sqlite3.h>
#include <stdlib.h>
#include <time.h>

#include "config.h"
#include "fuzz/report.h"

static const char style[] =
#include "fuzz/report_style.inc"
    ;

int report_write(struct report *report, const char *path,
                 void (*print)(struct report *report, FILE *out))
{
    struct moe_aside aside;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out != NULL)
        print(report, out);
    if (report->status == MOE_OK && (out == NULL || ferror(out)))
        report->status = moe_error(MOE_E_NOMEM, "%s: no memory", path);
    if (out != NULL && fclose(out) != 0 && report->status == MOE_OK)
        report->status = moe_error(MOE_E_NOMEM, "%s: no memory", path);
    if (report->status == MOE_OK && (report->status = moe_aside_open(path, &aside)) == MOE_OK) {
        report->status = moe_aside_write(&aside, text, size);
        if (report->status == MOE_OK)
            report->status = moe_aside_commit(&aside);
        else
            moe_aside_discard(&aside);
    }
    free(text);
    return report->status;
}

static void head(FILE *out, const char *headline)
{
    fputs("<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\"><head>"
          "<meta charset=\"utf-8\"/>"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
          "'unsafe-inline'\"/>"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>"
          "<meta name=\"color-scheme\" content=\"light dark\"/>"
          "<title>moecheck: ",
          out);
    report_text(out, headline);
    fprintf(out, "</title><style>\n%s</style></head>\n<body>", style);
}

/* When and where, in a line. */
static void facts(struct report *report, FILE *out)
{
    struct sqlite3_stmt *row = report_query(
        report,
        "SELECT min(started), max(coalesce(ended, started + seconds)), group_concat(DISTINCT host),"
        " group_concat(DISTINCT seed), group_concat(DISTINCT version),"
        " group_concat(DISTINCT commit_id), count(*) FROM campaign",
        "");
    if (!report_row(report, row))
        return;
    if (sqlite3_column_int64(row, 6) > 0) {
        fputs("<p class=\"facts\">", out);
        report_date(out, sqlite3_column_double(row, 0));
        fputs(" to ", out);
        report_date(out, sqlite3_column_double(row, 1));
        for (int i = 0; i < 4; i++) {
            static const char *const before[] = {" on ", ", seed ", ", version ", ", commit "};
            if (*report_column(row, 2 + i) == '\0')
                continue;
            fputs(before[i], out);
            report_text(out, report_column(row, 2 + i));
        }
        fputs("</p>", out);
    }
    report_done(row);
}

static void print(struct report *report, FILE *out)
{
    char headline[256];
    const struct report_section *section;
    const char *colour = report_headline(report, headline, sizeof headline);
    head(out, headline);
    fprintf(out, "<header class=\"%s\"><h1>", colour);
    report_text(out, headline);
    fputs("</h1>", out);
    facts(report, out);
    fputs("</header>\n<nav>", out);
    for (int i = 0; (section = report_section(i)) != NULL; i++)
        fprintf(out, "<a href=\"#%s\">%s</a>", section->id, section->title);
    fputs("</nav>\n<main>", out);
    for (int i = 0; (section = report_section(i)) != NULL; i++) {
        fprintf(out, "\n<section id=\"%s\"><h2>%s</h2>", section->id, section->title);
        section->write(report, out);
        fputs("</section>", out);
    }
    fputs("</main>\n<footer>Written by " PACKAGE_STRING " on ", out);
    report_date(out, (double)time(NULL));
    fputs("</footer></body></html>\n", out);
}

int report_write_page(struct report *report, const char *path)
{
    return report_write(report, path, print);
}

/*
 * report_lines.c - the night as lines of JSON: a campaign, a result with its findings, a kind of
 * failure each on one. Numbers that JSON has not are null.
 */
#include <jansson.h>
#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/report.h"

/* A column as JSON. What cannot be said is null. */
static json_t *value(struct sqlite3_stmt *row, int column)
{
    if (sqlite3_column_type(row, column) == SQLITE_INTEGER)
        return json_integer(sqlite3_column_int64(row, column));
    if (sqlite3_column_type(row, column) == SQLITE_FLOAT)
        return isfinite(sqlite3_column_double(row, column))
                   ? json_real(sqlite3_column_double(row, column))
                   : json_null();
    if (sqlite3_column_type(row, column) == SQLITE_NULL)
        return json_null();
    char *clean = report_clean(report_column(row, column));
    json_t *text = clean != NULL ? json_string(clean) : NULL;
    free(clean);
    return text;
}

/* The row as an object: the columns' names are the members', but for the underscore that keeps some
 * apart from words of SQL. */
static json_t *object_of(struct sqlite3_stmt *row)
{
    json_t *object = json_object();
    for (int i = 0; i < sqlite3_column_count(row); i++) {
        char name[64];
        snprintf(name, sizeof name, "%s", sqlite3_column_name(row, i));
        size_t length = strlen(name);
        if (length > 0 && name[length - 1] == '_')
            name[length - 1] = '\0';
        json_object_set_new(object, name, value(row, i));
    }
    return object;
}

static void print_line(struct report *report, FILE *out, json_t *object)
{
    char *line = json_dumps(object, JSON_COMPACT);
    if (line == NULL && report->status == MOE_OK)
        report->status = moe_error(MOE_E_NOMEM, "report: no memory for a line");
    if (line != NULL)
        fprintf(out, "%s\n", line);
    free(line);
    json_decref(object);
}

/* Each row under the name of its kind. */
static void rows(struct report *report, FILE *out, const char *kind, const char *sql)
{
    struct sqlite3_stmt *row = report_query(report, sql, "");
    while (report_row(report, row))
        print_line(report, out, json_pack("{s:o}", kind, object_of(row)));
}

static json_t *findings_of(struct report *report, int64_t campaign, int64_t number,
                           const char *variant)
{
    json_t *all = json_array();
    struct sqlite3_stmt *row = report_query(
        report,
        "SELECT check_, verdict, tensor, text, geometry, words, row_, col, expert, token, slot,"
        " got, want, allowed FROM finding WHERE campaign = ? AND number = ? AND variant = ?"
        " ORDER BY ordinal",
        "iis", campaign, number, variant);
    while (report_row(report, row))
        json_array_append_new(all, object_of(row));
    return all;
}

static void results(struct report *report, FILE *out)
{
    struct sqlite3_stmt *row = report_query(
        report,
        "SELECT r.campaign, r.number, c.origin, c.line AS \"case\", r.variant, r.device, r.verdict,"
        " r.ratio, r.variant_seconds, r.judge_seconds, r.worker, r.at, r.finding_count"
        " FROM result AS r LEFT JOIN case_ AS c USING (campaign, number)"
        " ORDER BY r.campaign, r.number, r.variant",
        "");
    while (report_row(report, row)) {
        json_t *object = object_of(row);
        if (sqlite3_column_int64(row, 12) > 0)
            json_object_set_new(object, "findings",
                                findings_of(report, sqlite3_column_int64(row, 0),
                                            sqlite3_column_int64(row, 1), report_column(row, 4)));
        print_line(report, out, json_pack("{s:o}", "result", object));
    }
}

static void print(struct report *report, FILE *out)
{
    rows(report, out, "campaign",
         "SELECT c.*, s.path AS store FROM campaign AS c LEFT JOIN source AS s"
         " ON s.campaign = c.id ORDER BY c.id");
    results(report, out);
    rows(
        report, out, "failure",
        "SELECT c.campaign, c.variant, c.class_, c.verdict, c.count, c.first, k.line AS first_case,"
        " c.minimal, c.command, c.again, c.runs, c.whole FROM class AS c LEFT JOIN case_ AS k"
        " ON k.campaign = c.campaign AND k.number = c.first ORDER BY c.campaign, c.count DESC,"
        " c.variant, c.class_");
}

int report_write_lines(struct report *report, const char *path)
{
    return report_write(report, path, print);
}

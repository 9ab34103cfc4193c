/*
 * report_query.c - questions to the night's database. The first error stays in the report, and
 * what comes after it finds no rows, so that who writes a page need not look at every step.
 */
#include <sqlite3.h>
#include <stdarg.h>
#include <string.h>

#include "fuzz/report.h"

void report_refuse(struct report *report, const char *path)
{
    int code = sqlite3_errcode(report->database);
    if (report->status != MOE_OK)
        return;
    if (code == SQLITE_NOMEM)
        report->status = moe_error(MOE_E_NOMEM, "%s: no memory", path);
    else if (code == SQLITE_NOTADB)
        report->status = moe_error(MOE_E_USAGE, "%s: not a store of campaigns", path);
    else
        report->status = moe_error(MOE_E_IO, "%s: %s", path, sqlite3_errmsg(report->database));
}

static struct sqlite3_stmt *query(struct report *report, const char *sql, const char *types,
                                  va_list arguments)
{
    struct sqlite3_stmt *statement = NULL;
    int code = SQLITE_OK;
    if (report->status != MOE_OK)
        return NULL;
    code = sqlite3_prepare_v2(report->database, sql, -1, &statement, NULL);
    for (int i = 1; code == SQLITE_OK && types[i - 1] != '\0'; i++)
        if (types[i - 1] == 'i')
            code = sqlite3_bind_int64(statement, i, va_arg(arguments, int64_t));
        else
            code = sqlite3_bind_text(statement, i, va_arg(arguments, const char *), -1,
                                     SQLITE_TRANSIENT);
    if (code == SQLITE_OK)
        return statement;
    report_refuse(report, "what was gathered");
    sqlite3_finalize(statement);
    return NULL;
}

struct sqlite3_stmt *report_query(struct report *report, const char *sql, const char *types, ...)
{
    va_list arguments;
    va_start(arguments, types);
    struct sqlite3_stmt *statement = query(report, sql, types, arguments);
    va_end(arguments);
    return statement;
}

int report_row(struct report *report, struct sqlite3_stmt *statement)
{
    if (statement == NULL)
        return 0;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        return 1;
    if (code != SQLITE_DONE)
        report_refuse(report, "what was gathered");
    sqlite3_finalize(statement);
    return 0;
}

void report_done(struct sqlite3_stmt *statement)
{
    sqlite3_finalize(statement);
}

void report_run(struct report *report, const char *sql)
{
    if (report->status == MOE_OK &&
        sqlite3_exec(report->database, sql, NULL, NULL, NULL) != SQLITE_OK)
        report_refuse(report, "what was gathered");
}

int64_t report_count(struct report *report, const char *sql, const char *types, ...)
{
    va_list arguments;
    va_start(arguments, types);
    struct sqlite3_stmt *statement = query(report, sql, types, arguments);
    va_end(arguments);
    if (!report_row(report, statement))
        return 0;
    int64_t count = sqlite3_column_int64(statement, 0);
    report_done(statement);
    return count;
}

const char *report_column(struct sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return text != NULL ? text : "";
}

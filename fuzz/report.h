/*
 * report.h - inside `moecheck report`: what one or more stores hold of a night, gathered in one
 * database, and written as a page, as JUnit and as lines of JSON. Prototypes stand under the file
 * that holds them. All but the
 * first is only in a build with SQLite.
 */
#ifndef MOE_REPORT_H
#define MOE_REPORT_H

#include <stdint.h>
#include <stdio.h>

#include "ref/moe.h"
#include "verify/aside.h"

struct sqlite3;
struct sqlite3_stmt;

struct moe_options; /* verify/command.h */

/* ---- report_stores.c, or report_none.c in a build without SQLite ------------------------------
 */

/* What is to be written: files, NULL: not that one. */
struct report_order {
    const char *page, *junit, *lines;
    int64_t campaign; /* of each store; 0: its last */
};

/* Reads the stores and writes; prints the headline, or one line that says what is wrong. Returns
 * the exit status. */
int report_stores(const struct moe_options *options, const struct report_order *order,
                  char *const *paths, int count);

/* ---- report_gather.c ------------------------------------------------------------------------- */

/*
 * The night: a scratch database with the tables of store_schema.h. Of each store it has one
 * campaign, numbered 1, 2 ... in the order of the stores, and all timings and floors. Beside those:
 *   source(campaign, path, id)   which store and which campaign there
 *   check_(campaign, number, name)   what the bits of result.judged mean
 *   night(campaign, id, started, seed, version, commit_id, seconds, cases, pass, fail, error, skip,
 *         known)   the last campaigns of each store, this one included
 */
struct report {
    struct sqlite3 *database;
    int status; /* the first error, whose text is in moe_error_text(); what follows it does nothing
                 */
};

/* Reads the campaign `id` of each store, 0: its last. MOE_E_IO, MOE_E_USAGE: no such store or
 * campaign, or a file of another kind or version. */
int report_gather(struct report *report, char *const *paths, int count, int64_t id);
void report_close(struct report *report);

/* Is there a campaign; is there anything at all? */
int report_has_campaign(struct report *report);
int report_has_anything(struct report *report);

/* ---- report_query.c -------------------------------------------------------------------------- */

/* Prepares a statement, each letter of `types` bound to an argument: i int64_t, s const char *.
 * NULL after an error, which report_row and report_done take. */
struct sqlite3_stmt *report_query(struct report *report, const char *sql, const char *types, ...);

/* 1: there is a row. 0: there is none more, or an error; the statement is then gone. */
int report_row(struct report *report, struct sqlite3_stmt *query);

/* For who leaves a query before its end. */
void report_done(struct sqlite3_stmt *query);

/* Statements without results. */
void report_run(struct report *report, const char *sql);

/* The first column of the first row; 0 where there is none. */
int64_t report_count(struct report *report, const char *sql, const char *types, ...);

/* A column as text, "" where it is NULL; valid until the next row. */
const char *report_column(struct sqlite3_stmt *query, int column);

/* An error of SQLite as one of ours. */
void report_refuse(struct report *report, const char *path);

/* ---- report_text.c: what stands in a page ---------------------------------------------------- */

/* Text of a store as text of HTML or XML: escaped; what is no UTF-8, no character of XML, or turns
 * the direction of writing is U+FFFD. */
void report_text(FILE *out, const char *text);
/* The same as UTF-8 only, for JSON. To be freed; NULL where memory is short. */
char *report_clean(const char *text);

void report_number(FILE *out, int64_t number);    /* 30,512 */
void report_seconds(FILE *out, double seconds);   /* 1.25 ms; 2 h 05 min; - where it is no number */
void report_date(FILE *out, double at);           /* 2026-11-28 02:17 UTC */
void report_value(FILE *out, const char *text);   /* a float, and shorter beside it */
void report_command(FILE *out, const char *text); /* to be copied */
/* A word as a shell reads it back, escaped for the page. */
void report_quoted(FILE *out, const char *word);
void report_plural(FILE *out, int64_t number, const char *noun); /* 1 case, 2 cases */

/* PASS, FAIL ...: its colour, by name, "" where it is none of them. */
const char *report_colour(const char *verdict);
void report_badge(FILE *out, const char *verdict);

/* ---- report_sections.c: the table of sections ------------------------------------------------ */

/* A section of the page. It writes HTML and queries; errors stay in the report. */
struct report_section {
    const char *id, *title;
    void (*write)(struct report *report, FILE *out);
};

const struct report_section *report_section(int index); /* NULL past the end */

void report_verdicts(struct report *report, FILE *out);
void report_failures(struct report *report, FILE *out);
void report_coverage(struct report *report, FILE *out);
void report_ratios(struct report *report, FILE *out);
void report_checks(struct report *report, FILE *out);
void report_timings(struct report *report, FILE *out);

/* Timings whose last night is slower than those before it. */
int report_slower(struct report *report);
void report_floors(struct report *report, FILE *out);
void report_nights(struct report *report, FILE *out);
void report_machine(struct report *report, FILE *out);

/* ---- report_headline.c ----------------------------------------------------------------------- */

/* The night in one line, as text; returns its colour: pass fail error skip. */
const char *report_headline(struct report *report, char *text, size_t size);

/* ---- report_classes.c ------------------------------------------------------------------------ */

/*
 * Classes of failures are what the campaign has written of them in its end; of a campaign that was
 * cut, and of a variant that has none, they are made here from the findings. Makes the table
 *   class(campaign, variant, class_, verdict, count, first, minimal, command, again, runs, whole)
 */
void report_classes(struct report *report);

/* ---- report_checks.c --------------------------------------------------------------------------
 */

/* Makes, once, judged_(variant, name, times) and found_(variant, name, fail, error, known). */
void report_count_checks(struct report *report);

/* ---- report_picture.c ------------------------------------------------------------------------ */

/* The mask of wrong elements that was kept with the result; 0: none was. `tensor` and the case's
 * line say how large it is. */
int report_picture(struct report *report, FILE *out, int64_t campaign, int64_t number,
                   const char *variant);

/* ---- report_page.c, report_junit.c, report_lines.c: the three outputs --------------------------
 */

int report_write_page(struct report *report, const char *path);
int report_write_junit(struct report *report, const char *path);
int report_write_lines(struct report *report, const char *path);

/* Writes a file, whole or not at all, from a function that prints. */
int report_write(struct report *report, const char *path,
                 void (*print)(struct report *report, FILE *out));

#endif

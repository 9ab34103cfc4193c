/*
 * ledger.c - known failures: which results a ledger knows, and which of its lines are out of date.
 */
#include <fnmatch.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "verify/ledger.h"

#define LINE MOE_CASE_LINE

void moe_ledger_free(struct moe_ledger *ledger)
{
    if (ledger != NULL)
        free(ledger->line);
    free(ledger);
}

int moe_ledger_cases(const struct moe_ledger *ledger, struct moe_cases *cases)
{
    int status = MOE_OK;
    for (int i = 0; ledger != NULL && status == MOE_OK && i < ledger->count; i++)
        if (!ledger->line[i].never && ledger->line[i].any == 0)
            status = moe_cases_add(cases, &ledger->line[i].problem);
    return status;
}

/* ---- what a line knows ----------------------------------------------------------------------- */

/* The case's line, with keys that may be anything at their defaults. */
static void plain_line(const struct moe_problem *problem, uint64_t any, char line[LINE])
{
    const struct moe_problem_key *key;
    struct moe_problem plain = *problem;
    for (int i = 0; (key = moe_problem_key(i)) != NULL; i++)
        if (any >> i & 1)
            (void)moe_problem_set(&plain, key->name, key->preset);
    moe_problem_print(&plain, line, LINE);
}

static int is_of_line(const struct moe_ledger_line *line, const char *variant,
                      const struct moe_problem *problem)
{
    char own[LINE], other[LINE];
    if (fnmatch(line->variant, variant, 0) != 0)
        return 0;
    plain_line(&line->problem, line->any, own);
    plain_line(problem, line->any, other);
    return strcmp(own, other) == 0;
}

int moe_ledger_forbids(struct moe_ledger *ledger, const char *variant,
                       const struct moe_problem *problem)
{
    for (int i = 0; ledger != NULL && i < ledger->count; i++)
        if (ledger->line[i].never && is_of_line(&ledger->line[i], variant, problem)) {
            ledger->not_launched++;
            return 1;
        }
    return 0;
}

static int kept(const struct moe_report *report)
{
    return report->finding_count < MOE_REPORT_FINDINGS ? report->finding_count
                                                       : MOE_REPORT_FINDINGS;
}

static int fails(const struct moe_report *report, const char *check)
{
    for (int i = 0; i < kept(report); i++)
        if (report->finding[i].verdict == MOE_FAIL && strcmp(report->finding[i].check, check) == 0)
            return 1;
    return 0;
}

/* Was the check made? Those that are none of the table are part of every run. */
static int is_judged(const struct moe_report *report, const char *check)
{
    for (int i = 0; moe_check_get(i) != NULL; i++)
        if (strcmp(moe_check_get(i)->name, check) == 0)
            return report->judged >> i & 1;
    return 1;
}

/* The line of the ledger that knows the finding. */
static struct moe_ledger_line *line_of(struct moe_ledger *ledger, const struct moe_result *result,
                                       const struct moe_finding *finding)
{
    for (int i = 0; i < ledger->count; i++)
        if (!ledger->line[i].never && strcmp(ledger->line[i].check, finding->check) == 0 &&
            is_of_line(&ledger->line[i], result->variant, &result->problem))
            return &ledger->line[i];
    return NULL;
}

static void count(struct moe_ledger *ledger, const struct moe_result *result)
{
    const struct moe_report *report = &result->report;
    for (int i = 0; i < ledger->count; i++) {
        struct moe_ledger_line *line = &ledger->line[i];
        if (line->never || !is_of_line(line, result->variant, &result->problem))
            continue;
        if (fails(report, line->check))
            line->failed++;
        else if (is_judged(report, line->check) && report->finding_count <= MOE_REPORT_FINDINGS)
            line->passed++;
    }
}

const struct moe_ledger_line *moe_ledger_take(struct moe_ledger *ledger,
                                              const struct moe_result *result)
{
    const struct moe_report *report = &result->report;
    const struct moe_ledger_line *first = NULL;
    if (ledger == NULL || (report->verdict != MOE_PASS && report->verdict != MOE_FAIL))
        return NULL;
    count(ledger, result);
    if (report->verdict != MOE_FAIL || report->finding_count > MOE_REPORT_FINDINGS)
        return NULL;
    for (int i = 0; i < report->finding_count; i++) {
        if (report->finding[i].verdict != MOE_FAIL)
            continue;
        const struct moe_ledger_line *line = line_of(ledger, result, &report->finding[i]);
        if (line == NULL)
            return NULL;
        first = first != NULL ? first : line;
    }
    ledger->tolerated += first != NULL;
    return first;
}

static void print_object(FILE *out, const char *name, json_t *inner)
{
    json_t *object = json_object();
    json_object_set_new(object, name, inner);
    char *text = json_dumps(object, JSON_COMPACT);
    if (text != NULL)
        fprintf(out, "%s\n", text);
    free(text);
    json_decref(object);
}

void moe_ledger_print_known(FILE *out, const struct moe_ledger_line *line,
                            const struct moe_result *result, int json)
{
    char text[LINE];
    moe_problem_print(&result->problem, text, sizeof text);
    if (!json) {
        fprintf(out, "known %s  %s: %s, %s\n", result->variant, text, line->check, line->issue);
        return;
    }
    json_t *inner = json_object();
    json_object_set_new(inner, "variant", json_string(result->variant));
    json_object_set_new(inner, "case", json_string(text));
    json_object_set_new(inner, "check", json_string(line->check));
    json_object_set_new(inner, "issue", json_string(line->issue));
    json_object_set_new(inner, "line", json_integer(line->number));
    print_object(out, "known", inner);
}

/* ---- the end --------------------------------------------------------------------------------- */

static int passes(const struct moe_ledger_line *line)
{
    return line->passed > 0 && line->failed == 0;
}

static void print_json(FILE *out, const struct moe_ledger *ledger)
{
    json_t *inner = json_object(), *passing = json_array();
    for (int i = 0; i < ledger->count; i++)
        if (passes(&ledger->line[i]))
            json_array_append_new(passing, json_integer(ledger->line[i].number));
    json_object_set_new(inner, "tolerated", json_integer(ledger->tolerated));
    json_object_set_new(inner, "not_launched", json_integer(ledger->not_launched));
    json_object_set_new(inner, "passing_lines", passing);
    print_object(out, "ledger", inner);
}

int moe_ledger_print(FILE *out, const struct moe_ledger *ledger, int json, int quiet)
{
    int passing = 0;
    if (ledger == NULL)
        return 0;
    for (int i = 0; i < ledger->count; i++) {
        const struct moe_ledger_line *line = &ledger->line[i];
        if (!passes(line))
            continue;
        passing++;
        if (!json)
            fprintf(out, "%s:%d: known failure passes: remove line %d (%s of %s, %s)\n",
                    ledger->path, line->number, line->number, line->check, line->variant,
                    line->issue);
    }
    if (json)
        print_json(out, ledger);
    else if (!quiet)
        fprintf(out, "known    failures tolerated: %lld, cases not launched: %lld\n",
                (long long)ledger->tolerated, (long long)ledger->not_launched);
    return passing;
}

int moe_ledger_exit(const struct moe_ledger *ledger, int passing, int exit_status)
{
    if (passing > 0)
        return MOE_EXIT_FAIL;
    if (exit_status == MOE_EXIT_SKIP && ledger != NULL && ledger->tolerated > 0)
        return MOE_EXIT_PASS; /* something was run, and failed as it is known to */
    return exit_status;
}

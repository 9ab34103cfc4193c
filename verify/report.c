/*
 * report.c - a result as text: one line; and for what failed a block that says which check, in
 * which tensor and where, what was found and what was allowed, and the command that repeats it.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "verify/command.h"

#define INDENT 13 /* of what stands beside a word of the block */
#define LINE 100  /* columns, of all but cases and commands, which are copied */

/* Seconds in the unit that suits: "0.8 ms". */
static void print_seconds(FILE *out, double seconds)
{
    if (seconds < 1)
        fprintf(out, "%.3g ms", 1e3 * seconds);
    else
        fprintf(out, "%.3g s", seconds);
}

/* A word as a shell reads it back. */
static void print_quoted(FILE *out, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./,:=+@%";

    if (*text != '\0' && text[strspn(text, plain)] == '\0') {
        fputs(text, out);
        return;
    }
    fputc('\'', out);
    for (; *text != '\0'; text++)
        if (*text == '\'')
            fputs("'\\''", out);
        else
            fputc(*text, out);
    fputc('\'', out);
}

/* Of a glob no more than the name itself matches. */
static void print_glob(FILE *out, const char *name)
{
    size_t special = strcspn(name, "*?[\\");

    if (name[special] == '\0') {
        print_quoted(out, name);
        return;
    }
    fputc('\'', out);
    for (; *name != '\0'; name++)
        fprintf(out, strchr("*?[\\", *name) != NULL ? "\\%c" : "%c", *name);
    fputc('\'', out);
}

static void print_file(FILE *out, const char *option, const char *path)
{
    if (path == NULL)
        return;
    fprintf(out, " %s", option);
    print_quoted(out, path);
}

/* Is it a check of the table? Only those can be asked for: a crash is not. */
static int is_check(const char *name)
{
    for (int i = 0; moe_check_get(i) != NULL; i++)
        if (strcmp(moe_check_get(i)->name, name) == 0)
            return 1;
    return 0;
}

static int is_bad(const struct moe_finding *finding)
{
    return finding->verdict == MOE_FAIL || finding->verdict == MOE_ERROR;
}

/* Did an earlier finding name the same check? */
static int named_before(const struct moe_report *report, int index)
{
    for (int i = 0; i < index; i++)
        if (is_bad(&report->finding[i]) &&
            strcmp(report->finding[i].check, report->finding[index].check) == 0)
            return 1;
    return 0;
}

/* The checks that failed, so that no other need run; where one cannot be asked for, what the user
 * asked for. */
static void print_checks(FILE *out, const struct moe_options *options,
                         const struct moe_report *report)
{
    const char *before = " --check ";
    int kept = report->finding_count;

    if (kept > MOE_REPORT_FINDINGS)
        kept = MOE_REPORT_FINDINGS;
    for (int i = 0; i < kept; i++)
        if (is_bad(&report->finding[i]) && !is_check(report->finding[i].check)) {
            if (options->checks != NULL)
                fprintf(out, " --check %s", options->checks);
            return;
        }
    for (int i = 0; i < kept; i++) {
        if (!is_bad(&report->finding[i]) || named_before(report, i))
            continue;
        fprintf(out, "%s%s", before, report->finding[i].check);
        before = ",";
    }
}

void moe_report_print_command(FILE *out, const struct moe_options *options, const char *file,
                              const struct moe_result *result)
{
    char line[MOE_CASE_LINE];

    moe_problem_print(&result->problem, line, sizeof line);
    fprintf(out, "moecheck %s", result->variant != NULL ? "verify" : "judge");
    for (int i = 0; i < options->plugin_count; i++)
        print_file(out, "--plugin ", options->plugins[i]);
    if (options->device != NULL)
        fprintf(out, " --device %s", options->device);
    if (result->variant == NULL) {
        fprintf(out, " '%s'", line);
        print_file(out, "", file);
    } else {
        fputs(" --variant ", out);
        print_glob(out, result->variant);
        print_checks(out, options, &result->report);
        print_file(out, "--load ", file);
        fprintf(out, " '%s'", line);
    }
}

static void print_value(FILE *out, const char *name, double value)
{
    fprintf(out, "    %-8s %a (%.9g)\n", name, value, value);
}

static void print_position(FILE *out, const char *name, int64_t index)
{
    if (index >= 0)
        fprintf(out, ", %s %lld", name, (long long)index);
}

/* The text, in lines of LINE columns with what follows below its beginning. */
static void print_wrapped(FILE *out, int column, const char *text)
{
    int at = column;

    while (*text != '\0') {
        size_t blanks = strspn(text, " "), length = strcspn(text + blanks, " ");

        if (at > column && at + (int)(blanks + length) > LINE) {
            fprintf(out, "\n%*s", INDENT, "");
            at = column = INDENT;
            text += blanks;
            blanks = 0;
        }
        fwrite(text, 1, blanks + length, out);
        at += (int)(blanks + length);
        text += blanks + length;
    }
    fputc('\n', out);
}

static void print_named(FILE *out, const char *name, const char *check, const char *text)
{
    print_wrapped(out, fprintf(out, "    %-8s %s: ", name, check), text);
}

/* All of a finding. */
static void print_finding(FILE *out, const struct moe_finding *finding)
{
    print_named(out, "check", finding->check, finding->text);
    if (finding->tensor < 0 || finding->tensor >= MOE_TENSOR_COUNT)
        return;
    fprintf(out, "    %-8s %s", "tensor",
            moe_tensor_info((enum moe_tensor_id)finding->tensor)->name);
    print_position(out, "row", finding->row);
    print_position(out, "column", finding->col);
    print_position(out, "expert", finding->expert);
    print_position(out, "token", finding->token);
    print_position(out, "slot", finding->slot);
    fputc('\n', out);
    if (finding->wrong <= 0)
        return;
    print_value(out, "found", finding->got);
    print_value(out, "wanted", finding->want);
    print_value(out, "allowed", finding->allowed);
    fprintf(out, "    %-8s %lld of %lld elements\n", "wrong", (long long)finding->wrong,
            (long long)finding->total);
    if (finding->geometry != MOE_GEOMETRY_NONE) {
        int column = fprintf(out, "    %-8s %s: ", "shape", moe_geometry_name(finding->geometry));

        print_wrapped(out, column, finding->where);
    }
}

/* Of a check that has told of one tensor the others have a line each. */
static void print_another(FILE *out, const struct moe_finding *finding)
{
    char text[sizeof finding->text + 64];

    snprintf(text, sizeof text, "%s%s%s", finding->text,
             finding->geometry != MOE_GEOMETRY_NONE ? ", " : "",
             moe_geometry_name(finding->geometry));
    print_named(out, "also", finding->check, text);
}

/* Of a SKIP its reason stands on the line. */
static const char *reason(const struct moe_report *report)
{
    for (int i = 0; i < report->finding_count && i < MOE_REPORT_FINDINGS; i++)
        if (report->finding[i].verdict == MOE_SKIP)
            return report->finding[i].text;
    return "";
}

void moe_report_print(FILE *out, const struct moe_options *options, const char *file,
                      const struct moe_result *result)
{
    const struct moe_report *report = &result->report;
    int kept =
        report->finding_count < MOE_REPORT_FINDINGS ? report->finding_count : MOE_REPORT_FINDINGS;
    int bad = report->verdict == MOE_FAIL || report->verdict == MOE_ERROR;
    char line[MOE_CASE_LINE];

    moe_problem_print(&result->problem, line, sizeof line);
    fprintf(out, "%-5s %s  %s", moe_verdict_name(report->verdict),
            result->variant != NULL ? result->variant : file, line);
    if (report->verdict == MOE_SKIP) {
        fprintf(out, ": %s\n", reason(report));
    } else {
        fprintf(out, " (ratio %.3g, ", report->worst_ratio);
        print_seconds(out,
                      result->variant != NULL ? report->variant_seconds : report->judge_seconds);
        if (options->verbose && result->variant != NULL) {
            fputs(", judged in ", out);
            print_seconds(out, report->judge_seconds);
        }
        fputs(")\n", out);
    }
    /* Of a file it is always told what it lacks: a tensor under another name is judged by nobody.
     */
    int all = (options->verbose || result->variant == NULL) && report->verdict != MOE_SKIP;
    for (int i = 0; i < kept; i++)
        if (is_bad(&report->finding[i]) && named_before(report, i) && !options->verbose)
            print_another(out, &report->finding[i]);
        else if (is_bad(&report->finding[i]) || all)
            print_finding(out, &report->finding[i]);
    if (bad && report->finding_count > kept)
        fprintf(out, "    and %d findings more\n", (int)report->finding_count - kept);
    if (bad) {
        fprintf(out, "    %-8s ", "again");
        moe_report_print_command(out, options, file, result);
        fputc('\n', out);
    }
}

void moe_report_print_json(FILE *out, const struct moe_result *result)
{
    json_t *object = moe_result_json(result);
    char *line = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;

    if (line != NULL)
        fprintf(out, "%s\n", line);
    free(line);
    json_decref(object);
}

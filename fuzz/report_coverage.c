/*
 * report_coverage.c - which pairs of values the judged cases had: numbers, a triangle of factor by
 * factor, and the pairs that are still open.
 */
#include <sqlite3.h>

#include "fuzz/fuzz.h"
#include "fuzz/report.h"

#define CELL 15
#define MARGIN 96 /* for the names on the left */
#define OPEN 40   /* pairs named */

/* Marks the night's cases; returns how many lines are no case of this program. */
static int64_t mark(struct report *report, struct moe_coverage *coverage)
{
    int64_t strange = 0;
    struct sqlite3_stmt *row =
        report_query(report,
                     "SELECT line FROM case_ AS c WHERE EXISTS (SELECT 1 FROM result AS r WHERE"
                     " r.campaign = c.campaign AND r.number = c.number)",
                     "");
    while (report_row(report, row)) {
        struct moe_problem problem;
        if (moe_problem_parse(report_column(row, 0), &problem) == MOE_OK)
            moe_coverage_add(coverage, &problem);
        else
            strange++;
    }
    return strange;
}

struct share {
    int seen, feasible;
};

static struct share share_of(const struct moe_coverage *coverage, int f, int g)
{
    struct share share = {0, 0};
    for (int v = 0; v < moe_factor_value_count(f); v++)
        for (int w = 0; w < moe_factor_value_count(g); w++) {
            if (f == g && v != w)
                continue;
            enum moe_pair pair = moe_coverage_pair(coverage, f, v, g, w);
            share.seen += pair == MOE_PAIR_SEEN;
            share.feasible += pair != MOE_PAIR_INFEASIBLE;
        }
    return share;
}

static void cell(FILE *out, const struct moe_coverage *coverage, int f, int g)
{
    struct share share = share_of(coverage, f, g);
    const char *colour = share.seen == share.feasible ? "full" : share.seen == 0 ? "none" : "part";
    if (share.feasible == 0)
        return;
    fprintf(out, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"", colour,
            MARGIN + CELL * g, CELL * f, CELL - 1, CELL - 1);
    if (share.seen > 0 && share.seen < share.feasible)
        fprintf(out, " fill-opacity=\"%.2f\"", 0.2 + 0.7 * share.seen / share.feasible);
    fprintf(out, "><title>%s", moe_factor_get(f)->key);
    if (f != g)
        fprintf(out, " with %s", moe_factor_get(g)->key);
    fprintf(out, ": %d of %d</title></rect>", share.seen, share.feasible);
}

static void matrix(FILE *out, const struct moe_coverage *coverage)
{
    int count = moe_factor_count();
    fprintf(out,
            "<div class=\"scroll\"><svg class=\"matrix\" viewBox=\"0 0 %d %d\" width=\"%d\""
            " role=\"img\"><title>pairs of values covered, factor by factor</title>",
            MARGIN + CELL * count + 80, CELL * count, MARGIN + CELL * count + 80);
    for (int f = 0; f < count; f++) {
        fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", MARGIN - 5,
                CELL * f + CELL - 4, moe_factor_get(f)->key);
        fprintf(out, "<text x=\"%d\" y=\"%d\">%s</text>", MARGIN + CELL * (f + 1) + 3,
                CELL * f + CELL - 4, moe_factor_get(f)->key);
        for (int g = 0; g <= f; g++)
            cell(out, coverage, f, g);
    }
    fputs("</svg></div><p class=\"legend\"><span class=\"key full\"></span>all that can occur "
          "together <span class=\"key part\"></span>some <span class=\"key none\"></span>none yet; "
          "blank: none can. On the diagonal the values alone.</p>",
          out);
}

static void print_open(FILE *out, const struct moe_coverage *coverage)
{
    int open = coverage->pairs_feasible - coverage->pairs_seen, told = 0;
    if (open <= 0)
        return;
    fputs("<details><summary>pairs that no case had</summary><p class=\"words\">", out);
    for (int f = 0; f < moe_factor_count(); f++)
        for (int g = f + 1; g < moe_factor_count(); g++)
            for (int v = 0; v < moe_factor_value_count(f); v++)
                for (int w = 0; w < moe_factor_value_count(g) && told < OPEN; w++)
                    if (moe_coverage_pair(coverage, f, v, g, w) == MOE_PAIR_OPEN)
                        fprintf(out, "%s<code>%s=%s %s=%s</code>", told++ > 0 ? ", " : "",
                                moe_factor_get(f)->key, moe_factor_get(f)->value[v],
                                moe_factor_get(g)->key, moe_factor_get(g)->value[w]);
    if (open > told)
        fprintf(out, " and %d more", open - told);
    fputs("</p></details>", out);
}

/* "412 of the corpus, 300 of the covering array ..." */
static void origins(struct report *report, FILE *out)
{
    struct sqlite3_stmt *row = report_query(
        report,
        "SELECT origin, count(*) FROM case_ AS c WHERE EXISTS (SELECT 1 FROM result AS r WHERE"
        " r.campaign = c.campaign AND r.number = c.number) GROUP BY origin ORDER BY 2 DESC",
        "");
    int some = 0;
    fputs("<p>Cases: ", out);
    while (report_row(report, row)) {
        fputs(some++ > 0 ? ", " : "", out);
        report_number(out, sqlite3_column_int64(row, 1));
        fputs(" ", out);
        report_text(out, report_column(row, 0));
    }
    fputs(some > 0 ? ".</p>" : "none.</p>", out);
}

void report_coverage(struct report *report, FILE *out)
{
    struct moe_coverage coverage;
    if (report_count(report, "SELECT count(*) FROM result", "") == 0) {
        fputs("<p>No case was judged.</p>", out);
        return;
    }
    if (report->status == MOE_OK)
        report->status = moe_coverage_create(&coverage);
    if (report->status != MOE_OK)
        return;
    int64_t strange = mark(report, &coverage);
    fputs("<p class=\"figure\"><b>", out);
    report_number(out, coverage.pairs_seen);
    fputs("</b> of ", out);
    report_number(out, coverage.pairs_feasible);
    fputs(" pairs of values that can occur together (", out);
    report_number(out, coverage.pairs_infeasible);
    fprintf(out, " cannot), <b>%d</b> of %d values.</p>", coverage.values_seen,
            coverage.values_feasible);
    origins(report, out);
    if (strange > 0) {
        fputs("<p>", out);
        report_plural(out, strange, "line");
        fputs(" no case to this version: not counted.</p>", out);
    }
    matrix(out, &coverage);
    print_open(out, &coverage);
    moe_coverage_free(&coverage);
}

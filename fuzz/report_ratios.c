/*
 * report_ratios.c - how near each output came to its bound: histograms of the largest
 * error / bound of each result, on a logarithmic scale.
 *
 * A right kernel fills the middle; one whose bar moves towards 1 over the nights gets worse before
 * it fails; one that has only zeros is judged on nothing, or is the reference itself.
 */
#include <math.h>
#include <sqlite3.h>
#include <string.h>

#include "fuzz/report.h"

/* Powers of 2 from 2^LOW up to 2^HIGH; before them what is 0 or less than all, behind them what is
 * more than all. Bins from 2^0 on are failures. */
#define LOW (-20)
#define HIGH 4
#define BINS (HIGH - LOW + 2)
#define FIRST_BAD (1 - LOW)

#define WIDTH 260
#define HEIGHT 84
#define BASE 64

struct histogram {
    char tensor[64];
    int64_t bin[BINS], zero, count;
    double largest;
};

/* Just 1 is allowed. */
static int bin_of(double ratio)
{
    int exponent;
    if (!(ratio < ldexp(1, HIGH)))
        return BINS - 1;
    if (ratio < ldexp(1, LOW))
        return 0;
    frexp(ratio, &exponent); /* ratio in [2^(exponent-1), 2^exponent) */
    return ratio == 1 ? FIRST_BAD - 1 : exponent - LOW;
}

static void add(struct histogram *histogram, double ratio)
{
    histogram->bin[bin_of(ratio)]++;
    histogram->zero += ratio == 0;
    histogram->count++;
    if (ratio > histogram->largest)
        histogram->largest = ratio;
}

/* A single result is seen beside a million: heights are logarithms. */
static double height_of(int64_t count, int64_t most)
{
    return count == 0 ? 0 : 3 + (BASE - 8) * log1p((double)count) / log1p((double)most);
}

static void axis(FILE *out, double width)
{
    fprintf(out, "<line class=\"axis\" x1=\"0\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>", WIDTH, BASE,
            BASE);
    for (int power = LOW; power <= 0; power += 5) {
        fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">", (power - LOW + 1) * width,
                HEIGHT - 6, power == LOW ? "start" : "middle");
        if (power == 0)
            fputs("1</text>", out);
        else
            fprintf(out, "2<tspan dy=\"-3\">%d</tspan></text>", power);
    }
    fprintf(out, "<line class=\"limit\" x1=\"%.1f\" x2=\"%.1f\" y1=\"0\" y2=\"%d\"/>",
            FIRST_BAD * width, FIRST_BAD * width, BASE);
}

static void draw(FILE *out, const struct histogram *histogram)
{
    const double width = (double)WIDTH / BINS;
    int64_t most = 1;
    for (int b = 0; b < BINS; b++)
        most = histogram->bin[b] > most ? histogram->bin[b] : most;
    fputs("<figure class=\"histogram\"><figcaption><b>", out);
    report_text(out, histogram->tensor);
    fprintf(out, "</b> largest %.3g", histogram->largest);
    if (histogram->zero > 0) {
        fputs(", ", out);
        report_number(out, histogram->zero);
        fputs(" without error", out);
    }
    fprintf(out,
            "</figcaption><svg viewBox=\"0 0 %d %d\" role=\"img\"><title>error &#247; bound of ",
            WIDTH, HEIGHT);
    report_text(out, histogram->tensor);
    fputs("</title>", out);
    for (int b = 0; b < BINS; b++) {
        double height = height_of(histogram->bin[b], most);
        if (histogram->bin[b] > 0)
            fprintf(out,
                    "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\">"
                    "<title>%lld results</title></rect>",
                    b >= FIRST_BAD ? "bad" : "good", b * width + 0.5, BASE - height, width - 1,
                    height, (long long)histogram->bin[b]);
    }
    axis(out, width);
    fputs("</svg></figure>", out);
}

static void variant(struct report *report, FILE *out, const char *name, int open)
{
    struct histogram histogram = {.count = 0};
    struct sqlite3_stmt *row = report_query(
        report,
        "SELECT tensor, ratio FROM ratio WHERE variant = ? AND ratio IS NOT NULL ORDER BY tensor",
        "s", name);
    fprintf(out, "<details%s><summary>", open ? " open=\"open\"" : "");
    report_text(out, name);
    fputs("</summary><div class=\"grid\">", out);
    while (report_row(report, row)) {
        if (histogram.count > 0 &&
            strncmp(histogram.tensor, report_column(row, 0), sizeof histogram.tensor - 1) != 0) {
            draw(out, &histogram);
            histogram.count = 0;
        }
        if (histogram.count == 0) {
            histogram = (struct histogram){.largest = 0};
            snprintf(histogram.tensor, sizeof histogram.tensor, "%s", report_column(row, 0));
        }
        add(&histogram, sqlite3_column_double(row, 1));
    }
    if (histogram.count > 0)
        draw(out, &histogram);
    fputs("</div></details>", out);
}

void report_ratios(struct report *report, FILE *out)
{
    struct sqlite3_stmt *row = report_query(
        report, "SELECT DISTINCT variant FROM ratio WHERE ratio IS NOT NULL ORDER BY variant", "");
    int some = 0;
    while (report_row(report, row)) {
        if (some == 0)
            fputs("<p class=\"note\">The largest error &#247; bound of each result, by output; "
                  "heights are logarithms of how many. Right of the line is a failure.</p>",
                  out);
        variant(report, out, report_column(row, 0), some++ < 2);
    }
    if (some == 0)
        fputs("<p>None are kept.</p>", out);
}

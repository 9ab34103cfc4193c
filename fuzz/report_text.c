/*
 * report_text.c - what stands in a page: text that anybody may have written, numbers, dates.
 *
 * A store holds what plug-ins and users wrote: it is escaped here and nowhere else, so that nothing
 * of it is ever markup.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuzz/report.h"

/* ---- characters ------------------------------------------------------------------------------ */

#define REPLACEMENT 0xfffd

/* Continuation bytes that follow a first byte, and the least character that needs so many. */
static int length_of(unsigned char first, uint32_t *bits, uint32_t *least)
{
    static const struct {
        unsigned char mask, value;
        int more;
        uint32_t least;
    } kinds[] = {{0x80, 0x00, 0, 0},
                 {0xe0, 0xc0, 1, 0x80},
                 {0xf0, 0xe0, 2, 0x800},
                 {0xf8, 0xf0, 3, 0x10000}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if ((first & kinds[i].mask) == kinds[i].value) {
            *bits = first & (uint32_t)(unsigned char)~kinds[i].mask;
            *least = kinds[i].least;
            return kinds[i].more;
        }
    return -1;
}

/* Is it a character of XML 1.0 that does not change how its neighbours are read? */
static int is_allowed(uint32_t c)
{
    if (c < 0x20)
        return c == '\t' || c == '\n';
    if ((c >= 0x7f && c < 0xa0) || (c >= 0xd800 && c < 0xe000) || c == 0xfffe || c == 0xffff)
        return 0;
    if ((c >= 0x200e && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
        (c >= 0x2066 && c <= 0x2069))
        return 0;
    return c <= 0x10ffff;
}

/* The next character, REPLACEMENT for each byte that is part of none. */
static uint32_t next(const char **text)
{
    const unsigned char *at = (const unsigned char *)*text;
    uint32_t c, least;
    int more = length_of(*at, &c, &least), i = 1;
    for (; more >= 0 && i <= more && (at[i] & 0xc0) == 0x80; i++)
        c = c << 6 | (at[i] & 0x3f);
    if (i <= more || more < 0 || c < least) {
        *text += 1;
        return REPLACEMENT;
    }
    *text += more + 1;
    return is_allowed(c) ? c : REPLACEMENT;
}

static void put(FILE *out, uint32_t c)
{
    if (c < 0x80)
        fputc((int)c, out);
    else if (c < 0x800)
        fprintf(out, "%c%c", (int)(0xc0 | c >> 6), (int)(0x80 | (c & 0x3f)));
    else if (c < 0x10000)
        fprintf(out, "%c%c%c", (int)(0xe0 | c >> 12), (int)(0x80 | (c >> 6 & 0x3f)),
                (int)(0x80 | (c & 0x3f)));
    else
        fprintf(out, "%c%c%c%c", (int)(0xf0 | c >> 18), (int)(0x80 | (c >> 12 & 0x3f)),
                (int)(0x80 | (c >> 6 & 0x3f)), (int)(0x80 | (c & 0x3f)));
}

static void put_escaped(FILE *out, uint32_t c)
{
    const char *name = c == '&'    ? "&amp;"
                       : c == '<'  ? "&lt;"
                       : c == '>'  ? "&gt;"
                       : c == '"'  ? "&quot;"
                       : c == '\'' ? "&#39;"
                                   : NULL;
    if (name != NULL)
        fputs(name, out);
    else
        put(out, c);
}

void report_text(FILE *out, const char *text)
{
    while (*text != '\0')
        put_escaped(out, next(&text));
}

char *report_clean(const char *text)
{
    char *clean = NULL;
    size_t size;
    FILE *out = open_memstream(&clean, &size);
    if (out == NULL)
        return NULL;
    while (*text != '\0')
        put(out, next(&text));
    if (fclose(out) == 0)
        return clean;
    free(clean);
    return NULL;
}

void report_quoted(FILE *out, const char *word)
{
    fputs("&#39;", out);
    while (*word != '\0') {
        uint32_t c = next(&word);
        if (c == '\'')
            fputs("&#39;\\&#39;&#39;", out);
        else
            put_escaped(out, c);
    }
    fputs("&#39;", out);
}

void report_command(FILE *out, const char *text)
{
    fputs("<pre><code>", out);
    report_text(out, text);
    fputs("</code></pre>", out);
}

/* ---- numbers --------------------------------------------------------------------------------- */

void report_number(FILE *out, int64_t number)
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)number);
    int first = digits[0] == '-';
    for (int i = 0; i < length; i++)
        fprintf(out, "%s%c", i > first && (length - i) % 3 == 0 ? "," : "", digits[i]);
}

void report_plural(FILE *out, int64_t number, const char *noun)
{
    report_number(out, number);
    fprintf(out, " %s%s", noun, number == 1 ? "" : "s");
}

void report_seconds(FILE *out, double seconds)
{
    if (!isfinite(seconds))
        fputs("&#8211;", out);
    else if (seconds >= 86400)
        fprintf(out, "%.0f d %02.0f h", floor(seconds / 86400), floor(fmod(seconds, 86400) / 3600));
    else if (seconds >= 3600)
        fprintf(out, "%.0f h %02.0f min", floor(seconds / 3600), floor(fmod(seconds, 3600) / 60));
    else if (seconds >= 120)
        fprintf(out, "%.0f min %02.0f s", floor(seconds / 60), floor(fmod(seconds, 60)));
    else if (seconds >= 1)
        fprintf(out, "%.3g s", seconds);
    else if (seconds >= 1e-3)
        fprintf(out, "%.3g ms", 1e3 * seconds);
    else
        fprintf(out, "%.3g &#181;s", 1e6 * seconds);
}

void report_date(FILE *out, double at)
{
    time_t seconds = isfinite(at) && fabs(at) < 1e11 ? (time_t)at : 0;
    struct tm broken;
    char text[64];
    if (gmtime_r(&seconds, &broken) != NULL &&
        strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &broken) > 0)
        fputs(text, out);
}

void report_value(FILE *out, const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (*text == '\0') {
        fputs("&#8211;", out);
    } else if (*end == '\0' && (strlen(text) > 12 || strpbrk(text, "xX") != NULL)) {
        fprintf(out, "%.9g <small>", value);
        report_text(out, text);
        fputs("</small>", out);
    } else {
        report_text(out, text);
    }
}

/* ---- verdicts -------------------------------------------------------------------------------- */

const char *report_colour(const char *verdict)
{
    static const struct {
        const char *verdict, *colour;
    } colours[] = {{"PASS", "pass"},
                   {"FAIL", "fail"},
                   {"ERROR", "error"},
                   {"SKIP", "skip"},
                   {"KNOWN", "known"}};
    for (size_t i = 0; i < sizeof colours / sizeof *colours; i++)
        if (strcmp(verdict, colours[i].verdict) == 0)
            return colours[i].colour;
    return "";
}

void report_badge(FILE *out, const char *verdict)
{
    fprintf(out, "<span class=\"badge %s\">", report_colour(verdict));
    report_text(out, verdict);
    fputs("</span>", out);
}

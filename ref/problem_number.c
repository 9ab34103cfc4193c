/*
 * problem_number.c - the numbers of a case line as text. A line must mean the same in every program
 * and locale, so nothing here depends on LC_NUMERIC, and nothing is accepted that a reader could
 * take for two things: no sign, no blanks, no infinity, no NaN.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* strtod_l, newlocale */
#endif
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ref/problem.h"

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The C locale; glibc hands out its static one here, so there is nothing to free or to run out of.
 */
static locale_t c_locale(void)
{
    return newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* Decimal digits only, at most `most`. */
int number_read_integer(const char **text, uint64_t most, uint64_t *value)
{
    const char *c = *text;
    uint64_t sum = 0;
    if (!is_digit(*c))
        return -1;
    for (; is_digit(*c); c++) {
        const uint64_t digit = (uint64_t)(*c - '0');
        if (sum > (most - digit) / 10 || digit > most)
            return -1;
        sum = 10 * sum + digit;
    }
    *text = c;
    *value = sum;
    return 0;
}

/* As strtod reads, hexadecimal too; finite, and nonzero unless zero was written. */
int number_read_real(const char **text, double *value)
{
    char *end;
    double real;
    if (!is_digit(**text) && **text != '.')
        return -1;
    errno = 0;
    real = strtod_l(*text, &end, c_locale());
    if (end == *text || !isfinite(real) || (errno == ERANGE && real == 0))
        return -1;
    *text = end;
    *value = real;
    return 0;
}

/* The shortest of 15, 16 or 17 digits that reads back as the same value; %g drops the zeros. Every
 * decimal of at most 15 digits survives the way through binary64, so 15 suffice for what people
 * write. */
void number_print_real(double value, char *text, size_t size)
{
    const locale_t callers = uselocale(c_locale());
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, size, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    uselocale(callers);
}

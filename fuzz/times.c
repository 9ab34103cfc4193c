/*
 * times.c - a stretch of time as an option gives it.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/campaign.h"

double campaign_time(const char *text)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}};
    char *end;
    double value = strtod(text, &end);
    if (end == text || !isfinite(value) || value < 0)
        return -1;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(end, units[i].name) == 0)
            return value * units[i].seconds;
    return -1;
}

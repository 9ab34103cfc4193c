/*
 * report_sections.c - the sections of the page in their order: first what needs somebody today.
 */
#include "fuzz/report.h"

static const struct report_section sections[] = {
    {"variants", "Verdicts", report_verdicts},
    {"failures", "Failures", report_failures},
    {"checks", "Checks", report_checks},
    {"coverage", "Coverage", report_coverage},
    {"ratios", "Error beside bound", report_ratios},
    {"timings", "Timings", report_timings},
    {"floors", "Detection floors", report_floors},
    {"nights", "Nights", report_nights},
    {"machine", "Machine, and how to repeat", report_machine},
};

const struct report_section *report_section(int index)
{
    return index >= 0 && index < (int)(sizeof sections / sizeof *sections) ? &sections[index]
                                                                           : NULL;
}

/*
 * report_stores.c - from stores to files, and to an exit status.
 */
#include "fuzz/report.h"
#include "verify/command.h"

static int write_all(struct report *report, const struct report_order *order)
{
    int status = MOE_OK;
    if (order->page != NULL)
        status = report_write_page(report, order->page);
    if (status == MOE_OK && order->junit != NULL)
        status = report_write_junit(report, order->junit);
    if (status == MOE_OK && order->lines != NULL)
        status = report_write_lines(report, order->lines);
    return status;
}

int report_stores(const struct moe_options *options, const struct report_order *order,
                  char *const *paths, int count)
{
    struct report report;
    char headline[256] = "";
    int status = report_gather(&report, paths, count, order->campaign);
    int empty = status == MOE_OK && !report_has_anything(&report) && report.status == MOE_OK;
    if (status == MOE_OK && !empty)
        status = write_all(&report, order);
    if (status == MOE_OK && !empty)
        report_headline(&report, headline, sizeof headline);
    report_close(&report);
    if (status != MOE_OK)
        return moe_command_error(options->name, status);
    if (empty) {
        moe_command_usage(options->name, "%s: nothing is in it yet", paths[0]);
        return MOE_EXIT_SKIP;
    }
    if (!options->quiet)
        printf("%s\n", headline);
    return MOE_EXIT_PASS;
}

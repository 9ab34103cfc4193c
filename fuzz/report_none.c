/*
 * report_none.c - of a build without SQLite, in the place of all the other report_*.c.
 */
#include "fuzz/report.h"
#include "verify/command.h"

int report_stores(const struct moe_options *options, const struct report_order *order,
                  char *const *paths, int count)
{
    (void)order;
    (void)paths;
    (void)count;
    return moe_command_usage(options->name, "built without SQLite: there are no stores");
}

/*
 * command_report.c - moecheck report STORE...: a night as a page, as JUnit, as lines of JSON.
 */
#include <errno.h>
#include <stdlib.h>

#include "fuzz/report.h"
#include "verify/command.h"

enum { KEY_OUTPUT = 'o', KEY_JUNIT = 0x200, KEY_LINES, KEY_CAMPAIGN };

struct command {
    struct moe_options common; /* first: the options' parser fills it */
    char **stores;             /* [store_count], of argv */
    int store_count;
    struct report_order order;
};

static const struct argp_option options[] = {
    {"output", KEY_OUTPUT, "FILE.html", 0, "Write the page to this file", 0},
    {"junit", KEY_JUNIT, "FILE.xml", 0, "Write a suite a variant, as JUnit reads it", 0},
    {"json-lines", KEY_LINES, "FILE.jsonl", 0,
     "Write an object for each result and each kind of failure, one a line", 0},
    {"campaign", KEY_CAMPAIGN, "N", 0, "Of this campaign of the store (default: the last)", 0},
    {0},
};

static int add_store(struct command *command, char *path)
{
    size_t count = (size_t)command->store_count + 1;
    char **stores = realloc(command->stores, count * sizeof *stores);
    if (stores == NULL)
        return ENOMEM;
    stores[command->store_count++] = path;
    command->stores = stores;
    return 0;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct command *command = state->input;
    char *end;
    switch (key) {
    case KEY_OUTPUT:
        command->order.page = argument;
        return 0;
    case KEY_JUNIT:
        command->order.junit = argument;
        return 0;
    case KEY_LINES:
        command->order.lines = argument;
        return 0;
    case KEY_CAMPAIGN:
        errno = 0;
        command->order.campaign = strtoll(argument, &end, 10);
        if (end != argument && *end == '\0' && errno == 0 && command->order.campaign > 0)
            return 0;
        moe_command_usage(command->common.name, "--campaign is '%s'; allowed: a number from 1 on",
                          argument);
        return EINVAL;
    case ARGP_KEY_ARG:
        return add_store(command, argument);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options,
    parse,
    "STORE...",
    "Writes what the last campaign of a store came to: as one HTML page that needs nothing else, "
    "for JUnit, and as JSON.\v"
    "Several stores, of the shards of one campaign, make one report. A store is only read, and may "
    "be written meanwhile. The exit status tells whether the report was written, not what is in "
    "it.",
    NULL,
    NULL,
    NULL};

static int run(int argc, char **argv)
{
    struct command command = {.store_count = 0};
    int status = moe_options_parse(&argp, argc, argv, &command.common);
    if (status != MOE_OK)
        status = MOE_EXIT_USAGE;
    else if (command.store_count == 0)
        status =
            moe_command_usage(command.common.name, "no store; moecheck fuzz --store makes one");
    else if (command.order.page == NULL && command.order.junit == NULL &&
             command.order.lines == NULL)
        status = moe_command_usage(command.common.name,
                                   "nothing to write: give --output, --junit or --json-lines");
    else
        status =
            report_stores(&command.common, &command.order, command.stores, command.store_count);
    free(command.stores);
    moe_options_free(&command.common);
    return status;
}

const struct moe_command moe_command_report = {
    "report", "a campaign of a store as a page, as JUnit, as JSON", run};

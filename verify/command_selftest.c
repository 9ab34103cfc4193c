/*
 * command_selftest.c - moecheck selftest: the judge judged, by faults planted in a model of the
 * layer and by the model without any.
 */
#include <stdlib.h>

#include "verify/selftest.h"

enum { KEY_FAULT = 0x200, KEY_CLEAN, KEY_SEED, KEY_NO_FLOORS };

#define CLEAN_CASES 3000

static const struct argp_option options[] = {
    {"fault", KEY_FAULT, "GLOB", 0, "Only the faults whose names match, and no clean cases", 0},
    {"clean", KEY_CLEAN, "N", 0, "Clean cases (default: 3000; with --fault: 0)", 0},
    {"seed", KEY_SEED, "N", 0, "Of all that is drawn (default: 1)", 0},
    MOE_OPTION_CHECK,
    {"no-floors", KEY_NO_FLOORS, NULL, 0, "Leave the detection floors out", 0},
    {0},
};

static int read_number(const char *text, int64_t *number)
{
    char *end;
    *number = strtoll(text, &end, 10);
    return end != text && *end == '\0' && *number >= 0;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct selftest *selftest = state->input;
    int64_t number;

    switch (key) {
    case KEY_FAULT:
        selftest->glob = argument;
        return 0;
    case KEY_CLEAN:
    case KEY_SEED:
        if (!read_number(argument, &number)) {
            moe_command_usage(selftest->common.name, "--%s is '%s'; allowed: numbers from 0",
                              key == KEY_CLEAN ? "clean" : "seed", argument);
            return EINVAL;
        }
        if (key == KEY_CLEAN)
            selftest->clean = number;
        else
            selftest->seed = (uint64_t)number;
        return 0;
    case MOE_KEY_CHECK:
        return moe_options_check(&selftest->common, argument);
    case KEY_NO_FLOORS:
        selftest->floors = 0;
        return 0;
    case ARGP_KEY_ARG:
        moe_command_usage(selftest->common.name, "'%s': no argument is taken", argument);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options,
    parse,
    "",
    "Plants faults in a model of the layer on the CPU and shows which checks catch which, how "
    "small "
    "a fault may be, and how often models without a fault are accused.",
    NULL,
    NULL,
    NULL};

static int judge(struct selftest *selftest)
{
    int status, exit_status;

    if (selftest->clean < 0)
        selftest->clean = selftest->glob ? 0 : CLEAN_CASES;
    if (selftest->glob)
        selftest->floors = 0;
    status = selftest_plan(selftest);
    if (status == MOE_OK && selftest->count == 0)
        return moe_command_usage(selftest->common.name, "--fault '%s' matches no fault",
                                 selftest->glob ? selftest->glob : "");
    if (status == MOE_OK)
        status = selftest_run(selftest);
    exit_status = status == MOE_OK ? selftest_print(selftest)
                                   : moe_command_error(selftest->common.name, status);
    return exit_status;
}

static int run(int argc, char **argv)
{
    struct selftest selftest = {.clean = -1, .seed = 1, .floors = 1};
    int status = moe_options_parse(&argp, argc, argv, &selftest.common);

    status = status == MOE_OK ? judge(&selftest) : MOE_EXIT_USAGE;
    free(selftest.trial);
    free(selftest.score);
    free(selftest.floor);
    moe_options_free(&selftest.common);
    return status;
}

const struct moe_command moe_command_selftest = {
    "selftest", "judge the judge: planted faults and clean models", run};

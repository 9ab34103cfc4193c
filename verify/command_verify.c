/*
 * command_verify.c - moecheck verify CASE...: every variant that takes the case, every check that
 * applies.
 */
#include "verify/command.h"

struct verify {
    struct moe_options common;
    const char *load;
    struct moe_cases cases;
};

enum { KEY_LOAD = 0x200 };

static const struct argp_option options[] = {
    {"load", KEY_LOAD, "FILE.safetensors", 0,
     "Take inputs from the file; what it lacks is drawn from the case", 0},
    MOE_OPTION_CHECK,
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct verify *verify = state->input;

    switch (key) {
    case KEY_LOAD:
        verify->load = argument;
        return 0;
    case MOE_KEY_CHECK:
        return moe_options_check(&verify->common, argument);
    default:
        return moe_cases_parse(&verify->cases, key, argument);
    }
}

static const struct argp argp = {
    options,
    parse,
    "CASE...",
    "Judges every variant that takes the case by every check that applies.\v"
    "A case is a line of key=value words. Words may be arguments of their own: consecutive "
    "arguments "
    "without a blank form one case. An argument with a blank is a case by itself, so several cases "
    "are "
    "several quoted arguments.",
    NULL,
    NULL,
    NULL};

static int judge(struct verify *verify)
{
    if (verify->cases.status != MOE_OK)
        return moe_command_error(verify->common.name, verify->cases.status);
    if (verify->cases.count == 0)
        return moe_command_usage(verify->common.name, "no case (try --help)");
    return moe_session_judge(&verify->common, &verify->cases, verify->load);
}

static int run(int argc, char **argv)
{
    struct verify verify = {.load = NULL};
    int status = moe_options_parse(&argp, argc, argv, &verify.common);

    status = status == MOE_OK ? judge(&verify) : MOE_EXIT_USAGE;
    moe_cases_free(&verify.cases);
    moe_options_free(&verify.common);
    return status;
}

const struct moe_command moe_command_verify = {
    "verify", "judge variants on cases: every check that applies", run};

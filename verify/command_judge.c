/*
 * command_judge.c - moecheck judge CASE FILE: tensors that were made elsewhere.
 */
#include "verify/command.h"

struct judge {
    struct moe_options common;
    const char *file;
    struct moe_cases cases;
};

/* The last argument is the file; getopt has put the options before. */
static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct judge *judge = state->input;

    if (key != ARGP_KEY_ARG || state->next < state->argc)
        return moe_cases_parse(&judge->cases, key, argument);
    judge->file = argument;
    return 0;
}

static const struct argp argp = {
    NULL,
    parse,
    "CASE FILE.safetensors",
    "Judges the tensors of a file, made by any program: its outputs on its inputs. Inputs that the "
    "file lacks are drawn from the case. The bound is that of an implementation in the case's type "
    "which may round to it anywhere.",
    NULL,
    NULL,
    NULL};

static int judge_file(const struct judge *judge)
{
    struct moe_job job = {.action = MOE_ACTION_JUDGE_FILE, .file = judge->file};

    if (judge->cases.status != MOE_OK)
        return moe_command_error(judge->common.name, judge->cases.status);
    if (judge->file == NULL || judge->cases.count != 1)
        return moe_command_usage(judge->common.name, "wanted: one case and a file (try --help)");
    job.problem = judge->cases.problem[0];
    return moe_session_single(&judge->common, &job, 0, judge->file, 1);
}

static int run(int argc, char **argv)
{
    struct judge judge = {.file = NULL};
    int status = moe_options_parse(&argp, argc, argv, &judge.common);

    status = status == MOE_OK ? judge_file(&judge) : MOE_EXIT_USAGE;
    moe_cases_free(&judge.cases);
    moe_options_free(&judge.common);
    return status;
}

const struct moe_command moe_command_judge = {"judge", "judge tensors that were made elsewhere",
                                              run};

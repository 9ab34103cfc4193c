/*
 * command_run.c - moecheck run CASE --variant V --save FILE: the variant's tensors, unjudged, in a
 * file that other programs read.
 */
#include "verify/command.h"

struct run {
    struct moe_options common;
    const char *load, *save;
    struct moe_cases cases;
};

enum { KEY_LOAD = 0x200, KEY_SAVE };

static const struct argp_option options[] = {
    {"load", KEY_LOAD, "FILE.safetensors", 0,
     "Take inputs from the file; what it lacks is drawn from the case", 0},
    {"save", KEY_SAVE, "FILE.safetensors", 0, "Write every tensor of the case to the file", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct run *run = state->input;

    switch (key) {
    case KEY_LOAD:
        run->load = argument;
        return 0;
    case KEY_SAVE:
        run->save = argument;
        return 0;
    default:
        return moe_cases_parse(&run->cases, key, argument);
    }
}

static const struct argp argp = {
    options,
    parse,
    "CASE --variant NAME --save FILE.safetensors",
    "Runs one variant, forward and backward, and saves all tensors: inputs, outputs, gradients. "
    "Nothing is judged. The file is written aside and renamed, so it is there whole or not at all.",
    NULL,
    NULL,
    NULL};

static int run_variant(const struct run *run)
{
    struct moe_job job = {.action = MOE_ACTION_RUN, .load = run->load, .file = run->save};

    if (run->cases.status != MOE_OK)
        return moe_command_error(run->common.name, run->cases.status);
    if (run->cases.count != 1)
        return moe_command_usage(run->common.name, "%lld cases; allowed: one (try --help)",
                                 (long long)run->cases.count);
    if (run->common.variant == NULL)
        return moe_command_usage(run->common.name,
                                 "--variant is missing (moecheck list shows them)");
    if (run->save == NULL)
        return moe_command_usage(run->common.name, "--save is missing");
    job.problem = run->cases.problem[0];
    return moe_session_single(&run->common, &job, 1, run->load, run->common.verbose);
}

static int run(int argc, char **argv)
{
    struct run run = {.load = NULL};
    int status = moe_options_parse(&argp, argc, argv, &run.common);

    status = status == MOE_OK ? run_variant(&run) : MOE_EXIT_USAGE;
    moe_cases_free(&run.cases);
    moe_options_free(&run.common);
    return status;
}

const struct moe_command moe_command_run = {"run", "run a variant and save its tensors", run};

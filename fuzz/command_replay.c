/*
 * command_replay.c - moecheck replay [FILE...]: files of cases, one a line; without a file the
 * corpus that is part of the program.
 */
#include "fuzz/campaign.h"
#include "verify/ledger.h"

struct replay {
    struct moe_options common;
    struct moe_cases cases;
    int files;
};

static const struct argp_option options[] = {MOE_OPTION_CHECK, MOE_OPTION_LEDGER, {0}};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct replay *replay = state->input;

    if (key == MOE_KEY_CHECK)
        return moe_options_check(&replay->common, argument);
    if (key == MOE_KEY_LEDGER)
        return moe_options_ledger(&replay->common, argument);
    if (key != ARGP_KEY_ARG)
        return ARGP_ERR_UNKNOWN;
    replay->files++;
    if (replay->cases.status == MOE_OK)
        replay->cases.status = moe_cases_read(&replay->cases, argument);
    return 0;
}

static const struct argp argp = {
    options,
    parse,
    "[FILE...]",
    "Judges every case of the files: one case a line, # starts a comment. Without a file, every "
    "case "
    "of the corpus: those that are worth trying again, most of them found the hard way.",
    NULL,
    NULL,
    NULL};

int campaign_corpus(struct moe_cases *cases)
{
    const char *line;
    int status = MOE_OK;

    for (int i = 0; status == MOE_OK && (line = moe_corpus_case(i)) != NULL; i++) {
        struct moe_problem problem;

        status = moe_problem_parse(line, &problem);
        if (status == MOE_OK)
            status = moe_cases_add(cases, &problem);
        else
            status = moe_error(MOE_E_INTERNAL, "case %d of the corpus: %s", i, moe_error_text());
    }
    return status;
}

/* The ledger's own cases that are not among the others, so that every line of it is tried. */
static int add_known(struct replay *replay)
{
    struct moe_cases known = {.count = 0};
    int64_t others = replay->cases.count;
    int status = moe_ledger_cases(replay->common.ledger, &known);

    for (int64_t i = 0; status == MOE_OK && i < known.count; i++) {
        int64_t at = 0;

        while (at < others &&
               moe_problem_differs(&replay->cases.problem[at], &known.problem[i]) > 0)
            at++;
        if (at == others)
            status = moe_cases_add(&replay->cases, &known.problem[i]);
    }
    moe_cases_free(&known);
    return status;
}

static int judge(struct replay *replay)
{
    if (replay->files == 0)
        replay->cases.status = campaign_corpus(&replay->cases);
    if (replay->cases.status == MOE_OK)
        replay->cases.status = add_known(replay);
    if (replay->cases.status != MOE_OK)
        return moe_command_error(replay->common.name, replay->cases.status);
    return moe_session_judge(&replay->common, &replay->cases, NULL);
}

static int run(int argc, char **argv)
{
    struct replay replay = {.files = 0};
    int status = moe_options_parse(&argp, argc, argv, &replay.common);

    status = status == MOE_OK ? judge(&replay) : MOE_EXIT_USAGE;
    moe_cases_free(&replay.cases);
    moe_options_free(&replay.common);
    return status;
}

const struct moe_command moe_command_replay = {
    "replay", "judge files of cases; without a file the corpus", run};

/*
 * script.c - see script.h.
 */
#include "verify/script.h"

struct script {
    const struct moe_trial *trial;
    const struct script_actor *actor;
    void *context;
    struct moe_trial_result *result;
};

static int forward(const struct script *script)
{
    return script->actor->pass(script->context, 0, 0);
}

static int backward(const struct script *script)
{
    return script->actor->pass(script->context, 1, 0);
}

static int forward_amid(const struct script *script)
{
    return script->actor->pass(script->context, 0, 1);
}

static int backward_amid(const struct script *script)
{
    return script->actor->pass(script->context, 1, 1);
}

static int pair_amid(const struct script *script)
{
    return script->actor->pair(script->context);
}

static int forward_elsewhere(const struct script *script)
{
    return script->actor->forward_elsewhere(script->context);
}

static int give_own(const struct script *script)
{
    return script->actor->give(script->context, script->trial->own);
}

static int give_other(const struct script *script)
{
    return script->actor->give(script->context, script->trial->other);
}

static int capture(const struct script *script)
{
    return script->actor->capture(script->context);
}

static int replay(const struct script *script)
{
    return script->actor->replay(script->context);
}

static int mark(const struct script *script)
{
    struct moe_trial_result *result = script->result;
    int64_t bytes = 0;
    int status = script->actor->held(script->context, &bytes);
    if (result->marks < MOE_TRIAL_MARKS)
        result->mark[result->marks++] = bytes;
    return status;
}

static const struct {
    char letter;
    const char *name; /* as a finding calls the step */
    int (*take)(const struct script *script);
} steps[] = {
    {'f', "forward", forward},
    {'b', "backward", backward},
    {'F', "forward", forward_amid},
    {'B', "backward", backward_amid},
    {'P', "forward and backward together", pair_amid},
    {'e', "forward", forward_elsewhere},
    {'i', "putting inputs back", give_own},
    {'o', "putting other inputs there", give_other},
    {'m', "reading the memory in use", mark},
    {'c', "capture", capture},
    {'r', "replay of the graph", replay},
};

void moe_script_run(const struct moe_trial *trial, const struct script_actor *actor, void *context,
                    struct moe_trial_result *result)
{
    struct script script = {trial, actor, context, result};
    const char *line = trial->script ? trial->script : "fb";
    result->status = MOE_OK;
    for (; *line && result->status == MOE_OK; line++)
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
            if (steps[i].letter == *line) {
                result->step = steps[i].name;
                if (trial->place)
                    trial->place(trial->context, trial->check, steps[i].name);
                result->status = steps[i].take(&script);
            }
}

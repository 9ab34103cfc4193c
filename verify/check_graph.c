/*
 * check_graph.c - on a GPU, where MOE_CAPTURABLE is declared: both passes are captured once as a
 * graph, which is replayed three times on inputs that change in place, routing included.
 *
 * The capture is in mode "global", in which the driver refuses whatever a capture forbids. Replays
 * are compared with plain runs on the same inputs: the inputs of the capture (A), others (B), and A
 * again, each as the last of one, two and three replays.
 *
 * Must catch: waits, allocations and copies to the host during capture; addresses, sizes or values
 * of the capture frozen into the graph (counts of rows, pointers of the stack); counters that a
 * replay does not put back.
 */
#include "verify/again.h"

static const struct {
    const char *script, *what;
    int other; /* the last replay is of the other inputs */
} replays[] = {
    {"fbcir", "first replay of a captured graph", 0},
    {"fbciror", "second replay of a captured graph, inputs and routing changed", 1},
    {"fbcirorir", "third replay of a captured graph, inputs changed back", 0},
};

#define COUNT ((int)(sizeof replays / sizeof *replays))

static int replay(struct moe_judgement *judgement, const struct moe_tensors *other,
                  const struct moe_tensors *fresh_other, int i)
{
    struct moe_trial trial = judgement->trial;
    struct again again;
    trial.script = replays[i].script;
    trial.other = other;
    int status =
        again_run(judgement, "graph", replays[i].what, &trial, &judgement->tensors, &again);
    if (status == MOE_OK && again.ran)
        status = again_judge(judgement, "graph", replays[i].what, &again,
                             replays[i].other ? fresh_other : &judgement->tensors);
    again_free(&again);
    return status;
}

static int after(struct moe_judgement *judgement)
{
    struct moe_tensors other = {0};
    struct again fresh = {0};
    if (!(judgement->trial.variant->flags & MOE_CAPTURABLE) || !again_on_gpu(judgement, "graph"))
        return MOE_OK;
    int status = again_other_inputs(judgement, &other);
    if (status == MOE_OK)
        status = again_run(judgement, "graph", "other inputs", &judgement->trial, &other, &fresh);
    for (int i = 0; i < COUNT && status == MOE_OK && again_on_gpu(judgement, "graph"); i++)
        status = replay(judgement, &other, fresh.ran ? &fresh.made : NULL, i);
    again_free(&fresh);
    moe_tensors_free(&other);
    return status;
}

const struct moe_check moe_check_graph = {
    .name = "graph",
    .summary = "GPU: a captured graph replayed on changed inputs, where that is declared",
    .runs = 10,
    .after = after,
};

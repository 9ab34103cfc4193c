/*
 * check_footprint.c - a variant takes no memory for itself that it does not give back, and inside a
 * call none at all unless it declares MOE_ALLOCATES.
 *
 * The workspace and the kept memory of a run are ours, of the bytes stated. What is in use beside
 * them is read before open, behind it, behind every call and behind close: on the CPU what malloc
 * has handed out, on a GPU what the driver says is not free. Then
 *   close gives back what open and the calls took;
 *   a second round of calls leaves no more than the first did;
 *   without MOE_ALLOCATES nothing is held behind forward, or behind backward, that open had not
 * taken.
 *
 * It must never accuse. The judge's own run was the first, so that what libraries take once is
 * there. Allocators keep stock, so growth counts from LEAST_HERE or a page of the device on. A
 * GPU's memory is everybody's: these runs have the GPU to themselves among those of moecheck
 * (on_device_turn.c), and a finding takes ROUNDS of them that all show the growth, and not one byte
 * of change in the times between them, where the variant is not there. Other programs on the GPU
 * thus make the check say less. What is taken and given back inside one call it does not see;
 * on a GPU `stream` and `graph` do.
 *
 * Must catch: a leak of a page an opening or a call; activations kept in memory of the variant's
 * own.
 */
#include <string.h>

#include "verify/again.h"

#define ROUNDS 3

/* glibc keeps up to 236 KiB of small pieces a thread, which count as in use. */
#define LEAST_HERE (INT64_C(512) << 10)
#define LEAST_THERE 1

/* Marks of the script, in its order. */
enum { OPENED, FORWARD, BACKWARD, FORWARD_AGAIN, BACKWARD_AGAIN, MARKS };
#define SCRIPT "mfmbmfmbm"

enum growth { LEAKS, GROWS, HOLDS, TAKES, GROWTHS };
static const char *const words[GROWTHS] = {
    [LEAKS] = "open, calls and close leave %lld bytes that were not there before, every time",
    [GROWS] = "another forward and backward on an open state leave %lld bytes more",
    [HOLDS] = "forward leaves %lld bytes beside the kept memory, and allocates is not declared",
    [TAKES] =
        "the first calls leave %lld bytes that open had not taken, and allocates is not declared",
};

static int64_t growth_of(const struct moe_trial_result *result, enum growth growth)
{
    const int64_t *mark = result->mark;
    switch (growth) {
    case LEAKS:
        return result->held_after - result->held_before;
    case GROWS:
        return mark[BACKWARD_AGAIN] - mark[BACKWARD];
    case HOLDS:
        return mark[FORWARD_AGAIN] - mark[BACKWARD];
    default:
        return mark[BACKWARD] - mark[OPENED];
    }
}

/* What all the runs so far show at the least; a growth that is not there is 0. */
struct watch {
    int64_t least[GROWTHS];
    int64_t between; /* in use behind the last run */
};

/* Takes one run in. 0: there is nothing to be found any more. */
static int watch_run(struct watch *watch, const struct moe_judgement *judgement, int round,
                     const struct moe_trial_result *result)
{
    const int here = moe_trial_device(&judgement->trial) == MOE_ON_CPU;
    const int64_t least = here ? LEAST_HERE : LEAST_THERE;
    int any = 0;
    if (!here && (!result->alone || (round > 0 && result->held_before != watch->between)))
        return 0; /* others are at work */
    watch->between = result->held_after;
    for (int i = 0; i < GROWTHS; i++) {
        int64_t bytes = growth_of(result, (enum growth)i);
        int declared = i >= HOLDS && judgement->trial.variant->flags & MOE_ALLOCATES;
        bytes = bytes < least || declared ? 0 : bytes;
        watch->least[i] = round == 0 || bytes < watch->least[i] ? bytes : watch->least[i];
        any |= watch->least[i] > 0;
    }
    return any;
}

static void report(struct moe_judgement *judgement, const struct watch *watch)
{
    for (int i = 0; i < GROWTHS; i++) {
        if (watch->least[i] == 0)
            continue;
        struct moe_finding finding =
            judgement_finding("footprint", MOE_FAIL, words[i], (long long)watch->least[i]);
        moe_report_add(judgement->report, &finding);
        return;
    }
}

static int after(struct moe_judgement *judgement)
{
    struct moe_trial trial = judgement->trial;
    struct watch watch = {0};
    int going = 1, status = MOE_OK;
    trial.script = SCRIPT;
    trial.measures = 1;
    for (int round = 0; round < ROUNDS && going && status == MOE_OK; round++) {
        struct again again;
        if (!again_wanted(judgement))
            return MOE_OK;
        status = again_run(judgement, "footprint", "calls one after the other", &trial,
                           &judgement->tensors, &again);
        going = status == MOE_OK && again.ran && watch_run(&watch, judgement, round, &again.result);
        again_free(&again);
    }
    if (going)
        report(judgement, &watch);
    return status;
}

const struct moe_check moe_check_footprint = {
    .name = "footprint",
    .summary = "memory of the variant's own is given back, and inside calls declared",
    .runs = 2,
    .after = after,
};

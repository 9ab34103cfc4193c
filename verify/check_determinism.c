/*
 * check_determinism.c - a variant that declares MOE_DETERMINISTIC leaves the same bits whenever it
 * is given the same inputs, in every output.
 *
 * Each further run has memory of its own, opened anew. On the CPU the number of OpenMP's threads
 * differs from run to run, since that changes who adds what first; on a GPU the schedule differs by
 * itself, and check_contention makes it differ more; on the PTX machine it is chosen: warps at
 * random or by priorities, asynchronous operations late or at random times. A variant that is wrong
 * in one run of p is missed by n runs with probability (1-p)^n: for n = 19 half of those with p
 * = 3.6 %.
 *
 * Must catch: sums by atomics in the order of arrival, sums divided by the number of threads, reads
 * of what nobody wrote, races.
 */
#include <stdio.h>

#include "verify/again.h"

static const int threads[] = {1, 2, 3};

#define RUNS_ON_CPU ((int)(sizeof threads / sizeof *threads))
#define RUNS_ON_GPU 19

/* Added to the machine's number: other orders, other times, and both. */
static const int schedules[] = {1, 6, 8, 4};

#define RUNS_ON_PTX ((int)(sizeof schedules / sizeof *schedules))

/* How the run differs from the judge's own, and how many of them there are. */
static int vary(struct moe_trial *trial, int i, char *what, size_t size)
{
    switch (moe_trial_device(trial)) {
    case MOE_ON_CPU:
        trial->threads = threads[i];
        snprintf(what, size, "run %d, with %d threads", i + 2, threads[i]);
        return RUNS_ON_CPU;
    case MOE_ON_PTX:
        trial->schedule += schedules[i];
        snprintf(what, size, "run %d, on PTX machine %d", i + 2, trial->schedule);
        return RUNS_ON_PTX;
    default:
        snprintf(what, size, "run %d", i + 2);
        return RUNS_ON_GPU;
    }
}

static int after(struct moe_judgement *judgement)
{
    const struct moe_variant *variant = judgement->trial.variant;
    if (!(variant->flags & MOE_DETERMINISTIC))
        return MOE_OK;
    int runs = 1, status = MOE_OK;
    for (int i = 0; i < runs && status == MOE_OK && again_wanted(judgement); i++) {
        struct moe_trial trial = judgement->trial;
        struct again again;
        char what[64];
        runs = vary(&trial, i, what, sizeof what);
        status = again_run(judgement, "determinism", what, &trial, &judgement->tensors, &again);
        if (status == MOE_OK && again.ran)
            status = again_judge(judgement, "determinism", what, &again, &judgement->tensors);
        again_free(&again);
    }
    return status;
}

const struct moe_check moe_check_determinism = {
    .name = "determinism",
    .summary = "the same inputs give the same bits, run after run, where that is declared",
    .runs = RUNS_ON_CPU,
    .after = after,
};

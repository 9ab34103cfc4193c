/*
 * check_determinism.c - a variant that declares MOE_DETERMINISTIC leaves the same bits whenever it
 * is given the same inputs, in every output.
 *
 * Each further run has memory of its own, opened anew. On the CPU the number of OpenMP's threads
 * differs from run to run, since that changes who adds what first; on a GPU the schedule differs by
 * itself, and check_contention makes it differ more. A variant that is wrong in one run of p is
 * missed by n runs with probability (1-p)^n: for n = 19 half of those with p = 3.6 %.
 *
 * Must catch: sums by atomics in the order of arrival, sums divided by the number of threads, reads
 * of what nobody wrote, races.
 */
#include <stdio.h>

#include "verify/again.h"

static const int threads[] = {1, 2, 3};

#define RUNS_ON_CPU ((int)(sizeof threads / sizeof *threads))
#define RUNS_ON_GPU 19

static int after(struct moe_judgement *judgement)
{
    const struct moe_variant *variant = judgement->trial.variant;
    if (!(variant->flags & MOE_DETERMINISTIC))
        return MOE_OK;
    int on_cpu = (variant->devices & MOE_ON_CPU) != 0;
    int runs = on_cpu ? RUNS_ON_CPU : RUNS_ON_GPU, status = MOE_OK;
    for (int i = 0; i < runs && status == MOE_OK && again_wanted(judgement); i++) {
        struct moe_trial trial = judgement->trial;
        struct again again;
        char what[64];
        trial.threads = on_cpu ? threads[i] : 0;
        if (on_cpu)
            snprintf(what, sizeof what, "run %d, with %d threads", i + 2, threads[i]);
        else
            snprintf(what, sizeof what, "run %d", i + 2);
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

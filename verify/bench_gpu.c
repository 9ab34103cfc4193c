/*
 * bench_gpu.c - time of a variant's forward and backward on the GPU, and the yardsticks beside it,
 * in the worker: gpu/bench.h does the work.
 */
#include "gpu/bench.h"
#include "verify/bench.h"

int moe_bench_yardsticks(const struct moe_problem *problem, struct moe_measure *measure)
{
    int status = moe_gpu_bench_yardsticks(problem, &measure->yardsticks);

    if (status != MOE_OK)
        return status;
    measure->forward_seconds = measure->yardsticks.forward_chain;
    measure->backward_seconds = measure->yardsticks.backward_chain;
    measure->seconds = measure->forward_seconds + measure->backward_seconds;
    return MOE_OK;
}

int moe_bench_gpu(const struct moe_problem *problem, const struct moe_variant *variant,
                  const struct moe_judge_options *options, struct moe_measure *measure)
{
    struct moe_gpu_bench *bench = NULL;
    int status = moe_gpu_bench_open(problem, variant, &bench);

    if (status != MOE_OK)
        return status;
    options->phase(options->context, MOE_PHASE_VARIANT);
    status = moe_gpu_bench_run(bench, options->configuration, &measure->timing);
    options->phase(options->context, MOE_PHASE_JUDGE);
    moe_gpu_bench_close(bench);
    if (status != MOE_OK)
        return status;
    measure->forward_seconds = measure->timing.forward.median;
    measure->backward_seconds = measure->timing.backward.median;
    measure->seconds = measure->forward_seconds + measure->backward_seconds;
    return MOE_OK;
}

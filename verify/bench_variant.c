/*
 * bench_variant.c - time of a variant's forward and backward on the CPU, each the median of
 * repetitions on one opened state.
 */
#include <stdlib.h>

#include "verify/bench.h"

struct measured {
    const struct moe_variant *variant;
    struct moe_tensors tensors;
    struct moe_call call;
    uint32_t status;
    void *state;
};

static int forward(void *context)
{
    struct measured *measured = context;

    return measured->variant->forward(measured->state, &measured->call);
}

static int backward(void *context)
{
    struct measured *measured = context;

    return measured->variant->backward(measured->state, &measured->call);
}

static int open_and_run(struct measured *measured, const struct moe_problem *problem,
                        int32_t configuration, struct moe_measure *measure)
{
    int status = measured->variant->open(NULL, problem, configuration, &measured->state);

    if (status != MOE_OK)
        return status;
    status = moe_bench_repeat(forward, measured, &measure->forward);
    if (status == MOE_OK)
        status = moe_bench_repeat(backward, measured, &measure->backward);
    measured->variant->close(measured->state);
    measure->forward_seconds = measure->forward.median;
    measure->backward_seconds = measure->backward.median;
    measure->seconds = measure->forward_seconds + measure->backward_seconds;
    return status;
}

/* What aligned_alloc wants: a multiple, and not 0. */
static size_t rounded(int64_t bytes)
{
    return ((size_t)bytes / MOE_MEMORY_ALIGNMENT + 1) * MOE_MEMORY_ALIGNMENT;
}

static int run(struct measured *measured, const struct moe_problem *problem,
               const struct moe_judge_options *options, struct moe_measure *measure)
{
    int64_t workspace = measured->variant->workspace_bytes(problem);
    int64_t kept = measured->variant->kept_bytes(problem);
    int status = moe_tensors_draw(problem, &measured->tensors);

    if (status == MOE_OK && (workspace < 0 || kept < 0))
        status =
            moe_error(MOE_E_INTERNAL, "%s wants a negative workspace", measured->variant->name);
    if (status != MOE_OK)
        return status;
    measured->call = (struct moe_call){
        .tensors = measured->tensors.tensor,
        .workspace = aligned_alloc(MOE_MEMORY_ALIGNMENT, rounded(workspace)),
        .workspace_size = workspace,
        .kept = aligned_alloc(MOE_MEMORY_ALIGNMENT, rounded(kept)),
        .kept_size = kept,
        .status = &measured->status,
    };
    if (measured->call.workspace == NULL || measured->call.kept == NULL) {
        status = moe_error(MOE_E_NOMEM, "no memory for %s", measured->variant->name);
    } else {
        options->phase(options->context, MOE_PHASE_VARIANT);
        status = open_and_run(measured, problem, options->configuration, measure);
        options->phase(options->context, MOE_PHASE_JUDGE);
    }
    free(measured->call.workspace);
    free(measured->call.kept);
    return status;
}

int moe_bench_variant(const struct moe_problem *problem, const struct moe_variant *variant,
                      const struct moe_judge_options *options, struct moe_measure *measure)
{
    struct measured measured = {.variant = variant};
    int status = moe_tensors_allocate(problem, &measured.tensors);

    if (status != MOE_OK)
        return status;
    status = run(&measured, problem, options, measure);
    moe_tensors_free(&measured.tensors);
    return status;
}

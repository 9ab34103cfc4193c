/*
 * bench_reference.c - time of the f64 reference, with and without bounds.
 *
 * Its outputs are stored in tensors of the case's types, as a user of it would, so that the memory
 * measured is that of inputs, outputs and what the reference needs beside.
 */
#include "verify/bench.h"

struct referring {
    struct moe_tensors tensors;
    struct moe_reference reference;
};

static int store(void *context, const struct moe_block *block)
{
    const struct referring *referring = context;
    const struct moe_tensor *tensor = &referring->tensors.tensor[block->tensor];
    int64_t width = tensor->shape[tensor->rank - 1];

#pragma omp parallel for if (block->rows * block->cols > 131072) schedule(static)
    for (int64_t r = 0; r < block->rows; r++)
        moe_dtype_store_many(tensor->dtype, tensor->data, (block->row + r) * width + block->col,
                             block->cols, block->value + r * block->stride);
    return MOE_OK;
}

static int refer(void *context)
{
    struct referring *referring = context;

    return moe_reference_run(&referring->reference);
}

int moe_bench_reference(const struct moe_problem *problem, int bounds, struct moe_measure *measure)
{
    struct referring referring;
    struct moe_recipe recipe = moe_recipe_plain(problem, MOE_F32);
    int status = moe_tensors_allocate(problem, &referring.tensors);

    if (status != MOE_OK)
        return status;
    referring.reference = (struct moe_reference){
        .problem = problem,
        .tensors = referring.tensors.tensor,
        .passes = MOE_PASS_FORWARD | MOE_PASS_BACKWARD,
        .precision = MOE_F64,
        .recipe = bounds ? &recipe : NULL,
        .take = store,
        .context = &referring,
    };
    status = moe_tensors_draw(problem, &referring.tensors);
    if (status == MOE_OK)
        status = moe_bench_repeat(refer, &referring, &measure->both);
    measure->seconds = measure->both.median;
    moe_tensors_free(&referring.tensors);
    return status;
}

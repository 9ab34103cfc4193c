/*
 * relate_known.c - how far a right result may be from the true one, element by element of one run.
 *
 * The bound is check_bound's: a legal kernel is within b0 of the true value on the first inputs and
 * within b1 on the second. Where the relation holds of the true values, v1 = factor v0, the results
 * are within b1 + |factor| b0 of it. Of the reference only the bounds are used and no value, so
 * that a misunderstanding that it shares with the variant is still seen.
 *
 * On exact data ref/exact.h proves of elements that every legal kernel agrees on them up to the one
 * rounding to their type. Of two such the relation holds in bits, since that rounding commutes with
 * signs and powers of two; sums hold where it changed nothing.
 */
#include <math.h>
#include <stdlib.h>

#include "ref/exact.h"
#include "verify/relate.h"

/* 32 MiB of bounds a run. */
#define LARGEST ((int64_t)1 << 22)

int relate_too_large(const struct moe_problem *problem)
{
    int64_t elements = 0;
    for (int id = 0; id < MOE_TENSOR_COUNT && elements <= LARGEST; id++) {
        struct moe_tensor tensor;
        if (!moe_tensor_exists(problem, (enum moe_tensor_id)id))
            continue;
        if (moe_tensor_describe(problem, (enum moe_tensor_id)id, &tensor) != MOE_OK)
            return 1;
        int64_t count = moe_tensor_count(&tensor);
        if (count > LARGEST)
            return 1;
        elements += count;
    }
    return elements > LARGEST;
}

int relate_is_output(const struct moe_problem *problem, enum moe_tensor_id id)
{
    enum moe_role role = moe_tensor_info(id)->role;
    return moe_tensor_exists(problem, id) && role != MOE_INPUT &&
           (role != MOE_ROUTING || problem->router != MOE_LISTS);
}

static double old_value(const struct relate_run *run, enum moe_tensor_id id, int64_t index)
{
    const struct moe_tensor *before = &run->before.tensor[id];
    return before->data ? moe_dtype_load(before->dtype, before->data, index) : 0;
}

static int take_bounds(void *context, const struct moe_block *block)
{
    struct relate_run *run = context;
    const struct moe_tensor *tensor = &run->tensors.tensor[block->tensor];
    const struct moe_dtype_info *info = moe_dtype_info(tensor->dtype);
    double *bound = run->bound[block->tensor];
    int adds = run->before.tensor[block->tensor].data != NULL;
    if (!bound || !block->bound)
        return MOE_OK;
    int64_t width = tensor->shape[tensor->rank - 1];
    for (int64_t r = 0; r < block->rows; r++)
        for (int64_t c = 0; c < block->cols; c++) {
            int64_t at = (block->row + r) * width + block->col + c;
            double allowed = block->bound[r * block->stride + c];
            double value = block->value[r * block->stride + c], old = 0;
            if (adds) {
                old = old_value(run, block->tensor, at);
                allowed =
                    moe_compare_bound_of_sum(tensor->dtype, old, value, allowed, block->old_error,
                                             fmax(block->old_loss, info->smallest));
            }
            /* what may be infinite stands in no equation */
            bound[at] = fabs(old) + fabs(value) + allowed < info->largest ? allowed : INFINITY;
        }
    return MOE_OK;
}

static int take_certain(void *context, const struct moe_block *block)
{
    struct relate_run *run = context;
    const struct moe_tensor *tensor = &run->tensors.tensor[block->tensor];
    unsigned char *certain = run->certain[block->tensor];
    if (!certain)
        return MOE_OK;
    int64_t width = tensor->shape[tensor->rank - 1];
    for (int64_t r = 0; r < block->rows; r++)
        for (int64_t c = 0; c < block->cols; c++) {
            double value = block->value[r * block->stride + c];
            certain[(block->row + r) * width + block->col + c] =
                isnan(value)                                        ? RELATE_UNKNOWN
                : moe_dtype_round(tensor->dtype, value, 0) == value ? RELATE_EXACT
                                                                    : RELATE_ROUNDED;
        }
    return MOE_OK;
}

static int allocate(struct relate_run *run, int exact)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        if (!relate_is_output(&run->problem, (enum moe_tensor_id)id) ||
            !moe_dtype_info(run->tensors.tensor[id].dtype)->is_float)
            continue;
        size_t count = (size_t)moe_tensor_count(&run->tensors.tensor[id]) + 1;
        run->bound[id] = malloc(count * sizeof *run->bound[id]);
        run->certain[id] = exact ? calloc(count, 1) : NULL;
        if (!run->bound[id] || (exact && !run->certain[id]))
            return moe_error(MOE_E_NOMEM, "no memory for the bounds of a relation");
        for (size_t i = 0; i < count; i++)
            run->bound[id][i] = NAN;
    }
    return MOE_OK;
}

static void nothing_certain(struct relate_run *run)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        free(run->certain[id]);
        run->certain[id] = NULL;
    }
}

int relate_know(struct relate_run *run, int exact)
{
    if (run->bound[MOE_O])
        return MOE_OK;
    const struct moe_reference reference = {
        .problem = &run->problem,
        .tensors = run->tensors.tensor,
        .routing = &run->routing,
        .passes = MOE_PASS_FORWARD | MOE_PASS_BACKWARD,
        .precision = MOE_F64,
        .recipe = &run->recipe,
        .take = take_bounds,
        .context = run,
    };
    const struct moe_exact proof = {
        .problem = &run->problem,
        .tensors = run->tensors.tensor,
        .before = run->before.tensor,
        .routing = &run->routing,
        .recipe = &run->recipe,
        .take = take_certain,
        .context = run,
    };
    struct moe_exact_seen seen;
    int status = allocate(run, exact);
    if (status == MOE_OK)
        status = moe_reference_run(&reference);
    if (status != MOE_OK || !exact)
        return status;
    status = moe_exact_run(&proof, &seen);
    if (status == MOE_E_UNSUPPORTED || (status == MOE_OK && seen.overflow)) {
        nothing_certain(run);
        return MOE_OK;
    }
    return status;
}

void relate_forget(struct relate_run *run)
{
    nothing_certain(run);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        free(run->bound[id]);
        run->bound[id] = NULL;
    }
}

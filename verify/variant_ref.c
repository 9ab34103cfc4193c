/*
 * variant_ref.c - the reference as a variant. Judging it shows that reading, storing and two
 * separate passes agree with the judge's one run, which hands out blocks and stores nothing.
 */
#include <stdlib.h>

#include "verify/variant_ref.h"

struct state {
    const struct moe_problem *problem;
    enum moe_dtype precision;
    const struct moe_tensor *tensors; /* of the call at hand */
};

/* Stores a block, dense or strided; parameter gradients are added to where beta=1. */
static int store(void *context, const struct moe_block *block)
{
    const struct state *state = context;
    const struct moe_tensor *tensor = &state->tensors[block->tensor];
    int64_t width = tensor->shape[tensor->rank - 1], step = tensor->stride[tensor->rank - 1];
    int add =
        state->problem->beta && moe_tensor_info(block->tensor)->role == MOE_PARAMETER_GRADIENT;
#pragma omp parallel for if (block->rows * block->cols > 131072) schedule(static)
    for (int64_t r = 0; r < block->rows; r++) {
        const double *value = block->value + r * block->stride;
        int64_t first = moe_tensor_position(tensor, (block->row + r) * width + block->col);
        if (step == 1 && !add) {
            moe_dtype_store_many(tensor->dtype, tensor->data, first, block->cols, value);
            continue;
        }
        for (int64_t c = 0; c < block->cols; c++) {
            int64_t at = first + c * step;
            double old = add ? moe_dtype_load(tensor->dtype, tensor->data, at) : 0;
            moe_dtype_store(tensor->dtype, tensor->data, at, old + value[c], 0);
        }
    }
    return MOE_OK;
}

static int run(struct state *state, const struct moe_call *call, enum moe_pass pass)
{
    struct moe_reference reference = {
        .problem = state->problem,
        .tensors = call->tensors,
        .passes = pass,
        .precision = state->precision,
        .take = store,
        .context = state,
    };
    state->tensors = call->tensors;
    return moe_reference_run(&reference);
}

int reference_forward(void *state, const struct moe_call *call)
{
    return run(state, call, MOE_PASS_FORWARD);
}

int reference_backward(void *state, const struct moe_call *call)
{
    return run(state, call, MOE_PASS_BACKWARD);
}

int reference_open(const struct moe_problem *problem, enum moe_dtype precision, void **state)
{
    struct state *own = malloc(sizeof *own);
    if (!own)
        return moe_error(MOE_E_NOMEM, "no memory for the reference's state");
    *own = (struct state){problem, precision, NULL};
    *state = own;
    return MOE_OK;
}

static int open_variant(struct moe_device *device, const struct moe_problem *problem,
                        int32_t configuration, void **state)
{
    (void)device;
    (void)configuration;
    return reference_open(problem, MOE_F64, state);
}

static int supports(const struct moe_problem *problem, char *why, size_t size)
{
    (void)problem;
    (void)why;
    (void)size;
    return MOE_OK;
}

int64_t reference_bytes(const struct moe_problem *problem)
{
    (void)problem;
    return 0;
}

static void recipe(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    *recipe = moe_recipe_plain(problem, MOE_F64);
}

void reference_close(void *state)
{
    free(state);
}

const struct moe_variant moe_variant_ref = {
    .struct_size = sizeof(struct moe_variant),
    .devices = MOE_ON_CPU,
    .flags = MOE_ALLOCATES | MOE_DETERMINISTIC,
    .name = "ref",
    .summary = "the reference, f64 on OpenBLAS",
    .supports = supports,
    .workspace_bytes = reference_bytes,
    .kept_bytes = reference_bytes,
    .recipe = recipe,
    .open = open_variant,
    .forward = reference_forward,
    .backward = reference_backward,
    .close = reference_close,
};

/*
 * variant_cublas.c - the plain GPU baseline: experts one after another on cuBLAS, everything
 * between the products by the kernels of parts.h. In f64 it is the reference for cases too large
 * for the CPU.
 */
#include <stdio.h>
#include <stdlib.h>

#include "gpu/cublas_layer.h"

static int supports(const struct moe_problem *problem, char *why, size_t size)
{
    if (problem->E > 65535 || problem->groups > 4096) {
        snprintf(why, size, problem->E > 65535 ? "E > 65535" : "groups > 4096");
        return MOE_E_UNSUPPORTED;
    }
    return MOE_OK;
}

static int64_t workspace_bytes(const struct moe_problem *problem)
{
    struct cublas_space space;
    return cublas_space_lay_out(problem, NULL, &space);
}

static int64_t kept_bytes(const struct moe_problem *problem)
{
    (void)problem;
    return 0; /* rows are sorted anew from the picks */
}

/* cuBLAS chooses its own kernels: tensor cores, chains of f32, split sums. Sixteen more additions
 * cover a tensor core's coarser alignment where sums are short, and splits. */
static void recipe(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    static const enum moe_point stored[] = {MOE_AT_SX, MOE_AT_Z,  MOE_AT_A,  MOE_AT_SA,
                                            MOE_AT_Y,  MOE_AT_DZ, MOE_AT_DXE};
    *recipe = moe_recipe_plain(problem, moe_gpu_compute(problem));
    for (size_t i = 0; i < sizeof stored / sizeof *stored; i++)
        recipe->at[stored[i]].when = MOE_ALWAYS;
    for (int product = 0; product < MOE_PRODUCT_COUNT; product++)
        recipe->product[product].extra = 16;
}

static int open_variant(struct moe_device *device, const struct moe_problem *problem,
                        int32_t configuration, void **state)
{
    (void)configuration;
    struct cublas_layer *layer = calloc(1, sizeof *layer);
    int64_t *begin = calloc((size_t)problem->E + 1, sizeof *begin);
    int status =
        layer && begin ? MOE_OK : moe_error(MOE_E_NOMEM, "no memory for the state of cublas");
    if (status == MOE_OK)
        status = cublas_open(&layer->blas);
    if (status != MOE_OK) {
        free(layer);
        free(begin);
        return status;
    }
    void *leaked;
    if (planted(FAULT_LEAK) && moe_device_allocate(device, 4 << 20, &leaked) != MOE_OK)
        return MOE_E_NOMEM;
    layer->problem = problem;
    layer->device = device;
    layer->begin = begin;
    layer->dtype = problem->dtype;
    layer->compute = layer->scalar = moe_gpu_compute(problem);
    layer->grad = problem->grad == MOE_GRAD_F32 ? MOE_F32 : problem->dtype;
    layer->Z = moe_problem_z_rows(problem);
    layer->U = moe_problem_shared_rows(problem);
    *state = layer;
    return MOE_OK;
}

static void close_variant(void *state)
{
    struct cublas_layer *layer = state;
    cublas_close(layer->blas);
    free(layer->begin);
    free(layer);
}

static int begin_call(struct cublas_layer *layer, const struct moe_call *call)
{
    layer->tensors = call->tensors;
    layer->queue = (struct moe_gpu_queue){layer->device, call->stream};
    layer->offsets = moe_problem_ragged(layer->problem) ? tensor_data(layer, MOE_OFFSETS) : NULL;
    int64_t workspace = cublas_space_lay_out(layer->problem, call->workspace, &layer->space);
    int status = moe_call_check(call, workspace, 0);
    return status == MOE_OK ? moe_call_check_dense(call, 0) : status;
}

static int forward(void *state, const struct moe_call *call)
{
    int status = begin_call(state, call);
    return status == MOE_OK ? cublas_layer_forward(state, call->status) : status;
}

static int backward(void *state, const struct moe_call *call)
{
    int status = begin_call(state, call);
    return status == MOE_OK ? cublas_layer_backward(state, call->status) : status;
}

const struct moe_variant moe_variant_cublas = {
    .struct_size = sizeof(struct moe_variant),
    .devices = MOE_ON_CUDA,
    .flags = MOE_HOST_SYNC | MOE_ALLOCATES | MOE_DENSE_ONLY,
    .name = "cublas",
    .summary = "experts one after another on cuBLAS, plain kernels between",
    .supports = supports,
    .workspace_bytes = workspace_bytes,
    .kept_bytes = kept_bytes,
    .recipe = recipe,
    .open = open_variant,
    .forward = forward,
    .backward = backward,
    .close = close_variant,
};

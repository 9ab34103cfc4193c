/*
 * variant_hopper.c - the layer on Hopper's tensor cores, without a library: forward and backward in
 * bf16 and f16. It waits for nothing, allocates nothing, and gives the same bits every time.
 */
#include <stdio.h>
#include <stdlib.h>

#include "gpu/hopper/layer.h"

/* Pieces of 16 bytes are the smallest thing that its kernels copy. */
#define ALIGNMENT 16

static int supports(const struct moe_problem *problem, char *why, size_t size)
{
    const char *reason = problem->dtype != MOE_BF16 && problem->dtype != MOE_F16
                             ? "dtype is neither bf16 nor f16"
                         : problem->E > SORTED_EXPERTS ? "E > 4096"
                                                       : NULL;
    if (!reason)
        return MOE_OK;
    snprintf(why, size, "%s", reason);
    return MOE_E_UNSUPPORTED;
}

static int64_t workspace_bytes(const struct moe_problem *problem)
{
    const struct moe_problem padded = hopper_padded_problem(problem);
    const int64_t copies = hopper_padding_lay_out(problem, NULL, NULL, NULL);
    struct hopper_space space;
    return copies < 0 ? copies : copies + hopper_space_lay_out(&padded, NULL, &space);
}

static int64_t kept_bytes(const struct moe_problem *problem)
{
    struct hopper_kept kept;
    return hopper_kept_lay_out(problem, NULL, &kept);
}

/* Products run over k upwards, 16 at a time, each sum in one accumulator. */
static void recipe(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    static const enum moe_point stored[] = {MOE_AT_Z, MOE_AT_SA, MOE_AT_Y, MOE_AT_DZ, MOE_AT_DXE};
    static const enum moe_product on_tensor_cores[] = {
        MOE_IN_LOGITS, MOE_IN_Z, MOE_IN_Y, MOE_IN_DA, MOE_IN_DW2, MOE_IN_DXE, MOE_IN_DW1};
    *recipe = moe_recipe_plain(problem, MOE_F32);
    for (size_t i = 0; i < sizeof stored / sizeof *stored; i++)
        recipe->at[stored[i]].when = MOE_ALWAYS;
    /* A is stored where no score is folded into it: with after-w2 that is forward, and not
     * backward; of the shared expert where it has no gate */
    recipe->at[MOE_AT_A].when = problem->weight == MOE_WEIGHT_INPUT ? MOE_ALWAYS
                                : problem->weight == MOE_WEIGHT_BEFORE_W2 && problem->shared == 0
                                    ? MOE_NEVER
                                    : MOE_MAY;
    recipe->at[MOE_AT_SX].when = MOE_MAY; /* folded into Z's epilogue forward, rounded for dW1 */
    for (size_t i = 0; i < sizeof on_tensor_cores / sizeof *on_tensor_cores; i++) {
        recipe->product[on_tensor_cores[i]].accumulator = MOE_ACC_MMA16_F32;
        recipe->product[on_tensor_cores[i]].extra = 16; /* biases are sums of f32 */
        recipe->product[on_tensor_cores[i]].order = (struct moe_order){.instruction = MOE_MMA_K16};
    }
    /* halves are padded one by one: the second begins elsewhere among the 16 */
    if (problem->w1 == MOE_W1_HALVES && (problem->I % 8 || problem->shared % 8))
        recipe->product[MOE_IN_DXE].order = (struct moe_order){0};
    recipe->product[MOE_IN_DS].extra = 16;
    recipe->product[MOE_IN_DWR].extra = (int)hopper_router_slices(problem);
    if (hopper_router_in_pieces(problem)) {
        /* three sums over the tokens, and a sum over three times the experts; what is below the
         * last subnormal of bf16 is in no piece */
        recipe->at[MOE_AT_DLOGITS].lost = 0x1p-133;
        recipe->product[MOE_IN_DWR].accumulator = MOE_ACC_MMA16_F32;
        recipe->product[MOE_IN_DWR].extra *= 3;
        recipe->product[MOE_IN_DX].accumulator = MOE_ACC_MMA16_F32;
        recipe->product[MOE_IN_DX].extra =
            (int)(3 * hopper_router_width(problem) / 16 + problem->K + 4);
    }
    recipe->function_relative = 0x1p-17; /* gpu/hopper/activation.cuh */
    recipe->function_absolute = 0x1p-120;
}

static int open_variant(struct moe_device *device, const struct moe_problem *problem,
                        int32_t configuration, void **state)
{
    struct hopper_layer *layer = calloc(1, sizeof *layer);
    if (!layer)
        return moe_error(MOE_E_NOMEM, "no memory for the state of hopper");
    layer->padding.given = problem;
    layer->padding.problem = hopper_padded_problem(problem);
    problem = layer->problem = &layer->padding.problem;
    layer->device = device;
    layer->configuration = configuration;
    layer->dtype = problem->dtype;
    layer->grad = problem->grad == MOE_GRAD_F32 ? MOE_F32 : problem->dtype;
    layer->Z = moe_problem_z_rows(problem);
    layer->U = moe_problem_shared_rows(problem);
    layer->N = moe_problem_max_entries(problem);
    /* no call takes memory: all code is here before the first */
    static const char *const kernels[] = {"hopper_", "softmax_", "count_", "round_",
                                          "rank_",   "take_",    "scan_",  "list_"};
    int status = MOE_OK;
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels && status == MOE_OK; i++)
        status = moe_device_prepare(device, kernels[i]);
    if (status != MOE_OK)
        free(layer);
    else
        *state = layer;
    return status;
}

static void close_variant(void *state)
{
    free(state);
}

static int begin_call(struct hopper_layer *layer, const struct moe_call *call)
{
    struct hopper_padding *padding = &layer->padding;
    padding->dense = call->tensors;
    layer->tensors = padding->padded;
    layer->queue = (struct moe_gpu_queue){layer->device, call->stream};
    const int64_t space = hopper_space_lay_out(layer->problem, call->workspace, &layer->space);
    hopper_padding_lay_out(padding->given, (char *)call->workspace + space, call->tensors,
                           padding->padded);
    layer->offsets = moe_problem_ragged(layer->problem) ? hopper_data(layer, MOE_OFFSETS) : NULL;
    hopper_layer_find_kept(layer, call->kept);
    const int status =
        moe_call_check(call, workspace_bytes(padding->given), kept_bytes(layer->problem));
    return status == MOE_OK ? moe_call_check_dense(call, ALIGNMENT) : status;
}

static int forward(void *state, const struct moe_call *call)
{
    int status = begin_call(state, call);
    if (status == MOE_OK)
        status = hopper_pad(state, 0);
    if (status == MOE_OK)
        status = hopper_layer_forward(state, call->status);
    return status == MOE_OK ? hopper_unpad(state, 0) : status;
}

static int backward(void *state, const struct moe_call *call)
{
    int status = begin_call(state, call);
    if (status == MOE_OK)
        status = hopper_pad(state, 1);
    if (status == MOE_OK)
        status = hopper_layer_backward(state);
    return status == MOE_OK ? hopper_unpad(state, 1) : status;
}

const struct moe_variant moe_variant_hopper = {
    .struct_size = sizeof(struct moe_variant),
    .devices = MOE_ON_CUDA | MOE_ON_PTX,
    .flags = MOE_DETERMINISTIC | MOE_BATCH_INVARIANT | MOE_CAPTURABLE | MOE_DENSE_ONLY,
    .name = "hopper",
    .summary = "fused products on Hopper's tensor cores, no library",
    .supports = supports,
    .configurations = hopper_configuration_names,
    .configuration_count = HOPPER_CONFIGURATIONS,
    .alignment = ALIGNMENT,
    .workspace_bytes = workspace_bytes,
    .kept_bytes = kept_bytes,
    .recipe = recipe,
    .open = open_variant,
    .forward = forward,
    .backward = backward,
    .close = close_variant,
};

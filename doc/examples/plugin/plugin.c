/*
 * plugin.c - a plug-in for moecheck: the smallest variant that does both passes.
 *
 * It computes gated experts in float, one row after the other, for the cases that supports() lets
 * through. To make it yours: keep what stands at the end, replace forward() and backward() by your
 * kernels' launches, and let supports() and recipe() say the truth about them.
 *
 *   Z_r = X_t W1_e^T      A_r = silu(gate) up      O_t = sum over rows r of token t: s_r A_r W2_e^T
 *
 * The functions moe_* that it calls are the host's; there is nothing to link with.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/moe.h"
#include "verify/variant.h"

/* Elements by row-major index, for any type and strides. A real kernel takes tensor->data, its
 * dtype and its strides and does this on the device. */
static float get(const struct moe_tensor *tensor, int64_t index)
{
    return (float)moe_dtype_load(tensor->dtype, tensor->data, moe_tensor_position(tensor, index));
}

static void put(const struct moe_tensor *tensor, int64_t index, float value)
{
    moe_dtype_store(tensor->dtype, tensor->data, moe_tensor_position(tensor, index), value, 0);
}

static float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

/* ---- what it declares ----------------------------------------------------------------------- */

/* The first key of the case that is not done here is the reason given. */
static int supports(const struct moe_problem *problem, char *why, size_t size)
{
    const struct {
        int done;
        const char *key;
    } keys[] = {
        {problem->dtype == MOE_BF16 || problem->dtype == MOE_F32, "dtype: bf16 and f32 only"},
        {problem->act == MOE_SWIGLU, "act: swiglu only"},
        {problem->w1 == MOE_W1_INTERLEAVED, "w1: interleaved only"},
        {problem->router == MOE_LISTS, "router: lists only"},
        {!moe_problem_ragged(problem), "routing: not ragged"},
        {problem->weight == MOE_WEIGHT_AFTER_W2, "weight: after-w2 only"},
        {!problem->bias, "bias: 0 only"},
        {!problem->shared, "shared: 0 only"},
        {!problem->beta, "beta: 0 only"},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (!keys[i].done) {
            snprintf(why, size, "%s", keys[i].key);
            return MOE_E_UNSUPPORTED;
        }
    return MOE_OK;
}

/* Sums are kept in float: O or dX [T,H], one expert's dW1 [2I,H] and dW2 [H,I], and rows of it. */
struct space {
    float *sum, *dw1, *dw2, *a, *da, *dz;
};

static int64_t workspace_bytes(const struct moe_problem *problem)
{
    int64_t T = problem->T, H = problem->H, I = problem->I;
    return (int64_t)sizeof(float) * (T * H + 3 * I * H + 4 * I);
}

static struct space divide(const struct moe_problem *problem, void *workspace)
{
    struct space space;
    space.sum = workspace;
    space.dw1 = space.sum + problem->T * problem->H;
    space.dw2 = space.dw1 + 2 * problem->I * problem->H;
    space.a = space.dw2 + problem->H * problem->I;
    space.da = space.a + problem->I;
    space.dz = space.da + problem->I;
    memset(workspace, 0, (size_t)workspace_bytes(problem));
    return space;
}

static int64_t kept_bytes(const struct moe_problem *problem)
{
    (void)problem; /* z, picks and scores are tensors of the case and need no room here */
    return 0;
}

/* Float arithmetic, float sums, Z rounded to its type before it is used: the plain recipe. dX is
 * not summed expert by expert but as one chain over the 2I terms of all K of them. */
static void recipe(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    *recipe = moe_recipe_plain(problem, MOE_F32);
    recipe->product[MOE_IN_DX].extra = (int)(problem->K * 2 * problem->I);
}

/* ---- the two passes ------------------------------------------------------------------------- */

/* Rows stand by expert, then by token: z has them in this order. -1 is a dropped pick. */
static int forward(void *state, const struct moe_call *call)
{
    const struct moe_problem *problem = state;
    const struct moe_tensor *t = call->tensors;
    int64_t T = problem->T, H = problem->H, I = problem->I, K = problem->K, row = 0;
    if (moe_call_check(call, workspace_bytes(problem), 0) != MOE_OK)
        return MOE_E_USAGE;
    struct space space = divide(problem, call->workspace);

    for (int64_t e = 0; e < problem->E; e++)
        for (int64_t entry = 0; entry < T * K; entry++) {
            if (get(&t[MOE_PICKS], entry) != (float)e)
                continue;
            int64_t token = entry / K;
            for (int64_t j = 0; j < 2 * I; j++) {
                float sum = 0;
                for (int64_t h = 0; h < H; h++)
                    sum += get(&t[MOE_X], token * H + h) * get(&t[MOE_W1], (e * 2 * I + j) * H + h);
                put(&t[MOE_Z], row * 2 * I + j, sum);
            }
            for (int64_t i = 0; i < I; i++) {
                float gate = get(&t[MOE_Z], row * 2 * I + 2 * i);
                float up = get(&t[MOE_Z], row * 2 * I + 2 * i + 1);
                space.a[i] = gate * sigmoid(gate) * up;
            }
            for (int64_t h = 0; h < H; h++) {
                float y = 0;
                for (int64_t i = 0; i < I; i++)
                    y += space.a[i] * get(&t[MOE_W2], (e * H + h) * I + i);
                space.sum[token * H + h] += get(&t[MOE_SCORES], entry) * y;
            }
            row++;
        }
    for (int64_t i = 0; i < T * H; i++)
        put(&t[MOE_O], i, space.sum[i]);
    return MOE_OK;
}

/* dA' = dO W2, ds = <dA', A>, dZ = act'(Z) (s dA'), dX += dZ W1, dW1 += dZ X^T, dW2 += dO (s A)^T.
 */
static void backward_row(const struct moe_problem *problem, const struct moe_tensor *t, int64_t e,
                         int64_t row, int64_t entry, const struct space *space)
{
    int64_t H = problem->H, I = problem->I, token = entry / problem->K;
    float s = get(&t[MOE_SCORES], entry), ds = 0;
    for (int64_t i = 0; i < I; i++) {
        float gate = get(&t[MOE_Z], row * 2 * I + 2 * i);
        float up = get(&t[MOE_Z], row * 2 * I + 2 * i + 1);
        float p = sigmoid(gate), da = 0;
        for (int64_t h = 0; h < H; h++)
            da += get(&t[MOE_DO], token * H + h) * get(&t[MOE_W2], (e * H + h) * I + i);
        space->a[i] = gate * p * up;
        ds += da * space->a[i];
        space->dz[2 * i] = s * da * up * (p + gate * p * (1 - p));
        space->dz[2 * i + 1] = s * da * gate * p;
    }
    put(&t[MOE_DS], entry, ds);
    for (int64_t h = 0; h < H; h++) {
        for (int64_t j = 0; j < 2 * I; j++) {
            space->sum[token * H + h] += space->dz[j] * get(&t[MOE_W1], (e * 2 * I + j) * H + h);
            space->dw1[j * H + h] += space->dz[j] * get(&t[MOE_X], token * H + h);
        }
        for (int64_t i = 0; i < I; i++)
            space->dw2[h * I + i] += get(&t[MOE_DO], token * H + h) * s * space->a[i];
    }
}

/* Every element of every output is written: ds of dropped picks and gradients of experts without
 * rows are 0. */
static int backward(void *state, const struct moe_call *call)
{
    const struct moe_problem *problem = state;
    const struct moe_tensor *t = call->tensors;
    int64_t T = problem->T, H = problem->H, I = problem->I, K = problem->K, row = 0;
    if (moe_call_check(call, workspace_bytes(problem), 0) != MOE_OK)
        return MOE_E_USAGE;
    struct space space = divide(problem, call->workspace);

    for (int64_t entry = 0; entry < T * K; entry++)
        put(&t[MOE_DS], entry, 0);
    for (int64_t e = 0; e < problem->E; e++) {
        memset(space.dw1, 0, (size_t)(2 * I * H) * sizeof(float));
        memset(space.dw2, 0, (size_t)(H * I) * sizeof(float));
        for (int64_t entry = 0; entry < T * K; entry++)
            if (get(&t[MOE_PICKS], entry) == (float)e)
                backward_row(problem, t, e, row++, entry, &space);
        for (int64_t j = 0; j < 2 * I * H; j++)
            put(&t[MOE_DW1], e * 2 * I * H + j, space.dw1[j]);
        for (int64_t j = 0; j < H * I; j++)
            put(&t[MOE_DW2], e * H * I + j, space.dw2[j]);
    }
    for (int64_t i = 0; i < T * H; i++)
        put(&t[MOE_DX], i, space.sum[i]);
    return MOE_OK;
}

/* ---- the variant and its plug-in ------------------------------------------------------------ */

/* The state is a copy of the case; a GPU's variant would also hold its module and its handles. */
static int open_example(struct moe_device *device, const struct moe_problem *problem,
                        int32_t configuration, void **state)
{
    (void)device, (void)configuration;
    struct moe_problem *copy = malloc(sizeof *copy);
    if (!copy)
        return moe_error(MOE_E_NOMEM, "example: no memory");
    *copy = *problem;
    *state = copy;
    return MOE_OK;
}

static const struct moe_variant example = {
    .struct_size = sizeof(struct moe_variant),
    .devices = MOE_ON_CPU,
    .flags = MOE_DETERMINISTIC | MOE_BATCH_INVARIANT,
    .name = "example",
    .summary = "swiglu experts from lists, in float",
    .supports = supports,
    .workspace_bytes = workspace_bytes,
    .kept_bytes = kept_bytes,
    .recipe = recipe,
    .open = open_example,
    .forward = forward,
    .backward = backward,
    .close = free,
};

static const struct moe_variant *const variants[] = {&example};

const struct moe_plugin *moe_plugin(void)
{
    static const struct moe_plugin plugin = {
        .struct_size = sizeof(struct moe_plugin),
        .version = MOE_PLUGIN_VERSION,
        .problem_size = sizeof(struct moe_problem),
        .tensor_size = sizeof(struct moe_tensor),
        .tensor_count = MOE_TENSOR_COUNT,
        .recipe_size = sizeof(struct moe_recipe),
        .call_size = sizeof(struct moe_call),
        .variant_count = sizeof variants / sizeof variants[0],
        .variants = variants,
    };
    return &plugin;
}

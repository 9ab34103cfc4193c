/*
 * model.c - the models as variants: algorithms, memory, the order of launches.
 */
#include <stdio.h>
#include <stdlib.h>

#include "verify/model.h"
#include "verify/registry.h"

/* Names of the configurations and the rows of their tiles; 0: the algorithm's own. */
static const char *const configuration_name[] = {"default", "tile-8", "tile-64"};
static const int configuration_tile[] = {0, 8, 64};
#define CONFIGURATIONS ((int32_t)(sizeof configuration_tile / sizeof *configuration_tile))

#define TILE_MAX 64
#define SLACK 64 /* elements: what a product one too long meets */
#define PARTIALS 4

/* ---- memory ---------------------------------------------------------------------------------- */

/* Counts bytes where base is NULL. */
struct arena {
    char *base;
    int64_t used;
};

static void *take(struct arena *arena, int64_t count)
{
    void *at = arena->base ? arena->base + arena->used : NULL;
    arena->used += 8 * count;
    return at;
}

static int64_t at_least(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t lay_out_workspace(const struct moe_problem *p, char *base, struct model_space *space)
{
    struct arena arena = {base, 0};
    int64_t P = moe_problem_max_entries(p), Z = moe_problem_z_rows(p), H = p->H, I = p->I, E = p->E;
    int64_t longest = at_least(at_least(at_least(P, p->T), at_least(Z, H)), at_least(I, E));
    space->count = take(&arena, E);
    space->cursor = take(&arena, E);
    space->a = take(&arena, P * I + SLACK);
    space->sa = take(&arena, P * I + SLACK);
    space->dz = take(&arena, P * Z + SLACK);
    space->y = take(&arena, at_least(P, p->T) * H);
    space->ds = take(&arena, P);
    space->dlogits = take(&arena, p->T * E + SLACK);
    space->z = take(&arena, P * Z + SLACK);
    space->stage_x = take(&arena, TILE_MAX * H + SLACK);
    space->stage_w = take(&arena, at_least(at_least(Z, I), E) * H + SLACK);
    space->column = take(&arena, longest + SLACK);
    space->other = take(&arena, longest + SLACK);
    space->partial = take(&arena, PARTIALS);
    return arena.used;
}

static int64_t lay_out_kept(const struct moe_problem *p, char *base, struct model_kept *kept)
{
    struct arena arena = {base, 0};
    int64_t P = moe_problem_max_entries(p);
    kept->offset = take(&arena, p->E + 1);
    kept->row_token = take(&arena, P);
    kept->row_entry = take(&arena, P);
    kept->entry_row = take(&arena, P);
    kept->a = take(&arena, P * p->I);
    return arena.used;
}

int64_t model_workspace_bytes(const struct moe_problem *problem)
{
    struct model_space space;
    return lay_out_workspace(problem, NULL, &space);
}

int64_t model_kept_bytes(const struct moe_problem *problem)
{
    struct model_kept kept;
    return lay_out_kept(problem, NULL, &kept);
}

/* ---- passes ---------------------------------------------------------------------------------- */

static int begin(struct model *m, const struct moe_call *call)
{
    int64_t workspace = model_workspace_bytes(&m->problem), kept = model_kept_bytes(&m->problem);
    int status = fault(m, ROOM_NOT_CHECKED) ? MOE_OK : moe_call_check(call, workspace, kept);
    if (status != MOE_OK)
        return status;
    m->call = call;
    m->launches++;
    lay_out_workspace(&m->problem, call->workspace, &m->space);
    lay_out_kept(&m->problem, call->kept, &m->kept);
    return MOE_OK;
}

static int forward(void *state, const struct moe_call *call)
{
    struct model *m = state;
    int status = begin(m, call);
    if (status != MOE_OK || model_launch_before(m, 0, &status))
        return status;
    if (m->problem.router != MOE_LISTS) {
        model_logits(m);
        model_route(m);
    }
    status = model_order_rows(m);
    if (status != MOE_OK)
        return status;
    model_up(m);
    model_down(m);
    model_combine(m, m->space.y, MOE_O);
    model_launch_after(m, 0);
    return MOE_OK;
}

static int backward(void *state, const struct moe_call *call)
{
    struct model *m = state;
    int status = begin(m, call);
    if (status != MOE_OK || model_launch_before(m, 1, &status))
        return status;
    model_down_backward(m);
    model_weights_backward(m);
    model_up_backward(m);
    if (m->problem.router != MOE_LISTS)
        model_route_backward(m);
    model_combine(m, m->space.y, MOE_DX);
    model_launch_after(m, 1);
    return MOE_OK;
}

/* ---- the variants ---------------------------------------------------------------------------- */

/* Where A is formed from the sum and computed anew from the stored Z for the backward pass, Y of
 * the two passes differ, so ds = <dO, Y> goes with A from the stored Z only. */
static const struct model_algorithm algorithm[] = {
    {.order = ORDER_FORWARD, .from_rounded_z = 1, .tile = 16},
    {.order = ORDER_BLOCKED,
     .from_rounded_z = 1,
     .keep_a = 1,
     .round_a = 1,
     .round_sa = 1,
     .round_y = 1,
     .round_dz = 1,
     .round_sx = 1,
     .tile = 8},
    {.order = ORDER_PAIRWISE,
     .round_sa = 1,
     .round_da = 1,
     .round_dz = 1,
     .round_dxe = 1,
     .fold = 1,
     .tile = 16},
    {.order = ORDER_SPLIT,
     .from_rounded_z = 1,
     .round_a = 1,
     .round_y = 1,
     .round_dz = 1,
     .round_dxe = 1,
     .round_sx = 1,
     .atomic = 1,
     .ds_from_y = 1,
     .tile = 64},
    {.order = ORDER_TRUNCATING,
     .from_rounded_z = 1,
     .round_a = 1,
     .round_sa = 1,
     .round_da = 1,
     .round_dz = 1,
     .round_sx = 1,
     .ds_from_y = 1,
     .tile = 16},
    {.order = ORDER_TRUNCATING,
     .round_a = 1,
     .round_sa = 1,
     .round_y = 1,
     .round_da = 1,
     .round_dz = 1,
     .round_dxe = 1,
     .round_sx = 1,
     .fold = 1,
     .atomic = 1,
     .tile = 64},
};

static int supports(const struct moe_problem *problem, char *why, size_t size)
{
    if (problem->round != MOE_ROUND_NONE)
        snprintf(why, size, "round: the models do not round tokens");
    else if (problem->shared)
        snprintf(why, size, "shared: the models have no shared expert");
    else if (problem->aux != 0 || problem->zloss != 0)
        snprintf(why, size, "aux, zloss: the models have no losses");
    else
        return MOE_OK;
    return MOE_E_UNSUPPORTED;
}

static int supports_tensor_core(const struct moe_problem *problem, char *why, size_t size)
{
    if (problem->dtype == MOE_BF16 || problem->dtype == MOE_F16)
        return supports(problem, why, size);
    snprintf(why, size, "dtype: a tensor core multiplies bf16 and f16");
    return MOE_E_UNSUPPORTED;
}

static void recipe_of(const struct model_algorithm *how, const struct moe_problem *problem,
                      struct moe_recipe *recipe)
{
    int wide = problem->dtype == MOE_F64;
    const struct {
        enum moe_point point;
        int rounds;
    } points[] = {
        {MOE_AT_Z, how->from_rounded_z}, {MOE_AT_A, how->round_a},   {MOE_AT_SA, how->round_sa},
        {MOE_AT_Y, how->round_y},        {MOE_AT_DA, how->round_da}, {MOE_AT_DZ, how->round_dz},
        {MOE_AT_DXE, how->round_dxe},    {MOE_AT_SX, how->round_sx},
    };
    *recipe = moe_recipe_plain(problem, wide ? MOE_F64 : MOE_F32);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        recipe->at[points[i].point].when = points[i].rounds ? MOE_ALWAYS : MOE_NEVER;
    for (int product = 0; product < MOE_PRODUCT_COUNT; product++)
        if (how->order == ORDER_TRUNCATING && product != MOE_IN_O && product != MOE_IN_DX &&
            product != MOE_IN_DS)
            recipe->product[product].accumulator = MOE_ACC_MMA16_F32;
    recipe->ds = how->ds_from_y ? MOE_DS_DO_Y : MOE_DS_DA_A;
}

static int open_as(const struct model_algorithm *how, const struct moe_problem *problem,
                   int32_t configuration, void **state)
{
    struct model *m = calloc(1, sizeof *m);
    if (!m)
        return moe_error(MOE_E_NOMEM, "model: no memory for its state");
    m->problem = *problem;
    m->algorithm = how;
    m->act = moe_act_info(problem->act);
    m->wide = problem->dtype == MOE_F64;
    m->Z = moe_problem_z_rows(problem);
    m->tile = configuration_tile[configuration] ? configuration_tile[configuration] : how->tile;
    if (model_planted) {
        m->fault = *model_planted;
        if (model_planted_level)
            m->fault.level = model_planted_level;
        if (m->fault.configuration > 0 && configuration != m->fault.configuration)
            m->fault.place = MOE_FAULT_NOWHERE;
    }
    *state = m;
    return MOE_OK;
}

static void recipe_forward(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    recipe_of(&algorithm[0], problem, recipe);
}

static int open_forward(struct moe_device *device, const struct moe_problem *problem,
                        int32_t configuration, void **state)
{
    (void)device;
    return open_as(&algorithm[0], problem, configuration, state);
}

static void recipe_blocked(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    recipe_of(&algorithm[1], problem, recipe);
}

static int open_blocked(struct moe_device *device, const struct moe_problem *problem,
                        int32_t configuration, void **state)
{
    (void)device;
    return open_as(&algorithm[1], problem, configuration, state);
}

static void recipe_pairwise(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    recipe_of(&algorithm[2], problem, recipe);
}

static int open_pairwise(struct moe_device *device, const struct moe_problem *problem,
                         int32_t configuration, void **state)
{
    (void)device;
    return open_as(&algorithm[2], problem, configuration, state);
}

static void recipe_split(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    recipe_of(&algorithm[3], problem, recipe);
}

static int open_split(struct moe_device *device, const struct moe_problem *problem,
                      int32_t configuration, void **state)
{
    (void)device;
    return open_as(&algorithm[3], problem, configuration, state);
}

static void recipe_mma(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    recipe_of(&algorithm[4], problem, recipe);
}

static int open_mma(struct moe_device *device, const struct moe_problem *problem,
                    int32_t configuration, void **state)
{
    (void)device;
    return open_as(&algorithm[4], problem, configuration, state);
}

static void recipe_mma_fold(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    recipe_of(&algorithm[5], problem, recipe);
}

static int open_mma_fold(struct moe_device *device, const struct moe_problem *problem,
                         int32_t configuration, void **state)
{
    (void)device;
    return open_as(&algorithm[5], problem, configuration, state);
}

static const struct moe_variant model[] = {
    {
        .struct_size = sizeof(struct moe_variant),
        .devices = MOE_ON_CPU,
        .flags = MOE_DETERMINISTIC | MOE_BATCH_INVARIANT,
        .name = "model-forward",
        .summary = "chains of f32, A from the stored Z",
        .supports = supports,
        .configurations = configuration_name,
        .configuration_count = CONFIGURATIONS,
        .workspace_bytes = model_workspace_bytes,
        .kept_bytes = model_kept_bytes,
        .recipe = recipe_forward,
        .open = open_forward,
        .forward = forward,
        .backward = backward,
        .close = free,
    },
    {
        .struct_size = sizeof(struct moe_variant),
        .devices = MOE_ON_CPU,
        .flags = MOE_DETERMINISTIC | MOE_BATCH_INVARIANT,
        .name = "model-blocked",
        .summary = "sums of 16 at a time, A kept, Y rounded",
        .supports = supports,
        .configurations = configuration_name,
        .configuration_count = CONFIGURATIONS,
        .workspace_bytes = model_workspace_bytes,
        .kept_bytes = model_kept_bytes,
        .recipe = recipe_blocked,
        .open = open_blocked,
        .forward = forward,
        .backward = backward,
        .close = free,
    },
    {
        .struct_size = sizeof(struct moe_variant),
        .devices = MOE_ON_CPU,
        .flags = MOE_DETERMINISTIC | MOE_BATCH_INVARIANT,
        .name = "model-pairwise",
        .summary = "sums by halves, A from the sum, s folded, ds from Y",
        .supports = supports,
        .configurations = configuration_name,
        .configuration_count = CONFIGURATIONS,
        .workspace_bytes = model_workspace_bytes,
        .kept_bytes = model_kept_bytes,
        .recipe = recipe_pairwise,
        .open = open_pairwise,
        .forward = forward,
        .backward = backward,
        .close = free,
    },
    {
        .struct_size = sizeof(struct moe_variant),
        .devices = MOE_ON_CPU,
        .flags = MOE_DETERMINISTIC,
        .name = "model-split",
        .summary = "split-K, rows added in any order",
        .supports = supports,
        .configurations = configuration_name,
        .configuration_count = CONFIGURATIONS,
        .workspace_bytes = model_workspace_bytes,
        .kept_bytes = model_kept_bytes,
        .recipe = recipe_split,
        .open = open_split,
        .forward = forward,
        .backward = backward,
        .close = free,
    },
    {
        .struct_size = sizeof(struct moe_variant),
        .devices = MOE_ON_CPU,
        .flags = MOE_DETERMINISTIC | MOE_BATCH_INVARIANT,
        .name = "model-mma",
        .summary = "a truncating tensor core",
        .supports = supports_tensor_core,
        .configurations = configuration_name,
        .configuration_count = CONFIGURATIONS,
        .workspace_bytes = model_workspace_bytes,
        .kept_bytes = model_kept_bytes,
        .recipe = recipe_mma,
        .open = open_mma,
        .forward = forward,
        .backward = backward,
        .close = free,
    },
    {
        .struct_size = sizeof(struct moe_variant),
        .devices = MOE_ON_CPU,
        .flags = MOE_DETERMINISTIC,
        .name = "model-mma-fold",
        .summary =
            "a truncating tensor core, everything rounded, s folded, rows added in any order",
        .supports = supports_tensor_core,
        .configurations = configuration_name,
        .configuration_count = CONFIGURATIONS,
        .workspace_bytes = model_workspace_bytes,
        .kept_bytes = model_kept_bytes,
        .recipe = recipe_mma_fold,
        .open = open_mma_fold,
        .forward = forward,
        .backward = backward,
        .close = free,
    },
};

int moe_models_add(void)
{
    const struct moe_variant *all[sizeof model / sizeof *model];
    uint32_t count = sizeof model / sizeof *model;
    for (uint32_t i = 0; i < count; i++)
        all[i] = &model[i];
    return moe_variant_add(all, count);
}

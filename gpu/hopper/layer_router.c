/*
 * layer_router.c - the router back: dL, and its products dL Wr [T,H], and dWr = dL^T X [E,H].
 *
 * dL is f32. Of bf16 cases it is cut into three pieces, and tensor cores multiply these: dL Wr
 * where tokens' rows are added. f16 has not the range for that, and its products are of plain f32.
 */
#include "gpu/hopper/layer.h"
#include "gpu/hopper/routing.h"
#include "gpu/parts_launch.h"

int hopper_layer_scores_back(struct hopper_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    struct route_back back = {
        .T = p->T,
        .E = p->E,
        .K = p->K,
        .offsets = layer->offsets,
        .router = p->router,
        .renorm = p->renorm,
        .scale = p->scale,
        .aux = p->aux * (double)p->E / (double)p->T,
        .zloss = 2 * p->zloss / (double)p->T,
        .logits = hopper_data(layer, MOE_LOGITS),
        .picks = hopper_data(layer, MOE_PICKS),
        .ds = hopper_data(layer, MOE_DS),
        .expert_begin = layer->kept.expert_begin,
        .dlogits = hopper_data(layer, MOE_DLOGITS),
        .width = hopper_router_width(p),
        .pieces = hopper_router_in_pieces(p) ? layer->space.router_pieces : NULL,
    };
    void *args[] = {&back};
    const int64_t tokens = BACK_THREADS / 8; /* of a block */
    return launch_blocks(&layer->queue, "hopper_route_back", (p->T + tokens - 1) / tokens,
                         BACK_THREADS, 0, args);
}

int hopper_router_in_pieces(const struct moe_problem *problem)
{
    return problem->router != MOE_LISTS && problem->dtype == MOE_BF16;
}

int64_t hopper_router_width(const struct moe_problem *problem)
{
    return (problem->E + 7) / 8 * 8;
}

/* ---- slices of the tokens: enough blocks for any GPU, and few enough to add up ----------------
 */

#define SLICE_TOKENS 1024
#define BLOCKS 256
#define GATE_TOKENS 256
#define GATE_SLICES 64

static int64_t divided(int64_t count, int64_t by)
{
    return (count + by - 1) / by;
}

int64_t hopper_router_slices(const struct moe_problem *problem)
{
    const int64_t most = divided(problem->T, SLICE_TOKENS);
    const int64_t tiles =
        divided(3 * hopper_router_width(problem), TILE_ROWS) * divided(problem->H, 256);
    const int64_t enough = divided(BLOCKS, tiles);
    return hopper_router_in_pieces(problem) && enough < most ? enough : most;
}

int64_t hopper_gate_slices(const struct moe_problem *problem)
{
    const int64_t slices = divided(problem->T, GATE_TOKENS);
    return slices > GATE_SLICES ? GATE_SLICES : slices > 0 ? slices : 1;
}

int hopper_layer_add_parts(const struct hopper_layer *layer, int64_t count, int64_t parts,
                           int64_t stride, const float *from, enum moe_dtype dtype, void *gradient)
{
    int wide = dtype == MOE_F32, add = layer->problem->beta;
    void *args[] = {&count, &parts, &stride, &from, &wide, &add, &gradient};
    return hopper_launch(layer, "hopper_add_parts", count, args);
}

/* ---- in pieces ------------------------------------------------------------------------------ */

static int product_of_pieces(struct hopper_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    struct hopper_space *s = &layer->space;
    const int64_t columns = 3 * hopper_router_width(p), slices = hopper_router_slices(p);
    const struct hopper_gradient dw = {
        .dtype = layer->dtype,
        .d_dtype = MOE_F32,
        .N = p->T,
        .E = slices,
        .places = p->T,
        .p_cols = columns,
        .q_cols = p->H,
        .p = {s->router_pieces, NULL, columns},
        .q = {hopper_data(layer, MOE_X), NULL, p->H},
        .expert_begin = layer->kept.router_begin,
        .d = s->router_dw,
    };
    return hopper_gradient_run(&layer->queue, hopper_choose(layer, PRODUCT_GRADIENT, 0), &dw);
}

/* ---- in f32 --------------------------------------------------------------------------------- */

static int plain_products(struct hopper_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    struct hopper_space *s = &layer->space;
    const void *dl = hopper_data(layer, MOE_DLOGITS), *x = hopper_data(layer, MOE_X);
    const void *wr = hopper_data(layer, MOE_WR);
    int64_t T = p->T, H = p->H, E = p->E, S = hopper_router_slices(p);
    int64_t slice = divided(T, S);
    void *back_args[] = {&T, &H, &E, &dl, &wr, &s->router_dx};
    void *sum_args[] = {&T, &H, &E, &slice, &dl, &x, &s->router_dw};
    struct moe_launch launch = {
        .kernel = "hopper_router_dx_f16",
        .grid = {(uint32_t)divided(T, 64), (uint32_t)divided(H, 64), 1},
        .block = {256, 1, 1},
        .stream = layer->queue.stream,
        .args = back_args,
    };
    int status = moe_device_launch(layer->device, &launch);
    launch.kernel = "hopper_router_dw_f16";
    launch.grid[0] = (uint32_t)divided(H, 64);
    launch.grid[1] = (uint32_t)divided(E, 64);
    launch.grid[2] = (uint32_t)S;
    launch.args = sum_args;
    return status == MOE_OK ? moe_device_launch(layer->device, &launch) : status;
}

int hopper_layer_router_products(struct hopper_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    const int pieces = hopper_router_in_pieces(p);
    const int64_t part = (pieces ? hopper_router_width(p) : p->E) * p->H;
    const int64_t parts = hopper_router_slices(p) * (pieces ? 3 : 1);
    int status = MOE_OK;
    if (p->T > 0)
        status = pieces ? product_of_pieces(layer) : plain_products(layer);
    return status == MOE_OK
               ? hopper_layer_add_parts(layer, p->E * p->H, parts, part, layer->space.router_dw,
                                        layer->grad, hopper_data(layer, MOE_DWR))
               : status;
}

int hopper_layer_router_bias(struct hopper_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    float *parts = layer->space.bias_parts;
    const void *dl = hopper_data(layer, MOE_DLOGITS);
    int64_t T = p->T, E = p->E, slices = hopper_gate_slices(p), size = divided(T, slices);
    void *args[] = {&T, &E, &size, &dl, &parts};
    struct moe_launch launch = {
        .kernel = "hopper_router_db",
        .grid = {(uint32_t)divided(E, 32), (uint32_t)slices, 1},
        .block = {256, 1, 1},
        .stream = layer->queue.stream,
        .args = args,
    };
    const int status = moe_device_launch(layer->device, &launch);
    return status == MOE_OK ? hopper_layer_add_parts(layer, E, slices, E, parts, MOE_F32,
                                                     hopper_data(layer, MOE_DBR))
                            : status;
}

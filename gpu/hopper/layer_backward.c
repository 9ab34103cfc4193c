/*
 * layer_backward.c - the backward pass of the variant `hopper`: dA' goes back through the
 * activation in its product; dW2, dW1 and biases; dX~; ds; the router; dX.
 */
#include "gpu/fault.h"
#include "gpu/hopper/layer.h"
#include "gpu/parts_launch.h"

/* dZ, s A and the parts of <dA', A> from gathered rows of dO; of the shared expert where `shared`.
 */
static int back(struct hopper_layer *layer, int shared, int *part_count)
{
    const struct moe_problem *p = layer->problem;
    struct hopper_space *s = &layer->space;
    const int64_t units = shared ? p->shared : p->I;
    const enum product_form form = hopper_activation_form(p->act, 1);
    const int scored = shared ? p->shared_gate : p->weight != MOE_WEIGHT_INPUT;
    *part_count = (int)hopper_product_parts(form, hopper_choose(layer, form, shared), units);
    struct hopper_product product = {
        .form = form,
        .cols = units,
        .k = p->H,
        .a = hopper_data(layer, MOE_DO),
        .gather = shared ? NULL : layer->kept.row_token,
        .a_stride = p->H,
        .weights = hopper_data(layer, shared ? MOE_WS2 : MOE_W2),
        .back = {.shape = {units, (int32_t)p->act, (int32_t)p->w1, (float)p->act_clamp},
                 .z = shared ? s->shared_z : hopper_data(layer, MOE_Z),
                 .dz = shared ? s->shared_dz : s->dz,
                 .sa = shared ? s->shared_a : s->a,
                 .score = !scored  ? NULL
                          : shared ? s->gate
                                   : layer->kept.row_score,
                 .parts = scored ? s->parts : NULL,
                 .part_count = *part_count},
    };
    return hopper_layer_product(layer, shared, &product);
}

/* dW2 = sum dO (sA)^T and dW1 = sum dZ X^T. */
static int weights(struct hopper_layer *layer, int shared)
{
    const struct moe_problem *p = layer->problem;
    struct hopper_space *s = &layer->space;
    const int64_t *gather = shared ? NULL : layer->kept.row_token;
    const int64_t units = shared ? p->shared : p->I, Z = shared ? layer->U : layer->Z;
    const int scaled = !shared && p->weight == MOE_WEIGHT_INPUT;
    struct hopper_gradient dw2 = {
        .p_cols = p->H,
        .q_cols = units,
        .p = {hopper_data(layer, MOE_DO), gather, p->H},
        .q = {shared ? s->shared_a : s->a, NULL, units},
        .d = hopper_data(layer, shared ? MOE_DWS2 : MOE_DW2),
    };
    struct hopper_gradient dw1 = {
        .p_cols = p->H,
        .q_cols = Z,
        .p = {scaled ? s->sx : hopper_data(layer, MOE_X), scaled ? NULL : gather, p->H},
        .q = {shared ? s->shared_dz : s->dz, NULL, Z},
        .d = hopper_data(layer, shared ? MOE_DWS1 : MOE_DW1),
        .turned = 1,
    };
    const int status = hopper_layer_gradient(layer, shared, &dw2);
    return status == MOE_OK ? hopper_layer_gradient(layer, shared, &dw1) : status;
}

static int sum_columns(const struct hopper_layer *layer, int64_t E, struct column_sums sums)
{
    void *args[] = {&sums};
    struct moe_launch launch = {
        .kernel = layer->dtype == MOE_BF16 ? "hopper_sum_columns_bf16" : "hopper_sum_columns_f16",
        .grid = {(uint32_t)((sums.cols + 255) / 256), (uint32_t)E, 1},
        .block = {256, 1, 1},
        .stream = layer->queue.stream,
        .args = args,
    };
    return moe_device_launch(layer->device, &launch);
}

/* db1 = sum dZ, db2 = sum (s) dO. */
static int biases(struct hopper_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    struct column_sums db1 = {
        .cols = layer->Z,
        .expert_begin = layer->kept.expert_begin,
        .q = layer->space.dz,
        .d = hopper_data(layer, MOE_DB1),
        .wide = layer->grad == MOE_F32,
        .add = p->beta,
    };
    struct column_sums db2 = {
        .cols = p->H,
        .expert_begin = layer->kept.expert_begin,
        .gather = layer->kept.row_token,
        .score = p->weight == MOE_WEIGHT_AFTER_W2 ? layer->kept.row_score : NULL,
        .q = hopper_data(layer, MOE_DO),
        .d = hopper_data(layer, MOE_DB2),
        .wide = layer->grad == MOE_F32,
        .add = p->beta,
    };
    const int status = sum_columns(layer, p->E, db1);
    return status == MOE_OK ? sum_columns(layer, p->E, db2) : status;
}

/* out = dZ W1, a row of each expert. */
static int expert_dx(struct hopper_layer *layer, int shared)
{
    const struct moe_problem *p = layer->problem;
    struct hopper_space *s = &layer->space;
    struct hopper_product product = {
        .form = PRODUCT_BACKWARD,
        .cols = p->H,
        .k = shared ? layer->U : layer->Z,
        .a = shared ? s->shared_dz : s->dz,
        .a_stride = shared ? layer->U : layer->Z,
        .weights = hopper_data(layer, shared ? MOE_WS1 : MOE_W1),
        .store = {.d = shared ? s->shared_y : s->y, .stride = p->H},
    };
    return hopper_layer_product(layer, shared, &product);
}

/* The kernel, for up to `count` rows: as many lanes a row as there are parts to add, a whole warp
 * where rows of H are multiplied. */
static int launch_score_gradients(struct hopper_layer *layer, int64_t count,
                                  struct row_gradients *rows)
{
    void *args[] = {rows};
    rows->lanes = rows->b2 || rows->dxe ? 32 : 1;
    while (rows->lanes < 32 && rows->lanes < rows->part_count)
        rows->lanes *= 2;
    return hopper_launch(layer, "hopper_score_gradients", count * rows->lanes, args);
}

/* ds of every entry, and 0 where dropped: of lists alone. */
static int score_gradients(struct hopper_layer *layer, int part_count)
{
    const struct moe_problem *p = layer->problem;
    const int input = p->weight == MOE_WEIGHT_INPUT;
    struct row_gradients rows = {
        .E = p->E,
        .H = p->H,
        .expert_begin = layer->kept.expert_begin,
        .row_token = layer->kept.row_token,
        .row_entry = layer->kept.row_entry,
        .parts = input ? NULL : layer->space.parts,
        .part_count = part_count,
        .d_o = hopper_data(layer, MOE_DO),
        .b2 = p->weight == MOE_WEIGHT_AFTER_W2 ? hopper_data(layer, MOE_B2) : NULL,
        .dxe = input ? layer->space.y : NULL,
        .x = hopper_data(layer, MOE_X),
        .ds = hopper_data(layer, MOE_DS),
    };
    int64_t T = p->T, K = p->K;
    void *clearing[] = {&T, &K, &layer->offsets, &layer->kept.entry_row, &rows.ds};
    int status = MOE_OK;
    if (p->router == MOE_LISTS)
        status = launch_elements(&layer->queue, "hopper_clear_dropped", layer->N, clearing);
    return status == MOE_OK ? launch_score_gradients(layer, layer->N, &rows) : status;
}

/* s X of each row, for dW1. */
static int scale_rows(struct hopper_layer *layer)
{
    int64_t E = layer->problem->E, H = layer->problem->H;
    const void *x = hopper_data(layer, MOE_X);
    void *args[] = {&E,
                    &H,
                    &layer->kept.expert_begin,
                    &layer->kept.row_token,
                    &layer->kept.row_score,
                    &x,
                    &layer->space.sx};
    return hopper_launch(layer, "hopper_scale_rows", layer->N * (H / 8), args);
}

static int experts(struct hopper_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    int part_count = 0, status = back(layer, 0, &part_count);
    if (status == MOE_OK && p->weight == MOE_WEIGHT_INPUT)
        status = scale_rows(layer);
    if (status == MOE_OK)
        status = expert_dx(layer, 0);
    if (status == MOE_OK)
        status = weights(layer, 0);
    if (status == MOE_OK && p->bias)
        status = biases(layer);
    return status == MOE_OK ? score_gradients(layer, part_count) : status;
}

/* ---- the router --------------------------------------------------------------------------- */

static int router(struct hopper_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    int status = hopper_layer_scores_back(layer);
    if (status == MOE_OK)
        status = hopper_layer_router_products(layer);
    return status == MOE_OK && p->router_bias ? hopper_layer_router_bias(layer) : status;
}

/* ---- the shared expert: an expert whose rows are the tokens and whose score is its gate --- */

/* z and the gate once more: they are not kept. */
static int shared_again(struct hopper_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    struct hopper_space *s = &layer->space;
    const void *x = hopper_data(layer, MOE_X), *wsg = hopper_data(layer, MOE_WSG);
    int64_t T = p->T, H = p->H;
    struct hopper_product product = {
        .form = PRODUCT_FORWARD,
        .cols = layer->U,
        .k = H,
        .a = x,
        .a_stride = H,
        .weights = hopper_data(layer, MOE_WS1),
        .store = {.d = s->shared_z, .stride = layer->U},
    };
    const int status = hopper_layer_product(layer, 1, &product);
    void *args[] = {&T, &H, &x, &wsg, &s->gate};
    return status == MOE_OK && p->shared_gate
               ? hopper_launch(layer, "hopper_shared_gate", T * 32, args)
               : status;
}

/* q [T] = gate (1 - gate) <dA', A>, and dwsg = sum q x. */
static int shared_gate_back(struct hopper_layer *layer, int part_count)
{
    const struct moe_problem *p = layer->problem;
    struct hopper_space *s = &layer->space;
    int64_t T = p->T;
    struct row_gradients rows = {
        .E = 1,
        .H = p->H,
        .expert_begin = layer->kept.token_begin,
        .parts = s->parts,
        .part_count = part_count,
        .ds = s->q,
    };
    const int64_t slices = hopper_gate_slices(p);
    struct column_sums parts = {
        .cols = p->H,
        .expert_begin = layer->kept.gate_begin,
        .score = s->q,
        .q = hopper_data(layer, MOE_X),
        .d = s->gate_parts,
        .wide = 1,
    };
    void *sloping[] = {&T, &s->gate, &s->q};
    int status = launch_score_gradients(layer, T, &rows);
    if (status == MOE_OK)
        status = launch_elements(&layer->queue, "hopper_shared_gate_back", T, sloping);
    if (status == MOE_OK)
        status = sum_columns(layer, slices, parts);
    return status == MOE_OK ? hopper_layer_add_parts(layer, p->H, slices, p->H, s->gate_parts,
                                                     layer->grad, hopper_data(layer, MOE_DWSG))
                            : status;
}

static int shared_expert(struct hopper_layer *layer)
{
    int part_count = 0, status = planted(FAULT_SHARED_NOT_AGAIN) ? MOE_OK : shared_again(layer);
    if (status == MOE_OK)
        status = back(layer, 1, &part_count);
    if (status == MOE_OK)
        status = expert_dx(layer, 1);
    if (status == MOE_OK)
        status = weights(layer, 1);
    return status == MOE_OK && layer->problem->shared_gate ? shared_gate_back(layer, part_count)
                                                           : status;
}

/* dX, with dL Wr that is already there, or that is made from pieces of dL. */
static int sum_tokens(struct hopper_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    struct hopper_space *s = &layer->space;
    const int routes = p->router != MOE_LISTS && !planted(FAULT_NO_ROUTER_DX);
    const int pieces = routes && p->T > 0 && hopper_router_in_pieces(p);
    const int64_t tiles = (p->T + ROUTER_SUMS_TOKENS - 1) / ROUTER_SUMS_TOKENS;
    const int64_t columns = (p->H + ROUTER_SUMS_COLUMNS - 1) / ROUTER_SUMS_COLUMNS;
    struct router_sums sums = {
        .sums = {.T = p->T,
                 .H = p->H,
                 .K = p->K,
                 .offsets = layer->offsets,
                 .entry_row = layer->kept.entry_row,
                 .y = s->y,
                 .scores = p->weight == MOE_WEIGHT_INPUT ? hopper_data(layer, MOE_SCORES) : NULL,
                 .shared = p->shared > 0 && !planted(FAULT_NO_SHARED_DX) ? s->shared_y : NULL,
                 .extra = routes && !pieces ? s->router_dx : NULL,
                 .q = p->shared_gate ? s->q : NULL,
                 .wsg = hopper_data(layer, MOE_WSG),
                 .out = hopper_data(layer, MOE_DX)},
        .E = p->E,
        .width = hopper_router_width(p),
        .pieces = s->router_pieces,
        .wr = hopper_data(layer, MOE_WR),
    };
    void *args[] = {pieces ? (void *)&sums : (void *)&sums.sums};
    return pieces ? launch_blocks(&layer->queue, "hopper_router_sums", tiles * columns,
                                  ROUTER_SUMS_THREADS, ROUTER_SUMS_BYTES, args)
                  : hopper_launch(layer, "hopper_aggregate", p->T * (p->H / 8), args);
}

int hopper_layer_backward(struct hopper_layer *layer)
{
    int status = experts(layer);
    if (status == MOE_OK && layer->problem->router != MOE_LISTS)
        status = router(layer);
    if (status == MOE_OK && layer->problem->shared > 0)
        status = shared_expert(layer);
    return status == MOE_OK ? sum_tokens(layer) : status;
}

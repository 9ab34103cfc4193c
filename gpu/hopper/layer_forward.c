/*
 * layer_forward.c - the forward pass of the variant `hopper`: the routing; Z and A from gathered
 * rows in one product; Y; O. Nothing is read back by the host.
 */
#include "gpu/fault.h"
#include "gpu/hopper/layer.h"

/* Z and A of the routed rows. */
static int up(struct hopper_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    struct hopper_product product = {
        .form = hopper_activation_form(p->act, 0),
        .cols = layer->Z,
        .k = p->H,
        .a = hopper_data(layer, MOE_X),
        .gather = layer->kept.row_token,
        .a_stride = p->H,
        .weights = hopper_data(layer, MOE_W1),
        .activate = {.shape = {p->I, (int32_t)p->act, (int32_t)p->w1, (float)p->act_clamp},
                     .z = hopper_data(layer, MOE_Z),
                     .a = layer->space.a,
                     .bias = hopper_data(layer, MOE_B1),
                     .score_of_z = p->weight == MOE_WEIGHT_INPUT ? layer->kept.row_score : NULL,
                     .score_of_a = p->weight == MOE_WEIGHT_BEFORE_W2 || planted(FAULT_SCORE_TWICE)
                                       ? layer->kept.row_score
                                       : NULL},
    };
    return hopper_layer_product(layer, 0, &product);
}

static int down(struct hopper_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    struct hopper_product product = {
        .form = PRODUCT_FORWARD,
        .cols = p->H,
        .k = p->I,
        .a = layer->space.a,
        .a_stride = p->I,
        .weights = hopper_data(layer, MOE_W2),
        .store = {.d = layer->space.y, .stride = p->H, .bias = hopper_data(layer, MOE_B2)},
    };
    return hopper_layer_product(layer, 0, &product);
}

/* Ys [T,H] of the shared expert, and its gate. */
static int shared_expert(struct hopper_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    struct hopper_space *s = &layer->space;
    const void *x = hopper_data(layer, MOE_X), *wsg = hopper_data(layer, MOE_WSG);
    int64_t T = p->T, H = p->H;
    struct hopper_product product = {
        .form = hopper_activation_form(p->act, 0),
        .cols = layer->U,
        .k = H,
        .a = x,
        .a_stride = H,
        .weights = hopper_data(layer, MOE_WS1),
        .activate = {.shape = {p->shared, (int32_t)p->act, (int32_t)p->w1, (float)p->act_clamp},
                     .z = s->shared_z,
                     .a = s->shared_a},
    };
    struct hopper_product out = {
        .form = PRODUCT_FORWARD,
        .cols = H,
        .k = p->shared,
        .a = s->shared_a,
        .a_stride = p->shared,
        .weights = hopper_data(layer, MOE_WS2),
        .store = {.d = s->shared_y, .stride = H},
    };
    int status = hopper_layer_product(layer, 1, &product);
    if (status == MOE_OK)
        status = hopper_layer_product(layer, 1, &out);
    void *args[] = {&T, &H, &x, &wsg, &s->gate};
    if (status == MOE_OK && p->shared_gate)
        status = hopper_launch(layer, "hopper_shared_gate", T * 32, args);
    return status;
}

static int aggregate(struct hopper_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    struct token_sums sums = {
        .T = p->T,
        .H = p->H,
        .K = p->K,
        .offsets = layer->offsets,
        .entry_row = layer->kept.entry_row,
        .y = layer->space.y,
        .scores = p->weight == MOE_WEIGHT_AFTER_W2 ? hopper_data(layer, MOE_SCORES) : NULL,
        .shared = p->shared > 0 ? layer->space.shared_y : NULL,
        .gate = p->shared_gate ? layer->space.gate : NULL,
        .out = hopper_data(layer, MOE_O),
    };
    void *args[] = {&sums};
    return hopper_launch(layer, "hopper_aggregate", p->T * (p->H / 8), args);
}

int hopper_layer_forward(struct hopper_layer *layer, uint32_t *status_word)
{
    const struct moe_problem *p = layer->problem;
    int status = hopper_layer_route(layer, status_word);
    if (status == MOE_OK)
        status = up(layer);
    if (status == MOE_OK)
        status = down(layer);
    if (status == MOE_OK && p->shared > 0)
        status = shared_expert(layer);
    return status == MOE_OK ? aggregate(layer) : status;
}

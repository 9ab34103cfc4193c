/*
 * cublas_forward.c - the forward pass of the variant `cublas`, in the order of the formulas:
 * logits, picks and scores; rows; Z = X W1^T + b1; A = act(Z); Y = A W2^T + b2; O = sum of s Y.
 */
#include "gpu/cublas_layer.h"

/* Picks, scores (and offsets) from the logits. */
static int route(struct cublas_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    void *logits = tensor_data(layer, MOE_LOGITS), *br = tensor_data(layer, MOE_BR);
    int32_t *picks = tensor_data(layer, MOE_PICKS);
    int rounded = p->round != MOE_ROUND_NONE;
    int status =
        cublas_product(layer, CUBLAS_NT, p->T, p->E, p->H, layer->dtype, tensor_data(layer, MOE_X),
                       tensor_data(layer, MOE_WR), layer->scalar, logits, 0);
    if (status == MOE_OK && br)
        status = moe_gpu_add_bias(&layer->queue, 1, p->T, p->E, layer->scalar, logits,
                                  layer->scalar, br, NULL, layer->scalar, logits);
    if (status == MOE_OK)
        status = moe_gpu_route_top(&layer->queue, p, logits, tensor_data(layer, MOE_SEL_BIAS),
                                   rounded ? layer->space.top : picks);
    if (status == MOE_OK && rounded)
        status = moe_gpu_round(&layer->queue, p, logits, layer->space.top, layer->space.rounding,
                               tensor_data(layer, MOE_OFFSETS), picks);
    if (status == MOE_OK)
        status = moe_gpu_score(&layer->queue, p, layer->offsets, logits, picks,
                               tensor_data(layer, MOE_SCORES));
    return status;
}

/* out [N,n] = in [N,k] W_e^T + b_e for the rows of every expert. With a bias the product stays in
 * the computing type until it is added: cuBLAS's own C += A B rounds the product to 16 bits first,
 * in some of its kernels. */
static int project(struct cublas_layer *layer, const void *in, int64_t k, enum moe_tensor_id weight,
                   enum moe_tensor_id bias, int64_t n, void *out)
{
    int biased = tensor_data(layer, bias) != NULL, status = MOE_OK;
    enum moe_dtype to = biased ? layer->compute : layer->dtype;
    void *product = biased ? layer->space.wide : out;
    for (int64_t e = 0; e < layer->problem->E && status == MOE_OK; e++) {
        int64_t first = layer->begin[e], m = layer->begin[e + 1] - first;
        if (m > 0)
            status = cublas_product(layer, CUBLAS_NT, m, n, k, layer->dtype,
                                    element(layer->dtype, in, first * k),
                                    element(layer->dtype, tensor_data(layer, weight), e * n * k),
                                    to, element(to, product, first * n), 0);
    }
    if (status == MOE_OK && biased)
        status = moe_gpu_add_bias(&layer->queue, layer->problem->E, layer->N, n, to, product,
                                  layer->dtype, tensor_data(layer, bias), layer->rows.expert_begin,
                                  layer->dtype, out);
    return status;
}

/* Ys [T,H] of the shared expert, and its gate. */
static int shared_expert(struct cublas_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    struct cublas_space *s = &layer->space;
    const void *x = tensor_data(layer, MOE_X);
    int status = cublas_product(layer, CUBLAS_NT, p->T, layer->U, p->H, layer->dtype, x,
                                tensor_data(layer, MOE_WS1), layer->dtype, s->shared_z, 0);
    if (status == MOE_OK)
        status =
            moe_gpu_activate(&layer->queue, p, p->T, p->shared, s->shared_z, NULL, s->shared_a);
    if (status == MOE_OK)
        status = cublas_product(layer, CUBLAS_NT, p->T, p->H, p->shared, layer->dtype, s->shared_a,
                                tensor_data(layer, MOE_WS2), layer->dtype, s->shared_y, 0);
    if (status == MOE_OK && p->shared_gate)
        status = moe_gpu_row_dots(&layer->queue, p->T, p->H, layer->dtype, x,
                                  tensor_data(layer, MOE_WSG), 1, s->gate);
    if (status == MOE_OK && p->shared_gate)
        status = moe_gpu_shared_gate(&layer->queue, p->T, s->gate);
    return status;
}

int cublas_layer_forward(struct cublas_layer *layer, uint32_t *status_word)
{
    const struct moe_problem *p = layer->problem;
    struct cublas_space *s = &layer->space;
    int status = p->router != MOE_LISTS ? route(layer) : MOE_OK;
    if (status == MOE_OK)
        status = cublas_layer_rows(layer, status_word);
    if (status == MOE_OK)
        status = moe_gpu_gather(&layer->queue, layer->dtype, layer->N, p->H,
                                tensor_data(layer, MOE_X), layer->rows.row_token,
                                p->weight == MOE_WEIGHT_INPUT ? s->row_score : NULL, s->x);
    if (status == MOE_OK)
        status = project(layer, s->x, p->H, MOE_W1, MOE_B1, layer->Z, tensor_data(layer, MOE_Z));
    if (status == MOE_OK)
        status = moe_gpu_activate(&layer->queue, p, layer->N, p->I, tensor_data(layer, MOE_Z),
                                  p->weight == MOE_WEIGHT_BEFORE_W2 ? s->row_score : NULL, s->a);
    if (status == MOE_OK)
        status = project(layer, s->a, p->I, MOE_W2, MOE_B2, p->H, s->y);
    if (status == MOE_OK && p->shared > 0)
        status = shared_expert(layer);
    struct moe_gpu_aggregation sum = {
        .offsets = layer->offsets,
        .entry_row = layer->rows.entry_row,
        .y = s->y,
        .scores = p->weight == MOE_WEIGHT_AFTER_W2 ? tensor_data(layer, MOE_SCORES) : NULL,
        .shared = p->shared > 0 ? s->shared_y : NULL,
        .shared_score = p->shared_gate ? s->gate : NULL,
        .out = tensor_data(layer, MOE_O),
    };
    return status == MOE_OK ? moe_gpu_aggregate(&layer->queue, p, &sum) : status;
}

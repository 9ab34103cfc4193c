/*
 * cublas_backward.c - the backward pass of the variant `cublas`, from the kept z, picks, scores and
 * logits: dA' = dO W2; ds, dZ and s A; dW2, dW1, biases; dX~ = dZ W1; the router; dX.
 */
#include "gpu/cublas_layer.h"

/* dw [m,n] (+)= a [rows,m]^T b [rows,n]. Added to (beta=1) by a kernel of ours, which rounds once.
 */
static int weight_product(struct cublas_layer *layer, int64_t m, int64_t n, int64_t rows,
                          const void *a, const void *b, void *dw)
{
    if (rows == 0 && planted(FAULT_EMPTY_EXPERT_DW))
        return MOE_OK;
    if (!layer->problem->beta)
        return cublas_product(layer, CUBLAS_TN, m, n, rows, layer->dtype, a, b, layer->grad, dw, 0);
    if (rows == 0)
        return MOE_OK;
    int status = cublas_product(layer, CUBLAS_TN, m, n, rows, layer->dtype, a, b, layer->compute,
                                layer->space.wide_gradient, 0);
    if (status == MOE_OK)
        status = moe_gpu_convert(&layer->queue, m * n, layer->compute, layer->space.wide_gradient,
                                 layer->grad, 1, dw);
    return status;
}

/* The same for the rows of every expert, dw [E,m,n]. */
static int weight_gradient(struct cublas_layer *layer, int64_t m, int64_t n, const void *a,
                           const void *b, enum moe_tensor_id to)
{
    int status = MOE_OK;
    for (int64_t e = 0; e < layer->problem->E && status == MOE_OK; e++) {
        int64_t first = layer->begin[e], rows = layer->begin[e + 1] - first;
        status = weight_product(layer, m, n, rows, element(layer->dtype, a, first * m),
                                element(layer->dtype, b, first * n),
                                element(layer->grad, tensor_data(layer, to), e * m * n));
    }
    return status;
}

/* out [N,n] = in [N,k] W_e with W_e [k,n], in another type where wanted. */
static int project_back(struct cublas_layer *layer, const void *in, int64_t k,
                        enum moe_tensor_id weight, int64_t n, enum moe_dtype to, void *out)
{
    int status = MOE_OK;
    for (int64_t e = 0; e < layer->problem->E && status == MOE_OK; e++) {
        int64_t first = layer->begin[e], m = layer->begin[e + 1] - first;
        if (m > 0)
            status = cublas_product(layer, CUBLAS_NN, m, n, k, layer->dtype,
                                    element(layer->dtype, in, first * k),
                                    element(layer->dtype, tensor_data(layer, weight), e * n * k),
                                    to, element(to, out, first * n), 0);
    }
    return status;
}

static int gather_rows(struct cublas_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    struct cublas_space *s = &layer->space;
    int scaled = p->weight == MOE_WEIGHT_INPUT;
    const void *x = tensor_data(layer, MOE_X);
    int status = moe_gpu_gather(&layer->queue, layer->dtype, layer->N, p->H,
                                tensor_data(layer, MOE_DO), layer->rows.row_token, NULL, s->d_o);
    if (status == MOE_OK)
        status = moe_gpu_gather(&layer->queue, layer->dtype, layer->N, p->H, x,
                                layer->rows.row_token, scaled ? s->row_score : NULL, s->x);
    if (status == MOE_OK && scaled)
        status = moe_gpu_gather(&layer->queue, layer->dtype, layer->N, p->H, x,
                                layer->rows.row_token, NULL, s->plain_x);
    return status;
}

static int experts(struct cublas_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    struct cublas_space *s = &layer->space;
    int scaled_input = p->weight == MOE_WEIGHT_INPUT;
    int bias_in_ds = p->bias && p->weight == MOE_WEIGHT_AFTER_W2;
    int status = project_back(layer, s->d_o, p->H, MOE_W2, p->I, layer->compute, s->da);
    struct moe_gpu_epilogue epilogue = {
        .rows = layer->N,
        .units = p->I,
        .z = tensor_data(layer, MOE_Z),
        .da = s->da,
        .row_score = scaled_input ? NULL : s->row_score,
        .d_o = s->d_o,
        .b2 = bias_in_ds ? tensor_data(layer, MOE_B2) : NULL,
        .expert_begin = layer->rows.expert_begin,
        .dz = s->dz,
        .sa = s->a,
        .row_ds = scaled_input ? NULL : s->row_ds,
    };
    if (status == MOE_OK)
        status = moe_gpu_activate_backward(&layer->queue, p, &epilogue);
    if (status == MOE_OK)
        status = weight_gradient(layer, p->H, p->I, s->d_o, s->a, MOE_DW2);
    if (status == MOE_OK)
        status = weight_gradient(layer, layer->Z, p->H, s->dz,
                                 scaled_input && planted(FAULT_DW1_OF_SCALED_X) ? s->plain_x : s->x,
                                 MOE_DW1);
    if (status == MOE_OK && p->bias)
        status = moe_gpu_column_sums(&layer->queue, p->E, layer->N, p->H, layer->rows.expert_begin,
                                     p->weight == MOE_WEIGHT_AFTER_W2 ? s->row_score : NULL,
                                     layer->dtype, s->d_o, layer->grad, p->beta,
                                     tensor_data(layer, MOE_DB2));
    if (status == MOE_OK && p->bias)
        status = moe_gpu_column_sums(&layer->queue, p->E, layer->N, layer->Z,
                                     layer->rows.expert_begin, NULL, layer->dtype, s->dz,
                                     layer->grad, p->beta, tensor_data(layer, MOE_DB1));
    if (status == MOE_OK)
        status = project_back(layer, s->dz, layer->Z, MOE_W1, p->H, layer->dtype, s->y);
    if (status == MOE_OK && scaled_input)
        status = moe_gpu_row_dots(&layer->queue, layer->N, p->H, layer->dtype, s->y, s->plain_x, 0,
                                  s->row_ds);
    return status;
}

/* ds of every entry: zero where dropped. */
static int score_gradients(struct cublas_layer *layer)
{
    void *ds = tensor_data(layer, MOE_DS);
    int64_t bytes = layer->P * (moe_dtype_info(layer->scalar)->bits / 8);
    int status = bytes > 0 && !planted(FAULT_DROPPED_DS)
                     ? moe_device_fill(layer->device, ds, 0, bytes, layer->queue.stream)
                     : MOE_OK;
    if (status == MOE_OK)
        status = moe_gpu_scatter_ds(&layer->queue, layer->N, layer->rows.row_entry,
                                    layer->space.row_ds, layer->scalar, ds);
    return status;
}

/* dlogits, then dWr = dL^T X and dL Wr in the computing type: dL has more digits than x. */
static int router(struct cublas_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    struct cublas_space *s = &layer->space;
    void *dlogits = tensor_data(layer, MOE_DLOGITS);
    int status =
        moe_gpu_route_backward(&layer->queue, p, layer->offsets, tensor_data(layer, MOE_LOGITS),
                               tensor_data(layer, MOE_PICKS), tensor_data(layer, MOE_DS),
                               layer->rows.expert_begin, dlogits);
    if (status == MOE_OK)
        status = moe_gpu_convert(&layer->queue, p->T * p->H, layer->dtype,
                                 tensor_data(layer, MOE_X), layer->compute, 0, s->router_x);
    if (status == MOE_OK)
        status = moe_gpu_convert(&layer->queue, p->E * p->H, layer->dtype,
                                 tensor_data(layer, MOE_WR), layer->compute, 0, s->router_w);
    if (status == MOE_OK)
        status = cublas_product(layer, CUBLAS_TN, p->E, p->H, p->T, layer->compute, dlogits,
                                s->router_x, layer->compute, s->router_dw, 0);
    if (status == MOE_OK)
        status = moe_gpu_convert(&layer->queue, p->E * p->H, layer->compute, s->router_dw,
                                 layer->grad, p->beta, tensor_data(layer, MOE_DWR));
    if (status == MOE_OK)
        status = cublas_product(layer, CUBLAS_NN, p->T, p->H, p->E, layer->compute, dlogits,
                                s->router_w, layer->compute, s->router_dx, 0);
    if (status == MOE_OK && p->router_bias)
        status = moe_gpu_column_sums(&layer->queue, 1, p->T, p->E, NULL, NULL, layer->scalar,
                                     dlogits, layer->scalar, p->beta, tensor_data(layer, MOE_DBR));
    return status;
}

/* The shared expert: as an expert whose rows are the tokens and whose score is its gate. */
static int shared_expert(struct cublas_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    struct cublas_space *s = &layer->space;
    const void *x = tensor_data(layer, MOE_X), *d_o = tensor_data(layer, MOE_DO);
    int status = cublas_product(layer, CUBLAS_NT, p->T, layer->U, p->H, layer->dtype, x,
                                tensor_data(layer, MOE_WS1), layer->dtype, s->shared_z, 0);
    if (status == MOE_OK && p->shared_gate)
        status = moe_gpu_row_dots(&layer->queue, p->T, p->H, layer->dtype, x,
                                  tensor_data(layer, MOE_WSG), 1, s->gate);
    if (status == MOE_OK && p->shared_gate)
        status = moe_gpu_shared_gate(&layer->queue, p->T, s->gate);
    if (status == MOE_OK)
        status = cublas_product(layer, CUBLAS_NN, p->T, p->shared, p->H, layer->dtype, d_o,
                                tensor_data(layer, MOE_WS2), layer->compute, s->shared_da, 0);
    struct moe_gpu_epilogue epilogue = {
        .rows = p->T,
        .units = p->shared,
        .z = s->shared_z,
        .da = s->shared_da,
        .row_score = p->shared_gate ? s->gate : NULL,
        .dz = s->shared_dz,
        .sa = s->shared_a,
        .row_ds = p->shared_gate ? s->q : NULL,
    };
    if (status == MOE_OK)
        status = moe_gpu_activate_backward(&layer->queue, p, &epilogue);
    if (status == MOE_OK)
        status = weight_product(layer, p->H, p->shared, p->T, d_o, s->shared_a,
                                tensor_data(layer, MOE_DWS2));
    if (status == MOE_OK)
        status = weight_product(layer, layer->U, p->H, p->T, s->shared_dz, x,
                                tensor_data(layer, MOE_DWS1));
    if (status == MOE_OK)
        status = cublas_product(layer, CUBLAS_NN, p->T, p->H, layer->U, layer->dtype, s->shared_dz,
                                tensor_data(layer, MOE_WS1), layer->dtype, s->shared_y, 0);
    if (status == MOE_OK && p->shared_gate)
        status = moe_gpu_shared_gate_backward(&layer->queue, p->T, s->gate, s->q);
    if (status == MOE_OK && p->shared_gate)
        status = moe_gpu_column_sums(&layer->queue, 1, p->T, p->H, NULL, s->q, layer->dtype, x,
                                     layer->grad, p->beta, tensor_data(layer, MOE_DWSG));
    return status;
}

int cublas_layer_backward(struct cublas_layer *layer, uint32_t *status_word)
{
    const struct moe_problem *p = layer->problem;
    struct cublas_space *s = &layer->space;
    int routes = p->router != MOE_LISTS, status = cublas_layer_rows(layer, status_word);
    if (status == MOE_OK)
        status = gather_rows(layer);
    if (status == MOE_OK)
        status = experts(layer);
    if (status == MOE_OK)
        status = score_gradients(layer);
    if (status == MOE_OK && routes)
        status = router(layer);
    if (status == MOE_OK && p->shared > 0)
        status = shared_expert(layer);
    struct moe_gpu_aggregation sum = {
        .offsets = layer->offsets,
        .entry_row = layer->rows.entry_row,
        .y = s->y,
        .scores = p->weight == MOE_WEIGHT_INPUT ? tensor_data(layer, MOE_SCORES) : NULL,
        .shared = p->shared > 0 ? s->shared_y : NULL,
        .extra = routes && !planted(FAULT_NO_ROUTER_DX) ? s->router_dx : NULL,
        .q = p->shared_gate ? s->q : NULL,
        .wsg = tensor_data(layer, MOE_WSG),
        .out = tensor_data(layer, MOE_DX),
    };
    return status == MOE_OK ? moe_gpu_aggregate(&layer->queue, p, &sum) : status;
}

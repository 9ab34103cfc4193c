/*
 * shared_gate.c - the score of the shared expert: gate_t = sigmoid(<x_t, wsg>), and its gradient.
 */
#include <math.h>

#include "ref/internal.h"

/* gate_t = sigmoid(<x_t, wsg>); its bound by the slope, at most 1/4. */
void shared_gate_forward(struct layer *layer)
{
    load_slice(&layer->call->tensors[MOE_WSG], 0, layer->wsg);
    project_tokens(layer, 1, layer->wsg, layer->gate);
    for (int64_t t = 0; t < layer->problem->T; t++) {
        layer->gate.value[t] = 1 / (1 + exp(-layer->gate.value[t]));
        if (layer->model)
            layer->gate.bound[t] = 0.25 * layer->gate.bound[t] + layer->model->function_absolute +
                                   layer->model->loss +
                                   (layer->model->function_relative + 4 * layer->model->step) *
                                       (layer->gate.value[t] + 0.25 * layer->gate.bound[t]);
    }
    settle(layer, layer->gate.value, layer->problem->T);
}

/* q_t = dgate_t gate (1 - gate);  dwsg = sum q_t x_t;  dx_t += q_t wsg. */
int shared_gate_backward(struct layer *layer)
{
    int64_t T = layer->problem->T, H = layer->problem->H;
    struct field dwsg = layer_take_field(layer, H);
    if (layer->failed)
        return moe_error(MOE_E_NOMEM, "no memory for dwsg");
    struct field q = layer->dgate;
    for (int64_t t = 0; t < T; t++) {
        double gate = layer->gate.value[t], slope = gate * (1 - gate);
        if (layer->model) {
            double gate_bound = layer->gate.bound[t];
            double slope_bound = gate_bound + 4 * layer->model->step;
            double own = (slope_bound + 4 * layer->model->step * slope) * fabs(q.value[t]) +
                         layer->model->flush * (1 + fabs(q.value[t]) + q.bound[t]);
            q.bound[t] = (slope + slope_bound) * q.bound[t] + own + layer->model->loss;
            if (q.variance)
                q.variance[t] = (slope + slope_bound) * (slope + slope_bound) * q.variance[t] +
                                own * own + layer->model->loss * layer->model->loss;
        }
        q.value[t] *= slope;
    }
    settle(layer, q.value, T);
    for (int64_t t = 0; t < T; t += layer->chunk) {
        int64_t count = T - t < layer->chunk ? T - t : layer->chunk;
        struct field part = field_from(q, t), dx = field_from(layer->dx, t * H);
        load_rows(&layer->call->tensors[MOE_X], NULL, t, count, layer->x);
        product_field(layer, MOE_IN_DWR, T, FORM_TN, 1, H, count, uncertain(part), exact(layer->x),
                      dwsg, 1);
        product_field(layer, MOE_IN_DX, terms_of_token(layer, MOE_IN_DX, layer->problem->E),
                      FORM_NN, count, H, 1, uncertain(part), exact(layer->wsg), dx, 1);
    }
    return hand_out(layer, MOE_DWSG, 0, 1, H, dwsg);
}

/*
 * forward.c - the forward pass of some rows of one expert. For row r with token t and score s:
 *
 *   weight=after-w2     Z = X_t W1^T + b1     A = act(Z)    Y = A W2^T + b2        O_t += s Y
 *   weight=before-w2    Z = X_t W1^T + b1     A = act(Z)    Y = (s A) W2^T + b2    O_t += Y
 *   weight=input        Z = (s X_t) W1^T + b1 A = act(Z)    Y = A W2^T + b2        O_t += Y
 *
 * The shared expert is one more, without biases, for every token: O_t += gate_t Y, gate 1 or
 * sigmoid(<x_t, wsg>). Z is what stays for the backward pass.
 */
#include <math.h>

#include "ref/internal.h"

/* q [count,cols] += b [cols], in the end or as what the product's sum of `terms` starts from. */
static void add_bias(const struct layer *layer, enum moe_product product, int64_t terms,
                     int64_t count, int64_t cols, struct known b, struct field q)
{
    double constant = layer->model ? error_constant(layer->model, product, terms) : 0;
    for (int64_t r = 0; r < count; r++) {
        for (int64_t c = 0; c < cols; c++) {
            q.value[r * cols + c] += b.value[c];
            if (!layer->model)
                continue;
            double reach = fabs(q.value[r * cols + c]) + q.bound[r * cols + c];
            double error = layer->model->step * reach + constant * fabs(b.value[c]);
            error += layer->model->loss + FLUSHES * layer->model->flush;
            q.bound[r * cols + c] +=
                error_beyond(error, reach + fabs(b.value[c]), layer->model->largest);
            if (q.variance)
                q.variance[r * cols + c] += error * error;
        }
    }
}

void rows_up(struct layer *layer, int64_t first, int64_t count)
{
    const struct moe_problem *p = layer->problem;
    struct expert *expert = &layer->expert;
    struct operand input = exact(layer->x);
    load_rows(&layer->call->tensors[MOE_X], expert_tokens(layer, first), first, count, layer->x);
    expert_scores(layer, first, count);
    if (expert->weight == MOE_WEIGHT_INPUT) {
        scale_rows(layer, count, p->H, input, layer->sx);
        round_field(layer, MOE_AT_SX, layer->sx, count * p->H);
        input = uncertain(layer->sx);
    }
    product_field(layer, MOE_IN_Z, p->H, FORM_NT, count, expert->columns, p->H, input,
                  exact(expert->w1), layer->z, 0);
    if (expert->weight == MOE_WEIGHT_INPUT)
        product_folded(layer, MOE_IN_Z, count, expert->columns, p->H, exact(layer->x),
                       exact(expert->w1), layer->z);
    if (expert->biased)
        add_bias(layer, MOE_IN_Z, p->H, count, expert->columns, expert->b1, layer->z);
    settle(layer, layer->z.value, count * expert->columns);
}

/* Z leaves the pass rounded to its type; whether A is formed from the rounded Z the recipe says. */
static int keep_z(struct layer *layer, int64_t first, int64_t count)
{
    int64_t columns = layer->expert.columns;
    enum moe_dtype dtype = layer->call->tensors[MOE_Z].dtype;
    if (layer->expert.index < 0) {
        round_field(layer, MOE_AT_Z, layer->z, count * columns);
        return MOE_OK;
    }
    int status = hand_out(layer, MOE_Z, first, count, columns, layer->z);
    for (int64_t i = 0; layer->model && i < count * columns; i++)
        layer->z.bound[i] =
            error_of_stored(layer->model, dtype, layer->z.value[i], layer->z.bound[i]);
    return status;
}

int rows_forward(struct layer *layer, int64_t first, int64_t count)
{
    const struct moe_problem *p = layer->problem;
    struct expert *expert = &layer->expert;
    int from_rounded = layer->model && layer->model->recipe->at[MOE_AT_Z].when != MOE_NEVER;
    int status = MOE_OK;
    rows_up(layer, first, count);
    if (from_rounded)
        status = keep_z(layer, first, count);
    activate_rows(p, layer->model, count, expert->units, layer->z, layer->a);
    settle(layer, layer->a.value, count * expert->units);
    if (!from_rounded)
        status = keep_z(layer, first, count);
    if (status != MOE_OK)
        return status;

    struct field input = layer->a;
    if (expert->weight == MOE_WEIGHT_BEFORE_W2) {
        scale_rows(layer, count, expert->units, uncertain(layer->a), layer->sa);
        round_field(layer, MOE_AT_SA, layer->sa, count * expert->units);
        input = layer->sa;
    }
    product_field(layer, MOE_IN_Y, expert->units, FORM_NT, count, p->H, expert->units,
                  uncertain(input), exact(expert->w2), layer->y, 0);
    if (expert->weight == MOE_WEIGHT_BEFORE_W2)
        product_folded(layer, MOE_IN_Y, count, p->H, expert->units, uncertain(layer->a),
                       exact(expert->w2), layer->y);
    if (expert->biased)
        add_bias(layer, MOE_IN_Y, expert->units, count, p->H, expert->b2, layer->y);
    settle(layer, layer->y.value, count * p->H);
    round_field(layer, MOE_AT_Y, layer->y, count * p->H);

    if (expert->weight == MOE_WEIGHT_AFTER_W2 && expert->scored) {
        scale_rows(layer, count, p->H, uncertain(layer->y), layer->sy);
        add_to_tokens(layer, MOE_IN_O, first, count, layer->sy, layer->o);
    } else {
        add_to_tokens(layer, MOE_IN_O, first, count, layer->y, layer->o);
    }
    return MOE_OK;
}

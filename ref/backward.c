/*
 * backward.c - the backward pass of some rows of one expert. For row r with token t and score s:
 *
 *   dA' = dO_t W2                                        ds = <dA', A>
 *   weight=after-w2    dZ = act'(Z) (s dA')              ds += <dO_t, b2>
 *                      dW2 += dO_t (s A)^T               db2 += s dO_t
 *   weight=before-w2   dZ = act'(Z) (s dA')
 *                      dW2 += dO_t (s A)^T               db2 += dO_t
 *   weight=input       dZ = act'(Z) dA'                  ds = <dX~, X_t>
 *                      dW2 += dO_t A^T                   db2 += dO_t
 *   db1 += dZ;  dX~ = dZ W1
 *   dW1 += dZ X_t^T,  dX_t += dX~                        input: dW1 += dZ (s X_t)^T, dX_t += s dX~
 *
 * A is computed anew from Z, and nothing else of the forward pass is needed.
 */
#include <math.h>

#include "ref/internal.h"

/* ds of row r (the shared gate's, for the shared expert). */
static void put_ds(struct layer *layer, int64_t row, struct near ds)
{
    int routed = layer->expert.index >= 0;
    struct field to = routed ? layer->ds : layer->dgate;
    int64_t at = routed ? layer->routing->row_entry[row] : row;
    to.value[at] = layer->call->precision == MOE_F32 ? (float)ds.value : ds.value;
    if (to.bound)
        to.bound[at] = error_at(layer->model, MOE_AT_DS, ds.value, ds.bound);
    if (to.variance)
        to.variance[at] = variance_at(layer->model, MOE_AT_DS, ds.value, ds.variance);
}

/* sum + sum a_i b_i over n elements, as a part of a sum of `terms` terms. */
static struct near inner(const struct layer *layer, int64_t n, int64_t terms, struct operand a,
                         int64_t at_a, struct operand b, int64_t at_b, struct near sum)
{
    double spread = 0, reach = 0, mass = 0;
    for (int64_t i = 0; i < n; i++)
        sum.value += a.value[at_a + i] * b.value[at_b + i];
    if (!layer->model)
        return sum;
    double flush = layer->model->flush;
    for (int64_t i = 0; i < n; i++) {
        double x = fabs(a.value[at_a + i]), dx = a.bound ? a.bound[at_a + i] : 0;
        double y = fabs(b.value[at_b + i]), dy = b.bound ? b.bound[at_b + i] : 0;
        spread += x * dy + dx * (y + dy) + flush * (x + dx + y + dy + flush);
        reach += (x + dx) * (y + dy);
        mass += x * y;
        double vx = a.variance ? a.variance[at_a + i] : 0;
        double vy = b.variance ? b.variance[at_b + i] : 0;
        sum.variance += x * x * vy + vx * (y * y + vy);
    }
    double constant = error_constant(layer->model, MOE_IN_DS, terms);
    double lost = 2 * (double)n * layer->model->loss;      /* each product, and each sum */
    double weight = n > 0 ? (double)terms / (double)n : 0; /* product.c: a share of n/terms */
    sum.bound += error_beyond(spread + constant * reach + lost, reach,
                              error_limit(layer->model, MOE_IN_DS) / 2);
    sum.variance += weight * constant * constant * mass * mass + lost * lost;
    return sum;
}

/* ds = <dA', A> + <dO, b2>, or <dO, Y>, which is the same but rounds elsewhere. */
static void score_gradients(struct layer *layer, int64_t first, int64_t count, int after_forward)
{
    const struct expert *expert = &layer->expert;
    int64_t H = layer->problem->H, units = expert->units;
    int with_bias = expert->biased && expert->weight == MOE_WEIGHT_AFTER_W2;
    enum moe_ds_form form = layer->model ? layer->model->recipe->ds : MOE_DS_DA_A;
    int from_y = form != MOE_DS_DA_A && after_forward && expert->weight == MOE_WEIGHT_AFTER_W2;
#pragma omp parallel for if (count * units > 131072) schedule(static)
    for (int64_t r = 0; r < count; r++) {
        struct near ds = {0}, from_output = {0};
        int64_t terms = units + (with_bias ? H : 0);
        ds = inner(layer, units, terms, uncertain(layer->da), r * units, uncertain(layer->a),
                   r * units, ds);
        if (with_bias)
            ds = inner(layer, H, terms, exact(layer->d_o), r * H, exact(expert->b2), 0, ds);
        if (from_y) {
            from_output = inner(layer, H, H, exact(layer->d_o), r * H, uncertain(layer->y), r * H,
                                from_output);
            int alone = form == MOE_DS_DO_Y;
            if (alone || !(from_output.bound <= ds.bound))
                ds.bound = from_output.bound;
            if (alone || from_output.variance > ds.variance)
                ds.variance = from_output.variance;
        }
        put_ds(layer, first + r, ds);
    }
}

/* to [cols] += sum over rows of q [count,cols]; `terms` rows in all. */
static void add_column_sums(const struct layer *layer, enum moe_product product, int64_t terms,
                            int64_t count, int64_t cols, struct operand q, struct field to)
{
    double constant = layer->model ? error_constant(layer->model, product, terms) : 0;
    double limit = layer->model ? error_limit(layer->model, product) : 0;
    double flushed = layer->model ? FLUSHES * layer->model->flush : 0;
    for (int64_t r = 0; r < count; r++) {
        for (int64_t c = 0; c < cols; c++) {
            to.value[c] += q.value[r * cols + c];
            if (layer->model) {
                double bound = q.bound ? q.bound[r * cols + c] : 0;
                double reach = fabs(q.value[r * cols + c]) + bound;
                to.bound[c] +=
                    error_beyond(bound + constant * reach, reach * (double)terms, limit) + flushed;
            }
            if (to.variance) { /* product.c: a share of 1/terms */
                double charge = constant * q.value[r * cols + c];
                to.variance[c] +=
                    (q.variance ? q.variance[r * cols + c] : 0) + (double)terms * charge * charge;
            }
        }
    }
    settle(layer, to.value, cols);
}

static void w2_gradients(struct layer *layer, int64_t count)
{
    struct expert *expert = &layer->expert;
    int64_t H = layer->problem->H;
    struct field a = layer->a;
    if (expert->weight != MOE_WEIGHT_INPUT && expert->scored) {
        scale_rows(layer, count, expert->units, uncertain(layer->a), layer->sa);
        round_field(layer, MOE_AT_SA, layer->sa, count * expert->units);
        a = layer->sa;
    }
    product_field(layer, MOE_IN_DW2, expert->count, FORM_TN, H, expert->units, count,
                  exact(layer->d_o), uncertain(a), expert->dw2, expert->begun);
    if (!expert->biased)
        return;
    struct operand rows = exact(layer->d_o);
    if (expert->weight == MOE_WEIGHT_AFTER_W2) {
        scale_rows(layer, count, H, rows, layer->dxe); /* dxe is free until dZ W1 */
        rows = uncertain(layer->dxe);
    }
    add_column_sums(layer, MOE_IN_DW2, expert->count, count, H, rows, expert->db2);
}

/* What s X may lose where factors are flushed: x, by s at most; s, by x at most. */
static double flushed_input(const struct layer *layer, int64_t count)
{
    double flush = layer->model->flush, most = flush;
    for (int64_t r = 0; r < count && flush > 0; r++)
        most = fmax(most, fabs(layer->score.value[r]) + layer->score.bound[r]);
    for (int64_t i = 0; i < count * layer->problem->H && flush > 0; i++)
        most = fmax(most, layer->x.magnitude[i]);
    return flush > 0 ? layer->model->loss + 2 * flush * most : 0;
}

/* The rounding of s X at its smallest, and its share of dW1 [columns,H]: eta sum_r |dZ_r|. */
static void add_input_underflow(struct layer *layer, int64_t count)
{
    struct expert *expert = &layer->expert;
    double eta = layer->model->absolute[MOE_AT_SX] + flushed_input(layer, count);
    for (int64_t c = 0; c < expert->columns && eta > 0; c++) {
        double sum = 0;
        for (int64_t r = 0; r < count; r++)
            sum += fabs(layer->dz.value[r * expert->columns + c]) +
                   layer->dz.bound[r * expert->columns + c];
        for (int64_t h = 0; h < layer->problem->H; h++) {
            expert->dw1.bound[c * layer->problem->H + h] += eta * sum;
            if (expert->dw1.variance)
                expert->dw1.variance[c * layer->problem->H + h] += eta * sum * eta * sum;
        }
    }
}

/* dW1 += dZ X^T; for weight=input += (s dZ) X^T, whose bound also covers dZ (sX)^T with s X
 * rounded: |dZ| |X| times the relative rounding of s X is added to that of s dZ. */
static void w1_gradients(struct layer *layer, int64_t count)
{
    struct expert *expert = &layer->expert;
    int64_t H = layer->problem->H, columns = expert->columns;
    if (expert->biased)
        add_column_sums(layer, MOE_IN_DW1, expert->count, count, columns, uncertain(layer->dz),
                        expert->db1);
    struct field left = layer->dz;
    if (expert->weight == MOE_WEIGHT_INPUT) {
        left = layer->sdz;
        scale_rows(layer, count, columns, uncertain(layer->dz), left);
        if (layer->model) {
            double relative = layer->model->relative[MOE_AT_SX];
            for (int64_t i = 0; i < count * columns; i++) {
                double error = relative * (fabs(left.value[i]) + left.bound[i]);
                left.bound[i] += error;
                if (left.variance)
                    left.variance[i] += error * error;
            }
        }
    }
    product_field(layer, MOE_IN_DW1, expert->count, FORM_TN, columns, H, count, uncertain(left),
                  exact(layer->x), expert->dw1, expert->begun);
    if (layer->model && expert->weight == MOE_WEIGHT_INPUT)
        add_input_underflow(layer, count);
    expert->begun = 1;
}

/* weight=input: <dX~, X_t> = <dZ, (Z - b1) / s>, so that an error of dZ meets not random signs but
 * a value that goes with its own size. Its share of the variance of ds, row r; charged beside the
 * other, which holds the rounding of dX~. */
static double along_input(const struct layer *layer, int64_t r)
{
    const struct expert *expert = &layer->expert;
    double sum = 0, s = layer->score.value[r];
    for (int64_t c = 0; c < expert->columns && s != 0; c++) {
        double bias = expert->biased ? expert->b1.value[c] : 0;
        double x_w1 = (layer->z.value[r * expert->columns + c] - bias) / s;
        sum += layer->dz.variance[r * expert->columns + c] * x_w1 * x_w1;
    }
    return sum;
}

static void x_gradients(struct layer *layer, int64_t first, int64_t count)
{
    struct expert *expert = &layer->expert;
    int64_t H = layer->problem->H;
    product_field(layer, MOE_IN_DXE, expert->columns, FORM_NN, count, H, expert->columns,
                  uncertain(layer->dz), exact(expert->w1), layer->dxe, 0);
    settle(layer, layer->dxe.value, count * H);
    round_field(layer, MOE_AT_DXE, layer->dxe, count * H);
    if (expert->weight == MOE_WEIGHT_INPUT) {
        for (int64_t r = 0; r < count; r++) {
            struct near ds = {0};
            if (layer->dz.variance)
                ds.variance = along_input(layer, r);
            put_ds(layer, first + r,
                   inner(layer, H, H, uncertain(layer->dxe), r * H, exact(layer->x), r * H, ds));
        }
        scale_rows(layer, count, H, uncertain(layer->dxe), layer->dxe);
    }
    add_to_tokens(layer, MOE_IN_DX, first, count, layer->dxe, layer->dx);
}

/* Z of the rows: left by the forward pass, kept in its tensor, or (shared expert) computed anew. */
static void recall(struct layer *layer, int64_t first, int64_t count)
{
    struct expert *expert = &layer->expert;
    if (expert->index < 0) {
        rows_up(layer, first, count);
    } else {
        struct known z = {layer->z.value, NULL};
        load_rows(&layer->call->tensors[MOE_X], expert_tokens(layer, first), first, count,
                  layer->x);
        load_rows(&layer->call->tensors[MOE_Z], NULL, first, count, z);
        expert_scores(layer, first, count);
    }
    activate_rows(layer->problem, layer->model, count, expert->units, layer->z, layer->a);
    settle(layer, layer->a.value, count * expert->units);
}

void rows_backward(struct layer *layer, int64_t first, int64_t count)
{
    const struct moe_problem *p = layer->problem;
    struct expert *expert = &layer->expert;
    int after_forward = layer_wants(layer, MOE_PASS_FORWARD);
    if (!after_forward)
        recall(layer, first, count);
    else if (layer->model && layer->model->recipe->at[MOE_AT_Z].when == MOE_NEVER)
        activate_rows(p, layer->model, count, expert->units, layer->z, layer->a);
    load_rows(&layer->call->tensors[MOE_DO], expert_tokens(layer, first), first, count, layer->d_o);

    product_field(layer, MOE_IN_DA, p->H, FORM_NN, count, expert->units, p->H, exact(layer->d_o),
                  exact(expert->w2), layer->da, 0);
    settle(layer, layer->da.value, count * expert->units);
    round_field(layer, MOE_AT_DA, layer->da, count * expert->units);
    if (expert->scored && expert->weight != MOE_WEIGHT_INPUT)
        score_gradients(layer, first, count, after_forward);
    w2_gradients(layer, count);

    struct field g = layer->da;
    if (expert->weight != MOE_WEIGHT_INPUT && expert->scored) {
        scale_rows(layer, count, expert->units, uncertain(layer->da), layer->g);
        g = layer->g;
    }
    activate_rows_backward(p, layer->model, count, expert->units, layer->z, g, layer->dz);
    settle(layer, layer->dz.value, count * expert->columns);
    w1_gradients(layer, count);
    x_gradients(layer, first, count);
}

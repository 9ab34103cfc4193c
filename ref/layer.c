/*
 * layer.c - what a run of the reference holds: buffers, the expert at hand, its rows and scores.
 *
 * Rows go through in chunks, weights one expert at a time, so that the memory of a run is a few
 * matrices of one expert, a few of a chunk, and four of [T,H] (o and dx with their bounds).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref/internal.h"

#define CHUNK_ROWS 1024

double *layer_take(struct layer *layer, int64_t count)
{
    double *buffer = layer->buffer_count < LAYER_BUFFERS
                         ? calloc(count > 0 ? (size_t)count : 1, sizeof *buffer)
                         : NULL;
    if (!buffer)
        layer->failed = 1;
    else
        layer->buffer[layer->buffer_count++] = buffer;
    return buffer;
}

struct field layer_take_field(struct layer *layer, int64_t count)
{
    struct field field = {layer_take(layer, count), NULL, NULL};
    if (layer->model)
        field.bound = layer_take(layer, count);
    if (layer->model && layer->call->variances)
        field.variance = layer_take(layer, count);
    return field;
}

struct known layer_take_known(struct layer *layer, int64_t count)
{
    struct known known = {layer_take(layer, count), NULL};
    if (layer->model)
        known.magnitude = layer_take(layer, count);
    return known;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t most_rows(const struct layer *layer)
{
    const int64_t *begin = layer->routing->expert_begin;
    int64_t most = layer->problem->T; /* router and shared expert go through chunks of tokens */
    for (int64_t e = 0; e < layer->problem->E; e++)
        most = larger(most, begin[e + 1] - begin[e]);
    return most < CHUNK_ROWS ? most : CHUNK_ROWS;
}

/* Room for the floats of the largest product: m*k + k*n + m*n. */
static void take_scratch(struct layer *layer, int64_t columns, int64_t units)
{
    int64_t H = layer->problem->H, E = layer->problem->E, chunk = layer->chunk;
    int64_t widest = larger(larger(columns, units), E);
    int64_t floats = chunk * H + widest * H + chunk * widest;
    layer->margin = layer->model ? layer_take(layer, chunk * larger(H, widest)) : NULL;
    if (layer->model && layer->call->variances) {
        layer->reach = layer_take(layer, larger(chunk, widest) * larger(H, widest));
        layer->square = layer_take(layer, larger(chunk, widest) * H);
    }
    if (layer->call->precision == MOE_F32)
        layer->scratch_f32 = (float *)layer_take(layer, (floats + 1) / 2);
}

static void take_expert(struct layer *layer, int64_t columns, int64_t units)
{
    struct expert *expert = &layer->expert;
    int64_t H = layer->problem->H;
    expert->w1 = layer_take_known(layer, columns * H);
    expert->w2 = layer_take_known(layer, H * units);
    expert->b1 = layer_take_known(layer, columns);
    expert->b2 = layer_take_known(layer, H);
    if (!layer_wants(layer, MOE_PASS_BACKWARD))
        return;
    expert->dw1 = layer_take_field(layer, columns * H);
    expert->dw2 = layer_take_field(layer, H * units);
    expert->db1 = layer_take_field(layer, columns);
    expert->db2 = layer_take_field(layer, H);
}

static void take_chunk(struct layer *layer, int64_t columns, int64_t units)
{
    int64_t H = layer->problem->H, chunk = layer->chunk;
    layer->score = layer_take_field(layer, chunk);
    layer->x = layer_take_known(layer, chunk * H);
    layer->z = layer_take_field(layer, chunk * columns);
    layer->a = layer_take_field(layer, chunk * units);
    layer->sa = layer_take_field(layer, chunk * units);
    layer->y = layer_take_field(layer, chunk * H);
    layer->sy = layer_take_field(layer, chunk * H);
    int scaled_input = layer->problem->weight == MOE_WEIGHT_INPUT;
    if (scaled_input)
        layer->sx = layer_take_field(layer, chunk * H);
    if (!layer_wants(layer, MOE_PASS_BACKWARD))
        return;
    layer->d_o = layer_take_known(layer, chunk * H);
    layer->da = layer_take_field(layer, chunk * units);
    layer->g = layer_take_field(layer, chunk * units);
    layer->dz = layer_take_field(layer, chunk * columns);
    layer->dxe = layer_take_field(layer, chunk * H);
    if (scaled_input)
        layer->sdz = layer_take_field(layer, chunk * columns);
}

int layer_allocate(struct layer *layer)
{
    const struct moe_problem *p = layer->problem;
    int backward = layer_wants(layer, MOE_PASS_BACKWARD);
    int64_t columns = larger(moe_problem_z_rows(p), moe_problem_shared_rows(p));
    int64_t units = larger(p->I, p->shared);
    layer->chunk = larger(1, most_rows(layer));
    take_scratch(layer, columns, units);
    take_expert(layer, columns, units);
    take_chunk(layer, columns, units);
    layer->o = layer_take_field(layer, p->T * p->H);
    if (p->shared_gate) {
        layer->gate = layer_take_field(layer, p->T);
        layer->wsg = layer_take_known(layer, p->H);
    }
    if (backward) {
        layer->dx = layer_take_field(layer, p->T * p->H);
        layer->ds = layer_take_field(layer, layer->routing->P);
        if (p->shared_gate)
            layer->dgate = layer_take_field(layer, p->T);
        if (p->router != MOE_LISTS) {
            layer->dlogits = layer_take_field(layer, p->T * p->E);
            layer->dwr = layer_take_field(layer, p->E * p->H);
        }
    }
    return layer->failed
               ? moe_error(MOE_E_NOMEM,
                           "no memory for the reference (H=%lld, %lld columns, %lld rows)",
                           (long long)p->H, (long long)columns, (long long)layer->chunk)
               : MOE_OK;
}

void layer_free(struct layer *layer)
{
    for (int i = 0; i < layer->buffer_count; i++)
        free(layer->buffer[i]);
    moe_routing_free(&layer->own_routing);
}

/* `cols` elements from `position` (in elements), `step` apart. */
static void load_run(const struct moe_tensor *tensor, int64_t position, int64_t step, int64_t cols,
                     struct known to, int64_t at)
{
    if (step == 1) {
        moe_dtype_load_many(tensor->dtype, tensor->data, position, cols, to.value + at);
    } else {
        for (int64_t c = 0; c < cols; c++)
            to.value[at + c] = moe_dtype_load(tensor->dtype, tensor->data, position + c * step);
    }
    for (int64_t c = 0; c < cols && to.magnitude; c++)
        to.magnitude[at + c] = fabs(to.value[at + c]);
}

void load_rows(const struct moe_tensor *tensor, const int64_t *rows, int64_t first, int64_t count,
               struct known to)
{
    int64_t cols = tensor->shape[1];
#pragma omp parallel for if (count * cols > 131072) schedule(static)
    for (int64_t r = 0; r < count; r++) {
        int64_t row = rows ? rows[r] : first + r;
        load_run(tensor, row * tensor->stride[0], tensor->stride[1], cols, to, r * cols);
    }
}

void load_slice(const struct moe_tensor *tensor, int64_t index, struct known to)
{
    int last = tensor->rank - 1;
    int64_t rows = tensor->rank >= 2 && !(tensor->rank == 2 && index > 0)
                       ? tensor->shape[tensor->rank - 2]
                       : 1;
    int64_t start = tensor->rank == 3 ? index * tensor->stride[0] : 0;
    int64_t row_stride = tensor->rank >= 2 ? tensor->stride[tensor->rank - 2] : 0;
    int64_t cols = tensor->shape[last];
#pragma omp parallel for if (rows * cols > 131072) schedule(static)
    for (int64_t r = 0; r < rows; r++)
        load_run(tensor, start + r * row_stride, tensor->stride[last], cols, to, r * cols);
}

static void clear(struct field field, int64_t count)
{
    memset(field.value, 0, (size_t)count * sizeof *field.value);
    if (field.bound)
        memset(field.bound, 0, (size_t)count * sizeof *field.bound);
    if (field.variance)
        memset(field.variance, 0, (size_t)count * sizeof *field.variance);
}

void expert_load(struct layer *layer, int64_t e)
{
    const struct moe_problem *p = layer->problem;
    const struct moe_tensor *tensors = layer->call->tensors;
    struct expert *expert = &layer->expert;
    expert->index = e;
    if (e < 0) {
        expert->units = p->shared;
        expert->columns = moe_problem_shared_rows(p);
        expert->first = 0;
        expert->count = p->T;
        expert->weight = MOE_WEIGHT_AFTER_W2;
        expert->scored = p->shared_gate;
        expert->biased = 0;
        load_slice(&tensors[MOE_WS1], 0, expert->w1);
        load_slice(&tensors[MOE_WS2], 0, expert->w2);
    } else {
        expert->units = p->I;
        expert->columns = moe_problem_z_rows(p);
        expert->first = layer->routing->expert_begin[e];
        expert->count = layer->routing->expert_begin[e + 1] - expert->first;
        expert->weight = p->weight;
        expert->scored = 1;
        expert->biased = p->bias;
        if (expert->count > 0) {
            load_slice(&tensors[MOE_W1], e, expert->w1);
            load_slice(&tensors[MOE_W2], e, expert->w2);
        }
        if (expert->biased) {
            load_rows(&tensors[MOE_B1], NULL, e, 1, expert->b1);
            load_rows(&tensors[MOE_B2], NULL, e, 1, expert->b2);
        }
    }
    expert->begun = 0;
    if (expert->dw1.value && expert->count == 0) { /* no product will write them */
        clear(expert->dw1, expert->columns * p->H);
        clear(expert->dw2, p->H * expert->units);
    }
    if (expert->db1.value) {
        clear(expert->db1, expert->columns);
        clear(expert->db2, p->H);
    }
}

const int64_t *expert_tokens(const struct layer *layer, int64_t first)
{
    return layer->expert.index < 0 ? NULL : layer->routing->row_token + first;
}

void expert_scores(struct layer *layer, int64_t first, int64_t count)
{
    for (int64_t r = 0; r < count; r++) {
        double score = 1, bound = 0;
        if (layer->expert.index >= 0) {
            int64_t entry = layer->routing->row_entry[first + r];
            score = layer->routing->score[entry];
            bound = layer->score_bound ? layer->score_bound[entry] : 0;
        } else if (layer->expert.scored) {
            score = layer->gate.value[first + r];
            bound = layer->gate.bound ? layer->gate.bound[first + r] : 0;
        }
        layer->score.value[r] = score;
        if (layer->score.bound)
            layer->score.bound[r] = bound;
        if (layer->score.variance) /* its error is that of a whole row: no random walk either */
            layer->score.variance[r] = bound * bound;
    }
}

void settle(const struct layer *layer, double *values, int64_t count)
{
    if (layer->call->precision != MOE_F32)
        return;
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)values[i];
}

void round_field(const struct layer *layer, enum moe_point point, struct field field, int64_t count)
{
    if (!layer->model)
        return;
#pragma omp parallel for if (count > 131072) schedule(static)
    for (int64_t i = 0; i < count; i++) {
        field.bound[i] = error_at(layer->model, point, field.value[i], field.bound[i]);
        if (field.variance)
            field.variance[i] = variance_at(layer->model, point, field.value[i], field.variance[i]);
    }
}

/* Error of a sum over the expert's rows (for the router's gradients, over all tokens). */
static double error_of_rows(const struct layer *layer, enum moe_tensor_id tensor)
{
    static const struct {
        enum moe_tensor_id tensor;
        enum moe_product product;
    } sums[] = {
        {MOE_DW1, MOE_IN_DW1}, {MOE_DB1, MOE_IN_DW1}, {MOE_DWS1, MOE_IN_DW1},
        {MOE_DW2, MOE_IN_DW2}, {MOE_DB2, MOE_IN_DW2}, {MOE_DWS2, MOE_IN_DW2},
        {MOE_DWR, MOE_IN_DWR}, {MOE_DBR, MOE_IN_DWR}, {MOE_DWSG, MOE_IN_DWR},
    };
    for (size_t i = 0; i < sizeof sums / sizeof *sums && layer->model; i++) {
        if (sums[i].tensor != tensor)
            continue;
        int64_t terms = sums[i].product == MOE_IN_DWR ? layer->problem->T : layer->expert.count;
        return error_constant(layer->model, sums[i].product, terms + 1);
    }
    return 0;
}

int hand_out(struct layer *layer, enum moe_tensor_id tensor, int64_t row, int64_t rows,
             int64_t cols, struct field field)
{
    enum moe_dtype dtype = layer->call->tensors[tensor].dtype;
    if (rows == 0 || cols == 0)
        return MOE_OK; /* entries of no tokens: one row of nothing, which has no position */
#pragma omp parallel for if (rows * cols > 131072 && layer->model) schedule(static)
    for (int64_t i = 0; i < (layer->model ? rows * cols : 0); i++) {
        field.bound[i] = error_stored(layer->model, dtype, field.value[i], field.bound[i]);
        if (field.variance)
            field.variance[i] =
                variance_stored(layer->model, dtype, field.value[i], field.variance[i]);
    }
    struct moe_block block = {.tensor = tensor,
                              .row = row,
                              .rows = rows,
                              .cols = cols,
                              .stride = cols,
                              .value = field.value,
                              .bound = field.bound,
                              .variance = field.variance,
                              .old_error = error_of_rows(layer, tensor),
                              .old_loss = layer->model ? error_lost(layer->model, dtype) +
                                                             FLUSHES * layer->model->flush
                                                       : 0,
                              .saturates = layer->model && layer->model->recipe->saturate};
    return layer->call->take(layer->call->context, &block);
}

/* `scaled` may be `rows` itself. */
void scale_rows(const struct layer *layer, int64_t count, int64_t cols, struct operand rows,
                struct field scaled)
{
    const struct error_model *model = layer->model;
#pragma omp parallel for if (count * cols > 131072) schedule(static)
    for (int64_t r = 0; r < count; r++) {
        double s = layer->score.value[r], s_bound = model ? layer->score.bound[r] : 0;
        for (int64_t i = r * cols; i < (r + 1) * cols; i++) {
            double q = rows.value[i];
            if (model) {
                double q_bound = rows.bound ? rows.bound[i] : 0, reach = fabs(q) + q_bound;
                double product = (fabs(s) + s_bound) * reach;
                double lost =
                    model->loss + model->flush * (fabs(s) + s_bound + reach + model->flush);
                scaled.bound[i] =
                    error_beyond(fabs(s) * q_bound + s_bound * reach + model->step * product + lost,
                                 product, model->largest);
            }
            if (scaled.variance) {
                double q_variance = rows.variance ? rows.variance[i] : 0;
                scaled.variance[i] =
                    s * s * q_variance + layer->score.variance[r] * (q * q + q_variance) +
                    model->step * model->step * s * s * q * q + model->loss * model->loss;
            }
            scaled.value[i] = s * q;
        }
    }
    settle(layer, scaled.value, count * cols);
}

/* The token's picks, the shared expert, and for dx the E terms of dL Wr and that of the shared
 * gate: they may be added in any order, so each meets the roundings of all. */
int64_t terms_of_token(const struct layer *layer, enum moe_product product, int64_t picks)
{
    const struct moe_problem *p = layer->problem;
    int64_t through_router = product == MOE_IN_DX && layer_routes(layer) ? p->E : 0;
    return picks + through_router + (p->shared > 0) + p->shared_gate + 1;
}

/* Rows of a chunk belong to different tokens: an expert stands once in a token. */
void add_to_tokens(const struct layer *layer, enum moe_product product, int64_t first,
                   int64_t count, struct field rows, struct field to)
{
    const int64_t *tokens = expert_tokens(layer, first);
    int64_t H = layer->problem->H;
    int single = layer->call->precision == MOE_F32;
#pragma omp parallel for if (count * H > 131072) schedule(static)
    for (int64_t r = 0; r < count; r++) {
        int64_t t = tokens ? tokens[r] : first + r;
        for (int64_t h = 0; h < H; h++) {
            double sum = to.value[t * H + h] + rows.value[r * H + h];
            to.value[t * H + h] = single ? (float)sum : sum;
        }
        if (!layer->model)
            continue;
        int64_t picks = layer->routing->token_begin[t + 1] - layer->routing->token_begin[t];
        int64_t terms = terms_of_token(layer, product, picks);
        double constant = error_constant(layer->model, product, terms);
        double limit = error_limit(layer->model, product), flushed = FLUSHES * layer->model->flush;
        for (int64_t h = 0; h < H; h++) {
            double bound = rows.bound[r * H + h], reach = fabs(rows.value[r * H + h]) + bound;
            to.bound[t * H + h] +=
                error_beyond(bound + constant * reach, reach * (double)terms, limit) + flushed;
        }
        double weight = constant * constant * (double)terms; /* product.c: a share of 1/terms */
        for (int64_t h = 0; h < (to.variance ? H : 0); h++) {
            double value = rows.value[r * H + h];
            to.variance[t * H + h] += rows.variance[r * H + h] + weight * value * value;
        }
    }
}

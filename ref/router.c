/*
 * router.c - the router's part of a run: logits, who goes where, and the way back to wr and x.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref/internal.h"

/* sum over H of x w for chunks of tokens: q [T,n] = X W^T with W [n,H]. */
void project_tokens(struct layer *layer, int64_t n, struct known w, struct field q)
{
    int64_t T = layer->problem->T, H = layer->problem->H;
    for (int64_t t = 0; t < T; t += layer->chunk) {
        int64_t count = T - t < layer->chunk ? T - t : layer->chunk;
        load_rows(&layer->call->tensors[MOE_X], NULL, t, count, layer->x);
        product_field(layer, MOE_IN_LOGITS, H, FORM_NT, count, n, H, exact(layer->x), exact(w),
                      field_from(q, t * n), 0);
    }
}

static void compute_logits(struct layer *layer, const double *br)
{
    int64_t T = layer->problem->T, E = layer->problem->E;
    double constant =
        layer->model ? error_constant(layer->model, MOE_IN_LOGITS, layer->problem->H) : 0;
    load_slice(&layer->call->tensors[MOE_WR], 0, layer->wr);
    project_tokens(layer, E, layer->wr, layer->logits);
    for (int64_t i = 0; i < T * E && br; i++) {
        layer->logits.value[i] += br[i % E];
        if (!layer->model)
            continue;
        double reach = fabs(layer->logits.value[i]) + layer->logits.bound[i];
        double error = layer->model->step * reach + constant * fabs(br[i % E]); /* br may come
                                                                                   first */
        error += layer->model->loss + FLUSHES * layer->model->flush;
        layer->logits.bound[i] +=
            error_beyond(error, reach + fabs(br[i % E]), layer->model->largest);
        if (layer->logits.variance)
            layer->logits.variance[i] += error * error;
    }
    settle(layer, layer->logits.value, T * E);
    round_field(layer, MOE_AT_LOGITS, layer->logits, T * E);
}

/* A vector tensor [n] as doubles; NULL where the case has none, or (failed set) without memory. */
static double *load_vector(struct layer *layer, enum moe_tensor_id id)
{
    const struct moe_tensor *tensor = &layer->call->tensors[id];
    if (!tensor->data)
        return NULL;
    struct known room = {layer_take(layer, tensor->shape[0]), NULL};
    if (room.value)
        load_slice(tensor, 0, room);
    return room.value;
}

/* A routing that the caller gave: the same entries, own scores. */
static int routing_copy(struct layer *layer, const struct moe_routing *from)
{
    return moe_routing_from_lists(from->T, from->E, 0, from->token_begin, from->pick, from->score,
                                  &layer->own_routing);
}

/* Logits first, then who goes where, then the scores with their bounds. */
int router_forward(struct layer *layer)
{
    const struct moe_problem *p = layer->problem;
    int status, forward = layer_wants(layer, MOE_PASS_FORWARD);
    double *sel_bias = load_vector(layer, MOE_SEL_BIAS);
    double *br = load_vector(layer, MOE_BR);
    if (layer->failed)
        return moe_error(MOE_E_NOMEM, "no memory for the router's biases");
    if (layer_routes(layer) && forward) {
        compute_logits(layer, br);
    } else if (layer_routes(layer)) {
        struct known logits = {layer->logits.value, NULL};
        load_rows(&layer->call->tensors[MOE_LOGITS], NULL, 0, p->T, logits);
        load_slice(&layer->call->tensors[MOE_WR], 0, layer->wr);
    }
    if (layer->call->routing)
        status = routing_copy(layer, layer->call->routing);
    else if (layer_routes(layer) && forward)
        status = moe_routing_from_logits(p, layer->logits.value, sel_bias, &layer->own_routing);
    else
        status = moe_routing_from_tensors(p, layer->call->tensors, &layer->own_routing);
    if (status != MOE_OK)
        return status;
    layer->routing = &layer->own_routing;
    if (layer->model)
        layer->score_bound = layer_take(layer, layer->routing->P);
    if (layer->failed)
        return moe_error(MOE_E_NOMEM, "no memory for %lld scores", (long long)layer->routing->P);
    if (layer_routes(layer) && forward)
        status =
            score_entries(p, layer->model, layer->logits, &layer->own_routing, layer->score_bound);
    if (status == MOE_OK && forward && layer_routes(layer))
        settle(layer, layer->own_routing.score, layer->routing->P);
    return status;
}

/* The router's matrices are needed before the rest can be sized. */
int router_allocate(struct layer *layer)
{
    const struct moe_problem *p = layer->problem;
    if (layer_routes(layer)) {
        layer->wr = layer_take_known(layer, p->E * p->H);
        layer->logits = layer_take_field(layer, p->T * p->E);
    }
    layer->chunk = p->T < 1024 ? (p->T > 0 ? p->T : 1) : 1024;
    layer->x = layer_take_known(layer, layer->chunk * p->H);
    if (layer->model)
        layer->margin = layer_take(layer, layer->chunk * p->H);
    if (layer->call->precision == MOE_F32)
        layer->scratch_f32 =
            (float *)layer_take(layer, layer->chunk * p->H + p->E * p->H + layer->chunk * p->E);
    return layer->failed ? moe_error(MOE_E_NOMEM, "no memory for the logits [%lld,%lld]",
                                     (long long)p->T, (long long)p->E)
                         : MOE_OK;
}

/* Variances of dL: those of ds, carried through the scores, and what the router's own arithmetic
 * errs by where ds is exact: its bound squared, since an error of a score is that of a whole row.
 */
static int logit_variances(struct layer *layer)
{
    const struct moe_problem *p = layer->problem;
    int64_t count = p->T * p->E;
    double *variance = layer->dlogits.variance, loss[2];
    struct field ds = {layer->ds.value, layer_take(layer, layer->routing->P), NULL};
    struct field own = {layer_take(layer, count), variance, NULL};
    if (layer->failed)
        return moe_error(MOE_E_NOMEM, "no memory for the variances of dlogits");
    int status = score_entries_backward(p, layer->model, layer->routing, layer->logits, ds, own);
    if (status == MOE_OK)
        status = losses_apply(p, layer->model, layer->routing, layer->logits, own, loss);
    for (int64_t i = 0; i < count; i++)
        variance[i] *= variance[i];
    if (status == MOE_OK)
        status = score_variances_backward(p, layer->routing, layer->logits, layer->ds.variance,
                                          variance);
    return status;
}

int router_backward(struct layer *layer)
{
    const struct moe_problem *p = layer->problem;
    int64_t T = p->T, H = p->H, E = p->E;
    int64_t most = p->round == MOE_ROUND_NONE ? p->K : E; /* picks of a token */
    double loss[2];
    int status = score_entries_backward(p, layer->model, layer->routing, layer->logits, layer->ds,
                                        layer->dlogits);
    if (status == MOE_OK)
        status = losses_apply(p, layer->model, layer->routing, layer->logits, layer->dlogits, loss);
    if (status == MOE_OK && layer->dlogits.variance)
        status = logit_variances(layer);
    if (status != MOE_OK)
        return status;
    settle(layer, layer->dlogits.value, T * E);
    round_field(layer, MOE_AT_DLOGITS, layer->dlogits, T * E);
    for (int64_t t = 0; t < T; t += layer->chunk) {
        int64_t count = T - t < layer->chunk ? T - t : layer->chunk;
        struct field dl = field_from(layer->dlogits, t * E);
        struct field dx = field_from(layer->dx, t * H);
        load_rows(&layer->call->tensors[MOE_X], NULL, t, count, layer->x);
        product_field(layer, MOE_IN_DWR, T, FORM_TN, E, H, count, uncertain(dl), exact(layer->x),
                      layer->dwr, 1);
        product_field(layer, MOE_IN_DX, terms_of_token(layer, MOE_IN_DX, most), FORM_NN, count, H,
                      E, uncertain(dl), exact(layer->wr), dx, 1);
    }
    return MOE_OK;
}

/* dbr = sum over tokens of dL. */
static int hand_out_dbr(struct layer *layer)
{
    int64_t T = layer->problem->T, E = layer->problem->E;
    struct field dbr = layer_take_field(layer, E);
    if (layer->failed)
        return moe_error(MOE_E_NOMEM, "no memory for dbr");
    double constant = layer->model ? error_constant(layer->model, MOE_IN_DWR, T) : 0;
    for (int64_t i = 0; i < T * E; i++) {
        double dl = layer->dlogits.value[i];
        dbr.value[i % E] += dl;
        if (layer->model) {
            double bound = layer->dlogits.bound[i], reach = fabs(dl) + bound;
            dbr.bound[i % E] += error_beyond(bound + constant * reach, reach * (double)T,
                                             error_limit(layer->model, MOE_IN_DWR)) +
                                FLUSHES * layer->model->flush;
        }
        if (dbr.variance) /* product.c: a share of 1/T */
            dbr.variance[i % E] +=
                layer->dlogits.variance[i] + (double)T * constant * constant * dl * dl;
    }
    return hand_out(layer, MOE_DBR, 0, 1, E, dbr);
}

int hand_out_router_gradients(struct layer *layer)
{
    const struct moe_problem *p = layer->problem;
    int status = p->router_bias ? hand_out_dbr(layer) : MOE_OK;
    if (status == MOE_OK)
        status = hand_out(layer, MOE_DLOGITS, 0, p->T, p->E, layer->dlogits);
    if (status == MOE_OK)
        status = hand_out(layer, MOE_DWR, 0, p->E, p->H, layer->dwr);
    return status;
}

int hand_out_entries(struct layer *layer, enum moe_tensor_id tensor, struct field field)
{
    const struct moe_routing *routing = layer->routing;
    if (moe_problem_ragged(layer->problem))
        return hand_out(layer, tensor, 0, 1, routing->P, field);
    return hand_out(layer, tensor, 0, routing->T, layer->problem->K, field);
}

/* Integers go out as values, exactly. */
static int hand_out_integers(struct layer *layer, enum moe_tensor_id tensor, double *values,
                             int64_t count)
{
    const struct error_model *model = layer->model;
    struct field field = {values, NULL, NULL};
    int status;
    layer->model = NULL;
    status = tensor == MOE_OFFSETS ? hand_out(layer, tensor, 0, 1, count, field)
                                   : hand_out_entries(layer, tensor, field);
    layer->model = model;
    return status;
}

int hand_out_routing(struct layer *layer)
{
    const struct moe_routing *routing = layer->routing;
    int64_t P = routing->P, T = routing->T;
    struct field scores = {routing->score, NULL, NULL};
    double *integers = layer_take(layer, P > T + 1 ? P : T + 1);
    /* the scores' own bounds serve the experts later: a copy takes the store's rounding */
    scores.bound = layer->model ? layer_take(layer, P) : NULL;
    if (layer->failed)
        return moe_error(MOE_E_NOMEM, "no memory for %lld entries", (long long)P);
    int status = MOE_OK;
    if (moe_problem_ragged(layer->problem)) {
        for (int64_t t = 0; t <= T; t++)
            integers[t] = (double)routing->token_begin[t];
        status = hand_out_integers(layer, MOE_OFFSETS, integers, T + 1);
    }
    for (int64_t i = 0; i < P; i++) {
        integers[i] = routing->pick[i];
        if (scores.bound)
            scores.bound[i] = layer->score_bound[i];
    }
    if (status == MOE_OK)
        status = hand_out_integers(layer, MOE_PICKS, integers, P);
    if (status == MOE_OK)
        status = hand_out_entries(layer, MOE_SCORES, scores);
    return status;
}

int moe_reference_logits(const struct moe_problem *problem, const struct moe_tensor *tensors,
                         const struct moe_recipe *recipe, double *logits, double *bounds)
{
    struct moe_reference call = {.problem = problem, .tensors = tensors, .precision = MOE_F64};
    struct layer *layer = calloc(1, sizeof *layer);
    if (!layer)
        return moe_error(MOE_E_NOMEM, "no memory for the logits");
    layer->call = &call;
    layer->problem = problem;
    error_model_init(&layer->own_model, recipe);
    layer->model = &layer->own_model;
    int status = router_allocate(layer);
    if (status == MOE_OK) {
        double *br = load_vector(layer, MOE_BR);
        if (layer->failed)
            status = moe_error(MOE_E_NOMEM, "no memory for br");
        else
            compute_logits(layer, br);
    }
    if (status == MOE_OK) {
        size_t bytes = (size_t)(problem->T * problem->E) * sizeof *logits;
        memcpy(logits, layer->logits.value, bytes);
        memcpy(bounds, layer->logits.bound, bytes);
    }
    layer_free(layer);
    free(layer);
    return status;
}

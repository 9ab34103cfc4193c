/*
 * reference.c - a run of the reference from router to gradients: which rows go through forward.c
 * and backward.c in which order, and what is handed out when.
 *
 *   logits, picks, scores; for each expert: forward and backward of its rows, its gradients;
 *   the shared expert; the router's gradient; o and dx.
 *
 * Forward and backward of an expert run together, since dO is an input: its weights are loaded
 * once.
 */
#include <stdlib.h>

#include "ref/internal.h"

/* ---- experts ----------------------------------------------------------------------------- */

static int run_rows(struct layer *layer)
{
    struct expert *expert = &layer->expert;
    for (int64_t done = 0; done < expert->count; done += layer->chunk) {
        int64_t rest = expert->count - done, count = rest < layer->chunk ? rest : layer->chunk;
        int64_t first = expert->first + done;
        if (layer_wants(layer, MOE_PASS_FORWARD)) {
            int status = rows_forward(layer, first, count);
            if (status != MOE_OK)
                return status;
        }
        if (layer_wants(layer, MOE_PASS_BACKWARD))
            rows_backward(layer, first, count);
    }
    return MOE_OK;
}

static int run_expert(struct layer *layer, int64_t e)
{
    struct expert *expert = &layer->expert;
    int64_t H = layer->problem->H;
    expert_load(layer, e);
    int status = run_rows(layer), routed = e >= 0;
    if (status != MOE_OK || !layer_wants(layer, MOE_PASS_BACKWARD))
        return status;
    status = hand_out(layer, routed ? MOE_DW1 : MOE_DWS1, routed ? e * expert->columns : 0,
                      expert->columns, H, expert->dw1);
    if (status == MOE_OK)
        status = hand_out(layer, routed ? MOE_DW2 : MOE_DWS2, routed ? e * H : 0, H, expert->units,
                          expert->dw2);
    if (status == MOE_OK && expert->biased)
        status = hand_out(layer, MOE_DB1, e, 1, expert->columns, expert->db1);
    if (status == MOE_OK && expert->biased)
        status = hand_out(layer, MOE_DB2, e, 1, H, expert->db2);
    return status;
}

/* ---- what the router gave ---------------------------------------------------------------- */

/* Logits last: the store's rounding widens their bounds, which the router's gradient still needs.
 */
static int hand_out_rest(struct layer *layer)
{
    const struct moe_problem *p = layer->problem;
    int status = MOE_OK;
    if (layer_wants(layer, MOE_PASS_FORWARD)) {
        status = hand_out(layer, MOE_O, 0, p->T, p->H, layer->o);
        if (status == MOE_OK && layer_routes(layer))
            status = hand_out(layer, MOE_LOGITS, 0, p->T, p->E, layer->logits);
    }
    if (status == MOE_OK && layer_wants(layer, MOE_PASS_BACKWARD)) {
        status = hand_out(layer, MOE_DX, 0, p->T, p->H, layer->dx);
        if (status == MOE_OK)
            status = hand_out_entries(layer, MOE_DS, layer->ds);
    }
    return status;
}

/* ---- the run ----------------------------------------------------------------------------- */

static int run(struct layer *layer)
{
    const struct moe_problem *p = layer->problem;
    int backward = layer_wants(layer, MOE_PASS_BACKWARD), status = router_allocate(layer);
    if (status == MOE_OK)
        status = router_forward(layer);
    if (status == MOE_OK)
        status = layer_allocate(layer);
    if (status == MOE_OK && layer_wants(layer, MOE_PASS_FORWARD) && layer_routes(layer))
        status = hand_out_routing(layer);
    for (int64_t e = 0; e < p->E && status == MOE_OK; e++)
        status = run_expert(layer, e);
    if (status == MOE_OK && p->shared_gate)
        shared_gate_forward(layer);
    if (status == MOE_OK && p->shared > 0)
        status = run_expert(layer, -1);
    if (status == MOE_OK && backward && p->shared_gate)
        status = shared_gate_backward(layer);
    if (status == MOE_OK && backward && layer_routes(layer))
        status = router_backward(layer);
    if (status == MOE_OK && backward && layer_routes(layer))
        status = hand_out_router_gradients(layer);
    if (status == MOE_OK)
        status = hand_out_rest(layer);
    return status == MOE_OK && layer->failed ? moe_error(MOE_E_NOMEM, "no memory for a bound")
                                             : status;
}

int moe_reference_run(const struct moe_reference *reference)
{
    if (reference->recipe && !(reference->passes & MOE_PASS_FORWARD))
        return moe_error(MOE_E_USAGE, "bounds need the forward pass");
    struct layer *layer = calloc(1, sizeof *layer);
    if (!layer)
        return moe_error(MOE_E_NOMEM, "no memory for a run of the reference");
    layer->call = reference;
    layer->problem = reference->problem;
    if (reference->recipe) {
        error_model_init(&layer->own_model, reference->recipe);
        layer->model = &layer->own_model;
    }
    int status = run(layer);
    layer_free(layer);
    free(layer);
    return status;
}

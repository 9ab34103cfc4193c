/*
 * variant_naive.c - the variant `naive`: the layer in long double loops, read top to bottom.
 *
 * It is slow and holds every weight of one expert at 16 bytes an element, so it is for small cases.
 * It keeps nothing but the case's own tensors: backward starts from z, picks, scores, offsets and
 * logits as they are stored.
 */
#include <stdio.h>
#include <stdlib.h>

#include "verify/naive.h"

/* ---- what it declares ----------------------------------------------------------------------- */

static int64_t workspace_bytes(const struct moe_problem *problem)
{
    struct moe_naive_space space;
    moe_naive_space_divide(problem, NULL, &space);
    return space.bytes;
}

static int64_t kept_bytes(const struct moe_problem *problem)
{
    (void)problem;
    return 0;
}

static int supports(const struct moe_problem *problem, char *why, size_t size)
{
    if (problem->dtype > MOE_F64) {
        snprintf(why, size, "dtype=%s", moe_dtype_info(problem->dtype)->name);
        return MOE_E_UNSUPPORTED;
    }
    if (workspace_bytes(problem) < 0) {
        snprintf(why, size, "T H I E K: its workspace does not fit any memory");
        return MOE_E_UNSUPPORTED;
    }
    return MOE_OK;
}

/* As the plain one, but ds and dL are used as they are before they are stored. */
static void recipe(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    *recipe = moe_recipe_plain(problem, MOE_F64);
    recipe->at[MOE_AT_DS].when = recipe->at[MOE_AT_DLOGITS].when = MOE_NEVER;
}

/* ---- the parts of a call -------------------------------------------------------------------- */

struct naive {
    struct moe_problem problem;
};

static void clear(long double *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = 0;
}

static void clear_gradients(struct moe_naive_expert *expert)
{
    clear(expert->dw1, expert->rows * expert->H);
    clear(expert->db1, expert->rows);
    clear(expert->dw2, expert->H * expert->units);
    clear(expert->db2, expert->H);
}

static void load_expert(const struct moe_problem *problem, const struct moe_tensor *tensors,
                        int64_t e, struct moe_naive_expert *expert)
{
    int64_t H = problem->H, I = problem->I;
    int64_t Z = moe_naive_gated(problem->act) ? 2 * I : I;
    expert->H = H, expert->units = I, expert->rows = Z, expert->weight = problem->weight;
    moe_naive_load(&tensors[MOE_W1], e * Z * H, Z * H, expert->w1);
    moe_naive_load(&tensors[MOE_W2], e * H * I, H * I, expert->w2);
    clear(expert->b1, Z);
    clear(expert->b2, H);
    if (problem->bias) {
        moe_naive_load(&tensors[MOE_B1], e * Z, Z, expert->b1);
        moe_naive_load(&tensors[MOE_B2], e * H, H, expert->b2);
    }
}

/* The shared expert is an expert without biases that every token goes through; its gate, or 1, is
 * the score, after w2. */
static void load_shared(const struct moe_problem *problem, const struct moe_tensor *tensors,
                        struct moe_naive_space *space)
{
    struct moe_naive_expert *expert = &space->expert;
    int64_t H = problem->H, S = problem->shared;
    int64_t U = moe_naive_gated(problem->act) ? 2 * S : S;
    expert->H = H, expert->units = S, expert->rows = U, expert->weight = MOE_WEIGHT_AFTER_W2;
    moe_naive_load(&tensors[MOE_WS1], 0, U * H, expert->w1);
    moe_naive_load(&tensors[MOE_WS2], 0, H * S, expert->w2);
    clear(expert->b1, U);
    clear(expert->b2, H);
    if (problem->shared_gate)
        moe_naive_load(&tensors[MOE_WSG], 0, H, space->wsg);
}

/* sigmoid(<x, wsg>), or 1 without a gate. */
static long double shared_score(const struct moe_problem *problem,
                                const struct moe_naive_space *space, const long double *x)
{
    long double sum = 0;
    if (!problem->shared_gate)
        return 1;
    for (int64_t h = 0; h < problem->H; h++)
        sum += x[h] * space->wsg[h];
    return moe_naive_sigmoid(sum);
}

/* L = X Wr^T + br, held as it is stored: the picks are those of the logits that others see. */
static void logits(const struct moe_problem *problem, const struct moe_tensor *tensors,
                   struct moe_naive_space *space)
{
    int64_t T = problem->T, H = problem->H, E = problem->E;
    moe_naive_load(&tensors[MOE_WR], 0, E * H, space->wr);
    clear(space->br, E);
    clear(space->sel_bias, E);
    if (problem->router_bias)
        moe_naive_load(&tensors[MOE_BR], 0, E, space->br);
    if (problem->sel_bias)
        moe_naive_load(&tensors[MOE_SEL_BIAS], 0, E, space->sel_bias);
    for (int64_t t = 0; t < T; t++)
        for (int64_t e = 0; e < E; e++) {
            long double sum = 0;
            for (int64_t h = 0; h < H; h++)
                sum += space->x[t * H + h] * space->wr[e * H + h];
            space->logits[t * E + e] = sum + space->br[e];
        }
    moe_naive_store(&tensors[MOE_LOGITS], 0, T * E, space->logits);
    moe_naive_load(&tensors[MOE_LOGITS], 0, T * E, space->logits);
}

/* dL into dWr, dbr, dX and its own tensor. */
static void logits_backward(const struct moe_problem *problem, const struct moe_tensor *tensors,
                            struct moe_naive_space *space)
{
    int64_t T = problem->T, H = problem->H, E = problem->E;
    moe_naive_load(&tensors[MOE_WR], 0, E * H, space->wr);
    clear(space->dwr, E * H);
    clear(space->dbr, E);
    for (int64_t t = 0; t < T; t++)
        for (int64_t e = 0; e < E; e++) {
            long double dl = space->dlogits[t * E + e];
            space->dbr[e] += dl;
            for (int64_t h = 0; h < H; h++) {
                space->dwr[e * H + h] += dl * space->x[t * H + h];
                space->out[t * H + h] += dl * space->wr[e * H + h];
            }
        }
    moe_naive_store(&tensors[MOE_DLOGITS], 0, T * E, space->dlogits);
    moe_naive_store_gradient(problem, &tensors[MOE_DWR], 0, E * H, space->dwr);
    if (problem->router_bias)
        moe_naive_store_gradient(problem, &tensors[MOE_DBR], 0, E, space->dbr);
}

/* ---- forward -------------------------------------------------------------------------------- */

static int forward(void *state, const struct moe_call *call)
{
    const struct moe_problem *problem = &((struct naive *)state)->problem;
    const struct moe_tensor *tensors = call->tensors;
    struct moe_naive_space space;
    int status = moe_call_check(call, workspace_bytes(problem), 0);
    if (status != MOE_OK)
        return status;
    moe_naive_space_divide(problem, call->workspace, &space);
    struct moe_naive_routing *routing = &space.routing;
    struct moe_naive_expert *expert = &space.expert;
    int64_t T = problem->T, H = problem->H;

    moe_naive_load(&tensors[MOE_X], 0, T * H, space.x);
    if (problem->router == MOE_LISTS) {
        moe_naive_read_lists(problem, call, &space);
    } else {
        logits(problem, tensors, &space);
        moe_naive_route(problem, &space);
        moe_naive_write_lists(problem, call, &space);
    }
    moe_naive_order_rows(problem, routing);

    clear(space.out, T * H);
    for (int64_t e = 0; e < problem->E; e++) {
        if (routing->expert_begin[e] == routing->expert_begin[e + 1])
            continue;
        load_expert(problem, tensors, e, expert);
        for (int64_t row = routing->expert_begin[e]; row < routing->expert_begin[e + 1]; row++) {
            int64_t t = routing->row_token[row], Z = expert->rows;
            long double score = routing->score[routing->row_entry[row]];
            moe_naive_row_z(expert, &space, score, space.x + t * H, space.z);
            moe_naive_store(&tensors[MOE_Z], row * Z, Z, space.z);
            moe_naive_load(&tensors[MOE_Z], row * Z, Z, space.z);
            moe_naive_row_forward(problem, expert, &space, score, space.out + t * H);
        }
    }
    if (problem->shared) {
        load_shared(problem, tensors, &space);
        for (int64_t t = 0; t < T; t++) {
            long double score = shared_score(problem, &space, space.x + t * H);
            moe_naive_row_z(expert, &space, score, space.x + t * H, space.z);
            moe_naive_row_forward(problem, expert, &space, score, space.out + t * H);
        }
    }
    moe_naive_store(&tensors[MOE_O], 0, T * H, space.out);
    return MOE_OK;
}

/* ---- backward ------------------------------------------------------------------------------- */

/* Without rows a gradient is exactly 0, and nothing is added to what a buffer holds. */
static void store_expert(const struct moe_problem *problem, const struct moe_tensor *tensors,
                         int64_t e, int64_t row_count, const struct moe_naive_expert *expert)
{
    int64_t H = expert->H, Z = expert->rows, I = expert->units;
    if (problem->beta && !row_count)
        return;
    moe_naive_store_gradient(problem, &tensors[MOE_DW1], e * Z * H, Z * H, expert->dw1);
    moe_naive_store_gradient(problem, &tensors[MOE_DW2], e * H * I, H * I, expert->dw2);
    if (problem->bias) {
        moe_naive_store_gradient(problem, &tensors[MOE_DB1], e * Z, Z, expert->db1);
        moe_naive_store_gradient(problem, &tensors[MOE_DB2], e * H, H, expert->db2);
    }
}

/* The shared expert's gradients; g = sigmoid(l), l = <x, wsg>, so dl = g (1 - g) dg. */
static void shared_backward(const struct moe_problem *problem, const struct moe_tensor *tensors,
                            struct moe_naive_space *space)
{
    struct moe_naive_expert *expert = &space->expert;
    int64_t T = problem->T, H = problem->H;
    load_shared(problem, tensors, space);
    clear_gradients(expert);
    clear(space->dwsg, H);
    for (int64_t t = 0; t < T; t++) {
        const long double *x = space->x + t * H;
        long double *dx = space->out + t * H;
        long double score = shared_score(problem, space, x);
        moe_naive_row_z(expert, space, score, x, space->z);
        long double dscore =
            moe_naive_row_backward(problem, expert, space, score, x, space->dout + t * H, dx);
        if (!problem->shared_gate)
            continue;
        long double dl = score * (1 - score) * dscore;
        for (int64_t h = 0; h < H; h++) {
            space->dwsg[h] += dl * x[h];
            dx[h] += dl * space->wsg[h];
        }
    }
    moe_naive_store_gradient(problem, &tensors[MOE_DWS1], 0, expert->rows * H, expert->dw1);
    moe_naive_store_gradient(problem, &tensors[MOE_DWS2], 0, H * expert->units, expert->dw2);
    if (problem->shared_gate)
        moe_naive_store_gradient(problem, &tensors[MOE_DWSG], 0, H, space->dwsg);
}

static int backward(void *state, const struct moe_call *call)
{
    const struct moe_problem *problem = &((struct naive *)state)->problem;
    const struct moe_tensor *tensors = call->tensors;
    struct moe_naive_space space;
    int status = moe_call_check(call, workspace_bytes(problem), 0);
    if (status != MOE_OK)
        return status;
    moe_naive_space_divide(problem, call->workspace, &space);
    struct moe_naive_routing *routing = &space.routing;
    struct moe_naive_expert *expert = &space.expert;
    int64_t T = problem->T, H = problem->H, E = problem->E;

    moe_naive_load(&tensors[MOE_X], 0, T * H, space.x);
    moe_naive_load(&tensors[MOE_DO], 0, T * H, space.dout);
    moe_naive_read_lists(problem, call, &space);
    moe_naive_order_rows(problem, routing);

    clear(space.out, T * H);
    clear(space.ds, routing->P);
    for (int64_t e = 0; e < E; e++) {
        int64_t begin = routing->expert_begin[e], end = routing->expert_begin[e + 1];
        load_expert(problem, tensors, e, expert);
        clear_gradients(expert);
        for (int64_t row = begin; row < end; row++) {
            int64_t t = routing->row_token[row], entry = routing->row_entry[row];
            moe_naive_load(&tensors[MOE_Z], row * expert->rows, expert->rows, space.z);
            space.ds[entry] =
                moe_naive_row_backward(problem, expert, &space, routing->score[entry],
                                       space.x + t * H, space.dout + t * H, space.out + t * H);
        }
        store_expert(problem, tensors, e, end - begin, expert);
    }
    moe_naive_store(&tensors[MOE_DS], 0, routing->P, space.ds);

    if (problem->router != MOE_LISTS) {
        moe_naive_load(&tensors[MOE_LOGITS], 0, T * E, space.logits);
        clear(space.dlogits, T * E);
        moe_naive_route_backward(problem, &space);
        if (problem->aux != 0 || problem->zloss != 0)
            moe_naive_loss_backward(problem, &space);
        logits_backward(problem, tensors, &space);
    }
    if (problem->shared)
        shared_backward(problem, tensors, &space);
    moe_naive_store(&tensors[MOE_DX], 0, T * H, space.out);
    return MOE_OK;
}

/* ---- the variant ---------------------------------------------------------------------------- */

static int open_naive(struct moe_device *device, const struct moe_problem *problem,
                      int32_t configuration, void **state)
{
    (void)device, (void)configuration;
    struct naive *naive = malloc(sizeof *naive);
    if (!naive)
        return moe_error(MOE_E_NOMEM, "naive: no memory for its state");
    naive->problem = *problem;
    *state = naive;
    return MOE_OK;
}

const struct moe_variant moe_variant_naive = {
    .struct_size = sizeof(struct moe_variant),
    .devices = MOE_ON_CPU,
    .flags = MOE_DETERMINISTIC | MOE_BATCH_INVARIANT,
    .name = "naive",
    .summary = "plain long double loops, written from the formulas",
    .supports = supports,
    .workspace_bytes = workspace_bytes,
    .kept_bytes = kept_bytes,
    .recipe = recipe,
    .open = open_naive,
    .forward = forward,
    .backward = backward,
    .close = free,
};

/*
 * rounder.c - see rounder.h.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/rounder.h"

/* A run: every tensor of the case as dense doubles, outputs zero at first. */
struct run {
    struct rounder rounder;
    const struct moe_problem *problem;
    double *of[MOE_TENSOR_COUNT];
    struct moe_routing routing;
};

/* One routed expert, or the shared one. */
struct expert {
    int64_t units, rows;
    enum moe_weight weight;
    int shared, scored;              /* the shared one has a score only with a gate */
    const double *w1, *b1, *w2, *b2; /* biases NULL: none */
    double *dw1, *db1, *dw2, *db2;
};

static double at(const struct run *run, enum moe_point point, double value)
{
    return run->rounder.points >> point & 1 ? moe_dtype_round(MOE_BF16, value, 0) : value;
}

/* What comes of an operation on two numbers. */
static double two(const struct run *run, double value)
{
    return run->rounder.elementwise ? (float)value : value;
}

static double dot(const struct run *run, enum moe_product product, int64_t n, const double *a,
                  const double *b, int64_t step_b)
{
    double sum = 0;
    int single = run->rounder.products >> product & 1;
    for (int64_t i = 0; i < n; i++)
        sum = single ? (float)(sum + (float)(a[i] * b[i * step_b])) : sum + a[i] * b[i * step_b];
    return sum;
}

/* Positions of unit i's gate and up in a row of z: this is the definition of the layouts. */
static void columns_of(const struct moe_problem *problem, int64_t units, int64_t i, int64_t *gate,
                       int64_t *up)
{
    *gate = problem->w1 == MOE_W1_HALVES         ? i
            : problem->w1 == MOE_W1_INTERLEAVED8 ? i / 8 * 16 + i % 8
                                                 : 2 * i;
    *up = *gate + (problem->w1 == MOE_W1_HALVES         ? units
                   : problem->w1 == MOE_W1_INTERLEAVED8 ? 8
                                                        : 1);
}

static double gate_of(const struct run *run, double z)
{
    return moe_act_info(run->problem->act)->gate(z, run->problem->act_clamp) *
           (1 + run->rounder.functions);
}

static void activate(const struct run *run, const struct expert *expert, const double *z, double *a)
{
    const struct moe_act_info *info = moe_act_info(run->problem->act);
    double c = run->problem->act_clamp;
    for (int64_t i = 0; i < expert->units; i++) {
        int64_t gate, up;
        columns_of(run->problem, expert->units, i, &gate, &up);
        a[i] = at(run, MOE_AT_A,
                  info->gated ? two(run, gate_of(run, z[gate]) * info->up(z[up], c))
                              : gate_of(run, z[i]));
    }
}

static void activate_backward(const struct run *run, const struct expert *expert, const double *z,
                              const double *g, double *dz)
{
    const struct moe_act_info *info = moe_act_info(run->problem->act);
    double c = run->problem->act_clamp;
    for (int64_t i = 0; i < expert->units; i++) {
        int64_t gate, up;
        columns_of(run->problem, expert->units, i, &gate, &up);
        if (!info->gated) {
            dz[i] = at(run, MOE_AT_DZ, two(run, g[i] * info->gate_slope(z[i], c)));
            continue;
        }
        double by_gate = two(run, info->up(z[up], c) * info->gate_slope(z[gate], c));
        double by_up = two(run, gate_of(run, z[gate]) * info->up_slope(z[up], c));
        dz[gate] = at(run, MOE_AT_DZ, two(run, g[i] * by_gate));
        dz[up] = at(run, MOE_AT_DZ, two(run, g[i] * by_up));
    }
}

/* One row, forward and backward: adds to o, dx and the gradients; returns ds. */
static double do_row(struct run *run, const struct expert *expert, int64_t t, double s, double *z)
{
    int64_t H = run->problem->H, units = expert->units, rows = expert->rows;
    const double *x = run->of[MOE_X] + t * H, *d_o = run->of[MOE_DO] + t * H;
    int input = expert->weight == MOE_WEIGHT_INPUT, after = expert->weight == MOE_WEIGHT_AFTER_W2;
    double *memory = calloc((size_t)(3 * H + 4 * units + rows), sizeof *memory);
    ck_assert_ptr_nonnull(memory);
    double *sx = memory, *y = sx + H, *dxe = y + H, *a = dxe + H, *sa = a + units;
    double *da = sa + units, *g = da + units, *dz = g + units, ds;

    for (int64_t h = 0; h < H; h++)
        sx[h] = input ? at(run, MOE_AT_SX, two(run, s * x[h])) : x[h];
    for (int64_t c = 0; c < rows; c++) {
        z[c] = dot(run, MOE_IN_Z, H, sx, expert->w1 + c * H, 1);
        z[c] = expert->b1 ? two(run, z[c] + expert->b1[c]) : z[c];
        z[c] = expert->shared ? at(run, MOE_AT_Z, z[c]) : z[c];
    }
    activate(run, expert, z, a);
    for (int64_t i = 0; i < units; i++)
        sa[i] = input || !expert->scored ? a[i] : at(run, MOE_AT_SA, two(run, s * a[i]));
    for (int64_t h = 0; h < H; h++) {
        y[h] = dot(run, MOE_IN_Y, units, after ? a : sa, expert->w2 + h * units, 1);
        y[h] = at(run, MOE_AT_Y, expert->b2 ? two(run, y[h] + expert->b2[h]) : y[h]);
        run->of[MOE_O][t * H + h] += after && expert->scored ? two(run, s * y[h]) : y[h];
    }

    for (int64_t i = 0; i < units; i++) {
        da[i] = at(run, MOE_AT_DA, dot(run, MOE_IN_DA, H, d_o, expert->w2 + i, units));
        g[i] = input || !expert->scored ? da[i] : two(run, s * da[i]);
    }
    activate_backward(run, expert, z, g, dz);
    for (int64_t h = 0; h < H; h++) {
        dxe[h] = at(run, MOE_AT_DXE, dot(run, MOE_IN_DXE, rows, dz, expert->w1 + h, H));
        run->of[MOE_DX][t * H + h] += input ? two(run, s * dxe[h]) : dxe[h];
    }
    if (after && run->rounder.ds_from_y)
        ds = dot(run, MOE_IN_DS, H, d_o, y, 1);
    else if (input)
        ds = dot(run, MOE_IN_DS, H, dxe, x, 1);
    else
        ds = dot(run, MOE_IN_DS, units, da, a, 1) +
             (after && expert->b2 ? dot(run, MOE_IN_DS, H, d_o, expert->b2, 1) : 0);
    for (int64_t c = 0; c < rows; c++)
        for (int64_t h = 0; h < H; h++)
            expert->dw1[c * H + h] += dz[c] * sx[h];
    for (int64_t h = 0; h < H; h++)
        for (int64_t i = 0; i < units; i++)
            expert->dw2[h * units + i] += d_o[h] * sa[i];
    for (int64_t c = 0; c < rows && expert->b1; c++)
        expert->db1[c] += dz[c];
    for (int64_t h = 0; h < H && expert->b2; h++)
        expert->db2[h] += after ? two(run, s * d_o[h]) : d_o[h];
    free(memory);
    return at(run, MOE_AT_DS, ds);
}

static double *part_of(const struct run *run, enum moe_tensor_id id, int64_t first)
{
    return run->of[id] ? run->of[id] + first : NULL;
}

static void do_experts(struct run *run)
{
    const struct moe_problem *p = run->problem;
    int64_t Z = moe_problem_z_rows(p);
    for (int64_t e = 0; e < p->E; e++) {
        struct expert expert = {.units = p->I, .rows = Z, .weight = p->weight, .scored = 1};
        expert.w1 = part_of(run, MOE_W1, e * Z * p->H);
        expert.w2 = part_of(run, MOE_W2, e * p->H * p->I);
        expert.b1 = part_of(run, MOE_B1, e * Z);
        expert.b2 = part_of(run, MOE_B2, e * p->H);
        expert.dw1 = part_of(run, MOE_DW1, e * Z * p->H);
        expert.dw2 = part_of(run, MOE_DW2, e * p->H * p->I);
        expert.db1 = part_of(run, MOE_DB1, e * Z);
        expert.db2 = part_of(run, MOE_DB2, e * p->H);
        for (int64_t row = run->routing.expert_begin[e]; row < run->routing.expert_begin[e + 1];
             row++) {
            int64_t entry = run->routing.row_entry[row];
            run->of[MOE_DS][entry] = do_row(run, &expert, run->routing.row_token[row],
                                            run->routing.score[entry], run->of[MOE_Z] + row * Z);
        }
    }
}

static void do_shared(struct run *run)
{
    const struct moe_problem *p = run->problem;
    int64_t H = p->H, rows = moe_problem_shared_rows(p);
    struct expert expert = {.units = p->shared,
                            .rows = rows,
                            .weight = MOE_WEIGHT_AFTER_W2,
                            .shared = 1,
                            .scored = p->shared_gate,
                            .w1 = run->of[MOE_WS1],
                            .w2 = run->of[MOE_WS2],
                            .dw1 = run->of[MOE_DWS1],
                            .dw2 = run->of[MOE_DWS2]};
    double *z = malloc((size_t)(rows + 1) * sizeof *z);
    ck_assert_ptr_nonnull(z);
    for (int64_t t = 0; t < p->T && p->shared > 0; t++) {
        const double *x = run->of[MOE_X] + t * H;
        double gate = 1;
        if (p->shared_gate)
            gate = 1 / (1 + exp(-dot(run, MOE_IN_LOGITS, H, x, run->of[MOE_WSG], 1)));
        double q = do_row(run, &expert, t, gate, z) * gate * (1 - gate);
        for (int64_t h = 0; h < H && p->shared_gate; h++) {
            run->of[MOE_DWSG][h] += q * x[h];
            run->of[MOE_DX][t * H + h] += q * run->of[MOE_WSG][h];
        }
    }
    free(z);
}

/* ---- the router ----------------------------------------------------------------------------- */

static void route(struct run *run, const struct moe_tensors *tensors)
{
    const struct moe_problem *p = run->problem;
    int64_t H = p->H, E = p->E;
    if (p->router == MOE_LISTS) {
        ck_assert_int_eq(moe_routing_from_tensors(p, tensors->tensor, &run->routing), MOE_OK);
        return;
    }
    for (int64_t i = 0; i < p->T * E; i++) {
        double l =
            dot(run, MOE_IN_LOGITS, H, run->of[MOE_X] + i / E * H, run->of[MOE_WR] + i % E * H, 1);
        run->of[MOE_LOGITS][i] =
            at(run, MOE_AT_LOGITS, l + (p->router_bias ? run->of[MOE_BR][i % E] : 0));
    }
    ck_assert_int_eq(
        moe_routing_from_logits(p, run->of[MOE_LOGITS], run->of[MOE_SEL_BIAS], &run->routing),
        MOE_OK);
    for (int64_t i = 0; i < run->routing.P; i++) {
        run->routing.score[i] = at(run, MOE_AT_SCORES, run->routing.score[i]);
        run->of[MOE_PICKS][i] = run->routing.pick[i];
        run->of[MOE_SCORES][i] = run->routing.score[i];
    }
}

static void route_backward(struct run *run)
{
    const struct moe_problem *p = run->problem;
    int64_t H = p->H, E = p->E;
    double *dl = run->of[MOE_DLOGITS], loss[2];
    if (p->router == MOE_LISTS)
        return;
    ck_assert_int_eq(
        moe_routing_backward(p, &run->routing, run->of[MOE_LOGITS], run->of[MOE_DS], dl), MOE_OK);
    ck_assert_int_eq(moe_routing_losses(p, &run->routing, run->of[MOE_LOGITS], loss, dl), MOE_OK);
    for (int64_t i = 0; i < p->T * E; i++) {
        dl[i] = at(run, MOE_AT_DLOGITS, dl[i]);
        if (p->router_bias)
            run->of[MOE_DBR][i % E] += dl[i];
        for (int64_t h = 0; h < H; h++) {
            run->of[MOE_DWR][i % E * H + h] += dl[i] * run->of[MOE_X][i / E * H + h];
            run->of[MOE_DX][i / E * H + h] += dl[i] * run->of[MOE_WR][i % E * H + h];
        }
    }
}

/* ---- the run -------------------------------------------------------------------------------- */

static int is_given(const struct moe_problem *problem, int id)
{
    enum moe_role role = moe_tensor_info(id)->role;
    return role == MOE_INPUT || (role == MOE_ROUTING && problem->router == MOE_LISTS);
}

void rounder_run(const struct rounder *rounder, const struct moe_problem *problem,
                 const struct moe_tensors *tensors)
{
    struct run run = {.rounder = *rounder, .problem = problem};
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &tensors->tensor[id];
        int64_t count = tensor->data ? moe_tensor_count(tensor) : 0;
        run.of[id] = tensor->data ? calloc((size_t)count + 1, sizeof *run.of[id]) : NULL;
        for (int64_t i = 0; i < count && is_given(problem, id); i++)
            run.of[id][i] = tensor_get(tensor, i);
    }
    route(&run, tensors);
    do_experts(&run);
    do_shared(&run);
    route_backward(&run);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &tensors->tensor[id];
        for (int64_t i = 0; run.of[id] && !is_given(problem, id) && i < moe_tensor_count(tensor);
             i++)
            tensor_set(tensor, i, run.of[id][i]);
        free(run.of[id]);
    }
    moe_routing_free(&run.routing);
}

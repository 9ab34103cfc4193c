/*
 * model_backward.c - the models' backward pass: dA' and dZ tile by tile, weight gradients expert by
 * expert, dX~ tile by tile.
 */
#include <math.h>
#include <string.h>

#include "verify/model.h"

static double slope_of_gate(const struct model *m, double g)
{
    double c = m->problem.act_clamp;
    if (fault(m, SLOPE_OF_SIGMOID) && m->problem.act == MOE_SWIGLU) {
        double s = 1 / (1 + exp(-g));
        return s * (1 - s);
    }
    if (fault(m, SLOPE_WITHOUT_ALPHA) && m->problem.act == MOE_SWIGLU_OAI) {
        double s = 1 / (1 + exp(-1.702 * g));
        return g > 7 ? 0 : s * (1 + g * (1 - s));
    }
    if (fault(m, SLOPE_PAST_CLAMP))
        c = INFINITY;
    return m->act->gate_slope(g, c);
}

/* dz [Z] of z [Z] and the gradient of A. */
static void activate_backward(const struct model *m, int64_t i, const double *z, double da,
                              double *dz)
{
    double c = m->problem.act_clamp;
    int64_t at_g = model_column(m, i, 0);
    double g = z[at_g], slope = model_hold(m, slope_of_gate(m, g));
    if (!m->act->gated) {
        dz[at_g] = model_round(m, m->algorithm->round_dz, slope * da);
        return;
    }
    int64_t at_u = model_column(m, i, 1);
    double u = z[at_u], up = model_hold(m, m->act->up(u, c));
    double gate = model_hold(m, m->act->gate(g, c));
    double dg = model_hold(m, model_hold(m, slope * up) * da);
    double du = model_hold(m, model_hold(m, m->act->up_slope(u, c) * gate) * da);
    if (fault(m, DU_WITHOUT_GATE))
        du = da;
    if (fault(m, DG_WITHOUT_UP))
        dg = model_hold(m, slope * da);
    if (fault(m, UP_GRADIENT_MISSING))
        du = 0;
    dz[at_g] = model_round(m, m->algorithm->round_dz, dg);
    dz[at_u] = model_round(m, m->algorithm->round_dz, du);
    if (fault(m, DZ_BF16))
        dz[at_g] = moe_dtype_round(MOE_BF16, dg, 0);
}

/* <dO, Y>, Y computed anew. */
static double score_gradient_from_y(struct model *m, const struct tile *tile, int64_t row,
                                    const double *d_o, double *y)
{
    int64_t H = m->problem.H, I = m->problem.I;
    const double *a = m->space.a + row * I;
    memset(y, 0, (size_t)H * sizeof *y);
    if (m->problem.bias)
        model_load(m, MOE_B2, tile->expert * H, H, y);
    for (int64_t h = 0; h < H; h++)
        y[h] = model_round(
            m, m->algorithm->round_y,
            model_hold(m, model_sum(m, MOE_IN_Y, tile, I, a, 1, m->space.stage_w + h * I, 1, 0) +
                              y[h]));
    return model_sum(m, MOE_IN_DS, tile, H, d_o, 1, y, 1, 0);
}

static void score_gradient(struct model *m, const struct tile *tile, int64_t row, const double *da,
                           const double *d_o)
{
    const struct moe_problem *p = &m->problem;
    double *bias = m->space.other, ds;
    int after = p->weight == MOE_WEIGHT_AFTER_W2;
    if (after && m->algorithm->ds_from_y) {
        ds = score_gradient_from_y(m, tile, row, d_o, bias);
    } else {
        ds = model_sum(m, MOE_IN_DS, tile, p->I, da, 1, m->space.a + row * p->I, 1, 0);
        if (after && p->bias && !fault(m, DS_WITHOUT_B2)) {
            model_load(m, MOE_B2, tile->expert * p->H, p->H, bias);
            ds = model_sum(m, MOE_IN_DS, tile, p->H, d_o, 1, bias, 1, ds);
        }
    }
    if (fault(m, DS_WEIGHTED))
        ds *= model_row_score(m, row);
    if (fault(m, DS_OF_ZERO_SCORE) && model_row_score(m, row) == 0)
        ds = 0;
    m->space.ds[m->kept.row_entry[row]] = ds;
}

static void down_backward_tile(struct model *m, const struct tile *tile)
{
    const struct moe_problem *p = &m->problem;
    int64_t H = p->H, I = p->I, Z = m->Z, first = tile->first;
    double *d_o = m->space.stage_x, *da = m->space.column, *z = m->space.z;
    model_gather(m, MOE_DO, tile, H, d_o);
    model_load(m, MOE_W2, tile->expert * H * I, H * I, m->space.stage_w);
    model_load(m, MOE_Z, first * Z, tile->count * Z, z);
    if (m->algorithm->keep_a)
        memcpy(m->space.a + first * I, m->kept.a + first * I,
               (size_t)(tile->count * I) * sizeof *da);
    else if (!fault(m, A_LEFT_IN_WORKSPACE))
        model_act(m, tile->count, z, m->space.a + first * I);
    for (int64_t r = 0; r < tile->count; r++) {
        int64_t row = first + r;
        double s = model_row_score(m, row);
        int scaled = p->weight != MOE_WEIGHT_INPUT;
        for (int64_t i = 0; i < I; i++)
            da[i] = model_round(
                m, m->algorithm->round_da,
                model_sum(m, MOE_IN_DA, tile, H, d_o + r * H, 1, m->space.stage_w + i, I, 0));
        if (scaled)
            score_gradient(m, tile, row, da, d_o + r * H);
        for (int64_t i = 0; i < I; i++) {
            double a = m->space.a[row * I + i];
            m->space.sa[row * I + i] = scaled && !fault(m, DW2_NOT_WEIGHTED)
                                           ? model_round(m, m->algorithm->round_sa, s * a)
                                           : a;
            double grad = scaled && !fault(m, DZ_NOT_WEIGHTED) ? model_hold(m, s * da[i]) : da[i];
            if (fault(m, DZ_WEIGHTED_TWICE) && p->weight == MOE_WEIGHT_BEFORE_W2)
                grad = model_hold(m, s * grad);
            activate_backward(m, i, z + r * Z, grad, m->space.dz + row * Z);
        }
    }
}

void model_down_backward(struct model *m)
{
    for (int64_t i = 0; i < m->P; i++)
        m->space.ds[i] = 0;
    model_each_tile(m, down_backward_tile);
}

/* ---- weights --------------------------------------------------------------------------------- */

/* Column h of a token tensor for the rows of an expert. */
static void gather_column(struct model *m, enum moe_tensor_id id, const struct tile *tile,
                          int64_t h, double *column)
{
    for (int64_t r = 0; r < tile->count; r++)
        model_load(m, id, m->kept.row_token[tile->first + r] * m->problem.H + h, 1, &column[r]);
    for (int64_t r = tile->own; r < tile->count; r++) /* rows behind the expert's own */
        column[r] *= 0;
}

static void w2_gradients(struct model *m, const struct tile *tile)
{
    const struct moe_problem *p = &m->problem;
    int64_t H = p->H, I = p->I, first = tile->first, count = tile->count;
    double *d_o = m->space.column, one = 1;
    for (int64_t h = 0; h < H; h++) {
        gather_column(m, MOE_DO, tile, h, d_o);
        for (int64_t i = 0; i < I; i++)
            model_put(
                m, MOE_DW2, tile->expert * H + h, i,
                model_sum(m, MOE_IN_DW2, tile, count, d_o, 1, m->space.sa + first * I + i, I, 0));
        if (!p->bias)
            continue;
        int weighted = p->weight == MOE_WEIGHT_AFTER_W2 && !fault(m, DB2_NOT_WEIGHTED);
        for (int64_t r = 0; r < count && weighted; r++)
            d_o[r] = model_hold(m, model_row_score(m, first + r) * d_o[r]);
        model_put(m, MOE_DB2, tile->expert, h,
                  model_sum(m, MOE_IN_DW2, tile, tile->own, d_o, 1, &one, 0, 0));
    }
}

/* Is the row's token the one half a batch before once more? */
static int is_repeated(struct model *m, int64_t row)
{
    int64_t H = m->problem.H, half = m->problem.T / 2, t = m->kept.row_token[row];
    double now, before;
    for (int64_t h = 0; h < H && t >= half; h++) {
        model_load(m, MOE_X, t * H + h, 1, &now);
        model_load(m, MOE_X, (t - half) * H + h, 1, &before);
        if (now != before)
            return 0;
    }
    return half > 0 && t >= half;
}

static void w1_gradients(struct model *m, const struct tile *tile)
{
    const struct moe_problem *p = &m->problem;
    int64_t H = p->H, Z = m->Z, first = tile->first, count = tile->count;
    int scaled = p->weight == MOE_WEIGHT_INPUT && !fault(m, DW1_NOT_WEIGHTED);
    double *x = m->space.column, one = 1;
    const double *dz = m->space.dz + first * Z;
    for (int64_t h = 0; h < H; h++) {
        gather_column(m, MOE_X, tile, h, x);
        for (int64_t r = 0; fault(m, EQUAL_TOKENS_ONCE) && r < tile->own; r++)
            x[r] = is_repeated(m, first + r) ? 0 : x[r];
        for (int64_t r = 0; r < count && scaled; r++)
            x[r] = model_round(m, m->algorithm->round_sx, model_row_score(m, first + r) * x[r]);
        for (int64_t c = 0; c < Z; c++)
            model_put(m, MOE_DW1, tile->expert * Z + c, h,
                      model_sum(m, MOE_IN_DW1, tile, count, dz + c, Z, x, 1, 0));
    }
    for (int64_t c = 0; c < Z && p->bias && fault(m, DB1_SUM_BF16); c++) {
        double sum = 0;
        for (int64_t r = 0; r < tile->own; r++)
            sum = moe_dtype_round(MOE_BF16, sum + dz[r * Z + c], 0);
        model_put(m, MOE_DB1, tile->expert, c, sum);
    }
    for (int64_t c = 0; c < Z && p->bias && !fault(m, DB1_SUM_BF16); c++)
        model_put(m, MOE_DB1, tile->expert, c,
                  model_sum(m, MOE_IN_DW1, tile, tile->own, dz + c, Z, &one, 0, 0));
}

void model_weights_backward(struct model *m)
{
    const struct moe_problem *p = &m->problem;
    for (int64_t e = 0; e < p->E; e++) {
        struct tile tile = {.expert = e, .first = m->kept.offset[e], .number = e};
        tile.count = m->kept.offset[e + 1] - tile.first;
        if (tile.count < 0 || tile.first + tile.count > m->N ||
            (fault(m, DW_OF_LAST_EXPERT_EMPTY) && e == p->E - 1))
            tile.count = 0;
        if (fault(m, DW_TAKES_PADDING) && tile.first + tile.count < m->N)
            tile.count++;
        if (fault(m, DW_ROWS_STOP_AT_64) && tile.count > 64)
            tile.count = 64;
        if (fault(m, DW_ONE_ROW_SHORT) && tile.count > 1)
            tile.count--;
        tile.own = tile.count;
        if (fault(m, DW_PADDING_TIMES_0)) /* on to a whole tile */
            tile.count =
                tile.first + m->tile <= m->N && tile.count < m->tile ? m->tile : tile.count;
        w2_gradients(m, &tile);
        w1_gradients(m, &tile);
    }
}

/* ---- up -------------------------------------------------------------------------------------- */

static void up_backward_tile(struct model *m, const struct tile *tile)
{
    const struct moe_problem *p = &m->problem;
    int64_t H = p->H, Z = m->Z;
    int input = p->weight == MOE_WEIGHT_INPUT;
    double *x = m->space.stage_x, *dxe = m->space.column;
    model_load(m, MOE_W1, tile->expert * Z * H, Z * H, m->space.stage_w);
    model_gather(m, MOE_X, tile, H, x);
    for (int64_t r = 0; r < tile->count; r++) {
        int64_t row = tile->first + r;
        for (int64_t h = 0; h < H; h++)
            dxe[h] = model_round(m, m->algorithm->round_dxe,
                                 model_sum(m, MOE_IN_DXE, tile, Z, m->space.dz + row * Z, 1,
                                           m->space.stage_w + h, H, 0));
        double s = input ? model_row_score(m, row) : 1;
        if (input)
            m->space.ds[m->kept.row_entry[row]] =
                model_sum(m, MOE_IN_DS, tile, H, dxe, 1, x + r * H, 1, 0);
        for (int64_t h = 0; h < H; h++)
            model_add_row(m, m->space.y, row, h, input ? model_hold(m, s * dxe[h]) : dxe[h]);
    }
}

static void store_ds(struct model *m)
{
    const struct moe_tensor *ds = &m->call->tensors[MOE_DS];
    int64_t width = ds->rank == 2 ? ds->shape[1] : m->P;
    for (int64_t i = 0; i < m->P; i++)
        if (!fault(m, DROPPED_DS_UNWRITTEN) || m->kept.entry_row[i] >= 0)
            model_put(m, MOE_DS, ds->rank == 2 ? i / width : 0, ds->rank == 2 ? i % width : i,
                      m->space.ds[i]);
}

void model_up_backward(struct model *m)
{
    if (m->algorithm->atomic && !fault(m, SUMS_NOT_ZEROED))
        memset(m->space.y, 0, (size_t)(m->problem.T * m->problem.H) * sizeof *m->space.y);
    model_each_tile(m, up_backward_tile);
    store_ds(m);
}

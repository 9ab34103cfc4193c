/*
 * model_forward.c - the models' two products of the forward pass, tile by tile, and the combination
 * of slots.
 */
#include <math.h>
#include <string.h>

#include "verify/model.h"

/* Rows of a tile gathered into staging; rows past the tile's end as masked loads leave them. */
void model_gather(struct model *m, enum moe_tensor_id id, const struct tile *tile, int64_t width,
                  double *rows)
{
    for (int64_t r = 0; r < m->tile; r++) {
        int64_t row = tile->first + r;
        if (r >= tile->count) {
            memset(rows + r * width, 0, (size_t)width * sizeof *rows);
            continue;
        }
        int64_t token = m->kept.row_token[row];
        if (fault(m, GATHER_BY_ROW) && row < m->problem.T)
            token = row;
        if (fault(m, HALVES_OF_TILE_SWAPPED) && (r ^ 32) < tile->count)
            token = m->kept.row_token[tile->first + (r ^ 32)];
        model_load(m, id, token * width, width, rows + r * width);
        if (fault(m, GATHER_LAST_ROW_STALE) && r == tile->count - 1 && r > 0 && tile->number > 0)
            memcpy(rows + r * width, rows + (r - 1) * width, (size_t)width * sizeof *rows);
        int masked = fault(m, id == MOE_X ? MASK_TIMES_0_X : MASK_TIMES_0_DO);
        for (int64_t i = 0; i < width && masked && r > 0; i++)
            rows[r * width + i] += 0 * rows[(r - 1) * width + i];
    }
}

double model_row_score(struct model *m, int64_t row)
{
    if (fault(m, LAST_ROW_HAS_SCORE_BEFORE) && row == m->N - 1 && row > 0)
        row--;
    return model_score(m, m->kept.row_entry[row]);
}

static double activate(const struct model *m, double g, double u)
{
    double c = m->problem.act_clamp;
    if (fault(m, GELU_FOR_SILU) && m->problem.act == MOE_SWIGLU)
        return model_hold(m, moe_act_info(MOE_GEGLU)->gate(g, c)) * u;
    if (fault(m, SIGMOID_1_072) && m->problem.act == MOE_SWIGLU)
        return g / (1 + exp(-1.072 * g)) * u;
    if (fault(m, SILU_OVERFLOWS))
        return m->act->gated ? g * (expf((float)g) / (1 + expf((float)g))) * u : m->act->gate(g, c);
    if (fault(m, CLAMP_MISSING) && m->problem.act == MOE_SWIGLU_CLAMP)
        return moe_act_info(MOE_SWIGLU)->gate(g, c) * u;
    if (fault(m, UP_WITHOUT_1) && m->problem.act == MOE_SWIGLU_OAI)
        return m->act->gate(g, c) * (m->act->up(u, c) - 1);
    double a = model_hold(m, m->act->gate(g, c));
    if (fault(m, GATE_APPROXIMATE))
        a *= g > floor(g) + 0.5 ? 1 + 0x1p-9 : 1 - 0x1p-9;
    if (fault(m, RELU_DROPS_NAN))
        a = fmax(a, -INFINITY);
    if (!m->act->gated)
        return a;
    return model_hold(m, a * model_hold(m, m->act->up(u, c)));
}

/* a [rows,I] of z [rows,Z]. */
void model_act(const struct model *m, int64_t rows, const double *z, double *a)
{
    int64_t I = m->problem.I;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < I; i++) {
            double g = z[r * m->Z + model_column(m, i, 0)];
            double u = m->act->gated ? z[r * m->Z + model_column(m, i, 1)] : 0;
            a[r * I + i] = model_round(m, m->algorithm->round_a, activate(m, g, u));
            if (fault(m, A_FLUSHED) &&
                fabs(a[r * I + i]) < moe_dtype_info(m->problem.dtype)->smallest_normal)
                a[r * I + i] = 0;
            if (fault(m, A_BF16))
                a[r * I + i] = moe_dtype_round(MOE_BF16, a[r * I + i], 0);
        }
}

static void up_tile(struct model *m, const struct tile *tile)
{
    const struct moe_problem *p = &m->problem;
    int64_t H = p->H, Z = m->Z;
    int folded = p->weight == MOE_WEIGHT_INPUT && m->algorithm->fold;
    double *x = m->space.stage_x, *w = m->space.stage_w, *z = m->space.z, *bias = m->space.column;
    enum moe_dtype kept = m->call->tensors[MOE_Z].dtype;
    model_gather(m, MOE_X, tile, H, x);
    model_load(m, MOE_W1, tile->expert * Z * H, Z * H, w);
    memset(bias, 0, (size_t)Z * sizeof *bias);
    if (p->bias && !fault(m, B1_MISSING))
        model_load(m, MOE_B1, (fault(m, B1_OF_EXPERT_0) ? 0 : tile->expert) * Z, Z, bias);
    for (int64_t r = 0; r < tile->count; r++) {
        int64_t row = tile->first + r;
        double s = p->weight == MOE_WEIGHT_INPUT ? model_row_score(m, row) : 1;
        if (p->weight == MOE_WEIGHT_INPUT && !folded)
            for (int64_t h = 0; h < H; h++)
                x[r * H + h] = model_round(m, m->algorithm->round_sx, s * x[r * H + h]);
        for (int64_t c = 0; c < Z; c++) {
            double sum =
                model_sum(m, MOE_IN_Z, tile, H, x + r * H, 1, w + c * H, 1, folded ? 0 : bias[c]);
            if (folded)
                sum = model_hold(m, model_hold(m, s * sum) + bias[c]);
            if (fault(m, Z_ROUNDED_BEFORE_BIAS) && p->bias)
                sum = moe_dtype_round(kept, sum - bias[c], 0) + bias[c];
            z[r * Z + c] = m->algorithm->from_rounded_z ? moe_dtype_round(kept, sum, 0) : sum;
            if (fault(m, Z_BEFORE_BIAS) && p->bias)
                sum = model_hold(m, sum - bias[c]);
            if (fault(m, Z_CLAMPED) && p->act == MOE_SWIGLU_CLAMP)
                sum = fmax(fmin(sum, p->act_clamp), -p->act_clamp);
            model_put(m, MOE_Z, row, c, sum);
        }
    }
    model_act(m, tile->count, z, m->space.a + tile->first * p->I);
}

void model_up(struct model *m)
{
    model_each_tile(m, up_tile);
    if (m->algorithm->keep_a)
        memcpy(m->kept.a, m->space.a, (size_t)(m->N * m->problem.I) * sizeof *m->kept.a);
}

/* ---- down ------------------------------------------------------------------------------------ */

/* What of s stands before W2, for a row. */
static void scale_a(struct model *m, int64_t row, double *sa)
{
    int64_t I = m->problem.I;
    double s = model_row_score(m, row);
    for (int64_t i = 0; i < I; i++)
        sa[i] = model_round(m, m->algorithm->round_sa, s * m->space.a[row * I + i]);
}

void model_add_row(struct model *m, double *rows, int64_t row, int64_t h, double value)
{
    int64_t H = m->problem.H, entry = m->kept.row_entry[row];
    if (fault(m, FOURTH_SLOT_LOST) && entry - model_token_begin(m, m->kept.row_token[row]) == 3)
        value = 0;
    if (!m->algorithm->atomic) {
        rows[entry * H + h] = fault(m, ROW_WITH_NAN_LEFT_OUT) && isnan(value) ? 0 : value;
        return;
    }
    double *to = &rows[m->kept.row_token[row] * H + h];
    if (fault(m, ROW_WITH_NAN_LEFT_OUT) && isnan(value))
        return;
    if (fault(m, LOST_UPDATE) && row % 7 == 3 && *to != 0)
        return;
    *to = model_hold(m, *to + value);
}

static void down_tile(struct model *m, const struct tile *tile)
{
    const struct moe_problem *p = &m->problem;
    int64_t H = p->H, I = p->I;
    int before = p->weight == MOE_WEIGHT_BEFORE_W2 && !m->algorithm->fold;
    double *w = m->space.stage_w, *sa = m->space.column, *bias = m->space.other, other = 0;
    if (fault(m, UNPICKED_TIMES_0))
        model_load(m, MOE_W2, (tile->expert + 1) % p->E * H * I, 1, &other);
    model_load(m, MOE_W2,
               (fault(m, W2_OF_NEXT_EXPERT) ? (tile->expert + 1) % p->E : tile->expert) * H * I,
               H * I, w);
    memset(bias, 0, (size_t)H * sizeof *bias);
    if (p->bias && !fault(m, B2_MISSING))
        model_load(m, MOE_B2, tile->expert * H, H, bias);
    for (int64_t r = 0; r < tile->count; r++) {
        int64_t row = tile->first + r;
        double s = model_row_score(m, row);
        const double *a = m->space.a + row * I;
        if (before) {
            scale_a(m, row, sa);
            a = sa;
        }
        for (int64_t h = 0; h < H; h++) {
            double y = model_sum(m, MOE_IN_Y, tile, I, a, 1, w + h * I, 1, 0 * other);
            if (p->weight == MOE_WEIGHT_BEFORE_W2 && m->algorithm->fold)
                y = model_hold(m, s * y);
            if (!fault(m, B2_NOT_WEIGHTED) || p->weight != MOE_WEIGHT_AFTER_W2)
                y = model_hold(m, y + bias[h]);
            y = model_round(m, m->algorithm->round_y, y);
            if (p->weight == MOE_WEIGHT_AFTER_W2)
                y = model_hold(m, s * y);
            if (fault(m, B2_NOT_WEIGHTED) && p->weight == MOE_WEIGHT_AFTER_W2)
                y = model_hold(m, y + bias[h]);
            if (fault(m, SCORE_TWICE))
                y = model_hold(m, s * y);
            model_add_row(m, m->space.y, row, h, y);
        }
    }
}

void model_down(struct model *m)
{
    if (m->algorithm->atomic && !fault(m, SUMS_NOT_ZEROED))
        memset(m->space.y, 0, (size_t)(m->problem.T * m->problem.H) * sizeof *m->space.y);
    model_each_tile(m, down_tile);
}

/* dL_t Wr [H], what the router adds to dX of a token. */
static void router_part(struct model *m, int64_t t, double *part)
{
    const struct moe_problem *p = &m->problem;
    struct tile tile = {.count = m->tile, .number = t};
    for (int64_t h = 0; h < p->H; h++)
        part[h] = model_sum(m, MOE_IN_DX, &tile, p->E, m->space.dlogits + t * p->E, 1,
                            m->space.stage_w + h, p->H, 0);
}

static double slots(const struct model *m, const double *rows, int64_t begin, int64_t end,
                    int64_t h)
{
    int64_t H = m->problem.H;
    double sum = 0;
    for (int64_t i = begin; i < end; i++) {
        if (fault(m, LAST_SLOT_MISSING) && i == end - 1 && i > begin)
            continue;
        if (fault(m, FEW_TOKENS_LOSE_SLOT) && m->problem.T <= 4 && i == end - 1 && i > begin)
            continue;
        if (fault(m, SLOTS_BY_4) && end - begin > 4 && i - begin >= (end - begin) / 4 * 4)
            break;
        if (m->kept.entry_row[i] >= 0 || fault(m, DROPPED_SLOT_READ))
            sum = model_hold(m, sum + rows[i * H + h]);
        if (fault(m, LAST_SLOT_TWICE) && i == end - 1 && m->kept.entry_row[i] >= 0)
            sum = model_hold(m, sum + rows[i * H + h]);
        if (fault(m, COMBINE_BF16))
            sum = moe_dtype_round(MOE_BF16, sum, 0);
    }
    return sum;
}

/* out_t = sum over the slots of t of rows [P,H], or the sums [T,H] where they were atomic. */
void model_combine(struct model *m, const double *rows, enum moe_tensor_id out)
{
    const struct moe_problem *p = &m->problem;
    int routed = out == MOE_DX && p->router != MOE_LISTS && !fault(m, ROUTER_PART_MISSING);
    double *part = m->space.other;
    if (routed)
        model_load(m, MOE_WR, 0, p->E * p->H, m->space.stage_w);
    for (int64_t t = 0; t < p->T; t++) {
        int64_t begin = model_token_begin(m, t), end = model_token_begin(m, t + 1);
        if (routed)
            router_part(m, t, part);
        if (fault(m, LAST_ROUTER_PART_MISSING) && routed && t == p->T - 1)
            memset(part, 0, (size_t)p->H * sizeof *part);
        for (int64_t h = 0; h < p->H; h++) {
            double sum = m->algorithm->atomic ? rows[t * p->H + h] : slots(m, rows, begin, end, h);
            model_put(m, out, t, h, routed ? model_hold(m, sum + part[h]) : sum);
        }
    }
}

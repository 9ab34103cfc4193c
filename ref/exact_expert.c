/*
 * exact_expert.c - the rows of one expert, forward and backward, of values that are certain.
 *
 * Row by row and formula by formula as in forward.c and backward.c. Matrices are walked by their
 * entries that are not 0: on exact data there are few. A sum over a token's rows is taken over all
 * products that it is made of, since a fused kernel may add them in any order and grouping.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref/exact_pass.h"

struct rows {
    struct exact_pass *pass;
    int64_t e, units, columns;
    enum moe_weight weight;
    int scored, biased;
    struct sparse w1, w2;                 /* [columns,H], [H,units] */
    double *b1, *b2;                      /* [columns], [H] */
    struct exact_sum *dw1, *dw2;          /* as w1, w2, dense */
    struct exact_sum *db1, *db2;          /* [columns], [H] */
    struct exact_sum *y, *da, *dxe;       /* [H], [units], [H]: of the row at hand */
    double *sx, *z, *a, *sa, *d, *g, *dz; /* [H], [columns], [units] x 4, [columns] */
};

static void mark(unsigned char *seen, int64_t index, double product)
{
    if (seen && product != 0 && !isnan(product))
        seen[index] = 1;
}

/* ---- forward -------------------------------------------------------------------------------- */

/* z = x W1^T + b1; the output may have one rounding more than what the activation is formed of. */
static void forward_z(struct rows *rows, const double *x, double s, double *z_stored)
{
    struct exact_pass *pass = rows->pass;
    for (int64_t k = 0; k < pass->H; k++)
        rows->sx[k] = rows->weight != MOE_WEIGHT_INPUT
                          ? x[k]
                          : pass_at(pass, MOE_AT_SX, certain_product(s, x[k]));
    for (int64_t c = 0; c < rows->columns; c++) {
        struct exact_sum sum = exact_sum_empty();
        for (int64_t j = rows->w1.begin[c]; j < rows->w1.begin[c + 1]; j++) {
            const double term = certain_product(rows->sx[rows->w1.column[j]], rows->w1.value[j]);
            mark(rows->e >= 0 ? pass->h_seen : NULL, rows->w1.column[j], term);
            exact_sum_add(&sum, term);
        }
        if (rows->biased)
            exact_sum_add(&sum, rows->b1[c]);
        z_stored[c] = pass_sum(pass, MOE_IN_Z, &sum);
        rows->z[c] = pass_at(pass, MOE_AT_Z, z_stored[c]);
    }
}

/* y = a W2^T + b2, and its share of o. */
static void forward_y(struct rows *rows, int64_t row, int64_t t, double s)
{
    struct exact_pass *pass = rows->pass;
    const int after = rows->weight == MOE_WEIGHT_AFTER_W2 && rows->scored;
    const double *input = rows->weight == MOE_WEIGHT_BEFORE_W2 ? rows->sa : rows->a;
    for (int64_t h = 0; h < pass->H; h++) {
        struct exact_sum sum = exact_sum_empty();
        for (int64_t j = rows->w2.begin[h]; j < rows->w2.begin[h + 1]; j++) {
            const double term = certain_product(input[rows->w2.column[j]], rows->w2.value[j]);
            mark(rows->e >= 0 ? pass->i_seen : NULL, rows->w2.column[j], term);
            exact_sum_add(&sum, term);
        }
        if (rows->biased)
            exact_sum_add(&sum, rows->b2[h]);
        const double y = pass_at(pass, MOE_AT_Y, pass_sum(pass, MOE_IN_Y, &sum));
        sum.value = y; /* NaN where it is not certain after its point */
        if (isnan(y))
            sum.magnitude = NAN;
        rows->y[h] = sum;
        exact_sum_join(&pass->o[t * pass->H + h], &sum, after ? s : 1);
        if (rows->e >= 0)
            mark(pass->row_seen, row, certain_product(after ? s : 1, y));
    }
}

/* ---- backward ------------------------------------------------------------------------------- */

/* dA' = dO W2. */
static void backward_a(struct rows *rows, const double *d_o)
{
    struct exact_pass *pass = rows->pass;
    for (int64_t i = 0; i < rows->units; i++)
        rows->da[i] = exact_sum_empty();
    for (int64_t h = 0; h < pass->H; h++)
        for (int64_t j = rows->w2.begin[h]; d_o[h] != 0 && j < rows->w2.begin[h + 1]; j++) {
            const double term = certain_product(d_o[h], rows->w2.value[j]);
            mark(rows->e >= 0 ? pass->h_back : NULL, h, term);
            exact_sum_add(&rows->da[rows->w2.column[j]], term);
        }
    for (int64_t i = 0; i < rows->units; i++)
        rows->d[i] = pass_at(pass, MOE_AT_DA, pass_sum(pass, MOE_IN_DA, &rows->da[i]));
}

/* ds = <dA', A> + <dO, b2>, and <dO, Y> where the recipe may form it so. */
static double backward_score(struct rows *rows, const double *d_o)
{
    struct exact_pass *pass = rows->pass;
    const int with_bias = rows->biased && rows->weight == MOE_WEIGHT_AFTER_W2;
    struct exact_sum sum = exact_sum_empty(), by_y = exact_sum_empty();
    for (int64_t i = 0; i < rows->units; i++)
        exact_sum_add(&sum, certain_product(rows->d[i], rows->a[i]));
    for (int64_t h = 0; h < pass->H; h++) {
        if (with_bias)
            exact_sum_add(&sum, certain_product(d_o[h], rows->b2[h]));
        exact_sum_join(&by_y, &rows->y[h], d_o[h]);
    }
    const int from_y = pass->recipe->ds != MOE_DS_DA_A && rows->weight == MOE_WEIGHT_AFTER_W2;
    if (from_y && isnan(pass_sum(pass, MOE_IN_DS, &by_y)))
        return NAN;
    return pass_at(pass, MOE_AT_DS, pass_sum(pass, MOE_IN_DS, &sum));
}

/* Adds the row's share of dw2 and db2. */
static void gradients_w2(struct rows *rows, int64_t row, const double *d_o, double s)
{
    struct exact_pass *pass = rows->pass;
    const double *a = rows->weight != MOE_WEIGHT_INPUT && rows->scored ? rows->sa : rows->a;
    for (int64_t h = 0; h < pass->H; h++) {
        if (d_o[h] == 0)
            continue;
        for (int64_t i = 0; i < rows->units; i++) {
            const double term = certain_product(d_o[h], a[i]);
            exact_sum_add(&rows->dw2[h * rows->units + i], term);
            mark(rows->e >= 0 ? pass->row_back : NULL, row, term);
        }
        if (rows->biased)
            exact_sum_add(&rows->db2[h], rows->weight == MOE_WEIGHT_AFTER_W2
                                             ? certain_product(s, d_o[h])
                                             : d_o[h]);
    }
}

/* Adds the row's share of dw1, db1 and dx; with weight=input returns ds, else NaN. */
static double gradients_w1(struct rows *rows, int64_t row, int64_t t, const double *x, double s)
{
    struct exact_pass *pass = rows->pass;
    const int input = rows->weight == MOE_WEIGHT_INPUT;
    for (int64_t k = 0; k < pass->H; k++)
        rows->dxe[k] = exact_sum_empty();
    for (int64_t c = 0; c < rows->columns; c++) {
        if (rows->dz[c] == 0)
            continue;
        for (int64_t k = 0; k < pass->H; k++) {
            const double term = certain_product(rows->dz[c], rows->sx[k]);
            exact_sum_add(&rows->dw1[c * pass->H + k], term);
            mark(rows->e >= 0 ? pass->row_back : NULL, row, term);
        }
        if (rows->biased)
            exact_sum_add(&rows->db1[c], rows->dz[c]);
        for (int64_t j = rows->w1.begin[c]; j < rows->w1.begin[c + 1]; j++) {
            const double term = certain_product(rows->dz[c], rows->w1.value[j]);
            mark(rows->e >= 0 ? pass->z_seen : NULL, c, term);
            exact_sum_add(&rows->dxe[rows->w1.column[j]], term);
        }
    }
    struct exact_sum ds = exact_sum_empty();
    for (int64_t k = 0; k < pass->H; k++) {
        struct exact_sum sum = rows->dxe[k];
        sum.value = pass_at(pass, MOE_AT_DXE, pass_sum(pass, MOE_IN_DXE, &sum));
        if (isnan(sum.value))
            sum.magnitude = NAN;
        exact_sum_join(&pass->dx[t * pass->H + k], &sum, input ? s : 1);
        if (input)
            exact_sum_join(&ds, &sum, x[k]);
    }
    return input ? pass_at(pass, MOE_AT_DS, pass_sum(pass, MOE_IN_DS, &ds)) : NAN;
}

/* Where A comes from Z as it is before it is stored, the backward pass may have that Z or the one
 * that is stored: it is certain where these are one. */
static void recall_z(struct rows *rows)
{
    struct exact_pass *pass = rows->pass;
    if (pass->recipe->at[MOE_AT_Z].when != MOE_NEVER)
        return;
    for (int64_t c = 0; c < rows->columns; c++)
        if (moe_dtype_round(pass->problem->dtype, rows->z[c], 0) != rows->z[c])
            rows->z[c] = NAN;
    exact_activate(pass, rows->units, rows->z, rows->a);
}

/* ---- a row ---------------------------------------------------------------------------------- */

static int one_row(struct rows *rows, int64_t row, int64_t t, double s, double *ds)
{
    struct exact_pass *pass = rows->pass;
    const double *x = pass->x + t * pass->H, *d_o = pass->d_o + t * pass->H;
    double *z_stored = rows->dz; /* free until the backward pass */
    forward_z(rows, x, s, z_stored);
    int status =
        rows->e < 0 ? MOE_OK : pass_hand_out_values(pass, MOE_Z, row, 1, rows->columns, z_stored);
    exact_activate(pass, rows->units, rows->z, rows->a);
    for (int64_t i = 0; i < rows->units; i++)
        rows->sa[i] = pass_at(pass, MOE_AT_SA, certain_product(s, rows->a[i]));
    forward_y(rows, row, t, s);

    recall_z(rows);
    backward_a(rows, d_o);
    if (rows->scored && rows->weight != MOE_WEIGHT_INPUT)
        *ds = backward_score(rows, d_o);
    gradients_w2(rows, row, d_o, s);
    for (int64_t i = 0; i < rows->units; i++)
        rows->g[i] = rows->weight != MOE_WEIGHT_INPUT && rows->scored
                         ? certain_product(s, rows->d[i])
                         : rows->d[i];
    exact_activate_backward(pass, rows->units, rows->z, rows->g, rows->dz);
    const double ds_input = gradients_w1(rows, row, t, x, s);
    if (rows->weight == MOE_WEIGHT_INPUT)
        *ds = ds_input;
    return status;
}

static int all_rows(struct rows *rows)
{
    struct exact_pass *pass = rows->pass;
    const struct moe_routing *routing = pass->routing;
    const int64_t e = rows->e;
    int status = MOE_OK;
    if (e < 0) {
        for (int64_t t = 0; t < pass->T && status == MOE_OK; t++)
            status = one_row(rows, t, t, rows->scored ? pass->gate[t] : 1, &pass->dgate[t]);
        return status;
    }
    for (int64_t r = routing->expert_begin[e]; r < routing->expert_begin[e + 1]; r++) {
        const int64_t entry = routing->row_entry[r];
        if (status == MOE_OK)
            status = one_row(rows, r, routing->row_token[r], pass->score[entry], &pass->ds[entry]);
    }
    return status;
}

/* ---- the expert ----------------------------------------------------------------------------- */

static void clear_sums(struct exact_sum *sums, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        sums[i] = exact_sum_empty();
}

static int load(struct rows *rows)
{
    const struct exact_pass *pass = rows->pass;
    const int64_t e = rows->e < 0 ? 0 : rows->e, H = pass->H;
    double *w1 = pass_load(pass, rows->e < 0 ? MOE_WS1 : MOE_W1, e, rows->columns * H);
    double *w2 = pass_load(pass, rows->e < 0 ? MOE_WS2 : MOE_W2, e, rows->units * H);
    int status = w1 && w2 ? sparse_of(w1, rows->columns, H, &rows->w1) : MOE_E_NOMEM;
    if (status == MOE_OK)
        status = sparse_of(w2, H, rows->units, &rows->w2);
    free(w1);
    free(w2);
    if (status == MOE_OK && rows->biased) {
        /* rank 2: all of it, of which a row is the expert's */
        rows->b1 = pass_load(pass, MOE_B1, 0, pass->E * rows->columns);
        rows->b2 = pass_load(pass, MOE_B2, 0, pass->E * H);
        if (!rows->b1 || !rows->b2)
            return MOE_E_NOMEM;
        memmove(rows->b1, rows->b1 + e * rows->columns, (size_t)rows->columns * sizeof(double));
        memmove(rows->b2, rows->b2 + e * H, (size_t)H * sizeof(double));
    }
    return status;
}

static int hand_out_gradients(struct rows *rows)
{
    struct exact_pass *pass = rows->pass;
    const int64_t e = rows->e, H = pass->H, columns = rows->columns, units = rows->units;
    if (e < 0) {
        int status = pass_hand_out(pass, MOE_DWS1, 0, columns, H, MOE_IN_DW1, rows->dw1);
        return status != MOE_OK ? status
                                : pass_hand_out(pass, MOE_DWS2, 0, H, units, MOE_IN_DW2, rows->dw2);
    }
    int status = pass_hand_out(pass, MOE_DW1, e * columns, columns, H, MOE_IN_DW1, rows->dw1);
    if (status == MOE_OK)
        status = pass_hand_out(pass, MOE_DW2, e * H, H, units, MOE_IN_DW2, rows->dw2);
    if (status == MOE_OK && rows->biased)
        status = pass_hand_out(pass, MOE_DB1, e, 1, columns, MOE_IN_DW1, rows->db1);
    if (status == MOE_OK && rows->biased)
        status = pass_hand_out(pass, MOE_DB2, e, 1, H, MOE_IN_DW2, rows->db2);
    return status;
}

int exact_expert(struct exact_pass *pass, int64_t e)
{
    const struct moe_problem *p = pass->problem;
    struct rows rows = {.pass = pass, .e = e};
    rows.units = e < 0 ? p->shared : p->I;
    rows.columns = e < 0 ? moe_problem_shared_rows(p) : moe_problem_z_rows(p);
    rows.weight = e < 0 ? MOE_WEIGHT_AFTER_W2 : p->weight;
    rows.scored = e < 0 ? p->shared_gate : 1;
    rows.biased = e >= 0 && p->bias;
    const int64_t H = pass->H, U = rows.units, C = rows.columns;
    const int64_t sums = C * H + H * U + C + H + H + U + H, values = H + C + 4 * U + C;
    struct exact_sum *sum = malloc((size_t)sums * sizeof *sum);
    double *value = malloc((size_t)values * sizeof *value);
    int status = sum && value ? load(&rows) : MOE_E_NOMEM;
    if (status == MOE_OK) {
        rows.dw1 = sum;
        rows.dw2 = rows.dw1 + C * H;
        rows.db1 = rows.dw2 + H * U;
        rows.db2 = rows.db1 + C;
        rows.y = rows.db2 + H;
        rows.da = rows.y + H;
        rows.dxe = rows.da + U;
        rows.sx = value;
        rows.z = rows.sx + H;
        rows.a = rows.z + C;
        rows.sa = rows.a + U;
        rows.d = rows.sa + U;
        rows.g = rows.d + U;
        rows.dz = rows.g + U;
        clear_sums(sum, sums);
        status = all_rows(&rows);
    }
    if (status == MOE_OK)
        status = hand_out_gradients(&rows);
    else if (status == MOE_E_NOMEM)
        status = moe_error(MOE_E_NOMEM, "no memory for the exact sums of an expert");
    free(sum);
    free(value);
    free(rows.b1);
    free(rows.b2);
    sparse_free(&rows.w1);
    sparse_free(&rows.w2);
    return status;
}

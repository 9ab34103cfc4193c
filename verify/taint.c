/*
 * taint.c - taints of the experts' part; see taint.h.
 *
 * Every product C = A B has C_ij tainted by row i of A and column j of B alone, so all it takes is
 * the highest taint of rows and columns. With x, d_o of the row's token and its score s:
 *
 *   Z_c   x (s x), row c of W1, b1_c             A_i   its gate and its up value
 *   Y_h   A (s A), row h of W2, b2_h             O_h   s Y_h
 *   dA'_i d_o, column i of W2                    ds    dA', A, (d_o, b2); dX~, x for weight=input
 *   dZ_c  s dA'_i and slopes at Z                dX~_h dZ, column h of W1
 *   dW1_ch dZ_c, x_h (s x_h)                     dW2_hi d_o_h, s A_i
 */
#include <stdlib.h>
#include <string.h>

#include "verify/taint.h"

/* An expert, or the shared one, and scratch for a row of it. */
struct expert {
    const struct moe_problem *problem;
    int64_t H, units, columns;
    enum moe_weight weight;
    int scored;                                       /* 0: its score is 1 */
    const unsigned char *w1, *b1, *w2, *b2;           /* b1, b2: NULL without biases */
    unsigned char *w1_row, *w1_col, *w2_row, *w2_col; /* [columns] [H] [H] [units] highest */
    unsigned char *z, *dz, *a, *da, *dxe;             /* [columns] [columns] [units] [units] [H] */
    /* Highest over its rows of what its gradients are sums of. */
    unsigned char *sum_dz, *sum_x, *sum_do, *sum_sdo, *sum_sa; /* [columns] [H] [H] [H] [units] */
};

struct row {
    const unsigned char *x, *d_o; /* [H] of its token */
    unsigned char score;
    int score_is_zero;
    unsigned char *o, *dx; /* [H] of its token */
};

/* A kinked function may be written as a choice, which leaves out what the other side is: its
 * derivative at NaN, or times NaN where it is 0. */
static int gate_is_kinked(enum moe_act act)
{
    return act == MOE_REGLU || act == MOE_RELU || act == MOE_RELU2 || act == MOE_SWIGLU_OAI ||
           act == MOE_SWIGLU_CLAMP;
}

static int up_is_kinked(enum moe_act act)
{
    return act == MOE_SWIGLU_OAI || act == MOE_SWIGLU_CLAMP;
}

static unsigned char at_most_may(unsigned char taint)
{
    return taint > TAINT_MAY ? TAINT_MAY : taint;
}

/* s q: a row of score 0 may be left out. */
static unsigned char scored(const struct row *row, unsigned char q)
{
    return taint_or(row->score_is_zero ? at_most_may(q) : q, row->score);
}

/* Columns of unit i's gate and up among the columns of a gated expert. */
static void columns_of(const struct expert *e, int64_t i, int64_t *gate, int64_t *up)
{
    switch (e->problem->w1) {
    case MOE_W1_INTERLEAVED8:
        *gate = i / 8 * 16 + i % 8;
        *up = *gate + 8;
        return;
    case MOE_W1_HALVES:
        *gate = i;
        *up = e->units + i;
        return;
    default:
        *gate = 2 * i;
        *up = 2 * i + 1;
    }
}

static void highest_of_matrix(const unsigned char *matrix, int64_t rows, int64_t cols,
                              unsigned char *row, unsigned char *col)
{
    memset(col, TAINT_NONE, (size_t)cols);
    for (int64_t r = 0; r < rows; r++) {
        row[r] = taint_highest(matrix + r * cols, cols);
        for (int64_t c = 0; c < cols && row[r]; c++)
            col[c] = taint_or(col[c], matrix[r * cols + c]);
    }
}

/* ---- one row --------------------------------------------------------------------------------- */

static void row_forward(const struct expert *e, const struct row *row)
{
    unsigned char x = taint_highest(row->x, e->H);
    if (e->weight == MOE_WEIGHT_INPUT)
        x = scored(row, x);
    for (int64_t c = 0; c < e->columns; c++)
        e->z[c] = taint_or(taint_or(x, e->w1_row[c]), e->b1 ? e->b1[c] : TAINT_NONE);
    for (int64_t i = 0; i < e->units; i++) {
        int64_t gate = i, up = i;
        if (e->columns > e->units)
            columns_of(e, i, &gate, &up);
        e->a[i] = taint_or(e->z[gate], e->z[up]);
    }
    unsigned char a = taint_highest(e->a, e->units);
    if (e->weight == MOE_WEIGHT_BEFORE_W2)
        a = scored(row, a);
    for (int64_t h = 0; h < e->H; h++) {
        unsigned char y = taint_or(taint_or(a, e->w2_row[h]), e->b2 ? e->b2[h] : TAINT_NONE);
        if (e->weight == MOE_WEIGHT_AFTER_W2 && e->scored)
            y = scored(row, y);
        row->o[h] = taint_or(row->o[h], y);
    }
}

/* g: taint of the gradient of A_i, its score included. */
static void unit_backward(const struct expert *e, int64_t i, unsigned char g)
{
    enum moe_act act = e->problem->act;
    int64_t gate = i, up = i;
    if (e->columns == e->units) {
        unsigned char dz = taint_or(g, e->z[i]);
        e->dz[i] = gate_is_kinked(act) ? at_most_may(dz) : dz;
        return;
    }
    columns_of(e, i, &gate, &up);
    unsigned char through_gate = taint_or(g, taint_or(e->z[gate], e->z[up]));
    unsigned char through_up = taint_or(g, e->z[gate]);
    e->dz[gate] = gate_is_kinked(act) ? at_most_may(through_gate) : through_gate;
    e->dz[up] = up_is_kinked(act) ? at_most_may(through_gate) : through_up;
}

/* Returns the taint of ds. */
static unsigned char row_backward(const struct expert *e, const struct row *row)
{
    int input = e->weight == MOE_WEIGHT_INPUT, scaled = e->scored && !input;
    unsigned char d_o = taint_highest(row->d_o, e->H), x = taint_highest(row->x, e->H), ds;
    for (int64_t i = 0; i < e->units; i++)
        e->da[i] = taint_or(d_o, e->w2_col[i]);
    ds = taint_or(taint_highest(e->da, e->units), taint_highest(e->a, e->units));
    if (e->b2 && e->weight == MOE_WEIGHT_AFTER_W2)
        ds = taint_or(ds, taint_highest(e->b2, e->H));
    for (int64_t i = 0; i < e->units; i++) {
        unit_backward(e, i, scaled ? scored(row, e->da[i]) : e->da[i]);
        e->sum_sa[i] = taint_or(e->sum_sa[i], scaled ? scored(row, e->a[i]) : e->a[i]);
    }
    unsigned char dz = taint_highest(e->dz, e->columns);
    for (int64_t h = 0; h < e->H; h++) {
        e->dxe[h] = taint_or(dz, e->w1_col[h]);
        row->dx[h] = taint_or(row->dx[h], input ? scored(row, e->dxe[h]) : e->dxe[h]);
        e->sum_x[h] = taint_or(e->sum_x[h], input ? scored(row, row->x[h]) : row->x[h]);
        e->sum_do[h] = taint_or(e->sum_do[h], row->d_o[h]);
        e->sum_sdo[h] = taint_or(e->sum_sdo[h], scored(row, row->d_o[h]));
    }
    for (int64_t c = 0; c < e->columns; c++)
        e->sum_dz[c] = taint_or(e->sum_dz[c], e->dz[c]);
    return input ? taint_or(taint_highest(e->dxe, e->H), x) : ds;
}

/* ---- one expert ------------------------------------------------------------------------------ */

static size_t scratch_bytes(int64_t H, int64_t units, int64_t columns)
{
    return (size_t)(6 * H + 4 * units + 4 * columns);
}

/* Divides scratch and makes the sums empty. */
static void expert_start(struct expert *e, unsigned char *scratch)
{
    struct {
        unsigned char **part;
        int64_t size;
    } parts[] = {{&e->w1_row, e->columns}, {&e->w1_col, e->H},    {&e->w2_row, e->H},
                 {&e->w2_col, e->units},   {&e->z, e->columns},   {&e->dz, e->columns},
                 {&e->a, e->units},        {&e->da, e->units},    {&e->dxe, e->H},
                 {&e->sum_dz, e->columns}, {&e->sum_x, e->H},     {&e->sum_do, e->H},
                 {&e->sum_sdo, e->H},      {&e->sum_sa, e->units}};
    memset(scratch, TAINT_NONE, scratch_bytes(e->H, e->units, e->columns));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *parts[i].part = scratch;
        scratch += parts[i].size;
    }
    highest_of_matrix(e->w1, e->columns, e->H, e->w1_row, e->w1_col);
    highest_of_matrix(e->w2, e->H, e->units, e->w2_row, e->w2_col);
}

/* Gradients are products over the expert's rows, so again of rows and columns alone. */
static void expert_end(const struct expert *e, unsigned char *dw1, unsigned char *db1,
                       unsigned char *dw2, unsigned char *db2)
{
    for (int64_t i = 0; i < e->columns * e->H; i++)
        dw1[i] = taint_or(e->sum_dz[i / e->H], e->sum_x[i % e->H]);
    for (int64_t i = 0; i < e->H * e->units; i++)
        dw2[i] = taint_or(e->sum_do[i / e->units], e->sum_sa[i % e->units]);
    for (int64_t c = 0; c < e->columns && e->b1; c++)
        db1[c] = e->sum_dz[c];
    for (int64_t h = 0; h < e->H && e->b2; h++)
        db2[h] = e->weight == MOE_WEIGHT_AFTER_W2 ? e->sum_sdo[h] : e->sum_do[h];
}

static const unsigned char *at(const struct taints *taints, enum moe_tensor_id id, int64_t index)
{
    return taints->of[id] ? taints->of[id] + index : NULL;
}

static unsigned char *to(struct taints *taints, enum moe_tensor_id id, int64_t index)
{
    return taints->of[id] ? taints->of[id] + index : NULL;
}

static void carry_expert(struct taints *taints, int64_t index, unsigned char *scratch)
{
    const struct moe_problem *p = taints->problem;
    const struct moe_routing *routing = taints->routing;
    int64_t H = p->H, I = p->I, Z = moe_problem_z_rows(p);
    struct expert e = {
        .problem = p,
        .H = H,
        .units = I,
        .columns = Z,
        .weight = p->weight,
        .scored = 1,
        .w1 = at(taints, MOE_W1, index * Z * H),
        .b1 = at(taints, MOE_B1, index * Z),
        .w2 = at(taints, MOE_W2, index * H * I),
        .b2 = at(taints, MOE_B2, index * H),
    };
    int64_t begin = routing->expert_begin[index], end = routing->expert_begin[index + 1];
    if (begin == end)
        return; /* whatever its weights are, nothing depends on them */
    expert_start(&e, scratch);
    for (int64_t r = begin; r < end; r++) {
        int64_t t = routing->row_token[r], entry = routing->row_entry[r];
        struct row row = {
            .x = at(taints, MOE_X, t * H),
            .d_o = at(taints, MOE_DO, t * H),
            .score = taints->of[MOE_SCORES][entry],
            .score_is_zero = routing->score[entry] == 0,
            .o = to(taints, MOE_O, t * H),
            .dx = to(taints, MOE_DX, t * H),
        };
        row_forward(&e, &row);
        memcpy(to(taints, MOE_Z, r * Z), e.z, (size_t)Z);
        taints->of[MOE_DS][entry] = row_backward(&e, &row);
    }
    expert_end(&e, to(taints, MOE_DW1, index * Z * H), to(taints, MOE_DB1, index * Z),
               to(taints, MOE_DW2, index * H * I), to(taints, MOE_DB2, index * H));
}

/* Every token is a row of it; its score, if any, is sigmoid(<x, wsg>), which has a gradient. */
static void carry_shared(struct taints *taints, unsigned char *scratch)
{
    const struct moe_problem *p = taints->problem;
    int64_t H = p->H;
    struct expert e = {
        .problem = p,
        .H = H,
        .units = p->shared,
        .columns = moe_problem_shared_rows(p),
        .weight = MOE_WEIGHT_AFTER_W2,
        .scored = p->shared_gate,
        .w1 = at(taints, MOE_WS1, 0),
        .w2 = at(taints, MOE_WS2, 0),
    };
    unsigned char gate_weight = p->shared_gate ? taint_highest(taints->of[MOE_WSG], H) : TAINT_NONE;
    expert_start(&e, scratch);
    for (int64_t t = 0; t < p->T; t++) {
        struct row row = {
            .x = at(taints, MOE_X, t * H),
            .d_o = at(taints, MOE_DO, t * H),
            .o = to(taints, MOE_O, t * H),
            .dx = to(taints, MOE_DX, t * H),
        };
        if (p->shared_gate)
            row.score = taint_or(taint_highest(row.x, H), gate_weight);
        row_forward(&e, &row);
        unsigned char q = taint_or(row_backward(&e, &row), row.score);
        for (int64_t h = 0; h < H && p->shared_gate; h++) {
            taints->of[MOE_DWSG][h] = taint_or(taints->of[MOE_DWSG][h], taint_or(q, row.x[h]));
            row.dx[h] = taint_or(row.dx[h], taint_or(q, taints->of[MOE_WSG][h]));
        }
    }
    expert_end(&e, to(taints, MOE_DWS1, 0), NULL, to(taints, MOE_DWS2, 0), NULL);
}

/* ---- all of it ------------------------------------------------------------------------------- */

int taints_open(const struct moe_problem *problem, const struct moe_tensors *tensors,
                struct taints *taints)
{
    *taints = (struct taints){.problem = problem};
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        if (!tensors->tensor[id].data)
            continue;
        int64_t count = moe_tensor_count(&tensors->tensor[id]);
        taints->of[id] = calloc(count > 0 ? (size_t)count : 1, 1);
        if (!taints->of[id]) {
            taints_close(taints);
            return moe_error(MOE_E_NOMEM, "no memory for what depends on %s",
                             moe_tensor_info((enum moe_tensor_id)id)->name);
        }
    }
    return MOE_OK;
}

void taints_close(struct taints *taints)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        free(taints->of[id]);
    *taints = (struct taints){.problem = taints->problem};
}

int taints_carry(struct taints *taints)
{
    const struct moe_problem *p = taints->problem;
    size_t of_experts = scratch_bytes(p->H, p->I, moe_problem_z_rows(p));
    size_t of_shared = scratch_bytes(p->H, p->shared, moe_problem_shared_rows(p));
    unsigned char *scratch = malloc(of_experts > of_shared ? of_experts : of_shared);
    if (!scratch)
        return moe_error(MOE_E_NOMEM, "no memory for what depends on a row");
    if (p->router != MOE_LISTS)
        taint_router_forward(taints);
    for (int64_t e = 0; e < p->E; e++)
        carry_expert(taints, e, scratch);
    if (p->shared > 0)
        carry_shared(taints, scratch);
    if (p->router != MOE_LISTS)
        taint_router_backward(taints);
    free(scratch);
    return MOE_OK;
}

/*
 * exact.c - the pass over the whole layer: memory, experts in turn, what is handed out.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref/exact_pass.h"

/* Elements of [T,H], of an expert's weights: sums of them take 24 bytes each. */
#define LARGEST ((int64_t)1 << 24)

int product_bits(const struct exact_pass *pass, enum moe_product product)
{
    static const int bits[MOE_ACC_COUNT] = {
        [MOE_ACC_F64] = 53, [MOE_ACC_F32] = 24, [MOE_ACC_MMA16_F32] = 24};
    return bits[pass->recipe->product[product].accumulator];
}

int element_bits(const struct exact_pass *pass)
{
    return pass->recipe->elementwise == MOE_F64 ? 53 : 24;
}

double pass_sum(const struct exact_pass *pass, enum moe_product product,
                const struct exact_sum *sum)
{
    const int bits = product_bits(pass, product);
    return bits == 0 ? NAN : exact_sum_value(sum, bits, bits == 53 ? -1022 : -126);
}

double pass_at(struct exact_pass *pass, enum moe_point point, double value)
{
    static const char *const names[MOE_POINT_COUNT] = {
        "logits", "scores", "sX", "Z", "A", "sA", "Y", "dA'", "dZ", "dX~", "ds", "dlogits"};
    struct exact_sum sum = exact_sum_empty();
    exact_sum_add(&sum, value);
    const int wide = element_bits(pass) == 53;
    value = exact_sum_value(&sum, wide ? 53 : 24, wide ? -1022 : -126);
    const double lost = pass->recipe->at[point].lost;
    if (lost > 0 && fmod(value, lost) != 0)
        return NAN;
    if (isnan(value) || value == 0 || pass->recipe->at[point].when == MOE_NEVER)
        return value;
    const enum moe_dtype to = pass->recipe->at[point].to;
    const struct moe_dtype_info *info = moe_dtype_info(to);
    if (fabs(value) > info->largest)
        pass->seen->overflow = names[point];
    const double kept = moe_dtype_round(to, value, 0);
    const int flushed = pass->recipe->flush_to_zero && fabs(value) < info->smallest_normal;
    return kept == value && !(flushed && to != MOE_F16) ? value : NAN;
}

/* ---- what leaves ---------------------------------------------------------------------------- */

static int hand(struct exact_pass *pass, enum moe_tensor_id id, int64_t row, int64_t rows,
                int64_t cols, const double *values)
{
    const struct moe_block block = {
        .tensor = id, .row = row, .rows = rows, .cols = cols, .stride = cols, .value = values};
    pass->seen->elements[id] += rows * cols;
    for (int64_t i = 0; i < rows * cols; i++)
        pass->seen->certain[id] += !isnan(values[i]);
    return rows * cols > 0 ? pass->call->take(pass->call->context, &block) : MOE_OK;
}

/* The stored value where that is certain: no overflow, no subnormal that may be flushed. */
static double storable(const struct exact_pass *pass, enum moe_tensor_id id, double value)
{
    const enum moe_dtype dtype = pass->call->tensors[id].dtype;
    const struct moe_dtype_info *info = moe_dtype_info(dtype);
    if (fabs(value) > info->largest)
        return NAN;
    return pass->recipe->flush_to_zero && value != 0 && fabs(value) < info->smallest_normal &&
                   dtype != MOE_F16
               ? NAN
               : value;
}

int pass_hand_out_values(struct exact_pass *pass, enum moe_tensor_id id, int64_t row, int64_t rows,
                         int64_t cols, const double *values)
{
    double *out = malloc((size_t)(rows * cols > 0 ? rows * cols : 1) * sizeof *out);
    if (!out)
        return moe_error(MOE_E_NOMEM, "no memory to hand out %lld values",
                         (long long)(rows * cols));
    for (int64_t i = 0; i < rows * cols; i++)
        out[i] = storable(pass, id, values[i]);
    const int status = hand(pass, id, row, rows, cols, out);
    free(out);
    return status;
}

/* beta=1: the sum may start from the old value, or be rounded to the type before it is added. */
static double with_old(const struct exact_pass *pass, enum moe_tensor_id id,
                       enum moe_product product, int64_t index, struct exact_sum sum)
{
    const struct moe_tensor *before = &pass->call->before[id];
    const double value = pass_sum(pass, product, &sum);
    if (!(moe_dtype_round(before->dtype, value, 0) == value))
        return NAN;
    exact_sum_add(&sum,
                  moe_dtype_load(before->dtype, before->data, moe_tensor_position(before, index)));
    return pass_sum(pass, product, &sum);
}

int pass_hand_out(struct exact_pass *pass, enum moe_tensor_id id, int64_t row, int64_t rows,
                  int64_t cols, enum moe_product product, const struct exact_sum *sums)
{
    const int adds = pass->problem->beta && moe_tensor_info(id)->role == MOE_PARAMETER_GRADIENT;
    double *values = malloc((size_t)(rows * cols > 0 ? rows * cols : 1) * sizeof *values);
    if (!values)
        return moe_error(MOE_E_NOMEM, "no memory to hand out %lld sums", (long long)(rows * cols));
    for (int64_t i = 0; i < rows * cols; i++) {
        values[i] = adds ? with_old(pass, id, product, row * cols + i, sums[i])
                         : pass_sum(pass, product, &sums[i]);
        values[i] = storable(pass, id, values[i]);
    }
    const int status = hand(pass, id, row, rows, cols, values);
    free(values);
    return status;
}

/* ---- matrices ------------------------------------------------------------------------------- */

double *pass_load(const struct exact_pass *pass, enum moe_tensor_id id, int64_t slice,
                  int64_t count)
{
    double *values = malloc((size_t)(count > 0 ? count : 1) * sizeof *values);
    if (values && count > 0)
        load_slice(&pass->call->tensors[id], slice, (struct known){values, NULL});
    for (int64_t i = 0; values && i < count; i++)
        if (!isfinite(values[i]))
            pass->seen->overflow = moe_tensor_info(id)->name; /* 0 times it would not be 0 */
    return values;
}

int sparse_of(const double *dense, int64_t rows, int64_t cols, struct sparse *sparse)
{
    int64_t count = 0;
    for (int64_t i = 0; i < rows * cols; i++)
        count += dense[i] != 0;
    *sparse = (struct sparse){.rows = rows};
    sparse->begin = malloc((size_t)(rows + 1) * sizeof *sparse->begin);
    sparse->column = malloc((size_t)(count + 1) * sizeof *sparse->column);
    sparse->value = malloc((size_t)(count + 1) * sizeof *sparse->value);
    if (!sparse->begin || !sparse->column || !sparse->value)
        return MOE_E_NOMEM;
    count = 0;
    for (int64_t r = 0; r < rows; r++) {
        sparse->begin[r] = count;
        for (int64_t c = 0; c < cols; c++) {
            if (dense[r * cols + c] == 0)
                continue;
            sparse->column[count] = c;
            sparse->value[count++] = dense[r * cols + c];
        }
    }
    sparse->begin[rows] = count;
    return MOE_OK;
}

void sparse_free(struct sparse *sparse)
{
    free(sparse->begin);
    free(sparse->column);
    free(sparse->value);
}

/* ---- the run -------------------------------------------------------------------------------- */

static int allocate(struct exact_pass *pass)
{
    const struct moe_problem *p = pass->problem;
    const int64_t TH = p->T * p->H, P = pass->routing->P, N = pass->routing->N;
    const int64_t Z = moe_problem_z_rows(p);
    if (TH > LARGEST || Z > LARGEST / p->H || p->shared > LARGEST / 2 / p->H ||
        p->T > LARGEST / p->E)
        return moe_error(MOE_E_UNSUPPORTED, "too large for a proof of exactness");
    pass->x = pass_load(pass, MOE_X, 0, TH);
    pass->d_o = pass_load(pass, MOE_DO, 0, TH);
    pass->score = calloc((size_t)(2 * P + 1), sizeof(double));
    pass->gate = calloc((size_t)(2 * p->T + 1), sizeof(double));
    pass->logits = calloc((size_t)(p->T * p->E + 1), sizeof(double));
    pass->o = malloc((size_t)(2 * TH + 1) * sizeof *pass->o);
    pass->h_seen = calloc((size_t)(2 * p->H + p->I + Z + 2 * N + 1), 1);
    if (!pass->x || !pass->d_o || !pass->score || !pass->gate || !pass->logits || !pass->o ||
        !pass->h_seen)
        return moe_error(MOE_E_NOMEM, "no memory for a proof of exactness");
    pass->ds = pass->score + P;
    pass->dgate = pass->gate + p->T;
    pass->dx = pass->o + TH;
    for (int64_t i = 0; i < 2 * TH; i++)
        pass->o[i] = exact_sum_empty();
    pass->h_back = pass->h_seen + p->H;
    pass->i_seen = pass->h_back + p->H;
    pass->z_seen = pass->i_seen + p->I;
    pass->row_seen = pass->z_seen + Z;
    pass->row_back = pass->row_seen + N;
    return MOE_OK;
}

static int64_t unseen(const unsigned char *seen, int64_t count)
{
    int64_t missing = 0;
    for (int64_t i = 0; i < count; i++)
        missing += !seen[i];
    return missing;
}

static void count_unseen(struct exact_pass *pass)
{
    struct moe_exact_seen *seen = pass->seen;
    seen->h_unseen = unseen(pass->h_seen, pass->H);
    seen->h_back = unseen(pass->h_back, pass->H);
    seen->i_unseen = unseen(pass->i_seen, pass->problem->I);
    seen->z_unseen = unseen(pass->z_seen, moe_problem_z_rows(pass->problem));
    seen->rows_unseen = unseen(pass->row_seen, pass->routing->N);
    seen->rows_back = unseen(pass->row_back, pass->routing->N);
}

static int run(struct exact_pass *pass)
{
    const struct moe_problem *p = pass->problem;
    const struct moe_routing *routing = pass->routing;
    int status = exact_router_forward(pass);
    if (status == MOE_OK && p->shared_gate)
        status = exact_shared_gate_forward(pass);
    for (int64_t e = 0; e < p->E && status == MOE_OK; e++)
        status = exact_expert(pass, e);
    if (status == MOE_OK && p->shared > 0)
        status = exact_expert(pass, -1);
    if (status == MOE_OK) {
        const int ragged = moe_problem_ragged(p);
        status = pass_hand_out_values(pass, MOE_DS, 0, ragged ? 1 : p->T,
                                      ragged ? routing->P : p->K, pass->ds);
    }
    if (status == MOE_OK)
        status = exact_router_backward(pass);
    if (status == MOE_OK && p->shared_gate)
        status = exact_shared_gate_backward(pass);
    if (status == MOE_OK)
        status = pass_hand_out(pass, MOE_O, 0, p->T, p->H, MOE_IN_O, pass->o);
    if (status == MOE_OK)
        status = pass_hand_out(pass, MOE_DX, 0, p->T, p->H, MOE_IN_DX, pass->dx);
    return status;
}

int moe_exact_run(const struct moe_exact *exact, struct moe_exact_seen *seen)
{
    const struct moe_problem *p = exact->problem;
    struct exact_pass pass = {.call = exact,
                              .problem = p,
                              .routing = exact->routing,
                              .recipe = exact->recipe,
                              .seen = seen,
                              .T = p->T,
                              .H = p->H,
                              .E = p->E};
    *seen = (struct moe_exact_seen){.overflow = NULL};
    int status = allocate(&pass);
    if (status == MOE_OK)
        status = run(&pass);
    if (status == MOE_OK)
        count_unseen(&pass);
    free(pass.x);
    free(pass.d_o);
    free(pass.score);
    free(pass.gate);
    free(pass.logits);
    free(pass.o);
    free(pass.h_seen);
    return status;
}

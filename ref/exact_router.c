/*
 * exact_router.c - logits, scores and their gradients where they are certain.
 *
 * A softmax is where its logits are equal, or so far below (128) that exp leaves nothing, and the
 * equal ones are a power of two in number: each has an equal part. A sigmoid is at 0 and from 128
 * on. What e^-128 leaves is lost in f32, and in f64 is not certain.
 */
#include <math.h>
#include <stdlib.h>

#include "ref/exact_pass.h"

static const double far = 128;

/* Gradients this small or smaller, times e^-128, are below half the smallest f32. */
static const double negligible_times = 0x1p20;

static int is_power_of_two(double value)
{
    int exponent;
    return value > 0 && frexp(value, &exponent) == 0.5;
}

/* Something times e^-128. */
static double negligible(const struct exact_pass *pass, double factor)
{
    return pass->problem->dtype != MOE_F64 && fabs(factor) <= negligible_times ? 0 : NAN;
}

static double certain_sigmoid(double l)
{
    if (l == 0)
        return 0.5;
    return l >= far ? 1 : NAN;
}

/* q [T,n] = X W^T + b. */
static int project(struct exact_pass *pass, enum moe_tensor_id id, int64_t n, const double *b,
                   double *q)
{
    double *w = pass_load(pass, id, 0, n * pass->H);
    struct sparse sparse = {0};
    int status = w ? sparse_of(w, n, pass->H, &sparse) : MOE_E_NOMEM;
    for (int64_t i = 0; status == MOE_OK && i < pass->T * n; i++) {
        const double *x = pass->x + i / n * pass->H;
        struct exact_sum sum = exact_sum_empty();
        for (int64_t j = sparse.begin[i % n]; j < sparse.begin[i % n + 1]; j++)
            exact_sum_add(&sum, certain_product(x[sparse.column[j]], sparse.value[j]));
        if (b)
            exact_sum_add(&sum, b[i % n]);
        q[i] = pass_sum(pass, MOE_IN_LOGITS, &sum);
    }
    sparse_free(&sparse);
    free(w);
    return status == MOE_OK ? MOE_OK : moe_error(MOE_E_NOMEM, "no memory for exact logits");
}

/* ---- scores --------------------------------------------------------------------------------- */

/* Equal parts of the logits that are largest, of n; NaN where that is not what they are. *most is
 * the largest. */
static double equal_part(const double *l, const int32_t *pick, int64_t n, double *most)
{
    int64_t equal = 0;
    *most = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        const double value = l[pick ? pick[i] : i];
        if (isnan(value))
            return NAN;
        *most = value > *most ? value : *most;
    }
    for (int64_t i = 0; i < n; i++) {
        const double value = l[pick ? pick[i] : i];
        equal += value == *most;
        if (value != *most && !(*most - value >= far))
            return NAN;
    }
    return is_power_of_two((double)equal) ? 1 / (double)equal : NAN;
}

/* v of expert e, one of the n picks. */
static double raw_score(const struct moe_problem *p, const double *l, const int32_t *pick,
                        int64_t n, int32_t e)
{
    double most;
    if (p->router == MOE_SIGMOID)
        return certain_sigmoid(l[e]);
    if (p->router == MOE_SQRT_SOFTPLUS)
        return NAN;
    const int over_picked = p->router == MOE_TOPK_SOFTMAX;
    const double part = equal_part(l, over_picked ? pick : NULL, over_picked ? n : p->E, &most);
    return l[e] == most ? part : NAN;
}

/* Sum of the picked v, where dividing by it is exact: a power of two; 1 without renorm. */
static double divisor(const struct moe_problem *p, const double *l, const int32_t *pick, int64_t n)
{
    double V = 0;
    if (!p->renorm)
        return 1;
    for (int64_t i = 0; i < n; i++)
        V += raw_score(p, l, pick, n, pick[i]);
    return is_power_of_two(V) ? V : NAN;
}

int exact_router_forward(struct exact_pass *pass)
{
    const struct moe_problem *p = pass->problem;
    const struct moe_routing *routing = pass->routing;
    if (p->router == MOE_LISTS) {
        for (int64_t i = 0; i < routing->P; i++)
            pass->score[i] = routing->score[i];
        return MOE_OK;
    }
    double *br = p->router_bias ? pass_load(pass, MOE_BR, 0, p->E) : NULL;
    if (p->router_bias && !br)
        return moe_error(MOE_E_NOMEM, "no memory for br");
    int status = project(pass, MOE_WR, p->E, br, pass->logits);
    free(br);
    if (status == MOE_OK)
        status = pass_hand_out_values(pass, MOE_LOGITS, 0, p->T, p->E, pass->logits);
    for (int64_t i = 0; i < p->T * p->E; i++)
        pass->logits[i] = pass_at(pass, MOE_AT_LOGITS, pass->logits[i]);
    for (int64_t t = 0; t < p->T; t++) {
        const int64_t begin = routing->token_begin[t], n = routing->token_begin[t + 1] - begin;
        const double *l = pass->logits + t * p->E;
        const int32_t *pick = routing->pick + begin;
        const double V = divisor(p, l, pick, n);
        for (int64_t k = 0; k < n; k++)
            pass->score[begin + k] =
                pass_at(pass, MOE_AT_SCORES,
                        certain_product(p->scale, raw_score(p, l, pick, n, pick[k]) / V));
    }
    const int ragged = moe_problem_ragged(p);
    if (status == MOE_OK)
        status = pass_hand_out_values(pass, MOE_SCORES, 0, ragged ? 1 : p->T,
                                      ragged ? routing->P : p->K, pass->score);
    return status;
}

/* ---- gradients ------------------------------------------------------------------------------ */

static double difference(const struct exact_pass *pass, double a, double b)
{
    struct exact_sum sum = exact_sum_empty();
    exact_sum_add(&sum, a);
    exact_sum_add(&sum, -b);
    return exact_sum_value(&sum, element_bits(pass), -126);
}

/* sum of w_k v_k over n, w NULL: all `weight`. */
static double weighted(const struct exact_pass *pass, int64_t n, double weight, const double *v)
{
    struct exact_sum sum = exact_sum_empty();
    for (int64_t k = 0; k < n; k++)
        exact_sum_add(&sum, certain_product(weight, v[k]));
    return exact_sum_value(&sum, element_bits(pass), -126);
}

/* dL [E] of one token from ds [n]; dv [n] is room. The picked v must all be alike: then the mean of
 * ds is plain. */
static void token_backward(struct exact_pass *pass, const double *l, const int32_t *pick, int64_t n,
                           const double *ds, double *dv, double *dl)
{
    const struct moe_problem *p = pass->problem;
    const double V = divisor(p, l, pick, n);
    for (int64_t e = 0; e < p->E; e++)
        dl[e] = 0;
    if (n == 0)
        return;
    const double v = raw_score(p, l, pick, n, pick[0]);
    double reach = 0, most;
    int alike = !isnan(v) && !isnan(V);
    for (int64_t k = 0; k < n; k++)
        alike = alike && raw_score(p, l, pick, n, pick[k]) == v;
    const double mean = p->renorm ? weighted(pass, n, v / V, ds) : 0;
    for (int64_t k = 0; k < n; k++) {
        dv[k] = alike ? certain_product(p->scale, difference(pass, ds[k], mean) / V) : NAN;
        reach += fabs(dv[k]);
    }
    if (p->router == MOE_SIGMOID) {
        for (int64_t k = 0; k < n; k++)
            dl[pick[k]] = l[pick[k]] == 0 ? certain_product(dv[k], 0.25) : negligible(pass, reach);
        return;
    }
    const int over_picked = p->router == MOE_TOPK_SOFTMAX;
    const double inner = weighted(pass, n, v, dv);
    equal_part(l, over_picked ? pick : NULL, over_picked ? n : p->E, &most);
    for (int64_t e = 0; e < p->E && !over_picked; e++)
        dl[e] = l[e] == most ? certain_product(v, -inner) : negligible(pass, reach);
    for (int64_t k = 0; k < n; k++)
        dl[pick[k]] = certain_product(v, difference(pass, dv[k], inner));
}

/* dwr [E,H] += dL^T X, dx += dL Wr, dbr += dL. */
static int spread(struct exact_pass *pass, const double *dl)
{
    const struct moe_problem *p = pass->problem;
    const int64_t E = p->E, H = p->H;
    struct exact_sum *dwr = malloc((size_t)(E * H + E) * sizeof *dwr), *dbr = dwr + E * H;
    double *wr = pass_load(pass, MOE_WR, 0, E * H);
    int status = dwr && wr ? MOE_OK : moe_error(MOE_E_NOMEM, "no memory for an exact dwr");
    for (int64_t i = 0; status == MOE_OK && i < E * H + E; i++)
        dwr[i] = exact_sum_empty();
    for (int64_t i = 0; status == MOE_OK && i < p->T * E; i++) {
        const int64_t t = i / E, e = i % E;
        exact_sum_add(&dbr[e], dl[i]);
        for (int64_t k = 0; dl[i] != 0 && k < H; k++) {
            exact_sum_add(&dwr[e * H + k], certain_product(dl[i], pass->x[t * H + k]));
            exact_sum_add(&pass->dx[t * H + k], certain_product(dl[i], wr[e * H + k]));
        }
    }
    if (status == MOE_OK)
        status = pass_hand_out(pass, MOE_DWR, 0, E, H, MOE_IN_DWR, dwr);
    if (status == MOE_OK && p->router_bias)
        status = pass_hand_out(pass, MOE_DBR, 0, 1, E, MOE_IN_DWR, dbr);
    free(dwr);
    free(wr);
    return status;
}

int exact_router_backward(struct exact_pass *pass)
{
    const struct moe_problem *p = pass->problem;
    const struct moe_routing *routing = pass->routing;
    const int with_losses = p->aux != 0 || p->zloss != 0; /* logarithms of E: never certain */
    if (p->router == MOE_LISTS)
        return MOE_OK;
    double *dl = malloc((size_t)(p->T * p->E + p->E) * sizeof *dl), *dv = dl + p->T * p->E;
    if (!dl)
        return moe_error(MOE_E_NOMEM, "no memory for exact dlogits");
    for (int64_t t = 0; t < p->T; t++) {
        const int64_t begin = routing->token_begin[t], n = routing->token_begin[t + 1] - begin;
        token_backward(pass, pass->logits + t * p->E, routing->pick + begin, n, pass->ds + begin,
                       dv, dl + t * p->E);
    }
    for (int64_t i = 0; i < p->T * p->E; i++)
        dl[i] = with_losses ? NAN : pass_at(pass, MOE_AT_DLOGITS, dl[i]);
    int status = pass_hand_out_values(pass, MOE_DLOGITS, 0, p->T, p->E, dl);
    if (status == MOE_OK)
        status = spread(pass, dl);
    free(dl);
    return status;
}

/* ---- the shared expert's gate --------------------------------------------------------------- */

int exact_shared_gate_forward(struct exact_pass *pass)
{
    int status = project(pass, MOE_WSG, 1, NULL, pass->gate);
    for (int64_t t = 0; t < pass->T && status == MOE_OK; t++) {
        pass->gate[t] = certain_sigmoid(pass->gate[t]);
    }
    return status;
}

int exact_shared_gate_backward(struct exact_pass *pass)
{
    const int64_t T = pass->T, H = pass->H;
    struct exact_sum *dwsg = malloc((size_t)H * sizeof *dwsg);
    double *wsg = pass_load(pass, MOE_WSG, 0, H);
    int status = dwsg && wsg ? MOE_OK : moe_error(MOE_E_NOMEM, "no memory for an exact dwsg");
    for (int64_t k = 0; k < H && status == MOE_OK; k++)
        dwsg[k] = exact_sum_empty();
    for (int64_t t = 0; t < T && status == MOE_OK; t++) {
        const double gate = pass->gate[t];
        const double slope = gate == 0.5 ? 0.25
                             : gate == 1 ? negligible(pass, pass->dgate[t])
                                         : NAN;
        struct exact_sum sum = exact_sum_empty();
        exact_sum_add(&sum, certain_product(pass->dgate[t], slope));
        const double q = exact_sum_value(&sum, element_bits(pass), -126);
        for (int64_t k = 0; q != 0 && k < H; k++) {
            exact_sum_add(&dwsg[k], certain_product(q, pass->x[t * H + k]));
            exact_sum_add(&pass->dx[t * H + k], certain_product(q, wsg[k]));
        }
    }
    if (status == MOE_OK)
        status = pass_hand_out(pass, MOE_DWSG, 0, 1, H, MOE_IN_DWR, dwsg);
    free(dwsg);
    free(wsg);
    return status;
}

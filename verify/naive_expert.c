/*
 * naive_expert.c - one row through one expert, forward and backward; the shared expert is one more.
 *
 * The three places of the score s, X the row's token, dO its output's gradient, dA' = dO W2:
 *
 *              after-w2                  before-w2                 input
 *   Z          X W1^T + b1               X W1^T + b1               (s X) W1^T + b1
 *   O +=       s (A W2^T + b2)           (s A) W2^T + b2           A W2^T + b2
 *   ds         <dA', A> + <dO, b2>       <dA', A>                  <dZ W1, X>
 *   dZ         act'(Z) (s dA')           act'(Z) (s dA')           act'(Z) dA'
 *   dW2 +=     dO (s A)^T                dO (s A)^T                dO A^T
 *   db2 +=     s dO                      dO                        dO
 *   dW1 +=     dZ X^T                    dZ X^T                    dZ (s X)^T
 *   dX +=      dZ W1                     dZ W1                     s dZ W1
 *
 * and db1 += dZ everywhere.
 */
#include "verify/naive.h"

static long double dot(const long double *a, const long double *b, int64_t count)
{
    long double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* y += factor x */
static void add(long double factor, const long double *x, int64_t count, long double *y)
{
    for (int64_t i = 0; i < count; i++)
        y[i] += factor * x[i];
}

static void scale(long double factor, const long double *x, int64_t count, long double *y)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = factor * x[i];
}

void moe_naive_row_z(const struct moe_naive_expert *expert, const struct moe_naive_space *space,
                     long double score, const long double *x, long double *z)
{
    if (expert->weight == MOE_WEIGHT_INPUT) {
        scale(score, x, expert->H, space->scaled);
        x = space->scaled;
    }
    for (int64_t j = 0; j < expert->rows; j++)
        z[j] = dot(x, expert->w1 + j * expert->H, expert->H) + expert->b1[j];
}

void moe_naive_row_forward(const struct moe_problem *problem, const struct moe_naive_expert *expert,
                           const struct moe_naive_space *space, long double score, long double *o)
{
    int64_t units = expert->units;
    moe_naive_act(problem, units, space->z, space->a);
    if (expert->weight == MOE_WEIGHT_BEFORE_W2)
        scale(score, space->a, units, space->a);
    for (int64_t h = 0; h < expert->H; h++) {
        long double y = dot(space->a, expert->w2 + h * units, units) + expert->b2[h];
        o[h] += expert->weight == MOE_WEIGHT_AFTER_W2 ? score * y : y;
    }
}

long double moe_naive_row_backward(const struct moe_problem *problem,
                                   const struct moe_naive_expert *expert,
                                   const struct moe_naive_space *space, long double score,
                                   const long double *x, const long double *dout, long double *dx)
{
    int64_t H = expert->H, units = expert->units, rows = expert->rows;
    int on_input = expert->weight == MOE_WEIGHT_INPUT;
    long double *a = space->a, *da = space->da, *dz = space->dz;
    long double *dx_scaled = space->scaled;

    moe_naive_act(problem, units, space->z, a);
    for (int64_t i = 0; i < units; i++)
        da[i] = 0;
    for (int64_t h = 0; h < H; h++)
        add(dout[h], expert->w2 + h * units, units, da);

    long double ds = 0;
    if (!on_input)
        ds = dot(da, a, units);
    if (expert->weight == MOE_WEIGHT_AFTER_W2)
        ds += dot(dout, expert->b2, H);

    if (!on_input) {
        scale(score, da, units, da);
        scale(score, a, units, a);
    }
    moe_naive_act_backward(problem, units, space->z, da, dz);

    for (int64_t h = 0; h < H; h++)
        add(dout[h], a, units, expert->dw2 + h * units);
    add(expert->weight == MOE_WEIGHT_AFTER_W2 ? score : 1, dout, H, expert->db2);

    for (int64_t h = 0; h < H; h++)
        dx_scaled[h] = 0;
    for (int64_t j = 0; j < rows; j++) {
        add(on_input ? score * dz[j] : dz[j], x, H, expert->dw1 + j * H);
        add(dz[j], expert->w1 + j * H, H, dx_scaled);
    }
    add(1, dz, rows, expert->db1);
    if (on_input)
        ds = dot(dx_scaled, x, H);
    add(on_input ? score : 1, dx_scaled, H, dx);
    return ds;
}

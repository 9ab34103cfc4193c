/*
 * naive_act.c - the activations of `naive`, from their formulas.
 *
 * A gated one is A_i = gate(g_i) up(u_i), a plain one A_i = gate(z_i). Clamps have derivative 1 at
 * the limit; relu'(0) = 0.
 */
#include <math.h>

#include "verify/naive.h"

#define SQRT_HALF 0.70710678118654752440084436210484903928L     /* sqrt(1/2) */
#define SQRT_2_BY_PI 0.79788456080286535587989211986876373695L  /* sqrt(2/pi) */
#define SQRT_1_BY_2PI 0.39894228040143267793994605993438186848L /* sqrt(1/(2 pi)) */
#define OAI_SLOPE 1.702L
#define OAI_LIMIT 7.0L

/* 1 / (1 + exp(-x)), from the side on which exp does not overflow. */
long double moe_naive_sigmoid(long double x)
{
    if (x < 0) {
        long double power = expl(x);
        return power / (1 + power);
    }
    return 1 / (1 + expl(-x));
}

/* x sigmoid(k x) */
static long double swish(long double x, long double k)
{
    return x * moe_naive_sigmoid(k * x);
}

static long double swish_slope(long double x, long double k)
{
    long double s = moe_naive_sigmoid(k * x);
    return s + k * x * s * (1 - s);
}

static long double silu(long double x, long double limit)
{
    (void)limit;
    return swish(x, 1);
}

static long double silu_slope(long double x, long double limit)
{
    (void)limit;
    return swish_slope(x, 1);
}

/* The normal distribution function; erfc keeps its digits where 1 + erf cancels. */
static long double normal(long double x)
{
    return erfcl(-x * SQRT_HALF) / 2;
}

static long double gelu(long double x, long double limit)
{
    (void)limit;
    return x * normal(x);
}

static long double gelu_slope(long double x, long double limit)
{
    (void)limit;
    return normal(x) + x * SQRT_1_BY_2PI * expl(-x * x / 2);
}

/* x/2 (1 + tanh(y)), y = sqrt(2/pi) (x + 0.044715 x^3); and (1 + tanh(y))/2 = sigmoid(2y). */
static long double gelu_tanh(long double x, long double limit)
{
    (void)limit;
    long double y = SQRT_2_BY_PI * (x + 0.044715L * x * x * x);
    return x * moe_naive_sigmoid(2 * y);
}

static long double gelu_tanh_slope(long double x, long double limit)
{
    (void)limit;
    long double y = SQRT_2_BY_PI * (x + 0.044715L * x * x * x);
    long double y_slope = SQRT_2_BY_PI * (1 + 3 * 0.044715L * x * x);
    long double s = moe_naive_sigmoid(2 * y);
    return s + x * 2 * y_slope * s * (1 - s);
}

/* Written so that a NaN stays one. */
static long double relu(long double x, long double limit)
{
    (void)limit;
    return x <= 0 ? 0 : x;
}

static long double relu_slope(long double x, long double limit)
{
    (void)limit;
    return x <= 0 ? 0 : x > 0 ? 1 : x;
}

static long double relu2(long double x, long double limit)
{
    return relu(x, limit) * relu(x, limit);
}

static long double relu2_slope(long double x, long double limit)
{
    return 2 * relu(x, limit);
}

static long double at_most(long double x, long double limit)
{
    return x > limit ? limit : x;
}

static long double within(long double x, long double limit)
{
    return x > limit ? limit : x < -limit ? -limit : x;
}

static long double oai_gate(long double g, long double limit)
{
    (void)limit;
    return swish(at_most(g, OAI_LIMIT), OAI_SLOPE);
}

static long double oai_gate_slope(long double g, long double limit)
{
    (void)limit;
    return g > OAI_LIMIT ? 0 : swish_slope(g, OAI_SLOPE);
}

static long double oai_up(long double u, long double limit)
{
    (void)limit;
    return within(u, OAI_LIMIT) + 1;
}

static long double oai_up_slope(long double u, long double limit)
{
    (void)limit;
    return fabsl(u) > OAI_LIMIT ? 0 : 1;
}

static long double clamp_gate(long double g, long double limit)
{
    return swish(at_most(g, limit), 1);
}

static long double clamp_gate_slope(long double g, long double limit)
{
    return g > limit ? 0 : swish_slope(g, 1);
}

static long double clamp_up_slope(long double u, long double limit)
{
    return fabsl(u) > limit ? 0 : 1;
}

static long double same(long double u, long double limit)
{
    (void)limit;
    return u;
}

static long double one(long double u, long double limit)
{
    (void)u, (void)limit;
    return 1;
}

typedef long double curve(long double x, long double limit);

static const struct {
    curve *gate, *gate_slope;
    curve *up, *up_slope; /* NULL: plain */
} table[MOE_ACT_COUNT] = {
    [MOE_SWIGLU] = {silu, silu_slope, same, one},
    [MOE_GEGLU] = {gelu, gelu_slope, same, one},
    [MOE_GEGLU_TANH] = {gelu_tanh, gelu_tanh_slope, same, one},
    [MOE_REGLU] = {relu, relu_slope, same, one},
    [MOE_SWIGLU_OAI] = {oai_gate, oai_gate_slope, oai_up, oai_up_slope},
    [MOE_SWIGLU_CLAMP] = {clamp_gate, clamp_gate_slope, within, clamp_up_slope},
    [MOE_SILU] = {silu, silu_slope, NULL, NULL},
    [MOE_GELU] = {gelu, gelu_slope, NULL, NULL},
    [MOE_GELU_TANH] = {gelu_tanh, gelu_tanh_slope, NULL, NULL},
    [MOE_RELU] = {relu, relu_slope, NULL, NULL},
    [MOE_RELU2] = {relu2, relu2_slope, NULL, NULL},
};

int moe_naive_gated(enum moe_act act)
{
    return table[act].up != NULL;
}

/* Rows of w1 that hold gate and up of unit `unit` of `units`. */
static void gate_and_up(enum moe_w1_layout layout, int64_t units, int64_t unit, int64_t *gate,
                        int64_t *up)
{
    switch (layout) {
    case MOE_W1_INTERLEAVED8:
        *gate = unit / 8 * 16 + unit % 8;
        *up = *gate + 8;
        break;
    case MOE_W1_HALVES:
        *gate = unit;
        *up = units + unit;
        break;
    default:
        *gate = 2 * unit;
        *up = *gate + 1;
    }
}

void moe_naive_act(const struct moe_problem *problem, int64_t units, const long double *z,
                   long double *a)
{
    long double limit = problem->act_clamp;
    curve *gate = table[problem->act].gate, *up = table[problem->act].up;
    for (int64_t i = 0; i < units; i++) {
        int64_t g = i, u = i;
        if (up)
            gate_and_up(problem->w1, units, i, &g, &u);
        a[i] = gate(z[g], limit);
        if (up)
            a[i] *= up(z[u], limit);
    }
}

void moe_naive_act_backward(const struct moe_problem *problem, int64_t units, const long double *z,
                            const long double *da, long double *dz)
{
    long double limit = problem->act_clamp;
    curve *gate = table[problem->act].gate, *gate_slope = table[problem->act].gate_slope;
    curve *up = table[problem->act].up, *up_slope = table[problem->act].up_slope;
    for (int64_t i = 0; i < units; i++) {
        if (!up) {
            dz[i] = gate_slope(z[i], limit) * da[i];
            continue;
        }
        int64_t g, u;
        gate_and_up(problem->w1, units, i, &g, &u);
        dz[g] = gate_slope(z[g], limit) * up(z[u], limit) * da[i];
        dz[u] = gate(z[g], limit) * up_slope(z[u], limit) * da[i];
    }
}

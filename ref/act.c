/*
 * act.c - activations: one table; value and derivative in double, and what bounds them.
 *
 *   silu(x)      x sigma(x),  sigma(x) = 1 / (1 + exp(-x))
 *   gelu(x)      x Phi(x),    Phi the normal distribution          (Hendrycks and Gimpel 2016)
 *   gelu-tanh(x) x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))     (the same paper)
 *   relu(x)      max(x, 0);   relu2 its square                     (So et al. 2021)
 *   swiglu-oai   g sigma(1.702 g) (u + 1), g at most 7, u within 7 (gpt-oss)
 *
 * A gated activation is gate(g) up(u); the GLU names are those of Shazeer 2020. Clamps have
 * derivative 1 at the limit and 0 beyond it; relu'(0) = 0. NaN in gives NaN out; infinities give
 * the limits. The bound columns are derived in doc/bounds-activations.md.
 */
#include <float.h>
#include <math.h>

#include "ref/moe.h"

/* ---- sigmoids ------------------------------------------------------------------------------- */

/* factor * sigma(x). For negative x the exponential is taken in two halves, so that the product is
 * accurate as long as it is itself in range, even where sigma(x) alone would underflow. */
static double times_sigmoid(double factor, double x)
{
    if (x < 0) {
        const double half = exp(0.5 * x);
        return factor * half * (half / (1 + half * half));
    }
    return factor / (1 + exp(-x));
}

/* sigma(b x) x, and its derivative sigma(v) (1 + v sigma(-v)) with v = b x. */
static double sigmoid_unit(double x, double b)
{
    if (isinf(x))
        return x > 0 ? x : -0.0;
    return times_sigmoid(x, b * x);
}

static double sigmoid_unit_slope(double x, double b)
{
    const double v = b * x;
    if (isinf(v))
        return v > 0 ? 1 : -0.0;
    if (v < 0) {
        const double half = exp(0.5 * v), lower = 1 + half * half;
        return (1 + v / lower) * half * (half / lower);
    }
    const double e = exp(-v);
    return (1 + v * (e / (1 + e))) / (1 + e);
}

static double silu(double x, double c)
{
    (void)c;
    return sigmoid_unit(x, 1);
}

static double silu_slope(double x, double c)
{
    (void)c;
    return sigmoid_unit_slope(x, 1);
}

/* ---- gelu ----------------------------------------------------------------------------------- */

/* Beyond this the normal density is below the smallest double. */
static const double normal_end = 40;

/* The normal density. What x*x loses to rounding is put back: in the tail it would cost ten bits.
 */
static double density(double x)
{
    if (fabs(x) > normal_end)
        return 0;
    const double square = x * x;
    const double lost = fma(x, x, -square);
    return 0x1.9884533d43651p-2 * exp(-0.5 * square) * (1 - 0.5 * lost); /* 1/sqrt(2 pi) */
}

/* Phi(x) times `factor`; Phi(x) = erfc(-x / sqrt 2) / 2 keeps its accuracy for negative x. The same
 * care as above: dy is what the argument of erfc lost, erfc' = -2/sqrt(pi) exp(-y^2). */
static double times_distribution(double factor, double x)
{
    if (x < -normal_end)
        return factor * 0.0;
    if (x > normal_end)
        return factor;
    const double y = -x * 0x1.6a09e667f3bcdp-1;                                       /* 1/sqrt 2 */
    const double dy = fma(-x, 0x1.6a09e667f3bcdp-1, -y) - x * -0x1.bdd3413b26456p-55; /* its rest */
    return factor * (0.5 * erfc(y) - 0x1.20dd750429b6dp-1 * exp(-y * y) * dy); /* 1/sqrt pi */
}

static double gelu(double x, double c)
{
    (void)c;
    if (isinf(x))
        return x > 0 ? x : -0.0;
    return times_distribution(x, x);
}

static double gelu_slope(double x, double c)
{
    (void)c;
    if (fabs(x) > normal_end)
        return x > 0 ? 1 : -0.0;
    return times_distribution(1, x) + x * density(x);
}

/* (1 + tanh(w)) / 2 = sigma(2 w): the form that does not cancel for negative x. v = 2 w. */
static double gelu_tanh_argument(double x)
{
    return 0x1.9884533d43651p0 * (x + 0.044715 * x * x * x); /* 2 sqrt(2/pi) */
}

static double gelu_tanh(double x, double c)
{
    (void)c;
    if (isinf(x))
        return x > 0 ? x : -0.0;
    return times_sigmoid(x, gelu_tanh_argument(x));
}

static double gelu_tanh_slope(double x, double c)
{
    (void)c;
    if (fabs(x) > normal_end) /* sigma(v) is 0 or 1 to the last bit and below */
        return x > 0 ? 1 : -0.0;
    const double v = gelu_tanh_argument(x);
    const double v_slope = 0x1.9884533d43651p0 * (1 + 3 * 0.044715 * x * x);
    return times_sigmoid(1 + x * v_slope * times_sigmoid(1, -v), v);
}

/* ---- relu ----------------------------------------------------------------------------------- */

static double relu(double x, double c)
{
    (void)c;
    return x <= 0 ? 0 : x;
}

static double relu_slope(double x, double c)
{
    (void)c;
    return x != x ? x : x > 0;
}

static double relu2(double x, double c)
{
    return relu(x, c) * relu(x, c);
}

static double relu2_slope(double x, double c)
{
    return 2 * relu(x, c);
}

/* ---- clamped gates and the linear half ------------------------------------------------------ */

static const double oai_limit = 7;
static const double oai_steepness = 1.702;

static double at_most(double x, double limit)
{
    return x > limit ? limit : x;
}

static double within(double x, double limit)
{
    return x > limit ? limit : x < -limit ? -limit : x;
}

static double within_slope(double x, double limit)
{
    return x != x ? x : fabs(x) <= limit;
}

static double oai(double x, double c)
{
    (void)c;
    return sigmoid_unit(at_most(x, oai_limit), oai_steepness);
}

static double oai_slope(double x, double c)
{
    (void)c;
    return x > oai_limit ? 0 : sigmoid_unit_slope(x, oai_steepness);
}

static double oai_up(double u, double c)
{
    (void)c;
    return within(u, oai_limit) + 1;
}

static double oai_up_slope(double u, double c)
{
    (void)c;
    return within_slope(u, oai_limit);
}

static double clamped_silu(double x, double c)
{
    return sigmoid_unit(at_most(x, c), 1);
}

static double clamped_silu_slope(double x, double c)
{
    return x > c ? 0 : sigmoid_unit_slope(x, 1);
}

static double linear(double u, double c)
{
    (void)c;
    return u;
}

static double linear_slope(double u, double c)
{
    (void)u;
    (void)c;
    return 1;
}

/* ---- where they bend ------------------------------------------------------------------------ */

static double at_zero(double c)
{
    (void)c;
    return 0;
}

static double at_oai_limit(double c)
{
    (void)c;
    return oai_limit;
}

static double at_clamp(double c)
{
    return c;
}

/* ---- the table ------------------------------------------------------------------------------ */

/* Rounded up. relu2 has no largest slope: DBL_MAX, which unlike infinity times 0 is 0. */
static const struct moe_act_info table[MOE_ACT_COUNT] = {
    [MOE_SWIGLU] = {"swiglu", 1, 0, silu, silu_slope, linear, linear_slope, 1.09984, 0.5, 0, NULL,
                    0, NULL},
    [MOE_GEGLU] = {"geglu", 1, 0, gelu, gelu_slope, linear, linear_slope, 1.12891, 0.79789, 0, NULL,
                   0, NULL},
    [MOE_GEGLU_TANH] = {"geglu-tanh", 1, 0, gelu_tanh, gelu_tanh_slope, linear, linear_slope, 1.13,
                        0.79789, 0, NULL, 0, NULL},
    [MOE_REGLU] = {"reglu", 1, 0, relu, relu_slope, linear, linear_slope, 1, 0, 1, at_zero, 1,
                   NULL},
    [MOE_SWIGLU_OAI] = {"swiglu-oai", 1, 0, oai, oai_slope, oai_up, oai_up_slope, 1.09984, 0.8511,
                        1, at_oai_limit, 1.0001, at_oai_limit},
    [MOE_SWIGLU_CLAMP] = {"swiglu-clamp", 1, 1, clamped_silu, clamped_silu_slope, within,
                          within_slope, 1.09984, 0.5, 1, at_clamp, 1.09984, at_clamp},
    [MOE_SILU] = {"silu", 0, 0, silu, silu_slope, NULL, NULL, 1.09984, 0.5, 0, NULL, 0, NULL},
    [MOE_GELU] = {"gelu", 0, 0, gelu, gelu_slope, NULL, NULL, 1.12891, 0.79789, 0, NULL, 0, NULL},
    [MOE_GELU_TANH] = {"gelu-tanh", 0, 0, gelu_tanh, gelu_tanh_slope, NULL, NULL, 1.13, 0.79789, 0,
                       NULL, 0, NULL},
    [MOE_RELU] = {"relu", 0, 0, relu, relu_slope, NULL, NULL, 1, 0, 1, at_zero, 1, NULL},
    [MOE_RELU2] = {"relu2", 0, 0, relu2, relu2_slope, NULL, NULL, DBL_MAX, 2, 0, NULL, 0, NULL},
};

const struct moe_act_info *moe_act_info(enum moe_act act)
{
    return (unsigned)act < MOE_ACT_COUNT ? &table[act] : NULL;
}

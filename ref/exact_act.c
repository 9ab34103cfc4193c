/*
 * exact_act.c - activations where they are exact.
 *
 * relu and its square are, everywhere. Sigmoid, tanh and Phi are 0.5 at 0, and 1 from 128 on, in
 * f64 as in every fast form: what is left, e^-128, is far below half a unit of 1. So silu(g) = g
 * and gelu(g) = g there, with slope 1; at 0 they are 0, with slope 1/2. Between, and for negative
 * g, where a tail is left, nothing is certain.
 */
#include <math.h>

#include "ref/exact_pass.h"

static const double saturated = 128;

static int is_plain_relu(enum moe_act act)
{
    return act == MOE_REGLU || act == MOE_RELU || act == MOE_RELU2;
}

/* The largest argument that passes the clamp; INFINITY where there is none. */
static double clamp_of(const struct moe_problem *problem)
{
    const struct moe_act_info *info = moe_act_info(problem->act);
    return info->kinks > 0 && !is_plain_relu(problem->act) ? info->kink_at(problem->act_clamp)
                                                           : INFINITY;
}

static double gate_at(const struct moe_problem *problem, double g)
{
    const double argument = g > clamp_of(problem) ? clamp_of(problem) : g;
    if (!(argument == 0 || argument >= saturated) && !is_plain_relu(problem->act))
        return NAN;
    const double value = moe_act_info(problem->act)->gate(g, problem->act_clamp);
    return isnan(g) ? NAN : value;
}

static double slope_at(const struct moe_problem *problem, double g)
{
    if (!(g == 0 || g >= saturated || g > clamp_of(problem)) && !is_plain_relu(problem->act))
        return NAN;
    return moe_act_info(problem->act)->gate_slope(g, problem->act_clamp);
}

/* relu's factors may be multiplied in any order: g * g of relu2 is a product like others. */
static double within_elements(const struct exact_pass *pass, double value)
{
    struct exact_sum sum = exact_sum_empty();
    exact_sum_add(&sum, value);
    return exact_sum_value(&sum, element_bits(pass), -126);
}

void exact_activate(struct exact_pass *pass, int64_t units, const double *z, double *a)
{
    const struct moe_problem *p = pass->problem;
    const struct moe_act_info *info = moe_act_info(p->act);
    for (int64_t i = 0; i < units; i++) {
        double value;
        if (info->gated) {
            const double g = z[gate_column(p->w1, units, i)], u = z[up_column(p->w1, units, i)];
            const double up = within_elements(pass, info->up(u, p->act_clamp));
            value = certain_product(gate_at(p, g), up);
        } else {
            value = gate_at(p, z[i]);
        }
        a[i] = pass_at(pass, MOE_AT_A, value);
    }
}

void exact_activate_backward(struct exact_pass *pass, int64_t units, const double *z,
                             const double *g_out, double *dz)
{
    const struct moe_problem *p = pass->problem;
    const struct moe_act_info *info = moe_act_info(p->act);
    for (int64_t i = 0; i < units; i++) {
        if (!info->gated) {
            dz[i] = pass_at(pass, MOE_AT_DZ, certain_product(g_out[i], slope_at(p, z[i])));
            continue;
        }
        const int64_t at_gate = gate_column(p->w1, units, i), at_up = up_column(p->w1, units, i);
        const double g = z[at_gate], u = z[at_up];
        const double up = within_elements(pass, info->up(u, p->act_clamp));
        const double through_gate = certain_product(up, slope_at(p, g));
        const double through_up = certain_product(gate_at(p, g), info->up_slope(u, p->act_clamp));
        dz[at_gate] = pass_at(pass, MOE_AT_DZ, certain_product(g_out[i], through_gate));
        dz[at_up] = pass_at(pass, MOE_AT_DZ, certain_product(g_out[i], through_up));
    }
}

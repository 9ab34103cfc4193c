/*
 * relation_x_scaled.c - x times a power of two where the activation is homogeneous: relu of degree
 * 1, reglu and relu2 of degree 2. z grows with x, A with its degree, and each derivative with one
 * less.
 */
#include <math.h>

#include "verify/relate.h"

/* act(c z) = c^degree act(z); 0: of no degree. */
static int degree_of(const struct moe_problem *problem)
{
    return problem->act == MOE_RELU                                 ? 1
           : problem->act == MOE_REGLU || problem->act == MOE_RELU2 ? 2
                                                                    : 0;
}

static int applies(const struct moe_judgement *judgement)
{
    const struct moe_problem *problem = judgement->problem;
    return problem->T > 0 && relate_lists(problem) && degree_of(problem) > 0 && !problem->bias &&
           !problem->shared_gate;
}

static int make(struct relating *relating)
{
    const struct moe_judgement *judgement = relating->judgement;
    const double factor = relate_power(judgement, 2, 0.5);
    const int degree = degree_of(judgement->problem);
    int status = relate_case(relating, 1, judgement->problem);
    if (status != MOE_OK)
        return status;
    relating->runs = 2;
    relating->left = 1;
    relate_backward_factor(relating, pow(factor, degree));
    relating->rule[MOE_Z].factor = factor;
    relating->rule[MOE_O].factor = pow(factor, degree);
    relating->rule[MOE_DX].factor = pow(factor, degree - 1);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        relating->rule[id].bitwise = relate_powers_commute(judgement);
    status = relate_fill(relating, 1);
    return status == MOE_OK ? relate_scale(relating, 1, MOE_X, factor) : status;
}

const struct relation relation_x_scaled = {
    .name = "x-scaled",
    .statement = "x times c where act(c z) = c^d act(z): z times c, dx times c^(d-1), the rest c^d",
    .applies = applies,
    .make = make,
};

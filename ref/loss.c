/*
 * loss.c - the two auxiliary losses of a router, their gradients and the bounds of these.
 *
 *   Switch loss  aux * E sum_e p^_e f^_e     p^ mean over tokens of softmax(L_t) over all E,
 *                                            f^ the experts' shares of the N routed rows, constant
 *   z-loss       zloss * mean_t lse(L_t)^2   lse = log sum exp
 * (Fedus et al. 2021, section 2.2; Zoph et al. 2022, section 3.) With g_e = aux E f^_e / T:
 *   dL_te = p_te (g_e - sum_j p_tj g_j) + 2 zloss / T lse_t p_te.
 */
#include <math.h>
#include <stdlib.h>

#include "ref/internal.h"

struct terms {
    double switch_factor; /* aux * E / T */
    double z_factor;      /* zloss / T */
    const double *share;  /* f^ [E] */
};

/* One token: l [E] its logits, p [E] room for their softmax. */
static void add_token(const struct error_model *model, const struct terms *terms, int64_t E,
                      const double *l, const double *l_bound, double *p, double *dl,
                      double *dl_bound, double loss[2])
{
    double lse = softmax_of(E, l, p), mean = 0;
    for (int64_t e = 0; e < E; e++)
        mean += p[e] * terms->share[e];
    loss[0] += terms->switch_factor * mean;
    loss[1] += terms->z_factor * lse * lse;
    for (int64_t e = 0; e < E && dl; e++)
        dl[e] +=
            p[e] * (terms->switch_factor * (terms->share[e] - mean) + 2 * terms->z_factor * lse);
    if (!dl || !model)
        return;
    double widest = 0;
    for (int64_t e = 0; e < E; e++)
        widest = l_bound[e] <= widest ? widest : l_bound[e]; /* what is not known is the widest */
    double spread = 2 * softmax_error(model, l, l_bound, E) + (double)(E + 8) * model->step;
    double lse_bound = widest + (double)(E + 6) * model->step * (1 + fabs(lse)) +
                       model->function_relative + model->function_absolute;
    /* p may also lose to underflow: in exp, its sum and quotient, here and in the kernel */
    for (int64_t e = 0; e < E; e++)
        dl_bound[e] += p[e] * (1 + spread) *
                           (terms->switch_factor * (terms->share[e] + mean) * spread +
                            2 * terms->z_factor * (lse_bound + fabs(lse) * spread)) +
                       4 * model->loss *
                           (terms->switch_factor * (terms->share[e] + mean) +
                            2 * terms->z_factor * (fabs(lse) + lse_bound)) +
                       model->loss;
}

int losses_apply(const struct moe_problem *problem, const struct error_model *model,
                 const struct moe_routing *routing, struct field logits, struct field dlogits,
                 double loss[2])
{
    int64_t E = problem->E, T = problem->T;
    loss[0] = loss[1] = 0;
    if ((problem->aux == 0 && problem->zloss == 0) || T == 0)
        return MOE_OK;
    double *share = calloc((size_t)(2 * E), sizeof *share);
    if (!share)
        return moe_error(MOE_E_NOMEM, "no memory for the losses of %lld experts", (long long)E);
    for (int64_t e = 0; e < E && routing->N > 0; e++)
        share[e] =
            (double)(routing->expert_begin[e + 1] - routing->expert_begin[e]) / (double)routing->N;
    struct terms terms = {problem->aux * (double)E / (double)T, problem->zloss / (double)T, share};
    for (int64_t t = 0; t < T; t++)
        add_token(model, &terms, E, logits.value + t * E,
                  logits.bound ? logits.bound + t * E : NULL, share + E,
                  dlogits.value ? dlogits.value + t * E : NULL,
                  dlogits.bound ? dlogits.bound + t * E : NULL, loss);
    free(share);
    return MOE_OK;
}

int moe_routing_losses(const struct moe_problem *problem, const struct moe_routing *routing,
                       const double *logits, double loss[2], double *dlogits)
{
    return losses_apply(problem, NULL, routing, (struct field){(double *)logits, NULL, NULL},
                        (struct field){dlogits, NULL, NULL}, loss);
}

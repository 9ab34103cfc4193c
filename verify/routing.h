/*
 * routing.h - what check_routing.c and judge_rounding.c share.
 */
#ifndef MOE_VERIFY_ROUTING_H
#define MOE_VERIFY_ROUTING_H

#include "verify/judge.h"

/* Selection values of the reference [T,E] and their bounds. */
struct election {
    const struct moe_problem *problem;
    double *value, *bound;
    double floor; /* log of a p below which the subject's arithmetic is subnormal or 0 */
};

struct routing_complaint {
    int64_t token, expert, slot; /* slot -1: none */
    double got, want;            /* the values of the pick and of what should have stood there */
    const char *what;
};

/* Entries of a rounded routing: adds to *wrong, and fills *first where it is the first.
 * MOE_E_NOMEM. */
int judge_rounding(const struct election *election, const struct moe_routing *routing,
                   int64_t *wrong, struct routing_complaint *first);

/*
 * check_routing.c: the picks of a computed router by margins, on the inputs that stand beside them,
 * whose NaN rank below everything else. Counts the tokens (with token rounding: whatever) that are
 * wrong and keeps the first complaint. MOE_E_NOMEM.
 */
int judge_picks(const struct moe_problem *problem, const struct moe_tensor *tensors,
                const struct moe_recipe *recipe, const struct moe_routing *routing, int64_t *wrong,
                struct routing_complaint *first);

#endif

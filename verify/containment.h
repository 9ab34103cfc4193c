/*
 * containment.h - what check_containment.c and containment_plants.c share.
 */
#ifndef MOE_CONTAINMENT_H
#define MOE_CONTAINMENT_H

#include "verify/again.h"
#include "verify/taint.h"

/* Inputs with spoiled elements, and a run on them. */
struct containment {
    struct moe_judgement *judgement;
    double value;               /* NaN or infinity */
    struct moe_tensors inputs;  /* the case's, spoiled */
    struct taints taints;       /* of the inputs; then of what the run left */
    char what[96];              /* "NaN in x[3,5]" */
    struct moe_tensors made;    /* what the run left */
    struct moe_routing routing; /* of that */
    int same_routing;           /* as in the judge's own run */
};

/* One way to spoil inputs. 0: it does not apply to the case. */
struct plant {
    int (*put)(struct containment *containment);
    double value;
};

const struct plant *containment_plant(int index); /* NULL past the end */
#define CONTAINMENT_PLANTS 5

#endif

/*
 * takes.h - which words of a case line a variant does not take.
 */
#ifndef MOE_TAKES_H
#define MOE_TAKES_H

#include "verify/verify.h"

#define MOE_REFUSALS 96

struct moe_refusals {
    int count;
    struct {
        char word[48]; /* "dtype=f64" */
        char why[160]; /* in the variant's words */
    } refusal[MOE_REFUSALS];
};

/* Asks the variant about every word that the grammar lists, each in an otherwise plain small case.
 */
void moe_variant_refusals(const struct moe_variant *variant, struct moe_refusals *refusals);

#endif

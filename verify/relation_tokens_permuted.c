/*
 * relation_tokens_permuted.c - tokens in another order, with their picks, scores and rows of do:
 * what belongs to a token moves with it, sums over tokens stay.
 *
 * Holds of the definition, which names no token. Token rounding does: it ranks equal tokens by
 * number.
 */
#include <stdlib.h>

#include "verify/relate.h"

#define PURPOSE 0x706d7431u

static int applies(const struct moe_judgement *judgement)
{
    return judgement->problem->T >= 2 && judgement->problem->round == MOE_ROUND_NONE;
}

static int make(struct relating *relating)
{
    const struct moe_problem *problem = relating->judgement->problem;
    int status = relate_case(relating, 1, problem);
    if (status == MOE_OK)
        status = relate_permutation(&relating->token[1], problem->T, problem->seed, PURPOSE);
    relating->runs = 2;
    relate_tokens_alike(relating);
    return status == MOE_OK ? relate_fill(relating, 1) : status;
}

const struct relation relation_tokens_permuted = {
    .name = "tokens-permuted",
    .statement = "permuting the tokens permutes what is theirs",
    .applies = applies,
    .make = make,
};

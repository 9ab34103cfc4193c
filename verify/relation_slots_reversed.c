/*
 * relation_slots_reversed.c - the slots of each token in reverse: ds is reversed with them, all
 * else stays, since a token's rows are a sum.
 *
 * Only with lists: a router puts its picks in an order of its own.
 */
#include "verify/relate.h"

static int applies(const struct moe_judgement *judgement)
{
    return relate_lists(judgement->problem) && judgement->problem->K >= 2;
}

static int make(struct relating *relating)
{
    const struct moe_routing *routing = &relating->judgement->routing;
    int status = relate_case(relating, 1, relating->judgement->problem);
    if (status == MOE_OK)
        status = relate_map(&relating->entry[1], routing->P);
    for (int64_t t = 0; t < routing->T && status == MOE_OK; t++) {
        int64_t begin = routing->token_begin[t], end = routing->token_begin[t + 1];
        for (int64_t i = begin; i < end; i++)
            relating->entry[1][i] = begin + end - 1 - i;
    }
    relating->runs = 2;
    return status == MOE_OK ? relate_fill(relating, 1) : status;
}

const struct relation relation_slots_reversed = {
    .name = "slots-reversed",
    .statement = "a token's slots in another order change nothing but the order of ds",
    .applies = applies,
    .make = make,
};

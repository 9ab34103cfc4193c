/*
 * relation_experts_relabelled.c - experts with other numbers: their weights, router rows and biases
 * move, picks name the new numbers, and nothing else changes.
 *
 * Groups stay together, and so are permuted as wholes and within. Ties go to the smaller number, so
 * picks may part there: they are then judged by the reference. Token rounding orders entries by
 * number.
 */
#include <stdlib.h>

#include "verify/relate.h"

#define PURPOSE 0x706d6531u

static int applies(const struct moe_judgement *judgement)
{
    return judgement->problem->E >= 2 && judgement->problem->round == MOE_ROUND_NONE;
}

/* Groups permuted, and the experts of each alike. */
static int permute(const struct moe_problem *problem, int64_t **map)
{
    int64_t groups = problem->groups > 0 ? problem->groups : 1, size = problem->E / groups;
    int64_t *group = NULL, *within = NULL;
    int status = relate_permutation(&group, groups, problem->seed, PURPOSE);
    if (status == MOE_OK)
        status = relate_permutation(&within, size, problem->seed, PURPOSE + 1);
    if (status == MOE_OK)
        status = relate_map(map, problem->E);
    for (int64_t e = 0; e < problem->E && status == MOE_OK; e++)
        (*map)[e] = group[e / size] * size + within[e % size];
    free(group);
    free(within);
    return status;
}

static int make(struct relating *relating)
{
    int status = relate_case(relating, 1, relating->judgement->problem);
    if (status == MOE_OK)
        status = permute(relating->judgement->problem, &relating->expert[1]);
    relating->runs = 2;
    return status == MOE_OK ? relate_fill(relating, 1) : status;
}

const struct relation relation_experts_relabelled = {
    .name = "experts-relabelled",
    .statement = "other numbers for the experts change nothing but those numbers",
    .applies = applies,
    .make = make,
};

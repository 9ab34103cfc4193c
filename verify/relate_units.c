/*
 * relate_units.c - see relate.h: hidden units as rows of w1, in the case's order of them.
 */
#include "verify/relate.h"

struct relate_unit relate_unit_of(const struct moe_problem *problem, int64_t row)
{
    if (!moe_act_info(problem->act)->gated)
        return (struct relate_unit){row, 0};
    if (problem->w1 == MOE_W1_HALVES)
        return (struct relate_unit){row % problem->I, row >= problem->I};
    if (problem->w1 == MOE_W1_INTERLEAVED)
        return (struct relate_unit){row / 2, row % 2 == 1};
    return (struct relate_unit){row / 16 * 8 + row % 8, row % 16 >= 8};
}

int64_t relate_unit_row(const struct moe_problem *problem, struct relate_unit unit)
{
    if (!moe_act_info(problem->act)->gated)
        return unit.number;
    if (problem->w1 == MOE_W1_HALVES)
        return unit.number + (unit.up ? problem->I : 0);
    if (problem->w1 == MOE_W1_INTERLEAVED)
        return 2 * unit.number + unit.up;
    return unit.number / 8 * 16 + unit.number % 8 + (unit.up ? 8 : 0);
}

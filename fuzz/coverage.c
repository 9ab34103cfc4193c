/*
 * coverage.c - which values, and which pairs of values, the cases so far had.
 *
 * The measure is pairs, not cases: most faults of an option need the option and one other thing. A
 * pair that no case can have is told apart from one that was not met, by completing it
 * (complete.c), so that "all of them" is a claim about all that can occur together.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

static uint8_t *cell(const struct moe_coverage *coverage, int f, int v, int g, int w)
{
    int a = coverage->first[f] + v, b = coverage->first[g] + w;
    return &coverage->state[a < b ? a * coverage->values + b : b * coverage->values + a];
}

enum moe_pair moe_coverage_pair(const struct moe_coverage *coverage, int f, int v, int g, int w)
{
    return (enum moe_pair) * cell(coverage, f, v, g, w);
}

/* Decides the pair of value v of factor f and value w of factor g; f == g: the value alone. */
static int decide(struct moe_coverage *coverage, int f, int v, int g, int w)
{
    struct moe_assignment assignment = {.value = {0}};
    assignment.value[f] = (uint8_t)v;
    assignment.value[g] = (uint8_t)w;
    assignment.fixed[f] = assignment.fixed[g] = 1;
    struct moe_problem problem;
    int status = moe_assignment_complete(&assignment, &problem);
    if (status != MOE_OK && status != MOE_E_UNSUPPORTED)
        return moe_error(MOE_E_INTERNAL, "factors: %s", moe_error_text());
    if (status == MOE_OK)
        *cell(coverage, f, v, g, w) = MOE_PAIR_OPEN;
    if (f == g)
        coverage->values_feasible += status == MOE_OK;
    else if (status == MOE_OK)
        coverage->pairs_feasible++;
    else
        coverage->pairs_infeasible++;
    return MOE_OK;
}

int moe_coverage_create(struct moe_coverage *coverage)
{
    struct moe_coverage made = {.values = 0};
    for (int f = 0; f < moe_factor_count(); f++) {
        made.first[f] = made.values;
        made.values += moe_factor_value_count(f);
    }
    made.state = calloc((size_t)made.values, (size_t)made.values);
    if (made.state == NULL)
        return moe_error(MOE_E_NOMEM, "coverage: out of memory");
    for (int f = 0; f < moe_factor_count(); f++)
        for (int v = 0; v < moe_factor_value_count(f); v++)
            for (int g = f; g < moe_factor_count(); g++)
                for (int w = 0; w < moe_factor_value_count(g); w++) {
                    int status = f == g && v != w ? MOE_OK : decide(&made, f, v, g, w);
                    if (status != MOE_OK) {
                        moe_coverage_free(&made);
                        return status;
                    }
                }
    *coverage = made;
    return MOE_OK;
}

int moe_coverage_copy(const struct moe_coverage *from, struct moe_coverage *to)
{
    size_t size = (size_t)from->values * (size_t)from->values;
    uint8_t *state = malloc(size);
    if (state == NULL)
        return moe_error(MOE_E_NOMEM, "coverage: out of memory");
    memcpy(state, from->state, size);
    *to = *from;
    to->state = state;
    return MOE_OK;
}

void moe_coverage_free(struct moe_coverage *coverage)
{
    free(coverage->state);
    coverage->state = NULL;
}

/* The value of the factor that the case has, or -1. Having it means that setting it changes
 * nothing: so no field of the case is known here. */
static int value_of(const struct moe_problem *problem, int f)
{
    const struct moe_factor *factor = moe_factor_get(f);
    for (int v = 0; v < moe_factor_value_count(f); v++) {
        struct moe_problem same;
        memcpy(&same, problem, sizeof same); /* with its padding, which memcmp() reads */
        if (moe_problem_set(&same, factor->key, factor->value[v]) == MOE_OK &&
            memcmp(&same, problem, sizeof same) == 0)
            return v;
    }
    return -1;
}

int moe_coverage_add(struct moe_coverage *coverage, const struct moe_problem *problem)
{
    int value[MOE_FACTOR_MAX];
    int added = 0;
    for (int f = 0; f < moe_factor_count(); f++) {
        value[f] = value_of(problem, f);
        for (int g = 0; g <= f && value[f] >= 0; g++) {
            if (value[g] < 0)
                continue;
            uint8_t *pair = cell(coverage, g, value[g], f, value[f]);
            added += g != f && *pair != MOE_PAIR_SEEN;
            coverage->values_seen += g == f && *pair != MOE_PAIR_SEEN;
            *pair = MOE_PAIR_SEEN;
        }
    }
    coverage->pairs_seen += added;
    return added;
}

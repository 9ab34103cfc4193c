/*
 * complete.c - from a few values to a whole case that has a meaning.
 *
 * moe_problem_validate() is the only judge of what may stand together; no rule of the grammar is
 * repeated here. Its complaint names the keys that it is about. A case that agrees with the fixed
 * values and keeps that rule differs in at least one key that the rule reads, so trying every value
 * of every key named, and going on with the next complaint, reaches every completion; a key that
 * was changed is not changed again, so the search ends. Fewest changes are tried first. What rests
 * on this is that a complaint names every key that could cure it; tests/t_coverage.c holds the
 * result against an enumeration of its own.
 */
#include <ctype.h>
#include <string.h>

#include "fuzz/fuzz.h"

#define COMPLAINT 512

struct search {
    struct moe_assignment assignment;
    int cut; /* some branch ended because it had changed as many values as it may */
};

/* What the assignment means; not validated. */
static int apply(const struct moe_assignment *assignment, struct moe_problem *problem)
{
    *problem = moe_problem_default();
    int status = MOE_OK;
    for (int f = 0; status == MOE_OK && f < moe_factor_count(); f++) {
        const struct moe_factor *factor = moe_factor_get(f);
        status = moe_problem_set(problem, factor->key, factor->value[assignment->value[f]]);
    }
    return status;
}

/* Keys are made of letters, digits and hyphens. */
int moe_complaint_names(const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *at = strstr(text, key); at != NULL; at = strstr(at + 1, key)) {
        int before = at == text ? ' ' : (unsigned char)at[-1];
        int after = (unsigned char)at[length];
        if (!isalnum(before) && before != '-' && !isalnum(after) && after != '-')
            return 1;
    }
    return 0;
}

/* `problem` is what state->assignment means, and `changes` how many values may still be changed.
 * 1: the assignment and *found have a meaning. */
static int search(struct search *state, const struct moe_problem *problem, int changes,
                  struct moe_problem *found)
{
    struct moe_assignment *assignment = &state->assignment;
    if (moe_problem_validate(problem) == MOE_OK) {
        *found = *problem;
        return 1;
    }
    if (changes == 0) {
        state->cut = 1;
        return 0;
    }
    char complaint[COMPLAINT];
    strncpy(complaint, moe_error_text(), COMPLAINT - 1);
    complaint[COMPLAINT - 1] = '\0';
    for (int f = 0; f < moe_factor_count(); f++) {
        const struct moe_factor *factor = moe_factor_get(f);
        if (assignment->fixed[f] || !moe_complaint_names(complaint, factor->key))
            continue;
        int before = assignment->value[f];
        assignment->fixed[f] = 1;
        for (int v = 0; v < moe_factor_value_count(f); v++) {
            struct moe_problem changed = *problem;
            if (v == before || moe_problem_set(&changed, factor->key, factor->value[v]) != MOE_OK)
                continue;
            assignment->value[f] = (uint8_t)v;
            if (search(state, &changed, changes - 1, found))
                return 1;
        }
        assignment->value[f] = (uint8_t)before;
        assignment->fixed[f] = 0;
    }
    return 0;
}

int moe_assignment_complete(struct moe_assignment *assignment, struct moe_problem *problem)
{
    struct search state = {.cut = 1};
    struct moe_problem start, found;
    int status = apply(assignment, &start);
    if (status != MOE_OK)
        return status;
    for (int changes = 0; state.cut && changes <= moe_factor_count(); changes++) {
        state.assignment = *assignment;
        state.cut = 0;
        if (search(&state, &start, changes, &found)) {
            memcpy(assignment->value, state.assignment.value, sizeof assignment->value);
            *problem = found;
            return MOE_OK;
        }
    }
    return moe_error(MOE_E_UNSUPPORTED, "no case has these values together");
}

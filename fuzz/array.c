/*
 * array.c - a covering array: few cases that have every feasible pair of values between them.
 *
 * Greedy, one row at a time: begin with a pair that no row has yet, of a value that lacks the most
 * pairs; then give the other factors, in random order, the value that brings the most new pairs
 * with those given already, that can be completed and that the row can afford. Of a few rows made
 * so the best is kept.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

#define CANDIDATES 4
#define STREAM 1
#define DICE 16 /* ties are broken by a number below this */

/* One row in so many may cost so many times as much as the others: where large meets large. */
#define LARGER_EVERY 8
#define LARGER 10

struct row {
    struct moe_assignment values;
    struct moe_problem problem; /* what they mean */
};

struct array {
    uint64_t seed, index; /* of the dice */
    struct moe_coverage open;
    int lacking[MOE_FACTOR_MAX][MOE_FACTOR_VALUES]; /* open pairs that each value is in */
};

static uint32_t roll(struct array *array, uint32_t bound)
{
    return moe_dice_roll(array->seed, STREAM, &array->index, bound);
}

static int is_open(const struct array *array, int f, int v, int g, int w)
{
    return moe_coverage_pair(&array->open, f, v, g, w) == MOE_PAIR_OPEN;
}

/* Counts the open pairs of every value; returns how many there are. */
static int count_lacking(struct array *array)
{
    int all = 0;
    memset(array->lacking, 0, sizeof array->lacking);
    for (int f = 0; f < moe_factor_count(); f++)
        for (int v = 0; v < moe_factor_value_count(f); v++)
            for (int g = 0; g < f; g++)
                for (int w = 0; w < moe_factor_value_count(g); w++)
                    if (is_open(array, f, v, g, w)) {
                        array->lacking[f][v]++;
                        array->lacking[g][w]++;
                        all++;
                    }
    return all;
}

/* Open pairs that value v of factor f would close in this row; -1: it does not go with the row. */
static int gain(const struct array *array, const struct moe_assignment *row, int f, int v)
{
    int sum = 0;
    for (int g = 0; g < moe_factor_count(); g++) {
        if (g == f || !row->fixed[g])
            continue;
        enum moe_pair pair = moe_coverage_pair(&array->open, f, v, g, row->value[g]);
        if (pair == MOE_PAIR_INFEASIBLE)
            return -1;
        sum += pair == MOE_PAIR_OPEN;
    }
    return sum;
}

/* Gives factor f value v if that leaves a case within the cost; the row is unchanged if not. */
static int give(struct row *row, int f, int v, double cost)
{
    struct row tried = *row;
    tried.values.value[f] = (uint8_t)v;
    tried.values.fixed[f] = 1;
    if (moe_assignment_complete(&tried.values, &tried.problem) != MOE_OK ||
        !(moe_case_cost(&tried.problem) <= cost))
        return 0;
    *row = tried;
    return 1;
}

/* Picks the pair to begin with: the value that lacks most, with the partner that lacks most. */
static void begin(struct array *array, struct row *row)
{
    int f = -1, v = 0;
    memset(row, 0, sizeof *row);
    for (int partner = 0; partner < 2; partner++) {
        int most = -1, best_f = 0, best_v = 0;
        for (int g = 0; g < moe_factor_count(); g++)
            for (int w = 0; w < moe_factor_value_count(g); w++) {
                int worth = array->lacking[g][w] * DICE + (int)roll(array, DICE);
                int open =
                    partner ? g != f && is_open(array, f, v, g, w) : array->lacking[g][w] > 0;
                if (open && worth > most) {
                    most = worth;
                    best_f = g;
                    best_v = w;
                }
            }
        f = best_f;
        v = best_v;
        row->values.value[f] = (uint8_t)v;
        row->values.fixed[f] = 1;
    }
}

/* Gives factor f the affordable value with the largest gain; returns the gain. Where none can be
 * given, the value that completing the others chose stays. */
static int give_best(struct array *array, struct row *row, int f, double cost)
{
    int worth[MOE_FACTOR_VALUES];
    int count = moe_factor_value_count(f);
    for (int v = 0; v < count; v++)
        worth[v] = gain(array, &row->values, f, v) * DICE + (int)roll(array, DICE);
    for (;;) {
        int best = 0;
        for (int v = 1; v < count; v++)
            if (worth[v] > worth[best])
                best = v;
        if (worth[best] < 0)
            break;
        if (give(row, f, best, cost))
            return worth[best] / DICE;
        worth[best] = -1;
    }
    row->values.fixed[f] = 1;
    return gain(array, &row->values, f, row->values.value[f]);
}

/* Makes one row that costs at most `cost`, unless the pair that it begins with costs more. Returns
 * how many pairs it closes; 0 where the first pair could not be completed, which no open pair is.
 */
static int make_row(struct array *array, struct row *row, double cost)
{
    int order[MOE_FACTOR_MAX];
    int count = moe_factor_count(), closed = 1;
    begin(array, row);
    if (moe_assignment_complete(&row->values, &row->problem) != MOE_OK)
        return 0;
    double least = moe_case_cost(&row->problem);
    for (int f = 0; f < count; f++) {
        int at = (int)roll(array, (uint32_t)f + 1);
        order[f] = order[at];
        order[at] = f;
    }
    for (int i = 0; i < count; i++)
        if (!row->values.fixed[order[i]])
            closed += give_best(array, row, order[i], cost > least ? cost : least);
    return closed;
}

int moe_array_create(uint64_t seed, const struct moe_coverage *coverage,
                     struct moe_problem **problems, int *count)
{
    struct array array = {.seed = seed};
    struct moe_problem *rows = NULL;
    int made = 0;
    int status = moe_coverage_copy(coverage, &array.open);
    while (status == MOE_OK && count_lacking(&array) > 0) {
        double cost = MOE_CASE_COST * (made % LARGER_EVERY == LARGER_EVERY - 1 ? LARGER : 1);
        struct row best, row;
        int most = 0;
        for (int c = 0; c < CANDIDATES; c++) {
            int closed = make_row(&array, &row, cost);
            if (closed > most) {
                most = closed;
                best = row;
            }
        }
        struct moe_problem *longer = realloc(rows, (size_t)(made + 1) * sizeof *rows);
        if (longer == NULL) {
            status = moe_error(MOE_E_NOMEM, "covering array: out of memory");
        } else if (most == 0 || moe_coverage_add(&array.open, &best.problem) == 0) {
            status = moe_error(MOE_E_INTERNAL, "covering array: a row closes no pair");
        } else {
            best.problem.seed = roll(&array, UINT32_MAX);
            longer[made++] = best.problem;
        }
        rows = longer != NULL ? longer : rows;
    }
    moe_coverage_free(&array.open);
    if (status != MOE_OK) {
        free(rows);
        return status;
    }
    *problems = rows;
    *count = made;
    return MOE_OK;
}

/*
 * naive_round.c - token rounding of `naive`: every expert's count becomes its target.
 *
 * After the top-k pass expert e has f picks. Its target is a multiple of m = round-to, at most T:
 *   down, up     floor(f/m) m, ceil(f/m) m
 *   nearest      the nearer, halves to the even multiple
 *   stochastic   up with probability r/m, r = f mod m: where word < r/m 2^32, the word drawn for e
 *   balanced     experts by id; the side that keeps |sum of (target - f)| smaller, down on ties
 * Column e is ordered: picked pairs by their share of the token's picked softmax, then the others
 * by softmax, ties the smaller token first; expert e takes the first `target` of it. So pairs are
 * dropped from the end of the picked ones or added from the start of the others.
 */
#include <stdlib.h>

#include "verify/naive.h"

#define PURPOSE_ROUND 0x726f756eu /* "roun" */

static int64_t at_most(int64_t count, int64_t limit)
{
    return count < limit ? count : limit;
}

/* The count that expert e with f picks gets; *balance is the running sum of target - f. */
static int64_t target(const struct moe_problem *problem, int64_t e, int64_t f, int64_t *balance)
{
    int64_t m = problem->round_to, rest = f % m, down = f - rest;
    int64_t up = at_most(rest ? down + m : down, problem->T);
    int64_t chosen = down;
    switch (problem->round) {
    case MOE_ROUND_UP:
        chosen = up;
        break;
    case MOE_ROUND_NEAREST:
        if (2 * rest > m || (2 * rest == m && down / m % 2 == 1))
            chosen = up;
        break;
    case MOE_ROUND_STOCHASTIC:
        if ((uint64_t)moe_draw_word(problem->seed, PURPOSE_ROUND, (uint64_t)e) * (uint64_t)m <
            (uint64_t)rest << 32)
            chosen = up;
        break;
    case MOE_ROUND_BALANCED:
        if (llabs(*balance + up - f) < llabs(*balance + down - f))
            chosen = up;
        break;
    default:
        break;
    }
    *balance += chosen - f;
    return chosen;
}

/* Drops the last picked pair of column e. */
static void drop_last(const struct moe_problem *problem, struct moe_naive_space *space, int64_t e)
{
    int64_t E = problem->E, last = -1;
    for (int64_t t = 0; t < problem->T; t++)
        if (space->chosen[t * E + e] &&
            (last < 0 || !moe_naive_beats(space->weight[t * E + e], space->weight[last * E + e])))
            last = t;
    space->chosen[last * E + e] = 0;
}

/* Adds the first pair of column e that is not picked. */
static void add_first(const struct moe_problem *problem, struct moe_naive_space *space, int64_t e)
{
    int64_t E = problem->E, first = -1;
    for (int64_t t = 0; t < problem->T; t++)
        if (!space->chosen[t * E + e] &&
            (first < 0 || moe_naive_beats(space->prob[t * E + e], space->prob[first * E + e])))
            first = t;
    space->chosen[first * E + e] = 1;
}

void moe_naive_round(const struct moe_problem *problem, struct moe_naive_space *space)
{
    struct moe_naive_routing *routing = &space->routing;
    int64_t T = problem->T, E = problem->E, balance = 0;
    for (int64_t pair = 0; pair < T * E; pair++)
        space->chosen[pair] = 0;
    for (int64_t t = 0; t < T; t++) {
        long double sum = 0;
        for (int64_t k = routing->token_begin[t]; k < routing->token_begin[t + 1]; k++)
            sum += space->prob[t * E + routing->pick[k]];
        for (int64_t k = routing->token_begin[t]; k < routing->token_begin[t + 1]; k++) {
            int64_t pair = t * E + routing->pick[k];
            space->chosen[pair] = 1;
            space->weight[pair] = space->prob[pair] / sum;
        }
    }
    for (int64_t e = 0; e < E; e++) {
        int64_t count = 0;
        for (int64_t t = 0; t < T; t++)
            count += space->chosen[t * E + e];
        int64_t wanted = target(problem, e, count, &balance);
        for (; count > wanted; count--)
            drop_last(problem, space, e);
        for (; count < wanted; count++)
            add_first(problem, space, e);
    }
    int64_t P = 0;
    for (int64_t t = 0; t < T; t++) {
        routing->token_begin[t] = P;
        for (int64_t e = 0; e < E; e++)
            if (space->chosen[t * E + e])
                routing->pick[P++] = e;
    }
    routing->token_begin[T] = routing->P = P;
}

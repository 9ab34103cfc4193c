/*
 * draw_edges.c - routing=edges: every expert has a number of rows at the edge of a tile.
 *
 * Experts go in an order of the seed. Each takes one of 0, 1 and the multiples of tiles and their
 * neighbours, near what is left for it on average, such that what remains can be shared out; the
 * last ones take what there is, so that all but those are at an edge. Rows are then dealt to the
 * tokens in turn: no expert has more rows than there are tokens, so none comes twice to a token,
 * and all together they fill every token's K picks.
 */
#include <stdlib.h>

#include "ref/draw.h"

enum { PURPOSE_ORDER = 259, PURPOSE_EDGE }; /* of moe_draw_word; draw_lists.c has those before */

static const int64_t edges[] = {0,  1,  2,  7,  8,   9,   15,  16,  17,  31, 32,
                                33, 63, 64, 65, 127, 128, 129, 255, 256, 257};
#define EDGES ((int)(sizeof edges / sizeof *edges))

static int64_t below(int64_t n, uint32_t word)
{
    return (int64_t)((uint64_t)n * word >> 32);
}

/* Rows of an expert where `left` rows are for it and `others` more, each of which takes up to T. */
static int64_t rows_of(int64_t left, int64_t others, int64_t T, uint32_t word)
{
    int64_t least = left > others * T ? left - others * T : 0, most = left < T ? left : T;
    int64_t near = 2 * (left / (others + 1)) + 1; /* twice the average, so that half are below */
    int fitting[EDGES], count = 0;
    for (int i = 0; i < EDGES && others > 0; i++)
        if (edges[i] >= least && edges[i] <= most && edges[i] <= near)
            fitting[count++] = i;
    if (count > 0)
        return edges[fitting[below(count, word)]];
    return least > left / (others + 1)  ? least
           : most < left / (others + 1) ? most
                                        : left / (others + 1);
}

/* An order of all experts. */
static void shuffle(const struct moe_problem *problem, int32_t *order)
{
    for (int64_t e = 0; e < problem->E; e++) {
        const uint32_t word = moe_draw_word(problem->seed, PURPOSE_ORDER, (uint64_t)e);
        const int64_t at = below(e + 1, word);
        order[e] = order[at];
        order[at] = (int32_t)e;
    }
}

int draw_edge_picks(const struct moe_problem *problem, int32_t *picks)
{
    const int64_t T = problem->T, E = problem->E, K = problem->K;
    int32_t *order = malloc((size_t)E * sizeof *order);
    int64_t *used = calloc((size_t)T + 1, sizeof *used); /* picks that each token has */
    if (!order || !used) {
        free(order);
        free(used);
        return moe_error(MOE_E_NOMEM, "no memory to draw picks");
    }
    shuffle(problem, order);
    int64_t left = T * K, token = 0;
    for (int64_t i = 0; i < E; i++) {
        const uint32_t word = moe_draw_word(problem->seed, PURPOSE_EDGE, (uint64_t)i);
        const int64_t rows = rows_of(left, E - 1 - i, T, word);
        for (int64_t r = 0; r < rows; r++) {
            picks[token * K + used[token]++] = order[i];
            token = token + 1 < T ? token + 1 : 0;
        }
        left -= rows;
    }
    free(order);
    free(used);
    return MOE_OK;
}

/*
 * statistics.h - errors of one run against their variances, element by element and in groups.
 *
 * z = err / sigma of each element. On generic data a correct kernel's z are sums of many roundings,
 * so that groups of them have a root mean square of about 1; doc/statistics.md derives how far
 * above it each may be.
 */
#ifndef MOE_STATISTICS_H
#define MOE_STATISTICS_H

#include "verify/verify.h"

enum statistic_kind {
    STATISTIC_ELEMENT, /* |z| of one */
    STATISTIC_ROW,     /* root mean square of z over the group */
    STATISTIC_COLUMN,  /* of the rows of one block: all tokens, or one expert's rows */
    STATISTIC_TILE,    /* 64 x 64 */
    STATISTIC_EXPERT,
    STATISTIC_TENSOR,
    STATISTIC_GAIN, /* |<err, ref> / <ref, ref>| of the whole tensor */
    STATISTIC_COUNT
};

extern const char *const statistic_name[STATISTIC_COUNT];

/* A group's largest value in units of its limit, and where it begins. */
struct statistic {
    double value, limit;
    int64_t row, col, expert; /* expert -1: none */
};

/* What is summed over a group. `own` is the share of each element's variance that its own last
 * rounding has: no other element's error comes of that. */
struct statistic_sums {
    int64_t n;
    double squares, own;
};

/* Are a tensor's errors those of products with routed scores, of two numbers of the case's type,
 * rounded to it? */
enum statistics_scaling {
    NOT_SCALED,
    SCALED_OPERANDS, /* these go into its sums */
    SCALED_STORES,   /* it holds one where a token has one row */
    SCALING_COUNT
};

struct statistics {
    const struct moe_problem *problem;
    const struct moe_recipe *recipe;
    struct statistic_sums sums[MOE_TENSOR_COUNT]; /* of whole tensors */
    struct {
        double error, value, spread, both; /* sums of err*ref, ref^2, sigma^2, sigma^2 ref^2 */
        double shared; /* sum over blocks of what shared roundings make of the first's variance */
    } gain[MOE_TENSOR_COUNT];
    double shared[MOE_TENSOR_COUNT];   /* sum over blocks of n^2 / d, see statistics_shared() */
    int64_t longest;                   /* rows of the busiest expert */
    double scores_gain[SCALING_COUNT]; /* see statistics_scores_gain() */
    struct statistic worst[MOE_TENSOR_COUNT][STATISTIC_COUNT];
};

/* ---- statistics.c ---------------------------------------------------------------------------- */

/* Are the case's errors random? Its values must be drawn one by one and no two logits be alike. */
int statistics_apply(const struct moe_problem *problem);

void statistics_start(struct statistics *statistics, const struct moe_problem *problem,
                      const struct moe_recipe *recipe, const struct moe_routing *routing);

/* Takes a block of the reference, which must have variances, and what the tensor holds there;
 * `before` is what a parameter gradient was added to, or NULL. MOE_E_NOMEM. */
int statistics_take(struct statistics *statistics, const struct moe_routing *routing,
                    const struct moe_tensor *tensor, const struct moe_tensor *before,
                    const struct moe_block *block);

/* After the last block: whole tensors. */
void statistics_finish(struct statistics *statistics);

/* ---- statistics_limits.c --------------------------------------------------------------------- */

/* d: how many independent roundings made before reach so many rows and columns of a tensor, of an
 * expert with so many rows of its own; INFINITY: those of each element reach no other. */
double statistics_shared(const struct moe_problem *problem, enum moe_tensor_id tensor, int64_t rows,
                         int64_t cols, double expert_rows);

/* The largest root mean square of z that a correct kernel reaches in one of `groups` such groups.
 */
double statistics_limit(const struct statistic_sums *sums, double shared, double groups);

/* NOT_SCALED where the groups of a tensor are not judged. */
enum statistics_scaling statistics_scaling(const struct statistics *statistics,
                                           enum moe_tensor_id tensor);

/* Are a tensor's groups judged at all, or just its elements? */
int statistics_groups(const struct statistics *statistics, enum moe_tensor_id tensor);

/* The largest gain that the recipe's sums and functions give a tensor, randomness apart. */
double statistics_bias(const struct statistics *statistics, enum moe_tensor_id tensor);

/* The largest gain of all. */
double statistics_gain_limit(const struct statistics *statistics, enum moe_tensor_id tensor);

/* ---- statistics_scores.c ----------------------------------------------------------------------
 */

/* Are roundings of products with that score larger than random ones, since the score is close to a
 * number of few bits? What such scores reach stays out of the groups, and is judged element by
 * element: rows of z, tokens, and the gradients of an expert that owes such rows more than one part
 * in 64. */
int statistics_score_lines_up(const struct moe_problem *problem, double score);

int statistics_expert_lines_up(const struct moe_problem *problem, const struct moe_routing *routing,
                               int64_t expert);

/* The gain that rounding gives the products with all other scores, by enum statistics_scaling:
 * where many are close to one number, their errors are not of mean 0. */
void statistics_scores_gain(const struct moe_problem *problem, const struct moe_routing *routing,
                            double gain[SCALING_COUNT]);

/* Is the row the only one of its token? */
int statistics_row_is_alone(const struct moe_routing *routing, int64_t row);

#endif

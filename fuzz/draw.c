/*
 * draw.c - one random case after another.
 *
 * Options are rolled value by value and completed, with a random half of all values switched off
 * for 50 cases together ("swarm": a fault may need that nothing else is there). Then sizes, of
 * which rows per expert matter most to a kernel: they are rolled first, at the edges of the tiles
 * that kernels use, and T follows from them. What a case may cost is bounded; one in sixteen may
 * cost ten times that.
 *
 * Case n of seed s depends on n and s alone, so that any case of a campaign can be had again.
 */
#include <string.h>

#include "fuzz/fuzz.h"

#define BATCH 50
#define STREAM_BATCH 2
#define STREAM_CASE 3
#define STREAM_CASE_SHIFT 16 /* each case has 2^16 words of the stream */
#define PURPOSE 0x66757a7au  /* of our words, far from the numbers of tensors */
#define LARGER_EVERY 16
#define LARGER 10
#define SIZE_TRIES 24
#define MANY_EXPERTS_EVERY 16

struct dice {
    uint64_t seed, index;
};

uint32_t moe_dice_roll(uint64_t seed, uint32_t stream, uint64_t *index, uint32_t bound)
{
    uint32_t word = moe_draw_word(seed, PURPOSE + stream, (*index)++);
    return (uint32_t)((uint64_t)word * bound >> 32);
}

static uint32_t roll(struct dice *dice, uint32_t bound)
{
    return moe_dice_roll(dice->seed, STREAM_CASE, &dice->index, bound);
}

/* One of these edges, or one below, or one above. */
static int64_t roll_edge(struct dice *dice)
{
    static const int64_t edges[] = {1, 2, 4, 8, 16, 32, 64, 128};
    int64_t edge = edges[roll(dice, sizeof edges / sizeof edges[0])];
    return edge - 1 + roll(dice, 3);
}

/* A width: an edge mostly, else anything up to 160. */
static int64_t roll_width(struct dice *dice)
{
    int64_t width = roll(dice, 4) > 0 ? roll_edge(dice) : 1 + roll(dice, 160);
    return width > 0 ? width : 1;
}

/* T for about `rows` rows an expert; one in two not a whole number of them. */
static int64_t tokens(struct dice *dice, int64_t rows, const struct moe_problem *problem)
{
    int64_t T = (rows * problem->E + problem->K - 1) / problem->K;
    if (roll(dice, 2))
        T += (int64_t)roll(dice, 3) - 1;
    return T > 0 ? T : 0;
}

double moe_case_cost(const struct moe_problem *problem)
{
    const double T = (double)problem->T, H = (double)problem->H, I = (double)problem->I;
    const double E = (double)problem->E, N = (double)moe_problem_max_entries(problem);
    const double experts = 9 * N * H * I, shared = 9 * T * H * (double)problem->shared;
    const double router = 3 * T * H * E, weights = 10 * E * H * I;
    return experts + shared + router + weights;
}

/* Gives the case other sizes where ones are met that have a meaning and are within the cost. */
static void roll_sizes(struct dice *dice, double cost, struct moe_problem *problem)
{
    static const int64_t many[] = {255, 256, 257, 512}; /* what does not fit a byte, or nearly */
    for (int tries = 0; tries < SIZE_TRIES; tries++) {
        struct moe_problem other = *problem;
        if (roll(dice, MANY_EXPERTS_EVERY) == 0) {
            other.E = many[roll(dice, sizeof many / sizeof *many)];
        } else if (roll(dice, 2)) {
            other.E = 1 + (int64_t)roll(dice, 1u << (1 + roll(dice, 7)));
            other.K = 1 + (int64_t)roll(dice, 1u << roll(dice, 5));
            if (roll(dice, 8) == 0)
                other.K = other.E;
        }
        other.H = roll_width(dice);
        other.I = roll_width(dice);
        if (roll(dice, 4) == 0)
            other.I = (other.I + 7) / 8 * 8;
        other.T = tokens(dice, roll_edge(dice), &other);
        if (moe_problem_validate(&other) == MOE_OK && moe_case_cost(&other) <= cost) {
            *problem = other;
            return;
        }
    }
}

/* Is the value on in the batch of the case? The plainest always is. */
static int enabled(uint64_t seed, uint64_t batch, int factor, int value)
{
    uint64_t index =
        (batch * MOE_FACTOR_MAX + (uint64_t)factor) * MOE_FACTOR_VALUES + (uint64_t)value;
    return value == 0 || moe_dice_roll(seed, STREAM_BATCH, &index, 2);
}

/* Rolls every option in random order; what cannot be completed keeps what completing gave it. */
static void roll_options(struct dice *dice, uint64_t batch, struct moe_problem *problem)
{
    struct moe_assignment assignment = {.value = {0}};
    int order[MOE_FACTOR_MAX];
    for (int f = 0; f < moe_factor_count(); f++) {
        int at = (int)roll(dice, (uint32_t)f + 1);
        order[f] = order[at];
        order[at] = f;
    }
    for (int i = 0; i < moe_factor_count(); i++) {
        int f = order[i];
        struct moe_assignment tried = assignment;
        int value = (int)roll(dice, (uint32_t)moe_factor_value_count(f));
        if (!enabled(dice->seed, batch, f, value) || assignment.fixed[f])
            continue;
        tried.value[f] = (uint8_t)value;
        tried.fixed[f] = 1;
        if (moe_assignment_complete(&tried, problem) == MOE_OK)
            assignment = tried;
    }
}

void moe_case_draw(uint64_t seed, uint64_t number, struct moe_problem *problem)
{
    struct dice dice = {seed, number << STREAM_CASE_SHIFT};
    double cost = MOE_CASE_COST * (roll(&dice, LARGER_EVERY) == 0 ? LARGER : 1);
    struct moe_problem made = moe_problem_default();
    roll_options(&dice, number / BATCH, &made);
    roll_sizes(&dice, cost, &made);
    made.seed = roll(&dice, UINT32_MAX);
    *problem = made;
}

/*
 * t_route.c - which experts a token picks: cases worked by hand, and random logits full of ties
 * against an order of ranks that is counted, not sorted.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support.h"

#define LN3 1.0986122886681098 /* sigmoid(ln 3) = 3/4 */
#define MOST 16

/* One token. */
static const struct {
    const char *keys;
    double logits[8], sel_bias[8];
    int32_t picks[8];
} by_hand[] = {
    /* ties: the smaller id first */
    {"E=4 K=2", {1, 2, 2, 2}, {0}, {1, 2}},
    {"E=4 K=4", {1, 2, 1, 2}, {0}, {1, 3, 0, 2}},
    {"E=5 K=3 router=sigmoid", {0, 0, 0, 0, 0}, {0}, {0, 1, 2}},
    {"E=4 K=3 router=sqrt-softplus", {-1, 3, -1, 3}, {0}, {1, 3, 0}},
    /* -0 and +0 tie */
    {"E=4 K=2", {-0., 0., -0., -1}, {0}, {0, 1}},
    {"E=4 K=3", {-1, 0., -0., 0.}, {0}, {1, 2, 3}},
    {"E=2 K=1 router=softmax-topk", {0., -0.}, {0}, {0}},
    /* NaN below -inf; NaN among themselves by id */
    {"E=4 K=4", {NAN, -INFINITY, -1e300, NAN}, {0}, {2, 1, 0, 3}},
    {"E=3 K=1", {NAN, NAN, -INFINITY}, {0}, {2}},
    {"E=3 K=3", {NAN, INFINITY, NAN}, {0}, {1, 0, 2}},
    {"E=3 K=2 router=sigmoid", {NAN, -800, -900}, {0}, {1, 2}},
    {"E=3 K=2 router=sqrt-softplus", {NAN, NAN, -2000}, {0}, {2, 0}},
    /* K = E: all of them, best first */
    {"E=5 K=5 router=softmax-topk", {3, 1, 5, 4, 2}, {0}, {2, 3, 0, 4, 1}},
    {"E=1 K=1", {-7}, {0}, {0}},
    /* the bias decides, and may tie: sigmoid(0) + 1/4 = sigmoid(ln 3) */
    {"E=3 K=2 router=sigmoid sel-bias=1", {0, 1, 2}, {1, .5, 0}, {0, 1}},
    {"E=3 K=2 router=sigmoid sel-bias=1", {0, 0, 0}, {.25, .5, .25}, {1, 0}},
    {"E=2 K=1 router=sqrt-softplus sel-bias=1", {5, -5}, {0, 8}, {1}},
    /* a group by its best logit: (5,0) (4,4) (3,3) */
    {"E=6 K=3 groups=3/2", {5, 0, 4, 4, 3, 3}, {0}, {0, 2, 3}},
    {"E=6 K=2 groups=3/1 router=softmax-topk", {4, 0, 3, 5, 4, 4}, {0}, {3, 2}},
    /* tied groups: the smaller one, though the other has the better second */
    {"E=6 K=2 groups=3/1", {1, 1, 5, 0, 5, 4}, {0}, {2, 3}},
    {"E=4 K=2 groups=2/1", {-0., -9, 0., 9e-9}, {0}, {3, 2}},
    {"E=4 K=2 groups=2/1", {-0., -9, 0., -1}, {0}, {0, 1}},
    /* a group of NaN ranks last; one NaN does not sink a group by its best */
    {"E=4 K=2 groups=2/1", {NAN, NAN, -INFINITY, -9}, {0}, {3, 2}},
    {"E=4 K=2 groups=2/1", {NAN, 1, 0, 0}, {0}, {1, 0}},
    /* a group by the sum of its two best: .75 + .5 beats .9933 + .0067 */
    {"E=4 K=1 groups=2/1 router=sigmoid", {5, -5, LN3, 0}, {0}, {2}},
    /* the third best does not count: .75 + .5 + 0 against .5 + .5 + .5 */
    {"E=6 K=1 groups=2/1 router=sigmoid", {0, 0, 0, 0, LN3, -99}, {0}, {4}},
    /* tied sums, .75 + .5: the smaller group, whichever expert is best in it */
    {"E=4 K=2 groups=2/1 router=sigmoid", {0, LN3, LN3, 0}, {0}, {1, 0}},
    {"E=8 K=2 groups=4/1 router=sqrt-softplus", {1, 1, 3, 0, 0, 3, 1, 1}, {0}, {2, 3}},
    /* the bias counts in a group's value */
    {"E=4 K=1 groups=2/1 router=sigmoid sel-bias=1", {2, 2, 0, 0}, {0, 0, 1, 1}, {2}},
    /* groups of one expert: by its value, there is no second best */
    {"E=3 K=2 groups=3/2", {1, 3, 2}, {0}, {1, 2}},
    {"E=3 K=2 groups=3/2 router=sigmoid", {1, 3, 2}, {0}, {1, 2}},
    {"E=4 K=1 groups=4/1 router=sigmoid sel-bias=1", {0, 0, 0, 0}, {0, 0, 1, 1}, {2}},
    /* all groups kept: as without */
    {"E=4 K=3 groups=2/2", {1, 4, 2, 3}, {0}, {1, 3, 2}},
};

/* The routing of logits [T,E]; its picks are what the test is about. */
static struct moe_routing route(const struct moe_problem *problem, const double *logits,
                                const double *sel_bias)
{
    struct moe_routing routing;
    int status =
        moe_routing_from_logits(problem, logits, problem->sel_bias ? sel_bias : NULL, &routing);
    ck_assert_msg(status == MOE_OK, "%s", moe_error_text());
    return routing;
}

START_TEST(picks)
{
    char line[128] = "T=1 H=1 I=1 ";
    struct moe_problem problem = problem_of(strcat(line, by_hand[_i].keys));
    struct moe_routing routing = route(&problem, by_hand[_i].logits, by_hand[_i].sel_bias);
    ck_assert_int_eq(routing.P, problem.K);
    for (int64_t k = 0; k < problem.K; k++)
        ck_assert_msg(routing.pick[k] == by_hand[_i].picks[k], "%d: pick %d is %d, want %d", _i,
                      (int)k, routing.pick[k], by_hand[_i].picks[k]);
    moe_routing_free(&routing);
}
END_TEST

/* sel_bias changes who is picked, and neither the scores nor their gradient contain it. */
START_TEST(bias_is_for_picking_only)
{
    static const double logits[] = {0, LN3, -LN3}, bias[] = {0, -9, 9}, none[3], ds[] = {1, 2};
    struct moe_problem problem =
        problem_of("T=1 H=1 I=1 E=3 K=2 router=sigmoid sel-bias=1 scale=4");
    struct moe_routing biased = route(&problem, logits, bias);
    struct moe_routing plain = route(&problem, logits, none);
    double dl_biased[3] = {0}, dl_plain[3] = {0};
    ck_assert(biased.pick[0] == 2 && biased.pick[1] == 0);
    ck_assert(plain.pick[0] == 1 && plain.pick[1] == 0);
    ck_assert(fabs(biased.score[0] - 1) < 1e-15 && biased.score[1] == 2);
    ck_assert(fabs(plain.score[0] - 3) < 1e-15 && plain.score[1] == 2);
    ck_assert_int_eq(moe_routing_backward(&problem, &biased, logits, ds, dl_biased), MOE_OK);
    ck_assert_int_eq(moe_routing_backward(&problem, &plain, logits, ds, dl_plain), MOE_OK);
    ck_assert(dl_biased[0] == dl_plain[0] && dl_biased[1] == 0 && dl_plain[2] == 0);
    moe_routing_free(&biased);
    moe_routing_free(&plain);
}
END_TEST

/* ---- random logits -------------------------------------------------------------------------- */

/* Does a stand before b? NaN after all else, the smaller id first. */
static int beats(long double a, int64_t id_a, long double b, int64_t id_b)
{
    if (isnan(a) && isnan(b))
        return id_a < id_b;
    if (isnan(a) || isnan(b))
        return isnan(b);
    return a > b || (a == b && id_a < id_b);
}

/* In how many of n values another stands before value i; `open` NULL: all take part. */
static int64_t place(const long double *values, const int *open, int64_t n, int64_t i)
{
    int64_t before = 0;
    for (int64_t j = 0; j < n; j++)
        before += (!open || open[j]) && beats(values[j], j, values[i], i);
    return before;
}

static long double value_of(const struct moe_problem *problem, double logit, double bias)
{
    long double l = logit;
    if (problem->router == MOE_SIGMOID)
        return 1 / (1 + expl(-l)) + bias;
    if (problem->router == MOE_SQRT_SOFTPLUS)
        return sqrtl(log1pl(expl(l))) + bias;
    return l;
}

static void close_groups(const struct moe_problem *problem, const long double *values, int *open)
{
    int64_t size = problem->E / problem->groups;
    int sum_of_two = problem->router == MOE_SIGMOID || problem->router == MOE_SQRT_SOFTPLUS;
    long double group[MOST];
    for (int64_t g = 0; g < problem->groups; g++) {
        group[g] = 0;
        for (int64_t i = 0; i < size; i++)
            if (place(values + g * size, NULL, size, i) < 1 + sum_of_two)
                group[g] += values[g * size + i];
    }
    for (int64_t e = 0; e < problem->E; e++)
        open[e] = place(group, NULL, problem->groups, e / size) < problem->groups_kept;
}

static void expect_token(const struct moe_problem *problem, const double *logits,
                         const double *bias, const struct moe_routing *routing, int64_t t)
{
    long double values[MOST];
    int open[MOST];
    for (int64_t e = 0; e < problem->E; e++) {
        values[e] = value_of(problem, logits[e], problem->sel_bias ? bias[e] : 0);
        open[e] = 1;
    }
    if (problem->groups > 0)
        close_groups(problem, values, open);
    for (int64_t e = 0; e < problem->E; e++) {
        int64_t want = place(values, open, problem->E, e);
        if (open[e] && want < problem->K)
            ck_assert_msg(routing->pick[t * problem->K + want] == e,
                          "token %d: slot %d has expert %d, not %d", (int)t, (int)want,
                          routing->pick[t * problem->K + want], (int)e);
    }
}

static const char *const routers[] = {"topk-softmax", "softmax-topk", "sigmoid", "sqrt-softplus"};

/* Logits of few values, so that most tokens have ties; or any. No two sums of different ones are
 * equal, so that long double here and double there see the same ties. */
START_TEST(random_logits)
{
    static const double few[] = {-2, -1.25, -0., 0., 1, 1.5, 3};
    static const double special[] = {NAN, -INFINITY, -0., 0., 2};
    uint64_t state = 77 + (uint64_t)_i;
    for (int round = 0; round < 200; round++) {
        int64_t groups = random_below(&state, 2) ? 1 + random_below(&state, 4) : 0;
        int64_t size = 1 + random_below(&state, 4),
                kept = groups ? 1 + random_below(&state, groups) : 0;
        int64_t E = (groups ? groups : 4) * size, most = groups ? kept * size : E;
        char line[256];
        snprintf(line, sizeof line, "T=20 H=1 I=1 E=%d K=%d router=%s", (int)E,
                 (int)(1 + random_below(&state, most)), routers[_i]);
        struct moe_problem problem = problem_of(line);
        problem.groups = groups;
        problem.groups_kept = kept;
        problem.sel_bias = _i >= 2 && random_below(&state, 2);
        double logits[20 * MOST], bias[MOST];
        int kind = (int)random_below(&state, 3);
        if (kind == 0 && (groups > 0 || problem.sel_bias))
            kind = 1; /* NaN + NaN and the like are for the cases by hand */
        if (groups > 0 && problem.sel_bias)
            kind = 2; /* two biases that change places would leave a sum as it is */
        double from = 0;
        for (int64_t i = 0; i < 20 * E; i++) {
            if (i % E == 0) /* near each other, wherever that is */
                from = random_in(&state, -4, _i == 2 ? 12 : 60);
            logits[i] = kind == 0   ? special[random_below(&state, COUNT(special))]
                        : kind == 1 ? few[random_below(&state, COUNT(few))]
                                    : random_in(&state, from, from + 1);
        }
        for (int64_t e = 0; e < E; e++)
            bias[e] = (double)random_below(&state, 3) / 32;
        struct moe_routing routing = route(&problem, logits, bias);
        for (int64_t t = 0; t < 20; t++)
            expect_token(&problem, logits + t * E, bias, &routing, t);
        moe_routing_free(&routing);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("route");
    TCase *tcase = tcase_create("picks");
    tcase_add_loop_test(tcase, picks, 0, COUNT(by_hand));
    tcase_add_test(tcase, bias_is_for_picking_only);
    tcase_add_loop_test(tcase, random_logits, 0, COUNT(routers));
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}

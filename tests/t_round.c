/*
 * t_round.c - token rounding: targets worked by hand, the stochastic rule against its formula and
 * its frequency, and who is taken: by hand, and for random logits against an order that is counted.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support.h"

#define MOST 24

/* ---- how many ------------------------------------------------------------------------------- */

/* Targets of experts in order of id, from their counts. */
static const struct {
    const char *keys;
    int64_t counts[6], targets[6];
    int n;
} rules[] = {
    {"T=99 round=down round-to=4", {0, 1, 3, 4, 7, 99}, {0, 0, 0, 4, 4, 96}, 6},
    {"T=99 round=up round-to=4", {0, 1, 3, 4, 7, 97}, {0, 4, 4, 4, 8, 99}, 6}, /* 100 > T */
    {"T=6 round=up round-to=128", {0, 1, 6}, {0, 6, 6}, 3},
    {"T=6 round=up round-to=1", {0, 1, 6}, {0, 1, 6}, 3},
    {"T=99 round=nearest round-to=4", {1, 3, 5, 7, 9, 11}, {0, 4, 4, 8, 8, 12}, 6},
    /* halves to the even multiple: 2/4 0, 6/4 2, 10/4 2, 14/4 4, 18/4 4, 22/4 6 */
    {"T=99 round=nearest round-to=4", {2, 6, 10, 14, 18, 22}, {0, 8, 8, 16, 16, 24}, 6},
    {"T=99 round=nearest round-to=5",
     {2, 3, 7, 8, 12, 13},
     {0, 5, 5, 10, 10, 15},
     6},                                                             /* no halves */
    {"T=7 round=nearest round-to=8", {3, 4, 5, 7}, {0, 0, 7, 7}, 4}, /* at most T */
    {"T=10 round=nearest round-to=4", {10}, {8}, 1},
    {"T=11 round=nearest round-to=4", {11}, {11}, 1},
    /* the running sum goes -1 -2 -1 1 1 0: the second could make it 2, a tie */
    {"T=99 round=balanced round-to=4", {1, 1, 3, 2, 4, 1}, {0, 0, 4, 4, 4, 0}, 6},
    /* -2 (or 2) 1 -1 1 0 1 */
    {"T=99 round=balanced round-to=4", {2, 1, 2, 2, 5, 7}, {0, 4, 0, 4, 4, 8}, 6},
    /* up means 5: 1 2 -2 -2 */
    {"T=5 round=balanced round-to=8", {4, 4, 4, 0}, {5, 5, 0, 0}, 4},
};

START_TEST(targets)
{
    char line[128];
    snprintf(line, sizeof line, "router=softmax-topk %s", rules[_i].keys);
    struct moe_problem problem = problem_of(line);
    int64_t drift = 0;
    for (int e = 0; e < rules[_i].n; e++) {
        int64_t got = moe_round_target(&problem, e, rules[_i].counts[e], &drift);
        ck_assert_msg(got == rules[_i].targets[e], "%d: expert %d: %d becomes %d, want %d", _i, e,
                      (int)rules[_i].counts[e], (int)got, (int)rules[_i].targets[e]);
    }
}
END_TEST

/* Up where word * m < rest * 2^32, word the expert's of purpose 'roun'; at most T. */
START_TEST(stochastic_formula)
{
    static const int64_t multiples[] = {1, 2, 7, 128, 65536};
    struct moe_problem problem = problem_of("T=70000 router=softmax-topk round=stochastic");
    int ups = 0, downs = 0;
    for (uint64_t i = 0; i < 4000; i++) {
        uint64_t state = i * 2 + 1;
        int64_t drift = 0, m = multiples[i % 5], e = random_below(&state, 1000);
        int64_t count = random_below(&state, problem.T + 1), rest = count % m;
        problem.seed = i / 8;
        problem.round_to = m;
        long double share = (long double)rest / (long double)m;
        long double uniform = (long double)moe_draw_word(problem.seed, 0x726f756e, (uint64_t)e);
        int up = uniform < share * 0x1p32L;
        int64_t want = count - rest + (up ? m : 0);
        ck_assert_int_eq(moe_round_target(&problem, e, count, &drift),
                         want > problem.T ? problem.T : want);
        ups += rest && up;
        downs += rest && !up;
    }
    ck_assert_int_gt(ups, 1000);
    ck_assert_int_gt(downs, 1000);
}
END_TEST

/* 3 of 8: up in 3/8 of the seeds and of the experts. 20000 draws: a standard deviation is 0.0034.
 */
START_TEST(stochastic_frequency)
{
    struct moe_problem problem = problem_of("T=99 router=softmax-topk round=stochastic round-to=8");
    int64_t drift = 0;
    int ups = 0;
    for (int i = 0; i < 20000; i++) {
        problem.seed = (uint64_t)(i / 100);
        int64_t target = moe_round_target(&problem, i % 100, 3, &drift);
        ck_assert(target == 0 || target == 8);
        ups += target == 8;
    }
    ck_assert_msg(fabs(ups / 20000.0 - 3 / 8.0) < 6 * 0.0034, "%d ups", ups);
}
END_TEST

/* ---- who ------------------------------------------------------------------------------------ */

static struct moe_routing round_of(const struct moe_problem *problem, const double *logits)
{
    struct moe_routing routing;
    ck_assert_msg(moe_routing_from_logits(problem, logits, NULL, &routing) == MOE_OK, "%s",
                  moe_error_text());
    ck_assert_int_le(routing.P, moe_problem_max_entries(problem));
    return routing;
}

/* Probabilities [T,E], whose logarithms are the logits; the tokens of each expert in the end. */
static const struct {
    const char *keys;
    double p[MOST];
    const char *tokens[3];
} by_hand[] = {
    /* token 0 picks expert 0 with less p than tokens 1 2 have: kept still outranks added */
    {"T=3 E=3 K=1 round=up round-to=2",
     {.40, .35, .25, .30, .60, .10, .39, .45, .16},
     {"02", "12", ""}},
    /* among the kept: by their share of the token's own picks. Expert 0: .3/.4 .5/.9 .2/.3, so that
     * token 1, whose p is the largest, is the one dropped */
    {"T=3 E=3 K=2 round=down round-to=2",
     {.30, .10, .05, .50, .40, .10, .20, .05, .10},
     {"02", "01", ""}},
    /* ties: the smaller token, among kept (all shares are 1) and among added (p is 1/4) */
    {"T=4 E=2 K=1 round=down round-to=3", {.9, .1, .6, .4, .8, .2, .7, .3}, {"012", ""}},
    {"T=4 E=2 K=1 round=up round-to=2", {.25, .75, .25, .75, .25, .75, .9, .1}, {"03", "0123"}},
    /* nobody: an expert rounded to 0 leaves its tokens without it */
    {"T=2 E=2 K=2 round=down round-to=4", {.5, .5, .5, .5}, {"", ""}},
    /* everybody: T is not a multiple */
    {"T=3 E=2 K=2 round=up round-to=2", {.5, .5, .5, .5, .5, .5}, {"012", "012"}},
};

START_TEST(who)
{
    char line[128];
    double logits[MOST] = {0};
    snprintf(line, sizeof line, "H=1 I=1 router=softmax-topk %s", by_hand[_i].keys);
    struct moe_problem problem = problem_of(line);
    for (int i = 0; i < MOST; i++)
        logits[i] = by_hand[_i].p[i] > 0 ? log(by_hand[_i].p[i]) : 0;
    struct moe_routing routing = round_of(&problem, logits);
    for (int64_t e = 0; e < problem.E; e++) {
        char got[MOST] = "";
        for (int64_t r = routing.expert_begin[e]; r < routing.expert_begin[e + 1]; r++)
            got[strlen(got)] = (char)('0' + routing.row_token[r]);
        ck_assert_msg(strcmp(got, by_hand[_i].tokens[e]) == 0, "%d: expert %d takes %s, want %s",
                      _i, (int)e, got, by_hand[_i].tokens[e]);
    }
    /* entries by expert, kept and added alike with the raw softmax value */
    for (int64_t t = 0; t < problem.T; t++) {
        double sum = 0;
        for (int64_t e = 0; e < problem.E; e++)
            sum += by_hand[_i].p[t * problem.E + e];
        for (int64_t i = routing.token_begin[t]; i < routing.token_begin[t + 1]; i++) {
            double want = by_hand[_i].p[t * problem.E + routing.pick[i]] / sum;
            ck_assert(i == routing.token_begin[t] || routing.pick[i - 1] < routing.pick[i]);
            ck_assert_msg(fabs(routing.score[i] - want) < 1e-14, "%d: score %g, want %g", _i,
                          routing.score[i], want);
        }
    }
    moe_routing_free(&routing);
}
END_TEST

/* ---- random logits -------------------------------------------------------------------------- */

#define TOKENS 23
#define EXPERTS 6

/* What expert e makes of every token, in long double: kept by top-k or not, and its rank's value.
 */
static void wishes(const struct moe_problem *problem, const double *logits, int64_t e, int *kept,
                   long double *value)
{
    for (int64_t t = 0; t < problem->T; t++) {
        const double *l = logits + t * problem->E;
        long double all = 0, picked = 0;
        int64_t mine = 0;
        for (int64_t i = 0; i < problem->E; i++) {
            int64_t before = 0;
            for (int64_t j = 0; j < problem->E; j++)
                before += l[j] > l[i] || (l[j] == l[i] && j < i);
            all += expl(l[i]);
            picked += before < problem->K ? expl(l[i]) : 0;
            mine = i == e ? before : mine;
        }
        kept[t] = mine < problem->K;
        value[t] = expl(l[e]) / (kept[t] ? picked : all);
    }
}

static void expect_expert(const struct moe_problem *problem, const double *logits,
                          const struct moe_routing *routing, int64_t e, int64_t *drift)
{
    int kept[TOKENS];
    long double value[TOKENS];
    int64_t count = 0, row = routing->expert_begin[e];
    wishes(problem, logits, e, kept, value);
    for (int64_t t = 0; t < problem->T; t++)
        count += kept[t];
    int64_t target = moe_round_target(problem, e, count, drift);
    ck_assert_int_eq(routing->expert_begin[e + 1] - row, target);
    for (int64_t t = 0; t < problem->T; t++) {
        int64_t before = 0;
        for (int64_t i = 0; i < problem->T; i++)
            before +=
                kept[i] > kept[t] ||
                (kept[i] == kept[t] && (value[i] > value[t] || (value[i] == value[t] && i < t)));
        if (before < target)
            ck_assert_int_eq(routing->row_token[row++], t);
    }
}

START_TEST(random_logits)
{
    static const char *const modes[] = {"nearest", "up", "down", "stochastic", "balanced"};
    for (int round = 0; round < 60; round++) {
        uint64_t state = (uint64_t)(round * 2 + 1);
        double logits[TOKENS * EXPERTS];
        char line[160];
        snprintf(line, sizeof line,
                 "T=%d H=1 I=1 E=%d K=%d router=softmax-topk round=%s round-to=%d seed=%d",
                 (int)random_below(&state, TOKENS + 1), EXPERTS,
                 1 + (int)random_below(&state, EXPERTS), modes[_i],
                 1 + (int)random_below(&state, 9), round);
        struct moe_problem problem = problem_of(line);
        for (int i = 0; i < TOKENS * EXPERTS; i++)
            logits[i] = random_in(&state, -3, 3);
        struct moe_routing routing = round_of(&problem, logits);
        int64_t drift = 0;
        for (int64_t e = 0; e < problem.E; e++)
            expect_expert(&problem, logits, &routing, e, &drift);
        moe_routing_free(&routing);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("round");
    TCase *many = tcase_create("how many"), *which = tcase_create("who");
    tcase_add_loop_test(many, targets, 0, COUNT(rules));
    tcase_add_test(many, stochastic_formula);
    tcase_add_test(many, stochastic_frequency);
    suite_add_tcase(suite, many);
    tcase_add_loop_test(which, who, 0, COUNT(by_hand));
    tcase_add_loop_test(which, random_logits, 0, 5);
    suite_add_tcase(suite, which);
    return run_suite(suite);
}

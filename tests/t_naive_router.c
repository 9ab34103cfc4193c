/*
 * t_naive_router.c - the routers, token rounding and losses of `naive`, on logits chosen by hand.
 *
 * x is the unit matrix (H = T), so that wr [E,T] is the transposed matrix of logits.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>

#include "tests/naive_case.h"

#define MOST 32

/* logits [T,E]; the layer behind the router is all zero. */
static void open_logits(struct naive_case *this, const char *line, const double *logits)
{
    naive_case_open(this, line, 0);
    int64_t T = this->problem.T, E = this->problem.E;
    ck_assert_int_eq(this->problem.H, T);
    naive_case_draw(this, 1, 0);
    for (int64_t t = 0; t < T; t++) {
        naive_case_set(this, MOE_X, t * T + t, 1);
        for (int64_t e = 0; e < E; e++)
            naive_case_set(this, MOE_WR, e * T + t, logits[t * E + e]);
    }
}

#define LN2 0.69314718055994531
#define LN3 1.0986122886681098
#define LN4 1.3862943611198906
#define ROOT1 0.54132485461291810 /* log(e - 1): sqrt(softplus) is 1 */
#define ROOT2 3.98151455317411343 /* log(e^4 - 1): sqrt(softplus) is 2 */

/* One token. */
static const struct {
    const char *keys; /* H I and T are 1 */
    double logits[8], sel_bias[8];
    double picks[4], scores[4]; /* scores 0: not looked at */
} one_token[] = {
    /* softmax of (0, ln 2, ln 3, ln 4) is (.1, .2, .3, .4) */
    {"E=4 K=2 router=topk-softmax", {0, LN2, LN3, LN4}, {0}, {3, 2}, {4. / 7, 3. / 7}},
    {"E=4 K=2 router=topk-softmax scale=2.5", {0, LN2, LN3, LN4}, {0}, {3, 2}, {10. / 7, 7.5 / 7}},
    {"E=4 K=2 router=softmax-topk", {0, LN2, LN3, LN4}, {0}, {3, 2}, {.4, .3}},
    {"E=4 K=2 router=softmax-topk renorm=1", {0, LN2, LN3, LN4}, {0}, {3, 2}, {4. / 7, 3. / 7}},
    {"E=4 K=2 router=softmax-topk scale=2", {0, LN2, LN3, LN4}, {0}, {3, 2}, {.8, .6}},
    {"E=2 K=2 router=sigmoid", {0, LN3}, {0}, {1, 0}, {.75, .5}},
    {"E=2 K=2 router=sigmoid sel-bias=1", {0, LN3}, {.5, 0}, {0, 1}, {.5, .75}},
    {"E=2 K=1 router=sigmoid sel-bias=1 renorm=1", {0, LN3}, {.5, 0}, {0}, {1}},
    {"E=2 K=2 router=sigmoid renorm=1 scale=10", {0, LN3}, {0}, {1, 0}, {6, 4}},
    {"E=2 K=2 router=sqrt-softplus", {ROOT1, ROOT2}, {0}, {1, 0}, {2, 1}},
    {"E=2 K=2 router=sqrt-softplus renorm=1", {ROOT1, ROOT2}, {0}, {1, 0}, {2. / 3, 1. / 3}},
    {"E=2 K=2 router=sqrt-softplus sel-bias=1", {ROOT1, ROOT2}, {1.5, 0}, {0, 1}, {1, 2}},
    /* ties: the smaller id first; -0 equals +0 */
    {"E=4 K=3 router=softmax-topk renorm=1 scale=7", {0, LN3, LN3, -9}, {0}, {1, 2, 0}, {3, 3, 1}},
    {"E=4 K=4 router=topk-softmax scale=4", {-0., 0, -0., 0}, {0}, {0, 1, 2, 3}, {1, 1, 1, 1}},
    /* NaN ranks below -inf, and what is not picked does not matter to topk-softmax */
    {"E=4 K=2 router=topk-softmax scale=2", {NAN, -1, NAN, -1}, {0}, {1, 3}, {1, 1}},
    {"E=4 K=3 router=topk-softmax scale=2", {NAN, -INFINITY, 1, 1}, {0}, {2, 3, 1}, {1, 1, 0}},
    /* exp of these alone has no long double */
    {"E=3 K=2 router=topk-softmax scale=2", {3e4, 3e4, 0}, {0}, {0, 1}, {1, 1}},
    {"E=3 K=2 router=softmax-topk scale=2", {-3e4, -3e4, -6e4}, {0}, {0, 1}, {1, 1}},
    /* groups (5,0) (4,4) (3,3): the two best by their best logit */
    {"E=6 K=4 groups=3/2 router=topk-softmax", {5, 0, 4, 4, 3, 3}, {0}, {0, 2, 3, 1}, {0}},
    {"E=6 K=2 groups=3/1 router=softmax-topk", {5, 0, 5, 4, 3, 3}, {0}, {0, 1}, {0}},
    /* sums of the two best: 1, 1.46, 1.46: a tie, the smaller group */
    {"E=6 K=2 groups=3/1 router=sigmoid", {5, -5, 1, 1, 1, 1}, {0}, {2, 3}, {0}},
    /* the third of a group does not count; groups of one expert are ranked by it */
    {"E=6 K=3 groups=2/1 router=sigmoid", {9, -9, -9, 1, 1, -9}, {0}, {3, 4, 5}, {0}},
    {"E=3 K=2 groups=3/2 router=sigmoid", {1, 3, 2}, {0}, {1, 2}, {0}},
    /* the bias counts for groups as it does for picks */
    {"E=4 K=1 groups=2/1 router=sigmoid sel-bias=1", {0, 0, 0, 0}, {0, 0, 0, 1}, {3}, {0}},
};

START_TEST(picks_and_scores)
{
    struct naive_case this;
    char line[256];
    snprintf(line, sizeof line, "T=1 H=1 I=1 dtype=f64 %s", one_token[_i].keys);
    open_logits(&this, line, one_token[_i].logits);
    if (this.problem.sel_bias)
        naive_case_fill(&this, MOE_SEL_BIAS, this.problem.E, one_token[_i].sel_bias);
    naive_case_forward(&this);
    naive_case_expect(&this, MOE_PICKS, this.problem.K, one_token[_i].picks, 0);
    if (one_token[_i].scores[0] > 0)
        naive_case_expect(&this, MOE_SCORES, this.problem.K, one_token[_i].scores, 2e-15);
    naive_case_close(&this);
}
END_TEST

/* The router sees the logits that it stored: in f32, 1 + 2^-30 and 1 tie. */
START_TEST(routes_by_stored_logits)
{
    struct naive_case this;
    open_logits(&this, "T=1 H=1 I=1 E=2 K=1 dtype=f32 router-bias=1", (double[]){1, 1});
    naive_case_fill(&this, MOE_BR, 2, (double[]){0x1p-25, 0x1p-24});
    naive_case_forward(&this);
    naive_case_expect(&this, MOE_LOGITS, 2, (double[]){1, 1}, 0);
    naive_case_expect(&this, MOE_PICKS, 1, (double[]){0}, 0);
    naive_case_close(&this);
}
END_TEST

/*
 * Token rounding. A row is a case: logits [T,E] as logarithms of probabilities (so softmax is they
 * themselves), and the pairs that result, by token, experts ascending.
 */
struct rounding {
    const char *keys;
    int T;
    double prob[MOST], offsets[MOST], picks[MOST];
};

/* Two experts, K=1: tokens 0 1 2 pick expert 0, tokens 3 4 expert 1. All shares are 1: they tie, so
 * expert 0 drops token 2 though its softmax is the largest, and takes token 3 before token 4. */
#define TWO                                                                                        \
    {                                                                                              \
        .75, .25, .625, .375, .875, .125, .375, .625, .25, .75                                     \
    }
/* Three experts, K=1, counts 3 3 2 of 8 tokens. Tokens 1 and 2 are alike, and are the best that
 * expert 1 has not; token 3 is the best that expert 0 has not. */
#define THREE                                                                                      \
    {                                                                                              \
        .5, .2, .3, .5, .25, .25, .5, .25, .25, .25, .5, .25, .125, .5, .375, .125, .5, .375, .2,  \
            .2, .6, .2, .125, .675                                                                 \
    }

/* Three experts, K=2: shares of expert 2 are 45/85, 50/90 and 40/71, of tokens 0 1 2; and with the
 * first two tokens in the other order. */
#define SHARES                                                                                     \
    {                                                                                              \
        .4, .15, .45, .1, .4, .5, .29, .31, .4                                                     \
    }
#define SWAPPED                                                                                    \
    {                                                                                              \
        .1, .4, .5, .4, .15, .45, .29, .31, .4                                                     \
    }
/* Two experts, K=1: tokens 0 2 3 pick expert 0, token 1 expert 1. */
#define ONE                                                                                        \
    {                                                                                              \
        .6, .4, .4, .6, .7, .3, .8, .2                                                             \
    }

static const struct rounding roundings[] = {
    {"E=2 K=1 round=down round-to=2", 5, TWO, {0, 1, 2, 2, 3, 4}, {0, 0, 1, 1}},
    {"E=2 K=1 round=up round-to=2", 5, TWO, {0, 1, 2, 3, 5, 6}, {0, 0, 0, 0, 1, 1}},
    /* 3/2 is a half: to the even multiple 2, so up; 2/4 to 0, 3/4 to 1 */
    {"E=2 K=1 round=nearest round-to=2", 5, TWO, {0, 1, 2, 3, 5, 6}, {0, 0, 0, 0, 1, 1}},
    {"E=2 K=1 round=nearest round-to=4", 5, TWO, {0, 1, 2, 3, 4, 4}, {0, 0, 0, 0}},
    /* 3/6 is a half: to 0; 2/6 to 0 */
    {"E=2 K=1 round=nearest round-to=6", 5, TWO, {0, 0, 0, 0, 0, 0}, {0}},
    /* up to 8 means T = 5 */
    {"E=2 K=1 round=up round-to=8", 5, TWO, {0, 2, 4, 6, 8, 10}, {0, 1, 0, 1, 0, 1, 0, 1, 0, 1}},
    {"E=2 K=1 round=up round-to=1", 5, TWO, {0, 1, 2, 3, 4, 5}, {0, 0, 0, 1, 1}},
    /* a tie: down to 2; then nothing is left to balance */
    {"E=2 K=1 round=balanced round-to=2", 5, TWO, {0, 1, 2, 2, 3, 4}, {0, 0, 1, 1}},
    /* expert 0 down (-1), expert 1 up (0): token 1 before its equal, token 2 */
    {"E=3 K=1 round=balanced round-to=2",
     8,
     THREE,
     {0, 1, 3, 3, 4, 5, 6, 7, 8},
     {0, 0, 1, 1, 1, 1, 2, 2}},
    {"E=3 K=1 round=up round-to=2",
     8,
     THREE,
     {0, 1, 3, 4, 6, 7, 8, 9, 10},
     {0, 0, 1, 0, 0, 1, 1, 1, 2, 2}},
    /* 1/2 is a half: to 0; 3/2: to 2, so expert 0 takes token 1 too */
    {"E=2 K=1 round=nearest round-to=2", 4, ONE, {0, 1, 2, 3, 4}, {0, 0, 0, 0}},
    {"E=2 K=1 round=up round-to=2", 4, ONE, {0, 2, 4, 5, 6}, {0, 1, 0, 1, 0, 0}},
    /* expert 2 drops token 0, though its softmax is larger than token 2's; expert 0 has one pick */
    {"E=3 K=2 round=down round-to=2", 3, SHARES, {0, 0, 2, 4}, {1, 2, 1, 2}},
    {"E=3 K=2 round=down round-to=2", 3, SWAPPED, {0, 2, 2, 4}, {1, 2, 1, 2}},
};

static void open_rounding(struct naive_case *this, const struct rounding *row, const char *more)
{
    char line[256];
    double logits[MOST];
    snprintf(line, sizeof line, "T=%d H=%d I=1 dtype=f64 router=softmax-topk scale=2 %s %s", row->T,
             row->T, row->keys, more);
    for (int i = 0; i < MOST; i++)
        logits[i] = log(row->prob[i]);
    open_logits(this, line, logits);
}

static void expect_pairs(const struct naive_case *this, const struct rounding *row)
{
    int64_t E = this->problem.E, T = this->problem.T;
    naive_case_expect(this, MOE_OFFSETS, T + 1, row->offsets, 0);
    naive_case_expect(this, MOE_PICKS, (int64_t)row->offsets[T], row->picks, 0);
    for (int64_t t = 0; t < T; t++)
        for (int64_t k = (int64_t)row->offsets[t]; k < (int64_t)row->offsets[t + 1]; k++) {
            double want = 2 * row->prob[t * E + (int64_t)row->picks[k]];
            double got = naive_case_get(this, MOE_SCORES, k);
            ck_assert_msg(fabs(got - want) <= 2e-15, "score of token %d: %g, want %g", (int)t, got,
                          want);
        }
}

START_TEST(rounds)
{
    struct naive_case this;
    open_rounding(&this, &roundings[_i], "");
    naive_case_forward(&this);
    expect_pairs(&this, &roundings[_i]);
    naive_case_close(&this);
}
END_TEST

/* Expert 0 has 3 picks of 2: up where its word is below 1/2, down elsewhere; both are met. */
START_TEST(rounds_stochastically)
{
    int ups = 0;
    for (unsigned seed = 0; seed < 16; seed++) {
        struct naive_case this;
        char more[32];
        struct rounding row = roundings[moe_draw_word(seed, 0x726f756e, 0) < 0x80000000u ? 1 : 0];
        ups += row.offsets[5] == 6;
        row.keys = "E=2 K=1 round=stochastic round-to=2";
        snprintf(more, sizeof more, "seed=%u", seed);
        open_rounding(&this, &row, more);
        naive_case_forward(&this);
        expect_pairs(&this, &row);
        naive_case_close(&this);
    }
    ck_assert_msg(ups > 0 && ups < 16, "%d of 16 up", ups);
}
END_TEST

/*
 * Two tokens, two experts, logits 0: p = 1/2 everywhere, lse = ln 2; both pick expert 0, f^ = (1,
 * 0). aux:   dL = aux E/T p (f^ - 1/2) = 3 * 2/2 * 1/2 * (+-1/2) = +-3/4 zloss: dL = zloss/T 2 lse
 * p = 5/2 * ln 2 The layer is zero, so nothing else reaches dL; dWr = dL^T, for x is the unit
 * matrix.
 */
START_TEST(losses)
{
    static const struct {
        const char *keys;
        double first, second;
    } rows[] = {{"aux=3", .75, -.75},
                {"zloss=5", 2.5 * LN2, 2.5 * LN2},
                {"aux=3 zloss=5", .75 + 2.5 * LN2, -.75 + 2.5 * LN2},
                {"aux=3 router=sigmoid", .75, -.75}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct naive_case this;
        char line[256];
        double a = rows[i].first, b = rows[i].second;
        snprintf(line, sizeof line, "T=2 H=2 I=1 E=2 K=1 dtype=f64 router-bias=1 %s", rows[i].keys);
        open_logits(&this, line, (double[]){0, 0, 0, 0});
        naive_case_forward(&this);
        naive_case_backward(&this);
        naive_case_expect(&this, MOE_DLOGITS, 4, (double[]){a, b, a, b}, 4e-16);
        naive_case_expect(&this, MOE_DWR, 4, (double[]){a, a, b, b}, 4e-16);
        naive_case_expect(&this, MOE_DBR, 2, (double[]){2 * a, 2 * b}, 9e-16);
        naive_case_close(&this);
    }
}
END_TEST

/* Rounded down to no rows at all, there is no balance to lose. */
START_TEST(no_loss_without_rows)
{
    struct naive_case this;
    open_rounding(&this, &(struct rounding){"E=2 K=1 round=down round-to=6", 5, TWO, {0}, {0}},
                  "aux=3");
    naive_case_forward(&this);
    naive_case_backward(&this);
    naive_case_expect(&this, MOE_DLOGITS, 10, (double[10]){0}, 0);
    naive_case_close(&this);
}
END_TEST

/* sqrt(softplus) of a logit so small that it is 0 has slope 0, not 0/0. */
START_TEST(no_slope_at_the_bottom)
{
    struct naive_case this;
    open_logits(&this, "T=1 H=1 I=1 E=1 K=1 dtype=f32 router=sqrt-softplus act=relu",
                (double[]){-1e30});
    naive_case_fill(&this, MOE_W1, 1, (double[]){1});
    naive_case_fill(&this, MOE_W2, 1, (double[]){1});
    naive_case_fill(&this, MOE_DO, 1, (double[]){1});
    naive_case_forward(&this);
    naive_case_backward(&this);
    naive_case_expect(&this, MOE_SCORES, 1, (double[]){0}, 0);
    naive_case_expect(&this, MOE_DS, 1, (double[]){1}, 0);
    naive_case_expect(&this, MOE_DLOGITS, 1, (double[]){0}, 0);
    naive_case_close(&this);
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

int main(void)
{
    Suite *suite = suite_create("naive router");
    TCase *by_hand = tcase_create("by hand");
    tcase_add_loop_test(by_hand, picks_and_scores, 0, COUNT(one_token));
    tcase_add_test(by_hand, routes_by_stored_logits);
    tcase_add_loop_test(by_hand, rounds, 0, COUNT(roundings));
    tcase_add_test(by_hand, rounds_stochastically);
    tcase_add_test(by_hand, losses);
    tcase_add_test(by_hand, no_loss_without_rows);
    tcase_add_test(by_hand, no_slope_at_the_bottom);
    suite_add_tcase(suite, by_hand);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

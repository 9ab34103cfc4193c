/*
 * t_score.c - scores and losses against their formulas in long double, and their gradients against
 * differences of the scores and losses themselves.
 *
 * Differences are central, over h = 2^-9 and h/2, extrapolated: R = (4 D(h/2) - D(h)) / 3. What R
 * leaves of the Taylor series is h^4 f^(5) / 480 or so, 3e-14 f^(5), and f^(5) here is a few
 * hundred times the size S of the terms at most; rounding gives 2^-53 S 3/h = 2e-13 S. Hence 1e-10
 * S.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/internal.h"
#include "tests/support.h"

/* T and E of every case here. */
#define TOKENS 7
#define EXPERTS 6
#define STEP 0x1p-9
#define ALLOWED 1e-10

/* router, renorm and scale in all combinations that there are. */
static const char *const routers[] = {
    "router=topk-softmax scale=1",
    "router=topk-softmax scale=2.5",
    "router=softmax-topk scale=1",
    "router=softmax-topk scale=2.5",
    "router=softmax-topk renorm=1 scale=1",
    "router=softmax-topk renorm=1 scale=2.5",
    "router=sigmoid scale=1",
    "router=sigmoid scale=2.5",
    "router=sigmoid renorm=1 scale=1",
    "router=sigmoid renorm=1 scale=2.5",
    "router=sqrt-softplus scale=1",
    "router=sqrt-softplus scale=2.5",
    "router=sqrt-softplus renorm=1 scale=1",
    "router=sqrt-softplus renorm=1 scale=2.5",
};

/* Entries of any length: tokens with 0 .. E picks, drawn. */
static struct moe_routing any_routing(uint64_t *state)
{
    int64_t offsets[TOKENS + 1] = {0};
    int32_t picks[TOKENS * EXPERTS];
    double scores[TOKENS * EXPERTS] = {0};
    for (int t = 0; t < TOKENS; t++) {
        int64_t n = t == 0 ? 0 : t == 1 ? EXPERTS : random_below(state, EXPERTS + 1);
        int32_t first = (int32_t)random_below(state, EXPERTS);
        for (int64_t k = 0; k < n; k++)
            picks[offsets[t] + k] = (first + 5 * (int32_t)k) % EXPERTS;
        offsets[t + 1] = offsets[t] + n;
    }
    struct moe_routing routing;
    ck_assert_int_eq(moe_routing_from_lists(TOKENS, EXPERTS, 0, offsets, picks, scores, &routing),
                     MOE_OK);
    return routing;
}

static void draw(uint64_t *state, int n, double size, double *values)
{
    for (int i = 0; i < n; i++)
        values[i] = random_in(state, -size, size);
}

/* ---- scores --------------------------------------------------------------------------------- */

/* The value of pick e among a token's picks, before renorm and scale. */
static long double raw(enum moe_router router, const double *l, const int32_t *pick, int64_t n,
                       int64_t e)
{
    long double sum = 0;
    if (router == MOE_SIGMOID)
        return 1 / (1 + expl(-(long double)l[e]));
    if (router == MOE_SQRT_SOFTPLUS)
        return sqrtl(log1pl(expl(l[e])));
    for (int64_t i = 0; i < (router == MOE_TOPK_SOFTMAX ? n : EXPERTS); i++)
        sum += expl((long double)l[router == MOE_TOPK_SOFTMAX ? pick[i] : i] - l[e]);
    return 1 / sum;
}

START_TEST(values)
{
    char line[128];
    snprintf(line, sizeof line, "T=7 E=6 K=3 H=1 I=1 %s", routers[_i]);
    struct moe_problem problem = problem_of(line);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t state = seed;
        double logits[TOKENS * EXPERTS];
        struct moe_routing routing = any_routing(&state);
        draw(&state, TOKENS * EXPERTS, seed % 2 ? 3 : 30, logits);
        ck_assert_int_eq(moe_routing_score(&problem, logits, &routing), MOE_OK);
        for (int64_t t = 0; t < TOKENS; t++) {
            const int32_t *pick = routing.pick + routing.token_begin[t];
            int64_t n = routing.token_begin[t + 1] - routing.token_begin[t];
            long double sum = 0;
            for (int64_t k = 0; k < n; k++)
                sum += raw(problem.router, logits + t * EXPERTS, pick, n, pick[k]);
            for (int64_t k = 0; k < n; k++) {
                long double want = problem.scale *
                                   raw(problem.router, logits + t * EXPERTS, pick, n, pick[k]) /
                                   (problem.renorm ? sum : 1);
                double got = routing.score[routing.token_begin[t] + k];
                ck_assert_msg(fabsl(got - want) <= 1e-14L * want, "%d: score %.17g, want %.17Lg",
                              _i, got, want);
            }
        }
        moe_routing_free(&routing);
    }
}
END_TEST

/* Far out nothing overflows: scores are finite, and so are their gradients. */
START_TEST(far_logits)
{
    static const double far[] = {-1e4, -800, -40, 40, 800, 1e4};
    char line[128];
    snprintf(line, sizeof line, "T=7 E=6 K=3 H=1 I=1 %s", routers[_i]);
    struct moe_problem problem = problem_of(line);
    uint64_t state = 5;
    double logits[TOKENS * EXPERTS], ds[TOKENS * EXPERTS], dl[TOKENS * EXPERTS] = {0};
    struct moe_routing routing;
    for (int i = 0; i < TOKENS * EXPERTS; i++) {
        logits[i] = far[random_below(&state, COUNT(far))];
        ds[i] = 1;
    }
    ck_assert_int_eq(moe_routing_from_logits(&problem, logits, NULL, &routing), MOE_OK);
    ck_assert_int_eq(moe_routing_backward(&problem, &routing, logits, ds, dl), MOE_OK);
    for (int64_t i = 0; i < routing.P; i++)
        ck_assert_msg(isfinite(routing.score[i]) && routing.score[i] >= 0, "%d: score %g", _i,
                      routing.score[i]);
    for (int i = 0; i < TOKENS * EXPERTS; i++)
        ck_assert_msg(isfinite(dl[i]), "%d: gradient %g", _i, dl[i]);
    moe_routing_free(&routing);
}
END_TEST

/* A pick that is hardly known, since its score is far below the function's absolute error, says
 * nothing against one beside it that is. */
START_TEST(each_to_its_own)
{
    static const char *const lines[] = {"router=sigmoid", "router=sqrt-softplus",
                                        "router=sigmoid renorm=1", "router=sqrt-softplus renorm=1"};
    char line[128];
    double logits[] = {3, -20}, bounds[] = {0, 0}, score_bound[2];
    int32_t picks[] = {0, 1};
    double scores[2] = {0, 0};
    struct moe_routing routing;
    struct error_model model;
    snprintf(line, sizeof line, "T=1 E=2 K=2 H=1 I=1 %s", lines[_i]);
    struct moe_problem problem = problem_of(line);
    struct moe_recipe recipe = moe_recipe_plain(&problem, MOE_F32);
    recipe.function_absolute = 0x1p-20;
    error_model_init(&model, &recipe);
    ck_assert_int_eq(moe_routing_from_lists(1, 2, 2, NULL, picks, scores, &routing), MOE_OK);
    struct field known = {logits, bounds, NULL};
    ck_assert_int_eq(score_entries(&problem, &model, known, &routing, score_bound), MOE_OK);
    ck_assert_msg(score_bound[0] < 0x1p-6 * routing.score[0], "%d: %g is known to %g", _i,
                  routing.score[0], score_bound[0]);
    ck_assert_msg(score_bound[1] > routing.score[1] / 4, "%d: %g is known to %g", _i,
                  routing.score[1], score_bound[1]);
    moe_routing_free(&routing);
}
END_TEST

/* ---- gradients ------------------------------------------------------------------------------ */

/* A function of the logits, and its terms' size. */
struct objective {
    const struct moe_problem *problem;
    struct moe_routing *routing;
    const double *ds; /* [P], or NULL: the losses */
    double size;
};

static double objective_at(struct objective *objective, const double *logits)
{
    double sum = 0, loss[2];
    objective->size = 0;
    if (!objective->ds) {
        ck_assert_int_eq(
            moe_routing_losses(objective->problem, objective->routing, logits, loss, NULL), MOE_OK);
        objective->size = loss[0] + loss[1];
        return loss[0] + loss[1];
    }
    ck_assert_int_eq(moe_routing_score(objective->problem, logits, objective->routing), MOE_OK);
    for (int64_t i = 0; i < objective->routing->P; i++) {
        sum += objective->ds[i] * objective->routing->score[i];
        objective->size += fabs(objective->ds[i] * objective->routing->score[i]);
    }
    return sum;
}

static double difference(struct objective *objective, double *logits, int i, double h)
{
    double at = logits[i];
    logits[i] = at + h;
    double above = objective_at(objective, logits);
    logits[i] = at - h;
    double below = objective_at(objective, logits);
    logits[i] = at;
    return (above - below) / (2 * h);
}

static void expect_gradient(struct objective *objective, double *logits, const double *dl,
                            int which)
{
    for (int i = 0; i < TOKENS * EXPERTS; i++) {
        double want = (4 * difference(objective, logits, i, STEP / 2) -
                       difference(objective, logits, i, STEP)) /
                      3;
        ck_assert_msg(fabs(dl[i] - want) <= ALLOWED * objective->size,
                      "%d: gradient of logit %d is %.12g, want %.12g", which, i, dl[i], want);
    }
}

/* dL is added to. A logit that no score depends on has no gradient at all. */
START_TEST(gradients)
{
    char line[128];
    snprintf(line, sizeof line, "T=7 E=6 K=3 H=1 I=1 %s", routers[_i]);
    struct moe_problem problem = problem_of(line);
    for (uint64_t seed = 1; seed <= 10; seed++) {
        uint64_t state = seed;
        double logits[TOKENS * EXPERTS], ds[TOKENS * EXPERTS], dl[TOKENS * EXPERTS];
        struct moe_routing routing = any_routing(&state);
        draw(&state, TOKENS * EXPERTS, 3, logits);
        draw(&state, TOKENS * EXPERTS, 1, ds);
        for (int i = 0; i < TOKENS * EXPERTS; i++)
            dl[i] = 8;
        ck_assert_int_eq(moe_routing_backward(&problem, &routing, logits, ds, dl), MOE_OK);
        for (int i = 0; i < TOKENS * EXPERTS; i++) {
            int picked = 0;
            for (int64_t p = routing.token_begin[i / EXPERTS];
                 p < routing.token_begin[i / EXPERTS + 1]; p++)
                picked |= routing.pick[p] == i % EXPERTS;
            if (!picked && problem.router != MOE_SOFTMAX_TOPK)
                ck_assert(dl[i] == 8);
            dl[i] -= 8;
        }
        struct objective objective = {&problem, &routing, ds, 0};
        expect_gradient(&objective, logits, dl, _i);
        moe_routing_free(&routing);
    }
}
END_TEST

/* ---- losses --------------------------------------------------------------------------------- */

static const char *const losses[] = {
    "aux=0.5",
    "zloss=0.25",
    "aux=0.01 zloss=0.001",
    "router=sigmoid aux=0.5 zloss=2",
    "router=softmax-topk aux=3 zloss=1",
};

/* aux E sum p^ f^ and zloss mean lse^2, as the papers write them. */
static void losses_of(const struct moe_problem *problem, const struct moe_routing *routing,
                      const double *logits, long double loss[2])
{
    loss[0] = loss[1] = 0;
    for (int e = 0; e < EXPERTS; e++) {
        long double mean = 0, rows = 0;
        for (int t = 0; t < TOKENS; t++) {
            long double sum = 0;
            for (int i = 0; i < EXPERTS; i++)
                sum += expl(logits[t * EXPERTS + i]);
            mean += expl(logits[t * EXPERTS + e]) / sum / TOKENS;
            loss[1] += e ? 0 : problem->zloss * logl(sum) * logl(sum) / TOKENS;
        }
        for (int64_t i = 0; i < routing->P; i++)
            rows += routing->pick[i] == e;
        loss[0] += problem->aux * EXPERTS * mean * rows / (long double)routing->N;
    }
}

START_TEST(losses_and_gradients)
{
    char line[128];
    snprintf(line, sizeof line, "T=7 E=6 K=3 H=1 I=1 %s", losses[_i]);
    struct moe_problem problem = problem_of(line);
    for (uint64_t seed = 1; seed <= 10; seed++) {
        uint64_t state = seed;
        double logits[TOKENS * EXPERTS], dl[TOKENS * EXPERTS], got[2];
        long double want[2];
        struct moe_routing routing = any_routing(&state);
        draw(&state, TOKENS * EXPERTS, 3, logits);
        for (int i = 0; i < TOKENS * EXPERTS; i++)
            dl[i] = 8;
        ck_assert_int_eq(moe_routing_losses(&problem, &routing, logits, got, dl), MOE_OK);
        losses_of(&problem, &routing, logits, want);
        for (int i = 0; i < 2; i++)
            ck_assert_msg(fabsl(got[i] - want[i]) <= 1e-14L * want[i],
                          "%d: loss %d is %g, want %Lg", _i, i, got[i], want[i]);
        for (int i = 0; i < TOKENS * EXPERTS; i++)
            dl[i] -= 8;
        struct objective objective = {&problem, &routing, NULL, 0};
        expect_gradient(&objective, logits, dl, _i);
        moe_routing_free(&routing);
    }
}
END_TEST

/* No tokens, no rows: no loss, and no division by nothing. */
START_TEST(no_losses)
{
    struct moe_problem problem = problem_of("T=0 E=6 K=3 H=1 I=1 aux=1 zloss=1");
    struct moe_routing routing;
    double loss[2] = {7, 7}, logits[EXPERTS] = {0}, dl[EXPERTS] = {0};
    ck_assert_int_eq(moe_routing_from_lists(0, EXPERTS, 3, NULL, NULL, NULL, &routing), MOE_OK);
    ck_assert_int_eq(moe_routing_losses(&problem, &routing, NULL, loss, NULL), MOE_OK);
    ck_assert(loss[0] == 0 && loss[1] == 0);
    moe_routing_free(&routing);

    static const int64_t offsets[2] = {0, 0}; /* one token without picks: all was rounded away */
    problem.T = 1;
    ck_assert_int_eq(moe_routing_from_lists(1, EXPERTS, 3, offsets, NULL, NULL, &routing), MOE_OK);
    ck_assert_int_eq(moe_routing_losses(&problem, &routing, logits, loss, dl), MOE_OK);
    ck_assert(loss[0] == 0 && fabs(loss[1] - log(EXPERTS) * log(EXPERTS)) < 1e-14);
    ck_assert(fabs(dl[0] - 2 * log(EXPERTS) / EXPERTS) < 1e-14);
    moe_routing_free(&routing);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("score");
    TCase *tcase = tcase_create("scores and losses");
    tcase_add_loop_test(tcase, values, 0, COUNT(routers));
    tcase_add_loop_test(tcase, far_logits, 0, COUNT(routers));
    tcase_add_loop_test(tcase, each_to_its_own, 0, 4);
    tcase_add_loop_test(tcase, gradients, 0, COUNT(routers));
    tcase_add_loop_test(tcase, losses_and_gradients, 0, COUNT(losses));
    tcase_add_test(tcase, no_losses);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}

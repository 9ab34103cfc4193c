/*
 * t_shrink.c - shrinking: edits are smaller and have a meaning; what can be made smaller is; of
 * planted faults the case that is left is the least that shows them, as far as can be reasoned.
 *
 * Workers are the command that stands in the folder above, as built.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/failure.h"
#include "fuzz/fuzz.h"
#include "tests/other_checks.h"
#include "tests/support.h"

#define LINE 1024

/* ---- edits and their end, without any variant ------------------------------------------------ */

/* What a made-up variant fails on, and the least such case. */
static int many_rows(const struct moe_problem *p)
{
    return p->T * p->K > 16 * p->E;
}

static int odd_tail(const struct moe_problem *p)
{
    return p->H > 64 && p->H % 16 == 1 && p->bias;
}

static int gate_of_halves(const struct moe_problem *p)
{
    return p->w1 == MOE_W1_HALVES && p->I > 4 && p->act == MOE_GEGLU;
}

static int rounding(const struct moe_problem *p)
{
    return p->round == MOE_ROUND_UP && p->round_to < 16 && p->T >= 3;
}

static int without_tokens(const struct moe_problem *p)
{
    return p->T == 0 && p->E >= 3;
}

static int one_seed(const struct moe_problem *p)
{
    return p->seed == 77 && p->shared >= 8;
}

static int exact_only(const struct moe_problem *p)
{
    return p->data >= MOE_DATA_EXACT0 && p->K == p->E && p->K > 1;
}

#define START                                                                                      \
    "T=300 H=97 I=80 E=12 K=3 bias=1 dtype=f16 grad=f32 beta=1 shared=64 shared-gate=1 seed=77 "

static const struct {
    int (*fails)(const struct moe_problem *problem);
    const char *from, *to;
} made_up[] = {
    {many_rows, START "router=sigmoid renorm=1", "T=17 H=1 I=1 E=1 K=1 seed=0"},
    {odd_tail, START "router=lists routing=dropped:0.5", "T=0 H=65 I=1 E=1 K=1 bias=1 seed=0"},
    {gate_of_halves, START "w1=halves act=geglu", "T=0 H=1 I=5 E=1 K=1 act=geglu w1=halves seed=0"},
    {rounding, START "router=softmax-topk round=up round-to=3",
     "T=3 H=1 I=1 E=1 K=1 router=softmax-topk round=up round-to=1 seed=0"},
    {without_tokens, "T=0 H=97 I=80 E=12 K=3 groups=4/2 seed=9", "T=0 H=1 I=1 E=3 K=1 seed=0"},
    {one_seed, START, "T=0 H=1 I=1 E=1 K=1 shared=8 seed=77"},
    {exact_only, "T=33 H=40 I=24 E=5 K=5 data=exact2 router=lists seed=5",
     "T=0 H=1 I=1 E=2 K=2 data=exact0 seed=0"},
};

/* The first case of the list that fails; a list of cases that have no meaning fails the test. */
static int try_made_up(void *context, const struct moe_problem *cases, int count, int *first)
{
    int (*const *fails)(const struct moe_problem *) = context;
    for (*first = 0; *first < count; ++*first) {
        ck_assert_msg(moe_problem_validate(&cases[*first]) == MOE_OK, "%s", moe_error_text());
        if ((*fails)(&cases[*first]))
            return MOE_OK;
    }
    return MOE_OK;
}

START_TEST(least_of_made_up_faults)
{
    int (*fails)(const struct moe_problem *) = made_up[_i].fails;
    struct moe_shrink shrink = {
        .try = try_made_up, .context = &fails, .best = problem_of(made_up[_i].from)};
    struct moe_problem least = problem_of(made_up[_i].to);
    char line[LINE];
    ck_assert(fails(&shrink.best));
    ck_assert_int_eq(moe_shrink(&shrink), MOE_OK);
    moe_problem_print(&shrink.best, line, sizeof line);
    ck_assert_msg(moe_problem_differs(&shrink.best, &least) == 0, "%s, not %s", line,
                  made_up[_i].to);
    ck_assert_int_lt(shrink.tried, 4000);
}
END_TEST

/* A case that fails always becomes the least of all; one that never fails again stays. */
static int always(const struct moe_problem *problem)
{
    (void)problem;
    return 1;
}

static int never(const struct moe_problem *problem)
{
    (void)problem;
    return 0;
}

START_TEST(ends_from_anywhere)
{
    struct moe_problem least = problem_of("T=0 H=1 I=1 E=1 K=1 seed=0");
    for (uint64_t number = 0; number < 60; number++) {
        int (*fails)(const struct moe_problem *) = number % 2 ? never : always;
        struct moe_shrink shrink = {.try = try_made_up, .context = &fails};
        struct moe_problem from;
        moe_case_draw(7, number, &from);
        shrink.best = from;
        ck_assert_int_eq(moe_shrink(&shrink), MOE_OK);
        ck_assert_int_eq(moe_problem_differs(&shrink.best, number % 2 ? &from : &least), 0);
    }
}
END_TEST

/* Trouble ends it, and what was reached stays. */
static int try_trouble(void *context, const struct moe_problem *cases, int count, int *first)
{
    int *calls = context;
    (void)cases;
    *first = count;
    if (++*calls == 3)
        return moe_error(MOE_E_IO, "trouble");
    *first = 0;
    return MOE_OK;
}

START_TEST(trouble_ends_it)
{
    int calls = 0;
    struct moe_shrink shrink = {.try = try_trouble, .context = &calls, .best = problem_of(START)};
    struct moe_problem from = shrink.best;
    ck_assert_int_eq(moe_shrink(&shrink), MOE_E_IO);
    ck_assert_int_gt(moe_problem_differs(&shrink.best, &from), 0);
}
END_TEST

START_TEST(keys_that_differ)
{
    struct moe_problem a = problem_of("T=1 H=16 I=1 E=1 K=1 bias=1 seed=3");
    struct moe_problem b = problem_of("T=1 H=1 I=1 E=1 K=1 router=sigmoid seed=3");
    ck_assert_int_eq(moe_problem_differs(&a, &a), 0);
    ck_assert_int_eq(moe_problem_differs(&a, &b), 3); /* H, bias, router */
    ck_assert_int_eq(moe_problem_differs(&b, &a), 3);
}
END_TEST

/* ---- planted faults -------------------------------------------------------------------------- */

#define BIG "T=77 H=61 I=33 E=12 K=3 seed=1234567 "

/* From a case with much that does not matter to the least that shows the fault, by reasoning. */
static const struct {
    const char *fault, *from, *to;
} planted[] = {
    /* the sum over k = H has one term, and that is missing */
    {"last-k-missing-z", BIG "dtype=f16 router=sigmoid renorm=1 beta=1 data=heavy bias=1",
     "T=1 H=1 I=1 E=1 K=1 seed=0"},
    /* without b1 there is nothing to leave out */
    {"b1-missing", BIG "bias=1 scale=2.5 act=geglu-tanh router=sigmoid renorm=1",
     "T=1 H=1 I=1 E=1 K=1 bias=1 seed=0"},
    /* the only score of topk-softmax is 1, and its own square; two scores need two experts */
    {"score-squared", BIG "dtype=f32 w1=halves routing=zipf:1.1 bias=1 beta=1",
     "T=1 H=1 I=1 E=2 K=2 seed=0"},
    /* a pick that br decides, of two */
    {"router-bias-missing", BIG "router=sqrt-softplus router-bias=1 sel-bias=1 scale=2.5 bias=1",
     "T=1 H=1 I=1 E=2 K=1 router-bias=1 seed=0"},
    /* a clamp that a gate reaches */
    {"clamp-missing", BIG "act=swiglu-clamp:0.5 weight=before-w2 router=lists data=positive",
     "T=1 H=1 I=1 E=1 K=1 act=swiglu-clamp:0.5 seed=0"},
    /* of one unit, gate and up stand alike in both layouts */
    {"layout-ignored", BIG "w1=halves act=reglu router=softmax-topk beta=1",
     "T=1 H=1 I=2 E=1 K=1 w1=halves seed=0"},
    /* an empty expert and one behind it that is not */
    {"expert-after-empty-skipped", BIG "T=12 E=16 router=lists routing=zipf:1.1 bias=1 grad=f32",
     "T=1 H=1 I=1 E=2 K=1 seed=0"},
    /* expert 8 is the ninth */
    {"experts-from-8-left-out", BIG "E=20 router=sigmoid scale=2.5 bias=1 weight=input",
     "T=1 H=1 I=1 E=9 K=1 seed=0"},
    /* the best expert of all is in the best group; the second best need not be */
    {"groups-ignored", BIG "groups=4/2 router=sigmoid sel-bias=1 dtype=f32",
     "T=1 H=1 I=1 E=4 K=2 groups=2/1 seed=0"},
    /* a pick that is dropped, whose row expert 0 must not have */
    {"dropped-is-expert-0", BIG "router=lists routing=dropped:0.3 bias=1 weight=input",
     "T=1 H=1 I=1 E=1 K=1 router=lists routing=dropped:0.25 seed=0"},
    /* k = 16 is the first of the second 16 */
    {"slab-skipped-z", BIG "dtype=f16 act=relu2 router=lists routing=ragged",
     "T=1 H=17 I=1 E=1 K=1 seed=0"},
    /* one row more than a tile of 16 */
    {"second-tile-skipped", BIG "T=170 E=2 K=2 router=lists data=sparse bias=1",
     "T=17 H=1 I=1 E=1 K=1 seed=0"},
    /* a whole tile */
    {"tile-one-short", BIG "T=170 E=3 K=2 routing=hot beta=1 dtype=f32",
     "T=16 H=1 I=1 E=1 K=1 seed=0"},
    /* what the buffer held is lost even where no token adds to it */
    {"not-added-dw1", BIG "beta=1 router=softmax-topk act=gelu bias=1",
     "T=0 H=1 I=1 E=1 K=1 beta=1 seed=0"},
    /* without tokens every expert is empty */
    {"empty-expert-unwritten-dw1", BIG "routing=first router=lists dtype=f16 grad=f32",
     "T=0 H=1 I=1 E=1 K=1 seed=0"},
    /* the same, and the process dies of it */
    {"divides-by-zero", BIG "T=4 routing=same router=lists w1=halves",
     "T=0 H=1 I=1 E=1 K=1 seed=0"},
    /* one byte behind the workspace, whatever the case */
    {"workspace-past-end", BIG "act=silu router=sigmoid bias=1 router-bias=1 data=heavy",
     "T=0 H=1 I=1 E=1 K=1 seed=0"},
    /* bf16 has 8 bits, f16 11 */
    {"via-bf16-o", BIG "dtype=f32 bias=1 router=sigmoid renorm=1",
     "T=1 H=1 I=1 E=1 K=1 dtype=f16 seed=0"},
    /* the first token begins at 0 in any case; the second is told from offsets */
    {"offsets-ignored", BIG "router=lists routing=ragged bias=1 dtype=f32",
     "T=2 H=1 I=1 E=1 K=1 router=lists routing=ragged seed=0"},
    /* the sigmoid of one logit is less than 1, and 1 renormalised; sizes go before routers */
    {"renorm-missing", BIG "router=sigmoid renorm=1 sel-bias=1 act=geglu",
     "T=1 H=1 I=1 E=1 K=1 router=sigmoid renorm=1 seed=0"},
};

#define KEYS_AT_MOST 3
#define SEEDS 16
#define MODEL "model-forward"

/* Workers with models that have the fault planted. */
static const struct moe_supervisor_options how = {
    .program = "./moecheck", .devices = MOE_ON_CPU | MOE_WORKER_MODELS, .jobs = 2};

/* What the case, with so many seeds from its own on, is judged to be, up to the first that fails
 * in that way. */
static struct moe_result judged(const char *fault, const struct moe_problem *problem, int seeds,
                                const struct moe_failure *failure)
{
    struct moe_supervisor *supervisor;
    struct moe_result result;
    struct moe_job job = {.action = MOE_ACTION_JUDGE,
                          .problem = *problem,
                          .variant = MODEL,
                          .fault = fault,
                          .checks = other_checks()};
    ck_assert_msg(moe_supervisor_start(&how, &supervisor) == MOE_OK, "%s", moe_error_text());
    for (int i = 0; i < seeds; i++) {
        ck_assert_msg(moe_supervisor_submit(supervisor, &job) == MOE_OK, "%s", moe_error_text());
        ck_assert_int_eq(moe_supervisor_next(supervisor, 120, &result), MOE_NEXT_RESULT);
        if (failure != NULL && moe_failure_in(&result.report, failure))
            break;
        job.problem.seed++;
    }
    moe_supervisor_stop(supervisor);
    return result;
}

static struct moe_problem start_of(const char *words)
{
    struct moe_problem problem = moe_problem_default();
    char copy[LINE], *next = copy;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word; (word = strtok_r(next, " ", &next)) != NULL;) {
        char *value = strchr(word, '=');
        *value++ = '\0';
        ck_assert_int_eq(moe_problem_set(&problem, word, value), MOE_OK);
    }
    ck_assert_msg(moe_problem_validate(&problem) == MOE_OK, "%s: %s", words, moe_error_text());
    return problem;
}

/* smallcheck has every fifth. */
static int in_this_size(int number)
{
    const char *size = getenv("MOE_TEST_SIZE");
    return size == NULL || strcmp(size, "small") != 0 || number % 5 == 0;
}

START_TEST(least_of_planted_faults)
{
    if (!in_this_size(_i))
        return;
    struct moe_problem least = problem_of(planted[_i].to), from = start_of(planted[_i].from);
    struct moe_result result = judged(planted[_i].fault, &from, 1, NULL);
    struct moe_shrink_job job = {
        .how = how, .variant = MODEL, .fault = planted[_i].fault, .problem = from, .budget = 600};
    struct moe_shrunk shrunk;
    char line[LINE];
    ck_assert_msg(moe_failure_of(&result.report, &job.failure), "%s: not found: %s",
                  planted[_i].fault, result.report.finding[0].text);
    ck_assert_msg(moe_shrink_run(&job, &shrunk) == MOE_OK, "%s", moe_error_text());
    ck_assert_msg(shrunk.again == shrunk.runs && shrunk.whole, "%s: not shrunk", planted[_i].fault);
    moe_problem_print(&shrunk.result.problem, line, sizeof line);
    int keys = moe_problem_differs(&shrunk.result.problem, &least);
    if (getenv("MOE_TEST_VERBOSE"))
        fprintf(stderr, "%-28s %s %d %s: %d keys, %lld tried, %.2f s\n", planted[_i].fault,
                job.failure.check, job.failure.tensor, line, keys, (long long)shrunk.tried,
                shrunk.seconds);
    ck_assert_msg(keys <= KEYS_AT_MOST, "%s: %s, not %s", planted[_i].fault, line, planted[_i].to);
    ck_assert(moe_failure_in(&shrunk.result.report, &job.failure));
    result = judged(planted[_i].fault, &least, SEEDS,
                    &job.failure); /* is it one that shows the fault? */
    ck_assert_msg(moe_failure_in(&result.report, &job.failure), "%s passes", planted[_i].to);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shrink");
    TCase *tcase = tcase_create("shrink");
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, least_of_made_up_faults, 0, COUNT(made_up));
    tcase_add_test(tcase, ends_from_anywhere);
    tcase_add_test(tcase, trouble_ends_it);
    tcase_add_test(tcase, keys_that_differ);
    tcase_add_loop_test(tcase, least_of_planted_faults, 0, COUNT(planted));
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}

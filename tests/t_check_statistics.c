/*
 * t_check_statistics.c - the check of statistics: faults far inside their bounds are caught, from
 * every seed, and kernels that are right are not accused.
 *
 * The impostors make o anew from the picks and scores of the reference, with o in f64, and err in
 * one thing.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/impostor.h"

extern const struct moe_variant moe_variant_naive, moe_variant_ref_f32;

/* ---- o made anew ----------------------------------------------------------------------------- */

/* o [T,H] of the layer whose picks and scores the tensors hold; z goes nowhere. */
static void make_o(const struct moe_problem *problem, const struct moe_tensor *tensors, double *o)
{
    struct moe_problem lists = *problem;
    struct moe_tensor given[MOE_TENSOR_COUNT];
    struct moe_call call = {.tensors = given};
    void *state;
    memcpy(given, tensors, sizeof given);
    lists.router = MOE_LISTS;
    given[MOE_Z].data = malloc((size_t)moe_tensor_bytes(&given[MOE_Z]));
    given[MOE_O].data = o;
    given[MOE_O].dtype = MOE_F64;
    ck_assert_ptr_nonnull(given[MOE_Z].data);
    ck_assert_int_eq(moe_variant_ref.open(NULL, &lists, 0, &state), MOE_OK);
    ck_assert_int_eq(moe_variant_ref.forward(state, &call), MOE_OK);
    moe_variant_ref.close(state);
    free(given[MOE_Z].data);
}

static double *take_o(const struct moe_problem *problem)
{
    double *o = calloc((size_t)(problem->T * problem->H), sizeof *o);
    ck_assert_ptr_nonnull(o);
    return o;
}

static void put_o(const struct moe_problem *problem, struct moe_tensor *tensors, double *o)
{
    for (int64_t i = 0; i < problem->T * problem->H; i++)
        tensor_set(&tensors[MOE_O], i, o[i]);
    free(o);
}

/* ---- what can be wrong with it --------------------------------------------------------------- */

static double wrong_by; /* of a gate, or of all */

static void one_gate(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    double *o = take_o(problem);
    int64_t entry = problem->T / 2 * problem->K;
    double score = tensor_get(&tensors[MOE_SCORES], entry);
    tensor_set(&tensors[MOE_SCORES], entry, score * (1 + wrong_by));
    make_o(problem, tensors, o);
    tensor_set(&tensors[MOE_SCORES], entry, score);
    put_o(problem, tensors, o);
}

static void gain(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    double *o = take_o(problem);
    make_o(problem, tensors, o);
    for (int64_t i = 0; i < problem->T * problem->H; i++)
        o[i] *= 1 + wrong_by;
    put_o(problem, tensors, o);
}

static void truncating_store(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    double *o = take_o(problem);
    make_o(problem, tensors, o);
    for (int64_t i = 0; i < problem->T * problem->H; i++) {
        double rounded = moe_dtype_round(problem->dtype, o[i], 0);
        double ulp = sqrt(12 * moe_rounding_variance(problem->dtype, rounded));
        if (fabs(rounded) > fabs(o[i]))
            o[i] = rounded - copysign(ulp, o[i]);
    }
    put_o(problem, tensors, o);
}

static void narrow_gates(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    double *o = take_o(problem);
    struct moe_tensor scores = tensors[MOE_SCORES];
    size_t bytes = (size_t)moe_tensor_bytes(&scores);
    void *copy = malloc(bytes);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, scores.data, bytes);
    for (int64_t i = 0; i < moe_tensor_count(&scores); i++)
        tensor_set(&scores, i, moe_dtype_round(MOE_BF16, tensor_get(&scores, i), 0));
    make_o(problem, tensors, o);
    memcpy(scores.data, copy, bytes);
    free(copy);
    put_o(problem, tensors, o);
}

/* The token's rows are added one by one in bf16. */
static void narrow_combine(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    double *o = take_o(problem), *part = take_o(problem);
    struct moe_tensor picks = tensors[MOE_PICKS];
    int32_t *all = picks.data, *one = malloc((size_t)moe_tensor_bytes(&picks));
    ck_assert_ptr_nonnull(one);
    tensors[MOE_PICKS].data = one;
    for (int64_t k = 0; k < problem->K; k++) {
        for (int64_t i = 0; i < problem->T * problem->K; i++)
            one[i] = i % problem->K == k ? all[i] : -1;
        make_o(problem, tensors, part);
        for (int64_t i = 0; i < problem->T * problem->H; i++)
            o[i] = moe_dtype_round(MOE_BF16, o[i] + part[i], 0);
    }
    tensors[MOE_PICKS] = picks;
    free(one);
    free(part);
    put_o(problem, tensors, o);
}

/* Every row of X loses one of its elements before W1. */
static void missing_k(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    double *o = take_o(problem);
    struct moe_tensor x = tensors[MOE_X];
    size_t bytes = (size_t)moe_tensor_bytes(&x);
    tensors[MOE_X].data = malloc(bytes);
    ck_assert_ptr_nonnull(tensors[MOE_X].data);
    memcpy(tensors[MOE_X].data, x.data, bytes);
    for (int64_t t = 0; t < problem->T; t++)
        tensor_set(&tensors[MOE_X], t * problem->H + problem->H / 3, 0);
    make_o(problem, tensors, o);
    free(tensors[MOE_X].data);
    tensors[MOE_X] = x;
    put_o(problem, tensors, o);
}

/* ---- each is caught -------------------------------------------------------------------------- */

#define SHAPE "T=256 H=256 I=128 E=8 K=2 dtype=bf16"
#define WIDER "T=96 H=512 I=256 E=16 K=4 dtype=bf16 act=geglu router=sigmoid renorm=1"

#define CROWDED                                                                                    \
    "T=256 H=128 I=64 E=4 K=1 dtype=bf16 router=sigmoid router-bias=1 weight=input routing=last"

static const struct fault {
    const char *name, *line;
    meddle *forward;
    double wrong_by;
    int seeds, least; /* caught in at least so many of the seeds */
} faults[] = {
    {"a gate off by 2 %", SHAPE, one_gate, 0.02, 10, 10},
    {"a gate off by 1 %", SHAPE, one_gate, 0.01, 10, 8},
    {"a gate off by 2 %", WIDER, one_gate, 0.02, 3, 3},
    {"a gate off by 1 %", WIDER, one_gate, 0.01, 3, 2},
    {"all off by 0.5 %", SHAPE, gain, 0.005, 3, 3},
    {"all off by 0.2 %", WIDER, gain, 0.002, 3, 3},
    {"a store that truncates", SHAPE, truncating_store, 0, 3, 3},
    {"a store that truncates", "T=64 H=96 I=48 E=4 K=2 dtype=f16", truncating_store, 0, 3, 3},
    {"gates rounded to bf16", SHAPE, narrow_gates, 0, 3, 3},
    {"a combine in bf16", "T=128 H=128 I=64 E=8 K=4 dtype=bf16", narrow_combine, 0, 3, 3},
    {"a combine in bf16", "T=128 H=128 I=64 E=16 K=8 dtype=bf16", narrow_combine, 0, 3, 3},
    /* most scores near 1, and what many of them reach stays out */
    {"a store that truncates", CROWDED, truncating_store, 0, 3, 3},
    {"all off by 0.5 %", CROWDED, gain, 0.005, 3, 3},
    {"a missing k of 1024", "T=64 H=1024 I=32 E=4 K=2 dtype=bf16", missing_k, 0, 3, 3},
};

static const struct fault inside[] = {
    {"a gate off by 2 %", SHAPE, one_gate, 0.02, 3, 3},
    {"a gate off by 2 %", WIDER, one_gate, 0.02, 3, 3},
    {"all off by 0.5 %", SHAPE, gain, 0.005, 3, 3},
    {"a store that truncates", SHAPE, truncating_store, 0, 3, 3},
};

/* Where a first form of the limits, or of a variance, accused them. */
static const char *const right_lines[] = {
    SHAPE,
    "T=64 H=96 I=48 E=4 K=2 dtype=f32",
    /* an error of dZ along the input */
    "T=224 H=32 I=8 E=7 K=4 dtype=bf16 grad=f32 act=silu router=softmax-topk round=nearest "
    "round-to=4 weight=input seed=4058583252",
    /* gelu's slope is 0 at -0.75 */
    "T=17 H=22 I=9 E=33 K=2 dtype=bf16 grad=f32 act=geglu groups=1/1 shared=1 shared-gate=1 beta=1 "
    "seed=1445058034",
    /* bits of br that a column of logits shares */
    "T=128 H=16 I=21 E=4 K=2 dtype=bf16 act=gelu-tanh groups=4/2 bias=1 router-bias=1 shared=1 "
    "shared-gate=1 aux=0.01 beta=1 routing=first seed=2480153358",
};

/* The reference forms A from what it has, not from the Z that it stores. Where scores come first
 * their products with x may be rounded. */
static void recipe(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    *recipe = moe_recipe_plain(problem, MOE_F32);
    recipe->at[MOE_AT_Z].when = MOE_NEVER;
    recipe->at[MOE_AT_SX].when = problem->weight == MOE_WEIGHT_INPUT ? MOE_MAY : MOE_NEVER;
}

/* Does the judge find it? `alone`: the check of statistics does, with nothing beyond its bound. */
static int is_caught(const struct fault *fault, int seed, int alone, struct moe_report *report)
{
    char line[256];
    struct moe_judge_options options = {.checks = "routing,bound,statistics"};
    snprintf(line, sizeof line, "%s seed=%d", fault->line, seed + 1);
    struct moe_problem problem = impostor_start(line);
    impostor.after_forward = fault->forward;
    wrong_by = fault->wrong_by;
    struct moe_variant variant = impostor_variant;
    if (!alone)
        variant.recipe = recipe;
    ck_assert_msg(moe_judge_variant(&problem, &variant, &options, report) == MOE_OK, "%s",
                  moe_error_text());
    if (!alone)
        return report->verdict == MOE_FAIL;
    const struct moe_finding *finding = finding_of(report, "statistics", MOE_O);
    return finding && finding->verdict == MOE_FAIL && !finding_of(report, "bound", -1);
}

START_TEST(faults_are_caught)
{
    const struct fault *fault = &faults[_i];
    struct moe_report report = {0};
    const int seeds = as_many(fault->seeds, 1 + fault->seeds / 10);
    int caught = 0;
    for (int seed = 0; seed < seeds; seed++)
        caught += is_caught(fault, seed, 0, &report);
    ck_assert_msg(caught >= fault->least * seeds / fault->seeds, "%d: %s: caught in %d of %d seeds",
                  _i, fault->name, caught, seeds);
}
END_TEST

/* The impostor's own recipe has Z rounded before A, so that its bounds are wider than these. */
START_TEST(faults_inside_their_bounds_are_caught)
{
    const struct fault *fault = &inside[_i];
    struct moe_report report = {0};
    const int seeds = as_many(fault->seeds, 1);
    int caught = 0;
    for (int seed = 0; seed < seeds; seed++)
        caught += is_caught(fault, seed, 1, &report);
    ck_assert_msg(caught >= fault->least * seeds / fault->seeds,
                  "%d: %s: caught in %d of %d seeds; first: %s", _i, fault->name, caught, seeds,
                  report.finding[0].text);
}
END_TEST

START_TEST(right_variants_pass)
{
    static const struct moe_variant *const right[] = {&moe_variant_naive, &moe_variant_ref_f32};
    struct moe_judge_options options = {.checks = "routing,bound,statistics"};
    struct moe_problem problem = problem_of(right_lines[_i]);
    for (int v = 0; v < COUNT(right); v++) {
        struct moe_report report;
        ck_assert_int_eq(moe_judge_variant(&problem, right[v], &options, &report), MOE_OK);
        ck_assert_msg(report.verdict == MOE_PASS, "%d: %s: %s", _i, right[v]->name,
                      report.finding[0].text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("check_statistics");
    TCase *tcase = tcase_create("statistics");
    tcase_set_timeout(tcase, 600);
    tcase_add_loop_test(tcase, faults_are_caught, 0, COUNT(faults));
    tcase_add_loop_test(tcase, right_variants_pass, 0, COUNT(right_lines));
    tcase_add_loop_test(tcase, faults_inside_their_bounds_are_caught, 0, COUNT(inside));
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}

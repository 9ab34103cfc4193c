/*
 * t_check_containment.c - right variants are never accused of what NaN does to them, and impostors
 * that lose it, spread it or let it choose experts are.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/impostor.h"
#include "verify/fault.h"

extern const struct moe_variant moe_variant_ref_f32, moe_variant_naive;

#define CHECKS "routing,bound,containment"

static struct moe_report judge(const struct moe_problem *problem, const struct moe_variant *variant)
{
    struct moe_judge_options options = {.checks = CHECKS};
    struct moe_report report;
    ck_assert_msg(moe_judge_variant(problem, variant, &options, &report) == MOE_OK, "%s",
                  moe_error_text());
    return report;
}

/* ---- right variants -------------------------------------------------------------------------- */

static const char *const right[] = {
    "router=lists bias=1",
    "router=lists act=reglu weight=input",
    "router=lists routing=dropped:0.4 K=3 act=swiglu-oai beta=1",
    "router=lists routing=ragged K=3 act=relu weight=before-w2 bias=1",
    "router=lists routing=dropped:1",
    "router=lists routing=first E=9 act=swiglu-clamp:2 grad=f32",
    "router=topk-softmax routing=hot beta=1",
    "router=topk-softmax K=1 act=silu",
    "router=topk-softmax K=5 bias=1",
    "router=softmax-topk renorm=1 router-bias=1 weight=before-w2",
    "router=softmax-topk round=nearest round-to=4",
    "router=sigmoid sel-bias=1 renorm=1 scale=2.5 act=geglu-tanh",
    "router=sigmoid groups=5/2 routing=zipf:1.1",
    "router=sqrt-softplus K=3 routing=last router-bias=1",
    "router=topk-softmax aux=0.1 zloss=0.01 shared=6 shared-gate=1",
    "router=sigmoid data=sparse weight=input shared=5",
    "router=softmax-topk data=heavy routing=ties",
    "router=sigmoid E=1 K=1",
    "router=lists data=exact1",
    "router=lists data=zero T=1",
    "router=topk-softmax T=0",
};

static const char *const types[] = {"bf16", "f16", "f32", "f64"};

/* Deterministic, so that bits are compared, or not, so that the reference decides. */
static void judge_right(const char *line, const struct moe_variant *variant)
{
    struct moe_problem problem = problem_of(line);
    struct moe_variant loose = *variant;
    char why[128];
    if (variant->supports(&problem, why, sizeof why) != MOE_OK)
        return;
    loose.flags &= ~(uint32_t)(MOE_DETERMINISTIC | MOE_BATCH_INVARIANT);
    for (int i = 0; i < 2; i++) {
        struct moe_report report = judge(&problem, i ? &loose : variant);
        ck_assert_msg(report.verdict == MOE_PASS && report.finding_count == 0, "%s: %s: %s", line,
                      variant->name, report.finding[0].text);
    }
}

START_TEST(right_variants_pass)
{
    for (int seed = 0; seed < as_many(4, 1); seed++) {
        char line[200];
        const struct moe_variant *variant;
        snprintf(line, sizeof line, "T=11 H=17 I=8 E=5 K=2 dtype=%s seed=%d", types[seed % 4],
                 seed * 100 + _i);
        /* words of the case come later and override */
        struct moe_problem base = problem_of(line);
        char text[64], *word, *rest = NULL, words[200];
        snprintf(words, sizeof words, "%s", right[_i]);
        for (word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
            snprintf(text, sizeof text, "%.*s", (int)strcspn(word, "="), word);
            ck_assert_int_eq(moe_problem_set(&base, text, strchr(word, '=') + 1), MOE_OK);
        }
        if (base.grad == MOE_GRAD_F32)
            base.dtype = MOE_BF16;
        ck_assert_msg(moe_problem_validate(&base) == MOE_OK, "%s", moe_error_text());
        moe_problem_print(&base, line, sizeof line);
        for (int v = 0; (variant = moe_variant_get(v)); v++)
            if (variant->devices & MOE_ON_CPU)
                judge_right(line, variant);
    }
}
END_TEST

/* ---- impostors ------------------------------------------------------------------------------- */

/* A variant whose passes are the impostor's, with the promise that bits are compared by. */
static struct moe_report judge_impostor(const struct moe_problem *problem, int deterministic)
{
    struct moe_variant variant = impostor_variant;
    if (deterministic)
        variant.flags |= MOE_DETERMINISTIC;
    return judge(problem, &variant);
}

static int any_nan(const struct moe_tensor *tensor)
{
    for (int64_t i = 0; tensor->data && i < moe_tensor_count(tensor); i++)
        if (isnan(tensor_get(tensor, i)))
            return 1;
    return 0;
}

static int spoiled(const struct moe_tensor *tensors)
{
    static const enum moe_tensor_id inputs[] = {MOE_X,  MOE_DO, MOE_WR, MOE_W1,      MOE_W2,
                                                MOE_B1, MOE_B2, MOE_BR, MOE_SEL_BIAS};
    for (int i = 0; i < COUNT(inputs); i++)
        if (any_nan(&tensors[inputs[i]]))
            return 1;
    return 0;
}

static enum moe_tensor_id subject;

/* NaN becomes 0 where it is stored. */
static void drop_nan(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    const struct moe_tensor *tensor = &tensors[subject];
    (void)problem;
    for (int64_t i = 0; i < moe_tensor_count(tensor); i++)
        if (isnan(tensor_get(tensor, i)))
            tensor_set(tensor, i, 0);
}

/* Element by element what the reference gives, but where some input is NaN the last element that is
 * a number becomes NaN. */
static void spread_nan(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    const struct moe_tensor *tensor = &tensors[subject];
    (void)problem;
    for (int64_t i = moe_tensor_count(tensor) - 1; i >= 0 && spoiled(tensors); i--)
        if (!isnan(tensor_get(tensor, i))) {
            tensor_set(tensor, i, NAN);
            return;
        }
}

/* The same, but the element only gets its neighbour in the type: bits show it, no bound does. */
static void nudge(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    const struct moe_tensor *tensor = &tensors[subject];
    (void)problem;
    for (int64_t i = moe_tensor_count(tensor) - 1; i >= 0 && spoiled(tensors); i--) {
        float value = (float)tensor_get(tensor, i);
        if (isfinite(value) && value != 0) {
            tensor_set(tensor, i, nextafterf(value, 0));
            return;
        }
    }
}

static const struct {
    meddle *fault;
    enum moe_tensor_id tensor;
    int backward, deterministic;
    const char *line;
} faults[] = {
    {drop_nan, MOE_O, 0, 1, "router=lists"},
    {drop_nan, MOE_O, 0, 0, "router=lists"},
    {drop_nan, MOE_Z, 0, 1, "router=lists act=relu"},
    {drop_nan, MOE_LOGITS, 0, 1, "router=topk-softmax"},
    {drop_nan, MOE_SCORES, 0, 1, "router=sigmoid"},
    {drop_nan, MOE_DX, 1, 1, "router=lists"},
    {drop_nan, MOE_DS, 1, 1, "router=lists act=relu2"},
    {drop_nan, MOE_DLOGITS, 1, 0, "router=softmax-topk"},
    {drop_nan, MOE_DW1, 1, 1, "router=lists act=swiglu-oai"},
    {drop_nan, MOE_DB1, 1, 1, "router=lists bias=1 act=geglu"},
    {drop_nan, MOE_DW2, 1, 1, "router=lists beta=1"},
    {drop_nan, MOE_DB2, 1, 0, "router=lists bias=1"},
    {drop_nan, MOE_DWR, 1, 1, "router=sigmoid"},
    {drop_nan, MOE_DBR, 1, 1, "router=topk-softmax router-bias=1"},
    {drop_nan, MOE_DWS1, 1, 1, "router=lists shared=8"},
    {drop_nan, MOE_DWS2, 1, 1, "router=lists shared=8 shared-gate=1"},
    {drop_nan, MOE_DWSG, 1, 1, "router=lists shared=8 shared-gate=1"},
    {drop_nan, MOE_X, 1, 1, "router=lists"},               /* an input, when all results are made */
    {drop_nan, MOE_W1, 1, 0, "router=lists routing=last"}, /* that of experts without rows is NaN */
    {spread_nan, MOE_O, 0, 1, "router=lists"},
    {spread_nan, MOE_O, 0, 0, "router=topk-softmax"},
    {spread_nan, MOE_LOGITS, 0, 0, "router=topk-softmax"},
    {spread_nan, MOE_SCORES, 0, 1, "router=sigmoid"},
    {spread_nan, MOE_DX, 1, 1, "router=lists"},
    {spread_nan, MOE_DX, 1, 0, "router=sigmoid"},
    {spread_nan, MOE_DS, 1, 1, "router=lists"},
    {spread_nan, MOE_DLOGITS, 1, 1, "router=topk-softmax"},
    {spread_nan, MOE_DW1, 1, 1, "router=lists routing=last"},
    {spread_nan, MOE_DW1, 1, 0, "router=lists beta=1"},
    {spread_nan, MOE_DB1, 1, 1, "router=lists bias=1"},
    {spread_nan, MOE_DW2, 1, 1, "router=lists"},
    {spread_nan, MOE_DB2, 1, 0, "router=lists bias=1"},
    {spread_nan, MOE_DWR, 1, 1, "router=sigmoid"},
    {nudge, MOE_O, 0, 1, "router=lists"},
    {nudge, MOE_DX, 1, 1, "router=lists"},
    {nudge, MOE_DW2, 1, 1, "router=lists"},
    {nudge, MOE_LOGITS, 0, 1, "router=topk-softmax dtype=f32"},
};

START_TEST(faults_are_found)
{
    char line[200], what[240];
    for (int seed = 0; seed < as_many(3, 1); seed++) {
        snprintf(line, sizeof line, "T=9 H=12 I=8 E=7 K=2 %s %s seed=%d",
                 strstr(faults[_i].line, "dtype") ? "" : "dtype=f32", faults[_i].line, seed);
        struct moe_problem problem = impostor_start(line);
        subject = faults[_i].tensor;
        impostor.after_forward = faults[_i].backward ? NULL : faults[_i].fault;
        impostor.after_backward = faults[_i].backward ? faults[_i].fault : NULL;
        struct moe_report report = judge_impostor(&problem, faults[_i].deterministic);
        snprintf(what, sizeof what, "%s, fault %d in %s", line, _i, moe_tensor_info(subject)->name);
        must_find(&report, "containment", subject, what);
    }
}
END_TEST

/* ---- picks ----------------------------------------------------------------------------------- */

/* Token by token: what to do with picks where a logit of the token is NaN. */
static void (*repick)(const struct moe_tensor *picks, int64_t t, int64_t nan, int64_t E, int64_t K);

static void pick_twice(const struct moe_tensor *picks, int64_t t, int64_t nan, int64_t E, int64_t K)
{
    (void)nan, (void)E;
    tensor_set(picks, t * K + 1, tensor_get(picks, t * K));
}

static void pick_none(const struct moe_tensor *picks, int64_t t, int64_t nan, int64_t E, int64_t K)
{
    (void)nan, (void)E;
    tensor_set(picks, t * K, -1);
}

static void pick_out_of_range(const struct moe_tensor *picks, int64_t t, int64_t nan, int64_t E,
                              int64_t K)
{
    (void)nan;
    tensor_set(picks, t * K + K - 1, (double)E);
}

/* NaN is the largest of all; where it is picked already nothing is wrong. */
static void pick_nan_first(const struct moe_tensor *picks, int64_t t, int64_t nan, int64_t E,
                           int64_t K)
{
    (void)E;
    for (int64_t k = 0; k < K; k++)
        if (tensor_get(picks, t * K + k) == (double)nan)
            return;
    tensor_set(picks, t * K, (double)nan);
}

static void meddle_picks(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    for (int64_t t = 0; t < problem->T; t++) {
        int64_t count = 0, last = -1;
        for (int64_t e = 0; e < problem->E; e++)
            if (isnan(tensor_get(&tensors[MOE_LOGITS], t * problem->E + e)))
                count++, last = e;
        if (count == 1 || (count > 0 && repick != pick_nan_first))
            repick(&tensors[MOE_PICKS], t, last, problem->E, problem->K);
    }
}

static void (*const repicks[])(const struct moe_tensor *, int64_t, int64_t, int64_t, int64_t) = {
    pick_twice, pick_none, pick_out_of_range, pick_nan_first};

START_TEST(picks_stay_legal)
{
    static const char *const routers[] = {"topk-softmax", "softmax-topk", "sigmoid",
                                          "sqrt-softplus"};
    for (int r = 0; r < COUNT(routers); r++) {
        char line[120];
        snprintf(line, sizeof line, "T=8 H=16 I=8 E=6 K=2 router=%s seed=%d", routers[r], r);
        struct moe_problem problem = impostor_start(line);
        repick = repicks[_i];
        impostor.after_forward = meddle_picks;
        struct moe_report report = judge_impostor(&problem, 1);
        must_find(&report, "containment", MOE_PICKS, line);
    }
}
END_TEST

/* ---- infinity -------------------------------------------------------------------------------- */

/* An overflow is held at the largest number, and the recipe does not say so. */
static void saturate(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    const struct moe_tensor *tensor = &tensors[subject];
    (void)problem;
    for (int64_t i = 0; i < moe_tensor_count(tensor); i++)
        if (isinf(tensor_get(tensor, i)))
            tensor_set(tensor, i, moe_dtype_info(tensor->dtype)->largest);
}

static void spread_infinity(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    const struct moe_tensor *x = &tensors[MOE_X], *o = &tensors[MOE_O];
    (void)problem;
    for (int64_t i = 0; i < moe_tensor_count(x); i++)
        if (isinf(tensor_get(x, i)))
            for (int64_t j = 0; j < moe_tensor_count(o); j++)
                if (isfinite(tensor_get(o, j)))
                    tensor_set(o, j, 0);
}

START_TEST(infinity_is_contained)
{
    struct moe_problem problem = impostor_start("T=9 H=16 I=8 E=7 K=2 router=lists");
    subject = MOE_Z;
    impostor.after_forward = saturate;
    struct moe_report report = judge_impostor(&problem, 1);
    must_find(&report, "containment", MOE_Z, "saturated z");
    impostor.after_forward = spread_infinity;
    report = judge_impostor(&problem, 1);
    must_find(&report, "containment", MOE_O, "infinity in one token changes others");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("check_containment");
    TCase *tests = tcase_create("containment");
    if (moe_models_add() != MOE_OK)
        return MOE_EXIT_ERROR;
    tcase_add_loop_test(tests, right_variants_pass, 0, COUNT(right));
    tcase_add_loop_test(tests, faults_are_found, 0, COUNT(faults));
    tcase_add_loop_test(tests, picks_stay_legal, 0, COUNT(repicks));
    tcase_add_test(tests, infinity_is_contained);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

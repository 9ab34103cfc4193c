/*
 * t_special_values.c - the ends of the exponents: what overflows and what is subnormal, and what a
 * variant may do with it. data=large and data=tiny reach them; a recipe says what is lost there.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#if defined __SSE2__
#include <xmmintrin.h>
#endif

#include "tests/impostor.h"
#include "verify/fault.h"

static struct moe_report judge(const struct moe_problem *problem, const struct moe_variant *variant)
{
    struct moe_judge_options options = {.checks = "routing,bound"};
    struct moe_report report;
    ck_assert_msg(moe_judge_variant(problem, variant, &options, &report) == MOE_OK, "%s",
                  moe_error_text());
    return report;
}

/* ---- large ----------------------------------------------------------------------------------- */

static const char *const large[] = {
    "dtype=f16", "dtype=f16 act=relu", "dtype=bf16", "dtype=f32 act=gelu", "dtype=f16 weight=input",
};

/* Rows t with t mod 4 = 0 are of order 1: with given lists none of their elements has to do with
 * those that overflow, so each has a bound. Of the others some are surely infinite, some may be
 * anything, and some are as bounded as ever. */
START_TEST(large_is_bounded_where_it_can_be)
{
    char line[160];
    struct outputs outputs;
    int64_t infinite = 0, anything = 0, bounded = 0;
    snprintf(line, sizeof line, "T=64 H=32 I=16 E=5 K=2 router=lists data=large %s", large[_i]);
    struct moe_problem problem = problem_of(line);
    struct moe_tensors tensors = tensors_of(&problem);
    struct moe_recipe recipe = moe_recipe_plain(&problem, MOE_F32);
    recipe.at[MOE_AT_A].when = recipe.at[MOE_AT_DZ].when = MOE_ALWAYS;
    struct moe_reference reference = {.problem = &problem,
                                      .tensors = tensors.tensor,
                                      .passes = MOE_PASS_FORWARD | MOE_PASS_BACKWARD,
                                      .precision = MOE_F64,
                                      .recipe = &recipe};
    ck_assert_int_eq(run_reference(reference, &outputs), MOE_OK);
    double largest = moe_dtype_info(problem.dtype)->largest;
    static const enum moe_tensor_id rows[] = {MOE_O, MOE_DX};
    for (int i = 0; i < 2; i++)
        for (int64_t j = 0; j < outputs.count[rows[i]]; j++) {
            double bound = outputs.bound[rows[i]][j], value = fabs(outputs.value[rows[i]][j]);
            if (j / problem.H % 4 == 0)
                ck_assert_msg(bound < 0x1p10, "%s: %s[%d]: %g", line,
                              moe_tensor_info(rows[i])->name, (int)j, bound);
            anything += bound == INFINITY;
            bounded += bound < INFINITY && j / problem.H % 4 != 0 && value < largest;
        }
    for (int64_t j = 0; j < outputs.count[MOE_Z]; j++)
        infinite += fabs(outputs.value[MOE_Z][j]) - outputs.bound[MOE_Z][j] > 1.01 * largest;
    /* sums of f32 may overflow before they are stored; s x is smaller than x */
    int surely = problem.dtype == MOE_F16 && problem.weight != MOE_WEIGHT_INPUT;
    ck_assert_msg((infinite > 0 || !surely) && anything > 0 && bounded > 0, "%s: %d %d %d", line,
                  (int)infinite, (int)anything, (int)bounded);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (moe_tensor_info((enum moe_tensor_id)id)->role == MOE_INPUT && tensors.tensor[id].data)
            for (int64_t j = 0; j < moe_tensor_count(&tensors.tensor[id]); j++)
                ck_assert(isfinite(tensor_get(&tensors.tensor[id], j)));
    outputs_free(&outputs);
    moe_tensors_free(&tensors);
}
END_TEST

static enum moe_tensor_id subject;
static double replacement; /* of infinity, with its sign */

static void replace_infinity(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    const struct moe_tensor *tensor = &tensors[subject];
    (void)problem;
    for (int64_t i = 0; i < moe_tensor_count(tensor); i++)
        if (isinf(tensor_get(tensor, i)))
            tensor_set(tensor, i, copysign(replacement, tensor_get(tensor, i)));
}

static void half_is_infinite(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    const struct moe_tensor *tensor = &tensors[subject];
    (void)problem;
    for (int64_t i = 0; i < moe_tensor_count(tensor); i++)
        if (fabs(tensor_get(tensor, i)) > moe_dtype_info(tensor->dtype)->largest / 2)
            tensor_set(tensor, i, INFINITY);
}

static void saturates(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    (void)problem;
    recipe->saturate = 1;
}

static void saturate_all(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (is_output(problem, id) && moe_dtype_info(tensors[id].dtype)->is_float) {
            subject = (enum moe_tensor_id)id;
            replacement = moe_dtype_info(tensors[id].dtype)->largest;
            replace_infinity(problem, tensors);
        }
}

/* Infinity where it must be and nowhere else. */
START_TEST(overflow_is_judged)
{
    struct moe_problem problem =
        impostor_start("T=40 H=32 I=16 E=5 K=2 router=lists data=large dtype=f16");
    impostor.checks = "routing,bound";
    struct moe_report report = impostor_judge(&problem);
    ck_assert_int_eq(report.verdict, MOE_PASS);
    static const double others[] = {65504, NAN, 0};
    for (int i = 0; i < COUNT(others); i++) {
        subject = MOE_Z;
        replacement = others[i];
        impostor.after_forward = replace_infinity;
        report = impostor_judge(&problem);
        must_find(&report, "bound", MOE_Z, "infinity replaced");
    }
    impostor.after_forward = half_is_infinite;
    report = impostor_judge(&problem);
    must_find(&report, "bound", MOE_Z, "infinite too early");
    impostor.after_forward = impostor.after_backward = saturate_all;
    impostor.declare = saturates;
    report = impostor_judge(&problem);
    ck_assert_msg(report.verdict == MOE_PASS, "%s", report.finding[0].text);
    impostor.after_forward = impostor.after_backward = NULL;
    report = impostor_judge(&problem);
    must_find(&report, "bound", MOE_Z, "infinite, but declared to saturate");
}
END_TEST

/* Scores of thousands, so that what is multiplied by them overflows. */
START_TEST(scores_overflow)
{
    static const char *const routers[] = {"topk-softmax", "softmax-topk renorm=1", "sigmoid",
                                          "sqrt-softplus weight=input"};
    extern const struct moe_variant moe_variant_naive, moe_variant_ref_f32;
    for (int seed = 0; seed < 3; seed++) {
        char line[160];
        snprintf(line, sizeof line,
                 "T=24 H=32 I=16 E=5 K=2 dtype=f16 scale=65000 data=%s seed=%d router=%s",
                 seed % 2 ? "large" : "normal", seed, routers[_i]);
        struct moe_problem problem = problem_of(line);
        struct moe_report naive = judge(&problem, &moe_variant_naive);
        struct moe_report single = judge(&problem, &moe_variant_ref_f32);
        ck_assert_msg(naive.verdict == MOE_PASS && single.verdict == MOE_PASS, "%s: %s%s", line,
                      naive.finding[0].text, single.finding[0].text);
    }
}
END_TEST

/* ---- subnormal numbers ----------------------------------------------------------------------- */

static void flush_all(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_dtype_info *info = moe_dtype_info(tensors[id].dtype);
        if (!is_output(problem, id) || !info->is_float ||
            (subject < MOE_TENSOR_COUNT && id != (int)subject))
            continue;
        for (int64_t i = 0; i < moe_tensor_count(&tensors[id]); i++)
            if (fabs(tensor_get(&tensors[id], i)) < info->smallest_normal)
                tensor_set(&tensors[id], i, 0);
    }
}

static void flushes(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    (void)problem;
    recipe->flush_to_zero = 1;
}

static const struct {
    enum moe_tensor_id tensor;
    int backward;
    const char *line;
} lost[] = {
    {MOE_Z, 0, "router=lists"},
    {MOE_O, 0, "router=lists"},
    {MOE_LOGITS, 0, "router=softmax-topk"},
    {MOE_DX, 1, "router=lists"},
    {MOE_DS, 1, "router=lists"},
    {MOE_DLOGITS, 1, "router=softmax-topk"},
    {MOE_DW1, 1, "router=lists"},
    {MOE_DB1, 1, "router=lists bias=1 E=16 K=1"},
    {MOE_DW2, 1, "router=lists"},
    {MOE_DB2, 1, "router=lists bias=1 E=16 K=1"},
    {MOE_DWR, 1, "router=softmax-topk"},
    {MOE_DBR, 1, "router=softmax-topk router-bias=1"},
    {MOE_DWS1, 1, "router=lists shared=8"},
    {MOE_DWS2, 1, "router=lists shared=8"},
};

/* Each output has subnormal elements in one of the scales of `tiny` (gradients of biases where an
 * expert has even rows alone); what loses them without saying
 * so is found there, and right where it says so. */
START_TEST(flush_is_seen)
{
    static const char *const types[] = {"bf16", "f32"};
    for (int type = 0; type < 2; type++) {
        int found = 0;
        for (int seed = 0; seed < 6; seed++) {
            char line[160];
            snprintf(line, sizeof line, "T=16 H=16 I=8%s data=tiny dtype=%s %s seed=%d",
                     strstr(lost[_i].line, " E=") ? "" : " E=3 K=2", types[type], lost[_i].line,
                     seed);
            struct moe_problem problem = impostor_start(line);
            subject = lost[_i].tensor;
            impostor.checks = "routing,bound";
            impostor.after_forward = lost[_i].backward ? NULL : flush_all;
            impostor.after_backward = lost[_i].backward ? flush_all : NULL;
            struct moe_report report = impostor_judge(&problem);
            const struct moe_finding *finding = finding_of(&report, "bound", (int)subject);
            found += finding && finding->verdict == MOE_FAIL;
            impostor.declare = flushes;
            report = impostor_judge(&problem);
            ck_assert_msg(report.verdict == MOE_PASS, "%s: %s", line, report.finding[0].text);
        }
        ck_assert_msg(found > 0, "%s: nothing of %s is lost", types[type],
                      moe_tensor_info(lost[_i].tensor)->name);
    }
}
END_TEST

/* A mode of f32 leaves f16 its subnormals, declared or not. */
START_TEST(f16_keeps_its_own)
{
    struct moe_problem problem =
        impostor_start("T=16 H=16 I=8 E=3 K=2 data=tiny dtype=f16 router=lists");
    subject = MOE_Z;
    impostor.checks = "routing,bound";
    impostor.after_forward = flush_all;
    impostor.declare = flushes;
    struct moe_report report = impostor_judge(&problem);
    must_find(&report, "bound", MOE_Z, "f16 flushed");
}
END_TEST

#if defined __SSE2__
/* The models in the processor's own mode: subnormal operands and results of f32 are 0. */
#define FLUSHING 0x8040u /* FTZ, DAZ */

static const struct moe_variant *inner;

static int in_mode(int (*pass)(void *, const struct moe_call *), void *state,
                   const struct moe_call *call)
{
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | FLUSHING);
    int status = pass(state, call);
    _mm_setcsr(before);
    return status;
}

static int forward(void *state, const struct moe_call *call)
{
    return in_mode(inner->forward, state, call);
}

static int backward(void *state, const struct moe_call *call)
{
    return in_mode(inner->backward, state, call);
}

static void recipe(const struct moe_problem *problem, struct moe_recipe *made)
{
    inner->recipe(problem, made);
    made->flush_to_zero = 1;
}

static const char *const words[] = {
    "router=lists bias=1",
    "router=lists act=relu bias=1 beta=1",
    "router=lists act=reglu weight=input",
    "router=lists act=gelu weight=before-w2 routing=dropped:0.3",
    "router=lists act=swiglu-oai",
    "router=topk-softmax act=geglu-tanh beta=1",
    "router=softmax-topk renorm=1 router-bias=1",
    "router=sigmoid scale=2.5 act=silu",
    "router=sqrt-softplus act=relu2 weight=input",
};

START_TEST(declared_mode_is_right)
{
    static const char *const types[] = {"bf16", "f32", "f16"};
    const struct moe_variant *variant;
    for (int v = 0; (variant = moe_variant_get(v)); v++) {
        struct moe_variant flushing = *variant;
        if (strncmp(variant->name, "model-", 6) != 0)
            continue;
        inner = variant;
        flushing.forward = forward;
        flushing.backward = backward;
        flushing.recipe = recipe;
        for (int seed = 0; seed < 9; seed++) {
            char line[160], why[80];
            snprintf(line, sizeof line, "T=11 H=16 I=8 E=3 K=2 data=tiny dtype=%s %s seed=%d",
                     types[seed / 3], words[_i], seed);
            struct moe_problem problem = problem_of(line);
            if (variant->supports(&problem, why, sizeof why) != MOE_OK)
                continue;
            struct moe_report report = judge(&problem, &flushing);
            ck_assert_msg(report.verdict == MOE_PASS, "%s: %s: %s", line, variant->name,
                          report.finding[0].text);
        }
    }
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("special_values");
    TCase *tests = tcase_create("special_values");
    if (moe_models_add() != MOE_OK)
        return MOE_EXIT_ERROR;
    tcase_add_loop_test(tests, large_is_bounded_where_it_can_be, 0, COUNT(large));
    tcase_add_test(tests, overflow_is_judged);
    tcase_add_loop_test(tests, scores_overflow, 0, 4);
    tcase_add_loop_test(tests, flush_is_seen, 0, COUNT(lost));
    tcase_add_test(tests, f16_keeps_its_own);
#if defined __SSE2__
    tcase_add_loop_test(tests, declared_mode_is_right, 0, COUNT(words));
#endif
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

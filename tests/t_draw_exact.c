/*
 * t_draw_exact.c - exact data: that the proof (ref/exact.h) and the reference agree to the bit
 * wherever the proof is certain, that it is certain of what it should be, under a recipe that
 * allows every rounding, and that every term of every product is seen.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/exact.h"
#include "tests/support.h"
#include "verify/verify.h"

extern const struct moe_variant moe_variant_ref;

/* Every rounding to the case's type allowed, tensor cores, either form of ds. */
static struct moe_recipe strictest(const struct moe_problem *problem)
{
    const int wide = problem->dtype == MOE_F64;
    struct moe_recipe recipe = moe_recipe_plain(problem, wide ? MOE_F64 : MOE_F32);
    for (int point = 0; point < MOE_POINT_COUNT; point++)
        recipe.at[point].when = MOE_MAY;
    for (int product = 0; product < MOE_PRODUCT_COUNT && !wide; product++)
        recipe.product[product].accumulator = MOE_ACC_MMA16_F32;
    recipe.ds = MOE_DS_EITHER;
    return recipe;
}

/* Compares what is certain with the reference's, as stored. */
struct comparing {
    const char *line;
    const struct moe_tensor *tensors;
    const struct outputs *truth;
};

static int compare(void *context, const struct moe_block *block)
{
    const struct comparing *comparing = context;
    const struct moe_tensor *tensor = &comparing->tensors[block->tensor];
    const int64_t width = tensor->shape[tensor->rank - 1];
    for (int64_t i = 0; i < block->rows * block->cols; i++) {
        const int64_t at = (block->row + i / block->cols) * width + block->col + i % block->cols;
        const double certain = block->value[i], truth = comparing->truth->value[block->tensor][at];
        must_hold(isnan(certain) || moe_dtype_round(tensor->dtype, certain, 0) ==
                                        moe_dtype_round(tensor->dtype, truth, 0),
                  "%s: %s[%d]: certain %a, reference %a", comparing->line,
                  moe_tensor_info(block->tensor)->name, (int)at, certain, truth);
    }
    return MOE_OK;
}

/* Runs both on the case; where the proof is certain the reference has the same value. */
static struct moe_exact_seen prove(const char *line)
{
    const struct moe_problem problem = problem_of(line);
    const struct moe_recipe recipe = strictest(&problem);
    struct moe_tensors tensors;
    struct moe_routing routing;
    struct moe_exact_seen seen;
    struct outputs truth = {0};
    ck_assert_msg(moe_variant_run(&problem, &moe_variant_ref, NULL, &tensors) == MOE_OK, "%s: %s",
                  line, moe_error_text());
    ck_assert_int_eq(moe_routing_from_tensors(&problem, tensors.tensor, &routing), MOE_OK);
    struct moe_reference reference = {.problem = &problem,
                                      .tensors = tensors.tensor,
                                      .routing = &routing,
                                      .passes = MOE_PASS_FORWARD | MOE_PASS_BACKWARD,
                                      .precision = MOE_F64};
    struct comparing comparing = {line, tensors.tensor, &truth};
    struct moe_exact exact = {.problem = &problem,
                              .tensors = tensors.tensor,
                              .routing = &routing,
                              .recipe = &recipe,
                              .take = compare,
                              .context = &comparing};
    ck_assert_int_eq(run_reference(reference, &truth), MOE_OK);
    ck_assert_msg(moe_exact_run(&exact, &seen) == MOE_OK, "%s: %s", line, moe_error_text());
    outputs_free(&truth);
    moe_routing_free(&routing);
    moe_tensors_free(&tensors);
    return seen;
}

/* ---- all is certain and seen ---------------------------------------------------------------- */

/* Cases of which every element is certain, whatever the recipe. */
static const char *const whole[] = {
    "T=61 H=64 I=32 E=8 K=2 router=lists",
    "T=64 H=128 I=64 E=16 K=4 router=lists w1=halves",
    "T=63 H=17 I=65 E=5 K=3 router=lists bias=1",
    "T=129 H=32 I=128 E=4 K=1 router=lists dtype=f16",
    "T=64 H=1024 I=128 E=4 K=2 router=lists",
    "T=64 H=48 I=40 E=4 K=2 router=lists dtype=f32 weight=input w1=interleaved8",
    "T=64 H=48 I=40 E=4 K=2 router=lists dtype=f64 weight=before-w2 act=geglu",
    "T=64 H=48 I=40 E=4 K=2 router=lists act=geglu-tanh weight=before-w2",
    "T=64 H=48 I=40 E=4 K=2 router=lists act=reglu",
    "T=64 H=48 I=40 E=4 K=2 router=lists act=silu",
    "T=64 H=48 I=40 E=4 K=2 router=lists act=gelu bias=1",
    "T=64 H=48 I=40 E=4 K=2 router=lists act=gelu-tanh dtype=f16",
    "T=64 H=48 I=40 E=4 K=2 router=lists act=relu",
    "T=64 H=48 I=40 E=4 K=2 router=lists act=relu2 dtype=f64",
    "T=64 H=48 I=40 E=4 K=2 router=lists routing=dropped:0.2",
    "T=64 H=48 I=40 E=4 K=3 router=lists routing=ragged",
    "T=64 H=48 I=40 E=8 K=1 router=topk-softmax router-bias=1",
    "T=64 H=48 I=40 E=8 K=4 router=topk-softmax dtype=f64",
    "T=64 H=48 I=40 E=8 K=2 router=softmax-topk renorm=1 scale=2.5",
    "T=64 H=48 I=40 E=8 K=3 router=sigmoid router-bias=1 sel-bias=1 bias=1",
    "T=64 H=48 I=40 E=8 K=2 router=sigmoid renorm=1 groups=4/2",
    "T=64 H=48 I=40 E=8 K=2 router=topk-softmax routing=ties",
    "T=64 H=48 I=40 E=8 K=2 shared=16 shared-gate=1",
};

static void expect_whole(const struct moe_exact_seen *seen, const char *line)
{
    ck_assert_msg(!seen->overflow, "%s: %s overflows", line, seen->overflow);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        ck_assert_msg(seen->certain[id] == seen->elements[id], "%s: %s: %d of %d", line,
                      moe_tensor_info((enum moe_tensor_id)id)->name, (int)seen->certain[id],
                      (int)seen->elements[id]);
    ck_assert_msg(seen->elements[MOE_O] > 0 && seen->elements[MOE_DX] > 0, "%s", line);
    ck_assert_msg(seen->h_unseen == 0 && seen->i_unseen == 0 && seen->h_back == 0 &&
                      seen->z_unseen == 0 && seen->rows_unseen == 0 && seen->rows_back == 0,
                  "%s: unseen: h %d, i %d, h back %d, z %d, rows %d, back %d", line,
                  (int)seen->h_unseen, (int)seen->i_unseen, (int)seen->h_back, (int)seen->z_unseen,
                  (int)seen->rows_unseen, (int)seen->rows_back);
}

START_TEST(all_is_certain_and_seen)
{
    for (int seed = 0; seed < as_many(6, 2); seed++) {
        char line[200];
        snprintf(line, sizeof line, "%s data=exact%d seed=%d", whole[_i], seed % 2 * 2, seed);
        const struct moe_exact_seen seen = prove(line);
        expect_whole(&seen, line);
    }
}
END_TEST

/* exact1: what the scores meet before the last rounding is certain nowhere, the rest everywhere. */
START_TEST(scores_of_one_rounding)
{
    static const char *const types[] = {"bf16", "f16", "f32", "f64"};
    char line[160];
    snprintf(line, sizeof line, "T=40 H=64 I=32 E=8 K=2 router=lists data=exact1 dtype=%s",
             types[_i]);
    const struct moe_exact_seen seen = prove(line);
    const enum moe_tensor_id sure[] = {MOE_O, MOE_Z, MOE_DS};
    for (int i = 0; i < COUNT(sure); i++)
        ck_assert_int_eq(seen.certain[sure[i]], seen.elements[sure[i]]);
    for (int id = MOE_DW1; id <= MOE_DW2; id += MOE_DW2 - MOE_DW1)
        ck_assert(_i < 2 ? 2 * seen.certain[id] > seen.elements[id]
                         : seen.certain[id] == seen.elements[id]);
    ck_assert_int_eq(seen.rows_unseen, 0);
}
END_TEST

/* What is not exact is not said to be. */
static const struct {
    const char *line;
    enum moe_tensor_id none; /* no element is certain */
} uncertain[] = {
    {"T=16 H=32 I=16 E=6 K=3 data=exact0", MOE_SCORES}, /* thirds */
    {"T=16 H=32 I=16 E=6 K=2 data=exact0 router=sqrt-softplus", MOE_O},
    {"T=16 H=32 I=16 E=6 K=2 data=exact0 aux=0.01", MOE_DLOGITS},
    {"T=16 H=32 I=16 E=6 K=2 data=exact0 zloss=0.01", MOE_DWR},
    {"T=16 H=32 I=16 E=6 K=2 data=normal router=lists", MOE_O},
    {"T=16 H=32 I=16 E=6 K=2 data=heavy router=lists", MOE_DX},
};

START_TEST(uncertain_is_left_out)
{
    const struct moe_exact_seen seen = prove(uncertain[_i].line);
    ck_assert_int_gt(seen.elements[uncertain[_i].none], 0);
    ck_assert_msg(seen.certain[uncertain[_i].none] == 0, "%s: %d", uncertain[_i].line,
                  (int)seen.certain[uncertain[_i].none]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("draw_exact");
    TCase *tests = tcase_create("proof");
    tcase_add_loop_test(tests, all_is_certain_and_seen, 0, COUNT(whole));
    tcase_add_loop_test(tests, scores_of_one_rounding, 0, 4);
    tcase_add_loop_test(tests, uncertain_is_left_out, 0, COUNT(uncertain));
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

/*
 * t_bound_points.c - each source of error alone: a plain layer in doubles that rounds at one point
 * to bf16, or sums one product in f32, must lie within the bounds of a recipe that says so, and
 * come near to them; then all at once. What a bound leaves out shows here, where nothing else hides
 * it.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/rounder.h"

/* Small, so that few errors add up and the worst is met now and then. */
static const char *const lines[] = {
    "T=60 H=2 I=1 E=2 K=1 router=lists",
    "T=60 H=2 I=1 E=2 K=1 router=lists weight=before-w2",
    "T=60 H=2 I=1 E=2 K=1 router=lists weight=input",
    "T=60 H=2 I=1 E=2 K=1 router=lists act=relu bias=1",
    "T=60 H=2 I=1 E=2 K=1 router=lists act=relu weight=input bias=1",
    "T=60 H=1 I=1 E=1 K=1 router=lists act=gelu weight=before-w2",
    "T=60 H=2 I=2 E=3 K=2 router=lists act=swiglu-clamp:1 bias=1 w1=halves",
    "T=60 H=2 I=2 E=3 K=2 router=softmax-topk router-bias=1",
    "T=60 H=2 I=2 E=3 K=2 router=softmax-topk renorm=1 aux=0.5 zloss=0.5",
    "T=60 H=2 I=1 E=2 K=2 router=topk-softmax zloss=2",
    "T=60 H=2 I=1 E=3 K=1 router=sigmoid router-bias=1",
    "T=60 H=2 I=2 E=3 K=2 router=sigmoid renorm=1 scale=2.5",
    "T=60 H=2 I=1 E=3 K=1 router=sqrt-softplus weight=input",
    "T=60 H=2 I=2 E=3 K=2 router=sqrt-softplus renorm=1 sel-bias=1",
    "T=60 H=1 I=1 E=1 K=1 router=lists shared=1",
    "T=60 H=2 I=1 E=1 K=1 router=lists shared=1 shared-gate=1",
    "T=60 H=24 I=16 E=4 K=2 router=softmax-topk bias=1 shared=8 shared-gate=1 aux=0.1",
    "T=60 H=24 I=16 E=4 K=2 router=sigmoid weight=input act=reglu w1=interleaved8",
    "T=60 H=24 I=16 E=4 K=2 router=topk-softmax weight=before-w2 act=relu2 router-bias=1",
};

/* A recipe of f64 but for what the rounder does. */
static struct moe_recipe recipe_of(const struct moe_problem *problem, const struct rounder *rounder)
{
    struct moe_recipe recipe = moe_recipe_plain(problem, MOE_F64);
    for (int point = 0; point < MOE_POINT_COUNT; point++) {
        recipe.at[point].when = rounder->points >> point & 1 ? MOE_MAY : MOE_NEVER;
        recipe.at[point].to = MOE_BF16;
    }
    for (int product = 0; product < MOE_PRODUCT_COUNT; product++)
        if (rounder->products >> product & 1)
            recipe.product[product].accumulator = MOE_ACC_F32;
    recipe.elementwise = rounder->elementwise ? MOE_F32 : MOE_F64;
    recipe.function_relative = fmax(recipe.function_relative, rounder->functions);
    recipe.ds = rounder->ds_from_y ? MOE_DS_EITHER : MOE_DS_DA_A;
    return recipe;
}

/* The largest err / bound of any output; fails beyond 1. */
static double judge(const char *line, const struct rounder *rounder)
{
    char whole[192];
    double largest = 0;
    struct outputs outputs;
    struct moe_routing routing;
    snprintf(whole, sizeof whole, "%s dtype=f64", line);
    struct moe_problem problem = problem_of(whole);
    struct moe_tensors tensors = tensors_of(&problem);
    struct moe_recipe recipe = recipe_of(&problem, rounder);
    rounder_run(rounder, &problem, &tensors);
    ck_assert_int_eq(moe_routing_from_tensors(&problem, tensors.tensor, &routing), MOE_OK);
    struct moe_reference reference = {.problem = &problem,
                                      .tensors = tensors.tensor,
                                      .routing = &routing,
                                      .passes = MOE_PASS_FORWARD | MOE_PASS_BACKWARD,
                                      .precision = MOE_F64,
                                      .recipe = &recipe};
    ck_assert_msg(run_reference(reference, &outputs) == MOE_OK, "%s", moe_error_text());
    for (int id = MOE_SCORES; id < MOE_TENSOR_COUNT; id++) {
        for (int64_t i = 0; i < outputs.count[id]; i++) {
            double got = tensor_get(&tensors.tensor[id], i), bound = outputs.bound[id][i];
            double error = fabs(got - outputs.value[id][i]);
            if (!(error <= bound))
                ck_abort_msg("%s: %s[%d] is %.17g, want %.17g; %g times its bound", line,
                             moe_tensor_info(id)->name, (int)i, got, outputs.value[id][i],
                             error / bound);
            if (error > 0 && error / bound > largest)
                largest = error / bound;
        }
    }
    outputs_free(&outputs);
    moe_routing_free(&routing);
    moe_tensors_free(&tensors);
    return largest;
}

/* Over all lines and some seeds; the best that it comes to. */
static double try_all(const struct rounder *rounder)
{
    double largest = 0;
    for (int i = 0; i < COUNT(lines); i++) {
        for (int seed = 0; seed < 3; seed++) {
            char line[176];
            snprintf(line, sizeof line, "%s seed=%d", lines[i], seed);
            largest = fmax(largest, judge(line, rounder));
        }
    }
    return largest;
}

/* Doubles themselves: the loops are the layer that the reference is. */
START_TEST(nothing_rounded)
{
    struct rounder rounder = {0};
    ck_assert_double_gt(try_all(&rounder), 0);
}
END_TEST

/* Bounds of a case without rounding, where each element of dL may lose so much. */
static struct outputs bounds_of(const struct moe_problem *problem, struct moe_tensors *tensors,
                                double lost)
{
    const struct rounder rounder = {0};
    struct moe_recipe recipe = moe_recipe_plain(problem, MOE_F64);
    struct moe_routing routing;
    struct outputs outputs;
    recipe.at[MOE_AT_DLOGITS].lost = lost;
    rounder_run(&rounder, problem, tensors);
    ck_assert_int_eq(moe_routing_from_tensors(problem, tensors->tensor, &routing), MOE_OK);
    struct moe_reference reference = {.problem = problem,
                                      .tensors = tensors->tensor,
                                      .routing = &routing,
                                      .passes = MOE_PASS_FORWARD | MOE_PASS_BACKWARD,
                                      .precision = MOE_F64,
                                      .recipe = &recipe};
    ck_assert_msg(run_reference(reference, &outputs) == MOE_OK, "%s", moe_error_text());
    moe_routing_free(&routing);
    return outputs;
}

/* dL errs by it, dWr by it times what x has in that column, and what comes before by nothing. */
START_TEST(lost_beside)
{
    const double lost = 0x1p-20;
    const struct moe_problem problem = problem_of("T=9 H=3 I=2 E=4 K=2 router=softmax-topk "
                                                  "dtype=f64");
    struct moe_tensors tensors = tensors_of(&problem);
    struct outputs without = bounds_of(&problem, &tensors, 0);
    struct outputs with = bounds_of(&problem, &tensors, lost);
    for (int64_t i = 0; i < with.count[MOE_DLOGITS]; i++) {
        const double more = with.bound[MOE_DLOGITS][i] - without.bound[MOE_DLOGITS][i];
        ck_assert_double_ge_tol(more, lost, 1e-12);
        ck_assert_double_le_tol(more, 1.001 * lost, 1e-12);
    }
    for (int64_t i = 0; i < with.count[MOE_DWR]; i++) {
        double column = 0;
        for (int64_t t = 0; t < problem.T; t++)
            column += fabs(tensor_get(&tensors.tensor[MOE_X], t * problem.H + i % problem.H));
        const double more = with.bound[MOE_DWR][i] - without.bound[MOE_DWR][i];
        ck_assert_double_ge_tol(more, lost * column, 1e-12);
        ck_assert_double_le_tol(more, 1.001 * lost * column, 1e-12);
    }
    for (int64_t i = 0; i < with.count[MOE_DS]; i++)
        ck_assert_double_eq(with.bound[MOE_DS][i], without.bound[MOE_DS][i]);
    outputs_free(&without);
    outputs_free(&with);
    moe_tensors_free(&tensors);
}
END_TEST

static const char *const points[MOE_POINT_COUNT] = {
    [MOE_AT_LOGITS] = "logits", [MOE_AT_SCORES] = "scores", [MOE_AT_SX] = "sx",
    [MOE_AT_Z] = "z",           [MOE_AT_A] = "a",           [MOE_AT_SA] = "sa",
    [MOE_AT_Y] = "y",           [MOE_AT_DA] = "da",         [MOE_AT_DZ] = "dz",
    [MOE_AT_DXE] = "dxe",       [MOE_AT_DS] = "ds",         [MOE_AT_DLOGITS] = "dlogits",
};

START_TEST(one_point)
{
    struct rounder rounder = {.points = 1u << _i};
    double largest = try_all(&rounder);
    fprintf(stderr, "# rounded at %s: at most %.3f of a bound\n", points[_i], largest);
    ck_assert_msg(largest > .5, "%s: only %g of the bound is ever used", points[_i], largest);
}
END_TEST

static const struct {
    enum moe_product product;
    const char *name;
} products[] = {
    {MOE_IN_LOGITS, "logits"}, {MOE_IN_Z, "z"},   {MOE_IN_Y, "y"},
    {MOE_IN_DA, "da"},         {MOE_IN_DS, "ds"}, {MOE_IN_DXE, "dxe"},
};

START_TEST(one_product)
{
    struct rounder rounder = {.products = 1u << products[_i].product};
    double largest = try_all(&rounder);
    fprintf(stderr, "# %s summed in f32: at most %.3f of a bound\n", products[_i].name, largest);
    ck_assert_msg(largest > .1, "%s: only %g of the bound is ever used", products[_i].name,
                  largest);
}
END_TEST

START_TEST(elementwise)
{
    struct rounder rounder = {.elementwise = 1};
    double largest = try_all(&rounder);
    fprintf(stderr, "# elementwise in f32: at most %.3f of a bound\n", largest);
    ck_assert_msg(largest > .2, "only %g of the bound is ever used", largest);
}
END_TEST

START_TEST(functions)
{
    struct rounder rounder = {.functions = 0x1p-10};
    double largest = try_all(&rounder);
    fprintf(stderr, "# activations off by 2^-10: at most %.3f of a bound\n", largest);
    ck_assert_msg(largest > .5, "only %g of the bound is ever used", largest);
}
END_TEST

/* ds from Y, where only Y is rounded: a recipe that allows either form allows this one. */
START_TEST(ds_from_y)
{
    struct rounder rounder = {.points = 1u << MOE_AT_Y, .ds_from_y = 1};
    ck_assert_double_gt(try_all(&rounder), .5);
}
END_TEST

START_TEST(all_at_once)
{
    struct rounder rounder = {.points = (1u << MOE_POINT_COUNT) - 1,
                              .elementwise = 1,
                              .functions = 0x1p-10,
                              .ds_from_y = _i};
    for (int i = 0; i < COUNT(products); i++)
        rounder.products |= 1u << products[i].product;
    ck_assert_double_gt(try_all(&rounder), .3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bound_points");
    TCase *tcase = tcase_create("sources of error");
    tcase_add_test(tcase, nothing_rounded);
    tcase_add_test(tcase, lost_beside);
    tcase_add_loop_test(tcase, one_point, 0, MOE_POINT_COUNT);
    tcase_add_loop_test(tcase, one_product, 0, COUNT(products));
    tcase_add_test(tcase, elementwise);
    tcase_add_test(tcase, functions);
    tcase_add_test(tcase, ds_from_y);
    tcase_add_loop_test(tcase, all_at_once, 0, 2);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}

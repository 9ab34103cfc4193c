/*
 * t_variance.c - the variance that the reference gives an error is that of a kernel which rounds as
 * its recipe says: a plain layer in doubles that rounds at one point to bf16, or at all of them.
 * The mean of err^2 / variance over a tensor is then at most 1, and not far below where the point's
 * errors reach the tensor.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/rounder.h"

#define EVERY ((1u << MOE_POINT_COUNT) - 1)

static const char *const lines[] = {
    "T=128 H=48 I=32 E=4 K=2 router=lists bias=1",
    "T=128 H=48 I=32 E=4 K=2 router=lists weight=before-w2 act=geglu w1=halves",
    "T=128 H=48 I=32 E=4 K=2 router=lists weight=input",
    "T=128 H=48 I=32 E=4 K=2 router=softmax-topk renorm=1",
    "T=128 H=48 I=32 E=4 K=2 router=sigmoid act=relu2 shared=16 shared-gate=1",
};

/* What rounding at one point of the first case must reach, and how near its variance then is. */
static const struct reached {
    enum moe_point point;
    enum moe_tensor_id tensor;
    int line;
} reached[] = {
    {MOE_AT_A, MOE_O, 0},   {MOE_AT_Y, MOE_O, 0},    {MOE_AT_SA, MOE_O, 1},
    {MOE_AT_SX, MOE_Z, 2},  {MOE_AT_SA, MOE_DW2, 0}, {MOE_AT_DA, MOE_DW1, 0},
    {MOE_AT_DZ, MOE_DX, 0}, {MOE_AT_DXE, MOE_DX, 0}, {MOE_AT_DA, MOE_DS, 0},
    {MOE_AT_A, MOE_DS, 0},  {MOE_AT_DS, MOE_DS, 0},  {MOE_AT_DZ, MOE_DB1, 0},
};

/* A block is held against what the rounder left. */
struct sums {
    const struct moe_tensors *tensors;
    double squares[MOE_TENSOR_COUNT];
    int64_t n[MOE_TENSOR_COUNT];
};

static int add(void *context, const struct moe_block *block)
{
    struct sums *sums = context;
    const struct moe_tensor *tensor = &sums->tensors->tensor[block->tensor];
    int64_t width = tensor->shape[tensor->rank - 1];
    for (int64_t i = 0; block->variance && i < block->rows * block->cols; i++) {
        int64_t row = block->row + i / block->cols, col = block->col + i % block->cols;
        double error = tensor_get(tensor, row * width + col) - block->value[i];
        if (!(block->variance[i] > 0x1p-80)) /* nothing but f64's own */
            continue;
        sums->squares[block->tensor] += error * error / block->variance[i];
        sums->n[block->tensor]++;
    }
    return MOE_OK;
}

static struct sums measure(const char *line, unsigned points)
{
    char whole[192];
    struct rounder rounder = {.points = points};
    struct moe_routing routing;
    snprintf(whole, sizeof whole, "%s dtype=f64", line);
    struct moe_problem problem = problem_of(whole);
    struct moe_tensors tensors = tensors_of(&problem);
    struct moe_recipe recipe = moe_recipe_plain(&problem, MOE_F64);
    for (int point = 0; point < MOE_POINT_COUNT; point++) {
        recipe.at[point].when = points >> point & 1 ? MOE_ALWAYS : MOE_NEVER;
        recipe.at[point].to = MOE_BF16;
    }
    rounder_run(&rounder, &problem, &tensors);
    ck_assert_int_eq(moe_routing_from_tensors(&problem, tensors.tensor, &routing), MOE_OK);
    struct sums sums = {.tensors = &tensors};
    struct moe_reference reference = {.problem = &problem,
                                      .tensors = tensors.tensor,
                                      .routing = &routing,
                                      .passes = MOE_PASS_FORWARD | MOE_PASS_BACKWARD,
                                      .precision = MOE_F64,
                                      .recipe = &recipe,
                                      .variances = 1,
                                      .take = add,
                                      .context = &sums};
    ck_assert_msg(moe_reference_run(&reference) == MOE_OK, "%s", moe_error_text());
    moe_routing_free(&routing);
    moe_tensors_free(&tensors);
    return sums;
}

/* Four deviations of a mean of so many squares, were they independent, and the eighth that
 * doc/statistics.md leaves for what is not first order. */
static double most(int64_t n)
{
    return 1.125 * (1 + 4 * sqrt(2.0 / (double)n));
}

START_TEST(errors_are_no_larger)
{
    const char *line = lines[_i / (MOE_POINT_COUNT + 1)];
    int point = _i % (MOE_POINT_COUNT + 1);
    struct sums sums = measure(line, point < MOE_POINT_COUNT ? 1u << point : EVERY);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        double mean = sums.squares[id] / (double)sums.n[id];
        if (sums.n[id] >= 500 && id != MOE_DWR) /* dwr: a few large dL decide */
            ck_assert_msg(mean <= most(sums.n[id]), "%s, point %d: %s has %.4g of its variance",
                          line, point, moe_tensor_info(id)->name, mean);
    }
}
END_TEST

START_TEST(errors_are_that_large)
{
    const struct reached *row = &reached[_i];
    struct sums sums = measure(lines[row->line], 1u << row->point);
    double mean = sums.squares[row->tensor] / (double)sums.n[row->tensor];
    ck_assert_msg(mean > 0.6, "%d: %s has %.4g of its variance", _i,
                  moe_tensor_info(row->tensor)->name, mean);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("variance");
    TCase *tcase = tcase_create("variance");
    tcase_add_loop_test(tcase, errors_are_no_larger, 0, COUNT(lines) * (MOE_POINT_COUNT + 1));
    tcase_add_loop_test(tcase, errors_are_that_large, 0, COUNT(reached));
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}

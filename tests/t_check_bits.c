/*
 * t_check_bits.c - the bit-true rung: a variant whose products go through tensor-core instructions
 * in the order that it declares passes on any data, and the same variant fails where one block of k
 * is taken out of turn, added in f32, rounded to nearest or split otherwise, all of which is far
 * inside the bound.
 *
 * The variant is the reference, whose logits, z, o and dw2 are then computed by slow_mma.c.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/impostor.h"
#include "tests/slow_mma.h"

/* ---- the variant ----------------------------------------------------------------------------- */

enum fault { NONE, SWAPPED_BLOCKS, BLOCK_IN_F32, TO_NEAREST, OTHER_SLICES, FAULT_COUNT };

static struct {
    struct moe_order order;
    enum fault fault;
    enum moe_tensor_id in; /* whose product has the fault */
} plan;

static void declare(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    static const enum moe_product products[] = {MOE_IN_LOGITS, MOE_IN_Z, MOE_IN_Y, MOE_IN_DW2};
    for (int i = 0; i < COUNT(products); i++) {
        recipe->product[products[i]].accumulator = MOE_ACC_MMA16_F32;
        recipe->product[products[i]].extra = plan.order.slices;
        recipe->product[products[i]].order = plan.order;
    }
    recipe->at[MOE_AT_A].when = recipe->at[MOE_AT_SA].when = recipe->at[MOE_AT_SX].when =
        MOE_ALWAYS;
    (void)problem;
}

/* One element with a fault in its sum over k. */
static float faulty(enum moe_dtype dtype, int64_t k, const double *a, const double *b,
                    uint32_t start)
{
    struct moe_order order = plan.order;
    double *c = calloc((size_t)k + 32, sizeof *c), *d = calloc((size_t)k + 32, sizeof *d);
    float result = 0;
    memcpy(c, a, (size_t)k * sizeof *c);
    memcpy(d, b, (size_t)k * sizeof *d);
    if (plan.fault == SWAPPED_BLOCKS) {
        for (int i = 0; i < 16; i++) {
            c[i] = a[i + 16], c[i + 16] = a[i];
            d[i] = b[i + 16], d[i + 16] = b[i];
        }
        result = bits_float(slow_element(&order, dtype, k, c, d, start));
    } else if (plan.fault == BLOCK_IN_F32) {
        memset(c, 0, 16 * sizeof *c);
        result = bits_float(slow_element(&order, dtype, k, c, d, start)) +
                 bits_float(slow_element(&order, dtype, 16, a, b, 0));
    } else if (plan.fault == TO_NEAREST) {
        double sum = bits_float(start);
        for (int64_t i = 0; i < k; i++)
            sum += a[i] * b[i];
        result = (float)sum;
    } else if (plan.fault == OTHER_SLICES) {
        order.slices += order.slices > 0 ? -1 : 2;
        result = bits_float(slow_element(&order, dtype, k, a, b, start));
    }
    free(c);
    free(d);
    return result;
}

static float element(enum moe_tensor_id of, enum moe_dtype dtype, int64_t k, const double *a,
                     const double *b, const double *bias)
{
    uint32_t start = bias && plan.order.bias_first ? float_bits((float)*bias) : 0;
    float sum = plan.fault != NONE && plan.in == of && k >= 32
                    ? faulty(dtype, k, a, b, start)
                    : bits_float(slow_element(&plan.order, dtype, k, a, b, start));
    return bias && !plan.order.bias_first ? sum + (float)*bias : sum;
}

static void get_row(const struct moe_tensor *tensor, int64_t first, int64_t count, double *values)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = tensor_get(tensor, first + i);
}

static double narrow(enum moe_dtype dtype, double value)
{
    return moe_dtype_round(dtype, (float)value, 0);
}

/* row of `to` = a [k] times the rows [cols,k] of b from element `first`, + bias from `at`. */
static void product_row(enum moe_tensor_id of, const struct moe_problem *problem, int64_t k,
                        int64_t cols, const double *a, const struct moe_tensor *b, int64_t first,
                        const struct moe_tensor *bias, int64_t at, float *to)
{
    double *right = malloc((size_t)k * sizeof *right);
    for (int64_t j = 0; j < cols; j++) {
        double value = bias->data ? tensor_get(bias, at + j) : 0;
        get_row(b, first + j * k, k, right);
        to[j] = element(of, problem->dtype, k, a, right, bias->data ? &value : NULL);
    }
    free(right);
}

static struct moe_routing routing_now(const struct moe_problem *problem,
                                      const struct moe_tensor *tensors)
{
    struct moe_routing routing;
    ck_assert_int_eq(moe_routing_from_tensors(problem, tensors, &routing), MOE_OK);
    return routing;
}

/* A of a stored row of z, relu only; times its score where the score stands before w2. */
static void activation(const struct moe_problem *p, const struct moe_tensor *tensors,
                       const struct moe_routing *routing, int64_t row, int weighted, double *a)
{
    for (int64_t i = 0; i < p->I; i++) {
        double z = tensor_get(&tensors[MOE_Z], row * p->I + i);
        a[i] = z <= 0 ? 0 : z; /* NaN stays NaN */
        if (weighted)
            a[i] = narrow(p->dtype, routing->score[routing->row_entry[row]] * a[i]);
    }
}

static void forward_again(const struct moe_problem *p, struct moe_tensor *tensors)
{
    int64_t H = p->H, Z = moe_problem_z_rows(p);
    double *x = malloc((size_t)(H + p->I) * sizeof *x), *a = x + H;
    float *out = malloc((size_t)(H + Z + p->E) * sizeof *out);
    for (int64_t t = 0; t < p->T && tensors[MOE_LOGITS].data; t++) {
        get_row(&tensors[MOE_X], t * H, H, x);
        product_row(MOE_LOGITS, p, H, p->E, x, &tensors[MOE_WR], 0, &tensors[MOE_BR], 0, out);
        for (int64_t e = 0; e < p->E; e++)
            tensor_set(&tensors[MOE_LOGITS], t * p->E + e, out[e]);
    }
    struct moe_routing routing = routing_now(p, tensors);
    for (int64_t row = 0; row < routing.N; row++) {
        int64_t entry = routing.row_entry[row], e = routing.pick[entry], t = routing.row_token[row];
        get_row(&tensors[MOE_X], t * H, H, x);
        for (int64_t h = 0; h < H && p->weight == MOE_WEIGHT_INPUT; h++)
            x[h] = narrow(p->dtype, routing.score[entry] * x[h]);
        product_row(MOE_Z, p, H, Z, x, &tensors[MOE_W1], e * Z * H, &tensors[MOE_B1], e * Z, out);
        for (int64_t i = 0; i < Z; i++)
            tensor_set(&tensors[MOE_Z], row * Z + i, out[i]);
        if (p->K > 1 || p->act != MOE_RELU)
            continue;
        activation(p, tensors, &routing, row, p->weight == MOE_WEIGHT_BEFORE_W2, a);
        product_row(MOE_O, p, p->I, H, a, &tensors[MOE_W2], e * H * p->I, &tensors[MOE_B2], e * H,
                    out);
        float s = p->weight == MOE_WEIGHT_AFTER_W2 ? (float)routing.score[entry] : 1;
        for (int64_t h = 0; h < H; h++)
            tensor_set(&tensors[MOE_O], t * H + h, s * out[h]);
    }
    moe_routing_free(&routing);
    free(x);
    free(out);
}

static void backward_again(const struct moe_problem *p, struct moe_tensor *tensors)
{
    struct moe_routing routing = routing_now(p, tensors);
    size_t rows = (size_t)routing.N + 1;
    double *a = malloc(rows * (size_t)p->I * sizeof *a), *left = malloc(2 * rows * sizeof *left);
    for (int64_t row = 0; row < routing.N && p->act == MOE_RELU; row++)
        activation(p, tensors, &routing, row, p->weight != MOE_WEIGHT_INPUT, a + row * p->I);
    for (int64_t e = 0; e < p->E && p->act == MOE_RELU; e++) {
        int64_t first = routing.expert_begin[e], count = routing.expert_begin[e + 1] - first;
        for (int64_t at = 0; at < p->H * p->I; at++) {
            for (int64_t r = 0; r < count; r++) {
                int64_t t = routing.row_token[first + r];
                left[r] = tensor_get(&tensors[MOE_DO], t * p->H + at / p->I);
                left[count + r] = a[(first + r) * p->I + at % p->I];
            }
            tensor_set(&tensors[MOE_DW2], e * p->H * p->I + at,
                       element(MOE_DW2, p->dtype, count, left, left + count, NULL));
        }
    }
    free(a);
    free(left);
    moe_routing_free(&routing);
}

static struct moe_problem start(const char *line)
{
    struct moe_problem problem = impostor_start(line);
    impostor.declare = declare;
    impostor.after_forward = forward_again;
    impostor.after_backward = backward_again;
    return problem;
}

/* ---- what is right passes -------------------------------------------------------------------- */

static const char *const lines[] = {
    "T=20 H=70 I=24 E=4 K=2",
    "T=20 H=70 I=24 E=4 K=2 dtype=f16 data=heavy bias=1 router-bias=1",
    "T=20 H=70 I=24 E=4 K=1 act=relu dtype=bf16 data=heavy bias=1 grad=f32 router=sigmoid",
    "T=20 H=70 I=40 E=4 K=1 act=relu weight=before-w2 bias=1 router=lists",
    "T=20 H=70 I=40 E=4 K=1 act=relu weight=input dtype=f16 grad=f32 router=lists",
    "T=20 H=70 I=24 E=4 K=2 act=relu weight=input data=positive",
    "T=40 H=33 I=8 E=2 K=2 act=relu grad=f32 data=tiny",
    "T=40 H=65 I=8 E=2 K=1 act=relu dtype=f16 data=tiny",
    "T=0 H=16 I=8 E=2 K=1 act=relu",
};

static const struct moe_order declared[] = {
    {.instruction = MOE_MMA_K16},
    {.instruction = MOE_MMA_K16, .block = 32, .slices = 2},
    {.instruction = MOE_MMA_K16, .slices = 3, .partials = MOE_PARTIALS_TREE, .bias_first = 1},
    {.instruction = MOE_MMA_K16, .promote = 32},
};

/* Few: one order for each line, in turn. */
START_TEST(legal)
{
    if (_i / COUNT(declared) % as_many(1, COUNT(declared)) != _i % as_many(1, COUNT(declared)))
        return;
    struct moe_problem problem = start(lines[_i / COUNT(declared)]);
    plan.order = declared[_i % COUNT(declared)];
    plan.fault = NONE;
    struct moe_report report = impostor_judge(&problem);
    ck_assert_msg(report.verdict == MOE_PASS, "%s: %s", lines[_i / COUNT(declared)],
                  report.finding[0].text);
}
END_TEST

/* ---- what is not fails, here and nowhere else ------------------------------------------------ */

static const struct {
    enum moe_tensor_id tensor;
    const char *line;
} seen[] = {
    {MOE_LOGITS, "T=20 H=128 I=8 E=4 K=2"},
    {MOE_DW2, "T=70 H=16 I=8 E=2 K=1 act=relu grad=f32 router=lists routing=same"},
    {MOE_Z, "T=200 H=128 I=128 E=2 K=2 dtype=f16 router=lists"},
};

START_TEST(illegal)
{
    struct moe_problem problem = start(seen[_i / (FAULT_COUNT - 1)].line);
    plan.order = declared[1];
    plan.fault = NONE + 1 + _i % (FAULT_COUNT - 1);
    plan.in = seen[_i / (FAULT_COUNT - 1)].tensor;
    struct moe_report report = impostor_judge(&problem);
    const struct moe_finding *finding = must_find(&report, "bits", (int)plan.in, "fault");
    ck_assert_int_gt(finding->wrong, 0);
    ck_assert(finding->got != finding->want && finding->row >= 0 && finding->col >= 0);
    ck_assert_msg(report.finding_count == 1, "%s: %s", report.finding[0].text,
                  report.finding[1].text);
}
END_TEST

/* The next number of the type, in one element: the bound admits it, the bits do not. */
static enum moe_tensor_id nudged;

static void nudge(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    (nudged == MOE_DW2 ? backward_again : forward_again)(problem, tensors);
    uint16_t *codes = tensors[nudged].data;
    codes[7] ^= 1;
}

START_TEST(one_step_off)
{
    static const enum moe_tensor_id tensors[] = {MOE_Z, MOE_O, MOE_DW2};
    struct moe_problem problem = start("T=20 H=128 I=24 E=4 K=1 act=relu bias=1 router=lists");
    plan.order = declared[0];
    plan.fault = NONE;
    nudged = tensors[_i];
    *(nudged == MOE_DW2 ? &impostor.after_backward : &impostor.after_forward) = nudge;
    struct moe_report report = impostor_judge(&problem);
    const struct moe_finding *finding = must_find(&report, "bits", (int)nudged, "one step");
    ck_assert_int_eq(finding->wrong, nudged == MOE_Z ? 1 : finding->wrong);
    ck_assert_int_eq(finding->col, 7);
}
END_TEST

/* ---- what is not declared is not judged ------------------------------------------------------ */

static void declare_nothing(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    declare(problem, recipe);
    for (int product = 0; product < MOE_PRODUCT_COUNT; product++)
        recipe->product[product].order.instruction = MOE_NO_INSTRUCTION;
}

static void declare_flush(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    declare(problem, recipe);
    recipe->flush_to_zero = 1;
}

static void declare_maybe(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    declare(problem, recipe);
    recipe->at[MOE_AT_LOGITS].when = MOE_MAY;
    recipe->at[MOE_AT_LOGITS].to = MOE_BF16;
}

START_TEST(silent)
{
    static void (*const declarations[])(const struct moe_problem *, struct moe_recipe *) = {
        declare_nothing, declare_flush, declare_maybe};
    struct moe_problem problem = start(seen[0].line);
    plan.order = declared[1];
    plan.fault = SWAPPED_BLOCKS;
    plan.in = MOE_LOGITS;
    impostor.declare = declarations[_i];
    struct moe_report report = impostor_judge(&problem);
    ck_assert_msg(report.verdict == MOE_PASS, "%s", report.finding[0].text);
}
END_TEST

/* An order that cannot be is the variant's, and is told as such. */
START_TEST(impossible_order)
{
    struct moe_problem problem = start(seen[0].line);
    plan.order = (struct moe_order){.instruction = MOE_MMA_K16};
    plan.fault = NONE;
    impostor.after_forward = impostor.after_backward = NULL;
    plan.order.promote = 8;
    struct moe_report report = impostor_judge(&problem);
    ck_assert_int_eq(report.verdict, MOE_ERROR);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("check_bits");
    TCase *tests = tcase_create("check_bits");
    tcase_add_loop_test(tests, legal, 0, COUNT(lines) * COUNT(declared));
    tcase_add_loop_test(tests, illegal, 0, COUNT(seen) * (FAULT_COUNT - 1));
    tcase_add_loop_test(tests, one_step_off, 0, 3);
    tcase_add_loop_test(tests, silent, 0, 3);
    tcase_add_test(tests, impossible_order);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

/*
 * t_naive_gradient.c - every gradient of `naive` against differences of its own forward pass.
 *
 * J = sum of O dO, plus the losses, is a function of the inputs; backward gives its gradient g.
 * Along a direction v of one input tensor at a time D(h) = (J(a + h v) - J(a - h v)) / 2h = <g, v>
 * + c h^2 + O(h^4), so R = (4 D(h) - D(2h)) / 3 is free of c, and |D(2h) - D(h)| = 3 c h^2 tells
 * how fast the error falls: what is left of it is smaller by h^2 and the ratio of two derivatives;
 * 2^-8 is allowed for that. J is made of numbers rounded to f64: an error of a few times 2^-53 S, S
 * = sum |O dO| + losses, is divided by h. A comparison so blunt that it could not see one part in
 * 2^20 is a failure too: that is what a kink between the points looks like. Values and directions
 * are multiples of 2^-10 or so, h = 2^-12: all points are exact in f64.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/naive_case.h"

#define STEP 0x1p-12L

#define SMALL "T=6 H=4 I=3 E=4 K=2 dtype=f64 "
#define SMALL8 "T=6 H=4 I=8 E=4 K=2 dtype=f64 "
#define WIDE "T=6 H=4 I=3 E=6 K=2 dtype=f64 "

static const struct {
    const char *line;
    double size;  /* of the values drawn */
    double limit; /* 0, or what some |z| must be beyond */
} cases[] = {
    {SMALL "act=swiglu bias=1", 1, 0},
    {SMALL "act=swiglu weight=before-w2 bias=1", 1, 0},
    {SMALL "act=swiglu weight=input bias=1", 1, 0},
    {SMALL "act=geglu", 1, 0},
    {SMALL "act=geglu-tanh", 1, 0},
    {SMALL "act=reglu bias=1", 1, 0},
    {SMALL "act=swiglu-oai", 4, 7},
    {SMALL "act=swiglu-clamp:0.5 bias=1", 1, .5},
    {SMALL "act=silu weight=input", 1, 0},
    {SMALL "act=gelu bias=1", 1, 0},
    {SMALL "act=gelu-tanh weight=before-w2", 1, 0},
    {SMALL "act=relu weight=input bias=1", 1, 0},
    {SMALL "act=relu2", 1, 0},
    {SMALL8 "w1=interleaved8 bias=1", 1, 0},
    {SMALL8 "w1=halves bias=1", 1, 0},
    {SMALL "router=topk-softmax scale=2.5 router-bias=1", 1, 0},
    {SMALL "router=softmax-topk", 1, 0},
    {SMALL "router=softmax-topk renorm=1 scale=2.5 router-bias=1", 1, 0},
    {SMALL "router=sigmoid", 1, 0},
    {SMALL "router=sigmoid renorm=1 scale=2.5 router-bias=1 sel-bias=1", 1, 0},
    {SMALL "router=sqrt-softplus sel-bias=1", 1, 0},
    {SMALL "router=sqrt-softplus renorm=1 scale=0.5 weight=input", 1, 0},
    {SMALL "router=lists bias=1", 1, 0},
    {SMALL "router=lists routing=ragged weight=before-w2 bias=1", 1, 0},
    {SMALL "router=lists routing=ragged weight=input bias=1", 1, 0},
    {WIDE "groups=3/1 router=topk-softmax", 1, 0},
    {WIDE "groups=3/2 router=softmax-topk renorm=1", 1, 0},
    {WIDE "groups=3/2 router=sigmoid renorm=1 sel-bias=1", 1, 0},
    {WIDE "groups=2/1 router=sqrt-softplus", 1, 0},
    {SMALL "router=softmax-topk round=nearest round-to=2", 1, 0},
    {SMALL "router=softmax-topk round=up round-to=4 scale=2.5 weight=input", 1, 0},
    {SMALL "router=softmax-topk round=down round-to=2 weight=before-w2", 1, 0},
    {SMALL "router=softmax-topk round=stochastic round-to=4 seed=3", 1, 0},
    {SMALL "router=softmax-topk round=balanced round-to=3 bias=1", 1, 0},
    {SMALL "shared=3", 1, 0},
    {SMALL8 "shared=8 shared-gate=1 w1=interleaved8 weight=input bias=1", 1, 0},
    {SMALL "shared=5 shared-gate=1 act=gelu router=lists weight=before-w2", 1, 0},
    {SMALL "aux=3 router=topk-softmax", 1, 0},
    {SMALL "aux=3 router=sigmoid renorm=1", 1, 0},
    {SMALL "zloss=2 router=softmax-topk router-bias=1", 1, 0},
    {SMALL "aux=3 zloss=2 router=sqrt-softplus router-bias=1 sel-bias=1", 1, 0},
    {SMALL "aux=3 zloss=2 router=softmax-topk round=up round-to=2 shared=2 shared-gate=1", 1, 0},
    {"T=1 H=1 I=1 E=1 K=1 dtype=f64 router=softmax-topk zloss=1 bias=1", 1, 0},
    {"T=5 H=3 I=2 E=4 K=4 dtype=f64 router=softmax-topk bias=1", 1, 0},
};

static const struct {
    enum moe_tensor_id input, gradient;
} pairs[] = {{MOE_X, MOE_DX},     {MOE_WR, MOE_DWR},   {MOE_BR, MOE_DBR},   {MOE_W1, MOE_DW1},
             {MOE_B1, MOE_DB1},   {MOE_W2, MOE_DW2},   {MOE_B2, MOE_DB2},   {MOE_WS1, MOE_DWS1},
             {MOE_WS2, MOE_DWS2}, {MOE_WSG, MOE_DWSG}, {MOE_SCORES, MOE_DS}};

/* Entries and rows of the routing. */
static int64_t entries(const struct naive_case *this)
{
    if (moe_problem_ragged(&this->problem))
        return (int64_t)naive_case_get(this, MOE_OFFSETS, this->problem.T);
    return this->problem.T * this->problem.K;
}

static int64_t rows_of(const struct naive_case *this, int64_t expert)
{
    int64_t rows = 0;
    for (int64_t k = 0; k < entries(this); k++)
        rows += naive_case_get(this, MOE_PICKS, k) == (double)expert;
    return rows;
}

/* aux E sum_e p^_e f^_e + zloss mean of lse^2, as the design's row `aux zloss` says. */
static long double losses(const struct naive_case *this)
{
    int64_t T = this->problem.T, E = this->problem.E, N = 0;
    long double balance = 0, squares = 0;
    if (this->problem.router == MOE_LISTS)
        return 0;
    for (int64_t e = 0; e < E; e++)
        N += rows_of(this, e);
    for (int64_t t = 0; t < T; t++) {
        long double sum = 0;
        for (int64_t e = 0; e < E; e++)
            sum += expl(naive_case_get(this, MOE_LOGITS, t * E + e));
        squares += logl(sum) * logl(sum) / T;
        for (int64_t e = 0; e < E; e++)
            balance +=
                expl(naive_case_get(this, MOE_LOGITS, t * E + e)) / sum / T * rows_of(this, e) / N;
    }
    return this->problem.aux * E * balance + this->problem.zloss * squares;
}

/* J, and S in *size. */
static long double objective(struct naive_case *this, long double *size)
{
    naive_case_forward(this);
    long double sum = losses(this);
    *size = sum;
    for (int64_t i = 0; i < this->problem.T * this->problem.H; i++) {
        long double term =
            (long double)naive_case_get(this, MOE_O, i) * naive_case_get(this, MOE_DO, i);
        sum += term;
        *size += fabsl(term);
    }
    return sum;
}

/* Something like a random number in -1 .. 1, a multiple of 2^-10; no two neighbours have a pattern
 * in common with a layout. */
static double direction(enum moe_tensor_id id, int64_t index)
{
    uint64_t state = (uint64_t)index * 97 + (uint64_t)id * 1031 + 1;
    for (int i = 0; i < 4; i++)
        state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 53) / 1024 - 1;
}

/* J at a + factor h v; the picks must be those of `held`. */
static long double at(struct naive_case *this, enum moe_tensor_id id, double factor,
                      const double *held, long double *size)
{
    int64_t count = id == MOE_SCORES ? entries(this) : moe_tensor_count(&this->tensor[id]);
    double *values = malloc((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++) {
        values[i] = naive_case_get(this, id, i);
        naive_case_set(this, id, i, values[i] + factor * (double)STEP * direction(id, i));
    }
    long double result = objective(this, size);
    for (int64_t k = 0; k < entries(this); k++)
        ck_assert_msg(naive_case_get(this, MOE_PICKS, k) == held[k], "a pick changed");
    naive_case_fill(this, id, count, values);
    free(values);
    return result;
}

static void compare(struct naive_case *this, const char *line, enum moe_tensor_id input,
                    enum moe_tensor_id gradient, const double *held)
{
    int64_t count = input == MOE_SCORES ? entries(this) : moe_tensor_count(&this->tensor[input]);
    long double along = 0, weight = 0, size = 0;
    for (int64_t i = 0; i < count; i++) {
        long double term = (long double)naive_case_get(this, gradient, i) * direction(input, i);
        along += term;
        weight += fabsl(term);
    }
    long double near =
        (at(this, input, 1, held, &size) - at(this, input, -1, held, &size)) / (2 * STEP);
    long double far =
        (at(this, input, 2, held, &size) - at(this, input, -2, held, &size)) / (4 * STEP);
    long double slope = (4 * near - far) / 3, error = fabsl(slope - along);
    long double allowed = fabsl(far - near) * 0x1p-8L + 64 * 0x1p-53L * size / STEP;
    const char *name = moe_tensor_info(gradient)->name;
    ck_assert_msg(error <= allowed,
                  "%s: %s: differences say %.12Lg, backward %.12Lg, allowed %.3Lg", line, name,
                  slope, along, allowed);
    ck_assert_msg(allowed <= 0x1p-20L * (weight + size), "%s: %s: too blunt: %.3Lg of %.3Lg", line,
                  name, allowed, weight + size);
}

START_TEST(gradients)
{
    struct naive_case this;
    const char *line = cases[_i].line;
    naive_case_open(&this, line, 0);
    naive_case_draw(&this, (uint64_t)_i + 1, cases[_i].size);
    naive_case_forward(&this);
    naive_case_backward(&this);

    if (cases[_i].limit > 0) {
        int64_t inside = 0, beyond = 0;
        for (int64_t i = 0; i < moe_tensor_count(&this.tensor[MOE_Z]); i++)
            *(fabs(naive_case_get(&this, MOE_Z, i)) > cases[_i].limit ? &beyond : &inside) += 1;
        ck_assert_msg(inside > 0 && beyond > 0, "%s: no z on one side of the limit", line);
    }
    double *held = malloc((size_t)entries(&this) * sizeof *held);
    for (int64_t k = 0; k < entries(&this); k++)
        held[k] = naive_case_get(&this, MOE_PICKS, k);
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        int given = pairs[i].input != MOE_SCORES || this.problem.router == MOE_LISTS;
        if (given && this.tensor[pairs[i].input].data)
            compare(&this, line, pairs[i].input, pairs[i].gradient, held);
    }
    free(held);
    naive_case_close(&this);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("naive gradients");
    TCase *differences = tcase_create("differences");
    tcase_add_loop_test(differences, gradients, 0, (int)(sizeof cases / sizeof cases[0]));
    suite_add_tcase(suite, differences);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

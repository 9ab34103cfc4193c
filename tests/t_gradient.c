/*
 * t_gradient.c - every gradient of the reference against directional derivatives of its own forward
 * pass, in f64: Phi = sum O dO + losses must change along a random direction V of a tensor by
 * <gradient, V>.
 *
 * The derivative is R = (4 D(h/2) - D(h)) / 3 of central differences D, h = 2^-15. The Taylor
 * series leaves h^4 Phi^(5) / 480, below 2e-21 Phi^(5): nothing. What is left is rounding: R is a
 * sum of Phi's with 18 / 6h = 3 * 2^15 in all, and each Phi errs by at most (n + 10) 2^-53 S, S =
 * sum |O||dO| plus the losses, n the longest sum on the way (some 50 terms). That is 7e-10 S;
 * demanded is 1e-9 S, and that it is less than a millionth of sum |gradient||V|, so that it means
 * something.
 *
 * Picks are held by handing the routing in. Where an activation has a kink, a direction along which
 * any z crosses one is skipped; no more than one in ten may be.
 */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support.h"

#define STEP 0x1p-15
#define ALLOWED 1e-9
#define DIRECTIONS 4

static const char *const lines[] = {
    /* activations */
    "act=swiglu bias=1",
    "act=geglu bias=1",
    "act=geglu-tanh bias=1",
    "act=reglu bias=1",
    "act=swiglu-oai bias=1 data=heavy",
    "act=swiglu-clamp:0.75 bias=1",
    "act=silu bias=1",
    "act=gelu bias=1",
    "act=gelu-tanh bias=1",
    "act=relu bias=1",
    "act=relu2 bias=1",
    /* layouts */
    "w1=interleaved8 bias=1",
    "w1=halves bias=1",
    "w1=halves shared=8 act=swiglu-oai",
    /* where the score stands, with and without biases */
    "weight=after-w2",
    "weight=before-w2",
    "weight=before-w2 bias=1",
    "weight=input",
    "weight=input bias=1",
    "weight=input act=relu2 router=sigmoid renorm=1",
    /* routers */
    "router=topk-softmax scale=2.5 router-bias=1",
    "router=softmax-topk router-bias=1",
    "router=softmax-topk renorm=1 scale=0.5 router-bias=1",
    "router=sigmoid router-bias=1 sel-bias=1",
    "router=sigmoid renorm=1 scale=2.5 groups=3/2 sel-bias=1",
    "router=sqrt-softplus router-bias=1",
    "router=sqrt-softplus renorm=1 scale=1.5 sel-bias=1 groups=2/1",
    "router=topk-softmax groups=3/2 K=3",
    "router=softmax-topk K=6",
    "router=topk-softmax K=6",
    /* losses */
    "aux=0.5 router-bias=1",
    "zloss=0.25 router-bias=1",
    "router=softmax-topk aux=2 zloss=1 weight=input",
    "router=sigmoid renorm=1 aux=1 zloss=0.5",
    /* token rounding */
    "T=24 router=softmax-topk round=nearest round-to=4",
    "T=24 router=softmax-topk round=up round-to=5 router-bias=1 bias=1",
    "T=24 router=softmax-topk round=down round-to=4 weight=before-w2",
    "T=24 router=softmax-topk round=stochastic round-to=4 aux=0.5 scale=2",
    "T=24 router=softmax-topk round=balanced round-to=4 zloss=0.5 weight=input",
    /* lists */
    "router=lists bias=1",
    "router=lists routing=dropped:0.4 bias=1",
    "router=lists routing=ragged weight=before-w2 bias=1",
    "router=lists routing=ragged weight=input",
    "router=lists routing=dropped:0.4 weight=input act=geglu",
    "router=lists routing=zipf:3 K=4",
    /* the shared expert */
    "shared=5",
    "shared=7 shared-gate=1 bias=1",
    "shared=7 shared-gate=1 act=gelu weight=input",
    "shared=5 shared-gate=1 router=lists routing=ragged",
    "shared=5 shared-gate=1 act=relu weight=before-w2",
    "shared=8 shared-gate=1 w1=interleaved8 router=sigmoid aux=1 zloss=1",
};

/* A line of the table, completed. */
static struct moe_problem problem_at(int i)
{
    char line[256];
    const char *size = strstr(lines[i], "T=") ? "" : "T=11";
    const char *picks = strstr(lines[i], "K=") ? "" : "K=2";
    snprintf(line, sizeof line, "%s H=9 I=8 E=6 %s dtype=f64 seed=%d %s", size, picks, i, lines[i]);
    return problem_of(line);
}

/* ---- Phi ------------------------------------------------------------------------------------ */

struct layer_case {
    struct moe_problem problem;
    struct moe_problem given; /* the same experts for given scores */
    struct moe_tensors tensors;
    struct moe_routing routing;
    struct outputs base; /* of both passes */
    int directions, skipped;
};

static long double sum_of_outputs(const struct layer_case *this, const struct outputs *outputs,
                                  int absolute)
{
    long double sum = 0;
    for (int64_t i = 0; i < outputs->count[MOE_O]; i++) {
        long double term =
            (long double)outputs->value[MOE_O][i] * tensor_get(&this->tensors.tensor[MOE_DO], i);
        sum += absolute ? fabsl(term) : term;
    }
    return sum;
}

static long double losses_of(const struct layer_case *this, const double *logits)
{
    double loss[2];
    if (this->problem.router == MOE_LISTS)
        return 0;
    ck_assert_int_eq(moe_routing_losses(&this->problem, &this->routing, logits, loss, NULL),
                     MOE_OK);
    return (long double)loss[0] + loss[1];
}

static struct outputs forward(const struct layer_case *this, const struct moe_problem *problem)
{
    struct outputs outputs;
    struct moe_reference reference = {.problem = problem,
                                      .tensors = this->tensors.tensor,
                                      .routing = &this->routing,
                                      .passes = MOE_PASS_FORWARD,
                                      .precision = MOE_F64};
    ck_assert_msg(run_reference(reference, &outputs) == MOE_OK, "%s", moe_error_text());
    return outputs;
}

/* ---- kinks ---------------------------------------------------------------------------------- */

/* Values of z at which some slope, or the slope's slope, jumps; n of them. */
static int kinks_of(const struct moe_problem *problem, double kinks[3])
{
    const double limit = problem->act == MOE_SWIGLU_OAI ? 7 : problem->act_clamp;
    kinks[0] = problem->act == MOE_SWIGLU_OAI || problem->act == MOE_SWIGLU_CLAMP ? limit : 0;
    kinks[1] = -limit;
    switch (problem->act) {
    case MOE_REGLU:
    case MOE_RELU:
    case MOE_RELU2:
        return 1;
    case MOE_SWIGLU_OAI:
    case MOE_SWIGLU_CLAMP:
        return 2;
    default:
        return 0;
    }
}

/* z of the shared expert at (t, u). */
static double shared_z(const struct layer_case *this, int64_t t, int64_t u)
{
    int64_t H = this->problem.H;
    double sum = 0;
    for (int64_t h = 0; h < H; h++)
        sum += tensor_get(&this->tensors.tensor[MOE_X], t * H + h) *
               tensor_get(&this->tensors.tensor[MOE_WS1], u * H + h);
    return sum;
}

/* On which side of every kink z stands: the number of (z, kink) with z above, weighted so that one
 * crossing there and one back do not cancel. */
static uint64_t sides(const struct layer_case *this, const struct outputs *outputs)
{
    double kinks[3];
    int n = kinks_of(&this->problem, kinks);
    uint64_t hash = 0, weight = 1;
    for (int k = 0; k < n; k++) {
        for (int64_t i = 0; i < outputs->count[MOE_Z]; i++, weight += 2)
            hash += outputs->value[MOE_Z][i] > kinks[k] ? weight * weight * weight : 0;
        for (int64_t i = 0; i < this->problem.T * moe_problem_shared_rows(&this->problem); i++) {
            int64_t rows = moe_problem_shared_rows(&this->problem);
            weight += 2;
            hash += shared_z(this, i / rows, i % rows) > kinks[k] ? weight * weight * weight : 0;
        }
    }
    return hash;
}

/* ---- one direction -------------------------------------------------------------------------- */

/* What is moved: a tensor of the case, the scores, or the logits. */
enum subject { OF_TENSOR, OF_SCORES, OF_LOGITS };

struct direction {
    struct layer_case *this;
    enum subject subject;
    struct moe_tensor *tensor; /* OF_TENSOR */
    int64_t count;
    double *at, *along, *moved; /* [count] */
    uint64_t sides;
    int crossed;
};

static long double phi(struct direction *d, double h)
{
    struct layer_case *this = d->this;
    int given = d->subject != OF_TENSOR, lists = this->problem.router == MOE_LISTS;
    for (int64_t i = 0; i < d->count; i++) {
        d->moved[i] = d->at[i] + h * d->along[i];
        if (d->subject == OF_TENSOR)
            tensor_set(d->tensor, i, d->moved[i]);
        if (d->subject == OF_SCORES)
            this->routing.score[i] = d->moved[i];
    }
    if (d->subject == OF_LOGITS)
        ck_assert_int_eq(moe_routing_score(&this->problem, d->moved, &this->routing), MOE_OK);
    struct outputs outputs = forward(this, given || lists ? &this->given : &this->problem);
    long double sum = sum_of_outputs(this, &outputs, 0);
    if (d->subject == OF_LOGITS)
        sum += losses_of(this, d->moved);
    if (d->subject == OF_TENSOR)
        sum += losses_of(this, outputs.value[MOE_LOGITS]);
    d->crossed |= sides(this, &outputs) != d->sides;
    outputs_free(&outputs);
    return sum;
}

/* Compares one random direction; afterwards everything is as it was. */
static void try_direction(struct direction *d, const double *gradient, const char *name, int line,
                          uint64_t *state)
{
    struct layer_case *this = d->this;
    double want = 0, size = 0;
    for (int64_t i = 0; i < d->count; i++) {
        d->along[i] = random_in(state, -1, 1);
        want += gradient[i] * d->along[i];
        size += fabs(gradient[i] * d->along[i]);
    }
    d->crossed = 0;
    long double wide = (phi(d, STEP) - phi(d, -STEP)) / (2 * STEP);
    long double narrow = (phi(d, STEP / 2) - phi(d, -STEP / 2)) / STEP;
    double got = (double)((4 * narrow - wide) / 3);
    phi(d, 0);
    this->directions++;
    this->skipped += d->crossed;
    double S = (double)(sum_of_outputs(this, &this->base, 1) +
                        losses_of(this, this->base.value[MOE_LOGITS]));
    ck_assert_msg(d->crossed || fabs(got - want) <= ALLOWED * S,
                  "%d: %s: Phi changes by %.15g, not by %.15g (%.2g allowed)", line, name, got,
                  want, ALLOWED * S);
    ck_assert_msg(ALLOWED * S <= 1e-6 * size, "%d: %s: the differences say nothing: %g, %g", line,
                  name, S, size);
}

static void try_gradient(struct layer_case *this, enum subject subject, enum moe_tensor_id moved,
                         enum moe_tensor_id gradient, int line)
{
    struct direction d = {.this = this, .subject = subject, .tensor = &this->tensors.tensor[moved]};
    uint64_t state = (uint64_t)(line * 64 + gradient + 1);
    d.count = this->base.count[gradient];
    d.sides = sides(this, &this->base);
    d.at = malloc((size_t)(3 * d.count) * sizeof *d.at);
    ck_assert(d.at && d.count > 0);
    d.along = d.at + d.count;
    d.moved = d.along + d.count;
    for (int64_t i = 0; i < d.count; i++)
        d.at[i] = subject == OF_SCORES   ? this->routing.score[i]
                  : subject == OF_LOGITS ? this->base.value[MOE_LOGITS][i]
                                         : tensor_get(d.tensor, i);
    for (int i = 0; i < DIRECTIONS; i++)
        try_direction(&d, this->base.value[gradient], moe_tensor_info(gradient)->name, line,
                      &state);
    free(d.at);
}

/* ---- one line ------------------------------------------------------------------------------- */

static struct layer_case case_open(int line)
{
    struct layer_case this = {.problem = problem_at(line)};
    this.given = this.problem;
    this.given.router = MOE_LISTS;
    this.given.routing = MOE_ROUTING_RAGGED;
    this.given.round = MOE_ROUND_NONE;
    this.tensors = tensors_of(&this.problem);
    struct moe_reference reference = {.problem = &this.problem,
                                      .tensors = this.tensors.tensor,
                                      .passes = MOE_PASS_FORWARD | MOE_PASS_BACKWARD,
                                      .precision = MOE_F64};
    ck_assert_msg(run_reference(reference, &this.base) == MOE_OK, "%s", moe_error_text());
    const struct moe_tensor *sel_bias = &this.tensors.tensor[MOE_SEL_BIAS];
    int status = this.problem.router == MOE_LISTS
                     ? moe_routing_from_tensors(&this.problem, this.tensors.tensor, &this.routing)
                     : moe_routing_from_logits(&this.problem, this.base.value[MOE_LOGITS],
                                               sel_bias->data, &this.routing);
    ck_assert_msg(status == MOE_OK, "%s", moe_error_text());
    return this;
}

static void case_close(struct layer_case *this)
{
    outputs_free(&this->base);
    moe_routing_free(&this->routing);
    moe_tensors_free(&this->tensors);
}

static const struct {
    enum moe_tensor_id parameter, gradient;
} pairs[] = {
    {MOE_X, MOE_DX},     {MOE_WR, MOE_DWR},   {MOE_BR, MOE_DBR}, {MOE_W1, MOE_DW1},
    {MOE_B1, MOE_DB1},   {MOE_W2, MOE_DW2},   {MOE_B2, MOE_DB2}, {MOE_WS1, MOE_DWS1},
    {MOE_WS2, MOE_DWS2}, {MOE_WSG, MOE_DWSG},
};

START_TEST(gradients)
{
    omp_set_num_threads(1);
    struct layer_case this = case_open(_i);
    for (int i = 0; i < COUNT(pairs); i++)
        if (moe_tensor_exists(&this.problem, pairs[i].parameter))
            try_gradient(&this, OF_TENSOR, pairs[i].parameter, pairs[i].gradient, _i);
    try_gradient(&this, OF_SCORES, MOE_SCORES, MOE_DS, _i);
    if (this.problem.router != MOE_LISTS)
        try_gradient(&this, OF_LOGITS, MOE_LOGITS, MOE_DLOGITS, _i);
    ck_assert_msg(this.skipped * 10 <= this.directions, "%d: %d of %d directions cross a kink", _i,
                  this.skipped, this.directions);
    /* what is dropped has no score, and so no gradient */
    for (int64_t i = 0; i < this.routing.P; i++)
        ck_assert(this.routing.pick[i] >= 0 || this.base.value[MOE_DS][i] == 0);
    case_close(&this);
}
END_TEST

/* ---- is the table whole? -------------------------------------------------------------------- */

/* All but the types, what beta=1 adds to, and how values are drawn: these change no derivative. */
START_TEST(every_value_is_there)
{
    const unsigned keys = ((1u << SEEN_KEYS) - 1) & ~(1u << SEEN_BETA);
    struct seen seen = {0};
    for (int i = 0; i < COUNT(lines); i++) {
        struct moe_problem problem = problem_at(i);
        see(&seen, &problem);
    }
    ck_assert_uint_eq(seen.act, (1u << MOE_ACT_COUNT) - 1);
    ck_assert_uint_eq(seen.w1, (1u << MOE_W1_COUNT) - 1);
    ck_assert_uint_eq(seen.router, (1u << MOE_ROUTER_COUNT) - 1);
    ck_assert_uint_eq(seen.round, (1u << MOE_ROUND_COUNT) - 1);
    ck_assert_uint_eq(seen.weight, (1u << MOE_WEIGHT_COUNT) - 1);
    ck_assert(seen.routing >> MOE_ROUTING_DROPPED & seen.routing >> MOE_ROUTING_RAGGED & 1);
    ck_assert_uint_eq(seen.on & keys, keys);
    ck_assert_uint_eq(seen.off & keys, keys);
}
END_TEST

/* The clamped activations are tried on both sides of their limits. */
START_TEST(clamps_are_reached)
{
    for (int i = 0; i < COUNT(lines); i++) {
        struct moe_problem problem = problem_at(i);
        double kinks[3];
        if (kinks_of(&problem, kinks) == 0 || problem.shared > 0)
            continue;
        struct layer_case this = case_open(i);
        int64_t above = 0, count = this.base.count[MOE_Z];
        for (int64_t k = 0; k < count; k++)
            above += this.base.value[MOE_Z][k] > kinks[0];
        ck_assert_msg(above > 0 && above < count, "%d: %d of %d", i, (int)above, (int)count);
        case_close(&this);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gradient");
    TCase *tcase = tcase_create("gradients");
    tcase_add_loop_test(tcase, gradients, 0, COUNT(lines));
    tcase_add_test(tcase, every_value_is_there);
    tcase_add_test(tcase, clamps_are_reached);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}

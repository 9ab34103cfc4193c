/*
 * t_bound_layers.c - bounds of whole layers: the outputs of ref-f32, an honest f32 implementation,
 * must lie within the bounds that the f64 reference gives its recipe, and the bounds must not be so
 * wide that this says nothing.
 */
#include <fenv.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support.h"

extern const struct moe_variant moe_variant_ref_f32;

static const char *const lines[] = {
    "T=17 H=24 I=16 E=6 K=2 dtype=f32 act=swiglu",
    "T=17 H=24 I=16 E=6 K=2 dtype=bf16 act=swiglu bias=1 router-bias=1",
    "T=17 H=24 I=16 E=6 K=2 dtype=f16 act=swiglu bias=1 weight=before-w2",
    "T=17 H=24 I=16 E=6 K=2 dtype=bf16 grad=f32 act=geglu weight=input bias=1",
    "T=17 H=24 I=16 E=6 K=2 dtype=f32 act=geglu-tanh w1=halves weight=before-w2",
    "T=17 H=24 I=16 E=6 K=2 dtype=f32 act=reglu w1=interleaved8 weight=input",
    "T=17 H=24 I=16 E=6 K=2 dtype=f32 act=swiglu-oai bias=1 data=heavy",
    "T=17 H=24 I=16 E=6 K=2 dtype=bf16 act=swiglu-clamp:1.5 bias=1 data=heavy",
    "T=17 H=24 I=16 E=6 K=2 dtype=f32 act=silu bias=1 weight=input",
    "T=17 H=24 I=16 E=6 K=2 dtype=f32 act=gelu bias=1 weight=before-w2",
    "T=17 H=24 I=16 E=6 K=2 dtype=bf16 act=gelu-tanh bias=1",
    "T=17 H=24 I=16 E=6 K=2 dtype=f32 act=relu bias=1",
    "T=17 H=24 I=16 E=6 K=2 dtype=f16 act=relu2 bias=1 weight=input",
    "T=33 H=40 I=8 E=12 K=3 dtype=f32 router=softmax-topk",
    "T=33 H=40 I=8 E=12 K=3 dtype=f32 router=softmax-topk renorm=1 scale=2.5 aux=0.01 zloss=0.001",
    "T=33 H=40 I=8 E=12 K=3 dtype=bf16 router=softmax-topk aux=0.5 router-bias=1",
    "T=33 H=40 I=8 E=12 K=3 dtype=f32 router=sigmoid sel-bias=1 groups=4/2",
    "T=33 H=40 I=8 E=12 K=3 dtype=bf16 router=sigmoid renorm=1 scale=2.5 groups=4/2 router-bias=1",
    "T=33 H=40 I=8 E=12 K=3 dtype=f32 router=sqrt-softplus sel-bias=1 zloss=0.1 router-bias=1",
    "T=33 H=40 I=8 E=12 K=3 dtype=f16 router=sqrt-softplus renorm=1 scale=0.5",
    "T=33 H=40 I=8 E=12 K=3 dtype=f32 router=topk-softmax groups=3/1 aux=1 zloss=1 router-bias=1",
    "T=29 H=16 I=24 E=7 K=3 dtype=f32 router=lists bias=1",
    "T=29 H=16 I=24 E=7 K=3 dtype=bf16 router=lists routing=dropped:0.3 weight=input",
    "T=29 H=16 I=24 E=7 K=3 dtype=f32 router=lists routing=ragged weight=before-w2 bias=1",
    "T=29 H=16 I=24 E=7 K=7 dtype=f32 router=lists routing=zipf:2",
    "T=40 H=16 I=8 E=5 K=2 dtype=f32 router=softmax-topk round=nearest round-to=8",
    "T=40 H=16 I=8 E=5 K=2 dtype=bf16 router=softmax-topk round=up round-to=8 aux=0.1",
    "T=40 H=16 I=8 E=5 K=2 dtype=f32 router=softmax-topk round=down round-to=8 bias=1",
    "T=40 H=16 I=8 E=5 K=2 dtype=f32 router=softmax-topk round=stochastic round-to=8 weight=input",
    "T=40 H=16 I=8 E=5 K=2 dtype=f16 router=softmax-topk round=balanced round-to=8",
    "T=21 H=32 I=8 E=6 K=2 dtype=f32 shared=12",
    "T=21 H=32 I=8 E=6 K=2 dtype=bf16 shared=12 shared-gate=1 bias=1",
    "T=21 H=32 I=8 E=6 K=2 dtype=f32 shared=12 shared-gate=1 act=relu2 weight=input",
    "T=21 H=32 I=8 E=6 K=2 dtype=f16 shared=8 shared-gate=1 act=geglu w1=interleaved8",
    "T=32 H=64 I=32 E=8 K=2 dtype=f32 data=positive",
    "T=32 H=64 I=32 E=8 K=2 dtype=bf16 data=positive bias=1 weight=before-w2",
    "T=32 H=64 I=32 E=8 K=2 dtype=f32 data=constant router-bias=1",
    "T=32 H=64 I=32 E=8 K=2 dtype=f16 data=constant bias=1",
    "T=32 H=64 I=32 E=8 K=2 dtype=f32 data=tiny bias=1",
    "T=32 H=64 I=32 E=8 K=2 dtype=f16 data=tiny",
    "T=32 H=64 I=32 E=8 K=2 dtype=bf16 data=tiny weight=input",
    "T=32 H=64 I=32 E=8 K=2 dtype=f32 data=sparse act=reglu",
    "T=32 H=64 I=32 E=8 K=2 dtype=bf16 data=zero bias=1 shared=8 shared-gate=1",
    "T=32 H=64 I=32 E=8 K=2 dtype=f32 data=heavy act=geglu router=sigmoid",
    "T=32 H=64 I=32 E=8 K=2 dtype=f16 data=heavy router=softmax-topk aux=0.1",
    "T=64 H=32 I=16 E=8 K=2 dtype=f32 routing=hot",
    "T=64 H=32 I=16 E=8 K=2 dtype=bf16 routing=same bias=1",
    "T=64 H=32 I=16 E=8 K=2 dtype=f32 routing=ties router-bias=1",
    "T=64 H=32 I=16 E=8 K=2 dtype=f32 routing=first weight=input router=sigmoid",
    "T=64 H=32 I=16 E=8 K=2 dtype=f32 routing=sparse router=softmax-topk renorm=1",
    "T=1 H=1 I=1 E=1 K=1 dtype=f32 bias=1 router-bias=1 router=sigmoid",
    "T=5 H=3 I=2 E=9 K=9 dtype=bf16 act=silu router=sqrt-softplus",
    "T=300 H=128 I=64 E=4 K=2 dtype=f32 bias=1",
    "T=300 H=128 I=64 E=4 K=2 dtype=bf16 grad=f32 weight=before-w2 shared=64 shared-gate=1",
    "T=1500 H=16 I=8 E=3 K=2 dtype=f32 bias=1 router-bias=1 aux=0.1",
};

/* Ratios err / bound of one tensor over all lines; errors of 0 are counted only. */
struct ratios {
    double *ratio;
    int64_t count, room, exact, unbounded;
    double largest, allowed; /* allowed: 1, unless roundings are larger than the recipe says */
};

static void add_ratio(struct ratios *ratios, double ratio)
{
    if (ratios->count == ratios->room) {
        ratios->room = 2 * ratios->room + 1024;
        ratios->ratio = realloc(ratios->ratio, (size_t)ratios->room * sizeof *ratios->ratio);
        ck_assert_ptr_nonnull(ratios->ratio);
    }
    ratios->ratio[ratios->count++] = ratio;
}

/* Both passes of ref-f32, by one thread, in the rounding mode given. */
static void run_f32(const struct moe_problem *problem, const struct moe_tensors *tensors, int mode)
{
    struct moe_call call = {.tensors = tensors->tensor};
    void *state;
    omp_set_num_threads(1);
    ck_assert_int_eq(moe_variant_ref_f32.open(NULL, problem, 0, &state), MOE_OK);
    ck_assert_int_eq(fesetround(mode), 0);
    int forward = moe_variant_ref_f32.forward(state, &call);
    int backward = moe_variant_ref_f32.backward(state, &call);
    ck_assert_int_eq(fesetround(FE_TONEAREST), 0);
    ck_assert_msg(forward == MOE_OK && backward == MOE_OK, "%s", moe_error_text());
    moe_variant_ref_f32.close(state);
}

/* Tests of elements are plain ifs: libcheck notes every assertion in a file. */
static void gather(const char *line, enum moe_tensor_id id, const struct moe_tensor *tensor,
                   const struct outputs *outputs, struct ratios *ratios)
{
    for (int64_t i = 0; i < outputs->count[id]; i++) {
        double want = outputs->value[id][i], bound = outputs->bound[id][i];
        double got = tensor_get(tensor, i), error = fabs(got - want);
        if (!(error <= ratios->allowed * bound))
            ck_abort_msg("%s: %s[%d] is %g, want %g; %g times its bound", line,
                         moe_tensor_info(id)->name, (int)i, got, want, error / bound);
        ratios->exact += error == 0;
        ratios->unbounded += isinf(bound);
        if (error == 0 || isinf(bound))
            continue;
        add_ratio(ratios, error / bound);
        ratios->largest = fmax(ratios->largest, error / bound);
    }
}

static void judge_case(const char *line, const struct moe_problem *problem,
                       const struct moe_tensors *tensors, int mode, struct ratios *ratios)
{
    struct moe_routing routing;
    struct moe_recipe recipe;
    struct outputs outputs;
    run_f32(problem, tensors, mode);
    moe_variant_ref_f32.recipe(problem, &recipe);
    ck_assert_int_eq(moe_routing_from_tensors(problem, tensors->tensor, &routing), MOE_OK);
    struct moe_reference reference = {.problem = problem,
                                      .tensors = tensors->tensor,
                                      .routing = &routing,
                                      .passes = MOE_PASS_FORWARD | MOE_PASS_BACKWARD,
                                      .precision = MOE_F64,
                                      .recipe = &recipe};
    ck_assert_msg(run_reference(reference, &outputs) == MOE_OK, "%s", moe_error_text());
    for (int id = MOE_SCORES; id < MOE_TENSOR_COUNT; id++)
        if (outputs.value[id])
            gather(line, id, &tensors->tensor[id], &outputs, &ratios[id]);
    outputs_free(&outputs);
    moe_routing_free(&routing);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Rounded to nearest; then always up, down and towards 0: a rounding then errs by up to 2u, not u,
 * and all of them to the same side, so that errors add up as the bounds fear they might. */
static const struct {
    int mode;
    const char *name;
    double allowed;
} modes[] = {
    {FE_TONEAREST, "nearest", 1},
    {FE_UPWARD, "up", 2},
    {FE_DOWNWARD, "down", 2},
    {FE_TOWARDZERO, "to zero", 2},
};

/* The figures go to stderr: they say how tight the bounds are. A bound of which never more than a
 * hundredth is used would be one that finds nothing. */
START_TEST(layers)
{
    struct ratios ratios[MOE_TENSOR_COUNT];
    memset(ratios, 0, sizeof ratios);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        ratios[id].allowed = modes[_i].allowed;
    for (int i = 0; i < COUNT(lines); i++) {
        struct moe_problem problem = problem_of(lines[i]);
        struct moe_tensors tensors = tensors_of(&problem);
        judge_case(lines[i], &problem, &tensors, modes[_i].mode, ratios);
        moe_tensors_free(&tensors);
    }
    for (int id = MOE_SCORES; id < MOE_TENSOR_COUNT; id++) {
        struct ratios *r = &ratios[id];
        const char *name = moe_tensor_info(id)->name;
        ck_assert_msg(r->count > 0, "%s was never compared", name);
        qsort(r->ratio, (size_t)r->count, sizeof *r->ratio, ascending);
        if (modes[_i].mode == FE_TONEAREST)
            fprintf(stderr, "# %s: largest %.3f median %.5f of %lld (%lld exact, %lld unbounded)\n",
                    name, r->largest, r->ratio[r->count / 2], (long long)r->count,
                    (long long)r->exact, (long long)r->unbounded);
        ck_assert_msg(r->largest > .01, "%s: at most %g of the bound is used", name, r->largest);
        ck_assert_msg(r->unbounded * 100 <= r->count, "%s: too many bounds are infinite", name);
        free(r->ratio);
    }
}
END_TEST

/* Where the slope jumps: one token, whose z is at the kink of its activation but for the rounding
 * of the last factor, in all gate rows, and in up's rows where these have limits. So f32 finds
 * itself on the other side of it now and then, and half of a unit's gradient is an error. */
static const struct {
    const char *act;
    double kink;
    int up_too;
} kinks[] = {
    {"reglu", 0, 0},
    {"relu", 0, 0},
    {"swiglu-clamp:1.5", 1.5, 0},
    {"swiglu-clamp:1.5", 1.5, 1},
    {"swiglu-oai", 7, 0},
    {"swiglu-oai", 7, 1},
};

static void move_to_kink(const struct moe_problem *problem, const struct moe_tensors *tensors,
                         double kink, int up_too)
{
    const struct moe_tensor *x = &tensors->tensor[MOE_X], *w1 = &tensors->tensor[MOE_W1];
    int gated = moe_act_info(problem->act)->gated;
    int64_t H = problem->H;
    tensor_set(x, H - 1, 1);
    for (int64_t row = 0; row < moe_problem_z_rows(problem); row += gated && !up_too ? 2 : 1) {
        double sum = 0;
        for (int64_t h = 0; h < H - 1; h++)
            sum += tensor_get(x, h) * tensor_get(w1, row * H + h);
        tensor_set(w1, row * H + H - 1, kink - sum);
    }
}

START_TEST(at_a_kink)
{
    char line[128];
    struct ratios ratios[MOE_TENSOR_COUNT];
    snprintf(line, sizeof line, "T=1 H=33 I=400 E=1 K=1 dtype=f32 router=lists act=%s",
             kinks[_i].act);
    struct moe_problem problem = problem_of(line);
    struct moe_tensors tensors = tensors_of(&problem);
    memset(ratios, 0, sizeof ratios);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        ratios[id].allowed = 1;
    move_to_kink(&problem, &tensors, kinks[_i].kink, kinks[_i].up_too);
    judge_case(line, &problem, &tensors, FE_TONEAREST, ratios);
    /* z is so small beside its terms that only a jump brings dw1 this near to its bound */
    ck_assert_msg(ratios[MOE_DW1].largest > .4, "%d: no side was mistaken: %g", _i,
                  ratios[MOE_DW1].largest);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        free(ratios[id].ratio);
    moe_tensors_free(&tensors);
}
END_TEST

/* A sum that starts from its bias: each product is too small to be seen beside it, so that a chain
 * of f32 additions ends where it began. */
START_TEST(bias_first)
{
    struct moe_problem problem =
        problem_of("T=1 H=256 I=256 E=1 K=1 dtype=f32 act=relu bias=1 router-bias=1");
    struct moe_tensors tensors = tensors_of(&problem);
    struct moe_recipe recipe = moe_recipe_plain(&problem, MOE_F32);
    struct outputs outputs;
    static const struct {
        enum moe_tensor_id tensor;
        double value;
    } fill[] = {
        {MOE_X, 1},
        {MOE_WR, 0.9 * 0x1p-24},
        {MOE_W1, 0.9 * 0x1p-24},
        {MOE_W2, 0.9 * 0x1p-24},
        {MOE_BR, 1},
        {MOE_B1, 1},
        {MOE_B2, 1},
    };
    static const enum moe_tensor_id sums[] = {MOE_LOGITS, MOE_Z, MOE_O};
    for (int i = 0; i < COUNT(fill); i++)
        for (int64_t j = 0; j < moe_tensor_count(&tensors.tensor[fill[i].tensor]); j++)
            tensor_set(&tensors.tensor[fill[i].tensor], j, fill[i].value);
    struct moe_reference reference = {.problem = &problem,
                                      .tensors = tensors.tensor,
                                      .passes = MOE_PASS_FORWARD,
                                      .precision = MOE_F64,
                                      .recipe = &recipe};
    ck_assert_msg(run_reference(reference, &outputs) == MOE_OK, "%s", moe_error_text());
    for (int i = 0; i < COUNT(sums); i++) {
        double error = fabs(1 - outputs.value[sums[i]][0]), bound = outputs.bound[sums[i]][0];
        ck_assert_msg(error <= bound && error > 0.2 * bound, "%s errs by %g, bound %g",
                      moe_tensor_info(sums[i])->name, error, bound);
    }
    outputs_free(&outputs);
    moe_tensors_free(&tensors);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bound_layers");
    TCase *tcase = tcase_create("layers");
    tcase_add_loop_test(tcase, layers, 0, COUNT(modes));
    tcase_add_loop_test(tcase, at_a_kink, 0, COUNT(kinks));
    tcase_add_test(tcase, bias_first);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}

/*
 * t_taint.c - what the formulas say of NaN is what arithmetic does: random elements of any input
 * are spoiled, and the reference and `naive` are NaN wherever they must be, and nowhere that does
 * not depend on it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support.h"
#include "verify/taint.h"

extern const struct moe_variant moe_variant_ref, moe_variant_naive;

static const char *const lines[] = {
    "router=lists",
    "router=lists bias=1 act=geglu w1=halves",
    "router=lists bias=1 act=reglu w1=interleaved8 weight=before-w2",
    "router=lists bias=1 act=swiglu-oai weight=input",
    "router=lists act=swiglu-clamp:2 routing=dropped:0.4 K=3",
    "router=lists act=silu bias=1 routing=ragged K=3",
    "router=lists act=relu bias=1",
    "router=lists act=relu2 weight=input",
    "router=lists act=gelu-tanh shared=5 bias=1",
    "router=lists act=geglu-tanh shared=4 shared-gate=1",
    "router=topk-softmax",
    "router=topk-softmax K=1 bias=1",
    "router=topk-softmax K=6 act=gelu",
    "router=softmax-topk router-bias=1 bias=1",
    "router=softmax-topk renorm=1 K=3",
    "router=softmax-topk renorm=1 K=1 weight=before-w2",
    "router=sigmoid sel-bias=1 weight=input",
    "router=sigmoid renorm=1 scale=2.5 router-bias=1",
    "router=sqrt-softplus K=3",
    "router=sqrt-softplus renorm=1 sel-bias=1 act=silu",
    "router=sigmoid aux=0.1",
    "router=topk-softmax zloss=0.1 shared=6 shared-gate=1",
    "router=softmax-topk aux=0.1 zloss=0.1 K=1",
    "router=topk-softmax groups=3/2 act=silu",
    "router=sigmoid groups=3/2 K=3",
    "router=topk-softmax data=sparse routing=last",
    "router=lists data=zero bias=1",
};

static struct {
    int64_t must, may, none;
} met;

/* Spoils one to three elements of inputs of any kind. */
static void spoil(const struct moe_problem *problem, struct moe_tensors *tensors,
                  struct taints *taints, uint64_t *random)
{
    int64_t wanted = 1 + random_below(random, 3);
    while (wanted > 0) {
        enum moe_tensor_id id = (enum moe_tensor_id)random_below(random, MOE_TENSOR_COUNT);
        const struct moe_tensor *tensor = &tensors->tensor[id];
        int is_score = id == MOE_SCORES && problem->router == MOE_LISTS;
        if (!tensor->data || (moe_tensor_info(id)->role != MOE_INPUT && !is_score))
            continue;
        int64_t index = random_below(random, moe_tensor_count(tensor));
        tensor_set(tensor, index, NAN);
        taints->of[id][index] = TAINT_NAN;
        wanted--;
    }
}

/* Both passes of a variant on the tensors. */
static void run(const struct moe_variant *variant, const struct moe_problem *problem,
                struct moe_tensors *tensors)
{
    struct moe_call call = {.tensors = tensors->tensor,
                            .workspace_size = variant->workspace_bytes(problem)};
    uint32_t status_word = 0;
    void *state;
    call.status = &status_word;
    call.workspace = malloc((size_t)call.workspace_size + 1);
    ck_assert_int_eq(variant->open(NULL, problem, 0, &state), MOE_OK);
    ck_assert_int_eq(variant->forward(state, &call), MOE_OK);
    ck_assert_int_eq(variant->backward(state, &call), MOE_OK);
    variant->close(state);
    free(call.workspace);
}

static int64_t used(const struct moe_routing *routing, const struct moe_tensors *tensors, int id)
{
    if (id == MOE_Z)
        return routing->N * tensors->tensor[id].shape[1];
    return id == MOE_DS || id == MOE_SCORES ? routing->P : moe_tensor_count(&tensors->tensor[id]);
}

static void compare(const char *line, const char *name, const struct taints *taints,
                    const struct moe_tensors *tensors)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &tensors->tensor[id];
        if (!tensor->data || moe_tensor_info(id)->role == MOE_INPUT ||
            !moe_dtype_info(tensor->dtype)->is_float)
            continue;
        for (int64_t i = 0; i < used(taints->routing, tensors, id); i++) {
            int is_nan = isnan(tensor_get(tensor, i)), taint = taints->of[id][i];
            met.must += taint == TAINT_NAN;
            met.may += taint == TAINT_MAY;
            met.none += taint == TAINT_NONE;
            must_hold(taint != TAINT_NAN || is_nan, "%s: %s: %s[%d] must be NaN", line, name,
                      moe_tensor_info(id)->name, (int)i);
            must_hold(taint != TAINT_NONE || !is_nan, "%s: %s: %s[%d] is NaN", line, name,
                      moe_tensor_info(id)->name, (int)i);
        }
    }
}

START_TEST(arithmetic_agrees)
{
    static const struct moe_variant *const variants[] = {&moe_variant_ref, &moe_variant_naive};
    uint64_t random = 4711 + (uint64_t)_i;
    for (int seed = 0; seed < 12; seed++) {
        char text[200];
        snprintf(text, sizeof text, "T=5 H=9 I=8 E=6 dtype=%s %s seed=%d",
                 seed % 2 ? "f32" : "bf16", lines[_i], seed);
        struct moe_problem problem = problem_of(text);
        struct moe_tensors tensors = tensors_of(&problem);
        struct taints spoiled;
        ck_assert_int_eq(taints_open(&problem, &tensors, &spoiled), MOE_OK);
        spoil(&problem, &tensors, &spoiled, &random);
        for (int v = 0; v < COUNT(variants); v++) {
            struct taints taints;
            struct moe_routing routing;
            run(variants[v], &problem, &tensors);
            ck_assert_msg(moe_routing_from_tensors(&problem, tensors.tensor, &routing) == MOE_OK,
                          "%s: %s: %s", text, variants[v]->name, moe_error_text());
            ck_assert_int_eq(taints_open(&problem, &tensors, &taints), MOE_OK);
            for (int id = 0; id < MOE_TENSOR_COUNT; id++)
                if (tensors.tensor[id].data)
                    memcpy(taints.of[id], spoiled.of[id],
                           (size_t)moe_tensor_count(&tensors.tensor[id]));
            taints.routing = &routing;
            ck_assert_int_eq(taints_carry(&taints), MOE_OK);
            compare(text, variants[v]->name, &taints, &tensors);
            taints_close(&taints);
            moe_routing_free(&routing);
        }
        taints_close(&spoiled);
        moe_tensors_free(&tensors);
    }
    /* "may" is for what needs it: most is decided */
    ck_assert_int_gt(met.must, 0);
    ck_assert_int_gt(met.none, 0);
    ck_assert_msg(met.may < met.must + met.none, "%s: %d of %d undecided", lines[_i], (int)met.may,
                  (int)(met.may + met.must + met.none));
    met.may = met.must = met.none = 0;
}
END_TEST

/* Nothing depends on the weights of an expert without rows. */
START_TEST(unused_experts)
{
    struct moe_problem problem =
        problem_of("T=4 H=8 I=4 E=5 K=2 router=lists routing=first bias=1");
    struct moe_tensors tensors = tensors_of(&problem);
    struct moe_routing routing;
    struct taints taints;
    static const enum moe_tensor_id weights[] = {MOE_W1, MOE_B1, MOE_W2, MOE_B2};
    ck_assert_int_eq(moe_routing_from_tensors(&problem, tensors.tensor, &routing), MOE_OK);
    ck_assert_int_eq(taints_open(&problem, &tensors, &taints), MOE_OK);
    for (int i = 0; i < COUNT(weights); i++) {
        int64_t count = moe_tensor_count(&tensors.tensor[weights[i]]), of_two = count / 5 * 2;
        memset(taints.of[weights[i]] + of_two, TAINT_NAN, (size_t)(count - of_two));
    }
    taints.routing = &routing;
    ck_assert_int_eq(taints_carry(&taints), MOE_OK);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (taints.of[id] && moe_tensor_info(id)->role != MOE_INPUT)
            ck_assert_int_eq(taint_highest(taints.of[id], moe_tensor_count(&tensors.tensor[id])),
                             TAINT_NONE);
    taints_close(&taints);
    moe_routing_free(&routing);
    moe_tensors_free(&tensors);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("taint");
    TCase *tests = tcase_create("taint");
    tcase_add_loop_test(tests, arithmetic_agrees, 0, COUNT(lines));
    tcase_add_test(tests, unused_experts);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

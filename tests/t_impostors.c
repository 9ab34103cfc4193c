/*
 * t_impostors.c - the judge on variants that are wrong: each impostor is the reference, told
 * another case, given other tensors, or with its outputs spoiled; it must fail, by the check and at
 * the place that the fault is at.
 */
#include <fenv.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/impostor.h"

/* Without a fault the impostor is right: what fails below fails for its fault. */
START_TEST(no_fault)
{
    struct moe_problem problem = impostor_start("T=9 H=16 I=8 E=4 K=2 bias=1");
    struct moe_report report = impostor_judge(&problem);
    ck_assert_int_eq(report.verdict, MOE_PASS);
}
END_TEST

/* ---- told another case ---------------------------------------------------------------------- */

/* The case, the word that is misread, and a tensor that must be found wrong (picks: by the check of
 * routing). */
static const struct {
    const char *line, *key, *value;
    enum moe_tensor_id tensor;
} misread[] = {
    {"act=swiglu", "act", "geglu", MOE_O},
    {"act=geglu dtype=f32", "act", "geglu-tanh", MOE_O},
    {"act=gelu dtype=f32", "act", "gelu-tanh", MOE_DW1},
    {"act=relu2", "act", "relu", MOE_O},
    {"act=swiglu-clamp:0.5", "act", "swiglu-clamp:0.75", MOE_O},
    {"act=swiglu-oai", "act", "swiglu", MOE_O},
    {"act=reglu", "act", "swiglu", MOE_DW2},
    {"w1=interleaved", "w1", "halves", MOE_O},
    {"w1=interleaved8", "w1", "interleaved", MOE_O},
    {"w1=halves", "w1", "interleaved8", MOE_DX},
    {"bias=1", "bias", "0", MOE_Z},
    {"weight=after-w2 bias=1", "weight", "before-w2", MOE_O},
    {"weight=before-w2 bias=1", "weight", "after-w2", MOE_DB2},
    {"weight=after-w2", "weight", "input", MOE_Z},
    {"weight=input", "weight", "after-w2", MOE_Z},
    {"router=topk-softmax", "router", "softmax-topk", MOE_SCORES},
    {"router=softmax-topk", "router", "topk-softmax", MOE_DLOGITS},
    {"router=sigmoid", "router", "sqrt-softplus", MOE_SCORES},
    {"router=softmax-topk renorm=1", "renorm", "0", MOE_SCORES},
    {"router=sigmoid", "renorm", "1", MOE_DLOGITS},
    {"scale=2.5", "scale", "1", MOE_SCORES},
    {"scale=2.5", "scale", "2.625", MOE_SCORES},
    {"groups=2/1", "groups", "0", MOE_PICKS},
    {"router=sigmoid sel-bias=1", "sel-bias", "0", MOE_PICKS},
    {"router=topk-softmax dtype=f32 router-bias=1", "router-bias", "0", MOE_LOGITS},
    {"shared=8", "shared", "0", MOE_O},
    {"shared=8 shared-gate=1", "shared-gate", "0", MOE_O},
    {"aux=0.5", "aux", "0", MOE_DLOGITS},
    {"aux=0.5 dtype=f32", "aux", "0.25", MOE_DWR},
    {"zloss=0.5", "zloss", "0", MOE_DLOGITS},
    {"beta=1", "beta", "0", MOE_DW1},
    {"beta=1 bias=1 grad=f32 router-bias=1", "beta", "0", MOE_DBR},
    {"beta=0", "beta", "1", MOE_DW2}, /* added to what the buffer holds */
    {"router=softmax-topk round=up round-to=4", "round", "down", MOE_PICKS},
    {"router=softmax-topk round=nearest round-to=8", "round-to", "4", MOE_PICKS},
    {"router=softmax-topk round=balanced round-to=4 seed=3", "round", "nearest", MOE_PICKS},
};

START_TEST(told_another_case)
{
    char line[160];
    snprintf(line, sizeof line, "T=42 H=32 I=16 E=6 K=2 %s", misread[_i].line);
    struct moe_problem problem = impostor_start(line);
    const char *what = misread[_i].value;
    ck_assert_int_eq(moe_problem_set(&impostor.told, misread[_i].key, misread[_i].value), MOE_OK);
    struct moe_report report = impostor_judge(&problem);
    must_find(&report, misread[_i].tensor == MOE_PICKS ? "routing" : "bound", misread[_i].tensor,
              what);
}
END_TEST

/* ---- nothing done --------------------------------------------------------------------------- */

static void zero_all(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (is_output(problem, id))
            memset(tensors[id].data, 0, (size_t)moe_tensor_bytes(&tensors[id]));
}

static const char *const nothing[] = {
    "T=9 H=16 I=8 E=4 K=2 dtype=bf16 bias=1",
    "T=9 H=16 I=8 E=4 K=1 dtype=f32 router=sigmoid",
    "T=9 H=16 I=8 E=4 K=2 router=softmax-topk round=up round-to=4",
    "T=9 H=16 I=8 E=4 K=2 dtype=bf16 bias=1 router=lists shared=4 shared-gate=1",
    "T=9 H=16 I=8 E=4 K=2 dtype=f64 router=lists routing=ragged",
};

/* Zeros everywhere, or nothing written at all: with lists every output is found, and every element
 * of it that is not zero in truth. */
static void expect_nothing(const struct moe_problem *problem, int all, const char *what)
{
    struct moe_report report = impostor_judge(problem);
    if (problem->router != MOE_LISTS) {
        must_find(&report, "routing", -1, what);
        return;
    }
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        if (!is_output(problem, id))
            continue;
        const struct moe_finding *finding = must_find(&report, "bound", id, what);
        ck_assert_msg(finding->wrong * 2 > finding->total, "%s: %s: %d of %d", what,
                      moe_tensor_info(id)->name, (int)finding->wrong, (int)finding->total);
        ck_assert(!all || (finding->wrong == finding->total && isnan(finding->got)));
    }
}

START_TEST(zeros)
{
    struct moe_problem problem = impostor_start(nothing[_i]);
    impostor.after_forward = impostor.after_backward = zero_all;
    expect_nothing(&problem, 0, "zeros");
}
END_TEST

START_TEST(untouched)
{
    struct moe_problem problem = impostor_start(nothing[_i]);
    impostor.idle = 1;
    expect_nothing(&problem, 1, "untouched");
}
END_TEST

/* ---- one thing wrong ------------------------------------------------------------------------ */

/* Expert e, token t and slot k of the faults below. */
enum { AT_EXPERT = 2, AT_TOKEN = 5 };

static void copy_input_out(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    (void)problem;
    memcpy(tensors[MOE_O].data, tensors[MOE_X].data, (size_t)moe_tensor_bytes(&tensors[MOE_O]));
}

/* With one pick a token, o is the score times y. */
static void gate_off_by_5_percent(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    int64_t H = problem->H;
    for (int64_t i = AT_TOKEN * H; i < (AT_TOKEN + 1) * H; i++)
        tensor_set(&tensors[MOE_O], i, 1.05 * tensor_get(&tensors[MOE_O], i));
}

static void dw1_row_missing(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    int64_t H = problem->H, row = AT_EXPERT * moe_problem_z_rows(problem) + 3;
    for (int64_t i = row * H; i < (row + 1) * H; i++)
        tensor_set(&tensors[MOE_DW1], i, 0);
}

/* The backward pass once more, as if the scores were given: all but dx comes out as it was. */
static void dx_without_router(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    struct moe_problem given = *problem;
    struct moe_call call = {.tensors = tensors};
    void *state;
    given.router = MOE_LISTS;
    ck_assert_int_eq(moe_variant_ref.open(NULL, &given, 0, &state), MOE_OK);
    ck_assert_int_eq(moe_variant_ref.backward(state, &call), MOE_OK);
    moe_variant_ref.close(state);
}

static void twice_the_same(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    int64_t at = AT_TOKEN * problem->K;
    tensor_set(&tensors[MOE_PICKS], at + 1, tensor_get(&tensors[MOE_PICKS], at));
}

static void leave_rounding_up(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    (void)problem, (void)tensors;
    ck_assert_int_eq(fesetround(FE_UPWARD), 0);
}

static const struct {
    const char *line;
    meddle *after_forward, *after_backward;
    const char *check;
    int tensor, findings; /* findings 0: any number */
    int64_t expert, token;
} spoiled[] = {
    {"dtype=bf16", copy_input_out, NULL, "bound", MOE_O, 1, -1, -2},
    {"dtype=bf16 K=1 router=sigmoid", gate_off_by_5_percent, NULL, "bound", MOE_O, 1, -1, AT_TOKEN},
    {"dtype=f32 K=1 router=sigmoid", gate_off_by_5_percent, NULL, "bound", MOE_O, 1, -1, AT_TOKEN},
    {"dtype=bf16", NULL, dw1_row_missing, "bound", MOE_DW1, 1, AT_EXPERT, -1},
    {"dtype=bf16 router=sigmoid", NULL, dx_without_router, "bound", MOE_DX, 1, -1, -2},
    {"dtype=f32 aux=1", NULL, dx_without_router, "bound", MOE_DX, 1, -1, -2},
    {"dtype=f32", twice_the_same, NULL, "routing", MOE_PICKS, 1, -1, -1},
    {"dtype=f32", leave_rounding_up, NULL, "run", -1, 0, -1, -1},
};

START_TEST(one_thing_wrong)
{
    char line[160];
    const char *picks = strstr(spoiled[_i].line, "K=") ? "" : "K=2";
    snprintf(line, sizeof line, "T=12 H=16 I=8 E=4 %s %s", picks, spoiled[_i].line);
    struct moe_problem problem = impostor_start(line);
    impostor.after_forward = spoiled[_i].after_forward;
    impostor.after_backward = spoiled[_i].after_backward;
    struct moe_report report = impostor_judge(&problem);
    const struct moe_finding *finding =
        must_find(&report, spoiled[_i].check, spoiled[_i].tensor, line);
    ck_assert_msg(spoiled[_i].findings == 0 || report.finding_count == spoiled[_i].findings,
                  "%d: %d findings", _i, report.finding_count);
    ck_assert_msg(finding->expert == spoiled[_i].expert, "%d: expert %d", _i, (int)finding->expert);
    ck_assert_msg(spoiled[_i].token == -2 ? finding->token >= 0
                                          : finding->token == spoiled[_i].token,
                  "%d: token %d", _i, (int)finding->token);
    ck_assert_int_eq(fegetround(), FE_TONEAREST);
}
END_TEST

/* ---- given other tensors -------------------------------------------------------------------- */

static struct moe_tensor given[MOE_TENSOR_COUNT];

/* A copy of a drawn tensor of the case, for the reference to be given. */
static struct moe_tensor *give_copy(const struct moe_problem *problem, enum moe_tensor_id id)
{
    struct moe_tensors drawn = tensors_of(problem);
    memset(given, 0, sizeof given);
    given[id] = drawn.tensor[id];
    drawn.tensor[id].data = NULL;
    moe_tensors_free(&drawn);
    impostor.given = given;
    return &given[id];
}

/* The last expert's rows are never run: o lacks them, z is not written there, and dw1 is zero. */
START_TEST(last_expert_skipped)
{
    struct moe_problem problem = impostor_start("T=12 H=16 I=8 E=4 K=2 dtype=bf16 router=lists");
    struct moe_tensor *picks = give_copy(&problem, MOE_PICKS);
    for (int64_t i = 0; i < problem.T * problem.K; i++)
        if (tensor_get(picks, i) == 3)
            tensor_set(picks, i, -1);
    struct moe_report report = impostor_judge(&problem);
    ck_assert_int_eq(must_find(&report, "bound", MOE_Z, "z")->expert, 3);
    ck_assert(isnan(finding_of(&report, "bound", MOE_Z)->got));
    ck_assert_int_eq(must_find(&report, "bound", MOE_DW1, "dw1")->expert, 3);
    ck_assert_int_eq(must_find(&report, "bound", MOE_DW2, "dw2")->expert, 3);
    ck_assert_int_eq(must_find(&report, "bound", MOE_DS, "ds")->expert, 3);
    must_find(&report, "bound", MOE_O, "o");
    must_find(&report, "bound", MOE_DX, "dx");
    free(picks->data);
}
END_TEST

/* Gate and up change places where z becomes a: the units of w1, and those of z, are exchanged, and
 * z is put back. What z itself holds is right then. */
static void exchange_halves(const struct moe_tensor *tensor, int64_t matrices, int64_t units,
                            int64_t width)
{
    for (int64_t m = 0; m < matrices; m++) {
        for (int64_t i = 0; i < units * width; i++) {
            int64_t gate = m * 2 * units * width + i, up = gate + units * width;
            double value = tensor_get(tensor, gate);
            tensor_set(tensor, gate, tensor_get(tensor, up));
            tensor_set(tensor, up, value);
        }
    }
}

static void exchange_z(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    exchange_halves(&tensors[MOE_Z], problem->T * problem->K, problem->I, 1);
}

static void exchange_dw1(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    exchange_halves(&tensors[MOE_DW1], problem->E, problem->I, problem->H);
}

START_TEST(gate_and_up_exchanged)
{
    struct moe_problem problem = impostor_start("T=12 H=16 I=8 E=4 K=2 dtype=bf16 w1=halves");
    exchange_halves(give_copy(&problem, MOE_W1), problem.E, problem.I, problem.H);
    impostor.after_forward = exchange_z;
    impostor.after_backward = exchange_dw1;
    struct moe_report report = impostor_judge(&problem);
    ck_assert_ptr_null(finding_of(&report, "bound", MOE_Z));
    must_find(&report, "bound", MOE_O, "o");
    must_find(&report, "bound", MOE_DW1, "dw1");
    must_find(&report, "bound", MOE_DX, "dx");
    free(given[MOE_W1].data);
}
END_TEST

/* b2 is forgotten in the backward pass alone: only ds is wrong. */
static void forget_b2(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    (void)problem, (void)tensors;
    memset(given[MOE_B2].data, 0, (size_t)moe_tensor_bytes(&given[MOE_B2]));
}

START_TEST(ds_without_b2)
{
    struct moe_problem problem =
        impostor_start("T=12 H=16 I=8 E=4 K=2 dtype=bf16 router=lists bias=1");
    give_copy(&problem, MOE_B2);
    impostor.after_forward = forget_b2;
    struct moe_report report = impostor_judge(&problem);
    must_find(&report, "bound", MOE_DS, "ds");
    ck_assert_int_eq(report.finding_count, 1);
    free(given[MOE_B2].data);
}
END_TEST

/* ---- inputs --------------------------------------------------------------------------------- */

static int changed_input;

/* The last bit of the last byte. */
static void change_input(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    (void)problem;
    const struct moe_tensor *tensor = &tensors[changed_input];
    ((unsigned char *)tensor->data)[moe_tensor_bytes(tensor) - 1] ^= 1;
}

static const char *const with_inputs[] = {
    "T=9 H=16 I=8 E=4 K=2 bias=1 router-bias=1 shared=4 shared-gate=1 router=sigmoid sel-bias=1",
    "T=9 H=16 I=8 E=4 K=2 bias=1 router=lists routing=ragged",
    "T=9 H=16 I=8 E=4 K=2 router=lists",
};

/* Each input, in the forward pass or in the backward pass; lists that are made illegal among them.
 */
START_TEST(inputs_changed)
{
    struct moe_problem problem = impostor_start(with_inputs[_i / 2]);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        if (!moe_tensor_exists(&problem, id) || is_output(&problem, id) ||
            moe_tensor_info(id)->role == MOE_PARAMETER_GRADIENT)
            continue;
        impostor_start(with_inputs[_i / 2]);
        changed_input = id;
        *(_i % 2 ? &impostor.after_backward : &impostor.after_forward) = change_input;
        if (_i % 2 == 0 && (id == MOE_OFFSETS || id == MOE_PICKS))
            continue; /* the reference itself would refuse them */
        struct moe_report report = impostor_judge(&problem);
        must_find(&report, "inputs", id, moe_tensor_info(id)->name);
    }
}
END_TEST

/* ---- routing -------------------------------------------------------------------------------- */

static int store(void *context, const struct moe_block *block)
{
    const struct moe_tensor *tensor = &((const struct moe_tensor *)context)[block->tensor];
    int64_t width = tensor->shape[tensor->rank - 1];
    for (int64_t r = 0; r < block->rows; r++)
        for (int64_t c = 0; c < block->cols; c++)
            tensor_set(tensor, (block->row + r) * width + block->col + c,
                       block->value[r * block->stride + c]);
    return MOE_OK;
}

/* The forward pass again with other picks: all that follows from them is right. */
static void repick(const struct moe_problem *problem, struct moe_tensor *tensors,
                   void (*change)(const struct moe_problem *, int32_t *pick))
{
    struct moe_routing routing, changed;
    ck_assert_int_eq(moe_routing_from_tensors(problem, tensors, &routing), MOE_OK);
    change(problem, routing.pick);
    ck_assert_int_eq(moe_routing_from_lists(problem->T, problem->E, problem->K, NULL, routing.pick,
                                            routing.score, &changed),
                     MOE_OK);
    struct moe_reference reference = {.problem = problem,
                                      .tensors = tensors,
                                      .routing = &changed,
                                      .passes = MOE_PASS_FORWARD,
                                      .precision = MOE_F64,
                                      .take = store,
                                      .context = tensors};
    ck_assert_int_eq(moe_reference_run(&reference), MOE_OK);
    moe_routing_free(&routing);
    moe_routing_free(&changed);
}

/* An expert that was not picked, for the last pick. */
static void pick_another(const struct moe_problem *problem, int32_t *pick)
{
    int32_t *mine = pick + AT_TOKEN * problem->K, other = 0;
    for (int64_t k = 0; k < problem->K; k++)
        if (mine[k] == other) {
            other++;
            k = -1;
        }
    mine[problem->K - 1] = other;
}

static void pick_in_other_order(const struct moe_problem *problem, int32_t *pick)
{
    int32_t *mine = pick + AT_TOKEN * problem->K, first = mine[0];
    mine[0] = mine[1];
    mine[1] = first;
}

static void with_another_pick(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    repick(problem, tensors, pick_another);
}

static void with_another_order(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    repick(problem, tensors, pick_in_other_order);
}

static const char *const routed[] = {"router=topk-softmax", "router=sigmoid sel-bias=1",
                                     "router=softmax-topk renorm=1 dtype=f32"};

/* Everything follows from the wrong picks as it should, so the check of routing alone can tell. */
START_TEST(wrong_picks)
{
    char line[160];
    snprintf(line, sizeof line, "T=12 H=16 I=8 E=6 K=3 %s", routed[_i / 2]);
    struct moe_problem problem = impostor_start(line);
    impostor.after_forward = _i % 2 ? with_another_order : with_another_pick;
    struct moe_report report = impostor_judge(&problem);
    const struct moe_finding *finding = must_find(&report, "routing", MOE_PICKS, line);
    ck_assert_msg(report.finding_count == 1, "%s: %s", line, report.finding[1].text);
    ck_assert_int_eq(finding->token, AT_TOKEN);
    ck_assert_int_eq(finding->wrong, 1);
}
END_TEST

/* Token rounding of tokens that are all alike: expert 0 takes the first 16 of 20, or the 17th in
 * place of the 16th. */
static void take_the_later(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    (void)problem;
    tensor_set(&tensors[MOE_OFFSETS], 16, 15);
}

START_TEST(later_of_tokens_alike)
{
    static const char *const lines[] = {
        "T=20 H=16 I=8 E=4 K=1 router=softmax-topk round=down round-to=8 data=constant",
        "T=20 H=16 I=8 E=4 K=1 router=softmax-topk round=nearest round-to=16 data=zero dtype=f32",
    };
    struct moe_problem problem = impostor_start(lines[_i]);
    impostor.checks = "ties";
    struct moe_report report = impostor_judge(&problem);
    ck_assert_msg(report.verdict == MOE_PASS, "%s: %s", lines[_i], report.finding[0].text);
    impostor.after_forward = take_the_later;
    report = impostor_judge(&problem);
    const struct moe_finding *finding = must_find(&report, "ties", MOE_PICKS, lines[_i]);
    ck_assert_msg(report.finding_count == 1, "%s: %s", lines[_i], report.finding[1].text);
    ck_assert_int_eq(finding->token, 16);
    ck_assert_int_eq(finding->expert, 0);
    ck_assert_int_eq(finding->wrong, 1);
}
END_TEST

/* ---- errors --------------------------------------------------------------------------------- */

static const struct {
    int open, forward, backward;
    enum moe_verdict verdict;
    const char *text;
} errors[] = {
    {MOE_E_UNSUPPORTED, 0, 0, MOE_SKIP, "open"},
    {MOE_E_INTERNAL, 0, 0, MOE_FAIL, "open"},
    {MOE_E_NOMEM, 0, 0, MOE_ERROR, "open"},
    {0, MOE_E_INTERNAL, 0, MOE_FAIL, "forward"},
    {0, MOE_E_USAGE, 0, MOE_FAIL, "forward"},
    {0, MOE_E_IO, 0, MOE_FAIL, "forward"},
    {0, 42, 0, MOE_FAIL, "forward"},
    {0, MOE_E_NOMEM, 0, MOE_ERROR, "forward"},
    {0, 0, MOE_E_INTERNAL, MOE_FAIL, "backward"},
    {0, 0, MOE_E_USAGE, MOE_FAIL, "backward"},
    {0, 0, MOE_E_UNSUPPORTED, MOE_SKIP, "backward"},
};

START_TEST(variant_errors)
{
    struct moe_problem problem = impostor_start("T=9 H=16 I=8 E=4 K=2");
    impostor.open_status = errors[_i].open;
    impostor.forward_status = errors[_i].forward;
    impostor.backward_status = errors[_i].backward;
    struct moe_report report = impostor_judge(&problem);
    ck_assert_msg(report.verdict == errors[_i].verdict, "%d: %s", _i,
                  moe_verdict_name(report.verdict));
    ck_assert_int_eq(report.finding_count, 1);
    ck_assert_str_eq(report.finding[0].check, "run");
    ck_assert_ptr_nonnull(strstr(report.finding[0].text, errors[_i].text));
    ck_assert_ptr_nonnull(strstr(report.finding[0].text, "not today"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("impostors");
    TCase *whole = tcase_create("whole"), *part = tcase_create("part");
    tcase_add_test(whole, no_fault);
    tcase_add_loop_test(whole, told_another_case, 0, COUNT(misread));
    tcase_add_loop_test(whole, zeros, 0, COUNT(nothing));
    tcase_add_loop_test(whole, untouched, 0, COUNT(nothing));
    tcase_add_loop_test(whole, variant_errors, 0, COUNT(errors));
    suite_add_tcase(suite, whole);
    tcase_add_loop_test(part, one_thing_wrong, 0, COUNT(spoiled));
    tcase_add_test(part, last_expert_skipped);
    tcase_add_test(part, gate_and_up_exchanged);
    tcase_add_test(part, ds_without_b2);
    tcase_add_loop_test(part, inputs_changed, 0, 2 * COUNT(with_inputs));
    tcase_add_loop_test(part, wrong_picks, 0, 2 * COUNT(routed));
    tcase_add_loop_test(part, later_of_tokens_alike, 0, 2);
    suite_add_tcase(suite, part);
    return run_suite(suite);
}

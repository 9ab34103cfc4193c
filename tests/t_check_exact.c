/*
 * t_check_exact.c - the check of bits on exact data: silent about every legal way to compute the
 * layer, and certain to find what stays inside a bound.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/impostor.h"

extern const struct moe_variant moe_variant_naive, moe_variant_ref_f32;

/* ---- a forward pass with habits ------------------------------------------------------------- */

/* How sums are taken and where values are rounded; F64 in a type's place rounds nothing. */
static const struct habit {
    const char *name;
    const char *line; /* of the cases; the dtype is bf16 where it names none */
    enum moe_dtype accumulator, operand, point, combine, score;
    int from_above; /* k falls */
    int parts;      /* of a sum, each summed alone */
    int truncates;  /* the store of o */
    int tensor;     /* in which it must be found; -1: it is legal */
} habits[] = {
    {"f32", "", MOE_F32, MOE_F64, MOE_F64, MOE_F32, MOE_F32, 0, 1, 0, -1},
    {"f32 from above", "", MOE_F32, MOE_F64, MOE_F64, MOE_F32, MOE_F32, 1, 1, 0, -1},
    {"f32 in 4 parts", "", MOE_F32, MOE_F64, MOE_F64, MOE_F32, MOE_F32, 0, 4, 0, -1},
    {"f32, every point rounded", "", MOE_F32, MOE_F64, MOE_BF16, MOE_F32, MOE_F32, 1, 3, 0, -1},
    {"f64", "", MOE_F64, MOE_F64, MOE_F64, MOE_F64, MOE_F64, 0, 1, 0, -1},
    {"bf16 sums", "data=exact2", MOE_BF16, MOE_F64, MOE_F64, MOE_F32, MOE_F32, 0, 1, 0, MOE_Z},
    {"bf16 sums", "data=exact2", MOE_BF16, MOE_F64, MOE_F64, MOE_F32, MOE_F32, 0, 1, 0, MOE_O},
    {"f16 sums", "data=exact2", MOE_F16, MOE_F64, MOE_F64, MOE_F32, MOE_F32, 0, 1, 0, MOE_Z},
    {"f16 sums", "data=exact2 dtype=f16", MOE_F16, MOE_F64, MOE_F64, MOE_F32, MOE_F32, 1, 1, 0,
     MOE_Z},
    {"f16 operands", "data=exact2 dtype=f32", MOE_F32, MOE_F16, MOE_F64, MOE_F32, MOE_F32, 0, 1, 0,
     MOE_Z}, /* f16 keeps as many bits as tf32 */
    {"store truncates", "data=exact1", MOE_F32, MOE_F64, MOE_F64, MOE_F32, MOE_F32, 0, 1, 1, MOE_O},
    {"bf16 combine", "data=exact1", MOE_F32, MOE_F64, MOE_F64, MOE_BF16, MOE_F32, 0, 1, 0, MOE_O},
    {"bf16 scores", "data=exact1", MOE_F32, MOE_F64, MOE_F64, MOE_F32, MOE_BF16, 0, 1, 0, MOE_O},
};

static const struct habit *habit;

static double rounded(enum moe_dtype dtype, double value)
{
    return moe_dtype_round(dtype, value, 0);
}

/* sum over n of a_i b_i, as the habit has it. */
static double dot(int64_t n, const double *a, const double *b)
{
    double sum = 0;
    for (int part = 0; part < habit->parts; part++) {
        const int64_t first = part * n / habit->parts, end = (part + 1) * n / habit->parts;
        double partial = 0;
        for (int64_t j = first; j < end; j++) {
            const int64_t i = habit->from_above ? first + end - 1 - j : j;
            const double x = rounded(habit->operand, a[i]), y = rounded(habit->operand, b[i]);
            partial = rounded(habit->accumulator, partial + x * y);
        }
        sum = rounded(habit->accumulator, sum + partial);
    }
    return sum;
}

/* One row: its z, and s y added to o. */
static void row(const struct moe_problem *p, const struct moe_tensor *tensors, int64_t r, int64_t t,
                int64_t e, double s, double *o)
{
    const struct moe_act_info *act = moe_act_info(p->act);
    const int64_t H = p->H, I = p->I, longest = H > I ? H : I;
    double *x = malloc((size_t)(2 * longest + I) * sizeof *x);
    double *w = x + longest, *a = w + longest, z[2];
    for (int64_t k = 0; k < H; k++)
        x[k] = tensor_get(&tensors[MOE_X], t * H + k);
    for (int64_t c = 0; c < 2 * I; c++) {
        for (int64_t k = 0; k < H; k++)
            w[k] = tensor_get(&tensors[MOE_W1], (e * 2 * I + c) * H + k);
        z[c % 2] = dot(H, x, w);
        tensor_set(&tensors[MOE_Z], r * 2 * I + c, z[c % 2]);
        a[c / 2] = rounded(habit->point, act->gate(z[0], 0) * z[1]);
    }
    for (int64_t h = 0; h < H; h++) {
        for (int64_t i = 0; i < I; i++)
            w[i] = tensor_get(&tensors[MOE_W2], (e * H + h) * I + i);
        const double y = rounded(habit->point, dot(I, a, w));
        o[t * H + h] = rounded(habit->combine, o[t * H + h] + rounded(habit->combine, s * y));
    }
    free(x);
}

/* Cut off at the bits that a type of bf16 keeps of a float. */
static double cut_to_bf16(double value)
{
    float single = (float)value;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    bits &= 0xffff0000;
    memcpy(&single, &bits, sizeof bits);
    return single;
}

static void forward_with_habit(const struct moe_problem *p, struct moe_tensor *tensors)
{
    const int64_t TH = p->T * p->H;
    double *o = calloc((size_t)TH + 1, sizeof *o);
    struct moe_routing routing;
    ck_assert_int_eq(moe_routing_from_tensors(p, tensors, &routing), MOE_OK);
    for (int64_t e = 0; e < p->E; e++)
        for (int64_t r = routing.expert_begin[e]; r < routing.expert_begin[e + 1]; r++) {
            const double s = routing.score[routing.row_entry[r]];
            row(p, tensors, r, routing.row_token[r], e, rounded(habit->score, s), o);
        }
    for (int64_t i = 0; i < TH; i++)
        tensor_set(&tensors[MOE_O], i, habit->truncates ? cut_to_bf16(o[i]) : o[i]);
    moe_routing_free(&routing);
    free(o);
}

static struct moe_problem with_seed(const char *line, int seed)
{
    char text[200];
    snprintf(text, sizeof text, "%s seed=%d", line, seed);
    struct moe_problem problem = impostor_start(text);
    impostor.checks = "routing,exact";
    return problem;
}

/* The three kinds of exact data are met in turn. */
static int seeds(void)
{
    return as_many(10, 3);
}

START_TEST(habits_are_found)
{
    habit = &habits[_i];
    static const char *const data[] = {"data=exact0", "data=exact1", "data=exact2"};
    for (int seed = 0; seed < seeds(); seed++) {
        char line[160];
        snprintf(line, sizeof line, "T=21 H=40 I=24 E=4 K=3 router=lists %s",
                 habit->tensor < 0 ? data[seed % 3] : habit->line);
        struct moe_problem problem = with_seed(line, seed);
        impostor.after_forward = forward_with_habit;
        struct moe_report report = impostor_judge(&problem);
        if (habit->tensor >= 0)
            must_find(&report, "exact", habit->tensor, habit->name);
        else
            ck_assert_msg(report.verdict == MOE_PASS && report.finding_count == 0,
                          "%s, seed %d: %s", habit->name, seed, report.finding[0].text);
    }
}
END_TEST

/* ---- one gate ------------------------------------------------------------------------------- */

static struct {
    int64_t entry;
    double by;
} gate_fault;

/* The forward pass once more, with one score that is wrong; the backward pass is right. */
static void one_gate(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    struct moe_tensor own[MOE_TENSOR_COUNT], *scores = &own[MOE_SCORES];
    memcpy(own, tensors, sizeof own);
    const size_t bytes = (size_t)moe_tensor_bytes(scores);
    scores->data = memcpy(malloc(bytes), scores->data, bytes);
    tensor_set(scores, gate_fault.entry, tensor_get(scores, gate_fault.entry) + gate_fault.by);
    const struct moe_call call = {.tensors = own};
    void *state;
    ck_assert_int_eq(moe_variant_ref.open(NULL, problem, 0, &state), MOE_OK);
    ck_assert_int_eq(moe_variant_ref.forward(state, &call), MOE_OK);
    moe_variant_ref.close(state);
    free(scores->data);
}

static const char *const gate_lines[] = {
    "T=16 H=64 I=32 E=8 K=2 router=lists data=exact1",
    "T=11 H=96 I=16 E=4 K=1 router=lists data=exact1",
    "T=9 H=128 I=48 E=16 K=4 router=lists data=exact1 bias=1",
    "T=12 H=64 I=32 E=8 K=2 router=lists data=exact1 act=geglu dtype=f16",
    "T=12 H=64 I=32 E=8 K=2 router=lists data=exact1 weight=before-w2",
    "T=12 H=64 I=32 E=8 K=2 router=lists data=exact1 weight=input",
    "T=12 H=64 I=32 E=8 K=2 router=lists data=exact1 act=relu dtype=f32",
};

/* Every gate of every token by 1/2048, up and down, in every seed; in a few, one in seven. */
START_TEST(gate_off_by_1_2048)
{
    for (int seed = 0; seed < 3; seed++) {
        const struct moe_problem sizes = problem_of(gate_lines[_i]);
        for (int64_t entry = seed; entry < sizes.T * sizes.K; entry += as_many(1, 7)) {
            struct moe_problem problem = with_seed(gate_lines[_i], seed);
            char what[200];
            gate_fault.entry = entry;
            gate_fault.by = (entry + seed) % 2 ? 0x1p-11 : -0x1p-11;
            impostor.after_forward = one_gate;
            snprintf(what, sizeof what, "%s seed=%d, gate %d", gate_lines[_i], seed, (int)entry);
            struct moe_report report = impostor_judge(&problem);
            const struct moe_finding *finding = must_find(&report, "exact", MOE_O, what);
            ck_assert_msg(finding->token == entry / sizes.K, "%s: token %d", what,
                          (int)finding->token);
        }
    }
}
END_TEST

/* ---- one k ---------------------------------------------------------------------------------- */

static struct {
    enum moe_tensor_id tensor; /* x or w2 */
    int64_t k;
} missing;

/* The forward pass once more, without one k of a product. */
static void one_k_less(const struct moe_problem *problem, struct moe_tensor *tensors)
{
    struct moe_tensor own[MOE_TENSOR_COUNT], *less = &own[missing.tensor];
    memcpy(own, tensors, sizeof own);
    const size_t bytes = (size_t)moe_tensor_bytes(less);
    const int64_t width = less->shape[less->rank - 1];
    less->data = memcpy(malloc(bytes), less->data, bytes);
    for (int64_t i = missing.k; i < moe_tensor_count(less); i += width)
        tensor_set(less, i, 0);
    const struct moe_call call = {.tensors = own};
    void *state;
    ck_assert_int_eq(moe_variant_ref.open(NULL, problem, 0, &state), MOE_OK);
    ck_assert_int_eq(moe_variant_ref.forward(state, &call), MOE_OK);
    moe_variant_ref.close(state);
    free(less->data);
}

static const struct {
    const char *line;
    enum moe_tensor_id tensor, found;
} contractions[] = {
    {"T=32 H=1024 I=24 E=2 K=2 router=lists data=exact0", MOE_X, MOE_Z},
    {"T=32 H=1024 I=24 E=2 K=1 router=lists data=exact1 dtype=f16", MOE_X, MOE_Z},
    {"T=32 H=1024 I=24 E=2 K=1 router=lists data=exact2", MOE_X, MOE_Z},
    {"T=32 H=24 I=1024 E=2 K=2 router=lists data=exact0", MOE_W2, MOE_O},
    {"T=32 H=24 I=1024 E=2 K=1 router=lists data=exact1", MOE_W2, MOE_O},
    {"T=32 H=24 I=1024 E=2 K=1 router=lists data=exact2 act=silu", MOE_W2, MOE_O},
};

START_TEST(one_k_of_1024_missing)
{
    const int64_t from[] = {0, 1, 511, 512, 1022, 1023};
    for (int i = 0; i < COUNT(from) + as_many(10, 0); i += as_many(1, 5)) {
        char what[160];
        struct moe_problem problem = with_seed(contractions[_i].line, i);
        missing.tensor = contractions[_i].tensor;
        missing.k = i < COUNT(from) ? from[i] : (int64_t)(i * 97) % 1024;
        impostor.after_forward = one_k_less;
        snprintf(what, sizeof what, "%s seed=%d, k=%d", contractions[_i].line, i, (int)missing.k);
        struct moe_report report = impostor_judge(&problem);
        must_find(&report, "exact", contractions[_i].found, what);
    }
}
END_TEST

/* ---- rows and halves ------------------------------------------------------------------------ */

/* Changes the scores of token 3 in what both passes are given. */
static void swap_slots(struct moe_tensor *scores, int64_t K)
{
    const double first = tensor_get(scores, 3 * K);
    tensor_set(scores, 3 * K, tensor_get(scores, 3 * K + 1));
    tensor_set(scores, 3 * K + 1, first);
}

static void drop_pair(struct moe_tensor *scores, int64_t K)
{
    tensor_set(scores, 3 * K + 1, 0);
}

static const struct {
    void (*change)(struct moe_tensor *scores, int64_t K);
    const char *name;
} score_faults[] = {{swap_slots, "swapped slots"}, {drop_pair, "dropped pair"}};

START_TEST(wrong_scores)
{
    static const char *const lines[] = {
        "T=9 H=64 I=32 E=8 K=2 router=lists data=exact0",
        "T=9 H=64 I=32 E=8 K=2 router=lists data=exact1",
        "T=9 H=64 I=32 E=8 K=2 router=lists data=exact2 weight=before-w2",
    };
    for (int i = 0; i < COUNT(lines) * seeds(); i++) {
        struct moe_problem problem = with_seed(lines[i % COUNT(lines)], i);
        struct moe_tensors drawn = tensors_of(&problem);
        struct moe_tensor given[MOE_TENSOR_COUNT] = {[MOE_SCORES] = drawn.tensor[MOE_SCORES]};
        const double a = tensor_get(&given[MOE_SCORES], 3 * problem.K);
        const double b = tensor_get(&given[MOE_SCORES], 3 * problem.K + 1);
        score_faults[_i].change(&given[MOE_SCORES], problem.K);
        impostor.given = given;
        struct moe_report report = impostor_judge(&problem);
        if (a == b && _i == 0)
            ck_assert_int_eq(report.verdict, MOE_PASS); /* nothing was changed */
        else
            must_find(&report, "exact", MOE_O, score_faults[_i].name);
        moe_tensors_free(&drawn);
    }
}
END_TEST

static const struct {
    const char *line, *key, *value;
    enum moe_tensor_id tensor;
} misread[] = {
    {"data=exact0", "w1", "halves", MOE_O},
    {"data=exact1 w1=halves", "w1", "interleaved", MOE_O},
    {"data=exact2 w1=halves", "w1", "interleaved8", MOE_DX},
    {"data=exact0 router=lists bias=1", "bias", "0", MOE_Z},
    {"data=exact0 router=lists bias=1", "weight", "before-w2", MOE_DB2},
    {"data=exact0 router=softmax-topk scale=2", "scale", "1", MOE_SCORES},
    {"data=exact0 router=sigmoid", "renorm", "1", MOE_DLOGITS},
    {"data=exact0 act=reglu", "act", "swiglu", MOE_DW1},
    {"data=exact0 act=swiglu", "act", "reglu", MOE_DX},
    {"data=exact0 shared=8 shared-gate=1", "shared-gate", "0", MOE_O},
    {"data=exact0 beta=1 router=lists", "beta", "0", MOE_DW2},
};

START_TEST(told_another_case)
{
    for (int seed = 0; seed < seeds(); seed++) {
        char line[160];
        snprintf(line, sizeof line, "T=24 H=48 I=16 E=6 K=2 %s", misread[_i].line);
        struct moe_problem problem = with_seed(line, seed);
        ck_assert_int_eq(moe_problem_set(&impostor.told, misread[_i].key, misread[_i].value),
                         MOE_OK);
        impostor.told.seed = problem.seed;
        struct moe_report report = impostor_judge(&problem);
        must_find(&report, "exact", misread[_i].tensor, misread[_i].value);
    }
}
END_TEST

/* ---- right variants ------------------------------------------------------------------------- */

START_TEST(right_variants_pass)
{
    static const char *const acts[] = {
        "swiglu", "geglu", "geglu-tanh", "reglu", "swiglu-oai", "swiglu-clamp:10",
        "silu",   "gelu",  "gelu-tanh",  "relu",  "relu2",      "swiglu-clamp:9000"};
    static const char *const types[] = {"bf16", "f16", "f32", "f64"};
    static const char *const weights[] = {"after-w2", "before-w2", "input"};
    static const char *const routers[] = {"lists",
                                          "topk-softmax",
                                          "softmax-topk renorm=1 scale=2.5",
                                          "sigmoid router-bias=1",
                                          "sqrt-softplus",
                                          "lists routing=dropped:0.25 beta=1",
                                          "lists routing=ragged bias=1",
                                          "topk-softmax groups=2/1",
                                          "softmax-topk round=nearest round-to=4 shared=5",
                                          "sigmoid sel-bias=1 shared=8 shared-gate=1",
                                          "topk-softmax routing=ties aux=0.01"};
    static const struct moe_variant *const variants[] = {&moe_variant_ref, &moe_variant_ref_f32,
                                                         &moe_variant_naive};
    for (int i = as_many(0, _i); i < 132; i += as_many(1, 7)) {
        char line[200], why[128];
        snprintf(line, sizeof line,
                 "T=%d H=%d I=16 E=6 K=2 data=exact%d act=%s dtype=%s weight=%s "
                 "router=%s seed=%d",
                 3 + i % 29, 7 + i % 31, _i, acts[i % 12], types[i % 4], weights[i % 3],
                 routers[i % 11], i);
        struct moe_problem problem = problem_of(line);
        for (int v = 0; v < COUNT(variants); v++) {
            struct moe_report report;
            if (variants[v]->supports(&problem, why, sizeof why) != MOE_OK)
                continue;
            ck_assert_int_eq(moe_judge_variant(&problem, variants[v], NULL, &report), MOE_OK);
            ck_assert_msg(report.verdict == MOE_PASS && report.finding_count == 0, "%s: %s: %s",
                          line, variants[v]->name, report.finding[0].text);
        }
    }
}
END_TEST

/* Of Z before it is stored, the backward pass may have what is stored: clean case 11138 of
 * selftest. */
static void recipe_of_sums(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    *recipe = moe_recipe_plain(problem, MOE_F32);
    recipe->at[MOE_AT_Z].when = MOE_NEVER;
}

START_TEST(stored_z_may_be_recalled)
{
    struct moe_problem problem =
        problem_of("T=8 H=47 I=32 E=9 K=3 dtype=bf16 w1=interleaved8 router=sigmoid bias=1 "
                   "sel-bias=1 weight=input data=exact1 seed=1011153");
    struct moe_variant variant = moe_variant_ref;
    struct moe_judge_options options = {.checks = "routing,bound,exact"};
    struct moe_report report;
    variant.recipe = recipe_of_sums;
    ck_assert_int_eq(moe_judge_variant(&problem, &variant, &options, &report), MOE_OK);
    ck_assert_msg(report.verdict == MOE_PASS, "%s", report.finding[0].text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("check_exact");
    TCase *tests = tcase_create("exact");
    tcase_add_loop_test(tests, right_variants_pass, 0, 3);
    tcase_add_test(tests, stored_z_may_be_recalled);
    tcase_add_loop_test(tests, habits_are_found, 0, COUNT(habits));
    tcase_add_loop_test(tests, gate_off_by_1_2048, 0, COUNT(gate_lines));
    tcase_add_loop_test(tests, one_k_of_1024_missing, 0, COUNT(contractions));
    tcase_add_loop_test(tests, wrong_scores, 0, COUNT(score_faults));
    tcase_add_loop_test(tests, told_another_case, 0, COUNT(misread));
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

/*
 * t_judge.c - the judge on variants that are right: every value of every key, three variants, each
 * within its bounds. And what the judge hands a variant, and makes of tensors made elsewhere.
 */
#include <math.h>
#include <string.h>

#include "tests/support.h"

extern const struct moe_variant moe_variant_naive, moe_variant_ref, moe_variant_ref_f32;

static const char *const lines[] = {
    /* types */
    "T=13 H=20 I=12 E=5 K=2 dtype=bf16",
    "T=13 H=20 I=12 E=5 K=2 dtype=f16 bias=1",
    "T=13 H=20 I=12 E=5 K=2 dtype=f32 bias=1 router-bias=1",
    "T=13 H=20 I=12 E=5 K=2 dtype=f64 bias=1 router-bias=1",
    "T=13 H=20 I=12 E=5 K=2 dtype=bf16 grad=f32 bias=1",
    "T=13 H=20 I=12 E=5 K=2 dtype=f16 grad=f32 shared=3 shared-gate=1",
    /* activations */
    "T=9 H=16 I=8 E=4 K=2 dtype=bf16 act=geglu bias=1",
    "T=9 H=16 I=8 E=4 K=2 dtype=f32 act=geglu-tanh bias=1",
    "T=9 H=16 I=8 E=4 K=2 dtype=bf16 act=reglu bias=1",
    "T=9 H=16 I=8 E=4 K=2 dtype=f32 act=reglu",
    "T=9 H=16 I=8 E=4 K=2 dtype=bf16 act=swiglu-oai bias=1 data=heavy",
    "T=9 H=16 I=8 E=4 K=2 dtype=f32 act=swiglu-oai data=heavy",
    "T=9 H=16 I=8 E=4 K=2 dtype=bf16 act=swiglu-clamp:0.5 bias=1",
    "T=9 H=16 I=8 E=4 K=2 dtype=f64 act=swiglu-clamp:7 data=heavy",
    "T=9 H=16 I=8 E=4 K=2 dtype=bf16 act=silu bias=1",
    "T=9 H=16 I=8 E=4 K=2 dtype=f32 act=gelu",
    "T=9 H=16 I=8 E=4 K=2 dtype=f16 act=gelu-tanh bias=1",
    "T=9 H=16 I=8 E=4 K=2 dtype=bf16 act=relu bias=1",
    "T=9 H=16 I=8 E=4 K=2 dtype=f32 act=relu2",
    "T=9 H=16 I=8 E=4 K=2 dtype=f64 act=relu2 weight=input",
    /* layouts */
    "T=9 H=16 I=8 E=4 K=2 dtype=bf16 w1=interleaved8 bias=1",
    "T=9 H=16 I=24 E=4 K=2 dtype=f32 w1=interleaved8 shared=16",
    "T=9 H=16 I=7 E=4 K=2 dtype=bf16 w1=halves bias=1 shared=5",
    /* where the score stands */
    "T=9 H=16 I=8 E=4 K=3 dtype=bf16 weight=before-w2 bias=1",
    "T=9 H=16 I=8 E=4 K=3 dtype=f32 weight=before-w2",
    "T=9 H=16 I=8 E=4 K=3 dtype=bf16 weight=input bias=1",
    "T=9 H=16 I=8 E=4 K=3 dtype=f64 weight=input",
    "T=9 H=16 I=8 E=4 K=3 dtype=f16 weight=input act=gelu",
    /* routers */
    "T=31 H=24 I=4 E=12 K=4 dtype=bf16 scale=2.5",
    "T=31 H=24 I=4 E=12 K=4 dtype=bf16 groups=4/2",
    "T=31 H=24 I=4 E=12 K=4 dtype=bf16 router=softmax-topk router-bias=1",
    "T=31 H=24 I=4 E=12 K=4 dtype=f32 router=softmax-topk renorm=1 scale=0.125",
    "T=31 H=24 I=4 E=12 K=4 dtype=f32 router=softmax-topk groups=3/1",
    "T=31 H=24 I=4 E=12 K=4 dtype=bf16 router=sigmoid sel-bias=1",
    "T=31 H=24 I=4 E=12 K=4 dtype=f32 router=sigmoid renorm=1 scale=2.5 groups=4/2 sel-bias=1",
    "T=31 H=24 I=4 E=12 K=2 dtype=f64 router=sigmoid groups=12/3",
    "T=31 H=24 I=4 E=12 K=4 dtype=bf16 router=sqrt-softplus",
    "T=31 H=24 I=4 E=12 K=4 dtype=f32 router=sqrt-softplus renorm=1 sel-bias=1 router-bias=1",
    "T=31 H=24 I=4 E=12 K=1 dtype=bf16",
    "T=31 H=24 I=4 E=12 K=12 dtype=bf16 router=sigmoid",
    /* losses */
    "T=31 H=24 I=4 E=6 K=2 dtype=bf16 aux=0.01 router-bias=1",
    "T=31 H=24 I=4 E=6 K=2 dtype=f32 zloss=0.001 router-bias=1",
    "T=31 H=24 I=4 E=6 K=2 dtype=f64 router=softmax-topk aux=1 zloss=1",
    "T=31 H=24 I=4 E=6 K=2 dtype=bf16 router=sigmoid aux=0.1 zloss=0.1",
    /* token rounding */
    "T=40 H=16 I=4 E=5 K=2 dtype=bf16 router=softmax-topk round=nearest round-to=8",
    "T=40 H=16 I=4 E=5 K=2 dtype=f32 router=softmax-topk round=up round-to=8 aux=0.1",
    "T=40 H=16 I=4 E=5 K=2 dtype=bf16 router=softmax-topk round=down round-to=8 bias=1",
    "T=40 H=16 I=4 E=5 K=2 dtype=f32 router=softmax-topk round=stochastic round-to=7 scale=2",
    "T=40 H=16 I=4 E=5 K=2 dtype=f64 router=softmax-topk round=balanced round-to=8",
    "T=40 H=16 I=4 E=5 K=1 dtype=bf16 router=softmax-topk round=down round-to=128",
    "T=40 H=16 I=4 E=5 K=1 dtype=bf16 router=softmax-topk round=up round-to=128",
    "T=40 H=16 I=4 E=6 K=3 dtype=f32 router=softmax-topk round=balanced round-to=8 routing=ties",
    "T=40 H=16 I=4 E=6 K=2 dtype=bf16 router=softmax-topk round=nearest round-to=4 routing=ties",
    /* lists */
    "T=19 H=16 I=8 E=7 K=3 dtype=bf16 router=lists bias=1",
    "T=19 H=16 I=8 E=7 K=3 dtype=f32 router=lists routing=dropped:0.5 weight=input",
    "T=19 H=16 I=8 E=7 K=3 dtype=bf16 router=lists routing=dropped:1 bias=1",
    "T=19 H=16 I=8 E=7 K=7 dtype=bf16 router=lists routing=ragged bias=1",
    "T=19 H=16 I=8 E=7 K=3 dtype=f64 router=lists routing=ragged weight=before-w2",
    "T=19 H=16 I=8 E=7 K=3 dtype=f16 router=lists routing=zipf:4",
    "T=19 H=16 I=8 E=7 K=3 dtype=bf16 router=lists routing=hot",
    /* the shared expert, and what is added to */
    "T=19 H=16 I=8 E=4 K=2 dtype=bf16 shared=6",
    "T=19 H=16 I=8 E=4 K=2 dtype=bf16 shared=20 shared-gate=1 act=relu2",
    "T=19 H=16 I=8 E=4 K=2 dtype=f32 shared=6 shared-gate=1 beta=1 bias=1 router-bias=1",
    "T=19 H=16 I=8 E=4 K=2 dtype=bf16 beta=1 bias=1 weight=before-w2",
    "T=19 H=16 I=8 E=4 K=2 dtype=bf16 grad=f32 beta=1 router=sigmoid",
    "T=19 H=16 I=8 E=4 K=2 dtype=f64 beta=1 router=lists routing=ragged",
    /* routings */
    "T=24 H=32 I=8 E=8 K=2 dtype=bf16 routing=zipf:1.1",
    "T=24 H=32 I=8 E=8 K=2 dtype=bf16 routing=hot",
    "T=24 H=32 I=8 E=8 K=2 dtype=f32 routing=same",
    "T=24 H=32 I=8 E=8 K=2 dtype=bf16 routing=first",
    "T=24 H=32 I=8 E=8 K=2 dtype=bf16 routing=last bias=1",
    "T=24 H=32 I=8 E=8 K=2 dtype=f32 routing=sparse",
    "T=24 H=32 I=8 E=8 K=3 dtype=bf16 routing=ties router-bias=1",
    "T=24 H=32 I=8 E=8 K=3 dtype=f32 router=sigmoid routing=ties groups=4/3 sel-bias=1",
    "T=24 H=32 I=8 E=8 K=2 dtype=bf16 routing=first-empty",
    "T=24 H=32 I=8 E=8 K=2 dtype=f32 routing=last-empty",
    "T=24 H=32 I=8 E=7 K=3 dtype=bf16 routing=odd-empty router=lists",
    "T=24 H=32 I=8 E=8 K=4 dtype=f16 routing=tail-empty router=sigmoid",
    "T=24 H=32 I=8 E=8 K=3 dtype=bf16 routing=sorted router=lists",
    "T=64 H=32 I=8 E=8 K=2 dtype=bf16 routing=edges router=lists bias=1",
    "T=64 H=64 I=8 E=8 K=2 dtype=f16 routing=edges data=exact0",
    /* values */
    "T=24 H=32 I=8 E=4 K=2 dtype=bf16 data=heavy bias=1",
    "T=24 H=32 I=8 E=4 K=2 dtype=f16 data=heavy weight=input",
    "T=24 H=32 I=8 E=4 K=2 dtype=bf16 data=positive bias=1",
    "T=24 H=32 I=8 E=4 K=2 dtype=f16 data=constant",
    "T=24 H=32 I=8 E=4 K=2 dtype=bf16 data=tiny bias=1",
    "T=24 H=32 I=8 E=4 K=2 dtype=f16 data=tiny weight=before-w2",
    "T=24 H=32 I=8 E=4 K=2 dtype=f16 data=large bias=1",
    "T=24 H=32 I=8 E=4 K=2 dtype=bf16 data=large router=sigmoid",
    "T=24 H=32 I=8 E=4 K=2 dtype=f32 data=tiny act=relu2",
    "T=24 H=32 I=8 E=4 K=2 dtype=bf16 data=sparse act=reglu",
    "T=24 H=32 I=8 E=4 K=2 dtype=bf16 data=zero bias=1 router-bias=1",
    "T=24 H=32 I=8 E=4 K=2 dtype=bf16 data=exact0 bias=1 shared=4 shared-gate=1",
    "T=24 H=32 I=8 E=4 K=2 dtype=f16 data=exact1 router=lists",
    "T=24 H=32 I=8 E=4 K=2 dtype=f32 data=exact2 router=sigmoid router-bias=1",
    /* shapes at the edge */
    "T=0 H=8 I=4 E=4 K=2 dtype=bf16 bias=1 router-bias=1 aux=1 zloss=1",
    "T=0 H=8 I=4 E=4 K=2 dtype=f32 router=lists routing=ragged beta=1",
    "T=0 H=8 I=4 E=4 K=2 dtype=bf16 router=softmax-topk round=up shared=3 shared-gate=1",
    "T=1 H=1 I=1 E=1 K=1 dtype=bf16 bias=1 router-bias=1 router=sigmoid",
    "T=1 H=5 I=3 E=64 K=8 dtype=bf16 act=silu",
    "T=200 H=3 I=5 E=2 K=1 dtype=bf16 bias=1",
};

static const struct moe_variant *const variants[] = {&moe_variant_naive, &moe_variant_ref,
                                                     &moe_variant_ref_f32};

START_TEST(right_variants_pass)
{
    struct moe_problem problem = problem_of(lines[_i]);
    const int only = as_many(-1, _i % COUNT(variants)); /* few: one of them in turn */
    for (int v = 0; v < COUNT(variants); v++) {
        struct moe_report report;
        char why[128];
        if (only >= 0 && v != only)
            continue;
        if (variants[v]->supports(&problem, why, sizeof why) != MOE_OK) {
            ck_assert_msg(v == 2 && problem.dtype == MOE_F64, "%d: %s", _i, why);
            continue;
        }
        ck_assert_int_eq(moe_judge_variant(&problem, variants[v], NULL, &report), MOE_OK);
        ck_assert_msg(report.verdict == MOE_PASS && report.finding_count == 0, "%d: %s: %s: %s", _i,
                      lines[_i], variants[v]->name, report.finding[0].text);
        ck_assert_msg(report.worst_ratio <= 1, "%d: %s: %s uses %g of a bound", _i, lines[_i],
                      variants[v]->name, report.worst_ratio);
    }
}
END_TEST

START_TEST(every_value_is_there)
{
    struct seen seen = {0};
    for (int i = 0; i < COUNT(lines); i++) {
        struct moe_problem problem = problem_of(lines[i]);
        see(&seen, &problem);
    }
    ck_assert_uint_eq(seen.dtype, 1u << MOE_BF16 | 1u << MOE_F16 | 1u << MOE_F32 | 1u << MOE_F64);
    ck_assert_uint_eq(seen.grad, (1u << MOE_GRAD_COUNT) - 1);
    ck_assert_uint_eq(seen.act, (1u << MOE_ACT_COUNT) - 1);
    ck_assert_uint_eq(seen.w1, (1u << MOE_W1_COUNT) - 1);
    ck_assert_uint_eq(seen.router, (1u << MOE_ROUTER_COUNT) - 1);
    ck_assert_uint_eq(seen.round, (1u << MOE_ROUND_COUNT) - 1);
    ck_assert_uint_eq(seen.weight, (1u << MOE_WEIGHT_COUNT) - 1);
    ck_assert_uint_eq(seen.routing, (1u << MOE_ROUTING_COUNT) - 1);
    ck_assert_uint_eq(seen.data, (1u << MOE_DATA_COUNT) - 1);
    ck_assert_uint_eq(seen.on, (1u << SEEN_KEYS) - 1);
    ck_assert_uint_eq(seen.off, (1u << SEEN_KEYS) - 1);
}
END_TEST

/* ---- what a variant is handed --------------------------------------------------------------- */

#define WORKSPACE 100
#define KEPT 60

/* The reference, looking at everything that it gets. */
static struct {
    int64_t workspace;
    int opened, closed, forwards, backwards, configuration, forward_status;
    int phases[8], phase_count;
} seen_by_probe;

static int64_t workspace_bytes(const struct moe_problem *problem)
{
    (void)problem;
    return seen_by_probe.workspace;
}

static int64_t kept_bytes(const struct moe_problem *problem)
{
    (void)problem;
    return KEPT;
}

static int all_bytes(const void *memory, size_t count, unsigned char byte)
{
    for (size_t i = 0; i < count; i++)
        if (((const unsigned char *)memory)[i] != byte)
            return 0;
    return 1;
}

static int open_probe(struct moe_device *device, const struct moe_problem *problem,
                      int32_t configuration, void **state)
{
    ck_assert_ptr_null(device);
    seen_by_probe.opened++;
    seen_by_probe.configuration = configuration;
    return moe_variant_ref.open(device, problem, configuration, state);
}

static int probe_forward(void *state, const struct moe_call *call)
{
    seen_by_probe.forwards++;
    ck_assert_ptr_null(call->stream);
    ck_assert_uint_eq(*call->status, 0);
    ck_assert(all_bytes(call->workspace, WORKSPACE, 0xff));
    ck_assert(all_bytes(call->kept, KEPT, 0xff));
    for (int id = MOE_OFFSETS; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &call->tensors[id];
        if (tensor->data && moe_tensor_info(id)->role != MOE_PARAMETER_GRADIENT)
            ck_assert(all_bytes(tensor->data, (size_t)moe_tensor_bytes(tensor), 0xff));
        if (tensor->data && moe_tensor_info(id)->role == MOE_PARAMETER_GRADIENT)
            ck_assert(!all_bytes(tensor->data, (size_t)moe_tensor_bytes(tensor), 0xff));
    }
    memset(call->workspace, 1, WORKSPACE);
    memset(call->kept, 2, KEPT);
    int status = moe_variant_ref.forward(state, call);
    return seen_by_probe.forward_status == MOE_OK ? status : seen_by_probe.forward_status;
}

static int probe_backward(void *state, const struct moe_call *call)
{
    seen_by_probe.backwards++;
    ck_assert(all_bytes(call->workspace, WORKSPACE, 0xff));
    ck_assert(all_bytes(call->kept, KEPT, 2));
    return moe_variant_ref.backward(state, call);
}

static void close_probe(void *state)
{
    seen_by_probe.closed++;
    moe_variant_ref.close(state);
}

static void phase(void *context, enum moe_phase phase)
{
    ck_assert_ptr_eq(context, &seen_by_probe);
    seen_by_probe.phases[seen_by_probe.phase_count++] = phase;
}

/* What beta=1 adds to was drawn; the other outputs, workspace and kept memory are poisoned. */
START_TEST(what_a_variant_is_handed)
{
    static const int32_t configuration = 3;
    struct moe_problem problem = problem_of("T=9 H=16 I=8 E=4 K=2 beta=1 bias=1 router-bias=1");
    struct moe_variant probe = moe_variant_ref;
    struct moe_report report;
    struct moe_judge_options options = {.configuration = configuration,
                                        .checks = "inputs,guards,routing,bound",
                                        .phase = phase,
                                        .context = &seen_by_probe};
    probe.workspace_bytes = workspace_bytes;
    probe.kept_bytes = kept_bytes;
    probe.open = open_probe;
    probe.forward = probe_forward;
    probe.backward = probe_backward;
    probe.close = close_probe;
    seen_by_probe.workspace = WORKSPACE;
    ck_assert_int_eq(moe_judge_variant(&problem, &probe, &options, &report), MOE_OK);
    ck_assert_int_eq(report.verdict, MOE_PASS);
    ck_assert(seen_by_probe.opened == 1 && seen_by_probe.closed == 1);
    ck_assert(seen_by_probe.forwards == 1 && seen_by_probe.backwards == 1);
    ck_assert_int_eq(seen_by_probe.configuration, configuration);
    ck_assert_int_eq(seen_by_probe.phase_count, 2);
    ck_assert(seen_by_probe.phases[0] == MOE_PHASE_VARIANT &&
              seen_by_probe.phases[1] == MOE_PHASE_JUDGE);

    /* after an error it is closed, and not called again */
    seen_by_probe.forward_status = MOE_E_INTERNAL;
    ck_assert_int_eq(moe_judge_variant(&problem, &probe, &options, &report), MOE_OK);
    ck_assert_int_eq(report.verdict, MOE_FAIL);
    ck_assert(seen_by_probe.closed == 2 && seen_by_probe.backwards == 1);
    ck_assert_int_eq(seen_by_probe.phases[3], MOE_PHASE_JUDGE);

    /* a size that cannot be is the variant's own word */
    seen_by_probe.workspace = -1;
    ck_assert_int_eq(moe_judge_variant(&problem, &probe, &options, &report), MOE_OK);
    ck_assert_int_eq(report.verdict, MOE_FAIL);
    ck_assert_int_eq(seen_by_probe.opened, 2);
}
END_TEST

/* ---- tensors made elsewhere ----------------------------------------------------------------- */

/* Was the check of that name made? */
static int was_made(const struct moe_report *report, const char *name)
{
    for (int i = 0; moe_check_get(i); i++)
        if (strcmp(moe_check_get(i)->name, name) == 0)
            return report->judged >> i & 1;
    ck_abort_msg("there is no check %s", name);
    return 0;
}

/* A check counts as made where it had something to judge, and was asked for. */
START_TEST(checks_made)
{
    static const struct {
        const char *line, *checks, *made, *not_made[3];
    } cases[] = {
        {"T=9 H=8 I=4 E=4 K=2", NULL, "routing", {"exact", "bits", "stream"}},
        {"T=9 H=8 I=4 E=4 K=2 router=lists", NULL, "fence", {"routing", "exact", "graph"}},
        {"T=9 H=8 I=4 E=4 K=2 router=lists data=exact0", NULL, "exact", {"statistics", "bits"}},
        {"T=9 H=8 I=4 E=4 K=2", "inputs", "inputs", {"bound", "fence", "statistics"}},
        {"T=9 H=32 I=32 E=4 K=2 router=lists", "statistics", "statistics", {"inputs", "again"}},
    };
    struct moe_problem problem = problem_of(cases[_i].line);
    struct moe_judge_options options = {.checks = cases[_i].checks};
    struct moe_report report;
    ck_assert_int_eq(moe_judge_variant(&problem, &moe_variant_naive, &options, &report), MOE_OK);
    ck_assert_int_eq(report.verdict, MOE_PASS);
    ck_assert_msg(was_made(&report, cases[_i].made), "%d: %s", _i, cases[_i].made);
    for (int n = 0; n < 3 && cases[_i].not_made[n]; n++)
        ck_assert_msg(!was_made(&report, cases[_i].not_made[n]), "%d: %s", _i,
                      cases[_i].not_made[n]);
}
END_TEST

/* Cases of one seed, as people write them, do not all have the same check's turn. */
START_TEST(turns_differ)
{
    int fills = 0, strides = 0;
    for (int T = 1; T <= 40; T++) {
        struct moe_problem problem = problem_of("H=4 I=4 E=2 K=1 router=lists");
        struct moe_judge_options options = {.rotate = 1};
        struct moe_report report;
        problem.T = T;
        ck_assert_int_eq(moe_judge_variant(&problem, &moe_variant_naive, &options, &report),
                         MOE_OK);
        fills += was_made(&report, "fill");
        strides += was_made(&report, "strides");
    }
    ck_assert_msg(fills >= 3 && fills <= 20, "fill: %d of 40", fills); /* one in four */
    ck_assert_msg(strides >= 1 && strides <= 15, "strides: %d of 40", strides);
}
END_TEST

static const char *const made[] = {
    "T=13 H=20 I=12 E=5 K=2 dtype=bf16 bias=1",
    "T=13 H=20 I=12 E=5 K=2 dtype=f32 router=sigmoid groups=5/3 shared=4 shared-gate=1",
    "T=13 H=20 I=12 E=5 K=2 dtype=f64 router=lists routing=ragged bias=1",
    "T=40 H=16 I=4 E=5 K=2 dtype=f16 router=softmax-topk round=up round-to=8",
};

/* What naive made passes as anybody's, with no recipe known; one element further off does not. */
START_TEST(tensors_made_elsewhere)
{
    struct moe_problem problem = problem_of(made[_i]);
    struct moe_tensors tensors;
    struct moe_report report;
    ck_assert_int_eq(moe_variant_run(&problem, &moe_variant_naive, NULL, &tensors), MOE_OK);
    ck_assert_int_eq(moe_judge_tensors(&problem, &tensors, NULL, &report), MOE_OK);
    ck_assert_msg(report.verdict == MOE_PASS, "%d: %s", _i, report.finding[0].text);
    ck_assert(report.worst_ratio <= 1);

    const struct moe_tensor *o = &tensors.tensor[MOE_O];
    double right = tensor_get(o, 7 * problem.H + 3);
    tensor_set(o, 7 * problem.H + 3, right + 3);
    ck_assert_int_eq(moe_judge_tensors(&problem, &tensors, NULL, &report), MOE_OK);
    ck_assert(report.verdict == MOE_FAIL && report.finding_count == 1);
    ck_assert(report.finding[0].tensor == MOE_O && report.finding[0].wrong == 1);
    ck_assert(report.finding[0].token == 7 && report.finding[0].col == 3);
    tensor_set(o, 7 * problem.H + 3, right);

    /* picks that are none: the file's fault, whoever routed */
    tensor_set(&tensors.tensor[MOE_PICKS], 1, (double)problem.E);
    ck_assert_int_eq(moe_judge_tensors(&problem, &tensors, NULL, &report), MOE_OK);
    ck_assert_int_eq(report.verdict, MOE_FAIL);
    ck_assert_str_eq(report.finding[0].check, "routing");
    moe_tensors_free(&tensors);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("judge");
    TCase *right = tcase_create("right variants");
    tcase_add_loop_test(right, right_variants_pass, 0, COUNT(lines));
    tcase_add_test(right, every_value_is_there);
    suite_add_tcase(suite, right);
    TCase *ways = tcase_create("ways in");
    tcase_add_test(ways, what_a_variant_is_handed);
    tcase_add_loop_test(ways, checks_made, 0, 5);
    tcase_add_test(ways, turns_differ);
    tcase_add_loop_test(ways, tensors_made_elsewhere, 0, COUNT(made));
    suite_add_tcase(suite, ways);
    return run_suite(suite);
}

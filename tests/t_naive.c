/*
 * t_naive.c - the variant `naive` on cases small enough to be worked by hand: the expert's row in
 * every placement of the score, layouts, activations, lists, empty experts, beta, rounding,
 * strides.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/naive_case.h"

/*
 * One expert, W1 = W2 = 1, act = relu, one row: x = (3,-1), dO = (1,2), s = 1/2, b1 = (1,-1),
 * b2 = (10,20). The columns, worked by hand from the table in the design of the layer:
 *   after-w2   Z = (4,-2)      A = (4,0)    O = (4,0)/2 + (10,20)/2    ds = <(1,2),(4,0)> + 50
 *   before-w2  Z = (4,-2)      A = (4,0)    O = (2,0) + (10,20)        ds = <(1,2),(4,0)>
 *   input      Z = (2.5,-1.5)  A = (2.5,0)  O = (2.5,0) + (10,20)      ds = <(1,0),(3,-1)>
 */
static const struct {
    const char *weight;
    double z[2], o[2], ds[1], dx[2], dw1[4], db1[2], dw2[4], db2[2];
} by_hand[] = {
    {"after-w2", {4, -2}, {7, 10}, {54}, {.5, 0}, {1.5, -.5, 0, 0}, {.5, 0}, {2, 0, 4, 0}, {.5, 1}},
    {"before-w2", {4, -2}, {12, 20}, {4}, {.5, 0}, {1.5, -.5, 0, 0}, {.5, 0}, {2, 0, 4, 0}, {1, 2}},
    {"input",
     {2.5, -1.5},
     {12.5, 20},
     {3},
     {.5, 0},
     {1.5, -.5, 0, 0},
     {1, 0},
     {2.5, 0, 5, 0},
     {1, 2}},
};

static const double identity[] = {1, 0, 0, 1};

static void one_row(struct naive_case *this, const char *keys)
{
    char line[256];
    snprintf(line, sizeof line, "T=1 H=2 I=2 E=1 K=1 act=relu router=lists bias=1 %s", keys);
    naive_case_open(this, line, 0);
    naive_case_fill(this, MOE_X, 2, (double[]){3, -1});
    naive_case_fill(this, MOE_DO, 2, (double[]){1, 2});
    naive_case_fill(this, MOE_W1, 4, identity);
    naive_case_fill(this, MOE_W2, 4, identity);
    naive_case_fill(this, MOE_B1, 2, (double[]){1, -1});
    naive_case_fill(this, MOE_B2, 2, (double[]){10, 20});
    naive_case_fill(this, MOE_PICKS, 1, (double[]){0});
    naive_case_fill(this, MOE_SCORES, 1, (double[]){.5});
}

/* Both passes; beta=1 on buffers that hold `held`. */
static void expect_by_hand(int i, const char *keys, double held)
{
    struct naive_case this;
    char line[256];
    double dw1[4], dw2[4], db1[2], db2[2];
    snprintf(line, sizeof line, "weight=%s %s", by_hand[i].weight, keys);
    one_row(&this, line);
    for (int j = 0; j < 4; j++) {
        naive_case_set(&this, MOE_DW1, j, held);
        naive_case_set(&this, MOE_DW2, j, held);
        dw1[j] = by_hand[i].dw1[j] + held;
        dw2[j] = by_hand[i].dw2[j] + held;
    }
    for (int j = 0; j < 2; j++) {
        naive_case_set(&this, MOE_DB1, j, held);
        naive_case_set(&this, MOE_DB2, j, held);
        db1[j] = by_hand[i].db1[j] + held;
        db2[j] = by_hand[i].db2[j] + held;
    }
    naive_case_forward(&this);
    naive_case_backward(&this);
    naive_case_expect(&this, MOE_Z, 2, by_hand[i].z, 0);
    naive_case_expect(&this, MOE_O, 2, by_hand[i].o, 0);
    naive_case_expect(&this, MOE_DS, 1, by_hand[i].ds, 0);
    naive_case_expect(&this, MOE_DX, 2, by_hand[i].dx, 0);
    naive_case_expect(&this, MOE_DW1, 4, dw1, 0);
    naive_case_expect(&this, MOE_DB1, 2, db1, 0);
    naive_case_expect(&this, MOE_DW2, 4, dw2, 0);
    naive_case_expect(&this, MOE_DB2, 2, db2, 0);
    ck_assert_uint_eq(this.status, 0);
    naive_case_close(&this);
}

START_TEST(placements)
{
    expect_by_hand(_i, "dtype=f64", 0);
    expect_by_hand(_i, "dtype=bf16", 0);
}
END_TEST

START_TEST(beta_adds)
{
    expect_by_hand(_i, "dtype=f64 beta=1", 8);
    expect_by_hand(_i, "dtype=bf16 grad=f32 beta=1", -8);
}
END_TEST

/* One rounding: 256 + 1 + 1/2^8 in bf16 (8 bits: 256, 258, ...) is 258; 257 first would be 256. */
START_TEST(beta_rounds_once)
{
    struct naive_case this;
    one_row(&this, "dtype=bf16 beta=1");
    for (int id = MOE_DW1; id <= MOE_DB2; id++)
        for (int64_t j = 0; j < moe_tensor_count(&this.tensor[id]); j++)
            naive_case_set(&this, id, j, 256);
    naive_case_fill(&this, MOE_DO, 2, (double[]){2 + 0x1p-6, 2});
    naive_case_forward(&this);
    naive_case_backward(&this);
    /* db2 = dO / 2 */
    naive_case_expect(&this, MOE_DB2, 2, (double[]){258, 256}, 0);
    naive_case_close(&this);
}
END_TEST

/* z is rounded before the activation sees it: 1 + 2^-9 is 1 in bf16, and 1 - 1 = 0. */
START_TEST(z_is_rounded)
{
    struct naive_case this;
    one_row(&this, "dtype=bf16");
    naive_case_fill(&this, MOE_X, 2, (double[]){1, 0});
    naive_case_fill(&this, MOE_B1, 2, (double[]){0x1p-9, 0});
    naive_case_fill(&this, MOE_B2, 2, (double[]){-1, 0});
    naive_case_forward(&this);
    naive_case_expect(&this, MOE_Z, 1, (double[]){1}, 0);
    naive_case_expect(&this, MOE_O, 1, (double[]){0}, 0);
    naive_case_close(&this);
}
END_TEST

/*
 * x = 1 and W1 row j is j + 1, so z_j = j + 1; unit i alone has W2 = 1, so O = gate up of it with
 * reglu. The rows of gate and up of unit i, counted from 1, as the layouts say:
 */
static const struct {
    const char *w1;
    int unit, gate, up;
} layouts[] = {
    {"interleaved", 0, 1, 2},   {"interleaved", 5, 11, 12},  {"interleaved8", 0, 1, 9},
    {"interleaved8", 7, 8, 16}, {"interleaved8", 8, 17, 25}, {"interleaved8", 15, 24, 32},
    {"halves", 0, 1, 17},       {"halves", 15, 16, 32},
};

START_TEST(layout)
{
    struct naive_case this;
    char line[256];
    snprintf(line, sizeof line, "T=1 H=1 I=16 E=1 K=1 dtype=f64 act=reglu router=lists w1=%s",
             layouts[_i].w1);
    naive_case_open(&this, line, 0);
    for (int j = 0; j < 32; j++)
        naive_case_set(&this, MOE_W1, j, j + 1);
    for (int i = 0; i < 16; i++)
        naive_case_set(&this, MOE_W2, i, i == layouts[_i].unit);
    naive_case_fill(&this, MOE_X, 1, (double[]){1});
    naive_case_fill(&this, MOE_DO, 1, (double[]){1});
    naive_case_fill(&this, MOE_PICKS, 1, (double[]){0});
    naive_case_fill(&this, MOE_SCORES, 1, (double[]){1});
    naive_case_forward(&this);
    naive_case_backward(&this);
    int gate = layouts[_i].gate, up = layouts[_i].up;
    naive_case_expect(&this, MOE_O, 1, (double[]){gate * up}, 0);
    for (int j = 0; j < 32; j++) {
        double want = j + 1 == gate ? up : j + 1 == up ? gate : 0;
        ck_assert_msg(naive_case_get(&this, MOE_DW1, j) == want, "layout %d, row %d", _i, j);
    }
    naive_case_close(&this);
}
END_TEST

/* A = act(g, u), and its derivatives to both; u is not there where the activation is plain. */
#define LN3 1.0986122886681098
static const struct {
    const char *act;
    double g, u, a, by_gate, by_up;
} activations[] = {
    {"swiglu", LN3, 2, 1.5 * LN3, 2 * (.75 + LN3 * .1875), .75 * LN3},
    {"geglu", 1, 2, 2 * .8413447460685429, 2 * 1.0833154705876863, .8413447460685429},
    {"geglu-tanh", 1, 2, 2 * .8411919906082768, 2 * 1.0829640838457826, .8411919906082768},
    {"reglu", 3, -2, -6, -2, 3},
    {"reglu", 0, -2, 0, 0, 0},
    {"reglu", -3, 5, 0, 0, 0},
    {"swiglu-oai", 0, 3, 0, 2, 0},
    {"swiglu-oai", 0, 7, 0, 4, 0},
    {"swiglu-oai", 0, 9, 0, 4, 0},
    {"swiglu-oai", 0, -9, 0, -3, 0},
    {"swiglu-clamp:2", 0, 2, 0, 1, 0},
    {"swiglu-clamp:2", 0, 3, 0, 1, 0},
    {"swiglu-clamp:2", 0, -3, 0, -1, 0},
    {"swiglu-clamp:2", 4, 0, 0, 0, 1.7615941559557649},
    {"silu", LN3, 0, .75 * LN3, .75 + LN3 * .1875, 0},
    {"gelu", 1, 0, .8413447460685429, 1.0833154705876863, 0},
    {"gelu-tanh", 1, 0, .8411919906082768, 1.0829640838457826, 0},
    {"relu", 3, 0, 3, 1, 0},
    {"relu", 0, 0, 0, 0, 0},
    {"relu2", 3, 0, 9, 6, 0},
    {"relu2", -3, 0, 0, 0, 0},
};

START_TEST(activation)
{
    struct naive_case this;
    char line[256];
    snprintf(line, sizeof line, "T=1 H=1 I=1 E=1 K=1 dtype=f64 router=lists act=%s",
             activations[_i].act);
    naive_case_open(&this, line, 0);
    int gated = moe_tensor_count(&this.tensor[MOE_Z]) == 2;
    naive_case_set(&this, MOE_X, 0, 1);
    naive_case_set(&this, MOE_DO, 0, 1);
    naive_case_set(&this, MOE_PICKS, 0, 0);
    naive_case_set(&this, MOE_SCORES, 0, 1);
    naive_case_set(&this, MOE_W2, 0, 1);
    naive_case_fill(&this, MOE_W1, gated ? 2 : 1, (double[]){activations[_i].g, activations[_i].u});
    naive_case_forward(&this);
    naive_case_backward(&this);
    naive_case_expect(&this, MOE_O, 1, &activations[_i].a, 4e-16);
    /* x = 1, so dW1 = dZ */
    naive_case_expect(&this, MOE_DW1, gated ? 2 : 1,
                      (double[]){activations[_i].by_gate, activations[_i].by_up}, 9e-16);
    naive_case_close(&this);
}
END_TEST

/* The clamps' limit, 7 for both, belongs to the inside; up = -7, and +1 for one of them. */
START_TEST(clamp_limit)
{
    static const char *const act[] = {"swiglu-oai", "swiglu-clamp:7"};
    struct naive_case side[2]; /* at the limit, beyond it */
    char line[256];
    snprintf(line, sizeof line, "T=1 H=1 I=1 E=1 K=1 dtype=f64 router=lists act=%s", act[_i]);
    for (int j = 0; j < 2; j++) {
        naive_case_open(&side[j], line, 0);
        for (int id = 0; id < MOE_O; id++)
            if (side[j].tensor[id].data)
                naive_case_set(&side[j], id, 0, id == MOE_PICKS ? 0 : 1);
        double z = j ? nextafter(7, 8) : 7;
        naive_case_fill(&side[j], MOE_W1, 2, (double[]){z, -z});
        naive_case_forward(&side[j]);
        naive_case_backward(&side[j]);
    }
    ck_assert(naive_case_get(&side[0], MOE_O, 0) == naive_case_get(&side[1], MOE_O, 0));
    ck_assert(naive_case_get(&side[0], MOE_DW1, 0) < -5.9);
    ck_assert(naive_case_get(&side[0], MOE_DW1, 1) > 6.9);
    naive_case_expect(&side[1], MOE_DW1, 2, (double[]){0, 0}, 0);
    naive_case_close(&side[0]);
    naive_case_close(&side[1]);
}
END_TEST

/*
 * T=3, E=4: lists with a dropped pick, and what a device may meet: an id twice, ids out of range.
 * Rows are by expert, then by token; W1 = expert + 1, so z tells the row's expert and token: x = 1,
 * 10, 100.
 */
static const double list_faults[][3] = {{-1, -1, -1}, {4, -1, -1}, {-1, 3, -1}, {-1, -1, -2}};

START_TEST(lists)
{
    struct naive_case this;
    const double *bad = list_faults[_i];
    naive_case_open(
        &this, "T=3 H=1 I=1 E=4 K=3 dtype=f64 act=relu router=lists routing=dropped:0.5 bias=1", 0);
    naive_case_fill(&this, MOE_X, 3, (double[]){1, 10, 100});
    naive_case_fill(&this, MOE_DO, 3, (double[]){1, 1, 1});
    naive_case_fill(&this, MOE_W1, 4, (double[]){1, 2, 3, 4});
    naive_case_fill(&this, MOE_W2, 4, (double[]){1, 1, 1, 1});
    naive_case_fill(&this, MOE_B1, 4, (double[]){0, 0, 0, 0});
    naive_case_fill(&this, MOE_B2, 4, (double[]){0, 0, 0, 0});
    naive_case_fill(&this, MOE_PICKS, 9, (double[]){3, bad[0], 0, 3, bad[1], 0, bad[2], -1, -1});
    naive_case_fill(&this, MOE_SCORES, 9, (double[]){1, 50, 2, .5, 60, 3, 70, 80, 90});
    naive_case_forward(&this);
    naive_case_backward(&this);
    naive_case_expect(&this, MOE_Z, 4, (double[]){1, 10, 4, 40}, 0);
    for (int64_t i = 4; i < moe_tensor_count(&this.tensor[MOE_Z]); i++)
        ck_assert_msg(isnan(naive_case_get(&this, MOE_Z, i)), "z beyond N was written");
    naive_case_expect(&this, MOE_O, 3, (double[]){6, 50, 0}, 0);
    naive_case_expect(&this, MOE_DS, 9, (double[]){4, 0, 1, 40, 0, 10, 0, 0, 0}, 0);
    naive_case_expect(&this, MOE_DX, 3, (double[]){6, 5, 0}, 0);
    naive_case_expect(&this, MOE_DW1, 4, (double[]){2 + 30, 0, 0, 1 + 5}, 0);
    naive_case_expect(&this, MOE_DB2, 4, (double[]){5, 0, 0, 1.5}, 0);
    ck_assert_uint_eq(this.status, _i > 0);
    naive_case_close(&this);
}
END_TEST

/* Tokens with 2, 0 and 1 picks. */
START_TEST(ragged)
{
    struct naive_case this;
    naive_case_open(&this, "T=3 H=1 I=1 E=2 K=2 dtype=f64 act=relu router=lists routing=ragged", 0);
    naive_case_fill(&this, MOE_X, 3, (double[]){1, 10, 100});
    naive_case_fill(&this, MOE_DO, 3, (double[]){1, 1, 1});
    naive_case_fill(&this, MOE_W1, 2, (double[]){1, 2});
    naive_case_fill(&this, MOE_W2, 2, (double[]){1, 1});
    naive_case_fill(&this, MOE_OFFSETS, 4, (double[]){0, 2, 2, 3});
    naive_case_fill(&this, MOE_PICKS, 3, (double[]){1, 0, 0});
    naive_case_fill(&this, MOE_SCORES, 3, (double[]){1, 2, 3});
    naive_case_forward(&this);
    naive_case_backward(&this);
    naive_case_expect(&this, MOE_Z, 3, (double[]){1, 100, 2}, 0);
    naive_case_expect(&this, MOE_O, 3, (double[]){4, 0, 300}, 0);
    naive_case_expect(&this, MOE_DS, 3, (double[]){2, 1, 100}, 0);
    ck_assert(isnan(naive_case_get(&this, MOE_DS, 3)));
    naive_case_expect(&this, MOE_DX, 3, (double[]){4, 0, 3}, 0);
    naive_case_close(&this);
}
END_TEST

/* Offsets that run away lead to no access outside of the lists (a sanitizer would tell). */
START_TEST(ragged_hostile)
{
    struct naive_case this;
    naive_case_open(&this, "T=3 H=1 I=1 E=2 K=2 dtype=f64 act=relu router=lists routing=ragged", 0);
    naive_case_draw(&this, 1, 1);
    naive_case_fill(&this, MOE_OFFSETS, 4, (double[]){-5, 1e15, 2, 1e18});
    naive_case_forward(&this);
    naive_case_backward(&this);
    ck_assert(!isnan(naive_case_get(&this, MOE_O, 0)));
    naive_case_close(&this);
}
END_TEST

/* Expert 1 has no rows: its gradients are 0, or with beta=1 not touched, whatever they hold (NaN).
 */
START_TEST(empty_expert)
{
    struct naive_case this;
    char line[256];
    snprintf(line, sizeof line, "T=2 H=2 I=2 E=2 K=1 dtype=f32 router=lists bias=1 beta=%d", _i);
    naive_case_open(&this, line, 0);
    naive_case_draw(&this, 3, 1);
    naive_case_fill(&this, MOE_PICKS, 2, (double[]){0, 0});
    for (int id = MOE_DW1; id <= MOE_DB2; id++)
        for (int64_t j = 0; j < moe_tensor_count(&this.tensor[id]); j++)
            naive_case_set(&this, id, j, _i ? -0. : 1);
    naive_case_forward(&this);
    naive_case_backward(&this);
    for (int id = MOE_DW1; id <= MOE_DB2; id++) {
        int64_t half = moe_tensor_count(&this.tensor[id]) / 2;
        for (int64_t j = half; j < 2 * half; j++) {
            double got = naive_case_get(&this, id, j);
            ck_assert_msg(got == 0 && !signbit(got) == !_i, "beta=%d: %s[%d] is %g", _i,
                          moe_tensor_info(id)->name, (int)j, got);
        }
    }
    naive_case_close(&this);
}
END_TEST

/*
 * H = S = 1, relu, x = 2, ws1 = 3, ws2 = 1/2, wsg = 0: gate g = 1/2, Y = 3, O = 1.5. dO = 1: dg =
 * 3, dl = 3/4, dwsg = 1.5, dX = g ws2 ws1 = 3/4, dws1 = g ws2 x = 1/2, dws2 = g 6 = 3. Ungated: g
 * = 1.
 */
START_TEST(shared)
{
    struct naive_case this;
    char line[256];
    snprintf(line, sizeof line,
             "T=1 H=1 I=1 E=1 K=1 dtype=f64 act=relu router=lists routing=dropped:1 shared=1 "
             "shared-gate=%d weight=input",
             _i);
    naive_case_open(&this, line, 0);
    naive_case_draw(&this, 1, 1);
    double g = _i ? .5 : 1;
    naive_case_fill(&this, MOE_PICKS, 1, (double[]){-1});
    naive_case_fill(&this, MOE_X, 1, (double[]){2});
    naive_case_fill(&this, MOE_DO, 1, (double[]){1});
    naive_case_fill(&this, MOE_WS1, 1, (double[]){3});
    naive_case_fill(&this, MOE_WS2, 1, (double[]){.5});
    if (_i)
        naive_case_fill(&this, MOE_WSG, 1, (double[]){0});
    naive_case_forward(&this);
    naive_case_backward(&this);
    naive_case_expect(&this, MOE_O, 1, (double[]){3 * g}, 0);
    naive_case_expect(&this, MOE_DX, 1, (double[]){1.5 * g}, 0);
    naive_case_expect(&this, MOE_DWS1, 1, (double[]){g}, 0);
    naive_case_expect(&this, MOE_DWS2, 1, (double[]){6 * g}, 0);
    if (_i)
        naive_case_expect(&this, MOE_DWSG, 1, (double[]){1.5}, 0);
    naive_case_close(&this);
}
END_TEST

/* No tokens: gradients are 0, nothing else is touched. */
START_TEST(no_tokens)
{
    struct naive_case this;
    naive_case_open(&this, "T=0 H=2 I=2 E=2 K=1 dtype=bf16 bias=1 aux=1 zloss=1 shared=2", 0);
    naive_case_draw(&this, 1, 1);
    naive_case_forward(&this);
    naive_case_backward(&this);
    for (int id = MOE_DWR; id < MOE_TENSOR_COUNT; id++)
        for (int64_t j = 0; this.tensor[id].data && j < moe_tensor_count(&this.tensor[id]); j++)
            ck_assert(naive_case_get(&this, id, j) == 0);
    naive_case_close(&this);
}
END_TEST

static const char *const everywhere[] = {
    ("T=7 H=6 I=8 E=4 K=2 dtype=bf16 router=sigmoid renorm=1 scale=2.5 bias=1 router-bias=1 "
     "sel-bias=1 shared=8 shared-gate=1 aux=0.5 zloss=0.25 w1=interleaved8 grad=f32"),
    "T=7 H=6 I=8 E=4 K=2 dtype=f16 router=softmax-topk round=nearest round-to=2 weight=before-w2",
    "T=7 H=6 I=8 E=4 K=2 dtype=f32 router=lists routing=ragged weight=input bias=1",
};

/* The same values, dense and apart, give the same bits. */
START_TEST(strides)
{
    struct naive_case dense, apart;
    naive_case_open(&dense, everywhere[_i], 0);
    naive_case_open(&apart, everywhere[_i], 1);
    naive_case_draw(&dense, 5, 1);
    naive_case_draw(&apart, 5, 1);
    naive_case_forward(&dense);
    naive_case_forward(&apart);
    naive_case_backward(&dense);
    naive_case_backward(&apart);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        for (int64_t j = 0; dense.tensor[id].data && j < moe_tensor_count(&dense.tensor[id]); j++) {
            double a = naive_case_get(&dense, id, j), b = naive_case_get(&apart, id, j);
            ck_assert_msg(a == b || (isnan(a) && isnan(b)), "%s[%d]: %g dense, %g apart",
                          moe_tensor_info(id)->name, (int)j, a, b);
        }
    naive_case_close(&dense);
    naive_case_close(&apart);
}
END_TEST

/* Its workspace would need more bytes than there are numbers for. */
START_TEST(too_large)
{
    struct moe_problem problem = moe_problem_default();
    char why[64] = "";
    problem.T = (int64_t)1 << 40;
    problem.H = (int64_t)1 << 22;
    ck_assert_int_eq(moe_variant_naive.supports(&problem, why, sizeof why), MOE_E_UNSUPPORTED);
    ck_assert_msg(strstr(why, "T H I E K") != NULL, "%s", why);
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

int main(void)
{
    Suite *suite = suite_create("naive");
    TCase *by_hand_case = tcase_create("by hand");
    tcase_add_loop_test(by_hand_case, placements, 0, COUNT(by_hand));
    tcase_add_loop_test(by_hand_case, beta_adds, 0, COUNT(by_hand));
    tcase_add_test(by_hand_case, beta_rounds_once);
    tcase_add_test(by_hand_case, z_is_rounded);
    tcase_add_loop_test(by_hand_case, layout, 0, COUNT(layouts));
    tcase_add_loop_test(by_hand_case, activation, 0, COUNT(activations));
    tcase_add_loop_test(by_hand_case, clamp_limit, 0, 2);
    tcase_add_loop_test(by_hand_case, lists, 0, COUNT(list_faults));
    tcase_add_test(by_hand_case, ragged);
    tcase_add_test(by_hand_case, ragged_hostile);
    tcase_add_loop_test(by_hand_case, empty_expert, 0, 2);
    tcase_add_loop_test(by_hand_case, shared, 0, 2);
    tcase_add_test(by_hand_case, no_tokens);
    tcase_add_loop_test(by_hand_case, strides, 0, COUNT(everywhere));
    tcase_add_test(by_hand_case, too_large);
    suite_add_tcase(suite, by_hand_case);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

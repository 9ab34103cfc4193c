/*
 * t_check_routing.c - the check of picks: what is decided is demanded, near ties are admitted; and
 * token rounding likewise. x is the unit matrix (H = T), so that wr [E,T] is the matrix of logits.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support.h"
#include "verify/judge.h"

#define LN3 1.0986122886681098 /* sigmoid(ln 3) = 3/4 */
#define NEAR 0x1p-23           /* the next f32 after 1: less than what f32 may err by */
#define MOST 64

static const struct moe_check *check_routing(void)
{
    const struct moe_check *check;
    for (int i = 0; (check = moe_check_get(i)); i++)
        if (strcmp(check->name, "routing") == 0)
            return check;
    ck_abort_msg("there is no check of this name");
}

/* A case of f32 with these logits [T,E], and whatever picks a test then writes. */
static struct moe_judgement open_logits(const struct moe_problem *problem, const double *logits,
                                        struct moe_report *report)
{
    struct moe_judgement j = {.problem = problem, .subject = "test", .report = report};
    int64_t T = problem->T, E = problem->E;
    ck_assert_int_eq(problem->H, T);
    moe_report_clear(report);
    j.tensors = tensors_of(problem);
    j.recipe = moe_recipe_plain(problem, MOE_F32);
    for (int64_t t = 0; t < T; t++) {
        for (int64_t h = 0; h < T; h++)
            tensor_set(&j.tensors.tensor[MOE_X], t * T + h, t == h);
        for (int64_t e = 0; e < E; e++)
            tensor_set(&j.tensors.tensor[MOE_WR], e * T + t, logits[t * E + e]);
    }
    return j;
}

static void judge(struct moe_judgement *j)
{
    ck_assert_msg(check_routing()->after(j) == MOE_OK, "%s", moe_error_text());
    moe_routing_free(&j->routing);
    moe_tensors_free(&j->tensors);
}

/* ---- picks of a token ----------------------------------------------------------------------- */

/* The second of two tokens; the first has the same logits and `right` picks. text NULL: it passes.
 */
static const struct {
    const char *keys;
    double logits[6], sel_bias[6];
    int32_t right[4], picks[4];
    const char *text;
    int64_t expert, slot;
} tokens[] = {
    {"E=4 K=2", {3, 1, 2, 0}, {0}, {0, 2}, {0, 2}, NULL, 0, 0},
    {"E=4 K=2", {3, 1, 2, 0}, {0}, {0, 2}, {2, 0}, "descending", 2, 0},
    {"E=4 K=2", {3, 1, 2, 0}, {0}, {0, 2}, {0, 1}, "leaves out", 2, 1},
    {"E=4 K=2", {3, 1, 2, 0}, {0}, {0, 2}, {2, 1}, "leaves out", 0, 1},
    {"E=4 K=1", {3, 1, 2, 0}, {0}, {0}, {2}, "leaves out", 0, 0},
    {"E=3 K=3", {3, 1, 2}, {0}, {0, 2, 1}, {0, 1, 2}, "descending", 1, 1},
    /* near ties and ties: either, in either order; but nothing beside them */
    {"E=4 K=2", {3, 1, 1 + NEAR, 0}, {0}, {0, 2}, {0, 2}, NULL, 0, 0},
    {"E=4 K=2", {3, 1, 1 + NEAR, 0}, {0}, {0, 2}, {0, 1}, NULL, 0, 0},
    {"E=4 K=3", {3, 1, 1 + NEAR, 0}, {0}, {0, 2, 1}, {0, 1, 2}, NULL, 0, 0},
    {"E=4 K=2", {1, 1, 1, 1}, {0}, {0, 1}, {3, 1}, NULL, 0, 0},
    {"E=4 K=2", {3, 1, 1, 0}, {0}, {0, 1}, {0, 3}, "leaves out", 1, 1},
    {"E=4 K=2", {3, 1, 1, 0}, {0}, {0, 1}, {1, 2}, "leaves out", 0, 0},
    {"E=4 K=2", {3, 1, 1, 0}, {0}, {0, 1}, {1, 0}, "descending", 1, 0},
    /* no tie: 1e-4 is a thousand times what f32 may err by */
    {"E=4 K=2", {3, 1, 1.0001, 0}, {0}, {0, 2}, {0, 1}, "leaves out", 2, 1},
    {"E=4 K=3", {3, 1, 1.0001, 0}, {0}, {0, 2, 1}, {0, 1, 2}, "descending", 1, 1},
    /* other routers pick by their scores and the bias */
    {"E=3 K=2 router=sigmoid sel-bias=1", {0, 0, 0}, {.25, .5, 0}, {1, 0}, {1, 0}, NULL, 0, 0},
    {"E=3 K=2 router=sigmoid sel-bias=1", {0, 0, 0}, {.25, .5, 0}, {1, 0}, {0, 1}, "desc", 0, 0},
    {"E=3 K=2 router=sigmoid sel-bias=1", {0, 0, 0}, {.25, .5, 0}, {1, 0}, {1, 2}, "leaves", 0, 1},
    {"E=3 K=1 router=sigmoid sel-bias=1", {LN3, 0, 0}, {0, .25, 0}, {0}, {1}, NULL, 0, 0},
    {"E=3 K=1 router=sigmoid sel-bias=1", {LN3, 0, 0}, {0, .249, 0}, {0}, {1}, "leaves", 0, 0},
    {"E=3 K=1 router=sqrt-softplus", {4, 40, 39.99}, {0}, {1}, {1}, NULL, 0, 0},
    {"E=3 K=1 router=sqrt-softplus", {4, 40, 39.99}, {0}, {1}, {2}, "leaves", 1, 0},
    /* groups (5,0) (4,4) (3,3), two kept: expert 4 is above nothing that counts */
    {"E=6 K=2 groups=3/2", {5, 0, 4, 4, 3, 3}, {0}, {0, 2}, {0, 3}, NULL, 0, 0},
    {"E=6 K=2 groups=3/2", {5, 0, 4, 4, 3, 3}, {0}, {0, 2}, {0, 4}, "group", 4, 1},
    {"E=6 K=2 groups=3/2", {5, 0, 4, 4, 3, 3}, {0}, {0, 2}, {0, 1}, "leaves", 2, 1},
    {"E=6 K=2 groups=3/1", {5, 0, 4, 4, 3, 3}, {0}, {0, 1}, {0, 1}, NULL, 0, 0},
    {"E=6 K=2 groups=3/1", {5, 0, 4, 4, 3, 3}, {0}, {0, 1}, {0, 2}, "group", 2, 1},
    /* tied groups: either; but not one expert of each where only one is kept */
    {"E=6 K=2 groups=3/1", {5, 0, 5, 4, 3, 3}, {0}, {0, 1}, {2, 3}, NULL, 0, 0},
    {"E=6 K=2 groups=3/1", {5, 0, 5, 4, 3, 3}, {0}, {0, 1}, {0, 1}, NULL, 0, 0},
    {"E=6 K=2 groups=3/1", {5, 0, 5, 4, 3, 3}, {0}, {0, 1}, {0, 2}, "more groups", 2, 1},
    {"E=6 K=3 groups=3/2", {5, 1, 4, 2, 4, 3}, {0}, {0, 2, 3}, {0, 2, 4}, "more groups", 4, 2},
    /* sums of two: 0.5 + 0.75 ties with itself and beats 0.99 + 0.01 */
    {"E=6 K=1 groups=3/1 router=sigmoid", {0, LN3, LN3, 0, 5, -5}, {0}, {1}, {2}, NULL, 0, 0},
    {"E=6 K=1 groups=3/1 router=sigmoid", {0, LN3, LN3, 0, 5, -5}, {0}, {1}, {4}, "group", 4, 0},
    /* no pick at all */
    {"E=4 K=2", {3, 1, 2, 0}, {0}, {0, 2}, {2, 2}, "twice", -1, -1},
    {"E=4 K=2", {3, 1, 2, 0}, {0}, {0, 2}, {0, 4}, "expert 4", -1, -1},
    {"E=4 K=2", {3, 1, 2, 0}, {0}, {0, 2}, {0, -1}, "-1 is for", -1, -1},
    {"E=4 K=2", {3, 1, 2, 0}, {0}, {0, 2}, {-7, 0}, "expert -7", -1, -1},
};

START_TEST(picks_of_a_token)
{
    char line[128] = "T=2 H=2 I=1 dtype=f32 ";
    double logits[12] = {0};
    struct moe_report report;
    struct moe_problem problem = problem_of(strcat(line, tokens[_i].keys));
    int64_t E = problem.E, K = problem.K;
    for (int64_t e = 0; e < E; e++)
        logits[e] = logits[E + e] = tokens[_i].logits[e];
    struct moe_judgement j = open_logits(&problem, logits, &report);
    for (int64_t e = 0; e < E && problem.sel_bias; e++)
        tensor_set(&j.tensors.tensor[MOE_SEL_BIAS], e, tokens[_i].sel_bias[e]);
    for (int64_t k = 0; k < K; k++) {
        tensor_set(&j.tensors.tensor[MOE_PICKS], k, tokens[_i].right[k]);
        tensor_set(&j.tensors.tensor[MOE_PICKS], K + k, tokens[_i].picks[k]);
    }
    judge(&j);
    if (!tokens[_i].text) {
        ck_assert_msg(report.verdict == MOE_PASS && report.finding_count == 0, "%d: %s", _i,
                      report.finding[0].text);
        return;
    }
    const struct moe_finding *finding = &report.finding[0];
    ck_assert_int_eq(report.verdict, MOE_FAIL);
    ck_assert_int_eq(report.finding_count, 1);
    ck_assert_str_eq(finding->check, "routing");
    ck_assert_msg(strstr(finding->text, tokens[_i].text) != NULL, "%d: %s", _i, finding->text);
    ck_assert_msg(finding->expert == tokens[_i].expert && finding->slot == tokens[_i].slot,
                  "%d: expert %d, slot %d", _i, (int)finding->expert, (int)finding->slot);
    ck_assert(tokens[_i].expert < 0 || (finding->token == 1 && finding->wrong == 1));
}
END_TEST

/* Logits that cancel: 1024 + (l - 1024) errs by 5e-4 in f32, and what is picked by it by the
 * slope's share of that. Expert 1 is ahead by less, then by more than two such errors. */
static const char *const sloping[] = {"topk-softmax", "softmax-topk", "sigmoid", "sqrt-softplus"};

START_TEST(logits_that_cancel)
{
    char line[128];
    snprintf(line, sizeof line, "T=1 H=2 I=1 E=2 K=1 dtype=f32 router=%s", sloping[_i]);
    struct moe_problem problem = problem_of(line);
    for (int decided = 0; decided < 2; decided++) {
        struct moe_report report;
        struct moe_judgement j = {.problem = &problem, .subject = "test", .report = &report};
        double ahead = decided ? 0x1p-7 : 0x1p-11;
        moe_report_clear(&report);
        j.tensors = tensors_of(&problem);
        j.recipe = moe_recipe_plain(&problem, MOE_F32);
        for (int i = 0; i < 2; i++) {
            tensor_set(&j.tensors.tensor[MOE_X], i, 1);
            tensor_set(&j.tensors.tensor[MOE_WR], 2 * i, 1024);
            tensor_set(&j.tensors.tensor[MOE_WR], 2 * i + 1, (i ? ahead : 0) - 1024);
        }
        tensor_set(&j.tensors.tensor[MOE_PICKS], 0, 0);
        judge(&j);
        ck_assert_msg(report.verdict == (decided ? MOE_FAIL : MOE_PASS), "%d: %d", _i, decided);
    }
}
END_TEST

/* routing=ties: rows 2j and 2j+1 of wr are equal, so every token is undecided; and who takes the
 * other one of each pair is right too, while who takes the pair below is not. */
START_TEST(ties_of_a_case)
{
    struct moe_problem problem = problem_of("T=16 H=16 I=1 E=8 K=1 dtype=f32 routing=ties");
    for (int below = 0; below < 2; below++) {
        struct moe_report report;
        struct moe_judgement j = {.problem = &problem, .subject = "test", .report = &report};
        double logits[16 * 8], bounds[16 * 8];
        moe_report_clear(&report);
        j.tensors = tensors_of(&problem);
        j.recipe = moe_recipe_plain(&problem, MOE_F32);
        ck_assert_int_eq(
            moe_reference_logits(&problem, j.tensors.tensor, &j.recipe, logits, bounds), MOE_OK);
        for (int64_t t = 0; t < 16; t++) {
            int64_t best = 0;
            for (int64_t e = 1; e < 8; e++)
                best = logits[t * 8 + e] > logits[t * 8 + best] ? e : best;
            ck_assert(best % 2 == 0 && logits[t * 8 + best] == logits[t * 8 + best + 1]);
            tensor_set(&j.tensors.tensor[MOE_PICKS], t, (double)((best + 1 + below) % 8));
        }
        judge(&j);
        ck_assert_int_eq(report.verdict, below ? MOE_FAIL : MOE_PASS);
        ck_assert(!below || report.finding[0].wrong == 16);
    }
}
END_TEST

/* ---- token rounding ------------------------------------------------------------------------- */

/* Writes the pairs that are taken, [T,E], as entries. */
static void write_entries(struct moe_judgement *j, const unsigned char *taken)
{
    int64_t T = j->problem->T, E = j->problem->E, entry = 0;
    for (int64_t t = 0; t < T; t++) {
        tensor_set(&j->tensors.tensor[MOE_OFFSETS], t, (double)entry);
        for (int64_t e = 0; e < E; e++)
            if (taken[t * E + e])
                tensor_set(&j->tensors.tensor[MOE_PICKS], entry++, (double)e);
        ck_assert_int_le(entry, moe_problem_max_entries(j->problem));
    }
    tensor_set(&j->tensors.tensor[MOE_OFFSETS], T, (double)entry);
}

/* Two experts, K=1, six tokens; logits are logarithms of p, p[1] = 1 - p[0]. "0123 2345": the
 * tokens of expert 0, and of expert 1. text NULL: it passes. */
#define APART                                                                                      \
    {                                                                                              \
        .9, .8, .7, .4, .3, .2                                                                     \
    }
#define ALIKE                                                                                      \
    {                                                                                              \
        .9, .8, .7, .3, .3, .3                                                                     \
    }
#define DOUBT                                                                                      \
    {                                                                                              \
        .9, .8, .7, .5, .3, .2                                                                     \
    }
static const struct {
    const char *keys;
    double p[6];
    const char *taken, *text;
    int64_t expert, token;
} roundings[] = {
    {"round=up round-to=4", APART, "0123 2345", NULL, 0, 0},
    {"round=up round-to=4", APART, "0124 2345", "ranks above a token that was added", 0, 3},
    {"round=up round-to=4", APART, "0123 1345", "ranks above a token that was added", 1, 2},
    {"round=up round-to=4", APART, "0134 2345", "that it picked", 0, 2},
    {"round=up round-to=4", APART, "012 2345", "number of tokens", 0, -1},
    {"round=up round-to=4", APART, "01234 2345", "number of tokens", 0, -1},
    {"round=up round-to=4", APART, " 2345", "number of tokens", 0, -1},
    {"round=up round-to=4", APART, "0123 345", "number of tokens", 1, -1},
    {"round=down round-to=4", APART, " ", NULL, 0, 0},
    {"round=down round-to=4", APART, "0123 ", "number of tokens", 0, -1},
    {"round=up round-to=8", APART, "012345 012345", NULL, 0, 0}, /* T, not 8 */
    {"round=nearest round-to=2", APART, "0123 2345", NULL, 0, 0},
    {"round=nearest round-to=2", APART, "01 34", "number of tokens", 0, -1},
    /* balanced: 3 to 2, so then 3 to 4 */
    {"round=balanced round-to=2", APART, "01 2345", NULL, 0, 0},
    {"round=balanced round-to=2", APART, "0123 34", "number of tokens", 0, -1},
    {"round=balanced round-to=2", APART, "01 34", "number of tokens", 1, -1},
    /* alike: any of them */
    {"round=up round-to=4", ALIKE, "0123 2345", NULL, 0, 0},
    {"round=up round-to=4", ALIKE, "0125 2345", NULL, 0, 0},
    /* token 3 may have picked either: 4 and 2, or 3 and 3; so expert 1 goes either way too */
    {"round=nearest round-to=4", DOUBT, "0123 ", NULL, 0, 0},
    {"round=nearest round-to=4", DOUBT, "0123 2345", NULL, 0, 0},
    {"round=nearest round-to=4", DOUBT, "01 2345", "number of tokens", 0, -1},
    {"round=down round-to=2", DOUBT, "0123 45", NULL, 0, 0},
    {"round=down round-to=2", DOUBT, "01 45", NULL, 0, 0},
    {"round=down round-to=2", DOUBT, " 45", "number of tokens", 0, -1},
    {"round=down round-to=2", DOUBT, "0123 2345", "number of tokens", 1, -1},
    {"round=up round-to=2", DOUBT, "0123 345", "number of tokens", 1, -1},
    {"round=up round-to=4", DOUBT, "0123 1345", "ranks above a token that was added", 1, 2},
    {"round=up round-to=4", DOUBT, "0134 2345", "that it picked", 0, 2},
};

static struct moe_problem rounded_problem(const char *keys)
{
    char line[160];
    snprintf(line, sizeof line, "T=6 H=6 I=1 E=2 K=1 dtype=f32 router=softmax-topk %s", keys);
    return problem_of(line);
}

static struct moe_judgement open_rounded(const struct moe_problem *problem, const double *p,
                                         struct moe_report *report)
{
    double logits[12];
    for (int t = 0; t < 6; t++) {
        logits[2 * t] = log(p[t]);
        logits[2 * t + 1] = log(1 - p[t]);
    }
    return open_logits(problem, logits, report);
}

START_TEST(rounding)
{
    struct moe_report report;
    struct moe_problem problem = rounded_problem(roundings[_i].keys);
    struct moe_judgement j = open_rounded(&problem, roundings[_i].p, &report);
    unsigned char taken[12] = {0};
    int expert = 0;
    for (const char *c = roundings[_i].taken; *c; c++) {
        if (*c == ' ')
            expert = 1;
        else
            taken[2 * (*c - '0') + expert] = 1;
    }
    write_entries(&j, taken);
    judge(&j);
    const struct moe_finding *finding = &report.finding[0];
    ck_assert_msg(report.verdict == (roundings[_i].text ? MOE_FAIL : MOE_PASS), "%d: %s", _i,
                  report.finding_count ? finding->text : "passes");
    if (!roundings[_i].text)
        return;
    ck_assert_msg(strstr(finding->text, roundings[_i].text) != NULL, "%d: %s", _i, finding->text);
    ck_assert_msg(finding->expert == roundings[_i].expert && finding->token == roundings[_i].token,
                  "%d: expert %d token %d", _i, (int)finding->expert, (int)finding->token);
}
END_TEST

/* The entries of a token stand in order of experts. */
START_TEST(order_of_entries)
{
    struct moe_report report;
    struct moe_problem problem = rounded_problem("round=up round-to=8");
    struct moe_judgement j = open_rounded(&problem, roundings[0].p, &report);
    unsigned char all[12];
    memset(all, 1, sizeof all);
    write_entries(&j, all);
    tensor_set(&j.tensors.tensor[MOE_PICKS], 4, 1);
    tensor_set(&j.tensors.tensor[MOE_PICKS], 5, 0);
    judge(&j);
    ck_assert_int_eq(report.verdict, MOE_FAIL);
    ck_assert_int_eq(report.finding[0].token, 2);
    ck_assert_ptr_nonnull(strstr(report.finding[0].text, "order of experts"));
}
END_TEST

static const char *const modes[] = {"nearest", "up", "down", "stochastic", "balanced"};

/* What rounding makes of random logits passes; one token exchanged for another, or added, does not.
 */
START_TEST(random_roundings)
{
    for (int round = 0; round < 40; round++) {
        uint64_t state = (uint64_t)(round * 2 + 1);
        char line[160];
        double logits[20 * 5];
        unsigned char right[20 * 5] = {0};
        struct moe_routing routing;
        struct moe_report report;
        snprintf(
            line, sizeof line,
            "T=20 H=20 I=1 E=5 K=%d dtype=f32 router=softmax-topk round=%s round-to=%d seed=%d",
            2 + round % 3, modes[_i], 2 + (int)random_below(&state, 7), round);
        struct moe_problem problem = problem_of(line);
        for (int i = 0; i < 100; i++)
            logits[i] = (float)random_in(&state, -3, 3);
        ck_assert_int_eq(moe_routing_from_logits(&problem, logits, NULL, &routing), MOE_OK);
        for (int64_t row = 0; row < routing.N; row++)
            right[routing.row_token[row] * 5 + routing.pick[routing.row_entry[row]]] = 1;
        moe_routing_free(&routing);

        struct moe_judgement j = open_logits(&problem, logits, &report);
        write_entries(&j, right);
        judge(&j);
        ck_assert_msg(report.verdict == MOE_PASS, "%s: %s", line, report.finding[0].text);

        for (int wrong = 0; wrong < 10; wrong++) {
            unsigned char taken[20 * 5];
            int64_t e = random_below(&state, 5), t = random_below(&state, 20);
            int64_t other = random_below(&state, 20);
            memcpy(taken, right, sizeof taken);
            taken[t * 5 + e] ^= 1;
            if (wrong % 2 && right[t * 5 + e] != right[other * 5 + e])
                taken[other * 5 + e] ^= 1;
            j = open_logits(&problem, logits, &report);
            write_entries(&j, taken);
            judge(&j);
            ck_assert_msg(report.verdict == MOE_FAIL, "%s: token %d, expert %d", line, (int)t,
                          (int)e);
            ck_assert_int_eq(report.finding[0].expert, e);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("check_routing");
    TCase *tcase = tcase_create("picks"), *rounded = tcase_create("rounding");
    tcase_add_loop_test(tcase, picks_of_a_token, 0, COUNT(tokens));
    tcase_add_loop_test(tcase, logits_that_cancel, 0, COUNT(sloping));
    tcase_add_test(tcase, ties_of_a_case);
    suite_add_tcase(suite, tcase);
    tcase_add_loop_test(rounded, rounding, 0, COUNT(roundings));
    tcase_add_test(rounded, order_of_entries);
    tcase_add_loop_test(rounded, random_roundings, 0, COUNT(modes));
    suite_add_tcase(suite, rounded);
    return run_suite(suite);
}

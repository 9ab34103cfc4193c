/*
 * t_draw_lists.c - what is drawn for routing: lists are exactly what their family says, without an
 * expert twice in a token; with a computed router the experts that a family wants do win.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/moe.h"

static struct moe_problem parsed(const char *line)
{
    struct moe_problem problem;
    ck_assert_msg(moe_problem_parse(line, &problem) == MOE_OK, "'%s': %s", line, moe_error_text());
    return problem;
}

static struct moe_tensor drawn(const struct moe_problem *problem, enum moe_tensor_id id)
{
    struct moe_tensor tensor;
    ck_assert_msg(moe_tensor_describe(problem, id, &tensor) == MOE_OK, "%s", moe_error_text());
    tensor.data = malloc((size_t)moe_tensor_bytes(&tensor) + 1);
    ck_assert_msg(moe_draw_tensor(problem, id, &tensor) == MOE_OK, "%s", moe_error_text());
    return tensor;
}

/* Picks of a case with lists, [T,K] or ragged. */
static int32_t *picks_of(const struct moe_problem *problem)
{
    return drawn(problem, MOE_PICKS).data;
}

static double at(const struct moe_tensor *tensor, int64_t index)
{
    return moe_dtype_load(tensor->dtype, tensor->data, index);
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* Ids in range, and none twice among the `count` picks of a token. */
static int are_distinct(const int32_t *picks, int64_t count, int64_t E)
{
    for (int64_t i = 0; i < count; i++) {
        if (picks[i] < -1 || picks[i] >= E)
            return 0;
        for (int64_t j = 0; j < i; j++)
            if (picks[i] == picks[j] && picks[i] >= 0)
                return 0;
    }
    return 1;
}

START_TEST(no_expert_twice)
{
    static const char *const lines[] = {
        "T=500 E=8 K=2",
        "T=500 E=8 K=8",
        "T=200 E=67 K=67",
        "T=500 E=1 K=1",
        "T=500 E=32 K=8 routing=zipf:0",
        "T=500 E=32 K=8 routing=zipf:4",
        "T=500 E=32 K=32 routing=zipf:8",
        "T=500 E=8 K=8 routing=hot",
        "T=500 E=8 K=3 routing=hot",
        "T=500 E=8 K=3 routing=same",
        "T=500 E=8 K=3 routing=sparse",
        "T=500 E=8 K=8 routing=dropped:0.5",
        "T=500 E=8 K=7 routing=first-empty",
        "T=500 E=8 K=7 routing=last-empty",
        "T=500 E=9 K=5 routing=odd-empty",
        "T=500 E=9 K=5 routing=tail-empty",
        "T=500 E=32 K=8 routing=sorted",
        "T=37 E=32 K=8 routing=edges",
        "T=37 E=8 K=8 routing=edges",
        "T=1 E=60 K=1 routing=edges",
    };
    char line[128];
    for (int seed = 1; seed <= 5; seed++) {
        snprintf(line, sizeof line, "%s router=lists seed=%d", lines[_i], seed);
        const struct moe_problem problem = parsed(line);
        int32_t *picks = picks_of(&problem);
        for (int64_t t = 0; t < problem.T; t++)
            ck_assert_msg(are_distinct(picks + t * problem.K, problem.K, problem.E),
                          "%s: token %lld", line, (long long)t);
        free(picks);
    }
}
END_TEST

/* The first pick of a token is drawn freely, so its frequencies are those of the family. */
START_TEST(first_picks_are_distributed)
{
    static const char *const lines[] = {"routing=uniform", "routing=zipf:1.1", "routing=zipf:0.5",
                                        "routing=zipf:3"};
    static const double power[] = {0, 1.1, 0.5, 3};
    enum { E = 24 };
    char line[128];
    snprintf(line, sizeof line, "T=20000 E=%d K=4 router=lists %s", E, lines[_i]);
    const struct moe_problem problem = parsed(line);
    int32_t *picks = picks_of(&problem);
    int64_t times[E] = {0};
    double sum = 0;
    for (int64_t t = 0; t < problem.T; t++)
        times[picks[t * problem.K]]++;
    for (int e = 0; e < E; e++)
        sum += pow(e + 1, -power[_i]);
    for (int e = 0; e < E; e++) {
        const double want = (double)problem.T * pow(e + 1, -power[_i]) / sum;
        ck_assert_msg(fabs((double)times[e] - want) <= 5 * sqrt(want) + 1,
                      "%d: expert %d %lld times, not %g", _i, e, (long long)times[e], want);
    }
    free(picks);
}
END_TEST

START_TEST(fixed_families)
{
    const struct moe_problem first = parsed("router=lists routing=first T=40 E=9 K=4");
    const struct moe_problem last = parsed("router=lists routing=last T=40 E=9 K=4");
    int32_t *a = picks_of(&first), *b = picks_of(&last);
    for (int i = 0; i < 160; i++) {
        ck_assert_int_eq(a[i], i % 4);
        ck_assert_int_eq(b[i], 5 + i % 4);
    }
    free(a);
    free(b);
}
END_TEST

START_TEST(hot_is_everywhere)
{
    int experts[16] = {0}, different = 0;
    for (int seed = 1; seed <= 40; seed++) {
        char line[128];
        snprintf(line, sizeof line, "router=lists routing=hot T=50 E=16 K=3 seed=%d", seed);
        const struct moe_problem problem = parsed(line);
        int32_t *picks = picks_of(&problem);
        for (int t = 0; t < 50; t++) {
            ck_assert_int_eq(picks[t * 3], picks[0]);
            different += picks[t * 3 + 1] != picks[1];
        }
        different += experts[picks[0]]++ == 0;
        free(picks);
    }
    int used = 0;
    for (int e = 0; e < 16; e++)
        used += experts[e] > 0;
    ck_assert_int_ge(used, 10); /* chosen by the seed: 14.8 of 16 expected */
    ck_assert_int_ge(different, 1500);
}
END_TEST

START_TEST(same_is_the_same)
{
    const struct moe_problem a = parsed("router=lists routing=same T=50 E=64 K=6 seed=1");
    const struct moe_problem b = parsed("router=lists routing=same T=50 E=64 K=6 seed=2");
    int32_t *p = picks_of(&a), *q = picks_of(&b);
    for (int t = 1; t < 50; t++)
        ck_assert_int_eq(memcmp(p, p + 6 * t, 6 * sizeof *p), 0);
    ck_assert_int_ne(memcmp(p, q, 6 * sizeof *p), 0);
    free(p);
    free(q);
}
END_TEST

/* Those that a family leaves empty have no row, and all others have some. */
START_TEST(some_experts_are_empty)
{
    static const struct {
        const char *line;
        int empty[9];
    } families[] = {
        {"E=9 routing=first-empty", {1, 0, 0, 0, 0, 0, 0, 0, 0}},
        {"E=9 routing=last-empty", {0, 0, 0, 0, 0, 0, 0, 0, 1}},
        {"E=9 routing=odd-empty", {0, 1, 0, 1, 0, 1, 0, 1, 0}},
        {"E=8 routing=odd-empty", {0, 1, 0, 1, 0, 1, 0, 1}},
        {"E=9 routing=tail-empty", {0, 0, 0, 0, 0, 1, 1, 1, 1}},
        {"E=8 routing=tail-empty", {0, 0, 0, 0, 1, 1, 1, 1}},
    };
    for (int K = 1; K <= 4; K++) {
        char line[128];
        snprintf(line, sizeof line, "%s router=lists T=400 K=%d", families[_i].line, K);
        const struct moe_problem problem = parsed(line);
        int32_t *picks = picks_of(&problem);
        int times[9] = {0};
        for (int i = 0; i < 400 * K; i++)
            times[picks[i]]++;
        for (int e = 0; e < problem.E; e++)
            ck_assert_msg((times[e] == 0) == families[_i].empty[e], "%s: expert %d %d times", line,
                          e, times[e]);
        free(picks);
    }
}
END_TEST

START_TEST(sorted_ascends)
{
    const struct moe_problem problem = parsed("router=lists routing=sorted T=300 E=16 K=5");
    const struct moe_problem plain = parsed("router=lists T=300 E=16 K=5");
    int32_t *picks = picks_of(&problem), *others = picks_of(&plain);
    int moved = 0;
    for (int i = 0; i < 1500; i++) {
        ck_assert(i % 5 == 0 || picks[i] > picks[i - 1]);
        moved += picks[i] != others[i];
    }
    ck_assert_int_gt(moved, 750); /* the same picks in their own order are not sorted */
    free(picks);
    free(others);
}
END_TEST

static int is_edge(int64_t rows)
{
    for (int64_t tile = 8; tile <= 256; tile *= 2)
        if (rows >= tile - 1 && rows <= tile + 1)
            return 1;
    return rows <= 2;
}

/* Every token has its K picks, and of all experts but one the rows are at an edge. */
START_TEST(edges_are_rows_per_expert)
{
    static const char *const sizes[] = {"T=100 E=8 K=2",   "T=257 E=60 K=4", "T=33 E=512 K=8",
                                        "T=1000 E=16 K=1", "T=7 E=7 K=7",    "T=64 E=5 K=4"};
    int64_t kinds = 0;
    for (int seed = 1; seed <= 20; seed++) {
        char line[128];
        snprintf(line, sizeof line, "%s router=lists routing=edges seed=%d", sizes[_i], seed);
        const struct moe_problem problem = parsed(line);
        int32_t *picks = picks_of(&problem);
        int64_t rows[512] = {0}, off = 0, seen[3] = {0};
        for (int64_t i = 0; i < problem.T * problem.K; i++) {
            ck_assert(picks[i] >= 0 && picks[i] < problem.E);
            rows[picks[i]]++;
        }
        for (int64_t e = 0; e < problem.E; e++) {
            off += !is_edge(rows[e]);
            seen[rows[e] == 0 ? 0 : rows[e] % 8 == 0 ? 1 : 2]++;
        }
        ck_assert_msg(off <= 1, "%s: %lld experts", line, (long long)off);
        kinds += (seen[0] > 0) + (seen[1] > 0) + (seen[2] > 0);
        free(picks);
    }
    ck_assert_int_ge(kinds, 20);
}
END_TEST

START_TEST(sparse_varies_at_every_eighth)
{
    const struct moe_problem problem = parsed("router=lists routing=sparse T=400 E=64 K=6");
    int32_t *picks = picks_of(&problem);
    int different = 0;
    for (int t = 1; t < 400; t++) {
        const int differs = memcmp(picks, picks + 6 * t, 6 * sizeof *picks) != 0;
        ck_assert_msg(t % 8 == 0 || !differs, "token %d", t);
        different += differs;
    }
    ck_assert_int_eq(different, 49);
    free(picks);
}
END_TEST

START_TEST(dropped_at_its_rate)
{
    static const double rates[] = {0, 0.1, 0.5, 1};
    char line[128];
    snprintf(line, sizeof line, "router=lists routing=dropped:%g T=4000 E=16 K=5", rates[_i]);
    const struct moe_problem problem = parsed(line), whole = parsed("router=lists T=4000 E=16 K=5");
    int32_t *picks = picks_of(&problem), *all = picks_of(&whole);
    int64_t dropped = 0, n = problem.T * problem.K;
    for (int64_t i = 0; i < n; i++) {
        dropped += picks[i] == -1;
        ck_assert_msg(picks[i] == -1 || picks[i] == all[i], "%d", _i);
    }
    const double p = rates[_i], allowed = 5 * sqrt(p * (1 - p) * (double)n);
    ck_assert_msg(fabs((double)dropped - p * (double)n) <= allowed, "%d: %lld", _i,
                  (long long)dropped);
    free(picks);
    free(all);
}
END_TEST

START_TEST(ragged_has_every_length)
{
    const struct moe_problem problem = parsed("router=lists routing=ragged T=3000 E=7 K=5");
    struct moe_tensor offsets = drawn(&problem, MOE_OFFSETS), picks = drawn(&problem, MOE_PICKS);
    const int64_t *begin = offsets.data;
    const int32_t *pick = picks.data;
    int64_t lengths[6] = {0};
    ck_assert_int_eq(begin[0], 0);
    for (int64_t t = 0; t < problem.T; t++) {
        const int64_t length = begin[t + 1] - begin[t];
        ck_assert(length >= 0 && length <= 5);
        lengths[length]++;
        for (int64_t i = begin[t]; i < begin[t + 1]; i++)
            ck_assert(pick[i] >= 0);
        ck_assert(are_distinct(pick + begin[t], length, problem.E));
    }
    for (int k = 0; k <= 5; k++)
        ck_assert_msg(fabs((double)lengths[k] - 500) <= 5 * sqrt(500 * 5. / 6), "%d: %lld", k,
                      (long long)lengths[k]);
    const int64_t P = begin[problem.T];
    for (int64_t i = P; i < picks.shape[0]; i++)
        ck_assert_int_eq(pick[i], -1);

    /* A tensor of just the right length holds the same; a shorter one is refused. */
    struct moe_tensor exact = picks;
    exact.shape[0] = P;
    exact.data = malloc((size_t)P * sizeof *pick);
    ck_assert_int_eq(moe_draw_tensor(&problem, MOE_PICKS, &exact), MOE_OK);
    ck_assert_int_eq(memcmp(exact.data, pick, (size_t)P * sizeof *pick), 0);
    exact.shape[0] = P - 1;
    ck_assert_int_eq(moe_draw_tensor(&problem, MOE_PICKS, &exact), MOE_E_USAGE);
    free(exact.data);
    free(offsets.data);
    free(picks.data);
}
END_TEST

START_TEST(no_tokens)
{
    const struct moe_problem problem = parsed("router=lists routing=ragged T=0");
    struct moe_tensor offsets = drawn(&problem, MOE_OFFSETS), picks = drawn(&problem, MOE_PICKS);
    ck_assert_int_eq(*(int64_t *)offsets.data, 0);
    ck_assert_int_eq(moe_tensor_count(&picks), 0);
    free(offsets.data);
    free(picks.data);
}
END_TEST

START_TEST(scores_are_like_a_softmax)
{
    static const int64_t K[] = {1, 2, 8, 11};
    char line[128];
    snprintf(line, sizeof line, "router=lists T=2000 E=16 K=%lld", (long long)K[_i]);
    const struct moe_problem problem = parsed(line);
    struct moe_tensor scores = drawn(&problem, MOE_SCORES);
    double sum = 0, least = 1, most = 0;
    for (int64_t i = 0; i < 2000 * K[_i]; i++) {
        sum += at(&scores, i);
        least = fmin(least, at(&scores, i));
        most = fmax(most, at(&scores, i));
    }
    ck_assert_msg(sum / 2000 >= 0.5 && sum / 2000 <= 1, "%d: %g", _i, sum / 2000);
    ck_assert_msg(least > 0 && most < 1 && most > 3.5 * least, "%d: %g %g", _i, least, most);
    free(scores.data);
}
END_TEST

START_TEST(refuses_ids_beyond_32_bits)
{
    struct moe_problem problem = parsed("router=lists T=1 K=1");
    struct moe_tensor picks = drawn(&problem, MOE_PICKS);
    problem.E = (int64_t)1 << 31;
    ck_assert_int_eq(moe_draw_tensor(&problem, MOE_PICKS, &picks), MOE_E_USAGE);
    free(picks.data);
}
END_TEST

/* ---- computed routers ------------------------------------------------------------------------ */

/* The K experts with the largest <x_t, wr_e>, sorted by that, [T,K]. */
static int32_t *top_experts(const struct moe_problem *problem)
{
    struct moe_tensor x = drawn(problem, MOE_X), wr = drawn(problem, MOE_WR);
    const int64_t T = problem->T, H = problem->H, E = problem->E, K = problem->K;
    int32_t *top = malloc((size_t)(T * K) * sizeof *top);
    double *logits = malloc((size_t)E * sizeof *logits);
    for (int64_t t = 0; t < T; t++) {
        for (int64_t e = 0; e < E; e++) {
            logits[e] = 0;
            for (int64_t h = 0; h < H; h++)
                logits[e] += at(&x, t * H + h) * at(&wr, e * H + h);
        }
        for (int64_t j = 0; j < K; j++) {
            int64_t best = 0;
            for (int64_t e = 1; e < E; e++)
                if (logits[e] > logits[best])
                    best = e;
            logits[best] = -INFINITY;
            top[t * K + j] = (int32_t)best;
        }
    }
    free(logits);
    free(x.data);
    free(wr.data);
    return top;
}

/* Lists of the same family, seed and sizes name the experts that are wanted. */
START_TEST(wanted_experts_win)
{
    static const char *const sizes[] = {
        "T=64 H=64 E=16 K=2",
        "T=64 H=256 E=32 K=4",
        "T=64 H=16 E=8 K=1",
        "T=64 H=512 E=16 K=2 data=positive",
        "T=64 H=512 E=16 K=2 data=heavy",
        "T=64 H=512 E=16 K=2 data=sparse",
        "T=64 H=64 E=16 K=2 data=tiny dtype=f64",
    };
    static const char *const families[] = {"zipf:1",    "hot",        "same",        "first",
                                           "last",      "sparse",     "first-empty", "last-empty",
                                           "odd-empty", "tail-empty", "edges"};
    for (int k = 0; k < 11; k++) {
        char line[160], list[200];
        snprintf(line, sizeof line, "%s routing=%s", sizes[_i], families[k]);
        snprintf(list, sizeof list, "%s router=lists", line);
        const struct moe_problem problem = parsed(line), lists = parsed(list);
        int32_t *top = top_experts(&problem), *wanted = picks_of(&lists);
        const int64_t K = problem.K, count = k == 1 ? 1 : K;
        int64_t won = 0;
        for (int64_t t = 0; t < problem.T; t++)
            for (int64_t j = 0; j < count; j++)
                for (int64_t i = 0; i < K; i++)
                    won += top[t * K + i] == wanted[t * K + j];
        ck_assert_msg((double)won >= 0.85 * (double)(problem.T * count), "%d: %s: %lld of %lld", _i,
                      line, (long long)won, (long long)(problem.T * count));
        free(top);
        free(wanted);
    }
}
END_TEST

START_TEST(uniform_is_not_pushed)
{
    const struct moe_problem problem = parsed("T=512 H=64 E=16 K=2");
    int32_t *top = top_experts(&problem);
    int64_t times[16] = {0};
    for (int64_t i = 0; i < 1024; i++)
        times[top[i]]++;
    for (int e = 0; e < 16; e++)
        ck_assert_msg(times[e] >= 16 && times[e] <= 192, "%d: %lld", e, (long long)times[e]);
    free(top);
}
END_TEST

START_TEST(ties_are_rows_in_pairs)
{
    const struct moe_problem problem =
        parsed("routing=ties E=7 H=40 router=sigmoid router-bias=1 sel-bias=1");
    static const enum moe_tensor_id ids[] = {MOE_WR, MOE_BR, MOE_SEL_BIAS};
    for (int k = 0; k < 3; k++) {
        struct moe_tensor tensor = drawn(&problem, ids[k]);
        const int64_t row = tensor.rank == 2 ? 40 : 1;
        int64_t equal = 0, different = 0;
        for (int64_t i = 0; i < row; i++) {
            for (int64_t e = 0; e + 1 < 7; e++) {
                const int same = at(&tensor, e * row + i) == at(&tensor, (e + 1) * row + i);
                equal += e % 2 == 0 && same;
                different += e % 2 == 1 && !same;
            }
        }
        ck_assert_msg(equal == 3 * row, "%d: %lld", k, (long long)equal);
        ck_assert_msg(different >= 3 * row - 2, "%d: %lld", k, (long long)different);
        free(tensor.data);
    }
    /* Weights are not of the router and have no twins. */
    struct moe_tensor w2 = drawn(&problem, MOE_W2);
    ck_assert(memcmp(w2.data, (char *)w2.data + problem.I * 2, (size_t)problem.I * 2) != 0);
    free(w2.data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("draw_lists");
    TCase *tests = tcase_create("draw_lists");
    SRunner *runner = srunner_create(suite);
    int failed;
    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, no_expert_twice, 0, 20);
    tcase_add_loop_test(tests, first_picks_are_distributed, 0, 4);
    tcase_add_test(tests, fixed_families);
    tcase_add_test(tests, hot_is_everywhere);
    tcase_add_test(tests, same_is_the_same);
    tcase_add_loop_test(tests, some_experts_are_empty, 0, 6);
    tcase_add_test(tests, sorted_ascends);
    tcase_add_loop_test(tests, edges_are_rows_per_expert, 0, 6);
    tcase_add_test(tests, sparse_varies_at_every_eighth);
    tcase_add_loop_test(tests, dropped_at_its_rate, 0, 4);
    tcase_add_test(tests, ragged_has_every_length);
    tcase_add_test(tests, no_tokens);
    tcase_add_loop_test(tests, scores_are_like_a_softmax, 0, 4);
    tcase_add_test(tests, refuses_ids_beyond_32_bits);
    tcase_add_loop_test(tests, wanted_experts_win, 0, 7);
    tcase_add_test(tests, uniform_is_not_pushed);
    tcase_add_test(tests, ties_are_rows_in_pairs);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/*
 * t_routing.c - routing metadata from lists: what it must hold for any lists, one case worked by
 * hand, and lists that are refused.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/support.h"

#define MOST 4096

/* Lists as a caller has them. offsets NULL: [T,K]. */
struct lists {
    int64_t T, E, K;
    int64_t *offsets;
    int32_t picks[MOST];
    double scores[MOST];
};

static int64_t begin_of(const struct lists *lists, int64_t t)
{
    return lists->offsets ? lists->offsets[t] : t * lists->K;
}

/* ---- what holds for any lists --------------------------------------------------------------- */

static void expect_entries(const struct lists *lists, const struct moe_routing *r)
{
    int64_t P = begin_of(lists, lists->T);
    ck_assert_int_eq(r->T, lists->T);
    ck_assert_int_eq(r->E, lists->E);
    ck_assert_int_eq(r->P, P);
    for (int64_t t = 0; t <= lists->T; t++)
        ck_assert_int_eq(r->token_begin[t], begin_of(lists, t));
    for (int64_t p = 0; p < P; p++) {
        ck_assert_int_eq(r->pick[p], lists->picks[p]);
        ck_assert(r->score[p] == lists->scores[p]);
    }
}

/* Offsets are the exclusive scan of counts, counted here by another loop. */
static void expect_counts(const struct lists *lists, const struct moe_routing *r)
{
    int64_t before = 0;
    for (int64_t e = 0; e < lists->E; e++) {
        ck_assert_int_eq(r->expert_begin[e], before);
        for (int64_t p = 0; p < r->P; p++)
            before += lists->picks[p] == e;
    }
    ck_assert_int_eq(r->expert_begin[lists->E], before);
    ck_assert_int_eq(r->N, before);
}

static void expect_rows(const struct lists *lists, const struct moe_routing *r)
{
    for (int64_t e = 0; e < lists->E; e++) {
        for (int64_t row = r->expert_begin[e]; row < r->expert_begin[e + 1]; row++) {
            int64_t entry = r->row_entry[row], t = r->row_token[row];
            ck_assert(entry >= 0 && entry < r->P && t >= 0 && t < lists->T);
            ck_assert_int_eq(r->entry_row[entry], row);
            ck_assert_int_eq(lists->picks[entry], e);
            ck_assert(begin_of(lists, t) <= entry && entry < begin_of(lists, t + 1));
            if (row > r->expert_begin[e])
                ck_assert_int_lt(r->row_token[row - 1], t);
        }
    }
    for (int64_t p = 0; p < r->P; p++) {
        if (lists->picks[p] < 0)
            ck_assert_int_eq(r->entry_row[p], -1);
        else
            ck_assert_int_eq(r->row_entry[r->entry_row[p]], p);
    }
}

static int build(const struct lists *lists, struct moe_routing *routing)
{
    return moe_routing_from_lists(lists->T, lists->E, lists->K, lists->offsets, lists->picks,
                                  lists->scores, routing);
}

static void expect_metadata(const struct lists *lists)
{
    struct moe_routing routing;
    ck_assert_msg(build(lists, &routing) == MOE_OK, "%s", moe_error_text());
    expect_entries(lists, &routing);
    expect_counts(lists, &routing);
    expect_rows(lists, &routing);
    moe_routing_free(&routing);
    ck_assert_ptr_null(routing.pick);
}

/* Each token: a random choice of experts without repetition, some of it dropped. */
static struct lists *random_lists(uint64_t seed, int ragged)
{
    uint64_t state = seed * 2 + 1;
    struct lists *lists = calloc(1, sizeof *lists);
    ck_assert_ptr_nonnull(lists);
    lists->T = random_below(&state, 41);
    lists->E = 1 + random_below(&state, 20);
    lists->K = 1 + random_below(&state, lists->E);
    int64_t drop_one_in = 1 + random_below(&state, 6), entry = 0;
    lists->offsets = ragged ? calloc((size_t)lists->T + 1, sizeof *lists->offsets) : NULL;
    for (int64_t t = 0; t < lists->T; t++) {
        int32_t order[20];
        int64_t n = ragged ? random_below(&state, lists->K + 1) : lists->K;
        for (int32_t e = 0; e < lists->E; e++)
            order[e] = e;
        for (int64_t k = 0; k < n; k++, entry++) {
            int64_t other = k + random_below(&state, lists->E - k);
            int32_t pick = order[other];
            order[other] = order[k];
            lists->picks[entry] = random_below(&state, drop_one_in) == 1 ? -1 : pick;
            lists->scores[entry] = random_in(&state, 0, 1);
        }
        if (ragged)
            lists->offsets[t + 1] = entry;
    }
    return lists;
}

START_TEST(any_lists)
{
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct lists *lists = random_lists(seed, _i);
        expect_metadata(lists);
        free(lists->offsets);
        free(lists);
    }
}
END_TEST

/* Shapes at the edge: no tokens, one expert, experts without rows, all dropped, tokens without
 * entries. */
START_TEST(edges)
{
    int64_t offsets[4] = {0, 0, 3, 3};
    struct lists none = {.T = 0, .E = 3, .K = 2}, ragged_none = {.T = 0, .E = 3, .K = 2};
    ragged_none.offsets = offsets;
    expect_metadata(&none);
    expect_metadata(&ragged_none);
    struct lists one = {.T = 5, .E = 1, .K = 1};
    expect_metadata(&one);
    struct lists last = {.T = 3, .E = 9, .K = 1, .picks = {8, 8, 8}};
    expect_metadata(&last);
    struct lists dropped = {.T = 2, .E = 4, .K = 2, .picks = {-1, -1, -1, -1}};
    expect_metadata(&dropped);
    struct lists gaps = {.T = 3, .E = 4, .K = 4, .offsets = offsets, .picks = {3, 0, 2}};
    expect_metadata(&gaps);
}
END_TEST

/* Tokens 0 1 2 pick (2,0) (-1,2) (0,1); E = 4. */
START_TEST(by_hand)
{
    static const int64_t begin[] = {0, 2, 3, 5, 5}, token[] = {0, 2, 2, 0, 1};
    static const int64_t entry[] = {1, 4, 5, 0, 3}, row[] = {3, 0, -1, 4, 1, 2};
    int32_t picks[] = {2, 0, -1, 2, 0, 1};
    double scores[] = {.5, .25, .125, 1, 2, 3};
    struct moe_routing r;
    ck_assert_int_eq(moe_routing_from_lists(3, 4, 2, NULL, picks, scores, &r), MOE_OK);
    memset(picks, 0, sizeof picks); /* they were copied */
    memset(scores, 0, sizeof scores);
    ck_assert_int_eq(r.N, 5);
    for (int e = 0; e <= 4; e++)
        ck_assert_int_eq(r.expert_begin[e], begin[e]);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(r.row_token[i], token[i]);
        ck_assert_int_eq(r.row_entry[i], entry[i]);
    }
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(r.entry_row[i], row[i]);
    ck_assert_int_eq(r.pick[5], 1);
    ck_assert(r.score[5] == 3);
    moe_routing_free(&r);
}
END_TEST

/* ---- lists that are refused ----------------------------------------------------------------- */

/* Two tokens, four experts. Nothing is written then, and the text names what is wrong. */
static const struct {
    int64_t offsets[3];
    int32_t picks[4];
    const char *text;
} refused[] = {
    {{1, 2, 4}, {0, 1, 2, 3}, "first is 1"},
    {{-1, 2, 4}, {0, 1, 2, 3}, "first is -1"},
    {{0, 3, 2}, {0, 1, 2, 3}, "token 1 has -1"},
    {{0, -1, 2}, {0, 1, 2, 3}, "token 0 has -1"},
    {{0, 2, 4}, {0, 1, 2, 4}, "token 1 picks expert 4"},
    {{0, 2, 4}, {0, -2, 2, 3}, "token 0 picks expert -2"},
    {{0, 2, 4}, {0, INT32_MAX, 2, 3}, "token 0 picks expert 2147483647"},
    {{0, 2, 4}, {0, INT32_MIN, 2, 3}, "token 0 picks expert -2147483648"},
    {{0, 2, 4}, {0, 1, 3, 3}, "token 1 picks expert 3 twice"},
    {{0, 3, 4}, {2, -1, 2, 3}, "token 0 picks expert 2 twice"},
};

static void expect_untouched(const struct moe_routing *routing, int byte)
{
    const unsigned char *bytes = (const unsigned char *)routing;
    for (size_t i = 0; i < sizeof *routing; i++)
        ck_assert_int_eq(bytes[i], byte);
}

START_TEST(refusals)
{
    static const double scores[4];
    struct moe_routing routing;
    memset(&routing, 0x5a, sizeof routing);
    int status =
        moe_routing_from_lists(2, 4, 2, refused[_i].offsets, refused[_i].picks, scores, &routing);
    ck_assert_int_eq(status, MOE_E_USAGE);
    ck_assert_msg(strstr(moe_error_text(), refused[_i].text) != NULL, "%d: %s", _i,
                  moe_error_text());
    expect_untouched(&routing, 0x5a);
}
END_TEST

/* Every token may have the same expert; and -1 more than once. */
START_TEST(not_refused)
{
    static const int32_t picks[] = {3, -1, -1, 3, -1, -1};
    static const double scores[6];
    struct moe_routing routing;
    ck_assert_int_eq(moe_routing_from_lists(2, 4, 3, NULL, picks, scores, &routing), MOE_OK);
    ck_assert_int_eq(routing.N, 2);
    moe_routing_free(&routing);
}
END_TEST

/* ---- from the tensors of a case ------------------------------------------------------------- */

START_TEST(from_tensors)
{
    struct moe_problem problem = problem_of(_i ? "T=9 H=1 I=1 E=5 K=3 router=lists routing=ragged"
                                               : "T=9 H=1 I=1 E=5 K=3 router=lists");
    struct moe_tensors tensors = tensors_of(&problem);
    struct lists lists = {.T = problem.T, .E = problem.E, .K = problem.K};
    int64_t offsets[10];
    for (int64_t t = 0; t <= problem.T && _i; t++)
        offsets[t] = (int64_t)tensor_get(&tensors.tensor[MOE_OFFSETS], t);
    lists.offsets = _i ? offsets : NULL;
    int64_t P = begin_of(&lists, lists.T);
    /* scores of another stride: every third of an array */
    struct moe_tensor *scores = &tensors.tensor[MOE_SCORES];
    float apart[3 * 27] = {0};
    free(scores->data);
    scores->data = apart;
    for (int axis = 0; axis < scores->rank; axis++)
        scores->stride[axis] *= 3;
    for (int64_t p = 0; p < P; p++) {
        lists.picks[p] = (int32_t)tensor_get(&tensors.tensor[MOE_PICKS], p);
        apart[3 * p] = (float)(lists.scores[p] = (double)p / 32);
    }
    struct moe_routing routing;
    ck_assert_int_eq(moe_routing_from_tensors(&problem, tensors.tensor, &routing), MOE_OK);
    expect_entries(&lists, &routing);
    expect_counts(&lists, &routing);
    expect_rows(&lists, &routing);
    moe_routing_free(&routing);
    scores->data = NULL;
    moe_tensors_free(&tensors);
}
END_TEST

/* What somebody's kernel may have left: offsets beyond the room of picks, a dropped pick of a
 * router that drops nothing. */
START_TEST(refused_tensors)
{
    struct moe_problem ragged = problem_of("T=4 H=1 I=1 E=5 K=3 router=lists routing=ragged");
    struct moe_tensors tensors = tensors_of(&ragged);
    struct moe_routing routing;
    static const double offsets[] = {-1, 13, 0x1p40};
    memset(&routing, 0x5a, sizeof routing);
    for (int i = 0; i < COUNT(offsets); i++) {
        tensor_set(&tensors.tensor[MOE_OFFSETS], ragged.T, offsets[i]);
        ck_assert_int_eq(moe_routing_from_tensors(&ragged, tensors.tensor, &routing), MOE_E_USAGE);
        ck_assert_ptr_nonnull(strstr(moe_error_text(), "offsets"));
    }
    moe_tensors_free(&tensors);

    struct moe_problem computed = problem_of("T=2 H=1 I=1 E=5 K=2");
    tensors = tensors_of(&computed);
    for (int i = 0; i < 4; i++) {
        tensor_set(&tensors.tensor[MOE_PICKS], i, i == 3 ? -1 : i);
        tensor_set(&tensors.tensor[MOE_SCORES], i, 1);
    }
    ck_assert_int_eq(moe_routing_from_tensors(&computed, tensors.tensor, &routing), MOE_E_USAGE);
    ck_assert_ptr_nonnull(strstr(moe_error_text(), "entry 3"));
    expect_untouched(&routing, 0x5a);
    moe_tensors_free(&tensors);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("routing");
    TCase *lists = tcase_create("lists"), *tensors = tcase_create("tensors");
    tcase_add_loop_test(lists, any_lists, 0, 2);
    tcase_add_test(lists, edges);
    tcase_add_test(lists, by_hand);
    tcase_add_loop_test(lists, refusals, 0, COUNT(refused));
    tcase_add_test(lists, not_refused);
    suite_add_tcase(suite, lists);
    tcase_add_loop_test(tensors, from_tensors, 0, 2);
    tcase_add_test(tensors, refused_tensors);
    suite_add_tcase(suite, tensors);
    return run_suite(suite);
}

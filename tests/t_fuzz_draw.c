/*
 * t_fuzz_draw.c - the covering array and the random cases.
 *
 * That the array covers is counted here anew, from the printed lines alone.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "tests/support.h"

#define LINE 1024

static struct moe_coverage nothing; /* seen yet */

/* Which value of the factor does a printed line have? Absent keys have their default. -1: none
 * listed. */
static int value_in(const char *line, int factor)
{
    const char *key = moe_factor_get(factor)->key, *preset = NULL, *word = NULL;
    char space[32];
    for (int k = 0; moe_problem_key(k) != NULL; k++)
        if (strcmp(moe_problem_key(k)->name, key) == 0)
            preset = moe_problem_key(k)->preset;
    snprintf(space, sizeof space, " %s=", key);
    if (strncmp(line, space + 1, strlen(space + 1)) == 0)
        word = line + strlen(space + 1);
    else if (strstr(line, space) != NULL)
        word = strstr(line, space) + strlen(space);
    else
        word = preset;
    size_t length = strcspn(word, " ");
    for (int v = 0; v < moe_factor_value_count(factor); v++) {
        const char *value = moe_factor_get(factor)->value[v];
        if (strlen(value) == length && strncmp(value, word, length) == 0)
            return v;
    }
    return -1;
}

START_TEST(array_has_every_pair)
{
    struct moe_problem *rows;
    int count, values = nothing.values, met = 0;
    uint8_t *pairs = calloc((size_t)values, (size_t)values);
    ck_assert_ptr_nonnull(pairs);
    ck_assert_int_eq(moe_array_create((uint64_t)_i, &nothing, &rows, &count), MOE_OK);
    for (int row = 0; row < count; row++) {
        char line[LINE];
        int at[MOE_FACTOR_MAX];
        moe_problem_print(&rows[row], line, sizeof line);
        ck_assert_msg(moe_problem_validate(&rows[row]) == MOE_OK, "%d: %s: %s", _i, line,
                      moe_error_text());
        for (int f = 0; f < moe_factor_count(); f++) {
            int value = value_in(line, f);
            ck_assert_msg(value >= 0, "%d: %s: %s", _i, line, moe_factor_get(f)->key);
            at[f] = nothing.first[f] + value;
            for (int g = 0; g < f; g++)
                pairs[at[g] * values + at[f]] = 1;
        }
    }
    for (int i = 0; i < values * values; i++)
        met += pairs[i];
    ck_assert_int_eq(met, nothing.pairs_feasible);
    /* No array can be shorter than its two longest rows of values; greedy stays near. */
    ck_assert_int_ge(count, 17 * 14);
    ck_assert_int_le(count, 400);
    free(pairs);
    free(rows);
}
END_TEST

START_TEST(array_is_the_seeds)
{
    struct moe_problem *one, *same, *other;
    int one_count, same_count, other_count;
    ck_assert_int_eq(moe_array_create(5, &nothing, &one, &one_count), MOE_OK);
    ck_assert_int_eq(moe_array_create(5, &nothing, &same, &same_count), MOE_OK);
    ck_assert_int_eq(moe_array_create(6, &nothing, &other, &other_count), MOE_OK);
    ck_assert_int_eq(one_count, same_count);
    ck_assert_mem_eq(one, same, (size_t)one_count * sizeof *one);
    ck_assert(memcmp(one, other, (size_t)100 * sizeof *one) != 0);
    free(one);
    free(same);
    free(other);
}
END_TEST

/* Cheap cases mostly, so that plain loops do thousands a minute; and some ten times as large. */
START_TEST(array_is_affordable)
{
    struct moe_problem *rows;
    int count, large = 0;
    double sum = 0;
    ck_assert_int_eq(moe_array_create(1, &nothing, &rows, &count), MOE_OK);
    for (int row = 0; row < count; row++) {
        double cost = moe_case_cost(&rows[row]);
        ck_assert(cost <= 10 * MOE_CASE_COST);
        large += cost > MOE_CASE_COST;
        sum += cost;
    }
    ck_assert(sum / count <= MOE_CASE_COST);
    ck_assert_int_gt(large, 0);
    ck_assert_int_lt(large, count / 8);
    free(rows);
}
END_TEST

#define DRAWS 1000

/* Every case has a meaning and depends on its number alone. */
START_TEST(draws_are_cases)
{
    static struct moe_problem drawn[DRAWS];
    int large = 0, empty = 0, every_expert = 0;
    for (int n = DRAWS - 1; n >= 0; n--) {
        moe_case_draw(3, (uint64_t)n, &drawn[n]);
        ck_assert_msg(moe_problem_validate(&drawn[n]) == MOE_OK, "%d: %s", n, moe_error_text());
        double cost = moe_case_cost(&drawn[n]);
        ck_assert(cost <= 10 * MOE_CASE_COST);
        large += cost > MOE_CASE_COST;
        empty += drawn[n].T == 0;
        every_expert += drawn[n].K == drawn[n].E;
    }
    for (int n = 0; n < DRAWS; n += 37) {
        struct moe_problem again;
        moe_case_draw(3, (uint64_t)n, &again);
        ck_assert_mem_eq(&again, &drawn[n], sizeof again);
        moe_case_draw(4, (uint64_t)n, &again);
        ck_assert(memcmp(&again, &drawn[n], sizeof again) != 0);
    }
    ck_assert_int_gt(large, DRAWS / 500);
    ck_assert_int_lt(large, DRAWS / 10);
    ck_assert_int_gt(empty, DRAWS / 200);
    ck_assert_int_lt(empty, DRAWS / 4);
    ck_assert_int_gt(every_expert, DRAWS / 20);
}
END_TEST

/* Rows per expert stand at the edges of tiles far more often than sizes do that are drawn evenly.
 */
START_TEST(draws_reach_the_edges)
{
    int at_edge[9] = {0}, near = 0;
    for (int n = 0; n < DRAWS; n++) {
        struct moe_problem p;
        moe_case_draw(3, (uint64_t)n, &p);
        double rows = (double)p.T * (double)p.K / (double)p.E;
        for (int edge = 0; edge < 9; edge++)
            if (fabs(rows - exp2(edge)) <= 1) {
                at_edge[edge]++;
                near++;
                break;
            }
    }
    for (int edge = 0; edge < 8; edge++)
        ck_assert_msg(at_edge[edge] >= DRAWS / 100, "about %g rows an expert: %d of %d cases",
                      exp2(edge), at_edge[edge], DRAWS);
    ck_assert_int_gt(near, DRAWS / 2);
}
END_TEST

/* In each batch of 50 some values are missing that others have, and over many batches none is. */
START_TEST(batches_switch_features_off)
{
    enum { BATCH = 50, BATCHES = DRAWS / BATCH };
    int act = moe_factor_index("act"), data = moe_factor_index("data");
    int ever[MOE_FACTOR_VALUES] = {0}, missing = 0, whole = 0;
    for (int b = 0; b < BATCHES; b++) {
        int here[MOE_FACTOR_VALUES] = {0};
        for (int n = 0; n < BATCH; n++) {
            struct moe_problem p;
            char line[LINE];
            moe_case_draw(3, (uint64_t)(b * BATCH + n), &p);
            moe_problem_print(&p, line, sizeof line);
            here[value_in(line, data)] = 1;
            ever[value_in(line, act)] = 1;
        }
        for (int v = 1; v < moe_factor_value_count(data); v++) {
            missing += !here[v];
            whole += here[v];
        }
    }
    /* Half of 6 values in each of the batches, give or take five standard deviations. */
    ck_assert_int_gt(missing, BATCHES * 3 - 5 * (int)sqrt(BATCHES * 1.5));
    ck_assert_int_gt(whole, BATCHES * 3 - 5 * (int)sqrt(BATCHES * 1.5));
    for (int v = 0; v < moe_factor_value_count(act); v++)
        ck_assert_msg(ever[v], "act=%s was never drawn", moe_factor_get(act)->value[v]);
}
END_TEST

/* Numbers below the bound, each about as often as the others. */
START_TEST(dice)
{
    int count[6] = {0};
    uint64_t index = 0;
    for (int i = 0; i < 6000; i++) {
        uint32_t number = moe_dice_roll(11, 1, &index, 6);
        ck_assert_uint_lt(number, 6);
        count[number]++;
    }
    ck_assert_uint_eq(index, 6000);
    for (int i = 0; i < 6; i++)
        ck_assert_int_lt(abs(count[i] - 1000), 150); /* five standard deviations */
}
END_TEST

int main(void)
{
    if (moe_coverage_create(&nothing) != MOE_OK) {
        fprintf(stderr, "%s\n", moe_error_text());
        return 1;
    }
    Suite *suite = suite_create("fuzz_draw");
    TCase *tcase = tcase_create("fuzz_draw");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, dice);
    tcase_add_loop_test(tcase, array_has_every_pair, 1, 1 + as_many(3, 1));
    tcase_add_test(tcase, array_is_the_seeds);
    tcase_add_test(tcase, array_is_affordable);
    tcase_add_test(tcase, draws_are_cases);
    tcase_add_test(tcase, draws_reach_the_edges);
    tcase_add_test(tcase, batches_switch_features_off);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    moe_coverage_free(&nothing);
    return failed != 0;
}

/*
 * t_models.c - every preset is a case, survives printing, leaves T, dtype and seed alone, and has
 * the number of weights that its model is known for.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "ref/moe.h"

static int count(void)
{
    int models = 0;
    while (moe_model(models) != NULL)
        models++;
    return models;
}

START_TEST(preset_is_a_case)
{
    const struct moe_model *model = moe_model(_i);
    struct moe_problem problem, again;
    char line[256], text[1024];
    snprintf(line, sizeof line, "dtype=f32 model=%s T=5 seed=3", model->name);
    ck_assert_msg(moe_problem_parse(line, &problem) == MOE_OK, "%d: %s", _i, moe_error_text());
    ck_assert_int_eq(problem.T, 5);
    ck_assert_int_eq(problem.dtype, MOE_F32);
    ck_assert_uint_eq(problem.seed, 3);
    ck_assert_int_lt(moe_problem_print(&problem, text, sizeof text), (int)sizeof text);
    ck_assert_msg(moe_problem_parse(text, &again) == MOE_OK, "%d: %s: %s", _i, text,
                  moe_error_text());
    ck_assert_msg(memcmp(&problem, &again, sizeof again) == 0, "%d: %s", _i, text);
    for (int other = 0; other < _i; other++)
        ck_assert_msg(strcmp(moe_model(other)->name, model->name) != 0, "%d: a name twice", _i);
}
END_TEST

START_TEST(preset_leaves_the_rest_alone)
{
    const char *words = moe_model(_i)->keys;
    char padded[512];
    snprintf(padded, sizeof padded, " %s", words);
    ck_assert_msg(strstr(padded, " T=") == NULL, "%d: %s", _i, words);
    ck_assert_msg(strstr(padded, " dtype=") == NULL, "%d: %s", _i, words);
    ck_assert_msg(strstr(padded, " seed=") == NULL, "%d: %s", _i, words);
    ck_assert_msg(strstr(padded, " routing=") == NULL, "%d: %s", _i, words);
}
END_TEST

/* Layers and total weights of the experts as published: a wrong shape shows here. The remainder
 * (attention, embeddings, dense layers) is a few percent of the model. */
static const struct {
    const char *model;
    int layers;
    double billions; /* of the whole model */
} size[] = {
    {"mixtral-8x7b", 32, 46.7},
    {"mixtral-8x22b", 56, 141},
    {"dbrx", 40, 132},
    {"olmoe-1b-7b", 16, 6.9},
    {"deepseek-v2-lite", 26, 15.7},
    {"deepseek-v2", 59, 236},
    {"deepseek-v3", 58, 671},
    {"kimi-k2", 60, 1026},
    {"qwen3-30b-a3b", 48, 30.5},
    {"qwen3-235b-a22b", 94, 235},
    {"qwen3-next-80b-a3b", 48, 80},
    {"gpt-oss-20b", 24, 20.9},
    {"gpt-oss-120b", 36, 116.8},
    {"glm-4.5-air", 45, 106},
    {"glm-4.5", 89, 355},
    {"minimax-m2", 62, 230},
    {"llama-4-scout", 48, 109},
    {"llama-4-maverick", 24, 400},
    {"kimi-linear-48b-a3b", 26, 48},
    {"nemotron-3-nano-30b-a3b", 23, 31.6},
};

START_TEST(weights_are_as_many_as_published)
{
    struct moe_problem p;
    char line[256];
    double billions;
    snprintf(line, sizeof line, "model=%s", size[_i].model);
    ck_assert_msg(moe_problem_parse(line, &p) == MOE_OK, "%d: %s", _i, moe_error_text());
    billions = (double)(p.E * (moe_problem_z_rows(&p) + p.I) * p.H +
                        (moe_problem_shared_rows(&p) + p.shared) * p.H) *
               size[_i].layers * 1e-9;
    ck_assert_msg(billions > 0.87 * size[_i].billions && billions < size[_i].billions,
                  "%d: %s has %.1f of %.1f billion weights in its experts", _i, size[_i].model,
                  billions, size[_i].billions);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("models");
    TCase *tests = tcase_create("models");
    SRunner *runner = srunner_create(suite);
    int failed;
    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, preset_is_a_case, 0, count());
    tcase_add_loop_test(tests, preset_leaves_the_rest_alone, 0, count());
    tcase_add_loop_test(tests, weights_are_as_many_as_published, 0, sizeof size / sizeof *size);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

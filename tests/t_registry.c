/*
 * t_registry.c - the table of variants, and what opening a plug-in does to this process: its
 * variants are there or they are not, and floating-point numbers behave as before.
 *
 * The plug-ins are made of tests/plugins/bad.c; plugin.sh shows the command all that can be wrong.
 */
#include <check.h>
#include <fenv.h>
#include <float.h>
#include <string.h>

#include "verify/registry.h"
#include "verify/verify.h"

#define RIGHT ".libs/plugin_right.so"
#define FLUSH ".libs/plugin_flush.so"

static int count(void)
{
    int variants = 0;
    while (moe_variant_get(variants))
        variants++;
    return variants;
}

START_TEST(built_in)
{
    ck_assert_ptr_null(moe_variant_get(-1));
    ck_assert_ptr_null(moe_variant_get(count()));
    ck_assert_ptr_nonnull(moe_variant_find("naive"));
    ck_assert_ptr_nonnull(moe_variant_find("ref"));
    ck_assert_ptr_null(moe_variant_find("nobody"));
    for (int i = 0; i < count(); i++) {
        const struct moe_variant *variant = moe_variant_get(i);
        ck_assert_msg(moe_variant_find(variant->name) == variant, "%s stands twice", variant->name);
        ck_assert_uint_eq(variant->struct_size, sizeof *variant);
    }
}
END_TEST

static int takes_nothing(const struct moe_problem *problem, char *why, size_t size)
{
    (void)problem, (void)why, (void)size;
    return MOE_E_UNSUPPORTED;
}

START_TEST(applicable)
{
    struct moe_problem problem = moe_problem_default();
    char why[64];
    struct moe_variant silent = *moe_variant_find("naive");
    ck_assert_int_eq(moe_variant_applicable(&silent, &problem, MOE_ON_CPU, why, sizeof why),
                     MOE_OK);

    silent.devices = MOE_ON_CUDA | MOE_ON_PTX;
    int status = moe_variant_applicable(&silent, &problem, MOE_ON_CPU, why, sizeof why);
    ck_assert_int_eq(status, MOE_E_UNSUPPORTED);
    ck_assert_str_eq(why, "runs on cuda ptx only");
    char little[] = "wxyz";
    ck_assert_int_eq(moe_variant_applicable(&silent, &problem, MOE_ON_CPU, little, 3), status);
    ck_assert_str_eq(little, "ru");
    ck_assert_int_eq(little[3], 'z');

    silent.devices = MOE_ON_CPU;
    silent.supports = takes_nothing;
    status = moe_variant_applicable(&silent, &problem, MOE_ON_CPU, why, sizeof why);
    ck_assert_int_eq(status, MOE_E_UNSUPPORTED);
    ck_assert_str_eq(why, "naive does not say why");
}
END_TEST

START_TEST(plugin_adds)
{
    int before = count();
    ck_assert_msg(moe_plugin_open(RIGHT) == MOE_OK, "%s", moe_error_text());
    ck_assert_int_eq(count(), before + 2);
    ck_assert_str_eq(moe_variant_get(before)->name, "first");
    ck_assert_ptr_eq(moe_variant_find("second"), moe_variant_get(before + 1));
    /* again: a name is taken, and nothing has come of it */
    ck_assert_int_eq(moe_plugin_open(RIGHT), MOE_E_USAGE);
    ck_assert_int_eq(count(), before + 2);
    ck_assert_str_eq(moe_variant_find("first")->summary, "takes nothing");
}
END_TEST

START_TEST(plugin_missing)
{
    int before = count();
    ck_assert_int_eq(moe_plugin_open(".libs/nowhere.so"), MOE_E_IO);
    ck_assert_msg(strstr(moe_error_text(), "nowhere.so") != NULL, "%s", moe_error_text());
    ck_assert_int_eq(count(), before);
}
END_TEST

/* Its constructor turns subnormal numbers off; afterwards they are there, and it is not. */
START_TEST(plugin_flushes)
{
#if defined(__x86_64__) || defined(__aarch64__)
    volatile float smallest = FLT_MIN, half;
    int before = count();
    ck_assert_int_eq(fesetround(FE_DOWNWARD), 0);
    ck_assert_int_eq(moe_plugin_open(FLUSH), MOE_E_INTERNAL);
    ck_assert_int_eq(fegetround(), FE_DOWNWARD);
    fesetround(FE_TONEAREST);
    half = smallest / 2;
    ck_assert(half > 0);
    ck_assert(half * 2 == smallest);
    ck_assert_int_eq(count(), before);
#endif
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("registry");
    TCase *table = tcase_create("table");
    tcase_add_test(table, built_in);
    tcase_add_test(table, applicable);
    tcase_add_test(table, plugin_adds);
    tcase_add_test(table, plugin_missing);
    tcase_add_test(table, plugin_flushes);
    suite_add_tcase(suite, table);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

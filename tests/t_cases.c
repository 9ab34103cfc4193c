/*
 * t_cases.c - which arguments and lines make which cases, and what is said of those that make none.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "verify/command.h"

/* Arguments, and T of each case that they make; -1 ends them. */
static const struct {
    const char *argument[6];
    int64_t T[4];
} lines[] = {
    {{NULL}, {-1}},
    {{"T=1", NULL}, {1, -1}},
    {{"T=1", "H=8", NULL}, {1, -1}},
    {{"T=1 H=8", NULL}, {1, -1}},
    {{"T=1 H=8", "T=2 H=8", NULL}, {1, 2, -1}},
    {{"T=1", "T=2 H=8", "T=3", NULL}, {1, 2, 3, -1}},
    {{"H=8", "T=4", "T=5 I=8", "T=6", "K=1", NULL}, {4, 5, 6, -1}},
    {{" T=7", "H=8", NULL}, {7, 64, -1}},
    {{"T=1\tH=8", "T=9", NULL}, {1, 9, -1}},
};

START_TEST(test_arguments)
{
    struct moe_cases cases = {.count = 0};
    int64_t count = 0;

    for (int i = 0; lines[_i].argument[i] != NULL; i++)
        ck_assert_int_eq(moe_cases_parse(&cases, ARGP_KEY_ARG, lines[_i].argument[i]), 0);
    ck_assert_int_eq(moe_cases_parse(&cases, ARGP_KEY_END, NULL), 0);
    ck_assert_msg(cases.status == MOE_OK, "%d: %s", _i, moe_error_text());
    while (lines[_i].T[count] >= 0) {
        ck_assert_msg(count < cases.count && cases.problem[count].T == lines[_i].T[count],
                      "%d: case %d", _i, (int)count);
        count++;
    }
    ck_assert_msg(cases.count == count, "%d: %d cases", _i, (int)cases.count);
    moe_cases_free(&cases);
}
END_TEST

static const struct {
    const char *argument[3];
    const char *words;
} wrong[] = {
    {{"T=1", "T=2", NULL}, "T"}, {{"", NULL}, "empty"}, {{"  ", NULL}, "empty"},
    {{"T", NULL}, "T"},          {{"Q=1", NULL}, "Q"},  {{"T=1 K=99", "T=2", NULL}, "K"},
    {{"T=1 H=8", "Q=1"}, "Q"},
};

START_TEST(test_wrong_arguments)
{
    struct moe_cases cases = {.count = 0};

    for (int i = 0; wrong[_i].argument[i] != NULL; i++)
        moe_cases_parse(&cases, ARGP_KEY_ARG, wrong[_i].argument[i]);
    moe_cases_parse(&cases, ARGP_KEY_END, NULL);
    ck_assert_msg(cases.status == MOE_E_USAGE, "%d: %d", _i, cases.status);
    ck_assert_msg(strstr(moe_error_text(), wrong[_i].words) != NULL, "%d: %s", _i,
                  moe_error_text());
    moe_cases_free(&cases);
}
END_TEST

START_TEST(test_other_keys)
{
    struct moe_cases cases = {.count = 0};

    ck_assert_int_eq(moe_cases_parse(&cases, 'v', NULL), ARGP_ERR_UNKNOWN);
    ck_assert_int_eq(moe_cases_parse(&cases, ARGP_KEY_INIT, NULL), ARGP_ERR_UNKNOWN);
}
END_TEST

/* A file with this text, read; its name is put into `name`. */
static int read_text(const char *text, size_t length, char name[32], struct moe_cases *cases)
{
    FILE *file;
    int status;

    snprintf(name, 32, "cases-%ld", (long)getpid());
    file = fopen(name, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, length, file), length);
    fclose(file);
    status = moe_cases_read(cases, name);
    unlink(name);
    return status;
}

START_TEST(test_file)
{
    static const char text[] = "# a comment\n\n   \nT=1 H=8\r\n\tT=2 # why\n#T=3\nT=4 H=16 seed=5";
    struct moe_cases cases = {.count = 0};
    char name[32];

    ck_assert_int_eq(read_text(text, sizeof text - 1, name, &cases), MOE_OK);
    ck_assert_int_eq(cases.count, 3);
    ck_assert_int_eq(cases.problem[0].T, 1);
    ck_assert_int_eq(cases.problem[1].T, 2);
    ck_assert_uint_eq(cases.problem[2].seed, 5);
    /* A second file appends. */
    ck_assert_int_eq(read_text("T=6\n", 4, name, &cases), MOE_OK);
    ck_assert_int_eq(cases.count, 4);
    ck_assert_int_eq(cases.problem[3].T, 6);
    moe_cases_free(&cases);
}
END_TEST

static const struct {
    const char *text;
    size_t length;
    int line;
} bad_files[] = {
    {"T=1\nT=x\n", 8, 2},
    {"# one\n\nT=1\nT=1 variant=naive\n", 29, 4},
    {"T=1\nT=\0002\n", 9, 2},
    {"\x7f"
     "ELF\n",
     5, 1},
};

START_TEST(test_bad_file)
{
    struct moe_cases cases = {.count = 0};
    char name[32], wanted[64];
    int status = read_text(bad_files[_i].text, bad_files[_i].length, name, &cases);

    snprintf(wanted, sizeof wanted, "%s:%d: ", name, bad_files[_i].line);
    ck_assert_msg(status == MOE_E_USAGE, "%d: %d", _i, status);
    ck_assert_msg(strncmp(moe_error_text(), wanted, strlen(wanted)) == 0, "%d: %s", _i,
                  moe_error_text());
    moe_cases_free(&cases);
}
END_TEST

START_TEST(test_no_file)
{
    struct moe_cases cases = {.count = 0};

    ck_assert_int_eq(moe_cases_read(&cases, "no-such-file"), MOE_E_IO);
    ck_assert_ptr_nonnull(strstr(moe_error_text(), "no-such-file: No such file"));
    ck_assert_int_eq(moe_cases_read(&cases, "."), MOE_E_IO);
    ck_assert_int_eq(cases.count, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cases");
    TCase *tests = tcase_create("cases");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(tests, test_arguments, 0, sizeof lines / sizeof *lines);
    tcase_add_loop_test(tests, test_wrong_arguments, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(tests, test_other_keys);
    tcase_add_test(tests, test_file);
    tcase_add_loop_test(tests, test_bad_file, 0, sizeof bad_files / sizeof *bad_files);
    tcase_add_test(tests, test_no_file);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}

/*
 * t_corpus.c - the corpus that is part of the program, and files to which failures are appended.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

static char path[] = "t_corpus_XXXXXX";

static void make_file(void)
{
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    unlink(path);
}

static void remove_file(void)
{
    unlink(path);
}

static struct moe_problem problem_of(const char *line)
{
    struct moe_problem problem;
    ck_assert_msg(moe_problem_parse(line, &problem) == MOE_OK, "%s: %s", line, moe_error_text());
    return problem;
}

/* The file's text; up to 4095 bytes. */
static const char *contents(void)
{
    static char text[4096];
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void write_file(const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

/* Each line is a case, none stands twice, and what they are for is there. */
START_TEST(cases_that_come_with_us)
{
    int count = 0, empty = 0, all = 0, ragged = 0, rounded = 0, tiny = 0, ties = 0;
    for (; moe_corpus_case(count) != NULL; count++) {
        struct moe_problem problem = problem_of(moe_corpus_case(count));
        for (int other = 0; other < count; other++) {
            struct moe_problem twin = problem_of(moe_corpus_case(other));
            ck_assert_msg(memcmp(&problem, &twin, sizeof twin) != 0, "twice: %s",
                          moe_corpus_case(count));
        }
        empty += problem.T == 0;
        all += problem.K == problem.E;
        ragged += moe_problem_ragged(&problem);
        rounded += problem.round != MOE_ROUND_NONE;
        tiny += problem.data == MOE_DATA_TINY;
        ties += problem.routing == MOE_ROUTING_TIES;
        /* about a second by plain loops */
        ck_assert_msg(moe_case_cost(&problem) < 100 * MOE_CASE_COST, "%s", moe_corpus_case(count));
    }
    ck_assert_int_ge(count, 60);
    ck_assert(empty > 0 && all > 0 && ragged > 0 && rounded > 0 && tiny > 0 && ties > 0);
    ck_assert_ptr_null(moe_corpus_case(-1));
}
END_TEST

START_TEST(appends_once)
{
    struct moe_problem one = problem_of("T=3 dtype=f32"), other = problem_of("T=4 dtype=f32");
    char text[2048], a[512], b[512];
    moe_problem_print(&one, a, sizeof a);
    moe_problem_print(&other, b, sizeof b);
    ck_assert_int_eq(moe_corpus_append(path, &one, "naive: bound"), MOE_OK);
    ck_assert_int_eq(moe_corpus_append(path, &other, "naive: bound"), MOE_OK);
    ck_assert_int_eq(moe_corpus_append(path, &one, "ref: inputs"), MOE_OK);
    snprintf(text, sizeof text, "# naive: bound\n%s\n# naive: bound\n%s\n", a, b);
    ck_assert_str_eq(contents(), text);
}
END_TEST

/* What somebody wrote by hand, without a newline at the end, stays whole. */
START_TEST(ends_an_open_line)
{
    struct moe_problem problem = problem_of("T=3 dtype=f32");
    char text[2048], line[512];
    moe_problem_print(&problem, line, sizeof line);
    write_file("T=9 dtype=f64");
    ck_assert_int_eq(moe_corpus_append(path, &problem, "x"), MOE_OK);
    snprintf(text, sizeof text, "T=9 dtype=f64\n# x\n%s\n", line);
    ck_assert_str_eq(contents(), text);
}
END_TEST

START_TEST(refuses_what_cannot_be_written)
{
    struct moe_problem problem = problem_of("T=3 dtype=f32");
    ck_assert_int_eq(moe_corpus_append("/nonexistent/f.cases", &problem, "x"), MOE_E_IO);
    ck_assert_ptr_nonnull(strstr(moe_error_text(), "/nonexistent/f.cases"));
    ck_assert_int_eq(moe_corpus_append(".", &problem, "x"), MOE_E_IO);
}
END_TEST

/* A disk that fills up in the middle of the write: a limit on the size of files stands for it. */
START_TEST(full_disk_leaves_the_file)
{
    struct moe_problem problem = problem_of("T=3 dtype=f32");
    struct rlimit limit = {.rlim_cur = 30, .rlim_max = RLIM_INFINITY};
    write_file("T=9 dtype=f64\n");
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(moe_corpus_append(path, &problem, "x"), MOE_E_IO);
    ck_assert_str_eq(contents(), "T=9 dtype=f64\n");
    limit.rlim_cur = RLIM_INFINITY;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(moe_corpus_append(path, &problem, "x"), MOE_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("corpus");
    TCase *tcase = tcase_create("corpus");
    tcase_add_checked_fixture(tcase, make_file, remove_file);
    tcase_add_test(tcase, cases_that_come_with_us);
    tcase_add_test(tcase, appends_once);
    tcase_add_test(tcase, ends_an_open_line);
    tcase_add_test(tcase, refuses_what_cannot_be_written);
    tcase_add_test(tcase, full_disk_leaves_the_file);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

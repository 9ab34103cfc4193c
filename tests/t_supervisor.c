/*
 * t_supervisor.c - workers that end, hang, garble or refuse: every job has one result, which says
 * what happened to whom; nothing stays behind.
 *
 * The worker is this program itself: main() sees that it was started as one, and then is what
 * stub_worker.c has.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/stub_worker.h"
#include "verify/worker.h"

static char marker[64];

static void setup(void)
{
    snprintf(marker, sizeof marker, "supervisor-%ld", (long)getpid());
    unlink(marker);
}

static void teardown(void)
{
    unlink(marker);
}

static struct moe_supervisor *start(int jobs, double timeout)
{
    struct moe_supervisor_options options = {.jobs = jobs, .timeout = timeout};
    struct moe_supervisor *supervisor = NULL;
    int status = moe_supervisor_start(&options, &supervisor);

    ck_assert_msg(status == MOE_OK, "start: %s", moe_error_text());
    return supervisor;
}

static void submit(struct moe_supervisor *supervisor, const char *variant, uint64_t ticket)
{
    struct moe_job job = {
        .problem = moe_problem_default(), .variant = variant, .file = marker, .ticket = ticket};

    ck_assert_int_eq(moe_supervisor_submit(supervisor, &job), MOE_OK);
}

static struct moe_result next(struct moe_supervisor *supervisor)
{
    struct moe_result result;

    ck_assert_int_eq(moe_supervisor_next(supervisor, 20, &result), MOE_NEXT_RESULT);
    return result;
}

static void stop(struct moe_supervisor *supervisor)
{
    moe_supervisor_stop(supervisor);
    errno = 0;
    ck_assert_msg(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "a child is left");
}

/* How every bad end is judged, and words that the finding must have. */
static const struct {
    const char *variant;
    enum moe_verdict verdict;
    const char *words[3];
} ends[] = {
    {"crash", MOE_FAIL, {"killed by SIGSEGV", "inside the variant", "the same"}},
    {"crash-judge", MOE_ERROR, {"killed by SIGABRT", "judge's own code", "the same"}},
    {"crash-once", MOE_FAIL, {"killed by SIGSEGV", "inside the variant", "alone: PASS"}},
    {"crash-judge-once", MOE_ERROR, {"killed by SIGABRT", "judge's own code", "alone: PASS"}},
    {"crash-judge-then-fail", MOE_FAIL, {"killed by SIGABRT", "own code", "alone: FAIL"}},
    {"crash-judge-then-variant", MOE_FAIL, {"SIGABRT", "own code", "SIGSEGV"}},
    {"killed", MOE_FAIL, {"killed by SIGKILL", "inside the variant", "the same"}},
    {"leave", MOE_FAIL, {"exited with status 3", "inside the variant", "the same"}},
    {"hang", MOE_FAIL, {"hung: no answer within 0.3 s", "inside the variant", "the same"}},
    {"hang-in-check", MOE_FAIL, {"hung", "variant, in backward of check stream", "the same"}},
    {"hang-judge", MOE_ERROR, {"hung", "judge's own code", "the same"}},
    {"nonsense", MOE_FAIL, {"garbled", "I print what I like", "inside the variant"}},
    {"endless", MOE_FAIL, {"garbled", "without end", "inside the variant"}},
    {"stale", MOE_FAIL, {"garbled", "1001", "inside the variant"}},
    {"shut", MOE_FAIL, {"closed", "inside the variant", "the same"}},
    {"fork-and-leave", MOE_FAIL, {"exited with status 4", "inside the variant", "the same"}},
};

START_TEST(test_bad_end)
{
    struct moe_supervisor *supervisor = start(1, 0.3);
    const struct moe_finding *finding = NULL;
    struct moe_result result;

    submit(supervisor, ends[_i].variant, 77);
    submit(supervisor, "pass", 78);
    result = next(supervisor);
    for (int i = 0; i < result.report.finding_count; i++)
        if (strcmp(result.report.finding[i].check, "isolation") == 0)
            finding = &result.report.finding[i];
    ck_assert_msg(finding != NULL, "%d: no finding of isolation", _i);
    ck_assert_uint_eq(result.ticket, 77);
    ck_assert_str_eq(result.variant, ends[_i].variant);
    ck_assert_msg(result.report.verdict == ends[_i].verdict, "%d: %s: %s", _i,
                  moe_verdict_name(result.report.verdict), finding->text);
    for (int i = 0; i < 3; i++)
        ck_assert_msg(strstr(finding->text, ends[_i].words[i]) != NULL, "%d: no '%s' in '%s'", _i,
                      ends[_i].words[i], finding->text);
    /* What follows is not touched by it. */
    result = next(supervisor);
    ck_assert_msg(result.ticket == 78 && result.report.verdict == MOE_PASS, "%d: the next job", _i);
    stop(supervisor);
}
END_TEST

/* A job that dies after others is told apart from one that dies first. */
START_TEST(test_jobs_before)
{
    struct moe_supervisor *supervisor = start(1, 0);
    struct moe_result result;

    submit(supervisor, "pass", 1);
    submit(supervisor, "pass", 2);
    submit(supervisor, "crash-once", 3);
    next(supervisor);
    next(supervisor);
    result = next(supervisor);
    ck_assert_msg(strstr(result.report.finding[1].text, "2 jobs before it") != NULL, "%s",
                  result.report.finding[1].text);
    stop(supervisor);
}
END_TEST

/* A worker that somebody killed is no failure of its job, unless that goes on and on. */
START_TEST(test_killed)
{
    struct moe_supervisor *supervisor = start(1, 0);

    if (moe_memory_kills() >= 0) { /* else nobody knows that memory did not run out */
        submit(supervisor, "killed-once", 1);
        struct moe_result result = next(supervisor);
        ck_assert_int_eq(result.report.verdict, MOE_PASS);
        ck_assert_int_eq(result.report.finding_count, 1);
    }
    stop(supervisor);
}
END_TEST

/* A worker that ends while it is idle is nobody's failure. */
START_TEST(test_end_while_idle)
{
    struct moe_supervisor *supervisor = start(1, 0);
    const struct timespec pause = {.tv_nsec = 200000000};

    submit(supervisor, _i == 0 ? "pass-and-leave" : "pass-and-shut", 1);
    ck_assert_int_eq(next(supervisor).report.verdict, MOE_PASS);
    nanosleep(&pause, NULL);
    submit(supervisor, "pass", 2);
    ck_assert_msg(next(supervisor).report.verdict == MOE_PASS, "%d", _i);
    stop(supervisor);
}
END_TEST

/* Nor does one that says that it is spent get another job, however fast that follows. */
START_TEST(test_spent)
{
    struct moe_supervisor *supervisor = start(1, 0);

    for (uint64_t i = 0; i < 5; i++)
        submit(supervisor, "spend", i);
    for (int i = 0; i < 5; i++) {
        struct moe_result result = next(supervisor);

        ck_assert_int_eq(result.report.finding_count, 1);
        ck_assert_int_eq(result.report.verdict, MOE_PASS);
    }
    stop(supervisor);
}
END_TEST

/* Every job comes back once, from no more workers than were allowed. */
static void many_jobs(int jobs, int one_job_each, int workers_least, int workers_most)
{
    enum { MANY = 200 };
    struct moe_supervisor_options options = {.jobs = jobs, .one_job_each = one_job_each};
    struct moe_supervisor *supervisor;
    int seen[MANY] = {0}, workers = 0;
    double pid[MANY];

    ck_assert_int_eq(moe_supervisor_start(&options, &supervisor), MOE_OK);
    for (int i = 0; i < MANY; i++)
        submit(supervisor, "pass", (uint64_t)i);
    for (int i = 0; i < MANY; i++) {
        struct moe_result result = next(supervisor);
        int known = 0;

        ck_assert_int_eq(moe_supervisor_open_jobs(supervisor), MANY - 1 - i);
        ck_assert_int_eq(result.report.verdict, MOE_PASS);
        ck_assert_uint_lt(result.ticket, MANY);
        seen[result.ticket]++;
        for (int w = 0; w < workers; w++)
            known |= pid[w] == result.measure.seconds;
        if (!known)
            pid[workers++] = result.measure.seconds;
    }
    for (int i = 0; i < MANY; i++)
        ck_assert_msg(seen[i] == 1, "job %d came back %d times", i, seen[i]);
    ck_assert_int_ge(workers, workers_least);
    ck_assert_int_le(workers, workers_most);
    ck_assert_int_eq(moe_supervisor_next(supervisor, 1, NULL), MOE_NEXT_NONE);
    stop(supervisor);
}

START_TEST(test_many_jobs)
{
    many_jobs(3, 0, 2, 3);
}
END_TEST

START_TEST(test_one_job_each)
{
    many_jobs(3, 1, 200, 200);
}
END_TEST

/* Where no second worker can be started, the first does all; where none can, the jobs end as ERROR.
 */
START_TEST(test_no_more_workers)
{
    struct moe_supervisor *supervisor = start(2, 0);
    struct rlimit limit, before;
    struct moe_result result;
    int first_free = dup(0);

    close(first_free);
    getrlimit(RLIMIT_NOFILE, &before);
    limit = before;
    limit.rlim_cur = (rlim_t)first_free + 1;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int i = 0; i < 20; i++)
        submit(supervisor, "pass", (uint64_t)i);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(next(supervisor).report.verdict, MOE_PASS);
    /* Its pipes' numbers are free again once it has ended: take them. */
    submit(supervisor, "crash", 20);
    submit(supervisor, "pass", 21);
    limit.rlim_cur = 3;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    result = next(supervisor);
    ck_assert_int_eq(result.report.verdict, MOE_FAIL);
    ck_assert_msg(strstr(result.report.finding[0].text, "cannot start a worker") != NULL, "%s",
                  result.report.finding[0].text);
    result = next(supervisor);
    ck_assert_int_eq(result.report.verdict, MOE_ERROR);
    ck_assert_msg(strstr(result.report.finding[0].text, "Too many open files") != NULL, "%s",
                  result.report.finding[0].text);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0); /* LeakSanitizer opens files at exit */
    stop(supervisor);
}
END_TEST

/* Bad jobs among good ones, several workers: nobody gets another's verdict. */
START_TEST(test_mixture)
{
    static const char *const kind[] = {"pass", "crash", "pass", "leave", "pass", "crash-judge"};
    static const enum moe_verdict wanted[] = {MOE_PASS, MOE_FAIL, MOE_PASS,
                                              MOE_FAIL, MOE_PASS, MOE_ERROR};
    struct moe_supervisor *supervisor = start(2, 0);

    for (int i = 0; i < 60; i++)
        submit(supervisor, kind[i % 6], (uint64_t)i);
    for (int i = 0; i < 60; i++) {
        struct moe_result result = next(supervisor);

        ck_assert_msg(result.report.verdict == wanted[result.ticket % 6], "job %d: %s",
                      (int)result.ticket, moe_verdict_name(result.report.verdict));
    }
    stop(supervisor);
}
END_TEST

/* Plug-ins that cannot be opened, and programs that are no workers. */
static const struct {
    const char *program, *plugin;
    int status;
    const char *words;
} starts[] = {
    {NULL, "refuse", MOE_E_USAGE, "refuse: no such plug-in"},
    {NULL, "babble", MOE_E_INTERNAL, "babble"},
    {NULL, "die", MOE_E_INTERNAL, "SIGBUS"},
    {"/bin/true", NULL, MOE_E_INTERNAL, "exited with status 0"},
    {"/nowhere/moecheck", NULL, MOE_E_IO, "cannot start a worker"},
};

START_TEST(test_bad_start)
{
    struct moe_supervisor_options options = {.program = starts[_i].program,
                                             .plugins = &starts[_i].plugin,
                                             .plugin_count = starts[_i].plugin != NULL,
                                             .jobs = 1};
    struct moe_supervisor *supervisor = NULL;
    int status = moe_supervisor_start(&options, &supervisor);

    ck_assert_msg(status == starts[_i].status, "%d: %d: %s", _i, status, moe_error_text());
    ck_assert_msg(strstr(moe_error_text(), starts[_i].words) != NULL, "%d: %s", _i,
                  moe_error_text());
    ck_assert_ptr_null(supervisor);
    stop(supervisor);
}
END_TEST

START_TEST(test_names)
{
    struct moe_supervisor *supervisor = start(1, 0);
    struct moe_job job = {.problem = moe_problem_default(), .variant = "nobody"};

    int count = 0;

    for (; stub_name(count) != NULL; count++)
        ck_assert_str_eq(moe_supervisor_variant(supervisor, count), stub_name(count));
    ck_assert_int_gt(count, 10);
    ck_assert_ptr_null(moe_supervisor_variant(supervisor, count));
    ck_assert_int_eq(moe_supervisor_submit(supervisor, &job), MOE_E_USAGE);
    job.variant = "pass";
    job.load = "not \xff UTF-8";
    ck_assert_int_eq(moe_supervisor_submit(supervisor, &job), MOE_E_USAGE);
    ck_assert_int_eq(moe_supervisor_open_jobs(supervisor), 0);
    stop(supervisor);
}
END_TEST

/* Waiting ends when it was to end, and an interruption at once; what hangs then is gone. */
START_TEST(test_wait_and_interrupt)
{
    struct moe_supervisor *supervisor = start(1, 0);
    struct moe_result result;

    submit(supervisor, "hang", 1);
    ck_assert_int_eq(moe_supervisor_next(supervisor, 0.05, &result), MOE_NEXT_WAIT);
    raise(_i == 0 ? SIGINT : SIGTERM);
    ck_assert_int_eq(moe_supervisor_next(supervisor, 60, &result), MOE_NEXT_INTERRUPTED);
    ck_assert_int_eq(moe_supervisor_next(supervisor, 60, &result), MOE_NEXT_INTERRUPTED);
    ck_assert_int_eq(moe_supervisor_open_jobs(supervisor), 1);
    stop(supervisor);
}
END_TEST

/* Handlers are as they were before. */
START_TEST(test_signals_restored)
{
    struct sigaction before, after;

    signal(SIGINT, SIG_IGN);
    sigaction(SIGPIPE, NULL, &before);
    stop(start(1, 0));
    sigaction(SIGPIPE, NULL, &after);
    ck_assert_ptr_eq((void *)before.sa_handler, (void *)after.sa_handler);
    sigaction(SIGINT, NULL, &after);
    ck_assert_ptr_eq((void *)after.sa_handler, (void *)SIG_IGN);
}
END_TEST

/* Several workers share the CPUs; one has what the environment says. */
static void threads_are(int jobs, const char *environment, const char *wanted)
{
    struct moe_supervisor *supervisor;
    struct moe_result result;

    if (environment != NULL)
        setenv("OMP_NUM_THREADS", environment, 1);
    else
        unsetenv("OMP_NUM_THREADS");
    supervisor = start(jobs, 0);
    submit(supervisor, "pass", 1);
    result = next(supervisor);
    ck_assert_str_eq(result.report.finding[0].text, wanted);
    stop(supervisor);
}

START_TEST(test_threads)
{
    threads_are(1, NULL, "unset");
    threads_are(1, "5", "5");
    threads_are(1000, NULL, "1");
    threads_are(1000, "5", "1");
}
END_TEST

START_TEST(test_patience)
{
    struct moe_problem problem = moe_problem_default();
    double small = moe_patience(&problem, MOE_ON_CPU);

    ck_assert_double_ge(small, 60);
    ck_assert_double_le(small, 70);
    ck_assert_int_eq(moe_problem_parse("T=2048 H=2048 I=1024 E=64 K=8", &problem), MOE_OK);
    /* 6 * 16384 rows * 2048 * 3072 operations at 1e8 a second and more */
    ck_assert_double_ge(moe_patience(&problem, MOE_ON_CPU), 6184);
    ck_assert_int_eq(moe_problem_parse("T=0 H=64 I=32", &problem), MOE_OK);
    ck_assert_double_ge(moe_patience(&problem, MOE_ON_CPU), 60);
    ck_assert(moe_crowding() >= 1 && moe_crowding() <= 8);
}
END_TEST

/* Workers of a supervisor that is killed end by themselves. */
START_TEST(test_orphans)
{
    int channel[2];
    char byte;
    pid_t pid;

    ck_assert_int_eq(pipe(channel), 0);
    pid = fork();
    if (pid == 0) {
        /* The worker inherits the writing end. */
        struct moe_supervisor *supervisor = start(1, 0);
        struct moe_result result;

        submit(supervisor, "pass", 1);
        moe_supervisor_next(supervisor, 10, &result);
        raise(SIGKILL);
    }
    close(channel[1]);
    waitpid(pid, NULL, 0);
    ck_assert_msg(read(channel[0], &byte, 1) == 0, "a worker outlives its supervisor");
    close(channel[0]);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("supervisor");
    TCase *tests = tcase_create("supervisor");
    SRunner *runner;
    int failed;

    if (argc > 1 && strcmp(argv[1], "worker") == 0)
        return stub_worker(argc, argv);
    runner = srunner_create(suite);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_bad_end, 0, sizeof ends / sizeof *ends);
    tcase_add_test(tests, test_jobs_before);
    tcase_add_test(tests, test_killed);
    tcase_add_loop_test(tests, test_end_while_idle, 0, 2);
    tcase_add_test(tests, test_spent);
    tcase_add_test(tests, test_many_jobs);
    tcase_add_test(tests, test_one_job_each);
    tcase_add_test(tests, test_no_more_workers);
    tcase_add_test(tests, test_mixture);
    tcase_add_loop_test(tests, test_bad_start, 0, sizeof starts / sizeof *starts);
    tcase_add_test(tests, test_names);
    tcase_add_loop_test(tests, test_wait_and_interrupt, 0, 2);
    tcase_add_test(tests, test_signals_restored);
    tcase_add_test(tests, test_threads);
    tcase_add_test(tests, test_patience);
    tcase_add_test(tests, test_orphans);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}

/*
 * stub_worker.c - a worker that computes nothing and behaves as the name of its job's variant says:
 * for the tests of the supervisor.
 */
#define _GNU_SOURCE /* getline */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/stub_worker.h"
#include "verify/worker.h"

static void say(const char *text)
{
    if (write(STDOUT_FILENO, text, strlen(text)) < 0)
        _exit(1);
}

/* A report that passes; its measurement carries this process's number, its text the threads. */
static void answer(uint64_t id, enum moe_verdict verdict)
{
    struct moe_result result = {.measure = {.forward_seconds = NAN,
                                            .backward_seconds = NAN,
                                            .seconds = (double)getpid(),
                                            .peak_bytes = NAN,
                                            .tensor_bytes = NAN}};
    const char *threads = getenv("OMP_NUM_THREADS");
    struct moe_finding finding =
        moe_finding_plain("stub", verdict, threads != NULL ? threads : "unset");
    char *line;

    moe_report_add(&result.report, &finding);
    line = moe_result_encode(&result, id);
    say(line);
    say("\n");
    free(line);
}

/* Has nobody been here before? The job's `file` remembers. */
static int first_time(const struct moe_job *job)
{
    int fd = open(job->file, O_CREAT | O_EXCL | O_WRONLY, 0600);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* Of the signal itself, even where a sanitizer would rather report it. */
static void die_of(int number)
{
    signal(number, SIG_DFL);
    raise(number);
}

static void pass(const struct moe_job *job, uint64_t id)
{
    (void)job;
    say("phase variant\nphase judge\n");
    answer(id, MOE_PASS);
}

/* Answers well, and dies or falls silent before the next job. */
static void pass_and_leave(const struct moe_job *job, uint64_t id)
{
    pass(job, id);
    _exit(5);
}

static void pass_and_shut(const struct moe_job *job, uint64_t id)
{
    pass(job, id);
    close(STDOUT_FILENO);
}

static void crash(const struct moe_job *job, uint64_t id)
{
    (void)job, (void)id;
    say("phase variant\n");
    die_of(SIGSEGV);
}

static void crash_judge(const struct moe_job *job, uint64_t id)
{
    (void)job, (void)id;
    say("phase variant\nphase judge\n");
    abort();
}

static void crash_once(const struct moe_job *job, uint64_t id)
{
    if (first_time(job))
        crash(job, id);
    answer(id, MOE_PASS);
}

/* As somebody else does it. */
static void killed(const struct moe_job *job, uint64_t id)
{
    (void)job, (void)id;
    say("phase variant\n");
    raise(SIGKILL);
}

static void killed_once(const struct moe_job *job, uint64_t id)
{
    if (first_time(job))
        killed(job, id);
    answer(id, MOE_PASS);
}

static void crash_judge_once(const struct moe_job *job, uint64_t id)
{
    if (first_time(job))
        crash_judge(job, id);
    answer(id, MOE_PASS);
}

static void crash_judge_then_fail(const struct moe_job *job, uint64_t id)
{
    if (first_time(job))
        crash_judge(job, id);
    answer(id, MOE_FAIL);
}

static void crash_judge_then_variant(const struct moe_job *job, uint64_t id)
{
    if (first_time(job))
        crash_judge(job, id);
    crash(job, id);
}

static void leave(const struct moe_job *job, uint64_t id)
{
    (void)job, (void)id;
    say("phase variant\n");
    _exit(3);
}

static void hang(const struct moe_job *job, uint64_t id)
{
    (void)job, (void)id;
    say("phase variant\n");
    for (;;)
        pause();
}

static void hang_judge(const struct moe_job *job, uint64_t id)
{
    (void)job, (void)id;
    for (;;)
        pause();
}

static void hang_in_check(const struct moe_job *job, uint64_t id)
{
    say("phase variant\nplace forward\nplace backward of check stream\n");
    hang_judge(job, id);
}

/* Its device does no more after this job; what it would say of another is wrong. */
static void spend(const struct moe_job *job, uint64_t id)
{
    static int spent;

    (void)job;
    say("phase variant\nphase judge\n");
    if (!spent)
        say("spent\n");
    answer(id, spent ? MOE_FAIL : MOE_PASS);
    spent = 1;
}

static void nonsense(const struct moe_job *job, uint64_t id)
{
    say("phase variant\nI print what I like\n");
    pass(job, id);
}

static void endless(const struct moe_job *job, uint64_t id)
{
    char block[4097];

    say("phase variant\n");
    memset(block, 'x', sizeof block - 1);
    block[sizeof block - 1] = '\0';
    for (int i = 0; i < 32; i++)
        say(block);
    hang(job, id);
}

static void stale(const struct moe_job *job, uint64_t id)
{
    (void)job;
    say("phase variant\n");
    answer(id + 1000, MOE_PASS);
}

static void shut(const struct moe_job *job, uint64_t id)
{
    say("phase variant\n");
    close(STDOUT_FILENO);
    hang_judge(job, id);
}

/* The pipe stays open in a grandchild when the worker has ended. */
static void fork_and_leave(const struct moe_job *job, uint64_t id)
{
    say("phase variant\n");
    if (fork() == 0)
        hang_judge(job, id);
    _exit(4);
}

static const struct {
    const char *name;
    void (*behave)(const struct moe_job *job, uint64_t id);
} behaviour[] = {
    {"pass", pass},
    {"pass-and-leave", pass_and_leave},
    {"pass-and-shut", pass_and_shut},
    {"crash", crash},
    {"crash-judge", crash_judge},
    {"killed", killed},
    {"killed-once", killed_once},
    {"crash-once", crash_once},
    {"crash-judge-once", crash_judge_once},
    {"crash-judge-then-fail", crash_judge_then_fail},
    {"crash-judge-then-variant", crash_judge_then_variant},
    {"leave", leave},
    {"hang", hang},
    {"hang-judge", hang_judge},
    {"hang-in-check", hang_in_check},
    {"spend", spend},
    {"nonsense", nonsense},
    {"endless", endless},
    {"stale", stale},
    {"shut", shut},
    {"fork-and-leave", fork_and_leave},
};

#define BEHAVIOURS (sizeof behaviour / sizeof *behaviour)

static void greet(void)
{
    say("{\"hello\":[");
    for (size_t i = 0; i < BEHAVIOURS; i++) {
        say(i > 0 ? ",\"" : "\"");
        say(behaviour[i].name);
        say("\"");
    }
    say("]}\n");
}

const char *stub_name(int index)
{
    return index >= 0 && index < (int)BEHAVIOURS ? behaviour[index].name : NULL;
}

int stub_worker(int argc, char **argv)
{
    const char *plugin = argc > 4 ? argv[4] : "";
    char *line = NULL;
    size_t size = 0;

    if (strcmp(plugin, "refuse") == 0)
        say("{\"error\":\"refuse: no such plug-in\",\"status\":-1}\n");
    if (strcmp(plugin, "babble") == 0)
        say("babble\n");
    if (strcmp(plugin, "die") == 0)
        die_of(SIGBUS);
    if (*plugin != '\0')
        return 0;
    greet();
    while (getline(&line, &size, stdin) > 0) {
        struct moe_job job;
        struct json_t *owner;
        uint64_t id;

        if (moe_job_decode(line, &job, &id, &owner) != MOE_OK)
            return 1;
        for (size_t i = 0; i < BEHAVIOURS; i++)
            if (strcmp(behaviour[i].name, job.variant) == 0)
                behaviour[i].behave(&job, id);
        moe_job_release(owner);
    }
    free(line);
    return 0;
}

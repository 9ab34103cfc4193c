/*
 * bench_start.c - what the command itself costs: its start-up, and cases a minute where the cases
 * are so small that little else counts.
 */
#define _GNU_SOURCE /* environ */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "verify/bench.h"
#include "verify/bench_command.h"
#include "verify/slot.h"

#define SMALL_CASES 500

void bench_machine(const struct moe_options *options)
{
    if (!options->json)
        printf("%s\n", moe_reference_blas());
}

/* One run of the program itself, from its start to its end. */
static int run_self(void *context)
{
    char *const *argv = context;
    posix_spawn_file_actions_t actions;
    int error, status;
    pid_t pid;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    error = posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0)
        return moe_error(MOE_E_IO, "cannot start moecheck: %s", strerror(error));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0
               ? MOE_OK
               : moe_error(MOE_E_INTERNAL, "moecheck %s did not end well", argv[1]);
}

int bench_start(const struct moe_options *options, const struct bench_keeper *keeper,
                const char *line)
{
    static char *list[] = {"moecheck", "list", NULL};
    static char *verify[] = {"moecheck", "verify", "T=1 H=8 I=8 E=1 K=1", NULL};
    static const struct {
        const char *name;
        char **argv;
    } row[] = {{"start-up, list", list}, {"start-up, verify", verify}};

    (void)keeper, (void)line;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct moe_repeated time;
        int status = moe_bench_repeat(run_self, (void *)row[i].argv, &time);

        if (status != MOE_OK)
            return moe_command_error(options->name, status);
        if (options->json)
            printf("{\"measurement\":\"%s\",\"seconds\":%.9g,\"seconds_hex\":\"%a\"}\n",
                   row[i].name, time.median, time.median);
        else
            printf("%-26s %10.3f ms\n", row[i].name, 1e3 * time.median);
    }
    return MOE_EXIT_PASS;
}

static int submit_all(struct moe_supervisor *supervisor, const char *line)
{
    struct moe_job job = {.action = MOE_ACTION_JUDGE, .variant = "naive"};
    int status = moe_problem_parse(line, &job.problem);

    for (int i = 0; status == MOE_OK && i < SMALL_CASES; i++) {
        job.problem.seed = (uint64_t)i;
        status = moe_supervisor_submit(supervisor, &job);
    }
    return status;
}

int bench_small_cases(const struct moe_options *options, const struct bench_keeper *keeper,
                      const char *line)
{
    struct moe_supervisor_options how = moe_options_supervisor(options);
    struct moe_supervisor *supervisor = NULL;
    struct moe_result result;
    double begin = moe_slot_clock(), rate;
    int status = moe_supervisor_start(&how, &supervisor), passed = 0;

    (void)keeper;
    if (status == MOE_OK)
        status = submit_all(supervisor, line);
    while (status == MOE_OK && moe_supervisor_next(supervisor, 3600, &result) == MOE_NEXT_RESULT)
        passed += result.report.verdict == MOE_PASS;
    moe_supervisor_stop(supervisor);
    if (status == MOE_OK && passed < SMALL_CASES)
        status = moe_error(MOE_E_INTERNAL, "%d of %d small cases passed", passed, SMALL_CASES);
    if (status != MOE_OK)
        return moe_command_error(options->name, status);
    rate = 60 * SMALL_CASES / (moe_slot_clock() - begin);
    if (options->json)
        printf("{\"measurement\":\"small cases\",\"case\":\"%s\",\"variant\":\"naive\","
               "\"cases_a_minute\":%.9g,\"cases_a_minute_hex\":\"%a\"}\n",
               line, rate, rate);
    else
        printf("%-26s %10.0f a minute through naive, %s\n", "small cases", rate, line);
    return MOE_EXIT_PASS;
}

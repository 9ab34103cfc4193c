/*
 * child.c - one child process: started, spoken to over two pipes, ended, and its end told in words.
 */
#define _GNU_SOURCE /* pipe2, sigabbrev_np */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "verify/worker.h"

extern char **environ;

/* Variables by which OpenMP and OpenBLAS are told how many threads they may use. */
static const char *const thread_variable[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"};
#define THREAD_VARIABLES (sizeof thread_variable / sizeof *thread_variable)

/* Beside other workers, threads that wait by spinning take the core from whoever should work. What
 * the user says of it holds. */
static char wait_policy[] = "OMP_WAIT_POLICY=passive";

struct environment {
    char **list; /* the parent's, thread variables replaced */
    char text[THREAD_VARIABLES][64];
};

static int is_thread_variable(const char *entry)
{
    for (size_t i = 0; i < THREAD_VARIABLES; i++) {
        size_t n = strlen(thread_variable[i]);

        if (strncmp(entry, thread_variable[i], n) == 0 && entry[n] == '=')
            return 1;
    }
    return 0;
}

/* A user who asked for fewer threads still gets fewer. */
static int fewer(const char *wanted, int threads)
{
    int number = wanted != NULL ? atoi(wanted) : 0;

    return number > 0 && number < threads ? number : threads;
}

static int make_environment(int threads, struct environment *environment)
{
    size_t n = 0, kept = 0;

    while (environ[n] != NULL)
        n++;
    environment->list = calloc(n + THREAD_VARIABLES + 2, sizeof *environment->list);
    if (environment->list == NULL)
        return moe_error(MOE_E_NOMEM, "no memory for a worker's environment");
    for (size_t i = 0; i < n; i++)
        if (threads == 0 || !is_thread_variable(environ[i]))
            environment->list[kept++] = environ[i];
    for (size_t i = 0; threads != 0 && i < THREAD_VARIABLES; i++) {
        snprintf(environment->text[i], sizeof environment->text[i], "%s=%d", thread_variable[i],
                 fewer(getenv(thread_variable[i]), threads));
        environment->list[kept++] = environment->text[i];
    }
    if (threads != 0 && getenv("OMP_WAIT_POLICY") == NULL)
        environment->list[kept++] = wait_policy;
    return MOE_OK;
}

/* Signals that the parent ignores or handles are the child's own again, and it leads a process
 * group, so that Ctrl-C reaches the parent alone and that what a plug-in starts ends with it. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t defaults, none;

    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGTERM);
    sigaddset(&defaults, SIGCHLD);
    return posix_spawnattr_setsigmask(attributes, &none) |
           posix_spawnattr_setsigdefault(attributes, &defaults) |
           posix_spawnattr_setpgroup(attributes, 0) |
           posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                    POSIX_SPAWN_SETPGROUP);
}

static int spawn(const char *program, char *const *argv, char *const *list, int in, int out,
                 pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error;

    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    error = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO) |
            posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO) |
            set_attributes(&attributes);
    error = error != 0 ? ENOMEM : posix_spawn(pid, program, &actions, &attributes, argv, list);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

int moe_child_start(const char *program, char *const *argv, int threads, struct moe_child *child)
{
    struct moe_child new = {.to = -1, .from = -1};
    struct environment environment;
    int request[2] = {-1, -1}, answer[2] = {-1, -1}, error;
    int status = make_environment(threads, &environment);

    if (status != MOE_OK)
        return status;
    new.buffer = malloc(MOE_PROTOCOL_LINE);
    error = new.buffer == NULL ? ENOMEM : 0;
    if (error == 0 && (pipe2(request, O_CLOEXEC) != 0 || pipe2(answer, O_CLOEXEC) != 0))
        error = errno;
    if (error == 0)
        error = spawn(program, argv, environment.list, request[0], answer[1], &new.pid);
    free(environment.list);
    close(request[0]);
    close(answer[1]);
    if (error == 0) {
        new.to = request[1];
        new.from = answer[0];
        fcntl(new.from, F_SETFL, O_NONBLOCK);
        *child = new;
        return MOE_OK;
    }
    close(request[1]);
    close(answer[0]);
    free(new.buffer);
    return moe_error(error == ENOMEM ? MOE_E_NOMEM : MOE_E_IO, "cannot start a worker: %s",
                     strerror(error));
}

int moe_child_send(struct moe_child *child, const char *line)
{
    size_t length = strlen(line), sent = 0;

    while (sent < length) {
        ssize_t n = write(child->to, line + sent, length - sent);

        if (n >= 0)
            sent += (size_t)n;
        else if (errno != EINTR)
            return moe_error(MOE_E_IO, "a worker does not read its requests: %s", strerror(errno));
    }
    return MOE_OK;
}

int moe_child_receive(struct moe_child *child)
{
    memmove(child->buffer, child->buffer + child->taken, child->used - child->taken);
    child->used -= child->taken;
    child->taken = 0;
    for (;;) {
        ssize_t n = read(child->from, child->buffer + child->used, MOE_PROTOCOL_LINE - child->used);

        if (n > 0)
            child->used += (size_t)n;
        if (child->used == MOE_PROTOCOL_LINE)
            return memchr(child->buffer, '\n', child->used) != NULL ? 1 : MOE_E_USAGE;
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return 1;
    }
}

char *moe_child_line(struct moe_child *child)
{
    char *begin = child->buffer + child->taken;
    char *end = memchr(begin, '\n', child->used - child->taken);

    if (end == NULL)
        return NULL;
    *end = '\0';
    child->taken = (size_t)(end + 1 - child->buffer);
    return begin;
}

static void describe(const siginfo_t *end, char *how, size_t size)
{
    const char *name = end->si_code == CLD_EXITED ? NULL : sigabbrev_np(end->si_status);

    if (end->si_code == CLD_EXITED)
        snprintf(how, size, "exited with status %d", end->si_status);
    else if (name == NULL)
        snprintf(how, size, "killed by signal %d", end->si_status);
    else
        snprintf(how, size, "killed by SIG%s (%s%s)", name, strsignal(end->si_status),
                 end->si_status == SIGKILL ? ", as when memory runs out" : "");
}

int moe_child_ended(struct moe_child *child, char *how, size_t size)
{
    siginfo_t end = {.si_pid = 0};

    if (waitid(P_PID, (id_t)child->pid, &end, WEXITED | WNOHANG | WNOWAIT) != 0 || end.si_pid == 0)
        return 0;
    describe(&end, how, size);
    child->killer = end.si_code == CLD_EXITED ? 0 : end.si_status;
    kill(-child->pid, SIGKILL); /* what it started, while its number is still its own */
    waitpid(child->pid, NULL, 0);
    child->pid = 0;
    return 1;
}

/* After SIGKILL a process ends at once, unless a driver holds it: then we do not wait for ever, and
 * init reaps it after us. */
static void reap(pid_t pid)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    for (int i = 0; i < 5000 && waitpid(pid, NULL, WNOHANG) == 0; i++)
        nanosleep(&pause, NULL);
}

void moe_child_stop(struct moe_child *child)
{
    if (child->pid > 0) {
        kill(-child->pid, SIGKILL);
        kill(child->pid, SIGKILL);
        reap(child->pid);
    }
    if (child->buffer != NULL) {
        close(child->to);
        close(child->from);
        free(child->buffer);
    }
    *child = (struct moe_child){.to = -1, .from = -1};
}

/*
 * worker.c - the child's life: opens the plug-ins, says hello, then does job after job until the
 * end of file.
 *
 * Variants share this process and may print. So the two pipes are moved away from standard input
 * and output first: what a plug-in prints goes to stderr, and it reads nothing.
 */
#define _GNU_SOURCE /* F_DUPFD_CLOEXEC, getline */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "verify/action.h"
#include "verify/arena_trap.h"
#include "verify/fault.h"
#include "verify/on_device.h"

/* ---- the pipes ------------------------------------------------------------------------------- */

/* Where answers go. The number is high so that a variant that closes or writes to small descriptors
 * by mistake does not meet it. */
static int move_away(int fd)
{
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 100);

    return high >= 0 ? high : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static void take_pipes(int *in, int *out)
{
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);

    *in = move_away(STDIN_FILENO);
    *out = move_away(STDOUT_FILENO);
    dup2(nothing, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    if (nothing > STDERR_FILENO)
        close(nothing);
}

/* A parent that does not listen any more is gone; so are we. */
static void say(int out, const char *text)
{
    size_t length = strlen(text);

    while (length > 0) {
        ssize_t n = write(out, text, length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            _exit(MOE_EXIT_ERROR);
        text += n;
        length -= (size_t)n;
    }
}

static void say_json(int out, json_t *object)
{
    char *line = json_dumps(object, JSON_COMPACT);

    json_decref(object);
    if (line != NULL)
        say(out, line);
    say(out, "\n");
    free(line);
}

/* ---- hello ----------------------------------------------------------------------------------- */

static int open_plugins(int count, char *const *path)
{
    for (int i = 0; i < count; i++) {
        int status = moe_plugin_open(path[i]);

        if (status != MOE_OK)
            return status;
    }
    return MOE_OK;
}

static json_t *hello(void)
{
    json_t *object = json_object(), *names = json_array();

    for (int i = 0; moe_variant_get(i) != NULL; i++)
        json_array_append_new(names, json_string(moe_variant_get(i)->name));
    json_object_set_new(object, "hello", names);
    return object;
}

static json_t *refusal(int status)
{
    json_t *object = json_object();
    json_t *text = json_string(moe_error_text());

    json_object_set_new(object, "error", text != NULL ? text : json_string("a plug-in"));
    json_object_set_new(object, "status", json_integer(status));
    return object;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

struct speaker {
    int out;
    enum moe_phase phase;
};

static void tell_phase(void *context, enum moe_phase phase)
{
    struct speaker *speaker = context;

    if (phase != speaker->phase)
        say(speaker->out, phase == MOE_PHASE_VARIANT ? "phase variant\n" : "phase judge\n");
    speaker->phase = phase;
}

/* Which call of the variant begins, so that one that never returns has a name. */
static void tell_place(void *context, const char *check, const char *step)
{
    const struct speaker *speaker = context;
    char line[128];

    snprintf(line, sizeof line, "place %s%s%s\n", step, check != NULL ? " of check " : "",
             check != NULL ? check : "");
    say(speaker->out, line);
}

static int answer(const char *request, unsigned devices, struct speaker *speaker)
{
    struct moe_result result = {.measure = moe_measure_none()};
    struct json_t *owner;
    struct moe_job job;
    uint64_t id;
    char *line;
    int status = moe_job_decode(request, &job, &id, &owner);

    if (status != MOE_OK)
        return status;
    speaker->phase = MOE_PHASE_JUDGE;
    result.problem = job.problem;
    result.variant = job.variant;
    moe_action_do(&job, devices, tell_phase, tell_place, speaker, &result);
    tell_phase(speaker, MOE_PHASE_JUDGE);
    line = moe_result_encode(&result, id);
    moe_job_release(owner);
    if (line == NULL)
        return moe_error(MOE_E_NOMEM, "no memory for an answer");
    if (!moe_on_device_sound())
        say(speaker->out, "spent\n");
    say(speaker->out, line);
    say(speaker->out, "\n");
    free(line);
    return MOE_OK;
}

/* A worker must not outlive its supervisor, even one that is killed while a variant hangs. */
static void tie_to(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(MOE_EXIT_ERROR);
}

int moe_worker_main(int argc, char **argv)
{
    struct speaker speaker = {.phase = MOE_PHASE_JUDGE};
    unsigned devices = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    size_t size = 0;
    char *line = NULL;
    FILE *requests;
    int in, status;

    if (argc < 3)
        return MOE_EXIT_USAGE;
    tie_to((pid_t)strtol(argv[1], NULL, 10));
    take_pipes(&in, &speaker.out);
    moe_trap_channel(speaker.out);
    status = open_plugins(argc - 3, argv + 3);
    if (status == MOE_OK && devices & MOE_WORKER_MODELS)
        status = moe_models_add();
    say_json(speaker.out, status == MOE_OK ? hello() : refusal(status));
    if (status != MOE_OK)
        return MOE_EXIT_USAGE;
    requests = fdopen(in, "r");
    while (requests != NULL && status == MOE_OK && getline(&line, &size, requests) > 0)
        status = answer(line, devices, &speaker);
    if (status != MOE_OK)
        fprintf(stderr, "moecheck worker: %s\n", moe_error_text());
    free(line);
    if (requests != NULL)
        fclose(requests);
    return status == MOE_OK && requests != NULL ? MOE_EXIT_PASS : MOE_EXIT_ERROR;
}

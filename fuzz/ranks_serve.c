/*
 * ranks_serve.c - a rank that judges: a supervisor with workers of its own, whose jobs come from
 * rank 0.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/ranks.h"

#define LISTEN_SECONDS 0.005 /* to workers, before the next look at messages */

static void send_json(const struct moe_mpi *mpi, json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);
    mpi->send(0, text != NULL ? text : "{}");
    free(text);
    json_decref(object);
}

/* ---- hello ----------------------------------------------------------------------------------- */

/* Can anything of the variant run here? Of one of a plug-in this process does not know. */
static int is_usable(const char *name, unsigned devices)
{
    const struct moe_variant *variant;
    for (int i = 0; (variant = moe_variant_get(i)) != NULL; i++)
        if (strcmp(variant->name, name) == 0)
            return (variant->devices & devices) != 0;
    return 1;
}

static void say_hello(const struct moe_mpi *mpi, const struct moe_supervisor *supervisor,
                      unsigned devices, int workers)
{
    json_t *object = json_object(), *names = json_array(), *usable = json_array();
    char host[80] = "";
    const char *name;
    (void)gethostname(host, sizeof host - 1);
    for (int i = 0; (name = moe_supervisor_variant(supervisor, i)) != NULL; i++) {
        json_array_append_new(names, json_string(name));
        json_array_append_new(usable, json_integer(is_usable(name, devices)));
    }
    json_object_set_new(object, "hello", names);
    json_object_set_new(object, "usable", usable);
    json_object_set_new(object, "workers", json_integer(workers));
    json_object_set_new(object, "host", json_string(host));
    send_json(mpi, object);
}

static void say_error(const struct moe_mpi *mpi, int status)
{
    json_t *object = json_object();
    json_object_set_new(object, "error", json_string(moe_error_text()));
    json_object_set_new(object, "status", json_integer(status));
    send_json(mpi, object);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

/* The job's number on the line is its ticket here. */
static int take_job(struct moe_supervisor *supervisor, const char *line)
{
    struct json_t *owner;
    struct moe_job job;
    uint64_t id;
    int status = moe_job_decode(line, &job, &id, &owner);
    if (status != MOE_OK)
        return status;
    job.ticket = id;
    status = moe_supervisor_submit(supervisor, &job);
    moe_job_release(owner);
    return status;
}

static int send_result(const struct moe_mpi *mpi, const struct moe_result *result)
{
    char *line = moe_result_encode(result, result->ticket);
    if (line == NULL)
        return moe_error(MOE_E_NOMEM, "no memory for an answer");
    mpi->send(0, line);
    free(line);
    return MOE_OK;
}

/* Until rank 0 says so, even when a signal has come: it has the same one, or mpirun will see to it.
 */
static int serve(const struct moe_mpi *mpi, struct moe_supervisor *supervisor)
{
    struct moe_result *result = calloc(1, sizeof *result);
    int status = result != NULL ? MOE_OK : moe_error(MOE_E_NOMEM, "no memory for a result");
    int ended = 0;
    while (status == MOE_OK && !ended) {
        int from;
        char *text = moe_ranks_receive(mpi, &from);
        if (text != NULL) {
            ended = strcmp(text, "end") == 0;
            status = ended ? MOE_OK : take_job(supervisor, text);
            free(text);
            continue;
        }
        if (moe_supervisor_next(supervisor, LISTEN_SECONDS, result) == MOE_NEXT_RESULT)
            status = send_result(mpi, result);
        else
            moe_ranks_pause();
    }
    free(result);
    return status;
}

static void wait_for_end(const struct moe_mpi *mpi)
{
    for (int ended = 0, from; !ended;) {
        char *text = moe_ranks_receive(mpi, &from);
        ended = text != NULL && strcmp(text, "end") == 0;
        if (text == NULL)
            moe_ranks_pause();
        free(text);
    }
}

int moe_ranks_serve(const struct moe_mpi *mpi, const struct moe_options *options)
{
    struct moe_supervisor_options how = moe_options_supervisor(options);
    struct moe_supervisor *supervisor = NULL;
    unsigned devices = moe_devices_usable(how.devices);
    int status = moe_supervisor_start(&how, &supervisor);
    if (status == MOE_OK) {
        say_hello(mpi, supervisor, devices, moe_supervisor_workers(supervisor));
        status = serve(mpi, supervisor);
    } else {
        say_error(mpi, status);
        wait_for_end(mpi);
        status = MOE_OK; /* rank 0 tells it */
    }
    moe_supervisor_stop(supervisor);
    if (status != MOE_OK)
        return moe_command_error(options->name, status);
    mpi->send(0, "bye");
    return MOE_EXIT_PASS;
}

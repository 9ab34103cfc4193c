/*
 * slot.c - one worker seen from its supervisor: given a job, listened to, found dead, hung or
 * garbling.
 */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "verify/slot.h"

#define HELLO_SECONDS 120.0 /* until its hello: a plug-in may initialise a GPU */
#define CLOSED_SECONDS 1.0  /* from the end of its answers to the end of the process */

double moe_slot_clock(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int moe_slot_start(struct moe_slot *slot, const struct moe_crew *crew)
{
    struct moe_slot fresh = {.deadline = moe_slot_clock() + HELLO_SECONDS,
                             .memory_kills = moe_memory_kills()};
    int status = moe_child_start(crew->program, crew->argv, crew->threads, &fresh.child);

    if (status == MOE_OK)
        *slot = fresh;
    return status;
}

void moe_slot_begin(struct moe_slot *slot, uint64_t id, const char *request, double limit)
{
    slot->id = id;
    slot->phase = MOE_PHASE_JUDGE;
    slot->place[0] = slot->fault[0] = '\0';
    slot->limit = limit;
    if (slot->greeted)
        slot->deadline = moe_slot_clock() + limit;
    /* A worker that does not read will be found dead or hung. */
    (void)moe_child_send(&slot->child, request);
}

void moe_slot_stop(struct moe_slot *slot)
{
    moe_child_stop(&slot->child);
    *slot = (struct moe_slot){.child = slot->child};
}

/* Keeps the names of a hello, if they are the first. */
static int keep_names(const json_t *names, struct moe_crew *crew)
{
    size_t count = json_array_size(names);
    char **variant;

    if (crew->variant != NULL)
        return MOE_OK;
    variant = calloc(count + 1, sizeof *variant);
    for (size_t i = 0; variant != NULL && i < count; i++) {
        const char *name = json_string_value(json_array_get(names, i));

        variant[i] = strdup(name != NULL ? name : "");
        if (variant[i] == NULL)
            return moe_error(MOE_E_NOMEM, "no memory for the names of variants");
    }
    crew->variant = variant;
    return variant != NULL ? MOE_OK : moe_error(MOE_E_NOMEM, "no memory for the names of variants");
}

/* A worker's first line: {"hello": [names]}, or {"error": text, "status": number} where a plug-in
 * could not be opened. */
static int read_hello(const char *line, struct moe_crew *crew)
{
    json_t *object = json_loads(line, 0, NULL);
    const json_t *names = json_object_get(object, "hello");
    const char *error = json_string_value(json_object_get(object, "error"));
    int status = (int)json_integer_value(json_object_get(object, "status"));

    if (json_is_array(names))
        status = keep_names(names, crew);
    else if (error != NULL)
        status = moe_error(status < 0 ? status : MOE_E_INTERNAL, "%s", error);
    else
        status = moe_error(MOE_E_INTERNAL, "a worker began with '%.60s'", line);
    json_decref(object);
    crew->refusal = status;
    return status;
}

static enum moe_slot_state hear(struct moe_slot *slot, const char *line, struct moe_crew *crew,
                                struct moe_result *answer)
{
    uint64_t id;

    if (!slot->greeted) {
        if (read_hello(line, crew) != MOE_OK)
            return MOE_SLOT_REFUSED;
        slot->greeted = 1;
        slot->deadline = moe_slot_clock() + slot->limit;
        return MOE_SLOT_ON;
    }
    if (strcmp(line, "phase variant") == 0) {
        slot->phase = MOE_PHASE_VARIANT;
        return MOE_SLOT_ON;
    }
    if (strcmp(line, "phase judge") == 0) {
        slot->phase = MOE_PHASE_JUDGE;
        return MOE_SLOT_ON;
    }
    if (strcmp(line, "spent") == 0) {
        slot->spent = 1;
        return MOE_SLOT_ON;
    }
    if (strncmp(line, "place ", 6) == 0) {
        snprintf(slot->place, sizeof slot->place, "%s", line + 6);
        return MOE_SLOT_ON;
    }
    if (strncmp(line, "fault ", 6) == 0) {
        snprintf(slot->fault, sizeof slot->fault, "%s", line + 6);
        return MOE_SLOT_ON;
    }
    if (slot->id == 0 || moe_result_decode(line, &id, answer) != MOE_OK || id != slot->id)
        return MOE_SLOT_FAILED;
    slot->id = 0;
    slot->jobs_done++;
    return MOE_SLOT_ANSWERED;
}

/* All lines up to the first that is more than a phase. */
static enum moe_slot_state listen(struct moe_slot *slot, struct moe_crew *crew,
                                  struct moe_result *answer, char *how, size_t size)
{
    enum moe_slot_state state = MOE_SLOT_ON;
    int more = moe_child_receive(&slot->child);
    char *line;

    while (state == MOE_SLOT_ON && (line = moe_child_line(&slot->child)) != NULL) {
        state = hear(slot, line, crew, answer);
        if (state == MOE_SLOT_FAILED)
            snprintf(how, size, "garbled the worker's answers with '%.60s'", line);
    }
    if (state == MOE_SLOT_ON && more == MOE_E_USAGE) {
        snprintf(how, size, "garbled the worker's answers with a line without end");
        return MOE_SLOT_FAILED;
    }
    if (state == MOE_SLOT_ON && more == 0 && !slot->closed) {
        slot->closed = 1;
        slot->deadline = moe_slot_clock() + CLOSED_SECONDS;
    }
    return state;
}

enum moe_slot_state moe_slot_attend(struct moe_slot *slot, struct moe_crew *crew,
                                    struct moe_result *answer, char *how, size_t size)
{
    /* Asked before the lines are read, so that the last lines of a dead worker are all there. */
    int ended = moe_child_ended(&slot->child, how, size);
    char garbled[160];
    enum moe_slot_state state = listen(slot, crew, answer, garbled, sizeof garbled);

    if (state == MOE_SLOT_FAILED)
        snprintf(how, size, "%s", garbled);
    if (state != MOE_SLOT_ON)
        return state;
    if (ended && slot->fault[0] != '\0')
        snprintf(how, size, "memory fault %s", slot->fault);
    if (ended) {
        /* nothing that goes wrong in a process raises this signal */
        slot->taken_away = slot->child.killer == SIGKILL && slot->memory_kills >= 0 &&
                           slot->memory_kills == moe_memory_kills();
        return MOE_SLOT_FAILED;
    }
    if (slot->greeted && slot->id == 0 && !slot->closed)
        return MOE_SLOT_ON;
    if (moe_slot_clock() <= slot->deadline)
        return MOE_SLOT_ON;
    if (slot->closed)
        snprintf(how, size, "closed the worker's answers");
    else if (!slot->greeted)
        snprintf(how, size, "did not come up within %g s", HELLO_SECONDS);
    else
        snprintf(how, size, "hung: no answer within %.3g s", slot->limit);
    return MOE_SLOT_FAILED;
}

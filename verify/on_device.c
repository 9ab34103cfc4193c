/*
 * on_device.c - a variant's two calls on a GPU, or on the PTX machine. What is asynchronous ends
 * before a call counts as done: after forward and after backward the stream is waited for, so that
 * a failure has its step.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "verify/arena_device.h"
#include "verify/float_modes.h"
#include "verify/on_device.h"
#include "verify/on_device_turn.h"
#include "verify/script.h"
#include "verify/surroundings.h"

/* Opened at the first case that needs them; kept until the process ends. */
static struct moe_device *opened_cuda, *opened_ptx;

struct visit {
    struct moe_device *device;
    void *stream;
    struct moe_arena_device there;
    struct moe_tensor tensors[MOE_TENSOR_COUNT]; /* there */
    int fill;
    const struct moe_trial *trial;
    struct moe_call call;
    struct moe_scene scene;
    void *state;  /* the variant's */
    void *around; /* memory of the surroundings */
    void *graph;
    int called;  /* has the variant been opened? */
    int met[2];  /* has the variant been through this pass? */
    int trouble; /* status of surroundings that could not be made: no fault of the variant */
};

int moe_on_device_possible(enum moe_device_kind kind, char *why, size_t size)
{
    struct moe_gpu_status gpu = {.reason = "this build contains no PTX: it was made without CUDA"};
    if (kind == MOE_ON_CPU || (kind == MOE_ON_PTX && moe_kernel_get(0)) ||
        (kind == MOE_ON_CUDA && moe_gpu_probe(&gpu) == MOE_OK && gpu.state == MOE_GPU_READY))
        return MOE_OK;
    snprintf(why, size, "%s", gpu.reason);
    return MOE_E_UNSUPPORTED;
}

static int open_device(const struct moe_trial *trial, struct moe_device **device)
{
    const enum moe_device_kind kind = moe_trial_device(trial);
    struct moe_device **opened = kind == MOE_ON_PTX ? &opened_ptx : &opened_cuda;
    int status = *opened ? MOE_OK : moe_device_open(kind, 0, opened);
    *device = *opened;
    return status == MOE_OK ? moe_device_schedule(*device, trial->schedule) : status;
}

int moe_on_device_page(const struct moe_trial *trial, int64_t *page)
{
    struct moe_device *device;
    *page = sysconf(_SC_PAGESIZE);
    if (moe_trial_device(trial) == MOE_ON_CPU)
        return MOE_OK;
    int status = open_device(trial, &device);
    return status == MOE_OK ? moe_arena_device_page(device, &trial->where, page) : status;
}

/* What nobody has written yet: what the variant is to write, and its memory. */
static int forget(const struct visit *visit, const struct moe_trial *trial)
{
    struct moe_tensor tensors[MOE_TENSOR_COUNT];
    const struct moe_call call = moe_arena_device_call(&visit->there, tensors);
    int status = moe_arena_device_forget(&visit->there, trial->problem);
    if (status == MOE_OK)
        status = moe_device_forget(visit->device, call.workspace, call.workspace_size);
    return status == MOE_OK ? moe_device_forget(visit->device, call.kept, call.kept_size) : status;
}

static int arrive(struct visit *visit, const struct moe_trial *trial, struct moe_arena *arena)
{
    int status = open_device(trial, &visit->device);
    visit->fill = trial->fill;
    if (status == MOE_OK)
        status = moe_device_stream_create(visit->device, &visit->stream);
    if (status == MOE_OK)
        status = moe_arena_device_make(visit->device, arena, &visit->there);
    if (status == MOE_OK)
        status = moe_arena_device_send(&visit->there, visit->stream);
    return status == MOE_OK ? forget(visit, trial) : status;
}

/* ---- the steps of a script ------------------------------------------------------------------- */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* The variant's call of a pass, on a workspace that is poisoned before the first. */
static int enqueue(struct visit *visit, int backward, int repeats)
{
    const struct moe_variant *variant = visit->trial->variant;
    int status = MOE_OK;
    if (!visit->met[backward] && visit->call.workspace_size > 0)
        status = moe_device_fill(visit->device, visit->call.workspace, visit->fill,
                                 visit->call.workspace_size, visit->stream);
    if (!visit->met[backward] && status == MOE_OK)
        status =
            moe_device_forget(visit->device, visit->call.workspace, visit->call.workspace_size);
    visit->met[backward] = 1;
    for (int i = 0; i < repeats && status == MOE_OK; i++)
        status = (backward ? variant->backward : variant->forward)(visit->state, &visit->call);
    return status;
}

/* A call amid surroundings, or both passes together, which are ended whatever became of it. */
static int pass_amid(struct visit *visit, const struct moe_surroundings *around, int backward,
                     int together)
{
    int adds = backward && visit->scene.problem->beta; /* not to be repeated */
    int status = visit->trouble = around->before(visit->around, &visit->scene, backward);
    if (status == MOE_OK)
        status = enqueue(visit, backward, around->repeats > 1 && !adds ? around->repeats : 1);
    if (status == MOE_OK && together)
        status = enqueue(visit, 1, 1);
    if (status == MOE_OK && around->behind)
        status = around->behind(visit->around, &visit->scene, backward);
    if (status == MOE_OK)
        status = moe_device_synchronize(visit->device, visit->stream);
    int ended = around->ended ? around->ended(visit->around, &visit->scene) : MOE_OK;
    return status == MOE_OK ? ended : status;
}

static int pass(void *context, int backward, int surrounded)
{
    struct visit *visit = context;
    if (surrounded && visit->trial->surroundings)
        return pass_amid(visit, visit->trial->surroundings, backward, 0);
    double begin = now();
    int status = enqueue(visit, backward, 1);
    if (status == MOE_OK)
        status = moe_device_synchronize(visit->device, visit->stream);
    visit->scene.seconds = fmax(visit->scene.seconds, now() - begin);
    return status;
}

static int pair(void *context)
{
    struct visit *visit = context;
    return pass_amid(visit, visit->trial->surroundings, 0, 1);
}

static int give(void *context, const struct moe_tensors *from)
{
    struct visit *visit = context;
    int status = MOE_OK;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &visit->tensors[id];
        int64_t bytes = moe_rows_bytes(tensor), rows = tensor->data ? moe_rows_count(tensor) : 0;
        for (int64_t row = 0; row < rows && status == MOE_OK; row++)
            status = moe_device_copy_to(
                visit->device, (char *)tensor->data + moe_rows_offset(tensor, row),
                (const char *)from->tensor[id].data + row * bytes, bytes, visit->stream);
    }
    return status == MOE_OK ? moe_arena_device_forget(&visit->there, visit->trial->problem)
                            : status;
}

/* Each pass of a graph has its workspace poisoned, as a part of the graph. */
static int capture(void *context)
{
    struct visit *visit = context;
    visit->met[0] = visit->met[1] = 0;
    int status = moe_device_capture_begin(visit->device, visit->stream);
    if (status != MOE_OK)
        return status;
    status = enqueue(visit, 0, 1);
    if (status == MOE_OK)
        status = enqueue(visit, 1, 1);
    int ended = moe_device_capture_end(visit->device, visit->stream, &visit->graph);
    return status == MOE_OK ? ended : status;
}

static int replay(void *context)
{
    struct visit *visit = context;
    int status = moe_device_graph_launch(visit->device, visit->graph, visit->stream);
    return status == MOE_OK ? moe_device_synchronize(visit->device, visit->stream) : status;
}

/* Of the whole device, other processes' too. */
static int held(void *context, int64_t *bytes)
{
    struct visit *visit = context;
    int64_t total = 0, left = 0;
    int status = moe_device_attribute(visit->device, MOE_DEVICE_TOTAL_BYTES, &total);
    if (status == MOE_OK)
        status = moe_device_attribute(visit->device, MOE_DEVICE_FREE_BYTES, &left);
    *bytes = total - left;
    return status;
}

static int arrive_around(struct visit *visit)
{
    const struct moe_surroundings *around = visit->trial->surroundings;
    return around && around->arrive ? around->arrive(&visit->scene, &visit->around) : MOE_OK;
}

/* A device that does not know the kernel's instructions has not judged it: trouble of ours. */
static void see_trouble(struct visit *visit, const struct moe_trial_result *result)
{
    const char *trouble = moe_device_trouble(visit->device);
    if (result->status != MOE_OK && *trouble)
        visit->trouble = moe_error(MOE_E_INTERNAL, "%s", trouble);
}

/* The variant, opened, through the script. What is trouble of the surroundings before it begins is
 * returned. */
static int call(struct visit *visit, const struct moe_trial *trial, struct moe_trial_result *result)
{
    static const struct script_actor actor = {.pass = pass,
                                              .pair = pair,
                                              .give = give,
                                              .capture = capture,
                                              .replay = replay,
                                              .held = held};
    const struct moe_variant *variant = trial->variant;
    struct float_modes modes;
    visit->trial = trial;
    visit->call = moe_arena_device_call(&visit->there, visit->tensors);
    visit->call.stream = visit->stream;
    visit->scene = (struct moe_scene){.device = visit->device,
                                      .stream = visit->stream,
                                      .problem = trial->problem,
                                      .variant = variant,
                                      .there = visit->tensors,
                                      .result = result};
    int status = arrive_around(visit);
    if (status != MOE_OK)
        return status;
    if (trial->measures && (status = held(visit, &result->held_before)) != MOE_OK)
        return status;
    float_modes_save(&modes);
    result->step = "open";
    if (trial->place)
        trial->place(trial->context, trial->check, result->step);
    result->status =
        variant->open(visit->device, trial->problem, trial->configuration, &visit->state);
    if (result->status == MOE_OK) {
        visit->called = 1;
        moe_script_run(trial, &actor, visit, result);
        variant->close(visit->state);
    }
    result->modes_changed = float_modes_restore(&modes);
    see_trouble(visit, result);
    moe_device_remark(visit->device, result->remark, sizeof result->remark);
    if (trial->measures && result->status == MOE_OK)
        result->status = held(visit, &result->held_after);
    return visit->trouble;
}

/* ---- is the device still sound? -------------------------------------------------------------- */

/* After an error that sticks nothing works in this process any more. */
static int unsound;

int moe_on_device_sound(void)
{
    return !unsound;
}

static int canary(struct moe_device *device, uint32_t *word)
{
    void *memory = NULL;
    int status = moe_device_allocate(device, sizeof *word, &memory);
    if (status == MOE_OK)
        status = moe_device_fill(device, memory, 0x5a, sizeof *word, NULL);
    if (status == MOE_OK)
        status = moe_device_copy_from(device, word, memory, sizeof *word, NULL);
    if (memory)
        moe_device_free(device, memory);
    return status;
}

/*
 * One word written and read back, once the run's memory has been given back, which waits for all
 * that the variant has left running anywhere. An error that comes to light only now, or when its
 * outputs were fetched (`status`), is this run's, and not trouble of ours or the next case's. The
 * error of the variant's call, if there is one, stays the last. Returns what is left of `status`.
 */
static int try_canary(const struct visit *visit, int status, struct moe_trial_result *result)
{
    uint32_t word = 0;
    char text[1024];
    snprintf(text, sizeof text, "%s", moe_error_text());
    int tried = canary(visit->device, &word);
    unsound |= tried != MOE_OK || word != 0x5a5a5a5a;
    if (unsound && visit->called && result->status == MOE_OK) {
        result->step = "work that it left behind";
        result->status = MOE_E_INTERNAL;
        if (tried == MOE_OK)
            moe_error(MOE_E_INTERNAL, "a word of the device's memory is wrong");
        return MOE_OK;
    }
    moe_error(MOE_E_INTERNAL, "%s", text);
    return status;
}

/* Is the device as it was, but for what the variant wrote? A call that only refused has not spoilt
 * it. */
static int has_left_device_well(const struct moe_trial_result *result)
{
    return result->status == MOE_OK || result->status == MOE_E_USAGE ||
           result->status == MOE_E_UNSUPPORTED;
}

static int come_back(const struct visit *visit, const struct moe_arena *arena,
                     struct moe_trial_result *result)
{
    int status = moe_arena_device_fetch(&visit->there, visit->stream);
    moe_arena_device_undefined(&visit->there, visit->trial->problem, result->undefined);
    if (status == MOE_OK)
        memcpy(&result->status_word, arena->region[MOE_ARENA_STATUS].tensor.data,
               sizeof result->status_word);
    return status;
}

static void leave(struct visit *visit)
{
    if (!visit->device)
        return;
    if (visit->around)
        visit->trial->surroundings->leave(visit->around, &visit->scene);
    moe_device_graph_destroy(visit->device, visit->graph);
    moe_arena_device_free(&visit->there);
    if (visit->stream)
        moe_device_stream_destroy(visit->device, visit->stream);
}

static int run(const struct moe_trial *trial, struct moe_arena *arena,
               struct moe_trial_result *result)
{
    struct visit visit = {0};
    int status = arrive(&visit, trial, arena);
    if (status == MOE_OK) {
        status = call(&visit, trial, result);
        if (status == MOE_OK && has_left_device_well(result))
            status = come_back(&visit, arena, result);
        leave(&visit);
        return try_canary(&visit, status, result);
    }
    leave(&visit);
    return status;
}

int moe_on_device_run(const struct moe_trial *trial, struct moe_arena *arena,
                      struct moe_trial_result *result)
{
    const int shared = moe_trial_device(trial) == MOE_ON_CUDA; /* with other processes */
    const int must_be_alone = trial->surroundings && trial->surroundings->alone;
    const int alone = trial->measures || must_be_alone;
    const int turn = shared ? on_device_turn_take(alone) : -1;
    result->alone = (turn >= 0 || !shared) && alone;
    result->crowded = must_be_alone && shared && turn == -1;
    const int status = result->crowded ? MOE_OK : run(trial, arena, result);
    on_device_turn_give(turn);
    return status;
}

/*
 * on_device_contention.c - surroundings in which the device is not the variant's alone: another
 * stream holds half of the multiprocessors, or some of each and much of the memory's bandwidth, and
 * launches stand in the queue before the variant's. Shared memory is full of NaN at the start.
 *
 * What holds half of the device lets it go when the variant's work has ended, or after a time that
 * is many times what the variant took alone; in that case the variant did not get on beside it (a
 * grid barrier that needs every block resident), and result->stalled says so. What is on all of it
 * leaves block after block: no variant need leave room for others.
 */
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "ref/moe.h"
#include "verify/on_device_copies.h"

/* The variant may take so many times longer than alone, and no less than these seconds. */
#define TIMES_SLOWER 50
#define SECONDS_AT_LEAST 2.0
/* So many times what it took alone, and no less than these seconds, the last of those leaves that
 * share the multiprocessors: a variant that needs whole ones begins when they have left. */
#define TIMES_SHARED 4
#define SHARED_SECONDS_AT_LEAST 0.1
#define ARRIVE_SECONDS 2.0

#define SHARE_WORDS (INT64_C(16) << 20)
#define SHARE_THREADS 128
#define QUEUED_NS UINT64_C(2000)

struct contention {
    void *stream; /* of the others */
    volatile uint32_t *flags;
    uint32_t *words; /* device memory that they read and write */
    int64_t multiprocessors, shared_bytes;
};

static void leave(void *memory, const struct moe_scene *scene)
{
    struct contention *contention = memory;
    moe_device_stream_destroy(scene->device, contention->stream);
    moe_device_shared_free(scene->device, (void *)contention->flags);
    moe_device_free(scene->device, contention->words);
    free(contention);
}

static int arrive(const struct moe_scene *scene, void **memory)
{
    struct contention *contention = calloc(1, sizeof *contention);
    if (!contention)
        return moe_error(MOE_E_NOMEM, "no memory for contention");
    *memory = contention;
    int status = moe_device_stream_create(scene->device, &contention->stream);
    if (status == MOE_OK)
        status = moe_device_shared_allocate(scene->device, DISTURB_FLAGS * sizeof(uint32_t),
                                            (void **)&contention->flags);
    if (status == MOE_OK)
        status = moe_device_allocate(scene->device, SHARE_WORDS * 4, (void **)&contention->words);
    if (status == MOE_OK)
        status = moe_device_attribute(scene->device, MOE_DEVICE_MULTIPROCESSORS,
                                      &contention->multiprocessors);
    return status == MOE_OK ? moe_device_attribute(scene->device, MOE_DEVICE_SHARED_BYTES,
                                                   &contention->shared_bytes)
                            : status;
}

static uint64_t ns_of(const struct moe_scene *scene, double at_least, int times)
{
    return (uint64_t)(1e9 * fmax(at_least, times * scene->seconds));
}

/* Until all of the others' blocks run. */
static int wait_for_others(const struct contention *contention, uint32_t blocks)
{
    const struct timespec pause = {.tv_nsec = 100000};
    for (int i = 0; contention->flags[DISTURB_ARRIVED] < blocks; i++) {
        if (i * 1e-9 * (double)pause.tv_nsec > ARRIVE_SECONDS)
            return moe_error(MOE_E_INTERNAL, "%u of %u blocks that are to hold the device arrived",
                             contention->flags[DISTURB_ARRIVED], blocks);
        nanosleep(&pause, NULL);
    }
    return MOE_OK;
}

static int poison_shared_memory(const struct contention *contention, const struct moe_scene *scene)
{
    uint32_t bytes = (uint32_t)contention->shared_bytes;
    void *args[] = {&bytes};
    return disturb_launch(scene, "disturb_poison_shared", (uint32_t)contention->multiprocessors,
                          1024, bytes, 0, scene->stream, args);
}

static void begin(struct contention *contention)
{
    for (int i = 0; i < DISTURB_FLAGS; i++)
        contention->flags[i] = 0;
}

static int occupy_half(void *memory, const struct moe_scene *scene, int backward)
{
    struct contention *contention = memory;
    void *flags = (void *)contention->flags;
    uint32_t bytes = (uint32_t)contention->shared_bytes;
    uint32_t blocks = (uint32_t)(contention->multiprocessors + 1) / 2;
    uint64_t ns = ns_of(scene, SECONDS_AT_LEAST, TIMES_SLOWER);
    void *args[] = {&flags, &bytes, &ns};
    (void)backward;
    begin(contention);
    int status = poison_shared_memory(contention, scene);
    if (status == MOE_OK)
        status = moe_device_synchronize(scene->device, scene->stream);
    if (status == MOE_OK)
        status = disturb_launch(scene, "disturb_occupy", blocks, 1024, bytes, 0, contention->stream,
                                args);
    return status == MOE_OK ? wait_for_others(contention, blocks) : status;
}

static int share_all(void *memory, const struct moe_scene *scene, int backward)
{
    struct contention *contention = memory;
    void *flags = (void *)contention->flags;
    int64_t count = SHARE_WORDS;
    uint32_t blocks = (uint32_t)contention->multiprocessors;
    uint64_t ns = ns_of(scene, SHARED_SECONDS_AT_LEAST, TIMES_SHARED);
    void *args[] = {&flags, &contention->words, &count, &ns};
    (void)backward;
    begin(contention);
    int status = poison_shared_memory(contention, scene);
    if (status == MOE_OK)
        status = moe_device_synchronize(scene->device, scene->stream);
    if (status == MOE_OK)
        status = disturb_launch(scene, "disturb_share", blocks, SHARE_THREADS, 0, 0,
                                contention->stream, args);
    return status == MOE_OK ? wait_for_others(contention, blocks) : status;
}

static int queue(void *memory, const struct moe_scene *scene, int backward, int depth)
{
    uint32_t *nobody = NULL;
    uint64_t ns = QUEUED_NS;
    void *args[] = {&nobody, &ns};
    int status = share_all(memory, scene, backward);
    for (int i = 0; i < depth && status == MOE_OK; i++)
        status = disturb_launch(scene, "disturb_gate", 1, 1, 0, 0, scene->stream, args);
    return status;
}

static int queue_10(void *memory, const struct moe_scene *scene, int backward)
{
    return queue(memory, scene, backward, 10);
}

static int queue_300(void *memory, const struct moe_scene *scene, int backward)
{
    return queue(memory, scene, backward, 300);
}

static int ended(void *memory, const struct moe_scene *scene)
{
    struct contention *contention = memory;
    scene->result->stalled |= contention->flags[DISTURB_EXPIRED] != 0;
    contention->flags[DISTURB_OPEN] = 1;
    return moe_device_synchronize(scene->device, contention->stream);
}

const struct moe_surroundings moe_surroundings_occupied = {
    .name = "half of the multiprocessors taken",
    .alone = 1,
    .arrive = arrive,
    .before = occupy_half,
    .ended = ended,
    .leave = leave,
};

const struct moe_surroundings moe_surroundings_shared = {
    .name = "another kernel on every multiprocessor",
    .alone = 1,
    .arrive = arrive,
    .before = share_all,
    .ended = ended,
    .leave = leave,
};

const struct moe_surroundings moe_surroundings_queued_10 = {
    .name = "another kernel on every multiprocessor, ten launches and ten calls queued",
    .alone = 1,
    .repeats = 10,
    .arrive = arrive,
    .before = queue_10,
    .ended = ended,
    .leave = leave,
};

const struct moe_surroundings moe_surroundings_queued_300 = {
    .name = "another kernel on every multiprocessor, 300 launches queued",
    .alone = 1,
    .arrive = arrive,
    .before = queue_300,
    .ended = ended,
    .leave = leave,
};

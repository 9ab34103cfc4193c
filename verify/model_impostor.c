/*
 * model_impostor.c - variants that do not compute, or not what is asked: fills, caches of earlier
 * outputs under keys that are too small, answers that are right only where somebody looks.
 */
#define _GNU_SOURCE /* nanosleep */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "verify/model.h"

/* What impostors keep between launches. */
static struct {
    const void *seen; /* address of the x before */
    double key[2];    /* of the launch that was remembered, forward and backward */
    int has_key[2];
    void *copy[MOE_TENSOR_COUNT];
    int64_t bytes[MOE_TENSOR_COUNT];
    void *poison[MOE_TENSOR_COUNT]; /* what stood in the outputs before */
} cache;

void model_impostor_forget(void)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        free(cache.copy[id]);
        free(cache.poison[id]);
    }
    memset(&cache, 0, sizeof cache);
}

static int is_output(const struct model *m, int id, int backward)
{
    enum moe_role role = moe_tensor_info(id)->role;
    int computed = m->problem.router != MOE_LISTS;
    if (!m->call->tensors[id].data)
        return 0;
    return backward ? role == MOE_BACKWARD_OUTPUT || role == MOE_PARAMETER_GRADIENT
                    : role == MOE_FORWARD_OUTPUT || (role == MOE_ROUTING && computed);
}

static void fill(struct model *m, int backward, double value)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &m->call->tensors[id];
        for (int64_t i = 0; is_output(m, id, backward) && i < moe_tensor_count(tensor); i++)
            moe_dtype_store(tensor->dtype, tensor->data, moe_tensor_position(tensor, i), value, 0);
    }
}

/* ---- caches ---------------------------------------------------------------------------------- */

static void remember(struct model *m, int backward)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &m->call->tensors[id];
        if (!is_output(m, id, backward))
            continue;
        free(cache.copy[id]);
        cache.bytes[id] = moe_tensor_bytes(tensor);
        cache.copy[id] = malloc((size_t)cache.bytes[id] + 1);
        if (cache.copy[id])
            memcpy(cache.copy[id], tensor->data, (size_t)cache.bytes[id]);
    }
}

static int recall(struct model *m, int backward)
{
    int all = 1;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &m->call->tensors[id];
        if (!is_output(m, id, backward))
            continue;
        if (cache.copy[id] && cache.bytes[id] == moe_tensor_bytes(tensor))
            memcpy(tensor->data, cache.copy[id], (size_t)cache.bytes[id]);
        else
            all = 0;
    }
    return all;
}

static void copy_input_out(struct model *m)
{
    const struct moe_tensor *x = &m->call->tensors[MOE_X];
    fill(m, 0, 0);
    memcpy(m->call->tensors[MOE_O].data, x->data, (size_t)moe_tensor_bytes(x));
}

/* Work that goes on when the call has returned: here it is a thread that begins late and finds the
 * call's memory gone, so it only writes zeros to where the output was, if it comes that far. */
static void *sleep_on(void *unused)
{
    struct timespec a_while = {.tv_nsec = 1000000};
    nanosleep(&a_while, NULL);
    return unused;
}

static void work_later(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, sleep_on, NULL) == 0)
        pthread_detach(thread);
}

/* What a cache goes by: the first row of what the pass is given, or the sum of all of it. */
static double key_of(struct model *m, int backward)
{
    const struct moe_tensor *from = &m->call->tensors[backward ? MOE_DO : MOE_X];
    int64_t count = fault(m, CACHES_BY_FIRST_ROW) ? m->problem.H : moe_tensor_count(from);
    double key = 0;
    for (int64_t i = 0; i < count && i < moe_tensor_count(from); i++) {
        double value = moe_dtype_load(from->dtype, from->data, moe_tensor_position(from, i));
        key = fault(m, CACHES_BY_SUM) ? key + value : 3 * key + value;
    }
    return key;
}

static int is_cached(struct model *m, int backward)
{
    return (fault(m, CACHES_BY_FIRST_ROW) || fault(m, CACHES_BY_SUM)) && cache.has_key[backward] &&
           cache.key[backward] == key_of(m, backward);
}

/* Is x, to the last element, what it was? */
static int has_same_input(struct model *m)
{
    const struct moe_tensor *x = &m->call->tensors[MOE_X];
    size_t bytes = (size_t)moe_tensor_bytes(x);
    int same = cache.copy[MOE_X] && cache.bytes[MOE_X] == (int64_t)bytes &&
               memcmp(cache.copy[MOE_X], x->data, bytes) == 0;
    free(cache.copy[MOE_X]);
    cache.copy[MOE_X] = malloc(bytes + 1);
    cache.bytes[MOE_X] = (int64_t)bytes;
    if (cache.copy[MOE_X])
        memcpy(cache.copy[MOE_X], x->data, bytes);
    return same;
}

/* The outputs of the forward pass stay as they were until the next call. */
static void hold_back(struct model *m, int before)
{
    if (!before)
        remember(m, 0);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &m->call->tensors[id];
        size_t bytes = (size_t)moe_tensor_bytes(tensor);
        if (!is_output(m, id, 0))
            continue;
        if (before) {
            free(cache.poison[id]);
            cache.poison[id] = malloc(bytes + 1);
        }
        if (cache.poison[id])
            memcpy(before ? cache.poison[id] : tensor->data,
                   before ? tensor->data : cache.poison[id], bytes);
    }
}

static int output_is_nan(struct model *m, int backward)
{
    const struct moe_tensor *out = &m->call->tensors[backward ? MOE_DX : MOE_O];
    return moe_tensor_count(out) == 0 ||
           isnan(moe_dtype_load(out->dtype, out->data, moe_tensor_position(out, 0)));
}

/* Tokens behind the eighth have the answers of the first eight. */
static void repeat_eight_tokens(struct model *m, int backward)
{
    const struct moe_tensor *out = &m->call->tensors[backward ? MOE_DX : MOE_O];
    int64_t H = m->problem.H;
    for (int64_t i = 8 * H; i < moe_tensor_count(out); i++) {
        int64_t from = moe_tensor_position(out, i % (8 * H));
        moe_dtype_store(out->dtype, out->data, moe_tensor_position(out, i),
                        moe_dtype_load(out->dtype, out->data, from), 0);
    }
}

/* ---- impostors ------------------------------------------------------------------------------- */

/* `launches`: of the forward pass. 1: the launch is over. */
int model_impostor(struct model *m, int backward, int64_t launches)
{
    if (fault(m, WRITES_ZEROS)) {
        fill(m, backward, 0);
        return 1;
    }
    if (fault(m, WRITES_NAN)) {
        fill(m, backward, NAN);
        return 1;
    }
    if (fault(m, WRITES_ONES)) {
        fill(m, backward, 1);
        return 1;
    }
    if (fault(m, COPIES_INPUT) && !backward) {
        copy_input_out(m);
        return m->problem.router == MOE_LISTS;
    }
    if (fault(m, DOES_LATER)) {
        work_later();
        return 1;
    }
    if (fault(m, REPEATS_LAST_OUTPUT) ||
        (fault(m, CACHES_BY_ADDRESS) && cache.seen == m->call->tensors[MOE_X].data))
        return recall(m, backward);
    if (fault(m, WORKS_ONCE) && launches > 1)
        return 1;
    if (is_cached(m, backward) || (fault(m, BACKWARD_REPLAYS) && backward))
        return recall(m, backward);
    if (fault(m, KNOWS_POISON) && !output_is_nan(m, backward)) {
        fill(m, backward, 0);
        return 1;
    }
    if (fault(m, SKIPS_EQUAL_INPUT) && !backward && has_same_input(m))
        return 1;
    if (fault(m, OUTPUT_WITH_NEXT_CALL)) {
        if (backward)
            recall(m, 0);
        else
            hold_back(m, 1);
    }
    return fault(m, DOES_NOTHING) || (fault(m, NO_BACKWARD) && backward);
}

void model_impostor_after(struct model *m, int backward)
{
    if (fault(m, REPEATS_LAST_OUTPUT) || fault(m, CACHES_BY_ADDRESS) ||
        (fault(m, BACKWARD_REPLAYS) && backward))
        remember(m, backward);
    if (fault(m, CACHES_BY_FIRST_ROW) || fault(m, CACHES_BY_SUM)) {
        remember(m, backward);
        cache.key[backward] = key_of(m, backward);
        cache.has_key[backward] = 1;
    }
    if (fault(m, OUTPUT_WITH_NEXT_CALL) && !backward)
        hold_back(m, 0);
    if (fault(m, EIGHT_TOKENS_FOR_ALL))
        repeat_eight_tokens(m, backward);
    cache.seen = m->call->tensors[MOE_X].data;
}

/*
 * model_launch.c - what can be wrong with a launch as a whole: variants that do not compute
 * (impostors), state that outlives a launch, memory beside the tensors, the process around them.
 */
#define _GNU_SOURCE /* pause, nanosleep */
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "verify/model.h"

/* What lives between launches where a fault is planted: counters that nobody resets, caches. */
static struct {
    int64_t launches; /* forward ones */
    double left;      /* what a sum was left with */
    int64_t T;        /* of the first launch */
    const void *seen; /* address of the first x */
    void *copy[MOE_TENSOR_COUNT];
    int64_t bytes[MOE_TENSOR_COUNT];
} between;

void model_forget(void)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        free(between.copy[id]);
    memset(&between, 0, sizeof between);
    model_forget_loads();
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

/* ---- impostors ------------------------------------------------------------------------------- */

static void remember(struct model *m, int backward)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &m->call->tensors[id];
        if (!is_output(m, id, backward))
            continue;
        free(between.copy[id]);
        between.bytes[id] = moe_tensor_bytes(tensor);
        between.copy[id] = malloc((size_t)between.bytes[id] + 1);
        if (between.copy[id])
            memcpy(between.copy[id], tensor->data, (size_t)between.bytes[id]);
    }
}

static int recall(struct model *m, int backward)
{
    int all = 1;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &m->call->tensors[id];
        if (!is_output(m, id, backward))
            continue;
        if (between.copy[id] && between.bytes[id] == moe_tensor_bytes(tensor))
            memcpy(tensor->data, between.copy[id], (size_t)between.bytes[id]);
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

/* 1: the launch is over. */
static int impostor(struct model *m, int backward)
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
        (fault(m, CACHES_BY_ADDRESS) && between.seen == m->call->tensors[MOE_X].data))
        return recall(m, backward);
    if (fault(m, WORKS_ONCE) && between.launches > 1)
        return 1;
    return fault(m, DOES_NOTHING) || (fault(m, NO_BACKWARD) && backward);
}

/* ---- the process ----------------------------------------------------------------------------- */

static void hang(void)
{
    for (;;)
        pause();
}

static int has_empty_expert(const struct model *m)
{
    for (int64_t e = 0; e < m->problem.E; e++)
        if (m->kept.offset[e] == m->kept.offset[e + 1])
            return 1;
    return 0;
}

static void overflow_stack(volatile char *above)
{
    volatile char here[1 << 16];
    here[0] = above ? above[0] : 1;
    if (here[0])
        overflow_stack(here);
    here[1] = here[0];
}

static void disturb_process(struct model *m, int backward)
{
    if (fault(m, HANGS_FORWARD) && !backward)
        hang();
    if (backward && (fault(m, HANGS_BACKWARD) || (fault(m, HANGS_ON_EMPTY) && has_empty_expert(m))))
        hang();
    if (fault(m, HANGS_WITHOUT_TOKENS) && m->problem.T == 0)
        hang();
    if (fault(m, CRASHES) && backward)
        raise(SIGSEGV);
    if (fault(m, ABORTS) && backward)
        abort();
    if (fault(m, EXITS) && backward)
        _exit(0);
    if (fault(m, DIVIDES_BY_ZERO) && backward && has_empty_expert(m))
        raise(SIGFPE);
    if (fault(m, OVERFLOWS_STACK))
        overflow_stack(NULL);
}

static void disturb_modes(const struct model *m)
{
    if (fault(m, LEAVES_ROUNDING_UP))
        fesetround(FE_UPWARD);
    if (fault(m, LEAVES_ROUNDING_DOWN))
        fesetround(FE_TOWARDZERO);
}

/* ---- state between launches ------------------------------------------------------------------ */

static void carry(struct model *m, int backward)
{
    const struct moe_tensor *o = &m->call->tensors[MOE_O];
    const struct moe_tensor *dw1 = &m->call->tensors[MOE_DW1];
    if (fault(m, SUM_CARRIES) && !backward && moe_tensor_count(o) > 0) {
        double value = moe_dtype_load(o->dtype, o->data, 0);
        moe_dtype_store(o->dtype, o->data, 0, value + between.left, 0);
        between.left = value;
    }
    if (fault(m, GRADIENT_CARRIES) && backward) {
        double value = moe_dtype_load(dw1->dtype, dw1->data, 0);
        moe_dtype_store(dw1->dtype, dw1->data, 0, value + between.left, 0);
        between.left = value;
    }
}

/* ---- beside the tensors ---------------------------------------------------------------------- */

static void touch_memory(struct model *m, int backward)
{
    int64_t workspace = model_workspace_bytes(&m->problem), kept = model_kept_bytes(&m->problem);
    if (fault(m, WORKSPACE_PAST_END))
        ((volatile char *)m->call->workspace)[workspace] = 0;
    if (fault(m, WORKSPACE_BEFORE_START))
        ((volatile char *)m->call->workspace)[-1] = 0;
    if (fault(m, KEPT_PAST_END) && !backward)
        ((volatile char *)m->call->kept)[kept] = 0;
    if (fault(m, KEPT_BEFORE_START) && !backward)
        ((volatile char *)m->call->kept)[-1] = 0;
    if (fault(m, KEPT_LOST) && !backward)
        memset(m->call->kept, 0, (size_t)kept);
}

int model_launch_before(struct model *m, int backward, int *status)
{
    *status = MOE_OK;
    if (m->fault.place == MOE_FAULT_NOWHERE)
        return 0;
    between.launches += !backward;
    if (fault(m, RETURNS_ERROR) && backward)
        *status = moe_error(MOE_E_INTERNAL, "the launch failed");
    if (fault(m, STOPS_AFTER_3) && between.launches > 3)
        return 1;
    if (fault(m, LAST_T_TAKEN)) {
        int64_t T = m->problem.T;
        if (between.launches > 1 && between.T < T && !backward)
            m->problem.T = between.T;
        between.T = between.launches == 1 && !backward ? T : between.T;
    }
    disturb_process(m, backward);
    return *status != MOE_OK || impostor(m, backward);
}

void model_launch_after(struct model *m, int backward)
{
    if (m->fault.place == MOE_FAULT_NOWHERE)
        return;
    if (fault(m, REPEATS_LAST_OUTPUT) || fault(m, CACHES_BY_ADDRESS))
        remember(m, backward);
    between.seen = m->call->tensors[MOE_X].data;
    carry(m, backward);
    touch_memory(m, backward);
    disturb_modes(m);
    if (backward)
        m->problem.T = m->call->tensors[MOE_X].shape[0];
}

/*
 * model_launch.c - what can be wrong with a launch as a whole: state that outlives a launch, memory
 * beside the tensors, the process around them.
 */
#define _GNU_SOURCE /* pause */
#include <fenv.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "verify/model.h"

/* What lives between launches where a fault is planted: counters that nobody resets, caches. */
static struct {
    int64_t launches; /* forward ones */
    double left;      /* what a sum was left with */
    int64_t T;        /* of the first launch */
} between;

void model_forget(void)
{
    model_impostor_forget();
    memset(&between, 0, sizeof between);
    model_forget_loads();
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

/* Results that are subnormal become 0 from here on, as -ffast-math has it. */
static void flush_subnormals(void)
{
#if defined __SSE__
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
#elif defined __aarch64__
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" : : "r"(control | 1u << 24));
#else
    fesetround(FE_UPWARD);
#endif
}

static void disturb_modes(const struct model *m)
{
    if (fault(m, LEAVES_ROUNDING_UP))
        fesetround(FE_UPWARD);
    if (fault(m, LEAVES_ROUNDING_DOWN))
        fesetround(FE_TOWARDZERO);
    if (fault(m, LEAVES_FLUSHING))
        flush_subnormals();
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
    if (fault(m, EVERY_THIRD_LOSES_ROW) && !backward && between.launches % 3 == 0)
        for (int64_t h = 0; h < m->problem.H && m->problem.T > 0; h++)
            moe_dtype_store(o->dtype, o->data,
                            moe_tensor_position(o, (m->problem.T - 1) * m->problem.H + h), NAN, 0);
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

/* What was there is put back. */
static void use_as_scratch(struct model *m)
{
    const struct moe_tensor *x = &m->call->tensors[MOE_X];
    volatile unsigned char *byte = x->data;
    if (moe_tensor_bytes(x) > 0) {
        byte[0] ^= 1;
        byte[0] ^= 1;
    }
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
    if (fault(m, NO_TOKENS_NO_WORK) && m->problem.T == 0)
        return 1;
    if (fault(m, INPUT_AS_SCRATCH) && !backward)
        use_as_scratch(m);
    if (fault(m, X_BY_OLD_ADDRESS) && !backward)
        m->forward_x = m->call->tensors[MOE_X].data;
    return *status != MOE_OK || model_impostor(m, backward, between.launches);
}

void model_launch_after(struct model *m, int backward)
{
    if (m->fault.place == MOE_FAULT_NOWHERE)
        return;
    model_impostor_after(m, backward);
    carry(m, backward);
    touch_memory(m, backward);
    disturb_modes(m);
    if (backward)
        m->problem.T = m->call->tensors[MOE_X].shape[0];
}

/*
 * hazard_sync.c - who comes to know what: barriers and fences.
 */
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/hazard_own.h"

static int joined(struct hazard *hazard, struct view *to, const struct view *from)
{
    if (!view_join(to, from))
        return 0;
    hazard_fail(hazard);
    return -1;
}

/* What lanes know, their own work included, goes into `to`. */
static void tell(struct hazard *hazard, const struct hazard_warp *warp, uint32_t lanes,
                 struct view *to)
{
    const struct clock *last = NULL;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const struct view *view = &warp->view[__builtin_ctz(rest)];
        if (view->known == last && !view->fenced && !view->mapped && !view->begun)
            continue; /* as the lane before */
        last = view->known;
        joined(hazard, to, view);
    }
    if (clock_note(&to->known, warp->agent, lanes, warp->epoch))
        hazard_fail(hazard);
}

void hazard_publish(struct hazard *hazard, struct hazard_warp *warp, uint32_t lanes,
                    struct view *to)
{
    tell(hazard, warp, lanes, to);
    warp->epoch++;
}

/* ---- barriers -------------------------------------------------------------------------------- */

void hazard_arrive(void *data, struct ptx_warp *warp, uint32_t lanes, const void *object)
{
    struct hazard *hazard = data;
    struct object *barrier = hazard->failed ? NULL : hazard_barrier(hazard, (uintptr_t)object, 1);
    if (!barrier)
        return;
    barrier->has_phases = 1;
    hazard_publish(hazard, warp->hazard, lanes, &barrier->coming);
}

/* A fence before a relaxed arrival releases what it covers: fence.mbarrier_init initialisations,
 * a fence of the cluster's scope or a wider one all that came before it. */
void hazard_arrive_relaxed(void *data, struct ptx_warp *warp, uint32_t lanes, const void *object)
{
    struct hazard *hazard = data;
    const struct hazard_warp *own = warp->hazard;
    struct object *barrier = hazard->failed ? NULL : hazard_barrier(hazard, (uintptr_t)object, 1);
    if (!barrier)
        return;
    barrier->has_phases = 1;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const struct view begun = {.begun = own->view[lane].begun};
        joined(hazard, &barrier->coming, &begun);
        if (own->has_fence >> lane & 1 && own->fence_scope[lane] >= PTX_SCOPE_CLUSTER)
            joined(hazard, &barrier->coming, &own->fence[lane]);
    }
}

static void complete(struct hazard *hazard, struct object *barrier)
{
    joined(hazard, &barrier->passed, &barrier->coming);
    view_drop(&barrier->coming);
    hazard_object_forget_last(barrier);
}

void hazard_complete(void *data, const void *object)
{
    struct hazard *hazard = data;
    struct object *barrier = hazard->failed ? NULL : hazard_barrier(hazard, (uintptr_t)object, 0);
    if (barrier)
        complete(hazard, barrier);
}

void hazard_leave(void *data, struct ptx_warp *warp, uint32_t lanes, const void *object)
{
    struct hazard *hazard = data;
    struct hazard_warp *own = warp->hazard;
    struct object *barrier = hazard->failed ? NULL : hazard_barrier(hazard, (uintptr_t)object, 0);
    if (!barrier)
        return;
    if (!barrier->has_phases)
        complete(hazard, barrier);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        struct view *view = &own->view[__builtin_ctz(rest)];
        /* Lanes that knew the same know the same now. */
        if (barrier->last_after && view->known == barrier->last_before) {
            clock_keep(barrier->last_after);
            clock_drop(view->known);
            view->known = barrier->last_after;
            continue;
        }
        struct clock *before = clock_keep(view->known);
        joined(hazard, view, &barrier->passed);
        hazard_object_forget_last(barrier);
        if (barrier->passed.fenced || barrier->passed.mapped || barrier->passed.begun) {
            clock_drop(before);
            continue;
        }
        barrier->last_before = before;
        barrier->last_after = clock_keep(view->known);
    }
}

/* ---- fences ---------------------------------------------------------------------------------- */

static void proxy_fence(struct hazard *hazard, struct hazard_warp *warp, uint32_t lanes)
{
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        struct view *view = &warp->view[__builtin_ctz(rest)];
        if (clock_join(&view->fenced, view->known) ||
            clock_note(&view->fenced, warp->agent, rest & -rest, warp->epoch))
            hazard_fail(hazard);
    }
    warp->epoch++;
}

static void begin_fence(struct hazard *hazard, struct hazard_warp *warp, uint32_t lanes)
{
    for (uint32_t rest = lanes; rest; rest &= rest - 1)
        if (clock_note(&warp->view[__builtin_ctz(rest)].begun, warp->agent, rest & -rest,
                       warp->epoch))
            hazard_fail(hazard);
    warp->epoch++;
}

/* Who acquires has the proxy of tensor maps see what the thread knows. */
static void map_fence(struct hazard *hazard, struct hazard_warp *warp, const struct ptx_code *code,
                      uint32_t lanes)
{
    for (uint32_t rest = ptx_has(code->instruction, PTX_W_ACQUIRE) ? lanes : 0; rest;
         rest &= rest - 1) {
        struct view *view = &warp->view[__builtin_ctz(rest)];
        if (clock_join(&view->mapped, view->known) ||
            clock_note(&view->mapped, warp->agent, rest & -rest, warp->epoch))
            hazard_fail(hazard);
    }
    warp->epoch++;
}

/* A fence of memory: relaxed reads before it acquire, relaxed writes behind it release. */
static void memory_fence(struct hazard *hazard, struct hazard_warp *warp,
                         const struct ptx_code *code, uint32_t lanes)
{
    const enum ptx_order order = (enum ptx_order)(code->data[0] & 0xff);
    const enum ptx_scope scope = (enum ptx_scope)(code->data[0] >> 8);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        if (order != PTX_ORDER_RELEASE && warp->has_pending >> lane & 1 &&
            warp->need_scope[lane] <= scope) {
            joined(hazard, &warp->view[lane], &warp->pending[lane]);
            view_drop(&warp->pending[lane]);
            warp->has_pending &= ~(1u << lane);
        }
        if (order == PTX_ORDER_ACQUIRE)
            continue;
        view_drop(&warp->fence[lane]);
        tell(hazard, warp, 1u << lane, &warp->fence[lane]);
        warp->fence_epoch[lane] = warp->epoch;
        warp->fence_scope[lane] = (uint8_t)scope;
        warp->has_fence |= 1u << lane;
    }
    warp->epoch++;
}

void hazard_fence(void *data, struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    struct hazard *hazard = data;
    const char *name = code->instruction->opcode->name;
    if (hazard->failed)
        return;
    if (!strcmp(name, "fence.mbarrier_init"))
        begin_fence(hazard, warp->hazard, lanes);
    else if (ptx_has(code->instruction, PTX_W_TENSORMAP_GENERIC))
        map_fence(hazard, warp->hazard, code, lanes);
    else if (!strcmp(name, "fence") || !strcmp(name, "membar"))
        memory_fence(hazard, warp->hazard, code, lanes);
    else if (ptx_has(code->instruction, PTX_W_ASYNC))
        proxy_fence(hazard, warp->hazard, lanes);
}

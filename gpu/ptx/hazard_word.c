/*
 * hazard_word.c - what strong accesses to a word order: release and acquire patterns, with fences
 * or without, where the scopes of both hold both threads.
 */
#include <string.h>

#include "gpu/ptx/hazard_own.h"

static uint64_t key_of(const struct ptx_access *access, int lane)
{
    return (uintptr_t)access->data[lane];
}

static int joined(struct hazard *hazard, struct view *to, const struct view *from)
{
    if (!view_join(to, from))
        return 0;
    hazard_fail(hazard);
    return -1;
}

void hazard_overwrite(struct hazard *hazard, const struct ptx_access *access, int lane)
{
    const struct shadow *shadow = access->block[lane]->hazard;
    if (!shadow || shadow->words != hazard->grid)
        return;
    struct object *word = hazard_word(hazard, key_of(access, lane), 0);
    if (word)
        view_drop(&word->passed);
}

void hazard_acquire(struct hazard *hazard, const struct ptx_access *access, int lane)
{
    struct hazard_warp *warp = access->warp->hazard;
    const struct object *word =
        access->kind == PTX_WRITE ? NULL : hazard_word(hazard, key_of(access, lane), 0);
    if (!word || !word->passed.known)
        return;
    const struct agent *self = hazard_agent_of(hazard, warp->agent);
    const enum ptx_scope need = self->cta == word->cta           ? PTX_SCOPE_CTA
                                : self->cluster == word->cluster ? PTX_SCOPE_CLUSTER
                                                                 : PTX_SCOPE_GPU;
    if (access->scope < need || word->scope < need)
        return;
    if (access->order == PTX_ORDER_ACQUIRE || access->order == PTX_ORDER_ACQ_REL) {
        joined(hazard, &warp->view[lane], &word->passed);
        return;
    }
    const int more = warp->has_pending >> lane & 1;
    joined(hazard, &warp->pending[lane], &word->passed);
    if (!more || warp->need_scope[lane] < need)
        warp->need_scope[lane] = (uint8_t)need;
    warp->has_pending |= 1u << lane;
}

void hazard_release(struct hazard *hazard, const struct ptx_access *access, int lane)
{
    struct hazard_warp *warp = access->warp->hazard;
    const int releases = access->order == PTX_ORDER_RELEASE || access->order == PTX_ORDER_ACQ_REL;
    const int behind_fence = warp->has_fence >> lane & 1;
    const int replaces = access->kind == PTX_WRITE;
    struct object *word = hazard_word(hazard, key_of(access, lane), releases || behind_fence);
    if (!word)
        return;
    if (replaces)
        view_drop(&word->passed);
    if (!releases && !behind_fence)
        return;
    struct shadow *shadow = access->block[lane]->hazard;
    if (shadow)
        shadow->words = hazard->grid;
    enum ptx_scope scope = access->scope;
    if (!releases && warp->fence_scope[lane] < scope)
        scope = (enum ptx_scope)warp->fence_scope[lane];
    const struct agent *self = hazard_agent_of(hazard, warp->agent);
    if (!word->passed.known) {
        word->cta = self->cta;
        word->cluster = self->cluster;
        word->scope = (uint8_t)scope;
    } else {
        if (word->cta != self->cta)
            word->cta = UINT32_MAX;
        if (word->cluster != self->cluster)
            word->cluster = UINT32_MAX;
        if (word->scope > scope)
            word->scope = (uint8_t)scope;
    }
    if (releases)
        hazard_publish(hazard, warp, 1u << lane, &word->passed);
    else
        joined(hazard, &word->passed, &warp->fence[lane]);
}

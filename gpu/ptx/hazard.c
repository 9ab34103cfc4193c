/*
 * hazard.c - the watch of races on a machine: agents come with CTAs, and all ends with a grid.
 */
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/hazard_own.h"
#include "ref/moe.h"

void hazard_fail(struct hazard *hazard)
{
    if (hazard->failed)
        return;
    hazard->failed = 1;
    ptx_report(hazard->machine, NULL, NULL, -1, PTX_RULE_NO_MEMORY, 0,
               "no memory to watch for races");
}

uint32_t hazard_agent(struct hazard *hazard, uint32_t cta, uint32_t cluster, uint32_t warp,
                      const struct ptx_code *code)
{
    const uint32_t index = hazard->next_agent - hazard->first_agent;
    if (index == hazard->agent_room) {
        const uint32_t room = index ? 2 * index : 256;
        struct agent *more = realloc(hazard->agents, room * sizeof *more);
        if (!more) {
            hazard_fail(hazard);
            return 0;
        }
        hazard->agents = more;
        hazard->agent_room = room;
    }
    hazard->agents[index] = (struct agent){cta, cluster, warp, code};
    return hazard->next_agent++;
}

static void cta_begin(void *data, struct ptx_cta *cta)
{
    struct hazard *hazard = data;
    if (hazard->failed)
        return;
    const struct ptx_cluster *cluster = cta->cluster;
    for (uint32_t w = 0; w < cta->warp_count; w++) {
        struct hazard_warp *warp = calloc(1, sizeof *warp);
        if (!warp) {
            hazard_fail(hazard);
            return;
        }
        cta->warps[w].hazard = warp;
        warp->agent = hazard_agent(hazard, cta->number, cluster->ctas[0].number, w, NULL);
        warp->epoch = 1;
    }
    const struct hazard_warp *first = cluster->ctas[0].warps[0].hazard;
    hazard_shadow_begin(hazard, &cta->shared, first->agent);
}

static void cta_end(void *data, struct ptx_cta *cta)
{
    struct hazard *hazard = data;
    for (uint32_t w = 0; w < cta->warp_count; w++) {
        struct hazard_warp *warp = cta->warps[w].hazard;
        for (int lane = 0; warp && lane < PTX_LANES; lane++) {
            view_drop(&warp->view[lane]);
            view_drop(&warp->fence[lane]);
            view_drop(&warp->pending[lane]);
        }
        free(warp);
        cta->warps[w].hazard = NULL;
        hazard_forget(hazard, (uintptr_t)&cta->warps[w], (uintptr_t)(&cta->warps[w] + 1));
    }
    hazard_forget(hazard, (uintptr_t)cta, (uintptr_t)(cta + 1));
    hazard_forget(hazard, (uintptr_t)cta->shared.data,
                  (uintptr_t)(cta->shared.data + cta->shared.bytes));
}

/* What a kernel did lies before all that the next one does. */
static void grid_end(void *data, struct ptx_machine *machine)
{
    struct hazard *hazard = data;
    (void)machine;
    hazard_objects_clear(hazard);
    hazard_operations_clear(hazard);
    hazard->first_agent = hazard->next_agent;
    hazard->read_count = 1;
    hazard->grid++;
}

static void block_free(void *data, struct ptx_block *block)
{
    hazard_shadow_end(data, block);
}

int ptx_hazard_create(struct ptx_machine *machine, struct hazard **hazard)
{
    struct hazard *made = calloc(1, sizeof *made);
    if (!made)
        return moe_error(MOE_E_NOMEM, "no memory to watch for races");
    made->machine = machine;
    made->first_agent = made->next_agent = 1;
    made->grid = 1;
    made->read_count = 1;
    made->watch = (struct ptx_watch){.data = made,
                                     .access = hazard_access,
                                     .arrive = hazard_arrive,
                                     .arrive_relaxed = hazard_arrive_relaxed,
                                     .leave = hazard_leave,
                                     .complete = hazard_complete,
                                     .fence = hazard_fence,
                                     .start = hazard_start,
                                     .finish = hazard_finish,
                                     .join = hazard_join,
                                     .cta_begin = cta_begin,
                                     .cta_end = cta_end,
                                     .grid_end = grid_end,
                                     .block_free = block_free,
                                     .next = machine->watches};
    machine->watches = &made->watch;
    *hazard = made;
    return MOE_OK;
}

void ptx_hazard_free(struct hazard *hazard)
{
    if (!hazard)
        return;
    struct ptx_machine *machine = hazard->machine;
    for (struct ptx_watch **at = &machine->watches; *at; at = &(*at)->next)
        if (*at == &hazard->watch) {
            *at = hazard->watch.next;
            break;
        }
    for (int32_t i = 0; i < machine->block_count; i++)
        hazard_shadow_end(hazard, machine->blocks[i]);
    hazard_shadows_free(hazard);
    grid_end(hazard, machine);
    free(hazard->agents);
    free(hazard->reads);
    free(hazard->barriers);
    free(hazard->words);
    free(hazard->operations);
    free(hazard);
}

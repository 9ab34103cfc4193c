/*
 * cta.c - clusters of CTAs: they begin in order while there is room, and end together.
 */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "gpu/ptx/machine.h"
#include "gpu/ptx/schedule.h"
#include "ref/moe.h"

static void cta_end(struct ptx_machine *machine, struct ptx_cta *cta)
{
    for (struct ptx_watch *watch = machine->watches; watch; watch = watch->next)
        if (watch->cta_end)
            watch->cta_end(watch->data, cta);
    for (uint32_t w = 0; w < cta->warp_count; w++)
        ptx_warp_end(&cta->warps[w]);
    ptx_hopper_cta_end(cta);
    ptx_block_free(machine, &cta->shared);
    free(cta->warps);
}

static int cta_begin(struct ptx_machine *machine, struct ptx_cluster *cluster, uint32_t rank)
{
    const struct ptx_grid *grid = machine->grid;
    const uint32_t *shape = machine->cluster_shape;
    struct ptx_cta *cta = &cluster->ctas[rank];
    const uint32_t inside[3] = {rank % shape[0], rank / shape[0] % shape[1],
                                rank / shape[0] / shape[1]};
    cta->machine = machine;
    cta->cluster = cluster;
    cta->rank = rank;
    for (int i = 0; i < 3; i++)
        cta->id[i] = cluster->id[i] * shape[i] + inside[i];
    cta->number = cta->id[0] + grid->grid[0] * (cta->id[1] + grid->grid[1] * cta->id[2]);
    cta->threads = cta->live_threads = grid->block[0] * grid->block[1] * grid->block[2];
    int status =
        ptx_block_create(&cta->shared, machine->program->shared_bytes + grid->shared_bytes);
    cta->shared.space = PTX_SPACE_SHARED;
    cta->shared.cta = (int32_t)cta->number;
    snprintf(cta->shared.name, sizeof cta->shared.name, "shared memory");
    const uint32_t warps = (cta->threads + PTX_LANES - 1) / PTX_LANES;
    cta->warps = calloc(warps, sizeof *cta->warps);
    if (!status && !cta->warps)
        status = moe_error(MOE_E_NOMEM, "no memory for a CTA of %u threads", cta->threads);
    for (uint32_t w = 0; w < warps && !status; w++) {
        cta->warp_count++;
        status = ptx_warp_begin(&cta->warps[w], cta, w);
    }
    for (struct ptx_watch *watch = machine->watches; watch && !status; watch = watch->next)
        if (watch->cta_begin)
            watch->cta_begin(watch->data, cta);
    return status;
}

static int list_warps(struct ptx_machine *machine, struct ptx_cluster *cluster)
{
    for (uint32_t c = 0; c < cluster->size; c++)
        for (uint32_t w = 0; w < cluster->ctas[c].warp_count; w++) {
            if (machine->warp_count == machine->warp_room) {
                const uint32_t room = machine->warp_room ? 2 * machine->warp_room : 64;
                struct ptx_warp **more = realloc(machine->warps, room * sizeof *more);
                if (!more)
                    return moe_error(MOE_E_NOMEM, "no memory for %u warps", room);
                machine->warps = more;
                machine->warp_room = room;
            }
            struct ptx_warp *warp = &cluster->ctas[c].warps[w];
            warp->priority = (uint32_t)ptx_random(machine) | 1;
            machine->warps[machine->warp_count++] = warp;
        }
    return MOE_OK;
}

int ptx_cluster_begin(struct ptx_machine *machine)
{
    struct ptx_cluster *cluster = calloc(1, sizeof *cluster);
    if (cluster)
        cluster->ctas = calloc(machine->ctas_per_cluster, sizeof *cluster->ctas);
    if (!cluster || !cluster->ctas) {
        free(cluster);
        return moe_error(MOE_E_NOMEM, "no memory for a cluster of %u CTAs",
                         machine->ctas_per_cluster);
    }
    uint64_t number = machine->launched++;
    for (int i = 0; i < 3; i++) {
        const uint64_t count = machine->grid->grid[i] / machine->cluster_shape[i];
        cluster->id[i] = (uint32_t)(number % count);
        number /= count;
    }
    cluster->next = machine->clusters;
    machine->clusters = cluster;
    int status = MOE_OK;
    for (uint32_t rank = 0; rank < machine->ctas_per_cluster && !status; rank++) {
        cluster->size++;
        status = cta_begin(machine, cluster, rank);
    }
    return status ? status : list_warps(machine, cluster);
}

void ptx_cluster_end(struct ptx_machine *machine, struct ptx_cluster *cluster)
{
    uint32_t kept = 0;
    for (uint32_t w = 0; w < machine->warp_count; w++)
        if (machine->warps[w]->cta->cluster != cluster)
            machine->warps[kept++] = machine->warps[w];
    machine->warp_count = kept;
    for (uint32_t c = 0; c < cluster->size; c++)
        cta_end(machine, &cluster->ctas[c]);
    free(cluster->ctas);
    free(cluster);
}

static int has_ended(const struct ptx_cluster *cluster)
{
    for (uint32_t c = 0; c < cluster->size; c++)
        if (cluster->ctas[c].live_threads)
            return 0;
    return 1;
}

int ptx_clusters_turn(struct ptx_machine *machine)
{
    uint32_t live = 0;
    for (struct ptx_cluster **at = &machine->clusters; *at;) {
        struct ptx_cluster *cluster = *at;
        /* What it started and nobody waited for happens before its memory goes. */
        if (has_ended(cluster) && !ptx_async_of_cluster(machine, cluster)) {
            *at = cluster->next;
            ptx_cluster_end(machine, cluster);
        } else {
            live += cluster->size;
            at = &cluster->next;
        }
    }
    while (machine->launched < machine->cluster_total &&
           (live == 0 || live + machine->ctas_per_cluster <= machine->resident)) {
        const int status = ptx_cluster_begin(machine);
        if (status)
            return status;
        live += machine->ctas_per_cluster;
    }
    return MOE_OK;
}

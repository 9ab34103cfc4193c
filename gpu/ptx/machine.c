/*
 * machine.c - a machine, and a grid on it from begin to end: which warp runs when, by seed.
 */
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/machine.h"
#include "gpu/ptx/schedule.h"
#include "ref/moe.h"

#define RESIDENT 8            /* CTAs at once, where nothing is asked for */
#define REPORTS 64            /* kept */
#define QUIET_STEPS 50000000u /* without a sign of life: livelock */
#define SLICE 64              /* instructions of a warp in round robin */
#define SLICE_PRIORITY 256

/* ---- random numbers: splitmix64 -------------------------------------------------------------- */

uint64_t ptx_random(struct ptx_machine *machine)
{
    uint64_t z = machine->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t ptx_random_below(struct ptx_machine *machine, uint32_t limit)
{
    return limit ? (uint32_t)((ptx_random(machine) >> 32) * limit >> 32) : 0;
}

/* ---- machines -------------------------------------------------------------------------------- */

int ptx_machine_create(const struct ptx_options *options, struct ptx_machine **machine)
{
    struct ptx_machine *made = calloc(1, sizeof *made);
    if (made && options)
        made->options = *options;
    if (made && !made->options.reports_most)
        made->options.reports_most = REPORTS;
    if (made)
        made->reports = calloc(made->options.reports_most, sizeof *made->reports);
    if (!made || !made->reports) {
        free(made);
        return moe_error(MOE_E_NOMEM, "no memory for a PTX machine");
    }
    made->next_address = UINT64_C(0x100000000);
    made->effects_end = &made->effects;
    *machine = made;
    return MOE_OK;
}

void ptx_machine_free(struct ptx_machine *machine)
{
    if (!machine)
        return;
    for (int32_t i = 0; i < machine->block_count; i++) {
        ptx_block_free(machine, machine->blocks[i]);
        free(machine->blocks[i]);
    }
    free(machine->blocks);
    free(machine->reports);
    free(machine->warps);
    free(machine->print);
    free(machine);
}

/* ---- which warp ------------------------------------------------------------------------------ */

/* Warps with lanes that can run, the chosen one of which is returned; NULL: none. */
static struct ptx_warp *choose(struct ptx_machine *machine, uint32_t *turn)
{
    const uint32_t count = machine->warp_count;
    const enum ptx_schedule schedule = machine->options.schedule;
    if (!count)
        return NULL;
    const uint32_t first =
        schedule == PTX_RANDOM ? ptx_random_below(machine, count) : ++*turn % count;
    struct ptx_warp *best = NULL;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t index = (first + i) % count;
        struct ptx_warp *warp = machine->warps[index];
        ptx_warp_ask(warp);
        if (!ptx_warp_ready(warp))
            continue;
        if (schedule != PTX_PRIORITY) {
            *turn = index;
            return warp;
        }
        if (!best || warp->priority > best->priority)
            best = warp;
    }
    return best;
}

/* How long it may run. Priorities change at moments that the seed chooses: the one that runs falls
 * behind all others. */
static uint32_t slice_of(struct ptx_machine *machine, struct ptx_warp *warp)
{
    switch (machine->options.schedule) {
    case PTX_RANDOM:
        return 1 + ptx_random_below(machine, 1u << ptx_random_below(machine, 8));
    case PTX_PRIORITY:
        if (ptx_random_below(machine, 64) == 0)
            warp->priority = (uint32_t)(ptx_random(machine) >> 40);
        return SLICE_PRIORITY;
    default:
        return SLICE;
    }
}

static void run_all(struct ptx_machine *machine, int *status)
{
    const uint64_t most = machine->options.most_steps ? machine->options.most_steps : QUIET_STEPS;
    uint32_t turn = 0;
    *status = ptx_clusters_turn(machine);
    while (!*status && !machine->stopped && (machine->clusters || machine->effects)) {
        struct ptx_warp *warp = choose(machine, &turn);
        const int happened = ptx_async_turn(machine, 0);
        if (warp) {
            ptx_warp_run(warp, slice_of(machine, warp));
            if (!warp->live && !warp->cta->live_threads)
                *status = ptx_clusters_turn(machine);
            if (machine->step - machine->progress > most)
                ptx_report_deadlock(machine, 1);
        } else if (!happened && !ptx_async_turn(machine, 1) && !machine->stopped) {
            ptx_report_deadlock(machine, 0);
        } else {
            *status = ptx_clusters_turn(machine);
        }
    }
}

/* ---- a grid ---------------------------------------------------------------------------------- */

static int check_threads(const struct ptx_function *entry, const struct ptx_grid *grid)
{
    uint64_t threads = 1, most = 1, exact = 1;
    for (int i = 0; i < 3; i++) {
        threads *= grid->block[i];
        most *= (uint64_t)entry->maxntid[i];
        exact *= (uint64_t)entry->reqntid[i];
        if (grid->block[i] == 0 || grid->grid[i] == 0 || threads > 1024)
            return moe_error(MOE_E_USAGE,
                             "launch of '%s': grid %u x %u x %u, block %u x %u x %u; allowed are 1 "
                             "to 1024 threads",
                             entry->name, grid->grid[0], grid->grid[1], grid->grid[2],
                             grid->block[0], grid->block[1], grid->block[2]);
    }
    if (exact && threads != exact)
        return moe_error(MOE_E_USAGE, "launch of '%s': %llu threads, .reqntid demands %llu",
                         entry->name, (unsigned long long)threads, (unsigned long long)exact);
    if (most && threads > most)
        return moe_error(MOE_E_USAGE, "launch of '%s': %llu threads, .maxntid allows %llu",
                         entry->name, (unsigned long long)threads, (unsigned long long)most);
    return MOE_OK;
}

static int check_cluster(struct ptx_machine *machine, const struct ptx_function *entry,
                         const struct ptx_grid *grid)
{
    machine->ctas_per_cluster = 1;
    machine->cluster_total = 1;
    for (int i = 0; i < 3; i++) {
        const uint32_t own = (uint32_t)entry->cluster[i], given = grid->cluster[i];
        if (own && given && own != given)
            return moe_error(MOE_E_USAGE, "launch of '%s': clusters of %u, it demands %u",
                             entry->name, given, own);
        const uint32_t extent = given ? given : own ? own : 1;
        machine->cluster_shape[i] = extent;
        if (grid->grid[i] % extent || extent > 16)
            return moe_error(MOE_E_USAGE,
                             "launch of '%s': clusters of %u do not divide a grid of %u",
                             entry->name, extent, grid->grid[i]);
        machine->ctas_per_cluster *= extent;
        machine->cluster_total *= grid->grid[i] / extent;
    }
    if (machine->ctas_per_cluster > 16)
        return moe_error(MOE_E_USAGE, "launch of '%s': a cluster of %u CTAs, allowed are 16",
                         entry->name, machine->ctas_per_cluster);
    return MOE_OK;
}

static int pass_arguments(struct ptx_machine *machine, const struct ptx_grid *grid)
{
    const struct ptx_program *program = grid->program;
    const struct ptx_function *entry = program->entry;
    const int status = ptx_block_create(&machine->param, program->param_bytes);
    if (status)
        return status;
    machine->param.space = PTX_SPACE_PARAM;
    machine->param.cta = -1;
    memcpy(machine->param.name, "parameters", sizeof "parameters");
    memset(machine->param.data, 0, program->param_bytes);
    for (int32_t i = 0; i < entry->formal_count; i++) {
        const struct ptx_variable *formal = entry->formals[i].variable;
        if (!formal)
            return moe_error(MOE_E_UNSUPPORTED,
                             "line %d: an entry's parameters are .param variables", entry->line);
        memcpy(machine->param.data + program->offset[formal->index], grid->args[i], formal->bytes);
        memset(machine->param.known + program->offset[formal->index], 1, formal->bytes);
    }
    return MOE_OK;
}

int ptx_run(struct ptx_machine *machine, const struct ptx_grid *grid)
{
    const struct ptx_function *entry = grid->program->entry;
    int status = check_threads(entry, grid);
    if (!status)
        status = check_cluster(machine, entry, grid);
    if (!status && grid->program->shared_bytes + grid->shared_bytes >
                       PTX_SHARED_MOST + 2 * (uint64_t)PTX_SHARED_RESERVED)
        status = moe_error(MOE_E_USAGE, "launch of '%s': %llu bytes of shared memory, a CTA has %u",
                           entry->name,
                           (unsigned long long)(grid->program->shared_bytes - PTX_SHARED_RESERVED +
                                                grid->shared_bytes),
                           PTX_SHARED_MOST);
    if (status)
        return status;
    machine->grid = grid;
    machine->program = grid->program;
    machine->resident =
        machine->options.resident > 0 ? (uint32_t)machine->options.resident : RESIDENT;
    machine->random = machine->options.seed;
    machine->report_count = 0;
    machine->stopped = 0;
    machine->launched = 0;
    machine->step = machine->threads = machine->progress = 0;
    machine->events = 1;
    status = pass_arguments(machine, grid);
    if (!status)
        run_all(machine, &status);
    for (struct ptx_watch *watch = machine->watches; watch && !status; watch = watch->next)
        if (watch->grid_end)
            watch->grid_end(watch->data, machine);
    ptx_async_drop(machine);
    while (machine->clusters) {
        struct ptx_cluster *cluster = machine->clusters;
        machine->clusters = cluster->next;
        ptx_cluster_end(machine, cluster);
    }
    machine->warp_count = 0;
    ptx_block_free(machine, &machine->param);
    machine->grid = NULL;
    return status;
}

/*
 * run.c - see run.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "gpu/ptx/hazard.h"
#include "gpu/ptx/machine.h"
#include "gpu/ptx/run.h"
#include "gpu/ptx/run_argument.h"
#include "ref/moe.h"

#define ARGUMENTS_MAX 512

struct run {
    const struct moe_ptx_job *job;
    struct ptx_module *module;
    struct ptx_machine *machine;
    struct hazard *hazard;
    struct ptx_loaded *loaded;
    struct ptx_program *program;
    const struct ptx_function *entry;
    struct run_argument arguments[ARGUMENTS_MAX];
    const void *pointers[ARGUMENTS_MAX];
    struct ptx_watch watch;
};

/* ---- arguments ------------------------------------------------------------------------------- */

static int make_arguments(struct run *run)
{
    const struct ptx_function *entry = run->entry;
    char *copy = strdup(run->job->args ? run->job->args : ""), *save = NULL;
    int status = copy ? MOE_OK : moe_error(MOE_E_NOMEM, "no memory for arguments");
    int32_t count = 0;
    for (char *text = copy ? strtok_r(copy, ",", &save) : NULL; text && !status;
         text = strtok_r(NULL, ",", &save), count++) {
        if (count == entry->formal_count || count == ARGUMENTS_MAX)
            break;
        run->pointers[count] = &run->arguments[count].value;
        status = run_argument_make(run->machine, text, entry->formals[count].variable,
                                   run->arguments, count, &run->arguments[count]);
    }
    if (!status && (count != entry->formal_count || (save && *save)))
        status = moe_error(MOE_E_USAGE, "'%s' has %d parameters, and other than that were given",
                           entry->name, entry->formal_count);
    free(copy);
    return status;
}

/* ---- choices --------------------------------------------------------------------------------- */

static int choose(const char *what, const char *text, const char *const names[], int count,
                  int *chosen)
{
    *chosen = 0;
    if (!text)
        return MOE_OK;
    for (int i = 0; i < count; i++)
        if (!strcmp(text, names[i])) {
            *chosen = i;
            return MOE_OK;
        }
    return moe_error(MOE_E_USAGE, "%s is '%.40s'; allowed: %s, %s, %s", what, text, names[0],
                     names[1], names[2]);
}

static int make_machine(struct run *run)
{
    static const char *const schedules[] = {"round-robin", "random", "priority"};
    static const char *const times[] = {"eager", "lazy", "random"};
    int schedule, time;
    int status = choose("the schedule", run->job->schedule, schedules, 3, &schedule);
    if (!status)
        status = choose("the time", run->job->time, times, 3, &time);
    if (status)
        return status;
    const struct ptx_options options = {.seed = run->job->seed,
                                        .schedule = (enum ptx_schedule)schedule,
                                        .time = (enum ptx_time)time,
                                        .fuse =
                                            run->job->schedule ? PTX_FUSE_BY_SEED : PTX_FUSE_NONE,
                                        .shared_align = run->job->shared_align};
    status = ptx_machine_create(&options, &run->machine);
    return status ? status : ptx_hazard_create(run->machine, &run->hazard);
}

static int find_entry(struct run *run)
{
    const char *name = run->job->kernel;
    int entries = 0;
    for (const struct ptx_function *f = run->module->functions; f; f = f->next)
        if (f->is_entry && f->has_body) {
            entries++;
            if (!name || !strcmp(f->name, name))
                run->entry = f;
        }
    if (run->entry && (name || entries == 1))
        return MOE_OK;
    if (name)
        return moe_error(MOE_E_USAGE, "no kernel '%.100s' in this PTX, which has %d", name,
                         entries);
    return moe_error(MOE_E_USAGE, "this PTX has %d kernels: --kernel chooses one", entries);
}

/* ---- what it says ---------------------------------------------------------------------------- */

static void trace(void *data, struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const struct run *run = data;
    char line[400], name[120], source[120];
    if (warp->cta->number != run->job->trace_cta || warp->number != run->job->trace_warp)
        return;
    const int lane = __builtin_ctz(lanes);
    ptx_instruction_text(code->instruction, name, sizeof name);
    ptx_location_text(run->module, code->instruction->location, source, sizeof source);
    snprintf(line, sizeof line, "%8llu  0x%08x  line %d  %s  lane %d: 0x%llx 0x%llx 0x%llx  %s",
             (unsigned long long)run->machine->step, lanes, code->instruction->line, name, lane,
             (unsigned long long)ptx_row(warp, code->a)[lane],
             (unsigned long long)ptx_row(warp, code->b)[lane],
             (unsigned long long)ptx_row(warp, code->c)[lane], source);
    run->job->say(run->job->data, MOE_PTX_TRACE, line);
}

static void say_buffers(const struct run *run)
{
    for (int32_t i = 0; i < run->entry->formal_count; i++) {
        const struct run_argument *argument = &run->arguments[i];
        if (!argument->bytes)
            continue;
        const struct ptx_block *block =
            ptx_memory_find(run->machine, argument->address, argument->bytes);
        uint64_t unknown = 0;
        char line[160];
        for (uint64_t b = 0; b < argument->bytes; b++)
            unknown += !block->known[b];
        const XXH128_hash_t hash = XXH3_128bits(block->data, argument->bytes);
        snprintf(line, sizeof line, "argument %d: %llu bytes, %016llx%016llx, %llu of them unknown",
                 i, (unsigned long long)argument->bytes, (unsigned long long)hash.high64,
                 (unsigned long long)hash.low64, (unsigned long long)unknown);
        run->job->say(run->job->data, MOE_PTX_BUFFER, line);
    }
}

static int hand_out(const struct run *run)
{
    int status = MOE_OK;
    for (int32_t i = 0; !status && run->job->take && i < run->entry->formal_count; i++) {
        const struct run_argument *argument = &run->arguments[i];
        if (!argument->bytes)
            continue;
        const struct ptx_block *block =
            ptx_memory_find(run->machine, argument->address, argument->bytes);
        status = run->job->take(run->job->data, i, block->data, argument->bytes);
    }
    return status;
}

static int run_it(struct run *run, struct moe_ptx_result *result)
{
    const struct moe_ptx_job *job = run->job;
    struct ptx_grid grid = {
        .program = run->program, .shared_bytes = job->shared_bytes, .args = run->pointers};
    memcpy(grid.grid, job->grid, sizeof grid.grid);
    memcpy(grid.block, job->block, sizeof grid.block);
    memcpy(grid.cluster, job->cluster, sizeof grid.cluster);
    if (job->trace) {
        run->watch = (struct ptx_watch){.data = run, .instruction = trace};
        run->watch.next = run->machine->watches;
        run->machine->watches = &run->watch;
    }
    const int status = ptx_run(run->machine, &grid);
    if (status)
        return status;
    if (run->machine->print)
        job->say(job->data, MOE_PTX_PRINT, run->machine->print);
    say_buffers(run);
    for (uint32_t i = 0; i < run->machine->report_count; i++) {
        const struct ptx_report *report = &run->machine->reports[i];
        job->say(job->data, report->class == PTX_REPORT_VALUE ? MOE_PTX_VALUE : MOE_PTX_TEXT,
                 report->message);
    }
    *result = (struct moe_ptx_result){.warp_instructions = run->machine->step,
                                      .thread_instructions = run->machine->threads,
                                      .reports = run->machine->report_count};
    return run->machine->stopped ? MOE_OK : hand_out(run);
}

int moe_ptx_run(const struct moe_ptx_job *job, struct moe_ptx_result *result)
{
    struct run *run = calloc(1, sizeof *run);
    if (!run)
        return moe_error(MOE_E_NOMEM, "no memory for a run of PTX");
    run->job = job;
    int status = ptx_read(job->text, job->length, &run->module);
    if (!status)
        status = find_entry(run);
    if (!status)
        status = make_machine(run);
    if (!status)
        status = ptx_load(run->machine, run->module, &run->loaded);
    if (!status)
        status = ptx_program_build(run->loaded, run->entry, &run->program);
    if (!status)
        status = make_arguments(run);
    if (!status)
        status = run_it(run, result);
    ptx_program_free(run->program);
    if (run->loaded)
        ptx_unload(run->machine, run->loaded);
    ptx_hazard_free(run->hazard);
    ptx_machine_free(run->machine);
    ptx_module_free(run->module);
    free(run);
    return status;
}

/*
 * ptx_rig.c - see ptx_rig.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/hazard.h"
#include "ref/moe.h"
#include "tests/ptx_rig.h"

static void complain(struct rig *rig, const char *words)
{
    if (!rig->trouble[0])
        snprintf(rig->trouble, sizeof rig->trouble, "%s", words);
}

static void must(struct rig *rig, int status)
{
    if (status)
        complain(rig, moe_error_text());
}

static void read_text(struct rig *rig, const char *path)
{
    FILE *file = fopen(path, "rb");
    long bytes = file && !fseek(file, 0, SEEK_END) ? ftell(file) : -1;
    rig->text = bytes >= 0 ? calloc(1, (size_t)bytes + 1) : NULL;
    if (!rig->text || fseek(file, 0, SEEK_SET) ||
        fread(rig->text, 1, (size_t)bytes, file) != (size_t)bytes)
        complain(rig, "the PTX cannot be read");
    if (file)
        fclose(file);
}

static const struct ptx_function *only_entry(const struct ptx_module *module)
{
    const struct ptx_function *found = NULL;
    for (const struct ptx_function *f = module->functions; f; f = f->next)
        if (f->is_entry && f->has_body)
            found = f;
    return found;
}

static void open_rig(struct rig *rig, uint32_t seed, uint32_t shared_align)
{
    const struct ptx_options options = {.seed = seed,
                                        .schedule = seed % PTX_SCHEDULE_COUNT,
                                        .time = seed / PTX_SCHEDULE_COUNT % PTX_TIME_COUNT,
                                        .shared_align = shared_align};
    if (!rig->trouble[0])
        must(rig, ptx_read(rig->text, strlen(rig->text), &rig->module));
    if (!rig->trouble[0] && !only_entry(rig->module))
        complain(rig, "there is no kernel in it");
    if (!rig->trouble[0])
        must(rig, ptx_machine_create(&options, &rig->machine));
    if (!rig->trouble[0])
        must(rig, ptx_hazard_create(rig->machine, &rig->hazard));
    if (!rig->trouble[0])
        must(rig, ptx_load(rig->machine, rig->module, &rig->loaded));
    if (!rig->trouble[0])
        must(rig, ptx_program_build(rig->loaded, only_entry(rig->module), &rig->program));
}

void rig_open(struct rig *rig, const char *path, uint32_t seed, uint32_t shared_align)
{
    *rig = (struct rig){0};
    read_text(rig, path);
    open_rig(rig, seed, shared_align);
}

void rig_open_text(struct rig *rig, const char *text, uint32_t seed, uint32_t shared_align)
{
    *rig = (struct rig){.text = strdup(text)};
    if (!rig->text)
        complain(rig, "no memory for the PTX");
    open_rig(rig, seed, shared_align);
}

void rig_close(struct rig *rig)
{
    ptx_program_free(rig->program);
    if (rig->loaded)
        ptx_unload(rig->machine, rig->loaded);
    ptx_hazard_free(rig->hazard);
    ptx_machine_free(rig->machine);
    ptx_module_free(rig->module);
    free(rig->text);
}

void rig_number(struct rig *rig, uint64_t value)
{
    if (rig->arguments == RIG_ARGUMENTS)
        complain(rig, "too many arguments for a rig");
    else
        rig->argument[rig->arguments++] = value;
}

void rig_buffer(struct rig *rig, const void *from, uint64_t bytes, const char *name)
{
    uint64_t address = 0;
    if (!rig->trouble[0])
        must(rig, ptx_memory_allocate(rig->machine, bytes, name, &address));
    if (!rig->trouble[0] && from) {
        struct ptx_block *block = ptx_memory_find(rig->machine, address, bytes);
        memcpy(block->data, from, bytes);
        memset(block->known, 1, bytes);
    }
    rig_number(rig, address);
}

void rig_run(struct rig *rig, uint32_t x, uint32_t y, uint32_t z, uint32_t threads,
             uint32_t shared_bytes)
{
    const void *pointer[RIG_ARGUMENTS];
    for (int i = 0; i < rig->arguments; i++)
        pointer[i] = &rig->argument[i];
    const struct ptx_grid grid = {.program = rig->program,
                                  .grid = {x, y, z},
                                  .block = {threads, 1, 1},
                                  .shared_bytes = shared_bytes,
                                  .args = pointer};
    if (rig->trouble[0])
        return;
    must(rig, ptx_run(rig->machine, &grid));
    for (uint32_t i = 0; !rig->trouble[0] && i < rig->machine->report_count; i++)
        if (rig->machine->reports[i].class == PTX_REPORT_VALUE)
            complain(rig, rig->machine->reports[i].message);
}

void rig_read(struct rig *rig, int argument, void *to, uint64_t bytes)
{
    memset(to, 0, bytes);
    if (rig->trouble[0])
        return;
    const struct ptx_block *block = ptx_memory_find(rig->machine, rig->argument[argument], bytes);
    if (!block || memchr(block->known, 0, bytes))
        complain(rig, "there are bytes in the result that nobody wrote");
    else
        memcpy(to, block->data, bytes);
}

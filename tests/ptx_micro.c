/*
 * ptx_micro.c - runs kernels of a few lines.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/hazard.h"
#include "ref/moe.h"
#include "tests/ptx_micro.h"

#define BYTES 65536

static const char head[] =
    ".version 8.0\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .u64 a, .param .u64 "
    "b)\n"
    "{\n.reg .b32 %r<10>;\n.reg .b64 %q<10>;\n.reg .pred %p<4>;\n.reg .b16 %h<4>;\n"
    ".reg .b32 %t, %c, %s;\n.reg .b64 %g, %u;\n.shared .align 128 .b8 room[8192];\n"
    "mov.u32 %t, %tid.x;\nmov.u32 %c, %ctaid.x;\nmov.u32 %s, room;\nld.param.u64 %g, [a];\n"
    "ld.param.u64 %u, [b];\n";

/* Does this line of the text have the comment? */
static int is_here(const char *text, int32_t line)
{
    for (; line > 1; line--) {
        text = strchr(text, '\n');
        if (!text)
            return 0;
        text++;
    }
    const char *at = strstr(text, "HERE"), *end = strchr(text, '\n');
    return at && at < end;
}

static int is_as_told(const struct micro *micro, const struct ptx_machine *machine,
                      const char *text, uint32_t seed)
{
    const struct ptx_report *report = machine->report_count ? &machine->reports[0] : NULL;
    if (micro->kind < 0 ? !report
                        : report && report->kind == (enum ptx_report_kind)micro->kind &&
                              report->class == micro->class && is_here(text, report->line))
        return 1;
    printf("# %s, seed %u: %s\n", micro->name, seed,
           report ? report->message : "nothing is reported");
    return 0;
}

static int run_one(const struct micro *micro, uint32_t seed)
{
    char text[8192];
    struct ptx_module *module = NULL;
    struct ptx_machine *machine = NULL;
    struct ptx_loaded *loaded = NULL;
    struct ptx_program *program = NULL;
    struct hazard *hazard = NULL;
    uint64_t zeros = 0, unknown = 0;
    const void *args[] = {&zeros, &unknown};
    const struct ptx_options options = {.seed = seed,
                                        .schedule = seed % PTX_SCHEDULE_COUNT,
                                        .time = seed / PTX_SCHEDULE_COUNT % PTX_TIME_COUNT};
    snprintf(text, sizeof text, "%s%s\nret;\n}\n", head, micro->body);
    int good = !ptx_read(text, strlen(text), &module) && !ptx_machine_create(&options, &machine) &&
               !ptx_hazard_create(machine, &hazard) && !ptx_load(machine, module, &loaded) &&
               !ptx_program_build(loaded, ptx_function_find(module, "k"), &program) &&
               !ptx_memory_allocate(machine, BYTES, "zeros", &zeros) &&
               !ptx_memory_allocate(machine, BYTES, "unknown", &unknown);
    if (good) {
        struct ptx_block *block = ptx_memory_find(machine, zeros, BYTES);
        memset(block->data, 0, BYTES);
        memset(block->known, 1, BYTES);
        const struct ptx_grid grid = {.program = program,
                                      .grid = {micro->grid, 1, 1},
                                      .block = {micro->block, 1, 1},
                                      .cluster = {micro->cluster ? micro->cluster : 1, 1, 1},
                                      .args = args};
        good = !ptx_run(machine, &grid);
    }
    if (!good)
        printf("# %s: %s\n", micro->name, moe_error_text());
    else
        good = is_as_told(micro, machine, text, seed);
    ptx_program_free(program);
    if (machine)
        ptx_unload(machine, loaded);
    ptx_hazard_free(hazard);
    ptx_machine_free(machine);
    ptx_module_free(module);
    return good;
}

int micro_run(const struct micro *micros, int count, uint32_t seeds)
{
    int wrong = 0;
    for (int i = 0; i < count; i++)
        for (uint32_t seed = 0; seed < seeds; seed++)
            if (!run_one(&micros[i], seed)) {
                wrong++;
                break;
            }
    return wrong;
}

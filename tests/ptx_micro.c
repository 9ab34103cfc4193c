/*
 * ptx_micro.c - runs kernels of a few lines.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/geometry.h"
#include "gpu/ptx/hazard.h"
#include "ref/moe.h"
#include "tests/ptx_micro.h"

#define BYTES 65536

static const char head[] =
    ".version 8.6\n.target sm_90a\n.address_size 64\n.const .align 4 .b32 fixed = 7;\n"
    ".extern .func __assertfail(.param .b64 a, .param .b64 b, .param .b32 c, .param .b64 d, .param "
    ".b64 e);\n"
    ".visible .entry k(.param .u64 a, .param .u64 b, .param .u64 c)\n"
    "{\n.reg .b32 %r<10>;\n.reg .b64 %q<10>;\n.reg .f32 %f<8>;\n.reg .pred %p<4>;\n"
    ".reg .b16 %h<4>;\n.reg .b32 %t, %c, %s;\n.reg .b64 %g, %u, %m;\n"
    ".shared .align 128 .b8 room[8192];\n"
    "mov.u32 %t, %tid.x;\nmov.u32 %c, %ctaid.x;\nmov.u32 %s, room;\nld.param.u64 %g, [a];\n"
    "ld.param.u64 %u, [b];\nld.param.u64 %m, [c];\n";

static int make_map(struct ptx_machine *machine, uint64_t of, uint64_t *address)
{
    const struct geometry_tensor tensor = {.type = GEOMETRY_U32,
                                           .rank = 2,
                                           .address = of,
                                           .size = {32, 16},
                                           .stride = {4, 128},
                                           .box = {32, 8},
                                           .step = {1, 1},
                                           .swizzle = GEOMETRY_SWIZZLE_128};
    struct geometry_map map;
    if (geometry_map_encode(&tensor, &map) ||
        ptx_memory_allocate(machine, sizeof map, "map", address))
        return 1;
    struct ptx_block *block = ptx_memory_find(machine, *address, sizeof map);
    memcpy(block->data, &map, sizeof map);
    memset(block->known, 1, sizeof map);
    return 0;
}

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

int micro_look(const struct micro *micro, const struct ptx_options *options, int watched,
               micro_see *see, void *data)
{
    char text[8192];
    struct ptx_module *module = NULL;
    struct ptx_machine *machine = NULL;
    struct ptx_loaded *loaded = NULL;
    struct ptx_program *program = NULL;
    struct hazard *hazard = NULL;
    uint64_t zeros = 0, unknown = 0, map = 0;
    const void *args[] = {&zeros, &unknown, &map};
    snprintf(text, sizeof text, "%s%s\nret;\n}\n", head, micro->body);
    int good = !ptx_read(text, strlen(text), &module) && !ptx_machine_create(options, &machine) &&
               !(watched && ptx_hazard_create(machine, &hazard)) &&
               !ptx_load(machine, module, &loaded) &&
               !ptx_program_build(loaded, ptx_function_find(module, "k"), &program) &&
               !ptx_memory_allocate(machine, BYTES, "zeros", &zeros) &&
               !ptx_memory_allocate(machine, BYTES, "unknown", &unknown) &&
               !make_map(machine, zeros, &map);
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
        good = see(data, micro, machine, text);
    ptx_program_free(program);
    if (machine)
        ptx_unload(machine, loaded);
    ptx_hazard_free(hazard);
    ptx_machine_free(machine);
    ptx_module_free(module);
    return good;
}

static int is_as_told(void *data, const struct micro *micro, const struct ptx_machine *machine,
                      const char *text)
{
    const struct ptx_report *report = machine->report_count ? &machine->reports[0] : NULL;
    if (micro->kind < 0 ? !report
                        : report && report->kind == (enum ptx_report_kind)micro->kind &&
                              report->class == micro->class && is_here(text, report->line))
        return 1;
    printf("# %s, seed %u: %s\n", micro->name, *(const uint32_t *)data,
           report ? report->message : "nothing is reported");
    return 0;
}

static int run_one(const struct micro *micro, uint32_t seed)
{
    const struct ptx_options options = {.seed = seed,
                                        .schedule = seed % PTX_SCHEDULE_COUNT,
                                        .time = seed / PTX_SCHEDULE_COUNT % PTX_TIME_COUNT};
    return micro_look(micro, &options, 1, is_as_told, &seed);
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

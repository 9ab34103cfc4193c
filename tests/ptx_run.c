/*
 * ptx_run.c - see ptx_run.h.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/moe.h"
#include "tests/ptx_run.h"

static const char head[] =
    ".version 9.0\n.target %s\n.address_size 64\n%s\n"
    ".visible .entry k(.param .u64 k_a, .param .u64 k_b, .param .u64 k_c, .param .u64 k_o)\n{\n"
    ".reg .pred %%p, %%q;\n.reg .b16 %%h<10>;\n"
    ".reg .b32 %%r<10>, %%i, %%x, %%y, %%z, %%w;\n.reg .f32 %%f<10>;\n"
    ".reg .b64 %%s<10>, %%a, %%b, %%c, %%d, %%pa, %%pb, %%pc, %%po, %%off;\n.reg .f64 %%g<10>;\n"
    "mov.u32 %%i, %%tid.x;\nmul.wide.u32 %%off, %%i, 8;\n"
    "ld.param.u64 %%pa, [k_a];\nadd.s64 %%pa, %%pa, %%off;\n"
    "ld.param.u64 %%pb, [k_b];\nadd.s64 %%pb, %%pb, %%off;\n"
    "ld.param.u64 %%pc, [k_c];\nadd.s64 %%pc, %%pc, %%off;\n"
    "ld.param.u64 %%po, [k_o];\nadd.s64 %%po, %%po, %%off;\n"
    "ld.global.u64 %%a, [%%pa];\nld.global.u64 %%b, [%%pb];\nld.global.u64 %%c, [%%pc];\n"
    "cvt.u32.u64 %%x, %%a;\ncvt.u32.u64 %%y, %%b;\ncvt.u32.u64 %%z, %%c;\nmov.u64 %%d, 0;\n"
    "%s\nst.global.u64 [%%po], %%d;\nret;\n}\n";

void ptx_run_open(struct ptx_run *run, const struct ptx_options *options, const char *outside,
                  const char *body, int threads)
{
    ptx_run_open_for(run, "sm_90a", options, outside, body, threads);
}

void ptx_run_open_for(struct ptx_run *run, const char *target, const struct ptx_options *options,
                      const char *outside, const char *body, int threads)
{
    const size_t room = sizeof head + strlen(target) + strlen(outside) + strlen(body);
    char *text = malloc(room);
    ck_assert_ptr_nonnull(text);
    const int length = snprintf(text, room, head, target, outside, body);
    memset(run, 0, sizeof *run);
    run->threads = threads;
    ck_assert_msg(ptx_read(text, (uint64_t)length, &run->module) == MOE_OK, "%s in:\n%s",
                  moe_error_text(), body);
    free(text);
    ck_assert_int_eq(ptx_machine_create(options, &run->machine), MOE_OK);
    ck_assert_int_eq(ptx_load(run->machine, run->module, &run->loaded), MOE_OK);
    ck_assert_msg(ptx_program_build(run->loaded, ptx_function_find(run->module, "k"),
                                    &run->program) == MOE_OK,
                  "%s in:\n%s", moe_error_text(), body);
    uint64_t *const places[] = {&run->a, &run->b, &run->c, &run->out};
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(
            ptx_memory_allocate(run->machine, 8 * (uint64_t)threads, "array", places[i]), MOE_OK);
}

void ptx_run_set(struct ptx_run *run, const uint64_t *a, const uint64_t *b, const uint64_t *c)
{
    const uint64_t *const values[] = {a, b, c};
    const uint64_t places[] = {run->a, run->b, run->c};
    const size_t bytes = 8 * (size_t)run->threads;
    for (int i = 0; i < 3; i++) {
        struct ptx_block *block = ptx_memory_find(run->machine, places[i], bytes);
        memset(block->known, values[i] != NULL, bytes);
        if (values[i])
            memcpy(block->data, values[i], bytes);
    }
}

void ptx_run_launch(struct ptx_run *run)
{
    const void *const args[] = {&run->a, &run->b, &run->c, &run->out};
    const struct ptx_grid grid = {.program = run->program,
                                  .grid = {1, 1, 1},
                                  .block = {(uint32_t)run->threads, 1, 1},
                                  .args = args};
    ck_assert_msg(ptx_run(run->machine, &grid) == MOE_OK, "%s", moe_error_text());
}

const uint64_t *ptx_run_out(const struct ptx_run *run)
{
    return (const uint64_t *)(const void *)ptx_memory_find(run->machine, run->out, 8)->data;
}

const uint8_t *ptx_run_known(const struct ptx_run *run)
{
    return ptx_memory_find(run->machine, run->out, 8)->known;
}

const char *ptx_run_report(const struct ptx_run *run)
{
    return run->machine->report_count ? run->machine->reports[0].message : "";
}

void ptx_run_close(struct ptx_run *run)
{
    ptx_program_free(run->program);
    ptx_unload(run->machine, run->loaded);
    ptx_machine_free(run->machine);
    ptx_module_free(run->module);
}

/*
 * lower_variables.c - where the variables of a program are: shared ones in a CTA's memory, local
 * ones and the parameters of calls in a thread's, an entry's parameters in the grid's.
 *
 * There is no recursion, so every function's own stand at one place.
 */
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/lower.h"
#include "gpu/ptx/machine.h"
#include "ref/moe.h"

#define LOCAL_MAX (UINT64_C(1) << 19) /* bytes of a thread, as on a GPU */
#define PARAM_MAX 32764

static void mark(struct ptx_build *build, const struct ptx_operand *operand)
{
    if (operand->variable)
        build->used[operand->variable->index] = 1;
    if (operand->kind != PTX_LABEL)
        for (int32_t i = 0; i < operand->count; i++)
            mark(build, &operand->part[i]);
}

static uint64_t aligned(uint64_t offset, uint64_t align)
{
    return (offset + align - 1) / align * align;
}

static uint64_t put(uint64_t *end, const struct ptx_variable *variable)
{
    const uint64_t at = aligned(*end, variable->align);
    *end = at + variable->bytes;
    return at;
}

/* Variables of one list into their space; `entry` formals are the grid's. */
static void put_list(struct ptx_build *build, const struct ptx_variable *variable, int is_entry,
                     uint32_t *dynamic_align)
{
    struct ptx_program *program = build->program;
    for (; variable; variable = variable->next) {
        uint64_t *offset = &program->offset[variable->index];
        const int is_param = variable->space == PTX_SPACE_PARAM && variable->is_formal && is_entry;
        if (is_param) {
            *offset = put(&program->param_bytes, variable);
        } else if (variable->space == PTX_SPACE_LOCAL || variable->space == PTX_SPACE_PARAM) {
            *offset = put(&program->local_bytes, variable);
        } else if (variable->space == PTX_SPACE_SHARED && build->used[variable->index]) {
            if (!variable->is_extern)
                *offset = put(&program->shared_bytes, variable);
            else if (variable->align > *dynamic_align)
                *dynamic_align = variable->align;
        }
    }
}

static uint64_t dynamic_begin(uint64_t end, uint32_t declared, uint32_t given)
{
    uint64_t begin = aligned(end, declared);
    if (given > declared)
        begin = aligned(end, given);
    else if (given == 0 && declared > 1 && begin % (2 * (uint64_t)declared) == 0)
        begin += declared;
    return begin;
}

static void put_dynamic(struct ptx_build *build, const struct ptx_variable *variable,
                        uint64_t begin)
{
    for (; variable; variable = variable->next)
        if (variable->space == PTX_SPACE_SHARED && variable->is_extern)
            build->program->offset[variable->index] = begin;
}

int lower_variables(struct ptx_build *build)
{
    struct ptx_program *program = build->program;
    const struct ptx_module *module = program->loaded->module;
    const size_t count = (size_t)module->variable_count + 1;
    uint32_t dynamic_align = 1;
    program->offset = ptx_arena_take(program->arena, count, sizeof *program->offset);
    build->used = ptx_arena_take(program->arena, count, sizeof *build->used);
    if (!program->offset || !build->used)
        return lower_nomem();
    for (int f = 0; f < build->function_count; f++)
        for (int32_t i = 0; i < build->functions[f]->instruction_count; i++) {
            const struct ptx_instruction *instruction = &build->functions[f]->instructions[i];
            for (int o = 0; o < instruction->operand_count; o++)
                mark(build, &instruction->operands[o]);
        }
    program->shared_bytes = PTX_SHARED_RESERVED;
    put_list(build, module->variables, 0, &dynamic_align);
    for (int f = 0; f < build->function_count; f++)
        put_list(build, build->functions[f]->variables, f == 0, &dynamic_align);
    if (program->local_bytes > LOCAL_MAX || program->param_bytes > PARAM_MAX ||
        program->shared_bytes > PTX_OFFSET_MASK / 2)
        return moe_error(
            MOE_E_UNSUPPORTED,
            "line %d: '%s' has %llu bytes of local, %llu of shared memory and %llu of "
            "parameters",
            program->entry->line, program->entry->name, (unsigned long long)program->local_bytes,
            (unsigned long long)program->shared_bytes, (unsigned long long)program->param_bytes);
    program->shared_bytes =
        dynamic_begin(program->shared_bytes, dynamic_align, program->loaded->shared_align);
    put_dynamic(build, module->variables, program->shared_bytes);
    for (int f = 0; f < build->function_count; f++)
        put_dynamic(build, build->functions[f]->variables, program->shared_bytes);
    return MOE_OK;
}

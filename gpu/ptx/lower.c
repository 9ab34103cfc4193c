/*
 * lower.c - a program of an entry and the functions that it calls: decodes every instruction by the
 * row of the table that it fits.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/lower.h"
#include "ref/moe.h"

int lower_nomem(void)
{
    return moe_error(MOE_E_NOMEM, "no memory for a program of PTX");
}

int ptx_refuse(const struct ptx_build *build, const char *format, ...)
{
    char text[256], name[128];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ptx_instruction_text(build->instruction, name, sizeof name);
    return moe_error(MOE_E_UNSUPPORTED, "line %d: %s: %s", build->instruction->line, name, text);
}

int ptx_needs(const struct ptx_build *build, int target, const char *what)
{
    const struct ptx_module *module = build->program->loaded->module;
    return module->target_number >= target
               ? MOE_OK
               : ptx_refuse(build, "%s needs sm_%da, and the target is %s", what, target,
                            module->target);
}

const struct ptx_program *ptx_build_program(const struct ptx_build *build)
{
    return build->program;
}

/* ---- registers and constants ----------------------------------------------------------------- */

static int grow_registers(struct ptx_build *build, int32_t count)
{
    if (build->register_room - build->register_count >= count)
        return MOE_OK;
    const int32_t room = 2 * build->register_room + count + 64;
    uint8_t *pinned = realloc(build->pinned, (size_t)room);
    if (!pinned)
        return lower_nomem();
    build->pinned = pinned;
    build->register_room = room;
    return MOE_OK;
}

int32_t lower_register(struct ptx_build *build, int pinned)
{
    if (grow_registers(build, 1))
        return -1;
    build->pinned[build->register_count] = (uint8_t)pinned;
    return build->register_count++;
}

void lower_hold(struct ptx_build *build, int32_t reg)
{
    if (reg >= 0 && build->pinned[reg] == LOWER_SHARED)
        build->pinned[reg] = LOWER_HELD;
}

int ptx_build_carry(struct ptx_build *build, int32_t *slot)
{
    int32_t *carry = &build->carry[build->now];
    if (*carry < 0)
        *carry = lower_register(build, 1);
    *slot = *carry;
    return *carry < 0 ? lower_nomem() : MOE_OK;
}

int ptx_build_constant(struct ptx_build *build, uint64_t value, int32_t *slot)
{
    struct ptx_program *program = build->program;
    /* The last few are looked at: the same number often comes again at once. */
    for (int32_t i = program->constant_count - 1; i >= 0 && i >= program->constant_count - 16; i--)
        if (program->constants[(int64_t)i * PTX_LANES] == value) {
            *slot = ~i;
            return MOE_OK;
        }
    if (program->constant_count == build->constant_room) {
        const int32_t room = build->constant_room ? 2 * build->constant_room : 64;
        uint64_t *more =
            realloc(program->constants, (size_t)room * PTX_LANES * sizeof *program->constants);
        if (!more)
            return lower_nomem();
        program->constants = more;
        build->constant_room = room;
    }
    uint64_t *row = program->constants + (int64_t)program->constant_count * PTX_LANES;
    for (int lane = 0; lane < PTX_LANES; lane++)
        row[lane] = value;
    *slot = ~program->constant_count++;
    return MOE_OK;
}

/* ---- functions ------------------------------------------------------------------------------- */

/* The entry and all that it calls, callers before callees; `path` are those that call now. */
static int collect(struct ptx_build *build, const struct ptx_function *function,
                   const struct ptx_function **path, int depth)
{
    path[depth] = function;
    for (int i = 0; i < build->function_count; i++)
        if (build->functions[i] == function)
            goto known;
    if (build->function_count == FUNCTIONS_MAX)
        return moe_error(MOE_E_UNSUPPORTED, "line %d: more than %d functions", function->line,
                         FUNCTIONS_MAX);
    build->functions[build->function_count++] = function;
known:
    for (int32_t i = 0; i < function->instruction_count; i++) {
        const struct ptx_instruction *instruction = &function->instructions[i];
        for (int o = 0; o < instruction->operand_count; o++) {
            if (instruction->operands[o].kind != PTX_CALLEE)
                continue;
            const struct ptx_function *callee = ptx_function_find(
                build->program->loaded->module, instruction->operands[o].function->name);
            if (!callee)
                continue; /* vprintf and its kin */
            for (int p = 0; p <= depth; p++)
                if (path[p] == callee)
                    return moe_error(MOE_E_UNSUPPORTED,
                                     "line %d: '%s' calls itself: recursion is not supported",
                                     instruction->line, callee->name);
            if (depth + 1 == FUNCTIONS_MAX)
                return moe_error(MOE_E_UNSUPPORTED, "line %d: calls more than %d deep",
                                 instruction->line, FUNCTIONS_MAX);
            int seen = 0;
            for (int f = 0; f < build->function_count; f++)
                seen |= build->functions[f] == callee;
            /* One that was seen has been walked, or recursion would have been found below it. */
            const int status = seen ? MOE_OK : collect(build, callee, path, depth + 1);
            if (status)
                return status;
        }
    }
    return MOE_OK;
}

static int place_functions(struct ptx_build *build)
{
    int32_t code = 0;
    for (int i = 0; i < build->function_count; i++) {
        const struct ptx_function *function = build->functions[i];
        build->now = i;
        if (grow_registers(build, function->register_count + 1))
            return lower_nomem();
        build->register_base[i] = build->register_count;
        memset(build->pinned + build->register_count, 0, (size_t)function->register_count);
        build->register_count += function->register_count;
        build->code_base[i] = code;
        build->carry[i] = -1;
        build->return_to[i] = i ? lower_register(build, 1) : -1;
        code += function->instruction_count + 1; /* and an end, should it lack one */
    }
    build->now = 0;
    build->sink = lower_register(build, 1);
    build->program->code_count = code;
    build->program->code =
        ptx_arena_take(build->program->arena, (size_t)code, sizeof *build->program->code);
    return build->program->code && build->sink >= 0 ? ptx_build_constant(build, 0, &build->zero)
                                                    : lower_nomem();
}

/* ---- one instruction ------------------------------------------------------------------------- */

struct width {
    enum ptx_type type;
    int bits;
};

/* What an operand of the row's width letter is, for its immediates. */
static struct width width_of(const struct ptx_instruction *instruction, char letter)
{
    static const struct {
        char letter;
        enum ptx_type type;
    } fixed[] = {{'p', PTX_PRED}, {'h', PTX_B16}, {'i', PTX_B32}, {'l', PTX_B64}};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (fixed[i].letter == letter)
            return (struct width){fixed[i].type, ptx_types[fixed[i].type].bits};
    if (letter == 'w') {
        const int bits = 2 * ptx_types[instruction->types[0]].bits;
        return (struct width){bits == 32 ? PTX_B32 : PTX_B64, bits};
    }
    int index = letter - '0';
    if (letter == '*')
        index = instruction->type_count - 1;
    if (index < 0 || index >= instruction->type_count)
        return (struct width){PTX_B64, 64};
    const enum ptx_type type = (enum ptx_type)instruction->types[index];
    const int bits = ptx_types[type].bits;
    return (struct width){type, bits > 64 ? 64 : bits};
}

static enum ptx_space space_of(const struct ptx_instruction *instruction)
{
    static const struct {
        enum ptx_word word;
        enum ptx_space space;
    } rows[] = {
        {PTX_W_GLOBAL, PTX_SPACE_GLOBAL},     {PTX_W_SHARED, PTX_SPACE_SHARED},
        {PTX_W_SHARED_CTA, PTX_SPACE_SHARED}, {PTX_W_SHARED_CLUSTER, PTX_SPACE_SHARED_CLUSTER},
        {PTX_W_LOCAL, PTX_SPACE_LOCAL},       {PTX_W_PARAM, PTX_SPACE_PARAM},
        {PTX_W_PARAM_ENTRY, PTX_SPACE_PARAM}, {PTX_W_PARAM_FUNC, PTX_SPACE_LOCAL},
        {PTX_W_CONST, PTX_SPACE_CONST},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (ptx_has(instruction, rows[i].word))
            return rows[i].space;
    return PTX_GENERIC;
}

/* Operands in the row's order: the first written is d, the first three read are a, b, c. */
static int place_operands(struct ptx_build *build, const struct ptx_instruction *instruction,
                          struct ptx_code *code)
{
    struct ptx_place *places =
        ptx_arena_take(build->program->arena, (size_t)instruction->operand_count, sizeof *places);
    const char *pattern = instruction->opcode->operands;
    int32_t *const sources[] = {&code->a, &code->b, &code->c};
    int source = 0;
    if (!places)
        return lower_nomem();
    for (int i = 0; i < instruction->operand_count; i++) {
        const char letter = pattern[0];
        const struct width width = width_of(instruction, pattern[1]);
        const int status =
            lower_place(build, &instruction->operands[i], width.type, width.bits, &places[i]);
        if (status)
            return status;
        const int is_to = strchr("DPQRV", letter) != NULL, is_from = strchr("SBW", letter) != NULL;
        const int32_t slot = places[i].kind == PTX_PAIR ? places[i].part[0].slot : places[i].slot;
        if (is_to && code->d == PTX_NO_SLOT && slot != PTX_NO_SLOT)
            code->d = slot;
        if (is_from && source < 3 && slot != PTX_NO_SLOT)
            *sources[source++] = slot;
        pattern += pattern[2] == '?' ? 3 : 2;
        pattern += *pattern == ' ';
    }
    code->places = places;
    code->place_count = instruction->operand_count;
    return MOE_OK;
}

/* Of an instruction for lanes together, the membermask is the last operand. */
static int set_gather(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    code->gather = (uint8_t)instruction->opcode->gather;
    if (code->gather == PTX_ALONE && ptx_has(instruction, PTX_W_ALIGNED))
        code->gather = PTX_GATHER_ALIGNED;
    if (code->gather == PTX_GATHER_MASK) {
        if (!code->place_count || code->places[code->place_count - 1].slot == PTX_NO_SLOT)
            return ptx_refuse(build, "the membermask is missing");
        code->mask = code->places[code->place_count - 1].slot;
    }
    return MOE_OK;
}

static int decode(struct ptx_build *build, const struct ptx_instruction *instruction,
                  struct ptx_code *code)
{
    *code = (struct ptx_code){
        .d = PTX_NO_SLOT,
        .a = build->zero,
        .b = build->zero,
        .c = build->zero,
        .e = PTX_NO_SLOT,
        .guard = PTX_NO_SLOT,
        .mask = PTX_NO_SLOT,
        .guard_negated = instruction->guard_negated,
        .space = (uint8_t)space_of(instruction),
        .count = 1,
        .bits = 64,
        .instruction = instruction,
        .function = build->functions[build->now],
    };
    build->instruction = instruction;
    if (instruction->guard >= 0)
        code->guard = build->register_base[build->now] + instruction->guard;
    int status = place_operands(build, instruction, code);
    if (status)
        return status;
    if (!instruction->opcode->lower)
        return ptx_refuse(build, "it is read, but the machine does not run it");
    status = instruction->opcode->lower(build, instruction, code);
    if (!status)
        status = set_gather(build, instruction, code);
    return status;
}

/* A return behind a function's last instruction. */
static void add_end(struct ptx_build *build, struct ptx_code *code)
{
    static const struct ptx_opcode ret = {.name = "ret", .words = "", .types = "", .operands = ""};
    static const struct ptx_instruction end = {.opcode = &ret, .guard = -1, .location = -1};
    const struct ptx_opcode *const *row;
    int length = 0;
    *code = (struct ptx_code){.d = PTX_NO_SLOT,
                              .a = build->zero,
                              .b = build->zero,
                              .c = build->zero,
                              .e = PTX_NO_SLOT,
                              .guard = PTX_NO_SLOT,
                              .mask = PTX_NO_SLOT,
                              .instruction = &end,
                              .function = build->functions[build->now]};
    row = ptx_opcode_find("ret", 3, &length);
    row[0]->lower(build, &end, code);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int build_all(struct ptx_build *build)
{
    const struct ptx_function *path[FUNCTIONS_MAX];
    struct ptx_program *program = build->program;
    int status = collect(build, program->entry, path, 0);
    if (!status)
        status = place_functions(build);
    if (!status)
        status = lower_variables(build);
    for (int f = 0; f < build->function_count && !status; f++) {
        const struct ptx_function *function = build->functions[f];
        build->now = f;
        struct ptx_code *code = program->code + build->code_base[f];
        for (int32_t i = 0; i < function->instruction_count && !status; i++)
            status = decode(build, &function->instructions[i], &code[i]);
        if (!status)
            add_end(build, &code[function->instruction_count]);
    }
    if (!status)
        status = lower_fuse(build);
    return status ? status : lower_slots(build);
}

int ptx_program_build(const struct ptx_loaded *loaded, const struct ptx_function *entry,
                      struct ptx_program **program)
{
    struct ptx_arena *arena = ptx_arena_create();
    struct ptx_program *made = arena ? ptx_arena_take(arena, 1, sizeof *made) : NULL;
    struct ptx_build *build = made ? calloc(1, sizeof *build) : NULL;
    int status = MOE_OK;
    if (!build) {
        ptx_arena_free(arena);
        return lower_nomem();
    }
    made->arena = arena;
    made->loaded = loaded;
    made->entry = entry;
    build->program = made;
    if (!entry->is_entry || !entry->has_body)
        status = moe_error(MOE_E_USAGE, "'%s' is no entry", entry->name);
    if (!status)
        status = build_all(build);
    free(build->pinned);
    free(build);
    if (status) {
        ptx_program_free(made);
        return status;
    }
    *program = made;
    return MOE_OK;
}

void ptx_program_free(struct ptx_program *program)
{
    if (!program)
        return;
    free(program->constants);
    free(program->presets);
    ptx_arena_free(program->arena);
}

/*
 * lower_operand.c - operands as places, variables as addresses.
 */
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/lower.h"
#include "gpu/ptx/machine.h"
#include "ref/moe.h"

static int32_t preset(struct ptx_build *build, int special, uint64_t offset)
{
    struct ptx_program *program = build->program;
    for (int32_t i = 0; i < program->preset_count; i++)
        if (program->presets[i].special == special && program->presets[i].offset == offset)
            return program->presets[i].slot;
    if (program->preset_count == build->preset_room) {
        const int32_t room = build->preset_room ? 2 * build->preset_room : 16;
        struct ptx_preset *more = realloc(program->presets, (size_t)room * sizeof *more);
        if (!more)
            return -1;
        program->presets = more;
        build->preset_room = room;
    }
    const int32_t slot = lower_register(build, 1);
    if (slot >= 0)
        program->presets[program->preset_count++] = (struct ptx_preset){slot, special, offset};
    return slot;
}

/* An immediate's bits as a value of the type. */
static uint64_t immediate(const struct ptx_operand *operand, enum ptx_type type, int bits)
{
    uint64_t value = operand->value;
    const int is_float = operand->type == PTX_F64 || operand->type == PTX_F32;
    if (is_float && ptx_types[type].class == PTX_CLASS_FLOAT) {
        const int to = ptx_number_format(type);
        const enum number_format from = operand->type == PTX_F64 ? NUMBER_F64 : NUMBER_F32;
        if (to >= 0 && to <= NUMBER_F64 && to != (int)from)
            value = number_convert((enum number_format)to, from, value, NUMBER_RN, 0);
    }
    if (type == PTX_PRED)
        return value != 0;
    return bits >= 64 ? value : value & ((UINT64_C(1) << bits) - 1);
}

static int lower_symbol(struct ptx_build *build, const struct ptx_operand *operand,
                        struct ptx_place *place)
{
    const struct ptx_variable *variable = operand->variable;
    const struct ptx_program *program = build->program;
    place->variable = variable;
    switch (variable->space) {
    case PTX_SPACE_GLOBAL:
    case PTX_SPACE_CONST:
        return ptx_build_constant(build, program->loaded->address[variable->index] + operand->value,
                                  &place->slot);
    case PTX_SPACE_SHARED:
        place->slot = preset(build, -1, program->offset[variable->index] + operand->value);
        return place->slot < 0 ? lower_nomem() : MOE_OK;
    default:
        return ptx_build_constant(build, program->offset[variable->index] + operand->value,
                                  &place->slot);
    }
}

/* [base + offset]: a variable's address is in the offset, its base is the row of zeros. */
static int lower_address(struct ptx_build *build, const struct ptx_operand *operand,
                         struct ptx_place *place)
{
    const struct ptx_operand *base = &operand->part[0];
    const struct ptx_program *program = build->program;
    place->offset = operand->value;
    place->slot = build->zero;
    place->type = PTX_B64;
    switch (base->kind) {
    case PTX_SYMBOL: {
        const struct ptx_variable *variable = base->variable;
        const int is_memory =
            variable->space == PTX_SPACE_GLOBAL || variable->space == PTX_SPACE_CONST;
        place->variable = variable;
        place->offset += base->value + (is_memory ? program->loaded->address[variable->index]
                                                  : program->offset[variable->index]);
        break;
    }
    case PTX_REGISTER:
        place->type = build->functions[build->now]->register_types[base->value];
        place->slot = build->register_base[build->now] + (int32_t)base->value;
        break;
    case PTX_IMMEDIATE:
        place->offset += base->value;
        break;
    default:
        return ptx_refuse(build, "an address is a register, a variable or a number");
    }
    if (operand->count < 2)
        return MOE_OK;
    struct ptx_place *coordinates = ptx_arena_take(build->program->arena, 1, sizeof *coordinates);
    if (!coordinates)
        return lower_nomem();
    place->part = coordinates;
    place->count = 1;
    return lower_place(build, &operand->part[1], PTX_S32, 32, coordinates);
}

static int lower_parts(struct ptx_build *build, const struct ptx_operand *operand,
                       enum ptx_type type, int bits, struct ptx_place *place)
{
    struct ptx_place *parts =
        ptx_arena_take(build->program->arena, (size_t)operand->count, sizeof *parts);
    if (!parts)
        return lower_nomem();
    place->part = parts;
    place->count = operand->count;
    for (int32_t i = 0; i < operand->count; i++) {
        const int status = lower_place(build, &operand->part[i], type, bits, &parts[i]);
        if (status)
            return status;
    }
    return MOE_OK;
}

int lower_place(struct ptx_build *build, const struct ptx_operand *operand, enum ptx_type type,
                int bits, struct ptx_place *place)
{
    *place = (struct ptx_place){.kind = operand->kind,
                                .negate = operand->negate,
                                .slot = PTX_NO_SLOT,
                                .type = (uint8_t)type};
    switch ((enum ptx_operand_kind)operand->kind) {
    case PTX_SINK:
        place->slot = build->sink;
        return MOE_OK;
    case PTX_REGISTER:
        place->slot = build->register_base[build->now] + (int32_t)operand->value;
        place->type = build->functions[build->now]->register_types[operand->value];
        return MOE_OK;
    case PTX_SPECIAL:
        if (operand->value >= PTX_CLOCK)
            return MOE_OK; /* mov reads it itself */
        place->slot = preset(build, (int)operand->value, 0);
        return place->slot < 0 ? lower_nomem() : MOE_OK;
    case PTX_IMMEDIATE:
        place->offset = immediate(operand, type, bits);
        place->type = operand->type;
        return ptx_build_constant(build, place->offset, &place->slot);
    case PTX_SYMBOL:
        return lower_symbol(build, operand, place);
    case PTX_ADDRESS:
        return lower_address(build, operand, place);
    case PTX_VECTOR:
    case PTX_PAIR:
    case PTX_LIST:
        return lower_parts(build, operand, type, bits, place);
    case PTX_LABEL:
    case PTX_CALLEE:
        return MOE_OK;
    }
    return MOE_OK;
}

/*
 * hopper_reduce.c - what asynchronous reductions do to the elements of memory.
 */
#include <string.h>

#include "gpu/ptx/hopper.h"
#include "ref/moe.h"

enum hopper_operation hopper_operation_of(const struct ptx_instruction *instruction)
{
    static const struct {
        enum ptx_word word;
        enum hopper_operation operation;
    } words[] = {{PTX_W_ADD, HOPPER_ADD}, {PTX_W_MIN, HOPPER_MIN}, {PTX_W_MAX, HOPPER_MAX},
                 {PTX_W_INC, HOPPER_INC}, {PTX_W_DEC, HOPPER_DEC}, {PTX_W_AND, HOPPER_AND},
                 {PTX_W_OR, HOPPER_OR},   {PTX_W_XOR, HOPPER_XOR}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (ptx_has(instruction, words[i].word))
            return words[i].operation;
    return HOPPER_NO_OPERATION;
}

int hopper_reduction_find(enum hopper_operation operation, enum ptx_type type,
                          struct hopper_reduction *reduction)
{
    static const enum number_operation numbers[] = {
        [HOPPER_ADD] = NUMBER_ADD, [HOPPER_MIN] = NUMBER_MIN, [HOPPER_MAX] = NUMBER_MAX};
    const struct ptx_type_row *row = &ptx_types[type];
    *reduction = (struct hopper_reduction){.bytes = (uint32_t)row->bits / 8,
                                           .operation = operation,
                                           .is_signed = row->class == PTX_CLASS_SIGNED};
    switch (operation) {
    case HOPPER_NO_OPERATION:
        return 1;
    case HOPPER_INC:
    case HOPPER_DEC:
        return type == PTX_U32;
    case HOPPER_AND:
    case HOPPER_OR:
    case HOPPER_XOR:
        return row->class != PTX_CLASS_FLOAT;
    default:
        return row->class == PTX_CLASS_FLOAT
                   ? number_find(numbers[operation], (enum number_format)ptx_number_format(type),
                                 &reduction->number)
                   : row->class != PTX_CLASS_BITS;
    }
}

static int is_less(const struct hopper_reduction *reduction, uint64_t a, uint64_t b)
{
    const uint32_t shift = 64 - 8 * reduction->bytes;
    return reduction->is_signed ? (int64_t)(a << shift) < (int64_t)(b << shift) : a < b;
}

static uint64_t apply(const struct hopper_reduction *reduction, uint64_t old, uint64_t value)
{
    if (reduction->number.element && reduction->number.format == NUMBER_F64)
        return number_add_f64_in_memory(old, value); /* nothing else is done with f64 */
    if (reduction->number.element)
        return number_apply(&reduction->number, old, value, 0, NUMBER_RN);
    switch (reduction->operation) {
    case HOPPER_ADD:
        return old + value;
    case HOPPER_MIN:
        return is_less(reduction, value, old) ? value : old;
    case HOPPER_MAX:
        return is_less(reduction, old, value) ? value : old;
    case HOPPER_INC:
        return old >= value ? 0 : old + 1;
    case HOPPER_DEC:
        return old == 0 || old > value ? value : old - 1;
    case HOPPER_AND:
        return old & value;
    case HOPPER_OR:
        return old | value;
    default:
        return old ^ value;
    }
}

void hopper_reduce(const struct hopper_reduction *reduction, uint8_t *to, uint8_t *to_known,
                   const uint8_t *from, const uint8_t *from_known, uint32_t bytes)
{
    const uint32_t element = reduction->bytes;
    for (uint32_t at = 0; at + element <= bytes; at += element) {
        uint64_t old = 0, value = 0;
        int known = 1;
        memcpy(&old, to + at, element);
        memcpy(&value, from + at, element);
        for (uint32_t i = 0; i < element; i++)
            known &= to_known[at + i] & from_known[at + i];
        value = apply(reduction, old, value);
        memcpy(to + at, &value, element);
        memset(to_known + at, known, element);
    }
}

/*
 * ptx_element.c - see ptx_element.h.
 */
#include <string.h>

#include "gpu/ptx/number.h"
#include "tests/ptx_element.h"
#include "tests/support.h"

const struct element_row elements[ELEMENT_COUNT] = {
    [F16] = {"f16", 16, NUMBER_F16},
    [BF16] = {"bf16", 16, NUMBER_BF16},
    [TF32] = {"tf32", 32, NUMBER_TF32},
    [F64] = {"f64", 64, NUMBER_F64},
    [E4M3] = {"e4m3", 8, NUMBER_E4M3},
    [E5M2] = {"e5m2", 8, NUMBER_E5M2},
    [F32] = {"f32", 32, NUMBER_F32},
    [S8] = {"s8", 8, -1},
    [U8] = {"u8", 8, -1},
    [S4] = {"s4", 4, -1},
    [U4] = {"u4", 4, -1},
    [B1] = {"b1", 1, -1},
    [S32] = {"s32", 32, -1},
};

uint64_t element_code(enum element element, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (elements[element].format < 0)
        return (uint64_t)(int64_t)value & UINT64_MAX >> (64 - elements[element].bits);
    return number_convert((enum number_format)elements[element].format, NUMBER_F64, bits, NUMBER_RN,
                          0);
}

double element_value(enum element element, uint64_t code)
{
    double value;
    if (element == S32)
        return (double)(int32_t)(uint32_t)code;
    const uint64_t bits = number_convert(NUMBER_F64, (enum number_format)elements[element].format,
                                         code, NUMBER_RN, 0);
    memcpy(&value, &bits, sizeof value);
    return value;
}

double element_draw(enum element element, uint64_t *state)
{
    const int is_signed = element == S8 || element == S4, bits = elements[element].bits;
    if (elements[element].format >= 0)
        return (double)random_below(state, 7) - 3;
    return (double)(random_below(state, 1 << bits) - (is_signed ? 1 << (bits - 1) : 0));
}

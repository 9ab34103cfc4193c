/*
 * number_round.c - the table of floating formats, and one decoder and one encoder for all.
 */
#include "gpu/ptx/number_bits.h"

const struct number_layout number_layouts[NUMBER_FORMAT_COUNT] = {
    [NUMBER_F16] = {16, 10, 15, 0x7bff, 0x7c00, 0x7fff, 1, 0x1p-24},
    [NUMBER_BF16] = {16, 7, 127, 0x7f7f, 0x7f80, 0x7fff, 1, 0x1p-133},
    [NUMBER_F32] = {32, 23, 127, 0x7f7fffff, 0x7f800000, F32_NAN, 1, 0x1p-149},
    /* A tf32 is an f32 whose low 13 bits are 0: 19 bits, shifted where it is packed. */
    [NUMBER_TF32] = {19, 10, 127, 0x3fbff, 0x3fc00, 0x3ffff, 1, 0x1p-136},
    [NUMBER_E4M3] = {8, 3, 7, 0x7e, 0x7f, 0x7f, 0, 0x1p-9},
    [NUMBER_E5M2] = {8, 2, 15, 0x7b, 0x7c, 0x7f, 1, 0x1p-16},
    [NUMBER_E2M1] = {4, 1, 1, 7, 8, 7, 0, 0.5},
    [NUMBER_E2M3] = {6, 3, 1, 31, 32, 31, 0, 0x1p-3},
    [NUMBER_E3M2] = {6, 2, 3, 31, 32, 31, 0, 0x1p-4},
};

double number_decode(enum number_format format, uint64_t code)
{
    if (format == NUMBER_F64)
        return number_f64(code);
    if (format == NUMBER_F32)
        return (double)number_f32((uint32_t)code);
    if (format == NUMBER_UE8M0)
        return (code & 0xff) == 0xff ? (double)NAN : ldexp(1, (int)(code & 0xff) - 127);
    if (format == NUMBER_TF32)
        code >>= 13;
    const struct number_layout *layout = &number_layouts[format];
    const uint64_t sign = code >> (layout->bits - 1) & 1;
    const uint64_t magnitude = code & ((1u << (layout->bits - 1)) - 1);
    double value = (double)magnitude * layout->smallest;
    if (magnitude >> layout->fraction)
        value = number_f64((magnitude << (52 - layout->fraction)) +
                           ((uint64_t)(1023 - layout->bias) << 52));
    if (magnitude > layout->largest)
        value =
            layout->has_infinity && magnitude == layout->infinity ? (double)INFINITY : (double)NAN;
    return number_f64(number_f64_bits(value) | sign << 63);
}

/* Powers of two: the sign is dropped; 2^-127 is the least, a subnormal f32. */
static uint64_t encode_scale(double value, unsigned how)
{
    const double magnitude = fabs(value);
    if (!(magnitude <= INFINITY))
        return 0xff;
    if (magnitude > 0x1p127)
        return (how & NUMBER_SATFINITE) ||
                       ((how & NUMBER_ROUNDING) == NUMBER_RZ && magnitude < INFINITY)
                   ? 0xfe
                   : 0xff;
    if (magnitude <= 0x1p-127)
        return 0;
    const uint64_t bits = number_f64_bits(magnitude);
    const uint64_t up = (how & NUMBER_ROUNDING) == NUMBER_RP && bits << 12 != 0;
    return (bits >> 52) - 1023 + 127 + up;
}

static int rounds_up(unsigned rounding, uint64_t kept, uint64_t rest, uint64_t half, uint64_t sign)
{
    switch (rounding) {
    case NUMBER_RN:
        return rest > half || (rest == half && (kept & 1));
    case NUMBER_RNA:
        return rest >= half;
    case NUMBER_RM:
        return rest != 0 && sign;
    case NUMBER_RP:
        return rest != 0 && !sign;
    default:
        return 0;
    }
}

/* What is beyond the largest: infinity, unless the rounding goes the other way. */
static uint64_t overflow(const struct number_layout *layout, unsigned how, uint64_t sign)
{
    const unsigned rounding = how & NUMBER_ROUNDING;
    const int inwards = rounding == NUMBER_RZ || rounding == NUMBER_RS ||
                        rounding == (sign ? NUMBER_RP : NUMBER_RM);
    if ((how & NUMBER_SATFINITE) || !layout->has_infinity || inwards)
        return layout->largest;
    return layout->infinity;
}

uint64_t number_encode_random(enum number_format format, double value, unsigned how,
                              uint32_t random, int random_bits)
{
    if (format == NUMBER_UE8M0)
        return encode_scale(value, how);
    const struct number_layout *layout = &number_layouts[format];
    const int up = format == NUMBER_TF32 ? 13 : 0; /* place of the code in its register */
    if (value != value)
        return how & NUMBER_SAT ? 0 : (uint64_t)layout->nan << up | (up ? 0x1fff : 0);
    if ((how & NUMBER_SAT) && !(value > 0 && value < 1))
        value = value > 0;
    if ((how & NUMBER_RELU) && !(value > 0))
        value = 0;
    const uint64_t bits = number_f64_bits(value), sign = bits >> 63;
    const uint64_t magnitude = bits & ~(1ull << 63), place = sign << (layout->bits - 1);
    if (magnitude == 0)
        return place << up;
    if (isinf(value))
        return ((how & NUMBER_SATFINITE) || !layout->has_infinity ? layout->largest
                                                                  : layout->infinity)
                   << up |
               place << up;
    const int field = (int)(magnitude >> 52);
    const int exponent = (field > 0 ? field : 1) - 1023, least = 1 - layout->bias;
    const uint64_t significand = (magnitude & ((1ull << 52) - 1)) | (field > 0 ? 1ull << 52 : 0);
    int shift = 52 - layout->fraction;
    if ((how & NUMBER_FTZ) && (format == NUMBER_F32 || format == NUMBER_F16) && exponent < least)
        return place; /* whatever it would be rounded to: seen of fma on an H200 */
    if (exponent < least)
        shift = shift + least - exponent < 62 ? shift + least - exponent : 62;
    uint64_t kept = significand >> shift;
    const uint64_t rest = significand & ((1ull << shift) - 1);
    if ((how & NUMBER_ROUNDING) == NUMBER_RS)
        kept += (rest + ((uint64_t)random << (shift - random_bits))) >> shift;
    else
        kept += (uint64_t)rounds_up(how & NUMBER_ROUNDING, kept, rest, 1ull << (shift - 1), sign);
    uint64_t code = kept;
    if (exponent > least)
        code += (uint64_t)(exponent - least) << layout->fraction;
    if (code > layout->largest)
        code = overflow(layout, how, sign);
    return (code | place) << up;
}

/*
 * convert.c - cvt between all types of PTX, alone and packed.
 *
 * Stochastic rounding adds random bits just below the last place that is kept, and cuts: of f32 to
 * f16 13 bits are cut, to bf16 16, and so many are random; to formats of 8 bits and fewer 16 (e2m1:
 * 8) random bits stand below the last place, and the bits further down count as they are.
 */
#include "gpu/ptx/number_bits.h"
#include "gpu/ptx/number_f64.h"

struct integer {
    int bits, is_signed;
};

static struct integer integer_of(enum number_format format)
{
    static const struct integer integers[] = {{8, 0}, {16, 0}, {32, 0}, {64, 0},
                                              {8, 1}, {16, 1}, {32, 1}, {64, 1}};
    if (format < NUMBER_U8 || format > NUMBER_S64)
        return (struct integer){0, 0};
    return integers[format - NUMBER_U8];
}

/* ---- of integers ---------------------------------------------------------------------------- */

/* Sign and magnitude of a code. */
static int unpack_integer(struct integer type, uint64_t code, uint64_t *magnitude)
{
    const uint64_t low = code << (64 - type.bits) >> (64 - type.bits);
    const int negative = type.is_signed && low >> (type.bits - 1);
    *magnitude = negative ? -(code | (type.bits < 64 ? ~0ull << (type.bits % 64) : 0)) : low;
    return negative;
}

static uint64_t pack_integer(struct integer type, int negative, uint64_t magnitude)
{
    const uint64_t code = negative ? -magnitude : magnitude;
    return code << (64 - type.bits) >> (64 - type.bits);
}

static uint64_t clamp_integer(struct integer type, int negative, uint64_t magnitude)
{
    const uint64_t most = ~0ull >> (64 - type.bits) >> type.is_signed;
    const uint64_t limit = !negative ? most : type.is_signed ? most + 1 : 0;
    return pack_integer(type, negative, magnitude < limit ? magnitude : limit);
}

static uint64_t of_integer(enum number_format to, int negative, uint64_t magnitude, unsigned how)
{
    double high = (double)(magnitude >> 32) * 0x1p32, low = (double)(magnitude & 0xffffffff);
    if (negative) {
        high = -high;
        low = -low;
    }
    if (how & NUMBER_SAT) {
        high = 0;
        low = !negative && magnitude != 0;
    }
    if (magnitude == 0 || to != NUMBER_F64)
        return magnitude == 0 ? 0 : number_encode(to, number_add_odd(high, low), how);
    return number_f64_add(to, number_f64_bits(high), number_f64_bits(low), 0, how);
}

/* ---- of floating numbers -------------------------------------------------------------------- */

static double to_integral(double value, unsigned how)
{
    switch (how & NUMBER_ROUNDING) {
    case NUMBER_RZ:
        return trunc(value);
    case NUMBER_RM:
        return floor(value);
    case NUMBER_RP:
        return ceil(value);
    default:
        return rint(value);
    }
}

/* NaN is 0, or where f64 or 64 bits take part 2^(bits-1): the ISA's text. */
static uint64_t to_integer(struct integer type, enum number_format from, double value, unsigned how)
{
    if (value != value)
        return from == NUMBER_F64 || type.bits == 64 ? 1ull << (type.bits - 1) : 0;
    const double whole = fabs(to_integral(value, how));
    const int negative = value < 0;
    return clamp_integer(type, negative, whole < 0x1p64 ? (uint64_t)whole : ~0ull);
}

/* A NaN keeps its sign and what there is room for of its payload, and is quiet: between f64 and
 * others. */
static uint64_t nan_to_f64(enum number_format from, uint64_t a)
{
    if (from == NUMBER_F64)
        return a | F64_QUIET;
    const int bits = number_layouts[from].bits, fraction = number_layouts[from].fraction;
    return (a >> (bits - 1) & 1) << 63 | 0x7ff8000000000000u |
           (a & ((1ull << fraction) - 1)) << (52 - fraction);
}

static uint64_t nan_of_f64(enum number_format to, uint64_t a)
{
    const struct number_layout *layout = &number_layouts[to];
    return (a >> 63) << (layout->bits - 1) | layout->infinity |
           (a & 0xfffffffffffffu) >> (52 - layout->fraction) | 1ull << (layout->fraction - 1);
}

static uint64_t to_f64(enum number_format from, uint64_t a, double value, unsigned how)
{
    if (value != value)
        return how & NUMBER_SAT ? 0 : nan_to_f64(from, a);
    if ((how & NUMBER_SAT) && !(value > 0 && value < 1))
        value = value > 0;
    return number_f64_bits(value);
}

static int random_bits_of(enum number_format to)
{
    return to == NUMBER_F16 ? 13 : to == NUMBER_E2M1 ? 8 : 16;
}

uint64_t number_convert(enum number_format to, enum number_format from, uint64_t a, unsigned how,
                        uint32_t random)
{
    const struct integer source = integer_of(from), target = integer_of(to);
    if (source.bits != 0) {
        uint64_t magnitude;
        const int negative = unpack_integer(source, a, &magnitude);
        if (target.bits == 0)
            return of_integer(to, negative, magnitude, how);
        return how & NUMBER_SAT ? clamp_integer(target, negative, magnitude)
                                : pack_integer(target, negative, magnitude);
    }
    if ((how & NUMBER_FTZ) && from == NUMBER_F32 && to != NUMBER_F16)
        a = number_is_nan(from, a) ? F32_NAN : number_flush(from, a);
    double value = number_decode(from, a);
    if (target.bits != 0)
        return to_integer(target, from, value, how);
    if (how & NUMBER_INTEGRAL)
        value = to_integral(value, how);
    if (to == NUMBER_F64)
        return to_f64(from, a, value, how);
    const int is_nan = value != value && !(how & NUMBER_SAT);
    if (is_nan && from == NUMBER_F64 && (to == NUMBER_F32 || to == NUMBER_F16))
        return nan_of_f64(to, a);
    if (is_nan && from == NUMBER_F32 && to == NUMBER_F32 && !(how & NUMBER_INTEGRAL))
        return a; /* moved */
    if (is_nan && from == NUMBER_BF16 && to == NUMBER_F32)
        return a << 16; /* a shift */
    if (is_nan && from == NUMBER_F32 && to == NUMBER_TF32)
        return (how & NUMBER_ROUNDING) == NUMBER_RNA ? a & 0xffffe000u : 0x7fffe000u;
    if (to != NUMBER_F32)
        how &= ~(unsigned)NUMBER_FTZ;
    const int random_bits = random_bits_of(to);
    return number_encode_random(to, value, how, random & ((1u << random_bits) - 1), random_bits);
}

/* ---- packed --------------------------------------------------------------------------------- */

/* Bits from one element to the next. */
static int pitch_of(enum number_format format)
{
    return format == NUMBER_F16 || format == NUMBER_BF16 ? 16 : format == NUMBER_E2M1 ? 4 : 8;
}

uint32_t number_convert_to_x2(enum number_format to, enum number_format from, uint32_t a,
                              uint32_t b, unsigned how, uint32_t random)
{
    const uint32_t high = (uint32_t)number_convert(to, from, a, how, random >> 16);
    const uint32_t low = (uint32_t)number_convert(to, from, b, how, random);
    return high << pitch_of(to) | low;
}

uint32_t number_convert_x2(enum number_format to, enum number_format from, uint32_t pair,
                           unsigned how)
{
    const int pitch = pitch_of(from);
    const uint32_t low = (1u << pitch) - 1;
    return number_convert_to_x2(to, from, pair >> pitch & low, pair & low, how, 0);
}

uint32_t number_convert_to_x4(enum number_format to, const uint32_t a[4], unsigned how,
                              uint32_t random)
{
    /* The first two operands take the upper half of the random bits, the others the lower; of e2m1
     * a half of each half is for one pair. */
    const int nibbles = to == NUMBER_E2M1, pitch = pitch_of(to);
    const uint32_t both = (random >> 16 & 0xff00) | (random >> 8 & 0xff);
    const uint32_t upper = nibbles ? both >> 8 : random >> 16;
    const uint32_t lower = nibbles ? random & 0xff : random & 0xffff;
    const uint32_t of[4] = {upper, nibbles ? both & 0xff : upper,
                            nibbles ? random >> 16 & 0xff : lower, lower};
    uint32_t result = 0;
    for (int i = 0; i < 4; i++)
        result = result << pitch | (uint32_t)number_convert(to, NUMBER_F32, a[i], how, of[i]);
    return result;
}

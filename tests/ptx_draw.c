/*
 * ptx_draw.c - see ptx_draw.h.
 */
#include <string.h>

#include "tests/ptx_draw.h"

struct format {
    const char *name;
    int bits, fraction; /* -1: an integer */
    int unused;         /* bits below those that count, 0 */
};

static const struct format formats[] = {
    {"s8", 8, -1, 0},     {"s16", 16, -1, 0}, {"s32", 32, -1, 0}, {"s64", 64, -1, 0},
    {"e4m3", 8, 3, 0},    {"e5m2", 8, 2, 0},  {"f16", 16, 10, 0}, {"bf16", 16, 7, 0},
    {"tf32", 32, 23, 13}, {"f32", 32, 23, 0}, {"f64", 64, 52, 0},
};

/* splitmix64's finish, of a counter. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint64_t low_bits(int count)
{
    return count <= 0 ? 0 : count >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1;
}

/* `twin` is the same element of the first array. */
static uint64_t draw_integer(int bits, uint64_t twin, uint64_t choice, uint64_t random)
{
    const uint64_t top = UINT64_C(1) << (bits - 1);
    const uint64_t special[] = {0, 1, 2, ~UINT64_C(0), ~UINT64_C(1), top, top - 1, top + 1};
    switch (choice % 8) {
    case 0:
        return special[random % 8];
    case 1:
        return random % (2 * (uint64_t)bits + 2); /* amounts of shifts */
    case 2:
        return (UINT64_C(1) << random % (uint64_t)bits) + random / 64 % 3 - 1;
    case 3:
        return random >> random % 64;
    case 4:
        return ~(random >> random % 64);
    case 5:
        return random & 1 ? twin : ~twin + random / 2 % 3;
    default:
        return random;
    }
}

static uint64_t pack(const struct format *format, uint64_t sign, int64_t exponent,
                     uint64_t fraction)
{
    const int64_t most = (int64_t)low_bits(format->bits - 1 - format->fraction);
    exponent = exponent < 0 ? 0 : exponent > most ? most : exponent;
    return (sign & 1) << (format->bits - 1) | (uint64_t)exponent << format->fraction |
           (fraction & low_bits(format->fraction));
}

static uint64_t special_float(const struct format *format, uint64_t random)
{
    const int64_t most = (int64_t)low_bits(format->bits - 1 - format->fraction);
    const uint64_t full = low_bits(format->fraction), quiet = (full + 1) / 2;
    const struct {
        int64_t exponent;
        uint64_t fraction;
    } special[] = {
        {0, 0},           {0, 1},
        {0, full},        {1, 0},
        {most / 2, 0},    {most, 0},
        {most, quiet},    {most, 1},
        {most, full},     {most - 1, full},
        {most - 1, 0},    {0, quiet},
        {most / 2, full}, {most, quiet + 1},
        {0, 0},           {most, 0},
    };
    return pack(format, random >> 8, special[random % 16].exponent, special[random % 16].fraction);
}

static uint64_t draw_float(const struct format *format, uint64_t twin, uint64_t choice,
                           uint64_t random)
{
    const int64_t most = (int64_t)low_bits(format->bits - 1 - format->fraction), bias = most / 2;
    const uint64_t sign = random >> 63, other = mix(random), full = low_bits(format->fraction);
    const uint64_t few = other >> other % 61; /* of few bits, or of many zeros above */
    const int64_t near = (int64_t)(other >> 20 & 7) - 3;
    switch (choice % 16) {
    case 0:
    case 1:
        return special_float(format, random);
    case 2:
        return pack(format, sign, 0, few);
    case 3:
    case 4:
        return pack(format, sign, (int64_t)(random % (uint64_t)(most + 1)), other);
    case 5: /* few bits of fraction: products are exact or halfway */
        return pack(format, sign, bias + near, other << (other >> 8) % 53);
    case 6: /* a half of the last place of a power of two below or above */
        return pack(format, sign, bias + (int64_t)(random % 71) - 5, UINT64_C(1) << other % 53);
    case 7:
        return pack(format, sign, bias + near, full - few % 4);
    case 8: /* where integers end */
        return pack(format, sign, bias + (int64_t)(random % 8) * 8 + near, other);
    case 9: /* what cancels, or nearly */
        return (twin ^ UINT64_C(1) << (format->bits - 1)) + random % 3 - 1;
    case 10: /* far below, so that only the sticky bit of it is left */
        return pack(format, sign, bias - (int64_t)(random % 64), other);
    case 11:
        return pack(format, sign,
                    random & 2 ? most - (int64_t)(random % 8) - 1 : (int64_t)(random % 8), other);
    default:
        return pack(format, sign, bias + near, other);
    }
}

/* A number about 1, with few special ones: what sums of products are made of. */
static uint64_t draw_moderate(const struct format *format, uint64_t choice, uint64_t random)
{
    const int64_t most = (int64_t)low_bits(format->bits - 1 - format->fraction), bias = most / 2;
    const int64_t span = bias < 8 ? 3 : bias < 16 ? 7 : 20;
    const uint64_t sign = random >> 63, other = mix(random);
    switch (choice % 16) {
    case 0:
        return pack(format, sign, 0, 0);
    case 1:
        return pack(format, sign, 0, other);
    case 2:
    case 3:
        return pack(format, sign, bias + (int64_t)(random % (uint64_t)(2 * span)) - span, other);
    case 4:
        return pack(format, sign, bias - (int64_t)(random % (uint64_t)span), 0);
    default:
        return pack(format, sign, bias + (int64_t)(random % 5) - 3, other);
    }
}

static const struct format *format_of(const char *draw)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (!strcmp(formats[i].name, draw))
            return &formats[i];
    return NULL;
}

int ptx_draw(const char *draw, uint64_t seed, int array, uint64_t *to, size_t count)
{
    const int moderate = draw[0] == 'm';
    const struct format *format = format_of(draw + moderate);
    if (!strcmp(draw, "lane")) {
        for (size_t i = 0; i < count; i++)
            to[i] = i;
        return 1;
    }
    if (!format || (moderate && format->fraction < 0))
        return 0;
    const int lanes = 64 / format->bits;
    for (size_t i = 0; i < count; i++) {
        to[i] = 0;
        for (int lane = 0; lane < lanes; lane++) {
            const uint64_t counter = ((uint64_t)i * 8 + (uint64_t)lane) * 64;
            uint64_t drawn = 0, twin = 0;
            for (int which = 0; which <= array; which += array ? array : 1) {
                const uint64_t random = mix(seed ^ mix(counter + (uint64_t)which * 2));
                const uint64_t choice = mix(random ^ counter) >> 33;
                drawn = moderate               ? draw_moderate(format, choice, random)
                        : format->fraction < 0 ? draw_integer(format->bits, twin, choice, random)
                                               : draw_float(format, twin, choice, random);
                twin = drawn;
            }
            drawn &= low_bits(format->bits) & ~low_bits(format->unused);
            to[i] |= drawn << lane * format->bits;
        }
    }
    return 1;
}

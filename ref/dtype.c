/*
 * dtype.c - number formats: one table, and one codec for all that have 16 bits or fewer.
 *
 * The codec goes straight between a double and the code, so that nothing is ever rounded twice. A
 * layer's weights are hundreds of millions of elements, so bf16 and f16 have bulk forms as well:
 * the encoder compiled once more for constant parameters, and decoders of their own. What a format
 * does outside its range:
 *   - e4m3 has no infinity, both NaN codes are 0x7f and 0xff;
 *   - e2m1 has neither: it always saturates, and NaN becomes its largest value, as on a GPU;
 *   - ue8m0 holds powers of two only: it rounds to the nearest one (ties to the even code), always
 *     saturates, and what is negative or NaN becomes NaN;
 *   - integers truncate, saturate, and turn NaN into 0.
 * A NaN is stored as one positive quiet code, so that bytes do not depend on the processor's own.
 * Formats: IEEE 754-2019, OCP 8-bit floating point 1.0, OCP microscaling 1.0.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "ref/moe.h"

struct format {
    struct moe_dtype_info info;
    /* Codes without sign, of formats with 16 bits or fewer. */
    uint32_t largest, overflow, nan;
    double (*load)(const struct format *format, const void *array, int64_t index);
    void (*store)(const struct format *format, void *array, int64_t index, double value,
                  int saturate);
    /* NULL: element by element. */
    void (*load_many)(const void *array, int64_t first, int64_t count, double *values);
    void (*store_many)(void *array, int64_t first, int64_t count, const double *values);
};

static inline uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* 2^power for a normal double. */
static inline double power_of_two(int power)
{
    return double_of((uint64_t)(power + 1023) << 52);
}

/* ---- the codec ------------------------------------------------------------------------------ */

static inline double decode(const struct format *format, uint32_t code)
{
    const struct moe_dtype_info *info = &format->info;
    const int fraction = info->fraction_bits;
    const uint32_t sign = code >> (info->bits - 1);
    const uint32_t magnitude = code & ~(sign << (info->bits - 1));
    /* Moved to a double's place the exponent only wants its bias corrected. */
    const double normal =
        double_of(((uint64_t)magnitude << (52 - fraction)) + ((uint64_t)(1023 - info->bias) << 52));
    const double subnormal = (double)(int32_t)magnitude * info->smallest;
    double value = magnitude >> fraction ? normal : subnormal;
    value = magnitude > format->largest ? (double)NAN : value;
    value = magnitude == format->overflow && info->has_infinity ? (double)INFINITY : value;
    return double_of(bits_of(value) | (uint64_t)sign << 63);
}

/* condition ? yes : no without a branch, which compilers would make of it and no vector code. */
static inline int32_t either(int condition, int32_t yes, int32_t no)
{
    const int32_t mask = -condition;
    return (yes & mask) | (no & ~mask);
}

/* In 32 bits, of which a processor does twice as many at a time: of a double's lower half only the
 * subnormals need more than whether it is zero, which is left as the last bit of the upper half. */
static inline __attribute__((always_inline)) uint32_t encode(const struct format *format,
                                                             double value, int saturate)
{
    const struct moe_dtype_info *info = &format->info;
    const int shift = 20 - info->fraction_bits;
    const uint64_t bits = bits_of(value);
    const uint32_t lower = (uint32_t)bits, upper = (uint32_t)(bits >> 32);
    const int32_t magnitude = (int32_t)((upper & 0x7fffffff) | (lower != 0));
    /* Normal: add just under half of the last place kept, or half where it is odd; a carry walks
     * into the exponent by itself. */
    const int32_t moved = magnitude - ((1023 - info->bias) << 20);
    const int32_t normal = (moved + (1 << (shift - 1)) - 1 + (magnitude >> shift & 1)) >> shift;
    /* Subnormal: adding 2^52 quanta makes the sum's last place one quantum, and the hardware
     * rounds; the quanta are the lower half of the sum. */
    const double magic = info->smallest * power_of_two(52);
    const int32_t subnormal = (int32_t)bits_of(fabs(value) + magic);
    int32_t code = either(magnitude < (1024 - info->bias) << 20, subnormal, normal);
    code = either(code > (int32_t)format->largest,
                  (int32_t)(saturate ? format->largest : format->overflow), code);
    code = either(magnitude > 0x7ff00000, (int32_t)format->nan,
                  code | (int32_t)(upper >> 31 << (info->bits - 1)));
    return (uint32_t)code;
}

/* Two elements a byte where there are 4 bits, the lower index in the lower half. */
static inline uint32_t code_at(int bits, const void *array, int64_t index)
{
    if (bits == 16)
        return ((const uint16_t *)array)[index];
    if (bits == 8)
        return ((const uint8_t *)array)[index];
    return ((const uint8_t *)array)[index / 2] >> (index % 2 * 4) & 15;
}

static inline void put_code(int bits, void *array, int64_t index, uint32_t code)
{
    if (bits == 16) {
        ((uint16_t *)array)[index] = (uint16_t)code;
    } else if (bits == 8) {
        ((uint8_t *)array)[index] = (uint8_t)code;
    } else {
        uint8_t *byte = &((uint8_t *)array)[index / 2];
        const int place = (int)(index % 2) * 4;
        *byte = (uint8_t)((*byte & ~(15u << place)) | code << place);
    }
}

static double load_small(const struct format *format, const void *array, int64_t index)
{
    return decode(format, code_at(format->info.bits, array, index));
}

static void store_small(const struct format *format, void *array, int64_t index, double value,
                        int saturate)
{
    put_code(format->info.bits, array, index, encode(format, value, saturate));
}

static double load_scale(const struct format *format, const void *array, int64_t index)
{
    const uint8_t code = ((const uint8_t *)array)[index];
    return code == format->nan ? (double)NAN : power_of_two(code - format->info.bias);
}

static void store_scale(const struct format *format, void *array, int64_t index, double value,
                        int saturate)
{
    (void)saturate; /* there is nothing above to overflow to */
    uint8_t *code = &((uint8_t *)array)[index];
    if (!(value >= 0))
        *code = (uint8_t)format->nan;
    else if (value >= format->info.largest)
        *code = (uint8_t)format->largest;
    else if (value <= format->info.smallest)
        *code = 0;
    else {
        const uint64_t bits = bits_of(value);
        const uint64_t floor = (bits >> 52) - (uint64_t)(1023 - format->info.bias);
        const uint64_t rest = bits << 12; /* the fraction; 2^63 is half */
        *code = (uint8_t)(floor + (rest > 1ull << 63 || (rest == 1ull << 63 && floor % 2 == 1)));
    }
}

/* ---- types that C has ----------------------------------------------------------------------- */

static double load_f32(const struct format *format, const void *array, int64_t index)
{
    (void)format;
    return ((const float *)array)[index];
}

static void store_f32(const struct format *format, void *array, int64_t index, double value,
                      int saturate)
{
    const float rounded = value != value ? NAN : (float)value;
    const int over = saturate && fabsf(rounded) > FLT_MAX;
    ((float *)array)[index] = over ? copysignf(FLT_MAX, rounded) : rounded;
    (void)format;
}

static double load_f64(const struct format *format, const void *array, int64_t index)
{
    (void)format;
    return ((const double *)array)[index];
}

static void store_f64(const struct format *format, void *array, int64_t index, double value,
                      int saturate)
{
    const double kept = value != value ? (double)NAN : value;
    const int over = saturate && fabs(kept) > DBL_MAX;
    ((double *)array)[index] = over ? copysign(DBL_MAX, kept) : kept;
    (void)format;
}

static double load_i32(const struct format *format, const void *array, int64_t index)
{
    (void)format;
    return ((const int32_t *)array)[index];
}

static double load_i64(const struct format *format, const void *array, int64_t index)
{
    (void)format;
    return (double)((const int64_t *)array)[index];
}

static double load_u8(const struct format *format, const void *array, int64_t index)
{
    (void)format;
    return ((const uint8_t *)array)[index];
}

/* `value` truncated into [least, most]; `beyond` is the first power of two above most. */
static int64_t truncate(double value, double beyond, int64_t least, int64_t most)
{
    if (value != value)
        return 0;
    if (value >= beyond)
        return most;
    return value <= (double)least ? least : (int64_t)value;
}

static void store_i32(const struct format *format, void *array, int64_t index, double value,
                      int saturate)
{
    (void)format;
    (void)saturate;
    ((int32_t *)array)[index] = (int32_t)truncate(value, 0x1p31, INT32_MIN, INT32_MAX);
}

static void store_i64(const struct format *format, void *array, int64_t index, double value,
                      int saturate)
{
    (void)format;
    (void)saturate;
    ((int64_t *)array)[index] = truncate(value, 0x1p63, INT64_MIN, INT64_MAX);
}

static void store_u8(const struct format *format, void *array, int64_t index, double value,
                     int saturate)
{
    (void)format;
    (void)saturate;
    ((uint8_t *)array)[index] = (uint8_t)truncate(value, 0x1p8, 0, UINT8_MAX);
}

/* ---- bulk ----------------------------------------------------------------------------------- */

static void load_many_bf16(const void *array, int64_t first, int64_t count, double *values);
static void store_many_bf16(void *array, int64_t first, int64_t count, const double *values);
static void load_many_f16(const void *array, int64_t first, int64_t count, double *values);
static void store_many_f16(void *array, int64_t first, int64_t count, const double *values);

static void load_many_f64(const void *array, int64_t first, int64_t count, double *values)
{
    memcpy(values, (const double *)array + first, (size_t)count * sizeof *values);
}

static void store_many_f64(void *array, int64_t first, int64_t count, const double *values)
{
    double *target = (double *)array + first;
    for (int64_t i = 0; i < count; i++)
        target[i] = values[i] != values[i] ? (double)NAN : values[i];
}

static void load_many_f32(const void *array, int64_t first, int64_t count, double *values)
{
    const float *source = (const float *)array + first;
    for (int64_t i = 0; i < count; i++)
        values[i] = source[i];
}

static void store_many_f32(void *array, int64_t first, int64_t count, const double *values)
{
    float *target = (float *)array + first;
    for (int64_t i = 0; i < count; i++)
        target[i] = values[i] != values[i] ? NAN : (float)values[i];
}

/* ---- the table ------------------------------------------------------------------------------ */

/* Smallest normal, smallest subnormal and unit roundoff follow from the columns before them; they
 * stand as numbers so that the table can be read, and t_dtype.c derives them again. */
static const struct format formats[MOE_DTYPE_COUNT] = {
    [MOE_BF16] = {.info = {"bf16", "BF16", 16, 1, 8, 7, 127, 1, 0x1.fep127, 0x1p-126, 0x1p-133,
                           0x1p-8},
                  .largest = 0x7f7f,
                  .overflow = 0x7f80,
                  .nan = 0x7fc0,
                  .load = load_small,
                  .store = store_small,
                  .load_many = load_many_bf16,
                  .store_many = store_many_bf16},
    [MOE_F16] = {.info = {"f16", "F16", 16, 1, 5, 10, 15, 1, 0x1.ffcp15, 0x1p-14, 0x1p-24, 0x1p-11},
                 .largest = 0x7bff,
                 .overflow = 0x7c00,
                 .nan = 0x7e00,
                 .load = load_small,
                 .store = store_small,
                 .load_many = load_many_f16,
                 .store_many = store_many_f16},
    [MOE_F32] = {.info = {"f32", "F32", 32, 1, 8, 23, 127, 1, FLT_MAX, 0x1p-126, 0x1p-149, 0x1p-24},
                 .load = load_f32,
                 .store = store_f32,
                 .load_many = load_many_f32,
                 .store_many = store_many_f32},
    [MOE_F64] = {.info = {"f64", "F64", 64, 1, 11, 52, 1023, 1, DBL_MAX, 0x1p-1022, 0x1p-1074,
                          0x1p-53},
                 .load = load_f64,
                 .store = store_f64,
                 .load_many = load_many_f64,
                 .store_many = store_many_f64},
    [MOE_E4M3] = {.info = {"e4m3", "F8_E4M3", 8, 1, 4, 3, 7, 0, 448, 0x1p-6, 0x1p-9, 0x1p-4},
                  .largest = 0x7e,
                  .overflow = 0x7f,
                  .nan = 0x7f,
                  .load = load_small,
                  .store = store_small},
    [MOE_E5M2] = {.info = {"e5m2", "F8_E5M2", 8, 1, 5, 2, 15, 1, 57344, 0x1p-14, 0x1p-16, 0x1p-3},
                  .largest = 0x7b,
                  .overflow = 0x7c,
                  .nan = 0x7e,
                  .load = load_small,
                  .store = store_small},
    [MOE_E2M1] = {.info = {"e2m1", "F4", 4, 1, 2, 1, 1, 0, 6, 1, 0.5, 0.25},
                  .largest = 7,
                  .overflow = 7,
                  .nan = 7,
                  .load = load_small,
                  .store = store_small},
    [MOE_UE8M0] = {.info = {"ue8m0", "F8_E8M0", 8, 1, 8, 0, 127, 0, 0x1p127, 0x1p-127, 0x1p-127,
                            0.5},
                   .largest = 254,
                   .overflow = 254,
                   .nan = 255,
                   .load = load_scale,
                   .store = store_scale},
    [MOE_I32] = {.info = {.name = "i32", .safetensors = "I32", .bits = 32, .largest = 0x7fffffffp0},
                 .load = load_i32,
                 .store = store_i32},
    [MOE_I64] = {.info = {.name = "i64", .safetensors = "I64", .bits = 64, .largest = 0x1p63},
                 .load = load_i64,
                 .store = store_i64},
    [MOE_U8] = {.info = {.name = "u8", .safetensors = "U8", .bits = 8, .largest = 255},
                .load = load_u8,
                .store = store_u8},
};

/* ---- bulk forms of bf16 and f16 ------------------------------------------------------------- */

enum { RUN = 16 }; /* loops of a fixed length are what compilers make vector code of */

static inline uint32_t bits_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* bf16 is the upper half of a float. */
static void load_many_bf16(const void *array, int64_t first, int64_t count, double *values)
{
    const uint16_t *codes = (const uint16_t *)array + first;
    int64_t i = 0;
    for (; i + RUN <= count; i += RUN)
        for (int j = 0; j < RUN; j++)
            values[i + j] = float_of((uint32_t)codes[i + j] << 16);
    for (; i < count; i++)
        values[i] = float_of((uint32_t)codes[i] << 16);
}

/* The generic decode() again in 32 bits and with masks for its branches: three times as fast. */
static inline float decode_f16(uint16_t code)
{
    const uint32_t magnitude = code & 0x7fff;
    const uint32_t rebias = 112u << 23; /* twice where the exponent is all ones and stays that */
    const uint32_t special = rebias & -(uint32_t)(magnitude > 0x7bff);
    const uint32_t normal = (magnitude << 13) + rebias + special;
    const uint32_t subnormal = bits_of_float((float)(int32_t)magnitude * 0x1p-24f);
    const uint32_t small = -(uint32_t)(magnitude < 0x400);
    return float_of((normal & ~small) | (subnormal & small) | (uint32_t)(code & 0x8000) << 16);
}

static void load_many_f16(const void *array, int64_t first, int64_t count, double *values)
{
    const uint16_t *codes = (const uint16_t *)array + first;
    int64_t i = 0;
    for (; i + RUN <= count; i += RUN)
        for (int j = 0; j < RUN; j++)
            values[i + j] = decode_f16(codes[i + j]);
    for (; i < count; i++)
        values[i] = decode_f16(codes[i]);
}

static void store_many_bf16(void *array, int64_t first, int64_t count, const double *values)
{
    uint16_t *codes = (uint16_t *)array + first;
    int64_t i = 0;
    for (; i + RUN <= count; i += RUN)
        for (int j = 0; j < RUN; j++)
            codes[i + j] = (uint16_t)encode(&formats[MOE_BF16], values[i + j], 0);
    for (; i < count; i++)
        codes[i] = (uint16_t)encode(&formats[MOE_BF16], values[i], 0);
}

static void store_many_f16(void *array, int64_t first, int64_t count, const double *values)
{
    uint16_t *codes = (uint16_t *)array + first;
    int64_t i = 0;
    for (; i + RUN <= count; i += RUN)
        for (int j = 0; j < RUN; j++)
            codes[i + j] = (uint16_t)encode(&formats[MOE_F16], values[i + j], 0);
    for (; i < count; i++)
        codes[i] = (uint16_t)encode(&formats[MOE_F16], values[i], 0);
}

/* ---- what the header declares --------------------------------------------------------------- */

const struct moe_dtype_info *moe_dtype_info(enum moe_dtype dtype)
{
    return (unsigned)dtype < MOE_DTYPE_COUNT ? &formats[dtype].info : NULL;
}

int moe_dtype_from_name(const char *name)
{
    for (int dtype = 0; dtype < MOE_DTYPE_COUNT; dtype++)
        if (strcmp(name, formats[dtype].info.name) == 0)
            return dtype;
    return -1;
}

double moe_dtype_load(enum moe_dtype dtype, const void *array, int64_t index)
{
    return formats[dtype].load(&formats[dtype], array, index);
}

void moe_dtype_store(enum moe_dtype dtype, void *array, int64_t index, double value, int saturate)
{
    formats[dtype].store(&formats[dtype], array, index, value, saturate);
}

double moe_dtype_round(enum moe_dtype dtype, double value, int saturate)
{
    uint64_t element = 0;
    moe_dtype_store(dtype, &element, 0, value, saturate);
    return moe_dtype_load(dtype, &element, 0);
}

void moe_dtype_load_many(enum moe_dtype dtype, const void *array, int64_t first, int64_t count,
                         double *values)
{
    const struct format *format = &formats[dtype];
    if (format->load_many) {
        format->load_many(array, first, count, values);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        values[i] = format->load(format, array, first + i);
}

void moe_dtype_store_many(enum moe_dtype dtype, void *array, int64_t first, int64_t count,
                          const double *values)
{
    const struct format *format = &formats[dtype];
    if (format->store_many) {
        format->store_many(array, first, count, values);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        format->store(format, array, first + i, values[i], 0);
}

/*
 * number.c - add, sub, mul, fma, div, rcp, sqrt, min, max, neg, abs, copysign and comparisons.
 *
 * f32, f16 and bf16 are computed in f64 to odd and rounded once (number_bits.h). A product of two
 * f32 is exact in f64, so fma is an addition; a quotient and a root have remainders that an fma
 * gives exactly, and only the remainder's sign is wanted. f32 to nearest without qualifiers, the
 * common case, is the host's own.
 *
 * NaN: f64 gives an operand that is one, with its payload, as the hardware does, and
 * 0xfff8000000000000, the CUDA headers' own constant, where numbers have no result.
 */
#include "gpu/ptx/approx.h"
#include "gpu/ptx/number_f64.h"
#include "gpu/ptx/number_bits.h"

static uint64_t canonical_f32(float value)
{
    return value != value ? F32_NAN : number_f32_bits(value);
}

static uint64_t operand(enum number_format format, uint64_t a, unsigned how)
{
    return how & NUMBER_FTZ ? number_flush(format, a) : a;
}

static double load(enum number_format format, uint64_t a, unsigned how)
{
    return number_decode(format, operand(format, a, how));
}

static int is_host_f32(enum number_format format, unsigned how)
{
    return format == NUMBER_F32 && how == NUMBER_RN;
}

/* A sum that is exactly zero is -0 when rounding down, unless both terms are +0. */
static uint64_t store_sum(enum number_format format, double a, double b, unsigned how)
{
    double sum = number_add_odd(a, b);
    if (sum == 0 && (how & NUMBER_ROUNDING) == NUMBER_RM && (signbit(a) || signbit(b)))
        sum = -0.0;
    return number_encode(format, sum, how);
}

static uint64_t add(enum number_format format, uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    if (is_host_f32(format, how))
        return canonical_f32(number_f32((uint32_t)a) + number_f32((uint32_t)b));
    return store_sum(format, load(format, a, how), load(format, b, how), how);
}

static uint64_t sub(enum number_format format, uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    if (is_host_f32(format, how))
        return canonical_f32(number_f32((uint32_t)a) - number_f32((uint32_t)b));
    return store_sum(format, load(format, a, how), -load(format, b, how), how);
}

static uint64_t mul(enum number_format format, uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    if (is_host_f32(format, how))
        return canonical_f32(number_f32((uint32_t)a) * number_f32((uint32_t)b));
    return number_encode(format, load(format, a, how) * load(format, b, how), how);
}

static uint64_t fused(enum number_format format, uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    if (is_host_f32(format, how))
        return canonical_f32(
            fmaf(number_f32((uint32_t)a), number_f32((uint32_t)b), number_f32((uint32_t)c)));
    return store_sum(format, load(format, a, how) * load(format, b, how), load(format, c, how),
                     how);
}

static uint64_t divide(enum number_format format, uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    const double left = load(format, a, how), right = load(format, b, how);
    double quotient = left / right;
    if (isfinite(quotient) && isfinite(right)) {
        const double rest = fma(-quotient, right, left);
        quotient = number_to_odd(quotient, right < 0 ? -rest : rest);
    }
    return number_encode(format, quotient, how);
}

static uint64_t reciprocal(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                           unsigned how)
{
    (void)b;
    return divide(format, number_f32_bits(1), a, c, how);
}

static uint64_t root(enum number_format format, uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)b;
    (void)c;
    const double value = load(format, a, how);
    double root = sqrt(value);
    if (isfinite(root) && root != 0)
        root = number_to_odd(root, fma(-root, root, value));
    return number_encode(format, root, how);
}

/* ---- signs, order --------------------------------------------------------------------------- */

static uint64_t sign_of(enum number_format format)
{
    return format == NUMBER_F64 ? 1ull << 63 : 1ull << (number_layouts[format].bits - 1);
}

/* f64: that of the last operand. */
static uint64_t nan_of(enum number_format format, uint64_t last)
{
    return format == NUMBER_F64 ? last | F64_QUIET : number_layouts[format].nan;
}

int number_is_nan(enum number_format format, uint64_t a)
{
    const double value = number_decode(format, a);
    return value != value;
}

int number_compare(enum number_format format, uint64_t a, uint64_t b, unsigned how)
{
    const double left = load(format, a, how), right = load(format, b, how);
    if (left != left || right != right)
        return 2;
    return left < right ? -1 : left > right;
}

/* -0 is less than +0; a NaN gives way to a number unless NUMBER_NAN asks for it. */
static uint64_t extreme(enum number_format format, uint64_t a, uint64_t b, unsigned how, int most)
{
    const uint64_t sign = sign_of(format), xorsign = (a ^ b) & sign;
    if (how & (NUMBER_XORSIGN_ABS | NUMBER_ABS)) {
        a &= ~sign;
        b &= ~sign;
    }
    a = operand(format, a, how);
    b = operand(format, b, how);
    const int order = number_compare(format, a, b, 0);
    uint64_t result;
    if (order == 2) {
        const int a_nan = number_is_nan(format, a), b_nan = number_is_nan(format, b);
        if ((a_nan && b_nan) || (how & NUMBER_NAN))
            return nan_of(format, b);
        result = a_nan ? b : a;
    } else {
        const int a_is_least = order != 0 ? order < 0 : (a & sign) != 0;
        result = a_is_least != most ? a : b;
    }
    return how & NUMBER_XORSIGN_ABS ? (result & ~sign) | xorsign : result;
}

static uint64_t least(enum number_format format, uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    return extreme(format, a, b, how, 0);
}

static uint64_t most(enum number_format format, uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)c;
    return extreme(format, a, b, how, 1);
}

static uint64_t least3(enum number_format format, uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    return extreme(format, extreme(format, a, b, how, 0), c, how, 0);
}

static uint64_t most3(enum number_format format, uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    return extreme(format, extreme(format, a, b, how, 1), c, how, 1);
}

static uint64_t negate(enum number_format format, uint64_t a, uint64_t b, uint64_t c, unsigned how)
{
    (void)b;
    (void)c;
    return number_is_nan(format, a) ? nan_of(format, a) : operand(format, a, how) ^ sign_of(format);
}

static uint64_t absolute(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                         unsigned how)
{
    (void)b;
    (void)c;
    return number_is_nan(format, a) ? nan_of(format, a)
                                    : operand(format, a, how) & ~sign_of(format);
}

static uint64_t copy_sign(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                          unsigned how)
{
    (void)c;
    (void)how;
    return (a & sign_of(format)) | (b & ~sign_of(format));
}

/* ---- the table ------------------------------------------------------------------------------ */

typedef uint64_t element(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                         unsigned how);

#define IN(format) (1u << NUMBER_##format)

static const struct {
    element *small; /* of the formats that f64 contains */
    unsigned formats;
    element *f64; /* NULL: none */
} operations[NUMBER_OPERATION_COUNT] = {
    [NUMBER_ADD] = {add, IN(F16) | IN(BF16) | IN(F32), number_f64_add},
    [NUMBER_SUB] = {sub, IN(F16) | IN(BF16) | IN(F32), number_f64_sub},
    [NUMBER_MUL] = {mul, IN(F16) | IN(BF16) | IN(F32), number_f64_mul},
    [NUMBER_FMA] = {fused, IN(F16) | IN(BF16) | IN(F32), number_f64_fma},
    [NUMBER_DIV] = {divide, IN(F32), number_f64_div},
    [NUMBER_RCP] = {reciprocal, IN(F32), number_f64_rcp},
    [NUMBER_SQRT] = {root, IN(F32), number_f64_sqrt},
    [NUMBER_MIN] = {least, IN(F16) | IN(BF16) | IN(F32), least},
    [NUMBER_MAX] = {most, IN(F16) | IN(BF16) | IN(F32), most},
    [NUMBER_MIN3] = {least3, IN(F32), NULL},
    [NUMBER_MAX3] = {most3, IN(F32), NULL},
    [NUMBER_NEG] = {negate, IN(F16) | IN(BF16) | IN(F32), negate},
    [NUMBER_ABSOLUTE] = {absolute, IN(F16) | IN(BF16) | IN(F32), absolute},
    [NUMBER_COPYSIGN] = {copy_sign, IN(F32), copy_sign},
    [NUMBER_APPROX_EX2] = {number_approx_ex2, IN(F16) | IN(BF16) | IN(F32), NULL},
    [NUMBER_APPROX_LG2] = {number_approx_lg2, IN(F32), NULL},
    [NUMBER_APPROX_RCP] = {number_approx_rcp, IN(F32), number_approx_rcp_f64},
    [NUMBER_APPROX_RSQRT] = {number_approx_rsqrt, IN(F32), number_approx_rsqrt_f64},
    [NUMBER_APPROX_SQRT] = {number_approx_sqrt, IN(F32), NULL},
    [NUMBER_APPROX_TANH] = {number_approx_tanh, IN(F16) | IN(BF16) | IN(F32), NULL},
    [NUMBER_APPROX_SIN] = {number_approx_sin, IN(F32), NULL},
    [NUMBER_APPROX_COS] = {number_approx_cos, IN(F32), NULL},
    [NUMBER_APPROX_DIV] = {number_approx_div, IN(F32), NULL},
    [NUMBER_FULL_DIV] = {number_full_div, IN(F32), NULL},
};

static const struct {
    enum number_format pair, element;
    int width;
} pairs[] = {{NUMBER_F16X2, NUMBER_F16, 16},
             {NUMBER_BF16X2, NUMBER_BF16, 16},
             {NUMBER_F32X2, NUMBER_F32, 32}};

int number_find(enum number_operation operation, enum number_format format,
                struct number_instruction *instruction)
{
    if ((unsigned)operation >= NUMBER_OPERATION_COUNT)
        return 0;
    int width = 0;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (format == pairs[i].pair) {
            format = pairs[i].element;
            width = pairs[i].width;
            break;
        }
    }
    element *found = NULL;
    if (format == NUMBER_F64)
        found = operations[operation].f64;
    else if ((unsigned)format < NUMBER_FORMAT_COUNT && operations[operation].formats >> format & 1)
        found = operations[operation].small;
    if (found != NULL)
        *instruction = (struct number_instruction){found, format, width};
    return found != NULL;
}

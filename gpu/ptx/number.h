/*
 * number.h - the arithmetic of PTX on the bits of registers: pure functions, no state, and the same
 * results whatever the rounding mode of the host.
 *
 * A value stands in the low bits of a uint64_t; the bits above are 0 in operands and results.
 * Instructions are looked up once, when PTX is read, and then called through a pointer. NaN results
 * are the hardware's: 0x7fff for f16 and bf16, 0x7fffffff for f32, and for f64 see number_bits.h.
 */
#ifndef MOE_GPU_PTX_NUMBER_H
#define MOE_GPU_PTX_NUMBER_H

#include <stdint.h>

enum number_format {
    NUMBER_F16,
    NUMBER_BF16,
    NUMBER_F32,
    NUMBER_F64,
    NUMBER_F16X2, /* two elements, each on its own */
    NUMBER_BF16X2,
    NUMBER_F32X2,
    NUMBER_TF32, /* 32 bits, of which the low 13 are 0 in a result; the rest converts only */
    NUMBER_E4M3,
    NUMBER_E5M2,
    NUMBER_E2M1,
    NUMBER_E2M3,
    NUMBER_E3M2,
    NUMBER_UE8M0,
    NUMBER_U8,
    NUMBER_U16,
    NUMBER_U32,
    NUMBER_U64,
    NUMBER_S8,
    NUMBER_S16,
    NUMBER_S32,
    NUMBER_S64,
    NUMBER_FORMAT_COUNT
};

/* How: one rounding, or'ed with qualifiers. */
enum number_how {
    NUMBER_RN,  /* to nearest, ties to even */
    NUMBER_RZ,  /* towards zero */
    NUMBER_RM,  /* down */
    NUMBER_RP,  /* up */
    NUMBER_RNA, /* to nearest, ties away from zero: cvt to tf32 */
    NUMBER_RS,  /* stochastic: cvt */
    NUMBER_ROUNDING = 7 /* mask */,
    NUMBER_FTZ = 1 << 3,  /* subnormal f32 (f16) operands and results are zeros of their sign */
    NUMBER_SAT = 1 << 4,  /* to [0,1], NaN to +0; integers: to the type's range */
    NUMBER_RELU = 1 << 5, /* below 0 to +0, NaN stays */
    NUMBER_SATFINITE = 1 << 6,   /* beyond the range to the largest finite */
    NUMBER_INTEGRAL = 1 << 7,    /* cvt.rni, rzi, rmi, rpi between floating types */
    NUMBER_NAN = 1 << 8,         /* min, max: a NaN operand gives NaN */
    NUMBER_XORSIGN_ABS = 1 << 9, /* min, max: of magnitudes, sign is the xor of both */
    NUMBER_ABS = 1 << 10         /* min, max of three: of magnitudes */
};

enum number_operation {
    NUMBER_ADD, /* a + b */
    NUMBER_SUB, /* a - b */
    NUMBER_MUL, /* a * b */
    NUMBER_FMA, /* a * b + c, rounded once */
    NUMBER_DIV, /* a / b, rounded as `how` says; f32, f64 */
    NUMBER_RCP, /* 1 / a, likewise */
    NUMBER_SQRT,
    NUMBER_MIN,
    NUMBER_MAX,
    NUMBER_MIN3, /* of a, b, c; f32 */
    NUMBER_MAX3,
    NUMBER_NEG,
    NUMBER_ABSOLUTE,
    NUMBER_COPYSIGN, /* magnitude of b, sign of a, as PTX has them */
    /* The approximate forms, as an H100 gives them (approx.c). */
    NUMBER_APPROX_EX2,
    NUMBER_APPROX_LG2,
    NUMBER_APPROX_RCP, /* f32; f64: rcp.approx.ftz.f64 */
    NUMBER_APPROX_RSQRT,
    NUMBER_APPROX_SQRT,
    NUMBER_APPROX_TANH,
    NUMBER_APPROX_SIN,
    NUMBER_APPROX_COS,
    NUMBER_APPROX_DIV, /* div.approx.f32 */
    NUMBER_FULL_DIV,   /* div.full.f32 */
    NUMBER_OPERATION_COUNT
};

/* An operation on the elements of one format. The result of an operand that the operation has not
 * does not depend on it. */
struct number_instruction {
    uint64_t (*element)(enum number_format format, uint64_t a, uint64_t b, uint64_t c,
                        unsigned how);
    enum number_format format; /* of an element */
    int width;                 /* bits of an element, where there are two; otherwise 0 */
};

/* 1, or 0: PTX has no such instruction. `format` may be one of the x2. */
int number_find(enum number_operation operation, enum number_format format,
                struct number_instruction *instruction);

static inline uint64_t number_apply(const struct number_instruction *instruction, uint64_t a,
                                    uint64_t b, uint64_t c, unsigned how)
{
    const enum number_format format = instruction->format;
    const int width = instruction->width;
    if (width == 0)
        return instruction->element(format, a, b, c, how);
    const uint64_t low = (1ull << width) - 1;
    return instruction->element(format, a & low, b & low, c & low, how) |
           instruction->element(format, a >> width & low, b >> width & low, c >> width & low, how)
               << width;
}

/* The common case over the lanes of a warp: f32 and f64 to nearest, nothing flushed. d may be an
 * operand. */
void number_add_f32_rn(const uint32_t *a, const uint32_t *b, uint32_t *d, uint32_t lanes);
void number_sub_f32_rn(const uint32_t *a, const uint32_t *b, uint32_t *d, uint32_t lanes);
void number_mul_f32_rn(const uint32_t *a, const uint32_t *b, uint32_t *d, uint32_t lanes);
void number_fma_f32_rn(const uint32_t *a, const uint32_t *b, const uint32_t *c, uint32_t *d,
                       uint32_t lanes);
void number_add_f64_rn(const uint64_t *a, const uint64_t *b, uint64_t *d, uint32_t lanes);
void number_sub_f64_rn(const uint64_t *a, const uint64_t *b, uint64_t *d, uint32_t lanes);
void number_mul_f64_rn(const uint64_t *a, const uint64_t *b, uint64_t *d, uint32_t lanes);
void number_fma_f64_rn(const uint64_t *a, const uint64_t *b, const uint64_t *c, uint64_t *d,
                       uint32_t lanes);

/* old + b to nearest, as atom, red and bulk reductions of f64 do it in global memory: b's NaN, then
 * old's, as it came. */
uint64_t number_add_f64_in_memory(uint64_t old, uint64_t b);

/* setp, set, slct: -1 a < b, 0 equal, 1 a > b, 2 unordered. FTZ in `how` alone matters. */
int number_compare(enum number_format format, uint64_t a, uint64_t b, unsigned how);

/* testp, and what a caller wants to know: 1 or 0. `format` is a scalar floating one. */
int number_is_nan(enum number_format format, uint64_t a);

/*
 * cvt of one element. Floating to integer: `how` has the rounding, results beyond the range are the
 * nearest integer in it, NaN is 0 (64-bit results: 2^63); integer to integer without NUMBER_SAT
 * keeps low bits. `random`: for NUMBER_RS, added below the last place kept (convert.c). Formats may
 * be all but the x2 ones.
 */
uint64_t number_convert(enum number_format to, enum number_format from, uint64_t a, unsigned how,
                        uint32_t random);

/* cvt to a packed pair, of two f32: a becomes the upper half. `to` is the element's format: F16,
 * BF16, TF32 not; E4M3, E5M2, UE8M0: 16 bits; E2M1: 8 bits; E2M3, E3M2: 16 bits, a byte each. */
uint32_t number_convert_to_x2(enum number_format to, enum number_format from, uint32_t a,
                              uint32_t b, unsigned how, uint32_t random);

/* cvt from a packed pair to f16x2 or bf16x2 (`to`: F16, BF16), and of f16x2 or bf16x2 to a packed
 * pair of 8 bits or fewer: `from` and `to` are the elements' formats. */
uint32_t number_convert_x2(enum number_format to, enum number_format from, uint32_t pair,
                           unsigned how);

/* cvt.rs to four of 8 bits or fewer (e2m1: 16 bits in all), of four f32: a is the highest. */
uint32_t number_convert_to_x4(enum number_format to, const uint32_t a[4], unsigned how,
                              uint32_t random);

#endif

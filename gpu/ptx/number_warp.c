/*
 * number_warp.c - f32 and f64 to nearest over the lanes of a warp: loops that vectorise.
 *
 * NaN is put right without a branch. fma without the instruction is a call a lane, so on x86 that
 * loop is compiled once more for processors that have it.
 */
#include "gpu/ptx/number_bits.h"

static inline uint32_t canonical_f32(float value)
{
    const uint32_t bits = number_f32_bits(value);
    return value != value ? F32_NAN : bits;
}

static inline uint64_t canonical_f64(double value, uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t bits = number_f64_bits(value);
    return value != value ? number_f64_nan(a, b, c) : bits;
}

void number_add_f32_rn(const uint32_t *a, const uint32_t *b, uint32_t *d, uint32_t lanes)
{
    for (uint32_t i = 0; i < lanes; i++)
        d[i] = canonical_f32(number_f32(a[i]) + number_f32(b[i]));
}

void number_sub_f32_rn(const uint32_t *a, const uint32_t *b, uint32_t *d, uint32_t lanes)
{
    for (uint32_t i = 0; i < lanes; i++)
        d[i] = canonical_f32(number_f32(a[i]) - number_f32(b[i]));
}

void number_mul_f32_rn(const uint32_t *a, const uint32_t *b, uint32_t *d, uint32_t lanes)
{
    for (uint32_t i = 0; i < lanes; i++)
        d[i] = canonical_f32(number_f32(a[i]) * number_f32(b[i]));
}

void number_add_f64_rn(const uint64_t *a, const uint64_t *b, uint64_t *d, uint32_t lanes)
{
    for (uint32_t i = 0; i < lanes; i++)
        d[i] = canonical_f64(number_f64(a[i]) + number_f64(b[i]), a[i], b[i], 0);
}

void number_sub_f64_rn(const uint64_t *a, const uint64_t *b, uint64_t *d, uint32_t lanes)
{
    for (uint32_t i = 0; i < lanes; i++)
        d[i] = canonical_f64(number_f64(a[i]) - number_f64(b[i]), a[i], b[i], 0);
}

void number_mul_f64_rn(const uint64_t *a, const uint64_t *b, uint64_t *d, uint32_t lanes)
{
    for (uint32_t i = 0; i < lanes; i++)
        d[i] = canonical_f64(number_f64(a[i]) * number_f64(b[i]), a[i], b[i], 0);
}

static inline __attribute__((always_inline)) void
fma_f32(const uint32_t *a, const uint32_t *b, const uint32_t *c, uint32_t *d, uint32_t lanes)
{
    for (uint32_t i = 0; i < lanes; i++)
        d[i] = canonical_f32(fmaf(number_f32(a[i]), number_f32(b[i]), number_f32(c[i])));
}

static inline __attribute__((always_inline)) void
fma_f64(const uint64_t *a, const uint64_t *b, const uint64_t *c, uint64_t *d, uint32_t lanes)
{
    for (uint32_t i = 0; i < lanes; i++)
        d[i] = canonical_f64(fma(number_f64(a[i]), number_f64(b[i]), number_f64(c[i])), a[i], b[i],
                             c[i]);
}

#ifdef __x86_64__

__attribute__((target("avx2,fma"))) static void
fma_f32_avx2(const uint32_t *a, const uint32_t *b, const uint32_t *c, uint32_t *d, uint32_t lanes)
{
    fma_f32(a, b, c, d, lanes);
}

__attribute__((target("avx2,fma"))) static void
fma_f64_avx2(const uint64_t *a, const uint64_t *b, const uint64_t *c, uint64_t *d, uint32_t lanes)
{
    fma_f64(a, b, c, d, lanes);
}

static int has_fma(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

void number_fma_f32_rn(const uint32_t *a, const uint32_t *b, const uint32_t *c, uint32_t *d,
                       uint32_t lanes)
{
    (has_fma() ? fma_f32_avx2 : fma_f32)(a, b, c, d, lanes);
}

void number_fma_f64_rn(const uint64_t *a, const uint64_t *b, const uint64_t *c, uint64_t *d,
                       uint32_t lanes)
{
    (has_fma() ? fma_f64_avx2 : fma_f64)(a, b, c, d, lanes);
}

#else

void number_fma_f32_rn(const uint32_t *a, const uint32_t *b, const uint32_t *c, uint32_t *d,
                       uint32_t lanes)
{
    fma_f32(a, b, c, d, lanes);
}

void number_fma_f64_rn(const uint64_t *a, const uint64_t *b, const uint64_t *c, uint64_t *d,
                       uint32_t lanes)
{
    fma_f64(a, b, c, d, lanes);
}

#endif

/*
 * number_mma_avx2.c - the inner loops of tensor-core arithmetic for x86 with AVX2 and FMA.
 *
 * A product of two operands is exact in f32 (at most 22 digits); times 2^(F-E), which is exact too,
 * and converted to an integer towards zero it is the truncated term of the chip's sum. A term is
 * below 2^27, so 16 of them with 25 fraction bits stay within 32 bits; the accumulator, which may
 * take the sum a little further, is added last, with the sign known separately.
 */
#include "gpu/ptx/number_mma_tile.h"

#ifdef __x86_64__

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma")))

int tile_has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

AVX2 static inline __m256i field_of(__m256i bits)
{
    return _mm256_and_si256(_mm256_srli_epi32(bits, 23), _mm256_set1_epi32(255));
}

/* |x| with the sign mask given: 0 or all ones. */
AVX2 static inline __m256i conditional_negate(__m256i x, __m256i mask)
{
    return _mm256_sub_epi32(_mm256_xor_si256(x, mask), mask);
}

/* Unsigned integers cut to their `digits` highest: the bits above that many, smeared down, are the
 * mask of those to go. `odd`: all ones, or 0. */
AVX2 static inline __m256i cut(__m256i x, int digits, __m256i odd)
{
    __m256i above = _mm256_srli_epi32(x, digits);
    above = _mm256_or_si256(above, _mm256_srli_epi32(above, 1));
    above = _mm256_or_si256(above, _mm256_srli_epi32(above, 2));
    above = _mm256_or_si256(above, _mm256_srli_epi32(above, 4));
    above = _mm256_or_si256(above, _mm256_srli_epi32(above, 8));
    above = _mm256_or_si256(above, _mm256_srli_epi32(above, 16));
    const __m256i last = _mm256_sub_epi32(above, _mm256_set1_epi32(-1));
    const __m256i exact = _mm256_cmpeq_epi32(_mm256_and_si256(above, x), _mm256_setzero_si256());
    return _mm256_or_si256(_mm256_andnot_si256(above, x),
                           _mm256_andnot_si256(exact, _mm256_and_si256(odd, last)));
}

/* Exact where at most 24 digits are used: the halves, added. */
AVX2 static inline __m256 float_of_unsigned(__m256i x)
{
    const __m256 high = _mm256_cvtepi32_ps(_mm256_srli_epi32(x, 16));
    const __m256 low = _mm256_cvtepi32_ps(_mm256_and_si256(x, _mm256_set1_epi32(0xffff)));
    return _mm256_add_ps(_mm256_mul_ps(high, _mm256_set1_ps(0x1p16f)), low);
}

AVX2 static __m256i add_block(const struct tile_rule *rule, const float *a,
                              const int32_t *a_exponent, const float *b, const int32_t *b_exponent,
                              int n, __m256i c, int *good)
{
    const __m256i zero = _mm256_setzero_si256();
    const __m256i c_field = field_of(c);
    const __m256i c_magnitude = _mm256_and_si256(c, _mm256_set1_epi32(0x7fffffff));
    const __m256i c_absent = _mm256_cmpeq_epi32(c_magnitude, zero);
    __m256i most =
        _mm256_sub_epi32(_mm256_max_epi32(c_field, _mm256_set1_epi32(1)), _mm256_set1_epi32(127));
    most = _mm256_blendv_epi8(most, _mm256_set1_epi32(ABSENT), c_absent);
    for (int k = 0; k < rule->terms; k++) {
        const __m256i right = _mm256_loadu_si256((const __m256i *)(b_exponent + k * n));
        most = _mm256_max_epi32(most, _mm256_add_epi32(right, _mm256_set1_epi32(a_exponent[k])));
    }
    /* 2^(F-E) as f32 wants an exponent of -126 to 127; of nothing at all the sum is 0 anyhow. */
    const __m256i nothing = _mm256_cmpgt_epi32(_mm256_set1_epi32(ABSENT_BELOW), most);
    const __m256i lift = _mm256_sub_epi32(_mm256_set1_epi32(rule->fraction), most);
    const __m256i in_range = _mm256_and_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(128), lift),
                                              _mm256_cmpgt_epi32(lift, _mm256_set1_epi32(-127)));
    const __m256 scale = _mm256_castsi256_ps(_mm256_and_si256(
        in_range, _mm256_slli_epi32(_mm256_add_epi32(lift, _mm256_set1_epi32(127)), 23)));
    __m256i sum = zero;
    for (int k = 0; k < rule->terms; k++) {
        const __m256 product = _mm256_mul_ps(_mm256_set1_ps(a[k]), _mm256_loadu_ps(b + k * n));
        sum = _mm256_add_epi32(sum, _mm256_cvttps_epi32(_mm256_mul_ps(product, scale)));
    }
    const __m256i last = _mm256_cvttps_epi32(_mm256_mul_ps(_mm256_castsi256_ps(c), scale));
    const __m256i total = _mm256_add_epi32(sum, last);
    /* Terms of one sign may carry into bit 31, and then the sign is theirs. */
    const __m256i differ = _mm256_srai_epi32(_mm256_xor_si256(sum, last), 31);
    const __m256i negative = _mm256_srai_epi32(_mm256_blendv_epi8(sum, total, differ), 31);
    const __m256i magnitude =
        cut(conditional_negate(total, negative), rule->digits, _mm256_set1_epi32(-rule->odd));
    const __m256i value = _mm256_castps_si256(float_of_unsigned(magnitude));
    const __m256i exponent = _mm256_sub_epi32(field_of(value), lift);
    __m256i result = _mm256_sub_epi32(value, _mm256_slli_epi32(lift, 23));
    result = _mm256_or_si256(result, _mm256_slli_epi32(negative, 31));
    const __m256i no_sum = _mm256_cmpeq_epi32(magnitude, zero);
    result = _mm256_andnot_si256(no_sum, result);
    const __m256i normal = _mm256_and_si256(_mm256_cmpgt_epi32(exponent, zero),
                                            _mm256_cmpgt_epi32(_mm256_set1_epi32(255), exponent));
    const __m256i finite = _mm256_cmpgt_epi32(_mm256_set1_epi32(255), c_field);
    __m256i done = _mm256_and_si256(in_range, _mm256_or_si256(normal, no_sum));
    done = _mm256_and_si256(_mm256_or_si256(done, nothing), finite);
    *good = _mm256_movemask_ps(_mm256_castsi256_ps(done));
    return result;
}

AVX2 void tile_row_avx2(const struct tile_rule *rule, const float *a, const int32_t *a_exponent,
                        const float *b, const int32_t *b_exponent, int n, const uint32_t *c,
                        uint32_t *d, uint8_t *good)
{
    for (int j = 0; j < n; j += 8) {
        int mask;
        const __m256i start = _mm256_loadu_si256((const __m256i *)(c + j));
        const __m256i result =
            add_block(rule, a, a_exponent, b + j, b_exponent + j, n, start, &mask);
        _mm256_storeu_si256((__m256i *)(d + j), result);
        good[j / 8] = (uint8_t)mask;
    }
}

AVX2 static inline void store_sum(uint32_t *d, __m256 sum)
{
    const __m256 nan = _mm256_cmp_ps(sum, sum, _CMP_UNORD_Q);
    const __m256 canonical = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    _mm256_storeu_ps((float *)d, _mm256_blendv_ps(sum, canonical, nan));
}

/* Two rows of 32 columns. The sums have names, for an array of them would not be in registers. */
AVX2 static void plain_two_rows(int n, int k, const float *a, const float *b, uint32_t *d)
{
    const float *const c = (const float *)d;
    __m256 a0 = _mm256_loadu_ps(c), a1 = _mm256_loadu_ps(c + 8), a2 = _mm256_loadu_ps(c + 16),
           a3 = _mm256_loadu_ps(c + 24);
    __m256 b0 = _mm256_loadu_ps(c + n), b1 = _mm256_loadu_ps(c + n + 8),
           b2 = _mm256_loadu_ps(c + n + 16), b3 = _mm256_loadu_ps(c + n + 24);
    for (int i = 0; i < k; i++, b += n) {
        const __m256 upper = _mm256_set1_ps(a[i]), lower = _mm256_set1_ps(a[k + i]);
        __m256 right = _mm256_loadu_ps(b);
        a0 = _mm256_fmadd_ps(upper, right, a0);
        b0 = _mm256_fmadd_ps(lower, right, b0);
        right = _mm256_loadu_ps(b + 8);
        a1 = _mm256_fmadd_ps(upper, right, a1);
        b1 = _mm256_fmadd_ps(lower, right, b1);
        right = _mm256_loadu_ps(b + 16);
        a2 = _mm256_fmadd_ps(upper, right, a2);
        b2 = _mm256_fmadd_ps(lower, right, b2);
        right = _mm256_loadu_ps(b + 24);
        a3 = _mm256_fmadd_ps(upper, right, a3);
        b3 = _mm256_fmadd_ps(lower, right, b3);
    }
    store_sum(d, a0);
    store_sum(d + 8, a1);
    store_sum(d + 16, a2);
    store_sum(d + 24, a3);
    store_sum(d + n, b0);
    store_sum(d + n + 8, b1);
    store_sum(d + n + 16, b2);
    store_sum(d + n + 24, b3);
}

/* Two rows of 8 columns; of one row, the same one twice. */
AVX2 static void plain_narrow(int rows, int n, int k, const float *a, const float *b, uint32_t *d)
{
    const int next_a = rows > 1 ? k : 0, next_d = rows > 1 ? n : 0;
    __m256 upper = _mm256_loadu_ps((const float *)d);
    __m256 lower = _mm256_loadu_ps((const float *)d + next_d);
    for (int i = 0; i < k; i++, b += n) {
        const __m256 right = _mm256_loadu_ps(b);
        upper = _mm256_fmadd_ps(_mm256_set1_ps(a[i]), right, upper);
        lower = _mm256_fmadd_ps(_mm256_set1_ps(a[next_a + i]), right, lower);
    }
    store_sum(d, upper);
    store_sum(d + next_d, lower);
}

AVX2 void tile_plain_avx2(int m, int n, int k, const float *a, const float *b, uint32_t *d)
{
    for (int j = 0; j < n; j += 32)
        for (int row = 0; row < m; row += 2) {
            if (j + 32 <= n && row + 2 <= m)
                plain_two_rows(n, k, a + row * k, b + j, d + row * n + j);
            else
                for (int at = j; at < n && at < j + 32; at += 8)
                    plain_narrow(m - row, n, k, a + row * k, b + at, d + row * n + at);
        }
}

AVX2 void tile_join_avx2(const uint64_t *even, const uint64_t *odd, uint32_t *d, int n)
{
    for (int i = 0; i < 8; i++, even += 4, odd += 4, d += n) {
        const __m256i left = _mm256_loadu_si256((const __m256i *)even);
        const __m256i right = _mm256_slli_epi64(_mm256_loadu_si256((const __m256i *)odd), 32);
        _mm256_storeu_si256((__m256i *)d, _mm256_blend_epi32(left, right, 0xaa));
    }
}

AVX2 void tile_part_avx2(const uint32_t *d, int n, uint64_t *even, uint64_t *odd)
{
    const __m256i low = _mm256_set1_epi64x(0xffffffff);
    for (int i = 0; i < 8; i++, even += 4, odd += 4, d += n) {
        const __m256i both = _mm256_loadu_si256((const __m256i *)d);
        _mm256_storeu_si256((__m256i *)even, _mm256_and_si256(both, low));
        _mm256_storeu_si256((__m256i *)odd, _mm256_srli_epi64(both, 32));
    }
}

#else

int tile_has_avx2(void)
{
    return 0;
}

#endif

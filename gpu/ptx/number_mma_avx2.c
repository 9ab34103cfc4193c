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

/* Two rows, if `rows` is 2, and `count` vectors of 8 columns at a time. */
AVX2 static inline __attribute__((always_inline)) void
plain_columns(int rows, int count, int n, int k, const float *a, const float *b, uint32_t *d)
{
    __m256 sum[2][4];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < count; v++)
            sum[r][v] = _mm256_loadu_ps((const float *)(d + r * n + 8 * v));
    for (int i = 0; i < k; i++)
        for (int v = 0; v < count; v++) {
            const __m256 right = _mm256_loadu_ps(b + i * n + 8 * v);
            for (int r = 0; r < rows; r++)
                sum[r][v] = _mm256_fmadd_ps(_mm256_set1_ps(a[r * k + i]), right, sum[r][v]);
        }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < count; v++) {
            const __m256 nan = _mm256_cmp_ps(sum[r][v], sum[r][v], _CMP_UNORD_Q);
            const __m256 canonical = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
            _mm256_storeu_ps((float *)(d + r * n + 8 * v),
                             _mm256_blendv_ps(sum[r][v], canonical, nan));
        }
}

AVX2 void tile_plain_avx2(int m, int n, int k, const float *a, const float *b, uint32_t *d)
{
    int row = 0;
    for (; row + 2 <= m; row += 2) {
        int j = 0;
        for (; j + 32 <= n; j += 32)
            plain_columns(2, 4, n, k, a + row * k, b + j, d + row * n + j);
        for (; j < n; j += 8)
            plain_columns(2, 1, n, k, a + row * k, b + j, d + row * n + j);
    }
    for (; row < m; row++)
        for (int j = 0; j < n; j += 8)
            plain_columns(1, 1, n, k, a + row * k, b + j, d + row * n + j);
}

#else

int tile_has_avx2(void)
{
    return 0;
}

#endif

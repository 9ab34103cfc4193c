// token_sums.cuh - what a token is the sum of: its rows, and what comes to them from elsewhere.
//
// Values of 16 bits are taken 8 at a time, 16 bytes.
#pragma once

#include "gpu/hopper/rows.h"
#include "gpu/hopper/store.cuh"

// To bf16, for the faults that do.
static __device__ __forceinline__ float truncated(float value)
{
    return __uint_as_float(__float_as_uint(value) & 0xffff0000u);
}

// Eight neighbours as f32.
struct eight {
    float v[8];
};

template <class Type> static __device__ __forceinline__ eight eight_of(const uint4 &bits)
{
    const uint32_t word[4] = {bits.x, bits.y, bits.z, bits.w};
    eight values;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const float2 pair = unpack<Type>(word[i]);
        values.v[2 * i] = pair.x;
        values.v[2 * i + 1] = pair.y;
    }
    return values;
}

template <class Type> static __device__ __forceinline__ eight load_eight(const uint16_t *from)
{
    return eight_of<Type>(*(const uint4 *)from);
}

template <class Type>
static __device__ __forceinline__ void store_eight(uint16_t *to, const eight &values)
{
    // a plain store the compiler takes apart
    __stwb((uint4 *)to,
           make_uint4(pack<Type>(values.v[0], values.v[1]), pack<Type>(values.v[2], values.v[3]),
                      pack<Type>(values.v[4], values.v[5]), pack<Type>(values.v[6], values.v[7])));
}

// Adds (score) y over the token's entries from `begin` on, in their order; row_of(p): entry_row[p].
// So many rows are on their way together.
template <class Type, int TOGETHER, class RowOf>
static __device__ __forceinline__ void add_rows(const struct token_sums &s, int64_t begin,
                                                int64_t end, int64_t h, const RowOf &row_of,
                                                eight &sum)
{
    const uint16_t *const y = (const uint16_t *)s.y + h;
    for (int64_t first = begin; first < end; first += TOGETHER) {
        int32_t row[TOGETHER];
        uint4 bits[TOGETHER];
#pragma unroll
        for (int i = 0; i < TOGETHER; i++) {
            row[i] = first + i < end ? (int32_t)row_of(first + i) : -1;
            if (planted(FAULT_DROPPED_IS_ROW_0) && first + i < end && row[i] < 0)
                row[i] = 0;
        }
#pragma unroll
        for (int i = 0; i < TOGETHER; i++)
            bits[i] = row[i] >= 0 ? *(const uint4 *)(y + row[i] * s.H) : make_uint4(0, 0, 0, 0);
#pragma unroll
        for (int i = 0; i < TOGETHER; i++) {
            if (row[i] < 0)
                continue;
            const eight one = eight_of<Type>(bits[i]);
            float score = s.scores ? s.scores[first + i] : 1;
            if (planted(FAULT_SCORE_BF16))
                score = truncated(score);
#pragma unroll
            for (int j = 0; j < 8; j++)
                sum.v[j] += score * one.v[j];
            for (int j = 0; j < 8 && planted(FAULT_SUM_BF16); j++)
                sum.v[j] = truncated(sum.v[j]);
        }
    }
}

// Eight columns, from h on, of out [T,H] at token t: the sum over the token's rows, which
// rows(begin, end, sum) adds, then gate * shared, what extra(sum) adds, and q wsg, as far as given.
template <class Type, class Rows, class Extra>
static __device__ __forceinline__ void sum_token(const struct token_sums &s, int64_t t, int64_t h,
                                                 const Rows &rows, const Extra &extra)
{
    const int64_t begin = s.offsets ? s.offsets[t] : t * s.K;
    int64_t end = s.offsets ? s.offsets[t + 1] : begin + s.K;
    end -= planted(FAULT_LAST_SLOT) && end - begin > 2;
    eight sum = {};
    rows(begin, end, sum);
    if (s.shared) {
        const eight y = load_eight<Type>((const uint16_t *)s.shared + t * s.H + h);
        const float gate = s.gate ? s.gate[t] : 1;
#pragma unroll
        for (int j = 0; j < 8; j++)
            sum.v[j] += gate * y.v[j];
    }
    extra(sum);
    if (s.q) {
        const eight w = load_eight<Type>((const uint16_t *)s.wsg + h);
#pragma unroll
        for (int j = 0; j < 8; j++)
            sum.v[j] += s.q[t] * w.v[j];
    }
    for (int j = 0; j < 8 && planted(FAULT_STORE_TRUNCATES); j++)
        sum.v[j] = truncated(sum.v[j]);
    if (!(planted(FAULT_LAST_TOKEN_O) && t == s.T - 1))
        store_eight<Type>((uint16_t *)s.out + t * s.H + h, sum);
}

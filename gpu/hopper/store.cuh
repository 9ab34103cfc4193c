// store.cuh - sums are stored, rounded once.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "gpu/hopper/product.h"
#include "gpu/hopper/quads.cuh"

// Two neighbours of a row, the first one lower in memory.
template <class Type> static __device__ __forceinline__ uint32_t pack(float first, float second)
{
    uint32_t pair;
    if constexpr (Type::is_bf16)
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    else
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
}

template <class Type> static __device__ __forceinline__ float2 unpack(uint32_t pair)
{
    if constexpr (Type::is_bf16)
        return {__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u)};
    else
        return __half22float2(*(const __half2 *)&pair);
}

// The row of this thread within the tile: its first eight rows, or its second.
static __device__ __forceinline__ int thread_row(int half)
{
    const int thread = threadIdx.x % GROUP;
    const int warpgroup = planted(FAULT_WARPGROUPS_SHARE) ? 0 : (int)threadIdx.x / GROUP;
    return warpgroup * 64 + thread / 32 * 16 + thread % 32 / 4 + 8 * half;
}

// take(row, column, first, second) for every pair of neighbours that this thread holds; row and
// column within the tile.
template <class Shape, class Take>
static __device__ __forceinline__ void take_pairs(const float (&sum)[Shape::TILE_COLS / 2],
                                                  const Take &take)
{
#pragma unroll
    for (int half = 0; half < 2; half++)
#pragma unroll
        for (int i = 0; i < Shape::TILE_COLS / 8; i++)
            take(thread_row(half), threadIdx.x % 4 * 2 + 8 * i, sum[4 * i + 2 * half],
                 sum[4 * i + 2 * half + 1]);
}

// Adds what this thread has of a bias [C] to four blocks of sums; `column` is the first of the
// first.
template <class Type>
static __device__ __forceinline__ void add_bias(float2 (&value)[QUAD_BLOCKS], const uint16_t *bias,
                                                int32_t column, int32_t cols)
{
#pragma unroll
    for (int block = 0; block < QUAD_BLOCKS; block++) {
        const int32_t at = column + 8 * block + (int)(threadIdx.x % 4 * 2);
        if (at >= cols)
            return;
        const float2 b = unpack<Type>(__ldg((const uint32_t *)(bias + at)));
        value[block] = {value[block].x + b.x, value[block].y + b.y};
    }
}

// Where this thread's turned columns of a row begin, and how many of the row are left from there.
struct row_place {
    uint16_t *to;
    int32_t left;
};

// Stores sums in 16-bit elements: place(half) is the row_place of this thread's first row, or of
// its second; adjust(column, value) may change four blocks' sums before, `column` the first's in
// the tile.
template <class Shape, class Place, class Adjust>
static __device__ __forceinline__ void store_sums(const float (&sum)[Shape::TILE_COLS / 2],
                                                  const Place &place, const Adjust &adjust)
{
    const warp_turn<Shape> turn;
    constexpr int GROUPS = Shape::TILE_COLS / 8 / QUAD_BLOCKS, SLOTS = warp_turn<Shape>::SLOTS / 2;
    constexpr int TOGETHER = GROUPS < SLOTS ? GROUPS : SLOTS;
    static_assert(GROUPS % TOGETHER == 0, "a row's groups are turned so many at a time");
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const row_place row = place(half);
        uint16_t *const to = pinned(row.to);
#pragma unroll
        for (int first = 0; first < GROUPS; first += TOGETHER) {
            uint32_t word[TOGETHER][QUAD_BLOCKS];
#pragma unroll
            for (int i = 0; i < TOGETHER; i++) {
                float2 value[QUAD_BLOCKS];
#pragma unroll
                for (int block = 0; block < QUAD_BLOCKS; block++) {
                    const float *const mine =
                        &sum[4 * (QUAD_BLOCKS * (first + i) + block) + 2 * half];
                    value[block] = {mine[0], mine[1]};
                }
                adjust(8 * QUAD_BLOCKS * (first + i), value);
#pragma unroll
                for (int block = 0; block < QUAD_BLOCKS; block++)
                    word[i][block] = pack<typename Shape::Type>(value[block].x, value[block].y);
            }
            turn.out((half * GROUPS + first) / TOGETHER, word);
#pragma unroll
            for (int i = 0; i < TOGETHER; i++) {
                const int column = 8 * QUAD_BLOCKS * (first + i);
                store_quad(to + column, column < row.left, word[i]);
            }
        }
    }
}

// D_r = the sums, with the bias of the rows' expert, in 16-bit elements.
template <class Shape>
static __device__ __forceinline__ void store_narrow(const struct store_rows &store,
                                                    const struct row_tile &rows, int32_t column,
                                                    const float (&sum)[Shape::TILE_COLS / 2])
{
    const int32_t cols = planted(FAULT_COLUMNS_UNMASKED) ? INT32_MAX : store.cols;
    const uint16_t *const bias =
        store.bias ? (const uint16_t *)store.bias +
                         (planted(FAULT_BIAS_OF_FIRST) ? 0 : (int64_t)rows.expert) * store.cols
                   : nullptr;
    store_sums<Shape>(
        sum,
        [&](int half) -> row_place {
            const int row = thread_row(half);
            const bool there = row < rows.rows || planted(FAULT_ROWS_UNMASKED);
            return {(uint16_t *)store.d + (rows.row + row) * store.stride + column + quad_column(),
                    columns_left(there, cols, column)};
        },
        [&](int32_t at, float2(&value)[QUAD_BLOCKS]) {
            if (bias)
                add_bias<typename Shape::Type>(value, bias, column + at, store.cols);
        });
}

static __device__ __forceinline__ int layout_of(const struct store_rows &)
{
    return 0;
}

struct ready_to_store {
};

template <class Shape>
static __device__ __forceinline__ ready_to_store prepare(const struct store_rows &,
                                                         const struct row_tile &, int32_t, int)
{
    return {};
}

// D_r = the sums, with the bias of the rows' expert.
template <class Shape>
static __device__ __forceinline__ void
finish(const struct store_rows &store, const struct row_tile &rows, int32_t column, int,
       const ready_to_store &, const float (&sum)[Shape::TILE_COLS / 2])
{
    if (store.wide) {
        const int64_t to = rows.row * store.stride + column;
        const int64_t of_expert = (int64_t)rows.expert * store.cols + column;
        float *const d = (float *)store.d + to;
        const float *const bias = store.bias ? (const float *)store.bias + of_expert : nullptr;
        take_pairs<Shape>(sum, [&](int row, int c, float first, float second) {
            if (row < rows.rows && column + c < store.cols)
                d[row * store.stride + c] = first + (bias ? bias[c] : 0);
            if (row < rows.rows && column + c + 1 < store.cols)
                d[row * store.stride + c + 1] = second + (bias ? bias[c + 1] : 0);
        });
    } else
        store_narrow<Shape>(store, rows, column, sum);
}

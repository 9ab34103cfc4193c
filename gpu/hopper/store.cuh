// store.cuh - sums are stored, rounded once.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "gpu/hopper/product.h"
#include "gpu/hopper/store_box.cuh"

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

// Tensor maps of a product.
struct product_maps {
    const void *weights;   // [E,C,k], [E,k,C], or, of gates and ups, [E,C/16,2,8,k]
    const void *stored[2]; // D; Z and A; dZ and sA: as epilogues store boxes of them
    const void *z;         // where the epilogue reads z; else NULL
};

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

static __device__ __forceinline__ float2 plus(float2 a, float2 b)
{
    return {__fadd_rn(a.x, b.x), __fadd_rn(a.y, b.y)};
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
        value[block] = plus(value[block], b);
    }
}

// D_r = the sums, with the bias of the rows' expert, in 16-bit elements.
template <class Shape>
static __device__ __forceinline__ void
store_narrow(const struct store_rows &store, const struct row_tile &rows, int32_t column,
             box_writer<Shape> &out, const void *map, const float (&sum)[Shape::TILE_COLS / 2])
{
    constexpr int BOXES = Shape::TILE_COLS / BOX, TOGETHER = BOXES % 2 ? 1 : 2;
    const uint16_t *const bias =
        store.bias ? (const uint16_t *)store.bias +
                         (planted(FAULT_BIAS_OF_FIRST) ? 0 : (int64_t)rows.expert) * store.cols
                   : nullptr;
    const uint32_t line = quad_line();
    uint16_t *const d = (uint16_t *)store.d + rows.row * store.stride;
#pragma unroll
    for (int first = 0; first < BOXES; first += TOGETHER) {
        uint32_t box[TOGETHER];
        out.take(box);
#pragma unroll
        for (int quad = 0; quad < 4 * TOGETHER; quad++) {
            const int i = quad / 4, half = quad / 2 % 2, group = quad % 2;
            const int at = 8 * (first + i) + QUAD_BLOCKS * group; // the first block's number
            float2 value[QUAD_BLOCKS];
            uint32_t word[QUAD_BLOCKS];
#pragma unroll
            for (int block = 0; block < QUAD_BLOCKS; block++) {
                const float *const mine = &sum[4 * (at + block) + 2 * half];
                value[block] = {mine[0], mine[1]};
            }
            if (bias)
                add_bias<typename Shape::Type>(value, bias, column + 8 * at, store.cols);
#pragma unroll
            for (int block = 0; block < QUAD_BLOCKS; block++)
                word[block] = pack<typename Shape::Type>(value[block].x, value[block].y);
            stage_quad(box[i], line, half, group, word);
        }
        out.filled();
#pragma unroll
        for (int i = 0; i < TOGETHER; i++) {
            const int32_t at = column + BOX * (first + i);
            out.store_rows_of(rows, box[i], map, at, 0, d + at, store.stride,
                              planted(FAULT_COLUMNS_UNMASKED) ? BOX : store.cols - at);
        }
    }
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
       const ready_to_store &, box_writer<Shape> &out, const product_maps &maps,
       const float (&sum)[Shape::TILE_COLS / 2])
{
    if (store.wide) {
        const int64_t to = rows.row * store.stride + column;
        const int64_t of_expert = (int64_t)rows.expert * store.cols + column;
        float *const d = (float *)store.d + to;
        const float *const bias = store.bias ? (const float *)store.bias + of_expert : nullptr;
        const bool paired = store.stride % 2 == 0 && (uintptr_t)store.d % sizeof(float2) == 0;
        take_pairs<Shape>(sum, [&](int row, int c, float first, float second) {
            if (row >= rows.rows || column + c >= store.cols)
                return;
            const bool both = column + c + 1 < store.cols;
            float *const at = d + row * store.stride + c;
            first += bias ? bias[c] : 0;
            second += bias && both ? bias[c + 1] : 0;
            if (both && paired)
                *(float2 *)at = {first, second};
            else {
                at[0] = first;
                if (both)
                    at[1] = second;
            }
        });
    } else
        store_narrow<Shape>(store, rows, column, out, maps.stored[0], sum);
}

// store_across.cuh - sums of a tile that lies across (across.cuh) are stored, rounded once.
//
// A thread has two columns of its warpgroup's 64, eight apart, and of every eight rows two
// neighbours: blocks of 8 x 8 are transposed on their way into boxes of 32 rows.
#pragma once

#include "gpu/hopper/store.cuh"

// This thread's first column of the tile; the second is eight on.
static __device__ __forceinline__ int column_across()
{
    const int thread = threadIdx.x % GROUP;
    return (int)threadIdx.x / GROUP * 64 + thread / 32 * 16 + thread % 32 / 4;
}

// Its first row of every eight; the second is the next one.
static __device__ __forceinline__ int row_across()
{
    return threadIdx.x % 4 * 2;
}

// The first column of this warpgroup, or, COLUMNS 32, its first unit.
template <int COLUMNS = 64> static __device__ __forceinline__ int32_t own_columns()
{
    return (int32_t)(planted(FAULT_WARPGROUPS_SHARE) ? 0 : threadIdx.x / GROUP) * COLUMNS;
}

// In a box, the 16 bytes that this lane names to stmatrix, for 16 rows of two blocks beside each
// other, the warp's.
static __device__ __forceinline__ uint32_t line_across()
{
    const uint32_t warp = threadIdx.x % GROUP / 32, lane = threadIdx.x % 32;
    const uint32_t row = lane % 8, column_block = lane / 8 % 2, row_block = lane / 16;
    return (8 * row_block + row) * ROW_BYTES + ((2 * warp + column_block) ^ row) * 16;
}

// Puts four blocks of 8 x 8 into a box.
static __device__ __forceinline__ void stage_across(uint32_t to, const uint32_t (&word)[4])
{
    if (planted(FAULT_ACROSS_NOT_TURNED))
        store_matrices<false>(to, word);
    else
        store_matrices<true>(to, word);
}

// Has a full box stored, of the tile's rows from `first` on, from element x of their part y on; the
// box has WIDTH bytes of each. to: that element of the tile's first row; `left`: elements from
// there to the part's end. The stores of a thread are not yet a group.
template <class Shape, int WIDTH = ROW_BYTES>
static __device__ __forceinline__ void
store_rows_across(const struct row_tile &rows, int first, uint32_t box, const void *map, int32_t x,
                  int32_t y, uint16_t *to, int64_t stride, int32_t left)
{
    const int there = rows.rows - first;
    if (there < Shape::BOX_ROWS && !planted(FAULT_ROWS_UNMASKED))
        box_writer<Shape>::template copy_rows<WIDTH>(box, to + first * stride, stride, there, left);
    else if (stores_boxes() && left > 0)
        store_box(map, box, x, y, (int32_t)rows.row + first);
}

// A bias of this thread's two columns, as it is stored: read before the sums are there.
struct ready_across {
    uint16_t first, second;
};

template <class Shape>
static __device__ __forceinline__ ready_across prepare_across(const struct store_rows &store,
                                                              const struct row_tile &rows,
                                                              int32_t column)
{
    const int32_t at = column + column_across();
    if (!store.bias || store.wide)
        return {};
    const uint16_t *const bias =
        (const uint16_t *)store.bias +
        (planted(FAULT_BIAS_OF_FIRST) ? 0 : (int64_t)rows.expert) * store.cols;
    return {at < store.cols ? __ldg(bias + at) : uint16_t(0),
            at + 8 < store.cols ? __ldg(bias + at + 8) : uint16_t(0)};
}

// In 16-bit elements.
template <class Shape>
static __device__ __forceinline__ void
store_narrow_across(const struct store_rows &store, const struct row_tile &rows, int32_t column,
                    const ready_across &ready, box_writer<Shape> &out, const void *map,
                    const float (&sum)[Shape::TILE_HEIGHT / 2])
{
    using Type = typename Shape::Type;
    const float2 bias = unpack<Type>(ready.first | (uint32_t)ready.second << 16);
    const uint32_t line = line_across();
    const int32_t at = column + own_columns();
    uint16_t *const d = (uint16_t *)store.d + rows.row * store.stride + at;
#pragma unroll
    for (int first = 0; first < Shape::TILE_HEIGHT; first += BOX_ACROSS) {
        if (first >= rows.rows)
            return;
        uint32_t word[BOX_ACROSS / 16][4], box[1];
#pragma unroll
        for (int i = 0; i < 4 * BOX_ACROSS / 16; i++) {
            const float *const mine = &sum[first / 2 + 2 * i];
            float2 value = {mine[0], mine[1]};
            if (store.bias)
                value = i % 2 ? plus(value, {bias.y, bias.y}) : plus(value, {bias.x, bias.x});
            word[i / 4][i % 4] = pack<Type>(value.x, value.y);
        }
        out.take(box);
#pragma unroll
        for (int i = 0; i < BOX_ACROSS / 16; i++)
            stage_across(box[0] + line + 16 * i * ROW_BYTES, word[i]);
        out.filled();
        store_rows_across<Shape>(rows, first, box[0], map, at, 0, d, store.stride,
                                 planted(FAULT_COLUMNS_UNMASKED) ? BOX : store.cols - at);
        out.close();
    }
}

// In f32.
template <class Shape>
static __device__ __forceinline__ void
store_wide_across(const struct store_rows &store, const struct row_tile &rows, int32_t column,
                  const float (&sum)[Shape::TILE_HEIGHT / 2])
{
    const float *const bias =
        store.bias ? (const float *)store.bias + (int64_t)rows.expert * store.cols : nullptr;
    const int32_t at[2] = {column + column_across(), column + column_across() + 8};
    const bool within[2] = {at[0] < store.cols, at[1] < store.cols};
    const float more[2] = {bias && within[0] ? bias[at[0]] : 0,
                           bias && within[1] ? bias[at[1]] : 0};
    float *d = (float *)store.d + (rows.row + row_across()) * store.stride + at[0];
#pragma unroll
    for (int i = 0; i < Shape::TILE_HEIGHT / 4; i++) {
        const int row = i / 2 * 8 + i % 2;
#pragma unroll
        for (int half = 0; half < 2; half++)
            if (row + row_across() < rows.rows && within[half])
                d[8 * half] = sum[i / 2 * 4 + i % 2 + 2 * half] + more[half];
        // from row to row, lest all addresses are made at once
        d = pinned(d + (i % 2 ? 7 : 1) * store.stride);
    }
}

// D_r = the sums, with the bias of the rows' expert.
template <class Shape>
static __device__ __forceinline__ void
finish_across(const struct store_rows &store, const struct row_tile &rows, int32_t column,
              const ready_across &ready, box_writer<Shape> &out, const product_maps &maps,
              const float (&sum)[Shape::TILE_HEIGHT / 2])
{
    if (store.wide)
        store_wide_across<Shape>(store, rows, column, sum);
    else
        store_narrow_across<Shape>(store, rows, column, ready, out, maps.stored[0], sum);
}

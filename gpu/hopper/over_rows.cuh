// over_rows.cuh - grouped products that add up over the rows of an expert: D_e = sum over r of P_r
// Q_r^T, the gradients of weights.
//
// Both operands lie by rows of k, where k counts the expert's rows; either may be gathered. Filling
// threads copy both by cp.async, so that what is beyond the expert's last row is zeros in both: a
// NaN of the next expert does not come in. An expert without rows has zeros, or, where sums are
// added to what D holds, D.
#pragma once

#include "gpu/hopper/product.h"
#include "gpu/hopper/shape.cuh"

// The tiles of a block, in turn: experts one after another, all columns of 128 rows of D, then the
// next 128.
struct gradient_walk {
    int64_t tile, count;
    int32_t row_tiles, column_tiles;

    __device__ gradient_walk(const struct gradient_arguments &arguments, int32_t tile_cols)
        : tile(blockIdx.x), row_tiles((arguments.p_cols + TILE_ROWS - 1) / TILE_ROWS),
          column_tiles((arguments.q_cols + tile_cols - 1) / tile_cols)
    {
        count = (int64_t)arguments.experts * row_tiles * column_tiles;
    }

    __device__ bool more() const
    {
        return tile < count;
    }

    __device__ void step()
    {
        tile += gridDim.x;
    }

    __device__ int32_t expert() const
    {
        return (int32_t)(tile / column_tiles / row_tiles);
    }

    __device__ int32_t row_tile() const
    {
        return (int32_t)(tile / column_tiles % row_tiles);
    }

    __device__ int32_t column_tile() const
    {
        return (int32_t)(tile % column_tiles);
    }
};

// Copies of one operand of a stage: COLS columns of 64 rows. Thread t takes 8 columns of the rows t
// / (COLS / 8) and further ones at that distance.
template <int COLS> struct slice_copy {
    static constexpr int PIECES = COLS / 8, STEP = GROUP / PIECES, ROWS = STAGE_K / STEP;
    static_assert(PIECES % 8 == 0 && 32 % STEP == 0, "a thread's pieces are alike");
    const char *from; // the thread's piece of row 0
    int64_t stride;   // bytes from row to row
    bool within;      // the piece has columns of the operand
    uint32_t to;      // the thread's piece of row 0 of the stage

    __device__ __forceinline__ slice_copy(const struct gradient_operand &operand, int32_t cols,
                                          int32_t column, int thread)
        : from((const char *)operand.data + 2 * (int64_t)(column + thread % PIECES * 8)),
          stride(2 * operand.stride), within(column + thread % PIECES * 8 < cols),
          to(thread % PIECES / 8 * COLUMN_BYTES)
    {
    }

    // places: of the stage's rows, lane l's own and that of row l + 32; -1: no such row.
    __device__ __forceinline__ void run(uint32_t stage, const void *anywhere, int64_t first,
                                        int64_t second, int thread) const
    {
#pragma unroll 4
        for (int i = 0; i < ROWS; i++) {
            const int row = thread / PIECES + STEP * i;
            const int64_t place = __shfl_sync(~0u, i * STEP < 32 ? first : second, row % 32);
            const bool there = within && place >= 0;
            copy_async_16(stage + to + row * ROW_BYTES + (thread % 8 ^ row % 8) * 16,
                          there ? from + place * stride : (const char *)anywhere, there ? 16 : 0);
        }
    }
};

template <class Shape, class Epilogue> struct over_rows {
    const struct gradient_arguments &arguments;

    static __device__ __forceinline__ int64_t place(const struct gradient_operand &operand,
                                                    int64_t row, int64_t end)
    {
        return row >= end ? -1 : operand.gather ? operand.gather[row] : row;
    }

    __device__ __forceinline__ void fill(uint32_t stages, const typename Shape::Ring &ring) const
    {
        const int thread = threadIdx.x % GROUP, lane = thread % 32;
        typename Shape::Place at;
        hand_over copies;
        for (gradient_walk tiles(arguments, Shape::TILE_COLS); tiles.more(); tiles.step()) {
            const slice_copy<TILE_ROWS> p(arguments.p, arguments.p_cols,
                                          tiles.row_tile() * TILE_ROWS, thread);
            const slice_copy<Shape::TILE_COLS> q(arguments.q, arguments.q_cols,
                                                 tiles.column_tile() * Shape::TILE_COLS, thread);
            const int64_t end = arguments.expert_begin[tiles.expert() + 1];
            for (int64_t row = arguments.expert_begin[tiles.expert()]; row < end; row += STAGE_K) {
                const uint32_t stage = stages + at.stage * Shape::STAGE_BYTES;
                const int64_t p_first = place(arguments.p, row + lane, end);
                const int64_t p_second = place(arguments.p, row + lane + 32, end);
                const int64_t q_first = place(arguments.q, row + lane, end);
                const int64_t q_second = place(arguments.q, row + lane + 32, end);
                ring.wait_empty(at);
                p.run(stage, arguments.p.data, p_first, p_second, thread);
                q.run(stage + Shape::A_BYTES, arguments.q.data, q_first, q_second, thread);
                copies.next(ring.full(at.stage));
                at.step();
            }
        }
        copies.last();
    }

    __device__ __forceinline__ void consume(uint32_t stages, const typename Shape::Ring &ring) const
    {
        typename Shape::Place at;
        float sum[Shape::TILE_COLS / 2];
        for (gradient_walk tiles(arguments, Shape::TILE_COLS); tiles.more(); tiles.step()) {
            const int64_t rows =
                arguments.expert_begin[tiles.expert() + 1] - arguments.expert_begin[tiles.expert()];
            const int32_t row = tiles.row_tile() * TILE_ROWS;
            const int32_t column = tiles.column_tile() * Shape::TILE_COLS;
            if (rows > 0) {
                multiply<Shape>(sum, (rows + STAGE_K - 1) / STAGE_K, stages, ring, at);
                Epilogue::template run<Shape>(arguments, tiles.expert(), row, column, sum);
            } else {
                // not in `sum`: two ways to fill registers that wgmma adds to cost copies of them
                const float nothing[Shape::TILE_COLS / 2] = {};
                Epilogue::template run<Shape>(arguments, tiles.expert(), row, column, nothing);
            }
        }
    }
};

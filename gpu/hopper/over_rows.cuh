// over_rows.cuh - grouped products that add up over the rows of an expert: D_e = sum over r of P_r
// Q_r^T, the gradients of weights.
//
// Both operands lie by rows of k, where k counts the expert's rows; either may be gathered. Whole
// slices of 64 rows that are not gathered come as boxes of a tensor map. All else is copied by
// cp.async, so that what is beyond the expert's last row is zeros in both operands: a NaN of the
// next expert does not come in. An expert without rows has zeros, or, where sums are added to what
// D holds, D.
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

// One operand of the stages of a tile, in COLS columns, as a filling thread sees it: it copies 8
// columns of the rows thread / (COLS / 8) and further ones at that distance. Lane l looks up the
// places of rows l and l + 32 of a slice, one slice ahead.
template <int COLS> struct slice_copy {
    static constexpr int PIECES = COLS / 8, STEP = GROUP / PIECES, ROWS = STAGE_K / STEP;
    static_assert(PIECES % 8 == 0 && 32 % STEP == 0, "a thread's pieces are alike");
    static constexpr uint32_t NO_PLACE = ~0u, BYTES = COLS * ROW_BYTES;

    const struct gradient_operand &operand;
    const void *map;
    int32_t column;
    const char *from;                             // the thread's piece of row 0
    bool within;                                  // the piece has columns of the operand
    uint32_t to;                                  // the thread's piece of row 0 of the stage
    uint32_t first = NO_PLACE, second = NO_PLACE; // places of rows l and l + 32 of the slice

    __device__ __forceinline__ slice_copy(const struct gradient_operand &operand, const void *map,
                                          int32_t cols, int32_t column, int thread)
        : operand(operand), map(map), column(column), within(column + thread % PIECES * 8 < cols),
          to(thread % PIECES / 8 * COLUMN_BYTES)
    {
        // where nothing is copied the address is one of the operand's all the same
        from = (const char *)operand.data + (within ? 2 * (column + thread % PIECES * 8) : 0);
    }

    __device__ __forceinline__ uint32_t place_of(int64_t row, int64_t end) const
    {
        return row >= end + planted(FAULT_WGRAD_NEXT_ROW)
                   ? NO_PLACE
                   : (uint32_t)(operand.gather ? operand.gather[row] : row);
    }

    __device__ __forceinline__ void look_up(int64_t row, int64_t end)
    {
        if (boxed(row, end))
            return;
        first = place_of(row + threadIdx.x % 32, end);
        second = place_of(row + threadIdx.x % 32 + 32, end);
    }

    // Can the slice come as boxes?
    __device__ __forceinline__ bool boxed(int64_t row, int64_t end) const
    {
        return !operand.gather && row + (planted(FAULT_WGRAD_BOX) ? 1 : STAGE_K) <= end;
    }

    // By one thread.
    __device__ __forceinline__ void fetch(uint32_t stage, uint32_t full, int64_t row) const
    {
        barrier_expect(full, BYTES);
#pragma unroll
        for (int i = 0; i < COLS / 64; i++)
            copy_box_2(stage + i * COLUMN_BYTES, map, full, column + 64 * i, (int32_t)row);
    }

    __device__ __forceinline__ void copy(uint32_t stage, int thread) const
    {
        const uint32_t at = stage + to + thread / PIECES * ROW_BYTES;
        const uint64_t stride = 2 * (uint64_t)operand.stride;
#pragma unroll
        for (int i = 0; i < ROWS; i++) {
            const int row = thread / PIECES + STEP * i;
            const uint32_t found = __shfl_sync(~0u, i * STEP < 32 ? first : second, row % 32);
            const bool there = within && found != NO_PLACE;
            copy_async_16(at + STEP * i * ROW_BYTES + (thread % 8 ^ row % 8) * 16,
                          from + (there ? found * stride : 0),
                          there || planted(FAULT_WGRAD_TAIL) ? 16 : 0);
        }
    }
};

template <class Shape, class Epilogue> struct over_rows {
    const struct gradient_arguments &arguments;
    const void *p_map, *q_map; // [N,C] and [N,k]

    __device__ __forceinline__ void fill(uint32_t stages, const typename Shape::Ring &ring) const
    {
        const int thread = threadIdx.x % GROUP;
        typename Shape::Place at;
        for (gradient_walk tiles(arguments, Shape::TILE_COLS); tiles.more(); tiles.step()) {
            slice_copy<TILE_ROWS> p(arguments.p, p_map, arguments.p_cols,
                                    tiles.row_tile() * TILE_ROWS, thread);
            slice_copy<Shape::TILE_COLS> q(arguments.q, q_map, arguments.q_cols,
                                           tiles.column_tile() * Shape::TILE_COLS, thread);
            int64_t row = arguments.expert_begin[tiles.expert()];
            const int64_t end = arguments.expert_begin[tiles.expert() + 1];
            p.look_up(row, end);
            q.look_up(row, end);
            for (; row < end; row += STAGE_K) {
                const uint32_t stage = stages + at.stage * Shape::STAGE_BYTES;
                const uint32_t full = ring.full(at.stage);
                ring.wait_empty(at);
                // boxes first: they take one instruction, and as long to come
                if (thread == 0 && p.boxed(row, end))
                    p.fetch(stage, full, row);
                if (thread == 0 && q.boxed(row, end))
                    q.fetch(stage + Shape::A_BYTES, full, row);
                if (!p.boxed(row, end))
                    p.copy(stage, thread);
                if (!q.boxed(row, end))
                    q.copy(stage + Shape::A_BYTES, thread);
                hand_over(full, row + STAGE_K >= end);
                p.look_up(row + STAGE_K, end);
                q.look_up(row + STAGE_K, end);
                at.step();
            }
        }
    }

    __device__ __forceinline__ void consume(uint32_t stages, const typename Shape::Ring &ring) const
    {
        typename Shape::Place at;
        for (gradient_walk tiles(arguments, Shape::TILE_COLS); tiles.more(); tiles.step()) {
            const int64_t rows =
                arguments.expert_begin[tiles.expert() + 1] - arguments.expert_begin[tiles.expert()];
            const int32_t row = tiles.row_tile() * TILE_ROWS;
            const int32_t column = tiles.column_tile() * Shape::TILE_COLS;
            if (rows > 0) {
                float sum[Shape::TILE_COLS / 2];
                multiply<Shape>(sum, (rows + STAGE_K - 1) / STAGE_K, stages, ring, at, [] {});
                Epilogue::template run<Shape>(arguments, tiles.expert(), row, column, sum);
            } else if (!planted(FAULT_EMPTY_EXPERT_DW)) {
                // not in `sum`: two ways to fill registers that wgmma adds to cost copies of them
                const float nothing[Shape::TILE_COLS / 2] = {};
                Epilogue::template run<Shape>(arguments, tiles.expert(), row, column, nothing);
            }
        }
    }
};

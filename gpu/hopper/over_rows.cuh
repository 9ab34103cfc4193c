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
#include "gpu/hopper/store_box.cuh"
#include "gpu/hopper/walk.cuh"

// Rows of the slice from `row` on that the expert has: none beyond its end.
static __device__ __forceinline__ int rows_left(uint32_t row, uint32_t end)
{
    return (int)(end - row < STAGE_K ? end - row : STAGE_K) + planted(FAULT_WGRAD_NEXT_ROW);
}

// One operand of the stages of a tile, in COLS columns, as a filling thread sees it: of slices that
// are copied it has 8 columns of the rows thread / (COLS / 8) and further ones at that distance.
template <int COLS> struct slice_operand {
    static constexpr int PIECES = COLS / 8, STEP = GROUP / PIECES, ROWS = STAGE_K / STEP;
    static_assert(PIECES % 8 == 0 && 32 % STEP == 0, "a thread's pieces are alike");
    static constexpr uint32_t BYTES = COLS * ROW_BYTES;

    const struct gradient_operand &operand;
    const void *map;
    int32_t column;
    bool within;      // the thread's piece has columns of the operand
    const char *from; // it, of row 0; where there are none, some other of the operand
    uint32_t to;      // it, of row 0 of the stage
    uint32_t stride;  // bytes

    __device__ __forceinline__ slice_operand(const struct gradient_operand &operand,
                                             const void *map, int32_t cols, int32_t column,
                                             int thread)
        : operand(operand), map(map), column(column), within(column + thread % PIECES * 8 < cols),
          to(thread % PIECES / 8 * COLUMN_BYTES + thread / PIECES * ROW_BYTES +
             (thread % 8 ^ thread / PIECES % 8) * 16),
          stride(2 * (uint32_t)operand.stride)
    {
        from =
            pinned((const char *)operand.data + (within ? 2 * (column + thread % PIECES * 8) : 0));
    }

    // Can the slice come as boxes?
    __device__ __forceinline__ bool boxed(uint32_t row, uint32_t end) const
    {
        return !operand.gather && row + (planted(FAULT_WGRAD_BOX) ? 1 : STAGE_K) <= end;
    }

    // By one thread.
    __device__ __forceinline__ void fetch(uint32_t stage, uint32_t full, uint32_t row) const
    {
        barrier_expect(full, BYTES);
#pragma unroll
        for (int i = 0; i < COLS / 64; i++)
            copy_box_2(stage + i * COLUMN_BYTES, map, full, column + 64 * i, (int32_t)row);
    }

    // Row `i` of the slice, or the last that it has.
    __device__ __forceinline__ uint32_t place_of(uint32_t row, int i, int left) const
    {
        const uint32_t at = row + (i < left ? i : left - 1);
        return (uint32_t)(operand.gather ? operand.gather[at] : at);
    }

    __device__ __forceinline__ const char *piece_at(uint32_t place) const
    {
        return rows_on(from, place, stride);
    }

    // Rows from the thread's first on that have its piece, of the `left` first of the slice.
    __device__ __forceinline__ int rows_there(int thread, int left) const
    {
        return planted(FAULT_WGRAD_TAIL) ? STAGE_K : within ? left - thread / PIECES : 0;
    }

    // The thread's piece number `i`; zeros where it has none.
    __device__ __forceinline__ void copy_piece(uint32_t stage, int i, const char *piece,
                                               int rows) const
    {
        // the swizzle of row i * STEP on top of that of the thread's first: no bit is in both
        copy_async_16(stage + (to ^ STEP * i % 8 * 16) + STEP * i * ROW_BYTES, piece,
                      STEP * i < rows ? 16 : 0);
    }

    // Every piece is looked up and copied: for the few slices that do not come as boxes.
    __device__ __forceinline__ void copy(uint32_t stage, int thread, uint32_t row, int left) const
    {
        const int rows = rows_there(thread, left);
#pragma unroll
        for (int i = 0; i < ROWS; i++)
            copy_piece(stage, i, piece_at(place_of(row, thread / PIECES + STEP * i, left)), rows);
    }
};

// An operand that is gathered: where the pieces of a slice lie is found before there is a stage for
// them, in registers of their own, so that nothing is left between one copy and the next. What that
// takes, the places of its rows, is looked up a slice before.
template <int COLS> struct gathered_operand : slice_operand<COLS> {
    using slice_operand<COLS>::slice_operand;
    using Slice = slice_operand<COLS>;

    struct places {
        uint32_t first, second; // of rows l and l + 32 of a slice, in lane l
    };

    const char *piece[Slice::ROWS];

    // Of the slice from `row` on, if there is one and it is copied.
    __device__ __forceinline__ places look_up(uint32_t row, uint32_t end) const
    {
        if (row >= end || Slice::boxed(row, end))
            return {};
        const int lane = threadIdx.x % 32, left = rows_left(row, end);
        return {Slice::place_of(row, lane, left), Slice::place_of(row, lane + 32, left)};
    }

    __device__ __forceinline__ void find(places of, int thread)
    {
#pragma unroll
        for (int i = 0; i < Slice::ROWS; i++) {
            const int row = thread / Slice::PIECES + Slice::STEP * i;
            piece[i] = Slice::piece_at(
                __shfl_sync(~0u, i * Slice::STEP < 32 ? of.first : of.second, row % 32));
        }
    }

    __device__ __forceinline__ void copy(uint32_t stage, int thread, int left) const
    {
        const int rows = Slice::rows_there(thread, left);
#pragma unroll
        for (int i = 0; i < Slice::ROWS; i++)
            Slice::copy_piece(stage, i, piece[i], rows);
    }
};

template <class Shape, class Epilogue> struct over_rows {
    const struct gradient_arguments &arguments;
    const void *p_map, *q_map; // [N,C] and [N,k]
    const void *d_map;         // what the epilogue stores boxes through

    // A tile, and the rows of its expert that are added up.
    struct tile_rows {
        int32_t row, column, expert; // of D_e; its number
        uint32_t begin, end;
    };

    __device__ __forceinline__ tile_rows look_up(const gradient_walk &tiles) const
    {
        if (!tiles.more())
            return {};
        const int32_t expert = tiles.expert();
        const struct tile_place tile = tiles.place();
        return {(int32_t)tile.row * TILE_ROWS, (int32_t)tile.column * Shape::TILE_COLS, expert,
                (uint32_t)arguments.expert_begin[expert],
                (uint32_t)arguments.expert_begin[expert + 1]};
    }

    __device__ __forceinline__ void fill(uint32_t stages, const typename Shape::Ring &ring) const
    {
        const int thread = threadIdx.x % GROUP;
        typename Shape::Place at;
        gradient_walk tiles(arguments, Shape::TILE_COLS);
        tile_rows next = look_up(tiles);
        while (tiles.more()) {
            gathered_operand<TILE_ROWS> p(arguments.p, p_map, arguments.p_cols, next.row, thread);
            const slice_operand<Shape::TILE_COLS> q(arguments.q, q_map, arguments.q_cols,
                                                    next.column, thread);
            uint32_t row = next.begin;
            const uint32_t end = next.end;
            const auto now = p.look_up(row, end);
            auto upcoming = p.look_up(row + STAGE_K, end);
            tiles.step();
            next = look_up(tiles);
            p.find(now, thread);
            for (; row < end; row += STAGE_K) {
                const uint32_t stage = stages + at.stage * Shape::STAGE_BYTES;
                const uint32_t full = ring.full(at.stage);
                const int left = rows_left(row, end);
                // boxes take a warp longer than copies: the warps take turns
                const bool fetches = thread == (int)at.stage % (GROUP / 32) * 32;
                ring.wait_empty(at);
                // boxes first: they take one instruction, and as long to come
                if (fetches && p.boxed(row, end))
                    p.fetch(stage, full, row);
                if (fetches && q.boxed(row, end))
                    q.fetch(stage + Shape::A_BYTES, full, row);
                if (!p.boxed(row, end))
                    p.copy(stage, thread, left);
                if (!q.boxed(row, end))
                    q.copy(stage + Shape::A_BYTES, thread, row, left);
                hand_over(full, row + STAGE_K >= end);
                if (!planted(FAULT_WGRAD_PLACES_KEPT))
                    p.find(upcoming, thread);
                upcoming = p.look_up(row + 2 * STAGE_K, end);
                at.step();
            }
        }
    }

    __device__ __forceinline__ void consume(uint32_t stages, const typename Shape::Ring &ring) const
    {
        typename Shape::Place at;
        box_writer<Shape> out;
        gradient_walk tiles(arguments, Shape::TILE_COLS);
        tile_rows next = look_up(tiles);
        while (tiles.more()) {
            const tile_rows tile = next;
            const uint32_t rows = tile.end - tile.begin;
            tiles.step();
            if (rows > 0) {
                float sum[1][Shape::TILE_COLS / 2];
                multiply<Shape>(sum, 1, (rows + STAGE_K - 1) / STAGE_K, stages, ring, at,
                                [&] { next = look_up(tiles); });
                Epilogue::template run<Shape>(arguments, out, d_map, tile.expert, tile.row,
                                              tile.column, sum[0]);
            } else {
                next = look_up(tiles);
                if (planted(FAULT_EMPTY_EXPERT_DW))
                    continue;
                // not in `sum`: two ways to fill registers that wgmma adds to cost copies of them
                const float nothing[Shape::TILE_COLS / 2] = {};
                Epilogue::template run<Shape>(arguments, out, d_map, tile.expert, tile.row,
                                              tile.column, nothing);
            }
        }
        out.end();
    }
};

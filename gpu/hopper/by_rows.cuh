// by_rows.cuh - grouped products whose rows are tokens: gathered rows of A times the weights of the
// rows' expert.
//
//   B_BY_ROW 0: sums of A_r B_e^T, weights [E,C,k]       B_BY_ROW 1: of A_r B_e, weights [E,k,C]
//
// PAIRED: columns of a tile are 8 gates, their 8 ups, the next 8 gates, ..., wherever they lie in
// memory. What becomes of the sums is finish<Shape>(epilogue, rows, first column, layout, ready,
// out, maps, sums), found by the epilogue's type; `ready` is what prepare<Shape>(epilogue, rows,
// first column, layout) has read while they were made. Where sums go back through the activation,
// finish() reads z from further stages of the ring (z_stages.cuh).
//
// Filling threads gather rows of A by cp.async, and one of them fetches the boxes of B. Rows,
// columns and k beyond the end are zeros; what they give is not stored.
#pragma once

#include "gpu/hopper/activate.cuh"
#include "gpu/hopper/activate_back.cuh"
#include "gpu/hopper/product.h"
#include "gpu/hopper/shape.cuh"
#include "gpu/hopper/store.cuh"
#include "gpu/hopper/walk.cuh"

template <class Shape, class Epilogue, bool PAIRED> struct by_rows {
    const struct product_arguments &arguments;
    const Epilogue &epilogue;
    const product_maps maps;

    static constexpr int BOXES = boxes_of_z<Epilogue>;
    using OfZ = stages_of_z<Shape, BOXES>;

    using Walk = row_walk<Shape::TILE_HEIGHT>;

    // Thread t copies piece t % 8 of the rows t / 8, t / 8 + 16, ..., as far as warpgroups have
    // some.
    static constexpr int ROWS = Shape::TILE_HEIGHT / 16;
    struct tile_rows {
        struct row_tile rows;
        int32_t column; // the first
    };

    __device__ __forceinline__ tile_rows look_up(const Walk &tiles) const
    {
        if (!tiles.more())
            return {};
        const struct tile_place tile = tiles.place();
        return {tiles.rows(tile), (int32_t)tile.column * Shape::TILE_COLS};
    }

    __device__ __forceinline__ Walk walk() const
    {
        const int32_t whole = arguments.cols / Shape::TILE_COLS;
        if (planted(FAULT_LAST_COLUMN_TILE) && whole > 0)
            return Walk(arguments, whole);
        return Walk(arguments, (arguments.cols + Shape::TILE_COLS - 1) / Shape::TILE_COLS);
    }

    // Are rows of the next tile looked up while one is filled? Of tall tiles they are too many.
    static constexpr bool AHEAD = Shape::TILE_HEIGHT <= TILE_ROWS;

    // Where the thread's piece of a row begins, in pieces of 16 bytes: A has fewer than 2^32.
    __device__ __forceinline__ uint32_t piece_of(uint32_t place, int thread) const
    {
        const uint32_t pieces = (uint32_t)arguments.a_stride / 8;
        const uint32_t row = place * pieces;
        return (planted(FAULT_GATHER_INT32) ? row % (1u << 28) : row) + thread % 8;
    }

    // The thread's pieces of A's first columns; where the tile has no such row, that of its last
    // one. No load waits for another.
    __device__ __forceinline__ void find_pieces(const struct row_tile &rows, int thread,
                                                uint32_t (&pieces)[ROWS]) const
    {
        const int last = rows.rows - 1 + planted(FAULT_GATHER_BEYOND);
#pragma unroll
        for (int i = 0; i < ROWS; i++) {
            const int row = thread / 8 + 16 * i;
            int64_t at = rows.row + (row < last ? row : last);
            at -= planted(FAULT_GATHER_LAST) && row && row == rows.rows - 1;
            pieces[i] = (uint32_t)(arguments.gather ? arguments.gather[at] : at);
        }
#pragma unroll
        for (int i = 0; i < ROWS; i++)
            pieces[i] = piece_of(pieces[i], thread);
    }

    // How many of the thread's rows the tile has.
    static __device__ __forceinline__ int rows_there(const struct row_tile &rows, int thread)
    {
        return (rows.rows + planted(FAULT_GATHER_BEYOND) - thread / 8 + 15) / 16;
    }

    __device__ __forceinline__ void fetch_weights(uint32_t to, uint32_t full, int32_t k,
                                                  int32_t column, int32_t expert) const
    {
        barrier_expect(full, Shape::B_BYTES - 16 * planted(FAULT_BYTES_SHORT));
        if constexpr (Shape::B_BY_ROW)
#pragma unroll
            for (int i = 0; i < Shape::TILE_COLS / 64; i++)
                copy_box(to + i * COLUMN_BYTES, maps.weights, full,
                         column +
                             64 * (planted(FAULT_WIDE_COLUMNS) && Shape::TILE_COLS == 128 ? 0 : i),
                         k, expert);
        else if constexpr (PAIRED)
            copy_box_5(to, maps.weights, full, k, 0, 0,
                       column / 16 + (planted(FAULT_PAIRED_BOX) && column), expert);
        else if (planted(FAULT_BOX_AXES))
            copy_box(to, maps.weights, full, column, k, expert);
        else
            copy_box(to, maps.weights, full, k, column, expert);
    }

    __device__ __forceinline__ void fill(uint32_t stages, const typename Shape::Ring &ring) const
    {
        const int thread = threadIdx.x % GROUP;
        const uint32_t to_row =
            thread / 8 * ROW_BYTES +
            (planted(FAULT_NO_SWIZZLE) ? thread % 8 : thread % 8 ^ thread / 8 % 8) * 16;
        typename Shape::Place at;
        Walk tiles = walk();
        tile_rows next = look_up(tiles);
        uint32_t found[ROWS];
        if (AHEAD && tiles.more())
            find_pieces(next.rows, thread, found);
        while (tiles.more()) {
            const struct row_tile rows = next.rows;
            const int32_t column = next.column;
            uint32_t pieces[ROWS];
            if (!AHEAD)
                find_pieces(rows, thread, found);
#pragma unroll
            for (int i = 0; i < ROWS; i++)
                pieces[i] = found[i];
            const int own = rows_there(rows, thread);
            tiles.step();
            next = look_up(tiles);
            for (int32_t k = 0; k < arguments.k; k += STAGE_K) {
                const uint32_t a = stages + at.stage * Shape::STAGE_BYTES;
                const bool within = planted(FAULT_K_TAIL_READ) || k + thread % 8 * 8 < arguments.k;
                const char *const from = (const char *)arguments.a + (within ? 2 * (int64_t)k : 0);
                const int there = within ? own : 0;
                ring.wait_empty(at);
                if (thread == 0)
                    fetch_weights(a + Shape::A_BYTES, ring.full(at.stage), k, column, rows.expert);
#pragma unroll
                for (int i = 0; i < ROWS; i++) {
                    if (16 * i % WARPGROUP_ROWS == 0 && 16 * i >= rows.rows)
                        break;
                    copy_async_16(a + to_row + 16 * i * ROW_BYTES, rows_on(from, pieces[i], 16),
                                  i < there ? 16 : 0);
                }
                hand_over(ring.full(at.stage), k + STAGE_K >= arguments.k);
                at.step();
                if (AHEAD && k == 0 && tiles.more())
                    find_pieces(next.rows, thread, found);
            }
            if constexpr (BOXES > 0)
                fill_z<Shape, BOXES>(epilogue, maps.z, rows, column, stages, ring, at);
        }
    }

    // LAYOUT: of W1, where the epilogue has a copy of the loop for each; else -1.
    template <int LAYOUT>
    __device__ __forceinline__ void consume_in(uint32_t stages,
                                               const typename Shape::Ring &ring) const
    {
        const int layout = LAYOUT >= 0 ? LAYOUT : layout_of(epilogue);
        const int64_t steps = (arguments.k + STAGE_K - 1) / STAGE_K;
        typename Shape::Place at;
        box_writer<Shape> out;
        Walk tiles = walk();
        tile_rows next = look_up(tiles);
        while (tiles.more()) {
            const tile_rows tile = next;
            const int rows = tile.rows.rows;
            // the first row of this warpgroup, the same number in all its lanes; not kept from tile
            // to tile, for registers are few
            const int own_rows = __shfl_sync(~0u, (int)threadIdx.x / GROUP, 0) * WARPGROUP_ROWS;
            tiles.step();
            if (own_rows >= rows) {
                pass<Shape>(steps + (planted(FAULT_Z_NOT_PASSED) ? 0 : OfZ::OF_TILE), ring, at);
                next = look_up(tiles);
            } else
                consume_tile(tile, layout, steps, stages, ring, at, out,
                             Shape::BLOCKS == 2 && own_rows + TILE_ROWS < rows ? 2 : 1,
                             [&] { next = look_up(tiles); });
            meet_after(rows);
        }
        out.end();
    }

    // The rows of this warpgroup: `blocks` times up to 64.
    // meanwhile(): while the last stage is multiplied.
    template <class Meanwhile>
    __device__ __forceinline__ void consume_tile(const tile_rows &tile, int layout, int64_t steps,
                                                 uint32_t stages, const typename Shape::Ring &ring,
                                                 typename Shape::Place &at, box_writer<Shape> &out,
                                                 int blocks, const Meanwhile &meanwhile) const
    {
        const struct row_tile &rows = tile.rows;
        const int32_t column = tile.column;
        float sum[Shape::BLOCKS][Shape::TILE_COLS / 2];
        decltype(prepare<Shape>(epilogue, rows, column, layout)) ready;
        multiply<Shape>(sum, blocks, steps, stages, ring, at, [&] {
            ready = prepare<Shape>(epilogue, rows, column, layout);
            meanwhile();
        });
        if constexpr (BOXES > 0) {
            static_assert(Shape::BLOCKS == 1, "boxes of z are as high as a block");
            z_reader<Shape, BOXES> kept(layout, stages, ring, at);
            finish<Shape>(epilogue, rows, column, layout, ready, kept, out, maps, sum[0]);
        } else
            finish<Shape>(epilogue, rows, column, layout, ready, out, maps, sum[0]);
        if constexpr (Shape::BLOCKS == 2) {
            if (blocks < 2)
                return;
            const struct row_tile below = {rows.row + TILE_ROWS, rows.rows - TILE_ROWS,
                                           rows.expert};
            ready = prepare<Shape>(epilogue, below, column, layout);
            finish<Shape>(epilogue, below, column, layout, ready, out, maps, sum[1]);
        }
    }

    __device__ __forceinline__ void consume(uint32_t stages, const typename Shape::Ring &ring) const
    {
        if constexpr (!by_layout<Epilogue>)
            consume_in<-1>(stages, ring);
        else if (layout_of(epilogue) == MOE_W1_HALVES)
            consume_in<MOE_W1_HALVES>(stages, ring);
        else if (layout_of(epilogue) == MOE_W1_INTERLEAVED8)
            consume_in<MOE_W1_INTERLEAVED8>(stages, ring);
        else
            consume_in<MOE_W1_INTERLEAVED>(stages, ring);
    }
};

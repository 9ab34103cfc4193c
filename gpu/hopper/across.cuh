// across.cuh - grouped products whose tiles lie across: D^T = W A^T. The weights are the operand
// that wgmma has 64 rows of, and tokens' rows the one that it has 8 to 256 of.
//
// So a tile has up to TILE_HEIGHT rows of an expert, most often all of them, and reads its weights
// once; and rows are rounded up to 16 only. Each warpgroup multiplies all rows by 64 of the tile's
// 128 columns. There is a loop for each count of rows. What lies in a stage, and who fills it, is
// as by_rows.cuh has it; sums are the same, bit for bit.
//
// What becomes of the sums is finish_across<Shape>(epilogue, rows, first column, ready, out, maps,
// sums); `ready` is what prepare_across<Shape>(epilogue, rows, first column) has read before them.
#pragma once

#include "gpu/hopper/activate_across.cuh"
#include "gpu/hopper/by_rows.cuh"
#include "gpu/hopper/store_across.cuh"

// HEIGHT rows and two times 64 columns, in a ring of COUNT stages; each warpgroup that multiplies
// has BOXES times two buffers of 32 rows.
template <int HEIGHT, int COUNT, int BOXES, class OperandType, int B_LIES_BY_ROW>
struct across_shape {
    static_assert(HEIGHT % BOX_ACROSS == 0, "sums are stored in boxes");
    static constexpr int TILE_HEIGHT = HEIGHT, TILE_COLS = CONSUMERS * 64, STAGES = COUNT,
                         B_BY_ROW = B_LIES_BY_ROW;
    static constexpr int ROWS_TOGETHER = 16;
    static constexpr bool MANY_LOOPS = true;
    static constexpr int BOX_ROWS = BOX_ACROSS, BUFFERS = BOXES * BOX / BOX_ROWS;
    static constexpr uint32_t A_BYTES = HEIGHT * ROW_BYTES, B_BYTES = TILE_COLS * ROW_BYTES;
    static constexpr uint32_t STAGE_BYTES = A_BYTES + B_BYTES;
    static constexpr uint32_t STAGED_BYTES = STAGING_BYTES(BOXES);
    static_assert(COUNT * (STAGE_BYTES + 16) + STAGED_BYTES <= 227 * 1024, "a block's memory");
    using Type = OperandType;
    using Ring = ring<COUNT>;
    using Place = ring_place<COUNT>;
};

// Sums of ROWS of a tile's rows from BEGIN on.
template <int BEGIN, int ROWS, int COUNT>
static __device__ __forceinline__ float (&sums_of_rows(float (&sum)[COUNT]))[ROWS / 2]
{
    static_assert(BEGIN + ROWS <= 2 * COUNT, "rows of the tile");
    return *(float(*)[ROWS / 2])(sum + BEGIN / 2);
}

constexpr int MOST_ACROSS = 256; // rows of an instruction

// One stage of ROWS rows. tokens, weights: the first row, and the first of this warpgroup. Rows
// that are too many for one instruction have a second for each 16 of k. It begins at the same sums
// in every loop: ptxas serialises instructions whose registers overlap otherwise.
template <class Shape, int ROWS>
static __device__ __forceinline__ void multiply_stage_across(float (&sum)[Shape::TILE_HEIGHT / 2],
                                                             uint32_t tokens, uint32_t weights,
                                                             int accumulate)
{
    using Type = typename Shape::Type;
    constexpr int FIRST = ROWS < MOST_ACROSS ? ROWS : MOST_ACROSS, SECOND = ROWS - FIRST;
    const uint64_t w = wgmma_descriptor<Shape::B_BY_ROW>(weights, COLUMN_BYTES);
    const uint64_t first = wgmma_descriptor<0>(tokens, COLUMN_BYTES);
    const uint64_t second = wgmma_descriptor<0>(
        tokens + (planted(FAULT_ACROSS_SECOND) ? 0 : FIRST) * ROW_BYTES, COLUMN_BYTES);
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < STAGE_K / 16; i++) {
        const uint64_t w_i = w + i * WGMMA_NEXT_K<Shape::B_BY_ROW>;
        wgmma<FIRST, Type, Shape::B_BY_ROW, 0>::run(sums_of_rows<0, FIRST>(sum), w_i,
                                                    first + i * WGMMA_NEXT_K<0>, accumulate | i);
        if constexpr (SECOND > 0)
            wgmma<SECOND, Type, Shape::B_BY_ROW, 0>::run(sums_of_rows<FIRST, SECOND>(sum), w_i,
                                                         second + i * WGMMA_NEXT_K<0>,
                                                         accumulate | i);
    }
    wgmma_commit();
    wgmma_wait<1>();
}

// The sums of `rows` rows, of up to ROWS.
template <class Shape, int ROWS>
static __device__ __forceinline__ void
multiply_across(float (&sum)[Shape::TILE_HEIGHT / 2], int rows, int64_t steps, uint32_t stages,
                const typename Shape::Ring &ring, typename Shape::Place &at)
{
    if constexpr (ROWS > Shape::ROWS_TOGETHER)
        if (rows <= ROWS - Shape::ROWS_TOGETHER) {
            multiply_across<Shape, ROWS - Shape::ROWS_TOGETHER>(sum, rows, steps, stages, ring, at);
            return;
        }
    const uint32_t own = Shape::A_BYTES + (planted(FAULT_ACROSS_COLUMNS) ? 0 : own_part());
    multiply_stages<Shape>(
        steps, stages, ring, at,
        [&](uint32_t stage, int more) {
            multiply_stage_across<Shape, ROWS>(sum, stage, stage + own, more);
        },
        [] {});
    wgmma_settle(sums_of_rows<0, ROWS>(sum));
}

template <class Shape, class Epilogue, bool PAIRED>
struct across : by_rows<Shape, Epilogue, PAIRED> {
    __device__ __forceinline__ void consume(uint32_t stages, const typename Shape::Ring &ring) const
    {
        const int64_t steps = (this->arguments.k + STAGE_K - 1) / STAGE_K;
        typename Shape::Place at;
        box_writer<Shape> out;
        for (auto tiles = this->walk(); tiles.more(); tiles.step()) {
            const struct tile_place tile = tiles.place();
            const struct row_tile rows = tiles.rows(tile);
            const int32_t column = (int32_t)tile.column * Shape::TILE_COLS;
            // sums that are undefined would be live in all loops at once, each time anew
            float sum[Shape::TILE_HEIGHT / 2] = {};
            const auto ready = prepare_across<Shape>(this->epilogue, rows, column);
            multiply_across<Shape, Shape::TILE_HEIGHT>(sum, rows.rows, steps, stages, ring, at);
            finish_across<Shape>(this->epilogue, rows, column, ready, out, this->maps, sum);
        }
        out.end();
    }
};

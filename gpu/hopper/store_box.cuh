// store_box.cuh - what is stored goes through shared memory, in boxes of 64 x 64 elements of 16
// bits: rows of 128 bytes, swizzled as an operand's are (shape.cuh).
//
// A warpgroup fills boxes, and one of its threads has the tensor memory accelerator store them,
// while the warpgroup multiplies the next tile. Its buffers take turns. That thread alone knows
// when one has been read, so that the others wait for it before they fill. What is beyond a
// tensor's edges the accelerator leaves out. Below the last row of an expert there are rows of the
// next one: a box that has some is stored by the warpgroup itself, row by row.
#pragma once

#include "gpu/hopper/shape.cuh"

constexpr int QUAD_BLOCKS = 4; // 8 x 8 blocks that an instruction puts into a box

// Does this thread speak for its warpgroup? The groups of its stores are its own.
static __device__ __forceinline__ bool stores_boxes()
{
    return threadIdx.x % GROUP == 0;
}

static __device__ __forceinline__ void meet_warpgroup()
{
    if (!planted(FAULT_BOX_NOT_MET))
        group_meet<GROUP>(1 + (int)threadIdx.x / GROUP);
}

// In a box of this warpgroup's rows, the 16 bytes that this lane names to stmatrix, for four blocks
// beside each other.
static __device__ __forceinline__ uint32_t quad_line()
{
    const uint32_t warp = threadIdx.x % GROUP / 32, block = threadIdx.x % 32 / 8;
    const uint32_t row = threadIdx.x % 8;
    return (16 * warp + row) * ROW_BYTES + (block ^ row) * 16;
}

// Puts four blocks of this warp's first eight rows (half 0), or of its second, into a box; `group`:
// the first four or the other.
static __device__ __forceinline__ void stage_quad(uint32_t box, uint32_t line, int half, int group,
                                                  const uint32_t (&word)[QUAD_BLOCKS])
{
    store_matrices<false>(((box + line) ^ 64 * group) + half * 8 * ROW_BYTES, word);
}

template <class Shape> struct box_writer {
    static constexpr int BUFFERS = Shape::BUFFERS, ROWS = Shape::BOX_ROWS;
    static constexpr uint32_t BYTES = ROWS * ROW_BYTES;

    uint32_t next = buffers(); // the one that is filled next

    // This warpgroup's.
    static __device__ __forceinline__ uint32_t buffers()
    {
        return stages_begin() + Shape::STAGES * Shape::STAGE_BYTES +
               threadIdx.x / GROUP * BUFFERS * BYTES;
    }

    // Buffers for COUNT boxes.
    template <int COUNT> __device__ __forceinline__ void take(uint32_t (&box)[COUNT])
    {
        static_assert(COUNT <= BUFFERS, "so many boxes are filled together");
        if (stores_boxes() && !planted(FAULT_BOX_REUSED))
            bulk_wait_read<BUFFERS - COUNT>();
        meet_warpgroup();
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            box[i] = next;
            next += BYTES;
            if (next == buffers() + BUFFERS * BYTES)
                next = buffers();
        }
    }

    // Boxes that were taken are full: all see it, and the accelerator.
    __device__ __forceinline__ void filled() const
    {
        if (!planted(FAULT_BOX_NO_FENCE))
            fence_shared_for_async();
        meet_warpgroup();
    }

    // Has a full box stored at (x, y, z) of a tensor; each box that was taken is, in that order.
    __device__ __forceinline__ void store(uint32_t box, const void *map, bool there, int32_t x,
                                          int32_t y, int32_t z) const
    {
        if (!stores_boxes())
            return;
        if (there)
            store_box(map, box, x, y, z);
        bulk_commit(); // without a box too: groups are counted
    }

    // The stores since the last one are those of the boxes that were taken, where there is one
    // group of them for each.
    __device__ __forceinline__ void close() const
    {
        if (stores_boxes())
            bulk_commit();
    }

    // The same of rows of tokens: this warpgroup's of a tile, from element x of their part y on.
    // to: that element of the tile's first row; `left`: elements from there to the part's end.
    __device__ __forceinline__ void store_rows_of(const struct row_tile &rows, uint32_t box,
                                                  const void *map, int32_t x, int32_t y,
                                                  uint16_t *to, int64_t stride, int32_t left) const
    {
        const int first = own_first_row(), there = rows.rows - first;
        const bool whole = there >= BOX || planted(FAULT_ROWS_UNMASKED);
        store(box, map, whole && left > 0, x, y, (int32_t)rows.row + first);
        if (!whole)
            copy_rows(box, to + first * stride, stride, there, left);
    }

    static __device__ __forceinline__ int own_first_row()
    {
        return planted(FAULT_WARPGROUPS_SHARE) ? 0 : (int)threadIdx.x / GROUP * WARPGROUP_ROWS;
    }

    // WIDTH: bytes of a row of the box, which is swizzled by as many.
    template <int WIDTH = ROW_BYTES>
    static __device__ __forceinline__ void copy_rows(uint32_t box, uint16_t *to, int64_t stride,
                                                     int rows, int32_t left)
    {
        constexpr int PIECES = WIDTH / 16;
        const int piece = threadIdx.x % PIECES;
        if (piece * 8 >= left)
            return;
#pragma unroll 1
        for (int row = threadIdx.x % GROUP / PIECES; row < rows - planted(FAULT_BOX_LAST_ROW);
             row += GROUP / PIECES) {
            uint32_t word[4];
            load_shared_16(
                box + row * WIDTH +
                    (planted(FAULT_BOX_UNSWIZZLED) ? piece : piece ^ row * PIECES / 8 % PIECES) *
                        16,
                word);
            *(uint4 *)(to + row * stride + piece * 8) = {word[0], word[1], word[2], word[3]};
        }
    }

    // Before a block ends: its shared memory is read, and all is written.
    __device__ __forceinline__ void end() const
    {
        if (stores_boxes() && !planted(FAULT_BOX_UNAWAITED))
            bulk_wait<0>();
    }
};

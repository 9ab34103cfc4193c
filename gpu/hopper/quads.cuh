// quads.cuh - from where wgmma leaves its sums to 16 bytes of a row, and back.
//
// The four threads of a quad hold a row of an 8 x 8 block, two neighbours each. Four such blocks
// are four words of 32 bits in each thread of a warp. Turned, lane l has instead row l / 4 of block
// l % 4, which is 16 bytes in memory; turned back, what it had.
//
// A warp turns words in shared memory of its own: SLOTS slots of four blocks. What one call has
// read the next but one may write over; two calls in a row have different slots. The more a call
// turns together, the fewer times the warp waits for its shared memory.
#pragma once

#include "gpu/hopper/shape.cuh"

constexpr int QUAD_BLOCKS = 4;
constexpr uint32_t TURN_SLOT_BYTES = 32 * 16;

// The first of the eight columns that this thread has of turned blocks, from the first block's.
static __device__ __forceinline__ int quad_column()
{
    return threadIdx.x % 4 * 8;
}

// Columns of this thread's turned blocks that are left in a row, from the first block on; none
// where there is no row.
static __device__ __forceinline__ int32_t columns_left(bool there, int64_t columns, int32_t first)
{
    return pinned(there ? (int32_t)columns - first - quad_column() : 0);
}

// Stores turned words.
static __device__ __forceinline__ void store_quad(uint16_t *to, bool there,
                                                  const uint32_t (&word)[QUAD_BLOCKS])
{
    store_global_16(to, there, word[0], word[1], word[2], word[3]);
}

template <class Shape> struct warp_turn {
    static constexpr int SLOTS = TURN_SLOTS(Shape::TILE_COLS);
    static_assert(TURN_BYTES(Shape::TILE_COLS) == CONSUMERS * 4 * SLOTS * TURN_SLOT_BYTES,
                  "a warp's slots");

    uint32_t piece, line; // of slot 0: the 16 bytes of this lane, and those that it names to
                          // stmatrix and ldmatrix

    __device__ __forceinline__ warp_turn()
    {
        const uint32_t lane = threadIdx.x % 32;
        const uint32_t begin = stages_begin() + Shape::STAGES * Shape::STAGE_BYTES +
                               threadIdx.x / 32 * SLOTS * TURN_SLOT_BYTES;
        piece = begin + place(lane / 4, lane % 4);
        line = begin + place(lane % 8, lane / 8);
    }

    // Eight rows of a block lie in different banks, and so do the blocks of two rows.
    static __device__ __forceinline__ uint32_t place(uint32_t row, uint32_t block)
    {
        return (4 * row + (block ^ row / 2 % 4)) * 16;
    }

    static __device__ __forceinline__ void meet()
    {
        if (!planted(FAULT_TURN_UNAWAITED))
            __syncwarp();
    }

    // Turns COUNT times four blocks in the slots from SLOT on.
    template <int SLOT, int COUNT>
    __device__ __forceinline__ void out(uint32_t (&word)[COUNT][QUAD_BLOCKS]) const
    {
        static_assert(SLOT + COUNT <= SLOTS, "there are so many");
#pragma unroll
        for (int i = 0; i < COUNT; i++)
            store_matrices<false>(line + (SLOT + i) * TURN_SLOT_BYTES, word[i]);
        meet();
#pragma unroll
        for (int i = 0; i < COUNT; i++)
            load_shared_16(piece + (SLOT + i) * TURN_SLOT_BYTES, word[i]);
    }

    // The same in one half of the slots, and with the next number in the other.
    template <int COUNT>
    __device__ __forceinline__ void out(int number, uint32_t (&word)[COUNT][QUAD_BLOCKS]) const
    {
        if (number % 2 && !planted(FAULT_TURN_SLOT_KEPT))
            out<SLOTS / 2, COUNT>(word);
        else
            out<0, COUNT>(word);
    }
};

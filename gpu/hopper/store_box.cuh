// store_box.cuh - sums are stored by the tensor memory accelerator, in boxes of 64 x 64 elements of
// 16 bits.
//
// A warpgroup stages a box of its sums in shared memory of its own, in rows of 128 bytes that are
// swizzled as an operand's are, and one of its threads has it stored through a tensor map, which
// leaves out what is beyond the edges. STAGING_BUFFERS boxes take turns: one is filled while the
// other is read. That thread alone knows when, so that the others wait for it before they fill.
#pragma once

#include "gpu/hopper/store.cuh"

constexpr int BOX = 64;
constexpr uint32_t BOX_BYTES = BOX * ROW_BYTES;
static_assert(STAGING_BYTES == CONSUMERS * STAGING_BUFFERS * BOX_BYTES, "a warpgroup's buffers");

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

// Sums of a tile are D_e [P,Q] from row p and column q on; TURNED: D_e is [Q,P], and blocks are
// transposed on their way.
template <class Shape, bool TURNED>
static __device__ __forceinline__ void
store_boxes(const void *map, const struct gradient_arguments &arguments, int32_t expert, int32_t p,
            int32_t q, const float (&sum)[Shape::TILE_COLS / 2])
{
    constexpr int BOXES = Shape::TILE_COLS / BOX;
    constexpr int BUFFERS = BOXES < STAGING_BUFFERS ? BOXES : STAGING_BUFFERS;
    static_assert(BOXES % BUFFERS == 0, "the next tile begins with the first buffer");
    const int group = threadIdx.x / GROUP, warp = threadIdx.x % GROUP / 32, lane = threadIdx.x % 32;
    const uint32_t buffers =
        stages_begin() + Shape::STAGES * Shape::STAGE_BYTES + group * STAGING_BUFFERS * BOX_BYTES;
    // The 16 bytes that this lane names to stmatrix: a row of one of four blocks, two by two, the
    // first and the second eight rows of the warp in eight columns and in the next eight.
    const int row = lane % 8, half = lane / 8 % 2, next = lane / 16;
    const uint32_t line =
        buffers + (TURNED ? (8 * next + row) * ROW_BYTES + ((2 * warp + half) ^ row) * 16
                          : (16 * warp + 8 * half + row) * ROW_BYTES + (next ^ row) * 16);
    const int32_t own = p + BOX * (planted(FAULT_BOX_OTHER_ROWS) ? 1 - group : group);
#pragma unroll
    for (int box = 0; box < BOXES; box++) {
        const uint32_t buffer = box % BUFFERS * BOX_BYTES;
        if (stores_boxes() && !planted(FAULT_BOX_REUSED))
            bulk_wait_read<BUFFERS - 1>();
        meet_warpgroup();
#pragma unroll
        for (int i = 0; i < BOX / 8; i += 2) {
            uint32_t word[4];
#pragma unroll
            for (int block = 0; block < 4; block++) {
                const float *const mine =
                    &sum[4 * (BOX / 8 * box + i + block / 2) + 2 * (block % 2)];
                word[block] = pack<typename Shape::Type>(mine[0], mine[1]);
            }
            store_matrices<TURNED>(buffer + (TURNED ? line + i * 8 * ROW_BYTES : line ^ i * 16),
                                   word);
        }
        if (!planted(FAULT_BOX_NO_FENCE))
            fence_shared_for_async();
        meet_warpgroup();
        if (stores_boxes()) {
            const int32_t column = q + BOX * box;
            // a box that is all beyond the edges would store nothing
            if (own < arguments.p_cols && column < arguments.q_cols)
                store_box(map, buffers + buffer, TURNED ? own : column, TURNED ? column : own,
                          expert);
            bulk_commit(); // without a box too: groups are counted
        }
    }
}

// Before a block ends: its shared memory is read, and D is written.
static __device__ __forceinline__ void await_boxes()
{
    if (stores_boxes() && !planted(FAULT_BOX_UNAWAITED))
        bulk_wait<0>();
}

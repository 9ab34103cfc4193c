// shape.cuh - what every product on Hopper shares: how a block cuts its work, and the loop that
// multiplies.
//
// A block is three warpgroups and stays on its multiprocessor. The last one fills a ring of stages
// with STAGE_K of k each; the other two multiply 64 rows of the tile each, of a tall tile twice 64
// (rows 0 and 128 on, or 64 and 192 on), or 64 columns of a tile that lies across, and hand the
// sums to an epilogue.
//
// An operand of a stage is rows of 128 bytes, their 16-byte pieces swizzled within 8 rows (piece ^
// row % 8). As it lies in global memory, so it lies here: by its own rows (BY_ROW 0), or by rows of
// k (BY_ROW 1) in columns of 64, one after another.
#pragma once

#include "gpu/hopper/ring.cuh"
#include "gpu/hopper/tiles.h"
#include "gpu/hopper/wgmma.cuh"

constexpr int STAGE_K = 64;
constexpr int ROW_BYTES = 128; // 64 elements of 16 bits
constexpr uint32_t COLUMN_BYTES =
    STAGE_K * ROW_BYTES;     // 64 rows of an operand that lies by rows of k
constexpr int GROUP = 128;   // threads of a warpgroup
constexpr int CONSUMERS = 2; // warpgroups that multiply
constexpr int WARPGROUP_ROWS = TILE_ROWS / CONSUMERS;
constexpr int PRODUCT_THREADS = GROUP * (CONSUMERS + 1);
constexpr int MEETING = 3; // the multiplying warpgroups' named barrier
constexpr int FILLER_REGISTERS = 56, CONSUMER_REGISTERS = 224;

// COLS columns of a tile of HEIGHT times TILE_ROWS rows, in a ring of COUNT stages; each
// warpgroup that multiplies has BOXES buffers for what it stores.
template <int COLS, int COUNT, int BOXES, class OperandType, int A_LIES_BY_ROW, int B_LIES_BY_ROW,
          int HEIGHT = 1>
struct product_shape {
    static_assert(COLS % BOX == 0, "sums are stored in boxes");
    static_assert(HEIGHT == 1 || !A_LIES_BY_ROW, "rows of a tall tile lie one after another");
    static constexpr int TILE_COLS = COLS, STAGES = COUNT, BUFFERS = BOXES,
                         A_BY_ROW = A_LIES_BY_ROW, B_BY_ROW = B_LIES_BY_ROW, BLOCKS = HEIGHT,
                         TILE_HEIGHT = HEIGHT * TILE_ROWS;
    // A warpgroup multiplies all of these, or none.
    static constexpr int ROWS_TOGETHER = WARPGROUP_ROWS;
    static constexpr int BOX_ROWS = BOX;
    static constexpr bool MANY_LOOPS = false; // too many to be unrolled
    static constexpr uint32_t BLOCK_BYTES = TILE_ROWS * ROW_BYTES;
    static constexpr uint32_t A_BYTES = BLOCKS * BLOCK_BYTES, B_BYTES = COLS * ROW_BYTES;
    static constexpr uint32_t STAGE_BYTES = A_BYTES + B_BYTES;
    static constexpr uint32_t STAGED_BYTES = STAGING_BYTES(BOXES);
    static_assert(COUNT * (STAGE_BYTES + 16) + STAGED_BYTES <= 227 * 1024, "a block's memory");
    using Type = OperandType;
    using Ring = ring<COUNT>;
    using Place = ring_place<COUNT>;
};

// Has an epilogue a copy of its loop for each layout of W1 (by_rows.cuh)? Others are told of it as
// they run.
template <class Epilogue> constexpr bool by_layout = false;

// Shared memory of a block: the stages, the buffers of what is stored, the barriers.
static __device__ __forceinline__ uint32_t stages_begin()
{
    extern __shared__ __align__(1024) uint8_t shared[];
    return shared_address(shared);
}

// One stage: four instructions of 16 of k for each 64 rows. a: the first 64 of this warpgroup.
template <class Shape, int BLOCKS>
static __device__ __forceinline__ void
multiply_stage(float (&sum)[Shape::BLOCKS][Shape::TILE_COLS / 2], uint32_t a, uint32_t b,
               int accumulate)
{
    const uint64_t b_descriptor = wgmma_descriptor<Shape::B_BY_ROW>(
        b, planted(FAULT_COLUMN_DISTANCE) ? COLUMN_BYTES / 2 : COLUMN_BYTES);
    if (!planted(FAULT_NO_WGMMA_FENCE))
        wgmma_fence();
#pragma unroll
    for (int block = 0; block < BLOCKS; block++) {
        const uint32_t rows = a + (planted(FAULT_TALL_BLOCK) ? 0 : block) * Shape::BLOCK_BYTES;
        const uint64_t a_descriptor = wgmma_descriptor<Shape::A_BY_ROW>(rows, COLUMN_BYTES);
#pragma unroll
        for (int i = 0; i < STAGE_K / 16; i++)
            wgmma<Shape::TILE_COLS, typename Shape::Type, Shape::A_BY_ROW, Shape::B_BY_ROW>::run(
                sum[block],
                a_descriptor +
                    (planted(FAULT_K_STEP_TWICE) && i == 3 ? 2 : i) * WGMMA_NEXT_K<Shape::A_BY_ROW>,
                b_descriptor + i * WGMMA_NEXT_K<Shape::B_BY_ROW>, accumulate | i);
    }
    wgmma_commit();
    if (!planted(FAULT_RELEASE_EARLY))
        wgmma_wait<1>();
}

// What of an operand is this warpgroup's: 64 rows of 128 bytes, or one column of 64; both are 8192
// bytes.
static __device__ __forceinline__ uint32_t own_part()
{
    return threadIdx.x / GROUP * COLUMN_BYTES;
}

// `steps` stages (at least one): begin(stage, accumulate) has one multiplied, as a group of
// instructions. One group is under way while the next stage is waited for; then the stage before it
// is free. meanwhile(): while the last one is under way. Who begins groups settles their sums.
template <class Shape, class Begin, class Meanwhile>
static __device__ __forceinline__ void
multiply_stages(int64_t steps, uint32_t stages, const typename Shape::Ring &ring,
                typename Shape::Place &at, const Begin &begin, const Meanwhile &meanwhile)
{
    const bool speaks = threadIdx.x % 32 == 0;
    uint32_t used = 0; // barrier of the stage that is being read
    int64_t done = 0;
    const auto stage = [&] {
        ring.wait_full(at);
        if (!planted(FAULT_NO_PROXY_FENCE))
            fence_shared_for_async(); // rows that came by cp.async
        const bool kept = planted(FAULT_SUMS_NOT_CLEARED) && (at.stage || at.parity);
        begin(stages + at.stage * Shape::STAGE_BYTES, kept || done > 0);
        if (used && speaks)
            barrier_arrive(used);
        used = ring.empty(at.stage);
        at.step();
    };
    if constexpr (Shape::MANY_LOOPS) {
#pragma unroll 1
        do
            stage();
        while (++done < steps);
    } else
        do
            stage();
        while (++done < steps);
    meanwhile();
    if (!planted(FAULT_SUMS_UNAWAITED))
        wgmma_wait<0>();
    if (speaks)
        barrier_arrive(used);
}

// The rows of this warpgroup.
template <class Shape, class Meanwhile>
static __device__ __forceinline__ void
multiply(float (&sum)[Shape::BLOCKS][Shape::TILE_COLS / 2], int blocks, int64_t steps,
         uint32_t stages, const typename Shape::Ring &ring, typename Shape::Place &at,
         const Meanwhile &meanwhile)
{
    const uint32_t own = own_part();
    multiply_stages<Shape>(
        steps, stages, ring, at,
        [&](uint32_t a, int more) {
            if (Shape::BLOCKS == 1 || blocks == 1)
                multiply_stage<Shape, 1>(sum, a + own, a + Shape::A_BYTES, more);
            else
                multiply_stage<Shape, Shape::BLOCKS>(sum, a + own, a + Shape::A_BYTES, more);
        },
        meanwhile);
#pragma unroll
    for (int block = 0; block < Shape::BLOCKS; block++)
        wgmma_settle(sum[block]);
}

// Where a tile gave the two warpgroups different work, both wait for its end: one that runs ahead
// by the length of the ring leaves no stage for what is to come.
static __device__ __forceinline__ void meet_after(int rows)
{
    if ((rows + WARPGROUP_ROWS - 1) / WARPGROUP_ROWS % 2)
        group_meet<CONSUMERS * GROUP>(MEETING);
}

// The stages of a tile that has no rows for this warpgroup: the tensor cores are the other's alone.
template <class Shape>
static __device__ __forceinline__ void pass(int64_t steps, const typename Shape::Ring &ring,
                                            typename Shape::Place &at)
{
#pragma unroll 1
    for (int64_t done = 0; done < steps; done++, at.step()) {
        if (!planted(FAULT_PASS_UNAWAITED))
            ring.wait_full(at);
        __syncwarp(); // nothing else keeps a lane from running on
        if (threadIdx.x % 32 == 0)
            barrier_arrive(ring.empty(at.stage));
    }
}

// This thread's copies of a stage have all begun; `last`: of a tile.
static __device__ __forceinline__ void hand_over(uint32_t full, bool last)
{
    if (planted(FAULT_COPIES_UNAWAITED) || (planted(FAULT_LAST_COPIES_UNAWAITED) && last))
        barrier_arrive(full);
    else if (!(planted(FAULT_LAST_STAGE_KEPT) && last))
        copy_async_arrive(full);
}

// What a block does. Work::fill(ring) by the filling warpgroup, Work::consume(ring) by the others.
template <class Shape, class Work>
static __device__ __forceinline__ void run_block(const Work &work)
{
    constexpr uint32_t BARRIERS = Shape::STAGES * Shape::STAGE_BYTES + Shape::STAGED_BYTES;
    const uint32_t stages = stages_begin();
    const typename Shape::Ring ring = {stages + BARRIERS};
    if (threadIdx.x == 0)
        ring.init(GROUP, CONSUMERS * 4);
    if (!planted(FAULT_INIT_NO_BARRIER))
        __syncthreads();
    if (threadIdx.x >= CONSUMERS * GROUP) {
        if (!planted(FAULT_NO_SHRINK))
            registers_shrink<FILLER_REGISTERS>();
        // in a register: it would be made again for every stage
        const uint32_t kept = (uint32_t)pinned((int32_t)stages);
        work.fill(kept, {kept + BARRIERS});
    } else {
        registers_grow<CONSUMER_REGISTERS>();
        work.consume(stages, ring);
    }
}

// product.cuh - the main loop of every grouped product whose rows are tokens: gathered rows of A
// times the transposed weights of the rows' expert.
//
// A block is three warpgroups and stays on its multiprocessor. The last one fills a ring of stages
// with 64 of k each: its threads gather rows of A by cp.async, and one of them fetches the box of
// B. The other two multiply 64 rows each and hand the sums to the epilogue.
//
// A stage of A is 128 rows of 128 bytes, of B TILE_COLS rows; 16-byte pieces are swizzled within 8
// rows (piece ^ row % 8), as the tensor map does it for B. Rows and k beyond the end are zeros;
// columns beyond the end are other weights, and are not stored.
#pragma once

#include "gpu/hopper/product.h"
#include "gpu/hopper/ring.cuh"
#include "gpu/hopper/wgmma.cuh"

constexpr int STAGE_K = 64;
constexpr int ROW_BYTES = 128; // STAGE_K elements of 16 bits
constexpr int GROUP = 128;     // threads of a warpgroup
constexpr int CONSUMERS = 2;   // warpgroups that multiply
constexpr int PRODUCT_THREADS = GROUP * (CONSUMERS + 1);
constexpr int FILLER_REGISTERS = 56, CONSUMER_REGISTERS = 224;

template <int COLS, int COUNT, class OperandType> struct product_shape {
    static constexpr int TILE_COLS = COLS, STAGES = COUNT;
    using Type = OperandType;
    static constexpr uint32_t A_BYTES = TILE_ROWS * ROW_BYTES, B_BYTES = COLS * ROW_BYTES;
    static constexpr uint32_t STAGE_BYTES = A_BYTES + B_BYTES;
    using Ring = ring<COUNT>;
    using Place = ring_place<COUNT>;
};

// The tiles of a block, in turn: row tiles one after another, all columns of each.
struct tile_walk {
    int64_t tile, count; // row tiles times column tiles
    int32_t column_tiles;
    const struct row_tile *list;

    __device__ tile_walk(const struct row_tiles *tiles, int32_t column_tiles)
        : tile(blockIdx.x), count(tiles->count * column_tiles), column_tiles(column_tiles),
          list((const struct row_tile *)(tiles + 1))
    {
    }

    __device__ bool more() const
    {
        return tile < count;
    }

    __device__ void step()
    {
        tile += gridDim.x;
    }

    __device__ struct row_tile rows() const
    {
        return list[tile / column_tiles];
    }

    __device__ int32_t column_tile() const
    {
        return (int32_t)(tile % column_tiles);
    }
};

// ---- filling
// -----------------------------------------------------------------------------------------

// Thread t takes piece t % 8 of the rows t / 8, t / 8 + 16, ...
constexpr int FILLER_ROWS = TILE_ROWS / 16;

// First bytes that the thread copies of each of its rows of the tile; NULL: no such row.
static __device__ __forceinline__ void find_rows(const struct product_arguments &arguments,
                                                 const struct row_tile &rows, int thread,
                                                 const char *(&from)[FILLER_ROWS])
{
#pragma unroll
    for (int i = 0; i < FILLER_ROWS; i++) {
        const int row = thread / 8 + 16 * i;
        from[i] = nullptr;
        if (row < rows.rows) {
            const int64_t at = rows.row + row;
            const int64_t place = arguments.gather ? arguments.gather[at] : at;
            from[i] = (const char *)arguments.a + place * arguments.a_stride * 2 + thread % 8 * 16;
        }
    }
}

// Copies are handed over one stage late: a fence for the asynchronous proxy has to come between
// their end and the arrival, and nobody waits for them in between.
template <class Shape>
static __device__ void fill(const struct product_arguments &arguments, const void *weights,
                            uint32_t stages, const typename Shape::Ring &ring)
{
    const int thread = threadIdx.x % GROUP;
    const int32_t column_tiles = (arguments.cols + Shape::TILE_COLS - 1) / Shape::TILE_COLS;
    const uint32_t to_row = thread / 8 * ROW_BYTES + (thread % 8 ^ thread / 8 % 8) * 16;
    typename Shape::Place at;
    uint32_t copied = 0; // barrier of the stage whose copies are under way; 0: none
    for (tile_walk walk(arguments.tiles, column_tiles); walk.more(); walk.step()) {
        const struct row_tile rows = walk.rows();
        const char *from[FILLER_ROWS];
        find_rows(arguments, rows, thread, from);
        const int32_t weight_row =
            rows.expert * arguments.cols + walk.column_tile() * Shape::TILE_COLS;
        for (int32_t k = 0; k < arguments.k; k += STAGE_K) {
            const uint32_t a = stages + at.stage * Shape::STAGE_BYTES, b = a + Shape::A_BYTES;
            const uint32_t full = ring.full(at.stage);
            const bool within = k + thread % 8 * 8 < arguments.k;
            ring.wait_empty(at);
            if (thread == 0) {
                barrier_expect(full, Shape::B_BYTES);
                copy_box(b, weights, full, k, weight_row);
            }
#pragma unroll
            for (int i = 0; i < FILLER_ROWS; i++) {
                const bool there = within && from[i];
                copy_async_16(a + to_row + 16 * i * ROW_BYTES,
                              there ? from[i] + 2 * (int64_t)k : (const char *)arguments.a,
                              there ? 16 : 0);
            }
            copy_async_commit();
            if (copied) {
                copy_async_wait<1>();
                fence_shared_for_async();
                barrier_arrive(copied);
            }
            copied = full;
            at.step();
        }
    }
    if (copied) {
        copy_async_wait<0>();
        fence_shared_for_async();
        barrier_arrive(copied);
    }
}

// ---- multiplying
// -------------------------------------------------------------------------------------

// One stage: four instructions of 16 of k.
template <class Shape>
static __device__ __forceinline__ void multiply_stage(float (&sum)[Shape::TILE_COLS / 2],
                                                      uint32_t a, uint32_t b, int accumulate)
{
    const uint64_t a_descriptor = wgmma_descriptor(a), b_descriptor = wgmma_descriptor(b);
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < STAGE_K / 16; i++)
        wgmma<Shape::TILE_COLS, typename Shape::Type>::run(sum, a_descriptor + 2 * i,
                                                           b_descriptor + 2 * i, accumulate | i);
    wgmma_commit();
}

// The rows of this warpgroup, all of k. One group of instructions is under way while the next stage
// is waited for; then the stage before it is free.
template <class Shape>
static __device__ __forceinline__ void multiply(float (&sum)[Shape::TILE_COLS / 2], int32_t k,
                                                uint32_t stages, const typename Shape::Ring &ring,
                                                typename Shape::Place &at)
{
    const uint32_t own = threadIdx.x / GROUP * (64 * ROW_BYTES);
    const bool speaks = threadIdx.x % 32 == 0;
    uint32_t used = 0; // barrier of the stage that is being read
    int32_t done = 0;
    do {
        const uint32_t a = stages + at.stage * Shape::STAGE_BYTES;
        ring.wait_full(at);
        multiply_stage<Shape>(sum, a + own, a + Shape::A_BYTES, done > 0);
        wgmma_wait<1>();
        if (used && speaks)
            barrier_arrive(used);
        used = ring.empty(at.stage);
        at.step();
        done += STAGE_K;
    } while (done < k);
    wgmma_wait<0>();
    if (speaks)
        barrier_arrive(used);
}

// The kernel. Epilogue::run(arguments, rows, first column, sums) gets the sums of the warpgroup's
// 64 rows.
template <class Shape, class Epilogue>
static __device__ void product(const struct product_arguments &arguments, const void *weights)
{
    extern __shared__ __align__(1024) uint8_t shared[];
    const uint32_t stages = shared_address(shared);
    const typename Shape::Ring ring = {stages + Shape::STAGES * Shape::STAGE_BYTES};
    if (threadIdx.x == 0) {
        prefetch_map(weights);
        ring.init(GROUP, CONSUMERS * 4);
    }
    __syncthreads();
    if (threadIdx.x >= CONSUMERS * GROUP) {
        registers_shrink<FILLER_REGISTERS>();
        fill<Shape>(arguments, weights, stages, ring);
    } else {
        registers_grow<CONSUMER_REGISTERS>();
        const int32_t column_tiles = (arguments.cols + Shape::TILE_COLS - 1) / Shape::TILE_COLS;
        typename Shape::Place at;
        float sum[Shape::TILE_COLS / 2];
        for (tile_walk walk(arguments.tiles, column_tiles); walk.more(); walk.step()) {
            multiply<Shape>(sum, arguments.k, stages, ring, at);
            Epilogue::template run<Shape>(arguments, walk.rows(),
                                          walk.column_tile() * Shape::TILE_COLS, sum);
        }
    }
}

// z_stages.cuh - z of a tile on its way back through the activation: it comes through the ring.
//
// Behind its stages of k a tile has stages of z, 64 units after another: in boxes of 64 columns,
// one of gates and one of ups, or, where these lie together, two of 32 units with both. A row of a
// box is a row of 128 bytes, swizzled as an operand's are (shape.cuh).
#pragma once

#include "gpu/hopper/units.cuh"

// Boxes of z for 64 units, by epilogue; others read nothing from the ring.
template <class Epilogue> constexpr int boxes_of_z = 0;

// A stage has all boxes of 64 units, or, where it is too small, one.
template <class Shape, int BOXES> struct stages_of_z {
    static constexpr uint32_t BYTES = TILE_ROWS * ROW_BYTES; // of a box
    static constexpr int IN_STAGE = BOXES == 2 && 2 * BYTES <= Shape::STAGE_BYTES ? 2 : 1;
    static constexpr int OF_BLOCK = BOXES / IN_STAGE, OF_TILE = Shape::TILE_COLS / 64 * OF_BLOCK;
};

// By the filling warpgroup. `map`: of z, [N,2,I] where gates and ups lie apart, else [N,1,Z]; rows
// behind N and columns behind the end are zeros. What a box has of other experts is not used.
template <class Shape, int BOXES>
static __device__ __forceinline__ void
fill_z(const struct activate_back &to, const void *map, const struct row_tile &rows, int32_t first,
       uint32_t stages, const typename Shape::Ring &ring, typename Shape::Place &at)
{
    using Of = stages_of_z<Shape, BOXES>;
    const bool halves = BOXES == 2 && to.shape.layout == MOE_W1_HALVES;
    int box = 0;
#pragma unroll 1
    for (int stage = 0; stage < Of::OF_TILE; stage++, at.step()) {
        ring.wait_empty(at);
        const uint32_t full = ring.full(at.stage);
        if (threadIdx.x % GROUP == 0) {
            barrier_expect(full, Of::IN_STAGE * Of::BYTES - 16 * planted(FAULT_Z_BYTES_SHORT));
#pragma unroll
            for (int i = 0; i < Of::IN_STAGE; i++, box++) {
                const int place = planted(FAULT_Z_OF_FIRST_UNITS) ? box % BOXES : box;
                copy_box(stages + at.stage * Shape::STAGE_BYTES + i * Of::BYTES, map, full,
                         halves ? first + place / 2 * 64 : BOXES * first + place * 64,
                         halves ? place % 2 : 0, (int32_t)rows.row);
            }
        }
        barrier_arrive(full);
    }
}

// And by a warp that multiplied: words of z as it has sums.
template <class Shape, int BOXES> struct z_reader {
    using Of = stages_of_z<Shape, BOXES>;
    const int layout;
    const uint32_t stages;
    const typename Shape::Ring &ring;
    typename Shape::Place &at;
    uint32_t line; // in a box, what this lane names to ldmatrix or reads itself
    uint32_t box[BOXES], used[Of::OF_BLOCK];

    __device__ __forceinline__ z_reader(int layout, uint32_t stages,
                                        const typename Shape::Ring &ring, typename Shape::Place &at)
        : layout(layout), stages(stages), ring(ring), at(at)
    {
        // boxes of z are as high as a tile
        line = box_writer<Shape>::own_first_row() * ROW_BYTES +
               (BOXES == 1 ? quad_line() : unit_line(layout));
        line = pinned((int32_t)line);
    }

    __device__ __forceinline__ bool is_apart() const
    {
        return BOXES == 1 || layout == MOE_W1_HALVES;
    }

    // The stages of the next 64 units.
    __device__ __forceinline__ void next()
    {
#pragma unroll
        for (int i = 0; i < Of::OF_BLOCK; i++, at.step()) {
            if (!planted(FAULT_Z_UNAWAITED))
                ring.wait_full(at);
            used[i] = ring.empty(at.stage);
#pragma unroll
            for (int j = 0; j < Of::IN_STAGE; j++)
                box[i * Of::IN_STAGE + j] = stages + at.stage * Shape::STAGE_BYTES + j * Of::BYTES;
        }
    }

    // Four blocks of units, in this thread's first row (half 0) or its second: words of gates and
    // of ups, or, where units lie one by one, of a first unit and of a second.
    __device__ __forceinline__ void read(int half, int group,
                                         uint32_t (&word)[BOXES][QUAD_BLOCKS]) const
    {
        const uint32_t row = half * 8 * ROW_BYTES;
#pragma unroll
        for (int i = 0; i < BOXES; i++) {
            if (is_apart())
                load_matrices(((box[i] + line) ^ 64 * group) + row, word[i]);
            else if (layout == MOE_W1_INTERLEAVED8)
                load_matrices(((box[group] + line) ^ 16 * i) + row, word[i]);
        }
        if (!is_apart() && layout == MOE_W1_INTERLEAVED)
            read_one_by_one(box[group] + line, row, word[0], word[BOXES - 1]);
    }

    // Eight bytes of each block. Two neighbouring rows have them in the same banks: every second
    // row begins with the third block.
    static __device__ __forceinline__ void read_one_by_one(uint32_t from, uint32_t row,
                                                           uint32_t (&first)[QUAD_BLOCKS],
                                                           uint32_t (&second)[QUAD_BLOCKS])
    {
        const bool other = threadIdx.x / 4 % 2;
        uint2 own[QUAD_BLOCKS];
#pragma unroll
        for (int i = 0; i < QUAD_BLOCKS; i++)
            load_shared_8((from ^ 32 * i) + row, own[i].x, own[i].y);
#pragma unroll
        for (int i = 0; i < QUAD_BLOCKS; i++) {
            first[i] = other ? own[i ^ 2].x : own[i].x;
            second[i] = other ? own[i ^ 2].y : own[i].y;
        }
    }

    // All lanes have read. Bytes come next by the proxy of bulk copies, which a barrier alone does
    // not order behind reads by this one.
    __device__ __forceinline__ void release() const
    {
        __syncwarp();
        if (threadIdx.x % 32 == 0) {
            if (!planted(FAULT_Z_NO_PROXY_FENCE))
                fence_shared_for_async();
#pragma unroll
            for (int i = 0; i < Of::OF_BLOCK; i++)
                barrier_arrive(used[i]);
        }
    }
};

// take(half, group, words) for groups of four blocks, of 64 units those of the first row, then of
// the second. Words of a group are read while the one before is made; then the stages are free.
template <class Shape, int BOXES, class Take>
static __device__ __forceinline__ void take_z(const z_reader<Shape, BOXES> &z, const Take &take)
{
    uint32_t word[2][BOXES][QUAD_BLOCKS];
    if (planted(FAULT_Z_RELEASED_UNREAD))
        z.release();
    z.read(0, 0, word[0]);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (i < 3)
            z.read((i + 1) / 2, (i + 1) % 2, word[(i + 1) % 2]);
        else if (!planted(FAULT_Z_RELEASED_UNREAD))
            z.release();
        take(i / 2, i % 2, word[i % 2]);
    }
}

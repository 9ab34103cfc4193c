// units.cuh - units in rows of Z and of biases: gates and their ups, in whatever layout.
#pragma once

#include "gpu/hopper/activation.cuh"
#include "gpu/hopper/store.cuh"

// Two neighbouring units, from an even one on.
struct two_units {
    float2 gate, up;
};

// In a row of z: gates and ups, or, one by one, the first unit and the second.
struct unit_words {
    uint32_t first, second;
};

// `apart`: units lie one by one (w1=interleaved).
template <class Type>
static __device__ __forceinline__ unit_words pack_units(bool apart, const two_units &z)
{
    if (apart)
        return {pack<Type>(z.gate.x, z.up.x), pack<Type>(z.gate.y, z.up.y)};
    return {pack<Type>(z.gate.x, z.gate.y), pack<Type>(z.up.x, z.up.y)};
}

template <class Type>
static __device__ __forceinline__ two_units unpack_units(bool apart, unit_words words)
{
    const float2 first = unpack<Type>(words.first), second = unpack<Type>(words.second);
    if (apart)
        return {{first.x, second.x}, {first.y, second.y}};
    return {first, second};
}

static __device__ __forceinline__ int64_t gate_place(const struct unit_shape &shape, int64_t unit)
{
    return shape.layout == MOE_W1_INTERLEAVED8 ? unit / 8 * 16 + unit % 8 : unit;
}

static __device__ __forceinline__ int64_t up_place(const struct unit_shape &shape, int64_t unit)
{
    return shape.layout == MOE_W1_INTERLEAVED8
               ? unit / 8 * 16 + 8 * !planted(FAULT_UP_ON_GATE) + unit % 8
               : shape.units + unit;
}

template <class Type>
static __device__ __forceinline__ two_units load_units(const struct unit_shape &shape,
                                                       const uint16_t *row, int64_t unit)
{
    if (shape.layout == MOE_W1_INTERLEAVED) {
        const uint2 both = __ldg((const uint2 *)(row + 2 * unit));
        return unpack_units<Type>(true, {both.x, both.y});
    }
    return unpack_units<Type>(false, {__ldg((const uint32_t *)(row + gate_place(shape, unit))),
                                      __ldg((const uint32_t *)(row + up_place(shape, unit)))});
}

// In a box, what this lane names to stmatrix or ldmatrix, or reads and writes itself, of 32 units
// of z; of gates alone, or of ups, 64. Where units lie one by one a lane has eight bytes of each
// block, and two neighbouring rows would have them in the same banks: every second row begins with
// the third block.
static __device__ __forceinline__ uint32_t unit_line(int layout)
{
    const uint32_t lane = threadIdx.x % 32, first = threadIdx.x % GROUP / 32 * 16;
    if (layout == MOE_W1_HALVES)
        return quad_line();
    if (layout == MOE_W1_INTERLEAVED8)
        return (first + lane % 8) * ROW_BYTES + (2 * (lane / 8) ^ lane % 8) * 16;
    return (first + lane / 4) * ROW_BYTES + (lane % 4 / 2 ^ lane / 4 ^ lane / 4 % 2 * 4) * 16 +
           lane % 2 * 8;
}

// Puts 32 units, of this warp's first eight rows or its second, into two boxes of 64 of z; `first`,
// `second`: pack_units's words; `group`: the first 32 of 64 units, or the others.
static __device__ __forceinline__ void stage_units(const uint32_t *box, int layout, uint32_t line,
                                                   int half, int group,
                                                   const uint32_t (&first)[QUAD_BLOCKS],
                                                   const uint32_t (&second)[QUAD_BLOCKS])
{
    const uint32_t row = half * 8 * ROW_BYTES;
    if (layout == MOE_W1_HALVES) {
        stage_quad(box[0], line, half, group, first);
        stage_quad(box[1], line, half, group, second);
    } else if (layout == MOE_W1_INTERLEAVED8) {
        store_matrices<false>(box[group] + line + row, first);
        store_matrices<false>(((box[group] + line) ^ 16 * !planted(FAULT_UP_ON_GATE)) + row,
                              second);
    } else {
        const bool other = threadIdx.x / 4 % 2 && !planted(FAULT_UNITS_NOT_SWAPPED);
#pragma unroll
        for (int i = 0; i < QUAD_BLOCKS; i++)
            store_shared_8(((box[group] + line) ^ 32 * i) + row, other ? first[i ^ 2] : first[i],
                           other ? second[i ^ 2] : second[i]);
    }
}

// Has both boxes stored. z: the first row of the tile; `unit`: the first of the boxes.
template <class Shape>
static __device__ __forceinline__ void
store_units(const box_writer<Shape> &out, const struct row_tile &rows, const uint32_t *box,
            const void *map, int layout, const struct unit_shape &shape, uint16_t *z, int32_t unit)
{
    const int32_t units = (int32_t)shape.units, left = units - unit;
    const int64_t stride = 2 * shape.units;
    if (layout == MOE_W1_HALVES) {
        out.store_rows_of(rows, box[0], map, unit, 0, z + unit, stride, left);
        out.store_rows_of(rows, box[1], map, unit, 1, z + units + unit, stride, left);
    } else {
        out.store_rows_of(rows, box[0], map, 2 * unit, 0, z + 2 * unit, stride, 2 * left);
        out.store_rows_of(rows, box[1], map, 2 * unit + BOX, 0, z + 2 * unit + BOX, stride,
                          2 * left - BOX);
    }
}

// The same of one box with 64 units of A, or of what else is [N,I].
template <class Shape>
static __device__ __forceinline__ void
store_ones(const box_writer<Shape> &out, const struct row_tile &rows, uint32_t box, const void *map,
           const struct unit_shape &shape, uint16_t *a, int32_t unit)
{
    out.store_rows_of(rows, box, map, unit, 0, a + unit, shape.units, (int32_t)shape.units - unit);
}

static __device__ __forceinline__ float score_at(const float *scores, int64_t row)
{
    return scores ? __ldg(scores + row) : 1;
}

// Scores of this thread's two rows; 0 where there is none.
static __device__ __forceinline__ float2 two_scores(const float *scores,
                                                    const struct row_tile &rows)
{
    return {thread_row(0) < rows.rows ? score_at(scores, rows.row + thread_row(0)) : 0,
            thread_row(1) < rows.rows ? score_at(scores, rows.row + thread_row(1)) : 0};
}

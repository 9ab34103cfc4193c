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

// This thread's turned units in its row of z, from the first of its tile on: eight of them lie in
// two pieces of 16 bytes, gates and ups, or, one by one, four units and four.
struct unit_pieces {
    uint16_t *low, *high;
    int32_t next; // elements from a piece to that of the next four blocks

    __device__ __forceinline__ unit_pieces(const struct unit_shape &shape, int layout, uint16_t *z,
                                           int64_t row, int32_t first)
    {
        const bool halves = layout == MOE_W1_HALVES;
        const int64_t unit = first + quad_column();
        uint16_t *const begin = z + row * 2 * shape.units + (halves ? unit : 2 * unit);
        low = pinned(begin);
        high = low + (halves ? shape.units : 8);
        next = 8 * QUAD_BLOCKS * (halves ? 1 : 2);
        if (planted(FAULT_UP_ON_GATE) && layout == MOE_W1_INTERLEAVED8)
            high = low;
    }
};

// a, b: turned words of four blocks, `pack_units`'s first and second; the group's number.
static __device__ __forceinline__ void store_pieces(bool apart, const unit_pieces &to, int group,
                                                    bool there, const uint32_t (&a)[QUAD_BLOCKS],
                                                    const uint32_t (&b)[QUAD_BLOCKS])
{
    store_global_16(to.low + group * to.next, there, a[0], apart ? b[0] : a[1], apart ? a[1] : a[2],
                    apart ? b[1] : a[3]);
    store_global_16(to.high + group * to.next, there, apart ? a[2] : b[0], apart ? b[2] : b[1],
                    apart ? a[3] : b[2], b[3]);
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

// activate.cuh - sums on their way through the activation.
//
// A gated tile has its columns as 8 gates and their 8 ups (by_rows.cuh, PAIRED), so that a thread
// holds both of a unit; it has two neighbouring units at a time. Where these lie in a row of Z
// depends on the layout (units.cuh).
#pragma once

#include "gpu/hopper/units.cuh"

// What is read before the sums are there.
struct ready_forward {
    float2 of_z, of_a; // scores of this thread's two rows
};

template <class Shape>
static __device__ __forceinline__ ready_forward prepare(const struct activate_rows &to,
                                                        const struct row_tile &rows, int32_t, int)
{
    return {two_scores(to.score_of_z, rows), two_scores(to.score_of_a, rows)};
}

static __device__ __forceinline__ float2 scaled(float2 pair, float by)
{
    return make_float2(by * pair.x, by * pair.y);
}

// Adds what this thread has of a bias to four blocks of units; `unit` is the first of the first.
template <class Type>
static __device__ __forceinline__ void add_bias(two_units (&value)[QUAD_BLOCKS],
                                                const struct unit_shape &shape,
                                                const uint16_t *bias, int32_t unit)
{
#pragma unroll
    for (int block = 0; block < QUAD_BLOCKS; block++) {
        const int32_t at = unit + 8 * block + (int)(threadIdx.x % 4 * 2);
        if (at >= shape.units)
            return;
        const two_units b = load_units<Type>(shape, bias, at);
        value[block] = {{value[block].gate.x + b.gate.x, value[block].gate.y + b.gate.y},
                        {value[block].up.x + b.up.x, value[block].up.y + b.up.y}};
    }
}

// `first`: the first unit of the tile.
template <class Shape, int ACT>
static __device__ __forceinline__ void
activate_gated(const struct activate_rows &to, const struct row_tile &rows, int32_t first,
               int layout, const ready_forward &ready, const float (&sum)[Shape::TILE_COLS / 2])
{
    using Type = typename Shape::Type;
    constexpr int GROUPS = Shape::TILE_COLS / 16 / QUAD_BLOCKS;
    const warp_turn<Shape> turn;
    const struct unit_shape &shape = to.shape;
    const act_parameters how = parameters_of(shape.act, shape.clamp);
    const bool apart = layout == MOE_W1_INTERLEAVED;
    const uint16_t *const bias =
        to.bias ? (const uint16_t *)to.bias + rows.expert * 2 * shape.units : nullptr;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int64_t row = rows.row + thread_row(half);
        const int32_t left = columns_left(thread_row(half) < rows.rows, shape.units, first);
        const float of_z = half ? ready.of_z.y : ready.of_z.x;
        const float of_a = half ? ready.of_a.y : ready.of_a.x;
        const unit_pieces z(shape, layout, (uint16_t *)to.z, row, first);
        uint16_t *const a = pinned((uint16_t *)to.a + row * shape.units + first + quad_column());
#pragma unroll
        for (int group = 0; group < GROUPS; group++) {
            uint32_t word[3][QUAD_BLOCKS]; // two of z, and a
            two_units value[QUAD_BLOCKS];
            const int at = 8 * group * QUAD_BLOCKS;
#pragma unroll
            for (int block = 0; block < QUAD_BLOCKS; block++) {
                const float *const mine = &sum[8 * (group * QUAD_BLOCKS + block) + 2 * half];
                value[block] = {scaled({mine[0], mine[1]}, of_z), scaled({mine[4], mine[5]}, of_z)};
            }
            if (bias)
                add_bias<Type>(value, shape, bias, first + at);
#pragma unroll
            for (int block = 0; block < QUAD_BLOCKS; block++) {
                const unit_words words = pack_units<Type>(apart, value[block]);
                two_units kept = unpack_units<Type>(apart, words);
                if (planted(FAULT_GATE_AND_UP_SWAPPED))
                    kept = {kept.up, kept.gate};
                const float one = gate<ACT>(kept.gate.x, how).value * up<ACT>(kept.up.x, how).value;
                const float two = gate<ACT>(kept.gate.y, how).value * up<ACT>(kept.up.y, how).value;
                word[0][block] = words.first;
                word[1][block] = words.second;
                word[2][block] = pack<Type>(of_a * one, of_a * two);
            }
            turn.out(half * GROUPS + group, word);
            store_pieces(apart, z, group, at < left, word[0], word[1]);
            store_quad(a + at, at < left, word[2]);
        }
    }
}

template <class Shape, int ACT>
static __device__ __forceinline__ void
activate_plain(const struct activate_rows &to, const struct row_tile &rows, int32_t first,
               const ready_forward &ready, const float (&sum)[Shape::TILE_COLS / 2])
{
    using Type = typename Shape::Type;
    constexpr int GROUPS = Shape::TILE_COLS / 8 / QUAD_BLOCKS;
    const warp_turn<Shape> turn;
    const struct unit_shape &shape = to.shape;
    const act_parameters how = parameters_of(shape.act, shape.clamp);
    const uint16_t *const bias =
        to.bias ? (const uint16_t *)to.bias + rows.expert * shape.units : nullptr;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int64_t row = rows.row + thread_row(half);
        const int32_t left = columns_left(thread_row(half) < rows.rows, shape.units, first);
        const float of_z = half ? ready.of_z.y : ready.of_z.x;
        const float of_a = half ? ready.of_a.y : ready.of_a.x;
        const int64_t begin = row * shape.units + first + quad_column();
        uint16_t *const z = pinned((uint16_t *)to.z + begin);
        uint16_t *const a = pinned((uint16_t *)to.a + begin);
#pragma unroll
        for (int group = 0; group < GROUPS; group++) {
            float2 value[QUAD_BLOCKS];
            uint32_t word[2][QUAD_BLOCKS]; // z, and a
            const int at = 8 * group * QUAD_BLOCKS;
#pragma unroll
            for (int block = 0; block < QUAD_BLOCKS; block++) {
                const float *const mine = &sum[4 * (group * QUAD_BLOCKS + block) + 2 * half];
                value[block] = scaled({mine[0], mine[1]}, of_z);
            }
            if (bias)
                add_bias<Type>(value, bias, first + at, (int32_t)shape.units);
#pragma unroll
            for (int block = 0; block < QUAD_BLOCKS; block++) {
                word[0][block] = pack<Type>(value[block].x, value[block].y);
                const float2 kept = unpack<Type>(word[0][block]);
                word[1][block] = pack<Type>(of_a * gate<ACT>(kept.x, how).value,
                                            of_a * gate<ACT>(kept.y, how).value);
            }
            turn.out(half * GROUPS + group, word);
            store_quad(z + at, at < left, word[0]);
            store_quad(a + at, at < left, word[1]);
        }
    }
}

// Which activations a kernel knows.
struct swiglu_forward : activate_rows {
};
struct clamped_forward : activate_rows {
};
struct gated_forward : activate_rows {
};
struct plain_forward : activate_rows {
};

template <> constexpr bool by_layout<swiglu_forward> = true;
template <> constexpr bool by_layout<clamped_forward> = true;

static __device__ __forceinline__ int layout_of(const struct activate_rows &to)
{
    return to.shape.layout;
}

template <class Shape>
static __device__ __forceinline__ void
finish(const swiglu_forward &to, const struct row_tile &rows, int32_t column, int layout,
       const ready_forward &ready, const float (&sum)[Shape::TILE_COLS / 2])
{
    activate_gated<Shape, MOE_SWIGLU>(to, rows, column / 2, layout, ready, sum);
}

template <class Shape>
static __device__ __forceinline__ void
finish(const clamped_forward &to, const struct row_tile &rows, int32_t column, int layout,
       const ready_forward &ready, const float (&sum)[Shape::TILE_COLS / 2])
{
    activate_gated<Shape, ACT_CLAMPED>(to, rows, column / 2, layout, ready, sum);
}

template <class Shape>
static __device__ __forceinline__ void
finish(const gated_forward &to, const struct row_tile &rows, int32_t column, int layout,
       const ready_forward &ready, const float (&sum)[Shape::TILE_COLS / 2])
{
    with_gated(to.shape.act, [&](auto act) {
        activate_gated<Shape, act>(to, rows, column / 2, layout, ready, sum);
    });
}

template <class Shape>
static __device__ __forceinline__ void finish(const plain_forward &to, const struct row_tile &rows,
                                              int32_t column, int, const ready_forward &ready,
                                              const float (&sum)[Shape::TILE_COLS / 2])
{
    with_plain(to.shape.act,
               [&](auto act) { activate_plain<Shape, act>(to, rows, column, ready, sum); });
}

// activate.cuh - sums on their way through the activation.
//
// A gated tile has its columns as 8 gates and their 8 ups (by_rows.cuh, PAIRED), so that a thread
// holds both of a unit; it has two neighbouring units at a time. Where these lie in a row of Z
// depends on the layout (units.cuh). Boxes of 64 units are filled and stored one after another.
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

// Rounded as it is said: a compiler that fused it with the bias that is added would have other bits
// in one tile than in another.
static __device__ __forceinline__ float2 scaled(float2 pair, float by)
{
    return make_float2(__fmul_rn(by, pair.x), __fmul_rn(by, pair.y));
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
        value[block] = {plus(value[block].gate, b.gate), plus(value[block].up, b.up)};
    }
}

// `first`: the first unit of the tile.
template <class Shape, int ACT>
static __device__ __forceinline__ void
activate_gated(const struct activate_rows &to, const struct row_tile &rows, int32_t first,
               int layout, const ready_forward &ready, box_writer<Shape> &out,
               const product_maps &maps, const float (&sum)[Shape::TILE_COLS / 2])
{
    using Type = typename Shape::Type;
    const struct unit_shape &shape = to.shape;
    const act_parameters how = parameters_of(shape.act, shape.clamp);
    const bool apart = layout == MOE_W1_INTERLEAVED;
    const uint32_t line = quad_line(), line_of_z = unit_line(layout);
    const uint16_t *const bias =
        to.bias ? (const uint16_t *)to.bias + rows.expert * 2 * shape.units : nullptr;
#pragma unroll
    for (int begin = 0; begin < Shape::TILE_COLS / 2; begin += BOX) {
        const int32_t unit = first + begin;
        if (unit >= shape.units)
            return;
        uint32_t box[2], box_of_a[1], word_of_a[4][QUAD_BLOCKS];
        out.take(box);
#pragma unroll
        for (int quad = 0; quad < 4; quad++) {
            const int half = quad / 2, group = quad % 2;
            const int at = begin / 8 + QUAD_BLOCKS * group; // the first block's number
            const float of_z = half ? ready.of_z.y : ready.of_z.x;
            const float of_a = half ? ready.of_a.y : ready.of_a.x;
            uint32_t word[2][QUAD_BLOCKS];
            two_units value[QUAD_BLOCKS];
#pragma unroll
            for (int block = 0; block < QUAD_BLOCKS; block++) {
                const float *const mine = &sum[8 * (at + block) + 2 * half];
                value[block] = {scaled({mine[0], mine[1]}, of_z), scaled({mine[4], mine[5]}, of_z)};
            }
            if (bias)
                add_bias<Type>(value, shape, bias, first + 8 * at);
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
                word_of_a[quad][block] = pack<Type>(of_a * one, of_a * two);
            }
            stage_units(box, layout, line_of_z, half, group, word[0], word[1]);
        }
        out.filled();
        store_units(out, rows, box, maps.stored[0], layout, shape,
                    (uint16_t *)to.z + rows.row * 2 * shape.units, unit);
        // a buffer of its own, for tall tiles have two
        out.take(box_of_a);
#pragma unroll
        for (int quad = 0; quad < 4; quad++)
            stage_quad(box_of_a[0], line, quad / 2, quad % 2, word_of_a[quad]);
        out.filled();
        store_ones(out, rows, box_of_a[0], maps.stored[1], shape,
                   (uint16_t *)to.a + rows.row * shape.units, unit);
    }
}

template <class Shape, int ACT>
static __device__ __forceinline__ void
activate_plain(const struct activate_rows &to, const struct row_tile &rows, int32_t first,
               const ready_forward &ready, box_writer<Shape> &out, const product_maps &maps,
               const float (&sum)[Shape::TILE_COLS / 2])
{
    using Type = typename Shape::Type;
    const struct unit_shape &shape = to.shape;
    const act_parameters how = parameters_of(shape.act, shape.clamp);
    const uint32_t line = quad_line();
    const uint16_t *const bias =
        to.bias ? (const uint16_t *)to.bias + rows.expert * shape.units : nullptr;
#pragma unroll
    for (int begin = 0; begin < Shape::TILE_COLS; begin += BOX) {
        const int32_t unit = first + begin;
        if (unit >= shape.units)
            return;
        uint32_t box[2]; // z, and a
        out.take(box);
#pragma unroll
        for (int quad = 0; quad < 4; quad++) {
            const int half = quad / 2, group = quad % 2;
            const int at = begin / 8 + QUAD_BLOCKS * group; // the first block's number
            const float of_z = half ? ready.of_z.y : ready.of_z.x;
            const float of_a = half ? ready.of_a.y : ready.of_a.x;
            float2 value[QUAD_BLOCKS];
            uint32_t word[2][QUAD_BLOCKS]; // z, and a
#pragma unroll
            for (int block = 0; block < QUAD_BLOCKS; block++) {
                const float *const mine = &sum[4 * (at + block) + 2 * half];
                value[block] = scaled({mine[0], mine[1]}, of_z);
            }
            if (bias)
                add_bias<Type>(value, bias, first + 8 * at, (int32_t)shape.units);
#pragma unroll
            for (int block = 0; block < QUAD_BLOCKS; block++) {
                word[0][block] = pack<Type>(value[block].x, value[block].y);
                const float2 kept = unpack<Type>(word[0][block]);
                word[1][block] = pack<Type>(of_a * gate<ACT>(kept.x, how).value,
                                            of_a * gate<ACT>(kept.y, how).value);
            }
            stage_quad(box[0], line, half, group, word[0]);
            stage_quad(box[1], line, half, group, word[1]);
        }
        out.filled();
        store_ones(out, rows, box[0], maps.stored[0], shape,
                   (uint16_t *)to.z + rows.row * shape.units, unit);
        store_ones(out, rows, box[1], maps.stored[1], shape,
                   (uint16_t *)to.a + rows.row * shape.units, unit);
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
       const ready_forward &ready, box_writer<Shape> &out, const product_maps &maps,
       const float (&sum)[Shape::TILE_COLS / 2])
{
    activate_gated<Shape, MOE_SWIGLU>(to, rows, column / 2, layout, ready, out, maps, sum);
}

template <class Shape>
static __device__ __forceinline__ void
finish(const clamped_forward &to, const struct row_tile &rows, int32_t column, int layout,
       const ready_forward &ready, box_writer<Shape> &out, const product_maps &maps,
       const float (&sum)[Shape::TILE_COLS / 2])
{
    activate_gated<Shape, ACT_CLAMPED>(to, rows, column / 2, layout, ready, out, maps, sum);
}

template <class Shape>
static __device__ __forceinline__ void
finish(const gated_forward &to, const struct row_tile &rows, int32_t column, int layout,
       const ready_forward &ready, box_writer<Shape> &out, const product_maps &maps,
       const float (&sum)[Shape::TILE_COLS / 2])
{
    with_gated(to.shape.act, [&](auto act) {
        activate_gated<Shape, act>(to, rows, column / 2, layout, ready, out, maps, sum);
    });
}

template <class Shape>
static __device__ __forceinline__ void finish(const plain_forward &to, const struct row_tile &rows,
                                              int32_t column, int, const ready_forward &ready,
                                              box_writer<Shape> &out, const product_maps &maps,
                                              const float (&sum)[Shape::TILE_COLS / 2])
{
    with_plain(to.shape.act, [&](auto act) {
        activate_plain<Shape, act>(to, rows, column, ready, out, maps, sum);
    });
}

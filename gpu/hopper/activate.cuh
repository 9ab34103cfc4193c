// activate.cuh - sums on their way through the activation, forward and back.
//
// A gated tile has its columns as 8 gates and their 8 ups (by_rows.cuh, PAIRED), so that a thread
// holds both of a unit; it has two neighbouring units at a time. Where these lie in a row of Z
// depends on the layout.
#pragma once

#include "gpu/hopper/activation.cuh"
#include "gpu/hopper/store.cuh"

// Two neighbouring units, from an even one on.
struct two_units {
    float2 gate, up;
};

// ---- two units in a row of z ------------------------------------------------------------------

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

// Stores them, and gives them back as they were stored.
template <class Type>
static __device__ __forceinline__ two_units store_units(const struct unit_shape &shape,
                                                        uint16_t *row, int64_t unit,
                                                        const two_units &z)
{
    if (shape.layout == MOE_W1_INTERLEAVED) {
        const uint2 packed = {pack<Type>(z.gate.x, z.up.x), pack<Type>(z.gate.y, z.up.y)};
        *(uint2 *)(row + 2 * unit) = packed;
        const float2 first = unpack<Type>(packed.x), second = unpack<Type>(packed.y);
        return {{first.x, second.x}, {first.y, second.y}};
    }
    const uint32_t gates = pack<Type>(z.gate.x, z.gate.y), ups = pack<Type>(z.up.x, z.up.y);
    *(uint32_t *)(row + gate_place(shape, unit)) = gates;
    *(uint32_t *)(row + up_place(shape, unit)) = ups;
    return {unpack<Type>(gates), unpack<Type>(ups)};
}

// What is read here no kernel writes meanwhile: the loads may pass the stores around them.
template <class Type>
static __device__ __forceinline__ two_units load_units(const struct unit_shape &shape,
                                                       const uint16_t *row, int64_t unit)
{
    if (shape.layout == MOE_W1_INTERLEAVED) {
        const uint2 packed = __ldg((const uint2 *)(row + 2 * unit));
        const float2 first = unpack<Type>(packed.x), second = unpack<Type>(packed.y);
        return {{first.x, second.x}, {first.y, second.y}};
    }
    return {unpack<Type>(__ldg((const uint32_t *)(row + gate_place(shape, unit)))),
            unpack<Type>(__ldg((const uint32_t *)(row + up_place(shape, unit))))};
}

// ---- forward ----------------------------------------------------------------------------------

static __device__ __forceinline__ float score_at(const float *scores, int64_t row)
{
    return scores ? scores[row] : 1;
}

static __device__ __forceinline__ float2 scaled(float2 pair, float by)
{
    return make_float2(by * pair.x, by * pair.y);
}

// Rows r and r + 8 of this thread, within the tile.
static __device__ __forceinline__ int thread_row(int half)
{
    const int thread = threadIdx.x % GROUP;
    const int warpgroup = planted(FAULT_WARPGROUPS_SHARE) ? 0 : (int)threadIdx.x / GROUP;
    return warpgroup * 64 + thread / 32 * 16 + thread % 32 / 4 + 8 * half;
}

template <class Shape, int ACT>
static __device__ __forceinline__ void activate_gated(const struct activate_rows &to,
                                                      const struct row_tile &rows, int64_t unit,
                                                      const float (&sum)[Shape::TILE_COLS / 2])
{
    using Type = typename Shape::Type;
    const struct unit_shape &shape = to.shape;
    const uint16_t *const bias =
        to.bias ? (const uint16_t *)to.bias + rows.expert * 2 * shape.units : nullptr;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int64_t row = rows.row + thread_row(half);
        if (thread_row(half) >= rows.rows)
            continue;
        const float of_z = score_at(to.score_of_z, row), of_a = score_at(to.score_of_a, row);
        uint16_t *const z = (uint16_t *)to.z + row * 2 * shape.units;
        uint16_t *const a = (uint16_t *)to.a + row * shape.units;
#pragma unroll
        for (int i = 0; i < Shape::TILE_COLS / 16; i++) {
            const int64_t at = unit + 8 * i;
            if (at >= shape.units)
                continue;
            const float *const mine = &sum[8 * i + 2 * half];
            two_units value = {scaled({mine[0], mine[1]}, of_z), scaled({mine[4], mine[5]}, of_z)};
            if (bias) {
                const two_units b = load_units<Type>(shape, bias, at);
                value = {{value.gate.x + b.gate.x, value.gate.y + b.gate.y},
                         {value.up.x + b.up.x, value.up.y + b.up.y}};
            }
            two_units kept = store_units<Type>(shape, z, at, value);
            if (planted(FAULT_GATE_AND_UP_SWAPPED))
                kept = {kept.up, kept.gate};
            const float first =
                gate<ACT>(kept.gate.x, shape.clamp).value * up<ACT>(kept.up.x, shape.clamp).value;
            const float second =
                gate<ACT>(kept.gate.y, shape.clamp).value * up<ACT>(kept.up.y, shape.clamp).value;
            *(uint32_t *)(a + at) = pack<Type>(of_a * first, of_a * second);
        }
    }
}

template <class Shape, int ACT>
static __device__ __forceinline__ void activate_plain(const struct activate_rows &to,
                                                      const struct row_tile &rows, int64_t unit,
                                                      const float (&sum)[Shape::TILE_COLS / 2])
{
    using Type = typename Shape::Type;
    const struct unit_shape &shape = to.shape;
    const uint16_t *const bias =
        to.bias ? (const uint16_t *)to.bias + rows.expert * shape.units : nullptr;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int64_t row = rows.row + thread_row(half);
        if (thread_row(half) >= rows.rows)
            continue;
        const float of_z = score_at(to.score_of_z, row), of_a = score_at(to.score_of_a, row);
        uint16_t *const z = (uint16_t *)to.z + row * shape.units;
        uint16_t *const a = (uint16_t *)to.a + row * shape.units;
#pragma unroll
        for (int i = 0; i < Shape::TILE_COLS / 8; i++) {
            const int64_t at = unit + 8 * i;
            if (at >= shape.units)
                continue;
            float2 value = scaled({sum[4 * i + 2 * half], sum[4 * i + 2 * half + 1]}, of_z);
            if (bias) {
                const float2 b = unpack<Type>(__ldg((const uint32_t *)(bias + at)));
                value = {value.x + b.x, value.y + b.y};
            }
            const uint32_t stored = pack<Type>(value.x, value.y);
            *(uint32_t *)(z + at) = stored;
            const float2 kept = unpack<Type>(stored);
            *(uint32_t *)(a + at) = pack<Type>(of_a * gate<ACT>(kept.x, shape.clamp).value,
                                               of_a * gate<ACT>(kept.y, shape.clamp).value);
        }
    }
}

// Which activations a kernel knows.
struct swiglu_forward : activate_rows {
};
struct gated_forward : activate_rows {
};
struct plain_forward : activate_rows {
};

template <class Shape>
static __device__ __forceinline__ void finish(const swiglu_forward &to, const struct row_tile &rows,
                                              int32_t column,
                                              const float (&sum)[Shape::TILE_COLS / 2])
{
    activate_gated<Shape, MOE_SWIGLU>(to, rows, column / 2 + threadIdx.x % 4 * 2, sum);
}

template <class Shape>
static __device__ __forceinline__ void finish(const gated_forward &to, const struct row_tile &rows,
                                              int32_t column,
                                              const float (&sum)[Shape::TILE_COLS / 2])
{
    const int64_t unit = column / 2 + threadIdx.x % 4 * 2;
    with_gated(to.shape.act, [&](auto act) { activate_gated<Shape, act>(to, rows, unit, sum); });
}

template <class Shape>
static __device__ __forceinline__ void finish(const plain_forward &to, const struct row_tile &rows,
                                              int32_t column,
                                              const float (&sum)[Shape::TILE_COLS / 2])
{
    const int64_t unit = column + threadIdx.x % 4 * 2;
    with_plain(to.shape.act, [&](auto act) { activate_plain<Shape, act>(to, rows, unit, sum); });
}

// ---- back -------------------------------------------------------------------------------------

// What one unit gives: its share of <dA', A>, and s A.
struct unit_back {
    float gate, up, scaled, share;
};

template <int ACT>
static __device__ __forceinline__ unit_back back_gated(float z_gate, float z_up, float sum,
                                                       float score, float clamp)
{
    const activated g = gate<ACT>(z_gate, clamp), u = up<ACT>(z_up, clamp);
    const float value = g.value * u.value, d = planted(FAULT_DZ_WITHOUT_SCORE) ? sum : score * sum;
    return {d * u.value * g.slope, d * g.value * u.slope,
            planted(FAULT_DW2_WITHOUT_SCORE) ? value : score * value,
            (planted(FAULT_DS_SCORED) ? d : sum) * value};
}

// The share of the row, from the four threads that have parts of it.
static __device__ __forceinline__ void store_part(const struct activate_back &to, int64_t row,
                                                  int32_t part, float share)
{
    share += __shfl_xor_sync(~0u, share, 1);
    if (!planted(FAULT_DS_OF_TWO_LANES))
        share += __shfl_xor_sync(~0u, share, 2);
    if (to.parts && row >= 0 && threadIdx.x % 4 == 0)
        to.parts[row * to.part_count + (planted(FAULT_DS_ONE_PART) ? 0 : part)] = share;
}

template <class Shape, int ACT>
static __device__ __forceinline__ void
go_back_gated(const struct activate_back &to, const struct row_tile &rows, int64_t unit,
              int32_t part, const float (&sum)[Shape::TILE_COLS / 2])
{
    using Type = typename Shape::Type;
    const struct unit_shape &shape = to.shape;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const bool there = thread_row(half) < rows.rows;
        const int64_t row = rows.row + thread_row(half);
        const float score = there ? score_at(to.score, row) : 0;
        const uint16_t *const z = (const uint16_t *)to.z + row * 2 * shape.units;
        uint16_t *const dz = (uint16_t *)to.dz + row * 2 * shape.units;
        uint16_t *const sa = (uint16_t *)to.sa + row * shape.units;
        float share = 0;
#pragma unroll
        for (int i = 0; i < Shape::TILE_COLS / 8; i++) {
            const int64_t at = unit + 8 * i;
            if (!there || at >= shape.units)
                continue;
            const two_units kept = load_units<Type>(shape, z, at);
            const float *const mine = &sum[4 * i + 2 * half];
            const unit_back first =
                back_gated<ACT>(kept.gate.x, kept.up.x, mine[0], score, shape.clamp);
            const unit_back second =
                back_gated<ACT>(kept.gate.y, kept.up.y, mine[1], score, shape.clamp);
            store_units<Type>(shape, dz, at, {{first.gate, second.gate}, {first.up, second.up}});
            *(uint32_t *)(sa + at) = pack<Type>(first.scaled, second.scaled);
            share += first.share + second.share;
        }
        store_part(to, there ? row : -1, part, share);
    }
}

template <class Shape, int ACT>
static __device__ __forceinline__ void
go_back_plain(const struct activate_back &to, const struct row_tile &rows, int64_t unit,
              int32_t part, const float (&sum)[Shape::TILE_COLS / 2])
{
    using Type = typename Shape::Type;
    const struct unit_shape &shape = to.shape;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const bool there = thread_row(half) < rows.rows;
        const int64_t row = rows.row + thread_row(half);
        const float score = there ? score_at(to.score, row) : 0;
        const uint16_t *const z = (const uint16_t *)to.z + row * shape.units;
        uint16_t *const dz = (uint16_t *)to.dz + row * shape.units;
        uint16_t *const sa = (uint16_t *)to.sa + row * shape.units;
        float share = 0;
#pragma unroll
        for (int i = 0; i < Shape::TILE_COLS / 8; i++) {
            const int64_t at = unit + 8 * i;
            if (!there || at >= shape.units)
                continue;
            const float2 kept = unpack<Type>(__ldg((const uint32_t *)(z + at)));
            const activated first = gate<ACT>(kept.x, shape.clamp);
            const activated second = gate<ACT>(kept.y, shape.clamp);
            const float2 d = {sum[4 * i + 2 * half], sum[4 * i + 2 * half + 1]};
            *(uint32_t *)(dz + at) =
                pack<Type>(score * d.x * first.slope, score * d.y * second.slope);
            *(uint32_t *)(sa + at) = pack<Type>(score * first.value, score * second.value);
            share += d.x * first.value + d.y * second.value;
        }
        store_part(to, there ? row : -1, part, share);
    }
}

struct swiglu_back : activate_back {
};
struct gated_back : activate_back {
};
struct plain_back : activate_back {
};

template <class Shape>
static __device__ __forceinline__ void finish(const swiglu_back &to, const struct row_tile &rows,
                                              int32_t column,
                                              const float (&sum)[Shape::TILE_COLS / 2])
{
    go_back_gated<Shape, MOE_SWIGLU>(to, rows, column + threadIdx.x % 4 * 2,
                                     column / Shape::TILE_COLS, sum);
}

template <class Shape>
static __device__ __forceinline__ void finish(const gated_back &to, const struct row_tile &rows,
                                              int32_t column,
                                              const float (&sum)[Shape::TILE_COLS / 2])
{
    const int64_t unit = column + threadIdx.x % 4 * 2;
    const int32_t part = column / Shape::TILE_COLS;
    with_gated(to.shape.act,
               [&](auto act) { go_back_gated<Shape, act>(to, rows, unit, part, sum); });
}

template <class Shape>
static __device__ __forceinline__ void finish(const plain_back &to, const struct row_tile &rows,
                                              int32_t column,
                                              const float (&sum)[Shape::TILE_COLS / 2])
{
    const int64_t unit = column + threadIdx.x % 4 * 2;
    const int32_t part = column / Shape::TILE_COLS;
    with_plain(to.shape.act,
               [&](auto act) { go_back_plain<Shape, act>(to, rows, unit, part, sum); });
}

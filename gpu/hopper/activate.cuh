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

// ---- two units in a row of z: gates and ups, or, interleaved, the first unit and the second
// ------

struct unit_words {
    uint32_t first, second;
};

template <class Type>
static __device__ __forceinline__ unit_words pack_units(const struct unit_shape &shape,
                                                        const two_units &z)
{
    if (shape.layout == MOE_W1_INTERLEAVED)
        return {pack<Type>(z.gate.x, z.up.x), pack<Type>(z.gate.y, z.up.y)};
    return {pack<Type>(z.gate.x, z.gate.y), pack<Type>(z.up.x, z.up.y)};
}

template <class Type>
static __device__ __forceinline__ two_units unpack_units(const struct unit_shape &shape,
                                                         unit_words words)
{
    const float2 first = unpack<Type>(words.first), second = unpack<Type>(words.second);
    if (shape.layout == MOE_W1_INTERLEAVED)
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
        return unpack_units<Type>(shape, {both.x, both.y});
    }
    return unpack_units<Type>(shape, {__ldg((const uint32_t *)(row + gate_place(shape, unit))),
                                      __ldg((const uint32_t *)(row + up_place(shape, unit)))});
}

// Words of four blocks of eight units, as this thread has them (store.cuh), or turned.
struct unit_blocks {
    uint32_t first[QUAD_BLOCKS], second[QUAD_BLOCKS];

    __device__ __forceinline__ void turn()
    {
        turn_quad(first);
        turn_quad(second);
    }

    // Stores turned words: the eight units from this one on.
    __device__ __forceinline__ void store(const struct unit_shape &shape, uint16_t *row,
                                          int64_t unit) const
    {
        if (shape.layout == MOE_W1_INTERLEAVED) {
            uint4 *const to = (uint4 *)(row + 2 * unit);
            to[0] = make_uint4(first[0], second[0], first[1], second[1]);
            to[1] = make_uint4(first[2], second[2], first[3], second[3]);
        } else {
            *(uint4 *)(row + gate_place(shape, unit)) = packed_quad(first);
            *(uint4 *)(row + up_place(shape, unit)) = packed_quad(second);
        }
    }

    // Loads turned words. What is read here no kernel writes meanwhile: the loads may pass stores.
    __device__ __forceinline__ void load(const struct unit_shape &shape, const uint16_t *row,
                                         int64_t unit)
    {
        const int apart = shape.layout == MOE_W1_INTERLEAVED;
        const uint16_t *const low = row + (apart ? 2 * unit : gate_place(shape, unit));
        const uint16_t *const high = row + (apart ? 2 * unit + 8 : up_place(shape, unit));
        const uint4 a = __ldg((const uint4 *)low), b = __ldg((const uint4 *)high);
        if (apart) {
            first[0] = a.x, second[0] = a.y, first[1] = a.z, second[1] = a.w;
            first[2] = b.x, second[2] = b.y, first[3] = b.z, second[3] = b.w;
        } else {
            first[0] = a.x, first[1] = a.y, first[2] = a.z, first[3] = a.w;
            second[0] = b.x, second[1] = b.y, second[2] = b.z, second[3] = b.w;
        }
    }
};

// ---- forward ----------------------------------------------------------------------------------

static __device__ __forceinline__ float score_at(const float *scores, int64_t row)
{
    return scores ? scores[row] : 1;
}

static __device__ __forceinline__ float2 scaled(float2 pair, float by)
{
    return make_float2(by * pair.x, by * pair.y);
}

// `first`: the first unit of the tile.
template <class Shape, int ACT>
static __device__ __forceinline__ void activate_gated(const struct activate_rows &to,
                                                      const struct row_tile &rows, int64_t first,
                                                      const float (&sum)[Shape::TILE_COLS / 2])
{
    using Type = typename Shape::Type;
    const struct unit_shape &shape = to.shape;
    const uint16_t *const bias =
        to.bias ? (const uint16_t *)to.bias + rows.expert * 2 * shape.units : nullptr;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const bool there = thread_row(half) < rows.rows;
        const int64_t row = rows.row + thread_row(half);
        const float of_z = there ? score_at(to.score_of_z, row) : 0;
        const float of_a = there ? score_at(to.score_of_a, row) : 0;
        uint16_t *const z = (uint16_t *)to.z + row * 2 * shape.units;
        uint16_t *const a = (uint16_t *)to.a + row * shape.units;
#pragma unroll
        for (int i = 0; i < Shape::TILE_COLS / 16; i += QUAD_BLOCKS) {
            unit_blocks stored;
            uint32_t activated[QUAD_BLOCKS];
#pragma unroll
            for (int block = 0; block < QUAD_BLOCKS; block++) {
                const int64_t at = first + 8 * (i + block) + threadIdx.x % 4 * 2;
                const float *const mine = &sum[8 * (i + block) + 2 * half];
                two_units value = {scaled({mine[0], mine[1]}, of_z),
                                   scaled({mine[4], mine[5]}, of_z)};
                if (bias && at < shape.units) {
                    const two_units b = load_units<Type>(shape, bias, at);
                    value = {{value.gate.x + b.gate.x, value.gate.y + b.gate.y},
                             {value.up.x + b.up.x, value.up.y + b.up.y}};
                }
                const unit_words words = pack_units<Type>(shape, value);
                two_units kept = unpack_units<Type>(shape, words);
                if (planted(FAULT_GATE_AND_UP_SWAPPED))
                    kept = {kept.up, kept.gate};
                const float one = gate<ACT>(kept.gate.x, shape.clamp).value *
                                  up<ACT>(kept.up.x, shape.clamp).value;
                const float two = gate<ACT>(kept.gate.y, shape.clamp).value *
                                  up<ACT>(kept.up.y, shape.clamp).value;
                stored.first[block] = words.first;
                stored.second[block] = words.second;
                activated[block] = pack<Type>(of_a * one, of_a * two);
            }
            stored.turn();
            turn_quad(activated);
            const int64_t at = first + 8 * i + quad_column();
            if (there && at < shape.units) {
                stored.store(shape, z, at);
                *(uint4 *)(a + at) = packed_quad(activated);
            }
        }
    }
}

template <class Shape, int ACT>
static __device__ __forceinline__ void activate_plain(const struct activate_rows &to,
                                                      const struct row_tile &rows, int64_t first,
                                                      const float (&sum)[Shape::TILE_COLS / 2])
{
    using Type = typename Shape::Type;
    const struct unit_shape &shape = to.shape;
    const uint16_t *const bias =
        to.bias ? (const uint16_t *)to.bias + rows.expert * shape.units : nullptr;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const bool there = thread_row(half) < rows.rows;
        const int64_t row = rows.row + thread_row(half);
        const float of_z = there ? score_at(to.score_of_z, row) : 0;
        const float of_a = there ? score_at(to.score_of_a, row) : 0;
        uint16_t *const z = (uint16_t *)to.z + row * shape.units;
        uint16_t *const a = (uint16_t *)to.a + row * shape.units;
#pragma unroll
        for (int i = 0; i < Shape::TILE_COLS / 8; i += QUAD_BLOCKS) {
            uint32_t stored[QUAD_BLOCKS], activated[QUAD_BLOCKS];
#pragma unroll
            for (int block = 0; block < QUAD_BLOCKS; block++) {
                const int64_t at = first + 8 * (i + block) + threadIdx.x % 4 * 2;
                const float *const mine = &sum[4 * (i + block) + 2 * half];
                float2 value = scaled({mine[0], mine[1]}, of_z);
                if (bias && at < shape.units) {
                    const float2 b = unpack<Type>(__ldg((const uint32_t *)(bias + at)));
                    value = {value.x + b.x, value.y + b.y};
                }
                stored[block] = pack<Type>(value.x, value.y);
                const float2 kept = unpack<Type>(stored[block]);
                activated[block] = pack<Type>(of_a * gate<ACT>(kept.x, shape.clamp).value,
                                              of_a * gate<ACT>(kept.y, shape.clamp).value);
            }
            turn_quad(stored);
            turn_quad(activated);
            const int64_t at = first + 8 * i + quad_column();
            if (there && at < shape.units) {
                *(uint4 *)(z + at) = packed_quad(stored);
                *(uint4 *)(a + at) = packed_quad(activated);
            }
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
    activate_gated<Shape, MOE_SWIGLU>(to, rows, column / 2, sum);
}

template <class Shape>
static __device__ __forceinline__ void finish(const gated_forward &to, const struct row_tile &rows,
                                              int32_t column,
                                              const float (&sum)[Shape::TILE_COLS / 2])
{
    with_gated(to.shape.act,
               [&](auto act) { activate_gated<Shape, act>(to, rows, column / 2, sum); });
}

template <class Shape>
static __device__ __forceinline__ void finish(const plain_forward &to, const struct row_tile &rows,
                                              int32_t column,
                                              const float (&sum)[Shape::TILE_COLS / 2])
{
    with_plain(to.shape.act, [&](auto act) { activate_plain<Shape, act>(to, rows, column, sum); });
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

// Loads of a tile run so many groups of blocks ahead of what is made of them: z comes from far.
constexpr int LOADS_AHEAD = 3;

// `first`: the first unit of the tile. Groups of four blocks: those of the first half of the rows,
// then of the second.
template <class Shape, int ACT>
static __device__ __forceinline__ void
go_back_gated(const struct activate_back &to, const struct row_tile &rows, int64_t first,
              int32_t part, const float (&sum)[Shape::TILE_COLS / 2])
{
    using Type = typename Shape::Type;
    constexpr int GROUPS = Shape::TILE_COLS / 8 / QUAD_BLOCKS;
    const struct unit_shape &shape = to.shape;
    unit_blocks coming[LOADS_AHEAD];
    const auto load = [&](int number) {
        const int half = number / GROUPS;
        const int64_t at = first + 8 * QUAD_BLOCKS * (number % GROUPS) + quad_column();
        unit_blocks &blocks = coming[number % LOADS_AHEAD];
        blocks = {};
        if (thread_row(half) < rows.rows && at < shape.units)
            blocks.load(shape,
                        (const uint16_t *)to.z + (rows.row + thread_row(half)) * 2 * shape.units,
                        at);
    };
#pragma unroll
    for (int number = 0; number < LOADS_AHEAD && number < 2 * GROUPS; number++)
        load(number);
    float share = 0;
#pragma unroll
    for (int number = 0; number < 2 * GROUPS; number++) {
        const int half = number / GROUPS, i = number % GROUPS * QUAD_BLOCKS;
        const bool there = thread_row(half) < rows.rows;
        const int64_t row = rows.row + thread_row(half);
        const float score = there ? score_at(to.score, row) : 0;
        unit_blocks z = coming[number % LOADS_AHEAD], dz;
        uint32_t scaled_a[QUAD_BLOCKS];
        if (number + LOADS_AHEAD < 2 * GROUPS)
            load(number + LOADS_AHEAD);
        z.turn();
#pragma unroll
        for (int block = 0; block < QUAD_BLOCKS; block++) {
            const two_units kept = unpack_units<Type>(shape, {z.first[block], z.second[block]});
            const float *const mine = &sum[4 * (i + block) + 2 * half];
            const unit_back one =
                back_gated<ACT>(kept.gate.x, kept.up.x, mine[0], score, shape.clamp);
            const unit_back two =
                back_gated<ACT>(kept.gate.y, kept.up.y, mine[1], score, shape.clamp);
            const unit_words words =
                pack_units<Type>(shape, {{one.gate, two.gate}, {one.up, two.up}});
            dz.first[block] = words.first;
            dz.second[block] = words.second;
            scaled_a[block] = pack<Type>(one.scaled, two.scaled);
            if (first + 8 * (i + block) < shape.units)
                share += one.share + two.share;
        }
        dz.turn();
        turn_quad(scaled_a);
        const int64_t at = first + 8 * i + quad_column();
        if (there && at < shape.units) {
            dz.store(shape, (uint16_t *)to.dz + row * 2 * shape.units, at);
            *(uint4 *)((uint16_t *)to.sa + row * shape.units + at) = packed_quad(scaled_a);
        }
        if (number % GROUPS == GROUPS - 1) {
            store_part(to, there ? row : -1, part, share);
            share = 0;
        }
    }
}

template <class Shape, int ACT>
static __device__ __forceinline__ void
go_back_plain(const struct activate_back &to, const struct row_tile &rows, int64_t first,
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
        float share = 0;
#pragma unroll
        for (int i = 0; i < Shape::TILE_COLS / 8; i += QUAD_BLOCKS) {
            const int64_t at = first + 8 * i + quad_column();
            const bool within = there && at < shape.units;
            const uint4 loaded = within ? __ldg((const uint4 *)(z + at)) : make_uint4(0, 0, 0, 0);
            uint32_t word[QUAD_BLOCKS] = {loaded.x, loaded.y, loaded.z, loaded.w};
            uint32_t dz[QUAD_BLOCKS], scaled_a[QUAD_BLOCKS];
            turn_quad(word);
#pragma unroll
            for (int block = 0; block < QUAD_BLOCKS; block++) {
                const float2 kept = unpack<Type>(word[block]);
                const activated one = gate<ACT>(kept.x, shape.clamp);
                const activated two = gate<ACT>(kept.y, shape.clamp);
                const float *const d = &sum[4 * (i + block) + 2 * half];
                dz[block] = pack<Type>(score * d[0] * one.slope, score * d[1] * two.slope);
                scaled_a[block] = pack<Type>(score * one.value, score * two.value);
                if (first + 8 * (i + block) < shape.units)
                    share += d[0] * one.value + d[1] * two.value;
            }
            turn_quad(dz);
            turn_quad(scaled_a);
            if (within) {
                *(uint4 *)((uint16_t *)to.dz + row * shape.units + at) = packed_quad(dz);
                *(uint4 *)((uint16_t *)to.sa + row * shape.units + at) = packed_quad(scaled_a);
            }
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

// What the epilogue will read, by a thread of the warpgroup that fills, as the tile begins: a row's
// units of z, which nobody has read since the forward pass.
template <class Shape, class Back>
static __device__ __forceinline__ void prefetch(const Back &to, const struct row_tile &rows,
                                                int32_t column, int thread)
{
    constexpr bool GATED = !std::is_same_v<Back, plain_back>;
    static_assert(TILE_ROWS == GROUP, "a row a thread");
    if (thread >= rows.rows)
        return;
    const struct unit_shape &shape = to.shape;
    const int64_t left = shape.units - column;
    const uint32_t bytes = 2 * (uint32_t)(left < Shape::TILE_COLS ? left : Shape::TILE_COLS);
    const uint16_t *const z =
        (const uint16_t *)to.z + (rows.row + thread) * (GATED ? 2 : 1) * shape.units;
    if (GATED && shape.layout != MOE_W1_HALVES) {
        prefetch_to_l2(z + 2 * column, 2 * bytes);
        return;
    }
    prefetch_to_l2(z + column, bytes);
    if (GATED)
        prefetch_to_l2(z + shape.units + column, bytes);
}

template <class Shape>
static __device__ __forceinline__ void finish(const swiglu_back &to, const struct row_tile &rows,
                                              int32_t column,
                                              const float (&sum)[Shape::TILE_COLS / 2])
{
    go_back_gated<Shape, MOE_SWIGLU>(to, rows, column, column / Shape::TILE_COLS, sum);
}

template <class Shape>
static __device__ __forceinline__ void finish(const gated_back &to, const struct row_tile &rows,
                                              int32_t column,
                                              const float (&sum)[Shape::TILE_COLS / 2])
{
    const int32_t part = column / Shape::TILE_COLS;
    with_gated(to.shape.act,
               [&](auto act) { go_back_gated<Shape, act>(to, rows, column, part, sum); });
}

template <class Shape>
static __device__ __forceinline__ void finish(const plain_back &to, const struct row_tile &rows,
                                              int32_t column,
                                              const float (&sum)[Shape::TILE_COLS / 2])
{
    const int32_t part = column / Shape::TILE_COLS;
    with_plain(to.shape.act,
               [&](auto act) { go_back_plain<Shape, act>(to, rows, column, part, sum); });
}

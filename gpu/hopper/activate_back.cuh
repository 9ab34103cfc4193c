// activate_back.cuh - sums on their way back through the activation.
#pragma once

#include "gpu/hopper/units.cuh"

struct swiglu_back : activate_back {
};
struct clamped_back : activate_back {
};
struct gated_back : activate_back {
};
struct plain_back : activate_back {
};

template <> constexpr bool by_layout<swiglu_back> = true;
template <> constexpr bool by_layout<clamped_back> = true;

static __device__ __forceinline__ int layout_of(const struct activate_back &to)
{
    return to.shape.layout;
}

// What one unit gives: its share of <dA', A>, and s A.
struct unit_back {
    float gate, up, scaled, share;
};

template <int ACT>
static __device__ __forceinline__ unit_back back_gated(float z_gate, float z_up, float sum,
                                                       float score, const act_parameters &how)
{
    const activated g = gate<ACT>(z_gate, how), u = up<ACT>(z_up, how);
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

// ---- z, which comes from far ------------------------------------------------------------------

// Groups of four blocks are those of this thread's first row, then of its second. Loads run so many
// groups ahead of what is made of them; the first begin before the sums do.
constexpr int LOADS_AHEAD = 2;

// PIECES of 16 bytes a group: 2 where units have a gate and an up.
template <int PIECES> struct ready_back {
    uint32_t z[LOADS_AHEAD][PIECES][QUAD_BLOCKS];
    float2 score; // of this thread's two rows
};

// One of this thread's rows of z.
template <int PIECES> struct row_of_z {
    const uint16_t *low, *high;
    int32_t next, left;

    __device__ __forceinline__ row_of_z(const struct activate_back &to, const struct row_tile &rows,
                                        int32_t first, int layout, int half)
        : left(columns_left(thread_row(half) < rows.rows, to.shape.units, first))
    {
        const uint16_t *const z = (const uint16_t *)to.z;
        const int64_t row = rows.row + thread_row(half);
        if constexpr (PIECES == 2) {
            const unit_pieces<const uint16_t> pieces(to.shape, layout, z, row, first);
            low = pieces.low, high = pieces.high, next = pieces.next;
        } else {
            low = high = pinned(z + row * to.shape.units + first + quad_column());
            next = 8 * QUAD_BLOCKS;
        }
    }

    __device__ __forceinline__ void load(int group, uint32_t (&word)[PIECES][QUAD_BLOCKS]) const
    {
        const bool there = 8 * QUAD_BLOCKS * group < left;
        load_global_16(low + group * next, there, word[0]);
        if constexpr (PIECES == 2)
            load_global_16(high + group * next, there, word[1]);
    }
};

template <class Shape, int PIECES>
static __device__ __forceinline__ ready_back<PIECES>
read_ahead(const struct activate_back &to, const struct row_tile &rows, int32_t first, int layout)
{
    static_assert(LOADS_AHEAD <= Shape::TILE_COLS / 8 / QUAD_BLOCKS, "all are of the first row");
    const row_of_z<PIECES> z(to, rows, first, layout, 0);
    ready_back<PIECES> ready;
#pragma unroll
    for (int group = 0; group < LOADS_AHEAD; group++)
        z.load(group, ready.z[group]);
    ready.score = two_scores(to.score, rows);
    return ready;
}

template <class Shape, class Back,
          class = std::enable_if_t<std::is_base_of_v<struct activate_back, Back>>>
static __device__ __forceinline__ auto prepare(const Back &to, const struct row_tile &rows,
                                               int32_t first, int layout)
{
    constexpr int PIECES = std::is_same_v<Back, plain_back> ? 1 : 2;
    return read_ahead<Shape, PIECES>(to, rows, first, layout);
}

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

// ---- back -------------------------------------------------------------------------------------

// `first`: the first unit of the tile.
template <class Shape, int ACT>
static __device__ __forceinline__ void
go_back_gated(const struct activate_back &to, const struct row_tile &rows, int32_t first,
              int layout, ready_back<2> &ready, const float (&sum)[Shape::TILE_COLS / 2])
{
    using Type = typename Shape::Type;
    constexpr int GROUPS = Shape::TILE_COLS / 8 / QUAD_BLOCKS;
    const warp_turn<Shape> turn;
    const struct unit_shape &shape = to.shape;
    const act_parameters how = parameters_of(shape.act, shape.clamp);
    const bool apart = layout == MOE_W1_INTERLEAVED;
    const int32_t all = pinned((int32_t)shape.units - first);
    row_of_z<2> z_ahead(to, rows, first, layout, 0);
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int64_t row = rows.row + thread_row(half);
        const bool there = thread_row(half) < rows.rows;
        const int32_t left = columns_left(there, shape.units, first);
        const float score = half ? ready.score.y : ready.score.x;
        const unit_pieces<uint16_t> dz(shape, layout, (uint16_t *)to.dz, row, first);
        uint16_t *const sa = pinned((uint16_t *)to.sa + row * shape.units + first + quad_column());
        float share = 0;
#pragma unroll
        for (int group = 0; group < GROUPS; group++) {
            const int number = half * GROUPS + group, ahead = number + LOADS_AHEAD;
            const int at = 8 * QUAD_BLOCKS * group;
            uint32_t z[2][QUAD_BLOCKS], word[3][QUAD_BLOCKS]; // of z; two of dz, and s A
            split_pieces(apart, ready.z[number % LOADS_AHEAD], z);
            if (ahead == GROUPS)
                z_ahead = row_of_z<2>(to, rows, first, layout, 1);
            if (ahead < 2 * GROUPS)
                z_ahead.load(ahead % GROUPS, ready.z[number % LOADS_AHEAD]);
            turn.template in<0>(z);
#pragma unroll
            for (int block = 0; block < QUAD_BLOCKS; block++) {
                const two_units kept = unpack_units<Type>(apart, {z[0][block], z[1][block]});
                const float *const mine = &sum[at / 2 + 4 * block + 2 * half];
                const unit_back one = back_gated<ACT>(kept.gate.x, kept.up.x, mine[0], score, how);
                const unit_back two = back_gated<ACT>(kept.gate.y, kept.up.y, mine[1], score, how);
                const unit_words words =
                    pack_units<Type>(apart, {{one.gate, two.gate}, {one.up, two.up}});
                word[0][block] = words.first;
                word[1][block] = words.second;
                word[2][block] = pack<Type>(one.scaled, two.scaled);
                if (at + 8 * block < all)
                    share += one.share + two.share;
            }
            turn.template out<2>(word); // behind those of z
            store_pieces(apart, dz, group, at < left, word[0], word[1]);
            store_quad(sa + at, at < left, word[2]);
        }
        store_part(to, there ? row : -1, first / Shape::TILE_COLS, share);
    }
}

template <class Shape, int ACT>
static __device__ __forceinline__ void
go_back_plain(const struct activate_back &to, const struct row_tile &rows, int32_t first,
              ready_back<1> &ready, const float (&sum)[Shape::TILE_COLS / 2])
{
    using Type = typename Shape::Type;
    constexpr int GROUPS = Shape::TILE_COLS / 8 / QUAD_BLOCKS;
    const warp_turn<Shape> turn;
    const struct unit_shape &shape = to.shape;
    const act_parameters how = parameters_of(shape.act, shape.clamp);
    const int32_t all = pinned((int32_t)shape.units - first);
    row_of_z<1> z_ahead(to, rows, first, shape.layout, 0);
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int64_t row = rows.row + thread_row(half);
        const bool there = thread_row(half) < rows.rows;
        const int32_t left = columns_left(there, shape.units, first);
        const float score = half ? ready.score.y : ready.score.x;
        const int64_t begin = row * shape.units + first + quad_column();
        uint16_t *const dz = pinned((uint16_t *)to.dz + begin);
        uint16_t *const sa = pinned((uint16_t *)to.sa + begin);
        float share = 0;
#pragma unroll
        for (int group = 0; group < GROUPS; group++) {
            const int number = half * GROUPS + group, ahead = number + LOADS_AHEAD;
            const int at = 8 * QUAD_BLOCKS * group;
            uint32_t z[1][QUAD_BLOCKS], word[2][QUAD_BLOCKS]; // of z; of dz, and of s A
#pragma unroll
            for (int block = 0; block < QUAD_BLOCKS; block++)
                z[0][block] = ready.z[number % LOADS_AHEAD][0][block];
            if (ahead == GROUPS)
                z_ahead = row_of_z<1>(to, rows, first, shape.layout, 1);
            if (ahead < 2 * GROUPS)
                z_ahead.load(ahead % GROUPS, ready.z[number % LOADS_AHEAD]);
            turn.template in<0>(z);
#pragma unroll
            for (int block = 0; block < QUAD_BLOCKS; block++) {
                const float2 kept = unpack<Type>(z[0][block]);
                const activated one = gate<ACT>(kept.x, how);
                const activated two = gate<ACT>(kept.y, how);
                const float *const d = &sum[at / 2 + 4 * block + 2 * half];
                word[0][block] = pack<Type>(score * d[0] * one.slope, score * d[1] * two.slope);
                word[1][block] = pack<Type>(score * one.value, score * two.value);
                if (at + 8 * block < all)
                    share += d[0] * one.value + d[1] * two.value;
            }
            turn.template out<2>(word);
            store_quad(dz + at, at < left, word[0]);
            store_quad(sa + at, at < left, word[1]);
        }
        store_part(to, there ? row : -1, first / Shape::TILE_COLS, share);
    }
}

template <class Shape>
static __device__ __forceinline__ void finish(const swiglu_back &to, const struct row_tile &rows,
                                              int32_t first, int layout, ready_back<2> &ready,
                                              const float (&sum)[Shape::TILE_COLS / 2])
{
    go_back_gated<Shape, MOE_SWIGLU>(to, rows, first, layout, ready, sum);
}

template <class Shape>
static __device__ __forceinline__ void finish(const clamped_back &to, const struct row_tile &rows,
                                              int32_t first, int layout, ready_back<2> &ready,
                                              const float (&sum)[Shape::TILE_COLS / 2])
{
    go_back_gated<Shape, ACT_CLAMPED>(to, rows, first, layout, ready, sum);
}

template <class Shape>
static __device__ __forceinline__ void finish(const gated_back &to, const struct row_tile &rows,
                                              int32_t first, int layout, ready_back<2> &ready,
                                              const float (&sum)[Shape::TILE_COLS / 2])
{
    with_gated(to.shape.act,
               [&](auto act) { go_back_gated<Shape, act>(to, rows, first, layout, ready, sum); });
}

template <class Shape>
static __device__ __forceinline__ void finish(const plain_back &to, const struct row_tile &rows,
                                              int32_t first, int, ready_back<1> &ready,
                                              const float (&sum)[Shape::TILE_COLS / 2])
{
    with_plain(to.shape.act,
               [&](auto act) { go_back_plain<Shape, act>(to, rows, first, ready, sum); });
}

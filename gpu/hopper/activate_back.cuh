// activate_back.cuh - sums on their way back through the activation.
#pragma once

#include "gpu/hopper/z_stages.cuh"

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

template <> constexpr int boxes_of_z<swiglu_back> = 2;
template <> constexpr int boxes_of_z<clamped_back> = 2;
template <> constexpr int boxes_of_z<gated_back> = 2;
template <> constexpr int boxes_of_z<plain_back> = 1;

static __device__ __forceinline__ int layout_of(const struct activate_back &to)
{
    return to.shape.layout;
}

// What one unit gives: dZ, s A, and A.
struct unit_back {
    float gate, up, scaled, value;
};

template <int ACT>
static __device__ __forceinline__ unit_back back_gated(float z_gate, float z_up, float sum,
                                                       float score, const act_parameters &how)
{
    const activated g = gate<ACT>(z_gate, how), u = up<ACT>(z_up, how);
    const float value = g.value * u.value, d = planted(FAULT_DZ_WITHOUT_SCORE) ? sum : score * sum;
    return {d * u.value * g.slope, d * g.value * u.slope,
            planted(FAULT_DW2_WITHOUT_SCORE) ? value : score * value, value};
}

// <dA', A> of two neighbours. Which of the products is rounded is said here: a compiler that may
// choose does by what is around them, and bits change with it.
static __device__ __forceinline__ float share_of(float d_one, float one, float d_two, float two)
{
    return __fmaf_rn(d_one, one, __fmul_rn(d_two, two));
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

struct ready_back {
    float2 score; // of this thread's two rows
};

template <class Shape>
static __device__ __forceinline__ ready_back prepare(const struct activate_back &to,
                                                     const struct row_tile &rows, int32_t, int)
{
    return {two_scores(to.score, rows)};
}

// ---- back -------------------------------------------------------------------------------------

// This thread's two rows, from the tile's first unit on.
struct back_rows {
    int32_t row;            // the first; the second is 8 on. There are fewer than 2^31 (product.c).
    int32_t left[2], units; // units that are left: of this thread's turned ones, and at all
    float score[2];
    uint16_t *sa[2];

    __device__ __forceinline__ back_rows(const struct activate_back &to,
                                         const struct row_tile &rows, int32_t first,
                                         const ready_back &ready)
        : row((int32_t)rows.row + thread_row(0)),
          units(pinned((int32_t)to.shape.units - first)), score{ready.score.x, ready.score.y}
    {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            left[half] = columns_left(thread_row(half) < rows.rows, to.shape.units, first);
            sa[half] = pinned((uint16_t *)to.sa + place(to, first, half));
        }
    }

    // In [N,I], of this thread's turned units.
    __device__ __forceinline__ int64_t place(const struct activate_back &to, int32_t first,
                                             int half) const
    {
        return (row + 8 * half) * to.shape.units + first + quad_column();
    }
};

// `first`: the first unit of the tile.
template <class Shape, int ACT>
static __device__ __forceinline__ void
go_back_gated(const struct activate_back &to, const struct row_tile &rows, int32_t first,
              int layout, const ready_back &ready, z_reader<Shape, 2> &z,
              const float (&sum)[Shape::TILE_COLS / 2])
{
    using Type = typename Shape::Type;
    const warp_turn<Shape> turn;
    const struct unit_shape &shape = to.shape;
    const act_parameters how = parameters_of(shape.act, shape.clamp);
    const bool apart = layout == MOE_W1_INTERLEAVED;
    const back_rows own(to, rows, first, ready);
    const unit_pieces dz[2] = {{shape, layout, (uint16_t *)to.dz, own.row, first},
                               {shape, layout, (uint16_t *)to.dz, own.row + 8, first}};
    float share[2] = {0, 0};
    take_z(z, [&](int half, int at, const uint32_t(&kept)[2][QUAD_BLOCKS]) {
        // groups that are interleaved take too many registers, and behind a branch they are not
        if (ACT == ACT_CLAMPED && at >= own.units) {
            turn.meet();
            return;
        }
        uint32_t word[3][QUAD_BLOCKS]; // two of dz, and s A
#pragma unroll
        for (int block = 0; block < QUAD_BLOCKS; block++) {
            const two_units z = unpack_units<Type>(apart, {kept[0][block], kept[1][block]});
            const float *const d = &sum[at / 2 + 4 * block + 2 * half];
            const float score = own.score[half], by = planted(FAULT_DS_SCORED) ? score : 1;
            const unit_back one = back_gated<ACT>(z.gate.x, z.up.x, d[0], score, how);
            const unit_back two = back_gated<ACT>(z.gate.y, z.up.y, d[1], score, how);
            const unit_words words =
                pack_units<Type>(apart, {{one.gate, two.gate}, {one.up, two.up}});
            word[0][block] = words.first;
            word[1][block] = words.second;
            word[2][block] = pack<Type>(one.scaled, two.scaled);
            const float both = share_of(d[0] * by, one.value, d[1] * by, two.value);
            if (at + 8 * block < own.units)
                share[half] += both;
        }
        turn.out(at / 8 / QUAD_BLOCKS, word);
        store_pieces(apart, dz[half], at / 8 / QUAD_BLOCKS, at < own.left[half], word[0], word[1]);
        store_quad(own.sa[half] + at, at < own.left[half], word[2]);
    });
#pragma unroll
    for (int half = 0; half < 2; half++)
        store_part(to, thread_row(half) < rows.rows ? own.row + 8 * half : -1,
                   first / Shape::TILE_COLS, share[half]);
}

template <class Shape, int ACT>
static __device__ __forceinline__ void go_back_plain(const struct activate_back &to,
                                                     const struct row_tile &rows, int32_t first,
                                                     const ready_back &ready, z_reader<Shape, 1> &z,
                                                     const float (&sum)[Shape::TILE_COLS / 2])
{
    using Type = typename Shape::Type;
    const warp_turn<Shape> turn;
    const struct unit_shape &shape = to.shape;
    const act_parameters how = parameters_of(shape.act, shape.clamp);
    const back_rows own(to, rows, first, ready);
    uint16_t *const dz[2] = {pinned((uint16_t *)to.dz + own.place(to, first, 0)),
                             pinned((uint16_t *)to.dz + own.place(to, first, 1))};
    float share[2] = {0, 0};
    take_z(z, [&](int half, int at, const uint32_t(&kept)[1][QUAD_BLOCKS]) {
        uint32_t word[2][QUAD_BLOCKS]; // of dz, and of s A
#pragma unroll
        for (int block = 0; block < QUAD_BLOCKS; block++) {
            const float2 z = unpack<Type>(kept[0][block]);
            const activated one = gate<ACT>(z.x, how);
            const activated two = gate<ACT>(z.y, how);
            const float *const d = &sum[at / 2 + 4 * block + 2 * half];
            const float score = own.score[half];
            word[0][block] = pack<Type>(score * d[0] * one.slope, score * d[1] * two.slope);
            word[1][block] = pack<Type>(score * one.value, score * two.value);
            const float both = share_of(d[0], one.value, d[1], two.value);
            if (at + 8 * block < own.units)
                share[half] += both;
        }
        turn.out(at / 8 / QUAD_BLOCKS, word);
        store_quad(dz[half] + at, at < own.left[half], word[0]);
        store_quad(own.sa[half] + at, at < own.left[half], word[1]);
    });
#pragma unroll
    for (int half = 0; half < 2; half++)
        store_part(to, thread_row(half) < rows.rows ? own.row + 8 * half : -1,
                   first / Shape::TILE_COLS, share[half]);
}

template <class Shape>
static __device__ __forceinline__ void
finish(const swiglu_back &to, const struct row_tile &rows, int32_t first, int layout,
       const ready_back &ready, z_reader<Shape, 2> &z, const float (&sum)[Shape::TILE_COLS / 2])
{
    go_back_gated<Shape, MOE_SWIGLU>(to, rows, first, layout, ready, z, sum);
}

template <class Shape>
static __device__ __forceinline__ void
finish(const clamped_back &to, const struct row_tile &rows, int32_t first, int layout,
       const ready_back &ready, z_reader<Shape, 2> &z, const float (&sum)[Shape::TILE_COLS / 2])
{
    go_back_gated<Shape, ACT_CLAMPED>(to, rows, first, layout, ready, z, sum);
}

template <class Shape>
static __device__ __forceinline__ void
finish(const gated_back &to, const struct row_tile &rows, int32_t first, int layout,
       const ready_back &ready, z_reader<Shape, 2> &z, const float (&sum)[Shape::TILE_COLS / 2])
{
    with_gated(to.shape.act, [&](auto act) {
        go_back_gated<Shape, act>(to, rows, first, layout, ready, z, sum);
    });
}

template <class Shape>
static __device__ __forceinline__ void
finish(const plain_back &to, const struct row_tile &rows, int32_t first, int,
       const ready_back &ready, z_reader<Shape, 1> &z, const float (&sum)[Shape::TILE_COLS / 2])
{
    with_plain(to.shape.act,
               [&](auto act) { go_back_plain<Shape, act>(to, rows, first, ready, z, sum); });
}

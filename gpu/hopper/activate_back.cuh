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

// The shares of this thread's two rows, from the four threads that have parts of them.
static __device__ __forceinline__ void store_parts(const struct activate_back &to,
                                                   const struct row_tile &rows, int32_t part,
                                                   const float (&share)[2])
{
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float sum = share[half] + __shfl_xor_sync(~0u, share[half], 1);
        if (!planted(FAULT_DS_OF_TWO_LANES))
            sum += __shfl_xor_sync(~0u, sum, 2);
        const int row = thread_row(half);
        if (to.parts && row < rows.rows && threadIdx.x % 4 == 0)
            to.parts[(rows.row + row) * to.part_count + (planted(FAULT_DS_ONE_PART) ? 0 : part)] =
                sum;
    }
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

// `first`: the first unit of the tile.
template <class Shape, int ACT>
static __device__ __forceinline__ void
go_back_gated(const struct activate_back &to, const struct row_tile &rows, int32_t first,
              int layout, const ready_back &ready, z_reader<Shape, 2> &z, box_writer<Shape> &out,
              const product_maps &maps, const float (&sum)[Shape::TILE_COLS / 2])
{
    using Type = typename Shape::Type;
    const struct unit_shape &shape = to.shape;
    const act_parameters how = parameters_of(shape.act, shape.clamp);
    const bool apart = layout == MOE_W1_INTERLEAVED;
    const int32_t units = (int32_t)shape.units - first; // that are left
    const uint32_t line = quad_line(), line_of_z = unit_line(layout);
    float share[2] = {0, 0};
#pragma unroll
    for (int begin = 0; begin < Shape::TILE_COLS; begin += BOX) {
        z.next();
        if (begin >= units) {
            z.release();
            continue;
        }
        uint32_t box[3]; // two of dz, and s A
        out.take(box);
        take_z(z, [&](int half, int group, const uint32_t(&kept)[2][QUAD_BLOCKS]) {
            const int at = begin + 8 * QUAD_BLOCKS * group;
            uint32_t word[3][QUAD_BLOCKS];
#pragma unroll
            for (int block = 0; block < QUAD_BLOCKS; block++) {
                const two_units z = unpack_units<Type>(apart, {kept[0][block], kept[1][block]});
                const float *const d = &sum[at / 2 + 4 * block + 2 * half];
                const float score = half ? ready.score.y : ready.score.x;
                const float by = planted(FAULT_DS_SCORED) ? score : 1;
                const unit_back one = back_gated<ACT>(z.gate.x, z.up.x, d[0], score, how);
                const unit_back two = back_gated<ACT>(z.gate.y, z.up.y, d[1], score, how);
                const unit_words words =
                    pack_units<Type>(apart, {{one.gate, two.gate}, {one.up, two.up}});
                word[0][block] = words.first;
                word[1][block] = words.second;
                word[2][block] = pack<Type>(one.scaled, two.scaled);
                const float both = share_of(d[0] * by, one.value, d[1] * by, two.value);
                if (at + 8 * block < units)
                    share[half] += both;
            }
            stage_units(box, layout, line_of_z, half, group, word[0], word[1]);
            stage_quad(box[2], line, half, group, word[2]);
        });
        out.filled();
        store_units(out, rows, box, maps.stored[0], layout, shape,
                    (uint16_t *)to.dz + rows.row * 2 * shape.units, first + begin);
        store_ones(out, rows, box[2], maps.stored[1], shape,
                   (uint16_t *)to.sa + rows.row * shape.units, first + begin);
    }
    store_parts(to, rows, first / Shape::TILE_COLS, share);
}

template <class Shape, int ACT>
static __device__ __forceinline__ void
go_back_plain(const struct activate_back &to, const struct row_tile &rows, int32_t first,
              const ready_back &ready, z_reader<Shape, 1> &z, box_writer<Shape> &out,
              const product_maps &maps, const float (&sum)[Shape::TILE_COLS / 2])
{
    using Type = typename Shape::Type;
    const struct unit_shape &shape = to.shape;
    const act_parameters how = parameters_of(shape.act, shape.clamp);
    const int32_t units = (int32_t)shape.units - first; // that are left
    const uint32_t line = quad_line();
    float share[2] = {0, 0};
#pragma unroll
    for (int begin = 0; begin < Shape::TILE_COLS; begin += BOX) {
        z.next();
        if (begin >= units) {
            z.release();
            continue;
        }
        uint32_t box[2]; // dz, and s A
        out.take(box);
        take_z(z, [&](int half, int group, const uint32_t(&kept)[1][QUAD_BLOCKS]) {
            const int at = begin + 8 * QUAD_BLOCKS * group;
            uint32_t word[2][QUAD_BLOCKS];
#pragma unroll
            for (int block = 0; block < QUAD_BLOCKS; block++) {
                const float2 z = unpack<Type>(kept[0][block]);
                const activated one = gate<ACT>(z.x, how);
                const activated two = gate<ACT>(z.y, how);
                const float *const d = &sum[at / 2 + 4 * block + 2 * half];
                const float score = half ? ready.score.y : ready.score.x;
                word[0][block] = pack<Type>(score * d[0] * one.slope, score * d[1] * two.slope);
                word[1][block] = pack<Type>(score * one.value, score * two.value);
                const float both = share_of(d[0], one.value, d[1], two.value);
                if (at + 8 * block < units)
                    share[half] += both;
            }
            stage_quad(box[0], line, half, group, word[0]);
            stage_quad(box[1], line, half, group, word[1]);
        });
        out.filled();
        store_ones(out, rows, box[0], maps.stored[0], shape,
                   (uint16_t *)to.dz + rows.row * shape.units, first + begin);
        store_ones(out, rows, box[1], maps.stored[1], shape,
                   (uint16_t *)to.sa + rows.row * shape.units, first + begin);
    }
    store_parts(to, rows, first / Shape::TILE_COLS, share);
}

template <class Shape>
static __device__ __forceinline__ void
finish(const swiglu_back &to, const struct row_tile &rows, int32_t first, int layout,
       const ready_back &ready, z_reader<Shape, 2> &z, box_writer<Shape> &out,
       const product_maps &maps, const float (&sum)[Shape::TILE_COLS / 2])
{
    go_back_gated<Shape, MOE_SWIGLU>(to, rows, first, layout, ready, z, out, maps, sum);
}

template <class Shape>
static __device__ __forceinline__ void
finish(const clamped_back &to, const struct row_tile &rows, int32_t first, int layout,
       const ready_back &ready, z_reader<Shape, 2> &z, box_writer<Shape> &out,
       const product_maps &maps, const float (&sum)[Shape::TILE_COLS / 2])
{
    go_back_gated<Shape, ACT_CLAMPED>(to, rows, first, layout, ready, z, out, maps, sum);
}

template <class Shape>
static __device__ __forceinline__ void
finish(const gated_back &to, const struct row_tile &rows, int32_t first, int layout,
       const ready_back &ready, z_reader<Shape, 2> &z, box_writer<Shape> &out,
       const product_maps &maps, const float (&sum)[Shape::TILE_COLS / 2])
{
    with_gated(to.shape.act, [&](auto act) {
        go_back_gated<Shape, act>(to, rows, first, layout, ready, z, out, maps, sum);
    });
}

template <class Shape>
static __device__ __forceinline__ void
finish(const plain_back &to, const struct row_tile &rows, int32_t first, int,
       const ready_back &ready, z_reader<Shape, 1> &z, box_writer<Shape> &out,
       const product_maps &maps, const float (&sum)[Shape::TILE_COLS / 2])
{
    with_plain(to.shape.act, [&](auto act) {
        go_back_plain<Shape, act>(to, rows, first, ready, z, out, maps, sum);
    });
}

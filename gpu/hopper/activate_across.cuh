// activate_across.cuh - sums of a tile that lies across (across.cuh) on their way through a gated
// activation.
//
// A thread's two columns are the gate and the up of one unit, for columns are 8 gates and their 8
// ups; a warpgroup has 32 units. Boxes of A, and of gates or ups that lie apart in Z, have rows of
// 64 bytes; of Z where they do not, of 128.
#pragma once

#include "gpu/hopper/activate.cuh"
#include "gpu/hopper/store_across.cuh"

constexpr int UNIT_BYTES = 64; // of a row of 32 units
constexpr uint32_t UPS_BEGIN = BOX_ACROSS * UNIT_BYTES;

// This thread's unit of the tile.
static __device__ __forceinline__ int unit_across()
{
    const int thread = threadIdx.x % GROUP;
    return (int)threadIdx.x / GROUP * 32 + thread / 32 * 8 + thread % 32 / 4;
}

// The gate of a bias and the up, as they are stored.
template <class Shape>
static __device__ __forceinline__ ready_across prepare_across(const struct activate_rows &to,
                                                              const struct row_tile &rows,
                                                              int32_t column)
{
    const struct unit_shape &shape = to.shape;
    const int64_t unit = column / 2 + unit_across();
    const bool apart = shape.layout == MOE_W1_INTERLEAVED;
    if (!to.bias || unit >= shape.units)
        return {};
    const uint16_t *const bias =
        (const uint16_t *)to.bias +
        (planted(FAULT_BIAS_OF_FIRST) ? 0 : (int64_t)rows.expert) * 2 * shape.units;
    return {__ldg(bias + (apart ? 2 * unit : gate_place(shape, unit))),
            __ldg(bias + (apart ? 2 * unit + 1 : up_place(shape, unit)))};
}

// Of two rows from that one of the tile on; 0 where there is none.
static __device__ __forceinline__ float2 two_scores_across(const float *scores,
                                                           const struct row_tile &rows, int row)
{
    return {row < rows.rows ? score_at(scores, rows.row + row) : 0,
            row + 1 < rows.rows ? score_at(scores, rows.row + row + 1) : 0};
}

static __device__ __forceinline__ float2 times(float2 a, float2 b)
{
    return {__fmul_rn(a.x, b.x), __fmul_rn(a.y, b.y)};
}

// In a box of 32 rows of 32 units, the 16 bytes that this lane names to stmatrix: the warp's eight
// units of the row that is the lane's number.
static __device__ __forceinline__ uint32_t unit_line_across()
{
    const uint32_t warp = threadIdx.x % GROUP / 32, lane = threadIdx.x % 32;
    return lane * UNIT_BYTES + (warp ^ lane / 2 % 4) * 16;
}

// Puts 32 rows of this warp's units into a box of z; `gates`, `ups`: of two rows of every eight.
static __device__ __forceinline__ void
stage_units_across(uint32_t box, int layout, const uint32_t (&gates)[4], const uint32_t (&ups)[4])
{
    const uint32_t warp = threadIdx.x % GROUP / 32, lane = threadIdx.x % 32;
    if (layout == MOE_W1_HALVES) {
        stage_across(box + unit_line_across(), gates);
        stage_across(box + UPS_BEGIN + unit_line_across(), ups);
    } else if (layout == MOE_W1_INTERLEAVED8) {
#pragma unroll
        for (int i = 0; i < 2; i++)
            stage_across(box + line_across() + 16 * i * ROW_BYTES,
                         {gates[2 * i], ups[2 * i], gates[2 * i + 1], ups[2 * i + 1]});
    } else {
        const uint32_t row = row_across();
        const uint32_t line =
            row * ROW_BYTES + ((2 * warp + lane / 16) ^ row) * 16 + lane / 4 % 4 * 4;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const uint32_t to = box + line + 8 * i * ROW_BYTES;
            store_shared_4(to, __byte_perm(gates[i], ups[i], 0x5410));
            store_shared_4((to ^ 16) + ROW_BYTES, __byte_perm(gates[i], ups[i], 0x7632));
        }
    }
}

// Has a box of z stored. z: the first row of the tile; `unit`: the first of the box.
template <class Shape>
static __device__ __forceinline__ void
store_units_across(const struct row_tile &rows, int first, uint32_t box, const void *map,
                   const struct unit_shape &shape, uint16_t *z, int32_t unit)
{
    const int32_t units = (int32_t)shape.units, left = units - unit;
    const int64_t stride = 2 * shape.units;
    if (shape.layout == MOE_W1_HALVES) {
        store_rows_across<Shape, UNIT_BYTES>(rows, first, box, map, unit, 0, z + unit, stride,
                                             left);
        store_rows_across<Shape, UNIT_BYTES>(rows, first, box + UPS_BEGIN, map, unit, 1,
                                             z + units + unit, stride, left);
    } else
        store_rows_across<Shape>(rows, first, box, map, 2 * unit, 0, z + 2 * unit, stride,
                                 2 * left);
}

// `column`: the first of the tile.
template <class Shape, int ACT>
static __device__ __forceinline__ void
activate_across(const struct activate_rows &to, const struct row_tile &rows, int32_t column,
                const ready_across &ready, box_writer<Shape> &out, const product_maps &maps,
                const float (&sum)[Shape::TILE_HEIGHT / 2])
{
    using Type = typename Shape::Type;
    const struct unit_shape &shape = to.shape;
    const act_parameters how = parameters_of(shape.act, shape.clamp);
    const float2 bias = unpack<Type>(ready.first | (uint32_t)ready.second << 16);
    const int32_t unit = column / 2 + own_columns<32>();
    uint16_t *const z = (uint16_t *)to.z + rows.row * 2 * shape.units;
    uint16_t *const a = (uint16_t *)to.a + rows.row * shape.units + unit;
#pragma unroll
    for (int first = 0; first < Shape::TILE_HEIGHT; first += BOX_ACROSS) {
        if (first >= rows.rows)
            return;
        uint32_t gates[4], ups[4], products[4], box[2];
#pragma unroll
        for (int i = 0; i < BOX_ACROSS / 8; i++) {
            const float *const mine = &sum[first / 2 + 4 * i];
            const int row = first + 8 * i + row_across();
            const float2 of_z = two_scores_across(to.score_of_z, rows, row);
            const float2 of_a = two_scores_across(to.score_of_a, rows, row);
            two_units value = {times(of_z, {mine[0], mine[1]}), times(of_z, {mine[2], mine[3]})};
            if (to.bias)
                value = {plus(value.gate, {bias.x, bias.x}), plus(value.up, {bias.y, bias.y})};
            gates[i] = pack<Type>(value.gate.x, value.gate.y);
            ups[i] = pack<Type>(value.up.x, value.up.y);
            two_units kept = {unpack<Type>(gates[i]), unpack<Type>(ups[i])};
            if (planted(FAULT_GATE_AND_UP_SWAPPED))
                kept = {kept.up, kept.gate};
            const float one = gate<ACT>(kept.gate.x, how).value * up<ACT>(kept.up.x, how).value;
            const float two = gate<ACT>(kept.gate.y, how).value * up<ACT>(kept.up.y, how).value;
            products[i] = pack<Type>(of_a.x * one, of_a.y * two);
        }
        out.take(box);
        stage_units_across(box[0], shape.layout, gates, ups);
        stage_across(box[1] + unit_line_across(), products);
        out.filled();
        store_units_across<Shape>(rows, first, box[0], maps.stored[0], shape, z, unit);
        out.close();
        store_rows_across<Shape, UNIT_BYTES>(rows, first, box[1], maps.stored[1], unit, 0, a,
                                             shape.units, (int32_t)shape.units - unit);
        out.close();
    }
}

template <class Shape>
static __device__ __forceinline__ void
finish_across(const swiglu_forward &to, const struct row_tile &rows, int32_t column,
              const ready_across &ready, box_writer<Shape> &out, const product_maps &maps,
              const float (&sum)[Shape::TILE_HEIGHT / 2])
{
    activate_across<Shape, MOE_SWIGLU>(to, rows, column, ready, out, maps, sum);
}

template <class Shape>
static __device__ __forceinline__ void
finish_across(const clamped_forward &to, const struct row_tile &rows, int32_t column,
              const ready_across &ready, box_writer<Shape> &out, const product_maps &maps,
              const float (&sum)[Shape::TILE_HEIGHT / 2])
{
    activate_across<Shape, ACT_CLAMPED>(to, rows, column, ready, out, maps, sum);
}

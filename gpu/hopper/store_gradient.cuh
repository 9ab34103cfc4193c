// store_gradient.cuh - gradients of weights are stored: as they are or turned, in f32 or in the
// operands' type, over what is there or added to it.
#pragma once

#include "gpu/hopper/store.cuh"

// Two neighbours in memory of a gradient, as f32 or as the operands' type.
template <class Type> struct narrow_pair {
    using Element = uint16_t;
    static __device__ __forceinline__ float2 load(const uint16_t *at)
    {
        return unpack<Type>(*(const uint32_t *)at);
    }
    static __device__ __forceinline__ void store(uint16_t *at, float2 pair)
    {
        *(uint32_t *)at = pack<Type>(pair.x, pair.y);
    }
};

struct wide_pair {
    using Element = float;
    static __device__ __forceinline__ float2 load(const float *at)
    {
        return *(const float2 *)at;
    }
    static __device__ __forceinline__ void store(float *at, float2 pair)
    {
        *(float2 *)at = pair;
    }
};

// An 8 x 8 block of 16-bit elements of a warp, two neighbours of row lane / 4 in each lane:
// transposed.
static __device__ __forceinline__ uint32_t transpose_16(uint32_t pair)
{
    uint32_t turned;
    asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(turned) : "r"(pair));
    return turned;
}

// In a form that the compiler cannot carry into the loop that makes the sums: it would keep those
// as integers, and move them to and fro around wgmma.
static __device__ __forceinline__ uint32_t bits_of(float value)
{
    uint32_t bits;
    asm("mov.b32 %0, %1;" : "=r"(bits) : "f"(value));
    return bits;
}

// The same of f32, in halves.
static __device__ __forceinline__ float2 transpose_pair(float first, float second)
{
    const uint32_t a = bits_of(first), b = bits_of(second);
    const uint32_t low = transpose_16((a & 0xffff) | b << 16);
    const uint32_t high = transpose_16(a >> 16 | (b & 0xffff0000u));
    return {__uint_as_float((low & 0xffff) | high << 16),
            __uint_as_float(low >> 16 | (high & 0xffff0000u))};
}

// Sums of a tile are D_e [P,Q] from row p and column q on; TURNED: D_e is [Q,P], and blocks are
// transposed on their way.
template <class Shape, bool TURNED>
static __device__ __forceinline__ void
store_boxes(box_writer<Shape> &out, const void *map, const struct gradient_arguments &arguments,
            int32_t expert, int32_t p, int32_t q, const float (&sum)[Shape::TILE_COLS / 2])
{
    const int group = threadIdx.x / GROUP, warp = threadIdx.x % GROUP / 32, lane = threadIdx.x % 32;
    // The 16 bytes that this lane names to stmatrix: a row of one of four blocks, two by two, the
    // first and the second eight rows of the warp in eight columns and in the next eight.
    const int row = lane % 8, half = lane / 8 % 2, next = lane / 16;
    const uint32_t line = TURNED ? (8 * next + row) * ROW_BYTES + ((2 * warp + half) ^ row) * 16
                                 : (16 * warp + 8 * half + row) * ROW_BYTES + (next ^ row) * 16;
    const int32_t own = p + BOX * (planted(FAULT_BOX_OTHER_ROWS) ? 1 - group : group);
#pragma unroll
    for (int32_t first = 0; first < Shape::TILE_COLS; first += BOX) {
        const int32_t column = q + first;
        uint32_t box[1];
        out.take(box);
        const uint32_t at = box[0] + line;
#pragma unroll
        for (int i = 0; i < BOX / 8; i += 2) {
            uint32_t word[4];
#pragma unroll
            for (int block = 0; block < 4; block++) {
                const float *const mine = &sum[4 * (first / 8 + i + block / 2) + 2 * (block % 2)];
                word[block] = pack<typename Shape::Type>(mine[0], mine[1]);
            }
            store_matrices<TURNED>(TURNED ? at + i * 8 * ROW_BYTES : at ^ i * 16, word);
        }
        out.filled();
        // a box that is all beyond the edges would store nothing
        out.store(box[0], map, own < arguments.p_cols && column < arguments.q_cols,
                  TURNED ? own : column, TURNED ? column : own, expert);
    }
}

// D_e [P,Q] = the sums, or D_e + the sums; turned: D_e is [Q,P]. Narrow sums that are not added are
// stored in boxes, all others from the registers where wgmma leaves them.
struct store_gradient {
    template <class Pair, bool ADD>
    static __device__ __forceinline__ void put(typename Pair::Element *at, float2 sum)
    {
        const float2 old = ADD ? Pair::load(at) : make_float2(0, 0);
        Pair::store(at, ADD ? make_float2(old.x + sum.x, old.y + sum.y) : sum);
    }

    template <class Shape, class Pair, bool ADD>
    static __device__ __forceinline__ void straight(const struct gradient_arguments &arguments,
                                                    int32_t expert, int32_t p, int32_t q,
                                                    const float (&sum)[Shape::TILE_COLS / 2])
    {
        using Element = typename Pair::Element;
        Element *const d = (Element *)arguments.d +
                           ((int64_t)expert * arguments.p_cols + p) * arguments.q_cols + q;
        take_pairs<Shape>(sum, [&](int row, int c, float first, float second) {
            if (p + row < arguments.p_cols && q + c < arguments.q_cols)
                put<Pair, ADD>(d + (int64_t)row * arguments.q_cols + c, {first, second});
        });
    }

    template <class Shape, class Pair, bool ADD>
    static __device__ __forceinline__ void turned(const struct gradient_arguments &arguments,
                                                  int32_t expert, int32_t p, int32_t q,
                                                  const float (&sum)[Shape::TILE_COLS / 2])
    {
        using Element = typename Pair::Element;
        const int thread = threadIdx.x % GROUP, lane = thread % 32;
        const int row = (int)threadIdx.x / GROUP * 64 + thread / 32 * 16 + lane % 4 * 2;
        Element *const d = (Element *)arguments.d +
                           ((int64_t)expert * arguments.q_cols + q) * arguments.p_cols + p;
#pragma unroll
        for (int i = 0; i < Shape::TILE_COLS / 8; i++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int c = 8 * i + lane / 4, r = row + 8 * half;
                const float2 pair =
                    transpose_pair(sum[4 * i + 2 * half], sum[4 * i + 2 * half + 1]);
                if ((p + r < arguments.p_cols || planted(FAULT_TURNED_UNMASKED)) &&
                    q + c < arguments.q_cols)
                    put<Pair, ADD>(d + (int64_t)c * arguments.p_cols + r, pair);
            }
    }

    template <class Shape, class Pair, bool ADD>
    static __device__ __forceinline__ void either(const struct gradient_arguments &arguments,
                                                  int32_t expert, int32_t p, int32_t q,
                                                  const float (&sum)[Shape::TILE_COLS / 2])
    {
        if (arguments.turned)
            turned<Shape, Pair, ADD>(arguments, expert, p, q, sum);
        else
            straight<Shape, Pair, ADD>(arguments, expert, p, q, sum);
    }

    template <class Shape, class Pair>
    static __device__ __forceinline__ void as(const struct gradient_arguments &arguments,
                                              int32_t expert, int32_t p, int32_t q,
                                              const float (&sum)[Shape::TILE_COLS / 2])
    {
        if (arguments.add)
            either<Shape, Pair, true>(arguments, expert, p, q, sum);
        else
            either<Shape, Pair, false>(arguments, expert, p, q, sum);
    }

    template <class Shape>
    static __device__ __forceinline__ void
    run(const struct gradient_arguments &arguments, box_writer<Shape> &out, const void *map,
        int32_t expert, int32_t p, int32_t q, const float (&sum)[Shape::TILE_COLS / 2])
    {
        if (arguments.wide)
            as<Shape, wide_pair>(arguments, expert, p, q, sum);
        else if (arguments.add)
            either<Shape, narrow_pair<typename Shape::Type>, true>(arguments, expert, p, q, sum);
        else if (arguments.turned)
            store_boxes<Shape, true>(out, map, arguments, expert, p, q, sum);
        else
            store_boxes<Shape, false>(out, map, arguments, expert, p, q, sum);
    }
};

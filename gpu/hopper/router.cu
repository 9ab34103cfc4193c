// router.cu - the router's products back in plain f32, in tiles of 64 x 64: dL Wr [T,H] and dL^T X
// [E,H]. For f16, whose range dL does not keep to; for bf16 see router_sums.cu.
//
// C [m,n] = sum over k of A(m,k) B(k,n). A thread has 4 x 4 elements; sums run over k upwards.
#include "gpu/fault.h"
#include "gpu/hopper/store.cuh"

constexpr int TILE = 64, DEPTH = 16;

template <class Type> static __device__ __forceinline__ float load_one(const uint16_t *from)
{
    return unpack<Type>(*from).x;
}

// k from `begin` to `end`; a(m, k) and b(k, n) give 0 beyond the ends.
template <class A, class B>
static __device__ __forceinline__ void multiply_tile(int64_t begin, int64_t end, const A &a,
                                                     const B &b, float (&sum)[4][4])
{
    __shared__ float left[DEPTH][TILE + 4], right[DEPTH][TILE + 4];
    const int x = threadIdx.x % 16, y = threadIdx.x / 16;
    for (int64_t k = begin; k < end; k += DEPTH) {
        for (int i = threadIdx.x; i < TILE * DEPTH; i += 256) {
            const int64_t depth = i / TILE;
            const bool there = k + depth < end;
            left[depth][i % TILE] = there ? a(i % TILE, k + depth) : 0;
            right[depth][i % TILE] = there ? b(k + depth, i % TILE) : 0;
        }
        __syncthreads();
#pragma unroll
        for (int depth = 0; depth < DEPTH; depth++)
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 4; j++)
                    sum[i][j] = fmaf(left[depth][4 * y + i], right[depth][4 * x + j], sum[i][j]);
        __syncthreads();
    }
}

template <class Put>
static __device__ __forceinline__ void put_tile(const float (&sum)[4][4], const Put &put)
{
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
            put(threadIdx.x / 16 * 4 + i, threadIdx.x % 16 * 4 + j, sum[i][j]);
}

// out [T,H] f32 = dL [T,E] Wr [E,H]. Grid (ceil(T/64), ceil(H/64)): tokens may be more than y has.
template <class Type>
static __device__ __forceinline__ void router_dx(int64_t T, int64_t H, int64_t E, const float *dl,
                                                 const uint16_t *wr, float *out)
{
    const int64_t t0 = (int64_t)blockIdx.x * TILE, h0 = (int64_t)blockIdx.y * TILE;
    float sum[4][4] = {};
    multiply_tile(
        0, E, [&](int64_t m, int64_t k) { return t0 + m < T ? dl[(t0 + m) * E + k] : 0; },
        [&](int64_t k, int64_t n) { return h0 + n < H ? load_one<Type>(wr + k * H + h0 + n) : 0; },
        sum);
    put_tile(sum, [&](int m, int n, float value) {
        if (t0 + m < T && h0 + n < H)
            out[(t0 + m) * H + h0 + n] = value;
    });
}

extern "C" __global__ void __launch_bounds__(256)
    hopper_router_dx_f16(int64_t T, int64_t H, int64_t E, const float *dl, const uint16_t *wr,
                         float *out)
{
    router_dx<wgmma_f16>(T, H, E, dl, wr, out);
}

// parts [S,E,H] f32: part s is the sum over `slice` tokens. Grid (ceil(H/64), ceil(E/64), S).
template <class Type>
static __device__ __forceinline__ void router_dw(int64_t T, int64_t H, int64_t E, int64_t slice,
                                                 const float *dl, const uint16_t *x, float *parts)
{
    const int64_t e0 = (int64_t)blockIdx.y * TILE, h0 = (int64_t)blockIdx.x * TILE;
    const int64_t begin = blockIdx.z * slice, end = begin + slice < T ? begin + slice : T;
    float *const to = parts + blockIdx.z * E * H;
    float sum[4][4] = {};
    multiply_tile(
        begin, end, [&](int64_t m, int64_t k) { return e0 + m < E ? dl[k * E + e0 + m] : 0; },
        [&](int64_t k, int64_t n) { return h0 + n < H ? load_one<Type>(x + k * H + h0 + n) : 0; },
        sum);
    put_tile(sum, [&](int m, int n, float value) {
        if (e0 + m < E && h0 + n < H)
            to[(e0 + m) * H + h0 + n] = value;
    });
}

extern "C" __global__ void __launch_bounds__(256)
    hopper_router_dw_f16(int64_t T, int64_t H, int64_t E, int64_t slice, const float *dl,
                         const uint16_t *x, float *parts)
{
    router_dw<wgmma_f16>(T, H, E, slice, dl, x, parts);
}

// parts [S,E]: part s is the sum of dL over `slice` tokens. Grid (ceil(E/32), S): a lane has an
// expert, a warp every eighth token, which are read ahead; then warps are added in order.
extern "C" __global__ void __launch_bounds__(256)
    hopper_router_db(int64_t T, int64_t E, int64_t slice, const float *dl, float *parts)
{
    constexpr int AHEAD = 8, WARPS = 8;
    __shared__ double room[WARPS][32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int64_t e = (int64_t)blockIdx.x * 32 + lane, begin = blockIdx.y * slice;
    const int64_t end = e >= E ? begin : begin + slice < T ? begin + slice : T;
    double sum = 0;
    const float *from = dl + (begin + warp) * E + e;
#pragma unroll 1
    for (int64_t first = begin + warp; first < end; first += WARPS * AHEAD) {
        float value[AHEAD];
#pragma unroll
        for (int i = 0; i < AHEAD; i++, from += WARPS * E)
            value[i] = first + WARPS * i < end ? *from : 0;
#pragma unroll
        for (int i = 0; i < AHEAD; i++)
            sum += value[i];
    }
    room[warp][lane] = sum;
    if (!planted(FAULT_SUM_NO_BARRIER))
        __syncthreads();
    if (warp > 0 || e >= E)
        return;
    for (int w = 1; w < WARPS; w++)
        sum += room[w][lane];
    parts[blockIdx.y * E + e] = (float)sum;
}

// d [count] (+)= sum of S parts, in order; a part every `stride`. Parts are read ahead.
template <class Type>
static __device__ __forceinline__ void add_parts(int64_t count, int64_t S, int64_t stride,
                                                 const float *parts, int wide, int add, void *d)
{
    constexpr int AHEAD = 16;
    const int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
        const float *from = parts + i;
        float sum = 0;
        for (int64_t s = 0; s < S; s += AHEAD) {
            float part[AHEAD];
#pragma unroll
            for (int j = 0; j < AHEAD; j++, from += stride)
                part[j] = s + j < S ? *from : 0;
#pragma unroll
            for (int j = 0; j < AHEAD; j++)
                sum += part[j]; // +0 beyond S changes none
        }
        if (wide) {
            float *const to = (float *)d + i;
            *to = add ? *to + sum : sum;
        } else {
            uint16_t *const to = (uint16_t *)d + i;
            *to = (uint16_t)pack<Type>(add ? load_one<Type>(to) + sum : sum, 0);
        }
    }
}

extern "C" __global__ void hopper_add_parts_bf16(int64_t count, int64_t S, int64_t stride,
                                                 const float *parts, int wide, int add, void *d)
{
    add_parts<wgmma_bf16>(count, S, stride, parts, wide, add, d);
}

extern "C" __global__ void hopper_add_parts_f16(int64_t count, int64_t S, int64_t stride,
                                                const float *parts, int wide, int add, void *d)
{
    add_parts<wgmma_f16>(count, S, stride, parts, wide, add, d);
}

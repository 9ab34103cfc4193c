// rows.cu - what happens to rows and tokens between the products: scores, their gradients, sums
// over a token's rows and over an expert's.
//
// The number of rows, expert_begin[E], is known on the device alone, so every kernel reads it
// there. H is a multiple of 8.
#include "gpu/hopper/token_sums.cuh"

static __device__ __forceinline__ int64_t first_item()
{
    return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}

static __device__ __forceinline__ int64_t item_step()
{
    return (int64_t)gridDim.x * blockDim.x;
}

static __device__ __forceinline__ float sum_of_warp(float value)
{
#pragma unroll
    for (int step = 16; step > 0; step /= 2)
        value += __shfl_xor_sync(~0u, value, step);
    return value;
}

// out [N,H] = s x of each row's token, rounded: weight=input.
template <class Type>
static __device__ __forceinline__ void scale_rows(int64_t E, int64_t H, const int64_t *expert_begin,
                                                  const int64_t *row_token, const float *row_score,
                                                  const uint16_t *x, uint16_t *out)
{
    const int64_t pieces = H / 8;
    for (int64_t i = first_item(); i < expert_begin[E] * pieces; i += item_step()) {
        const int64_t r = i / pieces, h = i % pieces * 8;
        eight values = load_eight<Type>(x + row_token[r] * H + h);
#pragma unroll
        for (int j = 0; j < 8; j++)
            values.v[j] *= planted(FAULT_DW1_OF_SCALED_X) ? 1 : row_score[r];
        store_eight<Type>(out + r * H + h, values);
    }
}

extern "C" __global__ void hopper_scale_rows_bf16(int64_t E, int64_t H, const int64_t *expert_begin,
                                                  const int64_t *row_token, const float *row_score,
                                                  const uint16_t *x, uint16_t *out)
{
    scale_rows<wgmma_bf16>(E, H, expert_begin, row_token, row_score, x, out);
}

extern "C" __global__ void hopper_scale_rows_f16(int64_t E, int64_t H, const int64_t *expert_begin,
                                                 const int64_t *row_token, const float *row_score,
                                                 const uint16_t *x, uint16_t *out)
{
    scale_rows<wgmma_f16>(E, H, expert_begin, row_token, row_score, x, out);
}

// ---- gradients of scores ----------------------------------------------------------------------

// <a, b> over H, by one warp.
template <class Type>
static __device__ __forceinline__ float row_product(const uint16_t *a, const uint16_t *b, int64_t H)
{
    float sum = 0;
    for (int64_t h = threadIdx.x % 32 * 8; h < H; h += 32 * 8) {
        const eight x = load_eight<Type>(a + h), y = load_eight<Type>(b + h);
#pragma unroll
        for (int j = 0; j < 8; j++)
            sum += x.v[j] * y.v[j];
    }
    return sum_of_warp(sum);
}

// The same over each `lanes` of a warp.
static __device__ __forceinline__ float sum_of_lanes(float value, int lanes)
{
    for (int step = lanes / 2; step > 0; step /= 2)
        value += __shfl_xor_sync(~0u, value, step);
    return value;
}

// ds of each row's entry: the parts of <dA', A>, <d_o, b2> and <dX~, x> as far as they are given. A
// warp has 32 / lanes rows.
template <class Type>
static __device__ __forceinline__ void score_gradients(const struct row_gradients &g)
{
    const int lanes = (int)g.lanes, lane = threadIdx.x % 32 % lanes, rows = 32 / lanes;
    const int64_t N = g.expert_begin[g.E], step = item_step() / 32 * rows;
    const uint16_t *const d_o = (const uint16_t *)g.d_o, *const b2 = (const uint16_t *)g.b2;
    int64_t expert = 0;
    for (int64_t first = first_item() / 32 * rows; first < N; first += step) {
        const int64_t r = first + threadIdx.x % 32 / lanes;
        float sum = 0;
        if (g.parts) {
            for (int64_t p = lane; p < g.part_count - planted(FAULT_DS_LAST_PART) && r < N;
                 p += lanes)
                sum += g.parts[r * g.part_count + p];
            sum = sum_of_lanes(sum, lanes);
        }
        if (b2 && !planted(FAULT_DS_WITHOUT_BIAS)) {
            while (g.expert_begin[expert + 1] + planted(FAULT_DS_BIAS_OF_LAST) <= r)
                expert++;
            sum += row_product<Type>(d_o + g.row_token[r] * g.H, b2 + expert * g.H, g.H);
        }
        if (g.dxe)
            sum += row_product<Type>((const uint16_t *)g.dxe + r * g.H,
                                     (const uint16_t *)g.x + g.row_token[r] * g.H, g.H);
        if (lane == 0 && r < N)
            g.ds[g.row_entry ? g.row_entry[r] : r] = sum;
    }
}

extern "C" __global__ void __launch_bounds__(256)
    hopper_score_gradients_bf16(const __grid_constant__ struct row_gradients gradients)
{
    score_gradients<wgmma_bf16>(gradients);
}

extern "C" __global__ void __launch_bounds__(256)
    hopper_score_gradients_f16(const __grid_constant__ struct row_gradients gradients)
{
    score_gradients<wgmma_f16>(gradients);
}

// ds of dropped entries is 0. offsets NULL: K entries a token.
extern "C" __global__ void hopper_clear_dropped(int64_t T, int64_t K, const int64_t *offsets,
                                                const int64_t *entry_row, float *ds)
{
    const int64_t P = offsets ? offsets[T] : T * K;
    for (int64_t p = first_item(); p < P; p += item_step())
        if (entry_row[p] < 0 && !planted(FAULT_DROPPED_DS))
            ds[p] = 0;
}

// ---- sums over a token's rows -----------------------------------------------------------------

// out [T,H] of the tokens. A thread takes eight columns of one.
template <class Type> static __device__ __forceinline__ void aggregate(const struct token_sums &s)
{
    const int64_t pieces = s.H / 8;
    for (int64_t i = first_item(); i < s.T * pieces; i += item_step()) {
        const int64_t t = i / pieces, h = i % pieces * 8;
        const auto rows = [&](int64_t begin, int64_t end, eight &sum) {
            add_rows<Type, 4>(
                s, begin, end, h, [&](int64_t p) { return s.entry_row[p]; }, sum);
        };
        sum_token<Type>(s, t, h, rows, [&](eight &sum) {
            if (!s.extra)
                return;
#pragma unroll
            for (int j = 0; j < 8; j++)
                sum.v[j] += s.extra[t * s.H + h + j];
        });
    }
}

extern "C" __global__ void __launch_bounds__(256)
    hopper_aggregate_bf16(const __grid_constant__ struct token_sums sums)
{
    aggregate<wgmma_bf16>(sums);
}

extern "C" __global__ void __launch_bounds__(256)
    hopper_aggregate_f16(const __grid_constant__ struct token_sums sums)
{
    aggregate<wgmma_f16>(sums);
}

// ---- sums over an expert's rows ---------------------------------------------------------------

// d [E,C] (+)= sum over the expert's rows of (score) q. Grid (ceil(C / 256), E): a warp takes every
// eighth row, a lane 8 columns; then warps are added in order.
template <class Type>
static __device__ __forceinline__ void sum_columns(const struct column_sums &s)
{
    __shared__ float room[8][256];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int64_t e = blockIdx.y, column = (int64_t)blockIdx.x * 256 + lane * 8;
    eight sum = {};
    for (int64_t r = s.expert_begin[e] + warp; r < s.expert_begin[e + 1]; r += 8) {
        if (column >= s.cols)
            break;
        const int64_t place = s.gather ? s.gather[r] : r;
        const eight q = load_eight<Type>((const uint16_t *)s.q + place * s.cols + column);
        const float score = s.score && !planted(FAULT_DB2_WITHOUT_SCORE) ? s.score[r] : 1;
#pragma unroll
        for (int j = 0; j < 8; j++)
            sum.v[j] += score * q.v[j];
    }
#pragma unroll
    for (int j = 0; j < 8; j++)
        room[warp][lane * 8 + j] = sum.v[j];
    if (!planted(FAULT_SUM_NO_BARRIER))
        __syncthreads();
    const int64_t own = (int64_t)blockIdx.x * 256 + threadIdx.x, at = e * s.cols + own;
    if (own >= s.cols)
        return;
    const int turn = planted(FAULT_SUM_BY_TIME) ? (int)(clock64() % 8) : 0;
    float total = 0;
    for (int w = 0; w < 8 - planted(FAULT_SUM_OF_SEVEN); w++)
        total += room[(w + turn) % 8][threadIdx.x];
    if (s.wide) {
        float *const d = (float *)s.d + at;
        *d = s.add ? *d + total : total;
    } else {
        uint16_t *const d = (uint16_t *)s.d + at;
        const float old = s.add && !planted(FAULT_BETA_IGNORED) ? unpack<Type>(*d).x : 0;
        *d = (uint16_t)pack<Type>(s.add ? old + total : total, 0);
    }
}

extern "C" __global__ void __launch_bounds__(256)
    hopper_sum_columns_bf16(const __grid_constant__ struct column_sums sums)
{
    sum_columns<wgmma_bf16>(sums);
}

extern "C" __global__ void __launch_bounds__(256)
    hopper_sum_columns_f16(const __grid_constant__ struct column_sums sums)
{
    sum_columns<wgmma_f16>(sums);
}

// ---- the shared expert's gate -----------------------------------------------------------------

// gate [T] = sigmoid(<x, wsg>). A warp a token.
template <class Type>
static __device__ __forceinline__ void shared_gate(int64_t T, int64_t H, const uint16_t *x,
                                                   const uint16_t *wsg, float *gate)
{
    for (int64_t t = first_item() / 32; t < T; t += item_step() / 32) {
        const float logit = row_product<Type>(x + t * H, wsg, H);
        if (threadIdx.x % 32 == 0)
            gate[t] = 1 / (1 + expf(-logit));
    }
}

extern "C" __global__ void __launch_bounds__(256)
    hopper_shared_gate_bf16(int64_t T, int64_t H, const uint16_t *x, const uint16_t *wsg,
                            float *gate)
{
    shared_gate<wgmma_bf16>(T, H, x, wsg, gate);
}

extern "C" __global__ void __launch_bounds__(256)
    hopper_shared_gate_f16(int64_t T, int64_t H, const uint16_t *x, const uint16_t *wsg,
                           float *gate)
{
    shared_gate<wgmma_f16>(T, H, x, wsg, gate);
}

// q [T] *= gate (1 - gate).
extern "C" __global__ void hopper_shared_gate_back(int64_t T, const float *gate, float *q)
{
    for (int64_t t = first_item(); t < T; t += item_step())
        q[t] *= gate[t] * (planted(FAULT_SHARED_GATE_SLOPE) ? 1 : 1 - gate[t]);
}

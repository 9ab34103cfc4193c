// router_sums.cu - dX [T,H] of bf16 cases: the sums over tokens' rows, and dL Wr, which is
// multiplied where it is added, so that no [T,H] of f32 goes to memory and back.
//
// A block has 64 tokens and 128 columns. Its two warpgroups multiply the three pieces of dL
// (scores_back.cu) with half of the columns of Wr each; what comes out goes through shared memory
// to threads that have eight columns of a token. Several blocks share a multiprocessor: one waits
// for memory while another multiplies. Where a token's rows are is looked up before.
#include "gpu/hopper/token_sums.cuh"

constexpr int SUM_TOKENS = ROUTER_SUMS_TOKENS, SUM_COLUMNS = ROUTER_SUMS_COLUMNS;
constexpr int SUM_THREADS = ROUTER_SUMS_THREADS;
static_assert(SUM_TOKENS == 64 && SUM_COLUMNS == 128 && SUM_THREADS == 2 * GROUP,
              "a warpgroup has 64 rows and 64 columns");
constexpr int PIECES = 3;
constexpr int ROW_FLOATS = SUM_COLUMNS + 8; // of the products; 8 more keep rows out of one bank
constexpr uint32_t WR_AT = PIECES * COLUMN_BYTES; // behind the pieces [3][64 tokens, 64 experts]
constexpr uint32_t ROWS_AT = WR_AT + SUM_COLUMNS / 64 * COLUMN_BYTES; // [64 tokens, KNOWN_ROWS]
constexpr int KNOWN_ROWS = 16;
static_assert(SUM_TOKENS * ROW_FLOATS * 4 <= ROWS_AT &&
                  ROWS_AT + SUM_TOKENS * KNOWN_ROWS * 4 == ROUTER_SUMS_BYTES,
              "a block's shared memory");

// Where a piece of 16 bytes lies in a row of an operand.
static __device__ __forceinline__ uint32_t place_of(uint32_t row, uint32_t piece)
{
    return row * ROW_BYTES + (piece ^ row % 8) * 16;
}

// 64 experts from e0 on: the pieces of tokens from t0 on, rows of k; Wr from column h0 on, by rows
// of k. Zeros where there is nothing.
static __device__ __forceinline__ void load_experts(const struct router_sums &r, int64_t t0,
                                                    int64_t h0, int64_t e0, uint32_t to)
{
    const int piece = threadIdx.x % 8, column = threadIdx.x % 16;
    const bool piece_there = e0 + piece * 8 < r.width, column_there = h0 + column * 8 < r.sums.H;
#pragma unroll 1
    for (int row = threadIdx.x / 8; row < SUM_TOKENS; row += SUM_THREADS / 8) {
        const bool there = piece_there && t0 + row < r.sums.T;
        const uint16_t *const from =
            r.pieces + (there ? (t0 + row) * PIECES * r.width + e0 + piece * 8 : 0);
#pragma unroll
        for (int part = 0; part < PIECES; part++)
            copy_async_16(to + part * COLUMN_BYTES + place_of(row, piece),
                          from + (there ? part * r.width : 0), there ? 16 : 0);
    }
#pragma unroll 1
    for (int row = threadIdx.x / 16; row < STAGE_K; row += SUM_THREADS / 16) {
        const bool there = column_there && e0 + row < r.E;
        copy_async_16(to + WR_AT + column / 8 * COLUMN_BYTES + place_of(row, column % 8),
                      r.wr + (there ? (e0 + row) * r.sums.H + h0 + column * 8 : 0), there ? 16 : 0);
    }
}

// This warpgroup's 64 columns of dL Wr.
static __device__ __forceinline__ void multiply_pieces(const struct router_sums &r, int64_t t0,
                                                       int64_t h0, uint32_t shared,
                                                       float (&sum)[32])
{
    const int64_t experts = r.width - 64 * planted(FAULT_ROUTER_LAST_EXPERTS);
    const uint64_t wr =
        wgmma_descriptor<1>(shared + WR_AT + threadIdx.x / GROUP * COLUMN_BYTES, COLUMN_BYTES);
    for (int64_t e0 = 0; e0 < experts; e0 += STAGE_K) {
        if (e0 > 0 && !planted(FAULT_ROUTER_STAGE_REUSED))
            __syncthreads();
        load_experts(r, t0, h0, e0, shared);
        copy_async_wait();
        fence_shared_for_async();
        __syncthreads();
        wgmma_fence();
#pragma unroll
        for (int i = 0; i < PIECES * STAGE_K / 16; i++) {
            const uint32_t piece = shared + i / (STAGE_K / 16) * COLUMN_BYTES;
            const int step = i % (STAGE_K / 16);
            wgmma<64, wgmma_bf16, 0, 1>::run(
                sum, wgmma_descriptor<0>(piece, COLUMN_BYTES) + step * WGMMA_NEXT_K<0>,
                wr + step * WGMMA_NEXT_K<1>, e0 > 0 || i > 0);
        }
        wgmma_commit();
        wgmma_wait<0>();
        wgmma_settle(sum);
    }
}

// products [64][ROW_FLOATS] of the block.
static __device__ __forceinline__ void share_products(const float (&sum)[32], float *products)
{
    const int thread = threadIdx.x % GROUP, first = threadIdx.x / GROUP * 64 + thread % 4 * 2;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float *const row =
            products + (thread / 32 * 16 + thread % 32 / 4 + 8 * half) * ROW_FLOATS + first;
#pragma unroll
        for (int block = 0; block < 8; block++)
            *(float2 *)(row + 8 * block) = {sum[4 * block + 2 * half],
                                            sum[4 * block + 2 * half + 1]};
    }
}

// Rows of the first entries of each token, to shared memory: [64][KNOWN_ROWS].
static __device__ __forceinline__ void look_up_rows(const struct token_sums &s, int64_t t0,
                                                    int32_t *rows)
{
#pragma unroll
    for (int i = threadIdx.x; i < SUM_TOKENS * KNOWN_ROWS; i += SUM_THREADS) {
        const int64_t t = t0 + i / KNOWN_ROWS;
        if (t >= s.T)
            continue;
        const int64_t p = (s.offsets ? s.offsets[t] : t * s.K) + i % KNOWN_ROWS;
        if (p < (s.offsets ? s.offsets[t + 1] : (t + 1) * s.K))
            rows[i] = (int32_t)s.entry_row[p];
    }
}

// Blocks take the columns of one token tile, then of the next: its pieces are read once.
extern "C" __global__ void __launch_bounds__(SUM_THREADS, 4)
    hopper_router_sums(const __grid_constant__ struct router_sums r)
{
    const int64_t columns = (r.sums.H + SUM_COLUMNS - 1) / SUM_COLUMNS;
    const int64_t t0 = blockIdx.x / columns * SUM_TOKENS, h0 = blockIdx.x % columns * SUM_COLUMNS;
    const uint32_t shared = stages_begin();
    float *const products = (float *)__cvta_shared_to_generic(shared);
    int32_t *const rows = (int32_t *)__cvta_shared_to_generic(shared + ROWS_AT);
    float sum[32];
    look_up_rows(r.sums, t0, rows);
    multiply_pieces(r, t0, h0, shared, sum);
    __syncthreads();
    share_products(sum, products);
    if (!planted(FAULT_ROUTER_SUMS_NO_BARRIER))
        __syncthreads();
    const int64_t h = h0 + threadIdx.x % 16 * 8;
    for (int token = threadIdx.x / 16; token < SUM_TOKENS; token += SUM_THREADS / 16) {
        const int64_t t = t0 + token;
        if (t >= r.sums.T || h >= r.sums.H)
            return;
        const auto add = [&](int64_t begin, int64_t end, eight &total) {
            const int32_t *const known = rows + token * KNOWN_ROWS;
            const int64_t middle = begin + KNOWN_ROWS < end ? begin + KNOWN_ROWS : end;
            add_rows<wgmma_bf16, 8>(
                r.sums, begin, middle, h, [&](int64_t p) { return known[p - begin]; }, total);
            add_rows<wgmma_bf16, 4>(
                r.sums, middle, end, h, [&](int64_t p) { return r.sums.entry_row[p]; }, total);
        };
        const float4 *const product =
            (const float4 *)(products + token * ROW_FLOATS + threadIdx.x % 16 * 8);
        sum_token<wgmma_bf16>(r.sums, t, h, add, [&](eight &total) {
            const float4 low = product[0], high = product[1];
            const float more[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
            for (int j = 0; j < 8; j++)
                total.v[j] += more[j];
        });
    }
}

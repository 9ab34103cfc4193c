// routing.cu - from picks to rows: a stable counting sort of entries by expert.
//
// Tokens are cut into chunks. picks.cu counts each chunk's rows by expert; this places them: a row
// stands behind those of smaller experts, of its expert's in earlier chunks, and of earlier
// entries in its chunk. So the order is the same every time, and no block waits for another.
#include "gpu/fault.h"
#include "gpu/hopper/routing.h"
#include "gpu/hopper/tiles.h"

constexpr int WARPS = ROUTING_THREADS / 32;

// Entries of a chunk.
static __device__ __forceinline__ void chunk_entries(const struct routing &r, int64_t chunk,
                                                     int64_t *begin, int64_t *end)
{
    const int64_t first = chunk * r.chunk_tokens;
    const int64_t last = first + r.chunk_tokens < r.T ? first + r.chunk_tokens : r.T;
    *begin = r.offsets ? r.offsets[first] : first * r.K;
    *end = r.offsets ? r.offsets[last] : last * r.K;
}

// Exclusive sum over the block of one value a thread; every thread gets the total.
static __device__ int64_t sum_before(int64_t value, int64_t *total)
{
    __shared__ int64_t sums[WARPS];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int64_t inclusive = value;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
        const int64_t more = __shfl_up_sync(~0u, inclusive, step);
        inclusive += lane >= step ? more : 0;
    }
    if (lane == 31)
        sums[warp] = inclusive;
    __syncthreads();
    int64_t before = 0, all = 0;
    for (int w = 0; w < WARPS; w++) {
        before += w < warp ? sums[w] : 0;
        all += sums[w];
    }
    if (!planted(FAULT_SCAN_NO_BARRIER))
        __syncthreads();
    *total = all;
    return before + inclusive - value;
}

// In shared memory, of every expert: where this chunk's next row goes; where its rows begin, and
// its tiles of each height, and behind the last one where they end.
struct places {
    int64_t *next, *row_begin;
    int32_t *tile_begin; // [heights,E+1]
};

static __device__ __forceinline__ struct places places_in(int64_t *memory, int64_t E)
{
    int64_t *const row_begin = memory + E;
    return {memory, row_begin, (int32_t *)(row_begin + E + 1)};
}

// A thread an expert. Block 0 tells the layer.
static __device__ void place_experts(const struct routing &r, const struct places &places)
{
    int64_t row_carry = 0, tile_carry[TILE_HEIGHTS] = {};
    for (int64_t base = 0; base < r.E; base += ROUTING_THREADS) {
        const int64_t e = base + threadIdx.x;
        int64_t earlier = 0, rows = 0, total;
#pragma unroll 32
        for (int64_t c = 0; c < r.chunks && e < r.E; c++) {
            const int32_t count = r.counts[c * r.E + e];
            earlier += c < blockIdx.x + planted(FAULT_CHUNK_TWICE) ? count : 0;
            rows += count;
        }
        const int64_t begin = row_carry + sum_before(rows, &total);
        row_carry += planted(FAULT_SCAN_BEYOND_BLOCK) ? 0 : total;
#pragma unroll
        for (int i = 0; i < TILE_HEIGHTS; i++) {
            const uint32_t height = (uint32_t)r.lists[i].height;
            const int64_t tiles = ((uint32_t)rows + height - 1) / height;
            const int64_t first = tile_carry[i] + sum_before(tiles, &total);
            tile_carry[i] += total;
            if (e < r.E)
                places.tile_begin[i * (r.E + 1) + e + 1] = (int32_t)(first + tiles);
        }
        if (e >= r.E)
            continue;
        places.next[e] = begin + earlier;
        places.row_begin[e + 1] = begin + rows;
        if (blockIdx.x == 0)
            r.expert_begin[e + 1] = begin + rows;
    }
    if (threadIdx.x == 0)
        places.row_begin[0] = 0;
    if (threadIdx.x < TILE_HEIGHTS)
        places.tile_begin[threadIdx.x * (r.E + 1)] = 0;
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        r.expert_begin[0] = 0;
#pragma unroll
        for (int i = 0; i < TILE_HEIGHTS; i++)
            r.lists[i].tiles->count = tile_carry[i];
        r.token_begin[0] = 0;
        r.token_begin[1] = r.T;
    }
    __syncthreads();
}

// Rows of each of an expert's tiles but the last: as many as are high, or, of tiles that lie
// across, such that all have about as many, unless none were left for the last.
static __device__ __forceinline__ int64_t rows_of_tiles(int64_t rows, int64_t height, int32_t count)
{
    const int64_t even = ((uint32_t)(rows + count - 1) / (uint32_t)count + 15) / 16 * 16;
    return LIES_ACROSS(height) && (count - 1) * even < rows ? even : height;
}

// The tiles of each expert, a warp an expert; blocks share the experts.
static __device__ void list_tiles(const struct routing &r, const struct places &places,
                                  const struct tile_list &tiles, const int32_t *tile_begin)
{
    struct row_tile *const list = (struct row_tile *)(tiles.tiles + 1);
    for (int64_t e = threadIdx.x / 32 * r.chunks + blockIdx.x; e < r.E; e += WARPS * r.chunks) {
        const int64_t begin = places.row_begin[e], end = places.row_begin[e + 1];
        const int32_t first = tile_begin[e], count = tile_begin[e + 1] - first;
        for (int32_t i = threadIdx.x % 32; i < count; i += 32) {
            const int64_t most = rows_of_tiles(end - begin, tiles.height, count);
            const int64_t row = begin + i * (planted(FAULT_ACROSS_CUT) ? tiles.height : most);
            int64_t left = end - row;
            if (planted(FAULT_ROWS_ROUNDED_DOWN) && left > 16)
                left -= left % 16;
            list[first + i] = {row, (int32_t)(left < most ? left : most),
                               (int32_t)e - (planted(FAULT_SECOND_TILE_EXPERT) && i > 0), first,
                               count};
        }
    }
}

static __device__ __forceinline__ int64_t token_of(const struct routing &r, int64_t p,
                                                   int64_t chunk)
{
    if (!r.offsets)
        return p / r.K;
    int64_t low = chunk * r.chunk_tokens, high = low + r.chunk_tokens;
    high = high < r.T ? high : r.T;
    while (high - low > 1) { // the last token that begins at or before p
        const int64_t middle = low + (high - low) / 2;
        if (r.offsets[middle] + planted(FAULT_TOKEN_OF_ROW) <= p)
            low = middle;
        else
            high = middle;
    }
    return low;
}

// An entry as it is read: its expert, -1 where there is none, and its score.
struct entry {
    int32_t expert;
    float score;
};

static __device__ __forceinline__ struct entry read_entry(const struct routing &r, int64_t p,
                                                          int64_t end)
{
    return p < end ? entry{r.picks[p], r.scores[p]} : entry{-1, 0};
}

// Rows of a chunk's entries, in order. Dynamic shared memory: PLACE_BYTES(E).
//
// Warps take 32 entries in turn, one after another: what a warp adds to its experts' positions the
// next one must see. Lanes with the same expert are numbered by their order. The entries of the
// next round are read meanwhile.
extern "C" __global__ void __launch_bounds__(ROUTING_THREADS)
    hopper_place(const __grid_constant__ struct routing r)
{
    extern __shared__ int64_t memory[];
    const struct places places = places_in(memory, r.E);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int64_t begin, end;
    place_experts(r, places);
#pragma unroll
    for (int i = 0; i < TILE_HEIGHTS; i++)
        list_tiles(r, places, r.lists[i], places.tile_begin + i * (r.E + 1));
    chunk_entries(r, blockIdx.x, &begin, &end);
    struct entry ahead = read_entry(r, begin + threadIdx.x, end);
    for (int64_t base = begin; base < end; base += ROUTING_THREADS) {
        const int64_t p = base + threadIdx.x;
        const struct entry entry = ahead;
        const int32_t e = entry.expert;
        const uint32_t peers = __match_any_sync(~0u, e);
        const int before = __popc(peers & ((1u << lane) - 1));
        int64_t row = -1;
        ahead = read_entry(r, p + ROUTING_THREADS, end);
        for (int w = 0; w < WARPS; w++) {
            if (w == warp) {
                if (e >= 0)
                    row = places.next[e] + before;
                if (!planted(FAULT_PLACE_NO_WARP_BARRIER))
                    __syncwarp();
                if (e >= 0 && before == 0)
                    places.next[e] += __popc(peers);
            }
            if (!planted(FAULT_PLACE_NO_BARRIER))
                __syncthreads();
        }
        if (p < end && !(planted(FAULT_DROPPED_ENTRY_ROW) && row < 0))
            r.entry_row[p] = row;
        if (row >= 0) {
            r.row_token[row] = token_of(r, p, blockIdx.x);
            r.row_entry[row] = p;
            r.row_score[row] = entry.score;
        }
    }
}

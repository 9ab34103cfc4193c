// routing.cu - from picks to rows: a stable counting sort of entries by expert.
//
// Tokens are cut into chunks. picks.cu counts each chunk's rows by expert; this places them: a row
// stands behind those of smaller experts, of its expert's in earlier chunks, and of earlier
// entries in its chunk. So the order is the same every time, and no block waits for another.
#include "gpu/fault.h"
#include "gpu/hopper/routing.h"
#include "gpu/hopper/tiles.h"

constexpr int WARPS = ROUTING_THREADS / 32;
constexpr int STEPS = 4;      // entries of a thread in a round
constexpr int MOST_SETS = 16; // that chunks are dealt to
constexpr int COUNTS_AHEAD = 16;

// In shared memory, of every expert: where this chunk's next row goes; where its rows begin, and
// its tiles of each height, and behind the last one where they end. Then room [warps,E] for what
// each warp has of it, and first for sums of counts.
struct places {
    int32_t *next, *row_begin;
    int32_t *tile_begin; // [heights,E+1]
    int32_t *room;
};

static __device__ __forceinline__ struct places places_in(int32_t *memory, int32_t E)
{
    int32_t *const row_begin = memory + E;
    return {memory, row_begin, row_begin + E + 1, memory + (2 + TILE_HEIGHTS) * (E + 1)};
}

// ---- where experts begin ----------------------------------------------------------------------

// Rows of an expert, or of those before it, and tiles of each height.
constexpr int COUNTED = 1 + TILE_HEIGHTS;
struct extent {
    int32_t of[COUNTED]; // rows first
};

template <class Take> static __device__ __forceinline__ extent extent_of(const Take &take)
{
    extent made;
#pragma unroll
    for (int i = 0; i < COUNTED; i++)
        made.of[i] = take(i);
    return made;
}

static __device__ __forceinline__ extent operator+(const extent &a, const extent &b)
{
    return extent_of([&](int i) { return a.of[i] + b.of[i]; });
}

static __device__ __forceinline__ int32_t inclusive_sum(int32_t value)
{
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
        const int32_t more = __shfl_up_sync(~0u, value, step);
        value += lane >= step ? more : 0;
    }
    return value;
}

static __device__ __forceinline__ extent sum_of_warp(const extent &value, bool own)
{
    return extent_of([&](int i) { return __reduce_add_sync(~0u, own ? value.of[i] : 0); });
}

// Inclusive sum over the block of one value a thread, behind what `carry` has; which moves on by
// the sum of all.
static __device__ __forceinline__ extent sum_up_to(const extent &value, extent *carry)
{
    __shared__ extent sums[WARPS];
    static_assert(WARPS == 32, "a lane a warp");
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const extent inclusive = extent_of([&](int i) { return inclusive_sum(value.of[i]); });
    if (lane == 31)
        sums[warp] = inclusive;
    __syncthreads();
    const extent of_lane = sums[lane];
    const extent sum = *carry + sum_of_warp(of_lane, lane < warp) + inclusive;
    if (!planted(FAULT_SCAN_BEYOND_BLOCK))
        *carry = *carry + sum_of_warp(of_lane, true);
    if (!planted(FAULT_SCAN_NO_BARRIER))
        __syncthreads();
    return sum;
}

// Rows that chunks gave each expert, all of them and those before this one: [sets,pairs] sums of
// two experts each. A thread takes two experts and the chunks of one set, whose loads do not wait
// for one another.
struct count_sums {
    int32_t pairs, sets;
    int2 *all, *earlier;
};

static __device__ __forceinline__ struct count_sums sum_counts(const struct routing &r,
                                                               int32_t *room)
{
    const int32_t pairs = (int32_t)(r.E + 1) / 2, chunks = (int32_t)r.chunks;
    const int32_t width = min(pairs, ROUTING_THREADS), set = threadIdx.x / width;
    const int32_t sets = min(ROUTING_THREADS / width, MOST_SETS);
    const int32_t own = (int32_t)blockIdx.x + planted(FAULT_CHUNK_TWICE), step = sets * pairs;
    const struct count_sums sums = {pairs, sets, (int2 *)room, (int2 *)room + sets * pairs};
    for (int32_t pair = threadIdx.x % width; pair < pairs && set < sets; pair += width) {
        int2 all = {0, 0}, earlier = {0, 0};
        for (int32_t first = set; first < chunks; first += COUNTS_AHEAD * sets) {
            const uint32_t *from = r.counts + (first * pairs + pair);
            uint32_t counts[COUNTS_AHEAD];
#pragma unroll
            for (int i = 0; i < COUNTS_AHEAD; i++, from += step)
                counts[i] = first + i * sets < chunks ? *from : 0;
#pragma unroll
            for (int i = 0; i < COUNTS_AHEAD; i++) {
                const int32_t low = counts[i] & 0xffff, high = counts[i] >> 16;
                const bool before = first + i * sets < own;
                all = {all.x + low, all.y + high};
                earlier = {earlier.x + (before ? low : 0), earlier.y + (before ? high : 0)};
            }
        }
        sums.all[set * pairs + pair] = all;
        sums.earlier[set * pairs + pair] = earlier;
    }
    __syncthreads();
    return sums;
}

static __device__ __forceinline__ int32_t sum_of_sets(const struct count_sums &sums,
                                                      const int2 *of_sets, int32_t e)
{
    int32_t sum = 0;
#pragma unroll 4
    for (int32_t set = 0; set < sums.sets; set++)
        sum += ((const int32_t *)(of_sets + set * sums.pairs))[e];
    return sum;
}

// A thread an expert. Block 0 tells the layer.
static __device__ __forceinline__ void place_experts(const struct routing &r,
                                                     const struct places &places)
{
    const int32_t E = (int32_t)r.E;
    const struct count_sums sums = sum_counts(r, places.room);
    extent carry = {};
    for (int32_t base = 0; base < E; base += ROUTING_THREADS) {
        const int32_t e = base + threadIdx.x;
        const int32_t rows = e < E ? sum_of_sets(sums, sums.all, e) : 0;
        const int32_t earlier = e < E ? sum_of_sets(sums, sums.earlier, e) : 0;
        const extent own = extent_of([&](int i) {
            const uint32_t height = i ? (uint32_t)r.lists[i - 1].height : 1;
            return (int32_t)(((uint32_t)rows + height - 1) / height);
        });
        const extent end = sum_up_to(own, &carry);
        if (e >= E)
            continue;
        places.next[e] = end.of[0] - rows + earlier;
        places.row_begin[e + 1] = end.of[0];
#pragma unroll
        for (int i = 0; i < TILE_HEIGHTS; i++)
            places.tile_begin[i * (E + 1) + e + 1] = end.of[1 + i];
        if (blockIdx.x == 0)
            r.expert_begin[e + 1] = end.of[0];
    }
    if (threadIdx.x == 0)
        places.row_begin[0] = 0;
    if (threadIdx.x < TILE_HEIGHTS)
        places.tile_begin[threadIdx.x * (E + 1)] = 0;
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        r.expert_begin[0] = 0;
#pragma unroll
        for (int i = 0; i < TILE_HEIGHTS; i++)
            r.lists[i].tiles->count = carry.of[1 + i];
    }
    __syncthreads();
}

static __device__ __forceinline__ void slice_tokens(int64_t T, const struct token_slices &slices)
{
    const int64_t size = slices.count > 0 ? (T + slices.count - 1) / slices.count : 0;
    for (int64_t i = threadIdx.x; i <= slices.count; i += ROUTING_THREADS)
        slices.begin[i] = i * size < T ? i * size : T;
}

// Rows of each of an expert's tiles but the last: as many as are high, or, of tiles that lie
// across, such that all have about as many, unless none were left for the last.
static __device__ __forceinline__ int32_t rows_of_tiles(int32_t rows, int32_t height, int32_t count)
{
    const int32_t even = (int32_t)((uint32_t)(rows + count - 1) / (uint32_t)count + 15) / 16 * 16;
    return LIES_ACROSS(height) && (count - 1) * (int64_t)even < rows ? even : height;
}

// The tiles of each expert, a warp an expert; blocks share the experts.
static __device__ __forceinline__ void list_tiles(const struct routing &r,
                                                  const struct places &places,
                                                  const struct tile_list &tiles,
                                                  const int32_t *tile_begin)
{
    const int32_t height = (int32_t)tiles.height;
    struct row_tile *const list = (struct row_tile *)(tiles.tiles + 1);
    for (int64_t e = threadIdx.x / 32 * r.chunks + blockIdx.x; e < r.E; e += WARPS * r.chunks) {
        const int32_t begin = places.row_begin[e], end = places.row_begin[e + 1];
        const int32_t first = tile_begin[e], count = tile_begin[e + 1] - first;
#pragma unroll 1
        for (int32_t i = threadIdx.x % 32; i < count; i += 32) {
            const int32_t most = rows_of_tiles(end - begin, height, count);
            const int32_t row = begin + i * (planted(FAULT_ACROSS_CUT) ? height : most);
            int32_t left = end - row;
            if (planted(FAULT_ROWS_ROUNDED_DOWN) && left > 16)
                left -= left % 16;
            list[first + i] = {row, left < most ? left : most,
                               (int32_t)e - (planted(FAULT_SECOND_TILE_EXPERT) && i > 0), first,
                               count};
        }
    }
}

// ---- rows of a chunk's entries ----------------------------------------------------------------
//
// In rounds: each warp has a part of a round, entries one behind another, of which it takes 32 at a
// time. First it numbers them by expert. Then sums over the warps say where each one's rows of an
// expert begin.

// A chunk's entries and how they are dealt: to `warps` warps, `steps` times 32 to each in a round.
struct deal {
    int64_t begin;
    int32_t count, warps, steps, round;
};

static __device__ __forceinline__ struct deal deal_chunk(const struct routing &r)
{
    const int64_t first = blockIdx.x * r.chunk_tokens;
    const int64_t last = first + r.chunk_tokens < r.T ? first + r.chunk_tokens : r.T;
    const int64_t begin = r.offsets ? r.offsets[first] : first * r.K;
    const int32_t count = (int32_t)((r.offsets ? r.offsets[last] : last * r.K) - begin);
    const int32_t warps = PLACE_WARPS((int32_t)r.E), all = 32 * warps;
    const int32_t steps = count > STEPS * all ? STEPS : (count + all - 1) / all;
    return {begin, count, warps, steps, all * steps};
}

// A thread's entries of a round, every 32nd of its warp's: their experts, -1 where there is none,
// and their scores.
struct share {
    int32_t expert[STEPS];
    float score[STEPS];
};

// `at`: the first of them in the chunk.
static __device__ __forceinline__ struct share read_share(const struct routing &r,
                                                          const struct deal &deal, int32_t at)
{
    const int32_t *const picks = r.picks + deal.begin + at;
    const float *const scores = r.scores + deal.begin + at;
    struct share share;
#pragma unroll
    for (int i = 0; i < STEPS; i++) {
        const bool there = i < deal.steps && at + 32 * i < deal.count;
        share.expert[i] = there ? picks[32 * i] : -1;
        share.score[i] = there ? scores[32 * i] : 0;
    }
    return share;
}

// How many of the warp's entries with the same expert come before each; and counts [E] of all of
// them. Lanes with the same expert are numbered by their order.
static __device__ __forceinline__ void number_part(const struct deal &deal,
                                                   const int32_t (&expert)[STEPS], int32_t E,
                                                   int32_t *counts, int32_t (&number)[STEPS])
{
    const int lane = threadIdx.x % 32;
    uint32_t peers[STEPS];
    for (int32_t e = lane; e < E; e += 32)
        counts[e] = 0;
#pragma unroll
    for (int i = 0; i < STEPS; i++)
        peers[i] = __match_any_sync(~0u, expert[i]);
#pragma unroll
    for (int i = 0; i < STEPS; i++) {
        const int32_t e = expert[i];
        const int before = __popc(peers[i] & ((1u << lane) - 1));
        __syncwarp();
        if (i >= deal.steps)
            break;
        const int32_t counted = e >= 0 && !planted(FAULT_PART_OF_ONE_STEP) ? counts[e] : 0;
        number[i] = counted + before;
        if (!planted(FAULT_PLACE_NO_WARP_BARRIER))
            __syncwarp();
        if (e >= 0 && before == 0)
            counts[e] = counted + __popc(peers[i]);
    }
}

// Counts [used,E] of warps become the first of their rows, and `next` is behind the last of them.
static __device__ __forceinline__ void place_parts(const struct places &places, int32_t E,
                                                   int32_t used)
{
    constexpr int AHEAD = 8;
    for (int32_t e = threadIdx.x; e < E; e += ROUTING_THREADS) {
        int32_t *const counts = places.room + e;
        int32_t row = places.next[e];
        for (int32_t w = 0; w < used; w += AHEAD) {
            int32_t count[AHEAD];
#pragma unroll
            for (int i = 0; i < AHEAD; i++)
                count[i] = w + i < used ? counts[(w + i) * E] : 0;
#pragma unroll
            for (int i = 0; i < AHEAD; i++) {
                if (w + i < used)
                    counts[(w + i) * E] = row;
                row += count[i];
            }
        }
        places.next[e] = row;
    }
}

// Of the entry `at` of the chunk, which is entry p of all.
static __device__ __forceinline__ int64_t token_of(const struct routing &r, int64_t p, int32_t at)
{
    int64_t low = blockIdx.x * r.chunk_tokens, high = low + r.chunk_tokens;
    if (!r.offsets)
        return low + (uint32_t)at / (uint32_t)r.K;
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

static __device__ __forceinline__ void store_row(const struct routing &r, const struct deal &deal,
                                                 int32_t at, int64_t row, float score)
{
    const int64_t p = deal.begin + at;
    if (!(planted(FAULT_DROPPED_ENTRY_ROW) && row < 0))
        r.entry_row[p] = row;
    if (row < 0)
        return;
    r.row_token[row] = token_of(r, p, at);
    r.row_entry[row] = p;
    r.row_score[row] = score;
}

// Rows of a chunk's entries, in order. Dynamic shared memory: PLACE_BYTES(E). There are fewer than
// 2^31 rows. The entries of the next round are read meanwhile.
extern "C" __global__ void __launch_bounds__(ROUTING_THREADS)
    hopper_place(const __grid_constant__ struct routing r)
{
    extern __shared__ __align__(16) int32_t memory[];
    const int32_t E = (int32_t)r.E;
    const struct places places = places_in(memory, E);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const struct deal deal = deal_chunk(r);
    const int32_t part = 32 * deal.steps, first = warp < deal.warps ? warp * part : deal.count;
    int32_t *const counts = places.room + warp * E;
    struct share ahead = read_share(r, deal, first + lane);
    place_experts(r, places);
#pragma unroll
    for (int i = 0; i < TILE_HEIGHTS; i++)
        list_tiles(r, places, r.lists[i], places.tile_begin + i * (E + 1));
    for (int i = 0; i < TOKEN_SLICES && blockIdx.x == 0; i++)
        if (r.slices[i].begin)
            slice_tokens(r.T, r.slices[i]);
    for (int32_t base = 0; base < deal.count; base += deal.round) {
        const int32_t left = min(deal.count - base, deal.round), used = (left + part - 1) / part;
        const struct share share = ahead;
        int32_t number[STEPS];
        if (first < left)
            number_part(deal, share.expert, E, counts, number);
        if (!planted(FAULT_PLACE_NO_BARRIER))
            __syncthreads();
        ahead = read_share(r, deal, base + deal.round + first + lane);
        place_parts(places, E, used);
        if (!planted(FAULT_PLACE_EARLY))
            __syncthreads();
#pragma unroll
        for (int i = 0; i < STEPS; i++) {
            const int32_t e = share.expert[i], at = base + first + lane + 32 * i;
            if (first < left && i < deal.steps && at < deal.count)
                store_row(r, deal, at, e >= 0 ? counts[e] + number[i] : -1, share.score[i]);
        }
        __syncwarp();
    }
}

// picks.cu - from logits to picks and scores, or from lists to picks that are allowed; and how many
// rows that gives each expert.
//
// Tokens are cut into chunks, a block each, for the sort in routing.cu. A warp takes one token at a
// time: what experts are picked by becomes keys, in registers where experts are few and have no
// groups, else in shared memory. Scores are few, and computed in double.
#include "gpu/fault.h"
#include "gpu/hopper/routing.h"
#include "gpu/hopper/scores.cuh"

// ---- keys: unsigned numbers in the order of rank ----------------------------------------------
//
// 0 is no candidate, 1 is NaN, then come the values from -inf up; -0 is +0.

static __device__ __forceinline__ uint32_t key_of(float value)
{
    const uint32_t bits = __float_as_uint(value + 0.f);
    if (value != value)
        return planted(FAULT_NAN_FIRST) ? ~0u : 1;
    return bits >> 31 ? ~bits : bits | 1u << 31;
}

static __device__ __forceinline__ uint64_t key_of(double value)
{
    const uint64_t bits = (uint64_t)__double_as_longlong(value + 0.0);
    if (value != value)
        return 1;
    return bits >> 63 ? ~bits : bits | 1ull << 63;
}

static __device__ __forceinline__ double value_of(uint64_t key)
{
    if (key == 1)
        return NAN;
    return __longlong_as_double((long long)(key >> 63 ? key ^ 1ull << 63 : ~key));
}

static __device__ __forceinline__ uint32_t most_of_warp(uint32_t key)
{
    return __reduce_max_sync(~0u, key);
}

static __device__ __forceinline__ uint64_t most_of_warp(uint64_t key)
{
    const uint32_t high = most_of_warp((uint32_t)(key >> 32));
    const uint32_t low = most_of_warp((uint32_t)(key >> 32) == high ? (uint32_t)key : 0);
    return (uint64_t)high << 32 | low;
}

// The id that is best, to every lane, of those that lanes propose with these keys: the smaller one
// on ties. Whether it is the lane's own to take away.
template <class Key>
static __device__ __forceinline__ int32_t best_of_warp(Key key, int32_t id, bool *own)
{
    const uint32_t mine = key == most_of_warp(key) ? (uint32_t)id : ~0u;
    const uint32_t best = planted(FAULT_TIES_LARGER_ID) ? __reduce_max_sync(~0u, mine + 1) - 1
                                                        : __reduce_min_sync(~0u, mine);
    *own = best % 32 == lane() && !(planted(FAULT_PICK_TWICE) && best >= 32);
    return (int32_t)best;
}

// Keys in shared memory: lane l has keys l, l + 32, ... What is taken is no candidate any more.
template <class Key> static __device__ __forceinline__ int32_t take_best(Key *keys, int32_t n)
{
    Key best = 0;
    int32_t place = 0;
    bool own;
#pragma unroll 4
    for (int32_t i = lane(); i < n; i += 32)
        if (keys[i] > best) {
            best = keys[i];
            place = i;
        }
    const int32_t id = best_of_warp(best, place, &own);
    if (own)
        keys[id] = 0;
    return id;
}

// The same in registers, for up to 32 COUNT keys: the lane's best is known, and looked for again
// only where it was taken.
template <class Key, int COUNT> struct hand {
    Key keys[COUNT], best;
    int32_t place;

    __device__ __forceinline__ void look()
    {
        best = 0;
        place = 0;
#pragma unroll
        for (int i = 0; i < COUNT; i++)
            if (keys[i] > best) {
                best = keys[i];
                place = i;
            }
    }

    __device__ __forceinline__ int32_t take()
    {
        bool own;
        const int32_t id = best_of_warp(best, place * 32 + lane(), &own);
        if (own) {
#pragma unroll
            for (int i = 0; i < COUNT; i++)
                keys[i] = i == place ? 0 : keys[i];
            look();
        }
        return id;
    }
};

// ---- what experts are picked by ---------------------------------------------------------------

struct by_logit {
    using Key = uint32_t;
    static constexpr int COUNT = 16; // keys that a lane has room for
    static __device__ __forceinline__ bool is_softmax(int)
    {
        return true;
    }
    static __device__ __forceinline__ Key key(const struct picking &p, int64_t t, int32_t e)
    {
        return key_of(p.logits[t * p.E + e]);
    }
    // Of a group with these two best keys.
    static __device__ __forceinline__ Key of_group(Key best, Key)
    {
        return best;
    }
};

struct by_score {
    using Key = uint64_t;
    static constexpr int COUNT = 8;
    static __device__ __forceinline__ bool is_softmax(int)
    {
        return false;
    }
    static __device__ __forceinline__ Key key(const struct picking &p, int64_t t, int32_t e)
    {
        return key_of(raw_score(p.router, p.logits[t * p.E + e]) +
                      (p.sel_bias && !planted(FAULT_NO_SELECTION_BIAS) ? p.sel_bias[e] : 0));
    }
    static __device__ __forceinline__ Key of_group(Key best, Key second)
    {
        return second && !planted(FAULT_GROUP_BEST_ONLY) ? key_of(value_of(best) + value_of(second))
                                                         : best;
    }
};

// Leaves the keys of the best groups alone. room: a key a group.
template <class Rank>
static __device__ __forceinline__ void
keep_groups(const struct picking &p, typename Rank::Key *keys, typename Rank::Key *room)
{
    const int32_t E = (int32_t)p.E, groups = (int32_t)p.groups, size = E / groups;
    __syncwarp();
    for (int32_t g = lane(); g < groups; g += 32) {
        typename Rank::Key best = 0, second = 0;
        for (int32_t e = g * size; e < (g + 1) * size; e++) {
            second = keys[e] > best ? best : keys[e] > second ? keys[e] : second;
            best = keys[e] > best ? keys[e] : best;
        }
        room[g] = Rank::of_group(best, second);
    }
    for (int64_t k = 0; k < p.groups_kept; k++)
        take_best(room, groups);
    __syncwarp();
    for (int32_t e = lane(); e < E; e += 32)
        if (room[e / size])
            keys[e] = 0;
}

// K picks in order of rank: pick k by lane k % 32, which scores it. The lane's first pick; -1:
// none.
template <class Take>
static __device__ __forceinline__ int32_t write_picks(const struct picking &p, int64_t t,
                                                      const Take &take)
{
    int32_t first = -1;
    for (int32_t k = 0; k < (int32_t)p.K; k++) {
        const int32_t best = take();
        if (k % 32 == lane()) {
            p.picks[t * p.K + k] = best;
            first = k < 32 ? best : first;
        }
    }
    __syncwarp();
    return first;
}

template <class Rank, int COUNT>
static __device__ __forceinline__ int32_t pick_in_registers(const struct picking &p, int64_t t)
{
    hand<typename Rank::Key, COUNT> hand;
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
        const int32_t e = i * 32 + lane();
        hand.keys[i] = e < p.E ? Rank::key(p, t, e) : 0;
    }
    hand.look();
    return write_picks(p, t, [&]() { return hand.take(); });
}

template <class Rank>
static __device__ __forceinline__ int32_t pick_in_memory(const struct picking &p, int64_t t,
                                                         typename Rank::Key *keys)
{
    const int32_t E = (int32_t)p.E;
    for (int32_t e = lane(); e < E; e += 32)
        keys[e] = Rank::key(p, t, e);
    if (p.groups)
        keep_groups<Rank>(p, keys, keys + E);
    return write_picks(p, t, [&]() { return take_best(keys, E); });
}

template <class Rank>
static __device__ __forceinline__ int32_t pick(const struct picking &p, int64_t t,
                                               typename Rank::Key *keys)
{
    if (p.groups || p.E > 32 * Rank::COUNT)
        return pick_in_memory<Rank>(p, t, keys);
    if (p.E <= 64)
        return pick_in_registers<Rank, 2>(p, t);
    if (p.E <= 128)
        return pick_in_registers<Rank, 4>(p, t);
    return pick_in_registers<Rank, Rank::COUNT>(p, t);
}

// ---- scores -----------------------------------------------------------------------------------

static __device__ __forceinline__ void count(int32_t *counts, int32_t e)
{
    if (!(planted(FAULT_EXPERTS_BEYOND_255) && e > 255))
        atomicAdd(&counts[e], 1);
}

// Scores of the token's n entries from `first` on, and their count by expert. Lane k has pick k in
// `own`; what the lane knows of it is not looked up again.
template <class Rank>
static __device__ __forceinline__ void score(const struct picking &p, int64_t t, int64_t first,
                                             int64_t n, int32_t own, int32_t *counts)
{
    const float *const logits = p.logits + t * p.E;
    const float own_logit = lane() < n ? logits[own] : 0;
    const auto pick = [&](int64_t k) { return k == lane() ? own : p.picks[first + k]; };
    const auto logit = [&](int64_t k) {
        return (double)(k == lane() ? own_logit : logits[pick(k)]);
    };
    softmax s = {0, 1, 0};
    if (Rank::is_softmax(p.router) && p.router == MOE_TOPK_SOFTMAX)
        s = softmax_of(n, logit);
    else if (Rank::is_softmax(p.router))
        s = softmax_of(p.E, [&](int64_t e) { return (double)logits[e]; });
    const auto value = [&](int64_t k) {
        if (!Rank::is_softmax(p.router))
            return raw_score(p.router, logit(k));
        const bool known = p.router == MOE_TOPK_SOFTMAX && k == lane();
        return (known ? s.first : exp(logit(k) - s.most)) / s.sum;
    };
    const double own_value = lane() < n ? value(lane()) : 0;
    const auto value_again = [&](int64_t k) { return k == lane() ? own_value : value(k); };
    double total = 0;
    for (int64_t k = lane(); k < n && p.renorm; k += 32)
        total += value_again(k);
    total = sum_of_warp(total);
    for (int64_t k = lane(); k < n; k += 32) {
        const double scale = p.renorm && planted(FAULT_RENORM_WITHOUT_SCALE) ? 1 : p.scale;
        p.scores[first + k] = (float)(scale * (p.renorm ? value_again(k) / total : value_again(k)));
        count(counts, pick(k));
    }
}

// ---- kernels: a block a chunk -----------------------------------------------------------------

// take(t, counts) of each of the chunk's tokens, and what it gave each expert. Dynamic shared
// memory begins with E counts.
template <class Take>
static __device__ __forceinline__ void count_chunk(const struct picking &p, const Take &take)
{
    extern __shared__ __align__(16) int32_t counts[];
    const int64_t first = blockIdx.x * p.chunk_tokens, end = first + p.chunk_tokens;
    for (int32_t e = threadIdx.x; e < p.E; e += blockDim.x)
        counts[e] = planted(FAULT_COUNT_NOT_CLEARED) ? counts[e] : 0;
    if (!planted(FAULT_COUNT_NO_BARRIER))
        __syncthreads();
    for (int64_t t = first + threadIdx.x / 32; t < (end < p.T ? end : p.T); t += blockDim.x / 32)
        take(t, counts);
    __syncthreads();
    const int64_t pairs = (p.E + 1) / 2; // of 16 bits each: a token has an expert once
    for (int32_t i = threadIdx.x; i < pairs; i += blockDim.x)
        p.counts[blockIdx.x * pairs + i] =
            (uint32_t)counts[2 * i] | (2 * i + 1 < p.E ? (uint32_t)counts[2 * i + 1] << 16 : 0);
}

// Picks [T,K] of the router, and, where scores are asked for (not NULL), these and counts. Behind
// its counts shared memory has room for E and for `groups` keys a warp.
template <class Rank> static __device__ __forceinline__ void route(const struct picking &p)
{
    count_chunk(p, [&](int64_t t, int32_t *counts) {
        typename Rank::Key *const keys = (typename Rank::Key *)((char *)counts + p.keys_at) +
                                         threadIdx.x / 32 * (p.E + p.groups);
        const int32_t own = pick<Rank>(p, t, keys);
        if (p.scores)
            score<Rank>(p, t, t * p.K, p.K, own, counts);
    });
}

extern "C" __global__ void __launch_bounds__(PICKING_THREADS)
    hopper_route_by_logit(const __grid_constant__ struct picking p)
{
    route<by_logit>(p);
}

extern "C" __global__ void __launch_bounds__(PICKING_THREADS)
    hopper_route_by_score(const __grid_constant__ struct picking p)
{
    route<by_score>(p);
}

// Scores of picks that are there.
extern "C" __global__ void __launch_bounds__(PICKING_THREADS)
    hopper_score(const __grid_constant__ struct picking p)
{
    count_chunk(p, [&](int64_t t, int32_t *counts) {
        const int64_t first = p.offsets[t], n = p.offsets[t + 1] - first;
        score<any_router>(p, t, first, n, lane() < n ? p.picks[first + lane()] : -1, counts);
    });
}

// Picks from lists: ids that a token may not have (out of range, or twice) become -1, dropped, and
// set bit 0 of the status word.
extern "C" __global__ void __launch_bounds__(PICKING_THREADS)
    hopper_clean(const __grid_constant__ struct picking p)
{
    count_chunk(p, [&](int64_t t, int32_t *counts) {
        const int64_t begin = p.offsets ? p.offsets[t] : t * p.K;
        const int64_t end = p.offsets ? p.offsets[t + 1] : begin + p.K;
        for (int64_t i = begin + lane(); i < end; i += 32) {
            const int32_t e = p.lists[i];
            bool wrong = e < -1 || e >= p.E;
            for (int64_t j = begin; j < i && !wrong && e >= 0; j++)
                wrong = p.lists[j] == e;
            if (wrong && p.status)
                atomicOr(p.status, 1u);
            p.picks[i] = wrong ? -1 : e;
            if (!wrong && e >= 0)
                count(counts, e);
        }
    });
}

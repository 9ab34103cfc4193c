// picks.cu - from logits to picks and scores, or from lists to picks that are allowed; and how many
// rows that gives each expert.
//
// Tokens are cut into chunks, a block each, for the sort in routing.cu. A warp takes one token at a
// time, and reads its logits once: what experts are picked by becomes keys in shared memory. Scores
// are few, and computed in double.
#include "gpu/fault.h"
#include "gpu/hopper/routing.h"
#include "ref/moe.h"

static __device__ __forceinline__ int lane()
{
    return threadIdx.x % 32;
}

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

// The id of the largest of n keys, the smaller one on ties, to every lane; it is no candidate any
// more. Lane l has keys l, l + 32, ...
template <class Key> static __device__ __forceinline__ int32_t take_best(Key *keys, int32_t n)
{
    Key best = 0;
    int32_t place = 0;
#pragma unroll 4
    for (int32_t i = lane(); i < n; i += 32)
        if (keys[i] > best) {
            best = keys[i];
            place = i;
        }
    const Key top = most_of_warp(best);
    const uint32_t mine = best == top ? (uint32_t)place : ~0u;
    const uint32_t id = planted(FAULT_TIES_LARGER_ID) ? __reduce_max_sync(~0u, mine + 1) - 1
                                                      : __reduce_min_sync(~0u, mine);
    if (id % 32 == lane() && !(planted(FAULT_PICK_TWICE) && id >= 32))
        keys[id] = 0;
    return (int32_t)id;
}

// ---- what experts are picked by ---------------------------------------------------------------

static __device__ __forceinline__ bool is_by_logit(int router)
{
    return router == MOE_TOPK_SOFTMAX || router == MOE_SOFTMAX_TOPK;
}

// Of the routers that are not softmax.
static __device__ __forceinline__ double raw_score(int router, double l)
{
    if (router == MOE_SIGMOID)
        return 1 / (1 + exp(-l));
    return sqrt(l > 40 ? l : log1p(exp(l)));
}

struct by_logit {
    using Key = uint32_t;
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

// The token's picks in order of rank: pick k by lane k % 32, which scores it.
template <class Rank>
static __device__ __forceinline__ void pick(const struct picking &p, int64_t t,
                                            typename Rank::Key *keys)
{
    const int32_t E = (int32_t)p.E;
    for (int32_t e = lane(); e < E; e += 32)
        keys[e] = Rank::key(p, t, e);
    if (p.groups)
        keep_groups<Rank>(p, keys, keys + E);
    for (int64_t k = 0; k < p.K; k++) {
        const int32_t best = take_best(keys, E);
        if (k % 32 == lane())
            p.picks[t * p.K + k] = best;
    }
    __syncwarp();
}

// ---- scores -----------------------------------------------------------------------------------

static __device__ __forceinline__ double sum_of_warp(double value)
{
#pragma unroll
    for (int step = 16; step > 0; step /= 2)
        value += __shfl_xor_sync(~0u, value, step);
    return value;
}

struct softmax {
    double most, sum; // exp(l - most) / sum
};

// Over n logits; a NaN among them is in the sum.
template <class Logit>
static __device__ __forceinline__ softmax softmax_of(int64_t n, const Logit &logit)
{
    softmax s = {-INFINITY, 0};
    for (int64_t i = lane(); i < n; i += 32)
        s.most = fmax(s.most, logit(i));
#pragma unroll
    for (int step = 16; step > 0; step /= 2)
        s.most = fmax(s.most, __shfl_xor_sync(~0u, s.most, step));
    for (int64_t i = lane(); i < n; i += 32)
        s.sum += exp(logit(i) - s.most);
    s.sum = sum_of_warp(s.sum);
    return s;
}

static __device__ __forceinline__ void count(int32_t *counts, int32_t e)
{
    if (!(planted(FAULT_EXPERTS_BEYOND_255) && e > 255))
        atomicAdd(&counts[e], 1);
}

// Scores of the token's n entries from `first` on, and their count by expert.
static __device__ __forceinline__ void score(const struct picking &p, int64_t t, int64_t first,
                                             int64_t n, int32_t *counts)
{
    const int32_t *const picks = p.picks + first;
    const float *const logits = p.logits + t * p.E;
    softmax s = {0, 1};
    if (p.router == MOE_TOPK_SOFTMAX)
        s = softmax_of(n, [&](int64_t k) { return (double)logits[picks[k]]; });
    else if (p.router == MOE_SOFTMAX_TOPK)
        s = softmax_of(p.E, [&](int64_t e) { return (double)logits[e]; });
    const auto value = [&](int64_t k) {
        const double l = logits[picks[k]];
        return is_by_logit(p.router) ? exp(l - s.most) / s.sum : raw_score(p.router, l);
    };
    double total = 0;
    for (int64_t k = lane(); k < n && p.renorm; k += 32)
        total += value(k);
    total = p.renorm ? sum_of_warp(total) : 1;
    for (int64_t k = lane(); k < n; k += 32) {
        const double scale = p.renorm && planted(FAULT_RENORM_WITHOUT_SCALE) ? 1 : p.scale;
        p.scores[first + k] = (float)(scale * (value(k) / total));
        count(counts, picks[k]);
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
    for (int32_t e = threadIdx.x; e < p.E; e += blockDim.x)
        p.counts[blockIdx.x * p.E + e] = counts[e];
}

// Picks [T,K] of the router, and, where scores are asked for (not NULL), these and counts. Behind
// its counts shared memory has room for E and for `groups` keys a warp.
template <class Rank> static __device__ __forceinline__ void route(const struct picking &p)
{
    count_chunk(p, [&](int64_t t, int32_t *counts) {
        typename Rank::Key *const keys = (typename Rank::Key *)((char *)counts + p.keys_at) +
                                         threadIdx.x / 32 * (p.E + p.groups);
        pick<Rank>(p, t, keys);
        if (p.scores)
            score(p, t, t * p.K, p.K, counts);
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
        score(p, t, p.offsets[t], p.offsets[t + 1] - p.offsets[t], counts);
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

// picks.cu - from logits to picks and scores, or from lists to picks that are allowed; and how many
// rows that gives each expert.
//
// Tokens are cut into chunks, a block each, for the sort in routing.cu. A warp takes four tokens at
// a time, with eight lanes each; but where experts are many, or have groups, it picks for these one
// after another, with all lanes; and where tokens are few it takes one alone. What experts are
// picked by becomes keys, in registers where there is room for them, else in shared memory. Scores
// are few, and computed in double.
#include "gpu/fault.h"
#include "gpu/hopper/routing.h"
#include "gpu/hopper/scores.cuh"

// ---- keys: unsigned numbers in the order of rank ----------------------------------------------
//
// 0 is no candidate, 1 is NaN, then come the values from -inf up; -0 is +0.

static __device__ __forceinline__ uint32_t key_of(float value)
{
    const int32_t bits = __float_as_int(value + 0.f);
    const uint32_t key = (uint32_t)(bits ^ (bits >> 31 | INT32_MIN));
    return value == value ? key : planted(FAULT_NAN_FIRST) ? ~0u : 1;
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

// Of a segment's lanes.
template <int LANES> static __device__ __forceinline__ uint32_t most_of(uint32_t key)
{
    if constexpr (LANES == 32) {
        return __reduce_max_sync(~0u, key);
    } else {
#pragma unroll
        for (int step = LANES / 2; step > 0; step /= 2)
            key = max(key, other_of<LANES>(key, step));
        return key;
    }
}

template <int LANES> static __device__ __forceinline__ uint32_t least_of(uint32_t key)
{
    if constexpr (LANES == 32) {
        return __reduce_min_sync(~0u, key);
    } else {
#pragma unroll
        for (int step = LANES / 2; step > 0; step /= 2)
            key = min(key, other_of<LANES>(key, step));
        return key;
    }
}

template <int LANES> static __device__ __forceinline__ uint64_t most_of(uint64_t key)
{
    const uint32_t high = most_of<LANES>((uint32_t)(key >> 32));
    const uint32_t low = most_of<LANES>((uint32_t)(key >> 32) == high ? (uint32_t)key : 0);
    return (uint64_t)high << 32 | low;
}

// The id that is best, to every lane of the segment, of those that its lanes propose with these
// keys: the smaller one on ties. Whether it is the lane's own to take away.
template <int LANES, class Key>
static __device__ __forceinline__ int32_t best_of(Key key, int32_t id, bool *own)
{
    const uint32_t mine = key == most_of<LANES>(key) ? (uint32_t)id : ~0u;
    const uint32_t best =
        planted(FAULT_TIES_LARGER_ID) ? most_of<LANES>(mine + 1) - 1 : least_of<LANES>(mine);
    *own = best == (uint32_t)id && !(planted(FAULT_PICK_TWICE) && best >= 32);
    return (int32_t)best;
}

// Keys in shared memory: lane l of the warp has keys l, l + 32, ... What is taken is no candidate
// any more.
template <class Key> static __device__ __forceinline__ int32_t take_best(Key *keys, int32_t n)
{
    Key best = 0;
    int32_t place = lane();
    bool own;
#pragma unroll 4
    for (int32_t i = lane(); i < n; i += 32)
        if (keys[i] > best) {
            best = keys[i];
            place = i;
        }
    const int32_t id = best_of<32>(best, place, &own);
    if (own)
        keys[id] = 0;
    return id;
}

// The same in registers, for up to COUNT keys of each lane of a segment. They are in fours, each in
// order of rank, so that a lane's best is the first of one of them; where it is taken away the
// others of its four move up.
template <class Key, int COUNT, int LANES> struct hand {
    static constexpr int FOURS = COUNT / 4;
    Key keys[FOURS][4];
    uint32_t places[FOURS]; // a byte a key: lane l's key of place i is expert l + i LANES

    // Of two neighbours in a four; equal ones stay as they are, the smaller id first.
    __device__ __forceinline__ void put_in_order(int four, int first)
    {
        const uint32_t exchanged = first == 0 ? 0x3201 : first == 1 ? 0x3120 : 0x2310;
        const Key a = keys[four][first], b = keys[four][first + 1];
        keys[four][first] = max(a, b);
        keys[four][first + 1] = min(a, b);
        places[four] = b > a ? __byte_perm(places[four], 0, exchanged) : places[four];
    }

    // Of n experts.
    template <class KeyOf> __device__ __forceinline__ void fill(int32_t n, const KeyOf &key_of)
    {
        const int32_t l = lane() % LANES;
        if (n == COUNT * LANES)
#pragma unroll
            for (int i = 0; i < COUNT; i++)
                keys[i / 4][i % 4] = key_of(l + i * LANES);
        else
#pragma unroll
            for (int i = 0; i < COUNT; i++)
                keys[i / 4][i % 4] = l + i * LANES < n ? key_of(l + i * LANES) : 0;
#pragma unroll
        for (int four = 0; four < FOURS; four++) {
            places[four] = 0x03020100 + four * 0x04040404;
#pragma unroll
            for (int round = 0; round < 4; round++)
#pragma unroll
                for (int first = round % 2; first < 3; first += 2)
                    put_in_order(four, first);
        }
    }

    __device__ __forceinline__ void move_up(int four, bool own)
    {
#pragma unroll
        for (int i = 0; i < 4; i++)
            keys[four][i] = own ? i < 3 ? keys[four][i + 1] : 0 : keys[four][i];
        places[four] = own ? places[four] >> 8 : places[four];
    }

    __device__ __forceinline__ int32_t take()
    {
        Key best = keys[0][0];
        uint32_t place = places[0];
        bool own;
#pragma unroll
        for (int four = 1; four < FOURS; four++)
            if (keys[four][0] > best) {
                best = keys[four][0];
                place = places[four];
            }
        place &= 255;
        const int32_t id = best_of<LANES>(best, (int32_t)place * LANES + lane() % LANES, &own);
        const int32_t taken = LANES == 32 || own ? id / (4 * LANES) : FOURS;
#pragma unroll
        for (int four = 0; four < FOURS; four++)
            if (taken == four)
                move_up(four, own);
        return id;
    }
};

// ---- what experts are picked by ---------------------------------------------------------------

struct by_logit {
    using Key = uint32_t;
    static constexpr int COUNT = LOGIT_KEYS; // that a lane has registers for
    // Keys go through shared memory on their way to registers: where they are much work, so that
    // there is one loop for it.
    static constexpr bool BY_MEMORY = false;
    static __device__ __forceinline__ bool is_softmax(int)
    {
        return true;
    }
    static __device__ __forceinline__ Key key(const struct picking &, float logit, int32_t)
    {
        return key_of(logit);
    }
    // Of a group with these two best keys.
    static __device__ __forceinline__ Key of_group(Key best, Key)
    {
        return best;
    }
};

struct by_score {
    using Key = uint64_t;
    static constexpr int COUNT = SCORE_KEYS;
    static constexpr bool BY_MEMORY = true;
    static __device__ __forceinline__ bool is_softmax(int)
    {
        return false;
    }
    static __device__ __forceinline__ Key key(const struct picking &p, float logit, int32_t e)
    {
        return key_of(raw_score(p.router, logit) +
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

// K picks in order of rank to picks [K], pick k by lane k % LANES of the segment, which scores it;
// nothing where the segment has no token. The lane's first pick; -1: none.
template <int LANES, class Take>
static __device__ __forceinline__ int32_t write_picks(int32_t K, bool any, int32_t *picks,
                                                      const Take &take)
{
    const int32_t l = lane() % LANES;
    int32_t first = -1;
#pragma unroll 1
    for (int32_t begin = 0; begin < K; begin += LANES) {
        const int32_t count = min(K - begin, LANES);
        int32_t own = -1;
#pragma unroll 1
        for (int32_t k = 0; k < count; k++) {
            const int32_t best = take();
            own = k == l ? best : own;
        }
        if (any && l < count)
            picks[begin + l] = own;
        first = begin == 0 ? own : first;
    }
    __syncwarp();
    return first;
}

// Of n experts, E or 0.
template <class Key, int COUNT, int LANES, class KeyOf>
static __device__ __forceinline__ int32_t pick_by_hand(int32_t n, int32_t K, int32_t *picks,
                                                       const KeyOf &key_of)
{
    hand<Key, COUNT, LANES> hand;
    hand.fill(n, key_of);
    return write_picks<LANES>(K, n > 0, picks, [&]() { return hand.take(); });
}

template <class Rank, int LANES, class KeyOf>
static __device__ __forceinline__ int32_t pick_in_registers(const struct picking &p, int32_t n,
                                                            int32_t *picks, const KeyOf &key_of)
{
    using Key = typename Rank::Key;
    const int32_t K = (int32_t)p.K;
    if (p.E <= 4 * LANES)
        return pick_by_hand<Key, 4, LANES>(n, K, picks, key_of);
    if (p.E <= 8 * LANES || Rank::COUNT == 8)
        return pick_by_hand<Key, 8, LANES>(n, K, picks, key_of);
    return pick_by_hand<Key, Rank::COUNT, LANES>(n, K, picks, key_of);
}

// Picks of a segment's token t, if it has one. keys: room for E and, of 32 lanes, for `groups`;
// eight lanes have no more than they can hold in registers, and no groups.
template <class Rank, int LANES>
static __device__ __forceinline__ int32_t pick(const struct picking &p, int64_t t, bool any,
                                               typename Rank::Key *keys)
{
    const int32_t E = (int32_t)p.E, n = any ? E : 0;
    const bool fits = LANES == 8 || E <= LANES * Rank::COUNT, groups = LANES == 32 && p.groups;
    const float *const logits = found(p.logits + t * p.E);
    int32_t *const picks = found(p.picks + t * p.K);
    const auto key = [&](int32_t e) { return Rank::key(p, logits[e], e); };
    if (Rank::BY_MEMORY || groups || !fits) {
#pragma unroll 1
        for (int32_t e = lane() % LANES; e < n; e += LANES)
            keys[e] = key(e);
        if (groups)
            keep_groups<Rank>(p, keys, keys + E);
        if (!Rank::BY_MEMORY || !fits)
            return write_picks<LANES>((int32_t)p.K, any, picks,
                                      [&]() { return take_best(keys, E); });
    }
    return pick_in_registers<Rank, LANES>(
        p, n, picks, [&](int32_t e) { return Rank::BY_MEMORY ? keys[e] : key(e); });
}

// The same for a warp's tokens from `first` on, one after another with all lanes. The lane's first
// pick of its segment's token.
template <class Rank>
static __device__ __forceinline__ int32_t pick_in_turn(const struct picking &p, int64_t first,
                                                       int64_t end, typename Rank::Key *keys)
{
    int32_t own = -1;
#pragma unroll 1
    for (int i = 0; i < p.at_once && first + i < end; i++) {
        const int32_t pick_of_lane = pick<Rank, 32>(p, first + i, true, keys);
        const int32_t handed_on = __shfl_sync(~0u, pick_of_lane, lane() % 8);
        if (p.at_once == 1)
            own = pick_of_lane;
        else if (i == lane() / 8)
            own = handed_on;
    }
    return own;
}

// ---- scores -----------------------------------------------------------------------------------

static __device__ __forceinline__ void count(int32_t *counts, int32_t e)
{
    if (!(planted(FAULT_EXPERTS_BEYOND_255) && e > 255))
        atomicAdd(&counts[e], 1);
}

// Scores of the n entries, from `first` on, of a segment's token t, and their count by expert; no
// entries: no token. Lane k has pick k in `own`; what the lane knows of it is not looked up again.
// RANKED: the first pick is the best of all experts.
template <class Rank, int LANES, bool RANKED>
static __device__ __forceinline__ void score(const struct picking &p, int64_t t, int64_t first,
                                             int32_t n, int32_t own, int32_t *counts)
{
    const int32_t l = lane() % LANES, E = n > 0 ? (int32_t)p.E : 0;
    const bool is_softmax = Rank::is_softmax(p.router);
    const bool of_picks = is_softmax && p.router == MOE_TOPK_SOFTMAX;
    const float *const logits = found(p.logits + t * p.E);
    const int32_t *const picks = found(p.picks + first);
    const float own_logit = l < n ? logits[own] : 0;
    const auto pick = [&](int32_t k) { return k == l ? own : picks[k]; };
    const auto logit = [&](int32_t k) { return k == l ? own_logit : logits[picks[k]]; };
    const auto logit_of = [&](int32_t e) { return logits[e]; };
    softmax s = {0, 1};
    double own_power = 0;
    if (is_softmax && RANKED)
        s.most = fmaxf(-INFINITY, __shfl_sync(~0u, own_logit, 0, LANES));
    else if (is_softmax)
        s.most = of_picks ? most_over<LANES>(n, logit) : most_over<LANES>(E, logit_of);
    if (of_picks)
        s = softmax_over<LANES>(n, s.most, logit, [&](int32_t k, double power) {
            own_power = k == l ? power : own_power;
        });
    else if (is_softmax)
        s = softmax_over<LANES>(E, s.most, logit_of, [](int32_t, double) {});
    const auto value = [&](int32_t k) {
        if (!is_softmax)
            return raw_score(p.router, logit(k));
        return (of_picks && k == l ? own_power : power_of_e(logit(k) - s.most)) / s.sum;
    };
    const double own_value = l < n ? value(l) : 0;
    const auto value_again = [&](int32_t k) { return k == l ? own_value : value(k); };
    const double total = p.renorm ? sum_over<LANES>(n, value_again) : 1;
    const double scale = p.renorm && planted(FAULT_RENORM_WITHOUT_SCALE) ? 1 : p.scale;
    float *const scores = p.scores + first;
#pragma unroll 1
    for (int32_t k = l; k < n; k += LANES) {
        scores[k] = (float)(scale * (p.renorm ? value_again(k) / total : value_again(k)));
        count(counts, pick(k));
    }
}

// ---- kernels: a block a chunk -----------------------------------------------------------------

// take(t, end, counts) of the chunk's tokens before `end`, at_once from t on, and what that gave
// each expert. Dynamic shared memory begins with E counts.
template <class Take>
static __device__ __forceinline__ void count_chunk(const struct picking &p, const Take &take)
{
    extern __shared__ __align__(16) int32_t counts[];
    const int64_t first = blockIdx.x * p.chunk_tokens, next = first + p.chunk_tokens;
    const int64_t end = next < p.T ? next : p.T;
    for (int32_t e = threadIdx.x; e < p.E; e += blockDim.x)
        counts[e] = planted(FAULT_COUNT_NOT_CLEARED) ? counts[e] : 0;
    if (!planted(FAULT_COUNT_NO_BARRIER))
        __syncthreads();
    for (int64_t t = first + threadIdx.x / 32 * p.at_once; t < end;
         t += blockDim.x / 32 * p.at_once)
        take(t, planted(FAULT_TOKENS_BEYOND) ? t + p.at_once : end, counts);
    __syncthreads();
    const int64_t pairs = (p.E + 1) / 2; // of 16 bits each: a token has an expert once
    for (int32_t i = threadIdx.x; i < pairs; i += blockDim.x)
        p.counts[blockIdx.x * pairs + i] =
            (uint32_t)counts[2 * i] | (2 * i + 1 < p.E ? (uint32_t)counts[2 * i + 1] << 16 : 0);
}

// Scores and counts of a warp's tokens from `first` on, with so many lanes a token.
template <class Rank, int LANES>
static __device__ __forceinline__ void score_picks(const struct picking &p, int64_t first,
                                                   int64_t end, int32_t own, int32_t *counts)
{
    const int64_t t = first + lane() / LANES;
    score<Rank, LANES, true>(p, t, t * p.K, t < end ? (int32_t)p.K : 0, own, counts);
}

// Picks [T,K] of the router, and, where scores are asked for (not NULL), these and counts. Behind
// its counts shared memory has room for warp_keys keys a warp.
template <class Rank> static __device__ __forceinline__ void route(const struct picking &p)
{
    count_chunk(p, [&](int64_t first, int64_t end, int32_t *counts) {
        typename Rank::Key *const keys =
            (typename Rank::Key *)((char *)counts + p.keys_at) + threadIdx.x / 32 * p.warp_keys;
        const int64_t t = first + lane() / 8;
        const int32_t own = p.in_turn ? pick_in_turn<Rank>(p, first, end, keys)
                                      : pick<Rank, 8>(p, t, t < end, keys + lane() / 8 * p.E);
        if (p.scores && p.at_once == 1)
            score_picks<Rank, 32>(p, first, end, own, counts);
        else if (p.scores)
            score_picks<Rank, 8>(p, first, end, own, counts);
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

// Scores of picks that are there: of a warp's tokens from `first` on, with so many lanes a token.
template <int LANES>
static __device__ __forceinline__ void score_ragged(const struct picking &p, int64_t first,
                                                    int64_t end, int32_t *counts)
{
    const int64_t t = first + lane() / LANES;
    const int64_t begin = t < end ? p.offsets[t] : 0;
    const int32_t n = t < end ? (int32_t)(p.offsets[t + 1] - begin) : 0, l = lane() % LANES;
    score<any_router, LANES, false>(p, t, begin, n, l < n ? p.picks[begin + l] : -1, counts);
}

extern "C" __global__ void __launch_bounds__(PICKING_THREADS)
    hopper_score(const __grid_constant__ struct picking p)
{
    count_chunk(p, [&](int64_t first, int64_t end, int32_t *counts) {
        if (p.at_once == 1)
            score_ragged<32>(p, first, end, counts);
        else
            score_ragged<8>(p, first, end, counts);
    });
}

// Picks from lists: ids that a token may not have (out of range, or twice) become -1, dropped, and
// set bit 0 of the status word.
extern "C" __global__ void __launch_bounds__(PICKING_THREADS)
    hopper_clean(const __grid_constant__ struct picking p)
{
    count_chunk(p, [&](int64_t t, int64_t, int32_t *counts) {
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

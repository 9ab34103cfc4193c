// rounding.cu - token rounding in its plain form: experts take tokens by rank until their count is
// a multiple of round_to. In double, over the softmax of all E.
#include <Random123/philox.h>

#include "gpu/kernels/number.cuh"

// p [T,E] = softmax(logits), kept [T] = sum of p over the token's top K. One block a token.
extern "C" __global__ void __launch_bounds__(128)
    softmax_all(int64_t E, int64_t K, int dtype, const void *logits, const int32_t *picks,
                double *p, double *kept)
{
    __shared__ double room[128];
    int64_t t = blockIdx.x;
    double most = -INFINITY, sum = 0;
    for (int64_t e = threadIdx.x; e < E; e += blockDim.x) {
        double l = load<double>(dtype, logits, t * E + e);
        if (!(l <= most))
            most = l;
    }
    room[threadIdx.x] = most;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half && !(room[threadIdx.x + half] <= room[threadIdx.x]))
            room[threadIdx.x] = room[threadIdx.x + half];
        __syncthreads();
    }
    most = room[0];
    __syncthreads();
    for (int64_t e = threadIdx.x; e < E; e += blockDim.x)
        sum += exp(load<double>(dtype, logits, t * E + e) - most);
    sum = block_sum(sum, room);
    for (int64_t e = threadIdx.x; e < E; e += blockDim.x)
        p[t * E + e] = exp(load<double>(dtype, logits, t * E + e) - most) / sum;
    double mine = 0;
    for (int64_t k = threadIdx.x; k < K; k += blockDim.x)
        mine += exp(load<double>(dtype, logits, t * E + picks[t * K + k]) - most) / sum;
    sum = block_sum(mine, room);
    if (threadIdx.x == 0)
        kept[t] = sum;
}

// Expert e's word of the stochastic rule, as moe_draw_word gives it to ref/round.c.
static __device__ uint32_t word_of(uint64_t seed, int64_t e)
{
    const uint32_t purpose = 0x726f756e, stream_of_words = 0;
    const philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    const philox4x32_ctr_t counter = {{(uint32_t)(e / 4), 0, purpose, stream_of_words}};
    return philox4x32(counter, key).v[e % 4];
}

// targets [E] from counts [E]; seed: the case's. One thread: the balanced rule goes through experts
// in order.
extern "C" __global__ void round_targets(int64_t T, int64_t E, int mode, int64_t m, uint64_t seed,
                                         const int64_t *counts, int64_t *targets)
{
    int64_t drift = 0;
    for (int64_t e = 0; e < E && first_index() == 0; e++) {
        int64_t count = counts[e], down = count / m * m, up = (count + m - 1) / m * m;
        int64_t rest = count % m, target = down;
        up = up < T ? up : T;
        if (mode == MOE_ROUND_UP)
            target = up;
        else if (mode == MOE_ROUND_NEAREST)
            target =
                2 * rest > m || (2 * rest == m && (count / m % 2 || planted(FAULT_ROUND_HALF_UP)))
                    ? up
                    : down;
        else if (mode == MOE_ROUND_STOCHASTIC)
            target = (uint64_t)word_of(seed, e) * (uint64_t)m < (uint64_t)rest << 32 ? up : down;
        else if (mode == MOE_ROUND_BALANCED)
            target = llabs(drift + up - count) < llabs(drift + down - count) ? up : down;
        drift += planted(FAULT_BALANCED_NO_DRIFT) ? 0 : target - count;
        targets[e] = target;
    }
}

// A key that orders (kept pair first, then the value descending) as unsigned numbers do, largest
// first. Values are probabilities, at least 0; NaN ranks below all.
static __device__ uint64_t rank_key(bool is_kept, double value)
{
    if (value != value)
        return is_kept ? 1ull << 63 : 0;
    return (is_kept ? 1ull << 63 : 0) | ((uint64_t)__double_as_longlong(value + 0.0) + 1);
}

static __device__ uint64_t key_of(int64_t t, int64_t e, int64_t E, int64_t K, const double *p,
                                  const double *kept, const int32_t *picks)
{
    bool is_kept = false;
    for (int64_t k = 0; k < K; k++)
        is_kept |= picks[t * K + k] == e;
    return rank_key(is_kept, is_kept ? p[t * E + e] / kept[t] : p[t * E + e]);
}

static __device__ int64_t count_at_least(uint64_t bar, int64_t T, int64_t e, int64_t E,
                                         const uint64_t *keys, int64_t *room)
{
    int64_t mine = 0;
    for (int64_t t = threadIdx.x; t < T; t += blockDim.x)
        mine += keys[t * E + e] >= bar;
    return block_sum(mine, room);
}

// keys [T,E] for take_tokens.
extern "C" __global__ void rank_tokens(int64_t T, int64_t E, int64_t K, const double *p,
                                       const double *kept, const int32_t *picks, uint64_t *keys)
{
    for (int64_t i = first_index(); i < T * E; i += index_step())
        keys[i] = key_of(i / E, i % E, E, K, p, kept, picks);
}

// taken [T,E]: the targets[e] tokens of the highest keys, the smaller token on ties. One block an
// expert: the lowest key taken is found by halving, then ties are filled in order of tokens.
extern "C" __global__ void __launch_bounds__(256)
    take_tokens(int64_t T, int64_t E, const int64_t *targets, const uint64_t *keys,
                unsigned char *taken)
{
    __shared__ int64_t room[256];
    int64_t e = blockIdx.x, target = targets[e];
    uint64_t low = 0; // the largest bar that at least `target` keys reach
    for (int bit = 63; bit >= 0; bit--) {
        uint64_t bar = low | 1ull << bit;
        if (count_at_least(bar, T, e, E, keys, room) >= target)
            low = bar;
    }
    int64_t above = low == ~0ull ? 0 : count_at_least(low + 1, T, e, E, keys, room);
    int64_t ties = target - above; // to take among the keys equal to `low`
    for (int64_t t = threadIdx.x; t < T; t += blockDim.x)
        taken[t * E + e] = target > 0 && keys[t * E + e] > low;
    __syncthreads();
    for (int64_t i = 0; i < T && threadIdx.x == 0 && target > 0; i++) {
        int64_t t = planted(FAULT_ROUND_TIES_LAST) ? T - 1 - i : i;
        if (keys[t * E + e] == low && ties > 0) {
            taken[t * E + e] = 1;
            ties--;
        }
    }
}

// counts [T]: entries of each token.
extern "C" __global__ void count_taken(int64_t T, int64_t E, const unsigned char *taken,
                                       int64_t *counts)
{
    for (int64_t t = first_index(); t < T; t += index_step()) {
        int64_t count = 0;
        for (int64_t e = 0; e < E; e++)
            count += taken[t * E + e];
        counts[t] = count;
    }
}

// picks of each token in ascending order of experts, at offsets [T+1].
extern "C" __global__ void list_taken(int64_t T, int64_t E, const unsigned char *taken,
                                      const int64_t *offsets, int32_t *picks)
{
    for (int64_t t = first_index(); t < T; t += index_step()) {
        int64_t next = offsets[t];
        for (int64_t e = 0; e < E; e++)
            if (taken[t * E + e])
                picks[next++] = (int32_t)e;
    }
}

// scores_back.cu - dL [T,E] from the gradients of scores, and from the losses; where tensor cores
// go on with it, in pieces too. A warp takes four tokens at a time, with eight lanes each.
//
//   topk-softmax, softmax-topk   dl = v (dv - sum of v dv), v the softmax over the picks, over all
//   sigmoid, sqrt(softplus)      dl = v' dv
//   dv = s (ds - sum of v ds / sum of v), s = scale / sum of v, with renorm; else scale ds
//   aux, zloss                   through the softmax over all logits, whatever the router is
//
// What is not a pick's own is found first, for all experts; the two meet in shared memory.
//
// An f32 is the sum of three bf16 of eight digits each, so that products of bf16 with its pieces
// are as exact as those of f32 with itself; but below the last subnormal of bf16, 2^-133, nothing
// is left (recipe.at[MOE_AT_DLOGITS].lost). Pieces are cut off and not rounded: none is larger than
// what it is of, and what is left is exact.
#include "gpu/fault.h"
#include "gpu/hopper/routing.h"
#include "gpu/hopper/scores.cuh"

#define SEGMENT 8
#define TILE 256      // experts that meet at a time
#define BACK_BLOCKS 6 // of a multiprocessor: 80 registers a thread

// ---- the losses -------------------------------------------------------------------------------

// What they want of one token: dl = v (aux (share - mean) + z), v of the softmax over all.
struct losses {
    double share_of_row, mean, z; // mean: of the experts' shares of the rows
};

static __device__ __forceinline__ double share_of(const struct route_back &r, const losses &l,
                                                  int32_t e)
{
    return (double)(r.expert_begin[e + 1] - r.expert_begin[e]) * l.share_of_row;
}

static __device__ __forceinline__ double loss_slope(const struct route_back &r, const losses &l,
                                                    int32_t e)
{
    const bool any = r.aux != 0 && !planted(FAULT_NO_AUX);
    return (any ? r.aux * (share_of(r, l, e) - l.mean) : 0) + l.z;
}

// The softmax over the logits of a segment's token, E of them or, without a token, none; and the
// losses that go through it.
static __device__ __forceinline__ softmax softmax_and_losses(const struct route_back &r, int32_t E,
                                                             const float *logits, losses *l)
{
    const double rows = r.aux != 0 ? (double)r.expert_begin[r.E] : 0;
    double shares = 0;
    l->share_of_row = rows > 0 ? 1 / rows : 0;
    const auto logit = [&](int32_t e) { return logits[e]; };
    const softmax s =
        softmax_over<SEGMENT>(E, most_over<SEGMENT>(E, logit), logit, [&](int32_t e, double power) {
            shares += r.aux != 0 ? power * share_of(r, *l, e) : 0;
        });
    l->mean = r.aux != 0 ? sum_of<SEGMENT>(shares) / s.sum : 0;
    l->z = r.zloss != 0 ? r.zloss * (s.most + log(s.sum)) : 0;
    if (planted(FAULT_ZLOSS_HALF))
        l->z /= 2;
    return s;
}

// ---- dL on its way out ------------------------------------------------------------------------

static __device__ __forceinline__ uint32_t cut(float x)
{
    return __float_as_uint(x) & 0xffff0000u;
}

static __device__ __forceinline__ float rest(float x)
{
    return x - __uint_as_float(cut(x));
}

static __device__ __forceinline__ uint2 in_bf16(const uint32_t cuts[4])
{
    return make_uint2(cuts[0] >> 16 | cuts[1], cuts[2] >> 16 | cuts[3]);
}

// Four of a token's pieces [3,width]. What is not finite is its first piece.
static __device__ __forceinline__ void store_pieces(const float4 &dl, int32_t width, uint16_t *to)
{
    const float values[4] = {dl.x, dl.y, dl.z, dl.w};
    uint32_t first[4], second[4], third[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        first[i] = cut(values[i]);
        second[i] = cut(rest(values[i]));
        third[i] = cut(rest(rest(values[i])));
    }
    if (!(dl.x * 0 + dl.y * 0 + dl.z * 0 + dl.w * 0 == 0))
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (!(fabsf(values[i]) < __int_as_float(0x7f800000))) {
                first[i] = values[i] == values[i] ? first[i] : 0x7fc00000u;
                second[i] = third[i] = 0;
            }
    *(uint2 *)to = in_bf16(first);
    *(uint2 *)(to + width) = in_bf16(second);
    *(uint2 *)(to + 2 * width) = in_bf16(third);
}

// A tile's columns, a multiple of 8.
static __device__ __forceinline__ void clear_tile(int32_t columns, float *tile)
{
    for (int32_t i = lane() % SEGMENT * 4; i < columns; i += SEGMENT * 4)
        *(float4 *)(tile + i) = make_float4(0, 0, 0, 0);
}

template <class Value>
static __device__ __forceinline__ void fill_tile(int32_t columns, float *tile, const Value &value)
{
#pragma unroll 1
    for (int32_t i = lane() % SEGMENT; i < columns; i += SEGMENT)
        tile[i] = value(i);
}

// A tile of the segment's token t, experts from `begin` on, to dL and to pieces.
static __device__ __forceinline__ void store_tile(const struct route_back &r, int64_t t,
                                                  int32_t begin, const float *tile)
{
    const int32_t E = (int32_t)r.E, width = (int32_t)r.width, l = lane() % SEGMENT;
    const int32_t experts = min(E - begin, TILE), columns = min(width - begin, TILE);
    float *const dl = found(r.dlogits + t * r.E + begin);
    if (E % 4 == 0)
        for (int32_t i = l * 4; i < experts; i += SEGMENT * 4)
            *(float4 *)(dl + i) = *(const float4 *)(tile + i);
    else
        for (int32_t i = l; i < experts; i += SEGMENT)
            dl[i] = tile[i];
    if (r.pieces)
        for (int32_t i = l * 4; i < columns; i += SEGMENT * 4)
            store_pieces(*(const float4 *)(tile + i), width,
                         r.pieces + t * 3 * r.width + begin + i);
}

// ---- a token ----------------------------------------------------------------------------------

// dv/dl of the routers that look at one logit alone.
static __device__ __forceinline__ double raw_slope(int router, double l, double v)
{
    if (router == MOE_SIGMOID)
        return v / (1 + power_of_e(l));
    return v > 0 ? 1 / (1 + power_of_e(-l)) / (2 * v) : 0;
}

// Of a segment's token t, if it has one. tile: TILE of dL.
static __device__ __forceinline__ void go_back(const struct route_back &r, int64_t t, float *tile)
{
    const bool is_softmax = any_router::is_softmax(r.router), all = r.router == MOE_SOFTMAX_TOPK;
    const bool any = t < r.T, everywhere = all || r.aux != 0 || r.zloss != 0;
    const int32_t l = lane() % SEGMENT;
    const int64_t first = r.offsets && any ? r.offsets[t] : t * r.K;
    const int32_t n = !any ? 0 : r.offsets ? (int32_t)(r.offsets[t + 1] - first) : (int32_t)r.K;
    const int32_t *const picks = found(r.picks + first);
    const float *const logits = found(r.logits + t * r.E), *const ds = found(r.ds + first);

    // The lane's first entry is known, not looked up again.
    const int32_t own = l < n ? picks[l] : -1;
    const float own_logit = l < n ? logits[own] : 0;
    const auto pick = [&](int32_t k) { return k == l ? own : picks[k]; };
    const auto logit = [&](int32_t k) { return k == l ? own_logit : logits[picks[k]]; };

    losses loss = {0, 0, 0};
    softmax whole = {0, 1}, s;
    double own_power = 0;
    if (everywhere)
        whole = softmax_and_losses(r, any ? (int32_t)r.E : 0, logits, &loss);
    s = whole;
    if (is_softmax && !all)
        s = softmax_over<SEGMENT>(
            n, most_over<SEGMENT>(n, logit), logit,
            [&](int32_t k, double power) { own_power = k == l ? power : own_power; });
    const auto value = [&](int32_t k) {
        if (!is_softmax)
            return raw_score(r.router, logit(k));
        return (k == l && !all ? own_power : power_of_e(logit(k) - s.most)) / s.sum;
    };
    const double own_value = l < n ? value(l) : 0;
    const auto value_again = [&](int32_t k) { return k == l ? own_value : value(k); };

    double factor = r.scale, m = 0, mean = 0;
    if (r.renorm) {
        const double total = sum_over<SEGMENT>(n, value_again);
        m = sum_over<SEGMENT>(n, [&](int32_t k) { return value_again(k) / total * ds[k]; });
        factor = r.scale / total;
    }
    if (is_softmax && !planted(FAULT_ROUTER_MEAN))
        mean =
            sum_over<SEGMENT>(n, [&](int32_t k) { return value_again(k) * factor * (ds[k] - m); });

    const double of_sum = 1 / whole.sum;
    const auto everyones = [&](int32_t e, double d) {
        return power_of_e(logits[e] - whole.most) * of_sum * (d + loss_slope(r, loss, e));
    };
    const auto gradient = [&](int32_t k) {
        const double v = value_again(k), dv = factor * (ds[k] - m);
        if (all)
            return (float)(v * (dv - mean + loss_slope(r, loss, pick(k))));
        const double dl = is_softmax ? v * (dv - mean) : dv * raw_slope(r.router, logit(k), v);
        return (float)(dl + (everywhere ? everyones(pick(k), 0) : 0));
    };

    const float own_gradient = l < n ? gradient(l) : 0;

#pragma unroll 1
    for (int32_t begin = 0; begin < r.width; begin += TILE) {
        if (everywhere)
            fill_tile(min((int32_t)r.width - begin, TILE), tile, [&](int32_t i) {
                const int32_t e = begin + i;
                return any && e < r.E ? (float)everyones(e, all ? 0 - mean : 0) : 0;
            });
        else
            clear_tile(min((int32_t)r.width - begin, TILE), tile);
        __syncwarp();
#pragma unroll 1
        for (int32_t k = l; k < n; k += SEGMENT)
            if (pick(k) >= begin && pick(k) < begin + TILE)
                tile[pick(k) - begin] = k == l ? own_gradient : gradient(k);
        __syncwarp();
        if (any)
            store_tile(r, t, begin, tile);
        __syncwarp();
    }
}

// Blocks of BACK_THREADS, TOKENS_AT_ONCE tokens a warp.
extern "C" __global__ void __launch_bounds__(BACK_THREADS, BACK_BLOCKS)
    hopper_route_back(const __grid_constant__ struct route_back r)
{
    __shared__ __align__(16) float tiles[BACK_THREADS / SEGMENT][TILE];
    const int64_t t = (int64_t)blockIdx.x * (BACK_THREADS / SEGMENT) + threadIdx.x / SEGMENT;
    go_back(r, t, tiles[threadIdx.x / SEGMENT]);
}

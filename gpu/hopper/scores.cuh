// scores.cuh - what a router makes of tokens' logits, in double: a warp is cut into segments of 8
// lanes, a token each, or is one of 32.
//
// What comes out does not depend on which: sums are added up in the same order.
#ifndef MOE_HOPPER_SCORES_CUH
#define MOE_HOPPER_SCORES_CUH

#include <cstdint>

#include "gpu/fault.h"
#include "ref/moe.h"

static __device__ __forceinline__ int lane()
{
    return threadIdx.x % 32;
}

// Of the routers that are not softmax.
static __device__ __forceinline__ double raw_score(int router, double l)
{
    if (router == MOE_SIGMOID)
        return 1 / (1 + exp(-l));
    return sqrt(l > 40 ? l : log1p(exp(l)));
}

// Where the kernel is not of one kind.
struct any_router {
    static __device__ __forceinline__ bool is_softmax(int router)
    {
        return router == MOE_TOPK_SOFTMAX || router == MOE_SOFTMAX_TOPK;
    }
};

// The lane that is `step` away. All of the warp come here, whatever their segments have to do.
template <int LANES, class Value>
static __device__ __forceinline__ Value other_of(Value value, int step)
{
    return __shfl_xor_sync(~0u, value, planted(FAULT_TOKENS_MIXED) && LANES < 32 ? step * 2 : step);
}

// To every lane of the segment.
template <int LANES> static __device__ __forceinline__ double sum_of(double value)
{
#pragma unroll
    for (int step = LANES / 2; step > 0; step /= 2)
        value += other_of<LANES>(value, step);
    return value;
}

// The sum of value(i), i < n, to every lane of the segment, whose lane l looks at i = l, l + LANES,
// ... The order is that of 32 lanes: first by i mod 32; of these sums those 16 apart are added up,
// then those 8 apart, and so on.
template <int LANES, class Value>
static __device__ __forceinline__ double sum_over(int32_t n, const Value &value)
{
    double even = 0, odd = 0;
#pragma unroll 1
    for (int32_t first = lane() % LANES, j = 0; first < n && j < 32 / LANES; first += LANES, j++) {
        double part = 0;
#pragma unroll 1
        for (int32_t i = first; i < n; i += 32)
            part += value(i);
        even += j % 2 ? 0 : part;
        odd += j % 2 ? part : 0;
    }
    return sum_of<LANES>(even + odd);
}

// The largest of n logits that is not NaN.
template <int LANES, class Logit>
static __device__ __forceinline__ float most_over(int32_t n, const Logit &logit)
{
    float most = -INFINITY;
#pragma unroll 4
    for (int32_t i = lane() % LANES; i < n; i += LANES)
        most = fmaxf(most, logit(i));
#pragma unroll
    for (int step = LANES / 2; step > 0; step /= 2)
        most = fmaxf(most, other_of<LANES>(most, step));
    return most;
}

struct softmax {
    double most, sum; // exp(l - most) / sum
};

// Over n logits; a NaN among them is in the sum. seen(i, exp(l - most)) of the lane's own.
template <int LANES, class Logit, class Seen>
static __device__ __forceinline__ softmax softmax_over(int32_t n, const Logit &logit,
                                                       const Seen &seen)
{
    softmax s = {most_over<LANES>(n, logit), 0};
    s.sum = sum_over<LANES>(n, [&](int32_t i) {
        const double value = exp(logit(i) - s.most);
        seen(i, value);
        return value;
    });
    return s;
}

#endif

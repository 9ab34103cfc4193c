// scores.cuh - what a router makes of a token's logits, by one warp, in double.
#ifndef MOE_HOPPER_SCORES_CUH
#define MOE_HOPPER_SCORES_CUH

#include <cstdint>

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

static __device__ __forceinline__ double sum_of_warp(double value)
{
#pragma unroll
    for (int step = 16; step > 0; step /= 2)
        value += __shfl_xor_sync(~0u, value, step);
    return value;
}

struct softmax {
    double most, sum; // exp(l - most) / sum
    double first;     // exp(l - most) of the lane's first
};

// Over n logits; a NaN among them is in the sum.
template <class Logit>
static __device__ __forceinline__ softmax softmax_of(int64_t n, const Logit &logit)
{
    softmax s = {-INFINITY, 0, 0};
    for (int64_t i = lane(); i < n; i += 32)
        s.most = fmax(s.most, logit(i));
#pragma unroll
    for (int step = 16; step > 0; step /= 2)
        s.most = fmax(s.most, __shfl_xor_sync(~0u, s.most, step));
    for (int64_t i = lane(); i < n; i += 32) {
        const double value = exp(logit(i) - s.most);
        s.first = i < 32 ? value : s.first;
        s.sum += value;
    }
    s.sum = sum_of_warp(s.sum);
    return s;
}

#endif

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

// An address in global memory that is found once, and not again from its parts wherever it is used.
template <class Value> static __device__ __forceinline__ Value *found(Value *address)
{
    asm("" : "+l"(address));
    __builtin_assume(__isGlobal(address));
    return address;
}

// 1/k!, and what exp() takes x apart with: x = n ln 2 + r, |r| <= ln 2 / 2. In constant memory each
// is an operand; as numbers of the program they would be two instructions more.
static __constant__ double taylor[] = {1.0 / 6227020800,
                                       1.0 / 479001600,
                                       1.0 / 39916800,
                                       1.0 / 3628800,
                                       1.0 / 362880,
                                       1.0 / 40320,
                                       1.0 / 5040,
                                       1.0 / 720,
                                       1.0 / 120,
                                       1.0 / 24,
                                       1.0 / 6,
                                       1.0 / 2,
                                       1,
                                       1};
static __constant__ double ln2[] = {0x1.71547652b82fep+0, 0x1.62e42fefa39efp-1,
                                    0x1.abc9e3b39803fp-56}; // 1 / ln 2; ln 2 in two parts

// exp(x), less than an ulp from it.
static __device__ __forceinline__ double power_of_e(double x)
{
    const double whole = 0x1.8p52; // numbers from here on are whole: n is in their low bits
    const double shifted = fma(x, ln2[0], whole), n = shifted - whole;
    const double r = fma(-n, ln2[2], fma(-n, ln2[1], x));
    double p = taylor[0];
#pragma unroll
    for (int i = 1; i < 14; i++)
        p = fma(p, r, taylor[i]);
    const int32_t exponent = __double2loint(shifted);
    if (fabs(x) < 708)
        return __hiloint2double(__double2hiint(p) + (exponent << 20), __double2loint(p));
    if (fabs(x) < 746) // to infinity or to a subnormal number, in two steps
        return __hiloint2double(__double2hiint(p) + (exponent / 2 << 20), __double2loint(p)) *
               __hiloint2double(1023 + exponent - exponent / 2 << 20, 0);
    return x < 0 ? 0 : x + INFINITY;
}

// Of the routers that are not softmax.
static __device__ __forceinline__ double raw_score(int router, double l)
{
    if (router == MOE_SIGMOID)
        return 1 / (1 + power_of_e(-l));
    return sqrt(l > 40 ? l : log1p(power_of_e(l)));
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

// Over n logits, of which `most` is the largest; a NaN among them is in the sum. seen(i, exp(l -
// most)) of the lane's own.
template <int LANES, class Logit, class Seen>
static __device__ __forceinline__ softmax softmax_over(int32_t n, double most, const Logit &logit,
                                                       const Seen &seen)
{
    const double sum = sum_over<LANES>(n, [&](int32_t i) {
        const double power = power_of_e(logit(i) - most);
        seen(i, power);
        return power;
    });
    return {most, sum};
}

#endif

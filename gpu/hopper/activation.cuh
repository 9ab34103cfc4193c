// activation.cuh - activations on the way from sums to memory: one functor each, in f32.
//
// Exponentials and reciprocals are the fast ones of the hardware. Relative to a sigmoid what they
// miss is below 2^-17 down to arguments of -88, where the sigmoid vanishes in f32; gelu is formed
// from erf and tanh as CUDA's library has them.
#pragma once

#include <cstdint>
#include <type_traits>

#include "ref/moe.h"

// A gate (or a plain activation) and its slope.
struct activated {
    float value, slope;
};

// Those whose gate and up are clamped, swiglu-oai and swiglu-clamp, are one functor: x sigma(b x)
// of x up to a limit, times an up within it, shifted.
constexpr int ACT_CLAMPED = -1;

struct act_parameters {
    float limit, b, shift;
};

static __device__ __forceinline__ act_parameters parameters_of(int act, float clamp)
{
    if (act == MOE_SWIGLU_OAI)
        return {7, 1.702f, 1};
    return {clamp, 1, 0};
}

static __device__ __forceinline__ float fast_exp2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

static __device__ __forceinline__ float fast_reciprocal(float x)
{
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

static __device__ __forceinline__ float fast_sigmoid(float x)
{
    return fast_reciprocal(1 + fast_exp2(-1.44269504f * x));
}

// The larger; NaN where x is.
static __device__ __forceinline__ float at_least(float x, float least)
{
    return x < least ? least : x;
}

static __device__ __forceinline__ float at_most(float x, float most)
{
    return x > most ? most : x;
}

// x sigma(b x). The factor x stops where sigma is 0, here and below: -inf times 0 is no number.
static __device__ __forceinline__ activated swish(float x, float b)
{
    const float s = fast_sigmoid(b * x), held = at_least(x, -128);
    return {held * s, s * (1 + b * held * (1 - s))};
}

// x Phi(x)
static __device__ __forceinline__ activated gelu(float x)
{
    const float density = 0.398942280f * expf(-0.5f * x * x);
    const float cdf = 0.5f * erfcf(-0.707106781f * x), held = at_least(x, -128);
    return {held * cdf, cdf + at_most(held, 128) * density};
}

// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
static __device__ __forceinline__ activated gelu_tanh(float x)
{
    const float a = 0.797884561f, b = 0.044715f, low = at_least(x, -128), held = at_most(low, 128);
    const float t = tanhf(a * (held + b * held * held * held)),
                inner = a * (1 + 3 * b * held * held);
    return {0.5f * low * (1 + t), 0.5f * (1 + t) + 0.5f * held * (1 - t * t) * inner};
}

// Of every activation the gate, at x; a clamp's slope is 1 at its limit.
template <int ACT>
static __device__ __forceinline__ activated gate(float x, const act_parameters &how)
{
    if constexpr (ACT == MOE_GEGLU || ACT == MOE_GELU) {
        return gelu(x);
    } else if constexpr (ACT == MOE_GEGLU_TANH || ACT == MOE_GELU_TANH) {
        return gelu_tanh(x);
    } else if constexpr (ACT == MOE_REGLU || ACT == MOE_RELU) {
        return {x > 0 ? x : (x == x ? 0 : x), x > 0 ? 1 : (x == x ? 0 : x)};
    } else if constexpr (ACT == MOE_RELU2) {
        return {x > 0 ? x * x : (x == x ? 0 : x), x > 0 ? 2 * x : (x == x ? 0 : x)};
    } else if constexpr (ACT == ACT_CLAMPED) {
        const activated a = swish(at_most(x, how.limit), how.b);
        return {a.value, x > how.limit ? 0 : a.slope};
    } else {
        return swish(x, 1);
    }
}

// And what the gate is multiplied with.
template <int ACT>
static __device__ __forceinline__ activated up(float u, const act_parameters &how)
{
    if constexpr (ACT == ACT_CLAMPED) {
        const float held = at_least(at_most(u, how.limit), -how.limit);
        return {held + how.shift, u != u ? u : u > how.limit || u < -how.limit ? 0.f : 1.f};
    } else {
        return {u, 1};
    }
}

// take(integral_constant<int, ACT>) of the case's activation, so that the branch stands outside of
// loops. Of the gated ones, those that have no kernels of their own.
template <class Take> static __device__ __forceinline__ void with_gated(int act, const Take &take)
{
    switch (act) {
    case MOE_GEGLU:
        return take(std::integral_constant<int, MOE_GEGLU>());
    case MOE_GEGLU_TANH:
        return take(std::integral_constant<int, MOE_GEGLU_TANH>());
    default:
        return take(std::integral_constant<int, MOE_REGLU>());
    }
}

template <class Take> static __device__ __forceinline__ void with_plain(int act, const Take &take)
{
    switch (act) {
    case MOE_GELU:
        return take(std::integral_constant<int, MOE_GELU>());
    case MOE_GELU_TANH:
        return take(std::integral_constant<int, MOE_GELU_TANH>());
    case MOE_RELU:
        return take(std::integral_constant<int, MOE_RELU>());
    case MOE_RELU2:
        return take(std::integral_constant<int, MOE_RELU2>());
    default:
        return take(std::integral_constant<int, MOE_SILU>());
    }
}

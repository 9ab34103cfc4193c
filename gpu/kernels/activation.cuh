// activation.cuh - activations and their slopes, written from the formulas in doc/manual.md.
#pragma once

#include "gpu/kernels/number.cuh"

template <typename C> struct Activated {
    C value, slope;
};

template <typename C> __device__ inline C sigmoid(C x)
{
    return (C)1 / ((C)1 + exp(-x));
}

// x sigma(b x)
template <typename C> __device__ inline Activated<C> swish(C x, C b)
{
    C s = sigmoid(b * x);
    C kept = planted(FAULT_SILU_SLOPE) ? (C)1 : (C)1 - s;
    return {x * s, s * ((C)1 + b * x * kept)};
}

// x Phi(x)
template <typename C> __device__ inline Activated<C> gelu(C x)
{
    C phi = (C)0.3989422804014327 * exp((C)-0.5 * x * x);
    C cdf = (C)0.5 * erfc(-x * (C)0.7071067811865476);
    return {x * cdf, cdf + x * phi};
}

// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
template <typename C> __device__ inline Activated<C> gelu_tanh(C x)
{
    const C a = (C)0.7978845608028654, b = (C)0.044715;
    C t = tanh(a * (x + b * x * x * x));
    C inner = a * ((C)1 + (C)3 * b * x * x);
    return {(C)0.5 * x * ((C)1 + t), (C)0.5 * ((C)1 + t) + (C)0.5 * x * ((C)1 - t * t) * inner};
}

// The gate of a gated activation, or the whole of a plain one. A clamp's slope is 1 at its limit.
template <typename C> __device__ inline Activated<C> gate(int act, C x, C clamp)
{
    switch (act) {
    case MOE_GEGLU:
    case MOE_GELU:
        return gelu(x);
    case MOE_GEGLU_TANH:
    case MOE_GELU_TANH:
        return gelu_tanh(x);
    case MOE_REGLU:
    case MOE_RELU:
        return {x > 0 ? x : (x == x ? (C)0 : x), x > 0 ? (C)1 : (x == x ? (C)0 : x)};
    case MOE_RELU2:
        return {x > 0 ? x * x : (x == x ? (C)0 : x), x > 0 ? 2 * x : (x == x ? (C)0 : x)};
    case MOE_SWIGLU_OAI: {
        Activated<C> a = swish(x > 7 ? (C)7 : x, planted(FAULT_OAI_CONSTANT) ? (C)1.072 : (C)1.702);
        return {a.value, x > 7 ? (C)0 : a.slope};
    }
    case MOE_SWIGLU_CLAMP: {
        Activated<C> a = swish(x > clamp ? clamp : x, (C)1);
        return {a.value, x > clamp && !planted(FAULT_CLAMP_SLOPE) ? (C)0 : a.slope};
    }
    default:
        return swish(x, (C)1);
    }
}

// What a gated activation multiplies the gate with.
template <typename C> __device__ inline Activated<C> up(int act, C u, C clamp)
{
    if (act != MOE_SWIGLU_OAI && act != MOE_SWIGLU_CLAMP)
        return {u, (C)1};
    C limit = act == MOE_SWIGLU_OAI ? (C)7 : clamp, shift = act == MOE_SWIGLU_OAI ? (C)1 : (C)0;
    C held = u > limit ? limit : u < -limit ? -limit : u;
    return {held + shift, u != u ? u : u > limit || u < -limit ? (C)0 : (C)1};
}

// Columns of unit i's gate and up in a row of z.
__device__ inline int64_t gate_column(int layout, int64_t units, int64_t i)
{
    return layout == MOE_W1_INTERLEAVED    ? 2 * i
           : layout == MOE_W1_INTERLEAVED8 ? i / 8 * 16 + i % 8
                                           : i;
}

__device__ inline int64_t up_column(int layout, int64_t units, int64_t i)
{
    return layout == MOE_W1_INTERLEAVED    ? 2 * i + 1
           : layout == MOE_W1_INTERLEAVED8 ? i / 8 * 16 + 8 + i % 8
                                           : units + i;
}

// number.cuh - elements of any stored type as the type that a kernel computes in.
//
// A kernel computes in float, or in double for dtype=f64, and takes the stored type as an argument:
// the branch is the same for every thread, and one entry serves bf16, f16, f32 and f64.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "gpu/fault.h"
#include "ref/moe.h"

template <typename C> __device__ inline C load(int dtype, const void *array, int64_t index)
{
    switch (dtype) {
    case MOE_BF16:
        return (C)__bfloat162float(((const __nv_bfloat16 *)array)[index]);
    case MOE_F16:
        return (C)__half2float(((const __half *)array)[index]);
    case MOE_F32:
        return (C)((const float *)array)[index];
    default:
        return (C)((const double *)array)[index];
    }
}

// Rounds to nearest, ties to even; what overflows becomes infinite.
template <typename C> __device__ inline void store(int dtype, void *array, int64_t index, C value)
{
    switch (dtype) {
    case MOE_BF16:
        ((__nv_bfloat16 *)array)[index] = planted(FAULT_STORE_TRUNCATES)
                                              ? __float2bfloat16_rz((float)value)
                                              : __float2bfloat16_rn((float)value);
        break;
    case MOE_F16:
        ((__half *)array)[index] = __float2half_rn((float)value);
        break;
    case MOE_F32:
        ((float *)array)[index] = (float)value;
        break;
    default:
        ((double *)array)[index] = (double)value;
    }
}

// `value` as it will be read back.
template <typename C> __device__ inline C settled(int dtype, C value)
{
    switch (dtype) {
    case MOE_BF16:
        return (C)__bfloat162float(__float2bfloat16_rn((float)value));
    case MOE_F16:
        return (C)__half2float(__float2half_rn((float)value));
    case MOE_F32:
        return (C)(float)value;
    default:
        return value;
    }
}

// Position of this thread in a grid-stride loop, and the stride.
__device__ inline int64_t first_index()
{
    return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}

__device__ inline int64_t index_step()
{
    return (int64_t)gridDim.x * blockDim.x;
}

// Sum over the block, in an order that depends on the block's size alone; every thread gets it.
// `room` holds one value a thread.
template <typename C> __device__ inline C block_sum(C value, C *room)
{
    room[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half)
            room[threadIdx.x] += room[threadIdx.x + half];
        if (!planted(FAULT_SUM_NO_BARRIER))
            __syncthreads();
    }
    C sum = room[0];
    __syncthreads();
    return sum;
}

// dtype_cuda.cu - the host functions of CUDA's own number-format headers as a table, which
// t_dtype_cuda.c holds against ref/dtype.c. It runs on the CPU.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include "config.h"
#include "tests/dtype_cuda.h"

// e2m1 and ue8m0 came with CUDA 12.8.
#if MOE_CUDA_VERSION >= 12080
#include <cuda_fp4.h>
#endif

static double decode_bf16(uint32_t code)
{
    __nv_bfloat16_raw raw;
    raw.x = (unsigned short)code;
    return __bfloat162float(__nv_bfloat16(raw));
}

static uint32_t encode_bf16(double value, int)
{
    return __nv_bfloat16_raw(__double2bfloat16(value)).x;
}

static uint32_t encode_float_bf16(float value, int)
{
    return __nv_bfloat16_raw(__float2bfloat16_rn(value)).x;
}

static double decode_f16(uint32_t code)
{
    __half_raw raw;
    raw.x = (unsigned short)code;
    return __half2float(__half(raw));
}

static uint32_t encode_f16(double value, int)
{
    return __half_raw(__double2half(value)).x;
}

static uint32_t encode_float_f16(float value, int)
{
    return __half_raw(__float2half_rn(value)).x;
}

static __nv_saturation_t saturation(int saturate)
{
    return saturate ? __NV_SATFINITE : __NV_NOSAT;
}

template <__nv_fp8_interpretation_t kind> static double decode_fp8(uint32_t code)
{
    return __half2float(__half(__nv_cvt_fp8_to_halfraw((__nv_fp8_storage_t)code, kind)));
}

template <__nv_fp8_interpretation_t kind> static uint32_t encode_fp8(double value, int saturate)
{
    return __nv_cvt_double_to_fp8(value, saturation(saturate), kind);
}

template <__nv_fp8_interpretation_t kind>
static uint32_t encode_float_fp8(float value, int saturate)
{
    return __nv_cvt_float_to_fp8(value, saturation(saturate), kind);
}

#if MOE_CUDA_VERSION >= 12080
static double decode_e2m1(uint32_t code)
{
    return __half2float(__half(__nv_cvt_fp4_to_halfraw((__nv_fp4_storage_t)code, __NV_E2M1)));
}

static uint32_t encode_e2m1(double value, int)
{
    return __nv_cvt_double_to_fp4(value, __NV_E2M1, cudaRoundNearest);
}

static uint32_t encode_float_e2m1(float value, int)
{
    return __nv_cvt_float_to_fp4(value, __NV_E2M1, cudaRoundNearest);
}

static double decode_ue8m0(uint32_t code)
{
    return __bfloat162float(__nv_bfloat16(__nv_cvt_e8m0_to_bf16raw((__nv_fp8_storage_t)code)));
}

static uint32_t encode_up_ue8m0(double value, int saturate)
{
    return __nv_cvt_double_to_e8m0(value, saturation(saturate), cudaRoundPosInf);
}

static uint32_t encode_float_up_ue8m0(float value, int saturate)
{
    return __nv_cvt_float_to_e8m0(value, saturation(saturate), cudaRoundPosInf);
}

static uint32_t encode_down_ue8m0(double value, int saturate)
{
    return __nv_cvt_double_to_e8m0(value, saturation(saturate), cudaRoundZero);
}
#endif

static const struct cuda_format formats[] = {
    {MOE_BF16, 0, decode_bf16, encode_bf16, encode_float_bf16, nullptr},
    {MOE_F16, 0, decode_f16, encode_f16, encode_float_f16, nullptr},
    {MOE_E4M3, 1, decode_fp8<__NV_E4M3>, encode_fp8<__NV_E4M3>, encode_float_fp8<__NV_E4M3>,
     nullptr},
    {MOE_E5M2, 1, decode_fp8<__NV_E5M2>, encode_fp8<__NV_E5M2>, encode_float_fp8<__NV_E5M2>,
     nullptr},
#if MOE_CUDA_VERSION >= 12080
    {MOE_E2M1, 0, decode_e2m1, encode_e2m1, encode_float_e2m1, nullptr},
    {MOE_UE8M0, 0, decode_ue8m0, encode_up_ue8m0, encode_float_up_ue8m0, encode_down_ue8m0},
#endif
};

extern "C" const struct cuda_format *cuda_format(int index)
{
    const int count = (int)(sizeof formats / sizeof *formats);
    return index >= 0 && index < count ? &formats[index] : nullptr;
}

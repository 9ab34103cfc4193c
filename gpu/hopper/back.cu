// back.cu - grouped products that go back through the activation, by activation, type and tile
// width. SwiGLU and its clamped kin have wide tiles; the others share kernels of narrow ones, since
// all of them unrolled in wide tiles would be megabytes of code.
#include <cuda.h>

#include "gpu/hopper/by_rows.cuh"

template <int COLS, int STAGES, int BUFFERS, class Type, class Epilogue>
static __device__ __forceinline__ void
run(const CUtensorMap &weights, const struct product_arguments &arguments,
    const struct activate_back &epilogue, const CUtensorMap &dz, const CUtensorMap &sa,
    const CUtensorMap &z)
{
    using Shape = product_shape<COLS, STAGES, BUFFERS, Type, 0, 1>;
    run_block<Shape>(by_rows<Shape, Epilogue, false>{
        arguments, static_cast<const Epilogue &>(epilogue), {&weights, {&dz, &sa}, &z}});
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_swiglu_back_bf16_256(const __grid_constant__ CUtensorMap weights,
                                const __grid_constant__ struct product_arguments arguments,
                                const __grid_constant__ struct activate_back epilogue,
                                const __grid_constant__ CUtensorMap dz,
                                const __grid_constant__ CUtensorMap sa,
                                const __grid_constant__ CUtensorMap z)
{
    run<256, 3, 5, wgmma_bf16, swiglu_back>(weights, arguments, epilogue, dz, sa, z);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_swiglu_back_bf16_128(const __grid_constant__ CUtensorMap weights,
                                const __grid_constant__ struct product_arguments arguments,
                                const __grid_constant__ struct activate_back epilogue,
                                const __grid_constant__ CUtensorMap dz,
                                const __grid_constant__ CUtensorMap sa,
                                const __grid_constant__ CUtensorMap z)
{
    run<128, 4, 5, wgmma_bf16, swiglu_back>(weights, arguments, epilogue, dz, sa, z);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_swiglu_back_f16_256(const __grid_constant__ CUtensorMap weights,
                               const __grid_constant__ struct product_arguments arguments,
                               const __grid_constant__ struct activate_back epilogue,
                               const __grid_constant__ CUtensorMap dz,
                               const __grid_constant__ CUtensorMap sa,
                               const __grid_constant__ CUtensorMap z)
{
    run<256, 3, 5, wgmma_f16, swiglu_back>(weights, arguments, epilogue, dz, sa, z);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_swiglu_back_f16_128(const __grid_constant__ CUtensorMap weights,
                               const __grid_constant__ struct product_arguments arguments,
                               const __grid_constant__ struct activate_back epilogue,
                               const __grid_constant__ CUtensorMap dz,
                               const __grid_constant__ CUtensorMap sa,
                               const __grid_constant__ CUtensorMap z)
{
    run<128, 4, 5, wgmma_f16, swiglu_back>(weights, arguments, epilogue, dz, sa, z);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_clamped_back_bf16_192(const __grid_constant__ CUtensorMap weights,
                                 const __grid_constant__ struct product_arguments arguments,
                                 const __grid_constant__ struct activate_back epilogue,
                                 const __grid_constant__ CUtensorMap dz,
                                 const __grid_constant__ CUtensorMap sa,
                                 const __grid_constant__ CUtensorMap z)
{
    run<192, 4, 4, wgmma_bf16, clamped_back>(weights, arguments, epilogue, dz, sa, z);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_clamped_back_bf16_128(const __grid_constant__ CUtensorMap weights,
                                 const __grid_constant__ struct product_arguments arguments,
                                 const __grid_constant__ struct activate_back epilogue,
                                 const __grid_constant__ CUtensorMap dz,
                                 const __grid_constant__ CUtensorMap sa,
                                 const __grid_constant__ CUtensorMap z)
{
    run<128, 4, 5, wgmma_bf16, clamped_back>(weights, arguments, epilogue, dz, sa, z);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_clamped_back_f16_192(const __grid_constant__ CUtensorMap weights,
                                const __grid_constant__ struct product_arguments arguments,
                                const __grid_constant__ struct activate_back epilogue,
                                const __grid_constant__ CUtensorMap dz,
                                const __grid_constant__ CUtensorMap sa,
                                const __grid_constant__ CUtensorMap z)
{
    run<192, 4, 4, wgmma_f16, clamped_back>(weights, arguments, epilogue, dz, sa, z);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_clamped_back_f16_128(const __grid_constant__ CUtensorMap weights,
                                const __grid_constant__ struct product_arguments arguments,
                                const __grid_constant__ struct activate_back epilogue,
                                const __grid_constant__ CUtensorMap dz,
                                const __grid_constant__ CUtensorMap sa,
                                const __grid_constant__ CUtensorMap z)
{
    run<128, 4, 5, wgmma_f16, clamped_back>(weights, arguments, epilogue, dz, sa, z);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_gated_back_bf16_64(const __grid_constant__ CUtensorMap weights,
                              const __grid_constant__ struct product_arguments arguments,
                              const __grid_constant__ struct activate_back epilogue,
                              const __grid_constant__ CUtensorMap dz,
                              const __grid_constant__ CUtensorMap sa,
                              const __grid_constant__ CUtensorMap z)
{
    run<64, 6, 5, wgmma_bf16, gated_back>(weights, arguments, epilogue, dz, sa, z);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_gated_back_f16_64(const __grid_constant__ CUtensorMap weights,
                             const __grid_constant__ struct product_arguments arguments,
                             const __grid_constant__ struct activate_back epilogue,
                             const __grid_constant__ CUtensorMap dz,
                             const __grid_constant__ CUtensorMap sa,
                             const __grid_constant__ CUtensorMap z)
{
    run<64, 6, 5, wgmma_f16, gated_back>(weights, arguments, epilogue, dz, sa, z);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_plain_back_bf16_64(const __grid_constant__ CUtensorMap weights,
                              const __grid_constant__ struct product_arguments arguments,
                              const __grid_constant__ struct activate_back epilogue,
                              const __grid_constant__ CUtensorMap dz,
                              const __grid_constant__ CUtensorMap sa,
                              const __grid_constant__ CUtensorMap z)
{
    run<64, 6, 5, wgmma_bf16, plain_back>(weights, arguments, epilogue, dz, sa, z);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_plain_back_f16_64(const __grid_constant__ CUtensorMap weights,
                             const __grid_constant__ struct product_arguments arguments,
                             const __grid_constant__ struct activate_back epilogue,
                             const __grid_constant__ CUtensorMap dz,
                             const __grid_constant__ CUtensorMap sa,
                             const __grid_constant__ CUtensorMap z)
{
    run<64, 6, 5, wgmma_f16, plain_back>(weights, arguments, epilogue, dz, sa, z);
}

// forward.cu - grouped products that go through the activation, by activation, type and tile
// width. SwiGLU and its clamped kin have wide tiles; the others share kernels of narrow ones, since
// all of them unrolled in wide tiles would be megabytes of code.
#include <cuda.h>

#include "gpu/hopper/by_rows.cuh"

template <int COLS, int STAGES, int BUFFERS, class Type, class Epilogue, bool PAIRED,
          int HEIGHT = 1>
static __device__ __forceinline__ void
run(const CUtensorMap &weights, const struct product_arguments &arguments,
    const struct activate_rows &epilogue, const CUtensorMap &z, const CUtensorMap &a)
{
    using Shape = product_shape<COLS, STAGES, BUFFERS, Type, 0, 0, HEIGHT>;
    run_block<Shape>(by_rows<Shape, Epilogue, PAIRED>{
        arguments, static_cast<const Epilogue &>(epilogue), {&weights, {&z, &a}, nullptr}});
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_swiglu_forward_bf16_256(const __grid_constant__ CUtensorMap weights,
                                   const __grid_constant__ struct product_arguments arguments,
                                   const __grid_constant__ struct activate_rows epilogue,
                                   const __grid_constant__ CUtensorMap z,
                                   const __grid_constant__ CUtensorMap a)
{
    run<256, 3, 5, wgmma_bf16, swiglu_forward, true>(weights, arguments, epilogue, z, a);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_swiglu_forward_bf16_128(const __grid_constant__ CUtensorMap weights,
                                   const __grid_constant__ struct product_arguments arguments,
                                   const __grid_constant__ struct activate_rows epilogue,
                                   const __grid_constant__ CUtensorMap z,
                                   const __grid_constant__ CUtensorMap a)
{
    run<128, 4, 5, wgmma_bf16, swiglu_forward, true>(weights, arguments, epilogue, z, a);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_swiglu_forward_f16_256(const __grid_constant__ CUtensorMap weights,
                                  const __grid_constant__ struct product_arguments arguments,
                                  const __grid_constant__ struct activate_rows epilogue,
                                  const __grid_constant__ CUtensorMap z,
                                  const __grid_constant__ CUtensorMap a)
{
    run<256, 3, 5, wgmma_f16, swiglu_forward, true>(weights, arguments, epilogue, z, a);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_swiglu_forward_f16_128(const __grid_constant__ CUtensorMap weights,
                                  const __grid_constant__ struct product_arguments arguments,
                                  const __grid_constant__ struct activate_rows epilogue,
                                  const __grid_constant__ CUtensorMap z,
                                  const __grid_constant__ CUtensorMap a)
{
    run<128, 4, 5, wgmma_f16, swiglu_forward, true>(weights, arguments, epilogue, z, a);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_clamped_forward_bf16_256(const __grid_constant__ CUtensorMap weights,
                                    const __grid_constant__ struct product_arguments arguments,
                                    const __grid_constant__ struct activate_rows epilogue,
                                    const __grid_constant__ CUtensorMap z,
                                    const __grid_constant__ CUtensorMap a)
{
    run<256, 3, 5, wgmma_bf16, clamped_forward, true>(weights, arguments, epilogue, z, a);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_clamped_forward_bf16_128(const __grid_constant__ CUtensorMap weights,
                                    const __grid_constant__ struct product_arguments arguments,
                                    const __grid_constant__ struct activate_rows epilogue,
                                    const __grid_constant__ CUtensorMap z,
                                    const __grid_constant__ CUtensorMap a)
{
    run<128, 4, 5, wgmma_bf16, clamped_forward, true>(weights, arguments, epilogue, z, a);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_clamped_forward_f16_256(const __grid_constant__ CUtensorMap weights,
                                   const __grid_constant__ struct product_arguments arguments,
                                   const __grid_constant__ struct activate_rows epilogue,
                                   const __grid_constant__ CUtensorMap z,
                                   const __grid_constant__ CUtensorMap a)
{
    run<256, 3, 5, wgmma_f16, clamped_forward, true>(weights, arguments, epilogue, z, a);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_clamped_forward_f16_128(const __grid_constant__ CUtensorMap weights,
                                   const __grid_constant__ struct product_arguments arguments,
                                   const __grid_constant__ struct activate_rows epilogue,
                                   const __grid_constant__ CUtensorMap z,
                                   const __grid_constant__ CUtensorMap a)
{
    run<128, 4, 5, wgmma_f16, clamped_forward, true>(weights, arguments, epilogue, z, a);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_gated_forward_bf16_128(const __grid_constant__ CUtensorMap weights,
                                  const __grid_constant__ struct product_arguments arguments,
                                  const __grid_constant__ struct activate_rows epilogue,
                                  const __grid_constant__ CUtensorMap z,
                                  const __grid_constant__ CUtensorMap a)
{
    run<128, 4, 5, wgmma_bf16, gated_forward, true>(weights, arguments, epilogue, z, a);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_gated_forward_f16_128(const __grid_constant__ CUtensorMap weights,
                                 const __grid_constant__ struct product_arguments arguments,
                                 const __grid_constant__ struct activate_rows epilogue,
                                 const __grid_constant__ CUtensorMap z,
                                 const __grid_constant__ CUtensorMap a)
{
    run<128, 4, 5, wgmma_f16, gated_forward, true>(weights, arguments, epilogue, z, a);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_plain_forward_bf16_64(const __grid_constant__ CUtensorMap weights,
                                 const __grid_constant__ struct product_arguments arguments,
                                 const __grid_constant__ struct activate_rows epilogue,
                                 const __grid_constant__ CUtensorMap z,
                                 const __grid_constant__ CUtensorMap a)
{
    run<64, 6, 5, wgmma_bf16, plain_forward, false>(weights, arguments, epilogue, z, a);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_plain_forward_f16_64(const __grid_constant__ CUtensorMap weights,
                                const __grid_constant__ struct product_arguments arguments,
                                const __grid_constant__ struct activate_rows epilogue,
                                const __grid_constant__ CUtensorMap z,
                                const __grid_constant__ CUtensorMap a)
{
    run<64, 6, 5, wgmma_f16, plain_forward, false>(weights, arguments, epilogue, z, a);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_swiglu_forward_bf16_tall(const __grid_constant__ CUtensorMap weights,
                                    const __grid_constant__ struct product_arguments arguments,
                                    const __grid_constant__ struct activate_rows epilogue,
                                    const __grid_constant__ CUtensorMap z,
                                    const __grid_constant__ CUtensorMap a)
{
    run<128, 4, 2, wgmma_bf16, swiglu_forward, true, 2>(weights, arguments, epilogue, z, a);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_swiglu_forward_f16_tall(const __grid_constant__ CUtensorMap weights,
                                   const __grid_constant__ struct product_arguments arguments,
                                   const __grid_constant__ struct activate_rows epilogue,
                                   const __grid_constant__ CUtensorMap z,
                                   const __grid_constant__ CUtensorMap a)
{
    run<128, 4, 2, wgmma_f16, swiglu_forward, true, 2>(weights, arguments, epilogue, z, a);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_clamped_forward_bf16_tall(const __grid_constant__ CUtensorMap weights,
                                     const __grid_constant__ struct product_arguments arguments,
                                     const __grid_constant__ struct activate_rows epilogue,
                                     const __grid_constant__ CUtensorMap z,
                                     const __grid_constant__ CUtensorMap a)
{
    run<128, 4, 2, wgmma_bf16, clamped_forward, true, 2>(weights, arguments, epilogue, z, a);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_clamped_forward_f16_tall(const __grid_constant__ CUtensorMap weights,
                                    const __grid_constant__ struct product_arguments arguments,
                                    const __grid_constant__ struct activate_rows epilogue,
                                    const __grid_constant__ CUtensorMap z,
                                    const __grid_constant__ CUtensorMap a)
{
    run<128, 4, 2, wgmma_f16, clamped_forward, true, 2>(weights, arguments, epilogue, z, a);
}

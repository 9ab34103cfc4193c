// across_forward.cu - grouped products that go through SwiGLU or its clamped kin in tiles that lie
// across, by activation, type and height.
#include <cuda.h>

#include "gpu/hopper/across.cuh"

template <int HEIGHT, int STAGES, int BUFFERS, class Type, class Epilogue>
static __device__ __forceinline__ void
run(const CUtensorMap &weights, const struct product_arguments &arguments,
    const struct activate_rows &epilogue, const CUtensorMap &z, const CUtensorMap &a)
{
    using Shape = across_shape<HEIGHT, STAGES, BUFFERS, Type, 0>;
    run_block<Shape>(across<Shape, Epilogue, true>{
        {arguments, static_cast<const Epilogue &>(epilogue), {&weights, {&z, &a}, nullptr}}});
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_swiglu_forward_bf16_across_288(
        const __grid_constant__ CUtensorMap weights,
        const __grid_constant__ struct product_arguments arguments,
        const __grid_constant__ struct activate_rows epilogue,
        const __grid_constant__ CUtensorMap z, const __grid_constant__ CUtensorMap a)
{
    run<288, 4, 1, wgmma_bf16, swiglu_forward>(weights, arguments, epilogue, z, a);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_swiglu_forward_f16_across_288(const __grid_constant__ CUtensorMap weights,
                                         const __grid_constant__ struct product_arguments arguments,
                                         const __grid_constant__ struct activate_rows epilogue,
                                         const __grid_constant__ CUtensorMap z,
                                         const __grid_constant__ CUtensorMap a)
{
    run<288, 4, 1, wgmma_f16, swiglu_forward>(weights, arguments, epilogue, z, a);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_clamped_forward_bf16_across_288(
        const __grid_constant__ CUtensorMap weights,
        const __grid_constant__ struct product_arguments arguments,
        const __grid_constant__ struct activate_rows epilogue,
        const __grid_constant__ CUtensorMap z, const __grid_constant__ CUtensorMap a)
{
    run<288, 4, 1, wgmma_bf16, clamped_forward>(weights, arguments, epilogue, z, a);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_clamped_forward_f16_across_288(
        const __grid_constant__ CUtensorMap weights,
        const __grid_constant__ struct product_arguments arguments,
        const __grid_constant__ struct activate_rows epilogue,
        const __grid_constant__ CUtensorMap z, const __grid_constant__ CUtensorMap a)
{
    run<288, 4, 1, wgmma_f16, clamped_forward>(weights, arguments, epilogue, z, a);
}

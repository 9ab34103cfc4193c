// product.cu - grouped products by tile width, type and the way the weights lie.
#include <cuda.h>

#include "gpu/hopper/by_rows.cuh"
#include "gpu/hopper/store.cuh"

template <int COLS, int STAGES, class Type, int WEIGHTS_BY_ROW>
static __device__ __forceinline__ void run(const CUtensorMap &weights,
                                           const struct product_arguments &arguments)
{
    using Shape = product_shape<COLS, STAGES, Type, 0, WEIGHTS_BY_ROW>;
    run_block<Shape>(by_rows<Shape, store_rows>{arguments, &weights});
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nt_bf16_256(const __grid_constant__ CUtensorMap weights,
                       const __grid_constant__ struct product_arguments arguments)
{
    run<256, 4, wgmma_bf16, 0>(weights, arguments);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nt_bf16_192(const __grid_constant__ CUtensorMap weights,
                       const __grid_constant__ struct product_arguments arguments)
{
    run<192, 5, wgmma_bf16, 0>(weights, arguments);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nt_bf16_128(const __grid_constant__ CUtensorMap weights,
                       const __grid_constant__ struct product_arguments arguments)
{
    run<128, 6, wgmma_bf16, 0>(weights, arguments);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nt_bf16_64(const __grid_constant__ CUtensorMap weights,
                      const __grid_constant__ struct product_arguments arguments)
{
    run<64, 8, wgmma_bf16, 0>(weights, arguments);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nt_f16_256(const __grid_constant__ CUtensorMap weights,
                      const __grid_constant__ struct product_arguments arguments)
{
    run<256, 4, wgmma_f16, 0>(weights, arguments);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nt_f16_192(const __grid_constant__ CUtensorMap weights,
                      const __grid_constant__ struct product_arguments arguments)
{
    run<192, 5, wgmma_f16, 0>(weights, arguments);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nt_f16_128(const __grid_constant__ CUtensorMap weights,
                      const __grid_constant__ struct product_arguments arguments)
{
    run<128, 6, wgmma_f16, 0>(weights, arguments);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nt_f16_64(const __grid_constant__ CUtensorMap weights,
                     const __grid_constant__ struct product_arguments arguments)
{
    run<64, 8, wgmma_f16, 0>(weights, arguments);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_bf16_256(const __grid_constant__ CUtensorMap weights,
                       const __grid_constant__ struct product_arguments arguments)
{
    run<256, 4, wgmma_bf16, 1>(weights, arguments);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_bf16_192(const __grid_constant__ CUtensorMap weights,
                       const __grid_constant__ struct product_arguments arguments)
{
    run<192, 5, wgmma_bf16, 1>(weights, arguments);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_bf16_128(const __grid_constant__ CUtensorMap weights,
                       const __grid_constant__ struct product_arguments arguments)
{
    run<128, 6, wgmma_bf16, 1>(weights, arguments);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_bf16_64(const __grid_constant__ CUtensorMap weights,
                      const __grid_constant__ struct product_arguments arguments)
{
    run<64, 8, wgmma_bf16, 1>(weights, arguments);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_f16_256(const __grid_constant__ CUtensorMap weights,
                      const __grid_constant__ struct product_arguments arguments)
{
    run<256, 4, wgmma_f16, 1>(weights, arguments);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_f16_192(const __grid_constant__ CUtensorMap weights,
                      const __grid_constant__ struct product_arguments arguments)
{
    run<192, 5, wgmma_f16, 1>(weights, arguments);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_f16_128(const __grid_constant__ CUtensorMap weights,
                      const __grid_constant__ struct product_arguments arguments)
{
    run<128, 6, wgmma_f16, 1>(weights, arguments);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_f16_64(const __grid_constant__ CUtensorMap weights,
                     const __grid_constant__ struct product_arguments arguments)
{
    run<64, 8, wgmma_f16, 1>(weights, arguments);
}

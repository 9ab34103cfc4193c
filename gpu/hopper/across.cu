// across.cu - grouped products that are stored, in tiles that lie across, by the way the weights
// lie, type and height.
#include <cuda.h>

#include "gpu/hopper/across.cuh"

template <int HEIGHT, int STAGES, int BUFFERS, class Type, int WEIGHTS_BY_ROW>
static __device__ __forceinline__ void run(const CUtensorMap &weights,
                                           const struct product_arguments &arguments,
                                           const struct store_rows &store, const CUtensorMap &d)
{
    using Shape = across_shape<HEIGHT, STAGES, BUFFERS, Type, WEIGHTS_BY_ROW>;
    run_block<Shape>(across<Shape, struct store_rows, false>{
        {arguments, store, {&weights, {&d, nullptr}, nullptr}}});
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nt_bf16_across_288(const __grid_constant__ CUtensorMap weights,
                              const __grid_constant__ struct product_arguments arguments,
                              const __grid_constant__ struct store_rows epilogue,
                              const __grid_constant__ CUtensorMap d)
{
    run<288, 4, 1, wgmma_bf16, 0>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nt_f16_across_288(const __grid_constant__ CUtensorMap weights,
                             const __grid_constant__ struct product_arguments arguments,
                             const __grid_constant__ struct store_rows epilogue,
                             const __grid_constant__ CUtensorMap d)
{
    run<288, 4, 1, wgmma_f16, 0>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_bf16_across_288(const __grid_constant__ CUtensorMap weights,
                              const __grid_constant__ struct product_arguments arguments,
                              const __grid_constant__ struct store_rows epilogue,
                              const __grid_constant__ CUtensorMap d)
{
    run<288, 4, 1, wgmma_bf16, 1>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_bf16_across_320(const __grid_constant__ CUtensorMap weights,
                              const __grid_constant__ struct product_arguments arguments,
                              const __grid_constant__ struct store_rows epilogue,
                              const __grid_constant__ CUtensorMap d)
{
    run<320, 3, 3, wgmma_bf16, 1>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_f16_across_288(const __grid_constant__ CUtensorMap weights,
                             const __grid_constant__ struct product_arguments arguments,
                             const __grid_constant__ struct store_rows epilogue,
                             const __grid_constant__ CUtensorMap d)
{
    run<288, 4, 1, wgmma_f16, 1>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_f16_across_320(const __grid_constant__ CUtensorMap weights,
                             const __grid_constant__ struct product_arguments arguments,
                             const __grid_constant__ struct store_rows epilogue,
                             const __grid_constant__ CUtensorMap d)
{
    run<320, 3, 3, wgmma_f16, 1>(weights, arguments, epilogue, d);
}

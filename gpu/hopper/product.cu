// product.cu - grouped products that are stored, by the way the weights lie, type and tile width.
#include <cuda.h>

#include "gpu/hopper/by_rows.cuh"

template <int COLS, int STAGES, int BUFFERS, class Type, int WEIGHTS_BY_ROW, int HEIGHT = 1>
static __device__ __forceinline__ void run(const CUtensorMap &weights,
                                           const struct product_arguments &arguments,
                                           const struct store_rows &store, const CUtensorMap &d)
{
    using Shape = product_shape<COLS, STAGES, BUFFERS, Type, 0, WEIGHTS_BY_ROW, HEIGHT>;
    run_block<Shape>(by_rows<Shape, struct store_rows, false>{
        arguments, store, {&weights, {&d, nullptr}, nullptr}});
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nt_bf16_256(const __grid_constant__ CUtensorMap weights,
                       const __grid_constant__ struct product_arguments arguments,
                       const __grid_constant__ struct store_rows epilogue,
                       const __grid_constant__ CUtensorMap d)
{
    run<256, 3, 5, wgmma_bf16, 0>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nt_bf16_192(const __grid_constant__ CUtensorMap weights,
                       const __grid_constant__ struct product_arguments arguments,
                       const __grid_constant__ struct store_rows epilogue,
                       const __grid_constant__ CUtensorMap d)
{
    run<192, 4, 4, wgmma_bf16, 0>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nt_bf16_128(const __grid_constant__ CUtensorMap weights,
                       const __grid_constant__ struct product_arguments arguments,
                       const __grid_constant__ struct store_rows epilogue,
                       const __grid_constant__ CUtensorMap d)
{
    run<128, 4, 5, wgmma_bf16, 0>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nt_bf16_64(const __grid_constant__ CUtensorMap weights,
                      const __grid_constant__ struct product_arguments arguments,
                      const __grid_constant__ struct store_rows epilogue,
                      const __grid_constant__ CUtensorMap d)
{
    run<64, 6, 5, wgmma_bf16, 0>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nt_f16_256(const __grid_constant__ CUtensorMap weights,
                      const __grid_constant__ struct product_arguments arguments,
                      const __grid_constant__ struct store_rows epilogue,
                      const __grid_constant__ CUtensorMap d)
{
    run<256, 3, 5, wgmma_f16, 0>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nt_f16_192(const __grid_constant__ CUtensorMap weights,
                      const __grid_constant__ struct product_arguments arguments,
                      const __grid_constant__ struct store_rows epilogue,
                      const __grid_constant__ CUtensorMap d)
{
    run<192, 4, 4, wgmma_f16, 0>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nt_f16_128(const __grid_constant__ CUtensorMap weights,
                      const __grid_constant__ struct product_arguments arguments,
                      const __grid_constant__ struct store_rows epilogue,
                      const __grid_constant__ CUtensorMap d)
{
    run<128, 4, 5, wgmma_f16, 0>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nt_f16_64(const __grid_constant__ CUtensorMap weights,
                     const __grid_constant__ struct product_arguments arguments,
                     const __grid_constant__ struct store_rows epilogue,
                     const __grid_constant__ CUtensorMap d)
{
    run<64, 6, 5, wgmma_f16, 0>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_bf16_256(const __grid_constant__ CUtensorMap weights,
                       const __grid_constant__ struct product_arguments arguments,
                       const __grid_constant__ struct store_rows epilogue,
                       const __grid_constant__ CUtensorMap d)
{
    run<256, 3, 5, wgmma_bf16, 1>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_bf16_192(const __grid_constant__ CUtensorMap weights,
                       const __grid_constant__ struct product_arguments arguments,
                       const __grid_constant__ struct store_rows epilogue,
                       const __grid_constant__ CUtensorMap d)
{
    run<192, 4, 4, wgmma_bf16, 1>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_bf16_128(const __grid_constant__ CUtensorMap weights,
                       const __grid_constant__ struct product_arguments arguments,
                       const __grid_constant__ struct store_rows epilogue,
                       const __grid_constant__ CUtensorMap d)
{
    run<128, 4, 5, wgmma_bf16, 1>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_bf16_64(const __grid_constant__ CUtensorMap weights,
                      const __grid_constant__ struct product_arguments arguments,
                      const __grid_constant__ struct store_rows epilogue,
                      const __grid_constant__ CUtensorMap d)
{
    run<64, 6, 5, wgmma_bf16, 1>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_f16_256(const __grid_constant__ CUtensorMap weights,
                      const __grid_constant__ struct product_arguments arguments,
                      const __grid_constant__ struct store_rows epilogue,
                      const __grid_constant__ CUtensorMap d)
{
    run<256, 3, 5, wgmma_f16, 1>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_f16_192(const __grid_constant__ CUtensorMap weights,
                      const __grid_constant__ struct product_arguments arguments,
                      const __grid_constant__ struct store_rows epilogue,
                      const __grid_constant__ CUtensorMap d)
{
    run<192, 4, 4, wgmma_f16, 1>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_f16_128(const __grid_constant__ CUtensorMap weights,
                      const __grid_constant__ struct product_arguments arguments,
                      const __grid_constant__ struct store_rows epilogue,
                      const __grid_constant__ CUtensorMap d)
{
    run<128, 4, 5, wgmma_f16, 1>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_f16_64(const __grid_constant__ CUtensorMap weights,
                     const __grid_constant__ struct product_arguments arguments,
                     const __grid_constant__ struct store_rows epilogue,
                     const __grid_constant__ CUtensorMap d)
{
    run<64, 6, 5, wgmma_f16, 1>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nt_bf16_tall(const __grid_constant__ CUtensorMap weights,
                        const __grid_constant__ struct product_arguments arguments,
                        const __grid_constant__ struct store_rows epilogue,
                        const __grid_constant__ CUtensorMap d)
{
    run<128, 4, 2, wgmma_bf16, 0, 2>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nt_f16_tall(const __grid_constant__ CUtensorMap weights,
                       const __grid_constant__ struct product_arguments arguments,
                       const __grid_constant__ struct store_rows epilogue,
                       const __grid_constant__ CUtensorMap d)
{
    run<128, 4, 2, wgmma_f16, 0, 2>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_bf16_tall(const __grid_constant__ CUtensorMap weights,
                        const __grid_constant__ struct product_arguments arguments,
                        const __grid_constant__ struct store_rows epilogue,
                        const __grid_constant__ CUtensorMap d)
{
    run<128, 4, 2, wgmma_bf16, 1, 2>(weights, arguments, epilogue, d);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_nn_f16_tall(const __grid_constant__ CUtensorMap weights,
                       const __grid_constant__ struct product_arguments arguments,
                       const __grid_constant__ struct store_rows epilogue,
                       const __grid_constant__ CUtensorMap d)
{
    run<128, 4, 2, wgmma_f16, 1, 2>(weights, arguments, epilogue, d);
}

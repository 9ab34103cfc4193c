// gradient.cu - products summed over the rows of each expert, by type and tile width.
#include <cuda.h>

#include "gpu/hopper/over_rows.cuh"
#include "gpu/hopper/store_gradient.cuh"

template <int COLS, int STAGES, int BUFFERS, class Type>
static __device__ __forceinline__ void run(const CUtensorMap &p, const CUtensorMap &q,
                                           const CUtensorMap &d,
                                           const struct gradient_arguments &arguments)
{
    using Shape = product_shape<COLS, STAGES, BUFFERS, Type, 1, 1>;
    run_block<Shape>(over_rows<Shape, store_gradient>{arguments, &p, &q, &d});
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_tn_bf16_256(const __grid_constant__ CUtensorMap p, const __grid_constant__ CUtensorMap q,
                       const __grid_constant__ CUtensorMap d,
                       const __grid_constant__ struct gradient_arguments arguments)
{
    run<256, 4, 2, wgmma_bf16>(p, q, d, arguments);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_tn_bf16_128(const __grid_constant__ CUtensorMap p, const __grid_constant__ CUtensorMap q,
                       const __grid_constant__ CUtensorMap d,
                       const __grid_constant__ struct gradient_arguments arguments)
{
    run<128, 6, 2, wgmma_bf16>(p, q, d, arguments);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_tn_bf16_64(const __grid_constant__ CUtensorMap p, const __grid_constant__ CUtensorMap q,
                      const __grid_constant__ CUtensorMap d,
                      const __grid_constant__ struct gradient_arguments arguments)
{
    run<64, 8, 2, wgmma_bf16>(p, q, d, arguments);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_tn_f16_256(const __grid_constant__ CUtensorMap p, const __grid_constant__ CUtensorMap q,
                      const __grid_constant__ CUtensorMap d,
                      const __grid_constant__ struct gradient_arguments arguments)
{
    run<256, 4, 2, wgmma_f16>(p, q, d, arguments);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_tn_f16_128(const __grid_constant__ CUtensorMap p, const __grid_constant__ CUtensorMap q,
                      const __grid_constant__ CUtensorMap d,
                      const __grid_constant__ struct gradient_arguments arguments)
{
    run<128, 6, 2, wgmma_f16>(p, q, d, arguments);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_tn_f16_64(const __grid_constant__ CUtensorMap p, const __grid_constant__ CUtensorMap q,
                     const __grid_constant__ CUtensorMap d,
                     const __grid_constant__ struct gradient_arguments arguments)
{
    run<64, 8, 2, wgmma_f16>(p, q, d, arguments);
}

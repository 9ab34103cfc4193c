// product.cu - grouped products by tile width and type.
#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "gpu/hopper/product.cuh"

// Two neighbours of a row, the first one lower in memory.
template <class Type> static __device__ __forceinline__ uint32_t pack(float first, float second)
{
    uint32_t pair;
    if constexpr (Type::is_bf16)
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    else
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
}

// D = the sums, rounded once.
struct store_rows {
    template <class Shape>
    static __device__ __forceinline__ void run(const struct product_arguments &arguments,
                                               const struct row_tile &rows, int32_t first_column,
                                               const float (&sum)[Shape::TILE_COLS / 2])
    {
        const int thread = threadIdx.x % GROUP;
        const int row = (int)threadIdx.x / GROUP * 64 + thread / 32 * 16 + thread % 32 / 4;
        const int32_t column = first_column + thread % 4 * 2;
        char *const d = (char *)arguments.d + 2 * ((rows.row + row) * arguments.d_stride + column);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            if (row + 8 * half >= rows.rows)
                continue;
#pragma unroll
            for (int i = 0; i < Shape::TILE_COLS / 8; i++)
                if (column + 8 * i < arguments.cols)
                    *(uint32_t *)(d + 16 * half * arguments.d_stride + 16 * i) =
                        pack<typename Shape::Type>(sum[4 * i + 2 * half],
                                                   sum[4 * i + 2 * half + 1]);
        }
    }
};

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_product_bf16_64(const __grid_constant__ CUtensorMap weights,
                           const __grid_constant__ struct product_arguments arguments)
{
    product<product_shape<64, 8, wgmma_bf16>, store_rows>(arguments, &weights);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_product_bf16_128(const __grid_constant__ CUtensorMap weights,
                            const __grid_constant__ struct product_arguments arguments)
{
    product<product_shape<128, 6, wgmma_bf16>, store_rows>(arguments, &weights);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_product_bf16_192(const __grid_constant__ CUtensorMap weights,
                            const __grid_constant__ struct product_arguments arguments)
{
    product<product_shape<192, 5, wgmma_bf16>, store_rows>(arguments, &weights);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_product_bf16_256(const __grid_constant__ CUtensorMap weights,
                            const __grid_constant__ struct product_arguments arguments)
{
    product<product_shape<256, 4, wgmma_bf16>, store_rows>(arguments, &weights);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_product_f16_64(const __grid_constant__ CUtensorMap weights,
                          const __grid_constant__ struct product_arguments arguments)
{
    product<product_shape<64, 8, wgmma_f16>, store_rows>(arguments, &weights);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_product_f16_128(const __grid_constant__ CUtensorMap weights,
                           const __grid_constant__ struct product_arguments arguments)
{
    product<product_shape<128, 6, wgmma_f16>, store_rows>(arguments, &weights);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_product_f16_192(const __grid_constant__ CUtensorMap weights,
                           const __grid_constant__ struct product_arguments arguments)
{
    product<product_shape<192, 5, wgmma_f16>, store_rows>(arguments, &weights);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
    hopper_product_f16_256(const __grid_constant__ CUtensorMap weights,
                           const __grid_constant__ struct product_arguments arguments)
{
    product<product_shape<256, 4, wgmma_f16>, store_rows>(arguments, &weights);
}

// hopper.cu - the kernels of the variant `hopper` in one module, with faults to choose from. Of the
// products there are those of narrow tiles, of 128 columns and tall, for bf16: every line of a
// product that a fault is planted in is in each of them.
#include <cuda.h>

#include "gpu/hopper/by_rows.cuh"
#include "gpu/hopper/over_rows.cuh"
#include "gpu/hopper/store_gradient.cuh"
#include "gpu/hopper/padded.cu"
#include "gpu/hopper/picks.cu"
#include "gpu/hopper/router.cu"
#include "gpu/hopper/router_pieces.cu"
#include "gpu/hopper/routing.cu"
#include "gpu/hopper/rows.cu"
#include "gpu/hopper/tiles.cu"

#define PRODUCT_KERNEL extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)
#define WEIGHTS const __grid_constant__ CUtensorMap weights
#define ARGUMENTS const __grid_constant__ struct product_arguments arguments

// Turns one fault on, or (FAULT_NONE) all off.
extern "C" __global__ void plant_hopper_fault(int fault)
{
    planted_fault = fault;
}

template <int COLS, int STAGES, int WEIGHTS_BY_ROW, class Epilogue, bool PAIRED, int HEIGHT = 1>
static __device__ __forceinline__ void run(const CUtensorMap &weights,
                                           const struct product_arguments &arguments,
                                           const Epilogue &epilogue, const CUtensorMap *z = nullptr)
{
    using Shape = product_shape<COLS, STAGES, wgmma_bf16, 0, WEIGHTS_BY_ROW, HEIGHT>;
    run_block<Shape>(by_rows<Shape, Epilogue, PAIRED>{arguments, epilogue, &weights, z});
}

PRODUCT_KERNEL hopper_nt_bf16_128(WEIGHTS, ARGUMENTS,
                                  const __grid_constant__ struct store_rows epilogue)
{
    run<128, 6, 0, store_rows, false>(weights, arguments, epilogue);
}

PRODUCT_KERNEL hopper_nt_bf16_64(WEIGHTS, ARGUMENTS,
                                 const __grid_constant__ struct store_rows epilogue)
{
    run<64, 8, 0, store_rows, false>(weights, arguments, epilogue);
}

PRODUCT_KERNEL hopper_nt_bf16_tall(WEIGHTS, ARGUMENTS,
                                   const __grid_constant__ struct store_rows epilogue)
{
    run<128, 4, 0, store_rows, false, 2>(weights, arguments, epilogue);
}

PRODUCT_KERNEL hopper_nn_bf16_128(WEIGHTS, ARGUMENTS,
                                  const __grid_constant__ struct store_rows epilogue)
{
    run<128, 6, 1, store_rows, false>(weights, arguments, epilogue);
}

PRODUCT_KERNEL hopper_nn_bf16_64(WEIGHTS, ARGUMENTS,
                                 const __grid_constant__ struct store_rows epilogue)
{
    run<64, 8, 1, store_rows, false>(weights, arguments, epilogue);
}

PRODUCT_KERNEL hopper_nn_bf16_tall(WEIGHTS, ARGUMENTS,
                                   const __grid_constant__ struct store_rows epilogue)
{
    run<128, 4, 1, store_rows, false, 2>(weights, arguments, epilogue);
}

PRODUCT_KERNEL
hopper_swiglu_forward_bf16_tall(WEIGHTS, ARGUMENTS,
                                const __grid_constant__ struct activate_rows epilogue)
{
    run<128, 4, 0, swiglu_forward, true, 2>(weights, arguments,
                                            static_cast<const swiglu_forward &>(epilogue));
}

PRODUCT_KERNEL hopper_swiglu_forward_bf16_128(WEIGHTS, ARGUMENTS,
                                              const __grid_constant__ struct activate_rows epilogue)
{
    run<128, 6, 0, swiglu_forward, true>(weights, arguments,
                                         static_cast<const swiglu_forward &>(epilogue));
}

PRODUCT_KERNEL hopper_plain_forward_bf16_64(WEIGHTS, ARGUMENTS,
                                            const __grid_constant__ struct activate_rows epilogue)
{
    run<64, 8, 0, plain_forward, false>(weights, arguments,
                                        static_cast<const plain_forward &>(epilogue));
}

PRODUCT_KERNEL hopper_swiglu_back_bf16_128(WEIGHTS, ARGUMENTS,
                                           const __grid_constant__ struct activate_back epilogue,
                                           const __grid_constant__ CUtensorMap z)
{
    run<128, 6, 1, swiglu_back, false>(weights, arguments,
                                       static_cast<const swiglu_back &>(epilogue), &z);
}

PRODUCT_KERNEL hopper_plain_back_bf16_64(WEIGHTS, ARGUMENTS,
                                         const __grid_constant__ struct activate_back epilogue,
                                         const __grid_constant__ CUtensorMap z)
{
    run<64, 8, 1, plain_back, false>(weights, arguments, static_cast<const plain_back &>(epilogue),
                                     &z);
}

template <int COLS, int STAGES>
static __device__ __forceinline__ void run_gradient(const CUtensorMap &p, const CUtensorMap &q,
                                                    const CUtensorMap &d,
                                                    const struct gradient_arguments &arguments)
{
    using Shape = product_shape<COLS, STAGES, wgmma_bf16, 1, 1>;
    run_block<Shape>(over_rows<Shape, store_gradient>{arguments, &p, &q, &d});
}

PRODUCT_KERNEL hopper_tn_bf16_128(const __grid_constant__ CUtensorMap p,
                                  const __grid_constant__ CUtensorMap q,
                                  const __grid_constant__ CUtensorMap d,
                                  const __grid_constant__ struct gradient_arguments arguments)
{
    run_gradient<128, 6>(p, q, d, arguments);
}

PRODUCT_KERNEL hopper_tn_bf16_64(const __grid_constant__ CUtensorMap p,
                                 const __grid_constant__ CUtensorMap q,
                                 const __grid_constant__ CUtensorMap d,
                                 const __grid_constant__ struct gradient_arguments arguments)
{
    run_gradient<64, 8>(p, q, d, arguments);
}

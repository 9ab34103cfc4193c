// hopper.cu - the kernels of the variant `hopper` in one module, with faults to choose from. Of the
// products there are those of narrow tiles, of 128 columns, tall and across, for bf16: every line
// of a product that a fault is planted in is in each of them.
#include <cuda.h>

#include "gpu/hopper/across.cuh"
#include "gpu/hopper/over_rows.cuh"
#include "gpu/hopper/store_gradient.cuh"
#include "gpu/hopper/padded.cu"
#include "gpu/hopper/picks.cu"
#include "gpu/hopper/router.cu"
#include "gpu/hopper/router_sums.cu"
#include "gpu/hopper/routing.cu"
#include "gpu/hopper/scores_back.cu"
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

#define MAP(name) const __grid_constant__ CUtensorMap name

template <int COLS, int STAGES, int BUFFERS, int WEIGHTS_BY_ROW, class Epilogue, bool PAIRED,
          int HEIGHT = 1>
static __device__ __forceinline__ void run(const struct product_arguments &arguments,
                                           const Epilogue &epilogue, const product_maps &maps)
{
    using Shape = product_shape<COLS, STAGES, BUFFERS, wgmma_bf16, 0, WEIGHTS_BY_ROW, HEIGHT>;
    run_block<Shape>(by_rows<Shape, Epilogue, PAIRED>{arguments, epilogue, maps});
}

PRODUCT_KERNEL hopper_nt_bf16_128(WEIGHTS, ARGUMENTS,
                                  const __grid_constant__ struct store_rows epilogue, MAP(d))
{
    run<128, 4, 5, 0, store_rows, false>(arguments, epilogue, {&weights, {&d, nullptr}, nullptr});
}

PRODUCT_KERNEL hopper_nt_bf16_64(WEIGHTS, ARGUMENTS,
                                 const __grid_constant__ struct store_rows epilogue, MAP(d))
{
    run<64, 6, 5, 0, store_rows, false>(arguments, epilogue, {&weights, {&d, nullptr}, nullptr});
}

PRODUCT_KERNEL hopper_nt_bf16_tall(WEIGHTS, ARGUMENTS,
                                   const __grid_constant__ struct store_rows epilogue, MAP(d))
{
    run<128, 4, 2, 0, store_rows, false, 2>(arguments, epilogue,
                                            {&weights, {&d, nullptr}, nullptr});
}

PRODUCT_KERNEL hopper_nn_bf16_128(WEIGHTS, ARGUMENTS,
                                  const __grid_constant__ struct store_rows epilogue, MAP(d))
{
    run<128, 4, 5, 1, store_rows, false>(arguments, epilogue, {&weights, {&d, nullptr}, nullptr});
}

PRODUCT_KERNEL hopper_nn_bf16_64(WEIGHTS, ARGUMENTS,
                                 const __grid_constant__ struct store_rows epilogue, MAP(d))
{
    run<64, 6, 5, 1, store_rows, false>(arguments, epilogue, {&weights, {&d, nullptr}, nullptr});
}

PRODUCT_KERNEL hopper_nn_bf16_tall(WEIGHTS, ARGUMENTS,
                                   const __grid_constant__ struct store_rows epilogue, MAP(d))
{
    run<128, 4, 2, 1, store_rows, false, 2>(arguments, epilogue,
                                            {&weights, {&d, nullptr}, nullptr});
}

template <int WEIGHTS_BY_ROW, class Epilogue, bool PAIRED>
static __device__ __forceinline__ void run_across(const struct product_arguments &arguments,
                                                  const Epilogue &epilogue,
                                                  const product_maps &maps)
{
    using Shape = across_shape<288, 4, 1, wgmma_bf16, WEIGHTS_BY_ROW>;
    run_block<Shape>(across<Shape, Epilogue, PAIRED>{{arguments, epilogue, maps}});
}

PRODUCT_KERNEL hopper_nt_bf16_across_288(WEIGHTS, ARGUMENTS,
                                         const __grid_constant__ struct store_rows epilogue, MAP(d))
{
    run_across<0, store_rows, false>(arguments, epilogue, {&weights, {&d, nullptr}, nullptr});
}

PRODUCT_KERNEL hopper_nn_bf16_across_288(WEIGHTS, ARGUMENTS,
                                         const __grid_constant__ struct store_rows epilogue, MAP(d))
{
    run_across<1, store_rows, false>(arguments, epilogue, {&weights, {&d, nullptr}, nullptr});
}

PRODUCT_KERNEL hopper_swiglu_forward_bf16_across_288(
    WEIGHTS, ARGUMENTS, const __grid_constant__ struct activate_rows epilogue, MAP(z), MAP(a))
{
    run_across<0, swiglu_forward, true>(arguments, static_cast<const swiglu_forward &>(epilogue),
                                        {&weights, {&z, &a}, nullptr});
}

PRODUCT_KERNEL hopper_swiglu_forward_bf16_tall(
    WEIGHTS, ARGUMENTS, const __grid_constant__ struct activate_rows epilogue, MAP(z), MAP(a))
{
    run<128, 4, 2, 0, swiglu_forward, true, 2>(
        arguments, static_cast<const swiglu_forward &>(epilogue), {&weights, {&z, &a}, nullptr});
}

PRODUCT_KERNEL hopper_swiglu_forward_bf16_128(WEIGHTS, ARGUMENTS,
                                              const __grid_constant__ struct activate_rows epilogue,
                                              MAP(z), MAP(a))
{
    run<128, 4, 5, 0, swiglu_forward, true>(
        arguments, static_cast<const swiglu_forward &>(epilogue), {&weights, {&z, &a}, nullptr});
}

PRODUCT_KERNEL hopper_plain_forward_bf16_64(WEIGHTS, ARGUMENTS,
                                            const __grid_constant__ struct activate_rows epilogue,
                                            MAP(z), MAP(a))
{
    run<64, 6, 5, 0, plain_forward, false>(arguments, static_cast<const plain_forward &>(epilogue),
                                           {&weights, {&z, &a}, nullptr});
}

PRODUCT_KERNEL hopper_swiglu_back_bf16_128(WEIGHTS, ARGUMENTS,
                                           const __grid_constant__ struct activate_back epilogue,
                                           MAP(dz), MAP(sa), MAP(z))
{
    run<128, 4, 5, 1, swiglu_back, false>(arguments, static_cast<const swiglu_back &>(epilogue),
                                          {&weights, {&dz, &sa}, &z});
}

PRODUCT_KERNEL hopper_plain_back_bf16_64(WEIGHTS, ARGUMENTS,
                                         const __grid_constant__ struct activate_back epilogue,
                                         MAP(dz), MAP(sa), MAP(z))
{
    run<64, 6, 5, 1, plain_back, false>(arguments, static_cast<const plain_back &>(epilogue),
                                        {&weights, {&dz, &sa}, &z});
}

template <int COLS, int STAGES, int BUFFERS>
static __device__ __forceinline__ void run_gradient(const CUtensorMap &p, const CUtensorMap &q,
                                                    const CUtensorMap &d,
                                                    const struct gradient_arguments &arguments)
{
    using Shape = product_shape<COLS, STAGES, BUFFERS, wgmma_bf16, 1, 1>;
    run_block<Shape>(over_rows<Shape, store_gradient>{arguments, &p, &q, &d});
}

PRODUCT_KERNEL hopper_tn_bf16_128(MAP(p), MAP(q), MAP(d),
                                  const __grid_constant__ struct gradient_arguments arguments)
{
    run_gradient<128, 6, 2>(p, q, d, arguments);
}

PRODUCT_KERNEL hopper_tn_bf16_64(MAP(p), MAP(q), MAP(d),
                                 const __grid_constant__ struct gradient_arguments arguments)
{
    run_gradient<64, 8, 2>(p, q, d, arguments);
}

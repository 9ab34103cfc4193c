// router_pieces.cu - dL for tensor cores: an f32 is the sum of three bf16 of eight digits each, so
// that products of bf16 with its pieces are as exact as those of f32 with itself; but below the
// last subnormal of bf16, 2^-133, nothing is left (recipe.at[MOE_AT_DLOGITS].lost).
//
//   dL Wr     = [first | second | third] [Wr; Wr; Wr]
//   dL^T X    = first^T X + second^T X + third^T X
//
// Pieces are cut off and not rounded: none is larger than what it is of, and what is left is exact.
#include <cstdint>

static __device__ __forceinline__ uint16_t cut(float x)
{
    return (uint16_t)(__float_as_uint(x) >> 16);
}

static __device__ __forceinline__ float rest(float x)
{
    return x - __uint_as_float(__float_as_uint(x) & 0xffff0000u);
}

// pieces [T,3,width] of dl [T,E]; width >= E, zeros beyond E. What is not finite is its first
// piece.
extern "C" __global__ void __launch_bounds__(256)
    hopper_cut_gradients(int64_t T, int64_t E, int64_t width, const float *dl, uint16_t *pieces)
{
    const int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < T * width; i += step) {
        const int64_t t = i / width, e = i % width;
        const float x = e < E ? dl[t * E + e] : 0;
        const bool whole = fabsf(x) < __int_as_float(0x7f800000);
        const float second = whole ? rest(x) : 0, third = rest(second);
        uint16_t *const to = pieces + t * 3 * width + e;
        to[0] = x == x ? cut(x) : 0x7fc0;
        to[width] = cut(second);
        to[2 * width] = cut(third);
    }
}

// out [3,width,H]: Wr [E,H] three times, zeros beyond E. H is a multiple of 8.
extern "C" __global__ void __launch_bounds__(256)
    hopper_stack_router(int64_t E, int64_t width, int64_t H, const uint16_t *wr, uint16_t *out)
{
    const int64_t step = (int64_t)gridDim.x * blockDim.x, row = H / 8;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < 3 * width * row;
         i += step) {
        const int64_t e = i / row % width;
        ((uint4 *)out)[i] = e < E ? ((const uint4 *)wr)[e * row + i % row] : make_uint4(0, 0, 0, 0);
    }
}

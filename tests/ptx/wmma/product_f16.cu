/* nvcc -arch=sm_90a -ptx: D[M,N] = scale A[M,K] B[N,K]^T of f16 by nvcuda::wmma, four warps of
 * 16 x 16 each, through padded shared memory. M and N are multiples of 32, K of 16. */
#include <mma.h>

using namespace nvcuda;

enum { EDGE = 32, STEP = 16, PAD = 8, LINE = STEP + PAD };

extern "C" __global__ void product(const half *a, const half *b, float *d, int n, int k,
                                   float scale)
{
    __shared__ __align__(32) half left[EDGE * LINE], right[EDGE * LINE];
    const int warp = threadIdx.x / 32, row = blockIdx.y * EDGE, column = blockIdx.x * EDGE;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum;
    wmma::fill_fragment(sum, 0.0f);
    for (int from = 0; from < k; from += STEP) {
        for (int i = threadIdx.x; i < EDGE * STEP; i += blockDim.x) {
            left[i / STEP * LINE + i % STEP] = a[(row + i / STEP) * k + from + i % STEP];
            right[i / STEP * LINE + i % STEP] = b[(column + i / STEP) * k + from + i % STEP];
        }
        __syncthreads();
        wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> x;
        wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::col_major> y;
        wmma::load_matrix_sync(x, left + warp / 2 * 16 * LINE, LINE);
        wmma::load_matrix_sync(y, right + warp % 2 * 16 * LINE, LINE);
        wmma::mma_sync(sum, x, y, sum);
        __syncthreads();
    }
    for (int i = 0; i < sum.num_elements; i++)
        sum.x[i] *= scale;
    wmma::store_matrix_sync(d + (row + warp / 2 * 16) * n + column + warp % 2 * 16, sum, n,
                            wmma::mem_row_major);
}

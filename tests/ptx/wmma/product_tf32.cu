/* nvcc -arch=sm_90a -ptx: D[N,M]^T = A[M,K] B[K,N] of f32 rounded to tf32 by nvcuda::wmma, a warp
 * and 16 x 16 a CTA, out of global memory. M and N are multiples of 16, K of 8. */
#include <mma.h>

using namespace nvcuda;

extern "C" __global__ void product(const float *a, const float *b, float *d, int m, int n, int k)
{
    const int row = blockIdx.y * 16, column = blockIdx.x * 16;
    wmma::fragment<wmma::accumulator, 16, 16, 8, float> sum;
    wmma::fill_fragment(sum, 0.0f);
    for (int from = 0; from < k; from += 8) {
        wmma::fragment<wmma::matrix_a, 16, 16, 8, wmma::precision::tf32, wmma::row_major> x;
        wmma::fragment<wmma::matrix_b, 16, 16, 8, wmma::precision::tf32, wmma::row_major> y;
        wmma::load_matrix_sync(x, a + row * k + from, k);
        wmma::load_matrix_sync(y, b + from * n + column, n);
        for (int i = 0; i < x.num_elements; i++)
            x.x[i] = wmma::__float_to_tf32(x.x[i]);
        for (int i = 0; i < y.num_elements; i++)
            y.x[i] = wmma::__float_to_tf32(y.x[i]);
        wmma::mma_sync(sum, x, y, sum);
    }
    wmma::store_matrix_sync(d + column * m + row, sum, m, wmma::mem_col_major);
}

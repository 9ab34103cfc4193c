// router_pieces.cu - what tensor cores need beside dL in three pieces, which scores_back.cu cuts:
//
//   dL Wr     = [first | second | third] [Wr; Wr; Wr]
//   dL^T X    = first^T X + second^T X + third^T X
#include <cstdint>

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

// begin [S+1]: T rows in S slices.
extern "C" __global__ void hopper_slice_rows(int64_t T, int64_t S, int64_t *begin)
{
    const int64_t slice = (T + S - 1) / S;
    for (int64_t i = threadIdx.x; i <= S; i += blockDim.x)
        begin[i] = i * slice < T ? i * slice : T;
}

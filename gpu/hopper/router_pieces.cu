#include <cstdint>

// begin [S+1]: T rows in S slices.
extern "C" __global__ void hopper_slice_rows(int64_t T, int64_t S, int64_t *begin)
{
    const int64_t slice = (T + S - 1) / S;
    for (int64_t i = threadIdx.x; i <= S; i += blockDim.x)
        begin[i] = i * slice < T ? i * slice : T;
}

// padded.cu - tensors to padded rows and back; padded.h says which. Grid (any, copies).
//
// A thread takes 16 bytes of a padded row, 8 elements; the dense side has no alignment and goes
// element by element.
#include "gpu/fault.h"
#include "gpu/hopper/padded.h"

constexpr int PIECE = 8;

struct piece_walk {
    int64_t item, step, count;

    // Pieces of `rows` rows of `cols` columns in each of the outer ones.
    __device__ piece_walk(const struct padded_copy &copy, int64_t rows, int64_t cols)
        : item((int64_t)blockIdx.x * blockDim.x + threadIdx.x),
          step((int64_t)gridDim.x * blockDim.x),
          count((copy.outer_used ? *copy.outer_used : copy.outer) * rows *
                ((cols + PIECE - 1) / PIECE))
    {
    }
};

// Padded rows from dense ones, zeros where these have nothing.
extern "C" __global__ void __launch_bounds__(256)
    hopper_pad(const __grid_constant__ struct padded_copies copies)
{
    const struct padded_copy &copy = copies.copy[blockIdx.y];
    const int64_t pieces = copy.padded_cols / PIECE;
    piece_walk walk(copy, copy.padded_rows, copy.padded_cols);
    for (int64_t i = walk.item; i < walk.count; i += walk.step) {
        const int64_t row = i / pieces, col = i % pieces * PIECE;
        const int64_t outer = row / copy.padded_rows, inner = row % copy.padded_rows;
        const uint16_t *const from =
            (const uint16_t *)copy.dense + (outer * copy.rows + inner) * copy.cols + col;
        uint32_t word[PIECE / 2];
#pragma unroll
        for (int j = 0; j < PIECE; j += 2) {
            const bool there = inner < copy.rows;
            const uint32_t low =
                there && (col + j < copy.cols || planted(FAULT_PAD_NOT_ZERO)) ? from[j] : 0;
            const uint32_t high =
                there && (col + j + 1 < copy.cols || planted(FAULT_PAD_NOT_ZERO)) ? from[j + 1] : 0;
            word[j / 2] = low | high << 16;
        }
        *(uint4 *)((uint16_t *)copy.padded + row * copy.padded_cols + col) = {word[0], word[1],
                                                                              word[2], word[3]};
    }
}

// Dense rows from padded ones.
extern "C" __global__ void __launch_bounds__(256)
    hopper_unpad(const __grid_constant__ struct padded_copies copies)
{
    const struct padded_copy &copy = copies.copy[blockIdx.y];
    const int64_t pieces = (copy.cols + PIECE - 1) / PIECE;
    piece_walk walk(copy, copy.rows, copy.cols);
    for (int64_t i = walk.item; i < walk.count; i += walk.step) {
        const int64_t row = i / pieces, col = i % pieces * PIECE;
        const int64_t outer = row / copy.rows, inner = row % copy.rows;
        const uint4 bits =
            *(const uint4 *)((const uint16_t *)copy.padded +
                             (outer * copy.padded_rows + inner) * copy.padded_cols + col);
        const uint32_t word[PIECE / 2] = {bits.x, bits.y, bits.z, bits.w};
        uint16_t *const to = (uint16_t *)copy.dense + row * copy.cols + col;
#pragma unroll
        for (int j = 0; j < PIECE; j++)
            if (col + j < copy.cols || planted(FAULT_UNPAD_UNMASKED))
                to[j] = (uint16_t)(word[j / 2] >> j % 2 * 16);
    }
}

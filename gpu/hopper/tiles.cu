// tiles.cu - the list of row tiles of a routing: experts in order, each cut into tiles of so many
// rows, the last of them as short as it comes out.
#include "gpu/hopper/tiles.h"

// begin[e] = number of tiles of the experts before e, for e in 0 .. E. One block of 256 threads.
static __device__ void count_tiles(int64_t E, int64_t tile_rows, const int64_t *expert_begin,
                                   int64_t *begin)
{
    __shared__ int64_t room[256];
    int64_t carry = 0;
    for (int64_t base = 0; base < E; base += 256) {
        const int64_t e = base + threadIdx.x;
        const int64_t rows = e < E ? expert_begin[e + 1] - expert_begin[e] : 0;
        room[threadIdx.x] = (rows + tile_rows - 1) / tile_rows;
        __syncthreads();
        for (unsigned step = 1; step < 256; step *= 2) {
            const int64_t more = threadIdx.x >= step ? room[threadIdx.x - step] : 0;
            __syncthreads();
            room[threadIdx.x] += more;
            __syncthreads();
        }
        if (e < E)
            begin[e + 1] = carry + room[threadIdx.x];
        carry += room[255];
        __syncthreads();
    }
    if (threadIdx.x == 0)
        begin[0] = 0;
    __syncthreads();
}

// The last expert that begins at or before the tile, empty ones left out.
static __device__ int64_t expert_of(int64_t tile, int64_t E, const int64_t *begin)
{
    int64_t low = 0, high = E;
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        if (begin[middle] <= tile)
            low = middle;
        else
            high = middle;
    }
    return low;
}

// tiles: a header and room for what hopper_tiles_bytes() says; begin [E+1]: room. One block of 256
// threads.
extern "C" __global__ void __launch_bounds__(256)
    hopper_list_tiles(int64_t E, int64_t tile_rows, const int64_t *expert_begin, int64_t *begin,
                      struct row_tiles *tiles)
{
    count_tiles(E, tile_rows, expert_begin, begin);
    struct row_tile *const list = (struct row_tile *)(tiles + 1);
    for (int64_t i = threadIdx.x; i < begin[E]; i += 256) {
        const int64_t e = expert_of(i, E, begin);
        const int64_t row = expert_begin[e] + (i - begin[e]) * tile_rows;
        const int64_t left = expert_begin[e + 1] - row;
        list[i] = {row, (int32_t)(left < tile_rows ? left : tile_rows), (int32_t)e,
                   (int32_t)begin[e], (int32_t)(begin[e + 1] - begin[e])};
    }
    if (threadIdx.x == 0)
        tiles->count = begin[E];
}

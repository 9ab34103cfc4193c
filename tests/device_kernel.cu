/*
 * device_kernel.cu - kernels with which t_device tries what a launch can ask for: arguments of
 * every size, dynamic shared memory, clusters, launches that begin early, tensor maps.
 */
#include <cstdint>

/* out[i] = in[i] + add + more, 0 <= i < count: arguments of 8, 8, 4, 8, 1 bytes. */
extern "C" __global__ void __launch_bounds__(128)
    add_numbers(int64_t count, const int32_t *in, int32_t add, int32_t *out, signed char more)
{
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < count;
         i += gridDim.x * (int64_t)blockDim.x)
        out[i] = in[i] + add + more;
}

/* values [count] reversed in place by one block, through `count` ints of dynamic shared memory. */
extern "C" __global__ void reverse_shared(int32_t *values, int32_t count)
{
    extern __shared__ int32_t held[];
    for (int32_t i = threadIdx.x; i < count; i += blockDim.x)
        held[i] = values[i];
    __syncthreads();
    for (int32_t i = threadIdx.x; i < count; i += blockDim.x)
        values[i] = held[count - 1 - i];
}

#if __CUDA_ARCH__ >= 900

/* ranks [grid] = 100 * blocks of the cluster + the block's rank in it. */
extern "C" __global__ void cluster_ranks(int32_t *ranks)
{
    uint32_t rank, count;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(count));
    if (threadIdx.x == 0)
        ranks[blockIdx.x] = 100 * count + rank;
}

/* One more on each of values [gridDim * blockDim], after the launch before has ended. */
extern "C" __global__ void add_one_after(int32_t *values)
{
    asm volatile("griddepcontrol.launch_dependents;");
    asm volatile("griddepcontrol.wait;" ::: "memory");
    values[blockIdx.x * blockDim.x + threadIdx.x]++;
}

struct alignas(64) tensor_map {
    uint8_t bytes[128];
};

#define TILE_ROWS 8
#define TILE_COLS 64

/* The tile of TILE_ROWS x TILE_COLS two-byte numbers from (row, col) of the map's tensor. */
extern "C" __global__ void load_tile(const __grid_constant__ tensor_map map, int32_t row,
                                     int32_t col, uint16_t *out)
{
    __shared__ alignas(128) uint16_t tile[TILE_ROWS * TILE_COLS];
    __shared__ alignas(8) uint64_t barrier;
    const uint32_t at_tile = (uint32_t)__cvta_generic_to_shared(tile);
    const uint32_t at_barrier = (uint32_t)__cvta_generic_to_shared(&barrier);

    if (threadIdx.x == 0) {
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(at_barrier) : "memory");
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at_barrier),
                     "r"((uint32_t)sizeof tile)
                     : "memory");
        asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                     "[%0], [%1, {%2, %3}], [%4];" ::"r"(at_tile),
                     "l"(&map), "r"(col), "r"(row), "r"(at_barrier)
                     : "memory");
    }
    uint32_t done = 0;
    while (!done)
        asm volatile("{\n"
                     ".reg .pred p;\n"
                     "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], 0;\n"
                     "selp.u32 %0, 1, 0, p;\n"
                     "}"
                     : "=r"(done)
                     : "r"(at_barrier)
                     : "memory");
    for (int32_t i = threadIdx.x; i < TILE_ROWS * TILE_COLS; i += blockDim.x)
        out[i] = tile[i];
}

#endif

// disturb.cu - what the judge has running before, behind and beside a variant's kernels: copies
// that come late, blocks that keep multiprocessors busy, shared memory left full of NaN.
//
// `flags` is memory that the host shares, as 32-bit words; the enum says which is which.
#include <cstdint>

enum { FLAG_OPEN, FLAG_EXPIRED, FLAG_ARRIVED };

// Nanoseconds of the device's own clock, whose step is a microsecond or so.
static __device__ uint64_t clock_ns()
{
    uint64_t now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    return now;
}

// Until the host sets FLAG_OPEN (flags NULL: nobody does), `ns` at most. Says whether it was set.
static __device__ bool wait_for_host(volatile uint32_t *flags, uint64_t ns)
{
    const uint64_t begin = clock_ns();
    while (clock_ns() - begin < ns) {
        if (flags && flags[FLAG_OPEN])
            return true;
        __nanosleep(1000);
    }
    return false;
}

// One thread: the stream goes on when the host says so, or `ns` later and FLAG_EXPIRED tells it.
extern "C" __global__ void disturb_gate(uint32_t *flags, uint64_t ns)
{
    if (!wait_for_host(flags, ns) && flags) {
        flags[FLAG_EXPIRED] = 1;
        __threadfence_system();
    }
}

// One range of bytes to be copied, and filled with 0xff where it came from.
struct disturb_range {
    uint8_t *to, *from;
    int64_t bytes;
};

// Copies ranges [count]; with `poison` fills what was copied. A block takes every gridDim-th piece.
static __device__ void copy_ranges(const disturb_range *ranges, int32_t count, int32_t poison)
{
    const int64_t first = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    const int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int32_t r = 0; r < count; r++)
        for (int64_t i = first; i < ranges[r].bytes; i += step) {
            if (ranges[r].to)
                ranges[r].to[i] = ranges[r].from[i];
            if (poison)
                ranges[r].from[i] = 0xff;
        }
}

// Lets the launch behind it begin at once, and only `ns` later copies: whoever does not wait for
// the end of this launch reads what was there before.
extern "C" __global__ void disturb_produce(const disturb_range *ranges, int32_t count, uint64_t ns)
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
    wait_for_host(nullptr, ns);
    copy_ranges(ranges, count, 0);
}

// Begins before the launch before it has ended, waits for that end as it must, then copies and
// overwrites what it copied.
extern "C" __global__ void disturb_consume(const disturb_range *ranges, int32_t count)
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
    copy_ranges(ranges, count, 1);
}

// Every word of the block's dynamic shared memory becomes NaN.
static __device__ void poison_shared(uint32_t shared_bytes)
{
    extern __shared__ uint32_t words[];
    for (uint32_t i = threadIdx.x; i < shared_bytes / 4; i += blockDim.x)
        ((volatile uint32_t *)words)[i] = 0xffffffff;
    __syncthreads();
}

extern "C" __global__ void disturb_poison_shared(uint32_t shared_bytes)
{
    poison_shared(shared_bytes);
    wait_for_host(nullptr, 2000); // so that no multiprocessor takes two blocks one after another
}

// A block that stays, with all the shared memory that it asked for, until the host lets it go or
// `ns` have passed. It counts itself in, and whoever stayed to the end says so.
extern "C" __global__ void disturb_occupy(uint32_t *flags, uint32_t shared_bytes, uint64_t ns)
{
    poison_shared(shared_bytes);
    if (threadIdx.x != 0)
        return;
    atomicAdd_system(&flags[FLAG_ARRIVED], 1u);
    if (!wait_for_host(flags, ns))
        flags[FLAG_EXPIRED] = 1;
    __threadfence_system();
}

// Reads and writes `count` words round and round, until the host says so, or until it is the
// block's time: they leave one after another, the last when `ns` have passed, for a kernel may need
// all that a multiprocessor has and cannot begin where another block is.
extern "C" __global__ void disturb_share(uint32_t *flags, uint32_t *words, int64_t count,
                                         uint64_t ns)
{
    const uint64_t begin = clock_ns(), stay = ns / gridDim.x * (blockIdx.x + 1);
    const int64_t first = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    const int64_t step = (int64_t)gridDim.x * blockDim.x;
    if (threadIdx.x == 0)
        atomicAdd_system(&flags[FLAG_ARRIVED], 1u);
    while (!((volatile uint32_t *)flags)[FLAG_OPEN] && clock_ns() - begin < stay)
        for (int64_t i = first, turn = 0; i < count && turn < 256; i += step, turn++)
            words[i] = words[i] * 2654435761u + 1;
}

// instructions.cuh - the instructions of sm_90a that CUDA C++ has no name for, one function each.
//
// Addresses of shared memory are 32-bit numbers of the window .shared::cta. Every function that
// orders memory tells the compiler so ("memory").
#pragma once

#include <cstdint>

__device__ __forceinline__ uint32_t shared_address(const void *pointer)
{
    return (uint32_t)__cvta_generic_to_shared(pointer);
}

// ---- mbarriers: 8 bytes of shared memory; a phase ends with its last arrival and its last byte

__device__ __forceinline__ void barrier_init(uint32_t barrier, uint32_t arrivals)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals)
                 : "memory");
}

// All of so many threads wait for each other; what they wrote before, they see then.
template <int THREADS> __device__ __forceinline__ void group_meet(int barrier)
{
    asm volatile("bar.sync %0, %1;" ::"r"(barrier), "n"(THREADS) : "memory");
}

// Makes inits visible to the asynchronous proxy; before the barrier that lets others use them.
__device__ __forceinline__ void barrier_init_fence()
{
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void barrier_arrive(uint32_t barrier)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// The current phase waits for so many bytes more.
__device__ __forceinline__ void barrier_expect(uint32_t barrier, uint32_t bytes)
{
    asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(barrier),
                 "r"(bytes)
                 : "memory");
}

// Waits until the phase of this parity has ended; of a new barrier, parity 1 has.
__device__ __forceinline__ void barrier_wait(uint32_t barrier, uint32_t parity)
{
    asm volatile("{\n"
                 ".reg .pred done;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
                 "@!done bra again;\n"
                 "}\n" ::"r"(barrier),
                 "r"(parity)
                 : "memory");
}

// ---- copies to shared memory ------------------------------------------------------------------

// 16 bytes of global memory; what is beyond `bytes` (0 to 16) of them is zeros and is not read.
__device__ __forceinline__ void copy_async_16(uint32_t to, const void *from, uint32_t bytes)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
                 : "memory");
}

// Arrives at the barrier when all copies that this thread has begun have ended; it is one of the
// arrivals that the barrier was made for.
__device__ __forceinline__ void copy_async_arrive(uint32_t barrier)
{
    asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
}

// Until all copies that this thread has begun have ended.
__device__ __forceinline__ void copy_async_wait()
{
    asm volatile("cp.async.wait_all;" ::: "memory");
}

// The box of a tensor map of three dimensions at (x, y, z), x the innermost; its bytes count
// towards the barrier.
__device__ __forceinline__ void copy_box(uint32_t to, const void *map, uint32_t barrier, int32_t x,
                                         int32_t y, int32_t z)
{
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4, %5}], [%2];" ::"r"(to),
                 "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z)
                 : "memory");
}

// The same of two dimensions, and of five.
__device__ __forceinline__ void copy_box_2(uint32_t to, const void *map, uint32_t barrier,
                                           int32_t x, int32_t y)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4}], [%2];" ::"r"(to),
                 "l"(map), "r"(barrier), "r"(x), "r"(y)
                 : "memory");
}

__device__ __forceinline__ void copy_box_5(uint32_t to, const void *map, uint32_t barrier,
                                           int32_t x, int32_t y, int32_t z, int32_t v, int32_t w)
{
    asm volatile("cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4, %5, %6, %7}], [%2];" ::"r"(to),
                 "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z), "r"(v), "r"(w)
                 : "memory");
}

// The box at (x, y, z) is stored; what is beyond the tensor's edges is left out. It belongs to this
// thread's next group.
__device__ __forceinline__ void store_box(const void *map, uint32_t from, int32_t x, int32_t y,
                                          int32_t z)
{
    asm volatile(
        "cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4}], [%1];" ::
            "l"(map),
        "r"(from), "r"(x), "r"(y), "r"(z)
        : "memory");
}

__device__ __forceinline__ void bulk_commit()
{
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

// Until shared memory of all this thread's groups but the last N has been read.
template <int N> __device__ __forceinline__ void bulk_wait_read()
{
    asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(N) : "memory");
}

// Until they have ended.
template <int N> __device__ __forceinline__ void bulk_wait()
{
    asm volatile("cp.async.bulk.wait_group %0;" ::"n"(N) : "memory");
}

// What this thread knows to be in shared memory, by cp.async among others, is there for wgmma and
// for bulk copies: they read through another proxy.
__device__ __forceinline__ void fence_shared_for_async()
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// ---- addresses and registers -----------------------------------------------------------------

// `rows` rows of so many bytes on; in one instruction, and made here, not where it is used.
__device__ __forceinline__ const char *rows_on(const char *from, uint32_t rows, uint32_t bytes)
{
    const char *to;
    asm volatile("mad.wide.u32 %0, %1, %2, %3;" : "=l"(to) : "r"(rows), "r"(bytes), "l"(from));
    return to;
}

// A value that is kept in a register, and not made again from what it came of.
template <class Value> __device__ __forceinline__ Value *pinned(Value *pointer)
{
    asm volatile("" : "+l"(pointer));
    return pointer;
}

__device__ __forceinline__ int32_t pinned(int32_t value)
{
    asm volatile("" : "+r"(value));
    return value;
}

// ---- shared memory and registers --------------------------------------------------------------

__device__ __forceinline__ void load_shared_16(uint32_t from, uint32_t (&word)[4])
{
    asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(word[0]), "=r"(word[1]), "=r"(word[2]), "=r"(word[3])
                 : "r"(from)
                 : "memory");
}

__device__ __forceinline__ void load_shared_8(uint32_t from, uint32_t &first, uint32_t &second)
{
    asm volatile("ld.shared.v2.b32 {%0, %1}, [%2];"
                 : "=r"(first), "=r"(second)
                 : "r"(from)
                 : "memory");
}

__device__ __forceinline__ void store_shared_4(uint32_t to, uint32_t word)
{
    asm volatile("st.shared.b32 [%0], %1;" ::"r"(to), "r"(word) : "memory");
}

__device__ __forceinline__ void store_shared_8(uint32_t to, uint32_t first, uint32_t second)
{
    asm volatile("st.shared.v2.b32 [%0], {%1, %2};" ::"r"(to), "r"(first), "r"(second) : "memory");
}

// Four 8 x 8 blocks of 16-bit elements, of which a lane has two neighbours of row lane / 4 in each
// word; row lane % 8 of block lane / 8 lies in 16 bytes at the address that the lane names.
template <bool TRANSPOSED>
__device__ __forceinline__ void store_matrices(uint32_t to, const uint32_t (&word)[4])
{
    if constexpr (TRANSPOSED)
        asm volatile(
            "stmatrix.sync.aligned.m8n8.x4.trans.shared::cta.b16 [%0], {%1, %2, %3, %4};" ::"r"(to),
            "r"(word[0]), "r"(word[1]), "r"(word[2]), "r"(word[3])
            : "memory");
    else
        asm volatile(
            "stmatrix.sync.aligned.m8n8.x4.shared::cta.b16 [%0], {%1, %2, %3, %4};" ::"r"(to),
            "r"(word[0]), "r"(word[1]), "r"(word[2]), "r"(word[3])
            : "memory");
}

__device__ __forceinline__ void load_matrices(uint32_t from, uint32_t (&word)[4])
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared::cta.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(word[0]), "=r"(word[1]), "=r"(word[2]), "=r"(word[3])
                 : "r"(from)
                 : "memory");
}

// ---- registers --------------------------------------------------------------------------------

// Registers a thread of this warpgroup has from here on; all its warps take part.
template <int COUNT> __device__ __forceinline__ void registers_grow()
{
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT));
}

template <int COUNT> __device__ __forceinline__ void registers_shrink()
{
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT));
}

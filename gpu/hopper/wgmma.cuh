// wgmma.cuh - D += A B^T on the tensor cores, D [64,N] f32 in registers, A [64,16] and B [N,16] in
// shared memory behind descriptors.
//
// Thread t of the warpgroup holds in register i of D the element
//   row 16 (t/32) + (t%32)/4 + 8 (i/2 % 2), column 8 (i/4) + 2 (t%4) + i%2     (PTX ISA,
//   wgmma.m64nNk16).
#pragma once

#include <cstdint>

// Before the first wgmma, and after registers of D were touched otherwise.
__device__ __forceinline__ void wgmma_fence()
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void wgmma_commit()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// Until at most N groups are under way.
template <int N> __device__ __forceinline__ void wgmma_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}

// The compiler knows of no tie between registers of D and the wait: what reads them has to stay
// behind it.
template <int COUNT> __device__ __forceinline__ void wgmma_settle(float (&d)[COUNT])
{
#pragma unroll
    for (int i = 0; i < COUNT; i++)
        asm volatile("" : "+f"(d[i])::"memory");
}

// An operand in shared memory, in rows of 128 bytes (64 elements of 16 bits) that are swizzled by
// 128 bytes, blocks of 8 rows beginning at multiples of 1024 bytes.
//   BY_ROW 0: a row is 64 of k; the operand's rows follow each other.
//   BY_ROW 1: a row is one k, of 64 of the operand's rows; `next` bytes on come the next 64.
template <int BY_ROW>
__device__ __forceinline__ uint64_t wgmma_descriptor(uint32_t address, uint64_t next)
{
    const uint64_t swizzle_128 = 1, stride = 1024;
    return swizzle_128 << 62 | (stride >> 4) << 32 | (next >> 4) << 16 |
           (uint64_t)(address & 0x3ffff) >> 4;
}

// What 16 more of k add to a descriptor: 32 bytes of a row, or 16 rows.
template <int BY_ROW> constexpr uint64_t WGMMA_NEXT_K = (BY_ROW ? 16 * 128 : 32) >> 4;

// Operand lists of eight registers: numbers in the text, and what they are bound to.
#define WGMMA_BIND_8(d, i)                                                                         \
    "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]),    \
        "+f"(d[i + 6]), "+f"(d[i + 7])
#define WGMMA_BIND_32(d, i)                                                                        \
    WGMMA_BIND_8(d, i), WGMMA_BIND_8(d, i + 8), WGMMA_BIND_8(d, i + 16), WGMMA_BIND_8(d, i + 24)

// Types of the operands, as the instruction spells them.
struct wgmma_bf16 {
    static constexpr bool is_bf16 = true;
};
struct wgmma_f16 {
    static constexpr bool is_bf16 = false;
};

// accumulate 0: D = A B^T.
template <int N, class Type, int A_BY_ROW, int B_BY_ROW> struct wgmma;

#define WGMMA_64(type)                                                                             \
    "{\n.reg .pred accumulate;\nsetp.ne.b32 accumulate, %34, 0;\n"                                 \
    "wgmma.mma_async.sync.aligned.m64n64k16.f32." type "." type " {"                               \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                       \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"               \
    "}, %32, %33, accumulate, 1, 1, %35, %36;\n}\n"

template <class Type, int A_BY_ROW, int B_BY_ROW> struct wgmma<64, Type, A_BY_ROW, B_BY_ROW> {
    static __device__ __forceinline__ void run(float (&d)[32], uint64_t a, uint64_t b,
                                               int accumulate)
    {
        if constexpr (Type::is_bf16)
            asm volatile(WGMMA_64("bf16")
                         : WGMMA_BIND_32(d, 0)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
        else
            asm volatile(WGMMA_64("f16")
                         : WGMMA_BIND_32(d, 0)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
    }
};

#define WGMMA_128(type)                                                                            \
    "{\n.reg .pred accumulate;\nsetp.ne.b32 accumulate, %66, 0;\n"                                 \
    "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " {"                              \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                       \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "             \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "             \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"               \
    "}, %64, %65, accumulate, 1, 1, %67, %68;\n}\n"

template <class Type, int A_BY_ROW, int B_BY_ROW> struct wgmma<128, Type, A_BY_ROW, B_BY_ROW> {
    static __device__ __forceinline__ void run(float (&d)[64], uint64_t a, uint64_t b,
                                               int accumulate)
    {
        if constexpr (Type::is_bf16)
            asm volatile(WGMMA_128("bf16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_32(d, 32)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
        else
            asm volatile(WGMMA_128("f16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_32(d, 32)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
    }
};

#define WGMMA_192(type)                                                                            \
    "{\n.reg .pred accumulate;\nsetp.ne.b32 accumulate, %98, 0;\n"                                 \
    "wgmma.mma_async.sync.aligned.m64n192k16.f32." type "." type " {"                              \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                       \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "             \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "             \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "             \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "             \
    "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"               \
    "}, %96, %97, accumulate, 1, 1, %99, %100;\n}\n"

template <class Type, int A_BY_ROW, int B_BY_ROW> struct wgmma<192, Type, A_BY_ROW, B_BY_ROW> {
    static __device__ __forceinline__ void run(float (&d)[96], uint64_t a, uint64_t b,
                                               int accumulate)
    {
        if constexpr (Type::is_bf16)
            asm volatile(WGMMA_192("bf16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_32(d, 32), WGMMA_BIND_32(d, 64)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
        else
            asm volatile(WGMMA_192("f16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_32(d, 32), WGMMA_BIND_32(d, 64)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
    }
};

#define WGMMA_256(type)                                                                            \
    "{\n.reg .pred accumulate;\nsetp.ne.b32 accumulate, %130, 0;\n"                                \
    "wgmma.mma_async.sync.aligned.m64n256k16.f32." type "." type " {"                              \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                       \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "             \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "             \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "             \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "             \
    "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "             \
    "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
    "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, "   \
    "%127"                                                                                         \
    "}, %128, %129, accumulate, 1, 1, %131, %132;\n}\n"

template <class Type, int A_BY_ROW, int B_BY_ROW> struct wgmma<256, Type, A_BY_ROW, B_BY_ROW> {
    static __device__ __forceinline__ void run(float (&d)[128], uint64_t a, uint64_t b,
                                               int accumulate)
    {
        if constexpr (Type::is_bf16)
            asm volatile(WGMMA_256("bf16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_32(d, 32), WGMMA_BIND_32(d, 64),
                           WGMMA_BIND_32(d, 96)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
        else
            asm volatile(WGMMA_256("f16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_32(d, 32), WGMMA_BIND_32(d, 64),
                           WGMMA_BIND_32(d, 96)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
    }
};

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

// Operand lists of D's registers: what they are bound to, and their numbers in the text.
#define WGMMA_BIND_8(d, i)                                                                         \
    "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]),    \
        "+f"(d[i + 6]), "+f"(d[i + 7])
#define WGMMA_BIND_16(d, i) WGMMA_BIND_8(d, i), WGMMA_BIND_8(d, i + 8)
#define WGMMA_BIND_32(d, i) WGMMA_BIND_16(d, i), WGMMA_BIND_16(d, i + 16)

#define WGMMA_SUMS_8 "%0, %1, %2, %3, %4, %5, %6, %7"
#define WGMMA_SUMS_16 WGMMA_SUMS_8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define WGMMA_SUMS_24 WGMMA_SUMS_16 ", %16, %17, %18, %19, %20, %21, %22, %23"
#define WGMMA_SUMS_32 WGMMA_SUMS_24 ", %24, %25, %26, %27, %28, %29, %30, %31"
#define WGMMA_SUMS_40 WGMMA_SUMS_32 ", %32, %33, %34, %35, %36, %37, %38, %39"
#define WGMMA_SUMS_48 WGMMA_SUMS_40 ", %40, %41, %42, %43, %44, %45, %46, %47"
#define WGMMA_SUMS_56 WGMMA_SUMS_48 ", %48, %49, %50, %51, %52, %53, %54, %55"
#define WGMMA_SUMS_64 WGMMA_SUMS_56 ", %56, %57, %58, %59, %60, %61, %62, %63"
#define WGMMA_SUMS_72 WGMMA_SUMS_64 ", %64, %65, %66, %67, %68, %69, %70, %71"
#define WGMMA_SUMS_80 WGMMA_SUMS_72 ", %72, %73, %74, %75, %76, %77, %78, %79"
#define WGMMA_SUMS_88 WGMMA_SUMS_80 ", %80, %81, %82, %83, %84, %85, %86, %87"
#define WGMMA_SUMS_96 WGMMA_SUMS_88 ", %88, %89, %90, %91, %92, %93, %94, %95"
#define WGMMA_SUMS_104 WGMMA_SUMS_96 ", %96, %97, %98, %99, %100, %101, %102, %103"
#define WGMMA_SUMS_112 WGMMA_SUMS_104 ", %104, %105, %106, %107, %108, %109, %110, %111"
#define WGMMA_SUMS_120 WGMMA_SUMS_112 ", %112, %113, %114, %115, %116, %117, %118, %119"
#define WGMMA_SUMS_128 WGMMA_SUMS_120 ", %120, %121, %122, %123, %124, %125, %126, %127"

// The instruction: N, the type of both operands, the numbers of D's registers, and of what follows
// them.
#define WGMMA(n, type, sums, a, b, more, a_by_row, b_by_row)                                       \
    "{\n.reg .pred accumulate;\nsetp.ne.b32 accumulate, %" more ", 0;\n"                           \
    "wgmma.mma_async.sync.aligned.m64n" n "k16.f32." type "." type " {" sums "}, %" a ", %" b      \
    ", accumulate, 1, 1, %" a_by_row ", %" b_by_row ";\n}\n"

// Types of the operands, as the instruction spells them.
struct wgmma_bf16 {
    static constexpr bool is_bf16 = true;
};
struct wgmma_f16 {
    static constexpr bool is_bf16 = false;
};

// accumulate 0: D = A B^T.
template <int N, class Type, int A_BY_ROW, int B_BY_ROW> struct wgmma;

#define WGMMA_16(type) WGMMA("16", type, WGMMA_SUMS_8, "8", "9", "10", "11", "12")

template <class Type, int A_BY_ROW, int B_BY_ROW> struct wgmma<16, Type, A_BY_ROW, B_BY_ROW> {
    static __device__ __forceinline__ void run(float (&d)[8], uint64_t a, uint64_t b,
                                               int accumulate)
    {
        if constexpr (Type::is_bf16)
            asm volatile(WGMMA_16("bf16")
                         : WGMMA_BIND_8(d, 0)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
        else
            asm volatile(WGMMA_16("f16")
                         : WGMMA_BIND_8(d, 0)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
    }
};

#define WGMMA_32(type) WGMMA("32", type, WGMMA_SUMS_16, "16", "17", "18", "19", "20")

template <class Type, int A_BY_ROW, int B_BY_ROW> struct wgmma<32, Type, A_BY_ROW, B_BY_ROW> {
    static __device__ __forceinline__ void run(float (&d)[16], uint64_t a, uint64_t b,
                                               int accumulate)
    {
        if constexpr (Type::is_bf16)
            asm volatile(WGMMA_32("bf16")
                         : WGMMA_BIND_16(d, 0)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
        else
            asm volatile(WGMMA_32("f16")
                         : WGMMA_BIND_16(d, 0)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
    }
};

#define WGMMA_48(type) WGMMA("48", type, WGMMA_SUMS_24, "24", "25", "26", "27", "28")

template <class Type, int A_BY_ROW, int B_BY_ROW> struct wgmma<48, Type, A_BY_ROW, B_BY_ROW> {
    static __device__ __forceinline__ void run(float (&d)[24], uint64_t a, uint64_t b,
                                               int accumulate)
    {
        if constexpr (Type::is_bf16)
            asm volatile(WGMMA_48("bf16")
                         : WGMMA_BIND_16(d, 0), WGMMA_BIND_8(d, 16)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
        else
            asm volatile(WGMMA_48("f16")
                         : WGMMA_BIND_16(d, 0), WGMMA_BIND_8(d, 16)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
    }
};

#define WGMMA_64(type) WGMMA("64", type, WGMMA_SUMS_32, "32", "33", "34", "35", "36")

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

#define WGMMA_80(type) WGMMA("80", type, WGMMA_SUMS_40, "40", "41", "42", "43", "44")

template <class Type, int A_BY_ROW, int B_BY_ROW> struct wgmma<80, Type, A_BY_ROW, B_BY_ROW> {
    static __device__ __forceinline__ void run(float (&d)[40], uint64_t a, uint64_t b,
                                               int accumulate)
    {
        if constexpr (Type::is_bf16)
            asm volatile(WGMMA_80("bf16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_8(d, 32)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
        else
            asm volatile(WGMMA_80("f16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_8(d, 32)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
    }
};

#define WGMMA_96(type) WGMMA("96", type, WGMMA_SUMS_48, "48", "49", "50", "51", "52")

template <class Type, int A_BY_ROW, int B_BY_ROW> struct wgmma<96, Type, A_BY_ROW, B_BY_ROW> {
    static __device__ __forceinline__ void run(float (&d)[48], uint64_t a, uint64_t b,
                                               int accumulate)
    {
        if constexpr (Type::is_bf16)
            asm volatile(WGMMA_96("bf16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_16(d, 32)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
        else
            asm volatile(WGMMA_96("f16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_16(d, 32)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
    }
};

#define WGMMA_112(type) WGMMA("112", type, WGMMA_SUMS_56, "56", "57", "58", "59", "60")

template <class Type, int A_BY_ROW, int B_BY_ROW> struct wgmma<112, Type, A_BY_ROW, B_BY_ROW> {
    static __device__ __forceinline__ void run(float (&d)[56], uint64_t a, uint64_t b,
                                               int accumulate)
    {
        if constexpr (Type::is_bf16)
            asm volatile(WGMMA_112("bf16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_16(d, 32), WGMMA_BIND_8(d, 48)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
        else
            asm volatile(WGMMA_112("f16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_16(d, 32), WGMMA_BIND_8(d, 48)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
    }
};

#define WGMMA_128(type) WGMMA("128", type, WGMMA_SUMS_64, "64", "65", "66", "67", "68")

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

#define WGMMA_144(type) WGMMA("144", type, WGMMA_SUMS_72, "72", "73", "74", "75", "76")

template <class Type, int A_BY_ROW, int B_BY_ROW> struct wgmma<144, Type, A_BY_ROW, B_BY_ROW> {
    static __device__ __forceinline__ void run(float (&d)[72], uint64_t a, uint64_t b,
                                               int accumulate)
    {
        if constexpr (Type::is_bf16)
            asm volatile(WGMMA_144("bf16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_32(d, 32), WGMMA_BIND_8(d, 64)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
        else
            asm volatile(WGMMA_144("f16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_32(d, 32), WGMMA_BIND_8(d, 64)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
    }
};

#define WGMMA_160(type) WGMMA("160", type, WGMMA_SUMS_80, "80", "81", "82", "83", "84")

template <class Type, int A_BY_ROW, int B_BY_ROW> struct wgmma<160, Type, A_BY_ROW, B_BY_ROW> {
    static __device__ __forceinline__ void run(float (&d)[80], uint64_t a, uint64_t b,
                                               int accumulate)
    {
        if constexpr (Type::is_bf16)
            asm volatile(WGMMA_160("bf16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_32(d, 32), WGMMA_BIND_16(d, 64)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
        else
            asm volatile(WGMMA_160("f16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_32(d, 32), WGMMA_BIND_16(d, 64)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
    }
};

#define WGMMA_176(type) WGMMA("176", type, WGMMA_SUMS_88, "88", "89", "90", "91", "92")

template <class Type, int A_BY_ROW, int B_BY_ROW> struct wgmma<176, Type, A_BY_ROW, B_BY_ROW> {
    static __device__ __forceinline__ void run(float (&d)[88], uint64_t a, uint64_t b,
                                               int accumulate)
    {
        if constexpr (Type::is_bf16)
            asm volatile(WGMMA_176("bf16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_32(d, 32), WGMMA_BIND_16(d, 64),
                           WGMMA_BIND_8(d, 80)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
        else
            asm volatile(WGMMA_176("f16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_32(d, 32), WGMMA_BIND_16(d, 64),
                           WGMMA_BIND_8(d, 80)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
    }
};

#define WGMMA_192(type) WGMMA("192", type, WGMMA_SUMS_96, "96", "97", "98", "99", "100")

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

#define WGMMA_208(type) WGMMA("208", type, WGMMA_SUMS_104, "104", "105", "106", "107", "108")

template <class Type, int A_BY_ROW, int B_BY_ROW> struct wgmma<208, Type, A_BY_ROW, B_BY_ROW> {
    static __device__ __forceinline__ void run(float (&d)[104], uint64_t a, uint64_t b,
                                               int accumulate)
    {
        if constexpr (Type::is_bf16)
            asm volatile(WGMMA_208("bf16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_32(d, 32), WGMMA_BIND_32(d, 64),
                           WGMMA_BIND_8(d, 96)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
        else
            asm volatile(WGMMA_208("f16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_32(d, 32), WGMMA_BIND_32(d, 64),
                           WGMMA_BIND_8(d, 96)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
    }
};

#define WGMMA_224(type) WGMMA("224", type, WGMMA_SUMS_112, "112", "113", "114", "115", "116")

template <class Type, int A_BY_ROW, int B_BY_ROW> struct wgmma<224, Type, A_BY_ROW, B_BY_ROW> {
    static __device__ __forceinline__ void run(float (&d)[112], uint64_t a, uint64_t b,
                                               int accumulate)
    {
        if constexpr (Type::is_bf16)
            asm volatile(WGMMA_224("bf16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_32(d, 32), WGMMA_BIND_32(d, 64),
                           WGMMA_BIND_16(d, 96)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
        else
            asm volatile(WGMMA_224("f16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_32(d, 32), WGMMA_BIND_32(d, 64),
                           WGMMA_BIND_16(d, 96)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
    }
};

#define WGMMA_240(type) WGMMA("240", type, WGMMA_SUMS_120, "120", "121", "122", "123", "124")

template <class Type, int A_BY_ROW, int B_BY_ROW> struct wgmma<240, Type, A_BY_ROW, B_BY_ROW> {
    static __device__ __forceinline__ void run(float (&d)[120], uint64_t a, uint64_t b,
                                               int accumulate)
    {
        if constexpr (Type::is_bf16)
            asm volatile(WGMMA_240("bf16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_32(d, 32), WGMMA_BIND_32(d, 64),
                           WGMMA_BIND_16(d, 96), WGMMA_BIND_8(d, 112)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
        else
            asm volatile(WGMMA_240("f16")
                         : WGMMA_BIND_32(d, 0), WGMMA_BIND_32(d, 32), WGMMA_BIND_32(d, 64),
                           WGMMA_BIND_16(d, 96), WGMMA_BIND_8(d, 112)
                         : "l"(a), "l"(b), "r"(accumulate), "n"(A_BY_ROW), "n"(B_BY_ROW));
    }
};

#define WGMMA_256(type) WGMMA("256", type, WGMMA_SUMS_128, "128", "129", "130", "131", "132")

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

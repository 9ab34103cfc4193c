// bits_kernels.cu - products on tensor cores in a given order over k, for t_bits and order_faults:
// plain and slow, each instruction as ref/moe.h's enum moe_instruction counts them.
//
// C [rows,cols] = start + A [rows,k] B [cols,k]^T, k whole instructions. Operands are read as words
// of four bytes: an instruction takes eight of each row, whatever the type. A block of 128 threads
// makes 64 x 8 elements of one slice; blockIdx = (64 rows, 8 columns, slice).
#include <cstdint>

// As t_bits.c has it.
struct bits_product {
    int64_t rows, cols, words; // of four bytes, a row of A or B
    int64_t slice, promote;    // in words; promote 0: never
    const uint32_t *a, *b;
    const float *start; // [rows,cols] of the first slice; NULL: zeros
    float *partial;     // [slices,rows,cols]
    int64_t share;      // rows of C that have one row of A
    int32_t swapped;    // 1: the first two instructions change places, which is wrong
};

#define STEP 8 // words of an instruction

// D = C + A B^T of a warp's 16 x 8 elements. Lane l of warp w holds in c[0..1] row 16w + l/4,
// columns 2(l%4) and the next, and in c[2..3] the same of the row 8 below; a[0..3] are words l%4
// and l%4 + 4 of these rows, b[0..1] of column l/4.
typedef void multiply(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                      uint64_t b_descriptor);

#define MMA_SYNC(shape, type)                                                                      \
    asm volatile("mma.sync.aligned." shape ".row.col.f32." type "." type                           \
                 ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"            \
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                  \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))

static __device__ void sync_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                 uint64_t)
{
    MMA_SYNC("m16n8k16", "bf16");
}

static __device__ void sync_f16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                uint64_t)
{
    MMA_SYNC("m16n8k16", "f16");
}

static __device__ void sync_e4m3(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                 uint64_t)
{
    MMA_SYNC("m16n8k32", "e4m3");
}

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
// A from registers, B [8] rows of 32 bytes from shared memory. e4m3 has no transposition to choose.
#define WGMMA(shape, type, transposition)                                                          \
    asm volatile("wgmma.fence.sync.aligned;\n"                                                     \
                 "wgmma.mma_async.sync.aligned." shape ".f32." type "." type                       \
                 " {%0, %1, %2, %3}, {%4, %5, %6, %7}, %8, 1, 1, 1" transposition ";\n"            \
                 "wgmma.commit_group.sync.aligned;\n"                                              \
                 "wgmma.wait_group.sync.aligned 0;"                                                \
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                  \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b_descriptor)                   \
                 : "memory")

static __device__ void wgmma_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&)[2],
                                  uint64_t b_descriptor)
{
    WGMMA("m64n8k16", "bf16", ", 0");
}

static __device__ void wgmma_f16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&)[2],
                                 uint64_t b_descriptor)
{
    WGMMA("m64n8k16", "f16", ", 0");
}

static __device__ void wgmma_e4m3(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&)[2],
                                  uint64_t b_descriptor)
{
    WGMMA("m64n8k32", "e4m3", "");
}
#endif

// Eight rows of 32 bytes as two core matrices of 8 x 16 bytes, one behind the other, and the words
// that tell wgmma of them: no swizzle, 128 bytes from one to the next.
static __device__ uint64_t describe(const uint32_t *core)
{
    const uint64_t address = (uint64_t)__cvta_generic_to_shared(core);
    return (address & 0x3ffff) >> 4 | (uint64_t)(128 >> 4) << 16 | (uint64_t)(128 >> 4) << 32;
}

struct lane {
    int64_t row, col; // of c[0]
    int word;         // of a[0] and b[0]
    int64_t b_row;
};

static __device__ lane this_lane()
{
    const int warp = threadIdx.x / 32, l = threadIdx.x % 32;
    const int64_t first = 64 * (int64_t)blockIdx.x + 16 * warp, col = 8 * (int64_t)blockIdx.y;
    return {first + l / 4, col + l % 4 * 2, l % 4, col + l / 4};
}

static __device__ uint32_t word(const uint32_t *x, int64_t rows, int64_t words, int64_t row,
                                int64_t at)
{
    return row < rows ? x[row * words + at] : 0;
}

static __device__ uint32_t word_of_a(const bits_product &p, int64_t row, int64_t at)
{
    return row < p.rows ? p.a[row / p.share * p.words + at] : 0;
}

// The words of one instruction, from `at` of every row.
static __device__ void step(multiply *multiply, const bits_product &p, const lane &l, int64_t at,
                            float (&c)[4])
{
    __shared__ alignas(128) uint32_t core[8 * STEP];
    const uint32_t a[4] = {word_of_a(p, l.row, at + l.word), word_of_a(p, l.row + 8, at + l.word),
                           word_of_a(p, l.row, at + l.word + 4),
                           word_of_a(p, l.row + 8, at + l.word + 4)};
    const uint32_t b[2] = {word(p.b, p.cols, p.words, l.b_row, at + l.word),
                           word(p.b, p.cols, p.words, l.b_row, at + l.word + 4)};
    if (threadIdx.x < 32) {
        const int row = threadIdx.x / 4, column = threadIdx.x % 4;
        core[row * 4 + column] = b[0];
        core[32 + row * 4 + column] = b[1];
    }
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    multiply(c, a, b, describe(core));
    __syncthreads();
}

static __device__ void make(multiply *multiply, const bits_product &p)
{
    const lane l = this_lane();
    const int64_t from = blockIdx.z * p.slice;
    const int64_t end = from + p.slice < p.words ? from + p.slice : p.words;
    float c[4], promoted[4];
    bool any = false;
    for (int i = 0; i < 4; i++) {
        const int64_t row = l.row + i / 2 * 8, col = l.col + i % 2;
        const bool first = blockIdx.z == 0 && p.start && row < p.rows && col < p.cols;
        c[i] = first ? p.start[row * p.cols + col] : 0;
    }
    for (int64_t k = from; k < end; k += STEP) {
        const bool swap = p.swapped && end - from >= 2 * STEP && k - from < 2 * STEP;
        step(multiply, p, l, swap ? 2 * from + STEP - k : k, c);
        if (p.promote > 0 && k + STEP < end && (k + STEP - from) % p.promote == 0) {
            for (int i = 0; i < 4; i++) {
                promoted[i] = any ? __fadd_rn(promoted[i], c[i]) : c[i];
                c[i] = 0;
            }
            any = true;
        }
    }
    for (int i = 0; i < 4; i++) {
        const int64_t row = l.row + i / 2 * 8, col = l.col + i % 2;
        if (row < p.rows && col < p.cols)
            p.partial[(blockIdx.z * p.rows + row) * p.cols + col] =
                any ? __fadd_rn(promoted[i], c[i]) : c[i];
    }
}

extern "C" __global__ void __launch_bounds__(128) bits_sync_bf16(bits_product p)
{
    make(sync_bf16, p);
}

extern "C" __global__ void __launch_bounds__(128) bits_sync_f16(bits_product p)
{
    make(sync_f16, p);
}

extern "C" __global__ void __launch_bounds__(128) bits_sync_e4m3(bits_product p)
{
    make(sync_e4m3, p);
}

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
extern "C" __global__ void __launch_bounds__(128) bits_wgmma_bf16(bits_product p)
{
    make(wgmma_bf16, p);
}

extern "C" __global__ void __launch_bounds__(128) bits_wgmma_f16(bits_product p)
{
    make(wgmma_f16, p);
}

extern "C" __global__ void __launch_bounds__(128) bits_wgmma_e4m3(bits_product p)
{
    make(wgmma_e4m3, p);
}
#endif

// partial[0] [count] becomes the sum of all slices: in order, or as a tree of neighbours.
extern "C" __global__ void bits_combine(float *partial, int64_t count, int32_t slices, int32_t tree)
{
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < count;
         i += gridDim.x * (int64_t)blockDim.x)
        if (!tree)
            for (int32_t s = 1; s < slices; s++)
                partial[i] = __fadd_rn(partial[i], partial[s * count + i]);
        else
            for (int32_t width = 1; width < slices; width *= 2)
                for (int32_t s = 0; s + width < slices; s += 2 * width)
                    partial[s * count + i] =
                        __fadd_rn(partial[s * count + i], partial[(s + width) * count + i]);
}

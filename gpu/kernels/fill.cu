// fill.cu - random values made where they are used, and a cache emptied of what was there: the two
// things that a benchmark does beside the work that it times.
#include "gpu/kernels/number.cuh"

// A bijection of 64 bits in which every bit depends on every other (the finaliser of splitmix64).
static __device__ uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

// 1 / sqrt(4 (2^32 - 1) / 12): the standard deviation of a sum of four 16-bit uniforms.
#define UNIT 2.642899792e-05

// out [count] = scale times values of mean 0 and variance 1, each the sum of four uniforms.
extern "C" __global__ void fill_random(int64_t count, int dtype, double scale, uint64_t seed,
                                       void *out)
{
    for (int64_t i = first_index(); i < count; i += index_step()) {
        uint64_t word = mix(mix(seed) + (uint64_t)i * 0x9e3779b97f4a7c15);
        int sum = (int)(word & 0xffff) + (int)(word >> 16 & 0xffff) + (int)(word >> 32 & 0xffff) +
                  (int)(word >> 48);
        store<double>(dtype, out, i, (sum - 2 * 0xffff) * (UNIT * scale));
    }
}

// Reads `count` 16-byte words, which leaves an L2 cache smaller than they are full of them, and
// clean. What they add up to is stored only so that they must be read.
extern "C" __global__ void read_through(int64_t count, const uint4 *words, uint32_t never,
                                        uint32_t *sink)
{
    uint32_t sum = 0;
    for (int64_t i = first_index(); i < count; i += index_step()) {
        uint4 word = words[i];
        sum += word.x ^ word.y ^ word.z ^ word.w;
    }
    if (sum == never)
        *sink = sum;
}

/* dtype_cuda.h - the conversions of CUDA's headers, one row a type, for t_dtype_cuda.c. */
#ifndef MOE_TEST_DTYPE_CUDA_H
#define MOE_TEST_DTYPE_CUDA_H

#include <stdint.h>

#include "ref/moe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Codes are in the low bits. `saturate` is ignored by types that have no such choice. */
struct cuda_format {
    enum moe_dtype dtype;
    int saturates; /* knows both: overflow to the largest, or to infinity or NaN */
    double (*decode)(uint32_t code);
    uint32_t (*encode)(double value, int saturate);
    uint32_t (*encode_float)(float value, int saturate);
    /* Types that only round to a side: `encode` and `encode_float` round up, these down. */
    uint32_t (*encode_down)(double value, int saturate);
};

/* NULL past the end. What this toolkit's headers lack has no row. */
const struct cuda_format *cuda_format(int index);

#ifdef __cplusplus
}
#endif
#endif

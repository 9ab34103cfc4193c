/*
 * number_mma.h - the arithmetic of tensor-core instructions, on whole operands: D = A B + C.
 *
 * Operands are flat arrays of codes, one a uint32_t: A [m,k], B [k,n], C and D [m,n]. Which
 * register or address an element comes from is for geometry.h.
 */
#ifndef MOE_GPU_PTX_NUMBER_MMA_H
#define MOE_GPU_PTX_NUMBER_MMA_H

#include <stdint.h>

#include "gpu/ptx/number.h"

enum number_mma_family {
    NUMBER_WGMMA,
    NUMBER_MMA_SYNC,
};

enum number_mma_model {
    NUMBER_MMA_CHIP, /* as an H100 does, to the bit where that is known (number_mma.c says where) */
    NUMBER_MMA_PLAIN, /* products and sums in f32, k ascending */
};

enum number_mma_operation {
    NUMBER_MMA_MULTIPLY,
    NUMBER_MMA_XOR_POPC, /* b1 */
    NUMBER_MMA_AND_POPC,
};

#define NUMBER_MMA_B1 NUMBER_FORMAT_COUNT /* 32 elements of k a word: k counts words */

struct number_mma {
    enum number_mma_family family;
    enum number_mma_model model;
    int m, n, k;
    int a, b;             /* F16, BF16, TF32, E4M3, E5M2, F64; S8, U8; NUMBER_MMA_B1. 4-bit integers
                             are given as S8 or U8 */
    enum number_format d; /* of C and D: F32, F16, S32 */
    enum number_mma_operation operation;
    int negate_a, negate_b; /* imm-scale-a, imm-scale-b are -1 */
    int satfinite;          /* s32: to the range; otherwise it wraps */
};

/* 1: number_mma_run takes it. */
int number_mma_known(const struct number_mma *mma);

/* The same in two steps: A and B, which stay as they are meanwhile, and then rows of D from `first`
 * on, [rows,n], where C is. */
struct number_mma_factors;
void number_mma_unpack(const struct number_mma *mma, const uint32_t *a, const uint32_t *b,
                       struct number_mma_factors *factors);
void number_mma_rows(const struct number_mma *mma, const struct number_mma_factors *factors,
                     int first, int rows, uint32_t *d);

/* c NULL: zeros (scale-d false). d may be c. */
void number_mma_run(const struct number_mma *mma, const uint32_t *a, const uint32_t *b,
                    const uint32_t *c, uint32_t *d);

/* mma.sync of f64: fused multiply-adds, k ascending, rounded as `how` says. d may be c. */
void number_mma_run_f64(int m, int n, int k, const uint64_t *a, const uint64_t *b,
                        const uint64_t *c, uint64_t *d, unsigned how);

#endif

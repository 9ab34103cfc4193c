/*
 * number_mma_tile.h - operands of one tensor-core instruction, unpacked, and the inner loops.
 */
#ifndef MOE_GPU_PTX_NUMBER_MMA_TILE_H
#define MOE_GPU_PTX_NUMBER_MMA_TILE_H

#include <stdint.h>

#define TILE_A 2048 /* elements of A at most: m64k32 */
#define TILE_B 8192 /* of B: n256k32 */

/* Exponent of what is 0: the sum of any two, or with any other, is below ABSENT_BELOW. */
#define ABSENT (-8192)
#define ABSENT_BELOW (-4096)

struct tile_a { /* [m,k] */
    float value[TILE_A];
    int32_t exponent[TILE_A];
};

struct tile_b { /* [k,n] */
    float value[TILE_B];
    int32_t exponent[TILE_B];
};

/* How a block adds: terms truncated at 2^(E-fraction), the sum at `digits`; where it is to be
 * rounded once more, `odd`, what is cut off makes the last of these digits odd. */
struct tile_rule {
    int terms, fraction, digits, odd;
};

/* d = block(c) of one row of `terms` k and n columns, as number_mma.c has it, where E allows f32:
 * `good` [n/8] has a bit for each column that was done. d may be c. */
void tile_row_avx2(const struct tile_rule *rule, const float *a, const int32_t *a_exponent,
                   const float *b, const int32_t *b_exponent, int n, const uint32_t *c, uint32_t *d,
                   uint8_t *good);

/* The factors of one product. */
struct number_mma_factors {
    const uint32_t *a_codes, *b_codes; /* of integers */
    struct tile_a a;
    struct tile_b b;
    int fast; /* products are exact in f32, nothing is special */
};

/* d += a b, fused, k ascending, [m,n]. */
void tile_plain_avx2(int m, int n, int k, const float *a, const float *b, uint32_t *d);

/* Eight columns of eight rows of accumulators, [8,n], and the two registers of a warp that have
 * them: the even columns and the odd ones, a row's in four lanes. */
void tile_join_avx2(const uint64_t *even, const uint64_t *odd, uint32_t *d, int n);
void tile_part_avx2(const uint32_t *d, int n, uint64_t *even, uint64_t *odd);

/* 1: the processor has what these want. */
int tile_has_avx2(void);

#endif

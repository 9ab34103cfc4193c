/*
 * recipe.h - what a kernel says about its arithmetic: where it rounds, how its sums are accumulated
 * and in which order, how exact its functions are. Bounds follow from it.
 */
#ifndef MOE_RECIPE_H
#define MOE_RECIPE_H

#include "ref/moe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Places at which a kernel may round what it holds. */
enum moe_point {
    MOE_AT_LOGITS,
    MOE_AT_SCORES,
    MOE_AT_SX, /* s X, weight=input */
    MOE_AT_Z,
    MOE_AT_A,
    MOE_AT_SA, /* s A */
    MOE_AT_Y,
    MOE_AT_DA, /* dA' = dO W2 */
    MOE_AT_DZ,
    MOE_AT_DXE, /* dX~ = dZ W1, a row of one expert */
    MOE_AT_DS,
    MOE_AT_DLOGITS,
    MOE_POINT_COUNT
};

/* Products; each has its own accumulator and extra additions. */
enum moe_product {
    MOE_IN_LOGITS, /* X Wr^T */
    MOE_IN_Z,      /* X W1^T */
    MOE_IN_Y,      /* A W2^T */
    MOE_IN_O,      /* sum over the K rows of a token */
    MOE_IN_DA,     /* dO W2 */
    MOE_IN_DS,     /* <dA', A> */
    MOE_IN_DW2,    /* dO^T (sA), db2 */
    MOE_IN_DXE,    /* dZ W1 */
    MOE_IN_DX,     /* sum over the K rows of a token, + dL Wr */
    MOE_IN_DW1,    /* dZ^T X, db1 */
    MOE_IN_DWR,    /* dL^T X, dbr */
    MOE_PRODUCT_COUNT
};

enum moe_when { MOE_NEVER, MOE_MAY, MOE_ALWAYS };

/* How sums over k are accumulated; the table in bound.c gives each its constant and source. */
enum moe_accumulator {
    MOE_ACC_F64,       /* a chain of f64 additions in any order */
    MOE_ACC_F32,       /* a chain of f32 additions in any order, products rounded or fused */
    MOE_ACC_MMA16_F32, /* wgmma or mma.sync of bf16 or f16 into f32: 16 products an instruction */
    MOE_ACC_MMA8_F32,  /* wgmma of e4m3 into f32: 32 products an instruction */
    MOE_ACC_COUNT
};

enum moe_ds_form { MOE_DS_DA_A, MOE_DS_DO_Y, MOE_DS_EITHER };

/* Tensor-core instructions whose arithmetic is known to the last bit (mma.c). */
enum moe_instruction {
    MOE_NO_INSTRUCTION, /* none declared */
    MOE_MMA_K16,        /* wgmma or mma.sync m16n8k16 of bf16 or f16 into f32 */
    MOE_WGMMA_K32,      /* wgmma of e4m3 into f32 */
    MOE_MMA_SYNC_K32,   /* mma.sync m16n8k32 of e4m3 into f32 */
    MOE_INSTRUCTION_COUNT
};

enum moe_partials { MOE_PARTIALS_CHAIN, MOE_PARTIALS_TREE };

/*
 * The order over k of a product, which with the instruction decides every bit of its f32 sums. k is
 * cut into blocks and the blocks into split-K slices of as many consecutive blocks (the last may
 * have fewer, and some none). In a slice instructions follow k upwards, the accumulator of one
 * being C of the next, the first one's 0; after every `promote` of k it is added to a sum in f32
 * and starts from 0 again. What slices give is added in f32, to nearest, in order ((0 + 1) + 2) +
 * 3, or as a tree of neighbours (0 + 1) + (2 + 3). k beyond the last is zeros. A bias is added to
 * the sum in the recipe's elementwise arithmetic, or is what the first slice's first instruction
 * adds to.
 */
struct moe_order {
    enum moe_instruction instruction;
    int32_t block;   /* whole instructions; 0: one instruction */
    int32_t slices;  /* 0: one */
    int32_t promote; /* k, whole instructions; 0: never */
    enum moe_partials partials;
    int32_t bias_first; /* 1: the first instruction adds to the bias */
};

struct moe_recipe {
    struct {
        enum moe_when when;
        enum moe_dtype to;
        double lost; /* a power of two, or 0: digits below it may be lost beside, of each value */
    } at[MOE_POINT_COUNT];
    struct {
        enum moe_accumulator accumulator;
        int extra;              /* additions beyond the chain: split-K, stages, atomics */
        struct moe_order order; /* zeros: not declared */
    } product[MOE_PRODUCT_COUNT];
    enum moe_dtype elementwise; /* arithmetic outside the products: f32 or f64 */
    double function_relative; /* error of exp, tanh, erf, log1p as the kernel uses them, relative to
                                 the sigmoid, tanh or Phi formed from it */
    double function_absolute; /* and absolute, for forms that cancel */
    int flush_to_zero;
    int saturate;
    enum moe_ds_form ds;
};

/* The recipe of a plain implementation in the arithmetic of `elementwise` (f32 or f64) that rounds
 * stored tensors to the case's types and nothing else: a start for a variant's own. */
struct moe_recipe moe_recipe_plain(const struct moe_problem *problem, enum moe_dtype elementwise);

/* bound.c: upper bound of |computed - exact| / sum |a||b| for a sum of n products. */
double moe_accumulator_error(enum moe_accumulator accumulator, int64_t n, int extra);

/* bound.c: variance of what rounding `value` to a float type errs by, to nearest: ulp^2 / 12 with
 * the ulp of its binade. */
double moe_rounding_variance(enum moe_dtype dtype, double value);

/* ---- mma.c: tensor cores bit for bit -------------------------------------------------------- */

/* Products that one instruction adds: 16 or 32; 0 for none. */
int moe_instruction_k(enum moe_instruction instruction);

/*
 * C [m,n] = start + A B^T in the order declared, bit for bit as an H100 computes it; A [m,k] and
 * B [n,k] hold numbers of the type. start [m,n] is C of each element's first instruction, or NULL:
 * zeros. NaN results are 0x7fffffff. MOE_E_NOMEM; MOE_E_USAGE: an order without an instruction or
 * with parts of one, a type that the instruction does not take, a number that is none of the type.
 */
int moe_mma_product(const struct moe_order *order, enum moe_dtype dtype, int64_t m, int64_t n,
                    int64_t k, const double *a, const double *b, const float *start, float *c);

#ifdef __cplusplus
}
#endif
#endif

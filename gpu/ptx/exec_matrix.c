/*
 * exec_matrix.c - ldmatrix, stmatrix, mma.sync, movmatrix.
 */
#include <stddef.h>

#include "gpu/ptx/machine.h"

const struct ptx_opcode ptx_opcodes_matrix[] = {
    {"ldmatrix", "sync aligned x1 x2 x4 trans shared shared::cta", "b16 b8", "V* A*", NULL, 0, 0},
    {"stmatrix", "sync aligned x1 x2 x4 trans shared shared::cta", "b16 b8", "A* W*", NULL, 0, 0},
    {"movmatrix", "sync aligned trans", "b16", "Di Si", NULL, 0, 0},
    {"mma.sync", "aligned row col satfinite xor and popc kind::f8f6f4",
     "f16 f32 f64 s32;f16 bf16 tf32 f64 e4m3 e5m2 s8 u8 s4 u4 b1;f16 bf16 tf32 f64 e4m3 e5m2 s8 u8 "
     "s4 u4 b1;f16 f32 f64 s32",
     "V* W* W* W*", NULL, 0, 0},
    {NULL},
};

/*
 * exec_warp.c - instructions between the lanes of a warp.
 */
#include <stddef.h>

#include "gpu/ptx/machine.h"

const struct ptx_opcode ptx_opcodes_warp[] = {
    {"shfl.sync", "up down bfly idx", "b32", "Ri Si Si Si Si", NULL, 0, 0},
    {"vote.sync", "all any uni", "pred", "Pp Bp Si", NULL, 0, 0},
    {"vote.sync", "ballot", "b32", "Di Bp Si", NULL, 0, 0},
    {"match.any.sync", "", "b32 b64", "Di S0 Si", NULL, 0, 0},
    {"match.all.sync", "", "b32 b64", "Ri S0 Si", NULL, 0, 0},
    {"redux.sync", "add min max", "u32 s32", "Di Si Si", NULL, 0, 0},
    {"redux.sync", "and or xor", "b32", "Di Si Si", NULL, 0, 0},
    {"redux.sync", "min max abs NaN", "f32", "Di Si Si", NULL, 0, 0},
    {"activemask", "", "b32", "Di", NULL, 0, 0},
    {"elect.sync", "", "", "Ri Si", NULL, 0, 0},
    {NULL},
};

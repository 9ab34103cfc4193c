/*
 * exec_atom.c - atom and red.
 */
#include <stddef.h>

#include "gpu/ptx/machine.h"

#define WORDS                                                                                      \
    "@order @scope @space noftz v2 v4 v8 L2::cache_hint and or xor add inc dec min max exch"

const struct ptx_opcode ptx_opcodes_atom[] = {
    {"atom", WORDS, "b32 u32 s32 f32 b64 u64 s64 f64 @half", "V* A* W* Sl?", NULL, 0, 0},
    {"atom", "@order @scope @space cas L2::cache_hint", "b16 b32 b64 u32 u64 s32 s64",
     "D0 A* S0 S0 Sl?", NULL, 0, 0},
    {"red", WORDS, "b32 u32 s32 f32 b64 u64 s64 f64 @half", "A* W* Sl?", NULL, 0, 0},
    {NULL},
};

/*
 * exec_hint.c - what has no effect on values: cache hints, waits for time.
 */
#include <stddef.h>

#include "gpu/ptx/machine.h"

const struct ptx_opcode ptx_opcodes_hint[] = {
    {"nanosleep", "", "u32", "Si", NULL, 0, 0},
    {"prefetch", "@space L1 L2 L2::evict_last L2::evict_normal tensormap", "", "A*", NULL, 0, 0},
    {"prefetchu", "L1", "", "A*", NULL, 0, 0},
    {"discard", "global L2", "", "A* Ii", NULL, 0, 0},
    {"applypriority", "global L2::evict_normal", "", "A* Ii", NULL, 0, 0},
    {"createpolicy",
     "fractional L2::evict_last L2::evict_normal L2::evict_first "
     "L2::evict_unchanged",
     "b64", "Dl S*?", NULL, 0, 0},
    {"createpolicy",
     "range global L2::evict_last L2::evict_normal L2::evict_first "
     "L2::evict_unchanged",
     "b64", "Dl A* Si Si", NULL, 0, 0},
    {"createpolicy", "cvt L2", "b64", "Dl Sl", NULL, 0, 0},
    {"pmevent", "", "", "Ii", NULL, 0, 0},
    {NULL},
};

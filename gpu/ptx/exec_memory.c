/*
 * exec_memory.c - ld, st and their kin.
 */
#include <stddef.h>

#include "gpu/ptx/machine.h"

const struct ptx_opcode ptx_opcodes_memory[] = {
    {"ld", "@order @scope @space @cache v2 v4 v8", "@memory", "V* A* Sl?", NULL, 0, 0},
    {"ldu", "global v2 v4", "@memory", "V* A*", NULL, 0, 0},
    {"st", "@order @scope @space @cache v2 v4 v8", "@memory", "A* W* Sl?", NULL, 0, 0},
    {NULL},
};

/*
 * exec_flow.c - branches, calls, ends.
 */
#include <stddef.h>

#include "gpu/ptx/machine.h"

const struct ptx_opcode ptx_opcodes_flow[] = {
    {"bra", "uni", "", "L*", NULL, 0, 0},
    {"brx.idx", "uni", "", "Si L*", NULL, 0, 0},
    {"call", "uni", "", "M* M*? M*? M*?", NULL, 0, 0},
    {"ret", "uni", "", "", NULL, 0, 0},
    {"exit", "", "", "", NULL, 0, 0},
    {"trap", "", "", "", NULL, 0, 0},
    {"brkpt", "", "", "", NULL, 0, 0},
    {NULL},
};

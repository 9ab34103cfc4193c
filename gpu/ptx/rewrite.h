/*
 * rewrite.h - PTX with one thing changed: faults planted where kernels order what they do.
 */
#ifndef MOE_GPU_PTX_REWRITE_H
#define MOE_GPU_PTX_REWRITE_H

#include "gpu/ptx/ptx.h"

enum ptx_fault {
    PTX_DROP,  /* the instruction is not there */
    PTX_PASS,  /* a wait says at once that it is over */
    PTX_FLIP,  /* a wait has the other parity */
    PTX_COUNT, /* a warp, an arrival, sixteen bytes or a group more than it says */
    PTX_OPEN,  /* its guard is not there */
    PTX_FAULT_COUNT
};
const char *ptx_fault_name(enum ptx_fault fault);

/* An instruction that orders, or whose guard keeps threads out. */
struct ptx_site {
    const struct ptx_function *function;
    const struct ptx_instruction *instruction;
    int32_t nth;     /* of its opcode in its line */
    uint32_t faults; /* bits, by enum ptx_fault */
};

/* The sites of a function, at most `room` of them; how many there are. */
int32_t ptx_sites(const struct ptx_function *function, struct ptx_site *sites, int32_t room);

/*
 * The text with this fault; lines keep their numbers. To be freed, and ended by a zero.
 * MOE_E_USAGE: this site has no such fault, or the text is not the module's; MOE_E_NOMEM.
 */
int ptx_rewrite(const char *text, const struct ptx_site *site, enum ptx_fault fault,
                char **changed);

#endif

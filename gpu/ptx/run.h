/*
 * run.h - one kernel of anybody's on the PTX machine: text in, lines out. What moecheck ptx is made
 * of, and the way into the machine from outside the library.
 */
#ifndef MOE_GPU_PTX_RUN_H
#define MOE_GPU_PTX_RUN_H

#include <stdint.h>

enum moe_ptx_line {
    MOE_PTX_TRACE,  /* an instruction of a warp */
    MOE_PTX_PRINT,  /* all that the kernel printed */
    MOE_PTX_BUFFER, /* what a buffer holds at the end */
    MOE_PTX_TEXT,   /* a report of what is only against the text */
    MOE_PTX_VALUE   /* a report of what changes values */
};

struct moe_ptx_job {
    const char *text; /* PTX */
    uint64_t length;
    const char *kernel; /* NULL: the only entry */
    uint32_t grid[3], block[3];
    uint32_t cluster[3]; /* zeros: the kernel's own */
    uint32_t shared_bytes;
    uint32_t shared_align; /* dynamic shared memory is at a multiple of it; 0: as it is declared */
    /* One for each parameter, with commas between: a number as its type has it, memory
     * (zeros:BYTES, unknown:BYTES, bytes:VALUE*BYTES, file:PATH), or a tensor map of memory
     * (map:TYPE:SIZE[*STRIDE]x...:BOXx...:SWIZZLE@MEMORY, MEMORY as above or an earlier argument's
     * number; sizes from the innermost dimension, strides in bytes). NULL: none. */
    const char *args;
    uint64_t seed;
    /* "round-robin" (or NULL), "random", "priority". Where one is asked for, the seed also chooses
     * which unrounded additions are fused with the product before them. */
    const char *schedule;
    const char *time; /* "eager" (or NULL), "lazy", "random" */
    int trace;        /* 1: lines of the warp below */
    uint32_t trace_cta, trace_warp;
    void (*say)(void *data, enum moe_ptx_line kind, const char *line);
    /* May be NULL: what an argument's memory holds when the kernel has ended without a report of
     * what changes values. Not MOE_OK: that is what the run returns. */
    int (*take)(void *data, int argument, const void *bytes, uint64_t size);
    void *data;
};

struct moe_ptx_result {
    uint64_t warp_instructions, thread_instructions;
    uint32_t reports;
};

/* MOE_OK also where there are reports. MOE_E_USAGE, MOE_E_UNSUPPORTED: the PTX ("line N: ..."), the
 * launch or the arguments; MOE_E_NOMEM. */
int moe_ptx_run(const struct moe_ptx_job *job, struct moe_ptx_result *result);

#endif

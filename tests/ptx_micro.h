/*
 * ptx_micro.h - kernels of a few lines on the PTX machine, and what it has to report of them.
 *
 * A kernel's text begins behind registers that all have: %t thread, %c CTA, %r0 to %r9 and %q0 to
 * %q9 of 32 and 64 bits, %p0 to %p3 predicates; %g is the address of 64 KiB of zeros in global
 * memory, %u of 64 KiB that nobody wrote, %s of 8 KiB of shared memory.
 */
#ifndef MOE_TESTS_PTX_MICRO_H
#define MOE_TESTS_PTX_MICRO_H

#include "gpu/ptx/machine.h"

struct micro {
    const char *name;
    const char *body; /* what is to be reported stands on the line with the comment HERE */
    uint32_t grid, block, cluster;
    int32_t kind; /* enum ptx_report_kind, or -1: nothing is reported */
    enum ptx_report_class class;
};

/* Runs each under `seeds` schedules; the number of those that were not as told, which it prints. */
int micro_run(const struct micro *micros, int count, uint32_t seeds);

#endif

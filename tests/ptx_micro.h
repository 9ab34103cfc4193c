/*
 * ptx_micro.h - kernels of a few lines on the PTX machine, and what it has to report of them.
 *
 * A kernel's text begins behind registers that all have: %t thread, %c CTA, %r0 to %r9 and %q0 to
 * %q9 of 32 and 64 bits, %f0 to %f7, %h0 to %h3, %p0 to %p3 predicates; %g is the address of 64 KiB
 * of zeros in global memory, %u of 64 KiB that nobody wrote, %m of a tensor map of these zeros as
 * 16 x 32 words in boxes of 8 x 32, %s of 8 KiB of shared memory. `fixed` is a constant.
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

/* Runs one and has `see` look at the machine and at the kernel's text; its answer. 0: it could not
 * be run, and why is printed. */
typedef int micro_see(void *data, const struct micro *micro, const struct ptx_machine *machine,
                      const char *text);
int micro_look(const struct micro *micro, const struct ptx_options *options, int watched,
               micro_see *see, void *data);

/* Runs each under `seeds` schedules; the number of those that were not as told, which it prints. */
int micro_run(const struct micro *micros, int count, uint32_t seeds);

#endif

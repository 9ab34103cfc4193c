/*
 * ptx_run.h - micro-kernels for the tests of the PTX machine: a few lines of PTX on three arrays,
 * one warp or more.
 */
#ifndef PTX_RUN_H
#define PTX_RUN_H

#include <stdint.h>

#include "gpu/ptx/machine.h"

/*
 * A machine with a kernel whose body is `body`. Before it stand: %tid in %i; a[i], b[i], c[i] (64
 * bits) in %a, %b, %c, and their low words in %x, %y, %z; addresses of these and of out[i] in %pa,
 * %pb, %pc, %po. Behind it %d, which was 0, goes to out[i]. %w is free; %p and %q are predicates,
 * %h0 to %h9, %r0 to %r9, %s0 to %s9, %f0 to %f9, %g0 to %g9 registers of 16, 32 and 64 bits and of
 * f32 and f64.
 */
struct ptx_run {
    struct ptx_machine *machine;
    struct ptx_module *module;
    struct ptx_loaded *loaded;
    struct ptx_program *program;
    uint64_t a, b, c, out; /* addresses */
    int threads;
};

/* What is outside of the kernel, its body; fails the test where it cannot be built. */
void ptx_run_open(struct ptx_run *run, const struct ptx_options *options, const char *outside,
                  const char *body, int threads);
/* The same for another target than sm_90a. */
void ptx_run_open_for(struct ptx_run *run, const char *target, const struct ptx_options *options,
                      const char *outside, const char *body, int threads);
/* Fills a, b, c with `count` = threads values each; NULL: stays unknown. */
void ptx_run_set(struct ptx_run *run, const uint64_t *a, const uint64_t *b, const uint64_t *c);
void ptx_run_launch(struct ptx_run *run);
const uint64_t *ptx_run_out(const struct ptx_run *run);
const uint8_t *ptx_run_known(const struct ptx_run *run);
void ptx_run_close(struct ptx_run *run);

/* The text of the only report, "" where there is none. */
const char *ptx_run_report(const struct ptx_run *run);

#endif

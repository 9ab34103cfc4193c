/*
 * bench.h - inside the benchmark: what can be measured, and the suites of cases. A measurement runs
 * in a fresh worker, so that its memory is its own.
 */
#ifndef MOE_BENCH_H
#define MOE_BENCH_H

#include "verify/worker.h"

/* ---- bench.c --------------------------------------------------------------------------------- */

/* Takes the job's measurement here. `variant` NULL where the measurement is not of a variant.
 * MOE_E_USAGE: no such measurement; MOE_E_NOMEM; what the variant returned. */
int moe_bench_measure(const struct moe_job *job, const struct moe_variant *variant,
                      const struct moe_judge_options *options, struct moe_measure *measure);

/* ---- bench_blas.c ---------------------------------------------------------------------------- */

/* Seconds that OpenBLAS takes, with its own threads, for the f64 products of the case's forward and
 * backward: dgemm of the very shapes, on random data. MOE_E_NOMEM, MOE_E_USAGE. */
int moe_bench_products(const struct moe_problem *problem, double *seconds);

#endif

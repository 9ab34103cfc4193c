/*
 * bench.h - inside the benchmark: what can be measured. A measurement runs in a fresh worker, so
 * that its memory is its own.
 */
#ifndef MOE_BENCH_H
#define MOE_BENCH_H

#include "verify/worker.h"

/* ---- bench.c --------------------------------------------------------------------------------- */

/* Takes the job's measurement here. `variant` NULL where the measurement is not of a variant.
 * MOE_E_UNSUPPORTED: no such measurement; MOE_E_NOMEM; what the variant or the reference returned.
 */
int moe_bench_measure(const struct moe_job *job, const struct moe_variant *variant,
                      const struct moe_judge_options *options, struct moe_measure *measure);

/* Runs again and again for about two seconds, three times at least (fewer where that takes more
 * than twenty seconds) and 101 times at most. Whatever `run` returns but MOE_OK ends it. */
int moe_bench_repeat(int (*run)(void *context), void *context, struct moe_repeated *repeated);

/* ---- bench_products.c: the yardstick --------------------------------------------------------- */

/* Seconds that OpenBLAS takes, with as many threads of its own as OpenMP would have, for the f64
 * products of the case's forward and backward: dgemm of the very shapes, on random data. */
int moe_bench_products(const struct moe_problem *problem, struct moe_measure *measure);

/* ---- bench_reference.c ----------------------------------------------------------------------- */

/* Seconds of the f64 reference, forward and backward, its outputs stored in the case's types; with
 * `bounds` also the bound of every element, for the recipe of a plain implementation. */
int moe_bench_reference(const struct moe_problem *problem, int bounds, struct moe_measure *measure);

/* ---- bench_variant.c ------------------------------------------------------------------------- */

int moe_bench_variant(const struct moe_problem *problem, const struct moe_variant *variant,
                      const struct moe_judge_options *options, struct moe_measure *measure);

/* ---- bench_gpu.c ----------------------------------------------------------------------------- */

/* What the GPU can do on the case's shapes; `seconds` is cuBLAS's time for the dense products. */
int moe_bench_yardsticks(const struct moe_problem *problem, struct moe_measure *measure);

/* The variant on the GPU. */
int moe_bench_gpu(const struct moe_problem *problem, const struct moe_variant *variant,
                  const struct moe_judge_options *options, struct moe_measure *measure);

#endif

/*
 * bench.h - time on a GPU: what a variant takes for a case, and the yardsticks beside it, taken on
 * the same device in the same minute.
 *
 * Device 0 is opened at the first call and stays open until the process ends. Every time is that of
 * CUDA events around the work, with nothing of the case left in the L2 cache, as the median of
 * repetitions after a warm-up. A timing is never a verdict.
 *
 * Every function returns enum moe_status: MOE_E_UNSUPPORTED where there is no usable GPU, where the
 * case does not fit its memory (the text has the bytes) or cannot be drawn here; MOE_E_NOMEM;
 * MOE_E_INTERNAL with the driver's words.
 */
#ifndef MOE_GPU_BENCH_H
#define MOE_GPU_BENCH_H

#include <stddef.h>
#include <stdint.h>

#include "ref/moe.h"
#include "verify/variant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Seconds. */
struct moe_gpu_time {
    double median, least, most;
};

/* ---- bench_ceiling.c: the arithmetic of a case ----------------------------------------------- */

/* A product of the dense chain: all N = T K rows, or the T rows of the shared expert, at once. */
struct moe_gpu_product {
    enum moe_pass pass;
    int64_t m, n, k;
    double bytes; /* that the layer's own step must move at least, all experts' weights included */
};

#define MOE_GPU_PRODUCTS 12

/* The products of forward, then of backward, in order of the formulas; returns how many. */
int moe_gpu_chain(const struct moe_problem *problem,
                  struct moe_gpu_product product[MOE_GPU_PRODUCTS]);

/* Operations of all products of a pass: 6 N H I forward and 12 N H I backward where the activation
 * is gated, 4 and 8 where it is plain; N is T K, and the shared expert's T rows come on top. */
double moe_gpu_flops(const struct moe_problem *problem, enum moe_pass pass);

/* Seconds below which a pass cannot come: the sum over its products of the larger of seconds[i]
 * (as moe_gpu_chain numbers them) and bytes / bandwidth, and the bytes of router, top-k and
 * aggregation / bandwidth (bytes a second). */
double moe_gpu_ceiling(const struct moe_problem *problem, enum moe_pass pass, double bandwidth,
                       const double seconds[MOE_GPU_PRODUCTS]);

/* ---- bench_yardsticks.c ---------------------------------------------------------------------- */

/* 0: not measured. */
struct moe_gpu_yardsticks {
    double bandwidth; /* bytes a second, read plus written, of a copy on the device */
    double forward_flops, backward_flops;
    double forward_chain, backward_chain;     /* seconds of cuBLAS for the dense products */
    double forward_ceiling, backward_ceiling; /* seconds; see moe_gpu_ceiling */
};

/* Where cuBLAS is not there, chain and ceiling are 0. */
int moe_gpu_bench_yardsticks(const struct moe_problem *problem,
                             struct moe_gpu_yardsticks *yardsticks);

/* ---- bench_variant.c ------------------------------------------------------------------------ */

/* 0: not known. */
struct moe_gpu_timing {
    struct moe_gpu_time forward, backward;
    double repetitions;
    double kept_bytes; /* from forward to backward: z, scores, picks and what the variant keeps */
    double peak_bytes; /* outputs, workspace, kept memory, and what the variant took itself */
    double before_mhz, after_mhz;     /* clock of the multiprocessors */
    double before_watts, after_watts; /* power of the board */
};

struct moe_gpu_bench;

/*
 * Allocates and fills the case's tensors and the variant's memory: values as data=normal has them,
 * from a generator of the device, not those that `seed` means elsewhere; lists as drawn. With a
 * computed router only routing=uniform can be had: x and wr are independent, so picks are nearly
 * balanced.
 */
int moe_gpu_bench_open(const struct moe_problem *problem, const struct moe_variant *variant,
                       struct moe_gpu_bench **bench);

/* Opens the variant, and times forward and backward in turn. Returns what the variant returned,
 * where that is not MOE_OK. */
int moe_gpu_bench_run(struct moe_gpu_bench *bench, int32_t configuration,
                      struct moe_gpu_timing *timing);
void moe_gpu_bench_close(struct moe_gpu_bench *bench);

/* ---- sensors.c ------------------------------------------------------------------------------- */

/* Version of the driver as its own tools print it, "580.159.04"; "" where it cannot be asked. */
void moe_gpu_driver_name(char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif

/*
 * bench_tensors.h - inside the benchmark: random values on the device, and the tensors of a case.
 */
#ifndef MOE_GPU_BENCH_TENSORS_H
#define MOE_GPU_BENCH_TENSORS_H

#include "gpu/parts.h"

/* Normal values of variance scale^2 into `count` elements; each seed has a stream of its own. */
int bench_fill(const struct moe_gpu_queue *queue, enum moe_dtype dtype, int64_t count, double scale,
               uint64_t seed, void *to);

/* Of a weight whose sums have `fan_in` terms: the power of two next to 1 / sqrt(fan_in). */
double bench_weight_scale(int64_t fan_in);

/* MOE_E_UNSUPPORTED names the key whose value cannot be had on the device. */
int bench_tensors_check(const struct moe_problem *problem);

/* Shapes of all tensors of the case, data NULL, and their bytes together. */
int bench_tensors_describe(const struct moe_problem *problem,
                           struct moe_tensor tensors[MOE_TENSOR_COUNT], int64_t *bytes);

/* Memory for what was described, and values into what a variant reads first. Whatever it returns,
 * bench_tensors_free is to be called. */
int bench_tensors_allocate(const struct moe_gpu_queue *queue, const struct moe_problem *problem,
                           struct moe_tensor tensors[MOE_TENSOR_COUNT]);
void bench_tensors_free(struct moe_device *device, struct moe_tensor tensors[MOE_TENSOR_COUNT]);

#endif

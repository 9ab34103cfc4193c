/*
 * parts_layer.c - rows between the products on the device: kernels/elementwise.cu.
 */
#include "gpu/parts_launch.h"

/* The entry that computes in the case's type. */
static const char *in(enum moe_dtype dtype, const char *f32, const char *f64)
{
    return dtype == MOE_F64 ? f64 : f32;
}

int moe_gpu_gather(const struct moe_gpu_queue *queue, enum moe_dtype dtype, int64_t rows, int64_t H,
                   const void *x, const int64_t *row_token, const double *row_score, void *out)
{
    int type = dtype;
    void *args[] = {&rows, &H, &type, &x, &row_token, &row_score, &out};
    return launch_elements(queue, in(dtype, "gather_rows_f32", "gather_rows_f64"), rows * H, args);
}

int moe_gpu_add_bias(const struct moe_gpu_queue *queue, int64_t E, int64_t rows, int64_t cols,
                     enum moe_dtype q_dtype, const void *q, enum moe_dtype bias_dtype,
                     const void *bias, const int64_t *expert_begin, enum moe_dtype dtype, void *out)
{
    int q_type = q_dtype, bias_type = bias_dtype, type = dtype;
    void *args[] = {&E, &cols, &q_type, &q, &bias_type, &bias, &expert_begin, &type, &out};
    return launch_blocks(queue, "add_bias", rows, 256, 0, args);
}

int moe_gpu_activate(const struct moe_gpu_queue *queue, const struct moe_problem *problem,
                     int64_t rows, int64_t units, const void *z, const double *row_score, void *a)
{
    int gated = moe_act_info(problem->act)->gated, act = problem->act, layout = problem->w1;
    int type = problem->dtype;
    double clamp = problem->act_clamp;
    void *args[] = {&rows, &units, &gated, &act, &layout, &clamp, &type, &z, &row_score, &a};
    return launch_elements(queue, in(problem->dtype, "activate_f32", "activate_f64"), rows * units,
                           args);
}

int moe_gpu_activate_backward(const struct moe_gpu_queue *queue, const struct moe_problem *problem,
                              const struct moe_gpu_epilogue *epilogue)
{
    struct moe_gpu_epilogue e = *epilogue;
    int gated = moe_act_info(problem->act)->gated, act = problem->act, layout = problem->w1;
    int type = problem->dtype;
    int64_t H = problem->H, E = problem->E;
    double clamp = problem->act_clamp;
    void *args[] = {&e.units, &gated,          &act,  &layout, &clamp,       &H,
                    &E,       &type,           &e.z,  &e.da,   &e.row_score, &e.d_o,
                    &e.b2,    &e.expert_begin, &e.dz, &e.sa,   &e.row_ds};
    return launch_blocks(queue,
                         in(problem->dtype, "activate_backward_f32", "activate_backward_f64"),
                         e.rows, 256, 0, args);
}

int moe_gpu_aggregate(const struct moe_gpu_queue *queue, const struct moe_problem *problem,
                      const struct moe_gpu_aggregation *aggregation)
{
    struct moe_gpu_aggregation a = *aggregation;
    int64_t T = problem->T, H = problem->H, K = problem->K;
    int type = problem->dtype, score_type = moe_gpu_compute(problem);
    void *args[] = {&T,           &H,          &K,        &a.offsets, &type,           &a.y,
                    &a.entry_row, &score_type, &a.scores, &a.shared,  &a.shared_score, &a.extra,
                    &a.q,         &a.wsg,      &a.out};
    return launch_elements(queue, in(problem->dtype, "aggregate_f32", "aggregate_f64"), T * H,
                           args);
}

int moe_gpu_column_sums(const struct moe_gpu_queue *queue, int64_t E, int64_t rows, int64_t cols,
                        const int64_t *expert_begin, const double *row_score, enum moe_dtype dtype,
                        const void *q, enum moe_dtype sum_dtype, int add, void *sums)
{
    int type = dtype, sum_type = sum_dtype;
    void *args[] = {&rows, &cols, &expert_begin, &row_score, &type, &q, &sum_type, &add, &sums};
    struct moe_launch launch = {
        .kernel = "column_sums",
        .grid = {(uint32_t)((cols + 255) / 256), (uint32_t)E, 1},
        .block = {256, 1, 1},
        .stream = queue->stream,
        .args = args,
    };
    if (E > 65535)
        return moe_error(MOE_E_UNSUPPORTED, "column_sums: E=%lld is more than 65535", (long long)E);
    return moe_device_launch(queue->device, &launch);
}

int moe_gpu_row_dots(const struct moe_gpu_queue *queue, int64_t rows, int64_t H,
                     enum moe_dtype dtype, const void *a, const void *b, int b_is_one_row,
                     double *dots)
{
    int type = dtype;
    void *args[] = {&H, &type, &a, &b, &b_is_one_row, &dots};
    return launch_blocks(queue, "row_dots", rows, 256, 0, args);
}

int moe_gpu_shared_gate(const struct moe_gpu_queue *queue, int64_t T, double *gate)
{
    void *args[] = {&T, &gate};
    return launch_elements(queue, "shared_gate", T, args);
}

int moe_gpu_shared_gate_backward(const struct moe_gpu_queue *queue, int64_t T, const double *gate,
                                 double *q)
{
    void *args[] = {&T, &gate, &q};
    return launch_elements(queue, "shared_gate_backward", T, args);
}

int moe_gpu_convert(const struct moe_gpu_queue *queue, int64_t count, enum moe_dtype from_dtype,
                    const void *from, enum moe_dtype to_dtype, int add, void *to)
{
    int from_type = from_dtype, to_type = to_dtype;
    void *args[] = {&count, &from_type, &from, &to_type, &add, &to};
    return launch_elements(queue, "convert", count, args);
}

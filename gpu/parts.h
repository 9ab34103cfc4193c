/*
 * parts.h - the steps of a layer between its products, on device tensors: one C function a kernel.
 *
 * Pointers are device memory, dense and row-major; work is enqueued on `stream`. offsets [T+1] NULL
 * means K entries a token. `compute` is MOE_F64 for dtype=f64 and MOE_F32 else. Every function
 * returns what moe_device_launch returns. Plain and right first: the kernels that are fast stand
 * elsewhere.
 */
#ifndef MOE_PARTS_H
#define MOE_PARTS_H

#include "gpu/gpu.h"
#include "ref/moe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where work goes. */
struct moe_gpu_queue {
    struct moe_device *device;
    void *stream;
};

/* ---- parts_route.c ----------------------------------------------------------------------------
 */

/* picks [T,K] of the case's router from logits [T,E] and sel_bias [E] (NULL: none), in order of
 * rank. */
int moe_gpu_route_top(const struct moe_gpu_queue *queue, const struct moe_problem *problem,
                      const void *logits, const void *sel_bias, int32_t *picks);

/* scores [P] of picks. */
int moe_gpu_score(const struct moe_gpu_queue *queue, const struct moe_problem *problem,
                  const int64_t *offsets, const void *logits, const int32_t *picks, void *scores);

/* dlogits [T,E] from ds [P] and from the losses; expert_begin [E+1] counts the routed rows. */
int moe_gpu_route_backward(const struct moe_gpu_queue *queue, const struct moe_problem *problem,
                           const int64_t *offsets, const void *logits, const int32_t *picks,
                           const void *ds, const int64_t *expert_begin, void *dlogits);

/* Token rounding: offsets [T+1] and picks (room for moe_problem_max_entries) from logits and the
 * top-k picks [T,K]. */
int64_t moe_gpu_round_bytes(const struct moe_problem *problem);
int moe_gpu_round(const struct moe_gpu_queue *queue, const struct moe_problem *problem,
                  const void *logits, const int32_t *top, void *workspace, int64_t *offsets,
                  int32_t *picks);

/* ---- parts_rows.c -----------------------------------------------------------------------------
 */

/* Rows by expert, then token, of P entries. Ids that are not allowed are dropped and set bit 0 of
 * *status (device; may be NULL). */
struct moe_gpu_rows {
    int32_t *picks;        /* [P] cleaned */
    int64_t *token_of;     /* [P] */
    int64_t *counts;       /* [E] */
    int64_t *expert_begin; /* [E+1] */
    int64_t *row_token;    /* [P] the first N in use */
    int64_t *row_entry;    /* [P] */
    int64_t *entry_row;    /* [P] -1: dropped */
};
int64_t moe_gpu_rows_bytes(const struct moe_problem *problem);
int moe_gpu_rows(const struct moe_gpu_queue *queue, const struct moe_problem *problem, int64_t P,
                 const int64_t *offsets, const int32_t *picks, uint32_t *status, void *workspace,
                 struct moe_gpu_rows *rows);

/* row_score [N] (double) = score of each row's entry; ds of each row's entry = row_ds. */
int moe_gpu_row_scores(const struct moe_gpu_queue *queue, int64_t N, const int64_t *row_entry,
                       enum moe_dtype dtype, const void *scores, double *row_score);
int moe_gpu_scatter_ds(const struct moe_gpu_queue *queue, int64_t N, const int64_t *row_entry,
                       const double *row_ds, enum moe_dtype dtype, void *ds);

/* ---- parts_layer.c ----------------------------------------------------------------------------
 */

/* out [rows,H] = rows of x at row_token (NULL: row by row), times row_score (NULL: 1). */
int moe_gpu_gather(const struct moe_gpu_queue *queue, enum moe_dtype dtype, int64_t rows, int64_t H,
                   const void *x, const int64_t *row_token, const double *row_score, void *out);

/* out [rows,cols] = q + bias [E,cols] of each row's expert; expert_begin NULL: bias [cols]. */
int moe_gpu_add_bias(const struct moe_gpu_queue *queue, int64_t E, int64_t rows, int64_t cols,
                     enum moe_dtype q_dtype, const void *q, enum moe_dtype bias_dtype,
                     const void *bias, const int64_t *expert_begin, enum moe_dtype dtype,
                     void *out);

/* a [rows,units] = act(z), times row_score (NULL: 1). */
int moe_gpu_activate(const struct moe_gpu_queue *queue, const struct moe_problem *problem,
                     int64_t rows, int64_t units, const void *z, const double *row_score, void *a);

/* The epilogue of dO W2; see activate_backward in kernels/elementwise.cu. row_ds, b2 may be NULL.
 */
struct moe_gpu_epilogue {
    int64_t rows, units;
    const void *z;           /* [rows,Z] */
    const void *da;          /* [rows,units] of the computing type */
    const double *row_score; /* [rows] or NULL */
    const void *d_o, *b2;    /* [rows,H], [E,H] */
    const int64_t *expert_begin;
    void *dz, *sa;
    double *row_ds;
};
int moe_gpu_activate_backward(const struct moe_gpu_queue *queue, const struct moe_problem *problem,
                              const struct moe_gpu_epilogue *epilogue);

/* out [T,H] = sum over a token's rows of (score) y + shared_score shared + extra + q wsg. */
struct moe_gpu_aggregation {
    const int64_t *offsets, *entry_row;
    const void *y;      /* [N,H] */
    const void *scores; /* [P] or NULL */
    const void *shared; /* [T,H] or NULL */
    const double *shared_score;
    const void *extra; /* [T,H] of the computing type, or NULL */
    const double *q;   /* [T] or NULL */
    const void *wsg;
    void *out;
};
int moe_gpu_aggregate(const struct moe_gpu_queue *queue, const struct moe_problem *problem,
                      const struct moe_gpu_aggregation *aggregation);

/* sums [E,cols] (+)= column sums of each expert's rows of q, times row_score (NULL: 1). */
int moe_gpu_column_sums(const struct moe_gpu_queue *queue, int64_t E, int64_t rows, int64_t cols,
                        const int64_t *expert_begin, const double *row_score, enum moe_dtype dtype,
                        const void *q, enum moe_dtype sum_dtype, int add, void *sums);

/* dots [rows] = <a_r, b_r>, or <a_r, b> with b one row. */
int moe_gpu_row_dots(const struct moe_gpu_queue *queue, int64_t rows, int64_t H,
                     enum moe_dtype dtype, const void *a, const void *b, int b_is_one_row,
                     double *dots);

/* gate [T] = sigmoid(gate);  q [T] *= gate (1 - gate). */
int moe_gpu_shared_gate(const struct moe_gpu_queue *queue, int64_t T, double *gate);
int moe_gpu_shared_gate_backward(const struct moe_gpu_queue *queue, int64_t T, const double *gate,
                                 double *q);

/* to (+)= from, in another type. */
int moe_gpu_convert(const struct moe_gpu_queue *queue, int64_t count, enum moe_dtype from_dtype,
                    const void *from, enum moe_dtype to_dtype, int add, void *to);

/* The type that a case's kernels compute in. */
enum moe_dtype moe_gpu_compute(const struct moe_problem *problem);

#ifdef __cplusplus
}
#endif
#endif

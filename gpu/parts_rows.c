/*
 * parts_rows.c - routing metadata on the device: kernels/rows.cu.
 */
#include "gpu/parts_launch.h"

static void lay_out(const struct moe_problem *problem, char **next, struct moe_gpu_rows *rows)
{
    int64_t P = moe_problem_max_entries(problem), E = problem->E;
    rows->picks = part_take(next, P * 4);
    rows->token_of = part_take(next, P * 8);
    rows->counts = part_take(next, E * 8);
    rows->expert_begin = part_take(next, (E + 1) * 8);
    rows->row_token = part_take(next, P * 8);
    rows->row_entry = part_take(next, P * 8);
    rows->entry_row = part_take(next, P * 8);
}

int64_t moe_gpu_rows_bytes(const struct moe_problem *problem)
{
    struct moe_gpu_rows rows;
    char *next = NULL;
    lay_out(problem, &next, &rows);
    return (int64_t)(intptr_t)next;
}

int moe_gpu_rows(const struct moe_gpu_queue *queue, const struct moe_problem *problem, int64_t P,
                 const int64_t *offsets, const int32_t *picks, uint32_t *status_word,
                 void *workspace, struct moe_gpu_rows *rows)
{
    int64_t T = problem->T, E = problem->E, K = problem->K;
    struct moe_gpu_rows r;
    char *next = workspace;
    lay_out(problem, &next, &r);
    void *cleaning[] = {&T, &E, &K, &offsets, &picks, &r.picks, &status_word};
    int status = launch_elements(queue, "clean_entries", T, cleaning);
    void *counting[] = {&P, &r.picks, &r.counts};
    if (status == MOE_OK)
        status = launch_blocks(queue, "count_rows", E, 256, 0, counting);
    void *scan[] = {&E, &r.counts, &r.expert_begin};
    if (status == MOE_OK)
        status = launch_blocks(queue, "scan_counts", 1, 256, 0, scan);
    void *naming[] = {&T, &K, &offsets, &r.token_of};
    if (status == MOE_OK)
        status = launch_elements(queue, "entry_tokens", T, naming);
    if (status == MOE_OK && P > 0 && !planted(FAULT_DROPPED_ENTRY_ROW))
        status = moe_device_fill(queue->device, r.entry_row, 0xff, P * 8, queue->stream);
    void *placing[] = {&P,           &r.picks,     &r.expert_begin, &r.token_of,
                       &r.row_token, &r.row_entry, &r.entry_row};
    if (status == MOE_OK)
        status = launch_blocks(queue, "place_rows", E, 256, 0, placing);
    if (status == MOE_OK)
        *rows = r;
    return status;
}

int moe_gpu_row_scores(const struct moe_gpu_queue *queue, int64_t N, const int64_t *row_entry,
                       enum moe_dtype dtype, const void *scores, double *row_score)
{
    int type = dtype;
    void *args[] = {&N, &row_entry, &type, &scores, &row_score};
    return launch_elements(queue, "row_scores", N, args);
}

int moe_gpu_scatter_ds(const struct moe_gpu_queue *queue, int64_t N, const int64_t *row_entry,
                       const double *row_ds, enum moe_dtype dtype, void *ds)
{
    int type = dtype;
    void *args[] = {&N, &row_entry, &row_ds, &type, &ds};
    return launch_elements(queue, "scatter_row_ds", N, args);
}

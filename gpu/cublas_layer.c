/*
 * cublas_layer.c - what both passes of the variant `cublas` stand on: the workspace cut up,
 * products, and the rows of the picks at hand.
 */
#include "gpu/cublas_layer.h"
#include "gpu/parts_launch.h"

int64_t cublas_space_lay_out(const struct moe_problem *p, void *at, struct cublas_space *s)
{
    int64_t N = moe_problem_max_entries(p), T = p->T, H = p->H, I = p->I, E = p->E, S = p->shared;
    int64_t Z = moe_problem_z_rows(p), U = moe_problem_shared_rows(p);
    int64_t d = moe_dtype_info(p->dtype)->bits / 8, c = moe_gpu_compute(p) == MOE_F64 ? 8 : 4;
    int routes = p->router != MOE_LISTS;
    char *next = at;
    s->rows = part_take(&next, moe_gpu_rows_bytes(p));
    s->rounding = part_take(&next, p->round != MOE_ROUND_NONE ? moe_gpu_round_bytes(p) : 0);
    s->top = part_take(&next, p->round != MOE_ROUND_NONE ? T * p->K * 4 : 0);
    s->row_score = part_take(&next, N * 8);
    s->x = part_take(&next, N * H * d);
    s->a = part_take(&next, N * I * d);
    s->y = part_take(&next, N * H * d);
    s->d_o = part_take(&next, N * H * d);
    s->da = part_take(&next, N * I * c);
    s->dz = part_take(&next, N * Z * d);
    s->row_ds = part_take(&next, N * 8);
    s->plain_x = part_take(&next, p->weight == MOE_WEIGHT_INPUT ? N * H * d : 0);
    s->gate = part_take(&next, T * 8);
    s->q = part_take(&next, T * 8);
    s->shared_z = part_take(&next, T * U * d);
    s->shared_dz = part_take(&next, T * U * d);
    s->shared_a = part_take(&next, T * S * d);
    s->shared_da = part_take(&next, T * S * c);
    s->shared_y = part_take(&next, S > 0 ? T * H * d : 0);
    int64_t widest = Z > H ? Z : H;
    int64_t weights = (Z > U ? Z : U) * H, down = H * (I > S ? I : S);
    s->wide = part_take(&next, p->bias ? N * widest * c : 0);
    s->wide_gradient = part_take(&next, p->beta ? (weights > down ? weights : down) * c : 0);
    s->router_x = part_take(&next, routes ? T * H * c : 0);
    s->router_w = part_take(&next, routes ? E * H * c : 0);
    s->router_dx = part_take(&next, routes ? T * H * c : 0);
    s->router_dw = part_take(&next, routes ? E * H * c : 0);
    if (planted(FAULT_WORKSPACE_TOO_SMALL) && !at)
        next -= (next - (char *)at) / 2;
    return next - (char *)at;
}

int cublas_product(struct cublas_layer *layer, enum cublas_form form, int64_t m, int64_t n,
                   int64_t k, enum moe_dtype from, const void *a, const void *b, enum moe_dtype to,
                   void *c, int add)
{
    if (planted(FAULT_MISSING_LAST_K) && form == CUBLAS_TN && k > 1)
        k--;
    if (planted(FAULT_MISSING_K_TAIL) && form == CUBLAS_TN && k > 16)
        k = k / 16 * 16;
    struct cublas_product product = {form, m, n, k, from, to, a, b, c, add};
    return cublas_multiply(layer->blas, layer->device, layer->queue.stream, &product);
}

int cublas_layer_rows(struct cublas_layer *layer, uint32_t *status_word)
{
    const struct moe_problem *p = layer->problem;
    int64_t last = p->T * p->K;
    int status = MOE_OK;
    if (layer->offsets) {
        status = moe_device_copy_from(layer->device, &last, layer->offsets + p->T, sizeof last,
                                      layer->queue.stream);
        if (status == MOE_OK)
            status = moe_device_synchronize(layer->device, layer->queue.stream);
    }
    int64_t most = moe_problem_max_entries(p);
    layer->P = last < 0 ? 0 : last < most ? last : most;
    if (status == MOE_OK)
        status =
            moe_gpu_rows(&layer->queue, p, layer->P, layer->offsets, tensor_data(layer, MOE_PICKS),
                         status_word, layer->space.rows, &layer->rows);
    if (status == MOE_OK)
        status = moe_device_copy_from(layer->device, layer->begin, layer->rows.expert_begin,
                                      (p->E + 1) * 8, layer->queue.stream);
    if (status == MOE_OK)
        status = moe_device_synchronize(layer->device, layer->queue.stream);
    layer->N = layer->begin[p->E];
    if (status == MOE_OK)
        status = moe_gpu_row_scores(&layer->queue, layer->N, layer->rows.row_entry, layer->scalar,
                                    tensor_data(layer, MOE_SCORES), layer->space.row_score);
    return status;
}

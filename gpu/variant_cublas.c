/*
 * variant_cublas.c - the plain GPU baseline: experts one after another on cuBLAS, everything
 * between the products by the kernels of parts.h. In f64 it is the reference for cases too large
 * for the CPU.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/cublas_layer.h"
#include "gpu/parts_launch.h"

static int supports(const struct moe_problem *problem, char *why, size_t size)
{
    if (problem->E > 65535 || problem->groups > 4096) {
        snprintf(why, size, problem->E > 65535 ? "E > 65535" : "groups > 4096");
        return MOE_E_UNSUPPORTED;
    }
    return MOE_OK;
}

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
    return next - (char *)at;
}

static int64_t workspace_bytes(const struct moe_problem *problem)
{
    struct cublas_space space;
    return cublas_space_lay_out(problem, NULL, &space);
}

static int64_t kept_bytes(const struct moe_problem *problem)
{
    (void)problem;
    return 0; /* rows are sorted anew from the picks */
}

/* cuBLAS chooses its own kernels: tensor cores, chains of f32, split sums. Sixteen more additions
 * cover a tensor core's coarser alignment where sums are short, and splits. */
static void recipe(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    static const enum moe_point stored[] = {MOE_AT_SX, MOE_AT_Z,  MOE_AT_A,  MOE_AT_SA,
                                            MOE_AT_Y,  MOE_AT_DZ, MOE_AT_DXE};
    *recipe = moe_recipe_plain(problem, moe_gpu_compute(problem));
    for (size_t i = 0; i < sizeof stored / sizeof *stored; i++)
        recipe->at[stored[i]].when = MOE_ALWAYS;
    for (int product = 0; product < MOE_PRODUCT_COUNT; product++)
        recipe->product[product].extra = 16;
}

static int open_variant(struct moe_device *device, const struct moe_problem *problem,
                        int32_t configuration, void **state)
{
    (void)configuration;
    struct cublas_layer *layer = calloc(1, sizeof *layer);
    int64_t *begin = calloc((size_t)problem->E + 1, sizeof *begin);
    int status =
        layer && begin ? MOE_OK : moe_error(MOE_E_NOMEM, "no memory for the state of cublas");
    if (status == MOE_OK)
        status = cublas_open(&layer->blas);
    if (status != MOE_OK) {
        free(layer);
        free(begin);
        return status;
    }
    layer->problem = problem;
    layer->device = device;
    layer->begin = begin;
    layer->dtype = problem->dtype;
    layer->compute = layer->scalar = moe_gpu_compute(problem);
    layer->grad = problem->grad == MOE_GRAD_F32 ? MOE_F32 : problem->dtype;
    layer->Z = moe_problem_z_rows(problem);
    layer->U = moe_problem_shared_rows(problem);
    *state = layer;
    return MOE_OK;
}

static void close_variant(void *state)
{
    struct cublas_layer *layer = state;
    cublas_close(layer->blas);
    free(layer->begin);
    free(layer);
}

/* The kernels take dense tensors only. */
static int check_dense(const struct moe_tensor *tensors)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *t = &tensors[id];
        int64_t step = 1;
        for (int axis = t->rank - 1; axis >= 0 && t->data; axis--) {
            if (t->shape[axis] > 1 && t->stride[axis] != step)
                return moe_error(MOE_E_UNSUPPORTED, "%s is not dense", moe_tensor_info(id)->name);
            step *= t->shape[axis];
        }
    }
    return MOE_OK;
}

static int begin_call(struct cublas_layer *layer, const struct moe_call *call)
{
    layer->tensors = call->tensors;
    layer->queue = (struct moe_gpu_queue){layer->device, call->stream};
    layer->offsets = moe_problem_ragged(layer->problem) ? tensor_data(layer, MOE_OFFSETS) : NULL;
    cublas_space_lay_out(layer->problem, call->workspace, &layer->space);
    return check_dense(call->tensors);
}

static int forward(void *state, const struct moe_call *call)
{
    int status = begin_call(state, call);
    return status == MOE_OK ? cublas_layer_forward(state, call->status) : status;
}

static int backward(void *state, const struct moe_call *call)
{
    int status = begin_call(state, call);
    return status == MOE_OK ? cublas_layer_backward(state, call->status) : status;
}

int cublas_product(struct cublas_layer *layer, enum cublas_form form, int64_t m, int64_t n,
                   int64_t k, enum moe_dtype from, const void *a, const void *b, enum moe_dtype to,
                   void *c, int add)
{
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

const struct moe_variant moe_variant_cublas = {
    .struct_size = sizeof(struct moe_variant),
    .devices = MOE_ON_CUDA,
    .flags = MOE_HOST_SYNC | MOE_ALLOCATES,
    .name = "cublas",
    .summary = "experts one after another on cuBLAS, plain kernels between",
    .supports = supports,
    .workspace_bytes = workspace_bytes,
    .kept_bytes = kept_bytes,
    .recipe = recipe,
    .open = open_variant,
    .forward = forward,
    .backward = backward,
    .close = close_variant,
};

/*
 * product.c - grouped products on Hopper: which kernel, what it is told, and what none of them
 * takes.
 */
#include "gpu/hopper/product.h"
#include "gpu/parts_launch.h"

/* CUtensorMap's numbers. */
enum { MAP_F16 = 6, MAP_BF16 = 9, MAP_SWIZZLE_128 = 3, MAP_PROMOTION_256 = 3 };

enum { STAGE_K = 64, BOX_COLS = 64, THREADS = 384, LIST_THREADS = 256 };

static const struct product_configuration forward[] = {
    {"128x256", 256, 4, {"hopper_nt_bf16_256", "hopper_nt_f16_256"}},
    {"128x192", 192, 5, {"hopper_nt_bf16_192", "hopper_nt_f16_192"}},
    {"128x128", 128, 6, {"hopper_nt_bf16_128", "hopper_nt_f16_128"}},
    {"128x64", 64, 8, {"hopper_nt_bf16_64", "hopper_nt_f16_64"}},
    {0},
};
static const struct product_configuration backward[] = {
    {"128x256", 256, 4, {"hopper_nn_bf16_256", "hopper_nn_f16_256"}},
    {"128x192", 192, 5, {"hopper_nn_bf16_192", "hopper_nn_f16_192"}},
    {"128x128", 128, 6, {"hopper_nn_bf16_128", "hopper_nn_f16_128"}},
    {"128x64", 64, 8, {"hopper_nn_bf16_64", "hopper_nn_f16_64"}},
    {0},
};
static const struct product_configuration gradient[] = {
    {"128x256", 256, 4, {"hopper_tn_bf16_256", "hopper_tn_f16_256"}},
    {"128x128", 128, 6, {"hopper_tn_bf16_128", "hopper_tn_f16_128"}},
    {"128x64", 64, 8, {"hopper_tn_bf16_64", "hopper_tn_f16_64"}},
    {0},
};
static const struct product_configuration *const tables[PRODUCT_FORMS] = {
    [PRODUCT_FORWARD] = forward,
    [PRODUCT_BACKWARD] = backward,
    [PRODUCT_GRADIENT] = gradient,
};

const struct product_configuration *hopper_configuration(enum product_form form, int index)
{
    const struct product_configuration *row = tables[form];
    for (int i = 0; row->name; i++, row++)
        if (i == index)
            return row;
    return NULL;
}

static int find(enum product_form form, int index, enum moe_dtype dtype,
                const struct product_configuration **found)
{
    const struct product_configuration *how = hopper_configuration(form, index);
    if (!how)
        return moe_error(MOE_E_INTERNAL, "no configuration %d of products", index);
    if (dtype != MOE_BF16 && dtype != MOE_F16)
        return moe_error(MOE_E_UNSUPPORTED, "products of %s: these kernels take bf16 and f16",
                         moe_dtype_info(dtype)->name);
    *found = how;
    return MOE_OK;
}

/* ---- tiles: where each expert's begin, then their list
 * -------------------------------------------- */

static int64_t most_tiles(int64_t rows, int64_t E)
{
    const int64_t short_ones = rows < E ? rows : E; /* one an expert that has rows */
    return rows / TILE_ROWS + short_ones;
}

int64_t hopper_tiles_bytes(int64_t rows, int64_t E)
{
    return part_bytes((E + 1) * 8) +
           part_bytes((int64_t)sizeof(struct row_tiles) +
                      most_tiles(rows, E) * (int64_t)sizeof(struct row_tile));
}

int hopper_tiles_list(const struct moe_gpu_queue *queue, int64_t E, const int64_t *expert_begin,
                      void *memory, struct row_tiles **tiles)
{
    char *next = memory;
    int64_t *begin = part_take(&next, (E + 1) * 8);
    struct row_tiles *list = (struct row_tiles *)next;
    void *args[] = {&E, &expert_begin, &begin, &list};
    const int status = launch_blocks(queue, "hopper_list_tiles", 1, LIST_THREADS, 0, args);
    if (status == MOE_OK)
        *tiles = list;
    return status;
}

/* ---- what the kernels take
 * ------------------------------------------------------------------------ */

static int check_columns(const char *what, int64_t columns)
{
    if (columns < 1 || columns > INT32_MAX || columns % 8)
        return moe_error(MOE_E_UNSUPPORTED, "%lld %s: multiples of 8 are taken", (long long)columns,
                         what);
    return MOE_OK;
}

/* Rows of 16-bit elements begin at multiples of `bytes`. */
static int check_rows(const char *what, const void *data, int64_t stride, int64_t bytes)
{
    if ((uintptr_t)data % (uintptr_t)bytes || stride * 2 % bytes)
        return moe_error(MOE_E_UNSUPPORTED, "%s: rows begin at multiples of %lld bytes", what,
                         (long long)bytes);
    return MOE_OK;
}

/* ---- launches
 * --------------------------------------------------------------------------------------- */

/* One block a multiprocessor, and no more than there can be tiles. */
static int launch(const struct moe_gpu_queue *queue, const struct product_configuration *how,
                  enum moe_dtype dtype, int64_t tiles, void **args)
{
    const uint32_t stage = (uint32_t)(TILE_ROWS + how->tile_cols) * STAGE_K * 2;
    const uint32_t barriers = 2 * 8;
    int64_t multiprocessors = 0;
    const int status =
        moe_device_attribute(queue->device, MOE_DEVICE_MULTIPROCESSORS, &multiprocessors);
    if (status != MOE_OK)
        return status;
    return launch_blocks(queue, how->kernel[dtype == MOE_F16],
                         tiles < multiprocessors ? tiles : multiprocessors, THREADS,
                         (uint32_t)how->stages * (stage + barriers), args);
}

static int64_t column_tiles(const struct product_configuration *how, int64_t columns)
{
    return (columns + how->tile_cols - 1) / how->tile_cols;
}

static int encode_weights(struct moe_device *device, const struct hopper_product *product,
                          int32_t tile_cols, struct moe_tensor_map *map)
{
    const int backward_form = product->form == PRODUCT_BACKWARD;
    const uint64_t inner = (uint64_t)(backward_form ? product->cols : product->k);
    const uint64_t outer = (uint64_t)(backward_form ? product->k : product->cols);
    const struct moe_tensor_map_spec spec = {
        .type = product->dtype == MOE_BF16 ? MAP_BF16 : MAP_F16,
        .rank = 3,
        .swizzle = MAP_SWIZZLE_128,
        .promotion = MAP_PROMOTION_256,
        .base = (void *)product->weights,
        .size = {inner, outer, (uint64_t)product->E},
        .stride = {2 * inner, 2 * inner * outer},
        .box = {BOX_COLS, backward_form ? STAGE_K : (uint32_t)tile_cols, 1},
        .step = {1, 1, 1},
    };
    return moe_device_tensor_map_encode(device, &spec, map);
}

int hopper_product_run(const struct moe_gpu_queue *queue, int configuration,
                       const struct hopper_product *product)
{
    const struct product_configuration *how = NULL;
    struct moe_tensor_map map;
    int status = find(product->form, configuration, product->dtype, &how);
    if (status == MOE_OK)
        status = check_columns("of k", product->k);
    if (status == MOE_OK)
        status = check_columns("columns", product->cols);
    if (status == MOE_OK)
        status = check_rows("a", product->a, product->a_stride, 16);
    if (status == MOE_OK)
        status = check_rows("weights", product->weights, product->k, 16);
    if (status == MOE_OK)
        status = check_rows("d", product->d, product->d_stride, 4);
    if (status != MOE_OK || product->N == 0)
        return status;
    status = encode_weights(queue->device, product, how->tile_cols, &map);
    struct product_arguments arguments = {
        product->a,        product->gather, product->a_stride,   product->d,
        product->d_stride, product->tiles,  (int32_t)product->k, (int32_t)product->cols};
    void *args[] = {&map, &arguments};
    const int64_t tiles = most_tiles(product->N, product->E) * column_tiles(how, product->cols);
    return status == MOE_OK ? launch(queue, how, product->dtype, tiles, args) : status;
}

int hopper_gradient_run(const struct moe_gpu_queue *queue, int configuration,
                        const struct hopper_gradient *product)
{
    const struct product_configuration *how = NULL;
    int status = find(PRODUCT_GRADIENT, configuration, product->dtype, &how);
    if (status == MOE_OK)
        status = check_columns("columns of p", product->p_cols);
    if (status == MOE_OK)
        status = check_columns("columns of q", product->q_cols);
    if (status == MOE_OK)
        status = check_rows("p", product->p.data, product->p.stride, 16);
    if (status == MOE_OK)
        status = check_rows("q", product->q.data, product->q.stride, 16);
    if (status == MOE_OK)
        status = check_rows("d", product->d, product->q_cols, product->d_dtype == MOE_F32 ? 8 : 4);
    if (status == MOE_OK && product->d_dtype != MOE_F32 && product->d_dtype != product->dtype)
        status =
            moe_error(MOE_E_UNSUPPORTED, "gradients of %s from %s",
                      moe_dtype_info(product->d_dtype)->name, moe_dtype_info(product->dtype)->name);
    if (status != MOE_OK)
        return status;
    struct gradient_arguments arguments = {
        product->p,
        product->q,
        product->expert_begin,
        product->d,
        (int32_t)product->E,
        (int32_t)product->p_cols,
        (int32_t)product->q_cols,
        product->d_dtype == MOE_F32,
        product->add,
    };
    void *args[] = {&arguments};
    const int64_t row_tiles = (product->p_cols + TILE_ROWS - 1) / TILE_ROWS;
    return launch(queue, how, product->dtype,
                  product->E * row_tiles * column_tiles(how, product->q_cols), args);
}

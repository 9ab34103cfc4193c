/*
 * product.c - grouped products on Hopper: which kernel, what it is told, and what none of them
 * takes.
 */
#include "gpu/hopper/product.h"
#include "gpu/parts_launch.h"

/* CUtensorMap's numbers. */
enum { MAP_F16 = 6, MAP_BF16 = 9, MAP_SWIZZLE_128 = 3, MAP_PROMOTION_256 = 3 };

enum { STAGE_K = 64, THREADS = 384, LIST_THREADS = 256 };

static const struct product_configuration configurations[] = {
    {"128x256", 256, 4, {"hopper_product_bf16_256", "hopper_product_f16_256"}},
    {"128x192", 192, 5, {"hopper_product_bf16_192", "hopper_product_f16_192"}},
    {"128x128", 128, 6, {"hopper_product_bf16_128", "hopper_product_f16_128"}},
    {"128x64", 64, 8, {"hopper_product_bf16_64", "hopper_product_f16_64"}},
};
#define CONFIGURATIONS ((int)(sizeof configurations / sizeof *configurations))

const struct product_configuration *hopper_product_configuration(int index)
{
    return index >= 0 && index < CONFIGURATIONS ? &configurations[index] : NULL;
}

/* ---- workspace: where each expert's tiles begin, then the list of tiles -------------------------
 */

static int64_t most_tiles(int64_t rows, int64_t E)
{
    const int64_t short_ones = rows < E ? rows : E; /* one an expert that has rows */
    return rows / TILE_ROWS + short_ones;
}

int64_t hopper_product_bytes(int64_t rows, int64_t E)
{
    return part_bytes((E + 1) * 8) +
           part_bytes((int64_t)sizeof(struct row_tiles) +
                      most_tiles(rows, E) * (int64_t)sizeof(struct row_tile));
}

/* ---- what the kernels take
 * ------------------------------------------------------------------------ */

static int unaligned(const void *address, uintptr_t alignment)
{
    return (uintptr_t)address % alignment != 0;
}

static int check(const struct hopper_product *product)
{
    if (product->dtype != MOE_BF16 && product->dtype != MOE_F16)
        return moe_error(MOE_E_UNSUPPORTED, "products of %s: these kernels take bf16 and f16",
                         moe_dtype_info(product->dtype)->name);
    if (product->k < 1 || product->k > INT32_MAX || product->k % 8)
        return moe_error(MOE_E_UNSUPPORTED, "a product over %lld: multiples of 8 are taken",
                         (long long)product->k);
    if (product->cols < 1 || product->cols % 2 || product->cols > INT32_MAX / product->E)
        return moe_error(
            MOE_E_UNSUPPORTED,
            "%lld columns for each of %lld experts: even numbers are taken, below 2^31 "
            "together",
            (long long)product->cols, (long long)product->E);
    if (unaligned(product->a, 16) || product->a_stride % 8 || unaligned(product->b, 16) ||
        unaligned(product->d, 4) || product->d_stride % 2)
        return moe_error(MOE_E_UNSUPPORTED,
                         "rows of a and b begin at multiples of 16 bytes, of d at "
                         "multiples of 4");
    return MOE_OK;
}

/* ---- launches
 * --------------------------------------------------------------------------------------- */

static int list_tiles(const struct moe_gpu_queue *queue, const struct hopper_product *product,
                      void *workspace, struct row_tiles **tiles)
{
    char *next = workspace;
    int64_t E = product->E;
    const int64_t *expert_begin = product->expert_begin;
    int64_t *begin = part_take(&next, (E + 1) * 8);
    struct row_tiles *list = (struct row_tiles *)next;
    void *args[] = {&E, &expert_begin, &begin, &list};
    const int status = launch_blocks(queue, "hopper_list_tiles", 1, LIST_THREADS, 0, args);
    if (status == MOE_OK)
        *tiles = list;
    return status;
}

/* B as rows of k, experts one after another. */
static int encode_weights(struct moe_device *device, const struct hopper_product *product,
                          uint32_t tile_cols, struct moe_tensor_map *map)
{
    const struct moe_tensor_map_spec spec = {
        .type = product->dtype == MOE_BF16 ? MAP_BF16 : MAP_F16,
        .rank = 2,
        .swizzle = MAP_SWIZZLE_128,
        .promotion = MAP_PROMOTION_256,
        .base = (void *)product->b,
        .size = {(uint64_t)product->k, (uint64_t)(product->E * product->cols)},
        .stride = {(uint64_t)product->k * 2},
        .box = {STAGE_K, tile_cols},
        .step = {1, 1},
    };
    return moe_device_tensor_map_encode(device, &spec, map);
}

/* A ring's stages, and two mbarriers for each. */
static uint32_t shared_bytes(const struct product_configuration *how)
{
    const uint32_t stage = (uint32_t)(TILE_ROWS + how->tile_cols) * STAGE_K * 2;
    return (uint32_t)how->stages * (stage + 16);
}

/* Blocks: one a multiprocessor, and no more than there can be tiles. */
static int count_blocks(struct moe_device *device, const struct hopper_product *product,
                        int32_t tile_cols, uint32_t *blocks)
{
    int64_t multiprocessors = 0;
    const int status = moe_device_attribute(device, MOE_DEVICE_MULTIPROCESSORS, &multiprocessors);
    const int64_t column_tiles = (product->cols + tile_cols - 1) / tile_cols;
    const int64_t tiles = most_tiles(product->N, product->E) * column_tiles;
    if (status == MOE_OK)
        *blocks = (uint32_t)(tiles < multiprocessors ? tiles : multiprocessors);
    return status;
}

int hopper_product_run(const struct moe_gpu_queue *queue, int configuration,
                       const struct hopper_product *product, void *workspace)
{
    const struct product_configuration *how = hopper_product_configuration(configuration);
    struct row_tiles *tiles = NULL;
    struct moe_tensor_map map;
    uint32_t blocks = 0;
    if (!how)
        return moe_error(MOE_E_INTERNAL, "no configuration %d of products", configuration);
    if (product->N == 0)
        return MOE_OK;
    int status = check(product);
    if (status == MOE_OK)
        status = encode_weights(queue->device, product, (uint32_t)how->tile_cols, &map);
    if (status == MOE_OK)
        status = count_blocks(queue->device, product, how->tile_cols, &blocks);
    if (status == MOE_OK)
        status = list_tiles(queue, product, workspace, &tiles);
    if (status != MOE_OK)
        return status;
    struct product_arguments arguments = {
        product->a,        product->gather, product->a_stride,   product->d,
        product->d_stride, tiles,           (int32_t)product->k, (int32_t)product->cols};
    void *args[] = {&map, &arguments};
    return launch_blocks(queue, how->kernel[product->dtype == MOE_F16], blocks, THREADS,
                         shared_bytes(how), args);
}

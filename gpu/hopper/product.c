/*
 * product.c - grouped products on Hopper: which kernel, what it is told, and what none of them
 * takes.
 */
#include <stddef.h>
#include <string.h>

#include "gpu/fault.h"
#include "gpu/hopper/product.h"
#include "gpu/parts_launch.h"

/* CUtensorMap's numbers. */
enum { MAP_F16 = 6, MAP_BF16 = 9, MAP_SWIZZLE_64 = 2, MAP_SWIZZLE_128 = 3, MAP_PROMOTION_256 = 3 };

enum { STAGE_K = 64, THREADS = 384, LIST_THREADS = 256 };

/* Rows of a form end with one without a name. */
#define MOST_ROWS 8
static const struct product_configuration tables[PRODUCT_FORMS][MOST_ROWS] = {
    [PRODUCT_FORWARD] =
        {{"128x256", 128, 256, 3, 5, {"hopper_nt_bf16_256", "hopper_nt_f16_256"}},
         {"128x192", 128, 192, 4, 4, {"hopper_nt_bf16_192", "hopper_nt_f16_192"}},
         {"128x128", 128, 128, 4, 5, {"hopper_nt_bf16_128", "hopper_nt_f16_128"}},
         {"128x64", 128, 64, 6, 5, {"hopper_nt_bf16_64", "hopper_nt_f16_64"}},
         {"256x128", 256, 128, 4, 2, {"hopper_nt_bf16_tall", "hopper_nt_f16_tall"}},
         {"288x128", 288, 128, 4, 1, {"hopper_nt_bf16_across_288", "hopper_nt_f16_across_288"}}},
    [PRODUCT_BACKWARD] =
        {{"128x256", 128, 256, 3, 5, {"hopper_nn_bf16_256", "hopper_nn_f16_256"}},
         {"128x192", 128, 192, 4, 4, {"hopper_nn_bf16_192", "hopper_nn_f16_192"}},
         {"128x128", 128, 128, 4, 5, {"hopper_nn_bf16_128", "hopper_nn_f16_128"}},
         {"128x64", 128, 64, 6, 5, {"hopper_nn_bf16_64", "hopper_nn_f16_64"}},
         {"256x128", 256, 128, 4, 2, {"hopper_nn_bf16_tall", "hopper_nn_f16_tall"}},
         {"288x128", 288, 128, 4, 1, {"hopper_nn_bf16_across_288", "hopper_nn_f16_across_288"}},
         {"320x128", 320, 128, 3, 3, {"hopper_nn_bf16_across_320", "hopper_nn_f16_across_320"}}},
    [PRODUCT_GRADIENT] = {{"128x256", 128, 256, 4, 2, {"hopper_tn_bf16_256", "hopper_tn_f16_256"}},
                          {"128x128", 128, 128, 6, 2, {"hopper_tn_bf16_128", "hopper_tn_f16_128"}},
                          {"128x64", 128, 64, 8, 2, {"hopper_tn_bf16_64", "hopper_tn_f16_64"}}},
    [PRODUCT_SWIGLU] = {{"128x256",
                         128,
                         256,
                         3,
                         5,
                         {"hopper_swiglu_forward_bf16_256", "hopper_swiglu_forward_f16_256"}},
                        {"128x128",
                         128,
                         128,
                         4,
                         5,
                         {"hopper_swiglu_forward_bf16_128", "hopper_swiglu_forward_f16_128"}},
                        {"256x128",
                         256,
                         128,
                         4,
                         2,
                         {"hopper_swiglu_forward_bf16_tall", "hopper_swiglu_forward_f16_tall"}},
                        {"288x128",
                         288,
                         128,
                         4,
                         1,
                         {"hopper_swiglu_forward_bf16_across_288",
                          "hopper_swiglu_forward_f16_across_288"}}},
    [PRODUCT_CLAMPED] = {{"128x256",
                          128,
                          256,
                          3,
                          5,
                          {"hopper_clamped_forward_bf16_256", "hopper_clamped_forward_f16_256"}},
                         {"128x128",
                          128,
                          128,
                          4,
                          5,
                          {"hopper_clamped_forward_bf16_128", "hopper_clamped_forward_f16_128"}},
                         {"256x128",
                          256,
                          128,
                          4,
                          2,
                          {"hopper_clamped_forward_bf16_tall", "hopper_clamped_forward_f16_tall"}},
                         {"288x128",
                          288,
                          128,
                          4,
                          1,
                          {"hopper_clamped_forward_bf16_across_288",
                           "hopper_clamped_forward_f16_across_288"}}},
    [PRODUCT_GATED] = {{"128x128",
                        128,
                        128,
                        4,
                        5,
                        {"hopper_gated_forward_bf16_128", "hopper_gated_forward_f16_128"}}},
    [PRODUCT_PLAIN] = {{"128x64",
                        128,
                        64,
                        6,
                        5,
                        {"hopper_plain_forward_bf16_64", "hopper_plain_forward_f16_64"}}},
    [PRODUCT_SWIGLU_BACK] =
        {{"128x256", 128, 256, 3, 5, {"hopper_swiglu_back_bf16_256", "hopper_swiglu_back_f16_256"}},
         {"128x128",
          128,
          128,
          4,
          5,
          {"hopper_swiglu_back_bf16_128", "hopper_swiglu_back_f16_128"}}},
    [PRODUCT_CLAMPED_BACK] =
        /* the sums of 256 columns leave too few registers */
    {{"128x192", 128, 192, 4, 4, {"hopper_clamped_back_bf16_192", "hopper_clamped_back_f16_192"}},
     {"128x128", 128, 128, 4, 5, {"hopper_clamped_back_bf16_128", "hopper_clamped_back_f16_128"}}},
    [PRODUCT_GATED_BACK] =
        {{"128x64", 128, 64, 6, 5, {"hopper_gated_back_bf16_64", "hopper_gated_back_f16_64"}}},
    [PRODUCT_PLAIN_BACK] =
        {{"128x64", 128, 64, 6, 5, {"hopper_plain_back_bf16_64", "hopper_plain_back_f16_64"}}},
};

/* How a form's weights lie, and which of the epilogues is its. */
static const struct {
    int by_row; /* [E,k,C], else [E,C,k] */
    int paired; /* a tile takes gates and their ups together */
    size_t epilogue;
} forms[PRODUCT_FORMS] = {
    [PRODUCT_FORWARD] = {0, 0, offsetof(struct hopper_product, store)},
    [PRODUCT_BACKWARD] = {1, 0, offsetof(struct hopper_product, store)},
    [PRODUCT_SWIGLU] = {0, 1, offsetof(struct hopper_product, activate)},
    [PRODUCT_CLAMPED] = {0, 1, offsetof(struct hopper_product, activate)},
    [PRODUCT_GATED] = {0, 1, offsetof(struct hopper_product, activate)},
    [PRODUCT_PLAIN] = {0, 0, offsetof(struct hopper_product, activate)},
    [PRODUCT_SWIGLU_BACK] = {1, 0, offsetof(struct hopper_product, back)},
    [PRODUCT_CLAMPED_BACK] = {1, 0, offsetof(struct hopper_product, back)},
    [PRODUCT_GATED_BACK] = {1, 0, offsetof(struct hopper_product, back)},
    [PRODUCT_PLAIN_BACK] = {1, 0, offsetof(struct hopper_product, back)},
};

enum product_form hopper_activation_form(enum moe_act act, int back)
{
    if (act == MOE_SWIGLU)
        return back ? PRODUCT_SWIGLU_BACK : PRODUCT_SWIGLU;
    if (act == MOE_SWIGLU_OAI || act == MOE_SWIGLU_CLAMP)
        return back ? PRODUCT_CLAMPED_BACK : PRODUCT_CLAMPED;
    if (moe_act_info(act)->gated)
        return back ? PRODUCT_GATED_BACK : PRODUCT_GATED;
    return back ? PRODUCT_PLAIN_BACK : PRODUCT_PLAIN;
}

const struct product_configuration *hopper_configuration(enum product_form form, int index)
{
    int rows = 0;
    while (rows < MOST_ROWS && tables[form][rows].name)
        rows++;
    return index >= 0 && index < rows ? &tables[form][index] : NULL;
}

int64_t hopper_product_parts(enum product_form form, int configuration, int64_t cols)
{
    const int32_t tile_cols = hopper_configuration(form, configuration)->tile_cols;
    return (cols + tile_cols - 1) / tile_cols;
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

/* ---- tiles: where each expert's begin, then their list ------------------------------------ */

static int64_t most_tiles(int64_t tile_rows, int64_t rows, int64_t E)
{
    const int64_t short_ones = rows < E ? rows : E; /* one an expert that has rows */
    return rows / tile_rows + short_ones;
}

int64_t hopper_tiles_bytes(int64_t tile_rows, int64_t rows, int64_t E)
{
    return part_bytes((E + 1) * 8) +
           part_bytes((int64_t)sizeof(struct row_tiles) +
                      most_tiles(tile_rows, rows, E) * (int64_t)sizeof(struct row_tile));
}

struct row_tiles *hopper_tiles_at(int64_t E, void *memory)
{
    return (struct row_tiles *)((char *)memory + part_bytes((E + 1) * 8));
}

int hopper_tiles_list(const struct moe_gpu_queue *queue, int64_t tile_rows, int64_t E,
                      const int64_t *expert_begin, void *memory)
{
    int64_t *begin = memory;
    struct row_tiles *tiles = hopper_tiles_at(E, memory);
    void *args[] = {&E, &tile_rows, &expert_begin, &begin, &tiles};
    return launch_blocks(queue, "hopper_list_tiles", 1, LIST_THREADS, 0, args);
}

/* ---- what the kernels take ---------------------------------------------------------------- */

static int check_columns(const char *what, int64_t columns, int64_t multiple)
{
    if (columns < 1 || columns > INT32_MAX || columns % multiple)
        return moe_error(MOE_E_UNSUPPORTED, "%lld %s: multiples of %lld are taken",
                         (long long)columns, what, (long long)multiple);
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

/* Places in an operand are numbers of 32 bits, but the last; so are bytes from row to row. */
static int check_places(int64_t places, int64_t stride)
{
    if (places >= UINT32_MAX || stride > INT32_MAX)
        return moe_error(MOE_E_UNSUPPORTED, "operands of 2^32 rows, or of rows of 2^32 bytes");
    return MOE_OK;
}

/* ---- launches ----------------------------------------------------------------------------- */

/* One block a multiprocessor, and no more than there can be tiles. */
static int launch(const struct moe_gpu_queue *queue, const struct product_configuration *how,
                  enum moe_dtype dtype, int64_t tiles, void **args)
{
    const uint32_t stage = (uint32_t)(how->tile_rows + how->tile_cols) * STAGE_K * 2;
    const uint32_t barriers = 2 * 8;
    int64_t multiprocessors = 0;
    const int status =
        moe_device_attribute(queue->device, MOE_DEVICE_MULTIPROCESSORS, &multiprocessors);
    if (status != MOE_OK)
        return status;
    return launch_blocks(
        queue, how->kernel[dtype == MOE_F16], tiles < multiprocessors ? tiles : multiprocessors,
        THREADS, (uint32_t)how->stages * (stage + barriers) + (uint32_t)STAGING_BYTES(how->buffers),
        args);
}

static int64_t column_tiles(const struct product_configuration *how, int64_t columns)
{
    return (columns + how->tile_cols - 1) / how->tile_cols;
}

static struct moe_tensor_map_spec map_of(const struct hopper_product *product, const void *data)
{
    return (struct moe_tensor_map_spec){
        .type = product->dtype == MOE_BF16 ? MAP_BF16 : MAP_F16,
        .swizzle = planted(FAULT_MAP_UNSWIZZLED) ? 0 : MAP_SWIZZLE_128,
        .promotion = MAP_PROMOTION_256,
        .base = (void *)data,
        .step = {1, 1, 1, 1, 1},
    };
}

/* [E,C,k] or [E,k,C]. */
static struct moe_tensor_map_spec plain_map(const struct hopper_product *product,
                                            uint32_t tile_cols)
{
    const int by_row = forms[product->form].by_row;
    const uint64_t inner = (uint64_t)(by_row ? product->cols : product->k);
    const uint64_t outer = (uint64_t)(by_row ? product->k : product->cols);
    struct moe_tensor_map_spec spec = map_of(product, product->weights);
    const uint64_t sizes[] = {inner, outer + 64 * (uint64_t)planted(FAULT_MAP_TOO_TALL),
                              (uint64_t)product->E};
    const uint64_t strides[] = {2 * inner, 2 * inner * outer};
    const uint32_t box[] = {BOX, by_row ? STAGE_K : tile_cols, 1};
    spec.rank = 3;
    memcpy(spec.size, sizes, sizeof sizes);
    memcpy(spec.stride, strides, sizeof strides);
    memcpy(spec.box, box, sizeof box);
    return spec;
}

/* The same rows as [E, groups, gate or up, 8 units, k], whatever their order in memory. */
static struct moe_tensor_map_spec paired_map(const struct hopper_product *product,
                                             uint32_t tile_cols)
{
    const uint64_t row = 2 * (uint64_t)product->k, units = (uint64_t)product->cols / 2;
    const int layout = product->activate.shape.layout;
    struct moe_tensor_map_spec spec = map_of(product, product->weights);
    const uint64_t sizes[] = {(uint64_t)product->k, 8, 2, units / 8, (uint64_t)product->E};
    const uint64_t strides[] = {
        layout == MOE_W1_INTERLEAVED ? 2 * row : row, /* unit to unit */
        layout == MOE_W1_INTERLEAVED    ? row
        : layout == MOE_W1_INTERLEAVED8 ? 8 * row
                                        : units * row, /* gate to up */
        layout == MOE_W1_HALVES ? 8 * row : 16 * row,
        2 * units * row,
    };
    const uint32_t box[] = {BOX, 8, 2, tile_cols / 16, 1};
    spec.rank = 5;
    memcpy(spec.size, sizes, sizeof sizes);
    memcpy(spec.stride, strides, sizeof strides);
    memcpy(spec.box, box, sizeof box);
    return spec;
}

/* Of rows of tokens, and elements of each: BOX, or half as many. */
struct row_box {
    uint32_t rows, columns;
};

/* Rows of tokens [N, parts, columns] in boxes; `elements` from row to row. */
static int encode_rows(struct moe_device *device, const struct hopper_product *product,
                       const void *data, int64_t columns, int64_t parts, int64_t elements,
                       struct row_box of, struct moe_tensor_map *map)
{
    struct moe_tensor_map_spec spec = map_of(product, data);
    const uint64_t sizes[] = {(uint64_t)columns, (uint64_t)parts, (uint64_t)product->N};
    const uint64_t strides[] = {2 * (uint64_t)columns, 2 * (uint64_t)elements};
    const uint32_t box[] = {of.columns, 1, of.rows};
    spec.rank = 3;
    if (of.columns < BOX)
        spec.swizzle = MAP_SWIZZLE_64;
    memcpy(spec.size, sizes, sizeof sizes);
    memcpy(spec.stride, strides, sizeof strides);
    memcpy(spec.box, box, sizeof box);
    return moe_device_tensor_map_encode(device, &spec, map);
}

/* The same of Z, or of dZ: [N,2,I], so that no box of gates goes on among ups, or, where these do
 * not lie apart, [N,1,Z]. `box`: of units. */
static int encode_units(struct moe_device *device, const struct hopper_product *product,
                        const struct unit_shape *shape, const void *z, struct row_box box,
                        struct moe_tensor_map *map)
{
    const int gated = moe_act_info((enum moe_act)shape->act)->gated;
    const int halves = gated && shape->layout == MOE_W1_HALVES;
    const int64_t Z = (gated ? 2 : 1) * shape->units;
    if (!halves)
        box.columns = BOX;
    return encode_rows(device, product, z, halves ? Z / 2 : Z, halves ? 2 : 1, Z, box, map);
}

/* The maps that a form's kernel takes behind its other arguments: of what it stores in boxes, then
 * of z, where it reads that. */
static int encode_stored(struct moe_device *device, const struct hopper_product *product,
                         const struct product_configuration *how, struct moe_tensor_map maps[3])
{
    const int is_across = LIES_ACROSS(how->tile_rows);
    const struct row_box box = {is_across ? BOX_ACROSS : BOX, BOX};
    const struct row_box of_units = {box.rows, is_across ? BOX / 2 : BOX};
    const struct row_box of_tile = {TILE_ROWS, BOX};
    const size_t epilogue = forms[product->form].epilogue;
    const struct store_rows *store = &product->store;
    const struct activate_rows *to = &product->activate;
    const struct activate_back *back = &product->back;
    int status;
    if (epilogue == offsetof(struct hopper_product, store)) {
        memset(maps, 0, sizeof *maps);
        return store->wide ? MOE_OK /* not in boxes */
                           : encode_rows(device, product, store->d,
                                         product->cols + BOX * planted(FAULT_COLUMNS_UNMASKED), 1,
                                         store->stride, box, maps);
    }
    if (epilogue == offsetof(struct hopper_product, activate)) {
        const int64_t units = to->shape.units;
        status = encode_units(device, product, &to->shape, to->z, of_units, maps);
        return status == MOE_OK
                   ? encode_rows(device, product, to->a, units, 1, units, of_units, maps + 1)
                   : status;
    }
    const int64_t units = back->shape.units;
    status = encode_units(device, product, &back->shape, back->dz, of_units, maps);
    if (status == MOE_OK)
        status = encode_rows(device, product, back->sa, units, 1, units, of_units, maps + 1);
    return status == MOE_OK
               ? encode_units(device, product, &back->shape, back->z, of_tile, maps + 2)
               : status;
}

/* Rows that the form's epilogue reads and stores in pieces of 16 bytes, and in boxes: rows of those
 * are numbers of 32 bits, with a sign. */
static int check_epilogue(const struct hopper_product *product)
{
    const size_t epilogue = forms[product->form].epilogue;
    const struct activate_rows *to = &product->activate;
    const struct activate_back *back = &product->back;
    int status = MOE_OK;
    if (epilogue == offsetof(struct hopper_product, store) && product->store.wide)
        return MOE_OK;
    if (product->N > HOPPER_MOST_ROWS)
        return moe_error(MOE_E_UNSUPPORTED, "%lld rows: up to %lld are taken",
                         (long long)product->N, (long long)HOPPER_MOST_ROWS);
    if (epilogue == offsetof(struct hopper_product, store))
        return check_rows("d", product->store.d, product->store.stride, 16);
    if (epilogue == offsetof(struct hopper_product, activate)) {
        status = check_rows("z", to->z, to->shape.units, 16);
        if (status == MOE_OK)
            status = check_rows("a", to->a, to->shape.units, 16);
        return status == MOE_OK ? check_rows("bias", to->bias, to->shape.units, 16) : status;
    }
    status = check_rows("z", back->z, back->shape.units, 16);
    if (status == MOE_OK)
        status = check_rows("dz", back->dz, back->shape.units, 16);
    return status == MOE_OK ? check_rows("sa", back->sa, back->shape.units, 16) : status;
}

static int check_product(const struct hopper_product *product)
{
    const int paired = forms[product->form].paired;
    int status = check_columns("of k", product->k, 8);
    if (status == MOE_OK)
        status = check_columns("columns", product->cols,
                               paired                                                ? 16
                               : product->store.wide && !forms[product->form].by_row ? 1
                                                                                     : 8);
    if (status == MOE_OK)
        status = check_rows("a", product->a, product->a_stride, 16);
    if (status == MOE_OK)
        status = check_places(product->places, product->a_stride);
    if (status == MOE_OK && product->places * (product->a_stride / 8) > UINT32_MAX)
        status = moe_error(MOE_E_UNSUPPORTED, "an operand of 2^36 bytes or more");
    if (status == MOE_OK)
        status = check_rows("weights", product->weights, 8, 16);
    return status == MOE_OK ? check_epilogue(product) : status;
}

int hopper_product_run(const struct moe_gpu_queue *queue, int configuration,
                       const struct hopper_product *given)
{
    const struct product_configuration *how = NULL;
    struct hopper_product product = *given;
    struct moe_tensor_map map, maps[3];
    int status = find(product.form, configuration, product.dtype, &how);
    if (status == MOE_OK)
        status = check_product(&product);
    if (status != MOE_OK || product.N == 0)
        return status;
    const struct moe_tensor_map_spec spec = forms[product.form].paired
                                                ? paired_map(&product, (uint32_t)how->tile_cols)
                                                : plain_map(&product, (uint32_t)how->tile_cols);
    status = moe_device_tensor_map_encode(queue->device, &spec, &map);
    if (status == MOE_OK)
        status = encode_stored(queue->device, &product, how, maps);
    product.store.cols = (int32_t)product.cols;
    if (planted(FAULT_MISSING_K_TAIL) && product.k > STAGE_K)
        product.k -= product.k % STAGE_K;
    struct product_arguments arguments = {
        product.a, product.gather,     product.a_stride,     product.tiles,
        product.N, (int32_t)product.k, (int32_t)product.cols};
    /* kernels with fewer maps have fewer arguments */
    void *args[] = {&map,     &arguments, (char *)&product + forms[product.form].epilogue,
                    &maps[0], &maps[1],   &maps[2]};
    const int64_t tiles =
        most_tiles(how->tile_rows, product.N, product.E) * column_tiles(how, product.cols);
    return status == MOE_OK ? launch(queue, how, product.dtype, tiles, args) : status;
}

/* Rows that are added up are numbers of 31 bits. */
static int check_sums(const struct hopper_gradient *product)
{
    const int64_t p = product->p.stride, q = product->q.stride;
    if (product->N > INT32_MAX - 2 * STAGE_K)
        return moe_error(MOE_E_UNSUPPORTED, "gradients that sum 2^31 rows and more");
    return check_places(product->places, p > q ? p : q);
}

/* [N,cols] in boxes of 64 x 64. A gathered operand has no boxes, and any map does. */
static int encode_slices(struct moe_device *device, enum moe_dtype dtype, int64_t N, int64_t cols,
                         const struct gradient_operand *operand, struct moe_tensor_map *map)
{
    const struct moe_tensor_map_spec spec = {
        .type = dtype == MOE_BF16 ? MAP_BF16 : MAP_F16,
        .rank = 2,
        .swizzle = MAP_SWIZZLE_128,
        .promotion = MAP_PROMOTION_256,
        .base = (void *)operand->data,
        .size = {(uint64_t)cols, (uint64_t)N},
        .stride = {2 * (uint64_t)operand->stride},
        .box = {BOX, STAGE_K},
        .step = {1, 1},
    };
    if (operand->gather || N == 0) {
        memset(map, 0, sizeof *map);
        return MOE_OK;
    }
    return moe_device_tensor_map_encode(device, &spec, map);
}

/* [E,P,Q], or, turned, [E,Q,P], in boxes as they are stored. What is stored otherwise has none. */
static int encode_gradient(struct moe_device *device, const struct hopper_gradient *product,
                           struct moe_tensor_map *map)
{
    const uint64_t inner = (uint64_t)(product->turned ? product->p_cols : product->q_cols);
    const uint64_t outer = (uint64_t)(product->turned ? product->q_cols : product->p_cols);
    const uint64_t more = product->turned && planted(FAULT_TURNED_UNMASKED) ? BOX : 0;
    const struct moe_tensor_map_spec spec = {
        .type = product->dtype == MOE_BF16 ? MAP_BF16 : MAP_F16,
        .rank = 3,
        .swizzle = MAP_SWIZZLE_128,
        .base = product->d,
        .size = {inner + more, outer, (uint64_t)product->E},
        .stride = {2 * inner, 2 * inner * outer},
        .box = {BOX, BOX, 1},
        .step = {1, 1, 1},
    };
    if (product->d_dtype == MOE_F32 || product->add) {
        memset(map, 0, sizeof *map);
        return MOE_OK;
    }
    return moe_device_tensor_map_encode(device, &spec, map);
}

int hopper_gradient_run(const struct moe_gpu_queue *queue, int configuration,
                        const struct hopper_gradient *product)
{
    const struct product_configuration *how = NULL;
    struct moe_tensor_map p, q, d;
    int status = find(PRODUCT_GRADIENT, configuration, product->dtype, &how);
    if (status == MOE_OK)
        status = check_columns("columns of p", product->p_cols, product->turned ? 8 : 1);
    if (status == MOE_OK)
        status = check_columns("columns of q", product->q_cols, 8);
    if (status == MOE_OK)
        status = check_rows("p", product->p.data, product->p.stride, 16);
    if (status == MOE_OK)
        status = check_rows("q", product->q.data, product->q.stride, 16);
    if (status == MOE_OK)
        status = check_rows("d", product->d, product->q_cols, 16);
    if (status == MOE_OK && product->d_dtype != MOE_F32 && product->d_dtype != product->dtype)
        status =
            moe_error(MOE_E_UNSUPPORTED, "gradients of %s from %s",
                      moe_dtype_info(product->d_dtype)->name, moe_dtype_info(product->dtype)->name);
    if (status == MOE_OK)
        status = check_sums(product);
    if (status == MOE_OK)
        status = encode_slices(queue->device, product->dtype, product->N, product->p_cols,
                               &product->p, &p);
    if (status == MOE_OK)
        status = encode_slices(queue->device, product->dtype, product->N, product->q_cols,
                               &product->q, &q);
    if (status == MOE_OK)
        status = encode_gradient(queue->device, product, &d);
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
        product->turned,
    };
    void *args[] = {&p, &q, &d, &arguments};
    const int64_t row_tiles = (product->p_cols + TILE_ROWS - 1) / TILE_ROWS;
    return launch(queue, how, product->dtype,
                  product->E * row_tiles * column_tiles(how, product->q_cols), args);
}

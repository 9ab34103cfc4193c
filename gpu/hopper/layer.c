/*
 * layer.c - what both passes of the variant `hopper` stand on: memory cut up, rows, launches by
 * type.
 */
#include <stdio.h>

#include "gpu/fault.h"
#include "gpu/hopper/layer.h"
#include "gpu/parts_launch.h"

/* ---- configurations ----------------------------------------------------------------------- */

const char *const hopper_configuration_names[HOPPER_CONFIGURATIONS] = {
    "chosen", "128x192", "128x128", "128x64", "256x128", "288x128", "320x128"};
static const struct {
    int32_t rows, cols;
} configurations[HOPPER_CONFIGURATIONS] = {
    {TILE_ROWS, 256}, {TILE_ROWS, 192}, {TILE_ROWS, 128}, {TILE_ROWS, 64},
    {TALL_ROWS, 128}, {288, 128},       {320, 128},
};
#define NARROWEST 3

const int32_t hopper_tile_heights[TILE_HEIGHTS] = {TILE_ROWS, TALL_ROWS, 288, 320};

static int64_t mean_rows(const struct hopper_layer *layer, int shared)
{
    return shared ? layer->problem->T : layer->N / layer->problem->E;
}

/* Do experts have so few rows that a tall tile often has all of one, and reads its weights once?
 * The bounds are from an H200. */
static int has_few_rows(const struct hopper_layer *layer, enum product_form form, int shared)
{
    const int64_t rows = mean_rows(layer, shared);
    return rows > TILE_ROWS * 3 / 4 && rows <= TALL_ROWS + (form == PRODUCT_BACKWARD ? 128 : 32);
}

/* The height of tiles that lie across where one of them has all rows of most experts, so that
 * weights are read once; 0 where tiles by rows are faster: of few rows, of short sums forward, and
 * of more rows than one tile has, but back, where even a second one costs less. The bounds are from
 * an H200. */
static int32_t height_across(const struct hopper_layer *layer, enum product_form form, int shared)
{
    const int64_t rows = mean_rows(layer, shared);
    const int back = form == PRODUCT_BACKWARD;
    if (rows <= TILE_ROWS * 3 / 4)
        return 0;
    if (rows <= 256 + 8)
        return back || rows > 192 || layer->problem->H > 2048 ? 288 : 0;
    return back && rows <= 320 + 8 ? 320 : 0;
}

/* The widest tile of a form that is that high and at most so wide; else the narrowest that high; -1
 * where none is. */
static int find_tile(enum product_form form, int32_t rows, int32_t cols)
{
    const struct product_configuration *row;
    int found = -1;
    for (int i = 0; (row = hopper_configuration(form, i)); i++) {
        if (row->tile_rows != rows)
            continue;
        found = i;
        if (row->tile_cols <= cols)
            break;
    }
    return found;
}

int hopper_choose(const struct hopper_layer *layer, enum product_form form, int shared)
{
    const int is_chosen = layer->configuration == 0;
    const int32_t cols = configurations[layer->configuration].cols;
    int found = is_chosen ? find_tile(form, height_across(layer, form, shared), cols)
                          : find_tile(form, configurations[layer->configuration].rows, cols);
    if (found < 0 && is_chosen && has_few_rows(layer, form, shared))
        found = find_tile(form, TALL_ROWS, cols);
    return found >= 0 ? found : find_tile(form, TILE_ROWS, cols);
}

/* ---- memory ------------------------------------------------------------------------------- */

/* Parts of a row in any configuration: those of the narrowest tiles. */
static int64_t most_parts(int64_t units)
{
    const int32_t narrowest = configurations[planted(FAULT_PARTS_OF_WIDEST) ? 0 : NARROWEST].cols;
    return (units + narrowest - 1) / narrowest;
}

int64_t hopper_space_lay_out(const struct moe_problem *p, void *at, struct hopper_space *s)
{
    const int64_t N = moe_problem_max_entries(p), T = p->T, H = p->H, I = p->I, S = p->shared;
    const int64_t Z = moe_problem_z_rows(p), U = moe_problem_shared_rows(p);
    const int rounded = p->round != MOE_ROUND_NONE, routes = p->router != MOE_LISTS;
    const int64_t parts = N * most_parts(I), shared_parts = T * most_parts(S);
    char *next = at;
    s->rounding = part_take(&next, rounded ? moe_gpu_round_bytes(p) : 0);
    s->top = part_take(&next, rounded ? T * p->K * 4 : 0);
    s->counts = part_take(&next, hopper_chunks(p, NULL) * ((p->E + 1) / 2) * 4);
    s->a = part_take(&next, N * I * 2);
    s->y = part_take(&next, N * H * 2);
    s->dz = part_take(&next, N * Z * 2);
    s->sx = part_take(&next, p->weight == MOE_WEIGHT_INPUT ? N * H * 2 : 0);
    s->parts = part_take(&next, 4 * (parts > shared_parts ? parts : shared_parts));
    s->shared_z = part_take(&next, T * U * 2);
    s->shared_dz = part_take(&next, T * U * 2);
    s->shared_a = part_take(&next, T * S * 2);
    s->shared_y = part_take(&next, S > 0 ? T * H * 2 : 0);
    s->gate = part_take(&next, p->shared_gate ? T * 4 : 0);
    s->q = part_take(&next, p->shared_gate ? T * 4 : 0);
    const int pieces = hopper_router_in_pieces(p);
    s->router_dx = part_take(&next, routes && !pieces ? T * H * 4 : 0);
    const int64_t width = hopper_router_width(p), slices = routes ? hopper_router_slices(p) : 0;
    s->router_dw = part_take(&next, slices * (pieces ? 3 * width : p->E) * H * 4);
    s->router_pieces = part_take(&next, pieces ? T * 3 * width * 2 : 0);
    s->gate_parts = part_take(&next, p->shared_gate ? hopper_gate_slices(p) * H * 4 : 0);
    s->bias_parts = part_take(&next, p->router_bias ? hopper_gate_slices(p) * p->E * 4 : 0);
    if (planted(FAULT_WORKSPACE_TOO_SMALL))
        return (next - (char *)at) / 2;
    return next - (char *)at;
}

int64_t hopper_kept_lay_out(const struct moe_problem *p, void *at, struct hopper_kept *k)
{
    const int64_t N = moe_problem_max_entries(p);
    char *next = at;
    k->picks = part_take(&next, p->router == MOE_LISTS ? N * 4 : 0);
    k->expert_begin = part_take(&next, (p->E + 1) * 8);
    k->row_token = part_take(&next, N * 8);
    k->row_entry = part_take(&next, N * 8);
    k->entry_row = part_take(&next, N * 8);
    k->row_score = part_take(&next, N * 4);
    for (int i = 0; i < TILE_HEIGHTS; i++)
        k->tile_memory[i] = part_take(&next, hopper_tiles_bytes(hopper_tile_heights[i], N, p->E));
    k->token_begin = part_take(&next, 2 * 8);
    k->router_begin = k->gate_begin = NULL;
    if (hopper_router_in_pieces(p))
        k->router_begin = part_take(&next, (hopper_router_slices(p) + 1) * 8);
    if (p->shared_gate)
        k->gate_begin = part_take(&next, (hopper_gate_slices(p) + 1) * 8);
    return next - (char *)at;
}

/* ---- launches ----------------------------------------------------------------------------- */

static void name_of(const struct hopper_layer *layer, const char *name, size_t size, char *kernel)
{
    snprintf(kernel, size, "%s_%s", name, layer->dtype == MOE_BF16 ? "bf16" : "f16");
}

int hopper_launch(const struct hopper_layer *layer, const char *name, int64_t threads, void **args)
{
    char kernel[64];
    name_of(layer, name, sizeof kernel, kernel);
    return launch_elements(&layer->queue, kernel, threads, args);
}

/* ---- kept memory -------------------------------------------------------------------------- */

void hopper_layer_find_kept(struct hopper_layer *layer, void *kept)
{
    hopper_kept_lay_out(layer->problem, kept, &layer->kept);
    for (int i = 0; i < TILE_HEIGHTS; i++)
        layer->tiles[i] = hopper_tiles_at(layer->problem->E, layer->kept.tile_memory[i]);
}

/* ---- products ----------------------------------------------------------------------------- */

static const struct row_tiles *tiles_of_height(const struct hopper_layer *layer, int32_t rows)
{
    int i = 0;
    while (hopper_tile_heights[i] != rows)
        i++;
    return layer->tiles[i];
}

int hopper_layer_product(const struct hopper_layer *layer, int shared,
                         struct hopper_product *product)
{
    product->dtype = layer->dtype;
    product->N = shared ? layer->problem->T : layer->N;
    product->E = shared ? 1 : layer->problem->E;
    product->places = product->gather ? layer->problem->T : product->N;
    const int chosen = hopper_choose(layer, product->form, shared);
    const int32_t rows = hopper_configuration(product->form, chosen)->tile_rows;
    product->tiles = shared ? NULL : tiles_of_height(layer, rows);
    return hopper_product_run(&layer->queue, chosen, product);
}

int hopper_layer_gradient(const struct hopper_layer *layer, int shared,
                          struct hopper_gradient *product)
{
    product->dtype = layer->dtype;
    product->d_dtype = layer->grad;
    product->N = shared ? layer->problem->T : layer->N;
    product->E = shared ? 1 : layer->problem->E;
    product->places = layer->N > layer->problem->T ? layer->N : layer->problem->T;
    product->expert_begin = shared ? layer->kept.token_begin : layer->kept.expert_begin;
    product->add = layer->problem->beta;
    return hopper_gradient_run(&layer->queue, hopper_choose(layer, PRODUCT_GRADIENT, shared),
                               product);
}

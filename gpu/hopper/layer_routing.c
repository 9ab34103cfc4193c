/*
 * layer_routing.c - the routing of the variant `hopper`: logits; picks, scores and counts; rows.
 * Three launches, two for lists, and some more where token rounding comes between.
 */
#include "gpu/hopper/layer.h"
#include "gpu/parts_launch.h"

/* Chunks: enough to fill a GPU, and few enough for each to look at the counts of all, but where
 * these would not have 16 bits. */
#define CHUNK_TOKENS 32
#define MOST_CHUNKS 128
#define MOST_CHUNK_TOKENS (32 * 1024)

/* Of shared memory, for counts and keys. */
#define PICKING_BYTES (200 * 1024)

int64_t hopper_chunks(const struct moe_problem *problem, int64_t *chunk_tokens)
{
    const int64_t T = problem->T;
    int64_t tokens = (T + MOST_CHUNKS - 1) / MOST_CHUNKS;
    tokens = tokens < CHUNK_TOKENS        ? CHUNK_TOKENS
             : tokens > MOST_CHUNK_TOKENS ? MOST_CHUNK_TOKENS
                                          : tokens;
    if (chunk_tokens)
        *chunk_tokens = tokens;
    return T > 0 ? (T + tokens - 1) / tokens : 1;
}

/* Fewer tokens have a warp each: then what counts is how soon one is done. */
#define FEW_TOKENS 8

static int32_t tokens_at_once(const struct moe_problem *problem)
{
    return problem->T > FEW_TOKENS ? TOKENS_AT_ONCE : 1;
}

/* A kernel of picks.cu: a block a chunk. Of its warps each has so many tokens at once, and room for
 * keys of so many bytes. */
static int launch_picking(struct hopper_layer *layer, const char *kernel, int64_t key_bytes,
                          struct picking picking)
{
    const struct moe_problem *p = layer->problem;
    const int64_t warp_bytes = picking.warp_keys * key_bytes;
    int64_t warps = PICKING_THREADS / 32;
    const int64_t chunks = hopper_chunks(p, &picking.chunk_tokens);
    const int64_t tokens = picking.chunk_tokens < p->T ? picking.chunk_tokens : p->T;
    const int64_t busy = (tokens + picking.at_once - 1) / picking.at_once;
    picking.keys_at = (p->E * 4 + 15) / 16 * 16;
    if (warp_bytes > 0 && warps > (PICKING_BYTES - picking.keys_at) / warp_bytes)
        warps = (PICKING_BYTES - picking.keys_at) / warp_bytes;
    warps = warps < busy ? warps : busy > 0 ? busy : 1;
    void *args[] = {&picking};
    return launch_blocks(&layer->queue, kernel, chunks, (uint32_t)warps * 32,
                         (uint32_t)(picking.keys_at + warps * warp_bytes), args);
}

static struct picking picking_of(const struct hopper_layer *layer, int32_t *picks)
{
    const struct moe_problem *p = layer->problem;
    return (struct picking){
        .T = p->T,
        .E = p->E,
        .K = p->K,
        .router = p->router,
        .renorm = p->renorm,
        .scale = p->scale,
        .groups = p->groups,
        .groups_kept = p->groups_kept,
        .logits = hopper_data(layer, MOE_LOGITS),
        .sel_bias = hopper_data(layer, MOE_SEL_BIAS),
        .offsets = layer->offsets,
        .picks = picks,
        .scores = hopper_data(layer, MOE_SCORES),
        .counts = layer->space.counts,
        .at_once = tokens_at_once(p),
    };
}

/* The narrowest tile that has all experts: each row of x is read once, and no columns are
 * multiplied in vain. Of few tokens the narrowest whose tiles can be worked on at once, for each
 * goes through all of wr. But where a configuration is forced. Bits do not depend on it. */
static int choose_logits(const struct hopper_layer *layer, int *chosen)
{
    const struct moe_problem *p = layer->problem;
    const int64_t row_tiles = (p->T + TILE_ROWS - 1) / TILE_ROWS;
    const struct product_configuration *row;
    int64_t multiprocessors = 0;
    const int status =
        moe_device_attribute(layer->device, MOE_DEVICE_MULTIPROCESSORS, &multiprocessors);
    *chosen = hopper_choose(layer, PRODUCT_FORWARD, 1);
    for (int i = 1; layer->configuration == 0 && (row = hopper_configuration(PRODUCT_FORWARD, i));
         i++)
        if (row->tile_rows == TILE_ROWS &&
            (row->tile_cols >= p->E ||
             row_tiles * ((p->E + row->tile_cols - 1) / row->tile_cols) <= multiprocessors))
            *chosen = i;
    return status;
}

static int logits(struct hopper_layer *layer)
{
    const struct moe_problem *p = layer->problem;
    int configuration;
    const int status = choose_logits(layer, &configuration);
    struct hopper_product product = {
        .form = PRODUCT_FORWARD,
        .dtype = layer->dtype,
        .N = p->T,
        .E = 1,
        .cols = p->E,
        .k = p->H,
        .a = hopper_data(layer, MOE_X),
        .a_stride = p->H,
        .weights = hopper_data(layer, MOE_WR),
        .store = {.d = hopper_data(layer, MOE_LOGITS),
                  .stride = p->E,
                  .bias = hopper_data(layer, MOE_BR),
                  .wide = 1},
    };
    return status == MOE_OK ? hopper_product_run(&layer->queue, configuration, &product) : status;
}

/* Top-k of the logits, with scores and counts, or without: scores NULL. Keys are scores, in shared
 * memory on their way to registers; or logits, there only if registers have no room for them, or if
 * experts have groups. */
static int top_k(struct hopper_layer *layer, struct picking picking)
{
    const struct moe_problem *p = layer->problem;
    const int by_logit = p->router == MOE_TOPK_SOFTMAX || p->router == MOE_SOFTMAX_TOPK;
    const int64_t held = by_logit ? LOGIT_KEYS : SCORE_KEYS;
    picking.in_turn = picking.at_once == 1 || p->E > held * 8 || p->groups > 0;
    if (!picking.in_turn)
        picking.warp_keys = by_logit ? 0 : picking.at_once * p->E;
    else if (!by_logit || p->E > held * 32 || p->groups > 0)
        picking.warp_keys = p->E + p->groups;
    return launch_picking(layer, by_logit ? "hopper_route_by_logit" : "hopper_route_by_score",
                          by_logit ? 4 : 8, picking);
}

/* Top-k, rounded: offsets, picks and scores. */
static int round_top_k(struct hopper_layer *layer, int32_t *picks)
{
    struct picking top = picking_of(layer, layer->space.top);
    top.scores = NULL;
    int status = top_k(layer, top);
    if (status == MOE_OK)
        status = moe_gpu_round(&layer->queue, layer->problem, top.logits, top.picks,
                               layer->space.rounding, hopper_data(layer, MOE_OFFSETS), picks);
    return status == MOE_OK ? launch_picking(layer, "hopper_score", 0, picking_of(layer, picks))
                            : status;
}

static int clean(struct hopper_layer *layer, uint32_t *status_word)
{
    struct picking picking = picking_of(layer, layer->kept.picks);
    picking.lists = hopper_data(layer, MOE_PICKS);
    picking.status = status_word;
    picking.at_once = 1;
    return launch_picking(layer, "hopper_clean", 0, picking);
}

/* Rows of picks that are counted. */
static int place(struct hopper_layer *layer, const int32_t *picks)
{
    const struct moe_problem *p = layer->problem;
    const struct hopper_kept *kept = &layer->kept;
    struct routing routing = {
        .T = p->T,
        .E = p->E,
        .K = p->K,
        .offsets = layer->offsets,
        .picks = picks,
        .scores = hopper_data(layer, MOE_SCORES),
        .counts = layer->space.counts,
        .expert_begin = kept->expert_begin,
        .row_token = kept->row_token,
        .row_entry = kept->row_entry,
        .entry_row = kept->entry_row,
        .row_score = kept->row_score,
        .slices = {{1, kept->token_begin},
                   {hopper_router_slices(p), kept->router_begin},
                   {hopper_gate_slices(p), kept->gate_begin}},
    };
    void *args[] = {&routing};
    for (int i = 0; i < TILE_HEIGHTS; i++)
        routing.lists[i] = (struct tile_list){hopper_tile_heights[i], layer->tiles[i]};
    if (layer->N > HOPPER_MOST_ROWS)
        return moe_error(MOE_E_UNSUPPORTED, "%lld rows: up to %lld are taken", (long long)layer->N,
                         (long long)HOPPER_MOST_ROWS);
    routing.chunks = hopper_chunks(p, &routing.chunk_tokens);
    return launch_blocks(&layer->queue, "hopper_place", routing.chunks, ROUTING_THREADS,
                         (uint32_t)PLACE_BYTES(p->E), args);
}

int hopper_layer_route(struct hopper_layer *layer, uint32_t *status_word)
{
    int32_t *picks = hopper_data(layer, MOE_PICKS);
    int status;
    if (layer->problem->router == MOE_LISTS) {
        status = clean(layer, status_word);
        picks = layer->kept.picks;
    } else {
        status = logits(layer);
        if (status == MOE_OK)
            status = layer->problem->round != MOE_ROUND_NONE
                         ? round_top_k(layer, picks)
                         : top_k(layer, picking_of(layer, picks));
    }
    return status == MOE_OK ? place(layer, picks) : status;
}

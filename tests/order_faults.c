/*
 * order_faults.c - a plug-in for t_gpu_order: a small layer on a GPU that is right (configuration
 * `none`), and the same with one fault each that only order and surroundings show.
 *
 * It holds its own copy of gpu/ and its own table of kernels, on the host's context. It declares
 * itself deterministic, batch-invariant and capturable, and that it neither waits nor allocates.
 * The variants order-WHAT-3 are right but for the case with seed=3, for gpu_worker.sh.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/gpu.h"
#include "verify/variant.h"

#define PROMOTE 32
#define OWN_BYTES (8 << 20)

enum fault {
    NONE,
    OTHER_STREAM,
    DEFAULT_STREAM,
    HOST_WAITS,
    NO_WAIT,
    FROZEN_EPOCH,
    ALLOCATES,
    COUNTER,
    CACHED_OUTPUT,
    ATOMICS,
    ALL_RESIDENT,
    UNWRITTEN_SHARED,
    LEAKS,
    HOLDS,
    ILLEGAL_ADDRESS,
    LATE_ERROR,
    HANGS,
    NEVER_PROMOTES,
    READ_BEHIND_X,
    READ_BEFORE_W2,
    UNTOLD_IDS,
    WHOLE, /* right: its kernels need all of a multiprocessor */
    FAULTS
};

static const char *const names[FAULTS] = {
    [NONE] = "none",
    [OTHER_STREAM] = "other-stream",
    [DEFAULT_STREAM] = "default-stream",
    [HOST_WAITS] = "host-waits",
    [NO_WAIT] = "no-wait",
    [FROZEN_EPOCH] = "frozen-epoch",
    [ALLOCATES] = "allocates",
    [COUNTER] = "counter-not-put-back",
    [CACHED_OUTPUT] = "cached-output",
    [ATOMICS] = "atomics",
    [ALL_RESIDENT] = "all-resident",
    [UNWRITTEN_SHARED] = "unwritten-shared",
    [LEAKS] = "leaks",
    [HOLDS] = "holds-until-backward",
    [ILLEGAL_ADDRESS] = "illegal-address",
    [LATE_ERROR] = "late-error",
    [HANGS] = "hangs",
    [NEVER_PROMOTES] = "never-promotes",
    [READ_BEHIND_X] = "read-behind-x",
    [READ_BEFORE_W2] = "read-before-w2",
    [UNTOLD_IDS] = "untold-ids",
    [WHOLE] = "whole-multiprocessors",
};

/* As order_kernels.cu has it. */
struct order_layer {
    int64_t T, H, I, E, K;
    const void *x, *w1, *w2, *d_o;
    const float *scores;
    const int32_t *picks;
    void *z, *o, *dx, *dw1, *dw2;
    float *ds;
    int64_t *row_of;
    float *da, *dz;
    uint32_t *status;
    int32_t bf16;
};

/* As bits_kernels.cu has it. */
struct bits_product {
    int64_t rows, cols, words, slice, promote;
    const void *a, *b;
    const float *start;
    float *partial;
    int64_t share;
    int32_t swapped;
};

#define ALIGNMENT 16 /* words and pairs of 16-bit elements are loaded as they lie */

struct state {
    const struct moe_problem *problem;
    enum fault fault;
    void *own_stream;
    uint32_t *counter; /* device */
    float *saved;      /* device [T,H] */
    void *held;        /* device, from forward to backward */
    uint32_t calls;    /* of forward */
    int64_t multiprocessors, shared_bytes;
};

/* The plug-in's own device, on the same context as the host's: its kernels are in another table. */
static struct moe_device *device;

static int supports(const struct moe_problem *p, char *why, size_t size)
{
    if ((p->dtype == MOE_F32 || (p->dtype == MOE_BF16 && p->H % 16 == 0)) &&
        p->grad != MOE_GRAD_F32 && p->act == MOE_RELU2 && p->router == MOE_LISTS && !p->bias &&
        p->weight == MOE_WEIGHT_AFTER_W2 && p->shared == 0 && !p->beta && p->T > 0 &&
        p->routing != MOE_ROUTING_RAGGED)
        return MOE_OK;
    snprintf(why, size, "dtype=f32, or bf16 with H a multiple of 16; act=relu2 router=lists alone");
    return MOE_E_UNSUPPORTED;
}

static int64_t workspace_bytes(const struct moe_problem *p)
{
    return p->T * p->K * (8 + 2 * 4 * p->I);
}

static int64_t no_bytes(const struct moe_problem *problem)
{
    (void)problem;
    return 0;
}

/* bf16: z comes from tensor cores, in a chain that is emptied into an f32 sum every 32 of k. */
static void recipe(const struct moe_problem *problem, struct moe_recipe *recipe)
{
    *recipe = moe_recipe_plain(problem, MOE_F32);
    if (problem->dtype != MOE_BF16)
        return;
    recipe->product[MOE_IN_Z].accumulator = MOE_ACC_MMA16_F32;
    recipe->product[MOE_IN_Z].extra = (int)(problem->H / PROMOTE) + 1;
    recipe->product[MOE_IN_Z].order =
        (struct moe_order){.instruction = MOE_MMA_K16, .promote = PROMOTE};
}

/* ---- open and close -------------------------------------------------------------------------- */

static void close_variant(void *memory)
{
    struct state *state = memory;
    moe_device_stream_destroy(device, state->own_stream);
    moe_device_free(device, state->counter);
    moe_device_free(device, state->saved);
    moe_device_free(device, state->held);
    free(state);
}

/* Memory that nobody knows of any more. */
static int leak(void)
{
    void *lost = NULL;
    return moe_device_allocate(device, OWN_BYTES, &lost);
}

static int open_variant(struct moe_device *host_device, const struct moe_problem *problem,
                        int32_t configuration, void **memory)
{
    struct state *state = calloc(1, sizeof *state);
    int status = device ? MOE_OK : moe_device_open(MOE_ON_CUDA, 0, &device);
    (void)host_device;
    if (!state)
        return moe_error(MOE_E_NOMEM, "no memory for a state");
    state->problem = problem;
    state->fault = (enum fault)configuration;
    if (status == MOE_OK)
        status = moe_device_stream_create(device, &state->own_stream);
    if (status == MOE_OK)
        status = moe_device_allocate(device, 4, (void **)&state->counter);
    if (status == MOE_OK)
        status = moe_device_allocate(device, problem->T * problem->H * 4, (void **)&state->saved);
    if (status == MOE_OK)
        status = moe_device_fill(device, state->counter, 0, 4, state->own_stream);
    if (status == MOE_OK)
        status = moe_device_synchronize(device, state->own_stream);
    if (status == MOE_OK)
        status = moe_device_attribute(device, MOE_DEVICE_MULTIPROCESSORS, &state->multiprocessors);
    if (status == MOE_OK)
        status = moe_device_attribute(device, MOE_DEVICE_SHARED_BYTES, &state->shared_bytes);
    if (status == MOE_OK && state->fault == LEAKS)
        status = leak();
    if (status == MOE_OK)
        *memory = state;
    else if (device)
        close_variant(state);
    else
        free(state);
    return status;
}

/* ---- the layer ------------------------------------------------------------------------------- */

static struct order_layer layer_of(const struct state *state, const struct moe_call *call)
{
    const struct moe_problem *p = state->problem;
    const struct moe_tensor *t = call->tensors;
    int64_t P = p->T * p->K;
    struct order_layer layer = {
        .T = p->T,
        .H = p->H,
        .I = p->I,
        .E = p->E,
        .K = p->K,
        .x = t[MOE_X].data,
        .w1 = t[MOE_W1].data,
        .w2 = t[MOE_W2].data,
        .d_o = t[MOE_DO].data,
        .scores = t[MOE_SCORES].data,
        .picks = t[MOE_PICKS].data,
        .z = t[MOE_Z].data,
        .o = t[MOE_O].data,
        .dx = t[MOE_DX].data,
        .ds = t[MOE_DS].data,
        .dw1 = t[MOE_DW1].data,
        .dw2 = t[MOE_DW2].data,
        .status = state->fault == UNTOLD_IDS ? NULL : call->status,
        .bf16 = p->dtype == MOE_BF16,
        .row_of = call->workspace,
        .da = (float *)((char *)call->workspace + 8 * P),
    };
    layer.dz = layer.da + P * p->I;
    return layer;
}

static int run(const char *kernel, uint32_t blocks, uint32_t threads, uint32_t shared, void *stream,
               void **args)
{
    struct moe_launch launch = {.kernel = kernel,
                                .grid = {blocks, 1, 1},
                                .block = {threads, 1, 1},
                                .shared_bytes = shared,
                                .dependent = 1,
                                .stream = stream,
                                .args = args};
    return moe_device_launch(device, &launch);
}

/* bf16: for each expert the product of all entries, of which its own are kept. */
static int run_z_by_instructions(struct state *state, struct order_layer *layer, void *stream)
{
    int64_t P = layer->T * layer->K, words = layer->H / 2;
    int status = MOE_OK;
    for (int64_t e = 0; e < layer->E && status == MOE_OK; e++) {
        struct bits_product product = {.rows = P,
                                       .cols = layer->I,
                                       .words = words,
                                       .slice = words,
                                       .promote = state->fault == NEVER_PROMOTES ? 0 : PROMOTE / 2,
                                       .a = layer->x,
                                       .b = (const char *)layer->w1 + e * layer->I * layer->H * 2,
                                       .partial = layer->da,
                                       .share = layer->K};
        struct moe_launch launch = {
            .kernel = "bits_sync_bf16",
            .grid = {(uint32_t)(P + 63) / 64, (uint32_t)(layer->I + 7) / 8, 1},
            .block = {128, 1, 1},
            .stream = stream,
            .args = (void *[]){&product}};
        status = moe_device_launch(device, &launch);
        if (status == MOE_OK)
            status = run("order_keep", 64, 128, 0, stream, (void *[]){layer, &layer->da, &e});
    }
    return status;
}

static int run_all(const struct state *state, const char *const *kernels, struct order_layer *layer,
                   void *stream)
{
    const uint32_t shared = state->fault == WHOLE ? (uint32_t)state->shared_bytes : 0;
    int status = MOE_OK;
    for (; *kernels && status == MOE_OK; kernels++)
        status = run(*kernels, 64, 128, shared, stream, (void *[]){layer});
    return status;
}

static int run_rows(struct state *state, struct order_layer *layer, void *stream)
{
    int wait = state->fault != NO_WAIT;
    return run("order_rows", 16, 128, 0, stream, (void *[]){layer, &wait});
}

/* ---- faults ---------------------------------------------------------------------------------- */

static void *stream_of(const struct state *state, const struct moe_call *call)
{
    return state->fault == OTHER_STREAM     ? state->own_stream
           : state->fault == DEFAULT_STREAM ? NULL
                                            : call->stream;
}

/* The output of the first call, whatever the inputs are. */
static int cache(struct state *state, struct order_layer *layer, void *stream)
{
    int64_t bytes = state->problem->T * state->problem->H * 4;
    return state->calls == 0 ? moe_device_copy(device, state->saved, layer->o, bytes, stream)
                             : moe_device_copy(device, layer->o, state->saved, bytes, stream);
}

static int count(struct state *state, struct order_layer *layer, void *stream)
{
    uint32_t expected = state->fault == FROZEN_EPOCH ? state->calls : 0;
    return run("order_count", 1, 1, 0, stream, (void *[]){&layer->o, &state->counter, &expected});
}

static int all_come(struct state *state, struct order_layer *layer, void *stream)
{
    (void)layer;
    int status = moe_device_fill(device, state->counter, 0, 4, stream);
    return status == MOE_OK
               ? run("order_all_come", (uint32_t)state->multiprocessors, 32,
                     (uint32_t)state->shared_bytes, stream, (void *[]){&state->counter})
               : status;
}

static int read_shared(struct state *state, struct order_layer *layer, void *stream)
{
    uint32_t words = (uint32_t)(state->shared_bytes / 4);
    return run("order_unwritten_shared", (uint32_t)state->multiprocessors, 128, words * 4, stream,
               (void *[]){&layer->o, &words});
}

static int store_somewhere(struct state *state, struct order_layer *layer, void *stream)
{
    uint64_t address = 64;
    (void)state, (void)layer;
    return run("order_store", 1, 1, 0, stream, (void *[]){&address});
}

/* After this call, on another stream. */
static int store_later(struct state *state, struct order_layer *layer, void *stream)
{
    uint64_t address = 64;
    (void)layer, (void)stream;
    return run("order_store_late", 1, 1, 0, state->own_stream, (void *[]){&address});
}

static int read_word(const void *address, void *stream)
{
    return run("order_read", 1, 1, 0, stream, (void *[]){(void *)&address});
}

/* A word, of which nothing becomes. */
static int read_behind_x(struct state *state, struct order_layer *layer, void *stream)
{
    (void)state;
    return read_word((const char *)layer->x + layer->T * layer->H * (layer->bf16 ? 2 : 4), stream);
}

static int read_before_w2(struct state *state, struct order_layer *layer, void *stream)
{
    (void)state;
    return read_word((const char *)layer->w2 - 4, stream);
}

static int hold(struct state *state, struct order_layer *layer, void *stream)
{
    (void)layer, (void)stream;
    return state->held ? MOE_OK : moe_device_allocate(device, OWN_BYTES, &state->held);
}

static int hang(struct state *state, struct order_layer *layer, void *stream)
{
    (void)layer;
    return run("order_forever", 1, 1, 0, stream, (void *[]){&state->counter});
}

static int host_waits(struct state *state, struct order_layer *layer, void *stream)
{
    (void)state, (void)layer;
    return moe_device_synchronize(device, stream);
}

static int allocate(struct state *state, struct order_layer *layer, void *stream)
{
    void *memory = NULL;
    (void)state, (void)layer, (void)stream;
    int status = moe_device_allocate(device, 1 << 20, &memory);
    moe_device_free(device, memory);
    return status;
}

/* What comes after a right forward pass. */
static int (*const after_forward[FAULTS])(struct state *, struct order_layer *, void *) = {
    [OTHER_STREAM] = host_waits,
    [DEFAULT_STREAM] = host_waits,
    [HOST_WAITS] = host_waits,
    [FROZEN_EPOCH] = count,
    [ALLOCATES] = allocate,
    [COUNTER] = count,
    [CACHED_OUTPUT] = cache,
    [ALL_RESIDENT] = all_come,
    [UNWRITTEN_SHARED] = read_shared,
    [HOLDS] = hold,
    [ILLEGAL_ADDRESS] = store_somewhere,
    [LATE_ERROR] = store_later,
    [HANGS] = hang,
    [READ_BEHIND_X] = read_behind_x,
    [READ_BEFORE_W2] = read_before_w2,
};

/* ---- passes ---------------------------------------------------------------------------------- */

static int forward(void *memory, const struct moe_call *call)
{
    static const char *const whole[] = {"order_z", "order_o", NULL};
    struct state *state = memory;
    struct order_layer layer = layer_of(state, call);
    void *stream = stream_of(state, call);
    int status = moe_call_check(call, workspace_bytes(state->problem), 0);
    if (status == MOE_OK)
        status = moe_call_check_dense(call, ALIGNMENT);
    if (status == MOE_OK)
        status = run_rows(state, &layer, stream);
    if (status == MOE_OK && layer.bf16)
        status = run_z_by_instructions(state, &layer, stream);
    if (status == MOE_OK)
        status = run_all(state, layer.bf16 ? whole + 1 : whole, &layer, stream);
    if (status == MOE_OK && after_forward[state->fault])
        status = after_forward[state->fault](state, &layer, stream);
    state->calls++;
    return status;
}

static int add_atomically(const struct moe_problem *p, struct order_layer *layer, void *stream)
{
    int64_t bytes = p->E * p->I * p->H * 4;
    int status = moe_device_fill(device, layer->dw1, 0, bytes, stream);
    if (status == MOE_OK)
        status = moe_device_fill(device, layer->dw2, 0, bytes, stream);
    return status == MOE_OK
               ? run("order_dw_atomic", (uint32_t)(p->T * p->K), 128, 0, stream, (void *[]){layer})
               : status;
}

static int backward(void *memory, const struct moe_call *call)
{
    static const char *const kernels[] = {"order_dz", "order_dx", "order_dw", NULL};
    struct state *state = memory;
    struct order_layer layer = layer_of(state, call);
    void *stream = stream_of(state, call);
    int status = moe_call_check(call, workspace_bytes(state->problem), 0);
    if (status == MOE_OK)
        status = moe_call_check_dense(call, ALIGNMENT);
    if (status == MOE_OK)
        status = run_rows(state, &layer, stream);
    if (status == MOE_OK)
        status = run_all(state, kernels, &layer, stream);
    if (status == MOE_OK && state->fault == ATOMICS)
        status = add_atomically(state->problem, &layer, stream);
    if (status == MOE_OK && stream != call->stream)
        status = moe_device_synchronize(device, stream);
    moe_device_free(device, state->held);
    state->held = NULL;
    return status;
}

/* ---- the plug-in ----------------------------------------------------------------------------- */

/* Right, but for the case with seed=3. */
static int open_illegal(struct moe_device *host_device, const struct moe_problem *problem,
                        int32_t configuration, void **memory)
{
    (void)configuration;
    return open_variant(host_device, problem, problem->seed == 3 ? ILLEGAL_ADDRESS : NONE, memory);
}

static int open_late(struct moe_device *host_device, const struct moe_problem *problem,
                     int32_t configuration, void **memory)
{
    (void)configuration;
    return open_variant(host_device, problem, problem->seed == 3 ? LATE_ERROR : NONE, memory);
}

static int open_hanging(struct moe_device *host_device, const struct moe_problem *problem,
                        int32_t configuration, void **memory)
{
    (void)configuration;
    return open_variant(host_device, problem, problem->seed == 3 ? HANGS : NONE, memory);
}

static const struct moe_variant variant = {
    .struct_size = sizeof(struct moe_variant),
    .devices = MOE_ON_CUDA,
    .alignment = ALIGNMENT,
    .flags = MOE_DETERMINISTIC | MOE_BATCH_INVARIANT | MOE_CAPTURABLE | MOE_DENSE_ONLY,
    .name = "order",
    .summary = "a small layer, right or with a fault of order: its configurations",
    .supports = supports,
    .configurations = names,
    .configuration_count = FAULTS,
    .workspace_bytes = workspace_bytes,
    .kept_bytes = no_bytes,
    .recipe = recipe,
    .open = open_variant,
    .forward = forward,
    .backward = backward,
    .close = close_variant,
};

/* Those that are wrong in one case: names, and how they open. */
static const struct {
    const char *name;
    int (*open)(struct moe_device *, const struct moe_problem *, int32_t, void **);
} once[] = {
    {"order-illegal-3", open_illegal},
    {"order-late-3", open_late},
    {"order-hangs-3", open_hanging},
};

#define ONCE (sizeof once / sizeof *once)

static struct moe_variant single[ONCE];
static const struct moe_variant *variants[1 + ONCE] = {&variant};

__attribute__((visibility("default"))) const struct moe_plugin *moe_plugin(void)
{
    static const struct moe_plugin plugin = {
        .struct_size = sizeof(struct moe_plugin),
        .version = MOE_PLUGIN_VERSION,
        .problem_size = sizeof(struct moe_problem),
        .tensor_size = sizeof(struct moe_tensor),
        .tensor_count = MOE_TENSOR_COUNT,
        .recipe_size = sizeof(struct moe_recipe),
        .call_size = sizeof(struct moe_call),
        .variant_count = 1 + ONCE,
        .variants = variants,
    };
    for (size_t i = 0; i < ONCE; i++) {
        single[i] = variant;
        single[i].name = once[i].name;
        single[i].open = once[i].open;
        single[i].configurations = NULL;
        single[i].configuration_count = 0;
        variants[1 + i] = &single[i];
    }
    return &plugin;
}

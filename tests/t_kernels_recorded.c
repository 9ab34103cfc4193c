/*
 * t_kernels_recorded.c - whole kernels of the project give on the PTX machine what they gave on an
 * H100 or H200, bit for bit: the functions of gpu/parts.h as t_parts calls them, and whole layers
 * of hopper. What comes out is hashed (XXH3-128) and compared with tests/ptx/recorded.txt, whose
 * head t_ptx_recorded.c tells.
 *
 *     t_kernels_recorded [--record FILE]
 *
 * PTX has sums that ptxas may fuse with the product before them, and nvcc leaves such where -fmad
 * is not false. A row is right with all of them fused or with none. With a GPU of capability 9.0
 * each row runs on both, and the first element that differs is printed. --record adds to the table
 * in FILE.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "gpu/ptx/device_own.h"
#include "tests/parts_array.h"
#include "tests/parts_tests.h"
#include "tests/recorded.h"
#include "verify/variant.h"
#include "verify/verify.h"

extern const struct moe_variant moe_variant_hopper;

static const struct row {
    const char *name;
    int (*part)(void); /* or a case of hopper */
    const char *line;
} rows[] = {
    {"kernels_tokens_pick", tokens_pick, NULL},
    {"kernels_scores", scores_are_right, NULL},
    {"kernels_scores_of_nan", scores_of_nan, NULL},
    {"kernels_logit_gradients", gradients_reach_logits, NULL},
    {"kernels_rounding", tokens_are_rounded, NULL},
    {"kernels_lists", lists_become_rows, NULL},
    {"kernels_wrong_ids", wrong_ids_are_dropped, NULL},
    {"kernels_row_scores", scores_go_to_rows_and_back, NULL},
    {"kernels_activations", rows_are_activated, NULL},
    {"kernels_activations_back", activations_go_back, NULL},
    {"kernels_gather", rows_are_gathered, NULL},
    {"kernels_biases", biases_are_added, NULL},
    {"kernels_aggregation", tokens_are_summed, NULL},
    {"kernels_column_sums", columns_are_summed, NULL},
    {"kernels_row_dots", rows_are_multiplied, NULL},
    {"kernels_gates", gates_open, NULL},
    {"kernels_conversions", types_convert, NULL},
    {"hopper_plain", NULL, "T=9 H=64 I=72 E=2 K=1"},
    {"hopper_geglu_f16", NULL, "T=33 H=72 I=104 E=4 K=2 dtype=f16 act=geglu w1=interleaved bias=1"},
    {"hopper_lists", NULL, "T=24 H=128 I=64 E=3 K=2 router=lists act=relu2 grad=f32 beta=1"},
    {"hopper_topk", NULL, "T=64 H=256 I=128 E=8 K=3 act=swiglu router=topk-softmax"},
    {"hopper_shared", NULL,
     "T=40 H=128 I=96 E=5 K=2 router=sigmoid renorm=1 scale=2.5 sel-bias=1 shared=64 "
     "shared-gate=1"},
    {"hopper_before_w2", NULL,
     "T=16 H=64 I=256 E=3 K=2 dtype=f16 act=swiglu-oai w1=interleaved8 weight=before-w2"},
    {"hopper_groups", NULL,
     "T=48 H=80 I=64 E=8 K=2 router=sqrt-softplus groups=4/2 router-bias=1 act=swiglu-clamp:0.5 "
     "weight=input"},
    {"hopper_ragged", NULL,
     "T=20 H=64 I=64 E=6 K=2 router=lists routing=ragged act=reglu dtype=f16 beta=1"},
    {"hopper_dropped", NULL,
     "T=37 H=96 I=80 E=4 K=2 router=lists routing=dropped:0.3 act=gelu-tanh bias=1"},
    {"hopper_rounded", NULL,
     "T=30 H=64 I=136 E=4 K=2 router=softmax-topk round=up round-to=8 act=geglu-tanh aux=0.01 "
     "zloss=0.001"},
    {"hopper_hot", NULL,
     "T=19 H=88 I=64 E=7 K=3 routing=hot act=silu shared=72 dtype=f16 grad=f32"},
};

/* ---- what came out --------------------------------------------------------------------------- */

struct piece {
    enum moe_dtype dtype;
    size_t bytes;
    unsigned char *data;
};

/* Of one run; `came` is where array_taken puts what it is given. */
struct outcome {
    struct piece *piece;
    int count, room;
} * came;

static void keep(enum moe_dtype dtype, const void *data, size_t bytes)
{
    if (came->count == came->room) {
        came->room = 2 * came->room + 64;
        came->piece = realloc(came->piece, (size_t)came->room * sizeof *came->piece);
    }
    unsigned char *copy = malloc(bytes + 1);
    if (!came->piece || !copy) {
        fprintf(stderr, "no memory for what came out\n");
        exit(1);
    }
    memcpy(copy, data, bytes);
    came->piece[came->count++] = (struct piece){dtype, bytes, copy};
}

static void take_array(const struct array *array)
{
    keep(array->dtype, array->host,
         (size_t)array->count * (size_t)moe_dtype_info(array->dtype)->bits / 8);
}

static void forget(struct outcome *outcome)
{
    for (int i = 0; i < outcome->count; i++)
        free(outcome->piece[i].data);
    free(outcome->piece);
    *outcome = (struct outcome){0};
}

static void hash(const struct outcome *outcome, char text[HASH_TEXT])
{
    char before[HASH_TEXT] = "";
    for (int i = 0; i < outcome->count; i++) {
        recorded_hash(before, strlen(before), outcome->piece[i].data, outcome->piece[i].bytes,
                      text);
        memcpy(before, text, HASH_TEXT);
    }
}

/* The first element that differs, in words; "": none does. */
static void compare(const struct outcome *gpu, const struct outcome *machine, char *text,
                    size_t size)
{
    text[0] = '\0';
    if (gpu->count != machine->count)
        snprintf(text, size, "%d arrays and %d", gpu->count, machine->count);
    for (int i = 0; i < gpu->count && !text[0]; i++) {
        const struct piece *a = &gpu->piece[i], *b = &machine->piece[i];
        const size_t each = (size_t)moe_dtype_info(a->dtype)->bits / 8;
        int64_t wrong = 0;
        for (size_t at = 0; at < a->bytes && a->bytes == b->bytes; at += each)
            if (memcmp(a->data + at, b->data + at, each) && wrong++ == 0) {
                uint64_t x = 0, y = 0;
                memcpy(&x, a->data + at, each);
                memcpy(&y, b->data + at, each);
                snprintf(text, size,
                         "array %d of %d, %s, element %zu of %zu: GPU %llx machine %llx", i,
                         gpu->count, moe_dtype_info(a->dtype)->name, at / each, a->bytes / each,
                         (unsigned long long)x, (unsigned long long)y);
            }
        if (wrong)
            snprintf(text + strlen(text), size - strlen(text), ", %lld differ", (long long)wrong);
    }
}

/* ---- a layer of hopper ----------------------------------------------------------------------- */

struct layer {
    struct moe_problem problem;
    struct moe_tensors here;
    struct moe_tensor there[MOE_TENSOR_COUNT];
    void *memory[3]; /* workspace, kept, status */
    void *state;
};

static int send(struct layer *layer)
{
    const int64_t bytes[] = {moe_variant_hopper.workspace_bytes(&layer->problem),
                             moe_variant_hopper.kept_bytes(&layer->problem), 4};
    int status = MOE_OK;
    for (int id = 0; id < MOE_TENSOR_COUNT && !status; id++) {
        struct moe_tensor *there = &layer->there[id];
        *there = layer->here.tensor[id];
        if (!there->data)
            continue;
        status = moe_device_allocate(queue.device, moe_tensor_bytes(there), &there->data);
        if (!status)
            status = moe_device_copy_to(queue.device, there->data, layer->here.tensor[id].data,
                                        moe_tensor_bytes(there), queue.stream);
    }
    for (int i = 0; i < LENGTH(bytes) && !status; i++) {
        status = moe_device_allocate(queue.device, bytes[i], &layer->memory[i]);
        if (!status)
            status = moe_device_fill(queue.device, layer->memory[i], 0, bytes[i], queue.stream);
    }
    return status;
}

static int fetch(struct layer *layer)
{
    int status = MOE_OK;
    for (int id = 0; id < MOE_TENSOR_COUNT && !status; id++) {
        const struct moe_tensor *here = &layer->here.tensor[id];
        if (!here->data)
            continue;
        status = moe_device_copy_from(queue.device, here->data, layer->there[id].data,
                                      moe_tensor_bytes(here), queue.stream);
        keep(here->dtype, here->data, (size_t)moe_tensor_bytes(here));
    }
    return status;
}

static int run_layer(const char *line)
{
    const struct moe_variant *hopper = &moe_variant_hopper;
    struct layer layer = {0};
    int status = moe_problem_parse(line, &layer.problem);
    if (!status)
        status = moe_tensors_allocate(&layer.problem, &layer.here);
    for (int id = 0; id < MOE_TENSOR_COUNT && !status; id++)
        if (layer.here.tensor[id].data)
            memset(layer.here.tensor[id].data, 0xff,
                   (size_t)moe_tensor_bytes(&layer.here.tensor[id]));
    if (!status)
        status = moe_tensors_draw(&layer.problem, &layer.here);
    if (!status)
        status = send(&layer);
    if (!status)
        status = hopper->open(queue.device, &layer.problem, 0, &layer.state);
    const struct moe_call call = {.tensors = layer.there,
                                  .workspace = layer.memory[0],
                                  .workspace_size = hopper->workspace_bytes(&layer.problem),
                                  .kept = layer.memory[1],
                                  .kept_size = hopper->kept_bytes(&layer.problem),
                                  .stream = queue.stream,
                                  .status = layer.memory[2]};
    if (!status)
        status = hopper->forward(layer.state, &call);
    if (!status)
        status = hopper->backward(layer.state, &call);
    if (!status)
        status = fetch(&layer);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (layer.here.tensor[id].data)
            moe_device_free(queue.device, layer.there[id].data);
    for (int i = 0; i < LENGTH(layer.memory); i++)
        moe_device_free(queue.device, layer.memory[i]);
    if (layer.state)
        hopper->close(layer.state);
    moe_tensors_free(&layer.here);
    return status;
}

/* ---- a row on a device ----------------------------------------------------------------------- */

/* `fuse`: of the machine. */
static int run_on(struct moe_device *device, enum ptx_fuse fuse, const struct row *row,
                  struct outcome *outcome)
{
    int status = MOE_OK;
    queue.device = device;
    if (!device) {
        status = moe_device_open(MOE_ON_PTX, 0, &queue.device);
        if (!status)
            ptx_device(queue.device)->machine->options.fuse = fuse;
    }
    if (!status)
        status = moe_device_stream_create(queue.device, &queue.stream);
    if (!status) {
        came = outcome;
        trouble = 0;
        arrays_restart();
        const int good = row->part ? row->part() : 1;
        arrays_free();
        if (row->line)
            status = run_layer(row->line);
        else if (!good || trouble)
            status = moe_error(MOE_E_INTERNAL, "wrong, or %.200s", moe_error_text());
    }
    if (queue.stream)
        moe_device_stream_destroy(queue.device, queue.stream);
    queue.stream = NULL;
    if (!device && queue.device)
        moe_device_close(queue.device);
    return status;
}

/* ---- all ------------------------------------------------------------------------------------- */

static struct moe_device *gpu;
static struct moe_gpu_status probe;
static FILE *record;
static int number, failures;

static void test(int good, const struct row *row, const char *remark)
{
    failures += !good;
    printf("%s %d - %s%s%s\n", good ? "ok" : "not ok", ++number, row->name, remark[0] ? ": " : "",
           remark);
}

static void say(const struct row *row, const char *which, const char *text)
{
    printf("# %s, %s: %s\n", row->name, which, text);
    if (record)
        fprintf(record, "# %s, %s: %s\n", row->name, which, text);
}

/* The case and the compiler, whose choices are in the bits. */
static void describe(const struct row *row, char made[HASH_TEXT])
{
    char text[300];
    snprintf(text, sizeof text, "%s %s %d", row->name, row->line ? row->line : "",
             MOE_CUDA_VERSION);
    recorded_hash(text, strlen(text), NULL, 0, made);
}

static const struct {
    enum ptx_fuse fuse;
    const char *words;
} fusions[] = {{PTX_FUSE_ALL, "all sums fused"}, {PTX_FUSE_NONE, "no sum fused"}};

static void run_on_both(const struct row *row)
{
    struct recorded now;
    struct outcome there = {0};
    char text[400], remark[500] = "";
    int same = 0;
    snprintf(now.name, sizeof now.name, "%s", row->name);
    describe(row, now.made);
    if (run_on(gpu, PTX_FUSE_NONE, row, &there)) {
        test(0, row, moe_error_text());
        say(row, "on the GPU", moe_error_text());
        forget(&there);
        return;
    }
    hash(&there, now.gave);
    if (record)
        recorded_write(record, &now, &probe);
    for (int i = 0; i < LENGTH(fusions) && !same; i++) {
        struct outcome machine = {0};
        if (run_on(NULL, fusions[i].fuse, row, &machine))
            snprintf(text, sizeof text, "%s", moe_error_text());
        else
            compare(&there, &machine, text, sizeof text);
        same = !text[0];
        say(row, fusions[i].words, same ? "the same" : text);
        snprintf(remark, sizeof remark, "%s: %s", fusions[i].words, same ? "the same" : text);
        forget(&machine);
    }
    forget(&there);
    const struct recorded *before = recorded_find(row->name);
    const int kept = !before || strcmp(before->made, now.made) || !strcmp(before->gave, now.gave);
    test(same && kept, row, kept ? remark : "other bits than recorded");
}

static void replay(const struct row *row)
{
    const struct recorded *before = recorded_find(row->name);
    char made[HASH_TEXT], gave[HASH_TEXT];
    int same = 0;
    describe(row, made);
    const int known = before && !strcmp(before->made, made);
    for (int i = 0; i < (known ? LENGTH(fusions) : 1) && !same; i++) {
        struct outcome machine = {0};
        const int status = run_on(NULL, fusions[i].fuse, row, &machine);
        hash(&machine, gave);
        forget(&machine);
        if (status) {
            test(0, row, moe_error_text());
            return;
        }
        same = known && !strcmp(gave, before->gave);
    }
    if (!known)
        test(1, row, before ? "# SKIP another case than was recorded" : "# SKIP not recorded yet");
    else
        test(same, row, same ? "" : "other bits");
}

int main(int argc, char **argv)
{
    const char *size = getenv("MOE_TEST_SIZE");
    const int is_recording = argc == 3 && !strcmp(argv[1], "--record");
    const int small = size && !strcmp(size, "small");
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1 && !is_recording) {
        fprintf(stderr, "usage: t_kernels_recorded [--record FILE]\n");
        return 2;
    }
    int status = recorded_read();
    if (!status)
        status = recorded_open(is_recording, &probe, &gpu);
    if (!status && is_recording && !(record = fopen(argv[2], "a")))
        status = moe_error(MOE_E_IO, "'%s' cannot be written", argv[2]);
    if (status) {
        printf("Bail out! %s\n", moe_error_text());
        return 99;
    }
    if (!moe_kernel_get(0)) {
        printf("1..0 # SKIP no kernels in this build\n");
        return 0;
    }
    one_in = 150; /* combinations, on both devices */
    array_taken = take_array;
    const int step = small && !gpu ? 5 : 1;
    printf("1..%d\n", (LENGTH(rows) + step - 1) / step);
    for (int i = 0; i < LENGTH(rows); i += step)
        if (gpu)
            run_on_both(&rows[i]);
        else
            replay(&rows[i]);
    if (record && fclose(record))
        failures++;
    if (gpu)
        moe_device_close(gpu);
    return failures != 0;
}

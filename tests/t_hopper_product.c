/*
 * t_hopper_product.c - grouped products on Hopper's tensor cores, every configuration, bit for bit.
 *
 * The kernels add up k in the order of the instructions, 16 at a time, so that moe_mma_product
 * knows every bit of every sum; what is stored is that, rounded once. Tails in every dimension,
 * experts without rows, gathered rows and plain ones; behind every array stand bytes that no kernel
 * may write.
 *
 * Without a GPU they run on the PTX machine, small sizes in three ways of its time;
 * t_hopper_product ptx SEED... runs all sizes on these machines.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/hopper/product.h"
#include "gpu/kernels.h"
#include "tests/parts_array.h"
#include "verify/variant.h"

static const struct size {
    const char *what;
    int64_t T, k, cols;
    int gathered;
    int64_t rows[6]; /* of each expert */
    int small;       /* for the PTX machine: 1 in make check, 2 in smallcheck too */
} sizes[] = {
    {"one row", 1, 8, 8, 0, {0, 0, 1, 0, 0, 0}, 1},
    {"tails of all dimensions", 61, 72, 40, 1, {1, 0, 7, 64, 65, 0}, 2},
    {"a whole tile and one row more", 300, 128, 64, 1, {128, 129, 0, 0, 1, 2}, 1},
    {"more stages than a ring has", 40, 712, 264, 1, {0, 33, 5, 0, 0, 617}, 0},
    {"more tiles than blocks", 260, 64, 1024, 0, {900, 0, 1, 650, 128, 300}, 0},
    {"tiles that lie across", 300, 72, 136, 1, {15, 17, 145, 0, 289, 321}, 1},
    {"columns in groups", 40, 16, 1096, 0, {0, 3, 130, 0, 0, 1}, 1},
    {"a gradient's columns in groups", 9, 584, 40, 0, {0, 5, 0, 0, 4, 0}, 1},
    {"no rows", 3, 64, 64, 1, {0, 0, 0, 0, 0, 0}, 1},
};
#define EXPERTS 6

/* What a product of any form is made of; a and b are the operands in the order of the form. */
struct operands {
    const struct size *size;
    enum product_form form;
    enum moe_dtype dtype, d_dtype;
    int add, turned;
    int64_t N, begin[EXPERTS + 1];
    struct array *a, *b, *d, *before, *gather, *expert_begin, *tiles;
};

static int64_t place(const struct operands *made, int64_t row)
{
    return made->gather ? ((const int64_t *)made->gather->host)[row] : row;
}

/* A copy of what D holds at first: NaN, or numbers where they are added to. */
static void make_result(struct operands *made, int64_t count)
{
    made->d = made->add ? array_draw(made->d_dtype, count, -8, 8) : array_new(made->d_dtype, count);
    made->before = array_new(made->d_dtype, count);
    for (int64_t i = 0; i < count && made->add; i++)
        array_put(made->before, i, array_get(made->d, i));
}

static void make(struct operands *made)
{
    const struct size *size = made->size;
    const int64_t k = size->k, cols = size->cols;
    for (int e = 0; e < EXPERTS; e++)
        made->begin[e + 1] = made->begin[e] + size->rows[e];
    const int64_t N = made->N = made->begin[EXPERTS];
    int64_t *tokens = calloc((size_t)N + 1, sizeof *tokens);
    for (int64_t r = 0; r < N; r++)
        tokens[r] = draw_below(size->T);
    made->gather = size->gathered ? array_of_places(N, tokens) : NULL;
    free(tokens);
    const int64_t gathered = size->gathered ? size->T : N;
    const int summed = made->form == PRODUCT_GRADIENT;
    made->a = array_draw(made->dtype, gathered * (summed ? cols : k), -2, 2);
    made->b = array_draw(made->dtype, summed ? N * k : EXPERTS * cols * k, -2, 2);
    make_result(made, summed ? EXPERTS * cols * k : N * cols);
    made->expert_begin = array_of_places(EXPERTS + 1, made->begin);
    made->tiles = array_new(MOE_U8, hopper_tiles_bytes(TILE_ROWS, N, EXPERTS));
}

static int run(const struct operands *made, int configuration)
{
    const struct size *size = made->size;
    if (made->form == PRODUCT_GRADIENT) {
        const struct hopper_gradient gradient = {
            .dtype = made->dtype,
            .d_dtype = made->d_dtype,
            .N = made->N,
            .E = EXPERTS,
            .places = made->N > size->T ? made->N : size->T,
            .p_cols = size->cols,
            .q_cols = size->k,
            .p = {made->a->device, on_device(made->gather), size->cols},
            .q = {made->b->device, NULL, size->k},
            .expert_begin = made->expert_begin->device,
            .d = made->d->device,
            .add = made->add,
            .turned = made->turned,
        };
        return hopper_gradient_run(&queue, configuration, &gradient);
    }
    const int32_t tile_rows = hopper_configuration(made->form, configuration)->tile_rows;
    const int status = hopper_tiles_list(&queue, tile_rows, EXPERTS, made->expert_begin->device,
                                         made->tiles->device);
    const struct hopper_product product = {
        .form = made->form,
        .dtype = made->dtype,
        .N = made->N,
        .E = EXPERTS,
        .cols = size->cols,
        .k = size->k,
        .a = made->a->device,
        .gather = on_device(made->gather),
        .a_stride = size->k,
        .weights = made->b->device,
        .tiles = hopper_tiles_at(EXPERTS, made->tiles->device),
        .store = {.d = made->d->device, .stride = size->cols},
    };
    return status == MOE_OK ? hopper_product_run(&queue, configuration, &product) : status;
}

/* ---- what must come out ------------------------------------------------------------------- */

/* Operands of one expert's product as moe_mma_product takes them, A [m,k] and B [n,k]. */
struct expert_product {
    int64_t m, n, k;
    double *a, *b;
};

static void take_operands(const struct operands *made, int e, struct expert_product *product)
{
    const int64_t rows = made->size->rows[e], cols = made->size->cols, k = made->size->k;
    const int64_t first = made->begin[e];
    const int summed = made->form == PRODUCT_GRADIENT;
    *product = summed ? (struct expert_product){.m = cols, .n = k, .k = rows}
                      : (struct expert_product){.m = rows, .n = cols, .k = k};
    product->a = calloc((size_t)(product->m * product->k) + 1, sizeof(double));
    product->b = calloc((size_t)(product->n * product->k) + 1, sizeof(double));
    for (int64_t i = 0; i < product->m * product->k; i++) {
        const int64_t m = i / product->k, c = i % product->k;
        product->a[i] = summed ? array_get(made->a, place(made, first + c) * cols + m)
                               : array_get(made->a, place(made, first + m) * k + c);
    }
    for (int64_t i = 0; i < product->n * product->k; i++) {
        const int64_t n = i / product->k, c = i % product->k;
        product->b[i] = summed ? array_get(made->b, (first + c) * k + n)
                        : made->form == PRODUCT_BACKWARD
                            ? array_get(made->b, (e * k + c) * cols + n)
                            : array_get(made->b, (e * cols + n) * k + c);
    }
}

static int expert_is_right(const struct operands *made, int e)
{
    const struct moe_order order = {.instruction = MOE_MMA_K16};
    struct expert_product p;
    take_operands(made, e, &p);
    float *c = calloc((size_t)(p.m * p.n) + 1, sizeof *c);
    const int64_t first = made->form == PRODUCT_GRADIENT ? e * p.m * p.n : made->begin[e] * p.n;
    int good = 1;
    if (p.k > 0)
        done(moe_mma_product(&order, made->dtype, p.m, p.n, p.k, p.a, p.b, NULL, c));
    for (int64_t i = 0; i < p.m * p.n && good; i++) {
        const int64_t at = first + (made->turned ? i % p.n * p.m + i / p.n : i);
        const float sum = made->add ? (float)array_get(made->before, at) + c[i] : c[i];
        good = is_exactly(made->size->what, made->d, at,
                          moe_dtype_round(made->d_dtype, (double)sum, 0));
    }
    free(p.a);
    free(p.b);
    free(c);
    return good;
}

static int product_is_right(struct operands made, int configuration)
{
    int good = 1;
    trouble = 0;
    make(&made);
    done(run(&made, configuration));
    array_fetch(made.d);
    array_fetch(made.tiles);
    for (int e = 0; e < EXPERTS && good && !trouble; e++)
        good = expert_is_right(&made, e);
    arrays_free();
    return good && !trouble;
}

/* What is not taken is refused in words, and nothing is launched. */
static int refuses(void)
{
    const struct hopper_product right = {.dtype = MOE_BF16,
                                         .N = 1,
                                         .E = 1,
                                         .cols = 8,
                                         .k = 8,
                                         .a_stride = 8,
                                         .store = {.stride = 8}};
    struct hopper_product wrong[] = {right, right, right, right, right, right, right, right, right};
    wrong[0].dtype = MOE_F32;
    wrong[1].k = 12;
    wrong[2].cols = 7;
    wrong[3].a_stride = 9;
    wrong[4].a = (const void *)8;
    wrong[5].form = PRODUCT_SWIGLU;
    wrong[5].cols = 16;
    wrong[5].activate.z = (void *)8;
    wrong[6].form = PRODUCT_SWIGLU_BACK;
    wrong[6].back.sa = (void *)8;
    wrong[7].form = PRODUCT_SWIGLU_BACK;
    wrong[7].N = INT64_C(1) << 31;
    wrong[8].places = INT64_C(1) << 31; /* rows of two pieces of 16 bytes: 2^32 of them */
    wrong[8].a_stride = 16;
    const struct hopper_gradient whole = {.dtype = MOE_BF16,
                                          .d_dtype = MOE_BF16,
                                          .E = 1,
                                          .p_cols = 8,
                                          .q_cols = 8,
                                          .p = {.stride = 8},
                                          .q = {.stride = 8}};
    struct hopper_gradient broken[] = {whole, whole, whole};
    broken[0].d_dtype = MOE_F16;
    broken[1].q_cols = 4;
    broken[2].q.data = (const void *)2;
    int good = hopper_product_run(&queue, 99, &right) == MOE_E_INTERNAL;
    for (int i = 0; i < LENGTH(wrong); i++)
        good &= hopper_product_run(&queue, 0, &wrong[i]) == MOE_E_UNSUPPORTED;
    for (int i = 0; i < LENGTH(broken); i++)
        good &= hopper_gradient_run(&queue, 0, &broken[i]) == MOE_E_UNSUPPORTED;
    return good;
}

/* A GPU that can be tested on; or the reason why there is none. */
static int open_gpu(void)
{
    int64_t capability = 0;
    int status = moe_device_open(MOE_ON_CUDA, 0, &queue.device);
    if (status == MOE_OK)
        status = moe_device_stream_create(queue.device, &queue.stream);
    if (status == MOE_OK)
        status = moe_device_attribute(queue.device, MOE_DEVICE_CAPABILITY, &capability);
    if (status == MOE_OK && capability != 90)
        status = moe_error(MOE_E_UNSUPPORTED, "needs sm_90, this is sm_%d", (int)capability);
    return status;
}

static int open_machine(int seed)
{
    int status = moe_device_open(MOE_ON_PTX, seed, &queue.device);
    if (status == MOE_OK)
        status = moe_device_stream_create(queue.device, &queue.stream);
    return status;
}

static void close_device(void)
{
    if (queue.stream)
        moe_device_stream_destroy(queue.device, queue.stream);
    moe_device_close(queue.device);
    queue.stream = NULL;
    queue.device = NULL;
}

/* The products that are tried in every configuration and size. */
static const struct {
    const char *what;
    enum product_form form;
    enum moe_dtype dtype, d_dtype;
    int add, turned;
} products[] = {
    {"forward bf16", PRODUCT_FORWARD, MOE_BF16, MOE_BF16, 0, 0},
    {"forward f16", PRODUCT_FORWARD, MOE_F16, MOE_F16, 0, 0},
    {"backward bf16", PRODUCT_BACKWARD, MOE_BF16, MOE_BF16, 0, 0},
    {"backward f16", PRODUCT_BACKWARD, MOE_F16, MOE_F16, 0, 0},
    {"gradient bf16", PRODUCT_GRADIENT, MOE_BF16, MOE_BF16, 0, 0},
    {"gradient bf16, added", PRODUCT_GRADIENT, MOE_BF16, MOE_BF16, 1, 0},
    {"gradient f16 to f32", PRODUCT_GRADIENT, MOE_F16, MOE_F32, 0, 0},
    {"gradient f16 to f32, added", PRODUCT_GRADIENT, MOE_F16, MOE_F32, 1, 0},
    {"gradient bf16, turned", PRODUCT_GRADIENT, MOE_BF16, MOE_BF16, 0, 1},
    {"gradient bf16 to f32, turned, added", PRODUCT_GRADIENT, MOE_BF16, MOE_F32, 1, 1},
};

static int number, failures;

static void test(int good, const char *what, const char *where, const char *size)
{
    failures += !good;
    printf("%s %d - %s %s%s%s\n", good ? "ok" : "not ok", ++number, what, where, *size ? ": " : "",
           size);
}

/* Every configuration and every size that is at least so small; `run` 0: they are counted. */
static int all(int small, int run)
{
    int count = 0;
    for (int p = 0; p < LENGTH(products); p++) {
        struct operands made = {.form = products[p].form,
                                .dtype = products[p].dtype,
                                .d_dtype = products[p].d_dtype,
                                .add = products[p].add,
                                .turned = products[p].turned};
        const struct product_configuration *how;
        for (int c = 0; (how = hopper_configuration(made.form, c)); c++)
            for (int s = 0; s < LENGTH(sizes); s++) {
                made.size = &sizes[s];
                if (sizes[s].small < small)
                    continue;
                count++;
                if (run)
                    test(product_is_right(made, c), products[p].what, how->name, sizes[s].what);
            }
    }
    return count;
}

static int on_gpu(void)
{
    printf("1..%d\n", 1 + all(0, 0));
    test(refuses(), "what is not taken is refused", "", "");
    all(0, 1);
    close_device();
    return failures != 0;
}

static int on_machines(const int *seeds, int count, int small)
{
    printf("1..%d\n", count * (1 + all(small, 0)));
    for (int i = 0; i < count; i++) {
        const int status = open_machine(seeds[i]);
        if (status == MOE_E_UNSUPPORTED && count == 1)
            printf("Bail out! %s\n", moe_error_text());
        if (status != MOE_OK)
            return 1;
        printf("# %s\n", moe_device_name(queue.device));
        test(refuses(), "what is not taken is refused", "", "");
        all(small, 1);
        close_device();
    }
    return failures != 0;
}

int main(int argc, char **argv)
{
    /* Round robin with everything at once; random, late; priorities, at any time. */
    static const int few[] = {0, 4, 8};
    const char *size = getenv("MOE_TEST_SIZE");
    const int is_small = size && !strcmp(size, "small");
    int row = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 2 && !strcmp(argv[1], "ptx")) {
        for (int i = 2; i < argc && !failures; i++) {
            const int seed = atoi(argv[i]);
            number = 0;
            on_machines(&seed, 1, 0);
        }
        return failures != 0;
    }
    if (open_gpu() == MOE_OK)
        return on_gpu();
    if (getenv("MOE_REQUIRE_GPU")) {
        printf("Bail out! MOE_REQUIRE_GPU is set, but %s\n", moe_error_text());
        return 99;
    }
    close_device();
    if (kernel_find("hopper_nt_bf16_256", 9, 0, &row) != MOE_OK) {
        printf("1..0 # SKIP no kernels for sm_90a in this build\n");
        return 0;
    }
    return on_machines(is_small ? few + 1 : few, is_small ? 1 : LENGTH(few), is_small ? 2 : 1);
}

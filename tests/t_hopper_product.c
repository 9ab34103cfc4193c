/*
 * t_hopper_product.c - grouped products on Hopper's tensor cores, every configuration, bit for bit.
 *
 * The kernels add up k in the order of the instructions, 16 at a time, so that moe_mma_product
 * knows every bit of every sum; what is stored is that, rounded once. Tails in every dimension,
 * experts without rows, gathered rows and plain ones; behind every array stand bytes that no kernel
 * may write.
 */
#include <stdio.h>
#include <stdlib.h>

#include "gpu/hopper/product.h"
#include "tests/parts_array.h"
#include "verify/variant.h"

static const struct size {
    const char *what;
    int64_t T, k, cols;
    int gathered;
    int64_t rows[6]; /* of each expert */
} sizes[] = {
    {"one row", 1, 8, 2, 0, {0, 0, 1, 0, 0, 0}},
    {"tails of all dimensions", 61, 72, 42, 1, {1, 0, 7, 64, 65, 0}},
    {"a whole tile and one row more", 300, 128, 64, 1, {128, 129, 0, 0, 1, 2}},
    {"more stages than a ring has", 40, 712, 264, 1, {0, 33, 5, 0, 0, 17}},
    {"more tiles than blocks", 260, 64, 1024, 0, {900, 0, 1, 650, 128, 300}},
    {"no rows", 3, 64, 64, 1, {0, 0, 0, 0, 0, 0}},
};
#define EXPERTS 6

struct operands {
    int64_t N, begin[EXPERTS + 1];
    struct array *a, *b, *d, *gather, *expert_begin, *workspace;
};

static void make(const struct size *size, enum moe_dtype dtype, struct operands *made)
{
    made->begin[0] = 0;
    for (int e = 0; e < EXPERTS; e++)
        made->begin[e + 1] = made->begin[e] + size->rows[e];
    made->N = made->begin[EXPERTS];
    int64_t *tokens = calloc((size_t)made->N + 1, sizeof *tokens);
    for (int64_t r = 0; r < made->N; r++)
        tokens[r] = draw_below(size->T);
    made->gather = size->gathered ? array_of_places(made->N, tokens) : NULL;
    free(tokens);
    made->a = array_draw(dtype, (size->gathered ? size->T : made->N) * size->k, -2, 2);
    made->b = array_draw(dtype, EXPERTS * size->cols * size->k, -2, 2);
    made->d = array_new(dtype, made->N * size->cols);
    made->expert_begin = array_of_places(EXPERTS + 1, made->begin);
    made->workspace = array_new(MOE_U8, hopper_product_bytes(made->N, EXPERTS));
}

/* One expert's rows. */
static int expert_is_right(const struct size *size, enum moe_dtype dtype,
                           const struct operands *made, int e)
{
    const struct moe_order order = {.instruction = MOE_MMA_K16};
    const int64_t m = size->rows[e], n = size->cols, k = size->k;
    double *a = calloc((size_t)(m * k) + 1, sizeof *a), *b = calloc((size_t)(n * k), sizeof *b);
    float *c = calloc((size_t)(m * n) + 1, sizeof *c);
    int good = 1;
    for (int64_t i = 0; i < m * k; i++) {
        const int64_t row = made->begin[e] + i / k;
        const int64_t at = made->gather ? ((const int64_t *)made->gather->host)[row] : row;
        a[i] = array_get(made->a, at * k + i % k);
    }
    for (int64_t i = 0; i < n * k; i++)
        b[i] = array_get(made->b, e * n * k + i);
    done(moe_mma_product(&order, dtype, m, n, k, a, b, NULL, c));
    for (int64_t i = 0; i < m * n && good; i++)
        good = is_exactly(size->what, made->d, made->begin[e] * n + i,
                          moe_dtype_round(dtype, (double)c[i], 0));
    free(a);
    free(b);
    free(c);
    return good;
}

static int product_is_right(int configuration, const struct size *size, enum moe_dtype dtype)
{
    struct operands made;
    make(size, dtype, &made);
    const struct hopper_product product = {
        .dtype = dtype,
        .N = made.N,
        .E = EXPERTS,
        .cols = size->cols,
        .k = size->k,
        .a = made.a->device,
        .gather = on_device(made.gather),
        .a_stride = size->k,
        .b = made.b->device,
        .d = made.d->device,
        .d_stride = size->cols,
        .expert_begin = made.expert_begin->device,
    };
    int good = 1;
    done(hopper_product_run(&queue, configuration, &product, made.workspace->device));
    array_fetch(made.d);
    array_fetch(made.workspace);
    for (int e = 0; e < EXPERTS && good && !trouble; e++)
        good = expert_is_right(size, dtype, &made, e);
    arrays_free();
    return good && !trouble;
}

/* What is not taken is refused in words, and nothing is launched. */
static int refuses(void)
{
    const struct hopper_product right = {
        .dtype = MOE_BF16, .N = 1, .E = 1, .cols = 8, .k = 8, .a_stride = 8, .d_stride = 8};
    struct hopper_product wrong[5] = {right, right, right, right, right};
    wrong[0].dtype = MOE_F32;
    wrong[1].k = 12;
    wrong[2].cols = 7;
    wrong[3].a_stride = 9;
    wrong[4].a = (const void *)8;
    int good = hopper_product_run(&queue, 99, &right, NULL) == MOE_E_INTERNAL;
    for (int i = 0; i < LENGTH(wrong); i++)
        good &= hopper_product_run(&queue, 0, &wrong[i], NULL) == MOE_E_UNSUPPORTED;
    return good;
}

/* The device to test on; the reason why there is none. */
static int open_device(char *why, size_t size)
{
    int64_t capability = 0;
    int status = moe_device_open(MOE_ON_CUDA, 0, &queue.device);
    if (status == MOE_OK)
        status = moe_device_stream_create(queue.device, &queue.stream);
    if (status == MOE_OK)
        status = moe_device_attribute(queue.device, MOE_DEVICE_CAPABILITY, &capability);
    if (status != MOE_OK && getenv("MOE_REQUIRE_GPU")) {
        printf("Bail out! MOE_REQUIRE_GPU is set, but %s\n", moe_error_text());
        exit(99);
    }
    if (status == MOE_OK && capability != 90)
        status = moe_error(MOE_E_UNSUPPORTED, "needs sm_90, this is sm_%d", (int)capability);
    if (status != MOE_OK)
        snprintf(why, size, "%s", moe_error_text());
    return status;
}

int main(void)
{
    static const enum moe_dtype types[] = {MOE_BF16, MOE_F16};
    char why[512] = "";
    int configurations = 0, number = 0, failures = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (hopper_product_configuration(configurations))
        configurations++;
    const int status = open_device(why, sizeof why);
    printf("1..%d\n", configurations * LENGTH(sizes) * LENGTH(types) + 1);
    const int refused = refuses();
    failures += !refused;
    printf("%s %d - what is not taken is refused\n", refused ? "ok" : "not ok", ++number);
    for (int c = 0; c < configurations; c++)
        for (int s = 0; s < LENGTH(sizes); s++)
            for (int t = 0; t < LENGTH(types); t++) {
                const char *name = hopper_product_configuration(c)->name;
                trouble = 0;
                const int good = status != MOE_OK || product_is_right(c, &sizes[s], types[t]);
                failures += !good;
                printf("%s %d - %s %s: %s%s%s\n", good ? "ok" : "not ok", ++number, name,
                       moe_dtype_info(types[t])->name, sizes[s].what,
                       status != MOE_OK ? " # SKIP " : "", why);
            }
    if (queue.stream)
        moe_device_stream_destroy(queue.device, queue.stream);
    moe_device_close(queue.device);
    return failures != 0;
}

/*
 * t_bits.c - what ref/mma.c says of tensor cores is what the GPU at hand computes: products of
 * every instruction, range of operands and order over k, compared in bits.
 *
 * Kernels are bits_kernels.cu's. Every class of instructions has rows of ordinary numbers, of a
 * wide range of exponents, of subnormals, of sums that cancel, and with NaN and infinity among
 * them; then one in which two instructions change places, which must show. What cuBLAS computes is
 * counted beside it, for information: it declares no order. The program writes its own TAP; without
 * a GPU of capability 9.0 all is skipped with the reason, and fails as a whole where
 * MOE_REQUIRE_GPU is set and there is no GPU.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/cublas.h"
#include "gpu/gpu.h"
#include "ref/moe.h"
#include "verify/variant.h"

#define LENGTH(array) (int)(sizeof(array) / sizeof *(array))

/* As bits_kernels.cu has it. */
struct bits_product {
    int64_t rows, cols, words, slice, promote;
    const uint32_t *a, *b;
    const float *start;
    float *partial;
    int64_t share;
    int32_t swapped;
};

enum { ROWS = 50, COLS = 13, MOST_K = 4096, MOST_SLICES = 7, ROUNDS = 3, SWAPS = 64 };

static const struct {
    const char *name, *kernel;
    enum moe_instruction instruction;
    enum moe_dtype dtype;
} classes[] = {
    {"wgmma bf16", "bits_wgmma_bf16", MOE_MMA_K16, MOE_BF16},
    {"wgmma f16", "bits_wgmma_f16", MOE_MMA_K16, MOE_F16},
    {"wgmma e4m3", "bits_wgmma_e4m3", MOE_WGMMA_K32, MOE_E4M3},
    {"mma.sync bf16", "bits_sync_bf16", MOE_MMA_K16, MOE_BF16},
    {"mma.sync f16", "bits_sync_f16", MOE_MMA_K16, MOE_F16},
    {"mma.sync e4m3", "bits_sync_e4m3", MOE_MMA_SYNC_K32, MOE_E4M3},
};

enum range { ORDINARY, POSITIVE, WIDE, SUBNORMAL, CANCELLING, SPECIAL, RANGES };
static const char *const range_names[RANGES] = {
    [ORDINARY] = "ordinary",   [POSITIVE] = "positive",     [WIDE] = "wide range",
    [SUBNORMAL] = "subnormal", [CANCELLING] = "cancelling", [SPECIAL] = "NaN and infinity",
};

/* Of blocks of 64, to be whole instructions of every class. */
static const struct moe_order orders[] = {
    {0},
    {.block = 64, .slices = 2},
    {.block = 64, .slices = 3, .partials = MOE_PARTIALS_TREE},
    {.block = 32, .slices = MOST_SLICES, .partials = MOE_PARTIALS_TREE},
    {.promote = 32},
    {.promote = 128},
    {.block = 64, .slices = 2, .promote = 64, .partials = MOE_PARTIALS_TREE},
};

static struct moe_device *device;
static void *stream;
/* Here, and there: operands as values and as stored, starts, sums. */
static double a_values[ROWS * MOST_K], b_values[COLS * MOST_K];
static uint32_t a_stored[ROWS * MOST_K / 2], b_stored[COLS * MOST_K / 2];
static float start[ROWS * COLS], want[ROWS * COLS], got[ROWS * COLS];
static void *a_there, *b_there, *start_there, *partial_there;

/* ---- operands -------------------------------------------------------------------------------- */

static uint64_t state = 0x9e3779b97f4a7c15u;

static uint64_t random_word(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1du;
}

static int random_below(int n)
{
    return (int)(random_word() >> 33) % n;
}

static double random_unit(void)
{
    return (double)(random_word() >> 11) * 0x1p-52 - 1;
}

static double draw_value(enum moe_dtype dtype, enum range range)
{
    const struct moe_dtype_info *info = moe_dtype_info(dtype);
    double value = 2 * random_unit();
    const int span = dtype == MOE_BF16 ? 60 : info->bias - 1;
    if (range == POSITIVE)
        value = fabs(value);
    if (range == WIDE || (range == SPECIAL && random_below(2)))
        value = ldexp(value, random_below(2 * span) - span);
    if (range == SUBNORMAL && random_below(4))
        value *= info->smallest_normal;
    if (range == SPECIAL && random_below(200) == 0)
        value = random_below(2) ? NAN : info->has_infinity ? copysign(INFINITY, value) : NAN;
    if (random_below(16) == 0)
        value = 0;
    return moe_dtype_round(dtype, value, 1);
}

/* Rows [rows,k], as values and as stored; pairs of neighbours that cancel have one operand's sign.
 */
static void draw_rows(enum moe_dtype dtype, enum range range, int signs, int64_t count,
                      double *values, void *stored)
{
    for (int64_t i = 0; i < count; i++) {
        values[i] = draw_value(dtype, range);
        if (range == CANCELLING && i % 2 == 1)
            values[i] = signs && random_below(8) ? -values[i - 1] : values[i - 1];
        moe_dtype_store(dtype, stored, i, values[i], 1);
    }
}

static void draw(int class, enum range range, int64_t k)
{
    const enum moe_dtype dtype = classes[class].dtype;
    draw_rows(dtype, range, 1, ROWS * k, a_values, a_stored);
    draw_rows(dtype, range, 0, COLS * k, b_values, b_stored);
    for (int i = 0; i < ROWS * COLS; i++) {
        const double scale = range == SUBNORMAL ? 0x1p-140 : ldexp(1, random_below(60) - 30);
        start[i] = (float)(random_unit() * scale);
    }
}

/* ---- products -------------------------------------------------------------------------------- */

static int send(const struct bits_product *p)
{
    int status = moe_device_copy_to(device, a_there, a_stored, ROWS * p->words * 4, stream);
    if (status == MOE_OK)
        status = moe_device_copy_to(device, b_there, b_stored, COLS * p->words * 4, stream);
    return status == MOE_OK ? moe_device_copy_to(device, start_there, start, sizeof start, stream)
                            : status;
}

static int launch(const char *kernel, uint32_t x, uint32_t y, uint32_t z, void **args)
{
    const struct moe_launch launch = {
        .kernel = kernel, .grid = {x, y, z}, .block = {128, 1, 1}, .stream = stream, .args = args};
    return moe_device_launch(device, &launch);
}

/* The product there, into got. k is a multiple of the order's block. */
static int multiply_there(int class, const struct moe_order *order, int64_t k, int started,
                          int swapped)
{
    const int64_t size = moe_dtype_info(classes[class].dtype)->bits / 8;
    const int64_t block = order->block > 0 ? order->block : moe_instruction_k(order->instruction);
    const int64_t blocks = k / block, slices = order->slices > 0 ? order->slices : 1;
    const int64_t slice = (blocks + slices - 1) / slices * block;
    int32_t used = (int32_t)((k + slice - 1) / slice);
    int32_t tree = order->partials == MOE_PARTIALS_TREE;
    int64_t count = ROWS * COLS;
    struct bits_product p = {.rows = ROWS,
                             .cols = COLS,
                             .words = k * size / 4,
                             .slice = slice * size / 4,
                             .promote = order->promote * size / 4,
                             .a = a_there,
                             .b = b_there,
                             .start = started ? start_there : NULL,
                             .partial = partial_there,
                             .share = 1,
                             .swapped = swapped};
    int status = send(&p);
    if (status == MOE_OK)
        status = launch(classes[class].kernel, (ROWS + 63) / 64, (COLS + 7) / 8, (uint32_t)used,
                        (void *[]){&p});
    if (status == MOE_OK)
        status = launch("bits_combine", 8, 1, 1, (void *[]){&partial_there, &count, &used, &tree});
    return status == MOE_OK ? moe_device_copy_from(device, got, partial_there, sizeof got, stream)
                            : status;
}

/* Elements of got that are not want's, in bits. */
static int64_t count_wrong(void)
{
    int64_t wrong = 0;
    for (int i = 0; i < ROWS * COLS; i++)
        wrong += memcmp(&got[i], &want[i], sizeof got[i]) != 0;
    return wrong;
}

/* What became of a number of products. */
struct count {
    int64_t total, wrong;
    char first[160]; /* the first wrong one */
};

static int compare(int class, enum range range, struct moe_order order, int64_t k, int swapped,
                   struct count *count)
{
    const int started = random_below(2);
    order.instruction = classes[class].instruction;
    draw(class, range, k);
    int status = moe_mma_product(&order, classes[class].dtype, ROWS, COLS, k, a_values, b_values,
                                 started ? start : NULL, want);
    if (status == MOE_OK)
        status = multiply_there(class, &order, k, started, swapped);
    if (status != MOE_OK)
        return status;
    const int64_t wrong = count_wrong();
    for (int i = 0; wrong > 0 && !count->first[0] && i < ROWS * COLS; i++)
        if (memcmp(&got[i], &want[i], sizeof got[i]) != 0)
            snprintf(count->first, sizeof count->first,
                     "k=%d block=%d slices=%d promote=%d, element %d: %a, not %a", (int)k,
                     order.block, order.slices, order.promote, i, (double)got[i], (double)want[i]);
    count->total += ROWS * COLS;
    count->wrong += wrong;
    return MOE_OK;
}

/* Every order, a few times, on few k and on many; one chain of 4096. */
static int compare_all(int class, enum range range, struct count *count)
{
    int status = compare(class, range, orders[0], MOST_K, 0, count);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < LENGTH(orders) && status == MOE_OK; i++)
            status =
                compare(class, range, orders[i], 64 * (1 + random_below(round ? 16 : 3)), 0, count);
    return status;
}

/* ---- the tests ------------------------------------------------------------------------------- */

static int number, failures;

static void test(int good, const char *class, const char *what, int status,
                 const struct count *count)
{
    failures += !good;
    printf("%s %d - %s, %s: ", good ? "ok" : "not ok", ++number, class, what);
    if (status != MOE_OK)
        printf("%s\n", moe_error_text());
    else
        printf("%" PRId64 " of %" PRId64 " elements have other bits%s%s\n", count->wrong,
               count->total, count->first[0] ? ": " : "", count->first);
}

static void test_class(int class)
{
    for (int range = 0; range < RANGES; range++) {
        struct count count = {0};
        const int status = compare_all(class, (enum range)range, &count);
        test(status == MOE_OK && count.total > 0 && count.wrong == 0, classes[class].name,
             range_names[range], status, &count);
    }
    struct count count = {0};
    int status = MOE_OK;
    for (int round = 0; round < SWAPS && count.wrong == 0 && status == MOE_OK; round++)
        status = compare(class, round % 2 ? CANCELLING : WIDE, orders[0], 512, 1, &count);
    test(status == MOE_OK && count.wrong > 0, classes[class].name, "two instructions change places",
         status, &count);
}

/* How often plain cuBLAS has the bits of one chain of instructions, in a comment. */
static void look_at_cublas(void)
{
    struct cublas *cublas = NULL;
    const struct moe_order order = {.instruction = MOE_MMA_K16};
    int status = cublas_open(&cublas);
    for (int64_t k = 64; status == MOE_OK && k <= MOST_K; k *= 8) {
        draw(0, ORDINARY, k);
        const struct bits_product p = {.words = k / 2};
        const struct cublas_product product = {.form = CUBLAS_NT,
                                               .m = ROWS,
                                               .n = COLS,
                                               .k = k,
                                               .from = MOE_BF16,
                                               .to = MOE_F32,
                                               .a = a_there,
                                               .b = b_there,
                                               .c = partial_there};
        status = moe_mma_product(&order, MOE_BF16, ROWS, COLS, k, a_values, b_values, NULL, want);
        if (status == MOE_OK)
            status = send(&p);
        if (status == MOE_OK)
            status = cublas_multiply(cublas, device, stream, &product);
        if (status == MOE_OK)
            status = moe_device_copy_from(device, got, partial_there, sizeof got, stream);
        if (status == MOE_OK)
            printf("# cuBLAS, bf16, k=%d: %d of %d elements have the bits of one chain\n", (int)k,
                   ROWS * COLS - (int)count_wrong(), ROWS * COLS);
    }
    if (status != MOE_OK)
        printf("# cuBLAS: %s\n", moe_error_text());
    cublas_close(cublas);
}

static int open_all(void)
{
    int status = moe_device_open(MOE_ON_CUDA, 0, &device);
    if (status == MOE_OK)
        status = moe_device_stream_create(device, &stream);
    if (status == MOE_OK)
        status = moe_device_allocate(device, sizeof a_stored, &a_there);
    if (status == MOE_OK)
        status = moe_device_allocate(device, sizeof b_stored, &b_there);
    if (status == MOE_OK)
        status = moe_device_allocate(device, sizeof start, &start_there);
    return status == MOE_OK ? moe_device_allocate(device, sizeof got * MOST_SLICES, &partial_there)
                            : status;
}

static void close_all(void)
{
    if (!device)
        return;
    moe_device_free(device, a_there);
    moe_device_free(device, b_there);
    moe_device_free(device, start_there);
    moe_device_free(device, partial_there);
    moe_device_stream_destroy(device, stream);
    moe_device_close(device);
}

static int skip_all(const char *why)
{
    for (int class = 0; class < LENGTH(classes); class ++)
        for (int range = 0; range <= RANGES; range++)
            printf("ok %d - %s, %s # SKIP %s\n", ++number, classes[class].name,
                   range < RANGES ? range_names[range] : "two instructions change places", why);
    return 0;
}

int main(void)
{
    struct moe_gpu_status gpu;
    moe_gpu_probe(&gpu);
    if (gpu.state != MOE_GPU_READY && getenv("MOE_REQUIRE_GPU")) {
        printf("Bail out! MOE_REQUIRE_GPU is set, but %s\n", gpu.reason);
        return 99;
    }
    printf("1..%d\n", LENGTH(classes) * (RANGES + 1));
    if (gpu.state != MOE_GPU_READY)
        return skip_all(gpu.reason);
    if (gpu.device[0].major != 9)
        return skip_all("the rules are those of capability 9.0");
    if (open_all() != MOE_OK) {
        printf("Bail out! %s\n", moe_error_text());
        close_all();
        return 99;
    }
    for (int class = 0; class < LENGTH(classes); class ++)
        test_class(class);
    look_at_cublas();
    close_all();
    return failures != 0;
}

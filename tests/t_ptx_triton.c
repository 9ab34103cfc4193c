/*
 * t_ptx_triton.c - what another compiler makes runs on the PTX machine too: kernels written in
 * Triton (tests/ptx/triton/kernels.py), whose PTX is kept beside them. Under every schedule and
 * time they give what plain loops give, and nothing is reported that changes values.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ptx_rig.h"
#include "tests/support.h"

#define SEEDS 9
/* Triton declares 16 and swizzles as if it were this, which every GPU gives and PTX does not
 * promise. */
#define SHARED_ALIGN 1024
#define FOLDER "tests/ptx/triton/"

/* ---- data ------------------------------------------------------------------------------------ */

static uint64_t size_of(enum moe_dtype dtype, int count)
{
    return (uint64_t)count * (uint64_t)moe_dtype_info(dtype)->bits / 8;
}

/* Small whole numbers, whose sums of products are exact in f32; encoded, [count]. */
static void *whole_numbers(enum moe_dtype dtype, int count, double *value)
{
    char *bytes = malloc((size_t)size_of(dtype, count));
    ck_assert_ptr_nonnull(bytes);
    for (int i = 0; i < count; i++)
        value[i] = (double)(i * 7 % 31 % 5 - 2);
    moe_dtype_store_many(dtype, bytes, 0, count, value);
    return bytes;
}

/* x[rows,K] w[N,K]^T, rounded to the type: what a row of `out` must be. */
static void multiply(const double *x, const double *w, int N, int K, enum moe_dtype dtype,
                     double *out)
{
    for (int n = 0; n < N; n++) {
        double sum = 0;
        for (int k = 0; k < K; k++)
            sum += x[k] * w[n * K + k];
        out[n] = moe_dtype_round(dtype, sum, 0);
    }
}

static void must_equal(struct rig *rig, const double *got, const double *want, int count,
                       const char *what)
{
    for (int i = 0; i < count; i++)
        ck_assert_msg(rig->trouble[0] || got[i] == want[i], "%s: %d is %g, not %g", what, i, got[i],
                      want[i]);
}

/* Reads an argument of `count` elements. */
static void take(struct rig *rig, int argument, enum moe_dtype dtype, int count, double *value)
{
    char bytes[4 * 16384];
    ck_assert_uint_le(size_of(dtype, count), sizeof bytes);
    rig_read(rig, argument, bytes, size_of(dtype, count));
    moe_dtype_load_many(dtype, bytes, 0, count, value);
}

static void scratch(struct rig *rig, uint64_t bytes)
{
    rig_buffer(rig, NULL, bytes, "scratch memory");
    rig_buffer(rig, NULL, 16, "profile memory");
}

/* ---- kernels --------------------------------------------------------------------------------- */

#define ELEMENTS 1900

static void add_rows(struct rig *rig)
{
    float x[ELEMENTS], y[ELEMENTS], out[ELEMENTS];
    for (int i = 0; i < ELEMENTS; i++)
        x[i] = 0.5f * (float)i, y[i] = (float)(i % 37) - 11;
    rig_buffer(rig, x, sizeof x, "x");
    rig_buffer(rig, y, sizeof y, "y");
    rig_buffer(rig, NULL, sizeof out, "out");
    rig_number(rig, ELEMENTS);
    scratch(rig, 16);
    rig_run(rig, (ELEMENTS + 511) / 512, 1, 1, 128, 0);
    rig_read(rig, 2, out, sizeof out);
    for (int i = 0; i < ELEMENTS; i++)
        ck_assert(rig->trouble[0] || out[i] == x[i] + y[i]);
}

#define COLUMNS 100

static void softmax_rows(struct rig *rig)
{
    float x[7][COLUMNS], out[7][COLUMNS];
    for (int row = 0; row < 7; row++)
        for (int c = 0; c < COLUMNS; c++)
            x[row][c] = (float)((row * COLUMNS + c) * 37 % 101) * 0.07f;
    rig_buffer(rig, x, sizeof x, "x");
    rig_buffer(rig, NULL, sizeof out, "out");
    rig_number(rig, COLUMNS);
    scratch(rig, 16);
    rig_run(rig, 7, 1, 1, 128, 16);
    rig_read(rig, 1, out, sizeof out);
    for (int row = 0; row < 7; row++) {
        double sum = 0;
        for (int c = 0; c < COLUMNS; c++)
            sum += exp(x[row][c]);
        for (int c = 0; c < COLUMNS; c++)
            ck_assert(rig->trouble[0] || fabs(out[row][c] * sum / exp(x[row][c]) - 1) <= 1e-5);
    }
}

#define EXPERTS 64

static void count_experts(struct rig *rig)
{
    int32_t picks[ELEMENTS], counts[EXPERTS] = {0}, want[EXPERTS] = {0};
    for (int i = 0; i < ELEMENTS; i++)
        want[picks[i] = i * i % 61]++;
    rig_buffer(rig, picks, sizeof picks, "picks");
    rig_buffer(rig, counts, sizeof counts, "counts");
    rig_number(rig, ELEMENTS);
    scratch(rig, 16);
    rig_run(rig, (ELEMENTS + 255) / 256, 1, 1, 128, 2048);
    rig_read(rig, 1, counts, sizeof counts);
    ck_assert(rig->trouble[0] || !memcmp(counts, want, sizeof want));
}

static void scan_offsets(struct rig *rig)
{
    int32_t counts[EXPERTS], offsets[EXPERTS], sum = 0;
    for (int e = 0; e < EXPERTS; e++)
        counts[e] = e * 29 % 17;
    rig_buffer(rig, counts, sizeof counts, "counts");
    rig_buffer(rig, NULL, sizeof offsets, "offsets");
    scratch(rig, 16);
    rig_run(rig, 1, 1, 1, 128, 8);
    rig_read(rig, 1, offsets, sizeof offsets);
    for (int e = 0; e < EXPERTS; sum += counts[e++])
        ck_assert(rig->trouble[0] || offsets[e] == sum);
}

/* Rows and columns beyond the last tile's, and a k that no tile divides. */
#define M 100
#define N 80
#define K 208

struct shape {
    int rows, columns; /* of a tile */
    uint32_t threads, shared, scratch;
    enum moe_dtype in, out;
};

static void product(struct rig *rig, const struct shape *shape)
{
    static double a[M * K], b[N * K], want[M * N], got[M * N];
    const uint32_t x = (uint32_t)((M + shape->rows - 1) / shape->rows),
                   y = (uint32_t)((N + shape->columns - 1) / shape->columns);
    void *left = whole_numbers(shape->in, M * K, a), *right = whole_numbers(shape->in, N * K, b);
    rig_buffer(rig, left, size_of(shape->in, M * K), "a");
    rig_buffer(rig, right, size_of(shape->in, N * K), "b");
    rig_buffer(rig, NULL, size_of(shape->out, M * N), "c");
    rig_number(rig, M);
    rig_number(rig, N);
    rig_number(rig, K);
    scratch(rig, shape->scratch ? (uint64_t)shape->scratch * x * y : 16);
    rig_run(rig, x, y, 1, shape->threads, shape->shared);
    take(rig, 2, shape->out, M * N, got);
    for (int m = 0; m < M; m++)
        multiply(a + m * K, b, N, K, shape->out, want + m * N);
    must_equal(rig, got, want, M * N, "c");
    free(left);
    free(right);
}

static void product_bf16(struct rig *rig)
{
    product(rig, &(struct shape){64, 64, 128, 49152, 0, MOE_BF16, MOE_BF16});
}

static void product_8warps(struct rig *rig)
{
    product(rig, &(struct shape){128, 64, 256, 98304, 0, MOE_BF16, MOE_BF16});
}

static void product_mma(struct rig *rig)
{
    product(rig, &(struct shape){16, 32, 128, 6144, 0, MOE_F16, MOE_F16});
}

static void product_e4m3(struct rig *rig)
{
    product(rig, &(struct shape){64, 64, 128, 24576, 0, MOE_E4M3, MOE_F32});
}

static void described_product(struct rig *rig)
{
    product(rig, &(struct shape){64, 64, 128, 49176, 384, MOE_F16, MOE_F16});
}

/* Three experts, of which one has no rows; rows in another order than tokens. */
static void gathered_product(struct rig *rig)
{
    static const int32_t offsets[] = {0, 70, 70, M};
    static double x[M * K], w[3 * N * K], want[M * N], got[M * N];
    int32_t rows[M];
    void *left = whole_numbers(MOE_BF16, M * K, x), *right = whole_numbers(MOE_BF16, 3 * N * K, w);
    for (int i = 0; i < M; i++)
        rows[i] = i * 37 % M;
    rig_buffer(rig, left, sizeof(uint16_t) * M * K, "x");
    rig_buffer(rig, rows, sizeof rows, "rows");
    rig_buffer(rig, right, sizeof(uint16_t) * 3 * N * K, "w");
    rig_buffer(rig, NULL, sizeof(uint16_t) * M * N, "y");
    rig_buffer(rig, offsets, sizeof offsets, "offsets");
    rig_number(rig, N);
    rig_number(rig, K);
    scratch(rig, 16);
    rig_run(rig, 2, 2, 3, 128, 49152);
    take(rig, 3, MOE_BF16, M * N, got);
    for (int e = 0; e < 3; e++)
        for (int i = offsets[e]; i < offsets[e + 1]; i++)
            multiply(x + rows[i] * K, w + e * N * K, N, K, MOE_BF16, want + i * N);
    must_equal(rig, got, want, M * N, "y");
    free(left);
    free(right);
}

static const struct {
    const char *name;
    void (*run)(struct rig *rig);
} kernels[] = {
    {"add_rows", add_rows},
    {"softmax_rows", softmax_rows},
    {"count_experts", count_experts},
    {"scan_offsets", scan_offsets},
    {"product_bf16", product_bf16},
    {"product_8warps", product_8warps},
    {"product_mma", product_mma},
    {"product_e4m3", product_e4m3},
    {"gathered_product", gathered_product},
    {"described_product", described_product},
};

START_TEST(runs)
{
    const char *srcdir = getenv("srcdir"), *size = getenv("MOE_TEST_SIZE");
    const uint32_t seeds = size && !strcmp(size, "small") ? 2 : SEEDS;
    for (uint32_t seed = 0; seed < seeds; seed++) {
        char path[512];
        struct rig rig;
        snprintf(path, sizeof path, "%s/" FOLDER "%s.ptx", srcdir ? srcdir : ".", kernels[_i].name);
        rig_open(&rig, path, 4 * seed, SHARED_ALIGN);
        kernels[_i].run(&rig);
        ck_assert_msg(!rig.trouble[0], "%s, seed %u: %s", kernels[_i].name, 4 * seed, rig.trouble);
        rig_close(&rig);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ptx of Triton");
    TCase *tests = tcase_create("triton");
    tcase_add_loop_test(tests, runs, 0, COUNT(kernels));
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

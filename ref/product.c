/*
 * product.c - products on OpenBLAS, and the bound that goes with each.
 *
 * OpenBLAS runs single-threaded; threads of ours share the tiles of C, so that one pool of threads
 * does both the products and the element loops between them. The shape alone says where tiles end:
 * at the edge of a matrix BLAS sums in another order than in its middle, so that cuts that followed
 * the number of threads would change last bits.
 */
#include <cblas.h>
#undef I /* <complex.h> comes with cblas.h; I is a dimension here */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "ref/internal.h"

/* Below this many multiplications a second thread costs more than it brings. */
#define WORTH_A_THREAD 1e6

/* Rows and columns of a tile, at most. BLAS packs both operands anew for every tile, so that tiles
 * should be large; but a product of fewer than FEW_TILES would leave threads without any, and its
 * tiles are half as wide. */
#define TILE_ROWS 512
#define TILE_COLS 1024
#define FEW_TILES 4

struct slice {
    enum form form;
    int64_t m, n, k;
    int64_t lda, ldb, ldc; /* of the whole matrices */
};

static CBLAS_TRANSPOSE transpose_a(enum form form)
{
    return form == FORM_TN ? CblasTrans : CblasNoTrans;
}

static CBLAS_TRANSPOSE transpose_b(enum form form)
{
    return form == FORM_NT ? CblasTrans : CblasNoTrans;
}

/* Offsets of the operands of the tile of C that starts at row i, column j. */
static int64_t offset_a(const struct slice *s, int64_t i)
{
    return s->form == FORM_TN ? i : i * s->lda;
}

static int64_t offset_b(const struct slice *s, int64_t j)
{
    return s->form == FORM_NT ? j * s->ldb : j;
}

static void multiply_f64(const struct slice *s, int64_t i, int64_t rows, int64_t j, int64_t cols,
                         const double *a, const double *b, double *c, double beta)
{
    cblas_dgemm(CblasRowMajor, transpose_a(s->form), transpose_b(s->form), (int)rows, (int)cols,
                (int)s->k, 1.0, a + offset_a(s, i), (int)s->lda, b + offset_b(s, j), (int)s->ldb,
                beta, c + i * s->ldc + j, (int)s->ldc);
}

static void multiply_f32(const struct slice *s, int64_t i, int64_t rows, int64_t j, int64_t cols,
                         const float *a, const float *b, float *c)
{
    cblas_sgemm(CblasRowMajor, transpose_a(s->form), transpose_b(s->form), (int)rows, (int)cols,
                (int)s->k, 1.0f, a + offset_a(s, i), (int)s->lda, b + offset_b(s, j), (int)s->ldb,
                0.0f, c + i * s->ldc + j, (int)s->ldc);
}

static int threads_worth(double multiplications)
{
#ifdef _OPENMP
    double most = multiplications / WORTH_A_THREAD;
    int have = omp_get_max_threads();
    return most < 2 ? 1 : most < have ? (int)most : have;
#else
    (void)multiplications;
    return 1;
#endif
}

/* Where part `index` of `parts` of 0 .. n begins; all are about as long. */
static int64_t cut(int64_t n, int64_t parts, int64_t index)
{
    int64_t at = (n * index / parts + 7) / 8 * 8;
    return at < n ? at : n;
}

void product_values(enum moe_dtype precision, enum form form, int64_t m, int64_t n, int64_t k,
                    const double *a, const double *b, double *c, int accumulate, float *scratch_f32)
{
    if (m == 0 || n == 0)
        return;
    if (k == 0) { /* some BLAS leave C alone, or garbage, for an empty sum */
        if (!accumulate)
            memset(c, 0, (size_t)(m * n) * sizeof *c);
        return;
    }
    openblas_set_num_threads(1); /* the tiles below are the threads' work */
    struct slice s = {form, m, n, k, form == FORM_TN ? m : k, form == FORM_NT ? k : n, n};
    int threads = threads_worth((double)m * (double)n * (double)k);
    int64_t down = (m + TILE_ROWS - 1) / TILE_ROWS, across = (n + TILE_COLS - 1) / TILE_COLS;
    if (down * across < FEW_TILES && n > TILE_COLS / 2)
        across *= 2;
    int single = precision == MOE_F32;
    float *a32 = scratch_f32, *b32 = single ? a32 + m * k : NULL,
          *c32 = single ? b32 + k * n : NULL;
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        if (single) {
#pragma omp for
            for (int64_t x = 0; x < m * k; x++)
                a32[x] = (float)a[x];
#pragma omp for
            for (int64_t x = 0; x < k * n; x++)
                b32[x] = (float)b[x];
        }
#pragma omp for schedule(dynamic)
        for (int64_t tile = 0; tile < down * across; tile++) {
            int64_t i = cut(m, down, tile / across), rows = cut(m, down, tile / across + 1) - i;
            int64_t j = cut(n, across, tile % across), cols = cut(n, across, tile % across + 1) - j;
            if (single)
                multiply_f32(&s, i, rows, j, cols, a32, b32, c32);
            else
                multiply_f64(&s, i, rows, j, cols, a, b, c, accumulate ? 1.0 : 0.0);
        }
        if (single) {
#pragma omp for
            for (int64_t x = 0; x < m * n; x++)
                c[x] = accumulate ? (float)(c[x] + (double)c32[x]) : c32[x];
        }
    }
}

/* margin = (1+c) Da + c |a|, so that one product with |B| gives the bound:
 * sum Da |b| + c sum (|a| + Da) |b|. */
static void fill_margin(double constant, int64_t count, struct operand a, double *margin)
{
#pragma omp parallel for if (count > 131072) schedule(static)
    for (int64_t i = 0; i < count; i++)
        margin[i] = constant * fabs(a.value[i]) + (a.bound ? (1 + constant) * a.bound[i] : 0);
}

/* squares = values^2. */
static void fill_squares(int64_t count, const double *values, double *squares)
{
#pragma omp parallel for if (count > 131072) schedule(static)
    for (int64_t i = 0; i < count; i++)
        squares[i] = values[i] * values[i];
}

/* The variance of C: sum Var(a) b^2, and the accumulator's error charged as its linear bound
 * squared, since truncation is no random walk. A chunk has the share k/terms of a sum; dividing its
 * square by that makes the squares of all chunks add up to the square of their sum, at least
 * (Cauchy and Schwarz). */
static void product_variance(struct layer *layer, double constant, int64_t terms, enum form form,
                             int64_t m, int64_t n, int64_t k, struct operand a, struct operand b,
                             double *variance, int accumulate)
{
    int second = b.bound != NULL;
    const double *known = second ? a.value : b.value;
    struct operand magnitude = {.value = second ? b.value : a.value};
    fill_squares(second ? m * k : k * n, known, layer->square);
    product_values(MOE_F64, form, m, n, k, second ? layer->square : a.variance,
                   second ? b.variance : layer->square, variance, accumulate, NULL);
    fill_margin(1, second ? k * n : m * k, magnitude, layer->margin);
    product_values(MOE_F64, form, m, n, k, second ? a.magnitude : layer->margin,
                   second ? layer->margin : b.magnitude, layer->reach, 0, NULL);
    double weight = k > 0 ? constant * constant * (double)terms / (double)k : 0;
    double lost = 2 * (double)k * layer->model->loss;
#pragma omp parallel for if (m * n > 131072) schedule(static)
    for (int64_t i = 0; i < m * n; i++)
        variance[i] += weight * layer->reach[i] * layer->reach[i] + lost * lost;
}

/* sums [n] += the sizes of what an operand [rows,cols] may be, along its rows or its columns. */
static void add_sizes(struct operand q, int64_t rows, int64_t cols, int along_rows, double *sums)
{
    for (int64_t i = 0; i < rows * cols; i++)
        sums[along_rows ? i / cols : i % cols] += fabs(q.value[i]) + (q.bound ? q.bound[i] : 0);
}

/* Where subnormal factors are flushed, each a of a sum may be off by `flush`, and so may each b:
 * sum |a| flush + flush |b| + flush^2. */
static void charge_flushes(struct layer *layer, enum form form, int64_t m, int64_t n, int64_t k,
                           struct operand a, struct operand b, double *bound)
{
    double flush = layer->model->flush, *of_a = calloc((size_t)(m + n), sizeof *of_a);
    double *of_b = of_a ? of_a + m : NULL;
    if (!of_a) {
        layer->failed = 1;
        return;
    }
    add_sizes(a, form == FORM_TN ? k : m, form == FORM_TN ? m : k, form != FORM_TN, of_a);
    add_sizes(b, form == FORM_NT ? n : k, form == FORM_NT ? k : n, form == FORM_NT, of_b);
    for (int64_t i = 0; i < m * n; i++)
        bound[i] += flush * (of_a[i / n] + of_b[i % n] + (double)k * flush);
    free(of_a);
}

/* Makes bounds of sums infinite that may overflow on their way: terms are added in any order, so
 * where they add up to `limit` in size. A factor whose own bound is infinite has made them so. */
static void mark_overflow(struct layer *layer, double limit, enum form form, int64_t m, int64_t n,
                          int64_t k, struct operand a, struct operand b, double *bound)
{
    int second = b.bound != NULL;
    int64_t count = second ? k * n : m * k;
    double *reach = malloc((size_t)(m * n) * sizeof *reach);
    if (!reach) {
        layer->failed = 1;
        return;
    }
    fill_margin(1, count, (struct operand){.value = second ? b.value : a.value}, layer->margin);
    const double *own = second ? b.bound : a.bound;
    for (int64_t i = 0; own && i < count; i++)
        layer->margin[i] += own[i] < INFINITY ? own[i] : 0;
    product_values(MOE_F64, form, m, n, k, second ? a.magnitude : layer->margin,
                   second ? layer->margin : b.magnitude, reach, 0, NULL);
    for (int64_t i = 0; i < m * n; i++)
        bound[i] = error_beyond(bound[i], reach[i], limit);
    free(reach);
}

void product_field(struct layer *layer, enum moe_product product, int64_t terms, enum form form,
                   int64_t m, int64_t n, int64_t k, struct operand a, struct operand b,
                   struct field c, int accumulate)
{
    product_values(layer->call->precision, form, m, n, k, a.value, b.value, c.value, accumulate,
                   layer->scratch_f32);
    if (!layer->model)
        return;
    double constant = error_constant(layer->model, product, terms);
    int second = b.bound != NULL; /* which factor is the uncertain one */
    fill_margin(constant, second ? k * n : m * k, second ? b : a, layer->margin);
    product_values(MOE_F64, form, m, n, k, second ? a.magnitude : layer->margin,
                   second ? layer->margin : b.magnitude, c.bound, accumulate, NULL);
    double lost = 2 * (double)k * layer->model->loss; /* each product, and each sum */
    double most = 0;
    if (layer->model->flush > 0)
        charge_flushes(layer, form, m, n, k, a, b, c.bound);
#pragma omp parallel for if (m * n > 131072) schedule(static) reduction(max : most)
    for (int64_t i = 0; i < m * n; i++) {
        c.bound[i] += lost;
        if (c.bound[i] > most && c.bound[i] < INFINITY)
            most = c.bound[i];
    }
    /* a bound is at least `constant` times what the terms add up to in size */
    double limit = error_limit(layer->model, product);
    if (most >= constant * limit)
        mark_overflow(layer, limit * (double)k / (double)terms, form, m, n, k, a, b, c.bound);
    if (!c.variance)
        return;
    if (a.bound || b.bound)
        product_variance(layer, constant, terms, form, m, n, k, a, b, c.variance, accumulate);
    else /* the accumulator errs and nothing else; such a C is never added to */
        fill_squares(m * n, c.bound, c.variance);
}

/* The largest size that an element of an operand may have and is known of. */
static double largest_of(struct operand q, int64_t count)
{
    double most = 0;
    for (int64_t i = 0; i < count; i++) {
        double size = fabs(q.value[i]) + (q.bound ? q.bound[i] : 0);
        most = size > most && size < INFINITY ? size : most;
    }
    return most;
}

void product_folded(struct layer *layer, enum moe_product product, int64_t m, int64_t n, int64_t k,
                    struct operand a, struct operand b, struct field c)
{
    if (!layer->model)
        return;
    double limit = error_limit(layer->model, product);
    if (largest_of(a, m * k) * largest_of(b, k * n) * (double)k >= limit)
        mark_overflow(layer, limit, FORM_NT, m, n, k, a, b, c.bound);
}

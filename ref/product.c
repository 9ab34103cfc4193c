/*
 * product.c - products on OpenBLAS, and the bound that goes with each.
 *
 * OpenBLAS runs single-threaded; a product is cut into one slice of C a thread of ours, so that
 * one pool of threads does both the products and the element loops between them. Each element of C
 * is a sum that one thread forms, whatever the number of threads.
 */
#include <cblas.h>
#undef I /* <complex.h> comes with cblas.h; I is a dimension here */
#include <math.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "ref/internal.h"

/* Below this many multiplications a second thread costs more than it brings. */
#define WORTH_A_THREAD 200000.0

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

/* Offsets of the operands of the slice of C that starts at row i, column j. */
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

/* Part `index` of `parts` of 0 .. n, cut at multiples of 8 so that vector kernels stay whole. */
static int64_t part(int64_t n, int index, int parts)
{
    int64_t cut = (n * index / parts + 7) / 8 * 8;
    return cut < n ? cut : n;
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
    openblas_set_num_threads(1); /* the slices below are the threads */
    struct slice s = {form, m, n, k, form == FORM_TN ? m : k, form == FORM_NT ? k : n, n};
    int threads = threads_worth((double)m * (double)n * (double)k);
    int by_rows = m >= n;
    int single = precision == MOE_F32;
    float *a32 = scratch_f32, *b32 = single ? a32 + m * k : NULL,
          *c32 = single ? b32 + k * n : NULL;
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        int index = 0;
#ifdef _OPENMP
        index = omp_get_thread_num();
#endif
        int64_t i = by_rows ? part(m, index, threads) : 0;
        int64_t rows = by_rows ? part(m, index + 1, threads) - i : m;
        int64_t j = by_rows ? 0 : part(n, index, threads);
        int64_t cols = by_rows ? n : part(n, index + 1, threads) - j;
        if (single) {
#pragma omp for
            for (int64_t x = 0; x < m * k; x++)
                a32[x] = (float)a[x];
#pragma omp for
            for (int64_t x = 0; x < k * n; x++)
                b32[x] = (float)b[x];
        }
        if (rows > 0 && cols > 0) {
            if (single)
                multiply_f32(&s, i, rows, j, cols, a32, b32, c32);
            else
                multiply_f64(&s, i, rows, j, cols, a, b, c, accumulate ? 1.0 : 0.0);
        }
        if (single) {
#pragma omp barrier
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
#pragma omp parallel for if (count > 32768) schedule(static)
    for (int64_t i = 0; i < count; i++)
        margin[i] = constant * fabs(a.value[i]) + (a.bound ? (1 + constant) * a.bound[i] : 0);
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
    double lost = (double)k * layer->model->loss;
#pragma omp parallel for if (m * n > 32768) schedule(static)
    for (int64_t i = 0; i < m * n; i++)
        c.bound[i] += lost;
}

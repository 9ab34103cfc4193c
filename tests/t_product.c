/*
 * t_product.c - products against loops in long double, the same bits for any number of threads, and
 * the self-test of OpenBLAS: it passes, and it notices a BLAS that is wrong in one element.
 *
 * cblas_dgemm and cblas_sgemm here stand before OpenBLAS's own, which they call; told to, they
 * spoil what comes back.
 */
#define _GNU_SOURCE
#include <cblas.h>
#undef I
#include <dlfcn.h>
#include <float.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "ref/internal.h"
#include "tests/support.h"

/* ---- a BLAS that can be told to be wrong ---------------------------------------------------- */

/* Which element of C is off by the smallest amount, in calls that are like this; calls that were.
 */
static struct fault {
    int armed, single, transposed_a, accumulating;
    int least_k;
    int last_element; /* else the first */
    int met;
} fault;

static int meets(int single, CBLAS_TRANSPOSE a, int k, double beta)
{
    int hit = fault.armed && fault.single == single && k >= fault.least_k &&
              fault.transposed_a == (a == CblasTrans) && fault.accumulating == (beta != 0);
    fault.met += hit;
    return hit;
}

static int element(int m, int n, int ldc)
{
    return fault.last_element ? (m - 1) * ldc + n - 1 : 0;
}

static void *original(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    ck_assert_msg(function != NULL, "%s", dlerror());
    return function;
}

void cblas_dgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, blasint m, blasint n,
                 blasint k, double alpha, const double *a, blasint lda, const double *b,
                 blasint ldb, double beta, double *c, blasint ldc)
{
    __typeof__(cblas_dgemm) *real = (__typeof__(cblas_dgemm) *)original("cblas_dgemm");
    real(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    if (meets(0, ta, k, beta))
        c[element(m, n, ldc)] = nextafter(c[element(m, n, ldc)], INFINITY);
}

void cblas_sgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, blasint m, blasint n,
                 blasint k, float alpha, const float *a, blasint lda, const float *b, blasint ldb,
                 float beta, float *c, blasint ldc)
{
    __typeof__(cblas_sgemm) *real = (__typeof__(cblas_sgemm) *)original("cblas_sgemm");
    real(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    if (meets(1, ta, k, beta))
        c[element(m, n, ldc)] = nextafterf(c[element(m, n, ldc)], INFINITY);
}

START_TEST(selftest_passes)
{
    ck_assert_msg(moe_reference_selftest(500) == MOE_OK, "%s", moe_error_text());
    ck_assert_ptr_nonnull(strstr(moe_reference_blas(), "OpenBLAS"));
}
END_TEST

static const struct fault faults[] = {
    {1, 0, 0, 0, 1, 0, 0}, {1, 0, 1, 0, 1, 0, 0}, {1, 0, 0, 1, 1, 1, 0},  {1, 0, 1, 1, 1, 1, 0},
    {1, 1, 0, 0, 1, 0, 0}, {1, 1, 1, 0, 1, 1, 0}, {1, 0, 0, 0, 40, 1, 0}, {1, 1, 1, 0, 40, 0, 0},
};

/* As many rounds as the judge spends at its start. */
START_TEST(selftest_notices)
{
    fault = faults[_i];
    ck_assert_int_eq(moe_reference_selftest(200), MOE_E_INTERNAL);
    ck_assert_int_gt(fault.met, 0);
    ck_assert_msg(strstr(moe_error_text(), fault.single ? "f32 product" : "f64 product") != NULL,
                  "%d: %s", _i, moe_error_text());
    ck_assert_msg(strstr(moe_error_text(), "OpenBLAS") != NULL, "%s", moe_error_text());
    fault.armed = 0;
    ck_assert_int_eq(moe_reference_selftest(200), MOE_OK);
}
END_TEST

/* ---- products against loops ----------------------------------------------------------------- */

static const enum form forms[] = {FORM_NT, FORM_NN, FORM_TN};

struct product {
    enum moe_dtype precision;
    enum form form;
    int64_t m, n, k;
    double *a, *b, *c, *before;
    float *scratch;
};

static struct product product_open(enum moe_dtype precision, enum form form, int64_t m, int64_t n,
                                   int64_t k, uint64_t seed)
{
    struct product p = {.precision = precision, .form = form, .m = m, .n = n, .k = k};
    uint64_t state = seed * 2 + 1;
    size_t size = (size_t)(m * k + k * n + m * n + 1);
    p.a = calloc(size + (size_t)(m * n), sizeof *p.a);
    p.scratch = malloc(size * sizeof *p.scratch);
    ck_assert(p.a && p.scratch);
    p.b = p.a + m * k;
    p.c = p.b + k * n;
    p.before = p.c + m * n;
    for (int64_t i = 0; i < m * k + k * n; i++)
        p.a[i] = random_in(&state, -1, 1);
    for (int64_t i = 0; i < m * n; i++)
        p.c[i] = p.before[i] = random_in(&state, -1, 1);
    return p;
}

static void product_close(struct product *p)
{
    free(p->a);
    free(p->scratch);
}

static void multiply(struct product *p, int accumulate)
{
    product_values(p->precision, p->form, p->m, p->n, p->k, p->a, p->b, p->c, accumulate,
                   p->scratch);
}

/* What the precision makes of an operand. */
static double operand(const struct product *p, double value)
{
    return p->precision == MOE_F32 ? (float)value : value;
}

static long double sum_of(const struct product *p, int64_t i, int64_t j, long double *size)
{
    long double sum = 0;
    *size = 0;
    for (int64_t x = 0; x < p->k; x++) {
        double a = p->a[p->form == FORM_TN ? x * p->m + i : i * p->k + x];
        double b = p->b[p->form == FORM_NT ? j * p->k + x : x * p->n + j];
        sum += (long double)operand(p, a) * operand(p, b);
        *size += fabsl((long double)operand(p, a) * operand(p, b));
    }
    return sum;
}

/* At most k+2 roundings meet a term of a sum of k products, whatever their order. (A plain if:
 * libcheck notes every assertion in a file.) */
static void expect_product(const struct product *p, int accumulate)
{
    double u = p->precision == MOE_F32 ? 0x1p-24 : 0x1p-53;
    for (int64_t i = 0; i < p->m; i++) {
        for (int64_t j = 0; j < p->n; j++) {
            long double size, want = sum_of(p, i, j, &size);
            double before = accumulate ? p->before[i * p->n + j] : 0, got = p->c[i * p->n + j];
            long double allowed = (long double)(p->k + 2) * u * (size + fabs(before)) * 1.0001L;
            if (!(fabsl(got - (want + before)) <= allowed))
                ck_abort_msg("form %d [%d,%d,%d] element %d,%d is %.17g, want %.17Lg", p->form,
                             (int)p->m, (int)p->n, (int)p->k, (int)i, (int)j, got, want + before);
        }
    }
}

START_TEST(against_loops)
{
    static const int64_t edges[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 48, 65};
    enum form form = forms[_i % 3];
    enum moe_dtype precision = _i / 3 ? MOE_F32 : MOE_F64;
    uint64_t state = 3;
    for (int round = 0; round < as_many(150, 30); round++) {
        int64_t m = edges[random_below(&state, COUNT(edges))];
        int64_t n = edges[random_below(&state, COUNT(edges))];
        int64_t k = edges[random_below(&state, COUNT(edges))];
        int accumulate = round % 2;
        struct product p = product_open(precision, form, m, n, k, (uint64_t)round);
        for (int64_t i = 0; i < m * n && !accumulate; i++)
            p.c[i] = NAN; /* must be overwritten */
        multiply(&p, accumulate);
        expect_product(&p, accumulate);
        product_close(&p);
    }
}
END_TEST

/* Sums beyond the blocks that a BLAS cuts them into, and panels wider than they are. */
START_TEST(long_and_wide)
{
    static const int64_t shapes[][3] = {{3, 5, 3000}, {700, 2, 9}, {2, 1500, 9}, {129, 257, 65}};
    for (int i = 0; i < COUNT(shapes); i++) {
        struct product p = product_open(_i / 3 ? MOE_F32 : MOE_F64, forms[_i % 3], shapes[i][0],
                                        shapes[i][1], shapes[i][2], 9);
        multiply(&p, 1);
        expect_product(&p, 1);
        product_close(&p);
    }
}
END_TEST

/* An empty sum is 0, or what was there; no rows or columns is nothing. */
START_TEST(empty)
{
    enum moe_dtype precision = _i / 3 ? MOE_F32 : MOE_F64;
    struct product p = product_open(precision, forms[_i % 3], 5, 3, 0, 1);
    multiply(&p, 1);
    for (int i = 0; i < 15; i++)
        ck_assert(p.c[i] == p.before[i]);
    p.c[7] = NAN;
    multiply(&p, 0);
    for (int i = 0; i < 15; i++)
        ck_assert(p.c[i] == 0);
    product_close(&p);
    p = product_open(precision, forms[_i % 3], 0, 3, 4, 1);
    multiply(&p, 0);
    product_close(&p);
}
END_TEST

/* ---- threads -------------------------------------------------------------------------------- */

/* Large enough for more than one tile and thread, with sides that do not divide evenly: where tiles
 * end must not depend on the number of threads, since BLAS sums otherwise at an edge than in the
 * middle. */
static const int64_t large[][3] = {{600, 77, 93},   {77, 1111, 93},  {1, 1999, 1801},
                                   {1999, 1, 1801}, {523, 1030, 41}, {256, 600, 200}};

START_TEST(threads)
{
    enum moe_dtype precision = _i / 3 ? MOE_F32 : MOE_F64;
    for (int i = 0; i < COUNT(large); i++) {
        int64_t m = large[i][0], n = large[i][1], k = large[i][2];
        struct product one = product_open(precision, forms[_i % 3], m, n, k, 5);
        omp_set_num_threads(1);
        multiply(&one, i % 2);
        expect_product(&one, i % 2);
        for (int count = 2; count <= 5; count++) {
            struct product many = product_open(precision, forms[_i % 3], m, n, k, 5);
            omp_set_num_threads(count);
            multiply(&many, i % 2);
            ck_assert_msg(memcmp(one.c, many.c, (size_t)(m * n) * sizeof *one.c) == 0,
                          "[%d,%d,%d] by %d threads differs", (int)m, (int)n, (int)k, count);
            product_close(&many);
        }
        product_close(&one);
    }
}
END_TEST

/* Fewer threads than were asked for, as inside another parallel region: all of C is still made. */
START_TEST(fewer_threads)
{
    for (int i = 0; i < COUNT(large); i++) {
        struct product p = product_open(_i / 3 ? MOE_F32 : MOE_F64, forms[_i % 3], large[i][0],
                                        large[i][1], large[i][2], 5);
        omp_set_max_active_levels(1);
#pragma omp parallel num_threads(2)
#pragma omp single
        {
            omp_set_num_threads(4);
            multiply(&p, 0);
        }
        expect_product(&p, 0);
        product_close(&p);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("product");
    TCase *selftest = tcase_create("selftest"), *products = tcase_create("products");
    tcase_add_test(selftest, selftest_passes);
    tcase_add_loop_test(selftest, selftest_notices, 0, COUNT(faults));
    suite_add_tcase(suite, selftest);
    tcase_add_loop_test(products, against_loops, 0, 6);
    tcase_add_loop_test(products, long_and_wide, 0, 6);
    tcase_add_loop_test(products, empty, 0, 6);
    tcase_add_loop_test(products, threads, 0, 6);
    tcase_add_loop_test(products, fewer_threads, 0, 6);
    suite_add_tcase(suite, products);
    return run_suite(suite);
}

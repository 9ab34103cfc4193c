/*
 * selftest.c - the oracle's oracle: OpenBLAS against plain loops, before it is believed.
 *
 * Releases of OpenBLAS have computed wrong products on some processors, and garbage for empty sums.
 * Every form that the reference uses is tried on small random shapes around the kernels' edges,
 * with NaN in what must be overwritten. The products are of small integers, so both sides are exact
 * and any difference is an error.
 */
#include <cblas.h>
#undef I /* <complex.h> comes with cblas.h; I is a dimension here */
#include <math.h>
#include <stdlib.h>

#include "ref/internal.h"

#define WIDEST 48 /* of each dimension */

static const char *const form_names[] = {"NT", "NN", "TN"};

/* Row-major element of A [m,k] or, for TN, of A [k,m]; B likewise. */
static double element_a(enum form form, const double *a, int64_t m, int64_t k, int64_t i, int64_t x)
{
    return form == FORM_TN ? a[x * m + i] : a[i * k + x];
}

static double element_b(enum form form, const double *b, int64_t n, int64_t k, int64_t x, int64_t j)
{
    return form == FORM_NT ? b[j * k + x] : b[x * n + j];
}

struct trial {
    enum moe_dtype precision;
    enum form form;
    int64_t m, n, k;
    int accumulate;
    double *a, *b, *c, *want;
    float *scratch;
};

static void expect(struct trial *t)
{
    for (int64_t i = 0; i < t->m; i++) {
        for (int64_t j = 0; j < t->n; j++) {
            double sum = t->accumulate ? t->c[i * t->n + j] : 0;
            for (int64_t x = 0; x < t->k; x++)
                sum += element_a(t->form, t->a, t->m, t->k, i, x) *
                       element_b(t->form, t->b, t->n, t->k, x, j);
            t->want[i * t->n + j] = sum;
        }
    }
}

static void fill(double *values, int64_t count, uint32_t purpose, uint64_t round)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = (double)(moe_draw_word(round, purpose, (uint64_t)i) % 17) - 8;
}

static int try_one(struct trial *t, uint64_t round)
{
    uint32_t shape = moe_draw_word(round, 1, 0), kind = moe_draw_word(round, 2, 0);
    t->m = shape % WIDEST + 1;
    t->n = shape / WIDEST % WIDEST + 1;
    t->k = shape / (WIDEST * WIDEST) % WIDEST; /* 0 too */
    t->form = (enum form)(kind % 3);
    t->precision = kind / 3 % 2 ? MOE_F32 : MOE_F64;
    t->accumulate = kind / 6 % 2;
    fill(t->a, t->m * t->k, 3, round);
    fill(t->b, t->n * t->k, 4, round);
    fill(t->c, t->m * t->n, 5, round);
    expect(t);
    for (int64_t i = 0; i < t->m * t->n && !t->accumulate; i++)
        t->c[i] = NAN;
    product_values(t->precision, t->form, t->m, t->n, t->k, t->a, t->b, t->c, t->accumulate,
                   t->scratch);
    for (int64_t i = 0; i < t->m * t->n; i++)
        if (!(t->c[i] == t->want[i]))
            return moe_error(
                MOE_E_INTERNAL,
                "%s: %s product %s of [%lld,%lld,%lld] is wrong at element %lld: %a, not %a",
                moe_reference_blas(), moe_dtype_info(t->precision)->name, form_names[t->form],
                (long long)t->m, (long long)t->n, (long long)t->k, (long long)i, t->c[i],
                t->want[i]);
    return MOE_OK;
}

int moe_reference_selftest(int rounds)
{
    size_t square = WIDEST * WIDEST;
    double *memory = calloc(4 * square + 3 * square / 2, sizeof *memory);
    if (!memory)
        return moe_error(MOE_E_NOMEM, "no memory for the self-test of OpenBLAS");
    struct trial trial = {.a = memory,
                          .b = memory + square,
                          .c = memory + 2 * square,
                          .want = memory + 3 * square,
                          .scratch = (float *)(memory + 4 * square)};
    int status = MOE_OK;
    for (int round = 0; round < rounds && status == MOE_OK; round++)
        status = try_one(&trial, (uint64_t)round);
    free(memory);
    return status;
}

const char *moe_reference_blas(void)
{
    return openblas_get_config();
}

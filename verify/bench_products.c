/*
 * bench_products.c - the yardstick of the reference: OpenBLAS's own time for the products of the
 * layer, forward and backward, in f64.
 *
 * The shapes are those of the case, expert by expert, with the routing that it has. The data are
 * random and every product works on the same three buffers, which can only help OpenBLAS.
 */
#include <cblas.h>
#include <omp.h>
#include <stdlib.h>
#undef I /* of complex.h, which cblas.h includes; here a dimension */

#include "verify/bench.h"

/* C [m,n] = A [m,k] B [k,n] */
struct product {
    int64_t m, n, k;
    CBLAS_TRANSPOSE a, b;
};

struct products {
    const struct moe_problem *problem;
    int64_t *rows; /* [E] of each expert */
    double *a, *b, *c;
    int64_t a_size, b_size, c_size;
    int measuring; /* 0: only the sizes */
};

/* ---- how many rows each expert has ----------------------------------------------------------- */

static int count_picks(void *context, const struct moe_block *block)
{
    struct products *products = context;

    if (block->tensor != MOE_PICKS)
        return MOE_OK;
    for (int64_t r = 0; r < block->rows; r++)
        for (int64_t c = 0; c < block->cols; c++) {
            double expert = block->value[r * block->stride + c];

            if (expert >= 0)
                products->rows[(int64_t)expert]++;
        }
    return MOE_OK;
}

static int count_rows(struct products *products)
{
    struct moe_tensors tensors;
    struct moe_reference reference = {
        .problem = products->problem,
        .tensors = tensors.tensor,
        .passes = MOE_PASS_FORWARD,
        .precision = MOE_F64,
        .take = count_picks,
        .context = products,
    };
    int status = moe_tensors_allocate(products->problem, &tensors);

    if (status != MOE_OK)
        return status;
    status = moe_tensors_draw(products->problem, &tensors);
    if (status == MOE_OK)
        status = moe_reference_run(&reference);
    moe_tensors_free(&tensors);
    return status;
}

/* ---- the products ---------------------------------------------------------------------------- */

static void grow(int64_t *size, int64_t wanted)
{
    *size = wanted > *size ? wanted : *size;
}

static void multiply(struct products *products, struct product p)
{
    if (p.m == 0 || p.n == 0 || p.k == 0)
        return;
    grow(&products->a_size, p.m * p.k);
    grow(&products->b_size, p.k * p.n);
    grow(&products->c_size, p.m * p.n);
    if (products->measuring)
        cblas_dgemm(CblasRowMajor, p.a, p.b, (blasint)p.m, (blasint)p.n, (blasint)p.k, 1,
                    products->a, (blasint)(p.a == CblasTrans ? p.m : p.k), products->b,
                    (blasint)(p.b == CblasTrans ? p.k : p.n), 0, products->c, (blasint)p.n);
}

/* n rows through two layers of weights, [Z,H] and [H,I]: the six products of an expert. */
static void expert(struct products *products, int64_t n, int64_t H, int64_t Z, int64_t I)
{
    const struct product of_rows[] = {
        {n, Z, H, CblasNoTrans, CblasTrans},   /* Z = X W1^T */
        {n, H, I, CblasNoTrans, CblasTrans},   /* Y = A W2^T */
        {n, I, H, CblasNoTrans, CblasNoTrans}, /* dA' = dO W2 */
        {H, I, n, CblasTrans, CblasNoTrans},   /* dW2 = dO^T (s A) */
        {n, H, Z, CblasNoTrans, CblasNoTrans}, /* dX~ = dZ W1 */
        {Z, H, n, CblasTrans, CblasNoTrans},   /* dW1 = dZ^T X */
    };

    for (size_t i = 0; i < sizeof of_rows / sizeof *of_rows; i++)
        multiply(products, of_rows[i]);
}

static int all_products(void *context)
{
    struct products *products = context;
    const struct moe_problem *p = products->problem;

    if (p->router != MOE_LISTS) {
        multiply(products, (struct product){p->T, p->E, p->H, CblasNoTrans, CblasTrans});
        multiply(products, (struct product){p->T, p->H, p->E, CblasNoTrans, CblasNoTrans});
        multiply(products, (struct product){p->E, p->H, p->T, CblasTrans, CblasNoTrans});
    }
    for (int64_t e = 0; e < p->E; e++)
        expert(products, products->rows[e], p->H, moe_problem_z_rows(p), p->I);
    if (p->shared > 0)
        expert(products, p->T, p->H, moe_problem_shared_rows(p), p->shared);
    return MOE_OK;
}

/* Of `size` numbers within 1 that no instruction finds easier than others; NULL: no memory. */
static double *random_numbers(int64_t size)
{
    double *number = malloc((size_t)(size > 0 ? size : 1) * sizeof *number);

    for (int64_t i = 0; number != NULL && i < size; i++)
        number[i] = (double)((i * 2654435761) % 2000003) / 1000001.5 - 1;
    return number;
}

int moe_bench_products(const struct moe_problem *problem, struct moe_measure *measure)
{
    struct products products = {.problem = problem};
    int status;

    products.rows = calloc((size_t)problem->E, sizeof *products.rows);
    status = products.rows != NULL ? count_rows(&products)
                                   : moe_error(MOE_E_NOMEM, "no memory for the experts' rows");
    if (status == MOE_OK) {
        all_products(&products);
        products.a = random_numbers(products.a_size);
        products.b = random_numbers(products.b_size);
        products.c = random_numbers(products.c_size);
        if (products.a == NULL || products.b == NULL || products.c == NULL)
            status = moe_error(MOE_E_NOMEM, "no memory for the products");
    }
    if (status == MOE_OK) {
        products.measuring = 1;
        openblas_set_num_threads(omp_get_max_threads());
        status = moe_bench_repeat(all_products, &products, &measure->both);
        measure->seconds = measure->both.median;
    }
    free(products.rows);
    free(products.a);
    free(products.b);
    free(products.c);
    return status;
}

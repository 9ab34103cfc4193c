/*
 * cublas.h - products on cuBLAS, opened by dlopen at first use and never linked.
 */
#ifndef MOE_CUBLAS_H
#define MOE_CUBLAS_H

#include "gpu/gpu.h"
#include "ref/moe.h"

struct cublas; /* a handle */

/* MOE_E_UNSUPPORTED: the library is not there, or the build has no CUDA headers; the text says
 * which. */
int cublas_open(struct cublas **handle);
void cublas_close(struct cublas *handle);

/* Is the library there? MOE_OK, or MOE_E_UNSUPPORTED with the reason. */
int cublas_probe(void);

enum cublas_form {
    CUBLAS_NT, /* C[m,n] = A[m,k] B[n,k]^T */
    CUBLAS_NN, /* C[m,n] = A[m,k] B[k,n] */
    CUBLAS_TN, /* C[m,n] = A[k,m]^T B[k,n] */
};

/* One product on device memory, row-major and dense: C = A B, or C += A B. A and B have the type
 * `from`, C the type `to`; sums are in f32, for f64 in f64. Empty sums leave zeros. */
struct cublas_product {
    enum cublas_form form;
    int64_t m, n, k;
    enum moe_dtype from, to;
    const void *a, *b;
    void *c;
    int add;
};
int cublas_multiply(struct cublas *handle, struct moe_device *device, void *stream,
                    const struct cublas_product *product);

#endif

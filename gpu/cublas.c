/*
 * cublas.c - cublasGemmEx behind one function for row-major products.
 *
 * cuBLAS is column-major: a row-major C = A B is its C^T = B^T A^T, so the factors change places.
 */
#include "gpu/cublas.h"
#include "gpu/fault.h"

#include "config.h"

#ifdef HAVE_CUDA

#include <cublas_v2.h>
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct cublas {
    cublasHandle_t handle;
};

/* The functions that we use; a name a row, so that a missing one is named. */
static struct {
    void *object; /* of dlopen */
    cublasStatus_t (*create)(cublasHandle_t *);
    cublasStatus_t (*destroy)(cublasHandle_t);
    cublasStatus_t (*set_stream)(cublasHandle_t, cudaStream_t);
    cublasStatus_t (*set_math_mode)(cublasHandle_t, cublasMath_t);
    cublasStatus_t (*gemm)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int,
                           const void *, const void *, cudaDataType, int, const void *,
                           cudaDataType, int, const void *, void *, cudaDataType, int,
                           cublasComputeType_t, cublasGemmAlgo_t);
    const char *(*status_string)(cublasStatus_t);
    char why[256];
} library;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_library(void)
{
    static const char *const names[] = {"libcublas.so.13", "libcublas.so"};
    const struct {
        const char *name;
        void *to;
    } functions[] = {
        {"cublasCreate_v2", &library.create},
        {"cublasDestroy_v2", &library.destroy},
        {"cublasSetStream_v2", &library.set_stream},
        {"cublasSetMathMode", &library.set_math_mode},
        {"cublasGemmEx", &library.gemm},
        {"cublasGetStatusString", &library.status_string},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names && !library.object; i++)
        library.object = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library.object) {
        snprintf(library.why, sizeof library.why, "libcublas.so.13 not found");
        return;
    }
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        *(void **)functions[i].to = dlsym(library.object, functions[i].name);
        if (!*(void **)functions[i].to) {
            snprintf(library.why, sizeof library.why, "libcublas has no %s", functions[i].name);
            return;
        }
    }
}

int cublas_probe(void)
{
    pthread_once(&once, open_library);
    return library.why[0] ? moe_error(MOE_E_UNSUPPORTED, "%s", library.why) : MOE_OK;
}

static int failed(cublasStatus_t status, const char *doing)
{
    int kind = status == CUBLAS_STATUS_ALLOC_FAILED    ? MOE_E_NOMEM
               : status == CUBLAS_STATUS_NOT_SUPPORTED ? MOE_E_UNSUPPORTED
                                                       : MOE_E_INTERNAL;
    return moe_error(kind, "cuBLAS, %s: %s", doing, library.status_string(status));
}

int cublas_open(struct cublas **handle)
{
    int status = cublas_probe();
    if (status != MOE_OK)
        return status;
    struct cublas *own = malloc(sizeof *own);
    if (!own)
        return moe_error(MOE_E_NOMEM, "no memory for a cuBLAS handle");
    cublasStatus_t result = library.create(&own->handle);
    if (result == CUBLAS_STATUS_SUCCESS) {
        /* sums stay in f32 also where a product is split over k */
        result = library.set_math_mode(
            own->handle,
            (cublasMath_t)(CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION));
        if (result != CUBLAS_STATUS_SUCCESS)
            library.destroy(own->handle);
    }
    if (result != CUBLAS_STATUS_SUCCESS) {
        free(own);
        return failed(result, "making a handle");
    }
    *handle = own;
    return MOE_OK;
}

void cublas_close(struct cublas *handle)
{
    if (!handle)
        return;
    library.destroy(handle->handle);
    free(handle);
}

static cudaDataType cuda_type(enum moe_dtype dtype)
{
    static const cudaDataType types[] = {[MOE_BF16] = CUDA_R_16BF,
                                         [MOE_F16] = CUDA_R_16F,
                                         [MOE_F32] = CUDA_R_32F,
                                         [MOE_F64] = CUDA_R_64F};
    return types[dtype];
}

int cublas_multiply(struct cublas *handle, struct moe_device *device, void *stream,
                    const struct cublas_product *p)
{
    if (p->m == 0 || p->n == 0)
        return MOE_OK;
    if (p->k == 0) {
        int64_t bytes = p->m * p->n * (moe_dtype_info(p->to)->bits / 8);
        return p->add ? MOE_OK : moe_device_fill(device, p->c, 0, bytes, stream);
    }
    if (p->m > INT_MAX || p->n > INT_MAX || p->k > INT_MAX)
        return moe_error(MOE_E_UNSUPPORTED, "a product of [%lld,%lld,%lld] is too large for cuBLAS",
                         (long long)p->m, (long long)p->n, (long long)p->k);
    int wide = p->from == MOE_F64;
    const double one64 = 1, add64 = p->add;
    const float one32 = planted(FAULT_GAIN) ? 1.005f : 1, add32 = (float)p->add;
    cublasOperation_t of_b = p->form == CUBLAS_NT ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasOperation_t of_a = p->form == CUBLAS_TN ? CUBLAS_OP_T : CUBLAS_OP_N;
    int ldb = (int)(p->form == CUBLAS_NT ? p->k : p->n);
    int lda = (int)(p->form == CUBLAS_TN ? p->m : p->k);
    cublasStatus_t status = library.set_stream(handle->handle, (cudaStream_t)stream);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = library.gemm(handle->handle, of_b, of_a, (int)p->n, (int)p->m, (int)p->k,
                              wide ? (const void *)&one64 : &one32, p->b, cuda_type(p->from), ldb,
                              p->a, cuda_type(p->from), lda, wide ? (const void *)&add64 : &add32,
                              p->c, cuda_type(p->to), (int)p->n,
                              wide ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
    return status == CUBLAS_STATUS_SUCCESS ? MOE_OK : failed(status, "a product");
}

#else

int cublas_probe(void)
{
    return moe_error(MOE_E_UNSUPPORTED, "built without CUDA");
}

int cublas_open(struct cublas **handle)
{
    (void)handle;
    return cublas_probe();
}

void cublas_close(struct cublas *handle)
{
    (void)handle;
}

int cublas_multiply(struct cublas *handle, struct moe_device *device, void *stream,
                    const struct cublas_product *product)
{
    (void)handle;
    (void)device;
    (void)stream;
    (void)product;
    return cublas_probe();
}

#endif

/*
 * bench_yardsticks.c - what the device itself can do now: a copy, and cuBLAS on the case's products
 * as dense ones. Operands are random: zeros would run faster than any data do.
 */
#include "gpu/bench_device.h"
#include "gpu/bench_tensors.h"
#include "gpu/cublas.h"

#define COPY_BYTES ((int64_t)1 << 30)

/* ---- copy ------------------------------------------------------------------------------------ */

struct copying {
    struct bench_place *place;
    void *from, *to;
};

static int copy(void *context, int number)
{
    struct copying *copying = context;
    struct moe_gpu_queue *queue = &copying->place->queue;
    (void)number;
    return moe_device_copy(queue->device, copying->to, copying->from, COPY_BYTES, queue->stream);
}

static int measure_copy(struct bench_place *place, double *bandwidth)
{
    struct moe_device *device = place->queue.device;
    struct copying copying = {.place = place};
    struct moe_gpu_time time;
    int status = bench_place_fits(place, 2 * COPY_BYTES);
    if (status == MOE_OK)
        status = moe_device_allocate(device, COPY_BYTES, &copying.from);
    if (status == MOE_OK)
        status = moe_device_allocate(device, COPY_BYTES, &copying.to);
    if (status == MOE_OK)
        status = bench_fill(&place->queue, MOE_F32, COPY_BYTES / 4, 1, 1, copying.from);
    if (status == MOE_OK)
        status = bench_time(place, 1, copy, &copying, &time, NULL);
    if (status == MOE_OK)
        *bandwidth = 2.0 * COPY_BYTES / time.median;
    moe_device_free(device, copying.from);
    moe_device_free(device, copying.to);
    return status;
}

/* ---- the chain ------------------------------------------------------------------------------- */

/* Operands, for the larger of the routed and the shared expert. */
enum operand { X, D_O, Y, Z, A, W1, W2, DW1, DW2, OPERANDS };

/* The products of one expert, forward and backward, by operands. */
static const struct {
    enum cublas_form form;
    enum operand a, b, c;
} of_expert[6] = {
    {CUBLAS_NT, X, W1, Z},    /* Z = X W1^T */
    {CUBLAS_NT, A, W2, Y},    /* Y = A W2^T */
    {CUBLAS_NN, D_O, W2, A},  /* dA' = dO W2 */
    {CUBLAS_TN, D_O, A, DW2}, /* dW2 = dO^T A */
    {CUBLAS_NN, Z, W1, Y},    /* dX~ = dZ W1 */
    {CUBLAS_TN, Z, X, DW1},   /* dW1 = dZ^T X */
};

struct chain {
    struct bench_place *place;
    struct cublas *blas;
    enum moe_dtype dtype, grad;
    int count;
    struct moe_gpu_product product[MOE_GPU_PRODUCTS];
    void *operand[OPERANDS];
};

/* Rows of of_expert, for the order of moe_gpu_chain: forward of the routed and of the shared
 * expert, then backward of both. */
static int kind_of(int count, int number)
{
    static const int twice[MOE_GPU_PRODUCTS] = {0, 1, 0, 1, 2, 3, 4, 5, 2, 3, 4, 5};
    return count == MOE_GPU_PRODUCTS ? twice[number] : number;
}

static int multiply(void *context, int number)
{
    struct chain *chain = context;
    const struct moe_gpu_product *p = &chain->product[number];
    int kind = kind_of(chain->count, number);
    enum operand c = of_expert[kind].c;
    struct cublas_product product = {
        .form = of_expert[kind].form,
        .m = p->m,
        .n = p->n,
        .k = p->k,
        .from = chain->dtype,
        .to = c == DW1 || c == DW2 ? chain->grad : chain->dtype,
        .a = chain->operand[of_expert[kind].a],
        .b = chain->operand[of_expert[kind].b],
        .c = chain->operand[c],
    };
    return cublas_multiply(chain->blas, chain->place->queue.device, chain->place->queue.stream,
                           &product);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Elements of each operand. */
static void count_elements(const struct moe_problem *p, int64_t count[OPERANDS])
{
    int64_t rows = p->T * p->K, z = moe_problem_z_rows(p), u = moe_problem_shared_rows(p);
    int64_t most = p->shared > 0 ? larger(rows, p->T) : rows;
    count[X] = count[D_O] = count[Y] = most * p->H;
    count[Z] = larger(rows * z, p->T * u);
    count[A] = larger(rows * p->I, p->T * p->shared);
    count[W1] = count[DW1] = larger(z, u) * p->H;
    count[W2] = count[DW2] = larger(p->I, p->shared) * p->H;
}

static int allocate(struct chain *chain, const struct moe_problem *problem)
{
    struct bench_place *place = chain->place;
    int64_t count[OPERANDS], bytes = 0;
    count_elements(problem, count);
    for (int i = 0; i < OPERANDS; i++)
        bytes += count[i] * moe_dtype_info(i >= DW1 ? chain->grad : chain->dtype)->bits / 8;
    int status = bench_place_fits(place, bytes);
    for (int i = 0; i < OPERANDS && status == MOE_OK; i++) {
        enum moe_dtype dtype = i >= DW1 ? chain->grad : chain->dtype;
        double scale = i == W1   ? bench_weight_scale(problem->H)
                       : i == W2 ? bench_weight_scale(problem->I)
                                 : 1;
        status = moe_device_allocate(
            place->queue.device, count[i] * moe_dtype_info(dtype)->bits / 8, &chain->operand[i]);
        if (status == MOE_OK)
            status = bench_fill(&place->queue, dtype, count[i], scale, (uint64_t)(100 + i),
                                chain->operand[i]);
    }
    return status;
}

static int measure_chain(struct bench_place *place, struct cublas *blas,
                         const struct moe_problem *problem, struct moe_gpu_yardsticks *y)
{
    struct chain chain = {
        .place = place,
        .blas = blas,
        .dtype = problem->dtype,
        .grad = problem->grad == MOE_GRAD_F32 ? MOE_F32 : problem->dtype,
    };
    struct moe_gpu_time time[MOE_GPU_PRODUCTS];
    double seconds[MOE_GPU_PRODUCTS] = {0};
    chain.count = moe_gpu_chain(problem, chain.product);
    int status = allocate(&chain, problem);
    if (status == MOE_OK)
        status = bench_time(place, chain.count, multiply, &chain, time, NULL);
    for (int i = 0; i < OPERANDS; i++)
        moe_device_free(place->queue.device, chain.operand[i]);
    if (status != MOE_OK)
        return status;
    for (int i = 0; i < chain.count; i++) {
        seconds[i] = time[i].median;
        *(chain.product[i].pass == MOE_PASS_FORWARD ? &y->forward_chain : &y->backward_chain) +=
            seconds[i];
    }
    y->forward_ceiling = moe_gpu_ceiling(problem, MOE_PASS_FORWARD, y->bandwidth, seconds);
    y->backward_ceiling = moe_gpu_ceiling(problem, MOE_PASS_BACKWARD, y->bandwidth, seconds);
    return MOE_OK;
}

int moe_gpu_bench_yardsticks(const struct moe_problem *problem,
                             struct moe_gpu_yardsticks *yardsticks)
{
    struct moe_gpu_yardsticks taken = {
        .forward_flops = moe_gpu_flops(problem, MOE_PASS_FORWARD),
        .backward_flops = moe_gpu_flops(problem, MOE_PASS_BACKWARD),
    };
    struct bench_place place;
    struct cublas *blas = NULL;
    int status = bench_place_open(&place);
    if (status != MOE_OK)
        return status;
    status = measure_copy(&place, &taken.bandwidth);
    if (status == MOE_OK && cublas_probe() == MOE_OK) {
        status = cublas_open(&blas);
        if (status == MOE_OK)
            status = measure_chain(&place, blas, problem, &taken);
        cublas_close(blas);
    }
    bench_place_close(&place);
    if (status == MOE_OK)
        *yardsticks = taken;
    return status;
}

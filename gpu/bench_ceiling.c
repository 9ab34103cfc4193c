/*
 * bench_ceiling.c - how fast a case can be at all on a device: operations, bytes, and the time that
 * the two together leave.
 *
 * A step of the layer takes no less than its product takes as one dense product, and no less than
 * its bytes take. Bytes are those that must move however much is fused: x and do [T,H] once, rows
 * between two steps once written and once read, the weights of all experts once. What is no product
 * takes its bytes alone. The steps are those of a layer without atomics whose products are kernels
 * of their own.
 */
#include <math.h>

#include "gpu/bench.h"

static double element_bytes(enum moe_dtype dtype)
{
    return moe_dtype_info(dtype)->bits / 8.0;
}

static double grad_bytes(const struct moe_problem *p)
{
    return element_bytes(p->grad == MOE_GRAD_F32 ? MOE_F32 : p->dtype);
}

static double scalar_bytes(const struct moe_problem *p)
{
    return element_bytes(p->dtype == MOE_F64 ? MOE_F64 : MOE_F32);
}

/* Experts that T tokens with K picks each reach, where all are as likely: of few tokens each, not
 * all. Their weights are read; gradients are written for all. */
static double experts_reached(const struct moe_problem *p)
{
    double E = (double)p->E;
    return E * (1 - pow(1 - (double)p->K / E, (double)p->T));
}

/* `rows` rows, of which `tokens` are distinct, through weights [Z,H] and [H,I] of `read` experts,
 * whose gradients are `written`. */
struct expert {
    int64_t rows, Z, H, I;
    double tokens, read, written;
    double d, g; /* bytes of an element, and of a gradient's */
};

static void chain_of(const struct expert *e, struct moe_gpu_product forward[2],
                     struct moe_gpu_product backward[4])
{
    double rows = (double)e->rows, x = e->tokens * (double)e->H * e->d;
    double a = rows * (double)e->I * e->d, z = rows * (double)e->Z * e->d;
    double y = rows * (double)e->H * e->d;
    double w1 = (double)e->Z * (double)e->H, w2 = (double)e->H * (double)e->I;
    /* Z = X W1^T, with A = act(Z); Y = A W2^T */
    forward[0] = (struct moe_gpu_product){MOE_PASS_FORWARD, e->rows, e->Z, e->H,
                                          x + e->read * w1 * e->d + z + a};
    forward[1] = (struct moe_gpu_product){MOE_PASS_FORWARD, e->rows, e->H, e->I,
                                          a + e->read * w2 * e->d + y};
    /* dA' = dO W2, with dZ and s A; dW2 = dO^T (s A); dX~ = dZ W1; dW1 = dZ^T X */
    backward[0] = (struct moe_gpu_product){MOE_PASS_BACKWARD, e->rows, e->I, e->H,
                                           x + e->read * w2 * e->d + z + z + a};
    backward[1] = (struct moe_gpu_product){MOE_PASS_BACKWARD, e->H, e->I, e->rows,
                                           x + a + e->written * w2 * e->g};
    backward[2] = (struct moe_gpu_product){MOE_PASS_BACKWARD, e->rows, e->H, e->Z,
                                           z + e->read * w1 * e->d + y};
    backward[3] = (struct moe_gpu_product){MOE_PASS_BACKWARD, e->Z, e->H, e->rows,
                                           x + z + e->written * w1 * e->g};
}

int moe_gpu_chain(const struct moe_problem *p, struct moe_gpu_product product[MOE_GPU_PRODUCTS])
{
    const struct expert routed = {
        .rows = p->T * p->K,
        .Z = moe_problem_z_rows(p),
        .H = p->H,
        .I = p->I,
        .tokens = (double)p->T,
        .read = experts_reached(p),
        .written = (double)p->E,
        .d = element_bytes(p->dtype),
        .g = grad_bytes(p),
    };
    struct expert shared = routed;
    shared.rows = p->T;
    shared.Z = moe_problem_shared_rows(p);
    shared.I = p->shared;
    shared.read = shared.written = 1;
    if (p->shared == 0) {
        chain_of(&routed, product, product + 2);
        return 6;
    }
    chain_of(&routed, product, product + 4);
    chain_of(&shared, product + 2, product + 8);
    return 12;
}

double moe_gpu_flops(const struct moe_problem *problem, enum moe_pass pass)
{
    struct moe_gpu_product product[MOE_GPU_PRODUCTS];
    int count = moe_gpu_chain(problem, product);
    double sum = 0;
    for (int i = 0; i < count; i++)
        if (product[i].pass == pass)
            sum += 2.0 * (double)product[i].m * (double)product[i].n * (double)product[i].k;
    return sum;
}

/* Router (logits, top-k, scores, metadata) and aggregation. */
static double forward_rest(const struct moe_problem *p)
{
    double T = (double)p->T, H = (double)p->H, E = (double)p->E, P = T * (double)p->K;
    double d = element_bytes(p->dtype), s = scalar_bytes(p);
    double x = T * H * d, logits = T * E * s, lists = P * (4 + s);
    double router = p->router != MOE_LISTS ? x + E * H * d + logits : 0;
    double top = (p->router != MOE_LISTS ? logits : 0) + lists + P * 8;
    return router + top + P * H * d + lists + (p->shared > 0 ? 2 : 1) * x;
}

/* Aggregation of dX~, and of the router: logits, dlogits twice, x, and dX read and written. */
static double backward_rest(const struct moe_problem *p)
{
    double T = (double)p->T, H = (double)p->H, E = (double)p->E, P = T * (double)p->K;
    double d = element_bytes(p->dtype), s = scalar_bytes(p), x = T * H * d;
    double router = 3 * x + 3 * T * E * s + E * H * (d + grad_bytes(p));
    return (p->router != MOE_LISTS ? router : 0) + P * (H * d + 8) + (p->shared > 0 ? 2 : 1) * x;
}

double moe_gpu_ceiling(const struct moe_problem *problem, enum moe_pass pass, double bandwidth,
                       const double seconds[MOE_GPU_PRODUCTS])
{
    struct moe_gpu_product product[MOE_GPU_PRODUCTS];
    int count = moe_gpu_chain(problem, product);
    double rest = pass == MOE_PASS_FORWARD ? forward_rest(problem) : backward_rest(problem);
    double sum = rest / bandwidth;
    for (int i = 0; i < count; i++)
        if (product[i].pass == pass)
            sum += fmax(seconds[i], product[i].bytes / bandwidth);
    return sum;
}

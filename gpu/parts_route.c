/*
 * parts_route.c - picks, scores and their gradients on the device: kernels/route.cu, rounding.cu.
 */
#include "gpu/parts_launch.h"

/* Logits, scores and their gradients: f32, or f64 for dtype=f64. */
static int scalar_type(const struct moe_problem *problem)
{
    return (int)moe_gpu_compute(problem);
}

int moe_gpu_route_top(const struct moe_gpu_queue *queue, const struct moe_problem *problem,
                      const void *logits, const void *sel_bias, int32_t *picks)
{
    int64_t E = problem->E, K = problem->K, groups = problem->groups, kept = problem->groups_kept;
    int router = problem->router, dtype = scalar_type(problem);
    void *args[] = {&E, &K, &router, &groups, &kept, &dtype, &logits, &sel_bias, &picks};
    return launch_blocks(queue, "route_top", problem->T, 128, (uint32_t)(9 * groups), args);
}

int moe_gpu_score(const struct moe_gpu_queue *queue, const struct moe_problem *problem,
                  const int64_t *offsets, const void *logits, const int32_t *picks, void *scores)
{
    int64_t E = problem->E, K = problem->K;
    int router = problem->router, renorm = problem->renorm, dtype = scalar_type(problem);
    double scale = problem->scale;
    void *args[] = {&E, &K, &offsets, &router, &renorm, &scale, &dtype, &logits, &picks, &scores};
    return launch_blocks(queue, "score_entries", problem->T, 128, 0, args);
}

int moe_gpu_route_backward(const struct moe_gpu_queue *queue, const struct moe_problem *problem,
                           const int64_t *offsets, const void *logits, const int32_t *picks,
                           const void *ds, const int64_t *expert_begin, void *dlogits)
{
    int64_t T = problem->T, E = problem->E, K = problem->K;
    int router = problem->router, renorm = problem->renorm, dtype = scalar_type(problem);
    double scale = problem->scale, aux = problem->aux, zloss = problem->zloss;
    void *args[] = {&T,     &E,     &K,      &offsets, &router, &renorm,       &scale,  &aux,
                    &zloss, &dtype, &logits, &picks,   &ds,     &expert_begin, &dlogits};
    return launch_blocks(queue, "route_backward", T, 128, 0, args);
}

/* ---- token rounding -----------------------------------------------------------------------------
 */

struct rounding {
    double *p;            /* [T,E] */
    double *kept;         /* [T] */
    int64_t *counts;      /* [max(T,E)] */
    int64_t *targets;     /* [E] */
    uint64_t *keys;       /* [T,E] */
    unsigned char *taken; /* [T,E] */
};

static void lay_out(const struct moe_problem *problem, char **next, struct rounding *r)
{
    int64_t T = problem->T, E = problem->E;
    r->p = part_take(next, T * E * 8);
    r->kept = part_take(next, T * 8);
    r->counts = part_take(next, (T > E ? T : E) * 8);
    r->targets = part_take(next, E * 8);
    r->keys = part_take(next, T * E * 8);
    r->taken = part_take(next, T * E);
}

int64_t moe_gpu_round_bytes(const struct moe_problem *problem)
{
    struct rounding r;
    char *next = NULL;
    lay_out(problem, &next, &r);
    return (int64_t)(intptr_t)next;
}

int moe_gpu_round(const struct moe_gpu_queue *queue, const struct moe_problem *problem,
                  const void *logits, const int32_t *top, void *workspace, int64_t *offsets,
                  int32_t *picks)
{
    int64_t T = problem->T, E = problem->E, K = problem->K, m = problem->round_to, P = T * K;
    int dtype = scalar_type(problem), mode = problem->round;
    struct rounding r;
    char *next = workspace;
    lay_out(problem, &next, &r);
    uint64_t seed = problem->seed;
    void *softmax[] = {&E, &K, &dtype, &logits, &top, &r.p, &r.kept};
    int status = launch_blocks(queue, "softmax_all", T, 128, 0, softmax);
    void *counting[] = {&P, &top, &r.counts};
    if (status == MOE_OK)
        status = launch_blocks(queue, "count_rows", E, 256, 0, counting);
    void *targeting[] = {&T, &E, &mode, &m, &seed, &r.counts, &r.targets};
    if (status == MOE_OK)
        status = launch_blocks(queue, "round_targets", 1, 32, 0, targeting);
    void *ranking[] = {&T, &E, &K, &r.p, &r.kept, &top, &r.keys};
    if (status == MOE_OK)
        status = launch_elements(queue, "rank_tokens", T * E, ranking);
    void *taking[] = {&T, &E, &r.targets, &r.keys, &r.taken};
    if (status == MOE_OK)
        status = launch_blocks(queue, "take_tokens", E, 256, 0, taking);
    void *tally[] = {&T, &E, &r.taken, &r.counts};
    if (status == MOE_OK)
        status = launch_elements(queue, "count_taken", T, tally);
    void *scan[] = {&T, &r.counts, &offsets};
    if (status == MOE_OK)
        status = launch_blocks(queue, "scan_counts", 1, 256, 0, scan);
    void *listing[] = {&T, &E, &r.taken, &offsets, &picks};
    return status == MOE_OK ? launch_elements(queue, "list_taken", T, listing) : status;
}

// route.cu - top-k, scores and their gradients for every router, in double. One block a token.
#include "gpu/kernels/number.cuh"

#define THREADS 128

struct Ranked {
    double value;
    int64_t id;
};

// Descending, NaN below -inf, -0 equal to +0, the smaller id first.
static __device__ bool ranks_before(Ranked a, Ranked b)
{
    bool nan_a = a.value != a.value, nan_b = b.value != b.value;
    if (nan_a != nan_b)
        return planted(FAULT_NAN_FIRST) ? nan_a : nan_b;
    if (!nan_a && a.value != b.value)
        return a.value > b.value;
    return planted(FAULT_TIES_LARGER_ID) ? a.id > b.id : a.id < b.id;
}

// The best of the block's candidates; id < 0 is none. Every thread gets it.
static __device__ Ranked block_best(Ranked mine, Ranked *room)
{
    room[threadIdx.x] = mine;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) {
            Ranked a = room[threadIdx.x], b = room[threadIdx.x + half];
            if (b.id >= 0 && (a.id < 0 || ranks_before(b, a)))
                room[threadIdx.x] = b;
        }
        __syncthreads();
    }
    Ranked best = room[0];
    __syncthreads();
    return best;
}

static __device__ double softplus(double l)
{
    return l > 40 ? l : log1p(exp(l));
}

static __device__ double raw_score(int router, double l)
{
    return router == MOE_SIGMOID ? 1 / (1 + exp(-l)) : sqrt(softplus(l));
}

static __device__ bool by_logit(int router)
{
    return router == MOE_TOPK_SOFTMAX || router == MOE_SOFTMAX_TOPK;
}

struct Election {
    int router, dtype;  // dtype: of logits and sel_bias
    const void *logits; // of this token, at `first`
    int64_t first;
    const void *sel_bias; // or NULL
};

static __device__ double selection_value(const Election &election, int64_t e)
{
    double l = load<double>(election.dtype, election.logits, election.first + e);
    double v = by_logit(election.router) ? l : raw_score(election.router, l);
    return election.sel_bias && !planted(FAULT_NO_SELECTION_BIAS)
               ? v + load<double>(election.dtype, election.sel_bias, e)
               : v;
}

// Best logit of a group, or the sum of its two best values.
static __device__ double group_value(const Election &election, int64_t first, int64_t size)
{
    Ranked best = {0, -1}, second = {0, -1};
    for (int64_t e = first; e < first + size; e++) {
        Ranked here = {selection_value(election, e), e};
        if (best.id < 0 || ranks_before(here, best)) {
            second = best;
            best = here;
        } else if (second.id < 0 || ranks_before(here, second)) {
            second = here;
        }
    }
    return by_logit(election.router) || second.id < 0 || planted(FAULT_GROUP_BEST_ONLY)
               ? best.value
               : best.value + second.value;
}

// The candidate that ranks next after `last` (id < 0: the first of all).
template <typename Value>
static __device__ Ranked next_best(int64_t n, Ranked last, Ranked *room, Value value)
{
    Ranked mine = {0, -1};
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
        Ranked here = {0, i};
        if (!value(i, &here.value) || (last.id >= 0 && !ranks_before(last, here)))
            continue;
        if (mine.id < 0 || ranks_before(here, mine))
            mine = here;
    }
    return block_best(mine, room);
}

// picks [T,K] in order of rank. Dynamic shared memory: groups doubles and groups bytes.
extern "C" __global__ void __launch_bounds__(THREADS)
    route_top(int64_t E, int64_t K, int router, int64_t groups, int64_t kept, int dtype,
              const void *logits, const void *sel_bias, int32_t *picks)
{
    extern __shared__ double group_values[];
    __shared__ Ranked room[THREADS];
    unsigned char *group_kept = (unsigned char *)(group_values + groups);
    int64_t t = blockIdx.x, size = groups ? E / groups : E;
    Election election = {router, dtype, logits, t * E, sel_bias};
    for (int64_t g = threadIdx.x; g < groups; g += blockDim.x) {
        group_values[g] = group_value(election, g * size, size);
        group_kept[g] = 0;
    }
    __syncthreads();
    Ranked last = {0, -1};
    for (int64_t k = 0; k < (groups ? kept : 0); k++) {
        last = next_best(groups, last, room, [&](int64_t g, double *value) {
            *value = group_values[g];
            return true;
        });
        if (threadIdx.x == 0)
            group_kept[last.id] = 1;
    }
    __syncthreads();
    last = {0, -1};
    for (int64_t k = 0; k < K; k++) {
        last = next_best(E, last, room, [&](int64_t e, double *value) {
            if (groups && !group_kept[e / size])
                return false;
            *value = selection_value(election, e);
            return true;
        });
        if (threadIdx.x == 0)
            picks[t * K + k] = (int32_t)last.id;
    }
}

// Largest value and sum of exp(value - largest) over n values; NaN wins.
template <typename Value>
static __device__ void softmax_terms(int64_t n, Value value, double *room, double *most,
                                     double *sum)
{
    double top = -INFINITY;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
        double v = value(i);
        if (!(v <= top))
            top = v;
    }
    room[threadIdx.x] = top;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half && !(room[threadIdx.x + half] <= room[threadIdx.x]))
            room[threadIdx.x] = room[threadIdx.x + half];
        __syncthreads();
    }
    *most = room[0];
    __syncthreads();
    double mine = 0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
        mine += exp(value(i) - *most);
    *sum = block_sum(mine, room);
}

// What the score of an entry needs beside its logit.
struct Scoring {
    int router, dtype;
    const void *logits;
    int64_t first;    // of the token's logits
    double most, sum; // of the softmax; unused by the other routers
    double total;     // sum of the picked raw values
};

static __device__ double raw_value(const Scoring &s, int64_t e)
{
    double l = load<double>(s.dtype, s.logits, s.first + e);
    return by_logit(s.router) ? exp(l - s.most) / s.sum : raw_score(s.router, l);
}

static __device__ Scoring score_token(int router, int dtype, const void *logits, int64_t E,
                                      int64_t t, const int32_t *picks, int64_t n, double *room)
{
    Scoring s = {router, dtype, logits, t * E, 0, 1, 0};
    if (router == MOE_TOPK_SOFTMAX)
        softmax_terms(
            n, [&](int64_t k) { return load<double>(dtype, logits, t * E + picks[k]); }, room,
            &s.most, &s.sum);
    else if (router == MOE_SOFTMAX_TOPK)
        softmax_terms(
            E, [&](int64_t e) { return load<double>(dtype, logits, t * E + e); }, room, &s.most,
            &s.sum);
    double mine = 0;
    for (int64_t k = threadIdx.x; k < n; k += blockDim.x)
        mine += raw_value(s, picks[k]);
    s.total = block_sum(mine, room);
    return s;
}

// scores [P] of the picks.
extern "C" __global__ void __launch_bounds__(THREADS)
    score_entries(int64_t E, int64_t K, const int64_t *offsets, int router, int renorm,
                  double scale, int dtype, const void *logits, const int32_t *picks, void *scores)
{
    __shared__ double room[THREADS];
    int64_t t = blockIdx.x, begin = offsets ? offsets[t] : t * K;
    int64_t n = offsets ? offsets[t + 1] - begin : K;
    Scoring s = score_token(router, dtype, logits, E, t, picks + begin, n, room);
    for (int64_t k = threadIdx.x; k < n; k += blockDim.x) {
        double v = raw_value(s, picks[begin + k]);
        double factor = renorm && planted(FAULT_RENORM_WITHOUT_SCALE) ? 1 : scale;
        store<double>(dtype, scores, begin + k, factor * (renorm ? v / s.total : v));
    }
}

// dlogits [T,E] from ds [P]: through the scores, and from the losses (aux, zloss; expert_begin
// [E+1]).
extern "C" __global__ void __launch_bounds__(THREADS)
    route_backward(int64_t T, int64_t E, int64_t K, const int64_t *offsets, int router, int renorm,
                   double scale, double aux, double zloss, int dtype, const void *logits,
                   const int32_t *picks, const void *ds, const int64_t *expert_begin, void *dlogits)
{
    __shared__ double room[THREADS];
    int64_t t = blockIdx.x, begin = offsets ? offsets[t] : t * K;
    int64_t n = offsets ? offsets[t + 1] - begin : K;
    const int32_t *picked = picks + begin;
    Scoring s = score_token(router, dtype, logits, E, t, picked, n, room);
    double factor = renorm ? scale / s.total : scale, mine = 0;
    for (int64_t k = threadIdx.x; k < n && renorm; k += blockDim.x)
        mine += raw_value(s, picked[k]) / s.total * load<double>(dtype, ds, begin + k);
    double m = block_sum(mine, room);
    mine = 0;
    for (int64_t k = threadIdx.x; k < n && by_logit(router); k += blockDim.x)
        mine += raw_value(s, picked[k]) * factor * (load<double>(dtype, ds, begin + k) - m);
    double mean = planted(FAULT_ROUTER_MEAN) ? 0 : block_sum(mine, room);

    // The losses' softmax is over all E, whatever the router.
    double most = 0, sum = 1, loss_mean = 0, N = (double)expert_begin[E];
    bool losses = aux != 0 || zloss != 0;
    if (losses) {
        softmax_terms(
            E, [&](int64_t e) { return load<double>(dtype, logits, t * E + e); }, room, &most,
            &sum);
        mine = 0;
        for (int64_t e = threadIdx.x; e < E && N > 0; e += blockDim.x)
            mine += exp(load<double>(dtype, logits, t * E + e) - most) / sum *
                    (double)(expert_begin[e + 1] - expert_begin[e]) / N;
        loss_mean = block_sum(mine, room);
    }
    double lse = most + log(sum);
    for (int64_t e = threadIdx.x; e < E; e += blockDim.x) {
        double l = load<double>(dtype, logits, t * E + e), dl = 0, dv = 0;
        bool is_pick = false;
        for (int64_t k = 0; k < (planted(FAULT_PICKS_BEYOND_BLOCK) && n > 8 ? 8 : n); k++) {
            if (picked[k] != e)
                continue;
            is_pick = true;
            dv = factor * (load<double>(dtype, ds, begin + k) - m);
        }
        if (by_logit(router)) {
            if (router == MOE_SOFTMAX_TOPK || is_pick)
                dl = raw_value(s, e) * (dv - mean);
        } else if (is_pick) {
            double sigma = 1 / (1 + exp(-l)), v = raw_value(s, e);
            dl = dv * (router == MOE_SIGMOID ? v / (1 + exp(l)) : v > 0 ? sigma / (2 * v) : 0);
        }
        if (losses) {
            double p = exp(l - most) / sum;
            double share = N > 0 ? (double)(expert_begin[e + 1] - expert_begin[e]) / N : 0;
            dl += p *
                  ((planted(FAULT_NO_AUX) ? 0 : aux) * (double)E / (double)T * (share - loss_mean) +
                   (planted(FAULT_ZLOSS_HALF) ? 1 : 2) * zloss / (double)T * lse);
        }
        store<double>(dtype, dlogits, t * E + e, dl);
    }
}

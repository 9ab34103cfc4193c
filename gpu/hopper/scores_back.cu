// scores_back.cu - dL [T,E] from the gradients of scores, and from the losses. A warp a token; what
// is not a pick's own is written first, to all experts.
//
//   topk-softmax, softmax-topk   dl = v (dv - sum of v dv), v the softmax over the picks, over all
//   sigmoid, sqrt(softplus)      dl = v' dv
//   dv = s (ds - sum of v ds / sum of v), s = scale / sum of v, with renorm; else scale ds
//   aux, zloss                   through the softmax over all logits, whatever the router is
#include "gpu/fault.h"
#include "gpu/hopper/routing.h"
#include "gpu/hopper/scores.cuh"

// Of the losses, for one token.
struct losses {
    bool any;
    softmax all;
    double lse, mean; // mean: of the experts' shares of the rows
};

static __device__ __forceinline__ double share_of(const struct route_back &r, int64_t e)
{
    const double N = (double)r.expert_begin[r.E];
    return N > 0 ? (double)(r.expert_begin[e + 1] - r.expert_begin[e]) / N : 0;
}

static __device__ __forceinline__ losses losses_of(const struct route_back &r, const float *logits)
{
    losses l = {r.aux != 0 || r.zloss != 0, {0, 1, 0}, 0, 0};
    if (!l.any)
        return l;
    l.all = softmax_of(r.E, [&](int64_t e) { return (double)logits[e]; });
    l.lse = l.all.most + log(l.all.sum);
    for (int64_t e = lane(); e < r.E; e += 32)
        l.mean += exp(logits[e] - l.all.most) / l.all.sum * share_of(r, e);
    l.mean = sum_of_warp(l.mean);
    return l;
}

static __device__ __forceinline__ double loss_gradient(const struct route_back &r, const losses &l,
                                                       double logit, int64_t e)
{
    if (!l.any)
        return 0;
    const double aux = planted(FAULT_NO_AUX) ? 0 : r.aux;
    return exp(logit - l.all.most) / l.all.sum *
           (aux * (double)r.E / (double)r.T * (share_of(r, e) - l.mean) +
            (planted(FAULT_ZLOSS_HALF) ? 1 : 2) * r.zloss / (double)r.T * l.lse);
}

// dv/dl of the routers that look at one logit alone.
static __device__ __forceinline__ double raw_slope(int router, double l, double v)
{
    if (router == MOE_SIGMOID)
        return v / (1 + exp(l));
    return v > 0 ? 1 / (1 + exp(-l)) / (2 * v) : 0;
}

static __device__ __forceinline__ void go_back(const struct route_back &r, int64_t t)
{
    const bool is_softmax = any_router::is_softmax(r.router), all = r.router == MOE_SOFTMAX_TOPK;
    const int64_t first = r.offsets ? r.offsets[t] : t * r.K;
    const int64_t n = r.offsets ? r.offsets[t + 1] - first : r.K;
    const int32_t *const picks = r.picks + first;
    const float *const logits = r.logits + t * r.E, *const ds = r.ds + first;
    float *const dlogits = r.dlogits + t * r.E;
    softmax s = {0, 1, 0};
    if (all)
        s = softmax_of(r.E, [&](int64_t e) { return (double)logits[e]; });
    else if (is_softmax)
        s = softmax_of(n, [&](int64_t k) { return (double)logits[picks[k]]; });
    const auto value = [&](int64_t e) {
        const double l = logits[e];
        return is_softmax ? exp(l - s.most) / s.sum : raw_score(r.router, l);
    };
    const int64_t own = lane() < n ? picks[lane()] : -1;
    const double own_value = own >= 0 ? value(own) : 0;
    const auto value_of = [&](int64_t k) { return k == lane() ? own_value : value(picks[k]); };

    double total = 0, m = 0, mean = 0;
    for (int64_t k = lane(); k < n && r.renorm; k += 32)
        total += value_of(k);
    total = sum_of_warp(total);
    for (int64_t k = lane(); k < n && r.renorm; k += 32)
        m += value_of(k) / total * ds[k];
    m = sum_of_warp(m);
    const double factor = r.renorm ? r.scale / total : r.scale;
    for (int64_t k = lane(); k < n && is_softmax; k += 32)
        mean += value_of(k) * factor * (ds[k] - m);
    mean = planted(FAULT_ROUTER_MEAN) ? 0 : sum_of_warp(mean);

    const losses l = losses_of(r, logits);
    for (int64_t e = lane(); e < r.E; e += 32)
        dlogits[e] = (float)((all ? value(e) * (0 - mean) : 0) + loss_gradient(r, l, logits[e], e));
    __syncwarp();
    for (int64_t k = lane(); k < n; k += 32) {
        const int64_t e = picks[k];
        const double v = value_of(k), dv = factor * (ds[k] - m);
        const double dl = is_softmax ? v * (dv - mean) : dv * raw_slope(r.router, logits[e], v);
        dlogits[e] = (float)(dl + loss_gradient(r, l, logits[e], e));
    }
}

extern "C" __global__ void __launch_bounds__(256)
    hopper_route_back(const __grid_constant__ struct route_back r)
{
    const int64_t warps = (int64_t)gridDim.x * blockDim.x / 32;
    for (int64_t t = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / 32; t < r.T; t += warps)
        go_back(r, t);
}

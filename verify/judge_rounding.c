/*
 * judge_rounding.c - token rounding judged by margins: an election of tokens by every expert.
 *
 * A pair (token, expert) is surely kept, surely not, or in doubt, by the margins of the token's own
 * top K. Where no pair of an expert is in doubt its count is certain, so its target is too (for
 * `balanced` as long as no expert before was in doubt; else either side is allowed). The tokens
 * that it took must rank above those that it left: kept pairs first, by log of their weight
 * among their token's picks; then the others, by log p. Both logs err by at most twice the token's
 * widest logit bound, and by a few roundings; but a p that the subject's arithmetic cannot hold as
 * a normal number may have become anything down to 0, and equal to others like it.
 */
#include <math.h>
#include <stdlib.h>

#include "verify/routing.h"

enum membership { NOT_KEPT, IN_DOUBT, KEPT };

struct rounding {
    const struct election *election;
    const struct moe_routing *routing;
    unsigned char *member; /* [T,E] enum membership */
    unsigned char *taken;  /* [T,E] by the subject */
    double *log_p;         /* [T,E] */
    double *log_kept;      /* [T] log of the sum of p over the token's top K */
    double *error;         /* [T] of either log */
};

/* Expert e of token t is surely kept where fewer than K others may be above it. */
static enum membership membership(const struct election *election, int64_t t, int64_t e)
{
    const struct moe_problem *p = election->problem;
    const double *v = election->value + t * p->E, *d = election->bound + t * p->E;
    int64_t surely = 0, possibly = 0;
    for (int64_t i = 0; i < p->E; i++) {
        if (i == e)
            continue;
        surely += v[i] - d[i] > v[e] + d[e];
        possibly += v[i] + d[i] >= v[e] - d[e];
    }
    return possibly < p->K ? KEPT : surely >= p->K ? NOT_KEPT : IN_DOUBT;
}

static void weigh_token(struct rounding *r, int64_t t)
{
    const struct moe_problem *p = r->election->problem;
    const double *v = r->election->value + t * p->E, *d = r->election->bound + t * p->E;
    double most = -INFINITY, sum = 0, kept = 0, widest = 0;
    int doubt = 0;
    for (int64_t e = 0; e < p->E; e++) {
        most = v[e] > most ? v[e] : most;
        widest = d[e] > widest ? d[e] : widest;
    }
    for (int64_t e = 0; e < p->E; e++) {
        sum += exp(v[e] - most);
        r->member[t * p->E + e] = (unsigned char)membership(r->election, t, e);
        doubt |= r->member[t * p->E + e] == IN_DOUBT;
        kept += r->member[t * p->E + e] == KEPT ? exp(v[e] - most) : 0;
    }
    for (int64_t e = 0; e < p->E; e++)
        r->log_p[t * p->E + e] = v[e] - most - log(sum);
    r->log_kept[t] = log(kept / sum);
    /* without its whole top K the weights of its pairs are not known */
    r->error[t] = doubt ? INFINITY : 2 * widest + 0x1p-20 * (double)(8 + p->E);
}

/* Where a token stands among those that want expert e: kept ones above all others. */
static double rank_of(const struct rounding *r, int64_t t, int64_t e)
{
    int64_t at = t * r->election->problem->E + e;
    return r->member[at] == KEPT ? r->log_p[at] - r->log_kept[t] : r->log_p[at];
}

/* The rank that the subject may have given the pair: at least, at most. */
static double least_rank(const struct rounding *r, int64_t t, int64_t e)
{
    int64_t at = t * r->election->problem->E + e;
    return r->log_p[at] < r->election->floor ? -INFINITY : rank_of(r, t, e) - r->error[t];
}

static double most_rank(const struct rounding *r, int64_t t, int64_t e)
{
    int64_t at = t * r->election->problem->E + e;
    double floor = r->election->floor - (r->member[at] == KEPT ? r->log_kept[t] : 0);
    double most = rank_of(r, t, e) + r->error[t];
    return r->log_p[at] < r->election->floor && most < floor ? floor : most;
}

/* Lowest reach of the tokens taken and highest of those left, in one class of pairs; -1: none. */
struct edge {
    int64_t lowest_taken, highest_left, taken;
};

static struct edge find_edge(const struct rounding *r, int64_t e, enum membership class)
{
    const struct moe_problem *p = r->election->problem;
    struct edge edge = {-1, -1, 0};
    for (int64_t t = 0; t < p->T; t++) {
        if (r->member[t * p->E + e] != class)
            continue;
        if (r->taken[t * p->E + e]) {
            edge.taken++;
            if (edge.lowest_taken < 0 || most_rank(r, t, e) < most_rank(r, edge.lowest_taken, e))
                edge.lowest_taken = t;
        } else if (edge.highest_left < 0 ||
                   least_rank(r, t, e) > least_rank(r, edge.highest_left, e)) {
            edge.highest_left = t;
        }
    }
    return edge;
}

static int edge_is_wrong(const struct rounding *r, int64_t e, const struct edge *edge)
{
    if (edge->lowest_taken < 0 || edge->highest_left < 0)
        return 0;
    return least_rank(r, edge->highest_left, e) > most_rank(r, edge->lowest_taken, e);
}

/* Why the tokens that expert e took cannot be right; NULL where they can. Pairs in doubt stand
 * between the others, whichever class they belong to. */
static const char *order_complaint(const struct rounding *r, int64_t e, int64_t *token)
{
    struct edge kept = find_edge(r, e, KEPT), added = find_edge(r, e, NOT_KEPT);
    *token = kept.highest_left >= 0 ? kept.highest_left : added.lowest_taken;
    if (kept.highest_left >= 0 && added.taken > 0)
        return "is left out by an expert that it picked and that added others";
    if (edge_is_wrong(r, e, &kept))
        return "is left out although it ranks above a token that was kept";
    *token = added.highest_left;
    if (edge_is_wrong(r, e, &added))
        return "is left out although it ranks above a token that was added";
    return NULL;
}

/* Is `count` what rounding can make of lo .. hi tokens? Where the drift is not certain, it may be
 * either multiple. */
static int count_is_possible(const struct moe_problem *problem, int64_t e, int64_t lo, int64_t hi,
                             int64_t count, int certain, int64_t *drift)
{
    if (certain)
        return count == moe_round_target(problem, e, lo, drift);
    for (int64_t c = lo; c <= hi; c++) {
        int64_t m = problem->round_to, up = (c + m - 1) / m * m, unknown = 0;
        up = up < problem->T ? up : problem->T;
        if (problem->round == MOE_ROUND_BALANCED
                ? count == c / m * m || count == up
                : count == moe_round_target(problem, e, c, &unknown))
            return 1;
    }
    return 0;
}

static void judge_experts(struct rounding *r, int64_t *wrong, struct routing_complaint *first)
{
    const struct moe_problem *p = r->election->problem;
    int drift_known = 1;
    int64_t drift = 0;
    for (int64_t e = 0; e < p->E; e++) {
        int64_t lo = 0, doubt = 0, count = 0, token = -1;
        for (int64_t t = 0; t < p->T; t++) {
            lo += r->member[t * p->E + e] == KEPT;
            doubt += r->member[t * p->E + e] == IN_DOUBT;
            count += r->taken[t * p->E + e];
        }
        drift_known = drift_known && doubt == 0;
        int certain = doubt == 0 && (p->round != MOE_ROUND_BALANCED || drift_known);
        const char *what = NULL;
        if (!count_is_possible(p, e, lo, lo + doubt, count, certain, &drift))
            what = "has a number of tokens that rounding does not give";
        else
            what = order_complaint(r, e, &token);
        if (what && (*wrong)++ == 0)
            *first = (struct routing_complaint){token, e, -1, (double)count, (double)lo, what};
    }
}

static void mark_taken(struct rounding *r, int64_t *wrong, struct routing_complaint *first)
{
    const struct moe_problem *p = r->election->problem;
    for (int64_t t = 0; t < p->T; t++) {
        for (int64_t i = r->routing->token_begin[t]; i < r->routing->token_begin[t + 1]; i++) {
            int32_t e = r->routing->pick[i];
            r->taken[t * p->E + e] = 1;
            if (i > r->routing->token_begin[t] && r->routing->pick[i - 1] > e && (*wrong)++ == 0)
                *first = (struct routing_complaint){
                    t,   e,   i - r->routing->token_begin[t],
                    NAN, NAN, "has entries that are not in order of experts"};
        }
    }
}

static int has_nan(const struct election *election)
{
    for (int64_t i = 0; i < election->problem->T * election->problem->E; i++)
        if (isnan(election->value[i]) || isnan(election->bound[i]))
            return 1;
    return 0;
}

int judge_rounding(const struct election *election, const struct moe_routing *routing,
                   int64_t *wrong, struct routing_complaint *first)
{
    const struct moe_problem *p = election->problem;
    size_t pairs = (size_t)(p->T * p->E), tokens = (size_t)p->T;
    if (pairs == 0 || has_nan(election))
        return MOE_OK;
    struct rounding r = {.election = election, .routing = routing};
    r.log_p = malloc((pairs + 2 * tokens) * sizeof *r.log_p);
    r.member = calloc(2 * pairs, 1);
    int status =
        r.log_p && r.member ? MOE_OK : moe_error(MOE_E_NOMEM, "no memory to judge token rounding");
    if (status == MOE_OK) {
        r.taken = r.member + pairs;
        r.log_kept = r.log_p + pairs;
        r.error = r.log_kept + tokens;
        for (int64_t t = 0; t < p->T; t++)
            weigh_token(&r, t);
        mark_taken(&r, wrong, first);
        judge_experts(&r, wrong, first);
    }
    free(r.log_p);
    free(r.member);
    return status;
}

/*
 * routing.c - routing metadata: entries (token, slot) sorted into rows by expert, then token.
 */
#include <stdlib.h>
#include <string.h>

#include "ref/internal.h"

static void *take(int64_t count, size_t size)
{
    return calloc(count > 0 ? (size_t)count : 1, size);
}

void moe_routing_free(struct moe_routing *routing)
{
    free(routing->token_begin);
    free(routing->pick);
    free(routing->score);
    free(routing->expert_begin);
    free(routing->row_token);
    free(routing->row_entry);
    free(routing->entry_row);
    memset(routing, 0, sizeof *routing);
}

int routing_allocate(int64_t T, int64_t E, int64_t P, struct moe_routing *routing)
{
    struct moe_routing r = {.T = T, .E = E, .P = P};
    r.token_begin = take(T + 1, sizeof *r.token_begin);
    r.pick = take(P, sizeof *r.pick);
    r.score = take(P, sizeof *r.score);
    r.expert_begin = take(E + 1, sizeof *r.expert_begin);
    r.row_token = take(P, sizeof *r.row_token);
    r.row_entry = take(P, sizeof *r.row_entry);
    r.entry_row = take(P, sizeof *r.entry_row);
    if (!r.token_begin || !r.pick || !r.score || !r.expert_begin || !r.row_token || !r.row_entry ||
        !r.entry_row) {
        moe_routing_free(&r);
        return moe_error(MOE_E_NOMEM, "no memory for the routing of %lld entries", (long long)P);
    }
    *routing = r;
    return MOE_OK;
}

/* A counting sort: entries come in order of tokens, so rows of an expert do too. */
int routing_finish(struct moe_routing *routing)
{
    int64_t *begin = routing->expert_begin;
    int64_t *seen = take(routing->E, sizeof *seen); /* token that last picked the expert, plus 1 */
    if (!seen)
        return moe_error(MOE_E_NOMEM, "no memory for %lld experts", (long long)routing->E);
    int status = MOE_OK;
    memset(begin, 0, (size_t)(routing->E + 1) * sizeof *begin);
    for (int64_t t = 0; t < routing->T && status == MOE_OK; t++) {
        for (int64_t p = routing->token_begin[t]; p < routing->token_begin[t + 1]; p++) {
            int64_t e = routing->pick[p];
            if (e == -1)
                continue;
            if (e < 0 || e >= routing->E) {
                status =
                    moe_error(MOE_E_USAGE, "picks: token %lld picks expert %lld, not in -1..%lld",
                              (long long)t, (long long)e, (long long)routing->E - 1);
                break;
            }
            if (seen[e] == t + 1) {
                status = moe_error(MOE_E_USAGE, "picks: token %lld picks expert %lld twice",
                                   (long long)t, (long long)e);
                break;
            }
            seen[e] = t + 1;
            begin[e + 1]++;
        }
    }
    free(seen);
    if (status != MOE_OK)
        return status;
    for (int64_t e = 0; e < routing->E; e++)
        begin[e + 1] += begin[e];
    routing->N = begin[routing->E];
    for (int64_t t = 0; t < routing->T; t++) {
        for (int64_t p = routing->token_begin[t]; p < routing->token_begin[t + 1]; p++) {
            int64_t e = routing->pick[p];
            routing->entry_row[p] = e < 0 ? -1 : begin[e];
            if (e < 0)
                continue;
            routing->row_token[begin[e]] = t;
            routing->row_entry[begin[e]] = p;
            begin[e]++;
        }
    }
    for (int64_t e = routing->E; e > 0; e--) /* each begin has moved to the next one's place */
        begin[e] = begin[e - 1];
    begin[0] = 0;
    return MOE_OK;
}

static int check_offsets(int64_t T, const int64_t *offsets)
{
    if (offsets[0] != 0)
        return moe_error(MOE_E_USAGE, "offsets: the first is %lld, not 0", (long long)offsets[0]);
    for (int64_t t = 0; t < T; t++)
        if (offsets[t + 1] < offsets[t])
            return moe_error(MOE_E_USAGE, "offsets: token %lld has %lld entries", (long long)t,
                             (long long)(offsets[t + 1] - offsets[t]));
    return MOE_OK;
}

int moe_routing_from_lists(int64_t T, int64_t E, int64_t K, const int64_t *offsets,
                           const int32_t *picks, const double *scores, struct moe_routing *routing)
{
    int status = offsets ? check_offsets(T, offsets) : MOE_OK;
    if (status != MOE_OK)
        return status;
    struct moe_routing r;
    status = routing_allocate(T, E, offsets ? offsets[T] : T * K, &r);
    if (status != MOE_OK)
        return status;
    for (int64_t t = 0; t <= T; t++)
        r.token_begin[t] = offsets ? offsets[t] : t * K;
    if (r.P > 0) {
        memcpy(r.pick, picks, (size_t)r.P * sizeof *picks);
        memcpy(r.score, scores, (size_t)r.P * sizeof *scores);
    }
    status = routing_finish(&r);
    if (status != MOE_OK) {
        moe_routing_free(&r);
        return status;
    }
    *routing = r;
    return MOE_OK;
}

/* Entries of the picks tensor: T*K, or what the last offset says. */
static int count_entries(const struct moe_problem *problem, const struct moe_tensor *tensors,
                         int64_t *offsets, int64_t *entries)
{
    const struct moe_tensor *from = &tensors[MOE_OFFSETS];
    int64_t room = moe_tensor_count(&tensors[MOE_PICKS]);
    *entries = problem->T * problem->K;
    for (int64_t t = 0; t <= problem->T && offsets; t++)
        *entries = offsets[t] =
            (int64_t)moe_dtype_load(from->dtype, from->data, moe_tensor_position(from, t));
    if (*entries < 0 || *entries > room)
        return moe_error(MOE_E_USAGE, "offsets: the last is %lld, but picks has room for %lld",
                         (long long)*entries, (long long)room);
    return MOE_OK;
}

static int read_lists(const struct moe_problem *problem, const struct moe_tensor *tensors,
                      int64_t *offsets, struct moe_routing *routing)
{
    const struct moe_tensor *picks = &tensors[MOE_PICKS], *scores = &tensors[MOE_SCORES];
    int64_t entries;
    int status = count_entries(problem, tensors, offsets, &entries);
    if (status != MOE_OK)
        return status;
    int32_t *list = take(entries, sizeof *list);
    double *score = take(entries, sizeof *score);
    if (!list || !score)
        status = moe_error(MOE_E_NOMEM, "no memory for %lld picks", (long long)entries);
    for (int64_t i = 0; i < entries && status == MOE_OK; i++) {
        list[i] = (int32_t)moe_dtype_load(picks->dtype, picks->data, moe_tensor_position(picks, i));
        if (scores->data)
            score[i] = moe_dtype_load(scores->dtype, scores->data, moe_tensor_position(scores, i));
        if (list[i] == -1 && problem->router != MOE_LISTS)
            status = moe_error(MOE_E_USAGE, "picks: -1 is for router=lists, but entry %lld is one",
                               (long long)i);
    }
    if (status == MOE_OK)
        status = moe_routing_from_lists(problem->T, problem->E, problem->K, offsets, list, score,
                                        routing);
    free(list);
    free(score);
    return status;
}

int moe_routing_from_tensors(const struct moe_problem *problem, const struct moe_tensor *tensors,
                             struct moe_routing *routing)
{
    int64_t *offsets = NULL;
    if (moe_problem_ragged(problem)) {
        offsets = take(problem->T + 1, sizeof *offsets);
        if (!offsets)
            return moe_error(MOE_E_NOMEM, "no memory for %lld offsets", (long long)problem->T + 1);
    }
    int status = read_lists(problem, tensors, offsets, routing);
    free(offsets);
    return status;
}

/*
 * naive_lists.c - picks, scores and offsets between their tensors and the rows of experts.
 */
#include "verify/naive.h"

/* Entries that the tensor of picks has room for. */
static int64_t capacity(const struct moe_tensor *picks)
{
    return moe_tensor_count(picks);
}

/* Offsets never lead outside of the lists, whatever they hold. */
static void read_offsets(const struct moe_problem *problem, const struct moe_call *call,
                         int64_t *token_begin)
{
    const struct moe_tensor *offsets = &call->tensors[MOE_OFFSETS];
    int64_t most = capacity(&call->tensors[MOE_PICKS]);
    for (int64_t t = 0; t <= problem->T; t++) {
        if (!moe_problem_ragged(problem)) {
            token_begin[t] = t * problem->K;
            continue;
        }
        int64_t least = t ? token_begin[t - 1] : 0;
        long double begin;
        moe_naive_load(offsets, t, 1, &begin);
        token_begin[t] = begin > most ? most : begin > least ? (int64_t)begin : least;
    }
}

void moe_naive_read_lists(const struct moe_problem *problem, const struct moe_call *call,
                          struct moe_naive_space *space)
{
    struct moe_naive_routing *routing = &space->routing;
    read_offsets(problem, call, routing->token_begin);
    routing->P = routing->token_begin[problem->T];
    moe_naive_load(&call->tensors[MOE_SCORES], 0, routing->P, routing->score);
    for (int64_t t = 0; t < problem->T; t++) {
        int64_t begin = routing->token_begin[t];
        for (int64_t entry = begin; entry < routing->token_begin[t + 1]; entry++) {
            long double id;
            moe_naive_load(&call->tensors[MOE_PICKS], entry, 1, &id);
            int allowed = id >= -1 && id < problem->E;
            for (int64_t before = begin; before < entry; before++)
                allowed &= id == -1 || id != routing->pick[before];
            routing->pick[entry] = allowed ? (int64_t)id : -1;
            if (!allowed && call->status)
                *call->status |= 1;
        }
    }
}

void moe_naive_write_lists(const struct moe_problem *problem, const struct moe_call *call,
                           struct moe_naive_space *space)
{
    struct moe_naive_routing *routing = &space->routing;
    for (int64_t entry = 0; entry < routing->P; entry++) {
        long double id = routing->pick[entry];
        moe_naive_store(&call->tensors[MOE_PICKS], entry, 1, &id);
    }
    moe_naive_store(&call->tensors[MOE_SCORES], 0, routing->P, routing->score);
    moe_naive_load(&call->tensors[MOE_SCORES], 0, routing->P, routing->score);
    if (!moe_problem_ragged(problem))
        return;
    for (int64_t t = 0; t <= problem->T; t++) {
        long double begin = routing->token_begin[t];
        moe_naive_store(&call->tensors[MOE_OFFSETS], t, 1, &begin);
    }
}

void moe_naive_order_rows(const struct moe_problem *problem, struct moe_naive_routing *routing)
{
    routing->N = 0;
    for (int64_t e = 0; e < problem->E; e++) {
        routing->expert_begin[e] = routing->N;
        for (int64_t t = 0; t < problem->T; t++)
            for (int64_t entry = routing->token_begin[t]; entry < routing->token_begin[t + 1];
                 entry++)
                if (routing->pick[entry] == e) {
                    routing->row_entry[routing->N] = entry;
                    routing->row_token[routing->N] = t;
                    routing->N++;
                }
    }
    routing->expert_begin[problem->E] = routing->N;
}

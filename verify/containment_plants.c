/*
 * containment_plants.c - which elements of the inputs are spoiled, by the case's seed.
 *
 *   x, do       one element of a token that has rows
 *   weights     all weights of experts without rows, and one element of an expert that has the
 *               fewest, or of the shared one
 *   router      one element of wr, br or sel_bias, of the expert that has the fewest rows
 *   infinity    one element of x and one of do, of different tokens
 * With token rounding one spoiled logit may move any token to any expert; those plants are left
 * out.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "verify/containment.h"

/* Purpose of the words that choose (ref/moe.h: those of tensors are below 512). */
#define SPOILED 0x74616e74u

static int64_t chosen(const struct containment *containment, int of, int64_t count)
{
    uint32_t word = moe_draw_word(containment->judgement->problem->seed, SPOILED, (uint64_t)of);
    return (int64_t)((uint64_t)word * (uint64_t)count >> 32);
}

static void spoil(struct containment *containment, enum moe_tensor_id id, int64_t index)
{
    const struct moe_tensor *tensor = &containment->inputs.tensor[id];
    moe_dtype_store(tensor->dtype, tensor->data, index, containment->value, 0);
    containment->taints.of[id][index] = TAINT_NAN;
}

/* Element `col` of a row of `width`, said in `what` too. */
static void spoil_told(struct containment *containment, enum moe_tensor_id id, int64_t row,
                       int64_t width, int64_t col)
{
    snprintf(containment->what, sizeof containment->what, "%s in %s, row %lld, column %lld",
             isnan(containment->value) ? "NaN" : "infinity", moe_tensor_info(id)->name,
             (long long)row, (long long)col);
    spoil(containment, id, row * width + col);
}

/* The first token from the n-th on that has a row; without any, that one. */
static int64_t token_with_rows(const struct containment *containment, int64_t n)
{
    const struct moe_routing *routing = &containment->judgement->routing;
    for (int64_t i = 0; i < routing->T; i++) {
        int64_t t = (n + i) % routing->T;
        for (int64_t p = routing->token_begin[t]; p < routing->token_begin[t + 1]; p++)
            if (routing->entry_row[p] >= 0)
                return t;
    }
    return n;
}

static int may_move_others(const struct moe_problem *problem)
{
    return problem->router != MOE_LISTS && problem->round != MOE_ROUND_NONE;
}

static int put_x(struct containment *containment)
{
    const struct moe_problem *p = containment->judgement->problem;
    if (p->T == 0 || may_move_others(p))
        return 0;
    spoil_told(containment, MOE_X, token_with_rows(containment, chosen(containment, 0, p->T)), p->H,
               chosen(containment, 1, p->H));
    return 1;
}

static int put_do(struct containment *containment)
{
    const struct moe_problem *p = containment->judgement->problem;
    if (p->T == 0)
        return 0;
    spoil_told(containment, MOE_DO, token_with_rows(containment, chosen(containment, 2, p->T)),
               p->H, chosen(containment, 3, p->H));
    return 1;
}

static int put_infinity(struct containment *containment)
{
    const struct moe_problem *p = containment->judgement->problem;
    if (p->T < 2 || may_move_others(p))
        return 0;
    int64_t t = token_with_rows(containment, chosen(containment, 4, p->T));
    spoil(containment, MOE_DO,
          token_with_rows(containment, (t + 1) % p->T) * p->H + chosen(containment, 5, p->H));
    spoil_told(containment, MOE_X, t, p->H, chosen(containment, 6, p->H));
    return 1;
}

static int64_t rows_of(const struct containment *containment, int64_t e)
{
    const struct moe_routing *routing = &containment->judgement->routing;
    return routing->expert_begin[e + 1] - routing->expert_begin[e];
}

/* The expert with the fewest rows, but at least so many; -1: none. */
static int64_t expert_with_fewest(const struct containment *containment, int64_t least)
{
    int64_t found = -1;
    for (int64_t e = 0; e < containment->judgement->problem->E; e++)
        if (rows_of(containment, e) >= least &&
            (found < 0 || rows_of(containment, e) < rows_of(containment, found)))
            found = e;
    return found;
}

/* Every weight of an expert that nobody picked. */
static void spoil_unused(struct containment *containment, int64_t e)
{
    static const enum moe_tensor_id weights[] = {MOE_W1, MOE_B1, MOE_W2, MOE_B2};
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        const struct moe_tensor *tensor = &containment->inputs.tensor[weights[i]];
        int64_t count = tensor->data ? moe_tensor_count(tensor) / tensor->shape[0] : 0;
        for (int64_t j = 0; j < count; j++)
            spoil(containment, weights[i], e * count + j);
    }
}

static int put_weights(struct containment *containment)
{
    static const enum moe_tensor_id weights[] = {MOE_W1,  MOE_W2,  MOE_B1, MOE_B2,
                                                 MOE_WS1, MOE_WS2, MOE_WSG};
    const struct moe_problem *p = containment->judgement->problem;
    enum moe_tensor_id there[sizeof weights / sizeof *weights];
    int64_t used = expert_with_fewest(containment, 1), count = 0, unused = 0;
    for (int64_t e = 0; e < p->E; e++)
        if (rows_of(containment, e) == 0) {
            spoil_unused(containment, e);
            unused++;
        }
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
        if (containment->inputs.tensor[weights[i]].data &&
            (used >= 0 || moe_tensor_info(weights[i])->shape[0] != 'E'))
            there[count++] = weights[i];
    snprintf(containment->what, sizeof containment->what, "NaN in all weights of unused experts");
    if (count == 0)
        return unused > 0;
    enum moe_tensor_id id = there[chosen(containment, 7, count)];
    const struct moe_tensor *tensor = &containment->inputs.tensor[id];
    int64_t width = tensor->shape[tensor->rank - 1], rows = moe_tensor_count(tensor) / width;
    if (moe_tensor_info(id)->shape[0] == 'E') {
        rows /= p->E;
        spoil_told(containment, id, used * rows + chosen(containment, 8, rows), width,
                   chosen(containment, 9, width));
    } else {
        spoil_told(containment, id, chosen(containment, 8, rows), width,
                   chosen(containment, 9, width));
    }
    return 1;
}

static int put_router(struct containment *containment)
{
    const struct moe_problem *p = containment->judgement->problem;
    enum moe_tensor_id there[3];
    int64_t count = 0, e = expert_with_fewest(containment, 0);
    if (p->router == MOE_LISTS || may_move_others(p))
        return 0;
    there[count++] = MOE_WR;
    if (p->router_bias)
        there[count++] = MOE_BR;
    if (p->sel_bias)
        there[count++] = MOE_SEL_BIAS;
    enum moe_tensor_id id = there[chosen(containment, 10, count)];
    if (id == MOE_WR)
        spoil_told(containment, id, e, p->H, chosen(containment, 11, p->H));
    else
        spoil_told(containment, id, 0, p->E, e);
    return 1;
}

static const struct plant plants[CONTAINMENT_PLANTS] = {
    {put_x, NAN}, {put_do, NAN}, {put_weights, NAN}, {put_router, NAN}, {put_infinity, INFINITY},
};

const struct plant *containment_plant(int index)
{
    return index < CONTAINMENT_PLANTS ? &plants[index] : NULL;
}

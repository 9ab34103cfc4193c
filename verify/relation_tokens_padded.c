/*
 * relation_tokens_padded.c - a batch padded with tokens that count for nothing: their rows of do
 * are 0, and with lists some have no pick and some a score of 0. Nothing of the others changes, and
 * no weight gradient.
 *
 * A pad's x is a real token's, so what reads it where it should not shows. Without a shared expert
 * the o of a token without picks is 0.
 */
#include "verify/relate.h"

static int applies(const struct moe_judgement *judgement)
{
    const struct moe_problem *problem = judgement->problem;
    return problem->T > 0 && problem->round == MOE_ROUND_NONE && relate_no_losses(problem);
}

/* 1 to 9 more, at the end. */
static int64_t pads_of(const struct moe_problem *problem)
{
    return 1 + (int64_t)(problem->seed % 9);
}

static void copy_rows(const struct relating *relating, enum moe_tensor_id id)
{
    const struct moe_tensor *tensor = &relating->run[1].tensors.tensor[id];
    const struct moe_problem *problem = relating->judgement->problem;
    for (int64_t i = 0; i < pads_of(problem) * problem->H; i++)
        moe_dtype_store(tensor->dtype, tensor->data, problem->T * problem->H + i,
                        moe_dtype_load(tensor->dtype, tensor->data, i % (problem->T * problem->H)),
                        0);
}

/* Odd pads pick as the first token does, with scores of 0. */
static void pick(const struct relating *relating)
{
    const struct moe_problem *problem = relating->judgement->problem;
    const struct moe_tensor *picks = &relating->run[1].tensors.tensor[MOE_PICKS];
    for (int64_t i = 0; i < pads_of(problem) * problem->K; i++)
        if (i / problem->K % 2 == 1)
            ((int32_t *)picks->data)[problem->T * problem->K + i] =
                ((const int32_t *)picks->data)[i % problem->K];
}

static int make(struct relating *relating)
{
    struct moe_problem problem = *relating->judgement->problem;
    const int64_t T = problem.T;
    const int lists = relate_lists(&problem);
    problem.T += pads_of(&problem);
    if (lists && !moe_problem_ragged(&problem))
        problem.routing = MOE_ROUTING_DROPPED;
    int status = relate_case(relating, 1, &problem);
    if (status == MOE_OK)
        status = relate_map(&relating->token[0], problem.T);
    for (int64_t t = 0; t < T && status == MOE_OK; t++)
        relating->token[0][t] = t;
    relating->runs = 2;
    relating->left = 1;
    relate_tokens_alike(relating);
    if (lists && problem.shared == 0 && relate_zero_score_is_nothing(&problem))
        relating->rule[MOE_O].zero_where_none = relating->rule[MOE_DX].zero_where_none = 1;
    if (status == MOE_OK)
        status = relate_fill(relating, 1);
    if (status != MOE_OK)
        return status;
    copy_rows(relating, MOE_X);
    if (lists && problem.shared == 0)
        copy_rows(relating, MOE_DO); /* no pick, no score: nothing comes of it */
    if (lists && !moe_problem_ragged(&problem) && relate_zero_score_is_nothing(&problem))
        pick(relating);
    return MOE_OK;
}

const struct relation relation_tokens_padded = {
    .name = "tokens-padded",
    .statement = "tokens without pick, score or do change nothing of the others",
    .applies = applies,
    .make = make,
};

/*
 * relation_experts_merged.c - two experts with the same weights are one: run 1 gives expert b the
 * weights of a; in run 2 who picked b picks a instead, unless it has a already. No token's outputs
 * change, and the two gradients have the same sum.
 *
 * Only with lists: a router would pick b by its own row of wr.
 */
#include <string.h>

#include "verify/relate.h"

#define PURPOSE 0x6d657267u

static int applies(const struct moe_judgement *judgement)
{
    const struct moe_problem *problem = judgement->problem;
    return problem->T > 0 && problem->E >= 2 && relate_lists(problem);
}

static int64_t expert_a(const struct moe_problem *problem)
{
    return moe_draw_word(problem->seed, PURPOSE, 0) % problem->E;
}

static int64_t expert_b(const struct moe_problem *problem)
{
    return (expert_a(problem) + 1 +
            moe_draw_word(problem->seed, PURPOSE, 1) % (uint64_t)(problem->E - 1)) %
           problem->E;
}

static void make_equal(const struct moe_problem *problem, const struct moe_tensors *tensors)
{
    static const enum moe_tensor_id weights[] = {MOE_W1, MOE_B1, MOE_W2, MOE_B2};
    for (int i = 0; i < 4; i++) {
        const struct moe_tensor *tensor = &tensors->tensor[weights[i]];
        size_t size = (size_t)(moe_tensor_bytes(tensor) / problem->E);
        char *at = tensor->data;
        if (at)
            memcpy(at + (size_t)expert_b(problem) * size, at + (size_t)expert_a(problem) * size,
                   size);
    }
}

static void merge(const struct relating *relating)
{
    const struct moe_problem *problem = relating->judgement->problem;
    const struct moe_routing *routing = &relating->judgement->routing;
    int32_t *picks = relating->run[2].tensors.tensor[MOE_PICKS].data;
    for (int64_t t = 0; t < routing->T; t++) {
        int64_t begin = routing->token_begin[t], end = routing->token_begin[t + 1], at = -1;
        int has_a = 0;
        for (int64_t i = begin; i < end; i++) {
            has_a |= picks[i] == expert_a(problem);
            at = picks[i] == expert_b(problem) ? i : at;
        }
        if (at >= 0 && !has_a)
            picks[at] = (int32_t)expert_a(problem);
    }
}

static int make(struct relating *relating)
{
    const struct moe_problem *problem = relating->judgement->problem;
    int status = MOE_OK;
    relating->runs = 3;
    relating->left = 1;
    for (int k = 1; k < 3 && status == MOE_OK; k++)
        status = relate_case(relating, k, problem);
    if (status == MOE_OK)
        status = relate_fill(relating, 1);
    if (status != MOE_OK)
        return status;
    make_equal(problem, &relating->run[1].tensors);
    relate_copy_first(relating);
    merge(relating);
    return MOE_OK;
}

/* Of the experts' gradients a's are compared: a1 = a2 + b2 - b1. */
static int equate(const struct relating *relating, enum moe_tensor_id id, int64_t index,
                  struct relate_equation *equation)
{
    const struct moe_problem *problem = relating->judgement->problem;
    const struct moe_tensor *tensor = &relating->run[1].tensors.tensor[id];
    int64_t size = moe_tensor_count(tensor) / tensor->shape[0], at = index;
    *equation = (struct relate_equation){.terms = 1};
    if (moe_tensor_info(id)->shape[0] == 'E') {
        int64_t other = index + (expert_b(problem) - expert_a(problem)) * size;
        if (index / size == expert_b(problem))
            return 0;
        if (index / size == expert_a(problem)) {
            equation->terms = 3;
            equation->term[1] = (struct relate_term){2, other, 1};
            equation->term[2] = (struct relate_term){1, other, -1};
        }
    } else {
        at = relate_index(relating, 2, id, index);
    }
    equation->term[0] = (struct relate_term){2, at, 1};
    return at >= 0;
}

const struct relation relation_experts_merged = {
    .name = "experts-merged",
    .statement = "of two experts with the same weights it does not matter which is picked",
    .applies = applies,
    .make = make,
    .equate = equate,
};

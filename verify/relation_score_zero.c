/*
 * relation_score_zero.c - a score of 0 is not a dropped pick: run 1 has scores of 0, run 2 has
 * those picks dropped. Both have the same o, dx and weight gradients; but ds, the derivative by the
 * score, is in run 1 what it was before (a score is no factor of its own derivative), and 0 in
 * run 2.
 *
 * weight=input sends the score through the activation, so ds there depends on it. A bias of
 * before-w2 or input stands without the score.
 */
#include "verify/relate.h"

#define PURPOSE 0x7a65726fu

static int applies(const struct moe_judgement *judgement)
{
    const struct moe_problem *problem = judgement->problem;
    return problem->T > 0 && relate_lists(problem) && relate_zero_score_is_nothing(problem);
}

static int is_zeroed(const struct relating *relating, int64_t entry)
{
    return moe_draw_word(relating->judgement->problem->seed, PURPOSE, (uint64_t)entry) % 4 == 0;
}

static int make(struct relating *relating)
{
    struct moe_problem problem = *relating->judgement->problem;
    const int64_t P = relating->judgement->routing.P;
    int status = relate_case(relating, 1, &problem);
    if (!moe_problem_ragged(&problem))
        problem.routing = MOE_ROUTING_DROPPED;
    if (status == MOE_OK)
        status = relate_case(relating, 2, &problem);
    relating->runs = 3;
    relating->left = 1;
    if (status == MOE_OK)
        status = relate_fill(relating, 1);
    if (status != MOE_OK)
        return status;
    relate_copy_first(relating);
    for (int64_t i = 0; i < P; i++) {
        if (!is_zeroed(relating, i))
            continue;
        const struct moe_tensor *scores = &relating->run[1].tensors.tensor[MOE_SCORES];
        moe_dtype_store(scores->dtype, scores->data, i, 0, 0);
        ((int32_t *)relating->run[2].tensors.tensor[MOE_PICKS].data)[i] = -1;
    }
    return MOE_OK;
}

/* ds and z as in run 0; with weight=input those of scores that stayed. All else as in run 2. */
static int equate(const struct relating *relating, enum moe_tensor_id id, int64_t index,
                  struct relate_equation *equation)
{
    const struct relate_run *left = &relating->run[1];
    int of_entry = id == MOE_DS || id == MOE_Z;
    int64_t entry =
        id == MOE_Z ? left->routing.row_entry[index / moe_problem_z_rows(&left->problem)] : index;
    *equation = (struct relate_equation){.terms = 1, .term = {{of_entry ? 0 : 2, index, 1}}};
    return !of_entry || relating->judgement->problem->weight != MOE_WEIGHT_INPUT ||
           !is_zeroed(relating, entry);
}

const struct relation relation_score_zero = {
    .name = "score-zero",
    .statement = "a score of 0 takes its slot out of o, dx and weight gradients, and not out of ds",
    .applies = applies,
    .make = make,
    .equate = equate,
};

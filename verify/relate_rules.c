/*
 * relate_rules.c - see relate.h: when a relation holds, and of which outputs how.
 */
#include <math.h>
#include <string.h>

#include "verify/relate.h"

/* ---- predicates ------------------------------------------------------------------------------ */

int relate_declares(const struct moe_judgement *judgement, uint32_t flag)
{
    return (judgement->trial.variant->flags & flag) != 0;
}

int relate_no_losses(const struct moe_problem *problem)
{
    return problem->aux == 0 && problem->zloss == 0;
}

int relate_lists(const struct moe_problem *problem)
{
    return problem->router == MOE_LISTS;
}

int relate_zero_score_is_nothing(const struct moe_problem *problem)
{
    return problem->weight == MOE_WEIGHT_AFTER_W2 || !problem->bias;
}

/* With |z| and |logits| below this no activation, slope or score is below e^-40 or so unless it is
 * 0, and inputs have values on a grid: their products stay far above 2^-126. */
#define MODEST 8

static int modest(const struct moe_judgement *judgement, enum moe_tensor_id id, int64_t count)
{
    const struct moe_tensor *tensor = &judgement->tensors.tensor[id];
    for (int64_t i = 0; tensor->data && i < count; i++)
        if (!(fabs(moe_dtype_load(tensor->dtype, tensor->data, i)) <= MODEST))
            return 0;
    return 1;
}

int relate_powers_commute(const struct moe_judgement *judgement)
{
    const struct moe_problem *problem = judgement->problem;
    int tame = problem->data == MOE_DATA_NORMAL || problem->data == MOE_DATA_POSITIVE ||
               problem->data == MOE_DATA_CONSTANT || problem->data == MOE_DATA_SPARSE;
    int wide = problem->dtype != MOE_F16 && !judgement->recipe.saturate;
    for (int point = 0; point < MOE_POINT_COUNT; point++) {
        enum moe_dtype to = judgement->recipe.at[point].to;
        if (judgement->recipe.at[point].when != MOE_NEVER && to != MOE_BF16 && to != MOE_F32 &&
            to != MOE_F64)
            wide = 0;
    }
    return tame && wide && relate_declares(judgement, MOE_DETERMINISTIC) &&
           modest(judgement, MOE_Z, judgement->routing.N * moe_problem_z_rows(problem)) &&
           modest(judgement, MOE_LOGITS, problem->T * problem->E);
}

/* ---- rules ----------------------------------------------------------------------------------- */

void relate_tokens_alike(struct relating *relating)
{
    static const enum moe_tensor_id of_token[] = {MOE_LOGITS, MOE_PICKS,   MOE_SCORES, MOE_O,
                                                  MOE_DS,     MOE_DLOGITS, MOE_DX};
    const struct moe_judgement *judgement = relating->judgement;
    for (size_t i = 0; i < sizeof of_token / sizeof *of_token; i++) {
        int shared =
            judgement->problem->aux != 0 && (of_token[i] == MOE_DLOGITS || of_token[i] == MOE_DX);
        relating->rule[of_token[i]].bitwise =
            relate_declares(judgement, MOE_BATCH_INVARIANT) && !shared;
    }
}

void relate_forward_alike(struct relating *relating)
{
    static const enum moe_tensor_id forward[] = {MOE_LOGITS, MOE_PICKS, MOE_SCORES, MOE_O, MOE_Z};
    for (size_t i = 0; i < sizeof forward / sizeof *forward; i++)
        relating->rule[forward[i]].bitwise =
            relate_declares(relating->judgement, MOE_DETERMINISTIC);
}

void relate_gradients_add(struct relating *relating)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (moe_tensor_info((enum moe_tensor_id)id)->role == MOE_PARAMETER_GRADIENT)
            relating->rule[id].sums = 1;
}

void relate_backward_factor(struct relating *relating, double factor)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        enum moe_role role = moe_tensor_info((enum moe_tensor_id)id)->role;
        if (role == MOE_BACKWARD_OUTPUT || role == MOE_PARAMETER_GRADIENT)
            relating->rule[id].factor = factor;
    }
}

int relate_equate(const struct relating *relating, enum moe_tensor_id id, int64_t index,
                  struct relate_equation *equation)
{
    const struct relate_rule *rule = &relating->rule[id];
    *equation = (struct relate_equation){0};
    if (rule->skip)
        return 0;
    if (rule->factor == 0)
        return 1;
    for (int k = 0; k < relating->runs; k++) {
        int64_t at = k == relating->left ? -1 : relate_index(relating, k, id, index);
        if (at < 0 || equation->terms == RELATE_TERMS)
            continue;
        equation->term[equation->terms++] = (struct relate_term){k, at, rule->factor};
        if (!rule->sums)
            break;
    }
    return equation->terms > 0 || rule->zero_where_none;
}

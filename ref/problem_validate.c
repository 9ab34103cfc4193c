/*
 * problem_validate.c - which combinations of keys have a meaning. A key that would be ignored is
 * refused, so that no line promises what the case does not do.
 */
#include <string.h>

#include "ref/problem.h"

static int gated(const struct moe_problem *p)
{
    return moe_act_info(p->act)->gated;
}

static int picks_fit(const struct moe_problem *p)
{
    return p->K <= p->E;
}

static int grad_differs(const struct moe_problem *p)
{
    return p->grad == MOE_GRAD_SAME || p->dtype == MOE_BF16 || p->dtype == MOE_F16;
}

static int layout_has_gates(const struct moe_problem *p)
{
    return p->w1 == MOE_W1_INTERLEAVED || gated(p);
}

static int layout_divides(const struct moe_problem *p)
{
    return p->w1 != MOE_W1_INTERLEAVED8 || p->I % 8 == 0;
}

static int layout_divides_shared(const struct moe_problem *p)
{
    return p->w1 != MOE_W1_INTERLEAVED8 || p->shared % 8 == 0;
}

static int computed(const struct moe_problem *p)
{
    return p->router != MOE_LISTS;
}

static int renorm_computed(const struct moe_problem *p)
{
    return !p->renorm || computed(p);
}

static int renorm_changes(const struct moe_problem *p)
{
    return !p->renorm || p->router != MOE_TOPK_SOFTMAX;
}

static int scale_computed(const struct moe_problem *p)
{
    return p->scale == 1 || computed(p);
}

static int groups_computed(const struct moe_problem *p)
{
    return p->groups == 0 || computed(p);
}

static int groups_divide(const struct moe_problem *p)
{
    return p->groups == 0 || p->E % p->groups == 0;
}

static int groups_hold_picks(const struct moe_problem *p)
{
    return p->groups == 0 || p->K <= p->groups_kept * (p->E / p->groups);
}

static int router_bias_computed(const struct moe_problem *p)
{
    return !p->router_bias || computed(p);
}

static int sel_bias_used(const struct moe_problem *p)
{
    return !p->sel_bias || p->router == MOE_SIGMOID || p->router == MOE_SQRT_SOFTPLUS;
}

static int round_router(const struct moe_problem *p)
{
    return p->round == MOE_ROUND_NONE ||
           (p->router == MOE_SOFTMAX_TOPK && !p->renorm && p->groups == 0);
}

static int round_to_used(const struct moe_problem *p)
{
    return p->round != MOE_ROUND_NONE || p->round_to == moe_problem_default().round_to;
}

static int shared_gate_used(const struct moe_problem *p)
{
    return !p->shared_gate || p->shared > 0;
}

static int aux_computed(const struct moe_problem *p)
{
    return p->aux == 0 || computed(p);
}

static int zloss_computed(const struct moe_problem *p)
{
    return p->zloss == 0 || computed(p);
}

static int routing_of_lists(const struct moe_problem *p)
{
    return (p->routing != MOE_ROUTING_DROPPED && p->routing != MOE_ROUTING_RAGGED &&
            p->routing != MOE_ROUTING_SORTED) ||
           !computed(p);
}

static int routing_of_logits(const struct moe_problem *p)
{
    return p->routing != MOE_ROUTING_TIES || computed(p);
}

/* Experts that may have rows. */
static int routing_leaves_picks(const struct moe_problem *p)
{
    switch (p->routing) {
    case MOE_ROUTING_FIRST_EMPTY:
    case MOE_ROUTING_LAST_EMPTY:
        return p->K <= p->E - 1;
    case MOE_ROUTING_ODD_EMPTY:
    case MOE_ROUTING_TAIL_EMPTY:
        return p->K <= (p->E + 1) / 2;
    default:
        return 1;
    }
}

static int data_has_room(const struct moe_problem *p)
{
    return p->data != MOE_DATA_LARGE || p->dtype != MOE_F64;
}

/* Each rule: the key that is named, when it holds, and what is allowed. Text and value name every
 * key that the rule reads, so that a user, and the generator of cases, know what else could be
 * changed. */
static const struct rule {
    const char *key;
    int (*holds)(const struct moe_problem *problem);
    const char *text;
} rules[] = {
    {"K", picks_fit, "allowed: 1 .. E"},
    {"grad", grad_differs, "has a meaning with dtype bf16 or f16 only"},
    {"w1", layout_has_gates, "has a meaning with a gated act only"},
    {"w1", layout_divides, "needs I to be a multiple of 8"},
    {"w1", layout_divides_shared, "needs shared to be a multiple of 8"},
    {"renorm", renorm_computed, "has no meaning with router=lists"},
    {"renorm", renorm_changes, "has no meaning with router=topk-softmax, which always sums to 1"},
    {"scale", scale_computed, "has no meaning with router=lists"},
    {"groups", groups_computed, "has no meaning with router=lists"},
    {"groups", groups_divide, "the number of groups must divide E"},
    {"groups", groups_hold_picks, "the groups kept must hold at least K of the E experts"},
    {"router-bias", router_bias_computed, "has no meaning with router=lists"},
    {"sel-bias", sel_bias_used, "has a meaning with router sigmoid or sqrt-softplus only"},
    {"round", round_router, "needs router=softmax-topk with renorm=0 and groups=0"},
    {"round-to", round_to_used, "has a meaning with round other than none only"},
    {"shared-gate", shared_gate_used, "has a meaning with shared > 0 only"},
    {"aux", aux_computed, "has no meaning with router=lists"},
    {"zloss", zloss_computed, "has no meaning with router=lists"},
    {"routing", routing_of_lists, "has a meaning with router=lists only"},
    {"routing", routing_of_logits, "has no meaning with router=lists"},
    {"routing", routing_leaves_picks, "leaves fewer than K of the E experts to pick from"},
    {"data", data_has_room, "needs a dtype below f64, which the reference itself computes in"},
};

/* Every field is what its printed value reads back as; so the ranges stand in the table alone, and
 * what the line cannot say (an enum out of range, a NaN, a clamp of an activation without one) does
 * not pass. */
static int validate_key(const struct problem_key *key, const struct moe_problem *problem)
{
    struct moe_problem copy;
    char value[PROBLEM_VALUE_SIZE];
    int status;
    memcpy(&copy, problem, sizeof copy);
    key->print(key, problem, value);
    status = moe_problem_set(&copy, key->text.name, value);
    if (status == MOE_OK && memcmp(&copy, problem, sizeof copy) != 0)
        status = problem_refuse(key->text.name, value,
                                "the case carries a number that this value does not take");
    return status;
}

int moe_problem_validate(const struct moe_problem *problem)
{
    const struct problem_key *key;
    int status = MOE_OK;
    for (int i = 0; status == MOE_OK && (key = problem_key_row(i)) != NULL; i++)
        status = validate_key(key, problem);
    for (size_t i = 0; status == MOE_OK && i < sizeof rules / sizeof *rules; i++) {
        if (!rules[i].holds(problem)) {
            char value[PROBLEM_VALUE_SIZE];
            key = problem_key_find(rules[i].key);
            key->print(key, problem, value);
            status = problem_refuse(rules[i].key, value, rules[i].text);
        }
    }
    for (int id = 0; status == MOE_OK && id < MOE_TENSOR_COUNT; id++) {
        struct moe_tensor tensor;
        if (moe_tensor_exists(problem, (enum moe_tensor_id)id))
            status = moe_tensor_describe(problem, (enum moe_tensor_id)id, &tensor);
    }
    return status;
}

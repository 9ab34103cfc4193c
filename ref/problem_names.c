/*
 * problem_names.c - the words that the keys of a case line take, a table for each enum. Names of
 * data types and of activations stand in their own tables, so that a new one is written down once.
 */
#include <float.h>

#include "ref/problem.h"

static int look_up(const struct problem_name *table, int count, int index,
                   struct problem_name *name)
{
    if (index < 0 || index >= count)
        return -1;
    *name = table[index];
    return 0;
}

/* The types that a whole layer can have today. */
int problem_dtype_names(int index, struct problem_name *name)
{
    if (index < MOE_BF16 || index > MOE_F64)
        return -1;
    *name = (struct problem_name){.text = moe_dtype_info((enum moe_dtype)index)->name};
    return 0;
}

int problem_act_names(int index, struct problem_name *name)
{
    const struct moe_act_info *info;
    if (index < 0 || index >= MOE_ACT_COUNT)
        return -1;
    info = moe_act_info((enum moe_act)index);
    *name = (struct problem_name){info->name, info->has_clamp, DBL_TRUE_MIN, DBL_MAX};
    return 0;
}

int problem_grad_names(int index, struct problem_name *name)
{
    static const struct problem_name table[MOE_GRAD_COUNT] = {
        [MOE_GRAD_SAME] = {.text = "same"},
        [MOE_GRAD_F32] = {.text = "f32"},
    };
    return look_up(table, MOE_GRAD_COUNT, index, name);
}

int problem_w1_names(int index, struct problem_name *name)
{
    static const struct problem_name table[MOE_W1_COUNT] = {
        [MOE_W1_INTERLEAVED] = {.text = "interleaved"},
        [MOE_W1_INTERLEAVED8] = {.text = "interleaved8"},
        [MOE_W1_HALVES] = {.text = "halves"},
    };
    return look_up(table, MOE_W1_COUNT, index, name);
}

int problem_router_names(int index, struct problem_name *name)
{
    static const struct problem_name table[MOE_ROUTER_COUNT] = {
        [MOE_TOPK_SOFTMAX] = {.text = "topk-softmax"},
        [MOE_SOFTMAX_TOPK] = {.text = "softmax-topk"},
        [MOE_SIGMOID] = {.text = "sigmoid"},
        [MOE_SQRT_SOFTPLUS] = {.text = "sqrt-softplus"},
        [MOE_LISTS] = {.text = "lists"},
    };
    return look_up(table, MOE_ROUTER_COUNT, index, name);
}

int problem_round_names(int index, struct problem_name *name)
{
    static const struct problem_name table[MOE_ROUND_COUNT] = {
        [MOE_ROUND_NONE] = {.text = "none"},
        [MOE_ROUND_NEAREST] = {.text = "nearest"},
        [MOE_ROUND_UP] = {.text = "up"},
        [MOE_ROUND_DOWN] = {.text = "down"},
        [MOE_ROUND_STOCHASTIC] = {.text = "stochastic"},
        [MOE_ROUND_BALANCED] = {.text = "balanced"},
    };
    return look_up(table, MOE_ROUND_COUNT, index, name);
}

int problem_weight_names(int index, struct problem_name *name)
{
    static const struct problem_name table[MOE_WEIGHT_COUNT] = {
        [MOE_WEIGHT_AFTER_W2] = {.text = "after-w2"},
        [MOE_WEIGHT_BEFORE_W2] = {.text = "before-w2"},
        [MOE_WEIGHT_INPUT] = {.text = "input"},
    };
    return look_up(table, MOE_WEIGHT_COUNT, index, name);
}

int problem_routing_names(int index, struct problem_name *name)
{
    static const struct problem_name table[MOE_ROUTING_COUNT] = {
        [MOE_ROUTING_UNIFORM] = {.text = "uniform"},
        [MOE_ROUTING_ZIPF] = {"zipf", 1, 0, 8},
        [MOE_ROUTING_HOT] = {.text = "hot"},
        [MOE_ROUTING_SAME] = {.text = "same"},
        [MOE_ROUTING_FIRST] = {.text = "first"},
        [MOE_ROUTING_LAST] = {.text = "last"},
        [MOE_ROUTING_SPARSE] = {.text = "sparse"},
        [MOE_ROUTING_TIES] = {.text = "ties"},
        [MOE_ROUTING_DROPPED] = {"dropped", 1, 0, 1},
        [MOE_ROUTING_RAGGED] = {.text = "ragged"},
        [MOE_ROUTING_FIRST_EMPTY] = {.text = "first-empty"},
        [MOE_ROUTING_LAST_EMPTY] = {.text = "last-empty"},
        [MOE_ROUTING_ODD_EMPTY] = {.text = "odd-empty"},
        [MOE_ROUTING_TAIL_EMPTY] = {.text = "tail-empty"},
        [MOE_ROUTING_SORTED] = {.text = "sorted"},
        [MOE_ROUTING_EDGES] = {.text = "edges"},
    };
    return look_up(table, MOE_ROUTING_COUNT, index, name);
}

int problem_data_names(int index, struct problem_name *name)
{
    static const struct problem_name table[MOE_DATA_COUNT] = {
        [MOE_DATA_NORMAL] = {.text = "normal"},     [MOE_DATA_HEAVY] = {.text = "heavy"},
        [MOE_DATA_POSITIVE] = {.text = "positive"}, [MOE_DATA_CONSTANT] = {.text = "constant"},
        [MOE_DATA_TINY] = {.text = "tiny"},         [MOE_DATA_SPARSE] = {.text = "sparse"},
        [MOE_DATA_ZERO] = {.text = "zero"},         [MOE_DATA_EXACT0] = {.text = "exact0"},
        [MOE_DATA_EXACT1] = {.text = "exact1"},     [MOE_DATA_EXACT2] = {.text = "exact2"},
        [MOE_DATA_LARGE] = {.text = "large"},
    };
    return look_up(table, MOE_DATA_COUNT, index, name);
}

/*
 * tensor.c - the tensors of a case: one row each says name, role, shape, type and when it is used.
 *
 * Dimensions may be as large as the case line allows, so every product is checked: a size that does
 * not fit is an error of the case, never a small number.
 */
#include <string.h>

#include "ref/moe.h"

/* No tensor is larger: byte offsets and their sums then stay inside int64_t. */
static const int64_t size_limit = (int64_t)1 << 62;

enum type_rule {
    OF_CASE,     /* dtype */
    OF_GRADIENT, /* dtype, or f32 with grad=f32 */
    OF_ROUTER,   /* f32, or f64 where dtype is f64 */
    OF_PICKS,
    OF_OFFSETS
};

static int always(const struct moe_problem *problem)
{
    (void)problem;
    return 1;
}

static int computed(const struct moe_problem *problem)
{
    return problem->router != MOE_LISTS;
}

static int with_router_bias(const struct moe_problem *problem)
{
    return computed(problem) && problem->router_bias;
}

static int with_sel_bias(const struct moe_problem *problem)
{
    return computed(problem) && problem->sel_bias;
}

static int with_bias(const struct moe_problem *problem)
{
    return problem->bias;
}

static int with_shared(const struct moe_problem *problem)
{
    return problem->shared > 0;
}

static int with_shared_gate(const struct moe_problem *problem)
{
    return problem->shared > 0 && problem->shared_gate;
}

static const struct tensor_row {
    struct moe_tensor_info info;
    enum type_rule rule;
    int (*exists)(const struct moe_problem *problem);
} table[MOE_TENSOR_COUNT] = {
    [MOE_X] = {{"x", MOE_INPUT, "TH"}, OF_CASE, always},
    [MOE_WR] = {{"wr", MOE_INPUT, "EH"}, OF_CASE, computed},
    [MOE_BR] = {{"br", MOE_INPUT, "E"}, OF_ROUTER, with_router_bias},
    [MOE_SEL_BIAS] = {{"sel_bias", MOE_INPUT, "E"}, OF_ROUTER, with_sel_bias},
    [MOE_W1] = {{"w1", MOE_INPUT, "EZH"}, OF_CASE, always},
    [MOE_B1] = {{"b1", MOE_INPUT, "EZ"}, OF_CASE, with_bias},
    [MOE_W2] = {{"w2", MOE_INPUT, "EHI"}, OF_CASE, always},
    [MOE_B2] = {{"b2", MOE_INPUT, "EH"}, OF_CASE, with_bias},
    [MOE_WS1] = {{"ws1", MOE_INPUT, "UH"}, OF_CASE, with_shared},
    [MOE_WS2] = {{"ws2", MOE_INPUT, "HS"}, OF_CASE, with_shared},
    [MOE_WSG] = {{"wsg", MOE_INPUT, "H"}, OF_CASE, with_shared_gate},
    [MOE_DO] = {{"do", MOE_INPUT, "TH"}, OF_CASE, always},
    [MOE_OFFSETS] = {{"offsets", MOE_ROUTING, "F"}, OF_OFFSETS, moe_problem_ragged},
    [MOE_PICKS] = {{"picks", MOE_ROUTING, "TK"}, OF_PICKS, always},
    [MOE_SCORES] = {{"scores", MOE_ROUTING, "TK"}, OF_ROUTER, always},
    [MOE_O] = {{"o", MOE_FORWARD_OUTPUT, "TH"}, OF_CASE, always},
    [MOE_LOGITS] = {{"logits", MOE_FORWARD_OUTPUT, "TE"}, OF_ROUTER, computed},
    [MOE_Z] = {{"z", MOE_FORWARD_OUTPUT, "NZ"}, OF_CASE, always},
    [MOE_DX] = {{"dx", MOE_BACKWARD_OUTPUT, "TH"}, OF_CASE, always},
    [MOE_DS] = {{"ds", MOE_BACKWARD_OUTPUT, "TK"}, OF_ROUTER, always},
    [MOE_DLOGITS] = {{"dlogits", MOE_BACKWARD_OUTPUT, "TE"}, OF_ROUTER, computed},
    [MOE_DWR] = {{"dwr", MOE_PARAMETER_GRADIENT, "EH"}, OF_GRADIENT, computed},
    [MOE_DBR] = {{"dbr", MOE_PARAMETER_GRADIENT, "E"}, OF_ROUTER, with_router_bias},
    [MOE_DW1] = {{"dw1", MOE_PARAMETER_GRADIENT, "EZH"}, OF_GRADIENT, always},
    [MOE_DB1] = {{"db1", MOE_PARAMETER_GRADIENT, "EZ"}, OF_GRADIENT, with_bias},
    [MOE_DW2] = {{"dw2", MOE_PARAMETER_GRADIENT, "EHI"}, OF_GRADIENT, always},
    [MOE_DB2] = {{"db2", MOE_PARAMETER_GRADIENT, "EH"}, OF_GRADIENT, with_bias},
    [MOE_DWS1] = {{"dws1", MOE_PARAMETER_GRADIENT, "UH"}, OF_GRADIENT, with_shared},
    [MOE_DWS2] = {{"dws2", MOE_PARAMETER_GRADIENT, "HS"}, OF_GRADIENT, with_shared},
    [MOE_DWSG] = {{"dwsg", MOE_PARAMETER_GRADIENT, "H"}, OF_GRADIENT, with_shared_gate},
};

const struct moe_tensor_info *moe_tensor_info(enum moe_tensor_id id)
{
    return (unsigned)id < MOE_TENSOR_COUNT ? &table[id].info : NULL;
}

int moe_tensor_exists(const struct moe_problem *problem, enum moe_tensor_id id)
{
    return (unsigned)id < MOE_TENSOR_COUNT && table[id].exists(problem) != 0;
}

int moe_problem_ragged(const struct moe_problem *problem)
{
    if (problem->router == MOE_LISTS)
        return problem->routing == MOE_ROUTING_RAGGED;
    return problem->round != MOE_ROUND_NONE;
}

int64_t moe_problem_max_entries(const struct moe_problem *problem)
{
    /* 128 bits hold any product of two dimensions, so only the result needs a check. */
    __int128 entries = (__int128)problem->T * problem->K;
    if (problem->round != MOE_ROUND_NONE) {
        const __int128 all = (__int128)problem->T * problem->E;
        entries += (__int128)problem->E * (problem->round_to - 1);
        if (entries > all)
            entries = all;
    }
    if (entries > size_limit)
        return moe_error(MOE_E_USAGE, "T=%lld K=%lld: more than 2^62 picks", (long long)problem->T,
                         (long long)problem->K);
    return (int64_t)entries;
}

int64_t moe_problem_z_rows(const struct moe_problem *problem)
{
    return moe_act_info(problem->act)->gated ? 2 * problem->I : problem->I;
}

int64_t moe_problem_shared_rows(const struct moe_problem *problem)
{
    return moe_act_info(problem->act)->gated ? 2 * problem->shared : problem->shared;
}

/* The size that a letter of a shape stands for; negative: a status. */
static int64_t dimension(const struct moe_problem *problem, char letter)
{
    switch (letter) {
    case 'T':
        return problem->T;
    case 'F':
        return problem->T + 1;
    case 'H':
        return problem->H;
    case 'I':
        return problem->I;
    case 'E':
        return problem->E;
    case 'K':
        return problem->K;
    case 'S':
        return problem->shared;
    case 'Z':
        return moe_problem_z_rows(problem);
    case 'U':
        return moe_problem_shared_rows(problem);
    case 'N':
    case 'P':
        return moe_problem_max_entries(problem);
    default:
        return moe_error(MOE_E_INTERNAL, "no dimension is called %c", letter);
    }
}

static enum moe_dtype type_of(const struct moe_problem *problem, enum type_rule rule)
{
    const enum moe_dtype router = problem->dtype == MOE_F64 ? MOE_F64 : MOE_F32;
    const enum moe_dtype gradient = problem->grad == MOE_GRAD_F32 ? MOE_F32 : problem->dtype;
    const enum moe_dtype types[] = {[OF_CASE] = problem->dtype,
                                    [OF_GRADIENT] = gradient,
                                    [OF_ROUTER] = router,
                                    [OF_PICKS] = MOE_I32,
                                    [OF_OFFSETS] = MOE_I64};
    return types[rule];
}

int moe_tensor_describe(const struct moe_problem *problem, enum moe_tensor_id id,
                        struct moe_tensor *tensor)
{
    if ((unsigned)id >= MOE_TENSOR_COUNT)
        return moe_error(MOE_E_USAGE, "there is no tensor %d", (int)id);
    const struct tensor_row *row = &table[id];
    const char *shape = row->info.shape;
    if (strcmp(shape, "TK") == 0 && moe_problem_ragged(problem))
        shape = "P";

    struct moe_tensor described = {.dtype = type_of(problem, row->rule),
                                   .rank = (int32_t)strlen(shape)};
    for (int axis = 0; axis < described.rank; axis++) {
        described.shape[axis] = dimension(problem, shape[axis]);
        if (described.shape[axis] < 0)
            return (int)described.shape[axis];
    }

    /* The strides are checked even where an outer dimension is 0 and nothing is stored. */
    const int64_t most = size_limit / moe_dtype_info(described.dtype)->bits * 8;
    int64_t count = 1;
    for (int axis = described.rank - 1; axis >= 0; axis--) {
        described.stride[axis] = count;
        if (__builtin_mul_overflow(count, described.shape[axis], &count) || count > most)
            return moe_error(MOE_E_USAGE, "%s would be larger than 2^62 bytes", row->info.name);
    }
    *tensor = described;
    return MOE_OK;
}

int64_t moe_tensor_count(const struct moe_tensor *tensor)
{
    int64_t count = 1;
    for (int axis = 0; axis < tensor->rank; axis++)
        count *= tensor->shape[axis];
    return count;
}

int64_t moe_tensor_bytes(const struct moe_tensor *tensor)
{
    const int bits = moe_dtype_info(tensor->dtype)->bits;
    const int64_t count = moe_tensor_count(tensor);
    return bits < 8 ? (count + 1) / 2 : count * (bits / 8);
}

int64_t moe_tensor_position(const struct moe_tensor *tensor, int64_t index)
{
    int64_t position = 0;
    for (int axis = tensor->rank - 1; axis >= 0; axis--) {
        position += index % tensor->shape[axis] * tensor->stride[axis];
        index /= tensor->shape[axis];
    }
    return position;
}

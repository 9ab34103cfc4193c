/*
 * relation_experts_halved.c - every expert as two of half its units, both picked with its score: o
 * is the same, since the sum over units is cut in two. What there is once an expert, b2, the first
 * half has alone, as a rank of tensor parallelism has.
 *
 * Only with lists. ds of a pick is the sum of both halves', since each is the derivative of its
 * part.
 */
#include <string.h>

#include "verify/relate.h"

static int applies(const struct moe_judgement *judgement)
{
    const struct moe_problem *problem = judgement->problem;
    return problem->T > 0 && relate_lists(problem) &&
           problem->I % (problem->w1 == MOE_W1_INTERLEAVED8 ? 16 : 2) == 0;
}

/* An expert's row of w1, and where it went: expert 2e + half, row. */
struct place {
    int64_t half, row;
};

static struct place place_of(const struct relating *relating, int64_t row)
{
    const struct moe_problem *halved = &relating->run[1].problem;
    struct relate_unit unit = relate_unit_of(relating->judgement->problem, row);
    struct place place = {.half = unit.number / halved->I};
    unit.number %= halved->I;
    place.row = relate_unit_row(halved, unit);
    return place;
}

/* Where an element of a tensor of the experts is in run 1. */
static int64_t of_expert(const struct relating *relating, enum moe_tensor_id id, int64_t index)
{
    const struct moe_problem *problem = relating->judgement->problem;
    const struct moe_tensor *tensor = &relating->run[0].tensors.tensor[id];
    const int64_t Z = moe_problem_z_rows(problem), I = problem->I, H = problem->H;
    const int64_t size = moe_tensor_count(tensor) / tensor->shape[0];
    const int64_t e = index / size, within = index % size;
    if (id == MOE_W2 || id == MOE_DW2) {
        int64_t half = within % I / (I / 2);
        return ((2 * e + half) * H + within / I) * (I / 2) + within % I % (I / 2);
    }
    if (id == MOE_B2 || id == MOE_DB2)
        return 2 * e * H + within;
    int64_t width = size / Z;
    struct place place = place_of(relating, within / width);
    return ((2 * e + place.half) * (Z / 2) + place.row) * width + within % width;
}

static int is_of_expert(enum moe_tensor_id id)
{
    return moe_tensor_info(id)->shape[0] == 'E';
}

static void copy_value(const struct relating *relating, enum moe_tensor_id id, int64_t to,
                       int64_t from)
{
    const struct moe_tensor *before = &relating->run[0].before.tensor[id];
    const struct moe_tensor *source = before->data ? before : &relating->run[0].tensors.tensor[id];
    const struct moe_tensor *target = &relating->run[1].tensors.tensor[id];
    moe_dtype_store(target->dtype, target->data, to,
                    moe_dtype_load(source->dtype, source->data, from), 0);
}

static void double_lists(const struct relating *relating)
{
    const struct moe_routing *routing = &relating->judgement->routing;
    const struct moe_tensors *to = &relating->run[1].tensors;
    int32_t *picks = to->tensor[MOE_PICKS].data;
    for (int64_t i = 0; i < 2 * routing->P; i++) {
        int32_t pick = routing->pick[i / 2];
        picks[i] = pick < 0 ? -1 : 2 * pick + (int32_t)(i % 2);
        copy_value(relating, MOE_SCORES, i, i / 2);
    }
    for (int64_t t = 0; to->tensor[MOE_OFFSETS].data && t <= routing->T; t++)
        moe_dtype_store(MOE_I64, to->tensor[MOE_OFFSETS].data, t,
                        (double)(2 * routing->token_begin[t]), 0);
}

/* b2's gradient is the same in both halves, and so is what it is added to. */
static void repeat_db2(const struct relating *relating)
{
    const struct moe_tensor *tensor = &relating->run[1].tensors.tensor[MOE_DB2];
    size_t size = tensor->data ? (size_t)moe_tensor_bytes(tensor) / (size_t)tensor->shape[0] : 0;
    for (int64_t e = 0; tensor->data && e < tensor->shape[0]; e += 2)
        memcpy((char *)tensor->data + (size_t)(e + 1) * size,
               (char *)tensor->data + (size_t)e * size, size);
}

static int make(struct relating *relating)
{
    struct moe_problem problem = *relating->judgement->problem;
    problem.E *= 2;
    problem.K *= 2;
    problem.I /= 2;
    int status = relate_case(relating, 1, &problem);
    if (status != MOE_OK)
        return status;
    relating->runs = 2;
    double_lists(relating);
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &relating->run[0].tensors.tensor[id];
        int adds = problem.beta && moe_tensor_info(id)->role == MOE_PARAMETER_GRADIENT;
        if (!tensor->data || (moe_tensor_info(id)->role != MOE_INPUT && !adds) || id == MOE_OFFSETS)
            continue;
        for (int64_t i = 0; i < moe_tensor_count(tensor); i++)
            copy_value(relating, id, is_of_expert(id) ? of_expert(relating, id, i) : i, i);
    }
    if (problem.beta)
        repeat_db2(relating);
    return MOE_OK;
}

static int equate_z(const struct relating *relating, int64_t index,
                    struct relate_equation *equation)
{
    const int64_t Z = moe_problem_z_rows(relating->judgement->problem);
    struct place place = place_of(relating, index % Z);
    int64_t entry = 2 * relating->run[0].routing.row_entry[index / Z] + place.half;
    equation->term[0] =
        (struct relate_term){1, relating->run[1].routing.entry_row[entry] * (Z / 2) + place.row, 1};
    return 1;
}

static int equate(const struct relating *relating, enum moe_tensor_id id, int64_t index,
                  struct relate_equation *equation)
{
    *equation = (struct relate_equation){.terms = 1};
    if (id == MOE_Z)
        return equate_z(relating, index, equation);
    equation->term[0] = (struct relate_term){1, index, 1};
    if (id == MOE_DS) {
        equation->terms = 2;
        equation->term[0].index = 2 * index;
        equation->term[1] = (struct relate_term){1, 2 * index + 1, 1};
    } else if (is_of_expert(id)) {
        equation->term[0].index = of_expert(relating, id, index);
        if (id == MOE_DB2 && index % 2) /* of either half */
            equation->term[0].index += relating->judgement->problem->H;
    }
    return 1;
}

const struct relation relation_experts_halved = {
    .name = "experts-halved",
    .statement = "an expert's units as two experts with its score, b2 in the first, change nothing",
    .applies = applies,
    .make = make,
    .equate = equate,
};

/*
 * relation_experts_as_one.c - where every token picks all experts with equal scores, the layer is
 * one dense expert with all their units. Run 1 has those picks, a power of two near 1/E for scores
 * and b2 in the first expert only; run 2 is the dense one.
 *
 * Only with lists. ds of the dense expert is the sum of all the others'.
 */
#include "verify/relate.h"

static int applies(const struct moe_judgement *judgement)
{
    const struct moe_problem *problem = judgement->problem;
    return problem->T > 0 && problem->E >= 2 && relate_lists(problem);
}

/* Where an element of an expert's tensor of run 1 is in run 2. */
static int64_t in_dense(const struct relating *relating, enum moe_tensor_id id, int64_t index)
{
    const struct moe_problem *problem = &relating->run[1].problem;
    const struct moe_tensor *tensor = &relating->run[1].tensors.tensor[id];
    const int64_t Z = moe_problem_z_rows(problem), I = problem->I, E = problem->E;
    const int64_t size = moe_tensor_count(tensor) / tensor->shape[0];
    const int64_t e = index / size, within = index % size;
    if (id == MOE_W2 || id == MOE_DW2)
        return within / I * (E * I) + e * I + within % I;
    if (id == MOE_B2 || id == MOE_DB2)
        return within;
    const int64_t width = size / Z;
    struct relate_unit unit = relate_unit_of(problem, within / width);
    unit.number += e * I;
    return relate_unit_row(&relating->run[2].problem, unit) * width + within % width;
}

static int is_of_expert(enum moe_tensor_id id)
{
    return moe_tensor_info(id)->shape[0] == 'E';
}

static void copy(const struct relating *relating, int k, enum moe_tensor_id id, int64_t to,
                 int64_t from)
{
    const struct moe_tensor *source = &relating->run[0].tensors.tensor[id];
    const struct moe_tensor *target = &relating->run[k].tensors.tensor[id];
    moe_dtype_store(target->dtype, target->data, to,
                    moe_dtype_load(source->dtype, source->data, from), 0);
}

static void fill(const struct relating *relating)
{
    const struct moe_problem *problem = relating->judgement->problem;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &relating->run[0].tensors.tensor[id];
        int64_t count = moe_tensor_count(tensor);
        if (!tensor->data || moe_tensor_info(id)->role != MOE_INPUT || id == MOE_OFFSETS)
            continue;
        if (id == MOE_B2)
            count /= problem->E;
        for (int64_t i = 0; i < count; i++) {
            copy(relating, 1, id, i, i);
            copy(relating, 2, id, is_of_expert(id) ? in_dense(relating, id, i) : i, i);
        }
    }
}

static void pick_all(const struct relate_run *run, double score)
{
    const struct moe_tensor *picks = &run->tensors.tensor[MOE_PICKS];
    const struct moe_tensor *scores = &run->tensors.tensor[MOE_SCORES];
    for (int64_t i = 0; i < moe_tensor_count(picks); i++) {
        ((int32_t *)picks->data)[i] = (int32_t)(i % run->problem.K);
        moe_dtype_store(scores->dtype, scores->data, i, score, 0);
    }
}

static int make(struct relating *relating)
{
    struct moe_problem problem = *relating->judgement->problem;
    double score = 1;
    while (score * (double)problem.E > 1)
        score /= 2;
    problem.routing = MOE_ROUTING_UNIFORM;
    problem.routing_arg = 0;
    problem.beta = 0;
    problem.K = problem.E;
    int status = relate_case(relating, 1, &problem);
    problem.I *= problem.E;
    problem.E = problem.K = 1;
    if (status == MOE_OK)
        status = relate_case(relating, 2, &problem);
    if (status != MOE_OK)
        return status;
    relating->runs = 3;
    relating->left = 1;
    pick_all(&relating->run[1], score);
    pick_all(&relating->run[2], score);
    fill(relating);
    return MOE_OK;
}

/* The first expert's ds beside the dense one's less all the others'. */
static int equate_ds(const struct relating *relating, int64_t index,
                     struct relate_equation *equation)
{
    const int64_t E = relating->run[1].problem.E;
    if (index % E != 0 || E > RELATE_TERMS)
        return 0;
    equation->terms = (int)E;
    equation->term[0] = (struct relate_term){2, index / E, 1};
    for (int64_t e = 1; e < E; e++)
        equation->term[e] = (struct relate_term){1, index + e, -1};
    return 1;
}

static int equate(const struct relating *relating, enum moe_tensor_id id, int64_t index,
                  struct relate_equation *equation)
{
    const struct moe_problem *problem = &relating->run[1].problem;
    const int64_t Z = moe_problem_z_rows(problem), T = problem->T;
    *equation = (struct relate_equation){.terms = 1};
    if (id == MOE_DS)
        return equate_ds(relating, index, equation);
    int64_t at = is_of_expert(id) ? in_dense(relating, id, index) : index;
    if (id == MOE_Z) { /* rows of run 1: all tokens of an expert, expert by expert */
        struct relate_unit unit = relate_unit_of(problem, index % Z);
        unit.number += index / Z / T * problem->I;
        at = index / Z % T * Z * problem->E + relate_unit_row(&relating->run[2].problem, unit);
    }
    equation->term[0] = (struct relate_term){2, at, 1};
    return 1;
}

const struct relation relation_experts_as_one = {
    .name = "experts-as-one",
    .statement = "all experts picked with equal scores are one dense expert with all their units",
    .applies = applies,
    .make = make,
    .equate = equate,
};

/*
 * relate_make.c - see relate.h: cases and inputs of further runs, made from those of the first
 * through maps of tokens, experts and entries.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "verify/relate.h"

static size_t element_size(const struct moe_tensor *tensor)
{
    return (size_t)moe_dtype_info(tensor->dtype)->bits / 8;
}

static int is_gradient(enum moe_tensor_id id)
{
    return moe_tensor_info(id)->role == MOE_PARAMETER_GRADIENT;
}

int relate_case(struct relating *relating, int k, const struct moe_problem *problem)
{
    struct relate_run *run = &relating->run[k];
    run->problem = *problem;
    int status = moe_problem_validate(problem);
    if (status == MOE_OK && relate_too_large(problem))
        status = MOE_E_UNSUPPORTED;
    if (status == MOE_OK)
        status = moe_tensors_allocate(problem, &run->tensors);
    if (status != MOE_OK)
        return status;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        if (run->tensors.tensor[id].data)
            memset(run->tensors.tensor[id].data, id == MOE_PICKS ? 0xff : 0,
                   (size_t)moe_tensor_bytes(&run->tensors.tensor[id]));
    moe_tensors_fill_outputs(problem, &run->tensors, MOE_POISON);
    return MOE_OK;
}

int relate_map(int64_t **map, int64_t count)
{
    *map = malloc(((size_t)count + 1) * sizeof **map);
    if (!*map)
        return moe_error(MOE_E_NOMEM, "no memory for the map of a relation");
    memset(*map, 0xff, ((size_t)count + 1) * sizeof **map);
    return MOE_OK;
}

int relate_permutation(int64_t **map, int64_t count, uint64_t seed, uint32_t purpose)
{
    int status = relate_map(map, count);
    for (int64_t i = 0; i < count && status == MOE_OK; i++) {
        int64_t j = (int64_t)(moe_draw_word(seed, purpose, (uint64_t)i) % (uint64_t)(i + 1));
        (*map)[i] = (*map)[j];
        (*map)[j] = i;
    }
    return status;
}

static int64_t through(const int64_t *map, int64_t index)
{
    return map && index >= 0 ? map[index] : index;
}

/* ---- where an element is --------------------------------------------------------------------- */

static int64_t width_of(const struct moe_tensor *tensor)
{
    return tensor->shape[tensor->rank - 1];
}

static int64_t index_of_z(const struct relating *relating, int k, int64_t index)
{
    const struct relate_run *left = &relating->run[relating->left], *run = &relating->run[k];
    int64_t Z = width_of(&left->tensors.tensor[MOE_Z]);
    int64_t entry = through(relating->entry[k], left->routing.row_entry[index / Z]);
    int64_t row = entry < 0 ? -1 : run->routing.entry_row[entry];
    return row < 0 ? -1 : row * Z + index % Z;
}

int64_t relate_index(const struct relating *relating, int k, enum moe_tensor_id id, int64_t index)
{
    const struct moe_tensor *left = &relating->run[relating->left].tensors.tensor[id];
    const struct moe_tensor *right = &relating->run[k].tensors.tensor[id];
    const char *shape = moe_tensor_info(id)->shape;
    if (id == MOE_Z)
        return index_of_z(relating, k, index);
    if (strcmp(shape, "TK") == 0)
        return through(relating->entry[k], index);
    if (shape[0] != 'T' && shape[0] != 'E')
        return index;
    const int64_t *map = shape[0] == 'T' ? relating->token[k] : relating->expert[k];
    int64_t inner = moe_tensor_count(left) / left->shape[0];
    int64_t outer = through(map, index / inner), within = index % inner;
    if (strcmp(shape, "TE") == 0)
        within = through(relating->expert[k], within);
    return outer < 0 || within < 0 ? -1
                                   : outer * (moe_tensor_count(right) / right->shape[0]) + within;
}

/* ---- offsets and entries --------------------------------------------------------------------- */

/* Run 0's token of each of run k's; -1: none. */
static int sources(const struct relating *relating, int k, int64_t **source)
{
    int64_t T = relating->run[k].problem.T;
    const int64_t *map = relating->token[relating->left == k ? 0 : k];
    int status = relate_map(source, T);
    if (status != MOE_OK)
        return status;
    if (relating->left == k)
        for (int64_t u = 0; u < T; u++)
            (*source)[u] = through(map, u);
    else
        for (int64_t t = 0; t < relating->run[0].problem.T; t++)
            if (through(map, t) >= 0)
                (*source)[through(map, t)] = t;
    return MOE_OK;
}

/* Entries where tokens moved: each token keeps its own, in their order. */
static int follow_tokens(struct relating *relating, int k)
{
    struct relate_run *run = &relating->run[k];
    const int64_t *begin = relating->run[0].routing.token_begin;
    int from_k = relating->left == k, ragged = moe_problem_ragged(&run->problem);
    int other = from_k ? 0 : k;
    int64_t *source, T = run->problem.T, first = 0;
    int64_t entries =
        from_k ? moe_problem_max_entries(&run->problem) : begin[relating->run[0].problem.T];
    int status = sources(relating, k, &source);
    if (status == MOE_OK)
        status = relate_map(&relating->entry[other], entries);
    for (int64_t u = 0; u < T && status == MOE_OK; u++) {
        int64_t from = source[u] < 0 ? 0 : begin[source[u]];
        int64_t count = source[u] < 0 ? 0 : begin[source[u] + 1] - from;
        for (int64_t j = 0; j < count; j++)
            relating->entry[other][from_k ? first + j : from + j] = from_k ? from + j : first + j;
        first += ragged ? count : run->problem.K;
        if (ragged)
            moe_dtype_store(MOE_I64, run->tensors.tensor[MOE_OFFSETS].data, u + 1, (double)first,
                            0);
    }
    free(source);
    return status;
}

static int fill_entries(struct relating *relating, int k)
{
    struct relate_run *run = &relating->run[k];
    int other = relating->left == k ? 0 : k;
    if (relating->token[other] && !relating->entry[other])
        return follow_tokens(relating, k);
    struct moe_tensor *to = &run->tensors.tensor[MOE_OFFSETS];
    if (to->data && run->problem.router == MOE_LISTS && !relating->token[other])
        memcpy(to->data, relating->run[0].tensors.tensor[MOE_OFFSETS].data,
               (size_t)moe_tensor_bytes(to));
    return MOE_OK;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Run k's number of run 0's expert. */
static int32_t expert_in(const struct relating *relating, int k, int32_t expert)
{
    if (relating->left != k || expert < 0)
        return (int32_t)through(relating->expert[k], expert);
    for (int64_t e = 0; e < relating->run[k].problem.E; e++)
        if (through(relating->expert[0], e) == expert)
            return (int32_t)e;
    return -1;
}

/* Element `to` of run k becomes run 0's element `from`. MOE_E_UNSUPPORTED: its type does not hold
 * that times the rule's factor. */
static int move(const struct relating *relating, int k, enum moe_tensor_id id, int64_t to,
                int64_t from)
{
    const struct moe_tensor *target = &relating->run[k].tensors.tensor[id];
    const struct moe_tensor *source = relating->run[0].before.tensor[id].data
                                          ? &relating->run[0].before.tensor[id]
                                          : &relating->run[0].tensors.tensor[id];
    const struct relate_rule *rule = &relating->rule[id];
    size_t size = element_size(target);
    if (id == MOE_PICKS) {
        ((int32_t *)target->data)[to] =
            expert_in(relating, k, ((const int32_t *)source->data)[from]);
    } else if (is_gradient(id)) {
        double value = moe_dtype_load(source->dtype, source->data, from);
        double factor = relating->left == k ? rule->factor : 1 / rule->factor;
        moe_dtype_store(target->dtype, target->data, to, value * factor, 0);
        if (!(moe_dtype_load(target->dtype, target->data, to) == value * factor))
            return MOE_E_UNSUPPORTED;
    } else {
        memcpy((char *)target->data + (size_t)to * size,
               (const char *)source->data + (size_t)from * size, size);
    }
    return MOE_OK;
}

static int is_filled(const struct relating *relating, int k, enum moe_tensor_id id)
{
    const struct relate_run *run = &relating->run[k];
    const struct relate_rule *rule = &relating->rule[id];
    if (!run->tensors.tensor[id].data || !relating->run[0].tensors.tensor[id].data)
        return 0;
    if (is_gradient(id)) /* a sum has the old value once */
        return run->problem.beta && rule->factor != 0 && !(rule->sums && k > 1);
    return id != MOE_OFFSETS && !relate_is_output(&run->problem, id);
}

int relate_fill(struct relating *relating, int k)
{
    int from_k = relating->left == k, other = from_k ? 0 : k;
    int status = fill_entries(relating, k);
    for (int id = 0; id < MOE_TENSOR_COUNT && status == MOE_OK; id++) {
        if (!is_filled(relating, k, id))
            continue;
        const struct relate_run *left = &relating->run[relating->left];
        int64_t count = moe_tensor_count(&left->tensors.tensor[id]);
        if (strcmp(moe_tensor_info(id)->shape, "TK") == 0 && !from_k)
            count = left->routing.P;
        for (int64_t i = 0; i < count && status == MOE_OK; i++) {
            int64_t j = relate_index(relating, other, id, i);
            if (j >= 0)
                status = move(relating, k, id, from_k ? i : j, from_k ? j : i);
        }
    }
    return status;
}

void relate_copy_first(struct relating *relating)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *from = &relating->run[1].tensors.tensor[id];
        if (from->data)
            memcpy(relating->run[2].tensors.tensor[id].data, from->data,
                   (size_t)moe_tensor_bytes(from));
    }
}

double relate_power(const struct moe_judgement *judgement, double up, double down)
{
    const struct moe_problem *problem = judgement->problem;
    int narrow = problem->dtype == MOE_F16 || problem->data == MOE_DATA_TINY;
    return narrow || problem->seed & 1 ? up : down;
}

int relate_scale(struct relating *relating, int k, enum moe_tensor_id id, double factor)
{
    const struct moe_tensor *tensor = &relating->run[k].tensors.tensor[id];
    for (int64_t i = 0; tensor->data && i < moe_tensor_count(tensor); i++) {
        double value = factor * moe_dtype_load(tensor->dtype, tensor->data, i);
        moe_dtype_store(tensor->dtype, tensor->data, i, value, 0);
        if (!(moe_dtype_load(tensor->dtype, tensor->data, i) == value))
            return MOE_E_UNSUPPORTED;
    }
    return MOE_OK;
}

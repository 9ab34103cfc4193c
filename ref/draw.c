/*
 * draw.c - fills the tensors of a case: values or lists, rounded to the tensor's type and put where
 * its strides say.
 */
#include <stdlib.h>

#include "ref/draw.h"

/* Elements drawn at a time, into a buffer that stays in the first-level cache. Even, so that no two
 * threads share a byte of a 4-bit type. */
enum { CHUNK = 2048 };

/* Where elements come from: values, scores, or a list of integers drawn before. */
struct source {
    const struct moe_problem *problem;
    const struct values *values;
    const struct exact_values *exact;
    const int32_t *picks;   /* [T,K] */
    const int64_t *offsets; /* [T+1] */
    int64_t length;         /* of the list; -1 follows */
};

typedef void fill_function(const struct source *source, int64_t first, int64_t count, double *out);

static void fill_values(const struct source *source, int64_t first, int64_t count, double *out)
{
    values_fill(source->values, first, count, out);
}

static void fill_exact(const struct source *source, int64_t first, int64_t count, double *out)
{
    exact_fill(source->exact, first, count, out);
}

/* Of picks that a ragged list does not have, none. */
static void fill_exact_scores(const struct source *source, int64_t first, int64_t count,
                              double *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = 0;
    if (first < source->length)
        exact_scores(source->problem, source->picks, first,
                     count < source->length - first ? count : source->length - first, out);
}

static void fill_scores(const struct source *source, int64_t first, int64_t count, double *out)
{
    scores_fill(source->problem, first, count, out);
}

static void fill_picks(const struct source *source, int64_t first, int64_t count, double *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = first + i < source->length ? source->picks[first + i] : -1;
}

static void fill_offsets(const struct source *source, int64_t first, int64_t count, double *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (double)source->offsets[first + i];
}

/* Elements [first, first + count) of the row-major order, a run of the last dimension at a time. */
static void put(const struct moe_tensor *tensor, int64_t first, int64_t count, const double *values)
{
    const int64_t row = tensor->shape[tensor->rank - 1];
    const int64_t stride = tensor->stride[tensor->rank - 1];
    while (count > 0) {
        const int64_t left = row - first % row, run = left < count ? left : count;
        const int64_t position = moe_tensor_position(tensor, first);
        if (stride == 1)
            moe_dtype_store_many(tensor->dtype, tensor->data, position, run, values);
        else
            for (int64_t i = 0; i < run; i++)
                moe_dtype_store(tensor->dtype, tensor->data, position + i * stride, values[i], 0);
        first += run;
        values += run;
        count -= run;
    }
}

static void fill_tensor(const struct moe_tensor *tensor, fill_function *fill,
                        const struct source *source)
{
    const int64_t count = moe_tensor_count(tensor);
#pragma omp parallel for if (count > 131072) schedule(static)
    for (int64_t first = 0; first < count; first += CHUNK) {
        double buffer[CHUNK];
        const int64_t run = count - first < CHUNK ? count - first : CHUNK;
        fill(source, first, run, buffer);
        put(tensor, first, run, buffer);
    }
}

/* ---- by tensor ------------------------------------------------------------------------------ */

/* Picks of every token, [T,K], the caller's to free. */
static int make_picks(const struct moe_problem *problem, int32_t **picks)
{
    const size_t tokens = problem->T > 0 ? (size_t)problem->T : 1;
    int32_t *drawn = calloc(tokens, (size_t)problem->K * sizeof *drawn);
    if (!drawn)
        return moe_error(MOE_E_NOMEM, "no memory to draw picks");
    const int status = draw_picks(problem, drawn);
    if (status != MOE_OK)
        free(drawn);
    else
        *picks = drawn;
    return status;
}

static int make_offsets(const struct moe_problem *problem, int64_t **offsets)
{
    int64_t *drawn = calloc((size_t)problem->T + 1, sizeof *drawn);
    if (!drawn)
        return moe_error(MOE_E_NOMEM, "no memory to draw offsets");
    draw_offsets(problem, drawn);
    *offsets = drawn;
    return MOE_OK;
}

static int draw_values(const struct moe_problem *problem, enum moe_tensor_id id,
                       const struct moe_tensor *described, const struct moe_tensor *tensor)
{
    const int exact = data_is_exact(problem);
    int32_t *wanted = NULL;
    if (exact ? exact_needs_picks(problem, id) : id == MOE_X && wanted_experts(problem) > 0) {
        const int status = make_picks(problem, &wanted);
        if (status != MOE_OK)
            return status;
    }
    if (exact) {
        const struct exact_values values = exact_values_of(problem, id, described, wanted);
        fill_tensor(tensor, fill_exact, &(struct source){.exact = &values});
    } else {
        const struct values values = values_of(problem, id, described, wanted);
        fill_tensor(tensor, fill_values, &(struct source){.values = &values});
    }
    free(wanted);
    return MOE_OK;
}

static int draw_offsets_tensor(const struct moe_problem *problem, const struct moe_tensor *tensor)
{
    int64_t *offsets = NULL;
    const int status = make_offsets(problem, &offsets);
    if (status != MOE_OK)
        return status;
    fill_tensor(tensor, fill_offsets, &(struct source){.offsets = offsets});
    free(offsets);
    return MOE_OK;
}

/* A token of ragged lists keeps the first of its K picks. Moves them together. */
static void join_picks(const struct moe_problem *problem, const int64_t *offsets, int32_t *picks)
{
    for (int64_t t = 0; t < problem->T; t++)
        memmove(picks + offsets[t], picks + t * problem->K,
                (size_t)(offsets[t + 1] - offsets[t]) * sizeof *picks);
}

/* A tensor with an element for each of the picks, by `fill`. */
static int draw_entries(const struct moe_problem *problem, const struct moe_tensor *tensor,
                        fill_function *fill)
{
    struct source source = {.problem = problem, .length = problem->T * problem->K};
    int32_t *picks = NULL;
    int64_t *offsets = NULL;
    int status = make_picks(problem, &picks);
    if (status == MOE_OK && moe_problem_ragged(problem))
        status = make_offsets(problem, &offsets);
    if (status == MOE_OK && offsets) {
        join_picks(problem, offsets, picks);
        source.length = offsets[problem->T];
        if (tensor->shape[0] < source.length)
            status = moe_error(MOE_E_USAGE, "picks [%lld]: the case has %lld of them",
                               (long long)tensor->shape[0], (long long)source.length);
    }
    source.picks = picks;
    if (status == MOE_OK)
        fill_tensor(tensor, fill, &source);
    free(offsets);
    free(picks);
    return status;
}

/* The tensor must be the case's; a ragged list may be shorter than the longest possible. */
static int check(const struct moe_problem *problem, enum moe_tensor_id id,
                 const struct moe_tensor *tensor, struct moe_tensor *described)
{
    const struct moe_tensor_info *info = moe_tensor_info(id);
    if (!moe_tensor_exists(problem, id))
        return moe_error(MOE_E_USAGE, "the case has no tensor %s", info ? info->name : "like that");
    const int drawn = info->role == MOE_INPUT || info->role == MOE_PARAMETER_GRADIENT ||
                      (info->role == MOE_ROUTING && problem->router == MOE_LISTS);
    if (!drawn)
        return moe_error(MOE_E_USAGE, "%s is computed, not drawn", info->name);
    const int status = moe_tensor_describe(problem, id, described);
    if (status != MOE_OK)
        return status;
    const int ragged = described->rank == 1 && strcmp(info->shape, "TK") == 0;
    int same = tensor->rank == described->rank;
    for (int axis = 0; same && axis < tensor->rank; axis++)
        same = ragged ? tensor->shape[axis] <= described->shape[axis]
                      : tensor->shape[axis] == described->shape[axis];
    return same ? MOE_OK : moe_error(MOE_E_USAGE, "%s has not the shape of the case", info->name);
}

int moe_draw_tensor(const struct moe_problem *problem, enum moe_tensor_id id,
                    const struct moe_tensor *tensor)
{
    struct moe_tensor described;
    const int status = check(problem, id, tensor, &described);
    if (status != MOE_OK)
        return status;
    if (id == MOE_OFFSETS)
        return draw_offsets_tensor(problem, tensor);
    if (id == MOE_PICKS)
        return draw_entries(problem, tensor, fill_picks);
    if (id != MOE_SCORES)
        return draw_values(problem, id, &described, tensor);
    if (data_is_exact(problem))
        return draw_entries(problem, tensor, fill_exact_scores);
    fill_tensor(tensor, fill_scores, &(struct source){.problem = problem});
    return MOE_OK;
}

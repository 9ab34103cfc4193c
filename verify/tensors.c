/*
 * tensors.c - the tensors of one case: allocated, drawn, taken from a file, put into a file.
 *
 * In memory every tensor has the largest size that the case allows. How much of z and of ragged
 * entries is used is known from the routing only, and files hold just that: P = offsets[T] entries,
 * and a row of z for each pick that is not dropped.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify/convert.h"
#include "verify/safetensors.h"
#include "verify/verify.h"

/* Of tensors in memory: a cache line, and what any vector load wants. */
enum { ALIGNMENT = 64 };

/* ---- memory --------------------------------------------------------------------------------- */

static int allocate(enum moe_tensor_id id, struct moe_tensor *tensor)
{
    const int64_t bytes = moe_tensor_bytes(tensor);
    /* Not 0, so that an empty tensor has an address too; below 2^63, since bytes are at most 2^62.
     */
    const size_t rounded = ((size_t)bytes / ALIGNMENT + 1) * ALIGNMENT;
    tensor->data = aligned_alloc(ALIGNMENT, rounded);
    if (tensor->data == NULL)
        return moe_error(MOE_E_NOMEM, "no memory for %s: %lld bytes", moe_tensor_info(id)->name,
                         (long long)bytes);
    return MOE_OK;
}

int moe_tensors_allocate(const struct moe_problem *problem, struct moe_tensors *tensors)
{
    struct moe_tensors result;
    int status = MOE_OK;
    memset(&result, 0, sizeof result);
    for (int id = 0; status == MOE_OK && id < MOE_TENSOR_COUNT; id++) {
        struct moe_tensor *tensor = &result.tensor[id];
        if (!moe_tensor_exists(problem, (enum moe_tensor_id)id))
            continue;
        status = moe_tensor_describe(problem, (enum moe_tensor_id)id, tensor);
        if (status == MOE_OK)
            status = allocate((enum moe_tensor_id)id, tensor);
    }
    if (status == MOE_OK)
        *tensors = result;
    else
        moe_tensors_free(&result);
    return status;
}

void moe_tensors_free(struct moe_tensors *tensors)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        free(tensors->tensor[id].data);
    memset(tensors, 0, sizeof *tensors);
}

/* ---- roles ---------------------------------------------------------------------------------- */

static int is_input(const struct moe_problem *problem, int id)
{
    const enum moe_role role = moe_tensor_info((enum moe_tensor_id)id)->role;
    return role == MOE_INPUT || (role == MOE_ROUTING && problem->router == MOE_LISTS);
}

int moe_tensors_draw(const struct moe_problem *problem, struct moe_tensors *tensors)
{
    int status = MOE_OK;
    for (int id = 0; status == MOE_OK && id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &tensors->tensor[id];
        const enum moe_role role = moe_tensor_info((enum moe_tensor_id)id)->role;
        if (tensor->data != NULL &&
            (is_input(problem, id) || (role == MOE_PARAMETER_GRADIENT && problem->beta)))
            status = moe_draw_tensor(problem, (enum moe_tensor_id)id, tensor);
    }
    return status;
}

/* ---- how much is used ----------------------------------------------------------------------- */

/* P as the offsets say; the whole room where they make no sense, so that what a wrong kernel left
 * can still be saved. */
static int64_t count_entries(const struct moe_problem *problem, const struct moe_tensors *tensors)
{
    const struct moe_tensor *offsets = &tensors->tensor[MOE_OFFSETS];
    const int64_t room = moe_tensor_count(&tensors->tensor[MOE_PICKS]);
    int64_t last;
    if (!moe_problem_ragged(problem) || offsets->data == NULL)
        return room;
    last = ((const int64_t *)offsets->data)[problem->T];
    return last < 0 || last > room ? room : last;
}

/* N: picks of an expert that exists, each expert once in a token. */
static int count_rows(const struct moe_problem *problem, const struct moe_tensors *tensors,
                      int64_t *rows)
{
    const int64_t entries = count_entries(problem, tensors);
    const int32_t *picks = tensors->tensor[MOE_PICKS].data;
    const int64_t *offsets = tensors->tensor[MOE_OFFSETS].data;
    /* The token that has picked the expert last, plus 1. */
    int64_t *token_of = calloc((size_t)problem->E, sizeof *token_of);
    int64_t count = 0;
    if (token_of == NULL)
        return moe_error(MOE_E_NOMEM, "no memory to count the rows of z");
    for (int64_t entry = 0, token = 0; entry < entries; entry++) {
        const int32_t pick = picks[entry];
        if (offsets == NULL)
            token = entry / problem->K;
        while (offsets != NULL && token < problem->T && offsets[token + 1] <= entry)
            token++;
        if (pick < 0 || pick >= problem->E || token_of[pick] == token + 1)
            continue;
        token_of[pick] = token + 1;
        count++;
    }
    free(token_of);
    *rows = count;
    return MOE_OK;
}

/* The part of a tensor that is used: z has N rows, ragged lists have P entries. */
static int used_part(const struct moe_problem *problem, const struct moe_tensors *tensors, int id,
                     struct moe_tensor *part)
{
    const char *shape = moe_tensor_info((enum moe_tensor_id)id)->shape;
    int status = MOE_OK;
    *part = tensors->tensor[id];
    if (id == MOE_Z)
        status = count_rows(problem, tensors, &part->shape[0]);
    else if (strcmp(shape, "TK") == 0 && moe_problem_ragged(problem))
        part->shape[0] = count_entries(problem, tensors);
    return status;
}

/* ---- files ---------------------------------------------------------------------------------- */

static void shape_text(int64_t rank, const int64_t *shape, char text[96])
{
    int length = snprintf(text, 96, "[");
    for (int64_t axis = 0; axis < rank && length < 64; axis++)
        length += snprintf(text + length, 96 - (size_t)length, "%s%lld", axis > 0 ? "," : "",
                           (long long)shape[axis]);
    snprintf(text + length, 96 - (size_t)length, "]");
}

/* One tensor of the file into the tensor of the case. */
static int load_entry(const struct moe_problem *problem, const char *path, int id,
                      const struct moe_safetensors_entry *entry, struct moe_tensors *tensors)
{
    struct moe_tensor part;
    int same, status = used_part(problem, tensors, id, &part);
    if (status != MOE_OK)
        return status;
    same = entry->rank == part.rank;
    for (int32_t axis = 0; same && axis < part.rank; axis++)
        same = entry->shape[axis] == part.shape[axis];
    if (!same) {
        char theirs[96], ours[96];
        shape_text(entry->rank, entry->shape, theirs);
        shape_text(part.rank, part.shape, ours);
        return moe_error(MOE_E_USAGE, "%s: %s has the shape %s, the case's is %s", path,
                         entry->name, theirs, ours);
    }
    return moe_convert(path, entry, &part);
}

/* Ragged lists are only as good as the offsets; those of a file are checked before they are used.
 */
static int check_offsets(const struct moe_problem *problem, const char *path,
                         const struct moe_tensors *tensors)
{
    const int64_t *offsets = tensors->tensor[MOE_OFFSETS].data;
    const int64_t room = moe_tensor_count(&tensors->tensor[MOE_PICKS]);
    for (int64_t t = 0; t <= problem->T; t++) {
        const int64_t before = t > 0 ? offsets[t - 1] : 0;
        if (offsets[t] < before || offsets[t] > room || (t == 0 && offsets[t] != 0))
            return moe_error(MOE_E_USAGE,
                             "%s: offsets[%lld] = %lld: offsets rise from 0 to at most %lld", path,
                             (long long)t, (long long)offsets[t], (long long)room);
    }
    return MOE_OK;
}

int moe_tensors_load(const struct moe_problem *problem, const char *path,
                     struct moe_tensors *tensors)
{
    struct moe_safetensors *file;
    int status = moe_safetensors_open(path, &file);
    if (status != MOE_OK)
        return status;
    /* Offsets come before the lists whose length they give. */
    for (int id = 0; status == MOE_OK && id < MOE_TENSOR_COUNT; id++) {
        const char *name = moe_tensor_info((enum moe_tensor_id)id)->name;
        const struct moe_safetensors_entry *entry = moe_safetensors_find(file, name);
        if (entry == NULL || tensors->tensor[id].data == NULL || !is_input(problem, id))
            continue;
        status = load_entry(problem, path, id, entry, tensors);
        if (status == MOE_OK && id == MOE_OFFSETS)
            status = check_offsets(problem, path, tensors);
    }
    moe_safetensors_close(file);
    return status;
}

/* Which row of z is whose only picks can say. Where those of a computed router are out of range or
 * stand twice the routing is refused, and with it all that z could be compared with. */
static int knows_rows(const struct moe_problem *problem, const struct moe_tensors *tensors,
                      int *known)
{
    int64_t rows = 0;
    int status = MOE_OK;
    *known = 0;
    if (tensors->tensor[MOE_PICKS].data == NULL)
        return MOE_OK;
    status = count_rows(problem, tensors, &rows);
    *known = problem->router == MOE_LISTS || rows == count_entries(problem, tensors);
    return status;
}

int moe_tensors_load_outputs(const struct moe_problem *problem, const char *path,
                             struct moe_tensors *tensors)
{
    struct moe_safetensors *file;
    int status = moe_safetensors_open(path, &file);
    if (status != MOE_OK)
        return status;
    /* The lists come before z, whose rows they count. */
    for (int id = 0; status == MOE_OK && id < MOE_TENSOR_COUNT; id++) {
        const struct moe_safetensors_entry *entry;
        struct moe_tensor *tensor = &tensors->tensor[id];
        int known = 1;
        if (tensor->data == NULL || is_input(problem, id))
            continue;
        entry = moe_safetensors_find(file, moe_tensor_info((enum moe_tensor_id)id)->name);
        if (id == MOE_Z)
            status = knows_rows(problem, tensors, &known);
        if (status == MOE_OK && entry != NULL && known) {
            status = load_entry(problem, path, id, entry, tensors);
        } else {
            free(tensor->data);
            tensor->data = NULL;
        }
    }
    moe_safetensors_close(file);
    return status;
}

int moe_tensors_save(const struct moe_problem *problem, const struct moe_tensors *tensors,
                     const char *variant, const char *path)
{
    struct moe_safetensors_item items[MOE_TENSOR_COUNT];
    char line[1024];
    const char *metadata[] = {"case", line, variant != NULL ? "variant" : NULL, variant, NULL};
    int count = 0, status = MOE_OK;
    moe_problem_print(problem, line, sizeof line);
    for (int id = 0; status == MOE_OK && id < MOE_TENSOR_COUNT; id++) {
        if (tensors->tensor[id].data == NULL)
            continue;
        items[count].name = moe_tensor_info((enum moe_tensor_id)id)->name;
        status = used_part(problem, tensors, id, &items[count++].tensor);
    }
    return status == MOE_OK ? moe_safetensors_write(path, items, count, metadata) : status;
}

/*
 * support.c - see support.h.
 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support.h"

uint64_t random_word(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717u;
}

int64_t random_below(uint64_t *state, int64_t n)
{
    return (int64_t)(random_word(state) >> 11) % n;
}

double random_in(uint64_t *state, double from, double to)
{
    return from + (to - from) * (double)(random_word(state) >> 11) * 0x1p-53;
}

struct moe_problem problem_of(const char *line)
{
    struct moe_problem problem;
    ck_assert_msg(moe_problem_parse(line, &problem) == MOE_OK, "%s", moe_error_text());
    return problem;
}

struct moe_tensors tensors_of(const struct moe_problem *problem)
{
    struct moe_tensors tensors;
    ck_assert_msg(moe_tensors_allocate(problem, &tensors) == MOE_OK, "%s", moe_error_text());
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &tensors.tensor[id];
        if (tensor->data) /* a NaN in every float type, -1 in the others */
            memset(tensor->data, 0xff, (size_t)moe_tensor_bytes(tensor));
    }
    ck_assert_msg(moe_tensors_draw(problem, &tensors) == MOE_OK, "%s", moe_error_text());
    return tensors;
}

double tensor_get(const struct moe_tensor *tensor, int64_t index)
{
    return moe_dtype_load(tensor->dtype, tensor->data, moe_tensor_position(tensor, index));
}

void tensor_set(const struct moe_tensor *tensor, int64_t index, double value)
{
    moe_dtype_store(tensor->dtype, tensor->data, moe_tensor_position(tensor, index), value, 0);
}

void see(struct seen *seen, const struct moe_problem *p)
{
    const int keys[SEEN_KEYS] = {p->renorm,      p->scale != 1, p->groups > 0, p->bias,
                                 p->router_bias, p->sel_bias,   p->shared > 0, p->shared_gate,
                                 p->aux > 0,     p->zloss > 0,  p->beta};
    seen->dtype |= 1u << p->dtype;
    seen->grad |= 1u << p->grad;
    seen->act |= 1u << p->act;
    seen->w1 |= 1u << p->w1;
    seen->router |= 1u << p->router;
    seen->round |= 1u << p->round;
    seen->weight |= 1u << p->weight;
    seen->routing |= 1u << p->routing;
    seen->data |= 1u << p->data;
    for (int i = 0; i < SEEN_KEYS; i++)
        *(keys[i] ? &seen->on : &seen->off) |= 1u << i;
}

struct keeper {
    const struct moe_tensor *tensors;
    struct outputs *outputs;
};

static void make_room(const struct moe_tensor *tensor, double **values)
{
    int64_t count = moe_tensor_count(tensor);
    *values = malloc((size_t)(count > 0 ? count : 1) * sizeof **values);
    ck_assert_ptr_nonnull(*values);
    for (int64_t i = 0; i < count; i++)
        (*values)[i] = NAN;
}

static int keep(void *context, const struct moe_block *block)
{
    const struct keeper *keeper = context;
    const struct moe_tensor *tensor = &keeper->tensors[block->tensor];
    struct outputs *outputs = keeper->outputs;
    int64_t width = tensor->shape[tensor->rank - 1];
    if (!outputs->value[block->tensor]) {
        make_room(tensor, &outputs->value[block->tensor]);
        make_room(tensor, &outputs->bound[block->tensor]);
    }
    for (int64_t r = 0; r < block->rows; r++) {
        for (int64_t c = 0; c < block->cols; c++) {
            int64_t to = (block->row + r) * width + block->col + c;
            int64_t from = r * block->stride + c;
            outputs->value[block->tensor][to] = block->value[from];
            outputs->bound[block->tensor][to] = block->bound ? block->bound[from] : 0;
            if (outputs->count[block->tensor] <= to)
                outputs->count[block->tensor] = to + 1;
        }
    }
    return MOE_OK;
}

int run_reference(struct moe_reference reference, struct outputs *outputs)
{
    struct keeper keeper = {reference.tensors, outputs};
    memset(outputs, 0, sizeof *outputs);
    reference.take = keep;
    reference.context = &keeper;
    return moe_reference_run(&reference);
}

void outputs_free(struct outputs *outputs)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        free(outputs->value[id]);
        free(outputs->bound[id]);
    }
    memset(outputs, 0, sizeof *outputs);
}

int as_many(int many, int few)
{
    const char *size = getenv("MOE_TEST_SIZE");
    return size && strcmp(size, "small") == 0 ? few : many;
}

void folder_remove(const char *folder)
{
    char path[512];
    DIR *files = opendir(folder);
    ck_assert_ptr_nonnull(files);
    for (const struct dirent *file; (file = readdir(files)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", folder, file->d_name);
        if (file->d_name[0] != '.')
            unlink(path);
    }
    closedir(files);
    ck_assert_int_eq(rmdir(folder), 0);
}

int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

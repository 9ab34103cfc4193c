/*
 * naive_case.c - see naive_case.h.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/naive_case.h"

static void allocate(struct moe_tensor *tensor, int apart)
{
    int64_t extent = 1; /* of what the strides span so far, from the last axis on */
    for (int axis = tensor->rank - 1; axis >= 0; axis--) {
        tensor->stride[axis] = apart ? 2 * extent : extent;
        extent = tensor->stride[axis] * tensor->shape[axis] + (apart ? 3 : 0);
    }
    size_t bytes = (size_t)extent * (size_t)moe_dtype_info(tensor->dtype)->bits / 8;
    tensor->data = malloc(bytes ? bytes : 1);
    ck_assert_ptr_nonnull(tensor->data);
    memset(tensor->data, 0xff, bytes); /* a NaN in every float type, -1 in the others */
}

void naive_case_open(struct naive_case *this, const char *line, int apart)
{
    memset(this, 0, sizeof *this);
    ck_assert_msg(moe_problem_parse(line, &this->problem) == MOE_OK, "%s", moe_error_text());
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        struct moe_tensor *tensor = &this->tensor[id];
        if (!moe_tensor_exists(&this->problem, id))
            continue;
        ck_assert_int_eq(moe_tensor_describe(&this->problem, id, tensor), MOE_OK);
        allocate(tensor, apart);
    }
}

void naive_case_close(struct naive_case *this)
{
    for (int id = 0; id < MOE_TENSOR_COUNT; id++)
        free(this->tensor[id].data);
}

double naive_case_get(const struct naive_case *this, enum moe_tensor_id id, int64_t index)
{
    const struct moe_tensor *tensor = &this->tensor[id];
    return moe_dtype_load(tensor->dtype, tensor->data, moe_tensor_position(tensor, index));
}

void naive_case_set(struct naive_case *this, enum moe_tensor_id id, int64_t index, double value)
{
    struct moe_tensor *tensor = &this->tensor[id];
    moe_dtype_store(tensor->dtype, tensor->data, moe_tensor_position(tensor, index), value, 0);
}

void naive_case_fill(struct naive_case *this, enum moe_tensor_id id, int64_t count,
                     const double *values)
{
    ck_assert_ptr_nonnull(this->tensor[id].data);
    for (int64_t i = 0; i < count; i++)
        naive_case_set(this, id, i, values[i]);
}

static void draw_lists(struct naive_case *this)
{
    const struct moe_problem *problem = &this->problem;
    int64_t entry = 0;
    for (int64_t t = 0; t < problem->T; t++) {
        int ragged = moe_problem_ragged(problem);
        if (ragged)
            naive_case_set(this, MOE_OFFSETS, t, (double)entry);
        for (int64_t k = 0; k < problem->K; k++) {
            int last = k == problem->K - 1 && t % 3 == 2;
            if (last && ragged)
                continue;
            naive_case_set(this, MOE_PICKS, entry++, last ? -1 : (double)((t + k) % problem->E));
        }
    }
    if (moe_problem_ragged(problem))
        naive_case_set(this, MOE_OFFSETS, problem->T, (double)entry);
}

void naive_case_draw(struct naive_case *this, uint64_t seed, double size)
{
    uint64_t state = seed * 2 + 1;
    int lists = this->problem.router == MOE_LISTS;
    for (int id = 0; id < MOE_TENSOR_COUNT; id++) {
        const struct moe_tensor *tensor = &this->tensor[id];
        enum moe_role role = moe_tensor_info(id)->role;
        if (!tensor->data || !(role == MOE_INPUT || (lists && id == MOE_SCORES)))
            continue;
        for (int64_t i = 0; i < moe_tensor_count(tensor); i++) {
            /* Knuth's multiplier; the upper bits are the good ones. */
            state = state * 6364136223846793005u + 1442695040888963407u;
            naive_case_set(this, id, i, ((double)(state >> 53) / 1024 - 1) * size);
        }
    }
    if (lists)
        draw_lists(this);
}

static void run(struct naive_case *this, int backward)
{
    const struct moe_variant *naive = &moe_variant_naive;
    char why[128];
    void *state;
    ck_assert_int_eq(naive->supports(&this->problem, why, sizeof why), MOE_OK);
    size_t bytes = (size_t)naive->workspace_bytes(&this->problem);
    struct moe_call call = {.tensors = this->tensor, .status = &this->status};
    call.workspace_size = (int64_t)bytes;
    call.workspace = malloc(bytes);
    ck_assert_ptr_nonnull(call.workspace);
    memset(call.workspace, 0xff, bytes); /* NaN, -1 */
    ck_assert_int_eq(naive->open(NULL, &this->problem, 0, &state), MOE_OK);
    ck_assert_int_eq(backward ? naive->backward(state, &call) : naive->forward(state, &call),
                     MOE_OK);
    naive->close(state);
    free(call.workspace);
}

void naive_case_forward(struct naive_case *this)
{
    run(this, 0);
}

void naive_case_backward(struct naive_case *this)
{
    run(this, 1);
}

void naive_case_expect(const struct naive_case *this, enum moe_tensor_id id, int64_t count,
                       const double *want, double allowed)
{
    for (int64_t i = 0; i < count; i++) {
        double got = naive_case_get(this, id, i);
        ck_assert_msg(got == want[i] || fabs(got - want[i]) <= allowed,
                      "%s[%d] is %.17g, want %.17g", moe_tensor_info(id)->name, (int)i, got,
                      want[i]);
    }
}

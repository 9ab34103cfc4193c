/*
 * naive_tensor.c - between the case's tensors, of any type and strides, and long double arrays.
 */
#include "verify/naive.h"

/* Elements from `index` to the end of its row: within a row positions differ by the last stride. */
static int64_t row_rest(const struct moe_tensor *tensor, int64_t index)
{
    int64_t cols = tensor->shape[tensor->rank - 1];
    return cols - index % cols;
}

void moe_naive_load(const struct moe_tensor *tensor, int64_t first, int64_t count,
                    long double *values)
{
    int64_t stride = tensor->stride[tensor->rank - 1];
    for (int64_t done = 0; done < count;) {
        int64_t position = moe_tensor_position(tensor, first + done);
        int64_t part = row_rest(tensor, first + done);
        for (int64_t i = 0; i < part && done < count; i++, done++)
            values[done] = moe_dtype_load(tensor->dtype, tensor->data, position + i * stride);
    }
}

void moe_naive_store(const struct moe_tensor *tensor, int64_t first, int64_t count,
                     const long double *values)
{
    int64_t stride = tensor->stride[tensor->rank - 1];
    for (int64_t done = 0; done < count;) {
        int64_t position = moe_tensor_position(tensor, first + done);
        int64_t part = row_rest(tensor, first + done);
        for (int64_t i = 0; i < part && done < count; i++, done++)
            moe_dtype_store(tensor->dtype, tensor->data, position + i * stride,
                            (double)values[done], 0);
    }
}

void moe_naive_store_gradient(const struct moe_problem *problem, const struct moe_tensor *tensor,
                              int64_t first, int64_t count, const long double *values)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t position = moe_tensor_position(tensor, first + i);
        long double sum = values[i];
        if (problem->beta)
            sum += moe_dtype_load(tensor->dtype, tensor->data, position);
        moe_dtype_store(tensor->dtype, tensor->data, position, (double)sum, 0);
    }
}

/*
 * compare.c - the one comparison that everything rests on.
 *
 * It is written so that what is unknown fails: an element is right where it is the reference's very
 * value, or where err <= bound holds. A NaN in the tensor makes err NaN, and no comparison with NaN
 * holds. An infinite bound says that on the way something may overflow: the result may be anything.
 * Infinity in the tensor is a number too large for its type, and err the distance to the nearest of
 * those: so what must overflow does, and what must not does not.
 */
#include <math.h>
#include <stdlib.h>

#include "verify/verify.h"

void moe_tensor_load_row(const struct moe_tensor *tensor, int64_t row, int64_t col, int64_t cols,
                         double *values)
{
    int64_t width = tensor->shape[tensor->rank - 1];
    int64_t first = moe_tensor_position(tensor, row * width + col);
    if (tensor->stride[tensor->rank - 1] == 1) {
        moe_dtype_load_many(tensor->dtype, tensor->data, first, cols, values);
        return;
    }
    for (int64_t c = 0; c < cols; c++)
        values[c] = moe_dtype_load(tensor->dtype, tensor->data,
                                   first + c * tensor->stride[tensor->rank - 1]);
}

/* The number nearest to `want` that `got` stands for: infinity, or the largest number where the
 * kernel saturates, for all from the end of exponents on, 2^16 for f16. */
static double stands_for(const struct moe_dtype_info *info, int saturates, double got, double want)
{
    double edge = saturates ? info->largest : INFINITY;
    if (!info->is_float || !(fabs(got) >= edge) || (saturates && isinf(got)))
        return got;
    double end = saturates ? info->largest : ldexp(1, ilogb(info->largest) + 1);
    return got > 0 ? fmax(end, want) : -fmax(end, -want);
}

/* got was formed as old + value: in the end, rounded once where it is formed (f32 or f64
 * arithmetic) and once where it is stored; or by a sum that starts from old, each step of which
 * rounds it. */
double moe_compare_bound_of_sum(enum moe_dtype dtype, double old, double value, double bound,
                                double old_error, double lost)
{
    if (value == 0 && bound == 0) /* nothing was added */
        return 0;
    bound += old_error * fabs(old);
    double reach = fabs(old) + fabs(value) + bound;
    double step = dtype == MOE_F64 ? 0x1p-52 : 0x1p-23;
    const struct moe_dtype_info *info = moe_dtype_info(dtype);
    return bound + (info->unit_roundoff + step) * reach * (1 + 0x1p-30) + lost;
}

/* `got` stands for a number. Returns whether the element is wrong. */
static int note(struct moe_comparison *comparison, int64_t row, int64_t col, double got,
                double number, double want, double allowed)
{
    double error = fabs(number - want);
    int same = got == want || (isnan(got) && isnan(want));
    comparison->total++;
    if (isnan(allowed) && !same) {
        comparison->undecided++;
        return 0;
    }
    /* nothing can be said of what may overflow on the way; but the reference's own NaN is known */
    int anything = allowed == INFINITY && !isnan(want);
    int right = same || anything || error <= allowed;
    double ratio = same ? 0 : error / allowed; /* 0/0 cannot be: error is not 0 here */
    if (isnan(ratio))
        ratio = right ? 0 : INFINITY;
    if (!right)
        comparison->wrong++;
    /* the worst: wrong before right, then the larger ratio */
    int first_wrong = !right && comparison->wrong == 1;
    if (first_wrong || (!right == (comparison->wrong > 0) && ratio > comparison->ratio)) {
        comparison->row = row;
        comparison->col = col;
        comparison->got = got;
        comparison->want = want;
        comparison->allowed = allowed;
        comparison->ratio = ratio;
    }
    return !right;
}

int moe_compare_block(const struct moe_tensor *tensor, const struct moe_tensor *before,
                      const struct moe_block *block, struct moe_comparison *comparison)
{
    if (block->rows == 0 || block->cols == 0) /* no element, so no position of a first one */
        return MOE_OK;
    double *got = malloc((size_t)(2 * block->cols) * sizeof *got);
    if (!got)
        return moe_error(MOE_E_NOMEM, "no memory to compare a row of %lld elements",
                         (long long)block->cols);
    double *old = got + block->cols;
    const struct moe_dtype_info *info = moe_dtype_info(tensor->dtype);
    int64_t width = tensor->shape[tensor->rank - 1], rows = moe_tensor_count(tensor) / width;
    int status = MOE_OK;
    for (int64_t r = 0; r < block->rows; r++) {
        const double *value = block->value + r * block->stride;
        const double *bound = block->bound ? block->bound + r * block->stride : NULL;
        moe_tensor_load_row(tensor, block->row + r, block->col, block->cols, got);
        if (before)
            moe_tensor_load_row(before, block->row + r, block->col, block->cols, old);
        for (int64_t c = 0; c < block->cols; c++) {
            double want = value[c], allowed = bound ? bound[c] : 0;
            if (before) {
                allowed =
                    moe_compare_bound_of_sum(tensor->dtype, old[c], want, allowed, block->old_error,
                                             fmax(block->old_loss, info->smallest));
                want += old[c];
            }
            double number = stands_for(info, block->saturates, got[c], want);
            if (note(comparison, block->row + r, block->col + c, got[c], number, want, allowed) &&
                comparison->mask && status == MOE_OK)
                status =
                    moe_mask_add(comparison->mask, rows, width, block->row + r, block->col + c);
        }
    }
    free(got);
    return status;
}

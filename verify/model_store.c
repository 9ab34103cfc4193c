/*
 * model_store.c - how the models read and write tensors, and what can be wrong with that.
 */
#include <math.h>
#include <string.h>

#include "verify/model.h"

static int64_t width_of(const struct moe_tensor *tensor)
{
    return tensor->shape[tensor->rank - 1];
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A tensor as the first launch found it, of those that fit. */
static struct {
    const void *data;
    int64_t count;
    double value[1 << 14];
} stale;

void model_forget_loads(void)
{
    stale.data = NULL;
}

static void load_stale(const struct moe_tensor *tensor, int64_t index, int64_t count,
                       double *values)
{
    int64_t all = moe_tensor_count(tensor);
    if (all > (int64_t)(sizeof stale.value / sizeof *stale.value))
        return;
    if (stale.data != tensor->data || stale.count != all)
        for (int64_t i = 0; i < all; i++)
            stale.value[i] =
                moe_dtype_load(tensor->dtype, tensor->data, moe_tensor_position(tensor, i));
    stale.data = tensor->data;
    stale.count = all;
    memcpy(values, stale.value + index, (size_t)count * sizeof *values);
}

static void load_wrong(const struct model *m, const struct moe_tensor *tensor, int64_t index,
                       int64_t count, double *values)
{
    int64_t all = moe_tensor_count(tensor), width = width_of(tensor);
    for (int64_t i = 0; i < count; i++) {
        int64_t at = moe_tensor_position(tensor, index + i);
        switch (m->fault.kind) {
        case LOAD_16_BIT:
            values[i] = moe_dtype_load(tensor->dtype, tensor->data, (uint16_t)at);
            break;
        case LOAD_NEXT_ROW:
            at = moe_tensor_position(tensor, (index + i + width) % all);
            values[i] = moe_dtype_load(tensor->dtype, tensor->data, at);
            break;
        case LOAD_FLUSHES:
            if (fabs(values[i]) < moe_dtype_info(tensor->dtype)->smallest_normal)
                values[i] = 0;
            break;
        case LOAD_NAN_AS_0:
            values[i] = isnan(values[i]) ? 0 : values[i];
            break;
        case LOAD_CHANGES:
            if (index + i == all / 2)
                moe_dtype_store(tensor->dtype, tensor->data, at, values[i] + 1, 0);
            break;
        }
    }
    if (m->fault.kind == LOAD_STALE)
        load_stale(tensor, index, count, values);
}

void model_load(struct model *m, enum moe_tensor_id id, int64_t index, int64_t count,
                double *values)
{
    struct moe_tensor moved;
    const struct moe_tensor *tensor = &m->call->tensors[id];
    if (fault(m, X_BY_OLD_ADDRESS) && id == MOE_X && m->forward_x) {
        moved = *tensor;
        moved.data = m->forward_x;
        tensor = &moved;
    }
    if (fault(m, FIRST_EXPERT_FOR_LAST) && (id == MOE_W1 || id == MOE_W2)) {
        int64_t size = moe_tensor_count(tensor) / m->problem.E;
        index -= index / size == m->problem.E - 1 ? index / size * size : 0;
    }
    int64_t width = width_of(tensor), step = tensor->stride[tensor->rank - 1];
    for (int64_t done = 0; done < count;) {
        int64_t col = (index + done) % width;
        int64_t run = width - col < count - done ? width - col : count - done;
        int64_t first = moe_tensor_position(tensor, index + done);
        if (step == 1)
            moe_dtype_load_many(tensor->dtype, tensor->data, first, run, values + done);
        else
            for (int64_t i = 0; i < run; i++)
                values[done + i] = moe_dtype_load(tensor->dtype, tensor->data, first + i * step);
        done += run;
    }
    if (fault_in(m, MOE_FAULT_IN_LOAD, (int)id) && count > 0)
        load_wrong(m, tensor, index, count, values);
    int narrow = id == MOE_X || id == MOE_W1 || id == MOE_W2 || id == MOE_DO;
    for (int64_t i = 0; i < count && narrow && fault(m, EIGHT_BITS); i++)
        values[i] = moe_dtype_round(MOE_E4M3, values[i], 1);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* The element with its magnitude one step up or down. */
static void step_bits(const struct moe_tensor *tensor, int64_t at, int up)
{
    switch (moe_dtype_info(tensor->dtype)->bits) {
    case 16:
        ((uint16_t *)tensor->data)[at] += (uint16_t)(up ? 1 : -1);
        return;
    case 32:
        ((uint32_t *)tensor->data)[at] += (uint32_t)(up ? 1 : -1);
        return;
    case 64:
        ((uint64_t *)tensor->data)[at] += (uint64_t)(up ? 1 : -1);
        return;
    }
}

static void store(const struct moe_tensor *tensor, int64_t at, double value)
{
    moe_dtype_store(tensor->dtype, tensor->data, at, value, 0);
}

static void store_truncated(const struct moe_tensor *tensor, int64_t at, double value)
{
    store(tensor, at, value);
    if (fabs(moe_dtype_load(tensor->dtype, tensor->data, at)) > fabs(value))
        step_bits(tensor, at, 0);
}

static void store_ties_away(const struct moe_tensor *tensor, int64_t at, double value)
{
    store_truncated(tensor, at, value);
    double below = moe_dtype_load(tensor->dtype, tensor->data, at);
    step_bits(tensor, at, 1);
    double above = moe_dtype_load(tensor->dtype, tensor->data, at);
    if (fabs(above - value) > fabs(value - below))
        step_bits(tensor, at, 0);
}

/* Faults that change the value, or how it is stored. 1: done. */
static int put_value_wrong(const struct model *m, const struct moe_tensor *tensor, int64_t at,
                           double value)
{
    const struct moe_dtype_info *info = moe_dtype_info(tensor->dtype);
    switch (m->fault.kind) {
    case STORE_TRUNCATES:
        store_truncated(tensor, at, value);
        return 1;
    case STORE_TIES_AWAY:
        store_ties_away(tensor, at, value);
        return 1;
    case STORE_VIA_BF16:
        store(tensor, at, moe_dtype_round(MOE_BF16, value, 0));
        return 1;
    case STORE_EPSILON:
        store(tensor, at, value + ldexp(1, -m->fault.level));
        return 1;
    case STORE_UPWARD:
        store(tensor, at, value);
        if (moe_dtype_load(tensor->dtype, tensor->data, at) < value && value != 0)
            step_bits(tensor, at, value > 0);
        return 1;
    case STORE_GAIN:
        store(tensor, at, value * (1 + ldexp(1, -m->fault.level)));
        return 1;
    case STORE_SATURATES:
        moe_dtype_store(tensor->dtype, tensor->data, at, value, 1);
        return 1;
    case STORE_FLUSHES:
        store(tensor, at, fabs(value) < info->smallest_normal ? 0 : value);
        return 1;
    case STORE_DROPS_NAN:
        store(tensor, at, isnan(value) ? 0 : value);
        return 1;
    case STORE_CLAMPS: /* fmax takes the other one of a NaN */
        store(tensor, at, fmin(fmax(value, -info->largest), info->largest));
        return 1;
    case STORE_INFINITE_EARLY:
        store(tensor, at, fabs(value) > info->largest / 2 ? copysign(INFINITY, value) : value);
        return 1;
    case STORE_NAN_FOR_INFINITY:
        store(tensor, at, value);
        if (isinf(moe_dtype_load(tensor->dtype, tensor->data, at)))
            store(tensor, at, NAN);
        return 1;
    case STORE_ADDS_TWICE:
        value += m->problem.beta ? moe_dtype_load(tensor->dtype, tensor->data, at) : 0;
        store(tensor, at, value);
        return 1;
    case STORE_ADDS:
        store(tensor, at, value + moe_dtype_load(tensor->dtype, tensor->data, at));
        return 1;
    }
    return 0;
}

static int64_t expert_of_row(const struct model *m, int64_t row, int64_t rows)
{
    return rows >= m->problem.E ? row / (rows / m->problem.E) : row;
}

/* Faults of where, or whether, an element goes. 1: done. */
static int put_place_wrong(const struct model *m, const struct moe_tensor *tensor, int64_t rows,
                           int64_t width, int64_t row, int64_t col, double value)
{
    int64_t other = row, tile = m->tile;
    switch (m->fault.kind) {
    case STORE_LAST_ROW_MISSING:
        return row == rows - 1;
    case STORE_LAST_COLUMN_MISSING:
        return col == width - 1;
    case STORE_TILE_MISSING:
        return row >= rows / tile * tile;
    case STORE_EMPTY_MISSING:
        other = expert_of_row(m, row, rows);
        return m->kept.offset[other] == m->kept.offset[other + 1];
    case STORE_EMPTY_ZEROED:
        other = expert_of_row(m, row, rows);
        if (m->kept.offset[other] != m->kept.offset[other + 1])
            return 0;
        store(tensor, moe_tensor_position(tensor, row * width + col), 0);
        return 1;
    case STORE_ROW_PAST_END:
        if (row == rows - 1 && col == width - 1)
            store(tensor, moe_tensor_position(tensor, row * width + col) + 1, value);
        return 0;
    case STORE_BEFORE_START:
        if (row == 0 && col == 0)
            store(tensor, -1, value);
        return 0;
    case STORE_ONE_NAN:
        if (row != rows / 2 || col != width / 2)
            return 0;
        store(tensor, moe_tensor_position(tensor, row * width + col), NAN);
        return 1;
    case STORE_AREA:
        other = row * width + col - (rows * width - m->fault.level) / 2;
        if (other < 0 || other >= m->fault.level)
            return 0;
        store(tensor, moe_tensor_position(tensor, row * width + col), -value);
        return 1;
    case STORE_ALL_TO_ROW_0:
        other = 0;
        break;
    case STORE_NEXT_ROW:
        other = (row + 1) % rows;
        break;
    case STORE_ROWS_SWAPPED:
        other = (row ^ 1) < rows ? row ^ 1 : row;
        break;
    case STORE_ROWS_REPEATED: /* of 16 rows the second half goes where the first does */
        other = row % 16 >= 8 ? row - 8 : row;
        if (row + 8 < rows && row % 16 < 8)
            store(tensor, moe_tensor_position(tensor, (row + 8) * width + col), value);
        break;
    case STORE_16_BIT:
        store(tensor, (uint16_t)moe_tensor_position(tensor, row * width + col), value);
        return 1;
    default:
        return 0;
    }
    store(tensor, moe_tensor_position(tensor, other * width + col), value);
    return 1;
}

void model_put(struct model *m, enum moe_tensor_id id, int64_t row, int64_t col, double value)
{
    const struct moe_tensor *tensor = &m->call->tensors[id];
    int64_t width = width_of(tensor), rows = moe_tensor_count(tensor) / (width > 0 ? width : 1);
    int64_t at = moe_tensor_position(tensor, row * width + col);
    int here = fault_in(m, MOE_FAULT_IN_STORE, (int)id);
    int adds = m->problem.beta && moe_tensor_info(id)->role == MOE_PARAMETER_GRADIENT;
    if (id == MOE_Z)
        rows = m->N;
    if (adds && !(here && m->fault.kind == STORE_OVERWRITES))
        value = model_hold(m, value + moe_dtype_load(tensor->dtype, tensor->data, at));
    if (here && (put_place_wrong(m, tensor, rows, width, row, col, value) ||
                 put_value_wrong(m, tensor, at, value)))
        return;
    store(tensor, at, value);
}

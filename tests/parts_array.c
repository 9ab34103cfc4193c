/*
 * parts_array.c - see parts_array.h.
 */
#include "tests/parts_array.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const enum moe_dtype float_types[FLOAT_TYPES] = {MOE_BF16, MOE_F16, MOE_F32, MOE_F64};

struct moe_gpu_queue queue;
int trouble;

enum { GUARD = 64, GUARD_BYTE = 0xa5, MOST_ARRAYS = 256 };

static struct array arrays[MOST_ARRAYS];
static int array_count;

void done(int status)
{
    if (status != MOE_OK) {
        fprintf(stderr, "the device answers %d: %s\n", status, moe_error_text());
        trouble = 1;
    }
}

/* ---- memory ---------------------------------------------------------------------------------- */

static int64_t array_bytes(const struct array *array)
{
    return array->count * (moe_dtype_info(array->dtype)->bits / 8);
}

int one_in = 1;
void (*array_taken)(const struct array *array);

static int combinations; /* asked for so far */
static uint64_t drawn;   /* numbers */

int left_out(void)
{
    return combinations++ % one_in != 0;
}

void arrays_restart(void)
{
    combinations = 0;
    drawn = 0;
}

struct array *array_new(enum moe_dtype dtype, int64_t count)
{
    if (array_count == MOST_ARRAYS) {
        fprintf(stderr, "more than %d arrays in one test\n", MOST_ARRAYS);
        exit(1);
    }
    struct array *array = &arrays[array_count++];
    *array = (struct array){.dtype = dtype, .count = count};
    const int64_t bytes = array_bytes(array);
    array->host = malloc((size_t)(bytes + GUARD));
    if (!array->host) {
        fprintf(stderr, "no memory for %lld bytes\n", (long long)bytes);
        exit(1);
    }
    memset(array->host, 0xff, (size_t)bytes);
    memset((char *)array->host + bytes, GUARD_BYTE, GUARD);
    done(moe_device_allocate(queue.device, bytes + GUARD, &array->device));
    array_send(array);
    return array;
}

void array_send(struct array *array)
{
    if (array->device)
        done(moe_device_copy_to(queue.device, array->device, array->host,
                                array_bytes(array) + GUARD, queue.stream));
}

void array_fetch(struct array *array)
{
    const int64_t bytes = array_bytes(array);
    if (array->device)
        done(moe_device_copy_from(queue.device, array->host, array->device, bytes + GUARD,
                                  queue.stream));
    const unsigned char *guard = (const unsigned char *)array->host + bytes;
    for (int i = 0; i < GUARD; i++)
        if (guard[i] != GUARD_BYTE) {
            fprintf(stderr, "byte %d behind an array of %lld %s was written\n", i,
                    (long long)array->count, moe_dtype_info(array->dtype)->name);
            trouble = 1;
            break;
        }
}

void arrays_free(void)
{
    for (int i = 0; i < array_count; i++) {
        if (array_taken) {
            array_fetch(&arrays[i]);
            array_taken(&arrays[i]);
        }
        moe_device_free(queue.device, arrays[i].device);
        free(arrays[i].host);
    }
    array_count = 0;
}

/* ---- values ---------------------------------------------------------------------------------- */

double array_get(const struct array *array, int64_t index)
{
    return moe_dtype_load(array->dtype, array->host, index);
}

void array_put(struct array *array, int64_t index, double value)
{
    moe_dtype_store(array->dtype, array->host, index, value, 0);
}

double draw(double from, double to)
{
    return from + (to - from) * moe_draw_word(20, 1 << 20, drawn++) * 0x1p-32;
}

int64_t draw_below(int64_t n)
{
    return (int64_t)draw(0, (double)n);
}

struct array *array_draw(enum moe_dtype dtype, int64_t count, double from, double to)
{
    struct array *array = array_new(dtype, count);
    for (int64_t i = 0; i < count; i++)
        array_put(array, i, draw(from, to));
    array_send(array);
    return array;
}

struct array *array_of_ids(int64_t count, const int32_t *values)
{
    struct array *array = array_new(MOE_I32, count);
    for (int64_t i = 0; i < count; i++)
        ((int32_t *)array->host)[i] = values[i];
    array_send(array);
    return array;
}

struct array *array_of_places(int64_t count, const int64_t *values)
{
    struct array *array = array_new(MOE_I64, count);
    for (int64_t i = 0; i < count; i++)
        ((int64_t *)array->host)[i] = values[i];
    array_send(array);
    return array;
}

/* ---- comparison ------------------------------------------------------------------------------ */

double compute_unit(enum moe_dtype dtype)
{
    return moe_dtype_info(dtype == MOE_F64 ? MOE_F64 : MOE_F32)->unit_roundoff;
}

int agrees(const char *what, const struct array *array, int64_t index, double want, double slack)
{
    const struct moe_dtype_info *info = moe_dtype_info(array->dtype);
    const double got = array_get(array, index);
    const double bound = slack + info->unit_roundoff * (fabs(want) + slack) + info->smallest / 2;
    if (got == want || (isnan(got) && isnan(want)) || fabs(got - want) <= bound)
        return 1;
    fprintf(stderr, "%s, %s: element %lld of %lld is %.17g, not %.17g within %.3g\n", what,
            info->name, (long long)index, (long long)array->count, got, want, bound);
    return 0;
}

int is_exactly(const char *what, const struct array *array, int64_t index, double want)
{
    const double got = array_get(array, index);
    if ((got == want && !signbit(got) == !signbit(want)) || (isnan(got) && isnan(want)))
        return 1;
    fprintf(stderr, "%s, %s: element %lld of %lld is %.17g, not %.17g\n", what,
            moe_dtype_info(array->dtype)->name, (long long)index, (long long)array->count, got,
            want);
    return 0;
}

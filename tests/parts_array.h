/*
 * parts_array.h - what the files of t_parts share: arrays that live on the host and on the device,
 * numbers to fill them with, and the comparison of what came back.
 */
#ifndef PARTS_ARRAY_H
#define PARTS_ARRAY_H

#include <stdint.h>

#include "gpu/parts.h"

#define LENGTH(table) ((int)(sizeof(table) / sizeof *(table)))

/* The types that tensors come in. */
#define FLOAT_TYPES 4
extern const enum moe_dtype float_types[FLOAT_TYPES];

/* `count` elements, twice. Behind the device's stand bytes that no kernel may write. */
struct array {
    enum moe_dtype dtype;
    int64_t count;
    void *host, *device;
};

/* Where the tests' work goes. */
extern struct moe_gpu_queue queue;

/* Something went wrong that is no comparison: the device refused, a guard was overwritten. Said on
 * stderr. */
extern int trouble;

/* Of many combinations a slow device runs one in so many; 1: all. */
extern int one_in;
/* Is this combination, the next of a test's, left out? */
int left_out(void);

/* All bytes 0xff: NaN, or -1. Until arrays_free. */
struct array *array_new(enum moe_dtype dtype, int64_t count);

/* Values of the type between `from` and `to`, already on the device. */
struct array *array_draw(enum moe_dtype dtype, int64_t count, double from, double to);

/* Integers from a host's array, already on the device. */
struct array *array_of_ids(int64_t count, const int32_t *values);
struct array *array_of_places(int64_t count, const int64_t *values);

double array_get(const struct array *array, int64_t index);
void array_put(struct array *array, int64_t index, double value);

void array_send(struct array *array);  /* host to device */
void array_fetch(struct array *array); /* back, after all work; looks at the guard */
void arrays_free(void);

/* Where it is set, every array goes through it, fetched, before it is freed. */
extern void (*array_taken)(const struct array *array);

/* What is drawn, and what is left out, begins anew. */
void arrays_restart(void);

/* The device memory of an array that may be none. */
static inline void *on_device(const struct array *array)
{
    return array ? array->device : NULL;
}

/* What a launch answered: not MOE_OK is trouble. */
void done(int status);

/* Uniform numbers; every run has the same. */
double draw(double from, double to);
int64_t draw_below(int64_t n);

/* Unit roundoff of the type that the kernels for a tensor type compute in: 2^-24, or 2^-53. */
double compute_unit(enum moe_dtype dtype);

/*
 * Is element `index` the value `want`, which the kernel may have missed by `slack` before it
 * rounded it once to the array's type? NaN is NaN. No: one line on stderr.
 */
int agrees(const char *what, const struct array *array, int64_t index, double want, double slack);

/* Is it this very number, in the sign of a zero too? */
int is_exactly(const char *what, const struct array *array, int64_t index, double want);

#endif

/*
 * recorded.h - tests/ptx/recorded.txt: what a GPU gave, as XXH3-128. A line: name, hash of what was
 * run, hash of what came out, the driver's version, the GPU.
 */
#ifndef MOE_TESTS_RECORDED_H
#define MOE_TESTS_RECORDED_H

#include <stddef.h>
#include <stdio.h>

#include "gpu/gpu.h"

enum { HASH_TEXT = 33 };

struct recorded {
    char name[40], made[HASH_TEXT], gave[HASH_TEXT];
};

/* The table beside the sources ($srcdir). MOE_E_IO. */
int recorded_read(void);
/* NULL: there is no such row. */
const struct recorded *recorded_find(const char *name);
void recorded_write(FILE *file, const struct recorded *row, const struct moe_gpu_status *gpu);

/* Of two pieces as one; the second may be of no bytes. */
void recorded_hash(const void *first, size_t first_bytes, const void *second, size_t second_bytes,
                   char text[HASH_TEXT]);

/* Opens the GPU that rows are for, of capability 9.0; *device NULL: there is none. Where one is
 * demanded (MOE_REQUIRE_GPU is set, or `must`) that is MOE_E_UNSUPPORTED. */
int recorded_open(int must, struct moe_gpu_status *gpu, struct moe_device **device);

#endif

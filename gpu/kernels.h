/*
 * kernels.h - the generated table of kernels, as gpu/embed.c writes it, and who looks into it.
 */
#ifndef MOE_GPU_KERNELS_H
#define MOE_GPU_KERNELS_H

#include <stdint.h>

#include "gpu/gpu.h"

/* A compressed piece of kernel_bytes. */
struct kernel_blob {
    uint64_t offset, packed, bytes; /* where, its length there, and its length unpacked */
};

/* The code of one source file for one architecture: the cubin was made from this very PTX. */
struct kernel_code {
    const char *source, *arch;
    struct kernel_blob ptx, cubin;
};

struct kernel_row {
    struct moe_kernel kernel;
    int32_t code; /* index into kernel_codes */
};

/* Rows stand in order of entry, then architecture. */
extern const struct kernel_row kernel_rows[];
extern const int kernel_row_count;
extern const struct kernel_code kernel_codes[];
extern const int kernel_code_count;
extern const unsigned char kernel_bytes[] __attribute__((visibility("hidden")));

/* The row whose code runs on compute capability major.minor, the most specific where there are
 * several. MOE_E_UNSUPPORTED: no kernel of that name, or none for this capability. */
int kernel_find(const char *entry, int major, int minor, int *row);

/* The bytes of a blob, followed by a zero, to be freed. MOE_E_NOMEM; MOE_E_INTERNAL where they do
 * not unpack; MOE_E_UNSUPPORTED in a build without CUDA, which has no blobs. */
int kernel_unpack(const struct kernel_blob *blob, void **bytes);

#endif

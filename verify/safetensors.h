/*
 * safetensors.h - tensors in files, in the format that PyTorch, JAX and others read and write:
 * eight bytes of length (little-endian), a JSON header of that length, then the data of all tensors
 * without holes. A file is untrusted input: what is not exactly as the format says is refused in
 * words.
 */
#ifndef MOE_SAFETENSORS_H
#define MOE_SAFETENSORS_H

#include "ref/moe.h"

/* ---- safetensors_read.c --------------------------------------------------------------------- */

struct moe_safetensors; /* an open file, mapped read-only */

/* One tensor of a file, dense and row-major. */
struct moe_safetensors_entry {
    const char *name;
    const char *type;     /* the header's word for it */
    int dtype;            /* enum moe_dtype, or -1: a type of the format that we have no use for */
    int64_t rank;         /* 0 and more than 3 occur in files */
    const int64_t *shape; /* [rank] */
    int64_t bytes;
    const void *data; /* not aligned to more than a byte */
};

/* Opens a file and checks all of its header. MOE_E_IO; MOE_E_USAGE where it is not a safetensors
 * file; MOE_E_NOMEM. Every text begins with the path. */
int moe_safetensors_open(const char *path, struct moe_safetensors **file);
void moe_safetensors_close(struct moe_safetensors *file);

/* Entry `index`, in the order of the data; NULL past the end. */
const struct moe_safetensors_entry *moe_safetensors_entry(const struct moe_safetensors *file,
                                                          int64_t index);

/* The entry of that name, or NULL. */
const struct moe_safetensors_entry *moe_safetensors_find(const struct moe_safetensors *file,
                                                         const char *name);

/* The text under `key` in the file's metadata, or NULL. */
const char *moe_safetensors_metadata(const struct moe_safetensors *file, const char *key);

/* ---- safetensors_write.c -------------------------------------------------------------------- */

struct moe_safetensors_item {
    const char *name;
    struct moe_tensor tensor; /* any strides; written dense */
};

/* Writes a file whole, or leaves what stands at `path` untouched. `metadata` holds keys and values
 * by turns, NULL at the end. Each tensor's data are aligned to its elements. MOE_E_IO; MOE_E_USAGE
 * where a text is not UTF-8 or a name stands twice; MOE_E_NOMEM. */
int moe_safetensors_write(const char *path, const struct moe_safetensors_item *items, int count,
                          const char *const *metadata);

#endif

/*
 * unpack.c - embedded code as it was before gpu/embed.c compressed it.
 */
#include <stdlib.h>
#include <zstd.h>

#include "gpu/kernels.h"
#include "ref/moe.h"

int kernel_unpack(const struct kernel_blob *blob, void **bytes)
{
    char *unpacked = malloc(blob->bytes + 1);
    if (!unpacked)
        return moe_error(MOE_E_NOMEM, "no memory for %llu bytes of a kernel's code",
                         (unsigned long long)blob->bytes);

    const size_t length =
        ZSTD_decompress(unpacked, blob->bytes, kernel_bytes + blob->offset, blob->packed);
    if (ZSTD_isError(length) || length != blob->bytes) {
        free(unpacked);
        return moe_error(MOE_E_INTERNAL, "embedded code at %llu does not unpack: %s",
                         (unsigned long long)blob->offset,
                         ZSTD_isError(length) ? ZSTD_getErrorName(length) : "another length");
    }
    unpacked[length] = '\0';
    *bytes = unpacked;
    return MOE_OK;
}

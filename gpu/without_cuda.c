/*
 * without_cuda.c - in a build without CUDA: no kernels, no devices, and why.
 */
#include <stdio.h>

#include "config.h"
#include "gpu/device.h"
#include "gpu/kernels.h"
#include "ref/moe.h"
#include "verify/variant.h"

const struct kernel_row kernel_rows[] = {{.code = -1}};
const int kernel_row_count = 0;
const struct kernel_code kernel_codes[] = {{.source = NULL}};
const int kernel_code_count = 0;

int moe_gpu_probe(struct moe_gpu_status *status)
{
    *status = (struct moe_gpu_status){.state = MOE_GPU_NOT_BUILT};
    snprintf(status->reason, sizeof status->reason, "built without CUDA: %s", MOE_CUDA_WHY);
    return MOE_OK;
}

int kernel_unpack(const struct kernel_blob *blob, void **bytes)
{
    (void)blob;
    (void)bytes;
    return moe_error(MOE_E_UNSUPPORTED, "no kernels: built without CUDA: %s", MOE_CUDA_WHY);
}

static int open_none(int index, struct moe_device **device)
{
    (void)index;
    (void)device;
    return moe_error(MOE_E_UNSUPPORTED, "GPU: built without CUDA: %s", MOE_CUDA_WHY);
}

const struct device_class device_cuda = {.kind = MOE_ON_CUDA, .open = open_none};

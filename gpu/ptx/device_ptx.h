/*
 * device_ptx.h - what tests do to a PTX machine that is a device.
 */
#ifndef MOE_GPU_PTX_DEVICE_PTX_H
#define MOE_GPU_PTX_DEVICE_PTX_H

#include "gpu/gpu.h"

/* Runs `text` instead of the PTX that has the kernel in it, of which nothing has run yet. As
 * ptx_read; MOE_E_UNSUPPORTED: no such kernel. */
int moe_ptx_device_plant(struct moe_device *device, const char *kernel, const char *text);

#endif

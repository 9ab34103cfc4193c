/*
 * device_ptx.h - what tests do to a PTX machine that is a device.
 */
#ifndef MOE_GPU_PTX_DEVICE_PTX_H
#define MOE_GPU_PTX_DEVICE_PTX_H

#include "gpu/gpu.h"

/* Runs `text` instead of the PTX of kernel_codes[code], of which nothing has run yet. As ptx_read.
 */
int moe_ptx_device_plant(struct moe_device *device, int code, const char *text);

#endif

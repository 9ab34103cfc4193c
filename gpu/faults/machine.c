/*
 * machine.c - the plug-in's kernels on the host's PTX machine: its memory, its threads and its
 * hazards, with programs from the table of this build. A launch that stops the machine, or is
 * remarked on, is told to the host's device too.
 */
#include <stdio.h>
#include <stdlib.h>

#include "gpu/faults/plant.h"
#include "gpu/kernels.h"
#include "gpu/ptx/device_own.h"

static struct ptx_device *borrowed, *owner;

static int launch(struct moe_device *device, int row, const struct moe_launch *launch)
{
    const int status = device_ptx.launch(device, row, launch);
    snprintf(owner->broken, sizeof owner->broken, "%s", borrowed->broken);
    snprintf(owner->remark, sizeof owner->remark, "%s", borrowed->remark);
    snprintf(owner->trouble, sizeof owner->trouble, "%s", borrowed->trouble);
    return status;
}

int plant_on_machine(struct moe_device *host, struct moe_device **device)
{
    static struct device_class class;
    if (!borrowed) {
        struct ptx_device *made = calloc(1, sizeof *made);
        struct ptx_device_code *codes = calloc((size_t)kernel_code_count + 1, sizeof *codes);
        struct ptx_program **programs = calloc((size_t)kernel_row_count + 1, sizeof *programs);
        if (!made || !codes || !programs) {
            free(made);
            free(codes);
            free(programs);
            return moe_error(MOE_E_NOMEM, "no memory for the plug-in's kernels");
        }
        owner = ptx_device(host);
        *made = *owner;
        made->codes = codes;
        made->programs = programs;
        class = device_ptx;
        class.launch = launch;
        made->base.class = &class;
        borrowed = made;
    }
    snprintf(borrowed->remark, sizeof borrowed->remark, "%s", owner->remark);
    *device = &borrowed->base;
    return MOE_OK;
}

/*
 * hopper.c - the variant `hopper-faults`: hopper once for each row of hopper_table.c, with that
 * fault in it, on a GPU or on the PTX machine.
 *
 * How much workspace a variant needs is asked before it is opened, and so before it is known which
 * fault is meant: a fault of that is there from a process' second run on.
 */
#include <stdio.h>

#include "gpu/faults/hopper_table.h"
#include "gpu/faults/plant.h"

/* More than there are rows. */
#define MOST 128

static int supports(const struct moe_problem *problem, char *why, size_t size)
{
    const int known = problem->act == MOE_SWIGLU || !moe_act_info(problem->act)->gated;
    if (problem->dtype == MOE_BF16 && known)
        return moe_variant_hopper.supports(problem, why, size);
    snprintf(why, size, "%s: the plug-in has no kernels of that",
             known ? "dtype" : "act is gated, and not swiglu");
    return MOE_E_UNSUPPORTED;
}

static int open_variant(struct moe_device *host, const struct moe_problem *problem,
                        int32_t configuration, void **state)
{
    const struct hopper_fault *row = hopper_fault_get(configuration);
    struct moe_device *device = NULL;
    int status = plant_device(host, &device);
    if (status == MOE_OK)
        status = plant(device, "plant_fault", (int)row->fault);
    if (status == MOE_OK)
        status = plant(device, "plant_hopper_fault", (int)row->fault);
    return status == MOE_OK ? moe_variant_hopper.open(device, problem, row->configuration, state)
                            : status;
}

const struct moe_variant *hopper_faults(void)
{
    static const char *names[MOST];
    static struct moe_variant variant;
    int32_t count = 0;
    for (const struct hopper_fault *row; count < MOST && (row = hopper_fault_get(count)); count++)
        names[count] = row->name;
    variant = moe_variant_hopper;
    variant.name = "hopper-faults";
    variant.summary = "hopper, with a fault planted: its configurations";
    variant.configurations = names;
    variant.configuration_count = count;
    variant.supports = supports;
    variant.open = open_variant;
    return &variant;
}

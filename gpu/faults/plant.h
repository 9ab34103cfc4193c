/*
 * plant.h - what the variants of moecheck-faults.so share.
 */
#ifndef MOE_FAULTS_PLANT_H
#define MOE_FAULTS_PLANT_H

#include "gpu/gpu.h"
#include "verify/variant.h"

extern const struct moe_variant moe_variant_cublas, moe_variant_hopper;

/* A device that runs the plug-in's kernels where the host's device runs its own; kept until the
 * process ends. Of a GPU it is another on the same context, of a PTX machine another table of
 * kernels on the same machine (machine.c). */
int plant_device(struct moe_device *host, struct moe_device **device);
int plant_on_machine(struct moe_device *host, struct moe_device **device);

/* Turns a fault on in host code and in the kernels of one module, by its kernel `plant`; the module
 * is not there where the build has no code for the device. */
int plant(struct moe_device *device, const char *plant, int fault);

/* hopper.c */
const struct moe_variant *hopper_faults(void);

#endif

/*
 * on_device.h - a variant's two calls on a device: tensors there, the calls, tensors back.
 */
#ifndef MOE_ON_DEVICE_H
#define MOE_ON_DEVICE_H

#include "verify/trial.h"

/* Is there a device that this variant runs on? MOE_OK, or MOE_E_UNSUPPORTED with the reason. Opens
 * the driver: not for a process that forks. */
int moe_on_device_possible(const struct moe_variant *variant, char *why, size_t size);

/*
 * The forward and the backward pass on a GPU. Everything that the tensors hold goes there and comes
 * back, so that what the variant leaves of inputs and outputs can be judged here. The device stays
 * open for the cases after. A failing call of the variant is in *result; trouble of ours is the
 * return value.
 */
int moe_on_device_run(const struct moe_trial *trial, struct moe_tensors *tensors,
                      struct moe_trial_result *result);

#endif

/*
 * on_device.h - a variant's two calls on a device.
 */
#ifndef MOE_ON_DEVICE_H
#define MOE_ON_DEVICE_H

#include "verify/trial.h"

/* Is there a device of the kind? MOE_OK, or MOE_E_UNSUPPORTED with the reason. Opens the driver,
 * for CUDA: not for a process that forks. */
int moe_on_device_possible(enum moe_device_kind kind, char *why, size_t size);

/* What a trial's arena has for a page, here or on the variant's device. */
int moe_on_device_page(const struct moe_trial *trial, int64_t *page);

/*
 * The forward and the backward pass on a GPU or the PTX machine. The arena goes there and comes
 * back, so that what the variant leaves in inputs, outputs and guards can be judged here. The
 * device stays open for the cases after. A failing call of the variant is in *result; where it only
 * refused (MOE_E_USAGE, MOE_E_UNSUPPORTED) the arena has come back too. Trouble of ours is the
 * return value.
 */
int moe_on_device_run(const struct moe_trial *trial, struct moe_arena *arena,
                      struct moe_trial_result *result);

/* 0 once a device has failed a canary after some run: an error sticks, this process can do no
 * more on it and is to be replaced. */
int moe_on_device_sound(void);

#endif

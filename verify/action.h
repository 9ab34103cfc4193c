/*
 * action.h - inside the worker: the actions of a job.
 */
#ifndef MOE_ACTION_H
#define MOE_ACTION_H

#include "verify/worker.h"

typedef void moe_phase_teller(void *context, enum moe_phase phase);
typedef void moe_place_teller(void *context, const char *check, const char *step);

/*
 * Does the job in this process and fills status, report and measure of *result. A file of the job
 * that is not what it must be is status MOE_E_USAGE, one that could not be written MOE_E_IO; any
 * other trouble of ours is a finding of verdict ERROR. `devices` is a mask of enum moe_device_kind.
 */
void moe_action_do(const struct moe_job *job, unsigned devices, moe_phase_teller *phase,
                   moe_place_teller *place, void *context, struct moe_result *result);

#endif

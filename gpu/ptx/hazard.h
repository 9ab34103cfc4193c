/*
 * hazard.h - the watch of races: who touched which bytes last, and what orders it before others.
 *
 * Each thread is an agent of its own; what lies between two of them is what the ISA's memory
 * consistency model has: barriers, release and acquire patterns of sufficient scope, completion of
 * asynchronous operations, the end of a kernel. See doc/ptx.md.
 */
#ifndef MOE_GPU_PTX_HAZARD_H
#define MOE_GPU_PTX_HAZARD_H

#include "gpu/ptx/machine.h"

struct hazard;

/* Watches the machine from now on. MOE_E_NOMEM. */
int ptx_hazard_create(struct ptx_machine *machine, struct hazard **hazard);
/* NULL: nothing. Before the machine is freed. */
void ptx_hazard_free(struct hazard *hazard);

#endif

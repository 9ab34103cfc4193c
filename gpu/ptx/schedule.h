/*
 * schedule.h - what the files share that run a grid.
 */
#ifndef MOE_GPU_PTX_SCHEDULE_H
#define MOE_GPU_PTX_SCHEDULE_H

#include "gpu/ptx/machine.h"

#define PTX_MULTIPROCESSORS 8
#define PTX_SHARED_MOST (227u * 1024) /* bytes of a CTA, as an H100 has */

/* warp.c */
int ptx_warp_begin(struct ptx_warp *warp, struct ptx_cta *cta, uint32_t number);
void ptx_warp_end(struct ptx_warp *warp);
uint32_t ptx_warp_ready(const struct ptx_warp *warp);
/* Asks what its lanes wait for, where something happened since the last time. */
void ptx_warp_ask(struct ptx_warp *warp);
/* Runs at most `budget` instructions of it. */
void ptx_warp_run(struct ptx_warp *warp, uint32_t budget);

/* cta.c: clusters come and go. MOE_E_NOMEM. */
int ptx_cluster_begin(struct ptx_machine *machine);
void ptx_cluster_end(struct ptx_machine *machine, struct ptx_cluster *cluster);
/* Those that have ended go, and others come in their place. */
int ptx_clusters_turn(struct ptx_machine *machine);

/* async.c */
/* Performs some pending effects, as time has it. 1: there was one. */
int ptx_async_turn(struct ptx_machine *machine, int forced);
void ptx_async_drop(struct ptx_machine *machine);
int ptx_async_of_cluster(const struct ptx_machine *machine, const struct ptx_cluster *cluster);

/* report.c */
void ptx_report_deadlock(struct ptx_machine *machine, int live);

#endif

/*
 * exec_barrier.c - barriers of a CTA and of a warp, fences.
 */
#include <stddef.h>

#include "gpu/ptx/machine.h"

const struct ptx_opcode ptx_opcodes_barrier[] = {
    {"bar.sync", "", "", "Si Si?", NULL, 0, 0},
    {"bar.cta.sync", "", "", "Si Si?", NULL, 0, 0},
    {"barrier.sync", "aligned", "", "Si Si?", NULL, 0, 0},
    {"barrier.cta.sync", "aligned", "", "Si Si?", NULL, 0, 0},
    {"bar.arrive", "", "", "Si Si", NULL, 0, 0},
    {"bar.cta.arrive", "", "", "Si Si", NULL, 0, 0},
    {"barrier.arrive", "aligned", "", "Si Si", NULL, 0, 0},
    {"barrier.cta.arrive", "aligned", "", "Si Si", NULL, 0, 0},
    {"bar.red", "popc", "u32", "Di Si Bp", NULL, 0, 0},
    {"bar.red", "popc", "u32", "Di Si Si Bp", NULL, 0, 0},
    {"bar.red", "and or", "pred", "Pp Si Bp", NULL, 0, 0},
    {"bar.red", "and or", "pred", "Pp Si Si Bp", NULL, 0, 0},
    {"bar.cta.red", "popc", "u32", "Di Si Bp", NULL, 0, 0},
    {"bar.cta.red", "popc", "u32", "Di Si Si Bp", NULL, 0, 0},
    {"bar.cta.red", "and or", "pred", "Pp Si Bp", NULL, 0, 0},
    {"bar.cta.red", "and or", "pred", "Pp Si Si Bp", NULL, 0, 0},
    {"barrier.red", "popc aligned", "u32", "Di Si Bp", NULL, 0, 0},
    {"barrier.red", "popc aligned", "u32", "Di Si Si Bp", NULL, 0, 0},
    {"barrier.red", "and or aligned", "pred", "Pp Si Bp", NULL, 0, 0},
    {"barrier.red", "and or aligned", "pred", "Pp Si Si Bp", NULL, 0, 0},
    {"barrier.cta.red", "popc aligned", "u32", "Di Si Bp", NULL, 0, 0},
    {"barrier.cta.red", "popc aligned", "u32", "Di Si Si Bp", NULL, 0, 0},
    {"barrier.cta.red", "and or aligned", "pred", "Pp Si Bp", NULL, 0, 0},
    {"barrier.cta.red", "and or aligned", "pred", "Pp Si Si Bp", NULL, 0, 0},
    {"bar.warp.sync", "", "", "Si", NULL, 0, 0},
    {"membar", "cta gl sys", "", "", NULL, 0, 0},
    {"fence",
     "sc acq_rel acquire release @scope sync_restrict::shared::cta "
     "sync_restrict::shared::cluster",
     "", "", NULL, 0, 0},
    {"fence.proxy", "alias async global shared::cta shared::cluster", "", "", NULL, 0, 0},
    {"fence.proxy", "tensormap::generic release @scope", "", "", NULL, 0, 0},
    {"fence.proxy", "tensormap::generic acquire @scope", "", "A* Ii", NULL, 0, 0},
    {"fence.proxy",
     "async::generic acquire release sync_restrict::shared::cta "
     "sync_restrict::shared::cluster @scope",
     "", "", NULL, 0, 0},
    {"fence.mbarrier_init", "release cluster", "", "", NULL, 0, 0},
    {"membar.proxy", "alias async", "", "", NULL, 0, 0},
    {NULL},
};

// ring.cuh - a ring of stages in shared memory between the warps that fill them and the warpgroups
// that multiply them.
//
// Stage i has two mbarriers: `full` ends a phase when every filling thread has arrived and the
// bytes expected have come, `empty` when every consuming warp has arrived. A new ring's stages are
// empty.
#pragma once

#include "gpu/fault.h"
#include "gpu/hopper/instructions.cuh"

// Where a warp stands in the ring; every warp keeps its own.
template <int STAGES> struct ring_place {
    uint32_t stage = 0, parity = 0;

    __device__ __forceinline__ void step()
    {
        if (++stage == STAGES) {
            stage = 0;
            if (!planted(FAULT_PARITY_KEPT))
                parity ^= 1;
        }
    }
};

template <int STAGES> struct ring {
    uint32_t barriers; // address of [2 * STAGES] mbarriers: all `full`, then all `empty`

    static constexpr uint32_t BYTES = 16 * STAGES;

    // By one thread, before a barrier of the block.
    __device__ void init(uint32_t fillers, uint32_t consumers) const
    {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(full(i), fillers - planted(FAULT_FULL_ONE_SHORT));
            barrier_init(empty(i), planted(FAULT_EMPTY_HALF) ? consumers / 2 : consumers);
        }
        if (!planted(FAULT_INIT_NO_FENCE))
            barrier_init_fence();
    }

    __device__ __forceinline__ uint32_t full(uint32_t stage) const
    {
        return barriers + 8 * stage;
    }

    __device__ __forceinline__ uint32_t empty(uint32_t stage) const
    {
        return barriers + 8 * (STAGES + stage);
    }

    __device__ __forceinline__ void wait_full(const ring_place<STAGES> &at) const
    {
        if (!planted(FAULT_FULL_UNAWAITED))
            barrier_wait(full(planted(FAULT_STALE_STAGE) ? 0 : at.stage), at.parity);
    }

    __device__ __forceinline__ void wait_empty(const ring_place<STAGES> &at) const
    {
        if (!planted(FAULT_EMPTY_UNAWAITED))
            barrier_wait(empty(at.stage), at.parity ^ 1);
    }
};

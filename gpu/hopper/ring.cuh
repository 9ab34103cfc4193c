// ring.cuh - a ring of stages in shared memory between the warps that fill them and the warpgroups
// that multiply them.
//
// Stage i has two mbarriers: `full` ends a phase when every filling thread has arrived and the
// bytes expected have come, `empty` when every consuming warp has arrived. A new ring's stages are
// empty.
#pragma once

#include "gpu/hopper/instructions.cuh"

// Where a warp stands in the ring; every warp keeps its own.
template <int STAGES> struct ring_place {
    uint32_t stage = 0, parity = 0;

    __device__ __forceinline__ void step()
    {
        if (++stage == STAGES) {
            stage = 0;
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
            barrier_init(full(i), fillers);
            barrier_init(empty(i), consumers);
        }
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
        barrier_wait(full(at.stage), at.parity);
    }

    __device__ __forceinline__ void wait_empty(const ring_place<STAGES> &at) const
    {
        barrier_wait(empty(at.stage), at.parity ^ 1);
    }
};

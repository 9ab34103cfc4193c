/*
 * hopper_wgmma.h - what the files share that run wgmma.mma_async.
 */
#ifndef MOE_GPU_PTX_HOPPER_WGMMA_H
#define MOE_GPU_PTX_HOPPER_WGMMA_H

#include "gpu/ptx/geometry.h"
#include "gpu/ptx/hopper.h"
#include "gpu/ptx/number_mma.h"
#include "gpu/ptx/number_mma_tile.h"

/* What an instruction says, decoded. */
struct wgmma_form {
    struct number_mma mma;
    int a_bits, d_bits; /* of an element; b1: 32 */
    int a_in_registers;
    int a_k_major, b_k_major;
    int negate_scale; /* the predicate's opposite */
    int d_count, a_count;
    const struct ptx_place *d, *a; /* registers */
};

static inline const struct wgmma_form *wgmma_form_of(const struct ptx_code *code)
{
    return (const struct wgmma_form *)(uintptr_t)code->data[3];
}

int wgmma_lower(struct ptx_build *build, const struct ptx_instruction *instruction,
                struct ptx_code *code);

#define WGMMA_ROWS 64
#define WGMMA_K 32 /* at most, words of k */
#define WGMMA_N 256

/* Room for one operation, of a warpgroup, which has no two at a time. */
struct wgmma_operands {
    uint32_t a[WGMMA_ROWS * WGMMA_K], b[WGMMA_K * WGMMA_N];
    struct number_mma_factors factors;
    /* What nobody wrote: of rows of A, columns of B. */
    uint8_t a_undefined[WGMMA_ROWS], b_undefined[WGMMA_N];
    int some_undefined;
};

/* hopper_operands.c: reads A and B. 0, or reported. */
int wgmma_read(struct ptx_machine *machine, const struct ptx_effect *effect, uint64_t a, uint64_t b,
               struct ptx_warp *warps, struct wgmma_operands *operands);
/* hopper_accumulators.c: computes D in the warps' registers, where C is; not has_c: C is 0. */
void wgmma_compute(struct ptx_machine *machine, const struct ptx_code *code, int has_c,
                   struct ptx_warp *warps, struct wgmma_operands *operands);

/* hopper_flight.c: the operation takes its registers; wgmma.fence; groups below a number are done.
 */
int hopper_flight_begin(struct ptx_warp *warp, const struct ptx_code *code,
                        const struct wgmma_form *form);
void hopper_flight_fence(struct ptx_warp *warp);
void hopper_flight_end(struct ptx_warp *warp, uint64_t below);

#endif

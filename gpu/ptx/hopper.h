/*
 * hopper.h - what the files share that run Hopper's asynchronous instructions: mbarriers, engines
 * that copy, groups of operations, warpgroups.
 */
#ifndef MOE_GPU_PTX_HOPPER_H
#define MOE_GPU_PTX_HOPPER_H

#include <stddef.h>

#include "gpu/ptx/machine.h"

/* ---- mbarriers ------------------------------------------------------------------------------- */

#define HOPPER_COUNT_MAX ((1 << 20) - 1) /* of arrivals, and of bytes in either direction */

/* The object itself; in its eight bytes of shared memory stands a seal of it, so that who writes
 * there otherwise is found. */
struct hopper_barrier {
    uint32_t offset; /* in the CTA's shared memory */
    int32_t valid;   /* initialised, and not made invalid since */
    uint32_t expected, pending;
    int64_t bytes;  /* tx-count */
    uint64_t phase; /* times completed */
    struct hopper_barrier *next;
};

/* ---- what a CTA and a warp keep -------------------------------------------------------------- */

#define HOPPER_REGISTERS 65536u /* of a multiprocessor */

struct hopper_cta {
    struct hopper_barrier *barriers;
    struct wgmma_group *groups; /* warpgroups with wgmma under way, by number */
    uint32_t registers_free;    /* that setmaxnreg.dec gave back */
};

struct hopper_warp {
    uint64_t committed[PTX_GROUP_KINDS][PTX_LANES]; /* groups of each lane */
    uint32_t at_cluster; /* lanes that arrived at the cluster's barrier and have not waited */
    uint64_t cluster_phase[PTX_LANES]; /* that they wait for */
    uint32_t registers;                /* of a thread; 0: as at launch */
    /* wgmma */
    uint64_t issued;                     /* wgmma.mma_async */
    int32_t fenced;                      /* a wgmma.fence has been */
    uint32_t flying;                     /* registers that a wgmma under way has */
    uint8_t *flight;                     /* [slot] enum hopper_flight */
    uint64_t *flight_group;              /* [slot] of the last wgmma that has it */
    const struct ptx_code **flight_code; /* [slot] */
    uint8_t *touched;                    /* [slot] read or written since the last wgmma.fence */
};

/* hopper_wgmma.c */
void wgmma_free(struct wgmma_group *groups);

/* NULL: no memory, and that is reported. */
struct hopper_cta *hopper_cta(struct ptx_cta *cta);
struct hopper_warp *hopper_warp(struct ptx_warp *warp);

/* ---- engines --------------------------------------------------------------------------------- */

/* An access of an engine on behalf of the effect. */
void hopper_engine_access(const struct ptx_effect *effect, enum ptx_access_kind kind,
                          enum ptx_proxy proxy, enum ptx_space space, uint32_t bytes,
                          uint32_t align, struct ptx_access *access);

/* A new effect of lanes, with an agent, of their group now; `data` of so many bytes is zeros.
 * NULL: reported. */
struct ptx_effect *hopper_effect(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes,
                                 enum ptx_group_kind kind, size_t bytes);

/* Tells the watches that the operation begins, and takes it over. */
void hopper_start(struct ptx_machine *machine, struct ptx_effect *effect);
void hopper_finished(struct ptx_machine *machine, const struct ptx_effect *effect,
                     const void *object);

/* Bytes more of the barrier's phase have come: complete_tx at an address of the cluster's shared
 * memory. 0, or reported. */
int hopper_complete_bytes(struct ptx_machine *machine, const struct ptx_effect *effect,
                          uint64_t address, uint32_t bytes);
/* An arrival without a thread: what cp.async.mbarrier.arrive started. */
void hopper_arrive_later(struct ptx_machine *machine, const struct ptx_effect *effect,
                         uint64_t address);

/* cp.async.mbarrier.arrive without noinc: one arrival more is pending. 0, or reported. */
int hopper_pending_one_more(struct ptx_warp *warp, const struct ptx_code *code, int lane,
                            uint64_t address);

/* The engine's CTA or another of its cluster still has its memory: 0, or reported. */
int hopper_is_there(struct ptx_machine *machine, const struct ptx_effect *effect,
                    uint64_t shared_address);

/* ---- groups: operations of a lane between two commits --------------------------------------- */

/* commit_group, and the wait for all but so many groups of the last (data[0]); `code->count` is the
 * kind. */
ptx_execute hopper_commit;
void hopper_join(struct ptx_warp *warp, uint32_t lanes, enum ptx_group_kind kind, uint64_t most,
                 int reads_only);

/* ---- bulk operations ------------------------------------------------------------------------- */

enum hopper_operation {
    HOPPER_NO_OPERATION, /* a copy */
    HOPPER_ADD,
    HOPPER_MIN,
    HOPPER_MAX,
    HOPPER_INC,
    HOPPER_DEC,
    HOPPER_AND,
    HOPPER_OR,
    HOPPER_XOR
};
enum hopper_operation hopper_operation_of(const struct ptx_instruction *instruction);

/* An operation on memory's elements. */
struct hopper_reduction {
    enum hopper_operation operation;
    uint32_t bytes; /* of an element */
    int is_signed;
    struct number_instruction number; /* of floating-point elements */
};
/* 0: there is none on this type. */
int hopper_reduction_find(enum hopper_operation operation, enum ptx_type type,
                          struct hopper_reduction *reduction);
void hopper_reduce(const struct hopper_reduction *reduction, uint8_t *to, uint8_t *to_known,
                   const uint8_t *from, const uint8_t *from_known, uint32_t bytes);

/*
 * A copy or reduction in steps: everything is read, then everything is written, once for each CTA
 * where there are several. How a step goes is the kind's; 0, or reported.
 */
struct hopper_bulk {
    int is_read;       /* the source may be used again */
    uint64_t to, from; /* addresses; of tensors nothing */
    enum ptx_space to_space, from_space;
    uint64_t barrier; /* where to shared memory */
    uint32_t targets; /* ranks still to be written, likewise */
    uint32_t bytes;
    struct hopper_reduction reduction;
    int (*read)(struct ptx_machine *machine, struct ptx_effect *effect);
    int (*write)(struct ptx_machine *machine, struct ptx_effect *effect, uint64_t to);
    uint8_t *data, *known; /* [bytes] */
    void *tensor;          /* of tensor copies, freed with it */
};
/* Takes over effect, whose data is a struct hopper_bulk, filled but for data and known. */
void hopper_bulk_start(struct ptx_warp *warp, struct ptx_effect *effect);
/* Its first step, where that has not been done. 0, or reported. */
int hopper_bulk_read(struct ptx_machine *machine, struct ptx_effect *effect);

int ptx_is_shared(enum ptx_space space);
/* The spaces of destination and source as the words have them. */
void hopper_spaces(const struct ptx_instruction *instruction, enum ptx_space *to,
                   enum ptx_space *from);
/* Ranks of the cluster that a mask operand names, or the destination's own. 0: reported. */
uint32_t hopper_targets(struct ptx_warp *warp, const struct ptx_code *code, int lane,
                        const struct ptx_place *mask, uint64_t to);
/* The mbarrier's address, in the same CTA as `to`. 0, or reported. */
int hopper_barrier_of(struct ptx_warp *warp, const struct ptx_code *code, int lane,
                      const struct ptx_place *place, uint64_t to, uint64_t *barrier);
/* Checks how completion is told, of an instruction with `before` operands before the mbarrier;
 * code->data[0] becomes the place of the mask of CTAs, 0: none. */
int hopper_lower_completion(struct ptx_build *build, const struct ptx_instruction *instruction,
                            enum ptx_space to, int before, struct ptx_code *code);

/* ---- addresses of one lane ------------------------------------------------------------------- */

int hopper_address(struct ptx_warp *warp, const struct ptx_code *code,
                   const struct ptx_place *place, int lane, uint64_t *address);
/* An address of a space or of the generic window as one of the space. 0, or reported. */
int hopper_to_space(struct ptx_warp *warp, const struct ptx_code *code, int lane,
                    enum ptx_space space, uint64_t *address);

#endif

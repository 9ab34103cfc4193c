/*
 * hazard_own.h - what the files of the watch of races share.
 */
#ifndef MOE_GPU_PTX_HAZARD_OWN_H
#define MOE_GPU_PTX_HAZARD_OWN_H

#include "gpu/ptx/hazard.h"
#include "gpu/ptx/hazard_clock.h"

/* ---- marks of accesses -----------------------------------------------------------------------
 *
 * `how` of a mark: 8 bits. `site`: how << 24 | lane << 19 | index of the instruction.
 */
#define MARK_STRONG 1u /* relaxed, volatile, atomic, acquire or release */
#define MARK_SCOPE 1   /* bits 1 and 2: enum ptx_scope */
#define MARK_ASYNC 8u  /* through the asynchronous proxy */
#define MARK_COPY 16u  /* by cp.async: of the generic proxy, but in the background */
#define MARK_BEGIN 32u /* initialises an mbarrier */
#define MARK_ATOMIC 64u
#define MARK_FENCED                                                                                \
    128u /* a strong write behind a fence: its epoch is the one after the fence's                  \
          */
#define SITE_HOW 24
#define SITE_LANE 19
#define SITE_MAX ((1u << SITE_LANE) - 1)

/* The last write of some bytes, and the reads since. An agent of 0 or of an earlier grid: none. */
struct write_mark {
    uint32_t agent, epoch, site;
};
struct read_mark {
    uint32_t agent, epoch, site, lanes;
};
struct cell {
    struct write_mark write;
    struct read_mark read;
    uint32_t more; /* of hazard->reads, 0: none. Counts where `read` does */
};
struct more_reads {
    struct read_mark read;
    uint32_t next;
};

/* Cells of a block, each of 1 << shift bytes. */
struct shadow {
    struct cell *cells;
    uint64_t count;
    unsigned shift;
    uint32_t first; /* marks of earlier agents are of another time */
    uint32_t words; /* the grid in which a word of it ordered threads */
    struct shadow *next;
};

/* ---- agents ---------------------------------------------------------------------------------- */

/* An agent's place, for messages and scopes. */
struct agent {
    uint32_t cta, cluster, warp;
    const struct ptx_code *code; /* of asynchronous work: what started it first; else NULL */
};

/* Epochs of a warp's cp.async: a new one behind a commit, and behind an arrival that waits for what
 * was begun before it and for nothing later. */
#define COPY_GROUPS 64u
struct copies {
    uint32_t lanes; /* that have begun copies */
    uint32_t epoch; /* of the last */
    int arrived;    /* the next one begins an epoch */
    struct {
        uint64_t group;
        uint32_t epoch;  /* of its last copy */
    } last[COPY_GROUPS]; /* of the groups, by number modulo their count */
};

/* What a warp keeps (ptx_warp.hazard). */
struct hazard_warp {
    uint32_t agent, epoch;
    struct view view[PTX_LANES];
    struct view fence[PTX_LANES];   /* at the last fence that releases */
    struct view pending[PTX_LANES]; /* what relaxed reads saw: an acquiring fence takes it */
    uint32_t fence_epoch[PTX_LANES];
    uint8_t fence_scope[PTX_LANES];  /* enum ptx_scope */
    uint8_t need_scope[PTX_LANES];   /* that the acquiring fence must have */
    uint32_t has_fence, has_pending; /* lanes */
    /* Asynchronous operations: an agent for each kind of groups, and for what bulk ones read. */
    uint32_t async[PTX_GROUP_KINDS], async_reader;
    uint32_t ungrouped; /* operations without a group so far */
    struct copies copies;
};

/* An asynchronous operation that is under way. */
struct operation {
    uint64_t number;     /* ptx_effect.agent; 0: none */
    struct view view[4]; /* of who started it, then: of each warp */
    uint32_t views;
    uint32_t agent, reader; /* of what it writes, and of what it reads */
    uint32_t lanes;         /* that its marks have; of cp.async, each its own */
    uint32_t epoch;
    uint32_t copies; /* of an arrival: the epoch of the cp.async that it waits for; 0: none */
    uint8_t how;
};
/* Of an agent: up to which epoch of each lane all views of an operation know it, and have it
 * fenced.
 */
struct common {
    uint32_t agent; /* 0: none */
    uint32_t known[PTX_LANES], fenced[PTX_LANES];
};
#define COMMONS 16u

/* Kept, by number: what is under way longer is forgotten. A ring of stages that lanes fill one by
 * one has 8192 and more. */
#define OPERATIONS 65536u

/* ---- objects that order ---------------------------------------------------------------------- */

/* A barrier by its address in this process, or a word of memory. */
struct object {
    uint64_t key;
    struct view coming;                     /* of who came in this phase */
    struct view passed;                     /* of who came in the phases before */
    struct clock *last_before, *last_after; /* who left last: what it knew, and knows now */
    uint32_t in_use;
    uint32_t cta, cluster; /* of a word: who released, UINT32_MAX: several */
    uint8_t scope;         /* enum ptx_scope */
    uint8_t has_phases;    /* somebody arrives: what came counts when all have */
};

struct hazard {
    struct ptx_watch watch;
    struct ptx_machine *machine;
    uint32_t first_agent, next_agent; /* of this grid, and to give out */
    uint32_t grid;                    /* counts them */
    struct agent *agents;             /* [agent_room], from first_agent */
    uint32_t agent_room;
    struct more_reads *reads; /* [read_room] */
    uint32_t read_count, read_room;
    struct shadow *spare;            /* of CTAs that have ended */
    struct object *barriers, *words; /* tables by key, sizes powers of two */
    uint32_t barrier_count, barrier_room, word_count, word_room;
    struct operation *operations;  /* [OPERATIONS], or NULL */
    uint64_t operation_last;       /* the highest number */
    uint64_t common_of;            /* the operation by number that made accesses last */
    struct common common[COMMONS]; /* of it, by agent modulo their count */
    int failed;                    /* no memory: nothing more is watched */
};

/* No memory; says so once. */
void hazard_fail(struct hazard *hazard);

/* A new agent. 0: no memory. */
uint32_t hazard_agent(struct hazard *hazard, uint32_t cta, uint32_t cluster, uint32_t warp,
                      const struct ptx_code *code);
static inline const struct agent *hazard_agent_of(const struct hazard *hazard, uint32_t agent)
{
    return &hazard->agents[agent - hazard->first_agent];
}

/* hazard_object.c. The object of a key, made where `make`; NULL: none, or no memory. */
struct object *hazard_barrier(struct hazard *hazard, uint64_t key, int make);
struct object *hazard_word(struct hazard *hazard, uint64_t key, int make);
void hazard_object_forget_last(struct object *object);
/* Forgets those with keys in [from, to). */
void hazard_forget(struct hazard *hazard, uint64_t from, uint64_t to);
void hazard_objects_clear(struct hazard *hazard);

/* hazard_sync.c. What lanes know goes into `to`; a new epoch begins. */
void hazard_publish(struct hazard *hazard, struct hazard_warp *warp, uint32_t lanes,
                    struct view *to);
void hazard_arrive(void *data, struct ptx_warp *warp, uint32_t lanes, const void *object);
void hazard_arrive_relaxed(void *data, struct ptx_warp *warp, uint32_t lanes, const void *object);
void hazard_leave(void *data, struct ptx_warp *warp, uint32_t lanes, const void *object);
void hazard_complete(void *data, const void *object);
void hazard_fence(void *data, struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes);

/* hazard_async.c */
void hazard_start(void *data, const struct ptx_effect *effect);
void hazard_finish(void *data, struct ptx_machine *machine, const struct ptx_effect *effect,
                   const void *object);
void hazard_join(void *data, struct ptx_warp *warp, uint32_t lanes, enum ptx_group_kind kind,
                 uint64_t below, int reads_only);
/* NULL: none of that number is watched. */
const struct operation *hazard_operation(const struct hazard *hazard, uint64_t number);
void hazard_operations_clear(struct hazard *hazard);

/* hazard_word.c. Acquire and release at a word of memory: before the access is checked, and after;
 * and a weak write, which ends what was released there. */
void hazard_acquire(struct hazard *hazard, const struct ptx_access *access, int lane);
void hazard_release(struct hazard *hazard, const struct ptx_access *access, int lane);
void hazard_overwrite(struct hazard *hazard, const struct ptx_access *access, int lane);

/* hazard_shadow.c. The cells of a block, fine enough for these bytes; NULL: no memory. */
struct shadow *hazard_shadow(struct hazard *hazard, struct ptx_block *block, uint64_t offset,
                             uint32_t bytes);
/* A block of shared memory begins: agents before `first` had others. */
void hazard_shadow_begin(struct hazard *hazard, struct ptx_block *block, uint32_t first);
void hazard_shadow_end(struct hazard *hazard, struct ptx_block *block);
void hazard_shadows_free(struct hazard *hazard);
/* Keeps one more read; its number. 0: no memory. */
uint32_t hazard_keep_read(struct hazard *hazard, const struct read_mark *read, uint32_t next);

/* hazard_access.c */
void hazard_access(void *data, struct ptx_machine *machine, const struct ptx_access *access);

/* hazard_report.c. An access meets another that nothing orders before it. */
struct meeting {
    const struct ptx_access *access;
    int lane;
    uint64_t offset; /* in the block */
    uint32_t bytes;  /* of a cell */
    int other_writes;
    uint32_t agent, site; /* the other's */
    int other_lane;
};
void hazard_report_race(struct hazard *hazard, const struct meeting *meeting);
void hazard_report_proxy(struct hazard *hazard, const struct meeting *meeting);

#endif

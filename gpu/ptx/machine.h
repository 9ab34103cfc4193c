/*
 * machine.h - the machine that runs PTX: memory, CTAs and warps as data, time by seed, reports.
 *
 * One grid runs in one host thread; what it does follows from the program, its arguments, memory
 * and the options, seed included, and from nothing else. Nothing here exits or prints.
 */
#ifndef MOE_GPU_PTX_MACHINE_H
#define MOE_GPU_PTX_MACHINE_H

#include <stdint.h>

#include "gpu/ptx/program.h"
#include "gpu/ptx/rules.h"

struct ptx_machine;
struct ptx_cta;
struct ptx_warp;

/* ---- addresses -------------------------------------------------------------------------------
 * Generic addresses: global memory lies where blocks are; the other spaces are windows. An address
 * in shared space is offset | rank of the CTA in its cluster << 24.
 */
#define PTX_WINDOW_SHARED 0x7e0000000000u
#define PTX_WINDOW_LOCAL 0x7e0100000000u
#define PTX_WINDOW_PARAM 0x7e0200000000u
#define PTX_WINDOW_BYTES 0x100000000u
#define PTX_RANK_SHIFT 24
#define PTX_OFFSET_MASK 0xffffffu

/* A piece of memory. `known` has one byte a byte: 0: nobody wrote it. */
struct ptx_block {
    uint64_t address, bytes;
    uint8_t *data, *known;
    enum ptx_space space;
    int32_t read_only;
    int32_t cta; /* of shared and local memory: the CTA's number in the grid; -1 */
    char name[64];
    void *hazard; /* what the watch keeps of it; freed by it */
};

/* ---- reports --------------------------------------------------------------------------------- */

struct ptx_report {
    enum ptx_rule rule;
    enum ptx_report_kind kind;
    enum ptx_report_class class;
    int32_t line;       /* of the PTX, 0: none */
    uint32_t thread[3]; /* of its CTA; 0xffffffff: none */
    uint32_t cta[3];
    uint64_t address;
    uint64_t step;      /* instructions of warps before it */
    char source[160];   /* file:line, inlined at ... */
    char message[1024]; /* the whole, in words; deadlocks name every waiter */
};

/*
 * Records a report of a rule and, where it is a PTX_REPORT_VALUE one, stops the machine. warp, code
 * may be NULL, lane -1. The same rule at the same instruction is recorded once.
 */
void ptx_report(struct ptx_machine *machine, struct ptx_warp *warp, const struct ptx_code *code,
                int lane, enum ptx_rule rule, uint64_t address, const char *format, ...)
    __attribute__((format(printf, 7, 8)));

/* ---- accesses -------------------------------------------------------------------------------- */

enum ptx_access_kind { PTX_READ, PTX_WRITE, PTX_ATOMIC };
enum ptx_proxy { PTX_PROXY_GENERIC, PTX_PROXY_ASYNC, PTX_PROXY_TENSORMAP };
enum ptx_order {
    PTX_ORDER_WEAK,
    PTX_ORDER_RELAXED,
    PTX_ORDER_ACQUIRE,
    PTX_ORDER_RELEASE,
    PTX_ORDER_ACQ_REL,
    PTX_ORDER_VOLATILE
};
enum ptx_scope { PTX_SCOPE_CTA, PTX_SCOPE_CLUSTER, PTX_SCOPE_GPU, PTX_SCOPE_SYS };

/*
 * One access to memory, of some lanes of a warp or, with lane 0 alone, of an asynchronous engine on
 * behalf of a CTA. ptx_access finds every lane's bytes and checks them: that there is memory, all
 * of it in one block, at a multiple of `align`, that may be written; that no undefined byte decides
 * the address. Then the watch sees it. 0: each lane's bytes are at data[lane] and known[lane]; else
 * it has been reported and nothing may be touched.
 */
struct ptx_access {
    struct ptx_warp *warp; /* NULL: an engine */
    struct ptx_cta *cta;
    const struct ptx_code *code;
    uint32_t lanes;
    enum ptx_space space;
    enum ptx_access_kind kind;
    enum ptx_proxy proxy;
    enum ptx_order order;
    enum ptx_scope scope;
    uint32_t bytes, align;
    uint64_t agent; /* of an engine's: who, in the watch's words */
    uint64_t address[PTX_LANES];
    uint8_t *data[PTX_LANES], *known[PTX_LANES];
    struct ptx_block *block[PTX_LANES];
    uint64_t offset[PTX_LANES]; /* in the block */
};
int ptx_access(struct ptx_machine *machine, struct ptx_access *access);

/* Is it st? And the bytes that a lane of it stores. */
int ptx_is_store(const struct ptx_code *code);
void ptx_stored(const struct ptx_warp *warp, const struct ptx_code *code, int lane,
                uint8_t bytes[32]);

/* Lane addresses of an address operand: its slot plus offset, in the operand's space. Reports an
 * undefined one. 0, or reported. */
int ptx_address(struct ptx_warp *warp, const struct ptx_code *code, const struct ptx_place *place,
                uint32_t lanes, uint64_t address[PTX_LANES]);

/* ---- waits ----------------------------------------------------------------------------------- */

/*
 * What a blocked lane waits for. `ready` is asked after every event (ptx_event) until it says 1;
 * then `wake`, where there is one, writes results, and the lane runs on behind the instruction.
 * Both may look at the argument and at the lane. `describe` names it in a report of a deadlock:
 * "bar.sync 1: 96 of 128 threads have arrived".
 */
struct ptx_wait_kind {
    int (*ready)(struct ptx_warp *warp, int lane);
    void (*wake)(struct ptx_warp *warp, int lane);
    void (*describe)(struct ptx_warp *warp, int lane, char *text, int length);
};
struct ptx_wait {
    const struct ptx_wait_kind *kind;
    const struct ptx_code *code;
    uint64_t argument[3];
};

/* Blocks the lanes at `code`. */
void ptx_block_lanes(struct ptx_warp *warp, uint32_t lanes, const struct ptx_wait *wait);
/* Something happened that a waiter may have waited for. */
void ptx_event(struct ptx_machine *machine);

/* ---- asynchronous effects -------------------------------------------------------------------- */

enum ptx_time { PTX_EAGER, PTX_LAZY, PTX_RANDOM_TIME, PTX_TIME_COUNT };

/* What operations are waited for by: groups of a thread's, or of a warp's. */
enum ptx_group_kind { PTX_NO_GROUP, PTX_GROUP_COPY, PTX_GROUP_BULK, PTX_GROUP_WGMMA };
#define PTX_GROUP_KINDS 4

/*
 * Something that an instruction started and that happens later. Effects of one `queue` (not 0)
 * happen in order; others in any. Eager: at once. Lazy: not before ptx_async_force, or before
 * nothing else can go on. Random: by seed, between.
 */
struct ptx_effect {
    /* Does it, or its next part. 1: it is done; 0: it has more parts. */
    int (*perform)(struct ptx_machine *machine, struct ptx_effect *effect);
    void (*free)(struct ptx_effect *effect); /* of what `data` holds; may be NULL */
    struct ptx_cta *cta;
    const struct ptx_code *code;
    struct ptx_warp *warp;
    int32_t lane;
    uint64_t queue;
    enum ptx_group_kind kind; /* of groups, and `group`: of these; what ptx_async_force picks by */
    uint64_t group;
    uint64_t agent; /* its number, in the accesses it makes; no other effect's */
    uint32_t lanes; /* of the warp that started it */
    void *data;
    struct ptx_effect *next;
};
/* Takes over `effect`, made by malloc. Eager ones are performed before it returns. */
void ptx_async_add(struct ptx_machine *machine, struct ptx_effect *effect);
/* Performs every pending effect that `picks` says 1 of, in order of their queues. */
void ptx_async_force(struct ptx_machine *machine,
                     int (*picks)(const struct ptx_effect *effect, const void *argument),
                     const void *argument);
/* How many are pending that `picks` says 1 of. */
int ptx_async_pending(const struct ptx_machine *machine,
                      int (*picks)(const struct ptx_effect *effect, const void *argument),
                      const void *argument);

/* ---- who watches -----------------------------------------------------------------------------
 * Races and what else spans accesses, and traces: a watch is called at what it names. Any may be
 * NULL. Watches hang on the machine in a list.
 */
struct ptx_watch {
    void *data;
    void (*instruction)(void *data, struct ptx_warp *warp, const struct ptx_code *code,
                        uint32_t lanes);
    void (*access)(void *data, struct ptx_machine *machine, const struct ptx_access *access);
    /* Lanes come to a barrier and go on behind it; `object` tells barriers apart. */
    void (*arrive)(void *data, struct ptx_warp *warp, uint32_t lanes, const void *object);
    void (*leave)(void *data, struct ptx_warp *warp, uint32_t lanes, const void *object);
    /* Lanes come to a barrier and release nothing by that, but what a fence before it does. */
    void (*arrive_relaxed)(void *data, struct ptx_warp *warp, uint32_t lanes, const void *object);
    /* All have come to `object` who had to: who leaves it from now on knows what they did. */
    void (*complete)(void *data, const void *object);
    void (*fence)(void *data, struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes);
    /* An asynchronous operation: begins; is done, of which the mbarrier `object` hears where there
     * is one; and of all of a kind's groups below a number the lanes know that they are done, or
     * that they have read what they read. */
    void (*start)(void *data, const struct ptx_effect *effect);
    void (*finish)(void *data, struct ptx_machine *machine, const struct ptx_effect *effect,
                   const void *object);
    void (*join)(void *data, struct ptx_warp *warp, uint32_t lanes, enum ptx_group_kind kind,
                 uint64_t below, int reads_only);
    void (*cta_begin)(void *data, struct ptx_cta *cta);
    void (*cta_end)(void *data, struct ptx_cta *cta);
    void (*grid_end)(void *data, struct ptx_machine *machine);
    void (*block_free)(void *data, struct ptx_block *block);
    struct ptx_watch *next;
};

/* ---- grids, CTAs, warps ---------------------------------------------------------------------- */

struct ptx_barrier {   /* bar 0 to 15 of a CTA */
    uint32_t expected; /* threads; 0: nobody is there */
    uint32_t arrived;
    uint64_t phase;                  /* times completed */
    uint32_t predicates, count;      /* of bar.red: given, and those that hold */
    uint32_t result, result_threads; /* the same of the phase before */
    int32_t all;                     /* for all threads of the CTA */
    const struct ptx_code *first;    /* who came first, for messages */
};
#define PTX_BARRIERS 16

struct ptx_cta {
    struct ptx_machine *machine;
    struct ptx_cluster *cluster;
    uint32_t id[3];
    uint32_t number; /* linear in the grid */
    uint32_t rank;   /* in its cluster */
    struct ptx_block shared;
    struct ptx_warp *warps;
    uint32_t warp_count, threads, live_threads;
    struct ptx_barrier barriers[PTX_BARRIERS];
    void *hopper; /* what the asynchronous instructions keep of it */
};

/* CTAs that live together; without clusters, one. */
struct ptx_cluster {
    uint32_t id[3];
    struct ptx_cta *ctas; /* [size] */
    uint32_t size, live;  /* live: CTAs with threads that run */
    uint32_t arrived;     /* threads at the cluster barrier */
    uint64_t phase;
    struct ptx_cluster *next;
};

struct ptx_warp {
    struct ptx_machine *machine;
    struct ptx_cta *cta;
    const struct ptx_program *program;
    uint64_t *value;    /* [slot][32] */
    uint8_t *undefined; /* [slot][32], a bit a byte */
    uint8_t *some;      /* [slot] 0: all of the row is defined */
    uint32_t pc[PTX_LANES];
    uint32_t exists;   /* lanes with a thread */
    uint32_t live;     /* of these, that have not exited */
    uint32_t blocked;  /* of these, that wait */
    uint32_t gathered; /* of the blocked, that wait for others at an instruction to be gathered */
    uint32_t number;   /* in its CTA */
    uint32_t priority;
    uint32_t turns;       /* choices between lanes that are apart */
    uint64_t events_seen; /* when its waits were asked last */
    struct ptx_wait wait[PTX_LANES];
    struct ptx_block local[PTX_LANES]; /* data NULL: none yet */
    void *hopper;
    void *hazard; /* what the watch of races keeps of it */
};

/* Sums of products without a rounding: each stays apart; is fused; or as the seed has it. */
enum ptx_fuse { PTX_FUSE_NONE, PTX_FUSE_ALL, PTX_FUSE_BY_SEED };

enum ptx_schedule { PTX_ROUND_ROBIN, PTX_RANDOM, PTX_PRIORITY, PTX_SCHEDULE_COUNT };

struct ptx_options {
    uint64_t seed;
    enum ptx_schedule schedule;
    enum ptx_time time;
    int32_t resident; /* CTAs at once, at least one cluster; 0: a default */
    enum ptx_fuse fuse;
    uint32_t
        shared_align;  /* dynamic shared memory begins at a multiple of it, as GPUs have it (1024);
                          0: at its declared alignment and no better, as the text has it */
    int32_t plain_mma; /* tensor cores sum in plain f32, not as an H100 does */
    uint64_t most_steps;   /* of warps without any end in sight: livelock; 0: a default */
    uint32_t reports_most; /* kept; 0: a default */
    enum ptx_rule without; /* for tests: reports of this rule are not made, and what broke it does
                              nothing; PTX_NO_RULE */
};

struct ptx_grid {
    const struct ptx_program *program;
    uint32_t grid[3], block[3], cluster[3]; /* cluster zeros: none, or the entry's own */
    uint32_t shared_bytes;                  /* dynamic */
    const void *const *args;                /* one pointer a formal */
};

struct ptx_machine {
    struct ptx_options options;
    struct ptx_block **blocks; /* by address */
    int32_t block_count, block_room;
    uint64_t next_address;
    int32_t last_block; /* found last */
    struct ptx_watch *watches;

    struct ptx_report *reports;
    uint32_t report_count;
    int32_t stopped; /* a report of class "value" came */

    /* of the grid that runs */
    const struct ptx_grid *grid;
    const struct ptx_program *program;
    uint32_t cluster_shape[3], ctas_per_cluster;
    struct ptx_block param;
    struct ptx_cluster *clusters; /* that live */
    uint64_t launched, cluster_total;
    uint32_t resident;
    struct ptx_warp **warps; /* of CTAs that live, in no order that matters */
    uint32_t warp_count, warp_room;
    struct ptx_effect *effects, **effects_end;
    uint64_t agents;  /* asynchronous operations begun */
    uint64_t random;  /* state */
    uint64_t step;    /* instructions of warps */
    uint64_t threads; /* instructions of threads */
    uint64_t events;
    uint64_t progress; /* step of the last sign of life */
    /* vprintf: the text so far; what is beyond the limit is dropped */
    char *print;
    uint64_t print_length;
};

/* NULL options: seed 0, round robin, eager. */
int ptx_machine_create(const struct ptx_options *options, struct ptx_machine **machine);
void ptx_machine_free(struct ptx_machine *machine);

/* Memory of the device, known to nobody. Blocks lie at multiples of 256 and of no more. */
int ptx_memory_allocate(struct ptx_machine *machine, uint64_t bytes, const char *name,
                        uint64_t *address);
int ptx_memory_free(struct ptx_machine *machine, uint64_t address);
/* Addresses without memory, and memory at them. */
int ptx_memory_reserve(struct ptx_machine *machine, uint64_t bytes, uint64_t *address);
int ptx_memory_map(struct ptx_machine *machine, uint64_t address, uint64_t bytes);
/* The block that has [address, address + bytes), NULL: none has it whole. */
struct ptx_block *ptx_memory_find(struct ptx_machine *machine, uint64_t address, uint64_t bytes);

/* The block that has the byte or is nearest to it, within a page; NULL: none. How far off it is:
 * side 0: it has the byte; -1: the byte lies before its first, 1: behind its last, counted from 1.
 */
const struct ptx_block *ptx_memory_near(const struct ptx_machine *machine, uint64_t address,
                                        uint64_t *distance, int *side);

/* A block's own memory, of shared, local and param spaces too. MOE_E_NOMEM. */
int ptx_block_create(struct ptx_block *block, uint64_t bytes);
void ptx_block_free(struct ptx_machine *machine, struct ptx_block *block);

int ptx_load(struct ptx_machine *machine, const struct ptx_module *module,
             struct ptx_loaded **loaded);
void ptx_unload(struct ptx_machine *machine, struct ptx_loaded *loaded);

/*
 * Runs a grid to its end. MOE_OK also where there are reports (machine->reports, of this run
 * alone); MOE_E_USAGE: a launch that cannot be; MOE_E_NOMEM.
 */
int ptx_run(struct ptx_machine *machine, const struct ptx_grid *grid);

/* The next number of the seed's. */
uint64_t ptx_random(struct ptx_machine *machine);
uint32_t ptx_random_below(struct ptx_machine *machine, uint32_t limit);

/* ---- for executors --------------------------------------------------------------------------- */

/* enum ptx_order of an access or fence | enum ptx_scope << 8. */
unsigned ptx_order_of(const struct ptx_instruction *instruction);
/* Where an access goes: the parameters of calls are a thread's own. */
enum ptx_space ptx_space_of(const struct ptx_code *code, const struct ptx_place *address);

static inline const uint64_t *ptx_row(const struct ptx_warp *warp, int32_t slot)
{
    return slot >= 0 ? warp->value + (int64_t)slot * PTX_LANES
                     : warp->program->constants + (int64_t)~slot * PTX_LANES;
}

static inline uint64_t *ptx_row_to(struct ptx_warp *warp, int32_t slot)
{
    return warp->value + (int64_t)slot * PTX_LANES;
}

/* Is any byte of a row undefined, in any lane? */
static inline int ptx_row_undefined(const struct ptx_warp *warp, int32_t slot)
{
    return slot >= 0 && warp->some[slot];
}

/* Undefined bytes of a lane. */
static inline uint8_t ptx_undefined(const struct ptx_warp *warp, int32_t slot, int lane)
{
    return ptx_row_undefined(warp, slot) ? warp->undefined[(int64_t)slot * PTX_LANES + lane] : 0;
}

/* Writes a lane's undefined bytes. */
void ptx_set_undefined(struct ptx_warp *warp, int32_t slot, int lane, uint8_t bytes);
/* All bytes of these lanes are defined. */
void ptx_set_defined_slow(struct ptx_warp *warp, int32_t slot, uint32_t lanes);
static inline void ptx_set_defined(struct ptx_warp *warp, int32_t slot, uint32_t lanes)
{
    if (warp->some[slot])
        ptx_set_defined_slow(warp, slot, lanes);
}

/* Reports where lanes' value of a source is undefined, which the rule forbids. 0, or reported. */
int ptx_require_defined(struct ptx_warp *warp, const struct ptx_code *code, int32_t slot,
                        uint32_t lanes, enum ptx_rule rule);

/* An instruction for whole warps is run by less than one: that is reported. 0: by all lanes. */
int ptx_part_of_warp(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes);

/* code->scalar over lanes, of slots a, b, c to d. Its undefined bytes, as code->spread says; before
 * d is written, which may be an operand. */
ptx_execute ptx_run_scalar;
ptx_execute ptx_spread_undefined;

/* The lane's local memory; NULL: there is no host memory for it, and that is reported. */
struct ptx_block *ptx_local(struct ptx_warp *warp, int lane);

/* A string in memory, cut to the room. */
void ptx_text(struct ptx_warp *warp, uint64_t address, char *text, int room);
/* printf of the format and the values at these addresses, onto machine->print; what vprintf
 * returns. */
int ptx_print(struct ptx_warp *warp, const struct ptx_code *code, int lane, uint64_t format,
              uint64_t values);

/* hopper.c: what a warp or CTA keeps of asynchronous instructions goes. */
void ptx_hopper_warp_end(struct ptx_warp *warp);
void ptx_hopper_cta_end(struct ptx_cta *cta);
/* hopper_flight.c: the instruction touches registers of wgmma. 0, or reported. */
int ptx_flight_touch(struct ptx_warp *warp, const struct ptx_code *code);
/* hopper_cluster.c: these lanes have exited, and the cluster's barrier does not wait for them. */
void ptx_cluster_after_exit(struct ptx_warp *warp, uint32_t lanes);

/* A warp of the CTA has ended: barriers for all may be complete. */
void ptx_barriers_after_exit(struct ptx_cta *cta);

/* Lanes end. */
void ptx_exit(struct ptx_warp *warp, uint32_t lanes);

#endif

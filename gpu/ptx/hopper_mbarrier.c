/*
 * hopper_mbarrier.c - mbarriers: a phase ends when as many have arrived as are expected and as many
 * bytes have come.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/hopper.h"
#include "ref/moe.h"

/* Who works on a barrier, for reports. */
struct worker {
    struct ptx_machine *machine;
    struct ptx_warp *warp;
    const struct ptx_code *code;
    int lane;
    uint64_t address;
};

#define COMPLAIN(worker, rule, ...)                                                                \
    ptx_report((worker)->machine, (worker)->warp, (worker)->code, (worker)->lane, rule,            \
               (worker)->address, __VA_ARGS__)

/* ---- the object ------------------------------------------------------------------------------ */

static uint64_t seal_of(const struct hopper_barrier *barrier)
{
    uint64_t z = barrier->phase << 40 ^ (uint64_t)barrier->pending << 20 ^ (uint64_t)barrier->bytes;
    z = (z + barrier->offset) * UINT64_C(0x9e3779b97f4a7c15);
    return z ^ z >> 29;
}

static void seal(const struct hopper_barrier *barrier, struct ptx_block *shared)
{
    const uint64_t word = seal_of(barrier);
    memcpy(shared->data + barrier->offset, &word, sizeof word);
    memset(shared->known + barrier->offset, 1, sizeof word);
}

static struct ptx_cta *owner_of(struct ptx_block *shared)
{
    return (struct ptx_cta *)((char *)shared - offsetof(struct ptx_cta, shared));
}

static struct hopper_barrier *find(struct hopper_cta *hopper, uint64_t offset)
{
    struct hopper_barrier *barrier = hopper ? hopper->barriers : NULL;
    while (barrier && barrier->offset != offset)
        barrier = barrier->next;
    return barrier;
}

static int in_shared(const struct worker *worker, const struct ptx_block *block)
{
    if (block->space == PTX_SPACE_SHARED)
        return 1;
    COMPLAIN(worker, PTX_RULE_MBARRIER_SHARED, "an mbarrier in '%s'", block->name);
    return 0;
}

/* The barrier, which is one; NULL: reported. */
static struct hopper_barrier *usable(const struct worker *worker, struct ptx_block *block,
                                     uint64_t offset)
{
    if (!in_shared(worker, block))
        return NULL;
    struct hopper_barrier *barrier = find(owner_of(block)->hopper, offset);
    if (!barrier || !barrier->valid) {
        COMPLAIN(worker, PTX_RULE_MBARRIER_BEGUN, "no mbarrier at shared address 0x%llx: %s",
                 (unsigned long long)worker->address,
                 barrier ? "mbarrier.inval ended it" : "it was not initialised");
        return NULL;
    }
    const uint64_t word = seal_of(barrier);
    if (memcmp(block->data + offset, &word, sizeof word) != 0) {
        COMPLAIN(worker, PTX_RULE_MBARRIER_WRITTEN,
                 "the mbarrier at shared address 0x%llx was written over",
                 (unsigned long long)worker->address);
        return NULL;
    }
    return barrier;
}

/* ---- what happens to it ---------------------------------------------------------------------- */

static void settle(struct ptx_machine *machine, struct hopper_barrier *barrier,
                   struct ptx_block *block)
{
    if (barrier->pending == 0 && barrier->bytes == 0) {
        barrier->phase++;
        barrier->pending = barrier->expected;
        for (struct ptx_watch *watch = machine->watches; watch; watch = watch->next)
            if (watch->complete)
                watch->complete(watch->data, barrier);
        machine->progress = machine->step;
        ptx_event(machine);
    }
    seal(barrier, block);
}

static int add_bytes(const struct worker *worker, struct hopper_barrier *barrier, int64_t bytes)
{
    barrier->bytes += bytes;
    if (barrier->bytes >= -HOPPER_COUNT_MAX && barrier->bytes <= HOPPER_COUNT_MAX)
        return 0;
    COMPLAIN(worker, PTX_RULE_TX_COUNT, "the mbarrier's tx-count becomes %lld",
             (long long)barrier->bytes);
    return 1;
}

static int arrive(const struct worker *worker, struct hopper_barrier *barrier, uint64_t count)
{
    if (count >= 1 && count <= barrier->pending) {
        barrier->pending -= (uint32_t)count;
        return 0;
    }
    COMPLAIN(worker, PTX_RULE_ARRIVALS,
             "more arrivals than expected: %llu where %u of %u are pending in phase %llu, and "
             "%lld bytes",
             (unsigned long long)count, barrier->pending, barrier->expected,
             (unsigned long long)barrier->phase, (long long)barrier->bytes);
    return 1;
}

/* The access to the object at an address of the cluster's shared memory by an engine, and the
 * barrier; NULL: reported. */
static struct hopper_barrier *by_engine(struct worker *worker, const struct ptx_effect *effect,
                                        struct ptx_block **block)
{
    struct ptx_access access;
    hopper_engine_access(effect, PTX_ATOMIC, PTX_PROXY_ASYNC, PTX_SPACE_SHARED_CLUSTER, 8, 8,
                         &access);
    access.order = PTX_ORDER_RELEASE;
    access.scope = PTX_SCOPE_CLUSTER;
    access.address[0] = worker->address;
    if (hopper_is_there(worker->machine, effect, worker->address) ||
        ptx_access(worker->machine, &access))
        return NULL;
    *block = access.block[0];
    return usable(worker, access.block[0], access.offset[0]);
}

int hopper_complete_bytes(struct ptx_machine *machine, const struct ptx_effect *effect,
                          uint64_t address, uint32_t bytes)
{
    struct worker worker = {machine, effect->warp, effect->code, effect->lane, address};
    struct ptx_block *block = NULL;
    struct hopper_barrier *barrier = by_engine(&worker, effect, &block);
    if (!barrier || add_bytes(&worker, barrier, -(int64_t)bytes))
        return 1;
    hopper_finished(machine, effect, barrier);
    settle(machine, barrier, block);
    return 0;
}

void hopper_arrive_later(struct ptx_machine *machine, const struct ptx_effect *effect,
                         uint64_t address)
{
    struct worker worker = {machine, effect->warp, effect->code, effect->lane, address};
    struct ptx_block *block = NULL;
    struct hopper_barrier *barrier = by_engine(&worker, effect, &block);
    if (!barrier || arrive(&worker, barrier, 1))
        return;
    hopper_finished(machine, effect, barrier);
    settle(machine, barrier, block);
}

int hopper_pending_one_more(struct ptx_warp *warp, const struct ptx_code *code, int lane,
                            uint64_t address)
{
    struct worker worker = {warp->machine, warp, code, lane, address};
    struct hopper_cta *hopper = hopper_cta(warp->cta);
    struct hopper_barrier *barrier = find(hopper, address & PTX_OFFSET_MASK);
    if (barrier && barrier->valid && barrier->pending == HOPPER_COUNT_MAX) {
        COMPLAIN(&worker, PTX_RULE_PENDING_COUNT,
                 "one more pending arrival than an mbarrier can count");
        return 1;
    }
    if (barrier && barrier->valid) {
        barrier->pending++;
        seal(barrier, &warp->cta->shared);
    }
    return 0;
}

/* ---- instructions ---------------------------------------------------------------------------- */

/* Every lane's object, which is operated on, or, by init and inval, written. 0, or reported. */
static int reach(struct ptx_warp *warp, const struct ptx_code *code, int place,
                 enum ptx_access_kind kind, uint32_t lanes, struct ptx_access *access)
{
    *access = (struct ptx_access){.warp = warp,
                                  .cta = warp->cta,
                                  .code = code,
                                  .lanes = lanes,
                                  .space = (enum ptx_space)code->space,
                                  .kind = kind,
                                  .order = (enum ptx_order)(code->how & 0xff),
                                  .scope = (enum ptx_scope)(code->how >> 8),
                                  .bytes = 8,
                                  .align = 8};
    return ptx_address(warp, code, &code->places[place], lanes, access->address) ||
           ptx_access(warp->machine, access);
}

static struct worker worker_of(struct ptx_warp *warp, const struct ptx_code *code, int lane,
                               const struct ptx_access *access)
{
    return (struct worker){warp->machine, warp, code, lane, access->address[lane]};
}

static void run_init(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    struct ptx_access access;
    if (ptx_require_defined(warp, code, code->a, lanes, PTX_RULE_UNKNOWN_INIT_COUNT) ||
        reach(warp, code, 0, PTX_WRITE, lanes, &access))
        return;
    for (uint32_t rest = lanes; rest && !warp->machine->stopped; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const struct worker worker = worker_of(warp, code, lane, &access);
        const uint64_t count = (uint32_t)ptx_row(warp, code->a)[lane];
        if (!in_shared(&worker, access.block[lane]))
            return;
        struct hopper_cta *hopper = hopper_cta(owner_of(access.block[lane]));
        struct hopper_barrier *barrier = find(hopper, access.offset[lane]);
        if (count < 1 || count > HOPPER_COUNT_MAX) {
            COMPLAIN(&worker, PTX_RULE_INIT_COUNT, "an mbarrier for %llu arrivals",
                     (unsigned long long)count);
            return;
        }
        if (barrier && barrier->valid) {
            COMPLAIN(&worker, PTX_RULE_INIT_AGAIN,
                     "the mbarrier at shared address 0x%llx is initialised again in its phase %llu",
                     (unsigned long long)worker.address, (unsigned long long)barrier->phase);
            return;
        }
        if (!barrier && hopper && (barrier = calloc(1, sizeof *barrier)) != NULL) {
            barrier->next = hopper->barriers;
            hopper->barriers = barrier;
        }
        if (!barrier) {
            ptx_report(warp->machine, warp, code, lane, PTX_RULE_NO_MEMORY, 0,
                       "no memory for an mbarrier");
            return;
        }
        barrier->offset = (uint32_t)access.offset[lane];
        barrier->valid = 1;
        barrier->expected = barrier->pending = (uint32_t)count;
        barrier->bytes = 0;
        barrier->phase = 0;
        seal(barrier, access.block[lane]);
    }
}

static void run_inval(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    struct ptx_access access;
    if (reach(warp, code, 0, PTX_WRITE, lanes, &access))
        return;
    for (uint32_t rest = lanes; rest && !warp->machine->stopped; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const struct worker worker = worker_of(warp, code, lane, &access);
        struct hopper_barrier *barrier = usable(&worker, access.block[lane], access.offset[lane]);
        if (!barrier)
            return;
        barrier->valid = 0;
        memset(access.known[lane], 0, 8);
    }
    ptx_event(warp->machine);
}

/* code: a: bytes; count: 1 expect, -1 complete. */
static void run_bytes(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    struct ptx_access access;
    if (ptx_require_defined(warp, code, code->a, lanes, PTX_RULE_UNKNOWN_TX_COUNT) ||
        reach(warp, code, 0, PTX_ATOMIC, lanes, &access))
        return;
    for (uint32_t rest = lanes; rest && !warp->machine->stopped; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const struct worker worker = worker_of(warp, code, lane, &access);
        struct hopper_barrier *barrier = usable(&worker, access.block[lane], access.offset[lane]);
        const int64_t bytes = (uint32_t)ptx_row(warp, code->a)[lane];
        if (!barrier || add_bytes(&worker, barrier, code->sign ? bytes : -bytes))
            return;
        settle(warp->machine, barrier, access.block[lane]);
    }
}

/* What mbarrier.arrive returns: the phase, and its pending count before. */
static uint64_t state_of(const struct hopper_barrier *barrier)
{
    return UINT64_C(1) << 63 | (barrier->phase & ((UINT64_C(1) << 43) - 1)) << 20 |
           barrier->pending;
}

enum { DROP = 1, RETURNS = 2 };

static int arrive_one(const struct worker *worker, const struct ptx_code *code,
                      struct hopper_barrier *barrier, uint64_t operand)
{
    const struct ptx_instruction *instruction = code->instruction;
    const int expects = ptx_has(instruction, PTX_W_EXPECT_TX);
    const uint64_t count = expects ? 1 : operand;
    if (expects && add_bytes(worker, barrier, (int64_t)operand))
        return 1;
    if (arrive(worker, barrier, count))
        return 1;
    if (instruction->opcode->data & DROP)
        barrier->expected -= (uint32_t)count;
    if (ptx_has(instruction, PTX_W_NOCOMPLETE) && barrier->pending == 0) {
        COMPLAIN(worker, PTX_RULE_NO_COMPLETE, "the last arrival of phase %llu",
                 (unsigned long long)barrier->phase);
        return 1;
    }
    return 0;
}

static void run_arrive(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    struct ptx_access access;
    const int returns = (code->instruction->opcode->data & RETURNS) != 0;
    if (ptx_require_defined(warp, code, code->a, lanes, PTX_RULE_UNKNOWN_ARRIVE_COUNT) ||
        reach(warp, code, returns, PTX_ATOMIC, lanes, &access))
        return;
    for (uint32_t rest = lanes; rest && !warp->machine->stopped; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const struct worker worker = worker_of(warp, code, lane, &access);
        struct hopper_barrier *barrier = usable(&worker, access.block[lane], access.offset[lane]);
        if (!barrier)
            return;
        const uint64_t state = state_of(barrier);
        if (arrive_one(&worker, code, barrier, (uint32_t)ptx_row(warp, code->a)[lane]))
            return;
        for (struct ptx_watch *watch = warp->machine->watches; watch; watch = watch->next)
            if (watch->arrive)
                watch->arrive(watch->data, warp, 1u << lane, barrier);
        settle(warp->machine, barrier, access.block[lane]);
        if (returns) {
            ptx_row_to(warp, code->d)[lane] = state;
            ptx_set_undefined(warp, code->d, lane, 0);
        }
    }
}

static void run_pending_count(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    if (ptx_require_defined(warp, code, code->a, lanes, PTX_RULE_UNKNOWN_STATE))
        return;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        ptx_row_to(warp, code->d)[lane] = ptx_row(warp, code->a)[lane] & 0xfffff;
        ptx_set_undefined(warp, code->d, lane, 0);
    }
}

/* ---- waiting --------------------------------------------------------------------------------- */

static struct hopper_barrier *waited_for(const struct ptx_warp *warp, int lane)
{
    return (struct hopper_barrier *)(uintptr_t)warp->wait[lane].argument[0];
}

static int wait_ready(struct ptx_warp *warp, int lane)
{
    const struct hopper_barrier *barrier = waited_for(warp, lane);
    return !barrier->valid || barrier->phase > warp->wait[lane].argument[1];
}

static void answer(struct ptx_warp *warp, const struct ptx_code *code, int lane,
                   const struct hopper_barrier *barrier, int done)
{
    ptx_row_to(warp, code->d)[lane] = (uint64_t)done;
    ptx_set_undefined(warp, code->d, lane, 0);
    for (struct ptx_watch *watch = done ? warp->machine->watches : NULL; watch; watch = watch->next)
        if (watch->leave)
            watch->leave(watch->data, warp, 1u << lane, barrier);
}

static void wait_wake(struct ptx_warp *warp, int lane)
{
    const struct hopper_barrier *barrier = waited_for(warp, lane);
    const struct ptx_wait *wait = &warp->wait[lane];
    const struct worker worker = {warp->machine, warp, wait->code, lane, wait->argument[2]};
    if (!barrier->valid)
        COMPLAIN(&worker, PTX_RULE_INVAL_WAITED, "mbarrier.inval while threads wait for phase %llu",
                 (unsigned long long)wait->argument[1]);
    else if (barrier->phase > wait->argument[1] + 1)
        COMPLAIN(&worker, PTX_RULE_PHASE_MISSED,
                 "a thread that waits for phase %llu looks again when the mbarrier is in phase "
                 "%llu: it may miss it",
                 (unsigned long long)wait->argument[1], (unsigned long long)barrier->phase);
    answer(warp, wait->code, lane, barrier, 1);
}

static void wait_describe(struct ptx_warp *warp, int lane, char *text, int length)
{
    const struct hopper_barrier *barrier = waited_for(warp, lane);
    snprintf(text, (size_t)length,
             "mbarrier 0x%llx, in phase %llu: %u of %u arrivals and %lld bytes pending",
             (unsigned long long)warp->wait[lane].argument[2], (unsigned long long)barrier->phase,
             barrier->pending, barrier->expected, (long long)barrier->bytes);
}

static const struct ptx_wait_kind mbarrier_wait = {wait_ready, wait_wake, wait_describe};

/* The phase that the lane's operand means, which may be over. 0, or reported. */
static int phase_meant(const struct worker *worker, const struct ptx_code *code,
                       const struct hopper_barrier *barrier, uint64_t operand, uint64_t *phase)
{
    if (ptx_has(code->instruction, PTX_W_PARITY)) {
        if (operand > 1) {
            COMPLAIN(worker, PTX_RULE_PARITY, "a phase parity of %llu",
                     (unsigned long long)operand);
            return 1;
        }
        *phase = (barrier->phase & 1) == operand ? barrier->phase : barrier->phase - 1;
        return 0;
    }
    *phase = operand >> 20 & ((UINT64_C(1) << 43) - 1);
    if (operand >> 63 && *phase <= barrier->phase && *phase + 1 >= barrier->phase)
        return 0;
    COMPLAIN(worker, PTX_RULE_STATE, "a state of phase %llu at an mbarrier in phase %llu",
             (unsigned long long)*phase, (unsigned long long)barrier->phase);
    return 1;
}

#define FALSE_ONE_IN 8 /* of try_waits that could wait */

static void run_wait(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    struct ptx_access access;
    const int may_block = (int)code->instruction->opcode->data;
    if (ptx_require_defined(warp, code, code->a, lanes, PTX_RULE_UNKNOWN_PHASE) ||
        reach(warp, code, 1, PTX_ATOMIC, lanes, &access))
        return;
    const int gives_up = !may_block || ptx_random_below(warp->machine, FALSE_ONE_IN) == 0;
    for (uint32_t rest = lanes; rest && !warp->machine->stopped; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const struct worker worker = worker_of(warp, code, lane, &access);
        struct hopper_barrier *barrier = usable(&worker, access.block[lane], access.offset[lane]);
        uint64_t phase = 0;
        if (!barrier || phase_meant(&worker, code, barrier, ptx_row(warp, code->a)[lane], &phase))
            return;
        if (barrier->phase != phase || gives_up) {
            answer(warp, code, lane, barrier, barrier->phase != phase);
            continue;
        }
        const struct ptx_wait wait = {
            &mbarrier_wait, code, {(uint64_t)(uintptr_t)barrier, phase, worker.address}};
        ptx_block_lanes(warp, 1u << lane, &wait);
    }
}

/* ---- decoding -------------------------------------------------------------------------------- */

static void set_order(const struct ptx_instruction *instruction, struct ptx_code *code,
                      enum ptx_order order)
{
    const unsigned given = ptx_order_of(instruction);
    code->how = (given & 0xff) == PTX_ORDER_WEAK ? order | PTX_SCOPE_CTA << 8 : given;
}

static int lower_object(struct ptx_build *build, const struct ptx_instruction *instruction,
                        struct ptx_code *code)
{
    (void)build;
    code->execute = instruction->opcode->data ? run_init : run_inval;
    set_order(instruction, code, PTX_ORDER_WEAK);
    return MOE_OK;
}

static int lower_bytes(struct ptx_build *build, const struct ptx_instruction *instruction,
                       struct ptx_code *code)
{
    (void)build;
    code->execute = run_bytes;
    code->sign = instruction->opcode->data != 0;
    set_order(instruction, code, PTX_ORDER_RELAXED);
    return MOE_OK;
}

static int lower_arrive(struct ptx_build *build, const struct ptx_instruction *instruction,
                        struct ptx_code *code)
{
    const unsigned how = instruction->opcode->data;
    const int address = (how & RETURNS) != 0;
    const int given = code->place_count > address + 1;
    code->execute = run_arrive;
    set_order(instruction, code, PTX_ORDER_RELEASE);
    if (!given && (ptx_has(instruction, PTX_W_EXPECT_TX) || ptx_has(instruction, PTX_W_NOCOMPLETE)))
        return ptx_refuse(build, "the count is missing");
    if (address && code->space == PTX_SPACE_SHARED_CLUSTER && code->places[0].kind == PTX_REGISTER)
        return ptx_refuse(build, "an mbarrier of .shared::cluster returns no state: use _");
    return given ? MOE_OK : ptx_build_constant(build, 1, &code->a);
}

static int lower_wait(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    (void)build;
    code->execute = run_wait;
    code->ends = 1;
    set_order(instruction, code, PTX_ORDER_ACQUIRE);
    return MOE_OK;
}

static int lower_pending_count(struct ptx_build *build, const struct ptx_instruction *instruction,
                               struct ptx_code *code)
{
    (void)build, (void)instruction;
    code->execute = run_pending_count;
    return MOE_OK;
}

#define SHARED "shared shared::cta"
#define ANY_SHARED "@scope shared shared::cta shared::cluster"
#define ARRIVE "release relaxed " ANY_SHARED " noComplete expect_tx"

const struct ptx_opcode ptx_opcodes_mbarrier[] = {
    {"mbarrier.init", SHARED, "b64", "A* Si", lower_object, 1, 0},
    {"mbarrier.inval", SHARED, "b64", "A*", lower_object, 0, 0},
    {"mbarrier.expect_tx", "relaxed " ANY_SHARED, "b64", "A* Si", lower_bytes, 1, 0},
    {"mbarrier.complete_tx", "relaxed " ANY_SHARED, "b64", "A* Si", lower_bytes, 0, 0},
    {"mbarrier.arrive", ARRIVE, "b64", "Dl A* Si?", lower_arrive, RETURNS, 0},
    {"mbarrier.arrive", ARRIVE, "b64", "A* Si?", lower_arrive, 0, 0},
    {"mbarrier.arrive_drop", ARRIVE, "b64", "Dl A* Si?", lower_arrive, DROP | RETURNS, 0},
    {"mbarrier.arrive_drop", ARRIVE, "b64", "A* Si?", lower_arrive, DROP, 0},
    {"mbarrier.test_wait", "acquire relaxed @scope parity " SHARED, "b64", "Pp A* S*", lower_wait,
     0, 0},
    {"mbarrier.try_wait", "acquire relaxed @scope parity " SHARED, "b64", "Pp A* S* Si?",
     lower_wait, 1, 0},
    {"mbarrier.pending_count", "", "b64", "Di Sl", lower_pending_count, 0, 0},
    {0},
};

/*
 * hopper_wgmma.c - wgmma.mma_async: when all four warps of a warpgroup have come to one, it is
 * under way; what it reads it reads when it is performed, which may be as late as the wait for its
 * group.
 *
 * Accumulators, and an A of registers, are the operation's from then on until a wait: who touches
 * them is found (hopper_flight.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/hopper_wgmma.h"
#include "ref/moe.h"

#define WARPS 4 /* of a warpgroup */

/* One operation that not every warp has come to, or that is under way. */
struct operation {
    const struct ptx_code *code;
    uint64_t number;        /* of the warpgroup's, from 0 */
    uint64_t a, b, scale_d; /* descriptors, and the predicate */
    uint64_t group[WARPS];  /* of each warp that has come */
    uint32_t come;          /* warps */
    struct wgmma_group *owner;
    struct operation *next;
};

struct wgmma_group {
    uint32_t number;                /* of the warpgroup in its CTA */
    struct operation *first, **end; /* that some warps have not come to */
    uint64_t begun;                 /* operations that all have come to */
    uint64_t issued[WARPS];
    struct wgmma_operands *operands; /* NULL: none yet */
    struct wgmma_group *next;
};

void wgmma_free(struct wgmma_group *groups)
{
    for (struct wgmma_group *next_group; groups; groups = next_group) {
        next_group = groups->next;
        for (struct operation *next, *operation = groups->first; operation; operation = next) {
            next = operation->next;
            free(operation);
        }
        free(groups->operands);
        free(groups);
    }
}

static struct wgmma_group *group_of(struct ptx_warp *warp)
{
    struct hopper_cta *hopper = hopper_cta(warp->cta);
    const uint32_t number = warp->number / WARPS;
    struct wgmma_group *group = hopper ? hopper->groups : NULL;
    while (group && group->number != number)
        group = group->next;
    if (!group && hopper && (group = calloc(1, sizeof *group)) != NULL) {
        group->number = number;
        group->end = &group->first;
        group->next = hopper->groups;
        hopper->groups = group;
    }
    if (!group)
        ptx_report(warp->machine, warp, NULL, -1, PTX_RULE_NO_MEMORY, 0,
                   "no memory for a warpgroup");
    return group;
}

/* ---- performing ------------------------------------------------------------------------------ */

static int perform(struct ptx_machine *machine, struct ptx_effect *effect)
{
    const struct operation *operation = effect->data;
    struct wgmma_group *group = operation->owner;
    if (!group->operands)
        group->operands = malloc(sizeof *group->operands);
    struct wgmma_operands *operands = group->operands;
    if (!operands) {
        ptx_report(machine, effect->warp, effect->code, -1, PTX_RULE_NO_MEMORY, 0,
                   "no memory for operands of wgmma");
        return 1;
    }
    if (wgmma_read(machine, effect, operation->a, operation->b, effect->warp, operands))
        return 1;
    wgmma_compute(machine, effect->code, (int)operation->scale_d, effect->warp, operands);
    hopper_finished(machine, effect, NULL);
    return 1;
}

static void free_operation(struct ptx_effect *effect)
{
    free(effect->data);
}

/* All warps have come: the operation is under way. */
static void begin(struct ptx_warp *warp, struct wgmma_group *group, struct operation *operation)
{
    struct ptx_cta *cta = warp->cta;
    struct ptx_effect *effect = malloc(sizeof *effect);
    group->first = operation->next;
    if (!group->first)
        group->end = &group->first;
    group->begun++;
    if (!effect) {
        ptx_report(warp->machine, warp, operation->code, -1, PTX_RULE_NO_MEMORY, 0,
                   "no memory for wgmma");
        free(operation);
        return;
    }
    *effect = (struct ptx_effect){.perform = perform,
                                  .free = free_operation,
                                  .cta = cta,
                                  .code = operation->code,
                                  .warp = &cta->warps[group->number * WARPS],
                                  .lanes = PTX_ALL_LANES,
                                  .queue = (uint64_t)(uintptr_t)group,
                                  .kind = PTX_GROUP_WGMMA,
                                  .group = operation->group[0],
                                  .agent = ++warp->machine->agents,
                                  .data = operation};
    hopper_start(warp->machine, effect);
    ptx_event(warp->machine);
}

/* ---- issuing --------------------------------------------------------------------------------- */

static int differs(struct ptx_warp *warp, const struct ptx_code *code, enum ptx_rule rule,
                   const char *what)
{
    ptx_report(warp->machine, warp, code, -1, rule, 0, "%s", what);
    return 1;
}

/* The value that all lanes have. 0, or reported. */
static int uniform(struct ptx_warp *warp, const struct ptx_code *code, int32_t slot,
                   enum ptx_rule unknown, uint64_t *value)
{
    const uint64_t *row = ptx_row(warp, slot);
    if (ptx_require_defined(warp, code, slot, PTX_ALL_LANES, unknown))
        return 1;
    for (int lane = 1; lane < PTX_LANES; lane++)
        if (row[lane] != row[0]) {
            ptx_report(warp->machine, warp, code, lane, PTX_RULE_DESCRIPTOR_LANES, row[lane],
                       "%s is 0x%llx in lane %d and 0x%llx in lane 0", ptx_rules[unknown].what,
                       (unsigned long long)row[lane], lane, (unsigned long long)row[0]);
            return 1;
        }
    *value = row[0];
    return 0;
}

/* The warp comes to the next operation of its warpgroup. */
static void come(struct ptx_warp *warp, const struct ptx_code *code, struct wgmma_group *group,
                 const struct operation *own)
{
    const uint32_t who = warp->number % WARPS;
    struct operation *operation = group->first;
    while (operation && operation->number != group->issued[who])
        operation = operation->next;
    if (!operation) {
        operation = malloc(sizeof *operation);
        if (!operation) {
            ptx_report(warp->machine, warp, code, -1, PTX_RULE_NO_MEMORY, 0, "no memory for wgmma");
            return;
        }
        *operation = *own;
        operation->number = group->issued[who];
        operation->next = NULL;
        *group->end = operation;
        group->end = &operation->next;
    }
    operation->group[who] = own->group[who];
    operation->come |= 1u << who;
    group->issued[who]++;
    if (operation->code != code) {
        char text[96];
        snprintf(text, sizeof text, "another warp of the warpgroup is at line %d",
                 operation->code->instruction->line);
        differs(warp, code, PTX_RULE_WGMMA_INSTRUCTION, text);
    } else if (operation->a != own->a || operation->b != own->b ||
               operation->scale_d != own->scale_d) {
        differs(warp, code, PTX_RULE_WGMMA_OPERANDS,
                "warps of one warpgroup give different descriptors or scale-d");
    } else if (operation->come == (1u << WARPS) - 1) {
        begin(warp, group, operation);
    }
}

static void run_mma(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const struct wgmma_form *form = wgmma_form_of(code);
    struct hopper_warp *hopper = hopper_warp(warp);
    struct wgmma_group *group = group_of(warp);
    struct operation own = {.code = code, .owner = group};
    if (!hopper || !group)
        return;
    if (lanes != PTX_ALL_LANES || warp->cta->warp_count < (warp->number / WARPS + 1) * WARPS) {
        differs(warp, code, PTX_RULE_WGMMA_THREADS, "not all threads of a warpgroup are there");
        return;
    }
    if (uniform(warp, code, code->b, PTX_RULE_UNKNOWN_DESCRIPTOR_B, &own.b) ||
        (!form->a_in_registers &&
         uniform(warp, code, code->a, PTX_RULE_UNKNOWN_DESCRIPTOR_A, &own.a)) ||
        uniform(warp, code, code->c, PTX_RULE_UNKNOWN_SCALE, &own.scale_d) ||
        hopper_flight_begin(warp, code, form))
        return;
    own.scale_d = (own.scale_d ^ form->negate_scale) & 1;
    own.group[warp->number % WARPS] = hopper->committed[PTX_GROUP_WGMMA][0];
    own.come = 1u << warp->number % WARPS;
    come(warp, code, group, &own);
}

/* ---- groups ---------------------------------------------------------------------------------- */

static void run_fence(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    hopper_flight_fence(warp);
    for (struct ptx_watch *watch = warp->machine->watches; watch; watch = watch->next)
        if (watch->fence)
            watch->fence(watch->data, warp, code, lanes);
}

static int is_waited_for(const struct operation *operation, uint32_t who, uint64_t below)
{
    return operation->come >> who & 1 && operation->group[who] < below;
}

struct limit {
    const struct wgmma_group *group;
    uint32_t who;
    uint64_t below;
};

static int is_below(const struct ptx_effect *effect, const void *argument)
{
    const struct limit *limit = argument;
    return effect->kind == PTX_GROUP_WGMMA && effect->queue == (uint64_t)(uintptr_t)limit->group &&
           is_waited_for(effect->data, limit->who, limit->below);
}

static uint64_t below_of(struct ptx_warp *warp, const struct ptx_code *code)
{
    const struct hopper_warp *hopper = warp->hopper;
    const uint64_t committed = hopper->committed[PTX_GROUP_WGMMA][0];
    return committed > code->data[0] ? committed - code->data[0] : 0;
}

static struct operation *not_all_came(struct ptx_warp *warp, uint64_t below)
{
    const struct wgmma_group *group = group_of(warp);
    struct operation *operation = group ? group->first : NULL;
    while (operation && !is_waited_for(operation, warp->number % WARPS, below))
        operation = operation->next;
    return operation;
}

static int wait_ready(struct ptx_warp *warp, int lane)
{
    return !not_all_came(warp, warp->wait[lane].argument[0]);
}

/* The first lane that goes on does it for all. */
static void finish_below(struct ptx_warp *warp, uint64_t below)
{
    const struct limit limit = {group_of(warp), warp->number % WARPS, below};
    ptx_async_force(warp->machine, is_below, &limit);
    hopper_flight_end(warp, below);
    for (struct ptx_watch *watch = warp->machine->watches; watch; watch = watch->next)
        if (watch->join)
            watch->join(watch->data, warp, PTX_ALL_LANES, PTX_GROUP_WGMMA, below, 0);
}

static void wait_wake(struct ptx_warp *warp, int lane)
{
    if (lane == 0)
        finish_below(warp, warp->wait[lane].argument[0]);
}

static void wait_describe(struct ptx_warp *warp, int lane, char *text, int length)
{
    const struct operation *operation = not_all_came(warp, warp->wait[lane].argument[0]);
    snprintf(text, (size_t)length,
             "the other warps of its warpgroup (0x%x have come) at the wgmma of line %d",
             operation ? operation->come : 0, operation ? operation->code->instruction->line : 0);
}

static const struct ptx_wait_kind wgmma_wait = {wait_ready, wait_wake, wait_describe};

static void run_wait_group(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    if (!hopper_warp(warp))
        return;
    const uint64_t below = below_of(warp, code);
    if (!not_all_came(warp, below)) {
        finish_below(warp, below);
        return;
    }
    const struct ptx_wait wait = {&wgmma_wait, code, {below, 0, 0}};
    ptx_block_lanes(warp, lanes, &wait);
}

/* ---- decoding -------------------------------------------------------------------------------- */

static int lower_mma(struct ptx_build *build, const struct ptx_instruction *instruction,
                     struct ptx_code *code)
{
    code->execute = run_mma;
    return wgmma_lower(build, instruction, code);
}

static int lower_group(struct ptx_build *build, const struct ptx_instruction *instruction,
                       struct ptx_code *code)
{
    static ptx_execute *const executes[] = {run_fence, hopper_commit, run_wait_group};
    const unsigned which = instruction->opcode->data;
    (void)build;
    code->execute = executes[which];
    code->count = PTX_GROUP_WGMMA;
    code->ends = which == 2;
    if (which == 2)
        code->data[0] = code->places[0].offset;
    return MOE_OK;
}

const struct ptx_opcode ptx_opcodes_wgmma[] = {
    {"wgmma.fence", "sync aligned", "", "", lower_group, 0, PTX_GATHER_ALIGNED},
    {"wgmma.commit_group", "sync aligned", "", "", lower_group, 1, PTX_GATHER_ALIGNED},
    {"wgmma.wait_group", "sync aligned", "", "Ii", lower_group, 2, PTX_GATHER_ALIGNED},
    {"wgmma.mma_async", "sync aligned satfinite sp and popc",
     "f16 f32 s32;f16 bf16 tf32 e4m3 e5m2 s8 u8 b1;f16 bf16 tf32 e4m3 e5m2 s8 u8 b1",
     "X* M* Sl Bp M*? M*? M*? M*? M*?", lower_mma, 0, PTX_GATHER_ALIGNED},
    {0},
};

/*
 * exec_hint.c - what has no effect on values: hints for caches, waits for some time.
 */
#include <stddef.h>

#include "gpu/ptx/machine.h"
#include "ref/moe.h"

static void run_nothing(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    (void)warp, (void)code, (void)lanes;
}

static int lower_nothing(struct ptx_build *build, const struct ptx_instruction *instruction,
                         struct ptx_code *code)
{
    (void)build, (void)instruction;
    code->execute = run_nothing;
    code->ends = instruction->opcode->data != 0; /* nanosleep: others go first */
    return MOE_OK;
}

/* A policy is a number that hints take and nobody looks into. */
static void run_policy(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    for (uint32_t rest = lanes; rest; rest &= rest - 1)
        ptx_row_to(warp, code->d)[__builtin_ctz(rest)] = UINT64_C(0x1000000000000000);
    ptx_set_defined(warp, code->d, lanes);
}

static int lower_policy(struct ptx_build *build, const struct ptx_instruction *instruction,
                        struct ptx_code *code)
{
    (void)build, (void)instruction;
    code->execute = run_policy;
    return MOE_OK;
}

/* What is discarded is known to nobody. */
static void run_discard(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    struct ptx_access access = {.warp = warp,
                                .cta = warp->cta,
                                .code = code,
                                .lanes = lanes,
                                .space = (enum ptx_space)code->space,
                                .kind = PTX_WRITE,
                                .bytes = 128,
                                .align = 128};
    if (ptx_address(warp, code, &code->places[0], lanes, access.address) ||
        ptx_access(warp->machine, &access))
        return;
    for (uint32_t rest = lanes; rest; rest &= rest - 1)
        for (int i = 0; i < 128; i++)
            access.known[__builtin_ctz(rest)][i] = 0;
}

static int lower_discard(struct ptx_build *build, const struct ptx_instruction *instruction,
                         struct ptx_code *code)
{
    (void)build, (void)instruction;
    code->execute = run_discard;
    return MOE_OK;
}

#define EVICTIONS "L2::evict_last L2::evict_normal L2::evict_first L2::evict_unchanged"

const struct ptx_opcode ptx_opcodes_hint[] = {
    {"nanosleep", "", "u32", "Si", lower_nothing, 1, 0},
    {"prefetch", "@space L1 L2 L2::evict_last L2::evict_normal tensormap", "", "A*", lower_nothing,
     0, 0},
    {"prefetchu", "L1", "", "A*", lower_nothing, 0, 0},
    {"discard", "global L2", "", "A* Ii", lower_discard, 0, 0},
    {"applypriority", "global L2::evict_normal", "", "A* Ii", lower_nothing, 0, 0},
    {"createpolicy", "fractional " EVICTIONS, "b64", "Dl S*?", lower_policy, 0, 0},
    {"createpolicy", "range global " EVICTIONS, "b64", "Dl A* Si Si", lower_policy, 0, 0},
    {"createpolicy", "cvt L2", "b64", "Dl Sl", lower_policy, 0, 0},
    /* Grids run one after the other: what is waited for has happened. */
    {"griddepcontrol.wait", "", "", "", lower_nothing, 0, 0},
    {"griddepcontrol.launch_dependents", "", "", "", lower_nothing, 0, 0},
    {"pmevent", "", "", "Ii", lower_nothing, 0, 0},
    {0},
};

/*
 * hopper_registers.c - setmaxnreg: registers of a CTA move between its warps, and who wants more
 * waits until others have given.
 */
#include <stdio.h>

#include "gpu/ptx/hopper.h"
#include "ref/moe.h"

/* Registers of a thread at launch: as the function says, or as many as its threads leave each other
 * of those that a multiprocessor has. */
static uint32_t at_launch(const struct ptx_warp *warp)
{
    const struct ptx_function *entry = warp->program->entry;
    const uint32_t ctas = entry->minnctapersm > 0 ? (uint32_t)entry->minnctapersm : 1;
    const uint32_t threads = warp->cta->warp_count * PTX_LANES * ctas;
    const uint32_t share = HOPPER_REGISTERS / threads / 8 * 8;
    if (entry->maxnreg > 0)
        return (uint32_t)entry->maxnreg;
    return share > 255 ? 255 : share;
}

static uint32_t *registers_of(struct ptx_warp *warp)
{
    struct hopper_warp *hopper = hopper_warp(warp);
    if (hopper && !hopper->registers)
        hopper->registers = at_launch(warp);
    return hopper ? &hopper->registers : NULL;
}

static int take(struct ptx_warp *warp, uint32_t count)
{
    struct hopper_cta *hopper = hopper_cta(warp->cta);
    uint32_t *registers = registers_of(warp);
    if (!hopper || !registers)
        return 1;
    const uint32_t more = (count - *registers) * PTX_LANES;
    if (hopper->registers_free < more)
        return 0;
    hopper->registers_free -= more;
    *registers = count;
    return 1;
}

static int inc_ready(struct ptx_warp *warp, int lane)
{
    const uint32_t count = (uint32_t)warp->wait[lane].argument[0];
    /* The first lane takes them for all. */
    return *registers_of(warp) == count || take(warp, count);
}

static void inc_describe(struct ptx_warp *warp, int lane, char *text, int length)
{
    const struct hopper_cta *hopper = warp->cta->hopper;
    const uint32_t have = *registers_of(warp), want = (uint32_t)warp->wait[lane].argument[0];
    snprintf(text, (size_t)length, "%u registers more, %u are free in its CTA",
             (want - have) * PTX_LANES, hopper ? hopper->registers_free : 0);
}

static const struct ptx_wait_kind inc_wait = {inc_ready, NULL, inc_describe};

/* data[0]: the count; sign: more. */
static void run(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    struct hopper_cta *hopper = hopper_cta(warp->cta);
    uint32_t *registers = registers_of(warp);
    const uint32_t count = (uint32_t)code->data[0];
    if (!hopper || !registers)
        return;
    if (code->sign ? count < *registers : count > *registers) {
        ptx_report(warp->machine, warp, code, -1, PTX_RULE_SETMAXNREG, count,
                   "setmaxnreg%s to %u registers where a thread has %u",
                   code->sign ? ".inc" : ".dec", count, *registers);
        return;
    }
    if (!code->sign) {
        hopper->registers_free += (*registers - count) * PTX_LANES;
        *registers = count;
        warp->machine->progress = warp->machine->step;
        ptx_event(warp->machine);
    } else if (!take(warp, count)) {
        const struct ptx_wait wait = {&inc_wait, code, {count, 0, 0}};
        ptx_block_lanes(warp, lanes, &wait);
    }
}

static int lower(struct ptx_build *build, const struct ptx_instruction *instruction,
                 struct ptx_code *code)
{
    const uint64_t count = code->places[0].offset;
    code->execute = run;
    code->ends = 1;
    code->sign = instruction->opcode->data != 0;
    code->data[0] = count;
    return count >= 24 && count <= 256 && count % 8 == 0
               ? MOE_OK
               : ptx_refuse(build, "the count is a multiple of 8 from 24 to 256");
}

const struct ptx_opcode ptx_opcodes_registers[] = {
    {"setmaxnreg.inc", "sync aligned", "u32", "Ii", lower, 1, PTX_GATHER_ALIGNED},
    {"setmaxnreg.dec", "sync aligned", "u32", "Ii", lower, 0, PTX_GATHER_ALIGNED},
    {0},
};

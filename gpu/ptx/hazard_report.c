/*
 * hazard_report.c - two accesses in words.
 */
#include <stdio.h>
#include <string.h>

#include "gpu/ptx/hazard_own.h"

/* "write of line 12, st.shared.f32 (a.cu:3), by CTA 0,0,0 thread 5,0,0" */
static void say_other(const struct hazard *hazard, const struct meeting *meeting, char *text,
                      int length)
{
    const struct ptx_machine *machine = hazard->machine;
    const struct ptx_grid *grid = machine->grid;
    const struct agent *agent = hazard_agent_of(hazard, meeting->agent);
    const uint32_t index = meeting->site & SITE_MAX, cta = agent->cta;
    const struct ptx_instruction *instruction = machine->program->code[index].instruction;
    const uint32_t thread = agent->warp * PTX_LANES + (uint32_t)meeting->other_lane;
    char name[80], source[120];
    ptx_instruction_text(instruction, name, sizeof name);
    ptx_location_text(machine->program->loaded->module, instruction->location, source,
                      sizeof source);
    int used = snprintf(text, (size_t)length, "%s of line %d, %s%s%s%s, by CTA %u,%u,%u ",
                        meeting->site >> SITE_HOW & MARK_ATOMIC ? "atomic operation"
                        : meeting->other_writes                 ? "write"
                                                                : "read",
                        instruction->line, name, source[0] ? " (" : "", source,
                        source[0] ? ")" : "", cta % grid->grid[0],
                        cta / grid->grid[0] % grid->grid[1], cta / grid->grid[0] / grid->grid[1]);
    if (used >= length)
        return;
    if (agent->code)
        snprintf(text + used, (size_t)(length - used), "asynchronously");
    else
        snprintf(text + used, (size_t)(length - used), "thread %u,%u,%u", thread % grid->block[0],
                 thread / grid->block[0] % grid->block[1],
                 thread / grid->block[0] / grid->block[1]);
}

/* Is the other access this very instruction, by another lane that has not stored yet? */
static int is_of_one_store(const struct meeting *meeting)
{
    const struct ptx_access *access = meeting->access;
    const struct hazard_warp *warp = access->warp->hazard;
    const uint64_t index = (uint64_t)(access->code - access->cta->machine->program->code);
    const int other = meeting->other_lane;
    return meeting->other_writes && (meeting->site & SITE_MAX) == index &&
           meeting->agent == warp->agent && access->lanes >> other & 1 &&
           access->block[other] == access->block[meeting->lane] &&
           meeting->offset >= access->offset[other] &&
           meeting->offset + meeting->bytes <= access->offset[other] + access->bytes;
}

/* Does the write leave these bytes as they are, or as another lane of it makes them? */
static int changes_nothing(const struct meeting *meeting)
{
    const struct ptx_access *access = meeting->access;
    const int other = meeting->other_lane;
    uint8_t stored[32], others[32];
    if (!access->warp || access->kind != PTX_WRITE || !ptx_is_store(access->code))
        return 0;
    const uint64_t from = meeting->offset - access->offset[meeting->lane];
    ptx_stored(access->warp, access->code, meeting->lane, stored);
    if (is_of_one_store(meeting)) {
        ptx_stored(access->warp, access->code, other, others);
        return !memcmp(stored + from, others + (meeting->offset - access->offset[other]),
                       meeting->bytes);
    }
    return !memcmp(stored + from, access->data[meeting->lane] + from, meeting->bytes);
}

static void report(struct hazard *hazard, const struct meeting *meeting, enum ptx_rule rule)
{
    static const char *const kinds[] = {"read", "write", "atomic operation"};
    const struct ptx_access *access = meeting->access;
    const struct ptx_block *block = access->block[meeting->lane];
    char other[360];
    say_other(hazard, meeting, other, sizeof other);
    ptx_report(hazard->machine, access->warp, access->code, access->warp ? meeting->lane : -1, rule,
               access->address[meeting->lane], "%s at '%s' + %llu and %s: %s", kinds[access->kind],
               block->name, (unsigned long long)meeting->offset, other, ptx_rules[rule].what);
}

void hazard_report_race(struct hazard *hazard, const struct meeting *meeting)
{
    report(hazard, meeting, changes_nothing(meeting) ? PTX_RULE_RACE_ALIKE : PTX_RULE_RACE);
}

void hazard_report_proxy(struct hazard *hazard, const struct meeting *meeting)
{
    const unsigned how = meeting->site >> SITE_HOW;
    report(hazard, meeting,
           meeting->access->proxy == PTX_PROXY_TENSORMAP ? PTX_RULE_PROXY_MAP
           : how & MARK_BEGIN                            ? PTX_RULE_PROXY_MBARRIER
           : how & MARK_COPY                             ? PTX_RULE_PROXY_COPY
                                                         : PTX_RULE_PROXY);
}

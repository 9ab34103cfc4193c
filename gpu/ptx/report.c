/*
 * report.c - what the machine has to say, in words.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/machine.h"
#include "gpu/ptx/schedule.h"

static int is_known(const struct ptx_machine *machine, enum ptx_rule rule, int32_t line)
{
    for (uint32_t i = 0; i < machine->report_count; i++)
        if (machine->reports[i].rule == rule && machine->reports[i].line == line)
            return 1;
    return 0;
}

static void say_where(struct ptx_report *report, const struct ptx_warp *warp, int lane)
{
    for (int i = 0; i < 3; i++)
        report->thread[i] = report->cta[i] = UINT32_MAX;
    if (!warp)
        return;
    memcpy(report->cta, warp->cta->id, sizeof report->cta);
    if (lane < 0)
        return;
    const uint32_t thread = warp->number * PTX_LANES + (uint32_t)lane;
    const uint32_t *block = warp->machine->grid->block;
    report->thread[0] = thread % block[0];
    report->thread[1] = thread / block[0] % block[1];
    report->thread[2] = thread / block[0] / block[1];
}

void ptx_report(struct ptx_machine *machine, struct ptx_warp *warp, const struct ptx_code *code,
                int lane, enum ptx_rule rule, uint64_t address, const char *format, ...)
{
    const struct ptx_rule_row *row = &ptx_rules[rule];
    const int32_t line = code ? code->instruction->line : 0;
    if (rule == machine->options.without)
        return;
    if (row->class == PTX_REPORT_VALUE)
        machine->stopped = 1;
    /* The last place is kept for what stops the machine. */
    const uint32_t room_for = machine->options.reports_most - (row->class == PTX_REPORT_TEXT);
    if (is_known(machine, rule, line) || machine->report_count >= room_for)
        return;
    struct ptx_report *report = &machine->reports[machine->report_count++];
    *report = (struct ptx_report){.rule = rule,
                                  .kind = row->kind,
                                  .class = row->class,
                                  .line = line,
                                  .address = address,
                                  .step = machine->step};
    say_where(report, warp, lane);
    char *text = report->message;
    int used = 0;
    const int room = (int)sizeof report->message;
    used += snprintf(text, (size_t)room, "%s: ", ptx_report_kind_name(row->kind));
    va_list arguments;
    va_start(arguments, format);
    used += vsnprintf(text + used, (size_t)(room - used), format, arguments);
    va_end(arguments);
    if (code) {
        char name[80];
        ptx_location_text(machine->program->loaded->module, code->instruction->location,
                          report->source, sizeof report->source);
        ptx_instruction_text(code->instruction, name, sizeof name);
        if (used < room)
            used += snprintf(text + used, (size_t)(room - used), "; line %d, %s%s%s%s", line, name,
                             report->source[0] ? " (" : "", report->source,
                             report->source[0] ? ")" : "");
    }
    if (warp && used < room)
        used += snprintf(text + used, (size_t)(room - used), "; CTA %u,%u,%u", report->cta[0],
                         report->cta[1], report->cta[2]);
    if (warp && lane >= 0 && used < room)
        used += snprintf(text + used, (size_t)(room - used), " thread %u,%u,%u", report->thread[0],
                         report->thread[1], report->thread[2]);
    if (row->text && used < room)
        snprintf(text + used, (size_t)(room - used), " [%s]", row->text);
}

/* ---- deadlocks: every waiter, those that wait alike in one line -------------------------------
 */

static int same_wait(const struct ptx_wait *a, const struct ptx_wait *b)
{
    return a->kind == b->kind && a->code == b->code &&
           !memcmp(a->argument, b->argument, sizeof a->argument);
}

/* Lanes of the warp that wait as its lane does. */
static uint32_t lanes_alike(const struct ptx_warp *warp, const struct ptx_wait *wait)
{
    uint32_t alike = 0;
    for (uint32_t rest = warp->live & warp->blocked; rest; rest &= rest - 1)
        if (same_wait(wait, &warp->wait[__builtin_ctz(rest)]))
            alike |= rest & -rest;
    return alike;
}

/* The warps of the CTA from this one on whose lanes wait so: "2, 3, 4". 1: an earlier one does, and
 * has said it. */
static int say_warps(const struct ptx_warp *warp, const struct ptx_wait *wait, uint32_t alike,
                     char *text, int room)
{
    const struct ptx_cta *cta = warp->cta;
    int used = 0;
    for (uint32_t w = 0; w < cta->warp_count && used < room; w++) {
        if (lanes_alike(&cta->warps[w], wait) != alike)
            continue;
        if (w < warp->number)
            return 1;
        used += snprintf(text + used, (size_t)(room - used), "%s%u", used ? ", " : "", w);
    }
    return 0;
}

static int say_warp(struct ptx_warp *warp, char *text, int used, int room)
{
    uint32_t left = warp->live & warp->blocked;
    while (left && used < room) {
        const int lane = __builtin_ctz(left);
        const struct ptx_wait *wait = &warp->wait[lane];
        const uint32_t alike = lanes_alike(warp, wait);
        char what[200] = "", warps[120];
        left &= ~alike;
        if (say_warps(warp, wait, alike, warps, sizeof warps))
            continue;
        if (wait->kind->describe)
            wait->kind->describe(warp, lane, what, sizeof what);
        used +=
            snprintf(text + used, (size_t)(room - used),
                     "; CTA %u,%u,%u warp %s lanes 0x%08x at line %d (%s) for %s", warp->cta->id[0],
                     warp->cta->id[1], warp->cta->id[2], warps, alike,
                     wait->code->instruction->line, wait->code->instruction->opcode->name, what);
    }
    return used;
}

void ptx_report_deadlock(struct ptx_machine *machine, int live)
{
    char text[sizeof machine->reports->message - 64];
    const int room = (int)sizeof text;
    int used = 0;
    text[0] = '\0';
    const struct ptx_code *code = NULL;
    struct ptx_warp *first = NULL;
    for (uint32_t w = 0; w < machine->warp_count && used < room; w++) {
        struct ptx_warp *warp = machine->warps[w];
        const uint32_t blocked = warp->live & warp->blocked;
        if (blocked && !code) {
            code = warp->wait[__builtin_ctz(blocked)].code;
            first = warp;
        }
        used = say_warp(warp, text, used, room);
        const uint32_t running = ptx_warp_ready(warp);
        if (live && running && used < room) {
            const uint32_t pc = warp->pc[__builtin_ctz(running)];
            if (!code) {
                code = &warp->program->code[pc];
                first = warp;
            }
            used += snprintf(text + used, (size_t)(room - used),
                             "; CTA %u,%u,%u warp %u lanes 0x%08x run at line %d", warp->cta->id[0],
                             warp->cta->id[1], warp->cta->id[2], warp->number, running,
                             warp->program->code[pc].instruction->line);
        }
    }
    const enum ptx_rule rule = live ? PTX_RULE_LIVELOCK : PTX_RULE_DEADLOCK;
    ptx_report(machine, first, code, -1, rule, 0, "%s%s", ptx_rules[rule].what, text);
    machine->stopped = 1; /* with the rule left out, too */
}

/*
 * arena_trap.c - see arena_trap.h. The handler reads the arena's table, which nobody changes while
 * it is armed, and calls write() and nothing else; it is gone before it runs (SA_RESETHAND), so
 * that on its return the same access ends the process.
 */
#define _GNU_SOURCE /* sigaction, siginfo_t */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "verify/arena_trap.h"

static const struct moe_arena *watched;
static struct sigaction before;
static int channel = STDERR_FILENO;

void moe_trap_channel(int fd)
{
    channel = fd;
}

/* ---- words without the C library's buffers ----------------------------------------------------
 */

struct line {
    char *text;
    int length, room;
};

static void add(struct line *line, const char *words)
{
    while (*words && line->length < line->room - 1)
        line->text[line->length++] = *words++;
    line->text[line->length] = '\0';
}

static void add_number(struct line *line, int64_t number)
{
    char digits[24];
    int at = sizeof digits - 1;
    digits[at] = '\0';
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    add(line, digits + at);
}

/* The buffer that the address is nearest to, and how far it is behind its end (from 0) or before
 * its begin (below 0); inside of it: *inside. */
static const struct moe_region *nearest(const struct moe_arena *arena, const char *address,
                                        int64_t *distance, int *inside)
{
    const struct moe_region *found = NULL;
    int64_t least = INT64_MAX;
    for (int id = 0; id < MOE_ARENA_REGIONS; id++) {
        const struct moe_region *region = &arena->region[id];
        const char *begin = region->tensor.data;
        if (!begin)
            continue;
        int64_t behind = address - (begin + region->span), ahead = begin - address;
        int64_t away = behind >= 0 ? behind : ahead > 0 ? ahead : -1;
        if (away >= least)
            continue;
        least = away;
        found = region;
        *inside = away < 0;
        *distance = behind >= 0 ? behind : -ahead;
    }
    return found;
}

void moe_trap_tell(const struct moe_arena *arena, const void *address, char *text, int size)
{
    struct line line = {text, 0, size};
    int64_t distance = 0;
    int inside = 0;
    const struct moe_region *region = NULL;
    text[0] = '\0';
    if ((const char *)address >= arena->base && (const char *)address < arena->base + arena->size)
        region = nearest(arena, address, &distance, &inside);
    if (!region)
        return;
    if (inside && moe_rows_count(&region->tensor) > 1) {
        add(&line, "between the rows of ");
    } else if (inside) {
        add(&line, "a write to ");
    } else {
        add_number(&line, distance < 0 ? -distance : distance);
        add(&line, distance < 0 ? " bytes before " : " bytes behind the end of ");
    }
    add(&line, region->name);
}

/* ---- the handler ------------------------------------------------------------------------------
 */

static void on_fault(int number, siginfo_t *info, void *context)
{
    char text[128] = "fault ";
    (void)number, (void)context;
    moe_trap_tell(watched, info->si_addr, text + 6, (int)sizeof text - 8);
    if (!text[6])
        return;
    size_t length = strlen(text);
    text[length] = '\n';
    ssize_t written = write(channel, text, length + 1);
    (void)written; /* there is nobody left to tell */
}

void moe_trap_arm(const struct moe_arena *arena)
{
    struct sigaction action = {.sa_sigaction = on_fault,
                               .sa_flags = SA_SIGINFO | (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    watched = arena;
    sigaction(SIGSEGV, &action, &before);
}

void moe_trap_disarm(void)
{
    sigaction(SIGSEGV, &before, NULL);
    watched = NULL;
}

/*
 * arena_trap.h - which buffer a fault was at: told on the way down, since a process that has
 * touched an unmapped page tells nothing after.
 */
#ifndef MOE_ARENA_TRAP_H
#define MOE_ARENA_TRAP_H

#include "verify/arena.h"

/* Where the line goes: a descriptor; standard error where nothing else is said. */
void moe_trap_channel(int fd);

/* From here on a fault at an address of the arena writes "fault PLACE\n" there, such as
 * "fault 2 bytes behind the end of x", and then ends the process as it would have. */
void moe_trap_arm(const struct moe_arena *arena);
void moe_trap_disarm(void);

/* What the line says of an address; "" where it is not of the arena. Async-signal-safe. */
void moe_trap_tell(const struct moe_arena *arena, const void *address, char *text, int size);

#endif

/*
 * arena.h - memory that goes as a whole.
 */
#ifndef MOE_GPU_PTX_ARENA_H
#define MOE_GPU_PTX_ARENA_H

#include <stddef.h>

struct ptx_arena;

struct ptx_arena *ptx_arena_create(void); /* NULL: no memory */
void ptx_arena_free(struct ptx_arena *arena);

/* Zeroed, aligned for anything. NULL: no memory. */
void *ptx_arena_take(struct ptx_arena *arena, size_t count, size_t bytes);
char *ptx_arena_text(struct ptx_arena *arena, const char *text, size_t length);

#endif

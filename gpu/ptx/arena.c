/*
 * arena.c - memory that goes as a whole: pieces are cut from chunks, large ones have their own.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/arena.h"

#define CHUNK_BYTES 65536
#define ALIGN 16

struct chunk {
    struct chunk *next;
    size_t used, room;
};

struct ptx_arena {
    struct chunk *chunks;
};

static size_t header(void)
{
    return (sizeof(struct chunk) + ALIGN - 1) / ALIGN * ALIGN;
}

struct ptx_arena *ptx_arena_create(void)
{
    return calloc(1, sizeof(struct ptx_arena));
}

void ptx_arena_free(struct ptx_arena *arena)
{
    if (!arena)
        return;
    for (struct chunk *next, *chunk = arena->chunks; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(arena);
}

void *ptx_arena_take(struct ptx_arena *arena, size_t count, size_t bytes)
{
    if (bytes && count > (SIZE_MAX - CHUNK_BYTES) / bytes)
        return NULL;
    const size_t size = (count * bytes + ALIGN - 1) / ALIGN * ALIGN;
    struct chunk *chunk = arena->chunks;
    if (!chunk || chunk->room - chunk->used < size) {
        const size_t room = size > CHUNK_BYTES ? size : CHUNK_BYTES;
        struct chunk *made = calloc(1, header() + room);
        if (!made)
            return NULL;
        made->room = room;
        /* A large piece goes behind the chunk in use, which may have room still. */
        if (chunk && size > CHUNK_BYTES / 4) {
            made->next = chunk->next;
            chunk->next = made;
        } else {
            made->next = chunk;
            arena->chunks = made;
        }
        chunk = made;
    }
    void *piece = (char *)chunk + header() + chunk->used;
    chunk->used += size;
    return piece;
}

char *ptx_arena_text(struct ptx_arena *arena, const char *text, size_t length)
{
    char *copy = ptx_arena_take(arena, length + 1, 1);
    if (copy)
        memcpy(copy, text, length);
    return copy;
}

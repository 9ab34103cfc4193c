/*
 * shrink.c - makes a case smaller as long as it still fails.
 *
 * Kinds of edits are tried in turn, each until none of it fails, and all again until nothing has
 * changed. A case that was tried is not tried again: that a smaller one passed does not change.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz/shrink.h"

/* Hashes of the lines of cases that did not fail. */
struct memory {
    uint64_t *hash;
    int64_t count, capacity;
};

/* FNV-1a, 64 bits. */
static uint64_t hash_of(const struct moe_problem *problem)
{
    char line[1024];
    uint64_t hash = 0xcbf29ce484222325u;
    moe_problem_print(problem, line, sizeof line);
    for (const char *c = line; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    return hash;
}

static int remembers(const struct memory *memory, uint64_t hash)
{
    for (int64_t i = 0; i < memory->count; i++)
        if (memory->hash[i] == hash)
            return 1;
    return 0;
}

static int remember(struct memory *memory, uint64_t hash)
{
    if (memory->count == memory->capacity) {
        int64_t capacity = 2 * memory->capacity + 256;
        uint64_t *grown = realloc(memory->hash, (size_t)capacity * sizeof *grown);
        if (grown == NULL)
            return moe_error(MOE_E_NOMEM, "no memory to shrink a case");
        memory->hash = grown;
        memory->capacity = capacity;
    }
    memory->hash[memory->count++] = hash;
    return MOE_OK;
}

/* Leaves out what was tried, what stands twice and the case itself. */
static void leave_out(const struct memory *memory, const struct moe_problem *best,
                      struct moe_edits *edits)
{
    struct memory here = {.hash = NULL};
    int kept = 0;
    (void)remember(&here, hash_of(best)); /* without memory a case is tried twice */
    for (int i = 0; i < edits->count; i++) {
        uint64_t hash = hash_of(&edits->problem[i]);
        if (remembers(memory, hash) || remembers(&here, hash))
            continue;
        (void)remember(&here, hash);
        edits->problem[kept++] = edits->problem[i];
    }
    edits->count = kept;
    free(here.hash);
}

/* Tries the edits of one kind. *smaller: one of them is the best now. */
static int try_edits(struct moe_shrink *shrink, struct memory *memory, struct moe_edits *edits,
                     int *smaller)
{
    leave_out(memory, &shrink->best, edits);
    int first = edits->count;
    int status = edits->count > 0
                     ? shrink->try(shrink->context, edits->problem, edits->count, &first)
                     : MOE_OK;
    *smaller = status == MOE_OK && first < edits->count;
    if (*smaller)
        shrink->best = edits->problem[first];
    for (int i = 0; status == MOE_OK && i < first; i++)
        status = remember(memory, hash_of(&edits->problem[i]));
    shrink->tried += first + *smaller;
    return status;
}

int moe_shrink(struct moe_shrink *shrink)
{
    struct memory memory = {.hash = NULL};
    struct moe_edits edits = {.problem = malloc(MOE_EDITS_MOST * sizeof *edits.problem)};
    int status =
        edits.problem != NULL ? MOE_OK : moe_error(MOE_E_NOMEM, "no memory to shrink a case");
    for (int changed = 1; status == MOE_OK && changed;) {
        changed = 0;
        for (int pass = 0; status == MOE_OK; pass++) {
            int smaller = 1;
            edits.count = 0;
            if (!moe_edits_make(pass, &shrink->best, &edits))
                break;
            while (status == MOE_OK && smaller) {
                status = try_edits(shrink, &memory, &edits, &smaller);
                changed |= smaller;
                edits.count = 0;
                moe_edits_make(pass, &shrink->best, &edits);
            }
        }
    }
    free(memory.hash);
    free(edits.problem);
    return status;
}

/*
 * hazard_object.c - what orders threads, by address: tables with open addressing.
 */
#include <stdlib.h>

#include "gpu/ptx/hazard_own.h"

struct table {
    struct object **objects;
    uint32_t *count, *room;
};

static uint32_t place(uint64_t key, uint32_t room)
{
    return (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (room - 1);
}

/* Its object, or the free one where it would be. */
static struct object *look(struct object *objects, uint32_t room, uint64_t key)
{
    uint32_t at = place(key, room);
    while (objects[at].in_use && objects[at].key != key)
        at = (at + 1) & (room - 1);
    return &objects[at];
}

/* Puts all in a table of `room`. */
static int rebuild(struct table table, uint32_t room)
{
    struct object *more = calloc(room, sizeof *more);
    if (!more)
        return -1;
    for (uint32_t i = 0; i < *table.room; i++)
        if ((*table.objects)[i].in_use)
            *look(more, room, (*table.objects)[i].key) = (*table.objects)[i];
    free(*table.objects);
    *table.objects = more;
    *table.room = room;
    return 0;
}

static struct object *find(struct hazard *hazard, struct table table, uint64_t key, int make)
{
    if (*table.room) {
        struct object *object = look(*table.objects, *table.room, key);
        if (object->in_use || !make)
            return object->in_use ? object : NULL;
    } else if (!make) {
        return NULL;
    }
    if (2 * *table.count >= *table.room && rebuild(table, *table.room ? 2 * *table.room : 64)) {
        hazard_fail(hazard);
        return NULL;
    }
    struct object *object = look(*table.objects, *table.room, key);
    *object = (struct object){.key = key, .in_use = 1, .cta = UINT32_MAX, .cluster = UINT32_MAX};
    ++*table.count;
    return object;
}

static struct table barriers(struct hazard *hazard)
{
    return (struct table){&hazard->barriers, &hazard->barrier_count, &hazard->barrier_room};
}

static struct table words(struct hazard *hazard)
{
    return (struct table){&hazard->words, &hazard->word_count, &hazard->word_room};
}

struct object *hazard_barrier(struct hazard *hazard, uint64_t key, int make)
{
    return find(hazard, barriers(hazard), key, make);
}

struct object *hazard_word(struct hazard *hazard, uint64_t key, int make)
{
    return find(hazard, words(hazard), key, make);
}

void hazard_object_forget_last(struct object *object)
{
    clock_drop(object->last_before);
    clock_drop(object->last_after);
    object->last_before = object->last_after = NULL;
}

static void drop(struct object *object)
{
    hazard_object_forget_last(object);
    view_drop(&object->coming);
    view_drop(&object->passed);
    object->in_use = 0;
}

/* Takes out those in [from, to). */
static void forget(struct hazard *hazard, struct table table, uint64_t from, uint64_t to)
{
    int any = 0;
    for (uint32_t i = 0; i < *table.room; i++) {
        struct object *object = &(*table.objects)[i];
        if (!object->in_use || object->key < from || object->key >= to)
            continue;
        drop(object);
        --*table.count;
        any = 1;
    }
    if (any && rebuild(table, *table.room))
        hazard_fail(hazard);
}

void hazard_forget(struct hazard *hazard, uint64_t from, uint64_t to)
{
    forget(hazard, barriers(hazard), from, to);
    forget(hazard, words(hazard), from, to);
}

void hazard_objects_clear(struct hazard *hazard)
{
    hazard_forget(hazard, 0, UINT64_MAX);
}

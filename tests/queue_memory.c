/*
 * queue_memory.c - memory of the queue device: the host's, page by page where addresses are
 * reserved, and, where the device is to be the PTX machine, what of it is defined.
 */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ref/moe.h"
#include "tests/queue_own.h"

/* Of all allocations. */
#define ALIGNMENT 256

struct queue_block *queue_block_of(struct queue_device *device, const void *memory)
{
    for (struct queue_block *block = device->blocks; block; block = block->next)
        if ((const char *)memory >= block->at && (const char *)memory < block->at + block->bytes &&
            !block->reserved)
            return block;
    return NULL;
}

static int add_block(struct queue_device *device, char *at, int64_t bytes, int reserved)
{
    struct queue_block *block = calloc(1, sizeof *block);
    if (!block)
        return moe_error(MOE_E_NOMEM, "no memory for a block");
    *block = (struct queue_block){.at = at, .bytes = bytes, .reserved = reserved};
    if (device->base.class->watch && !reserved)
        block->known = calloc(1, (size_t)bytes);
    block->next = device->blocks;
    device->blocks = block;
    return MOE_OK;
}

static void drop_block(struct queue_device *device, const void *at, int reserved)
{
    struct queue_block **link = &device->blocks;
    while (*link && ((*link)->at != at || (*link)->reserved != reserved))
        link = &(*link)->next;
    struct queue_block *block = *link;
    if (!block)
        return;
    *link = block->next;
    free(block->known);
    free(block);
}

int64_t queue_held(const struct queue_device *device)
{
    int64_t bytes = 0;
    for (const struct queue_block *block = device->blocks; block; block = block->next)
        bytes += block->reserved ? 0 : block->bytes;
    return bytes;
}

/* ---- as device.h has them -------------------------------------------------------------------- */

int queue_allocate(struct moe_device *device, int64_t bytes, void **memory)
{
    struct queue_device *queue = queue_device(device);
    int status = queue_may_wait(queue);
    if (status == MOE_OK && posix_memalign(memory, ALIGNMENT, (size_t)bytes) != 0)
        status = moe_error(MOE_E_NOMEM, "no memory for %lld bytes", (long long)bytes);
    return status == MOE_OK ? add_block(queue, *memory, bytes, 0) : status;
}

void queue_release(struct moe_device *device, void *memory)
{
    struct queue_device *queue = queue_device(device);
    if (queue_may_wait(queue) == MOE_OK || !queue->capturing)
        queue_wait_for_all(queue);
    drop_block(queue, memory, 0);
    free(memory);
}

int queue_reserve(struct moe_device *device, int64_t bytes, void **addresses)
{
    const int watched = device->class->watch != NULL;
    void *at = mmap(NULL, (size_t)bytes, watched ? PROT_READ | PROT_WRITE : PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return moe_error(MOE_E_NOMEM, "no %lld bytes of addresses", (long long)bytes);
    *addresses = at;
    return add_block(queue_device(device), at, bytes, 1);
}

void queue_unreserve(struct moe_device *device, void *addresses, int64_t bytes)
{
    queue_wait_for_all(queue_device(device));
    drop_block(queue_device(device), addresses, 1);
    munmap(addresses, (size_t)bytes);
}

/* A machine maps by the byte: its reserved pages are all there, and only counted as mapped. */
int queue_map(struct moe_device *device, void *place, int64_t bytes)
{
    if (!device->class->watch && mprotect(place, (size_t)bytes, PROT_READ | PROT_WRITE) != 0)
        return moe_error(MOE_E_INTERNAL, "cannot map %lld bytes", (long long)bytes);
    return add_block(queue_device(device), place, bytes, 0);
}

void queue_unmap(struct moe_device *device, void *place, int64_t bytes)
{
    queue_wait_for_all(queue_device(device));
    drop_block(queue_device(device), place, 0);
    if (!device->class->watch)
        mprotect(place, (size_t)bytes, PROT_NONE);
}

void queue_read(struct moe_device *device, const void *address)
{
    if (!queue_block_of(queue_device(device), address))
        queue_break(device, "an illegal address was read");
}

/* ---- what is defined ------------------------------------------------------------------------- */

void queue_set_known(struct queue_device *device, const void *memory, int64_t bytes, int known)
{
    struct queue_block *block = queue_block_of(device, memory);
    if (block && block->known)
        memset(block->known + ((const char *)memory - block->at), known, (size_t)bytes);
}

void queue_move(struct queue_device *device, void *to, const void *from, int64_t bytes)
{
    struct queue_block *a = queue_block_of(device, to), *b = queue_block_of(device, from);
    memmove(to, from, (size_t)bytes);
    queue_set_known(device, to, bytes, 1);
    if (a && b && a->known && b->known)
        memmove(a->known + ((char *)to - a->at), b->known + ((const char *)from - b->at),
                (size_t)bytes);
}

void queue_write(struct moe_device *device, const void *memory, int64_t bytes)
{
    queue_set_known(queue_device(device), memory, bytes, 1);
}

void queue_spoil(struct moe_device *device, const void *memory, int64_t bytes)
{
    queue_set_known(queue_device(device), memory, bytes, 0);
}

void queue_remark(struct moe_device *device, const char *text)
{
    struct queue_device *queue = queue_device(device);
    snprintf(queue->remark, sizeof queue->remark, "%s", text);
}

static int label(struct moe_device *device, void *memory, const char *name)
{
    (void)device, (void)memory, (void)name;
    return MOE_OK;
}

static int forget(struct moe_device *device, void *memory, int64_t bytes)
{
    queue_spoil(device, memory, bytes);
    return MOE_OK;
}

static int64_t undefined(struct moe_device *device, const void *memory, int64_t bytes)
{
    const struct queue_block *block = queue_block_of(queue_device(device), memory);
    if (!block)
        return 0;
    const unsigned char *known = block->known + ((const char *)memory - block->at);
    const unsigned char *first = memchr(known, 0, (size_t)bytes);
    return first ? first - known : bytes;
}

static int schedule(struct moe_device *device, int number)
{
    (void)device, (void)number;
    return MOE_OK;
}

static int take_remark(struct moe_device *device, char *text, size_t size)
{
    struct queue_device *queue = queue_device(device);
    snprintf(text, size, "%s", queue->remark);
    queue->remark[0] = '\0';
    return text[0] != '\0';
}

static const char *trouble(const struct moe_device *device)
{
    (void)device;
    return "";
}

const struct device_watch queue_watch = {
    .label = label,
    .forget = forget,
    .undefined = undefined,
    .schedule = schedule,
    .take_remark = take_remark,
    .trouble = trouble,
};

/*
 * access.c - the one way to memory: every lane's bytes are found and checked here.
 */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "gpu/ptx/machine.h"
#include "ref/moe.h"

static const char *const space_names[PTX_SPACE_COUNT] = {
    "generic", "register", "global", "shared", "shared::cluster", "local", "param", "const"};

static const char *const kind_names[] = {"read", "write", "atomic operation"};

static int outside(struct ptx_machine *machine, const struct ptx_access *access, int lane,
                   enum ptx_rule rule, const char *what)
{
    ptx_report(machine, access->warp, access->code, access->warp ? lane : -1, rule,
               access->address[lane], "%s of %u bytes at %s address 0x%llx%s",
               kind_names[access->kind], access->bytes, space_names[access->space],
               (unsigned long long)access->address[lane], what);
    return 1;
}

/* Where that is, by the allocation that it begins in or is near to. */
static void outside_global(struct ptx_machine *machine, const struct ptx_access *access, int lane)
{
    const uint64_t address = access->address[lane];
    uint64_t distance = 0;
    int side = 0;
    const struct ptx_block *block = ptx_memory_near(machine, address, &distance, &side);
    char text[160] = ": nothing is allocated there";
    if (block && side == 0)
        snprintf(text, sizeof text, ": it reaches beyond '%s'", block->name);
    else if (block)
        snprintf(text, sizeof text, ": nothing is allocated there, byte %llu %s '%s'",
                 (unsigned long long)distance, side < 0 ? "before" : "behind", block->name);
    outside(machine, access, lane, PTX_RULE_OUTSIDE_GLOBAL, text);
}

struct ptx_block *ptx_local(struct ptx_warp *warp, int lane)
{
    struct ptx_block *block = &warp->local[lane];
    if (!block->data && ptx_block_create(block, warp->program->local_bytes)) {
        ptx_report(warp->machine, warp, NULL, lane, PTX_RULE_NO_MEMORY, 0,
                   "no memory for a thread's %llu local bytes",
                   (unsigned long long)warp->program->local_bytes);
        return NULL;
    }
    block->space = PTX_SPACE_LOCAL;
    return block;
}

/* A shared address: whose it is, and its offset. */
static struct ptx_block *find_shared(struct ptx_machine *machine, struct ptx_access *access,
                                     int lane, uint64_t address)
{
    const struct ptx_cluster *cluster = access->cta->cluster;
    const uint64_t rank = address >> PTX_RANK_SHIFT;
    const uint64_t offset = address & PTX_OFFSET_MASK;
    if (rank >= cluster->size) {
        outside(machine, access, lane, PTX_RULE_OUTSIDE_CLUSTER,
                ": no CTA of its cluster has such an address");
        return NULL;
    }
    if (access->space == PTX_SPACE_SHARED && rank != access->cta->rank) {
        outside(machine, access, lane, PTX_RULE_OUTSIDE_CTA, ", which is another CTA's");
        return NULL;
    }
    struct ptx_cta *owner = &cluster->ctas[rank];
    if (!owner->shared.data || (access->warp && !owner->live_threads)) {
        ptx_report(machine, access->warp, access->code, access->warp ? lane : -1,
                   PTX_RULE_ACCESS_CTA_ENDED, access->address[lane],
                   "%s of shared memory of CTA rank %u of the cluster, which has ended",
                   kind_names[access->kind], (unsigned)rank);
        return NULL;
    }
    if (offset < PTX_SHARED_RESERVED || offset + access->bytes > owner->shared.bytes) {
        char text[96];
        snprintf(text, sizeof text, ": the CTA's shared memory is 0x%x to 0x%llx",
                 PTX_SHARED_RESERVED, (unsigned long long)owner->shared.bytes);
        outside(machine, access, lane, PTX_RULE_OUTSIDE_SHARED, text);
        return NULL;
    }
    access->offset[lane] = offset;
    return &owner->shared;
}

/* The lane's block, and the offset in it; NULL: reported. */
static struct ptx_block *find(struct ptx_machine *machine, struct ptx_access *access, int lane)
{
    uint64_t address = access->address[lane];
    enum ptx_space space = access->space;
    struct ptx_block *block = NULL;
    if (space == PTX_GENERIC) {
        static const enum ptx_space windows[] = {PTX_SPACE_SHARED_CLUSTER, PTX_SPACE_LOCAL,
                                                 PTX_SPACE_PARAM};
        const uint64_t window = (address - PTX_WINDOW_SHARED) / PTX_WINDOW_BYTES;
        space = PTX_SPACE_GLOBAL;
        if (address >= PTX_WINDOW_SHARED && window < sizeof windows / sizeof *windows) {
            space = windows[window];
            address -= PTX_WINDOW_SHARED + window * PTX_WINDOW_BYTES;
        }
    }
    switch (space) {
    case PTX_SPACE_SHARED:
    case PTX_SPACE_SHARED_CLUSTER:
        return find_shared(machine, access, lane, address);
    case PTX_SPACE_LOCAL:
        block = access->warp ? ptx_local(access->warp, lane) : NULL;
        if (!block && machine->stopped)
            return NULL;
        break;
    case PTX_SPACE_PARAM:
        block = &machine->param;
        break;
    default:
        block = ptx_memory_find(machine, address, access->bytes);
        if (block)
            access->offset[lane] = address - block->address;
        else
            outside_global(machine, access, lane);
        return block;
    }
    if (!block || address > block->bytes || access->bytes > block->bytes - address) {
        char text[96];
        snprintf(text, sizeof text, ": there are %llu bytes",
                 (unsigned long long)(block ? block->bytes : 0));
        outside(machine, access, lane, PTX_RULE_OUTSIDE_WINDOW, text);
        return NULL;
    }
    access->offset[lane] = address;
    return block;
}

int ptx_access(struct ptx_machine *machine, struct ptx_access *access)
{
    for (uint32_t rest = access->lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        struct ptx_block *block = find(machine, access, lane);
        if (!block)
            return 1;
        if (access->address[lane] & (access->align - 1)) {
            ptx_report(machine, access->warp, access->code, access->warp ? lane : -1,
                       PTX_RULE_MISALIGNED, access->address[lane],
                       "%s of %u bytes at 0x%llx, which is no multiple of %u",
                       kind_names[access->kind], access->bytes,
                       (unsigned long long)access->address[lane], access->align);
            return 1;
        }
        if (access->kind != PTX_READ && (block->read_only || block == &machine->param)) {
            ptx_report(machine, access->warp, access->code, access->warp ? lane : -1,
                       PTX_RULE_READ_ONLY, access->address[lane], "%s of '%s', which is read-only",
                       kind_names[access->kind], block->name);
            return 1;
        }
        access->block[lane] = block;
        access->data[lane] = block->data + access->offset[lane];
        access->known[lane] = block->known + access->offset[lane];
    }
    for (struct ptx_watch *watch = machine->watches; watch; watch = watch->next)
        if (watch->access)
            watch->access(watch->data, machine, access);
    return machine->stopped;
}

int ptx_require_defined(struct ptx_warp *warp, const struct ptx_code *code, int32_t slot,
                        uint32_t lanes, enum ptx_rule rule)
{
    if (!ptx_row_undefined(warp, slot))
        return 0;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        if (!ptx_undefined(warp, slot, lane))
            continue;
        ptx_report(warp->machine, warp, code, lane, rule, 0, "%s depends on what nobody wrote",
                   ptx_rules[rule].what);
        return 1;
    }
    return 0;
}

int ptx_address(struct ptx_warp *warp, const struct ptx_code *code, const struct ptx_place *place,
                uint32_t lanes, uint64_t address[PTX_LANES])
{
    const uint64_t *base = ptx_row(warp, place->slot);
    uint64_t offset = place->offset;
    if (ptx_require_defined(warp, code, place->slot, lanes, PTX_RULE_UNKNOWN_ADDRESS))
        return 1;
    if (place->variable && place->variable->space == PTX_SPACE_SHARED)
        offset += (uint64_t)warp->cta->rank << PTX_RANK_SHIFT;
    /* A register of 32 bits holds an address that has no more. */
    const uint64_t keep =
        place->kind == PTX_ADDRESS && ptx_types[place->type].bits == 32 ? UINT32_MAX : UINT64_MAX;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        address[lane] = (base[lane] + offset) & keep;
    }
    return 0;
}

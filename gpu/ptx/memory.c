/*
 * memory.c - the machine's memory: blocks by address, and modules' variables in it.
 *
 * Addresses grow and are never given out again, so that what uses memory after it was freed is
 * found; between two blocks lies nothing.
 */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "gpu/ptx/machine.h"
#include "ref/moe.h"

#define FIRST_ADDRESS UINT64_C(0x100000000)
#define GAP 4096
#define ALIGN 256
#define POISON_MAX (UINT64_C(1) << 26)
#define BYTES_MAX (UINT64_C(1) << 40)

static int no_memory(uint64_t bytes)
{
    return moe_error(MOE_E_NOMEM, "no memory for %llu bytes of the PTX machine",
                     (unsigned long long)bytes);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

/* The first block that ends behind the address; block_count: none. */
static int32_t find(const struct ptx_machine *machine, uint64_t address)
{
    int32_t low = 0, high = machine->block_count;
    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        if (machine->blocks[middle]->address + machine->blocks[middle]->bytes <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int has(const struct ptx_block *block, uint64_t address, uint64_t bytes)
{
    const uint64_t offset = address - block->address;
    return address >= block->address && offset <= block->bytes && bytes <= block->bytes - offset;
}

struct ptx_block *ptx_memory_find(struct ptx_machine *machine, uint64_t address, uint64_t bytes)
{
    if (machine->last_block < machine->block_count &&
        has(machine->blocks[machine->last_block], address, bytes))
        return machine->blocks[machine->last_block];
    const int32_t at = find(machine, address);
    if (at == machine->block_count || !has(machine->blocks[at], address, bytes))
        return NULL;
    machine->last_block = at;
    return machine->blocks[at];
}

const struct ptx_block *ptx_memory_near(const struct ptx_machine *machine, uint64_t address,
                                        uint64_t *distance, int *side)
{
    const int32_t at = find(machine, address);
    const struct ptx_block *next = at < machine->block_count ? machine->blocks[at] : NULL;
    const struct ptx_block *last = at > 0 ? machine->blocks[at - 1] : NULL;
    *side = 0;
    *distance = 0;
    if (next && next->address <= address)
        return next;
    const uint64_t before = next ? next->address - address : UINT64_MAX;
    const uint64_t behind = last ? address - (last->address + last->bytes) + 1 : UINT64_MAX;
    *side = behind <= before ? 1 : -1;
    *distance = *side > 0 ? behind : before;
    return *distance > GAP ? NULL : *side > 0 ? last : next;
}

static int insert(struct ptx_machine *machine, struct ptx_block *block)
{
    if (machine->block_count == machine->block_room) {
        const int32_t room = machine->block_room ? 2 * machine->block_room : 64;
        struct ptx_block **more = realloc(machine->blocks, (size_t)room * sizeof *more);
        if (!more)
            return no_memory((uint64_t)room * sizeof *more);
        machine->blocks = more;
        machine->block_room = room;
    }
    const int32_t at = find(machine, block->address);
    memmove(machine->blocks + at + 1, machine->blocks + at,
            (size_t)(machine->block_count - at) * sizeof *machine->blocks);
    machine->blocks[at] = block;
    machine->block_count++;
    return MOE_OK;
}

int ptx_block_create(struct ptx_block *block, uint64_t bytes)
{
    block->bytes = bytes;
    block->data = calloc(bytes ? bytes : 1, 1);
    block->known = calloc(bytes ? bytes : 1, 1);
    if (block->data && block->known) {
        /* NaN, where that is affordable: what is read by mistake is to be seen. */
        if (bytes <= POISON_MAX)
            memset(block->data, 0xff, bytes);
        return MOE_OK;
    }
    free(block->data);
    free(block->known);
    block->data = block->known = NULL;
    return no_memory(bytes);
}

void ptx_block_free(struct ptx_machine *machine, struct ptx_block *block)
{
    if (!block->data)
        return;
    for (struct ptx_watch *watch = machine->watches; watch; watch = watch->next)
        if (watch->block_free)
            watch->block_free(watch->data, block);
    free(block->data);
    free(block->known);
    block->data = block->known = NULL;
}

static int create(struct ptx_machine *machine, uint64_t address, uint64_t bytes, const char *name)
{
    struct ptx_block *block = calloc(1, sizeof *block);
    int status = block ? ptx_block_create(block, bytes) : no_memory(bytes);
    if (!status) {
        block->address = address;
        block->space = PTX_SPACE_GLOBAL;
        block->cta = -1;
        snprintf(block->name, sizeof block->name, "%s", name);
        status = insert(machine, block);
    }
    if (status && block) {
        ptx_block_free(machine, block);
        free(block);
    }
    return status;
}

int ptx_memory_reserve(struct ptx_machine *machine, uint64_t bytes, uint64_t *address)
{
    if (bytes > BYTES_MAX || machine->next_address > PTX_WINDOW_SHARED / 2)
        return no_memory(bytes);
    const uint64_t at = machine->next_address;
    machine->next_address = (at + bytes + GAP + ALIGN - 1) / ALIGN * ALIGN;
    *address = at;
    return MOE_OK;
}

int ptx_memory_map(struct ptx_machine *machine, uint64_t address, uint64_t bytes)
{
    const int32_t at = find(machine, address);
    if (at < machine->block_count && machine->blocks[at]->address < address + bytes)
        return moe_error(MOE_E_INTERNAL, "memory is mapped at 0x%llx already",
                         (unsigned long long)address);
    return create(machine, address, bytes, "mapped memory");
}

int ptx_memory_allocate(struct ptx_machine *machine, uint64_t bytes, const char *name,
                        uint64_t *address)
{
    uint64_t at = 0;
    /* At a multiple of 256 and of no more. */
    if (machine->next_address % (2 * ALIGN) == 0)
        machine->next_address += ALIGN;
    int status = ptx_memory_reserve(machine, bytes, &at);
    if (!status)
        status = create(machine, at, bytes, name);
    if (!status)
        *address = at;
    return status;
}

int ptx_memory_free(struct ptx_machine *machine, uint64_t address)
{
    const int32_t at = find(machine, address);
    if (at == machine->block_count || machine->blocks[at]->address != address)
        return moe_error(MOE_E_INTERNAL, "no memory begins at 0x%llx", (unsigned long long)address);
    ptx_block_free(machine, machine->blocks[at]);
    free(machine->blocks[at]);
    machine->block_count--;
    memmove(machine->blocks + at, machine->blocks + at + 1,
            (size_t)(machine->block_count - at) * sizeof *machine->blocks);
    machine->last_block = 0;
    return MOE_OK;
}

/* ---- modules --------------------------------------------------------------------------------- */

static int load_variable(struct ptx_machine *machine, const struct ptx_variable *variable,
                         uint64_t *address)
{
    const uint64_t align = variable->align > ALIGN ? variable->align : ALIGN;
    machine->next_address = (machine->next_address + align - 1) / align * align;
    uint64_t at = 0;
    int status = ptx_memory_reserve(machine, variable->bytes, &at);
    if (!status)
        status = create(machine, at, variable->bytes, variable->name);
    if (status)
        return status;
    struct ptx_block *block = ptx_memory_find(machine, at, variable->bytes);
    block->space = variable->space;
    block->read_only = variable->space == PTX_SPACE_CONST;
    if (variable->initial)
        memcpy(block->data, variable->initial, variable->bytes);
    else
        memset(block->data, 0, variable->bytes);
    memset(block->known, 1, variable->bytes);
    *address = at;
    return MOE_OK;
}

/* Addresses in initial values, once all variables have theirs. */
static void patch(struct ptx_machine *machine, const struct ptx_loaded *loaded,
                  const struct ptx_variable *variable)
{
    for (const struct ptx_patch *p = variable->patch; p; p = p->next) {
        struct ptx_block *block =
            ptx_memory_find(machine, loaded->address[variable->index], variable->bytes);
        uint64_t value = 0;
        memcpy(&value, block->data + p->offset, (size_t)p->bytes);
        value += loaded->address[p->symbol->index];
        memcpy(block->data + p->offset, &value, (size_t)p->bytes);
    }
}

static int is_loaded(const struct ptx_variable *variable)
{
    return variable->space == PTX_SPACE_GLOBAL || variable->space == PTX_SPACE_CONST;
}

static int each_variable(struct ptx_machine *machine, struct ptx_loaded *loaded,
                         const struct ptx_variable *variable)
{
    for (; variable; variable = variable->next) {
        if (!is_loaded(variable))
            continue;
        if (variable->is_extern || variable->bytes == 0)
            return moe_error(MOE_E_UNSUPPORTED, "line %d: '%s' is defined elsewhere",
                             variable->line, variable->name);
        const int status = load_variable(machine, variable, &loaded->address[variable->index]);
        if (status)
            return status;
    }
    return MOE_OK;
}

int ptx_load(struct ptx_machine *machine, const struct ptx_module *module,
             struct ptx_loaded **loaded)
{
    struct ptx_loaded *made = calloc(1, sizeof *made);
    if (made)
        made->address = calloc((size_t)module->variable_count + 1, sizeof *made->address);
    if (!made || !made->address) {
        free(made);
        return no_memory((uint64_t)module->variable_count * sizeof *made->address);
    }
    made->module = module;
    made->shared_align = machine->options.shared_align;
    int status = each_variable(machine, made, module->variables);
    for (const struct ptx_function *f = module->functions; f && !status; f = f->next)
        status = each_variable(machine, made, f->variables);
    if (status) {
        ptx_unload(machine, made);
        return status;
    }
    for (const struct ptx_variable *v = module->variables; v; v = v->next)
        patch(machine, made, v);
    for (const struct ptx_function *f = module->functions; f; f = f->next)
        for (const struct ptx_variable *v = f->variables; v; v = v->next)
            patch(machine, made, v);
    *loaded = made;
    return MOE_OK;
}

void ptx_unload(struct ptx_machine *machine, struct ptx_loaded *loaded)
{
    if (!loaded)
        return;
    for (int32_t i = 0; i < loaded->module->variable_count; i++)
        if (loaded->address[i])
            ptx_memory_free(machine, loaded->address[i]);
    free(loaded->address);
    free(loaded);
}

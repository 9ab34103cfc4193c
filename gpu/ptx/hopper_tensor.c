/*
 * hopper_tensor.c - copies and reductions of boxes of a tensor map.
 *
 * The map is read where the instruction is, and looked at again when the copy begins: until then
 * nobody may have edited it.
 */
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/geometry.h"
#include "gpu/ptx/hopper.h"
#include "ref/moe.h"

struct tensor_copy {
    struct geometry_tensor tensor;
    struct geometry_map map;
    uint64_t map_address;
    int32_t at[GEOMETRY_RANK_MAX];
    uint64_t shared; /* address of the box, without a rank */
};

static const enum ptx_type types[GEOMETRY_TYPE_COUNT] = {
    [GEOMETRY_U8] = PTX_U8,       [GEOMETRY_U16] = PTX_U16,     [GEOMETRY_U32] = PTX_U32,
    [GEOMETRY_S32] = PTX_S32,     [GEOMETRY_U64] = PTX_U64,     [GEOMETRY_S64] = PTX_S64,
    [GEOMETRY_F16] = PTX_F16,     [GEOMETRY_F32] = PTX_F32,     [GEOMETRY_F64] = PTX_F64,
    [GEOMETRY_BF16] = PTX_BF16,   [GEOMETRY_F32_FTZ] = PTX_F32, [GEOMETRY_TF32] = PTX_F32,
    [GEOMETRY_TF32_FTZ] = PTX_F32};

/* ---- pieces, so many in one access ----------------------------------------------------------- */

enum side { GLOBAL, SHARED };

struct batch {
    struct ptx_machine *machine;
    struct ptx_effect *effect;
    enum side side;
    enum ptx_access_kind kind;
    uint64_t base;  /* of shared addresses: the rank */
    uint32_t bytes; /* of each piece */
    int count;
    uint64_t address[PTX_LANES];
    uint32_t offset[PTX_LANES]; /* in the copy's data */
};

static int flush(struct batch *batch)
{
    struct hopper_bulk *bulk = batch->effect->data;
    struct ptx_access access;
    if (batch->count == 0)
        return 0;
    hopper_engine_access(batch->effect, batch->kind, PTX_PROXY_ASYNC,
                         batch->side == SHARED ? PTX_SPACE_SHARED_CLUSTER : PTX_SPACE_GLOBAL,
                         batch->bytes, 1, &access);
    access.lanes = PTX_ALL_LANES >> (PTX_LANES - batch->count);
    access.scope = PTX_SCOPE_GPU;
    if (batch->kind == PTX_ATOMIC)
        access.order = PTX_ORDER_RELAXED;
    memcpy(access.address, batch->address, sizeof access.address);
    if (ptx_access(batch->machine, &access))
        return 1;
    for (int i = 0; i < batch->count; i++) {
        uint8_t *data = bulk->data + batch->offset[i], *known = bulk->known + batch->offset[i];
        if (batch->kind == PTX_READ) {
            memcpy(data, access.data[i], batch->bytes);
            memcpy(known, access.known[i], batch->bytes);
        } else if (batch->kind == PTX_WRITE) {
            memcpy(access.data[i], data, batch->bytes);
            memcpy(access.known[i], known, batch->bytes);
        } else {
            hopper_reduce(&bulk->reduction, access.data[i], access.known[i], data, known,
                          batch->bytes);
        }
    }
    batch->count = 0;
    return 0;
}

static int add(struct batch *batch, const struct geometry_piece *piece, uint32_t offset)
{
    if ((batch->count == PTX_LANES || piece->bytes != batch->bytes) && flush(batch))
        return 1;
    batch->bytes = piece->bytes;
    batch->offset[batch->count] = offset;
    batch->address[batch->count++] =
        batch->side == SHARED ? batch->base | piece->shared : piece->global;
    return 0;
}

static void fill(const struct geometry_tensor *tensor, uint8_t *data, uint8_t *known,
                 uint32_t bytes)
{
    const uint64_t bits = geometry_fill_bits(tensor);
    const uint32_t element = (uint32_t)geometry_type_bytes(tensor->type);
    for (uint32_t at = 0; at < bytes; at += element)
        memcpy(data + at, &bits, element);
    memset(known, 1, bytes);
}

/* What of the box is one side: pieces out of bounds are filled, or left out. */
static int walk(struct ptx_machine *machine, struct ptx_effect *effect, enum side side,
                enum ptx_access_kind kind, uint64_t base)
{
    struct hopper_bulk *bulk = effect->data;
    const struct tensor_copy *copy = bulk->tensor;
    struct batch batch = {machine, effect, side, kind, base, 0, 0, {0}, {0}};
    const int loads = ptx_is_shared(bulk->to_space);
    struct geometry_box box;
    struct geometry_piece piece;
    uint32_t offset = 0;
    geometry_box_begin(&box, &copy->tensor, copy->at, (uint32_t)copy->shared);
    for (; geometry_box_next(&box, &piece); offset += piece.bytes) {
        if (!piece.inside && side == GLOBAL && kind == PTX_READ)
            fill(&copy->tensor, bulk->data + offset, bulk->known + offset, piece.bytes);
        else if ((piece.inside || loads) && add(&batch, &piece, offset))
            return 1;
    }
    return flush(&batch);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void describe_map(uint64_t address, struct ptx_access *access)
{
    access->lanes = 1;
    access->space = PTX_GENERIC;
    access->kind = PTX_READ;
    access->proxy = PTX_PROXY_TENSORMAP;
    access->bytes = sizeof(struct geometry_map);
    access->align = 64;
    access->address[0] = address;
}

static int map_is_same(struct ptx_machine *machine, struct ptx_effect *effect)
{
    const struct hopper_bulk *bulk = effect->data;
    const struct tensor_copy *copy = bulk->tensor;
    struct ptx_access access;
    hopper_engine_access(effect, PTX_READ, PTX_PROXY_TENSORMAP, PTX_GENERIC, 0, 64, &access);
    describe_map(copy->map_address, &access);
    if (ptx_access(machine, &access))
        return 0;
    if (!memcmp(access.data[0], &copy->map, sizeof copy->map))
        return 1;
    ptx_report(machine, effect->warp, effect->code, effect->lane, PTX_RULE_MAP_EDITED,
               copy->map_address,
               "the tensor map at 0x%llx was edited while a copy through it is under way",
               (unsigned long long)copy->map_address);
    return 0;
}

static int read_box(struct ptx_machine *machine, struct ptx_effect *effect)
{
    const struct hopper_bulk *bulk = effect->data;
    return !map_is_same(machine, effect) ||
           walk(machine, effect, ptx_is_shared(bulk->to_space) ? GLOBAL : SHARED, PTX_READ,
                (uint64_t)effect->cta->rank << PTX_RANK_SHIFT);
}

static int write_box(struct ptx_machine *machine, struct ptx_effect *effect, uint64_t to)
{
    const struct hopper_bulk *bulk = effect->data;
    if (ptx_is_shared(bulk->to_space))
        return walk(machine, effect, SHARED, PTX_WRITE, to & ~(uint64_t)PTX_OFFSET_MASK);
    return walk(machine, effect, GLOBAL,
                bulk->reduction.operation != HOPPER_NO_OPERATION ? PTX_ATOMIC : PTX_WRITE, 0);
}

/* ---- instructions ---------------------------------------------------------------------------- */

static int complain(struct ptx_warp *warp, const struct ptx_code *code, int lane,
                    enum ptx_rule rule, uint64_t address)
{
    ptx_report(warp->machine, warp, code, lane, rule, address, "%s", moe_error_text());
    return 1;
}

static int take_map(struct ptx_warp *warp, const struct ptx_code *code, int lane,
                    struct tensor_copy *copy)
{
    struct ptx_access access = {.warp = warp, .cta = warp->cta, .code = code};
    describe_map(copy->map_address, &access);
    access.lanes = 1u << lane;
    access.address[lane] = copy->map_address;
    if (ptx_access(warp->machine, &access))
        return 1;
    memcpy(&copy->map, access.data[lane], sizeof copy->map);
    for (size_t i = 0; i < sizeof copy->map; i++)
        if (!access.known[lane][i]) {
            ptx_report(warp->machine, warp, code, lane, PTX_RULE_MAP_UNKNOWN, copy->map_address,
                       "byte %zu of the tensor map was written by nobody", i);
            return 1;
        }
    if (geometry_map_decode(&copy->map, &copy->tensor))
        return complain(warp, code, lane, PTX_RULE_TENSOR_MAP, copy->map_address);
    if (copy->tensor.rank != code->count) {
        moe_error(MOE_E_USAGE, "%d coordinates for a tensor map of rank %d", code->count,
                  copy->tensor.rank);
        return complain(warp, code, lane, PTX_RULE_TENSOR_RANK, copy->map_address);
    }
    if (copy->tensor.type >= GEOMETRY_F32_FTZ) {
        moe_error(MOE_E_UNSUPPORTED, "tensor maps that convert elements are not run here");
        return complain(warp, code, lane, PTX_RULE_TENSOR_CONVERTS, copy->map_address);
    }
    return 0;
}

/* What an H200 does not take, though the text says nothing of it: a first coordinate that is no
 * multiple of 16 bytes, and before the tensor a store or a reduction. Loads may begin there. */
static int check_coordinates(const struct tensor_copy *copy, int count, int loads)
{
    const int64_t bytes = copy->at[0] * (int64_t)geometry_type_bytes(copy->tensor.type);
    if (bytes % 16)
        return moe_error(MOE_E_UNSUPPORTED,
                         "the first coordinate is at byte %lld, and an H200 takes multiples of 16",
                         (long long)bytes);
    for (int i = 0; i < count && !loads; i++)
        if (copy->at[i] < 0)
            return moe_error(MOE_E_UNSUPPORTED,
                             "coordinate %d is %d: an H200 stores nothing before a tensor", i,
                             copy->at[i]);
    return MOE_OK;
}

/* Nor reductions of s64 but the smallest and the largest. */
static int is_taken(enum hopper_operation operation, int type)
{
    return type != GEOMETRY_S64 || operation == HOPPER_NO_OPERATION || operation == HOPPER_MIN ||
           operation == HOPPER_MAX;
}

/* Places: of a load: to, map, mbarrier; else: map, from. count: dimensions; data[0]: the place of
 * the mask of CTAs. */
static int fill_operands(struct ptx_warp *warp, const struct ptx_code *code, int lane,
                         struct hopper_bulk *bulk, struct tensor_copy *copy)
{
    const struct ptx_place *places = code->places;
    const int loads = ptx_is_shared(bulk->to_space);
    const struct ptx_place *map = &places[loads], *coordinates = &map->part[0];
    uint64_t shared = 0;
    struct geometry_box box;
    if (hopper_address(warp, code, map, lane, &copy->map_address) ||
        hopper_address(warp, code, &places[!loads], lane, &shared) ||
        take_map(warp, code, lane, copy))
        return 1;
    for (int i = 0; i < code->count; i++) {
        const int32_t slot = coordinates->part[i].slot;
        if (ptx_require_defined(warp, code, slot, 1u << lane, PTX_RULE_UNKNOWN_COORDINATE))
            return 1;
        copy->at[i] = (int32_t)ptx_row(warp, slot)[lane];
    }
    copy->shared = shared & PTX_OFFSET_MASK;
    if (check_coordinates(copy, code->count, loads))
        return complain(warp, code, lane, PTX_RULE_TENSOR_COORDINATE, copy->map_address);
    if (geometry_box_begin(&box, &copy->tensor, copy->at, (uint32_t)copy->shared))
        return complain(warp, code, lane, PTX_RULE_TENSOR_BOX, shared);
    bulk->bytes = (uint32_t)geometry_box_bytes(&copy->tensor);
    bulk->to = bulk->from = shared;
    const enum hopper_operation operation = (enum hopper_operation)code->data[1];
    if (!is_taken(operation, copy->tensor.type) ||
        !hopper_reduction_find(operation, types[copy->tensor.type], &bulk->reduction)) {
        moe_error(MOE_E_USAGE, "no such reduction of this type of elements");
        return complain(warp, code, lane, PTX_RULE_TENSOR_REDUCTION, copy->map_address);
    }
    if (!loads)
        return 0;
    bulk->targets =
        hopper_targets(warp, code, lane, code->data[0] ? &places[code->data[0]] : NULL, shared);
    return !bulk->targets ||
           hopper_barrier_of(warp, code, lane, &places[2], shared, &bulk->barrier);
}

static void run_tensor(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const int loads = code->sign;
    for (uint32_t rest = lanes; rest && !warp->machine->stopped; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        struct ptx_effect *effect =
            hopper_effect(warp, code, 1u << lane, loads ? PTX_NO_GROUP : PTX_GROUP_BULK,
                          sizeof(struct hopper_bulk));
        struct tensor_copy *copy = calloc(1, sizeof *copy);
        if (!effect || !copy) {
            free(copy);
            if (effect)
                free(effect->data);
            free(effect);
            return;
        }
        struct hopper_bulk *bulk = effect->data;
        bulk->to_space = loads ? PTX_SPACE_SHARED_CLUSTER : PTX_SPACE_GLOBAL;
        bulk->from_space = loads ? PTX_SPACE_GLOBAL : PTX_SPACE_SHARED;
        bulk->read = read_box;
        bulk->write = write_box;
        bulk->tensor = copy;
        if (fill_operands(warp, code, lane, bulk, copy)) {
            free(copy);
            free(bulk);
            free(effect);
            return;
        }
        hopper_bulk_start(warp, effect);
    }
}

static int lower_tensor(struct ptx_build *build, const struct ptx_instruction *instruction,
                        struct ptx_code *code)
{
    static const enum ptx_word dimensions[] = {PTX_W_D1, PTX_W_D2, PTX_W_D3, PTX_W_D4, PTX_W_D5};
    enum ptx_space to, from;
    hopper_spaces(instruction, &to, &from);
    const int loads = ptx_is_shared(to);
    code->execute = run_tensor;
    code->sign = (uint8_t)loads;
    code->data[1] =
        instruction->opcode->data ? hopper_operation_of(instruction) : HOPPER_NO_OPERATION;
    if (ptx_has(instruction, PTX_W_IM2COL) || ptx_has(instruction, PTX_W_TILE_GATHER4) ||
        ptx_has(instruction, PTX_W_TILE_SCATTER4) || ptx_has(instruction, PTX_W_CTA_GROUP_1) ||
        ptx_has(instruction, PTX_W_CTA_GROUP_2))
        return ptx_refuse(build, "of the modes only .tile is run");
    if (instruction->opcode->data && code->data[1] == HOPPER_NO_OPERATION)
        return ptx_refuse(build, "the operation is missing");
    for (int i = 0; i < 5; i++)
        if (ptx_has(instruction, dimensions[i]))
            code->count = (uint8_t)(i + 1);
    if (code->place_count < 2)
        return ptx_refuse(build, "operands are missing");
    const struct ptx_place *map = &code->places[loads];
    if (map->kind != PTX_ADDRESS || map->count != 1 || map->part[0].kind != PTX_VECTOR ||
        map->part[0].count != code->count)
        return ptx_refuse(build, "the map is given as [map, {coordinates}], as many as dimensions");
    return hopper_lower_completion(build, instruction, to, 2, code);
}

#define DIMENSIONS "1d 2d 3d 4d 5d "

const struct ptx_opcode ptx_opcodes_tensor[] = {
    {"cp.async.bulk.tensor",
     DIMENSIONS "shared::cluster shared::cta global tile im2col tile::gather4 tile::scatter4 "
                "mbarrier::complete_tx::bytes bulk_group multicast::cluster cta_group::1 "
                "cta_group::2 L2::cache_hint",
     "", "A* T* M*? M*? M*? M*?", lower_tensor, 0, 0},
    {"cp.async.bulk.tensor",
     DIMENSIONS "shared::cta global tile im2col tile::scatter4 bulk_group L2::cache_hint", "",
     "T* A* Sl?", lower_tensor, 0, 0},
    {"cp.reduce.async.bulk.tensor",
     DIMENSIONS "shared::cta global tile tile::scatter4 im2col bulk_group L2::cache_hint add min "
                "max inc dec and or xor",
     "", "T* A* Sl?", lower_tensor, 1, 0},
    {0},
};

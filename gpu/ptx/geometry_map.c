/*
 * geometry_map.c - tensor maps: what cuTensorMapEncodeTiled accepts, the machine's own 128 bytes,
 * and tensormap.replace.
 *
 * A map is little words of 64 bits: 0 a tag (upper half) and the small fields (4 bits each), 1 the
 * address, 2..6 of each dimension the size less one (lower half), the box less one (bits 32..39)
 * and the step less one (40..47), 7..10 the strides of dimensions 1 to 4, the rest 0. The
 * hardware's own layout is not published, and no program may look into it.
 */
#include <stddef.h>
#include <string.h>

#include "gpu/ptx/geometry.h"
#include "ref/moe.h"

#define TAG 0x4d415031u

enum { TYPE, RANK, INTERLEAVE, SWIZZLE, L2, FILL };

#define ADDRESS 1
#define DIMENSIONS 2
#define STRIDES 6 /* of dimension 0, which has none */

/* Of each data type: bytes, and whether it is a floating one. */
static const struct {
    int bytes, floating;
} types[GEOMETRY_TYPE_COUNT] = {
    [GEOMETRY_U8] = {1, 0},       [GEOMETRY_U16] = {2, 0},     [GEOMETRY_U32] = {4, 0},
    [GEOMETRY_S32] = {4, 0},      [GEOMETRY_U64] = {8, 0},     [GEOMETRY_S64] = {8, 0},
    [GEOMETRY_F16] = {2, 1},      [GEOMETRY_F32] = {4, 1},     [GEOMETRY_F64] = {8, 1},
    [GEOMETRY_BF16] = {2, 1},     [GEOMETRY_F32_FTZ] = {4, 1}, [GEOMETRY_TF32] = {4, 1},
    [GEOMETRY_TF32_FTZ] = {4, 1},
};

int geometry_type_bytes(enum geometry_type type)
{
    return types[type].bytes;
}

/* ---- what is allowed ------------------------------------------------------------------------ */

static int check_kinds(const struct geometry_tensor *tensor)
{
    if ((unsigned)tensor->type >= GEOMETRY_TYPE_COUNT)
        return moe_error(MOE_E_USAGE, "tensor map: data type %d is not known here",
                         (int)tensor->type);
    if (tensor->rank < 1 || tensor->rank > GEOMETRY_RANK_MAX)
        return moe_error(MOE_E_USAGE, "tensor map: a rank of %d is not 1 to 5", tensor->rank);
    if ((unsigned)tensor->interleave > GEOMETRY_INTERLEAVE_32)
        return moe_error(MOE_E_USAGE, "tensor map: no interleave %d", (int)tensor->interleave);
    if ((unsigned)tensor->swizzle > GEOMETRY_SWIZZLE_128)
        return moe_error(MOE_E_USAGE, "tensor map: swizzle %d is not known here",
                         (int)tensor->swizzle);
    if (tensor->l2 < 0 || tensor->l2 > 3)
        return moe_error(MOE_E_USAGE, "tensor map: no L2 promotion %d", tensor->l2);
    if ((unsigned)tensor->fill > GEOMETRY_FILL_NAN)
        return moe_error(MOE_E_USAGE, "tensor map: no fill %d", (int)tensor->fill);
    if (tensor->fill == GEOMETRY_FILL_NAN && !types[tensor->type].floating)
        return moe_error(MOE_E_USAGE, "tensor map: only floating types can be filled with NaN");
    return MOE_OK;
}

static int check_dimension(const struct geometry_tensor *tensor, int i, uint32_t alignment)
{
    if (tensor->size[i] < 1 || tensor->size[i] > 1ull << 32)
        return moe_error(MOE_E_USAGE, "tensor map: size %llu of dimension %d is not 1 to 2^32",
                         (unsigned long long)tensor->size[i], i);
    if (tensor->box[i] < 1 || tensor->box[i] > 256)
        return moe_error(MOE_E_USAGE, "tensor map: box %u of dimension %d is not 1 to 256",
                         tensor->box[i], i);
    if (tensor->step[i] < 1 || tensor->step[i] > 8)
        return moe_error(MOE_E_USAGE, "tensor map: element stride %u of dimension %d is not 1 to 8",
                         tensor->step[i], i);
    if (i > 0 && (tensor->stride[i] % alignment != 0 || tensor->stride[i] >= 1ull << 40))
        return moe_error(MOE_E_USAGE,
                         "tensor map: stride %llu of dimension %d is not a multiple of %u below "
                         "2^40",
                         (unsigned long long)tensor->stride[i], i, alignment);
    return MOE_OK;
}

static int check_inner(const struct geometry_tensor *tensor)
{
    const uint32_t bytes = tensor->box[0] * (uint32_t)types[tensor->type].bytes;
    const uint32_t span = 16u << tensor->swizzle;
    if (tensor->interleave == GEOMETRY_INTERLEAVE_32 && tensor->swizzle != GEOMETRY_SWIZZLE_32)
        return moe_error(MOE_E_USAGE, "tensor map: an interleave of 32 bytes wants that swizzle");
    if (tensor->interleave != GEOMETRY_INTERLEAVE_NONE)
        return MOE_OK;
    if (bytes % 16 != 0)
        return moe_error(MOE_E_USAGE, "tensor map: a box is %u bytes wide, no multiple of 16",
                         bytes);
    if (tensor->swizzle != GEOMETRY_SWIZZLE_NONE && bytes > span)
        return moe_error(MOE_E_USAGE,
                         "tensor map: a box of %u bytes is wider than its swizzle of %u", bytes,
                         span);
    return MOE_OK;
}

int geometry_tensor_check(const struct geometry_tensor *tensor)
{
    int status = check_kinds(tensor);
    if (status != MOE_OK)
        return status;
    const uint32_t alignment = tensor->interleave == GEOMETRY_INTERLEAVE_32 ? 32 : 16;
    if (tensor->interleave != GEOMETRY_INTERLEAVE_NONE && tensor->rank < 3)
        return moe_error(MOE_E_USAGE, "tensor map: an interleaved tensor has a rank of 3 or more");
    if (tensor->address % alignment != 0)
        return moe_error(MOE_E_USAGE, "tensor map: address 0x%llx is not a multiple of %u",
                         (unsigned long long)tensor->address, alignment);
    for (int i = 0; i < tensor->rank && status == MOE_OK; i++)
        status = check_dimension(tensor, i, alignment);
    return status == MOE_OK ? check_inner(tensor) : status;
}

/* ---- the words ------------------------------------------------------------------------------ */

static unsigned small(const struct geometry_map *map, int field)
{
    return (unsigned)(map->words[0] >> (4 * field) & 15);
}

static void put(uint64_t *word, int from, int bits, uint64_t value)
{
    const uint64_t mask = ((1ull << bits) - 1) << from;
    *word = (*word & ~mask) | (value << from & mask);
}

int geometry_map_encode(const struct geometry_tensor *tensor, struct geometry_map *map)
{
    const int status = geometry_tensor_check(tensor);
    if (status != MOE_OK)
        return status;
    struct geometry_map made = {.words = {(uint64_t)TAG << 32, tensor->address}};
    const uint64_t fields[] = {[TYPE] = (uint64_t)tensor->type,
                               [RANK] = (uint64_t)tensor->rank - 1,
                               [INTERLEAVE] = (uint64_t)tensor->interleave,
                               [SWIZZLE] = (uint64_t)tensor->swizzle,
                               [L2] = (uint64_t)tensor->l2,
                               [FILL] = (uint64_t)tensor->fill};
    for (int i = 0; i <= FILL; i++)
        put(&made.words[0], 4 * i, 4, fields[i]);
    for (int i = 0; i < tensor->rank; i++) {
        uint64_t *dimension = &made.words[DIMENSIONS + i];
        put(dimension, 0, 32, tensor->size[i] - 1);
        put(dimension, 32, 8, tensor->box[i] - 1);
        put(dimension, 40, 8, tensor->step[i] - 1);
        if (i > 0)
            made.words[STRIDES + i] = tensor->stride[i];
    }
    *map = made;
    return MOE_OK;
}

int geometry_map_decode(const struct geometry_map *map, struct geometry_tensor *tensor)
{
    if (map->words[0] >> 32 != TAG)
        return moe_error(MOE_E_USAGE, "these 128 bytes are no tensor map");
    struct geometry_tensor made = {.type = (enum geometry_type)small(map, TYPE),
                                   .rank = (int)small(map, RANK) + 1,
                                   .address = map->words[ADDRESS],
                                   .interleave = (enum geometry_interleave)small(map, INTERLEAVE),
                                   .swizzle = (enum geometry_swizzle)small(map, SWIZZLE),
                                   .l2 = (int)small(map, L2),
                                   .fill = (enum geometry_fill)small(map, FILL)};
    for (int i = 0; i < made.rank && i < GEOMETRY_RANK_MAX; i++) {
        const uint64_t dimension = map->words[DIMENSIONS + i];
        made.size[i] = (dimension & 0xffffffff) + 1;
        made.box[i] = (uint32_t)(dimension >> 32 & 255) + 1;
        made.step[i] = (uint32_t)(dimension >> 40 & 255) + 1;
        made.stride[i] = i > 0 ? map->words[STRIDES + i] : 0;
    }
    const int status = geometry_tensor_check(&made);
    if (status != MOE_OK)
        return status;
    made.stride[0] = (uint64_t)types[made.type].bytes;
    *tensor = made;
    return MOE_OK;
}

/* ---- tensormap.replace ---------------------------------------------------------------------- */

/* Its numbers of types are not the driver's. */
static const enum geometry_type replaced_types[] = {
    GEOMETRY_U8,   GEOMETRY_U16,  GEOMETRY_U32,     GEOMETRY_S32,     GEOMETRY_U64,
    GEOMETRY_S64,  GEOMETRY_F16,  GEOMETRY_F32,     GEOMETRY_F32_FTZ, GEOMETRY_F64,
    GEOMETRY_BF16, GEOMETRY_TF32, GEOMETRY_TF32_FTZ};

/* Where a field is: `ordinals` words from `word`, `bits` from `from`; values least..most, stored
 * less `least`. */
static const struct {
    int word, ordinals, from, bits;
    uint64_t least, most;
} fields[] = {
    [GEOMETRY_FIELD_GLOBAL_ADDRESS] = {ADDRESS, 1, 0, 64, 0, UINT64_MAX},
    [GEOMETRY_FIELD_RANK] = {0, 1, 4 * RANK, 4, 0, GEOMETRY_RANK_MAX - 1},
    [GEOMETRY_FIELD_BOX_DIM] = {DIMENSIONS, GEOMETRY_RANK_MAX, 32, 8, 1, 256},
    [GEOMETRY_FIELD_GLOBAL_DIM] = {DIMENSIONS, GEOMETRY_RANK_MAX, 0, 32, 1, 1ull << 32},
    [GEOMETRY_FIELD_GLOBAL_STRIDE] = {STRIDES + 1, GEOMETRY_RANK_MAX - 1, 0, 64, 0, UINT64_MAX},
    [GEOMETRY_FIELD_ELEMENT_STRIDE] = {DIMENSIONS, GEOMETRY_RANK_MAX, 40, 8, 1, 8},
    [GEOMETRY_FIELD_ELEMTYPE] = {0, 1, 4 * TYPE, 4, 0, GEOMETRY_TYPE_COUNT - 1},
    [GEOMETRY_FIELD_INTERLEAVE_LAYOUT] = {0, 1, 4 * INTERLEAVE, 4, 0, GEOMETRY_INTERLEAVE_32},
    [GEOMETRY_FIELD_SWIZZLE_MODE] = {0, 1, 4 * SWIZZLE, 4, 0, GEOMETRY_SWIZZLE_128},
    [GEOMETRY_FIELD_FILL_MODE] = {0, 1, 4 * FILL, 4, 0, GEOMETRY_FILL_NAN},
};

/* Zeros are what compilers (Triton) begin a map from, before they set every field. */
static int is_blank(const struct geometry_map *map)
{
    static const struct geometry_map blank;
    return memcmp(map, &blank, sizeof blank) == 0;
}

int geometry_map_replace(struct geometry_map *map, enum geometry_field field, int ordinal,
                         uint64_t value)
{
    if (map->words[0] >> 32 != TAG && !is_blank(map))
        return moe_error(MOE_E_USAGE, "tensormap.replace: these 128 bytes are no tensor map");
    if ((unsigned)field >= sizeof fields / sizeof *fields)
        return moe_error(MOE_E_USAGE, "tensormap.replace: no field %d", (int)field);
    if (ordinal < 0 || ordinal >= fields[field].ordinals)
        return moe_error(MOE_E_USAGE, "tensormap.replace: no ordinal %d", ordinal);
    if (value < fields[field].least || value > fields[field].most)
        return moe_error(MOE_E_USAGE, "tensormap.replace: the field cannot be %llu",
                         (unsigned long long)value);
    put(&map->words[0], 32, 32, TAG);
    uint64_t *word = &map->words[fields[field].word + ordinal];
    if (field == GEOMETRY_FIELD_ELEMTYPE)
        value = (uint64_t)replaced_types[value];
    if (fields[field].bits == 64)
        *word = value;
    else
        put(word, fields[field].from, fields[field].bits, value - fields[field].least);
    return MOE_OK;
}

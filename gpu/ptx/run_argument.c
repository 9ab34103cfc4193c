/*
 * run_argument.c - see run_argument.h.
 *
 * A number, memory, or a tensor map of memory:
 *
 *     7    1.5    zeros:BYTES    unknown:BYTES    bytes:VALUE*BYTES    file:PATH
 *     map:TYPE:SIZE[*STRIDE]x...:BOXx...:SWIZZLE@MEMORY
 *
 * where MEMORY is one of the above or the number of an earlier argument, sizes are elements from
 * the innermost dimension, strides bytes (without: dimensions are packed), and SWIZZLE is 0, 32, 64
 * or 128 bytes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ptx/run_argument.h"
#include "ref/moe.h"

#define BUFFER_MAX (UINT64_C(1) << 32)

static int wrong(int index, const char *text)
{
    return moe_error(MOE_E_USAGE,
                     "argument %d is '%.80s'; allowed are a number, zeros:BYTES, unknown:BYTES, "
                     "bytes:VALUE*BYTES, file:PATH, map:TYPE:SIZES:BOX:SWIZZLE@MEMORY",
                     index, text);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Memory of that size, all known; *data is the block's own. */
static int take_memory(struct ptx_machine *machine, int index, uint64_t bytes, int known,
                       struct run_argument *argument, uint8_t **data)
{
    char name[32];
    snprintf(name, sizeof name, "argument %d", index);
    const int status = ptx_memory_allocate(machine, bytes, name, &argument->address);
    if (status)
        return status;
    struct ptx_block *block = ptx_memory_find(machine, argument->address, bytes);
    memset(block->known, known, bytes);
    argument->bytes = bytes;
    *data = block->data;
    return MOE_OK;
}

static int read_size(const char *text, uint64_t *bytes)
{
    char *rest;
    errno = 0;
    *bytes = strtoull(text, &rest, 0);
    return rest != text && !*rest && !errno && *bytes > 0 && *bytes <= BUFFER_MAX;
}

static int make_zeros(struct ptx_machine *machine, int index, const char *text,
                      struct run_argument *argument)
{
    uint64_t bytes;
    uint8_t *data;
    if (!read_size(text, &bytes))
        return wrong(index, text);
    const int status = take_memory(machine, index, bytes, 1, argument, &data);
    if (!status)
        memset(data, 0, bytes);
    return status;
}

static int make_unknown(struct ptx_machine *machine, int index, const char *text,
                        struct run_argument *argument)
{
    uint64_t bytes;
    uint8_t *data;
    return read_size(text, &bytes) ? take_memory(machine, index, bytes, 0, argument, &data)
                                   : wrong(index, text);
}

static int make_bytes(struct ptx_machine *machine, int index, const char *text,
                      struct run_argument *argument)
{
    char *rest;
    uint64_t bytes;
    uint8_t *data;
    const unsigned long long value = strtoull(text, &rest, 0);
    if (rest == text || *rest != '*' || value > 255 || !read_size(rest + 1, &bytes))
        return wrong(index, text);
    const int status = take_memory(machine, index, bytes, 1, argument, &data);
    if (!status)
        memset(data, (int)value, bytes);
    return status;
}

static int make_file(struct ptx_machine *machine, int index, const char *path,
                     struct run_argument *argument)
{
    uint8_t *data = NULL;
    FILE *file = fopen(path, "rb");
    if (!file)
        return moe_error(MOE_E_IO, "argument %d: %s: %s", index, path, strerror(errno));
    const int64_t bytes = fseek(file, 0, SEEK_END) ? -1 : (int64_t)ftell(file);
    int status = MOE_OK;
    if (bytes <= 0 || (uint64_t)bytes > BUFFER_MAX || fseek(file, 0, SEEK_SET))
        status =
            moe_error(MOE_E_USAGE, "argument %d: %s is no file of 1 to 2^32 bytes", index, path);
    if (!status)
        status = take_memory(machine, index, (uint64_t)bytes, 1, argument, &data);
    if (!status && fread(data, 1, (size_t)bytes, file) != (size_t)bytes)
        status = moe_error(MOE_E_IO, "argument %d: %s cannot be read", index, path);
    fclose(file);
    return status;
}

/* 1: the text names memory, and *status is what came of it. */
static int make_memory(struct ptx_machine *machine, int index, const char *text,
                       struct run_argument *argument, int *status)
{
    static const struct {
        const char *word;
        int (*make)(struct ptx_machine *, int, const char *, struct run_argument *);
    } kinds[] = {{"zeros:", make_zeros},
                 {"unknown:", make_unknown},
                 {"bytes:", make_bytes},
                 {"file:", make_file}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strncmp(text, kinds[i].word, strlen(kinds[i].word))) {
            *status = kinds[i].make(machine, index, text + strlen(kinds[i].word), argument);
            return 1;
        }
    return 0;
}

/* ---- tensor maps ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum geometry_type type;
} types[] = {{"u8", GEOMETRY_U8},     {"u16", GEOMETRY_U16}, {"u32", GEOMETRY_U32},
             {"s32", GEOMETRY_S32},   {"u64", GEOMETRY_U64}, {"s64", GEOMETRY_S64},
             {"f16", GEOMETRY_F16},   {"f32", GEOMETRY_F32}, {"f64", GEOMETRY_F64},
             {"bf16", GEOMETRY_BF16}, {"e4m3", GEOMETRY_U8}, {"e5m2", GEOMETRY_U8},
             {"tf32", GEOMETRY_TF32}};

/* Numbers with x between them, each with a stride behind a star where there may be one; how many,
 * 0: it is not that. */
static int read_extents(char *text, uint64_t extent[GEOMETRY_RANK_MAX],
                        uint64_t stride[GEOMETRY_RANK_MAX])
{
    int rank = 0;
    char *save = NULL;
    for (char *word = strtok_r(text, "x", &save); word; word = strtok_r(NULL, "x", &save)) {
        char *rest;
        errno = 0;
        if (rank == GEOMETRY_RANK_MAX)
            return 0;
        extent[rank] = strtoull(word, &rest, 10);
        if (rest != word && *rest == '*' && stride && rank > 0) {
            word = rest + 1;
            stride[rank] = strtoull(word, &rest, 10);
        }
        if (rest == word || *rest || errno)
            return 0;
        rank++;
    }
    return rank;
}

/* The tensor without its address. 0: the words are wrong. */
static int read_tensor(char *text, struct geometry_tensor *tensor)
{
    static const char *const swizzles[] = {"0", "32", "64", "128"};
    char *save = NULL, *type = strtok_r(text, ":", &save), *sizes = strtok_r(NULL, ":", &save),
         *boxes = strtok_r(NULL, ":", &save), *swizzle = strtok_r(NULL, ":", &save);
    uint64_t box[GEOMETRY_RANK_MAX];
    size_t i = 0, s = 0;
    if (!swizzle)
        return 0;
    while (i < sizeof types / sizeof *types && strcmp(types[i].name, type) != 0)
        i++;
    while (s < sizeof swizzles / sizeof *swizzles && strcmp(swizzles[s], swizzle) != 0)
        s++;
    *tensor = (struct geometry_tensor){0};
    tensor->rank = read_extents(sizes, tensor->size, tensor->stride);
    if (i == sizeof types / sizeof *types || s == sizeof swizzles / sizeof *swizzles)
        return 0;
    tensor->type = types[i].type;
    tensor->swizzle = (enum geometry_swizzle)s;
    if (tensor->rank == 0 || read_extents(boxes, box, NULL) != tensor->rank)
        return 0;
    for (int d = 0; d < tensor->rank; d++) {
        tensor->box[d] = box[d] > UINT32_MAX ? UINT32_MAX : (uint32_t)box[d];
        tensor->step[d] = 1;
    }
    return 1;
}

/* Strides where none were given; the bytes that the tensor spans, UINT64_MAX: too many. */
static uint64_t span(struct geometry_tensor *tensor)
{
    const uint64_t element = (uint64_t)geometry_type_bytes(tensor->type);
    uint64_t packed = element, last = 0, bytes;
    for (int d = 0; d < tensor->rank; d++) {
        if (tensor->stride[d] == 0)
            tensor->stride[d] = packed;
        if (tensor->size[d] == 0 ||
            __builtin_mul_overflow(tensor->stride[d], tensor->size[d] - 1, &bytes) ||
            __builtin_add_overflow(last, bytes, &last) ||
            __builtin_mul_overflow(tensor->stride[d], tensor->size[d], &packed))
            return UINT64_MAX;
    }
    return __builtin_add_overflow(last, element, &last) ? UINT64_MAX : last;
}

static int make_map(struct ptx_machine *machine, const char *text,
                    const struct run_argument *before, int index, struct run_argument *argument)
{
    struct geometry_tensor tensor;
    char words[200], *rest;
    const char *at = strchr(text, '@');
    int status = MOE_OK;
    if (!at || (size_t)(at - text) >= sizeof words)
        return wrong(index, text);
    memcpy(words, text, (size_t)(at - text));
    words[at - text] = '\0';
    if (!read_tensor(words, &tensor))
        return wrong(index, text);
    const struct run_argument *memory = argument;
    if (!make_memory(machine, index, at + 1, argument, &status)) {
        const unsigned long number = strtoul(at + 1, &rest, 10);
        if (rest == at + 1 || *rest || number >= (unsigned long)index || !before[number].bytes)
            return moe_error(MOE_E_USAGE, "argument %d: '%.60s' is no memory", index, at + 1);
        memory = &before[number];
    }
    const uint64_t bytes = span(&tensor);
    if (!status && bytes > memory->bytes)
        status =
            moe_error(MOE_E_USAGE, "argument %d: the tensor spans %llu bytes, its memory has %llu",
                      index, (unsigned long long)bytes, (unsigned long long)memory->bytes);
    tensor.address = memory->address;
    return status ? status : geometry_map_encode(&tensor, &argument->value.map);
}

/* ---- one argument ---------------------------------------------------------------------------- */

static int make_number(int index, const char *text, enum ptx_type type, uint64_t *number)
{
    char *rest;
    errno = 0;
    if (type == PTX_F32) {
        const float value = strtof(text, &rest);
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        *number = bits;
    } else if (type == PTX_F64) {
        const double value = strtod(text, &rest);
        memcpy(number, &value, sizeof value);
    } else {
        *number = text[0] == '-' ? (uint64_t)strtoll(text, &rest, 0) : strtoull(text, &rest, 0);
    }
    return *rest || rest == text || errno ? wrong(index, text) : MOE_OK;
}

int run_argument_make(struct ptx_machine *machine, const char *text,
                      const struct ptx_variable *formal, const struct run_argument *before,
                      int index, struct run_argument *argument)
{
    static const char map[] = "map:";
    const int is_map = !strncmp(text, map, strlen(map));
    const uint64_t bytes = formal ? formal->bytes : 0;
    int status = MOE_OK;
    *argument = (struct run_argument){0};
    if (is_map ? bytes != sizeof argument->value.map : bytes > sizeof argument->value.number)
        return moe_error(MOE_E_UNSUPPORTED,
                         "parameter %d has %llu bytes; supported are 128 for a tensor map, and 8 "
                         "or fewer",
                         index, (unsigned long long)bytes);
    if (is_map)
        return make_map(machine, text + strlen(map), before, index, argument);
    if (!make_memory(machine, index, text, argument, &status))
        return make_number(index, text, formal->type, &argument->value.number);
    argument->value.number = argument->address;
    return status;
}

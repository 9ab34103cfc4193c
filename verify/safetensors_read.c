/*
 * safetensors_read.c - reads safetensors files and trusts nothing in them.
 *
 * The format's rules, all checked before anything is handed out: the header's length is at most
 * 100 MB and inside the file; the header is a JSON object that begins with '{', no key twice; each
 * tensor has a known type, a shape and the bytes that these need; the tensors' bytes follow each
 * other without holes or overlaps from the end of the header to the end of the file.
 */
#include "verify/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a header may cost. The length is the format's own limit; nested or numerous values would
 * make the JSON tree a hundred times larger than the header. */
enum { LENGTH_BYTES = 8, MOST_HEADER = 100000000, MOST_DEPTH = 64, MOST_VALUES = 1 << 22 };

struct moe_safetensors {
    char *path;
    void *map; /* the whole file */
    size_t size;
    json_t *header; /* owns the names */
    struct moe_safetensors_entry *entries;
    int64_t count;
    int64_t *shapes; /* of all entries, one after the other */
};

/* ---- types ---------------------------------------------------------------------------------- */

/* Types of the format that the toolkit has no use for; the others stand in the table of types. */
static const struct {
    const char *name;
    int bits;
} other_types[] = {
    {"BOOL", 8}, {"I8", 8},      {"I16", 16},        {"U16", 16},
    {"U32", 32}, {"U64", 64},    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
    {"C64", 64}, {"F6_E2M3", 6}, {"F6_E3M2", 6},
};

/* Bits of an element, and the type or -1; 0 bits: not a type of the format. */
static int type_bits(const char *name, int *dtype)
{
    for (*dtype = 0; *dtype < MOE_DTYPE_COUNT; ++*dtype) {
        const struct moe_dtype_info *info = moe_dtype_info((enum moe_dtype) * dtype);
        if (strcmp(info->safetensors, name) == 0)
            return info->bits;
    }
    *dtype = -1;
    for (size_t i = 0; i < sizeof other_types / sizeof *other_types; i++)
        if (strcmp(other_types[i].name, name) == 0)
            return other_types[i].bits;
    return 0;
}

/* ---- the header ----------------------------------------------------------------------------- */

static int refuse(const struct moe_safetensors *file, const char *why)
{
    return moe_error(MOE_E_USAGE, "%s: not a safetensors file: %s", file->path, why);
}

static int refuse_entry(const struct moe_safetensors *file, const char *name, const char *why)
{
    return moe_error(MOE_E_USAGE, "%s: not a safetensors file: tensor '%.80s': %s", file->path,
                     name, why);
}

static int no_memory(const char *path)
{
    return moe_error(MOE_E_NOMEM, "%s: no memory for its header", path);
}

/* Bounds what the header will cost before a tree is built of it. */
static int scan(const struct moe_safetensors *file, const char *text, size_t length)
{
    int depth = 0, values = 0, quoted = 0;
    for (size_t i = 0; i < length; i++) {
        const char c = text[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '[' || c == ','))
            values++;
        if (!quoted && (c == '{' || c == '['))
            depth++;
        if (!quoted && (c == '}' || c == ']'))
            depth--;
        if (depth > MOST_DEPTH)
            return refuse(file, "header nested more than 64 levels deep");
        if (values > MOST_VALUES)
            return refuse(file, "more than 4194304 values in the header");
    }
    return MOE_OK;
}

static int read_metadata(const struct moe_safetensors *file, json_t *metadata)
{
    const char *key;
    json_t *value;
    if (!json_is_object(metadata))
        return refuse(file, "__metadata__ is not an object");
    json_object_foreach(metadata, key, value) if (!json_is_string(value)) return refuse(
        file, "__metadata__ holds something other than text");
    return MOE_OK;
}

/* An array of `count` integers that are not negative. */
static int read_integers(const json_t *array, size_t count, int64_t *values)
{
    if (!json_is_array(array) || json_array_size(array) != count)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(array, i);
        if (!json_is_integer(value) || json_integer_value(value) < 0)
            return -1;
        values[i] = json_integer_value(value);
    }
    return 0;
}

/* One tensor; `room` is where its shape goes. Its place is checked later, among all. */
static int read_entry(const struct moe_safetensors *file, const char *name, const json_t *value,
                      const char *data, int64_t data_size, int64_t *room,
                      struct moe_safetensors_entry *entry)
{
    const json_t *shape = json_object_get(value, "shape");
    const char *type = json_string_value(json_object_get(value, "dtype"));
    const size_t rank = json_array_size(shape);
    int64_t bits, offsets[2];
    int dtype;
    if (!json_is_object(value))
        return refuse_entry(file, name, "its description is not an object");
    if (type == NULL)
        return refuse_entry(file, name, "no dtype");
    bits = type_bits(type, &dtype);
    if (bits == 0)
        return refuse_entry(file, name, "its dtype is none of the format's");
    if (read_integers(shape, rank, room) != 0)
        return refuse_entry(file, name, "its shape is not a list of sizes");
    if (read_integers(json_object_get(value, "data_offsets"), 2, offsets) != 0)
        return refuse_entry(file, name, "its data_offsets are not two positions");
    if (offsets[0] > offsets[1])
        return refuse_entry(file, name, "its data_offsets are reversed");
    if (offsets[1] > data_size)
        return refuse_entry(file, name, "its data lie outside the file");
    for (size_t i = 0; i < rank; i++)
        if (__builtin_mul_overflow(bits, room[i], &bits))
            return refuse_entry(file, name, "its shape is larger than any file");
    if (bits % 8 != 0)
        return refuse_entry(file, name, "its shape is not a whole number of bytes");
    if (bits / 8 != offsets[1] - offsets[0])
        return refuse_entry(file, name, "its shape and its data_offsets are at odds");
    *entry = (struct moe_safetensors_entry){.name = name,
                                            .type = type,
                                            .dtype = dtype,
                                            .rank = (int64_t)rank,
                                            .shape = room,
                                            .bytes = bits / 8,
                                            .data = data + offsets[0]};
    return MOE_OK;
}

/* By position; what is empty stands before what begins there. */
static int by_position(const void *a, const void *b)
{
    const struct moe_safetensors_entry *x = a, *y = b;
    if (x->data != y->data)
        return (const char *)x->data < (const char *)y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int check_places(const struct moe_safetensors *file, const char *data, int64_t data_size)
{
    const char *end = data;
    for (int64_t i = 0; i < file->count; i++) {
        const struct moe_safetensors_entry *entry = &file->entries[i];
        if ((const char *)entry->data < end)
            return refuse_entry(file, entry->name, "its data overlap another's");
        if ((const char *)entry->data > end)
            return refuse_entry(file, entry->name, "a hole lies before its data");
        end += entry->bytes;
    }
    if (end != data + data_size)
        return refuse(file, "bytes behind the last tensor");
    return MOE_OK;
}

static int read_header(struct moe_safetensors *file, const char *text, size_t length)
{
    const char *data = text + length;
    const int64_t data_size = (int64_t)(file->size - LENGTH_BYTES - length);
    const char *name;
    json_error_t error;
    json_t *value;
    size_t sizes = 0;
    int status = scan(file, text, length);
    if (status != MOE_OK)
        return status;
    if (length == 0 || text[0] != '{')
        return refuse(file, "the header does not begin with '{'");
    file->header = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (file->header == NULL)
        return json_error_code(&error) == json_error_out_of_memory ? no_memory(file->path)
                                                                   : refuse(file, error.text);
    json_object_foreach(file->header, name, value) sizes +=
        json_array_size(json_object_get(value, "shape"));
    file->entries = calloc(json_object_size(file->header) + 1, sizeof *file->entries);
    file->shapes = calloc(sizes + 1, sizeof *file->shapes);
    if (file->entries == NULL || file->shapes == NULL)
        return no_memory(file->path);
    sizes = 0;
    json_object_foreach(file->header, name, value)
    {
        struct moe_safetensors_entry *entry = &file->entries[file->count];
        if (strcmp(name, "__metadata__") == 0) {
            status = read_metadata(file, value);
        } else {
            status = read_entry(file, name, value, data, data_size, file->shapes + sizes, entry);
            sizes += (size_t)entry->rank;
            file->count++;
        }
        if (status != MOE_OK)
            return status;
    }
    qsort(file->entries, (size_t)file->count, sizeof *file->entries, by_position);
    return check_places(file, data, data_size);
}

/* ---- the file ------------------------------------------------------------------------------- */

static int map_file(struct moe_safetensors *file)
{
    struct stat status;
    const int descriptor = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return moe_error(MOE_E_IO, "%s: %s", file->path, strerror(errno));
    if (fstat(descriptor, &status) != 0) {
        moe_error(MOE_E_IO, "%s: %s", file->path, strerror(errno));
        close(descriptor);
        return MOE_E_IO;
    }
    if (!S_ISREG(status.st_mode) || status.st_size < LENGTH_BYTES) {
        close(descriptor);
        return refuse(file,
                      S_ISREG(status.st_mode) ? "shorter than 8 bytes" : "not a regular file");
    }
    file->size = (size_t)status.st_size;
    file->map = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    close(descriptor);
    if (file->map == MAP_FAILED) {
        file->map = NULL;
        return moe_error(MOE_E_IO, "%s: %s", file->path, strerror(errno));
    }
    return MOE_OK;
}

static int read_file(struct moe_safetensors *file)
{
    const unsigned char *bytes;
    uint64_t length = 0;
    const int status = map_file(file);
    if (status != MOE_OK)
        return status;
    bytes = file->map;
    for (int i = 0; i < LENGTH_BYTES; i++)
        length |= (uint64_t)bytes[i] << 8 * i;
    if (length > MOST_HEADER)
        return refuse(file, "a header of more than 100 MB");
    if (length > file->size - LENGTH_BYTES)
        return refuse(file, "the header is longer than the file");
    return read_header(file, (const char *)bytes + LENGTH_BYTES, (size_t)length);
}

int moe_safetensors_open(const char *path, struct moe_safetensors **file)
{
    struct moe_safetensors *opened = calloc(1, sizeof *opened);
    int status;
    if (opened == NULL || (opened->path = strdup(path)) == NULL) {
        free(opened);
        return no_memory(path);
    }
    status = read_file(opened);
    if (status == MOE_OK)
        *file = opened;
    else
        moe_safetensors_close(opened);
    return status;
}

void moe_safetensors_close(struct moe_safetensors *file)
{
    if (file == NULL)
        return;
    json_decref(file->header);
    free(file->entries);
    free(file->shapes);
    if (file->map != NULL)
        munmap(file->map, file->size);
    free(file->path);
    free(file);
}

const struct moe_safetensors_entry *moe_safetensors_entry(const struct moe_safetensors *file,
                                                          int64_t index)
{
    return index >= 0 && index < file->count ? &file->entries[index] : NULL;
}

const struct moe_safetensors_entry *moe_safetensors_find(const struct moe_safetensors *file,
                                                         const char *name)
{
    for (int64_t i = 0; i < file->count; i++)
        if (strcmp(file->entries[i].name, name) == 0)
            return &file->entries[i];
    return NULL;
}

const char *moe_safetensors_metadata(const struct moe_safetensors *file, const char *key)
{
    return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), key));
}

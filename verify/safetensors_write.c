/*
 * safetensors_write.c - writes safetensors files. Types of more bytes come first and the header is
 * padded with blanks to a multiple of eight, so that every tensor is aligned to its elements
 * although the format allows no holes.
 */
#include "verify/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "verify/aside.h"

/* Bytes gathered from a strided tensor before they are written. */
enum { BUFFER_SIZE = 1 << 16 };

static int no_memory(const char *path)
{
    return moe_error(MOE_E_NOMEM, "%s: no memory to write it", path);
}

/* Items by falling size of an element; equal ones keep their order. */
static void sort(const struct moe_safetensors_item *items, int count, int *order)
{
    for (int i = 0; i < count; i++) {
        const int bits = moe_dtype_info(items[i].tensor.dtype)->bits;
        int place = i;
        for (; place > 0; place--) {
            if (moe_dtype_info(items[order[place - 1]].tensor.dtype)->bits >= bits)
                break;
            order[place] = order[place - 1];
        }
        order[place] = i;
    }
}

/* {"dtype":...,"shape":[...],"data_offsets":[...]}, NULL: no memory. Advances *position. */
static json_t *describe(const struct moe_tensor *tensor, int64_t *position)
{
    json_t *shape = json_array();
    const int64_t begin = *position;
    for (int32_t axis = 0; axis < tensor->rank; axis++)
        json_array_append_new(shape, json_integer(tensor->shape[axis]));
    if (json_array_size(shape) != (size_t)tensor->rank) {
        json_decref(shape);
        return NULL;
    }
    *position += moe_tensor_bytes(tensor);
    return json_pack("{s:s, s:o, s:[I,I]}", "dtype", moe_dtype_info(tensor->dtype)->safetensors,
                     "shape", shape, "data_offsets", (json_int_t)begin, (json_int_t)*position);
}

/* The header as a tree. */
static int build(const char *path, const struct moe_safetensors_item *items, int count,
                 const int *order, const char *const *metadata, json_t **tree)
{
    json_t *header = json_object(), *words = json_object();
    int64_t position = 0;
    int status = header != NULL && words != NULL ? MOE_OK : no_memory(path);
    for (; status == MOE_OK && metadata != NULL && metadata[0] != NULL; metadata += 2)
        if (json_object_set_new(words, metadata[0], json_string(metadata[1])) != 0)
            status = moe_error(MOE_E_USAGE, "%s: metadata '%s'='%.80s' is not UTF-8", path,
                               metadata[0], metadata[1]);
    if (status == MOE_OK && json_object_size(words) > 0)
        json_object_set(header, "__metadata__", words);
    for (int i = 0; status == MOE_OK && i < count; i++) {
        const struct moe_safetensors_item *item = &items[order[i]];
        if (json_object_get(header, item->name) != NULL)
            status = moe_error(MOE_E_USAGE, "%s: tensor '%s' stands twice", path, item->name);
        else if (json_object_set_new(header, item->name, describe(&item->tensor, &position)) != 0)
            status = moe_error(MOE_E_USAGE, "%s: tensor '%s': not UTF-8, or no memory", path,
                               item->name);
    }
    json_decref(words);
    if (status == MOE_OK)
        *tree = header;
    else
        json_decref(header);
    return status;
}

/* Elements in row-major order, gathered by rows of the last dimension. */
static int write_strided(struct moe_aside *aside, const struct moe_tensor *tensor)
{
    const size_t size = (size_t)moe_dtype_info(tensor->dtype)->bits / 8;
    const int64_t count = moe_tensor_count(tensor);
    char buffer[BUFFER_SIZE];
    int status = MOE_OK;
    for (int64_t first = 0; status == MOE_OK && first < count;) {
        size_t used = 0;
        for (; used < BUFFER_SIZE && first < count; first++, used += size)
            memcpy(buffer + used,
                   (const char *)tensor->data + (size_t)moe_tensor_position(tensor, first) * size,
                   size);
        status = moe_aside_write(aside, buffer, used);
    }
    return status;
}

static int is_dense(const struct moe_tensor *tensor)
{
    int64_t stride = 1;
    for (int32_t axis = tensor->rank - 1; axis >= 0; axis--) {
        if (tensor->stride[axis] != stride && tensor->shape[axis] != 1)
            return 0;
        stride *= tensor->shape[axis];
    }
    return 1;
}

static int write_all(const char *path, const struct moe_safetensors_item *items, int count,
                     const int *order, const char *header)
{
    static const char blanks[] = "       ";
    const uint64_t written = strlen(header), length = (written + 7) / 8 * 8;
    unsigned char prefix[8];
    struct moe_aside aside;
    int status = moe_aside_open(path, &aside);
    if (status != MOE_OK)
        return status;
    for (int i = 0; i < 8; i++)
        prefix[i] = (unsigned char)(length >> 8 * i);
    status = moe_aside_write(&aside, prefix, sizeof prefix);
    if (status == MOE_OK)
        status = moe_aside_write(&aside, header, written);
    if (status == MOE_OK)
        status = moe_aside_write(&aside, blanks, length - written);
    for (int i = 0; status == MOE_OK && i < count; i++) {
        const struct moe_tensor *tensor = &items[order[i]].tensor;
        /* A type of less than a byte is always dense. */
        if (is_dense(tensor) || moe_dtype_info(tensor->dtype)->bits < 8)
            status = moe_aside_write(&aside, tensor->data, (size_t)moe_tensor_bytes(tensor));
        else
            status = write_strided(&aside, tensor);
    }
    if (status == MOE_OK)
        return moe_aside_commit(&aside);
    moe_aside_discard(&aside);
    return status;
}

int moe_safetensors_write(const char *path, const struct moe_safetensors_item *items, int count,
                          const char *const *metadata)
{
    int *order = malloc(((size_t)count + 1) * sizeof *order);
    json_t *header;
    int status;
    if (order == NULL)
        return no_memory(path);
    sort(items, count, order);
    status = build(path, items, count, order, metadata, &header);
    if (status == MOE_OK) {
        char *text = json_dumps(header, JSON_COMPACT);
        status = text != NULL ? write_all(path, items, count, order, text) : no_memory(path);
        free(text);
        json_decref(header);
    }
    free(order);
    return status;
}

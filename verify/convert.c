/*
 * convert.c - exact conversion of a file's elements. A check of numerics must not begin by rounding
 * its own inputs, so what does not fit is refused, with the first element that does not.
 */
#include "verify/convert.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Elements at a time. Even, so that two 4-bit elements stay in their byte. */
enum { CHUNK = 2048 };

/* A file's data have no alignment: every chunk passes through here. */
union aligned {
    double real[CHUNK];
    int64_t i64[CHUNK];
    int32_t i32[CHUNK];
    uint8_t u8[CHUNK];
};

static int is_float(int dtype)
{
    return dtype >= 0 && moe_dtype_info((enum moe_dtype)dtype)->is_float;
}

static int is_integer(int dtype)
{
    return dtype == MOE_I32 || dtype == MOE_I64 || dtype == MOE_U8;
}

static int refuse(const char *path, const struct moe_safetensors_entry *entry,
                  const struct moe_tensor *to, int64_t index, const char *value)
{
    char place[96] = "";
    int64_t rest = index;
    /* Indices from the last one backwards. */
    for (int32_t axis = to->rank - 1; axis >= 0; axis--) {
        char behind[96];
        memcpy(behind, place, sizeof behind);
        snprintf(place, sizeof place, "%lld%s%.60s", (long long)(rest % to->shape[axis]),
                 behind[0] != '\0' ? "," : "", behind);
        rest /= to->shape[axis];
    }
    return moe_error(MOE_E_USAGE, "%s: %s[%s] = %s (%s) is not a value of %s", path, entry->name,
                     place, value, entry->type, moe_dtype_info(to->dtype)->name);
}

static int convert_floats(const char *path, const struct moe_safetensors_entry *entry,
                          const struct moe_tensor *to)
{
    const enum moe_dtype from = (enum moe_dtype)entry->dtype;
    const int bits = moe_dtype_info(from)->bits;
    const int64_t count = moe_tensor_count(to);
    for (int64_t first = 0; first < count; first += CHUNK) {
        const int64_t run = count - first < CHUNK ? count - first : CHUNK;
        union aligned raw;
        double value[CHUNK], stored[CHUNK];
        memcpy(&raw, (const char *)entry->data + first * bits / 8, (size_t)(run * bits + 7) / 8);
        moe_dtype_load_many(from, &raw, 0, run, value);
        moe_dtype_store_many(to->dtype, to->data, first, run, value);
        moe_dtype_load_many(to->dtype, to->data, first, run, stored);
        for (int64_t i = 0; i < run; i++) {
            if (stored[i] != value[i] && !(isnan(stored[i]) && isnan(value[i]))) {
                char text[40];
                snprintf(text, sizeof text, "%.17g", value[i]);
                return refuse(path, entry, to, first + i, text);
            }
        }
    }
    return MOE_OK;
}

static int64_t integer_at(const union aligned *raw, int dtype, int64_t i)
{
    if (dtype == MOE_U8)
        return raw->u8[i];
    return dtype == MOE_I32 ? raw->i32[i] : raw->i64[i];
}

static int convert_integers(const char *path, const struct moe_safetensors_entry *entry,
                            const struct moe_tensor *to)
{
    const int size = moe_dtype_info((enum moe_dtype)entry->dtype)->bits / 8;
    const int64_t count = moe_tensor_count(to);
    for (int64_t first = 0; first < count; first += CHUNK) {
        const int64_t run = count - first < CHUNK ? count - first : CHUNK;
        union aligned raw;
        memcpy(&raw, (const char *)entry->data + first * size, (size_t)(run * size));
        for (int64_t i = 0; i < run; i++) {
            const int64_t value = integer_at(&raw, entry->dtype, i);
            if (to->dtype == MOE_I32 && (value < INT32_MIN || value > INT32_MAX)) {
                char text[32];
                snprintf(text, sizeof text, "%lld", (long long)value);
                return refuse(path, entry, to, first + i, text);
            }
            if (to->dtype == MOE_I32)
                ((int32_t *)to->data)[first + i] = (int32_t)value;
            else
                ((int64_t *)to->data)[first + i] = value;
        }
    }
    return MOE_OK;
}

int moe_convert(const char *path, const struct moe_safetensors_entry *entry,
                const struct moe_tensor *to)
{
    if (entry->dtype == (int)to->dtype) {
        if (entry->bytes > 0)
            memcpy(to->data, entry->data, (size_t)entry->bytes);
        return MOE_OK;
    }
    if (is_float(entry->dtype) && is_float((int)to->dtype))
        return convert_floats(path, entry, to);
    if (is_integer(entry->dtype) && (to->dtype == MOE_I32 || to->dtype == MOE_I64))
        return convert_integers(path, entry, to);
    return moe_error(MOE_E_USAGE, "%s: %s is %s; allowed is what converts to %s without loss", path,
                     entry->name, entry->type, moe_dtype_info(to->dtype)->name);
}

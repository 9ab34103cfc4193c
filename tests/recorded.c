/*
 * recorded.c - see recorded.h.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "ref/moe.h"
#include "tests/recorded.h"
#include "verify/variant.h"

static struct recorded table[512];
static int count;

int recorded_read(void)
{
    const char *source = getenv("srcdir");
    char path[4096], line[256];
    snprintf(path, sizeof path, "%s/tests/ptx/recorded.txt", source ? source : ".");
    FILE *file = fopen(path, "r");
    if (!file)
        return moe_error(MOE_E_IO, "'%s' cannot be read", path);
    while (count < (int)(sizeof table / sizeof *table) && fgets(line, sizeof line, file))
        count += line[0] != '#' && sscanf(line, "%39s %32s %32s", table[count].name,
                                          table[count].made, table[count].gave) == 3;
    fclose(file);
    return MOE_OK;
}

const struct recorded *recorded_find(const char *name)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(table[i].name, name))
            return &table[i];
    return NULL;
}

void recorded_write(FILE *file, const struct recorded *row, const struct moe_gpu_status *gpu)
{
    fprintf(file, "%-28s %s %s %d %s\n", row->name, row->made, row->gave, gpu->driver_version,
            gpu->device[0].name);
    fflush(file);
}

void recorded_hash(const void *first, size_t first_bytes, const void *second, size_t second_bytes,
                   char text[HASH_TEXT])
{
    XXH3_state_t *state = XXH3_createState();
    XXH3_128bits_reset(state);
    XXH3_128bits_update(state, first, first_bytes);
    if (second_bytes)
        XXH3_128bits_update(state, second, second_bytes);
    const XXH128_hash_t digest = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    snprintf(text, HASH_TEXT, "%016" PRIx64 "%016" PRIx64, digest.high64, digest.low64);
}

int recorded_open(int must, struct moe_gpu_status *gpu, struct moe_device **device)
{
    moe_gpu_probe(gpu);
    *device = NULL;
    if (gpu->state == MOE_GPU_READY && gpu->device[0].major == 9)
        return moe_device_open(MOE_ON_CUDA, 0, device);
    if (must || getenv("MOE_REQUIRE_GPU"))
        return moe_error(MOE_E_UNSUPPORTED, "no GPU of capability 9.0: %s", gpu->reason);
    return MOE_OK;
}

/*
 * registry.c - the variants that there are: those built in, from the list of files variant_*.c,
 * then those of plug-ins in the order in which they were opened.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify/on_device.h"
#include "verify/registry.h"
#include "verify/verify.h"

#define X(name) extern const struct moe_variant moe_variant_##name;
#include "verify/variants.inc"
#undef X

#define X(name) &moe_variant_##name,
static const struct moe_variant *const built_in[] = {
#include "verify/variants.inc"
};
#undef X

#define BUILT_IN_COUNT ((int)(sizeof built_in / sizeof built_in[0]))

/* Grown by plug-ins; lives as long as the process, as the plug-ins do. */
static const struct moe_variant **added;
static int added_count;

const struct moe_variant *moe_variant_get(int index)
{
    if (index < 0 || index >= BUILT_IN_COUNT + added_count)
        return NULL;
    return index < BUILT_IN_COUNT ? built_in[index] : added[index - BUILT_IN_COUNT];
}

const struct moe_variant *moe_variant_find(const char *name)
{
    const struct moe_variant *variant;
    for (int i = 0; (variant = moe_variant_get(i)) != NULL; i++)
        if (strcmp(variant->name, name) == 0)
            return variant;
    return NULL;
}

int moe_variant_add(const struct moe_variant *const *variants, uint32_t count)
{
    size_t total = (size_t)added_count + count;
    const struct moe_variant **grown = realloc(added, total * sizeof *grown);
    if (!grown)
        return moe_error(MOE_E_NOMEM, "no memory for %u more variants", count);
    added = grown;
    memcpy(added + added_count, variants, count * sizeof *added);
    added_count += (int)count;
    return MOE_OK;
}

static const struct {
    unsigned device;
    const char *name; /* as --device takes it */
} devices_known[] = {
    {MOE_ON_CPU, "cpu"},
    {MOE_ON_CUDA, "cuda"},
    {MOE_ON_PTX, "ptx"},
};

int moe_variant_applicable(const struct moe_variant *variant, const struct moe_problem *problem,
                           unsigned devices, char *why, size_t size)
{
    if (!(variant->devices & devices)) {
        int length = snprintf(why, size, "runs on");
        for (size_t i = 0; i < sizeof devices_known / sizeof devices_known[0]; i++)
            if (variant->devices & devices_known[i].device && (size_t)length < size)
                length +=
                    snprintf(why + length, size - (size_t)length, " %s", devices_known[i].name);
        if ((size_t)length < size)
            snprintf(why + length, size - (size_t)length, " only");
        return MOE_E_UNSUPPORTED;
    }
    const unsigned kinds = variant->devices & devices;
    if ((kinds == MOE_ON_CUDA || kinds == MOE_ON_PTX) &&
        moe_on_device_possible((enum moe_device_kind)kinds, why, size) != MOE_OK)
        return MOE_E_UNSUPPORTED;
    if (size)
        why[0] = '\0';
    if (variant->supports(problem, why, size) == MOE_OK)
        return MOE_OK;
    if (size && why[0] == '\0')
        snprintf(why, size, "%s does not say why", variant->name);
    return MOE_E_UNSUPPORTED;
}

/*
 * plugin.c - variants from other people's shared objects.
 *
 * A plug-in is trusted code: its constructors run here, and its functions in the judge's workers.
 * What is checked is what goes wrong by accident: built for another version of the headers, a table
 * with holes, a name taken, and code linked with -ffast-math, whose constructor turns subnormal
 * numbers off for the whole thread, the judge included. The sizes are read one by one, in the order
 * in which they stand, so that a table that is too short is refused before what it lacks is read.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify/float_modes.h"
#include "verify/registry.h"
#include "verify/verify.h"

#define NAME_LONGEST 63
#define DEVICES (MOE_ON_CPU | MOE_ON_CUDA | MOE_ON_PTX)

/* dlopen, with the floating-point modes put back. *changed: they had to be. NULL: dlerror() says
 * why. */
static void *load(const char *path, int *changed)
{
    struct float_modes modes;
    float_modes_save(&modes);
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    *changed = float_modes_restore(&modes);
    return object;
}

/* ---- the table ------------------------------------------------------------------------------ */

static int check_size(const char *path, const char *what, uint32_t theirs, size_t ours)
{
    if (theirs == ours)
        return MOE_OK;
    return moe_error(MOE_E_USAGE,
                     "plug-in %s: its %s is %u, this moecheck's is %zu: build it with this "
                     "version's headers",
                     path, what, theirs, ours);
}

static int check_sizes(const char *path, const struct moe_plugin *plugin)
{
    int status = check_size(path, "struct moe_plugin (bytes)", plugin->struct_size, sizeof *plugin);
    if (status == MOE_OK)
        status = check_size(path, "plug-in version", plugin->version, MOE_PLUGIN_VERSION);
    if (status == MOE_OK)
        status = check_size(path, "struct moe_problem (bytes)", plugin->problem_size,
                            sizeof(struct moe_problem));
    if (status == MOE_OK)
        status = check_size(path, "struct moe_tensor (bytes)", plugin->tensor_size,
                            sizeof(struct moe_tensor));
    if (status == MOE_OK)
        status = check_size(path, "count of tensors", plugin->tensor_count, MOE_TENSOR_COUNT);
    if (status == MOE_OK)
        status = check_size(path, "struct moe_recipe (bytes)", plugin->recipe_size,
                            sizeof(struct moe_recipe));
    if (status == MOE_OK)
        status =
            check_size(path, "struct moe_call (bytes)", plugin->call_size, sizeof(struct moe_call));
    return status;
}

static int name_allowed(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-");
    return length > 0 && length <= NAME_LONGEST && name[length] == '\0';
}

/* The first thing that the row lacks, or NULL. */
static const char *missing(const struct moe_variant *row)
{
    const struct {
        int given;
        const char *what;
    } parts[] = {
        {row->name != NULL, "name"},
        {row->summary != NULL, "summary"},
        {row->supports != NULL, "supports"},
        {row->workspace_bytes != NULL, "workspace_bytes"},
        {row->kept_bytes != NULL, "kept_bytes"},
        {row->recipe != NULL, "recipe"},
        {row->open != NULL, "open"},
        {row->forward != NULL, "forward"},
        {row->backward != NULL, "backward"},
        {row->close != NULL, "close"},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!parts[i].given)
            return parts[i].what;
    return NULL;
}

static int check_configurations(const char *path, const struct moe_variant *row)
{
    int32_t count = row->configuration_count;
    int right = row->configurations ? count > 0 : count == 0;
    for (int32_t i = 0; right && i < count; i++)
        right = row->configurations[i] != NULL;
    if (right)
        return MOE_OK;
    return moe_error(MOE_E_USAGE,
                     "plug-in %s: variant %s: configurations does not hold "
                     "configuration_count=%d names",
                     path, row->name, count);
}

/* Row `index` of the table, given that those before it are right. */
static int check_row(const char *path, const struct moe_plugin *plugin, uint32_t index)
{
    const struct moe_variant *row = plugin->variants[index];
    if (!row)
        return moe_error(MOE_E_USAGE, "plug-in %s: variant %u is NULL", path, index);
    int status = check_size(path, "struct moe_variant (bytes)", row->struct_size, sizeof *row);
    if (status != MOE_OK)
        return status;
    const char *what = missing(row);
    if (what)
        return moe_error(MOE_E_USAGE, "plug-in %s: variant %u has no %s", path, index, what);
    if (!name_allowed(row->name))
        return moe_error(MOE_E_USAGE, "plug-in %s: variant %u: a name is 1 to %d of a-z 0-9 . _ -",
                         path, index, NAME_LONGEST);
    int taken = moe_variant_find(row->name) != NULL;
    for (uint32_t before = 0; before < index; before++)
        taken |= strcmp(plugin->variants[before]->name, row->name) == 0;
    if (taken)
        return moe_error(MOE_E_USAGE, "plug-in %s: there is a variant %s already", path, row->name);
    if (row->devices == 0 || row->devices & ~(uint32_t)DEVICES)
        return moe_error(MOE_E_USAGE,
                         "plug-in %s: variant %s: devices is 0x%x, allowed: 0x1 .. 0x%x", path,
                         row->name, row->devices, DEVICES);
    if (row->alignment & (row->alignment - 1))
        return moe_error(MOE_E_USAGE,
                         "plug-in %s: variant %s: alignment is %u, allowed: powers of two", path,
                         row->name, row->alignment);
    return check_configurations(path, row);
}

static int check(const char *path, const struct moe_plugin *plugin)
{
    if (!plugin)
        return moe_error(MOE_E_USAGE, "plug-in %s: moe_plugin() returned NULL", path);
    int status = check_sizes(path, plugin);
    if (status == MOE_OK && (plugin->variant_count == 0 || !plugin->variants))
        status = moe_error(MOE_E_USAGE, "plug-in %s: it has no variants", path);
    for (uint32_t i = 0; status == MOE_OK && i < plugin->variant_count; i++)
        status = check_row(path, plugin, i);
    return status;
}

/* ---- opening -------------------------------------------------------------------------------- */

/* dlopen looks for a name without a slash in the system's folders; a path of ours means the file.
 */
static char *as_file(const char *path)
{
    const char *folder = strchr(path, '/') ? "" : "./";
    size_t size = strlen(folder) + strlen(path) + 1;
    char *file = malloc(size);
    if (file)
        snprintf(file, size, "%s%s", folder, path);
    return file;
}

static int add_from(const char *path, void *object)
{
    const struct moe_plugin *(*get)(void);
    void *symbol = dlsym(object, "moe_plugin");
    if (!symbol)
        return moe_error(MOE_E_USAGE, "plug-in %s: it does not export moe_plugin()", path);
    memcpy(&get, &symbol, sizeof get); /* ISO C has no cast from data to function */
    const struct moe_plugin *plugin = get();
    int status = check(path, plugin);
    if (status == MOE_OK)
        status = moe_variant_add(plugin->variants, plugin->variant_count);
    return status;
}

int moe_plugin_open(const char *path)
{
    int changed, status;
    char *file = as_file(path);
    if (!file)
        return moe_error(MOE_E_NOMEM, "plug-in %s: no memory for its path", path);
    void *object = load(file, &changed);
    free(file);
    if (!object)
        return moe_error(MOE_E_IO, "plug-in %s: %s", path, dlerror());
    if (changed)
        status = moe_error(MOE_E_INTERNAL,
                           "plug-in %s: loading it changed how floating-point numbers round or "
                           "underflow; link it without -ffast-math",
                           path);
    else
        status = add_from(path, object);
    if (status != MOE_OK)
        dlclose(object);
    return status;
}
